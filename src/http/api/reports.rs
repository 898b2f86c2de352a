//! Loss reports: `/v1/loss-reports...`. Bodies to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::act_receipts::{kept, respond_salted};
use crate::crypto::act_receipt::Act;
use crate::domain::ids::ReportId;
use crate::domain::redacted::{IdNumberText, PhoneText, SaltText};
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::{created, instant, json, path_id};
use crate::http::contract::fields::{Fields, ObjectMember, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{
    ChannelCode, ChannelName, ReasonCode, ReasonName, ReportStateCode, ReporterCode, ReporterName,
};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::act_receipts::{ActReceipt, Ended};
use crate::service::filing::{ContactText, Filing, FilingText};
use crate::store::idempotency::StoredAnswer;
use crate::store::reports::StoredReport;

/// A loss report as a police station or registration hall files it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01", "card_valid_until": "2036-05-01",
    "reason": "lost", "lost_on": "2026-11-01", "reporter": "holder", "office": "110105-03", "channel": "station"}))]
pub struct LossReportRequest {
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
    #[schema(value_type = ReporterName)]
    reporter: String,
    /// The office that took the report: 1 to 32 letters, digits and hyphens.
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
    #[schema(value_type = ChannelName)]
    channel: String,
    /// How to reach the reporter. Stored sealed under a key of its own.
    #[serde(default)]
    #[schema(nullable = false, value_type = Contact)]
    contact: ObjectMember<Contact>,
}

/// How to reach a reporter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// 5 to 24 digits, spaces and hyphens, with or without a leading +.
    #[schema(value_type = String, example = "+86 138 0013 8000")]
    phone: PhoneText,
}

/// A report in the registry.
#[derive(Debug, Serialize, ToSchema)]
pub struct LossReportAnswer {
    /// Part of the path of every operation on the report.
    #[schema(value_type = Uuid)]
    report_id: ReportId,
    #[schema(value_type = ReportStateCode)]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    #[schema(value_type = ReasonCode)]
    reason: &'static str,
    /// When the registry took the report.
    #[schema(format = DateTime)]
    reported_at: String,
    /// The registry's sequence at the report's last change.
    #[schema(value_type = u64)]
    registry_sequence: Sequence,
    /// Who made the report; in lists and searches, and where another organization filed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = ReporterCode)]
    reporter: Option<&'static str>,
    /// The office that took it; in lists and searches, and where another organization filed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    office: Option<String>,
    /// Where it was made; in lists and searches, and where another organization filed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = ChannelCode)]
    channel: Option<&'static str>,
    /// Only with `true`: another organization filed it, or an import. In searches and reads of an organization that ends reports of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    filed_elsewhere: Option<bool>,
    /// The receipt of this write: its place in the registry log. Only in the answer to the write, and only where there is a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    report_receipt: Option<String>,
    /// What opens it, with the number: keep both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    report_receipt_salt: Option<SaltText>,
}

/// A search for the reports of a number. It is in the body, never in a URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LossReportSearch {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
}

/// The reports of a number that this organization may end, newest first, at most 100.
#[derive(Debug, Serialize, ToSchema)]
pub struct LossReportList {
    reports: Vec<LossReportAnswer>,
}

