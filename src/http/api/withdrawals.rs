//! Withdrawals of loss reports: `/v1/loss-reports/{report_id}/withdrawal...`. Bodies to domain types, domain types to answers.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::offices::read_office;
use super::reports::LossReportAnswer;
use crate::domain::ids::{FoundCardId, ReportId};
use crate::domain::report::WithdrawalReason;
use crate::http::contract::answers::{instant, json, path_id};
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{WithdrawalReasonCode, WithdrawalReasonName};
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::service::withdrawals::Withdrawal;
use crate::store::withdrawals::{PendingWithdrawal, StoredWithdrawal};

/// The holder has the card again and shows it, or it was never lost.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalRequest {
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
    #[schema(value_type = WithdrawalReasonName)]
    reason: String,
}

/// A second client agrees to a withdrawal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalConfirmation {
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
}

/// A withdrawal, done or waiting.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithdrawalAnswer {
    /// The report that it ends.
    #[schema(value_type = Uuid)]
    report_id: ReportId,
    /// `awaiting_confirmation`: the report still lists its card; `withdrawn`.
    #[schema(value_type = String, example = "awaiting_confirmation")]
    state: &'static str,
    #[schema(example = "110105-03")]
    office: String,
    #[schema(value_type = WithdrawalReasonCode)]
    reason: &'static str,
    /// When it was asked for; absent once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    requested_at: Option<String>,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    withdrawn_at: Option<String>,
    /// The found card that is returned with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    found_card_id: Option<FoundCardId>,
}

/// Withdraw a report
///
/// The holder has the card again and shows it. Scope `registry`; costs one unit. Only while the report is active: 409 otherwise.
/// Beyond the client's number of withdrawals of the day (in Beijing) the answer is 202: the report lists its card until another client of
/// the organization confirms, for seven days at most: after that it is asked for again.
#[utoipa::path(
    post, path = "/v1/loss-reports/{report_id}/withdrawal", operation_id = "withdrawLossReport", tag = "registry",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    request_body = WithdrawalRequest,
    responses(
        (status = 200, description = "The report, withdrawn.", body = LossReportAnswer),
        (status = 202, description = "The withdrawal waits for another client of the organization.", body = WithdrawalAnswer,
            headers(("Location" = String, description = "The withdrawal's path."))),
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
    body: JsonBody<WithdrawalRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&request.office, state.clock.today());
    let reason = fields.word("/reason", &request.reason, WithdrawalReason::parse, "found, mistaken");
    let (office, reason) = fields.finish(office.zip(reason))?;
    caller.act_for(&office)?;
    let withdrawn = state.withdrawals.withdraw(caller.ender(), report_id, office, reason);
    match state.write_in_time(withdrawn).await?? {
        Some(Withdrawal::Done(ended)) => Ok(json(&LossReportAnswer::of_ended(&ended))),
        Some(Withdrawal::Waits(pending)) => Ok(waits(&caller, &pending)),
        None => Err(Problem::not_found()),
    }
}

/// Read a withdrawal
///
/// Whether it was done or waits for another client. Scope `registry`; costs one unit. 404 where nobody has asked for it.
#[utoipa::path(
    get, path = "/v1/loss-reports/{report_id}/withdrawal", operation_id = "getWithdrawal", tag = "registry",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    responses(
        (status = 200, description = "The withdrawal.", body = WithdrawalAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let found = state.read_in_time(state.withdrawals.find(caller.ender(), report_id)).await??;
    found.map(|stored| json(&WithdrawalAnswer::of(&stored))).ok_or_else(Problem::not_found)
}

/// Confirm a withdrawal
///
/// A second client of the organization agrees to what the first has asked for; with it a found card is returned. Scope `registry`; costs one
/// unit. 403 `another_must_confirm` for the client that asked, 404 where nothing waits. 409 `wrong_state` after seven days, or where the client
/// that asked is not let in any more; 403 `office_not_yours` where its organization does not act for the office any more.
#[utoipa::path(
    post, path = "/v1/loss-reports/{report_id}/withdrawal/confirmation", operation_id = "confirmWithdrawal", tag = "registry",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    request_body = WithdrawalConfirmation,
    responses(
        (status = 200, description = "The report, withdrawn.", body = LossReportAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn confirm(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<WithdrawalConfirmation>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    read_office(&caller, &body.read().await?.office, state.clock.today())?;
    let confirm = state.withdrawals.confirm(caller.actor(), report_id);
    let confirmed = Box::pin(state.write_in_time(confirm)).await??;
    confirmed.map(|ended| json(&LossReportAnswer::of_ended(&ended))).ok_or_else(Problem::not_found)
}

/// 202: what was asked for is done when another client confirms it.
pub(super) fn waits(caller: &Caller, pending: &PendingWithdrawal) -> HttpResponse {
    let mut response = json(&WithdrawalAnswer::pending(pending));
    *response.status_mut() = actix_web::http::StatusCode::ACCEPTED;
    if let Ok(location) = caller.route().waiting_location(pending.report_id).parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

impl WithdrawalAnswer {
    fn of(stored: &StoredWithdrawal) -> Self {
        match stored {
            StoredWithdrawal::Pending(pending) => Self::pending(pending),
            StoredWithdrawal::Done { report_id, office, reason, at_ms } => Self {
                report_id: *report_id,
                state: "withdrawn",
                office: office.as_str().to_owned(),
                reason: reason.as_str(),
                requested_at: None,
                withdrawn_at: Some(instant(*at_ms)),
                found_card_id: None,
            },
        }
    }

    fn pending(pending: &PendingWithdrawal) -> Self {
        Self {
            report_id: pending.report_id,
            state: "awaiting_confirmation",
            office: pending.office.as_str().to_owned(),
            reason: pending.reason.as_str(),
            requested_at: Some(instant(pending.requested_at_ms)),
            withdrawn_at: None,
            found_card_id: pending.returning.map(|returning| returning.found_card_id),
        }
    }
}
