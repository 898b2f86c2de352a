//! `/v1/admin/requests/{request_id}`: what an operator has asked for and another one must approve.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::de::DeserializeOwned;

use super::admin_answers::AdminRequestAnswer;
use super::admin_forms::{ClientPatch, NewClientRequest, NewOrganizationRequest, NoMembers};
use crate::domain::authority::WaitingAct;
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::body::{JsonBody, parse};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::Act;
use crate::store::administration::AdminRequest;

/// Read what waits for another operator
///
/// Also once it is approved. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/requests/{request_id}", operation_id = "readAdminRequest", tag = "administration",
    security(("bearer" = [])),
    params(("request_id" = Uuid, Path, description = "The request's id.")),
    responses(
        (status = 200, description = "The request.", body = AdminRequestAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(_: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let found = state.read_in_time(state.administration.request(path_id(&path)?)).await??;
    found.map(|one| json(&AdminRequestAnswer::of(&one))).ok_or_else(Problem::not_found)
}

/// Approve what another operator has asked for
///
/// It is done with that, as done by who asked. Scope `admin`; costs one unit. 403 `another_must_confirm` for the client that asked; 409 for
/// what is approved already, has waited for more than seven days, or cannot be done any more.
#[utoipa::path(
    post, path = "/v1/admin/requests/{request_id}/approval", operation_id = "approveAdminRequest", tag = "administration",
    security(("bearer" = [])),
    params(("request_id" = Uuid, Path, description = "The request's id.")),
    request_body = NoMembers,
    responses(
        (status = 200, description = "The request, approved.", body = AdminRequestAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn approve(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<NoMembers>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let NoMembers {} = body.read().await?;
    let found = state.read_in_time(state.administration.request(id)).await??;
    let act = read_act(&found.ok_or_else(Problem::not_found)?, &state)?;
    let approved = state.write_in_time(state.administration.approve(caller.actor(), id, &act)).await??;
    approved.map(|one| json(&AdminRequestAnswer::of(&one))).ok_or_else(Problem::not_found)
}

/// What was asked for, read again as it was sent.
fn read_act(request: &AdminRequest, state: &AppState) -> Result<Act, Problem> {
    fn body<T: DeserializeOwned + Send + 'static>(request: &AdminRequest) -> Result<T, Problem> {
        parse(request.body.as_bytes())
    }
    let today = state.clock.today();
    let lost = || Problem::new(problem::INTERNAL, "what was asked for cannot be read");
    match request.act {
        WaitingAct::CreateOrganization => {
            Ok(Act::CreateOrganization(body::<NewOrganizationRequest>(request)?.read(today)?))
        }
        WaitingAct::CreateClient => Ok(Act::CreateClient(body::<NewClientRequest>(request)?.read(today)?)),
        WaitingAct::UpdateClient => {
            let target = request.target.ok_or_else(lost)?;
            Ok(Act::UpdateClient(target, body::<ClientPatch>(request)?.read(today)?))
        }
    }
}
