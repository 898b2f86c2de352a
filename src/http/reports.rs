//! Loss reports and replacements: `/v1/loss-reports...`, `/v1/replacements`. Bodies to domain types, domain types to answers.

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::AppState;
use super::extract::{Caller, JsonBody, Registry, SINGLE_BYTES_MAX};
use super::fields::{Fields, Object, present};
use super::problem::{self, Problem};
use super::schema::{ChannelName, ReasonCode, ReasonName, ReportStateCode, ReporterName, WithdrawalReasonName};
use crate::clock::Rfc3339;
use crate::domain::card::{CardValidity, check_replacement_start};
use crate::domain::report::{Channel, OfficeCode, Phone, Reason, Reporter, WithdrawalReason, check_lost_on};
use crate::service::reports::{Filing, Replacement, Replacing};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::reports::StoredReport;

/// A loss report as a police station or registration hall files it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01", "card_valid_until": "2036-05-01",
    "reason": "lost", "lost_on": "2026-11-01", "reporter": "holder", "office": "110105-03", "channel": "station"}))]
pub struct LossReportRequest {
    /// The 18 characters of GB 11643.
    #[schema(example = "11010519491231002X")]
    id_number: String,
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
    contact: ContactMember,
}

/// How to reach a reporter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// 5 to 24 digits, spaces and hyphens, with or without a leading +.
    #[schema(example = "+86 138 0013 8000")]
    phone: String,
}

/// A contact that is text is a wrong value, not a wrong shape: it is answered with what a contact looks like.
#[derive(Debug, Default)]
enum ContactMember {
    #[default]
    Absent,
    Given(Contact),
    NotAnObject,
}

impl<'de> Deserialize<'de> for ContactMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Member {
            Given(Object<Contact>),
            Text(serde::de::IgnoredAny),
        }
        Ok(match Member::deserialize(deserializer)? {
            Member::Given(contact) => Self::Given(contact.0),
            Member::Text(_) => Self::NotAnObject,
        })
    }
}

/// A report in the registry.
#[derive(Debug, Serialize, ToSchema)]
pub struct LossReportAnswer {
    report_id: Uuid,
    #[schema(value_type = ReportStateCode)]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    #[schema(value_type = ReasonCode)]
    reason: &'static str,
    #[schema(format = DateTime)]
    reported_at: String,
    /// The registry's sequence at the report's last change.
    registry_sequence: u64,
}

/// A search in one's own reports. The number stands in a body, never in a URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LossReportSearch {
    #[schema(example = "11010519491231002X")]
    id_number: String,
}

/// The reports of a number that this organization filed, newest first, at most 100.
#[derive(Debug, Serialize, ToSchema)]
pub struct LossReportList {
    reports: Vec<LossReportAnswer>,
}

/// The holder has the card again and shows it, or it was never lost.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalRequest {
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
    #[schema(value_type = WithdrawalReasonName)]
    reason: String,
}

/// A new card was issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2026-11-20", "office": "110105-03"}))]
pub struct ReplacementRequest {
    #[schema(example = "11010519491231002X")]
    id_number: String,
    /// The start of validity of the new card: every card of the number that starts before it is listed from now on.
    #[schema(format = Date)]
    card_valid_from: String,
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
}

/// A recorded replacement.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacementAnswer {
    replacement_id: Uuid,
    #[schema(format = Date)]
    card_valid_from: String,
    /// Active reports that it ended.
    reports_replaced: usize,
    #[schema(format = DateTime)]
    recorded_at: String,
    registry_sequence: u64,
}

