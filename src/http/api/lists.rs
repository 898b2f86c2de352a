//! Lists of what an organization keeps: `GET` of each collection. Queries to pages of stored rows, rows to answers.

use std::convert::Infallible;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::applications::ReplacementApplicationAnswer;
use super::certificates::CertificateAnswer;
use super::found_cards::FoundCardAnswer;
use super::reports::LossReportAnswer;
use crate::domain::application::ApplicationState;
use crate::domain::certificate::CertificateState;
use crate::domain::found_card::FoundCardState;
use crate::domain::ids::{ApplicationId, CertificateId, FoundCardId, ReplacementId, ReportId};
use crate::domain::report::ReportState;
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::{instant, json, to_json, written};
use crate::http::contract::collection::{CollectionQuery, States};
use crate::http::contract::page::List;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{ApplicationStateName, CertificateStateName, FoundCardStateName, ReportStateName};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::limits::Work;
use crate::store::replacements::ListedReplacement;

/// Longer pages are written in the workshop: that would keep the other requests of the worker waiting.
const WRITTEN_HERE_MAX: usize = 64;

/// The answer of a page, which has cost its rows.
pub(super) async fn answer<T: Send + 'static, P: Serialize>(
    caller: &Caller,
    rows: Vec<T>,
    page: impl FnOnce(&[T]) -> P + Send + 'static,
) -> Result<HttpResponse, Problem> {
    caller.owe_for_rows(rows.len()).await;
    if rows.len() <= WRITTEN_HERE_MAX {
        return Ok(json(&page(&rows)));
    }
    Ok(written(caller.work(Work::Short, move || to_json(&page(&rows))).await?))
}

/// A page of an organization's loss reports, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct LossReportPage {
    /// Those of the page.
    loss_reports: Vec<LossReportAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the id of a report.
const LOSS_REPORTS: List<ReportId> = List::collection("listLossReports");
const LOSS_REPORTS_STATES: States<ReportState> =
    States { parse: ReportState::parse, words: "active, withdrawn, replaced" };

/// A replacement in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacementEntry {
    #[schema(value_type = Uuid)]
    replacement_id: ReplacementId,
    /// The start of validity of the new card, as it was corrected last.
    #[schema(format = Date)]
    card_valid_from: String,
    /// The office that recorded it.
    office: String,
    #[schema(format = DateTime)]
    recorded_at: String,
    /// The registry's sequence at its last change.
    #[schema(value_type = u64)]
    registry_sequence: Sequence,
}

/// A page of an organization's replacements, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacementPage {
    /// Those of the page.
    replacements: Vec<ReplacementEntry>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the id of a replacement.
const REPLACEMENTS: List<ReplacementId> = List::collection("listReplacements");

/// A page of an organization's found cards, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundCardPage {
    /// Those of the page.
    found_cards: Vec<FoundCardAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the id of a found card.
const FOUND_CARDS: List<FoundCardId> = List::collection("listFoundCards");
const FOUND_CARDS_STATES: States<FoundCardState> =
    States { parse: FoundCardState::parse, words: "held, returned, destroyed, transferred" };

/// A page of an organization's applications, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacementApplicationPage {
    /// Those of the page.
    replacement_applications: Vec<ReplacementApplicationAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the id of an application.
const APPLICATIONS: List<ApplicationId> = List::collection("listReplacementApplications");
const APPLICATIONS_STATES: States<ApplicationState> =
    States { parse: ApplicationState::parse, words: "accepted, refused, issued, cancelled" };

/// A page of an organization's temporary identification certificates, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificatePage {
    /// Those of the page.
    temporary_certificates: Vec<CertificateAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the id of a certificate.
const CERTIFICATES: List<CertificateId> = List::collection("listTemporaryCertificates");
const CERTIFICATES_STATES: States<CertificateState> =
    States { parse: CertificateState::parse, words: "active, revoked, expired" };

