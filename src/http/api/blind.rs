//! `/v1/blind/...`: keys, bases and evaluations for those who check without telling whom (docs/BLIND.md). Only bodies to elements
//! and answers to text: the service never learns more.

use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{self, ByteRangeSpec, ETag, EntityTag, IfNoneMatch, Range};
use actix_web::web::{Bytes, Data, Header, Path};
use actix_web::{FromRequest, HttpRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::crypto::blind::key::ELEMENT_BYTES;
use crate::crypto::blind::receipt::BlindClaims;
use crate::crypto::blind::{Blinded, Evaluations};
use crate::crypto::random;
use crate::crypto::receipt::Signed;
use crate::crypto::signing::{base64url, from_base64url};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Purpose;
use crate::http::contract::answers::{instant, json};
use crate::http::contract::fields::{Fields, Whole, present};
use crate::http::contract::problem::{self, FieldError, Problem};
use crate::http::contract::route::Class;
use crate::http::contract::schema::PurposeName;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::service::blind::Blind;
use crate::service::blind::evaluating::{Asked, Evaluation};

/// Elements of one request.
const ELEMENTS_MAX: usize = 32;
/// A base never changes; who may not ask for it may not have it from a cache either.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// Numbers to be evaluated, blinded so that nobody here can tell them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "key": "1", "blinded": ["2HJGxW2spaB-sMYZuHdCsK-ucg7GOQLQwNuBNwkPl2o"], "after": 3, "purpose": "lodging"
}))]
pub struct EvaluationRequest {
    /// The key to evaluate by, as `GET /v1/blind/keys` names it.
    #[schema(max_length = 10)]
    key: String,
    /// 1 to 32 elements of ristretto255, each its 32 bytes as base64url without padding.
    #[schema(min_items = 1, max_items = 32)]
    blinded: Vec<String>,
    /// Commitments for receipts, as many as elements, each 32 bytes as base64url. Without them there are no receipts.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 32)]
    cm: Option<Vec<String>>,
    /// The last change that you know: the base's sequence, or `registry_sequence` of your last answer. At most 4,096 back.
    #[schema(value_type = u64)]
    after: Whole,
    /// What the cards are checked for.
    #[schema(value_type = PurposeName)]
    purpose: String,
    /// Where you check: a label of your own.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    site: Option<String>,
}

impl EvaluationRequest {
    fn cost(&self) -> NonZeroU32 {
        let elements = self.blinded.len().min(ELEMENTS_MAX);
        u32::try_from(elements).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }
}

/// The evaluated elements, and what has changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "evaluated": ["JLAHJpn3iu9N7T0a9N1WN1y1mUB8UXlt90DyAHLI1VI"],
    "proof": "wHxOhUcEtQZUJ4bWuHKHw4OyKy0D0R-ZEoHXQ8ql6gaQ2JcNtEB5WjoYH9rEpoJrIGuIGKmVWfYuh0F4Bf0OAw",
    "as_of": "2026-11-24T02:00:00.123Z", "registry_sequence": 4, "changes": "AQo-JiuTOeg5vTsBYHR6hPTDCgE"
}))]
pub struct EvaluationAnswer {
    /// As many as the request had elements, in their order.
    evaluated: Vec<String>,
    /// One proof (c and s, 64 bytes, base64url) that all were evaluated by the key.
    proof: String,
    /// The instant up to which the registry is known.
    #[schema(format = DateTime)]
    as_of: String,
    /// The registry's sequence at that instant.
    #[schema(value_type = u64)]
    registry_sequence: Sequence,
    /// Every change after `after` up to `registry_sequence`: 20 bytes each, one after the other, base64url.
    changes: String,
    /// A receipt for each element, where commitments were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    receipts: Option<Vec<String>>,
}

/// The keys that numbers are evaluated by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"keys": [{
    "key": "1", "epoch": "1", "public_key": "2HJGxW2spaB-sMYZuHdCsK-ucg7GOQLQwNuBNwkPl2o", "s0": 0, "base_seq": 3, "base_bytes": 52,
    "manifest": "5nGYlZUaKQWrXW2nQoFFZSm-QJ4kIrHsXZ6_hmXbr0Y", "from": "2026-11-24T02:00:00Z", "until": "2026-12-02T02:00:00Z"
}]}))]
pub struct KeysAnswer {
    /// Those in force that have a base, newest first: use the first.
    keys: Vec<KeyAnswer>,
}

/// One key and its base.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyAnswer {
    /// What `key` of an evaluation says.
    key: String,
    /// The base's name: `/v1/blind/bases/{epoch}`.
    epoch: String,
    /// 32 bytes, base64url: what proofs are verified by.
    public_key: String,
    /// The sequence at which the key's registry log began: its leaf `i` belongs to the sequence `s0` + `i` + 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<u64>)]
    s0: Option<Sequence>,
    /// The sequence at which everything in the base was listed.
    #[schema(value_type = u64)]
    base_seq: Sequence,
    /// The length of the base.
    base_bytes: u64,
    /// SHA-256 of the base's header and index, base64url.
    manifest: String,
    /// Since when it is in force.
    #[schema(format = DateTime)]
    from: String,
    /// When it ends at the latest, if the next key comes in time.
    #[schema(format = DateTime)]
    until: String,
}

