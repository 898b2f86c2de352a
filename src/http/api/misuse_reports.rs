//! Misuse reports: `/v1/misuse-reports...`. Bodies and queries to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::lists::answer;
use crate::domain::client::Scope;
use crate::domain::ids::{CheckId, MisuseReportId, OrganizationId};
use crate::domain::misuse::{MisuseKind, MisuseOutcome, MisuseReport, MisuseState, Narrative, check_observed_at};
use crate::domain::redacted::{DigestText, IdNumberText, NarrativeText};
use crate::http::contract::answers::{created, instant, json, path_id, respond};
use crate::http::contract::collection::{CollectionQuery, States};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{
    MisuseKindCode, MisuseKindName, MisuseOutcomeCode, MisuseOutcomeName, MisuseStateCode,
};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::misuse_reports::{Opened, Resolving, Telling, View};

/// Misuse of a card, as reported by the organization that checked it. Exactly one of `id_number` and `id_digest`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "kind": "impersonation", "observed_at": "2026-11-23T08:55:00Z",
    "site": "harbour-2", "narrative": "The guest was some thirty years younger than the holder, and left when asked."}))]
pub struct MisuseReportRequest {
    /// The check at which it was noticed, by the id of its answer.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Uuid)]
    check_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>, example = "11010519491231002X")]
    id_number: Option<IdNumberText>,
    /// SHA-256 of `lostcard:v1:` and the number, in hexadecimal.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_digest: Option<DigestText>,
    #[schema(value_type = MisuseKindName)]
    kind: String,
    /// When it was noticed: within the last two years.
    #[schema(format = DateTime)]
    observed_at: String,
    /// Which hotel or branch: 1 to 64 of `[A-Za-z0-9._:-]`, no identity number in it, however it is separated.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 64)]
    site: Option<String>,
    /// What happened. Stored sealed under a key of its own; read by this organization and by registrars.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>, max_length = 2000)]
    narrative: Option<NarrativeText>,
}

/// A misuse report. Texts are there only where one report is read.
#[derive(Debug, Serialize, ToSchema)]
pub struct MisuseReportAnswer {
    #[schema(value_type = Uuid)]
    misuse_report_id: MisuseReportId,
    #[schema(value_type = MisuseStateCode)]
    state: &'static str,
    #[schema(value_type = MisuseKindCode)]
    kind: &'static str,
    /// The organization that reported it; for registrars.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    organization: Option<OrganizationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    check_id: Option<CheckId>,
    #[schema(format = DateTime)]
    observed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    narrative: Option<NarrativeText>,
    #[schema(format = DateTime)]
    reported_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resolution: Option<ResolutionAnswer>,
}

/// How a registrar ended a misuse report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolutionAnswer {
    #[schema(value_type = MisuseOutcomeCode)]
    outcome: &'static str,
    office: String,
    #[schema(format = DateTime)]
    resolved_at: String,
    /// The registrar's own note; for registrars.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    note: Option<NarrativeText>,
}