/// Report a card lost or stolen
///
/// Scope `registry`; costs one unit. Once 201 is sent, no check that starts anywhere answers `not_listed` for the number.
/// With an `Idempotency-Key` a repetition within 24 hours gets the first answer and stores nothing.
#[utoipa::path(
    post, path = "/v1/loss-reports", operation_id = "createLossReport", tag = "registry", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, description = "1 to 255 visible ASCII characters, new for every new report.")),
    request_body = LossReportRequest,
    responses(
        (status = 201, description = "Filed, durable, and known to every node.", body = LossReportAnswer,
            headers(("Location" = String, description = "The report's path."))),
        (status = 400, response = super::openapi::Refused), (status = 401, response = super::openapi::Refused),
        (status = 403, response = super::openapi::Refused), (status = 413, response = super::openapi::Refused),
        (status = 415, response = super::openapi::Refused), (status = 422, response = super::openapi::Refused),
        (status = 429, response = super::openapi::Refused), (status = 503, response = super::openapi::Refused),
        (status = 507, response = super::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller<Registry>,
    body: JsonBody<LossReportRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (filed, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let filing = read_filing(&filed, &caller, state.clock.today())?;
    let repeatable = repeatable(&caller, &state, &request, "createLossReport", &bytes)?;
    let render = |stored: &StoredReport| StoredAnswer {
        status: StatusCode::CREATED.as_u16(),
        location: format!("/v1/loss-reports/{}", stored.report.id),
        body: to_json(&LossReportAnswer::of(stored)),
    };
    let organization = caller.principal.client.organization_id;
    Ok(respond(state.reports.file(organization, filing, repeatable, render).await?))
}

/// Read a report
///
/// Scope `registry`; costs one unit. Only one's own organization's reports: others are answered 404.
#[utoipa::path(
    get, path = "/v1/loss-reports/{report_id}", operation_id = "getLossReport", tag = "registry", security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    responses(
        (status = 200, description = "The report.", body = LossReportAnswer),
        (status = 400, response = super::openapi::Refused), (status = 401, response = super::openapi::Refused),
        (status = 403, response = super::openapi::Refused), (status = 404, response = super::openapi::Refused),
        (status = 429, response = super::openapi::Refused), (status = 503, response = super::openapi::Refused),
    )
)]
pub async fn read(
    caller: Caller<Registry>,
    path: Path<String>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = report_id(&path)?;
    let found = state.reports.find(caller.principal.client.organization_id, report_id).await?;
    found.map(|stored| json(&LossReportAnswer::of(&stored))).ok_or_else(Problem::not_found)
}

/// Find one's own reports of a number
///
/// Scope `registry`; costs one unit. The number stands in the body, so that it is in no URL and no log.
#[utoipa::path(
    post, path = "/v1/loss-reports/search", operation_id = "searchLossReports", tag = "registry", security(("bearer" = [])),
    request_body = LossReportSearch,
    responses(
        (status = 200, description = "The reports, newest first.", body = LossReportList),
        (status = 400, response = super::openapi::Refused), (status = 401, response = super::openapi::Refused),
        (status = 403, response = super::openapi::Refused), (status = 413, response = super::openapi::Refused),
        (status = 415, response = super::openapi::Refused), (status = 422, response = super::openapi::Refused),
        (status = 429, response = super::openapi::Refused), (status = 503, response = super::openapi::Refused),
    )
)]
pub async fn search(
    caller: Caller<Registry>,
    body: JsonBody<LossReportSearch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let search = body.read().await?;
    let mut fields = Fields::default();
    let digest = fields.id_number(&search.id_number, state.clock.today());
    if fields.guessed {
        caller.count_wrong_number()?;
    }
    let digest = fields.finish(digest)?;
    let found = state.reports.search(caller.principal.client.organization_id, &digest).await?;
    Ok(json(&LossReportList { reports: found.iter().map(LossReportAnswer::of).collect() }))
}