/// Report a card lost or stolen
///
/// Scope `registry`; costs one unit. Once 201 is sent, no check that starts anywhere answers `not_listed` for the number.
/// With an `Idempotency-Key` a repetition gets the first answer and stores nothing.
#[utoipa::path(
    post, path = "/v1/loss-reports", operation_id = "createLossReport", tag = "registry", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new report.")),
    request_body = LossReportRequest,
    responses(
        (status = 201, description = "Filed, durable, and known to every node.", body = LossReportAnswer,
            headers(("Location" = String, description = "The report's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<LossReportRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (filed, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let filing = read_filing(&filed, &caller, state.clock.today())?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let answer = state.write_in_time(state.reports.file(caller.actor(), filing, repeatable, render(&caller))).await??;
    Ok(respond_salted(&state, Act::Report, answer))
}

/// Read a report
///
/// Scope `registry`; costs one unit. Your own organization's reports; those of others where the operator lets your organization end them
/// (`--any-office`), and 404 otherwise. How to reach the reporter is never told.
#[utoipa::path(
    get, path = "/v1/loss-reports/{report_id}", operation_id = "getLossReport", tag = "registry", security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    responses(
        (status = 200, description = "The report.", body = LossReportAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let found = state.read_in_time(state.reports.find(caller.ender(), report_id)).await??;
    found.map(|stored| json(&LossReportAnswer::of(&stored))).ok_or_else(Problem::not_found)
}

/// Find the reports of a number
///
/// Scope `registry`; costs one unit. The number is in the body, so that no URL and no log has it. Your own organization's reports; also those
/// of others, with `filed_elsewhere`, where the operator lets your organization end them (`--any-office`).
#[utoipa::path(
    post, path = "/v1/loss-reports/search", operation_id = "searchLossReports", tag = "registry", security(("bearer" = [])),
    request_body = LossReportSearch,
    responses(
        (status = 200, description = "The reports, newest first.", body = LossReportList),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn search(
    caller: Caller,
    body: JsonBody<LossReportSearch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let search = body.read().await?;
    let mut fields = Fields::default();
    let digest = fields.id_number(&search.id_number, state.clock.today());
    let digest = caller.finish(fields, digest)?;
    let found = state.read_in_time(state.reports.search(caller.ender(), &digest)).await??;
    Ok(json(&LossReportList { reports: found.iter().map(LossReportAnswer::of).collect() }))
}

fn read_filing(filed: &LossReportRequest, caller: &Caller, today: jiff::civil::Date) -> Result<Filing, Problem> {
    let text = FilingText {
        id_number: &filed.id_number,
        card_valid_from: filed.card_valid_from.as_deref(),
        card_valid_until: filed.card_valid_until.as_deref(),
        reason: &filed.reason,
        lost_on: filed.lost_on.as_deref(),
        reporter: &filed.reporter,
        office: &filed.office,
        channel: &filed.channel,
        contact: contact_text(&filed.contact),
    };
    let mut fields = Fields::default();
    let filing = Filing::read(&mut fields, &text, today);
    let filing = caller.finish(fields, filing)?;
    caller.act_for(&filing.office)?;
    Ok(filing)
}

/// 201 as it is kept for repetitions, without the salt of its receipt.
pub(super) fn render(caller: &Caller) -> impl Fn(&StoredReport, Option<ActReceipt>) -> StoredAnswer + use<> {
    let route = caller.route();
    move |stored, receipt| {
        let answer = LossReportAnswer { report_receipt: kept(receipt), ..LossReportAnswer::of(stored) };
        created(route.location(stored.report.id), &answer)
    }
}

/// A contact as it came.
pub(super) fn contact_text(contact: &ObjectMember<Contact>) -> ContactText<'_> {
    match contact {
        ObjectMember::Absent => ContactText::Absent,
        ObjectMember::Given(contact) => ContactText::Phone(&contact.phone),
        ObjectMember::Text => ContactText::NotAnObject,
    }
}

impl LossReportAnswer {
    pub(super) fn of(stored: &StoredReport) -> Self {
        Self {
            report_id: stored.report.id,
            state: stored.report.state.as_str(),
            card_valid_from: stored.report.card_valid_from.map(|date| date.to_string()),
            reason: stored.report.reason.as_str(),
            reported_at: instant(stored.report.reported_at_ms),
            registry_sequence: stored.sequence,
            reporter: stored.taken.as_ref().map(|taken| taken.reporter.as_str()),
            office: stored.taken.as_ref().map(|taken| taken.office.as_str().to_owned()),
            channel: stored.taken.as_ref().map(|taken| taken.channel.as_str()),
            filed_elsewhere: stored.taken.as_ref().is_some_and(|taken| taken.is_others).then_some(true),
            report_receipt: None,
            report_receipt_salt: None,
        }
    }

    pub(super) fn of_ended(ended: &Ended) -> Self {
        Self {
            report_receipt: ended.receipt.as_ref().map(|receipt| receipt.text.clone()),
            report_receipt_salt: ended.receipt.as_ref().map(|receipt| receipt.salt.to_text()),
            ..Self::of(&ended.report)
        }
    }
}
