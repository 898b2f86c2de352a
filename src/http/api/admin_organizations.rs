//! `/v1/admin/organizations`: organizations as operators make and change them.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_answers::{AdminOrganizationAnswer, AdminRequestAnswer, respond_to, stored};
use super::admin_forms::{NewOrganizationRequest, OrganizationPatch};
use crate::domain::ids::OrganizationId;
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::{Act, Answered, Asked};

/// A page of organizations, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationList {
    /// Organizations, oldest first.
    organizations: Vec<AdminOrganizationAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

const LIST: List<OrganizationId> = List::collection("listOrganizations");

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrganizationQuery {
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many organizations at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

/// List organizations
///
/// Oldest first, in pages. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/organizations", operation_id = "listOrganizations", tag = "administration",
    security(("bearer" = [])),
    params(OrganizationQuery),
    responses(
        (status = 200, description = "A page of the list.", body = OrganizationList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor and limit, each at most once");
    let asked = Query::<OrganizationQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let page = fields.finish(page)?;
    let mut all = state.read_in_time(state.administration.organizations(page.after, page.limit + 1)).await??;
    let next_cursor = LIST.end(&page, &mut all, |one| one.organization_id);
    let organizations = all.iter().map(AdminOrganizationAnswer::of).collect();
    Ok(json(&OrganizationList { organizations, next_cursor }))
}

/// Create an organization
///
/// Scope `admin`; costs one unit. A registrar is made when another operator approves it: the answer is 202 then. Organizations of
/// operators are made at the command line. With an `Idempotency-Key` a repetition gets the first answer and makes nothing.
#[utoipa::path(
    post, path = "/v1/admin/organizations", operation_id = "createOrganization", tag = "administration",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new organization.")),
    request_body = NewOrganizationRequest,
    responses(
        (status = 201, description = "The organization.", body = AdminOrganizationAnswer,
            headers(("Location" = String, description = "The organization's path."))),
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<NewOrganizationRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let act = Act::CreateOrganization(told.read(state.clock.today())?);
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let asked = Asked { actor: caller.actor(), act, body: String::from_utf8_lossy(&bytes).into_owned() };
    let route = caller.route();
    let done = state.administration.act(asked, repeatable, |outcome| stored(route, outcome));
    respond_to(route, state.write_in_time(done).await??)
}

/// Read an organization
///
/// Its kind, offices, limits and state. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/organizations/{organization_id}", operation_id = "readOrganization", tag = "administration",
    security(("bearer" = [])),
    params(("organization_id" = Uuid, Path, description = "The organization's id.")),
    responses(
        (status = 200, description = "The organization.", body = AdminOrganizationAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(_: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let found = state.read_in_time(state.administration.organization(path_id(&path)?)).await??;
    found.map(|one| json(&AdminOrganizationAnswer::of(&one))).ok_or_else(Problem::not_found)
}

/// Change an organization
///
/// What is absent stays; in effect at every node within its lease. Scope `admin`; costs one unit. The clients of one that is suspended
/// or ended are not let in; 409 for one that is ended, which is final. More offices for a registrar, or `any_office`, wait for another operator: the
/// answer is 202, and nothing changes before.
#[utoipa::path(
    patch, path = "/v1/admin/organizations/{organization_id}", operation_id = "updateOrganization", tag = "administration",
    security(("bearer" = [])),
    params(("organization_id" = Uuid, Path, description = "The organization's id.")),
    request_body(content = OrganizationPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The organization.", body = AdminOrganizationAnswer),
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
    body: JsonBody<OrganizationPatch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, bytes) = body.read_patch().await?;
    let change = told.read(state.clock.today())?;
    let sent = String::from_utf8_lossy(&bytes).into_owned();
    let done = state.administration.update_organization(caller.actor(), id, change, sent);
    respond_to(caller.route(), state.write_in_time(done).await??.map(Answered::Fresh))
}
