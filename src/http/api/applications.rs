//! Applications for a new card: `/v1/replacement-applications...`. Bodies to domain types, domain types to answers. Their temporary
//! cards are in `temporary_cards`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::offices::{read_office, read_office_at};
use super::temporary_cards::TemporaryCardAnswer;
use crate::domain::application::ApplicationReason;
use crate::domain::ids::{ApplicationId, ReplacementId};
use crate::domain::redacted::{IdNumberText, SaltText};
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::{created, instant, json, path_id, respond};
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{ApplicationReasonCode, ApplicationReasonName, ApplicationStateCode, GroundCode};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::act_receipts::ActReceipt;
use crate::service::applications::{Applying, IssuedApplication};
use crate::store::applications::StoredApplication;

/// A holder applies for a new card.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "applied_at_office": "310104-01", "household_office": "110105-03",
    "reason": "lost", "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false}))]
pub struct ReplacementApplicationRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The office that takes the application. Its code begins with the six digits of its place.
    #[schema(example = "310104-01", max_length = 32)]
    applied_at_office: String,
    /// The office of the place of household registration, likewise.
    #[schema(example = "110105-03", max_length = 32)]
    household_office: String,
    #[schema(value_type = ApplicationReasonName)]
    reason: String,
    fingerprint_on_file: bool,
    /// So much that the photograph on file no longer shows who it is.
    appearance_changed: bool,
    /// A record of forged, bought, borrowed or fraudulently used documents.
    credit_flag: bool,
}

/// The new card was issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"card_valid_from": "2026-12-20", "office": "310104-01"}))]
pub struct IssueRequest {
    /// The start of validity of the new card: every card of the number that starts before it is listed from now on. On or after the
    /// day of the application (Beijing), and after the start of the temporary card, if there is one.
    #[schema(format = Date)]
    card_valid_from: String,
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
}

/// The holder does without a new card.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancellationRequest {
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
}

/// An application for a new card.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacementApplicationAnswer {
    #[schema(value_type = Uuid)]
    application_id: ApplicationId,
    #[schema(value_type = ApplicationStateCode)]
    state: &'static str,
    /// Why it was accepted or refused.
    #[schema(value_type = GroundCode)]
    ground: &'static str,
    #[schema(value_type = ApplicationReasonCode)]
    reason: &'static str,
    applied_at_office: String,
    household_office: String,
    #[schema(format = DateTime)]
    applied_at: String,
    /// When the new card was issued or the application cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    closed_at: Option<String>,
    /// Of the issued card.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    replacement_id: Option<ReplacementId>,
    /// The registry's sequence at the issue; in its answer alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, nullable = false)]
    registry_sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    temporary_card: Option<TemporaryCardAnswer>,
    /// The receipt of the replacement that an issue records: its place in the registry log. Only in the answer to the issue, and only
    /// where there is a log. Its `jti` is the replacement's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    report_receipt: Option<String>,
    /// What opens it, with the number: keep both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    report_receipt_salt: Option<SaltText>,
}

