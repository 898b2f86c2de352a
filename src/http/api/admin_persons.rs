//! `/v1/admin/persons`: who of the operator was here, with which role, and what each did last.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::PersonId;
use crate::domain::person::Role;
use crate::http::contract::answers::{instant, json};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::schema::RoleCode;
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
/// Those that nodes have met by `admin.oidc` or `admin.passkeys`, in the order of their ids, in pages. Who may do what is in their provider, or with their
/// passkeys: one who has left stays in this list and is let in no more. Scope `admin`; costs one unit.
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

impl PersonAnswer {
    fn of(person: &ListedPerson) -> Self {
        let last_act = person.last_act.as_ref();
        Self {
            person_id: person.id,
            name: person.name.as_str().to_owned(),
            role: person.role.map(Role::as_str),
            group: person.group.clone(),
            first_seen_at: instant(person.first_seen_at_ms),
            last_seen_at: instant(person.last_seen_at_ms),
            last_act: last_act.map(|(act, _)| act.clone()),
            last_act_at: last_act.map(|(_, at_ms)| instant(*at_ms)),
        }
    }
}
