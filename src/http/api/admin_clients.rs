//! `/v1/admin/clients`: clients as operators make and change them.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_answers::{AdminClientAnswer, AdminRequestAnswer, respond_to, stored};
use super::admin_forms::{ClientPatch, NewClientRequest};
use crate::domain::ids::ClientId;
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::{Act, Asked};

/// A page of clients, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientList {
    /// Clients, oldest first.
    clients: Vec<AdminClientAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

const LIST: List<ClientId> = List::collection("listClients");

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClientQuery {
    /// Only the clients of this organization.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String, format = Uuid)]
    organization_id: Option<String>,
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many clients at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

/// List clients
///
/// Oldest first, in pages, each with its limits, its state, when it was used last and how many of its requests limits have refused.
/// Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/clients", operation_id = "listClients", tag = "administration", security(("bearer" = [])),
    params(ClientQuery),
    responses(
        (status = 200, description = "A page of the list.", body = ClientList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let malformed = |_| {
        Problem::new(problem::MALFORMED_REQUEST, "the query takes organization_id, cursor and limit, each at most once")
    };
    let asked = Query::<ClientQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let of = fields.id("/organization_id", asked.organization_id.as_deref());
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let page = fields.finish(page)?;
    let mut all = state.read_in_time(state.administration.clients(of, page.after, page.limit + 1)).await??;
    let next_cursor = LIST.end(&page, &mut all, |one| one.client.client_id);
    Ok(json(&ClientList { clients: all.iter().map(AdminClientAnswer::of).collect(), next_cursor }))
}

/// Create a client
///
/// Its secret is in this answer and nowhere else, unless it has keys of its own. Scope `admin`; costs one unit. With the scope
/// `citizen` it is made when another operator approves it: the answer is 202, and the client has no secret until you make one. Clients of
/// operators are made at the command line. 409 where there is no such organization, or it is ended. With an `Idempotency-Key` a repetition gets the first answer without its secret.
#[utoipa::path(
    post, path = "/v1/admin/clients", operation_id = "createClient", tag = "administration", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new client.")),
    request_body = NewClientRequest,
    responses(
        (status = 201, description = "The client.", body = AdminClientAnswer,
            headers(("Location" = String, description = "The client's path."))),
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<NewClientRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let act = Act::CreateClient(told.read(state.clock.today())?);
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let asked = Asked { actor: caller.actor(), act, body: String::from_utf8_lossy(&bytes).into_owned() };
    let route = caller.route();
    let done = state.administration.act(asked, repeatable, |outcome| stored(route, outcome));
    respond_to(route, state.write_in_time(done).await??)
}

/// Read a client
///
/// Its scopes, limits, state and last use, without secrets. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/clients/{client_id}", operation_id = "readClient", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    responses(
        (status = 200, description = "The client.", body = AdminClientAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(_: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let found = state.read_in_time(state.administration.client(path_id(&path)?)).await??;
    found.map(|one| json(&AdminClientAnswer::of(&one))).ok_or_else(Problem::not_found)
}

/// Change a client
///
/// What is absent stays; in effect at every node within its lease. Scope `admin`; costs one unit. The scope `citizen`, where the client
/// had it not, waits for another operator: the answer is 202, and nothing changes before. 409 for a client that is ended, which is final.
#[utoipa::path(
    patch, path = "/v1/admin/clients/{client_id}", operation_id = "updateClient", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    request_body(content = ClientPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The client.", body = AdminClientAnswer),
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn update(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<ClientPatch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, bytes) = body.read_patch().await?;
    let act = Act::UpdateClient(id, told.read(state.clock.today())?);
    let asked = Asked { actor: caller.actor(), act, body: String::from_utf8_lossy(&bytes).into_owned() };
    let route = caller.route();
    let done = state.administration.act(asked, None, |outcome| stored(route, outcome));
    respond_to(route, state.write_in_time(done).await??)
}
