//! For those who run the service: health and metrics. Nothing about a person.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::state::AppState;
use crate::store::StoreError;

/// A health answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// Is the process alive?
///
/// Answers as long as the process handles requests; restart it if it does not. No token, no limit.
#[utoipa::path(
    get, path = "/health/live", operation_id = "getLiveness", tag = "operations",
    responses((status = 200, description = "Alive.", body = Health))
)]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// May it be sent requests?
///
/// 503 while starting, draining, with an expired registry lease, or after a failure of the disk. No token, no
/// limit.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "getReadiness", tag = "operations",
    responses((status = 200, description = "Ready.", body = Health), (status = 503, response = crate::http::contract::openapi::Refused))
)]
pub async fn ready(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    if state.is_draining() {
        return Err(Problem::unavailable(problem::NOT_READY, "the node is draining"));
    }
    if !state.registry.is_sound() {
        return Err(StoreError::Unsound.into());
    }
    if !state.registry.is_current() {
        return Err(Problem::unavailable(problem::NOT_READY, "the registry's lease has expired"));
    }
    Ok(HttpResponse::Ok().json(Health { status: "ok" }))
}

/// The metrics' text exposition, on the operator's own listener.
pub async fn metrics(state: Data<crate::telemetry::Metrics>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(state.render())
}
