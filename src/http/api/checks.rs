//! `POST /v1/checks` and `POST /v1/checks/batch`: only bodies to domain types and answers to text.
//! Answers are written by hand into one buffer, padded so that their length says nothing about the verdict.

use std::io::Write as _;
use std::num::NonZeroU32;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::batch_items::{BATCH_CHECKS_MAX, Items};
use crate::crypto::receipt::longest_verdict;
use crate::crypto::signing::{push_all, push_base64url};
use crate::domain::alert::WatchHours;
use crate::domain::ids::CheckId;
use crate::domain::redacted::{DigestText, IdNumberText, SaltText};
use crate::domain::usage::Outcome;
use crate::domain::verdict::{Advice, Purpose};
use crate::http::contract::fields::{Fields, Whole, present};
use crate::http::contract::problem::{Problem, ProblemBody};
use crate::http::contract::route::Class;
use crate::http::contract::schema::{AdviceCode, ListingKindCode, PurposeName, VerdictName};
use crate::http::pipeline::body::{BATCH_BYTES_MAX, JsonBody, parse};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::exchange::refused_check;
use crate::http::pipeline::numbers;
use crate::http::pipeline::state::AppState;
use crate::service::breathe;
use crate::service::checks::{Answer, Check};

/// A question about one card.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01", "purpose": "lodging", "client_ref": "folio-77"}))]
pub struct CheckRequest {
    /// The 18 characters of GB 11643. Exactly one of this and `id_digest`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>, example = "11010519491231002X")]
    id_number: Option<IdNumberText>,
    /// SHA-256 of `lostcard:v1:` and the number, 64 hexadecimal characters. As sensitive as the number.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_digest: Option<DigestText>,
    /// The start of validity of the card that is presented, from 1984-04-06 to tomorrow (Beijing). Without it a listed number can only be
    /// answered `number_listed`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date, example = "2016-05-01")]
    card_valid_from: Option<String>,
    /// What the card is checked for.
    #[schema(value_type = PurposeName)]
    purpose: String,
    /// Which hotel or branch, for a vendor that acts for many.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$")]
    site: Option<String>,
    /// The client's own reference.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$", example = "folio-77")]
    client_ref: Option<String>,
    /// Whether to sign a receipt; true if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    receipt: Option<bool>,
    /// For this many hours the organization gets an alert if this card or number is listed after the check. Until then the
    /// service keeps the keyed number and the card's start. Without it the service keeps nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = i32, minimum = 1, maximum = 168, example = 24)]
    watch_hours: Option<Whole>,
}

/// Up to 1,000 checks. A bad item spoils only itself, so that its schema is lenient: see `CheckRequest` for a good one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At least one, at most 1,000; 1 MiB in all.
    #[schema(value_type = Vec<BatchItem>, min_items = 1, max_items = 1000)]
    checks: Items,
}

/// A batch whose items have been read, which takes a while: where its body was parsed. More than a batch may hold are only counted.
#[derive(Debug, Deserialize)]
#[serde(from = "BatchRequest")]
pub struct Batch {
    items: usize,
    checks: Vec<Result<CheckRequest, Problem>>,
}

impl From<BatchRequest> for Batch {
    fn from(request: BatchRequest) -> Self {
        let Items { count: items, kept } = request.checks;
        let read = kept.iter().take(if items > BATCH_CHECKS_MAX { 0 } else { items });
        Self { items, checks: read.map(|item| parse(item.get().as_bytes())).collect() }
    }
}

impl Batch {
    /// One unit for each item; one for a batch that is refused for their number.
    fn cost(&self) -> NonZeroU32 {
        let items = u32::try_from(self.items).ok().filter(|_| self.items <= BATCH_CHECKS_MAX);
        items.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }
}

/// Its checks are JSON still, and hold the numbers as they came.
impl std::fmt::Debug for BatchRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BatchRequest({} checks)", self.checks.count)
    }
}

/// A `CheckRequest`; the answer in its place says what is wrong with it.
#[derive(Debug)]
pub struct BatchItem;

impl ToSchema for BatchItem {}

impl PartialSchema for BatchItem {
    fn schema() -> RefOr<Schema> {
        let description = "A `CheckRequest`; the answer in its place says what is wrong with it.";
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some(description))
            .into()
    }
}