/// Withdraw a report
///
/// The holder has the card again and shows it. Scope `registry`; costs one unit. Only while the report is active: 409 otherwise.
#[utoipa::path(
    post, path = "/v1/loss-reports/{report_id}/withdrawal", operation_id = "withdrawLossReport", tag = "registry",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    request_body = WithdrawalRequest,
    responses(
        (status = 200, description = "The report, withdrawn.", body = LossReportAnswer),
        (status = 400, response = super::openapi::Refused), (status = 401, response = super::openapi::Refused),
        (status = 403, response = super::openapi::Refused), (status = 404, response = super::openapi::Refused),
        (status = 409, response = super::openapi::Refused), (status = 413, response = super::openapi::Refused),
        (status = 415, response = super::openapi::Refused), (status = 422, response = super::openapi::Refused),
        (status = 429, response = super::openapi::Refused), (status = 503, response = super::openapi::Refused),
        (status = 507, response = super::openapi::Refused),
    )
)]
pub async fn withdraw(
    caller: Caller<Registry>,
    path: Path<String>,
    body: JsonBody<WithdrawalRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = report_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&request.office);
    let reason = fields.word("/reason", &request.reason, WithdrawalReason::parse, "found, mistaken");
    let (office, reason) = fields.finish(office.zip(reason))?;
    let organization = caller.principal.client.organization_id;
    let withdrawn = state.reports.withdraw(organization, report_id, &office, reason).await?;
    withdrawn.map(|stored| json(&LossReportAnswer::of(&stored))).ok_or_else(Problem::not_found)
}

