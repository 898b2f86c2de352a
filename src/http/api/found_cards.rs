//! Found cards: `/v1/found-cards...`. Bodies to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reports::{Contact, contact_text};
use super::withdrawals::{WithdrawalAnswer, waits};
use crate::domain::card::CardValidity;
use crate::domain::client::RegionCode;
use crate::domain::found_card::{FoundCard, HolderVerification, check_found_on};
use crate::domain::ids::{FoundCardId, ReportId};
use crate::domain::redacted::{IdNumberText, SaltText};
use crate::http::contract::answers::{created, instant, json, path_id, respond};
use crate::http::contract::fields::{Fields, ObjectMember, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{FoundCardStateCode, HolderVerificationCode, HolderVerificationName};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::act_receipts::ActReceipt;
use crate::service::found_cards::{HandedBack, Registering, Returning};
use crate::service::withdrawals::Ender;
use crate::store::found_cards::StoredFoundCard;

/// A card that somebody found and handed in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01", "found_on": "2026-11-20",
    "found_at_region": "310104", "office": "310104-01"}))]
pub struct FoundCardRequest {
    /// The 18 characters of GB 11643.
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The start of validity printed on the card. Without it the card is matched to any active report of the number; its return
    /// needs it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    #[schema(format = Date)]
    found_on: String,
    /// Where it was found: six digits of GB/T 2260.
    #[schema(example = "310104")]
    found_at_region: String,
    /// The office that holds the card: 1 to 32 letters, digits and hyphens.
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
    /// How to reach the finder. Stored sealed under a key of its own.
    #[serde(default)]
    #[schema(nullable = false, value_type = Contact)]
    finder_contact: ObjectMember<Contact>,
}

/// A card that was registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundCardRegistered {
    #[schema(value_type = Uuid)]
    found_card_id: FoundCardId,
    #[schema(value_type = FoundCardStateCode)]
    state: &'static str,
    /// The active loss report that the card belongs to, whichever organization filed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    matched_report_id: Option<ReportId>,
}

/// A found card.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundCardAnswer {
    #[schema(value_type = Uuid)]
    found_card_id: FoundCardId,
    #[schema(value_type = FoundCardStateCode)]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    matched_report_id: Option<ReportId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    #[schema(format = Date)]
    found_on: String,
    found_at_region: String,
    office: String,
    #[schema(format = DateTime)]
    registered_at: String,
    /// When it was returned, destroyed or transferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    closed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = HolderVerificationCode)]
    holder_verified_by: Option<&'static str>,
    /// The office that it was transferred to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    to_office: Option<String>,
    /// The receipt of the withdrawal that went with a return: its place in the registry log. Only in the answer to the return, and only
    /// where there is a log. Its `jti` is the report's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    report_receipt: Option<String>,
    /// What opens it, with the number: keep both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    report_receipt_salt: Option<SaltText>,
}

/// The holder came for the card.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnRequest {
    /// The start of validity printed on the card. Needed where the card was registered without it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
    #[schema(value_type = HolderVerificationName)]
    holder_verified_by: String,
}

/// The card was destroyed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestructionRequest {
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
}

/// The card was sent to another office.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
    #[schema(example = "110105-03", max_length = 32)]
    to_office: String,
}