/// The answer to a check. `not_listed` never means "valid": it only says that nobody reported the card.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// Names the check in sightings, alerts and misuse reports; the receipt's `jti`.
    #[schema(value_type = Uuid)]
    check_id: CheckId,
    verdict: VerdictName,
    #[schema(value_type = AdviceCode)]
    advice: String,
    /// The advice in words, with the way out for a holder whose card is turned down. Absent where the advice is `proceed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    advice_text: Option<String>,
    /// Only where something is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    listing: Option<ListingAnswer>,
    /// The registry was known up to this instant.
    #[schema(format = DateTime)]
    as_of: String,
    /// The registry's sequence at that instant.
    registry_sequence: i64,
    /// The signed verdict, see docs/RECEIPTS.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    receipt: Option<String>,
    /// Opens the receipt, together with the number. The service returns it once and does not keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    receipt_salt: Option<SaltText>,
}

/// What is listed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListingAnswer {
    #[schema(value_type = ListingKindCode)]
    kind: String,
    /// The day since when the number is listed.
    #[schema(format = Date)]
    since: String,
}

/// The answers of a batch, in the order of its checks.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// As many as the request had checks.
    results: Vec<BatchResult>,
}

/// One item's answer: a check or a problem.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchResult {
    /// The item's place in the request, from 0.
    index: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    check: Option<CheckAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = ProblemBody)]
    problem: Option<serde_json::Value>,
}

/// Check a card
///
/// Has the card in front of me been reported lost, stolen or replaced? Scope `checks`; costs one unit of the client's limit.
/// A hit and a miss are both 200, of the same size. Before it answers a hit, the service records it for the reporter of the
/// card. You may repeat a check freely. With `watch_hours` the watch is stored before the answer goes out:
/// 503 `outcome_unknown` means that it may have been. Never cache an answer. At most 256 KiB.
#[utoipa::path(
    post, path = "/v1/checks", operation_id = "createCheck", tag = "checks", security(("bearer" = [])),
    request_body = CheckRequest,
    responses(
        (status = 200, description = "The verdict.", body = CheckAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<CheckRequest>,
    state: actix_web::web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let check = read_check(&body.read().await?, &caller, state.clock.today())?;
    if let Some(sandbox) = &state.sandbox {
        Box::pin(sandbox.meet(&caller.principal, &check.digest)).await?;
    }
    let taken = numbers::take(&caller.principal, &check).await;
    caller.note_numbers();
    taken?;
    let enter = || state.admission.enter(Class::Check, Some(caller.asker()));
    let answer = if check.watch.is_none() {
        state.checks.check(caller.actor(), &check, enter).await?
    } else {
        let _place = enter()?;
        // Apart, so that the many checks that store nothing do not carry the room for it.
        let owner = numbers::watcher(&caller.principal);
        let watched = Box::pin(state.checks.check_watched(&owner, &check));
        state.write_in_time(watched).await??
    };
    let mut text = Vec::with_capacity(room_of(&answer));
    write_answer(&mut text, &answer);
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(text))
}

