//! `/v1/admin/persons`: who of the operator was here, with which role, what each did last, and who is let in no more.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_forms::read_state;
use crate::domain::ids::PersonId;
use crate::domain::person::Role;
use crate::http::contract::answers::{instant, json, path_id};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::schema::{LifeStateCode, LifeStateName, RoleCode};
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::store::persons::ListedPerson;

/// A person of the operator.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonAnswer {
    /// Names the person: made of the issuer and its `sub`, or as `lostcard person` names them.
    #[schema(value_type = Uuid)]
    person_id: PersonId,
    /// What the provider calls them, or the operator who invited them.
    #[schema(example = "wang.fang")]
    name: String,
    #[schema(value_type = LifeStateCode)]
    state: &'static str,
    /// The role of the last token that was met; absent where an act is noted and no token yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<RoleCode>)]
    role: Option<&'static str>,
    /// The group that gave it; absent where the command line did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "lostcard-operators")]
    group: Option<String>,
    /// When a node met them for the first time.
    #[schema(format = DateTime)]
    first_seen_at: String,
    /// When a node last met a token of theirs that it did not know.
    #[schema(format = DateTime)]
    last_seen_at: String,
    /// What they did last, by the word of the audit log; absent where they have done nothing but look.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "organization_created")]
    last_act: Option<String>,
    /// When they did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    last_act_at: Option<String>,
}

/// What is to change of a person; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<LifeStateName>)]
    state: Option<String>,
}

/// A page of persons, in the order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonList {
    /// Persons, in the order of their ids.
    persons: Vec<PersonAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

const LIST: List<PersonId> = List::collection("listPersons");

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PersonQuery {
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many persons at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

/// List persons of the operator
///
/// Those that nodes have met by `admin.oidc` or `admin.passkeys`, in the order of their ids, in pages. Who may do what is in their provider, or
/// with their passkeys: one who has left stays in this list and is let in no more, nor is one who is suspended or ended here. Scope `admin`;
/// costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/persons", operation_id = "listPersons", tag = "administration", security(("bearer" = [])),
    params(PersonQuery),
    responses(
        (status = 200, description = "A page of the list.", body = PersonList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor and limit, each at most once");
    let asked = Query::<PersonQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let page = fields.finish(page)?;
    let mut found = state.read_in_time(state.administration.persons(page.after, page.limit + 1)).await??;
    let next_cursor = LIST.end(&page, &mut found, |person| person.id);
    Ok(json(&PersonList { persons: found.iter().map(PersonAnswer::of).collect(), next_cursor }))
}

/// Read a person
///
/// Whether they are let in, their role, and what they did last. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/persons/{person_id}", operation_id = "readPerson", tag = "administration",
    security(("bearer" = [])),
    params(("person_id" = Uuid, Path, description = "The person's id.")),
    responses(
        (status = 200, description = "The person.", body = PersonAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(_: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    answer(state.read_in_time(state.administration.person(path_id(&path)?)).await??)
}

/// Suspend, resume or end a person
///
/// A JSON merge patch (RFC 7396). One who is suspended or ended is let in no more, whatever their provider says, at every node within its
/// lease; their tokens are refused as those of a suspended client are. Name, role and group are the provider's. Scope `admin`, of persons
/// with the role `operator`; costs one unit. 403 `another_must_confirm` for oneself; 409 for one who is ended, which is final.
#[utoipa::path(
    patch, path = "/v1/admin/persons/{person_id}", operation_id = "updatePerson", tag = "administration",
    security(("bearer" = [])),
    params(("person_id" = Uuid, Path, description = "The person's id.")),
    request_body(content = PersonPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The person.", body = PersonAnswer),
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
    body: JsonBody<PersonPatch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, _) = body.read_patch().await?;
    let mut fields = Fields::default();
    let wanted = read_state(&mut fields, told.state.as_deref());
    let wanted = fields.finish(Some(wanted))?;
    answer(state.write_in_time(state.administration.change_person(caller.actor(), id, wanted)).await??)
}

fn answer(found: Option<ListedPerson>) -> Result<HttpResponse, Problem> {
    found.map(|one| json(&PersonAnswer::of(&one))).ok_or_else(Problem::not_found)
}

impl PersonAnswer {
    fn of(person: &ListedPerson) -> Self {
        let last_act = person.last_act.as_ref();
        Self {
            person_id: person.id,
            name: person.name.as_str().to_owned(),
            state: person.state().as_str(),
            role: person.role.map(Role::as_str),
            group: person.group.clone(),
            first_seen_at: instant(person.first_seen_at_ms),
            last_seen_at: instant(person.last_seen_at_ms),
            last_act: last_act.map(|(act, _)| act.clone()),
            last_act_at: last_act.map(|(_, at_ms)| instant(*at_ms)),
        }
    }
}