/// List your loss reports
///
/// Your own organization's, oldest first, in pages; those of a portal or of another organization never.
/// A row that is there when the first page is asked for comes once, as long as its state is asked for. Scope
/// `registry`; costs one unit, and one more for each ten rows of the page. The query takes nothing about a person; the audit log keeps who read which rows.
#[utoipa::path(
    get, path = "/v1/loss-reports", operation_id = "listLossReports", tag = "registry", security(("bearer" = [])),
    params(
        ("state" = Option<ReportStateName>, Query, nullable = false, description = "Only those in this state; in any if absent."),
        CollectionQuery,
    ),
    responses(
        (status = 200, description = "A page of the list.", body = LossReportPage),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn loss_reports(
    caller: Caller,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let asked = CollectionQuery::read(request.query_string())?.judge(
        &LOSS_REPORTS,
        Some(&LOSS_REPORTS_STATES),
        state.clock.today(),
    )?;
    let mut found = state.read_in_time(state.reports.list(caller.actor(), &asked.wanted)).await??;
    let next_cursor = LOSS_REPORTS.end(&asked.page, &mut found, |stored| stored.report.id);
    let page = move |found: &[_]| LossReportPage {
        loss_reports: found.iter().map(LossReportAnswer::of).collect(),
        next_cursor,
    };
    answer(&caller, found, page).await
}

/// List your replacements
///
/// Your own organization's, oldest first, in pages. They have no state: `state` is 422.
/// A row that is there when the first page is asked for comes once, as long as its state is asked for. Scope
/// `registry`; costs one unit, and one more for each ten rows of the page. The query takes nothing about a person; the audit log keeps who read which rows.
#[utoipa::path(
    get, path = "/v1/replacements", operation_id = "listReplacements", tag = "registry", security(("bearer" = [])),
    params(CollectionQuery),
    responses(
        (status = 200, description = "A page of the list.", body = ReplacementPage),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn replacements(
    caller: Caller,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let asked = CollectionQuery::read(request.query_string())?.judge(
        &REPLACEMENTS,
        None::<&States<Infallible>>,
        state.clock.today(),
    )?;
    let mut found = state.read_in_time(state.reports.list_replacements(caller.actor(), &asked.wanted)).await??;
    let next_cursor = REPLACEMENTS.end(&asked.page, &mut found, |listed| listed.replacement_id);
    let page = move |found: &[_]| ReplacementPage {
        replacements: found.iter().map(ReplacementEntry::of).collect(),
        next_cursor,
    };
    answer(&caller, found, page).await
}

impl ReplacementEntry {
    fn of(listed: &ListedReplacement) -> Self {
        Self {
            replacement_id: listed.replacement_id,
            card_valid_from: listed.card_valid_from.to_string(),
            office: listed.office.as_str().to_owned(),
            recorded_at: instant(listed.recorded_at_ms),
            registry_sequence: listed.sequence,
        }
    }
}

/// List your found cards
///
/// Your own organization's, oldest first, in pages; `office` is the one that registered the card.
/// A row that is there when the first page is asked for comes once, as long as its state is asked for. Scope
/// `registry`; costs one unit, and one more for each ten rows of the page. The query takes nothing about a person; the audit log keeps who read which rows.
#[utoipa::path(
    get, path = "/v1/found-cards", operation_id = "listFoundCards", tag = "registry", security(("bearer" = [])),
    params(
        ("state" = Option<FoundCardStateName>, Query, nullable = false, description = "Only those in this state; in any if absent."),
        CollectionQuery,
    ),
    responses(
        (status = 200, description = "A page of the list.", body = FoundCardPage),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn found_cards(caller: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let asked = CollectionQuery::read(request.query_string())?.judge(
        &FOUND_CARDS,
        Some(&FOUND_CARDS_STATES),
        state.clock.today(),
    )?;
    let mut found = state.read_in_time(state.found_cards.list(caller.actor(), &asked.wanted)).await??;
    let next_cursor = FOUND_CARDS.end(&asked.page, &mut found, |stored| stored.card.id);
    let page =
        move |found: &[_]| FoundCardPage { found_cards: found.iter().map(FoundCardAnswer::of).collect(), next_cursor };
    answer(&caller, found, page).await
}

/// List your applications for new cards
///
/// Your own organization's, oldest first, in pages; `office` is the one that took the application.
/// A row that is there when the first page is asked for comes once, as long as its state is asked for. Scope
/// `registry`; costs one unit, and one more for each ten rows of the page. The query takes nothing about a person; the audit log keeps who read which rows.
#[utoipa::path(
    get, path = "/v1/replacement-applications", operation_id = "listReplacementApplications", tag = "registry", security(("bearer" = [])),
    params(
        ("state" = Option<ApplicationStateName>, Query, nullable = false, description = "Only those in this state; in any if absent."),
        CollectionQuery,
    ),
    responses(
        (status = 200, description = "A page of the list.", body = ReplacementApplicationPage),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn applications(
    caller: Caller,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let asked = CollectionQuery::read(request.query_string())?.judge(
        &APPLICATIONS,
        Some(&APPLICATIONS_STATES),
        state.clock.today(),
    )?;
    let mut found = state.read_in_time(state.applications.list(caller.actor(), &asked.wanted)).await??;
    let next_cursor = APPLICATIONS.end(&asked.page, &mut found, |stored| stored.application.id);
    let page = move |found: &[_]| {
        let of = |stored| ReplacementApplicationAnswer::of(stored, None);
        ReplacementApplicationPage { replacement_applications: found.iter().map(of).collect(), next_cursor }
    };
    answer(&caller, found, page).await
}

/// List your temporary certificates
///
/// Your own organization's, oldest first, in pages, without their credentials; `state` is that of the moment.
/// A row that is there when the first page is asked for comes once, as long as its state is asked for. Scope
/// `registry`; costs one unit, and one more for each ten rows of the page. The query takes nothing about a person; the audit log keeps who read which rows.
#[utoipa::path(
    get, path = "/v1/temporary-certificates", operation_id = "listTemporaryCertificates", tag = "certificates", security(("bearer" = [])),
    params(
        ("state" = Option<CertificateStateName>, Query, nullable = false, description = "Only those in this state; in any if absent."),
        CollectionQuery,
    ),
    responses(
        (status = 200, description = "A page of the list.", body = CertificatePage),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn certificates(
    caller: Caller,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let asked = CollectionQuery::read(request.query_string())?.judge(
        &CERTIFICATES,
        Some(&CERTIFICATES_STATES),
        state.clock.today(),
    )?;
    let mut found = state.read_in_time(state.certificates.list(caller.actor(), &asked.wanted)).await??;
    let next_cursor = CERTIFICATES.end(&asked.page, &mut found, |stored| stored.certificate.id);
    let now_s = state.clock.now_s();
    let page = move |found: &[_]| {
        let of = |stored| CertificateAnswer::of(stored, now_s);
        CertificatePage { temporary_certificates: found.iter().map(of).collect(), next_cursor }
    };
    answer(&caller, found, page).await
}
