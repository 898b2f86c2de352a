//! Citizen portals: `/v1/citizen/...`. The portal has authenticated the person and sends the number in the body, each time. Bodies
//! to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::act_receipts::respond_salted;
use super::citizen_answers::CitizenRecords;
use super::reports::{Contact, LossReportAnswer, contact_text, render};
use crate::crypto::act_receipt::Act;
use crate::crypto::digest::IdDigest;
use crate::domain::ids::CheckId;
use crate::domain::redacted::IdNumberText;
use crate::domain::report::{Channel, OfficeCode, Reporter, WithdrawalReason};
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::fields::{Fields, ObjectMember, Whole, present};
use crate::http::contract::page::{List, Page};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{ReasonName, WithdrawalReasonName};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::filing::{Filing, FilingText};
use crate::store::citizen::SightingsPage;

/// Whose records are asked for: the person that the portal authenticated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitizenRecordsRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The `next_cursor` of the answer before: the sightings that follow, and nothing else.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 256)]
    cursor: Option<String>,
    /// How many sightings at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<i32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole>,
}

/// A loss that the holder reports online.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01", "reason": "lost",
    "lost_on": "2026-11-01"}))]
pub struct CitizenLossReportRequest {
    /// The 18 characters of GB 11643.
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The start of validity of the lost card. Without it the registry cannot tell the lost card from a later one.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    /// The end of validity; absent for long-term cards.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_until: Option<String>,
    #[schema(value_type = ReasonName)]
    reason: String,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    lost_on: Option<String>,
    /// How to reach the holder. Stored sealed under a key of its own.
    #[serde(default)]
    #[schema(nullable = false, value_type = Contact)]
    contact: ObjectMember<Contact>,
}

/// The holder has the card again, or it was never lost.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitizenWithdrawalRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    #[schema(value_type = WithdrawalReasonName)]
    reason: String,
}

/// A place is the first check of a sighting.
const LIST: List<CheckId> = List::new("readCitizenRecords", 100);

/// Read a person's own records
///
/// Loss reports, sightings, found cards and temporary certificates of the person, over all organizations, each with its office and, where
/// the operator has described it, its name and how to reach it. A sighting shows kind
/// and region of the organization, not which it was; `next_cursor` leads to all of them. Scope `citizen`; costs one unit.
#[utoipa::path(
    post, path = "/v1/citizen/records", operation_id = "readCitizenRecords", tag = "citizen", security(("bearer" = [])),
    request_body = CitizenRecordsRequest,
    responses(
        (status = 200, description = "The records, newest first.", body = CitizenRecords),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn records(
    caller: Caller,
    body: JsonBody<CitizenRecordsRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let limit = request.limit.map(|limit| limit.0.to_string());
    let (cursor, limit) = (request.cursor.as_deref(), limit.as_deref());
    let (digest, page) = read_page(&caller, &state, &LIST, &request.id_number, cursor, limit)?;
    let sightings = SightingsPage { before: page.after, count_max: page.limit + 1 };
    let mut records = state.read_in_time(state.citizen.records(caller.actor(), &digest, sightings)).await??;
    let next_cursor = LIST.end(&page, &mut records.sightings, |sighting| sighting.check_id);
    Ok(json(&CitizenRecords::of(&records, next_cursor)))
}

/// Whose records are read, and which page of them.
pub(super) fn read_page<P: Serialize + DeserializeOwned>(
    caller: &Caller,
    state: &AppState,
    list: &List<P>,
    id_number: &IdNumberText,
    cursor: Option<&str>,
    limit: Option<&str>,
) -> Result<(IdDigest, Page<P>), Problem> {
    let mut fields = Fields::default();
    let digest = fields.id_number(id_number, state.clock.today());
    let page = list.read(&mut fields, cursor, limit);
    caller.finish(fields, digest.zip(page))
}

/// Report a person's own card lost or stolen
///
/// The report has channel `online`, reporter `holder` and office `online`. Scope `citizen`; costs one unit. Once 201 is sent, no
/// check that starts anywhere answers `not_listed` for the number. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/citizen/loss-reports", operation_id = "createCitizenLossReport", tag = "citizen",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new report.")),
    request_body = CitizenLossReportRequest,
    responses(
        (status = 201, description = "Filed, durable, and known to every node.", body = LossReportAnswer,
            headers(("Location" = String, description = "The report's path; reading it takes scope `registry`."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<CitizenLossReportRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (filed, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let office = OfficeCode::online();
    let text = FilingText {
        id_number: &filed.id_number,
        card_valid_from: filed.card_valid_from.as_deref(),
        card_valid_until: filed.card_valid_until.as_deref(),
        reason: &filed.reason,
        lost_on: filed.lost_on.as_deref(),
        reporter: Reporter::Holder.as_str(),
        office: office.as_str(),
        channel: Channel::Online.as_str(),
        contact: contact_text(&filed.contact),
    };
    let mut fields = Fields::default();
    let filing = Filing::read(&mut fields, &text, state.clock.today());
    let filing = caller.finish(fields, filing)?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let answer = state.write_in_time(state.reports.file(caller.actor(), filing, repeatable, render(&caller))).await??;
    Ok(respond_salted(&state, Act::Report, answer))
}

/// Withdraw a person's own online report
///
/// Scope `citizen`; costs one unit. Only a report of this number: another's is 404. Only one that was made online through
/// the same organization and is active: 409 otherwise. An office withdraws a report that was made there.
#[utoipa::path(
    post, path = "/v1/citizen/loss-reports/{report_id}/withdrawal", operation_id = "withdrawCitizenLossReport", tag = "citizen",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    request_body = CitizenWithdrawalRequest,
    responses(
        (status = 200, description = "The report, withdrawn.", body = LossReportAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn withdraw(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<CitizenWithdrawalRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let digest = fields.id_number(&request.id_number, state.clock.today());
    let reason = fields.word("/reason", &request.reason, WithdrawalReason::parse, "found, mistaken");
    let (digest, reason) = caller.finish(fields, digest.zip(reason))?;
    let withdrawn = state.citizen.withdraw(caller.actor(), report_id, &digest, reason);
    let withdrawn = state.write_in_time(withdrawn).await??;
    withdrawn.map(|ended| json(&LossReportAnswer::of_ended(&ended))).ok_or_else(Problem::not_found)
}