/// Check many cards
///
/// Up to 1,000 checks, answered in their order; a bad item spoils only itself. Scope `checks`; costs a unit of the
/// client's limit for each item. 422 `batch_too_large_for_limit` where the limit never holds so many: `items_max` is the largest that fits. A
/// batch that finds too few units left is 429 and costs one; it passes after `Retry-After`, until two seconds later: its units are put aside, and
/// other calls of the client are 429 meanwhile. You may repeat it freely. At most 1 MiB.
#[utoipa::path(
    post, path = "/v1/checks/batch", operation_id = "createCheckBatch", tag = "checks", security(("bearer" = [])),
    request_body = BatchRequest,
    responses(
        (status = 200, description = "One result for each item, in their order.", body = BatchAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
    )
)]
pub async fn create_batch(
    caller: Caller,
    body: JsonBody<Batch>,
    state: actix_web::web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let body = body.read_up_to(BATCH_BYTES_MAX).await.map(|(batch, _)| batch);
    let batch = caller.charge_batch(body, Batch::cost).await?;
    let items = batch.items;
    if !(1..=BATCH_CHECKS_MAX).contains(&items) {
        let mut fields = Fields::default();
        fields.refuse("/checks", "wrong_length", "a batch holds 1 to 1,000 checks");
        return fields.finish(None);
    }
    let today = state.clock.today();
    let mut checks = Vec::with_capacity(items);
    for (index, request) in batch.checks.into_iter().enumerate() {
        breathe(index).await;
        checks.push(request.and_then(|request| read_check(&request, &caller, today)));
    }
    if let Some(sandbox) = &state.sandbox {
        sandbox.meet_all(&caller.principal, &mut checks).await;
    }
    let taken = numbers::take_all(&caller.principal, &mut checks).await;
    caller.note_numbers();
    taken?;
    let answers = state.checks.check_all(&numbers::watcher(&caller.principal), checks).await;
    let (organization, now_ms) = (caller.organization_id(), state.clock.now_ms());
    state.counter.count(organization, Outcome::Batches, now_ms);
    for problem in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        state.counter.count(organization, refused_check(problem.kind().status.as_u16()), now_ms);
    }
    let room: usize = answers.iter().map(|answer| answer.as_ref().map_or(PROBLEM_ROOM, room_of)).sum();
    let mut text = Vec::with_capacity(room + 16);
    push_all(&mut text, [r#"{"results":["#]);
    for (index, answer) in answers.iter().enumerate() {
        breathe(index).await;
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}{{"index":{index},"#);
        match answer {
            Ok(answer) => {
                push_all(&mut text, [r#""check":"#]);
                write_answer(&mut text, answer);
            }
            Err(problem) => {
                let problem = problem.to_json(&caller.request_id(), &caller.prefix());
                push_all(&mut text, [r#""problem":"#, &problem]);
            }
        }
        text.push(b'}');
    }
    push_all(&mut text, ["]}"]);
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(text))
}

fn read_check(request: &CheckRequest, caller: &Caller, today: Date) -> Result<Check, Problem> {
    let mut fields = Fields::default();
    let check = check_of(request, &mut fields, today);
    caller.finish(fields, check)
}

/// A body that is right in all and asks for nothing that is stored; any other takes the long way, which says what is wrong.
pub fn read_plain(body: &[u8], today: Date) -> Option<Check> {
    let request = parse::<CheckRequest>(body).ok()?;
    let mut fields = Fields::default();
    let check = check_of(&request, &mut fields, today).filter(|check| check.watch.is_none());
    fields.finish(check).ok()
}

fn check_of(request: &CheckRequest, fields: &mut Fields, today: Date) -> Option<Check> {
    let placed = fields.placed_number_or_digest(request.id_number.as_ref(), request.id_digest.as_ref(), today);
    let card_valid_from = fields.shown_start(request.card_valid_from.as_deref(), today);
    let purpose =
        fields.word("/purpose", &request.purpose, Purpose::parse, "lodging, banking, transport, telecom, other");
    let site = fields.label("/site", request.site.as_deref(), today);
    let client_ref = fields.label("/client_ref", request.client_ref.as_deref(), today);
    let watch = request.watch_hours.and_then(|hours| {
        let detail = "a check is watched for 1 to 168 hours";
        fields.take("/watch_hours", WatchHours::parse(hours.0), "out_of_range", detail)
    });
    let wants_receipt = request.receipt.unwrap_or(true);
    placed.zip(purpose).map(|((digest, place), purpose)| Check {
        digest,
        place,
        card_valid_from,
        purpose,
        site,
        client_ref,
        wants_receipt,
        watch,
    })
}

/// The longest `"verdict":...,"advice":...,"advice_text":...,"listing":...` part, to which shorter ones are padded.
const LISTED_PART_MAX: usize = longest_verdict()
    + "refuse_and_report".len()
    + r#","advice_text":"""#.len()
    + Advice::longest_text()
    + r#","listing":{"kind":"superseded","since":"2026-11-02"}"#.len();

/// Copied whole: filling a text by single characters shows in the throughput.
const PADDING: &str = match std::str::from_utf8(&[b' '; LISTED_PART_MAX]) {
    Ok(spaces) => spaces,
    Err(_) => "",
};

/// An answer without a receipt, in its place in a batch, and a problem there.
const ANSWER_ROOM: usize = LISTED_PART_MAX + 240;
const PROBLEM_ROOM: usize = 512;
/// What an answer needs, its place in a batch included: room that is not written costs pages, and the wiping of them.
fn room_of(answer: &Answer) -> usize {
    let receipt = answer.receipt.as_ref().map_or(0, |receipt| receipt.signed.room() + 96);
    ANSWER_ROOM + receipt
}

/// Writes the answer; its length says nothing of the verdict.
pub fn write_answer(text: &mut Vec<u8>, answer: &Answer) {
    let (verdict, advice) = (answer.verdict.as_str(), answer.verdict.advice());
    push_all(text, [r#"{"check_id":""#]);
    answer.check_id.push_to(text);
    push_all(text, [r#"","verdict":""#, verdict, r#"","advice":""#, advice.as_str(), r#"""#]);
    let mut written = verdict.len() + advice.as_str().len();
    if !advice.text().is_empty() {
        let start = text.len();
        push_all(text, [r#","advice_text":""#, advice.text(), r#"""#]);
        written += text.len() - start;
    }
    if let Some(listing) = &answer.listing {
        let start = text.len();
        let _ = write!(text, r#","listing":{{"kind":"{}","since":"{}"}}"#, listing.kind.as_str(), listing.since);
        written += text.len() - start;
    }
    let mut number = itoa::Buffer::new();
    let sequence = number.format(answer.sequence.get());
    push_all(text, [r#","as_of":""#, answer.as_of.as_str(), r#"","registry_sequence":"#, sequence]);
    if let Some(receipt) = &answer.receipt {
        push_all(text, [r#","receipt":""#]);
        receipt.signed.push_to(text);
        push_all(text, [r#"","receipt_salt":""#]);
        push_base64url(text, receipt.salt.expose());
        text.push(b'"');
    }
    push_all(text, [&PADDING[written.min(PADDING.len())..], "}"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rfc3339;
    use crate::crypto::receipt::sign_batch;
    use crate::crypto::signing::{SigningKey, base64url};
    use crate::domain::instant::UnixMs;
    use crate::domain::sequence::Sequence;
    use crate::domain::verdict::{Listing, Record, Verdict};
    use crate::service::checks::Receipt;

    #[test]
    fn a_batch_full_of_small_things_is_counted_and_not_kept() {
        let body = format!(r#"{{"checks":[{}0]}}"#, "0,".repeat(BATCH_BYTES_MAX / 2 - 10));
        let request: BatchRequest = parse(body.as_bytes()).unwrap();
        assert_eq!((request.checks.count, request.checks.kept.len()), (BATCH_BYTES_MAX / 2 - 9, BATCH_CHECKS_MAX));
        let batch = Batch::from(request);
        assert_eq!((batch.items > BATCH_CHECKS_MAX, batch.checks.len()), (true, 0));
        assert!(
            parse::<BatchRequest>(br#"{"checks":[0,]}"#).is_err() && parse::<BatchRequest>(br#"{"checks":0}"#).is_err()
        );
        let beyond = format!(r#"{{"checks":[{}x]}}"#, "0,".repeat(BATCH_CHECKS_MAX));
        assert!(parse::<BatchRequest>(beyond.as_bytes()).is_err(), "what is only counted is JSON, too");
    }

    fn answer(verdict: Verdict) -> Answer {
        let signed = sign_batch(&SigningKey::generate().unwrap(), r#""x""#, 1, "", vec!["b".to_owned()]).remove(0);
        let replaced = Record::Replacement {
            card_valid_from: jiff::civil::date(2020, 1, 1),
            recorded_on: jiff::civil::date(2020, 1, 2),
        };
        Answer {
            check_id: CheckId::nil(),
            verdict,
            listing: if verdict == Verdict::NotListed { None } else { Listing::from_records([replaced]) },
            as_of: Rfc3339::of(UnixMs::EPOCH),
            sequence: Sequence::new(7),
            receipt: Some(Receipt { signed, salt: [1; 32].into() }),
        }
    }

    #[test]
    fn an_answer_needs_no_more_than_its_room() {
        for verdict in [Verdict::NotListed, Verdict::CardListed, Verdict::OtherCardListed] {
            let mut answer = Answer { sequence: Sequence::new(u64::MAX), ..answer(verdict) };
            for receipt in [answer.receipt.take(), None] {
                answer.receipt = receipt;
                let mut text = br#"{"index":999,"check":},"#.to_vec();
                write_answer(&mut text, &answer);
                assert!(
                    (text.len()..text.len() + 160).contains(&room_of(&answer)),
                    "{} {}",
                    text.len(),
                    room_of(&answer)
                );
            }
        }
    }

    #[test]
    fn what_is_written_by_hand_is_the_documented_answer() {
        let mut text = Vec::new();
        let answer = answer(Verdict::CardListed);
        write_answer(&mut text, &answer);
        let documented = CheckAnswer {
            check_id: CheckId::nil(),
            verdict: VerdictName::CardListed,
            advice: "refuse_and_report".to_owned(),
            advice_text: Some(Advice::RefuseAndReport.text().to_owned()),
            listing: Some(ListingAnswer { kind: "superseded".to_owned(), since: "2020-01-02".to_owned() }),
            as_of: "1970-01-01T00:00:00.000Z".to_owned(),
            registry_sequence: 7,
            receipt: answer.receipt.map(|receipt| receipt.signed.to_string()),
            receipt_salt: Some(base64url(&[1; 32]).into()),
        };
        let written: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(written, serde_json::to_value(&documented).unwrap());
    }

    #[test]
    fn the_length_tells_nothing_of_the_verdict() {
        let length = |verdict| {
            let mut text = Vec::new();
            write_answer(&mut text, &answer(verdict));
            text.len()
        };
        let lengths: Vec<_> = Verdict::ALL.iter().map(|verdict| length(*verdict)).collect();
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
    }
}
