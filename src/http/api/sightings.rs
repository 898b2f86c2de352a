//! Sightings of a report: `/v1/loss-reports/{report_id}/sightings`. Stored rows to answers.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::CheckId;
use crate::http::contract::answers::{instant, json, path_id};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::{LIMIT_MAX, List, Page};
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::schema::{OrganizationKindCode, PurposeCode, VerdictName};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::store::sightings::StoredSighting;

/// Checks that found the card, or perhaps the card, of a report: those of one client, one day (in Beijing) and one place as one. Of a client
/// that names more than 16 sites on a day the others are told without a site.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightingAnswer {
    /// The first of these checks, and its receipt's `jti`.
    #[schema(value_type = Uuid)]
    check_id: CheckId,
    /// Who checked the card.
    organization_name: String,
    #[schema(value_type = OrganizationKindCode)]
    organization_kind: &'static str,
    /// The administrative division of the organization (GB/T 2260).
    #[schema(example = "110105")]
    region: String,
    /// Which of the organization's hotels or branches, where it said so. What has the form of a digest (64 hexadecimal characters)
    /// is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    site: Option<String>,
    /// What the last of them was for.
    #[schema(value_type = PurposeCode)]
    purpose: &'static str,
    /// `card_listed` where one of them was, else `number_listed`: the others are never recorded.
    #[schema(value_type = VerdictName)]
    verdict: &'static str,
    /// How many checks.
    #[schema(minimum = 1)]
    count: u64,
    /// When the first was answered.
    #[schema(format = DateTime)]
    first_seen_at: String,
    /// When the last was answered.
    #[schema(format = DateTime)]
    seen_at: String,
}

/// A page of the sightings of a report, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightingList {
    sightings: Vec<SightingAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Which page of the list, as text: what it holds is judged after its shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    #[serde(default, deserialize_with = "present")]
    cursor: Option<String>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<String>,
}

/// A place is the check of a sighting.
const LIST: List<CheckId> = List::new("listSightings", LIMIT_MAX);

/// Where the reported card was shown
///
/// Every check, by any organization, that was answered `card_listed` or `number_listed` because of this report: what one client saw on a day at
/// one place is one entry, newest first by its first check, in pages. Scope `registry`; costs one unit. Only for your own organization's reports: others are 404. A
/// check is here a few seconds after its answer.
#[utoipa::path(
    get, path = "/v1/loss-reports/{report_id}/sightings", operation_id = "listSightings", tag = "registry",
    security(("bearer" = [])),
    params(
        ("report_id" = Uuid, Path, description = "The report's id."),
        ("cursor" = Option<String>, Query, max_length = 256, nullable = false, description = "The `next_cursor` of the page before."),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, nullable = false, description = "How many sightings at most; 1,000 if absent."),
    ),
    responses(
        (status = 200, description = "The sightings.", body = SightingList),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(
    caller: Caller,
    path: Path<String>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let page = read_page(request.query_string())?;
    let read = state.sightings.list(caller.actor(), report_id, page.after, page.limit + 1);
    let mut found = state.read_in_time(read).await??.ok_or_else(Problem::not_found)?;
    let next_cursor = LIST.end(&page, &mut found, |sighting| sighting.check_id);
    Ok(json(&SightingList { sightings: found.iter().map(SightingAnswer::of).collect(), next_cursor }))
}

fn read_page(query: &str) -> Result<Page<CheckId>, Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor and limit, each once");
    let Query(asked) = Query::<PageQuery>::from_query(query).map_err(malformed)?;
    let mut fields = Fields::default();
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    fields.finish(page)
}

impl SightingAnswer {
    fn of(stored: &StoredSighting) -> Self {
        Self {
            check_id: stored.check_id,
            organization_name: stored.organization_name.as_str().to_owned(),
            organization_kind: stored.organization_kind.as_str(),
            region: stored.region.as_str().to_owned(),
            site: stored.site.as_ref().map(|site| site.as_str().to_owned()),
            purpose: stored.purpose.as_str(),
            verdict: stored.verdict.as_str(),
            count: stored.checks,
            first_seen_at: instant(stored.first_seen_at_ms),
            seen_at: instant(stored.seen_at_ms),
        }
    }
}
