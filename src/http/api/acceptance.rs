//! Where a card can be applied for: `/v1/acceptance/eligibility`. Asked without a token, about nobody in particular: the question
//! holds no number, nothing of it is kept.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::acceptance::{Applicant, Place};
use crate::http::contract::answers::json;
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::GroundCode;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Anyone;
use crate::http::pipeline::state::AppState;

/// A caller without a token gets no buffer for a large body.
const QUESTION_BYTES_MAX: usize = 4 * 1024;
/// What is wrong with a place.
pub const PLACE_DETAIL: &str = "six digits of GB/T 2260, of a county or city in a province of the mainland";

/// Somebody wants to apply for a card away from home.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"household_region": "410102", "applying_region": "120101", "on": "2026-11-23",
    "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false}))]
pub struct EligibilityRequest {
    /// The county, or the city without counties, where the household is registered: the code in force now, not the first six
    /// digits of the id number.
    #[schema(example = "410102", max_length = 6)]
    household_region: String,
    /// Where the application would be made.
    #[schema(example = "120101", max_length = 6)]
    applying_region: String,
    /// The day of the application.
    #[schema(format = Date)]
    on: String,
    fingerprint_on_file: bool,
    /// So much that the photograph on file no longer shows who it is.
    appearance_changed: bool,
    /// A record of forged, bought, borrowed or fraudulently used documents.
    credit_flag: bool,
}

/// Whether the application would be taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct EligibilityAnswer {
    /// Whether an application would be taken on that day.
    eligible: bool,
    #[schema(value_type = GroundCode)]
    ground: &'static str,
    /// Since when applications between these two places are taken. Absent at the place of household registration and where the
    /// application would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    since: Option<String>,
}

/// Ask where a card can be applied for
///
/// By the rules of off-site acceptance on that day. No token; spends one unit of the source address's limit for public questions
/// (`limits.public`), which is apart from that of token requests. Nothing is stored. At most
/// 4 KiB.
#[utoipa::path(
    post, path = "/v1/acceptance/eligibility", operation_id = "decideEligibility", tag = "acceptance",
    request_body = EligibilityRequest,
    responses(
        (status = 200, description = "Eligible or not, and why.", body = EligibilityAnswer),
        (status = 400, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::BodyRefusals,
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn eligibility(
    _anyone: Anyone,
    body: JsonBody<EligibilityRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (asked, _) = body.read_up_to(QUESTION_BYTES_MAX).await?;
    let mut fields = Fields::default();
    let mut place = |pointer, text: &str| fields.take(pointer, Place::parse(text), "unknown_region", PLACE_DETAIL);
    let places = place("/household_region", &asked.household_region);
    let places = (places, place("/applying_region", &asked.applying_region));
    let on = fields.date("/on", Some(&asked.on));
    let applicant = places.0.zip(places.1).zip(on).map(|((household, applying), on)| Applicant {
        household,
        applying,
        on,
        fingerprint_on_file: asked.fingerprint_on_file,
        appearance_changed: asked.appearance_changed,
        credit_flag: asked.credit_flag,
    });
    let accepted = state.acceptance.decide(&fields.finish(applicant)?);
    Ok(json(&EligibilityAnswer {
        eligible: accepted.ground.is_eligible(),
        ground: accepted.ground.as_str(),
        since: accepted.since.map(|date| date.to_string()),
    }))
}