/// Apply for a new card
///
/// The rules of off-site acceptance decide by the places that the offices' codes begin with. A refused application is also stored and
/// gets 201: `state` stays `refused`, `ground` says why. It lists no card. Scope `registry`; costs one unit.
/// `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/replacement-applications", operation_id = "createReplacementApplication", tag = "registry",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new application.")),
    request_body = ReplacementApplicationRequest,
    responses(
        (status = 201, description = "Accepted or refused, and durable.", body = ReplacementApplicationAnswer,
            headers(("Location" = String, description = "The application's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<ReplacementApplicationRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (asked, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let applying = read_application(&asked, &caller, state.clock.today())?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render = |stored: &StoredApplication| {
        created(caller.route().location(stored.application.id), &ReplacementApplicationAnswer::of(stored, None))
    };
    Ok(respond(state.write_in_time(state.applications.apply(caller.actor(), applying, repeatable, render)).await??))
}

/// Read an application
///
/// With its temporary card, if it has one. Scope `registry`; costs one unit. Only your own organization's applications: others are
/// 404.
#[utoipa::path(
    get, path = "/v1/replacement-applications/{application_id}", operation_id = "getReplacementApplication", tag = "registry",
    security(("bearer" = [])),
    params(("application_id" = Uuid, Path, description = "The application's id.")),
    responses(
        (status = 200, description = "The application.", body = ReplacementApplicationAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let found = state.read_in_time(state.applications.find(caller.actor(), id)).await??;
    found.map(|stored| json(&ReplacementApplicationAnswer::of(&stored, None))).ok_or_else(Problem::not_found)
}

/// Issue the new card
///
/// Ends an accepted application and records the replacement: every card of the number that starts before the new one is listed on
/// every node once 200 is sent, the temporary card too, and active reports become `replaced`. The holder returns the temporary
/// card to collect the new one. 409 unless the application is accepted, if the new card does not start after the temporary one,
/// and, as `start_not_after_listed`, if it does not start after each card of the number that is listed. Scope `registry`; costs
/// one unit.
#[utoipa::path(
    post, path = "/v1/replacement-applications/{application_id}/issue", operation_id = "issueReplacementApplication",
    tag = "registry", security(("bearer" = [])),
    params(("application_id" = Uuid, Path, description = "The application's id.")),
    request_body = IssueRequest,
    responses(
        (status = 200, description = "Issued, durable, and known to every node.", body = ReplacementApplicationAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn issue(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<IssueRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let asked = body.read().await?;
    let today = state.clock.today();
    let mut fields = Fields::default();
    let start = fields.start(Some(&asked.card_valid_from), today);
    let office = fields.office(&asked.office, today);
    let (start, office) = fields.finish(start.zip(office))?;
    caller.act_for(&office)?;
    let issued = state.write_in_time(state.applications.issue(caller.actor(), id, start, office)).await??;
    let IssuedApplication { stored, sequence, receipt } = issued.ok_or_else(Problem::not_found)?;
    let (report_receipt, report_receipt_salt) = ActReceipt::unzip(receipt);
    let answer = ReplacementApplicationAnswer::of(&stored, Some(sequence));
    Ok(json(&ReplacementApplicationAnswer { report_receipt, report_receipt_salt, ..answer }))
}

/// Cancel an application
///
/// The holder gets no new card and returns a temporary one. 409 unless the application is accepted. Scope
/// `registry`; costs one unit.
#[utoipa::path(
    post, path = "/v1/replacement-applications/{application_id}/cancellation", operation_id = "cancelReplacementApplication",
    tag = "registry", security(("bearer" = [])),
    params(("application_id" = Uuid, Path, description = "The application's id.")),
    request_body = CancellationRequest,
    responses(
        (status = 200, description = "The application, cancelled.", body = ReplacementApplicationAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn cancel(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<CancellationRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let office = read_office(&caller, &body.read().await?.office, state.clock.today())?;
    let cancelled = state.write_in_time(state.applications.cancel(caller.actor(), id, &office)).await??;
    cancelled.map(|stored| json(&ReplacementApplicationAnswer::of(&stored, None))).ok_or_else(Problem::not_found)
}

fn read_application(asked: &ReplacementApplicationRequest, caller: &Caller, today: Date) -> Result<Applying, Problem> {
    let mut fields = Fields::default();
    let digest = fields.id_number(&asked.id_number, today);
    let applied_at = read_office_at(&mut fields, "/applied_at_office", &asked.applied_at_office, today);
    let household = read_office_at(&mut fields, "/household_office", &asked.household_office, today);
    let reason = fields.word("/reason", &asked.reason, ApplicationReason::parse, "lost, expired, damaged");
    let applying = digest.zip(applied_at).zip(household).zip(reason);
    let applying = caller.finish(
        fields,
        applying.map(|(((digest, applied_at), household), reason)| Applying {
            digest,
            applied_at,
            household,
            reason,
            fingerprint_on_file: asked.fingerprint_on_file,
            appearance_changed: asked.appearance_changed,
            credit_flag: asked.credit_flag,
        }),
    )?;
    // The place of household registration is another's.
    caller.act_for(&applying.applied_at.office)?;
    Ok(applying)
}

impl ReplacementApplicationAnswer {
    pub(super) fn of(stored: &StoredApplication, registry_sequence: Option<Sequence>) -> Self {
        let instant = |at_ms| instant(at_ms);
        let application = &stored.application;
        Self {
            application_id: application.id,
            state: application.state.as_str(),
            ground: application.ground.as_str(),
            reason: application.reason.as_str(),
            applied_at_office: stored.applied_at_office.as_str().to_owned(),
            household_office: stored.household_office.as_str().to_owned(),
            applied_at: instant(stored.applied_at_ms),
            closed_at: stored.closed_at_ms.map(instant),
            replacement_id: stored.replacement_id,
            registry_sequence,
            temporary_card: application.temporary_card.as_ref().map(TemporaryCardAnswer::of),
            report_receipt: None,
            report_receipt_salt: None,
        }
    }
}