/// A page of misuse reports, oldest first, without their texts.
#[derive(Debug, Serialize, ToSchema)]
pub struct MisuseReportList {
    misuse_reports: Vec<MisuseReportAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the id of a report.
const LIST: List<MisuseReportId> = List::new("listMisuseReports", 100);
const STATES: States<MisuseState> = States { parse: MisuseState::parse, words: "open, resolved" };

/// What a registrar found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"office": "110105-03", "outcome": "confirmed"}))]
pub struct MisuseResolutionRequest {
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
    #[schema(value_type = MisuseOutcomeName)]
    outcome: String,
    /// For registrars. Stored sealed under a key of its own.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>, max_length = 2000)]
    note: Option<NarrativeText>,
}

/// Report the misuse of a card
///
/// Somebody showed another person's card, a changed or a forged one, or refused to show it. Scope `checks`; costs one unit. The
/// narrative is stored sealed and is not in the answer. With an `Idempotency-Key` a repetition gets the first answer and stores
/// nothing. A client files so many a day: a fifth of its declared guests, at least 25; beyond them 429 `limit_spent` until the next day in Beijing.
#[utoipa::path(
    post, path = "/v1/misuse-reports", operation_id = "createMisuseReport", tag = "checks", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new report.")),
    request_body = MisuseReportRequest,
    responses(
        (status = 201, description = "Stored, durable.", body = MisuseReportAnswer,
            headers(("Location" = String, description = "The report's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<MisuseReportRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let telling = read_telling(&told, &caller, &state)?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render =
        |report: &MisuseReport| created(caller.route().location(report.id), &MisuseReportAnswer::of(report, View::Own));
    let filer = (caller.actor(), caller.principal.client.numbers.misuse_reports_max());
    let told = state.misuse_reports.tell(filer, telling, repeatable, render);
    Ok(respond(state.write_in_time(told).await??))
}

/// Read a misuse report
///
/// With its narrative. Scope `checks`: your own organization's reports, others are 404. Scope `registry`, for
/// organizations of the kind `registrar`: every organization's. Costs one unit.
#[utoipa::path(
    get, path = "/v1/misuse-reports/{misuse_report_id}", operation_id = "getMisuseReport", tag = "checks",
    security(("bearer" = [])),
    params(("misuse_report_id" = Uuid, Path, description = "The report's id.")),
    responses(
        (status = 200, description = "The report.", body = MisuseReportAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let view = view_of(&caller);
    let id = path_id(&path)?;
    let found = state.read_in_time(state.misuse_reports.find(caller.actor(), view, id)).await??;
    found.map(|opened| json(&MisuseReportAnswer::opened(opened, view))).ok_or_else(Problem::not_found)
}

/// List misuse reports
///
/// Oldest first, in pages, without narratives. Scope `registry`, for organizations of the kind `registrar`: every organization's. Scope
/// `checks`: your own organization's. Costs one unit, and one more for each ten rows of
/// the page. The query takes nothing about a person; the audit log keeps who read which reports.
#[utoipa::path(
    get, path = "/v1/misuse-reports", operation_id = "listMisuseReports", tag = "registry", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query, nullable = false, pattern = "^(open|resolved)$", example = "open", description = "`open` or `resolved`. Where it is absent: `resolved` if `office` is there, else `open`."),
        ("cursor" = Option<String>, Query, nullable = false, description = "The `next_cursor` of the page before."),
        ("limit" = Option<i32>, Query, nullable = false, minimum = 1, maximum = 1000, description = "How many reports at most; 100 if absent. Up to 1,000, as 0.1.0 promised; other lists take up to 500."),
        ("office" = Option<String>, Query, nullable = false, max_length = 32, example = "110105-03", description = "Only those that this office resolved."),
        ("organization" = Option<String>, Query, nullable = false, format = "uuid", description = "Only those of this organization; for registrars."),
        ("since" = Option<String>, Query, nullable = false, format = DateTime, example = "2026-11-23T00:00:00+08:00", description = "Only those made at this instant or later."),
    ),
    responses(
        (status = 200, description = "A page of the list.", body = MisuseReportList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(caller: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let mut query = CollectionQuery::read(request.query_string())?;
    let view = view_of(&caller);
    // Who sees one organization's has no other to name: it is refused with what else does not belong here.
    let of = if view == View::Registrar { query.take_organization()? } else { None };
    let mut asked = query.judge(&LIST, Some(&STATES), state.clock.today())?;
    // What is open has no office yet.
    let absent = if asked.wanted.office.is_some() { MisuseState::Resolved } else { MisuseState::Open };
    asked.wanted.state.get_or_insert(absent);
    let read = state.misuse_reports.list(caller.actor(), (view, of), &asked.wanted);
    let mut reports = state.read_in_time(read).await??;
    let next_cursor = LIST.end(&asked.page, &mut reports, |report| report.id);
    let page = move |reports: &[_]| {
        let of = |report| MisuseReportAnswer::of(report, view);
        MisuseReportList { misuse_reports: reports.iter().map(of).collect(), next_cursor }
    };
    answer(&caller, reports, page).await
}

/// Resolve a misuse report
///
/// A registrar says once what it found: 409 afterwards. Scope `registry`, for organizations of the kind `registrar`; costs one
/// unit. The organization that reported it reads the outcome, but not the note.
#[utoipa::path(
    post, path = "/v1/misuse-reports/{misuse_report_id}/resolution", operation_id = "resolveMisuseReport", tag = "registry",
    security(("bearer" = [])),
    params(("misuse_report_id" = Uuid, Path, description = "The report's id.")),
    request_body = MisuseResolutionRequest,
    responses(
        (status = 200, description = "The report, resolved.", body = MisuseReportAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn resolve(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<MisuseResolutionRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let asked = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&asked.office, state.clock.today());
    let outcome = fields.word("/outcome", &asked.outcome, MisuseOutcome::parse, "confirmed, unfounded, handed_over");
    let note = narrative(&mut fields, "/note", asked.note.as_ref());
    let resolving = office.zip(outcome).map(|(office, outcome)| Resolving { office, outcome, note });
    let resolving = fields.finish(resolving)?;
    caller.act_for(&resolving.office)?;
    let resolved = state.write_in_time(state.misuse_reports.resolve(caller.actor(), id, resolving)).await??;
    resolved.map(|opened| json(&MisuseReportAnswer::opened(opened, View::Registrar))).ok_or_else(Problem::not_found)
}

fn read_telling(told: &MisuseReportRequest, caller: &Caller, state: &AppState) -> Result<Telling, Problem> {
    let mut fields = Fields::default();
    let digest = fields.number_or_digest(told.id_number.as_ref(), told.id_digest.as_ref(), state.clock.today());
    let check_id = fields.id("/check_id", told.check_id.as_deref());
    let kinds = "impersonation, altered_card, forged_card, refused_to_show";
    let kind = fields.word("/kind", &told.kind, MisuseKind::parse, kinds);
    let observed_at_ms = fields.instant("/observed_at", Some(&told.observed_at)).filter(|at_ms| {
        let checked = check_observed_at(*at_ms, state.clock.now_ms());
        checked.map_err(|error| fields.refuse("/observed_at", error.code(), error.to_string())).is_ok()
    });
    let site = fields.label("/site", told.site.as_deref(), state.clock.today());
    let narrative = narrative(&mut fields, "/narrative", told.narrative.as_ref());
    let telling = digest.zip(kind).zip(observed_at_ms).map(|((digest, kind), observed_at_ms)| Telling {
        digest,
        kind,
        check_id,
        observed_at_ms,
        site,
        narrative,
    });
    caller.finish(fields, telling)
}

fn narrative(fields: &mut Fields, pointer: &'static str, text: Option<&NarrativeText>) -> Option<Narrative> {
    let detail =
        "1 to 2,000 characters, at least one of them visible, none a control character but line breaks and tabs";
    fields.take(pointer, text?.parse(), "malformed_text", detail)
}

/// Only registrars may have the scope, and they see what concerns all of them.
fn view_of(caller: &Caller) -> View {
    if caller.has_scope(Scope::Registry) { View::Registrar } else { View::Own }
}

impl MisuseReportAnswer {
    fn of(report: &MisuseReport, view: View) -> Self {
        Self {
            misuse_report_id: report.id,
            state: report.state().as_str(),
            kind: report.kind.as_str(),
            organization: (view == View::Registrar).then_some(report.organization),
            check_id: report.check_id,
            observed_at: instant(report.observed_at_ms),
            site: report.site.as_ref().map(|site| site.as_str().to_owned()),
            narrative: None,
            reported_at: instant(report.reported_at_ms),
            resolution: report.resolution.as_ref().map(|resolution| ResolutionAnswer {
                outcome: resolution.outcome.as_str(),
                office: resolution.office.as_str().to_owned(),
                resolved_at: instant(resolution.at_ms),
                note: None,
            }),
        }
    }

    fn opened(opened: Opened, view: View) -> Self {
        let mut answer = Self { narrative: opened.narrative, ..Self::of(&opened.report, view) };
        if let Some(resolution) = answer.resolution.as_mut() {
            resolution.note = opened.note;
        }
        answer
    }
}