/// Evaluate blinded numbers
///
/// Evaluates up to 32 numbers that you have blinded, proves that it was done by the published key, and tells every change of the registry
/// since you asked last. What is known of a number you find out by yourself, with the base: the service does not learn whom you asked about.
/// Scope `blind`; costs a unit of the client's limit and one of its `numbers` for each element, for nothing can be known of
/// repeats; a refusal costs no number. You may repeat it freely.
#[utoipa::path(
    post, path = "/v1/blind/evaluations", operation_id = "createBlindEvaluation", tag = "blind", security(("bearer" = [])),
    request_body = EvaluationRequest,
    responses(
        (status = 200, description = "The elements, evaluated, and the changes.", body = EvaluationAnswer),
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
    )
)]
pub async fn evaluate(
    caller: Caller,
    body: JsonBody<EvaluationRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = caller.charge_batch(body.read().await, EvaluationRequest::cost).await?;
    let blind = blind(&state)?;
    let mut fields = Fields::default();
    if !(1..=ELEMENTS_MAX).contains(&request.blinded.len()) {
        fields.refuse("/blinded", "wrong_length", "1 to 32 elements");
    }
    let elements = request.blinded.len();
    let commitments =
        request.cm.as_ref().map(|texts| texts.iter().map(|text| bytes32(text)).collect::<Option<Vec<_>>>());
    if commitments.as_ref().is_some_and(|all| all.as_ref().is_none_or(|all| all.len() != elements)) {
        fields.refuse(
            "/cm",
            "wrong_length",
            "as many commitments as elements, each 32 bytes as base64url without padding",
        );
    }
    let words = "lodging, banking, transport, telecom, other";
    let purpose = fields.word("/purpose", &request.purpose, Purpose::parse, words);
    fields.label("/site", request.site.as_deref(), state.clock.today());
    let after = u64::try_from(request.after.0).ok();
    let after = fields.take("/after", after, "out_of_range", "changes are counted from 1; 0 is before the first");
    let (_, after) = caller.finish(fields, purpose.zip(after))?;
    let unknown = || Problem::new(problem::BLIND_KEY_UNKNOWN, "no key of that name is in force");
    let epoch = parse_epoch(&request.key).ok_or_else(unknown)?;
    let blinded = read_elements(&request.blinded)?;
    caller.enter(Class::Checks)?;
    let after = Sequence::new(after);
    if let Some(refusal) = state.read_in_time(blind.refuses(epoch, after)).await?? {
        return Err(refusal.into());
    }
    let evaluation = paid(&caller, request.cost().get(), async {
        let asked = Asked { epoch, blinded, after };
        Ok(state.read_in_time(blind.evaluate(caller.asker(), asked)).await???)
    });
    let evaluation = evaluation.await;
    caller.note_numbers();
    let Evaluation { evaluations: Evaluations { elements, proof }, as_of, sequence, changes } = evaluation?;
    let evaluated: Vec<_> = elements.iter().map(|element| base64url(element)).collect();
    let receipts = commitments.flatten().map(|commitments| {
        let claims = commitments.iter().zip(&request.blinded).zip(&evaluated).map(|((commitment, bl), ev)| {
            state.checks.blind_claims(
                caller.organization_id(),
                &BlindClaims {
                    check_id: random::id(state.clock.now_ms()),
                    key: &request.key,
                    blinded: bl,
                    evaluated: ev,
                    as_of: as_of.as_str(),
                    sequence,
                    commitment: *commitment,
                },
            )
        });
        state.checks.sign_all(claims.collect()).iter().map(Signed::to_string).collect()
    });
    Ok(json(&EvaluationAnswer {
        evaluated,
        proof: base64url(&proof),
        as_of: as_of.as_str().to_owned(),
        registry_sequence: sequence,
        changes: base64url(changes.as_flattened()),
        receipts,
    }))
}

/// Does what costs so many numbers. They are paid before: who goes away has paid. Where there is no answer, for whatever reason, they
/// are given back.
async fn paid<T>(caller: &Caller, count: u32, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let numbers = &caller.principal.client.numbers;
    let taken = numbers.take_unseen(count).await?;
    let done = work.await;
    if done.is_err() {
        numbers.give_back(&taken);
    }
    done
}

/// Read the blind keys
///
/// Which keys numbers are evaluated by, newest first, and the base of each. Scope `blind`. Costs one unit of the client's limit. A new key
/// comes each week; the one before is good for another day.
#[utoipa::path(
    get, path = "/v1/blind/keys", operation_id = "getBlindKeys", tag = "blind", security(("bearer" = [])),
    responses(
        (status = 200, description = "The keys in force that have a base.", body = KeysAnswer),
        (status = 404, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::CallRefusals,
    )
)]
pub async fn keys(caller: Caller, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let blind = blind(&state)?;
    caller.enter(Class::Checks)?;
    let live = state.read_in_time(blind.live_keys()).await??;
    let key = |live: &crate::service::blind::LiveKey| KeyAnswer {
        key: live.key.epoch.to_string(),
        epoch: live.key.epoch.to_string(),
        public_key: base64url(&live.key.public_key),
        s0: live.key.s0,
        base_seq: live.base.sequence,
        base_bytes: live.base.bytes,
        manifest: base64url(&live.base.manifest),
        from: instant(live.key.begun_at),
        until: instant(live.until),
    };
    Ok(json(&KeysAnswer { keys: live.iter().map(key).collect() }))
}