/// Record a replacement
///
/// A new card was issued: every card of the number that starts before it is listed from now on, with or without a loss report;
/// active reports become `replaced`. Scope `registry`; costs one unit. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/replacements", operation_id = "createReplacement", tag = "registry", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, description = "1 to 255 visible ASCII characters, new for every new replacement.")),
    request_body = ReplacementRequest,
    responses(
        (status = 201, description = "Recorded, durable, and known to every node.", body = ReplacementAnswer),
        (status = 400, response = super::openapi::Refused), (status = 401, response = super::openapi::Refused),
        (status = 403, response = super::openapi::Refused), (status = 413, response = super::openapi::Refused),
        (status = 415, response = super::openapi::Refused), (status = 422, response = super::openapi::Refused),
        (status = 429, response = super::openapi::Refused), (status = 503, response = super::openapi::Refused),
        (status = 507, response = super::openapi::Refused),
    )
)]
pub async fn replace(
    caller: Caller<Registry>,
    body: JsonBody<ReplacementRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (asked, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let today = state.clock.today();
    let mut fields = Fields::default();
    let digest = fields.id_number(&asked.id_number, today);
    if fields.guessed {
        caller.count_wrong_number()?;
    }
    let card_valid_from = fields.date("/card_valid_from", Some(&asked.card_valid_from)).filter(|start| {
        let checked = check_replacement_start(*start, today);
        checked.map_err(|error| fields.refuse(error.pointer(), error.code(), error.to_string())).is_ok()
    });
    let office = fields.office(&asked.office);
    let replacing = digest.zip(card_valid_from).zip(office);
    let replacing = replacing.map(|((digest, card_valid_from), office)| Replacing { digest, card_valid_from, office });
    let replacing = fields.finish(replacing)?;
    let repeatable = repeatable(&caller, &state, &request, "createReplacement", &bytes)?;
    let render = |replacement: &Replacement| StoredAnswer {
        status: StatusCode::CREATED.as_u16(),
        location: String::new(),
        body: to_json(&ReplacementAnswer {
            replacement_id: replacement.replacement_id,
            card_valid_from: replacement.card_valid_from.to_string(),
            reports_replaced: replacement.reports_replaced,
            recorded_at: Rfc3339::of(replacement.recorded_at_ms).as_str().to_owned(),
            registry_sequence: replacement.sequence,
        }),
    };
    let organization = caller.principal.client.organization_id;
    Ok(respond(state.reports.replace(organization, replacing, repeatable, render).await?))
}

fn read_filing(
    filed: &LossReportRequest,
    caller: &Caller<Registry>,
    today: jiff::civil::Date,
) -> Result<Filing, Problem> {
    let mut fields = Fields::default();
    let digest = fields.id_number(&filed.id_number, today);
    if fields.guessed {
        caller.count_wrong_number()?;
    }
    let from = fields.date("/card_valid_from", filed.card_valid_from.as_deref());
    let until = fields.date("/card_valid_until", filed.card_valid_until.as_deref());
    let validity = CardValidity::new(from, until, today)
        .map_err(|error| fields.refuse(error.pointer(), error.code(), error.to_string()));
    let lost_on = fields.date("/lost_on", filed.lost_on.as_deref());
    if let Some(Err(error)) = lost_on.map(|day| check_lost_on(day, from, today)) {
        fields.refuse("/lost_on", error.code(), error.to_string());
    }
    let reason = fields.word("/reason", &filed.reason, Reason::parse, "lost, stolen");
    let reporter = fields.word("/reporter", &filed.reporter, Reporter::parse, "holder, guardian, agent");
    let office = fields.office(&filed.office);
    let channel = fields.word("/channel", &filed.channel, Channel::parse, "station, hall, online");
    let detail = "a phone number is 5 to 24 digits, spaces and hyphens, with or without a leading +";
    let phone = match &filed.contact {
        ContactMember::Absent => None,
        ContactMember::Given(contact) => {
            fields.take("/contact/phone", Phone::parse(&contact.phone), "malformed_phone", detail)
        }
        ContactMember::NotAnObject => {
            fields.refuse("/contact", "not_a_contact", "a contact is an object with a phone");
            None
        }
    };
    let words = digest.zip(validity.ok()).zip(reason.zip(reporter)).zip(office.zip(channel));
    let filing = words.map(|(((digest, validity), (reason, reporter)), (office, channel))| Filing {
        digest,
        validity,
        reason,
        lost_on,
        reporter,
        office,
        channel,
        phone,
    });
    fields.finish(filing)
}

impl Fields {
    fn office(&mut self, text: &str) -> Option<OfficeCode> {
        let detail = "1 to 32 letters, digits and hyphens without a run of 15 digits or more";
        self.take("/office", OfficeCode::parse(text), "malformed_office", detail)
    }
}

impl LossReportAnswer {
    fn of(stored: &StoredReport) -> Self {
        Self {
            report_id: stored.report.id,
            state: stored.report.state.as_str(),
            card_valid_from: stored.report.card_valid_from.map(|date| date.to_string()),
            reason: stored.report.reason.as_str(),
            reported_at: Rfc3339::of(stored.report.reported_at_ms).as_str().to_owned(),
            registry_sequence: stored.sequence,
        }
    }
}

/// What is no UUID names no report.
fn report_id(path: &Path<String>) -> Result<Uuid, Problem> {
    Uuid::try_parse(path.as_str()).map_err(|_| Problem::not_found())
}

/// The request's fingerprint if it carries an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
fn repeatable(
    caller: &Caller<Registry>,
    state: &AppState,
    request: &HttpRequest,
    operation: &str,
    body: &[u8],
) -> Result<Option<IdempotentRequest>, Problem> {
    let mut all = request.headers().get_all("idempotency-key");
    let Some(key) = all.next() else { return Ok(None) };
    let key = key.as_bytes();
    let is_plain = (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if !is_plain || all.next().is_some() {
        return Err(Problem::new(
            problem::MALFORMED_REQUEST,
            "Idempotency-Key must be one value of 1 to 255 visible ASCII characters",
        ));
    }
    Ok(Some(state.reports.repeatable(caller.principal.client.client_id, operation, key, body)))
}

fn respond(answer: StoredAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CREATED);
    let mut response = HttpResponse::build(status);
    if !answer.location.is_empty() {
        response.insert_header((LOCATION, answer.location));
    }
    response.content_type(ContentType::json()).body(answer.body)
}

fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(to_json(value))
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
