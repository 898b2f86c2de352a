//! `GET /v1/status`: whether the service gives verdicts and takes reports, for status pages and integrators' monitors. Answered from
//! memory, without a token; no figure of load, no name of a node. Orchestrators ask `/health/...`, operators the console.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::sandbox::Environment;
use crate::domain::sequence::Sequence;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::caller::Anyone;
use crate::http::pipeline::state::AppState;

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// `ok`: verdicts from a current registry, and reports are taken. `degraded`: the node that answered may have to refuse checks or
    /// reports with 503; another may not. No answer at all: it is down. The list may grow; treat an unknown word as `degraded`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// `production`, or `sandbox` where nothing is real.
    #[schema(value_type = String, example = "production")]
    environment: &'static str,
    /// Of the program.
    #[schema(value_type = String, example = "1.0.0")]
    version: &'static str,
    registry: RegistryStatus,
}

/// How current the registry is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistryStatus {
    /// As in the answers to checks.
    #[schema(value_type = u64)]
    sequence: Sequence,
    /// The registry was known up to this instant. More than a few seconds ago: `degraded`.
    #[schema(format = DateTime)]
    as_of: String,
}

/// What a status page may keep it for, in seconds.
const CACHED: &str = "public, max-age=5";

/// Is the service well?
///
/// For status pages and monitors: poll it every minute or so. No token; spends one unit of the source address's limit for public questions
/// (`limits.public`). 200 as long as anything answers: look at `status`. You may cache it for five seconds.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "getStatus", tag = "operations",
    responses(
        (status = 200, description = "Well or not.", body = StatusAnswer),
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(_anyone: Anyone, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let (sequence, as_of) = state.registry.known();
    let is_ok = state.registry.is_current() && state.registry.is_sound();
    let answer = StatusAnswer {
        status: if is_ok { "ok" } else { "degraded" },
        environment: Environment::of_issuer(state.access.issuer()).as_str(),
        version: env!("CARGO_PKG_VERSION"),
        registry: RegistryStatus { sequence, as_of: as_of.as_str().to_owned() },
    };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, CACHED)).json(answer))
}
