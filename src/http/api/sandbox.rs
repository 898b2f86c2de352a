//! `POST /v1/sandbox/reset`, which only a sandbox routes.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::sequence::Sequence;
use crate::http::contract::answers::{instant, json};
use crate::http::contract::problem::Problem;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;

/// A reset that is done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"reset_at": "2026-11-23T09:00:00.123Z", "registry_sequence": 1234}))]
pub struct SandboxResetAnswer {
    #[schema(format = DateTime)]
    reset_at: String,
    /// Of the last change that it made. Every check from now on knows it.
    #[schema(value_type = u64, minimum = 0)]
    registry_sequence: Sequence,
}

/// Reset the sandbox
///
/// Only in a sandbox; a production answers 404. Removes everything that the caller's organization wrote, and puts the magic numbers
/// back as they were, no matter who changed them. Records of other organizations about other numbers stay. Clients, their limits, the
/// audit log, webhooks' endpoints and `Idempotency-Key`s stay, too. Any scope; costs ten units.
#[utoipa::path(
    post, path = "/v1/sandbox/reset", operation_id = "resetSandbox", tag = "sandbox", security(("bearer" = [])),
    responses(
        (status = 200, description = "Reset, durable, and known to every node.", body = SandboxResetAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn reset(caller: Caller, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let node = state.sandbox.as_ref().ok_or_else(Problem::not_found)?;
    let done = state.write_in_time(node.reset(caller.actor())).await??;
    Ok(json(&SandboxResetAnswer { reset_at: instant(done.at_ms), registry_sequence: done.sequence }))
}