/// Read a base
///
/// Every listing of one moment in some 4.4 bytes, as docs/BLIND.md describes it. It says nothing about a number that was not evaluated.
/// Scope `blind`. Costs one unit of the client's limit. A base never changes; send `Range: bytes=FROM-TO` for a part of it.
#[utoipa::path(
    get, path = "/v1/blind/bases/{epoch}", operation_id = "getBlindBase", tag = "blind", security(("bearer" = [])),
    params(("epoch" = String, Path, pattern = "^[1-9][0-9]{0,9}$", example = "1", description = "The base's name, as the list of keys has it.")),
    responses(
        (status = 200, description = "The whole base.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, description = "The part that was asked for.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "You have it: it never changes."),
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 416, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::CallRefusals,
    )
)]
pub async fn base(
    caller: Caller,
    state: Data<AppState>,
    epoch: Path<String>,
    known: Header<IfNoneMatch>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let blind = blind(&state)?;
    let epoch = parse_epoch(&epoch).ok_or_else(Problem::not_found)?;
    caller.enter(Class::Checks)?;
    let found = state.read_in_time(blind.base(epoch)).await??;
    let (stored, bytes) = found.ok_or_else(Problem::not_found)?;
    let tag = EntityTag::new_strong(base64url(&stored.manifest));
    let is_known = match &*known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    };
    if is_known {
        return Ok(HttpResponse::NotModified()
            .insert_header(ETag(tag))
            .insert_header((header::CACHE_CONTROL, IMMUTABLE))
            .finish());
    }
    let length = bytes.len();
    let whole = Bytes::from_owner(Shared(bytes));
    match asked_range(&request, &tag).await.map(|range| range.to_satisfiable_range(stored.bytes)) {
        None => Ok(octets(HttpResponse::Ok(), tag).body(whole)),
        Some(None) => Err(Problem::new(problem::RANGE_NOT_SATISFIABLE, "the base ends before the range begins")),
        Some(Some((from, to))) => {
            let place = |at: u64| usize::try_from(at).unwrap_or(length).min(length);
            let part = whole.slice(place(from)..place(to.saturating_add(1)));
            let content_range = format!("bytes {from}-{to}/{length}");
            let mut response = octets(HttpResponse::PartialContent(), tag);
            response.insert_header((header::CONTENT_RANGE, content_range));
            Ok(response.body(part))
        }
    }
}

fn octets(mut response: actix_web::HttpResponseBuilder, tag: EntityTag) -> actix_web::HttpResponseBuilder {
    response
        .insert_header((header::CACHE_CONTROL, IMMUTABLE))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header(ETag(tag))
        .content_type(header::ContentType::octet_stream());
    response
}

/// One range of bytes, where that is what was asked for. Anything else is answered with the whole (RFC 9110, 14.2), and so is a range
/// of another base.
async fn asked_range(request: &HttpRequest, tag: &EntityTag) -> Option<ByteRangeSpec> {
    let range = Header::<Range>::extract(request).await.ok()?.into_inner();
    let condition = request.headers().get(header::IF_RANGE);
    if condition.is_some_and(|condition| condition.to_str().ok() != Some(&tag.to_string())) {
        return None;
    }
    match range {
        Range::Bytes(mut ranges) if ranges.len() == 1 => ranges.pop(),
        _ => None,
    }
}

/// The bytes of a base, as a body holds them.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn blind(state: &AppState) -> Result<Arc<Blind>, Problem> {
    state.blind.clone().ok_or_else(Problem::not_found)
}

/// An epoch as it is given out.
fn parse_epoch(text: &str) -> Option<u32> {
    let epoch: u32 = text.parse().ok()?;
    (epoch > 0 && epoch.to_string() == text).then_some(epoch)
}

fn bytes32(text: &str) -> Option<[u8; ELEMENT_BYTES]> {
    from_base64url(text)?.try_into().ok()
}

fn read_elements(texts: &[String]) -> Result<Vec<Blinded>, Problem> {
    let (mut elements, mut errors) = (Vec::with_capacity(texts.len()), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match from_base64url(text).and_then(|bytes| Blinded::parse(&bytes)) {
            Some(element) => elements.push(element),
            None => errors.push(FieldError {
                pointer: format!("/blinded/{index}").into(),
                code: "element_invalid",
                detail: "an element is 32 bytes as base64url without padding, in its only form, and not the identity"
                    .into(),
            }),
        }
    }
    if errors.is_empty() { Ok(elements) } else { Err(Problem::of_members(problem::ELEMENT_INVALID, errors)) }
}