/// Register a card that was handed in
///
/// The service matches it to an active loss report of its number, of any organization, now or when somebody files one later. It changes
/// no verdict. Scope `registry`; costs one unit. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/found-cards", operation_id = "createFoundCard", tag = "registry", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new card.")),
    request_body = FoundCardRequest,
    responses(
        (status = 201, description = "Registered and durable.", body = FoundCardRegistered,
            headers(("Location" = String, description = "The found card's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<FoundCardRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (found, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let registering = read_registering(&found, &caller, state.clock.today())?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render = |card: &FoundCard| {
        created(
            caller.route().location(card.id),
            &FoundCardRegistered {
                found_card_id: card.id,
                state: card.state.as_str(),
                matched_report_id: card.matched_report,
            },
        )
    };
    let register = state.found_cards.register(caller.actor(), registering, repeatable, render);
    Ok(respond(state.write_in_time(register).await??))
}

/// Read a found card
///
/// Scope `registry`; costs one unit. Only your own organization's cards: others are 404.
#[utoipa::path(
    get, path = "/v1/found-cards/{found_card_id}", operation_id = "getFoundCard", tag = "registry", security(("bearer" = [])),
    params(("found_card_id" = Uuid, Path, description = "The found card's id.")),
    responses(
        (status = 200, description = "The found card.", body = FoundCardAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let found_card_id = path_id(&path)?;
    answer(state.read_in_time(state.found_cards.find(caller.actor(), found_card_id)).await??)
}

/// Return a card to its holder
///
/// The report of that very card is withdrawn with it, or one that does not know its card; once 200 is sent, no check that starts
/// anywhere finds that report. A report that another registrar has filed is that one's to end: 403 `office_not_yours`, transfer the card
/// there. Beyond the client's number of withdrawals of the day the answer is 202, and the card is returned when another client of the
/// organization confirms (`Location`). The start of validity is needed, at registration or here: 422 without it.
/// Scope `registry`; costs one unit. Only while the card is held, and only where the number has no newer card: 409 otherwise.
#[utoipa::path(
    post, path = "/v1/found-cards/{found_card_id}/return", operation_id = "returnFoundCard", tag = "registry",
    security(("bearer" = [])),
    params(("found_card_id" = Uuid, Path, description = "The found card's id.")),
    request_body = ReturnRequest,
    responses(
        (status = 200, description = "The found card, returned.", body = FoundCardAnswer),
        (status = 202, description = "The return waits for another client of the organization.", body = WithdrawalAnswer,
            headers(("Location" = String, description = "The withdrawal's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn hand_back(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<ReturnRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let found_card_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&request.office, state.clock.today());
    let words = "fingerprint, face, document";
    let verified = fields.word("/holder_verified_by", &request.holder_verified_by, HolderVerification::parse, words);
    let card_valid_from = fields.date("/card_valid_from", request.card_valid_from.as_deref());
    if let Err(error) = CardValidity::new(card_valid_from, None, state.clock.today()) {
        fields.refuse(error.pointer(), error.code(), error.to_string());
    }
    let returning = office.zip(verified);
    let returning =
        returning.map(|(office, holder_verified_by)| Returning { card_valid_from, office, holder_verified_by });
    let returning = fields.finish(returning)?;
    caller.act_for(&returning.office)?;
    let Ender { actor, ends_others } = caller.ender();
    let hand_back = state.found_cards.hand_back(actor, ends_others, found_card_id, returning);
    match Box::pin(state.write_in_time(hand_back)).await?? {
        Some(HandedBack::Waits(pending)) => Ok(waits(&caller, &pending)),
        Some(HandedBack::Done(stored, receipt)) => {
            let (report_receipt, report_receipt_salt) = ActReceipt::unzip(receipt);
            Ok(json(&FoundCardAnswer { report_receipt, report_receipt_salt, ..FoundCardAnswer::of(&stored) }))
        }
        None => answer(None),
    }
}

/// Record that a card was destroyed
///
/// Scope `registry`; costs one unit. Only while the card is held, and only if the number has a newer card: 409 otherwise.
#[utoipa::path(
    post, path = "/v1/found-cards/{found_card_id}/destruction", operation_id = "destroyFoundCard", tag = "registry",
    security(("bearer" = [])),
    params(("found_card_id" = Uuid, Path, description = "The found card's id.")),
    request_body = DestructionRequest,
    responses(
        (status = 200, description = "The found card, destroyed.", body = FoundCardAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn destroy(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<DestructionRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let found_card_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&request.office, state.clock.today());
    let office = fields.finish(office)?;
    caller.act_for(&office)?;
    answer(state.write_in_time(state.found_cards.destroy(caller.actor(), found_card_id, office)).await??)
}

/// Transfer a card to another office
///
/// The receiving office registers the card again. Scope `registry`; costs one unit. Only while the card is held: 409 otherwise.
#[utoipa::path(
    post, path = "/v1/found-cards/{found_card_id}/transfer", operation_id = "transferFoundCard", tag = "registry",
    security(("bearer" = [])),
    params(("found_card_id" = Uuid, Path, description = "The found card's id.")),
    request_body = TransferRequest,
    responses(
        (status = 200, description = "The found card, transferred.", body = FoundCardAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn transfer(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<TransferRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let found_card_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&request.office, state.clock.today());
    let to_office = fields.office_at("/to_office", &request.to_office, state.clock.today());
    let (office, to_office) = fields.finish(office.zip(to_office))?;
    caller.act_for(&office)?;
    let transfer = state.found_cards.transfer(caller.actor(), found_card_id, office, to_office);
    answer(state.write_in_time(transfer).await??)
}

fn read_registering(found: &FoundCardRequest, caller: &Caller, today: Date) -> Result<Registering, Problem> {
    let mut fields = Fields::default();
    let digest = fields.id_number(&found.id_number, today);
    let card_valid_from = fields.date("/card_valid_from", found.card_valid_from.as_deref());
    if let Err(error) = CardValidity::new(card_valid_from, None, today) {
        fields.refuse(error.pointer(), error.code(), error.to_string());
    }
    let found_on = fields.date("/found_on", Some(&found.found_on));
    if let Some(Err(error)) = found_on.map(|day| check_found_on(day, card_valid_from, today)) {
        fields.refuse("/found_on", error.code(), error.to_string());
    }
    let detail = "a region is six digits of GB/T 2260, of a known province";
    let region = fields.take("/found_at_region", RegionCode::parse(&found.found_at_region), "malformed_region", detail);
    let office = fields.office(&found.office, today);
    let phone = contact_text(&found.finder_contact).read(&mut fields, "/finder_contact", "/finder_contact/phone");
    let registering = digest.zip(found_on).zip(region.zip(office)).map(|((digest, found_on), (region, office))| {
        Registering { digest, card_valid_from, found_on, found_at_region: region, office, phone }
    });
    let registering = caller.finish(fields, registering)?;
    caller.act_for(&registering.office)?;
    Ok(registering)
}

fn answer(found: Option<StoredFoundCard>) -> Result<HttpResponse, Problem> {
    found.map(|stored| json(&FoundCardAnswer::of(&stored))).ok_or_else(Problem::not_found)
}

impl FoundCardAnswer {
    pub(super) fn of(stored: &StoredFoundCard) -> Self {
        let (card, leaving) = (&stored.card, stored.leaving.as_ref());
        Self {
            found_card_id: card.id,
            state: card.state.as_str(),
            matched_report_id: card.matched_report,
            card_valid_from: card.card_valid_from.map(|date| date.to_string()),
            found_on: stored.found_on.to_string(),
            found_at_region: stored.found_at_region.as_str().to_owned(),
            office: stored.office.as_str().to_owned(),
            registered_at: instant(stored.registered_at_ms),
            closed_at: leaving.map(|leaving| instant(leaving.at_ms)),
            holder_verified_by: leaving.and_then(|leaving| leaving.holder_verified_by).map(HolderVerification::as_str),
            to_office: leaving.and_then(|leaving| leaving.to_office.as_ref()).map(|office| office.as_str().to_owned()),
            report_receipt: None,
            report_receipt_salt: None,
        }
    }
}
