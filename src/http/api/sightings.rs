//! Sightings of a report: `/v1/loss-reports/{report_id}/sightings`. Stored rows to answers.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::CheckId;
use crate::http::contract::answers::{instant, json, path_id};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{OrganizationKindCode, PurposeCode, VerdictName};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::store::sightings::StoredSighting;

/// A check that found the card, or perhaps the card, of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightingAnswer {
    /// The check, and its receipt's `jti`.
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
    #[schema(value_type = PurposeCode)]
    purpose: &'static str,
    /// `card_listed` or `number_listed`: the others are never recorded.
    #[schema(value_type = VerdictName)]
    verdict: &'static str,
    /// When the check was answered.
    #[schema(format = DateTime)]
    seen_at: String,
}

/// The sightings of a report, newest first, at most 1,000.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightingList {
    sightings: Vec<SightingAnswer>,
}

/// Where the reported card was shown
///
/// Every check, by any organization, that was answered `card_listed` or `number_listed` because of this report: newest
/// first, at most 1,000. Scope `registry`; costs one unit. Only for your own organization's reports: others are 404. A
/// check is here a few seconds after its answer.
#[utoipa::path(
    get, path = "/v1/loss-reports/{report_id}/sightings", operation_id = "listSightings", tag = "registry",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    responses(
        (status = 200, description = "The sightings.", body = SightingList),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let found = state.read_in_time(state.sightings.list(caller.actor(), report_id)).await??;
    let found = found.ok_or_else(Problem::not_found)?;
    Ok(json(&SightingList { sightings: found.iter().map(SightingAnswer::of).collect() }))
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
            seen_at: instant(stored.seen_at_ms),
        }
    }
}
