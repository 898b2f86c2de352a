//! `/v1/admin/requests`: what an operator has asked for and another one must approve.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_answers::AdminRequestAnswer;
use super::admin_credentials::{ClientCertificateRequest, KeysRequest};
use super::admin_forms::{ClientPatch, NewClientRequest, NewOrganizationRequest, NoMembers, OrganizationPatch};
use super::admin_orders::{AuditExportRequest, UndoRequest};
use crate::domain::audit::Action;
use crate::domain::authority::WaitingAct;
use crate::domain::ids::{AdminRequestId, ClientId, OrganizationId, RecordId};
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::body::{JsonBody, parse};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::Act;
use crate::store::administration::AdminRequest;

/// A page of requests, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminRequestList {
    /// Requests, oldest first.
    requests: Vec<AdminRequestAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

const LIST: List<AdminRequestId> = List::collection("listAdminRequests");

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AdminRequestQuery {
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many requests at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
    /// `awaiting_approval`: only what waits. All if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String, pattern = "^awaiting_approval$")]
    state: Option<String>,
}

/// List what was asked for
///
/// Oldest first, in pages: what waits for another operator, and, without `state`, what became of the others. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/requests", operation_id = "listAdminRequests", tag = "administration", security(("bearer" = [])),
    params(AdminRequestQuery),
    responses(
        (status = 200, description = "A page of the list.", body = AdminRequestList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let malformed =
        |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor, limit and state, each at most once");
    let asked = Query::<AdminRequestQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    if let Some(word) = asked.state.as_deref() {
        let waits = (word == "awaiting_approval").then_some(());
        fields.take("/state", waits, "unknown_value", "expected one of: awaiting_approval");
    }
    let page = fields.finish(page)?;
    let (after, count_max) = (page.after, page.limit + 1);
    let mut all = match asked.state {
        Some(_) => state.read_in_time(state.administration.waiting(after, count_max)).await??,
        None => state.read_in_time(state.administration.requests(after, count_max)).await??,
    };
    let next_cursor = LIST.end(&page, &mut all, |one| one.id);
    let now_ms = state.clock.now_ms();
    let requests = all.iter().map(|one| AdminRequestAnswer::of(one, now_ms)).collect();
    Ok(json(&AdminRequestList { requests, next_cursor }))
}

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
    answer(found, &state)
}

/// Approve what another operator has asked for
///
/// It is done with that, as done by who asked. Scope `admin`, of persons with the role `security`; costs one unit. 403 `another_must_confirm` for
/// who asked, `insufficient_role` for clients where persons approve; 409 for what is approved or refused already, has waited for more than seven days, or cannot be done any more.
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
    answer(approved, &state)
}

/// Refuse what another operator has asked for
///
/// It is not done; who asked may ask again. Scope `admin`, of persons with the role `security`; costs one unit. 409 for what is approved or refused
/// already, or has waited for more than seven days.
#[utoipa::path(
    post, path = "/v1/admin/requests/{request_id}/refusal", operation_id = "refuseAdminRequest", tag = "administration",
    security(("bearer" = [])),
    params(("request_id" = Uuid, Path, description = "The request's id.")),
    request_body = NoMembers,
    responses(
        (status = 200, description = "The request, refused.", body = AdminRequestAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn refuse(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<NoMembers>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let NoMembers {} = body.read().await?;
    answer(state.write_in_time(state.administration.refuse(caller.actor(), id)).await??, &state)
}

fn answer(found: Option<AdminRequest>, state: &AppState) -> Result<HttpResponse, Problem> {
    let now_ms = state.clock.now_ms();
    found.map(|one| json(&AdminRequestAnswer::of(&one, now_ms))).ok_or_else(Problem::not_found)
}

/// What was asked for, read again as it was sent.
fn read_act(request: &AdminRequest, state: &AppState) -> Result<Act, Problem> {
    fn body<T: DeserializeOwned + Send + 'static>(request: &AdminRequest) -> Result<T, Problem> {
        parse(request.body.as_bytes())
    }
    let today = state.clock.today();
    let lost = || Problem::new(problem::INTERNAL, "what was asked for cannot be read");
    let client = |request: &AdminRequest| request.target.map(RecordId::as_its_kind::<ClientId>).ok_or_else(lost);
    match request.act {
        WaitingAct::CreateOrganization => {
            Ok(Act::CreateOrganization(body::<NewOrganizationRequest>(request)?.read(today)?))
        }
        WaitingAct::CreateClient => Ok(Act::CreateClient(body::<NewClientRequest>(request)?.read(today)?)),
        WaitingAct::UpdateClient => Ok(Act::UpdateClient(client(request)?, body::<ClientPatch>(request)?.read(today)?)),
        WaitingAct::UpdateOrganization => {
            let target: OrganizationId = request.target.ok_or_else(lost)?.as_its_kind();
            Ok(Act::UpdateOrganization(target, body::<OrganizationPatch>(request)?.read(today)?))
        }
        WaitingAct::CreateClientSecret => Ok(Act::AllowSecret(client(request)?)),
        WaitingAct::AddClientCertificate => {
            let proof = body::<ClientCertificateRequest>(request)?.read(state.clock.now_s())?;
            Ok(Act::AddProofs(client(request)?, Action::ClientCertificateAdded, vec![proof]))
        }
        WaitingAct::AddClientKeys => {
            let proofs = body::<KeysRequest>(request)?.read()?;
            Ok(Act::AddProofs(client(request)?, Action::ClientKeysAdded, proofs))
        }
        WaitingAct::UndoClient => Ok(Act::Undo(body::<UndoRequest>(request)?.read(today)?)),
        WaitingAct::ExportAudit => Ok(Act::ExportAudit(body::<AuditExportRequest>(request)?.read(today)?)),
    }
}
