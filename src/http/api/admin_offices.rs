//! `/v1/admin/offices`: what offices are called and how to reach them, which the records of a person name.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_forms::read_name;
use crate::domain::office::{Office, OfficeReach};
use crate::domain::report::OfficeCode;
use crate::http::contract::answers::json;
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;

/// What an office is called and how to reach it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "110105-03", "name": "Harbour police station", "reach": "1 Quay Road, +86 10 1234 5678, Monday to Friday 9:00 to 17:00"}))]
pub struct OfficeRequest {
    /// Its code: 1 to 32 letters, digits and hyphens.
    #[schema(example = "110105-03", min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9-]{1,32}$")]
    code: String,
    /// What people call it.
    #[schema(example = "Harbour police station", min_length = 1, max_length = 100)]
    name: String,
    /// Where it is, its telephone, when it is open.
    #[schema(
        example = "1 Quay Road, +86 10 1234 5678, Monday to Friday 9:00 to 17:00",
        min_length = 1,
        max_length = 200
    )]
    reach: String,
}

/// An office as people know it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfficeAnswer {
    /// Its code.
    #[schema(example = "110105-03")]
    code: String,
    /// What people call it.
    #[schema(example = "Harbour police station")]
    name: String,
    /// Where it is, its telephone, when it is open.
    #[schema(example = "1 Quay Road, +86 10 1234 5678, Monday to Friday 9:00 to 17:00")]
    reach: String,
}

/// A page of offices, in the order of their codes.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfficeList {
    /// Offices, in the order of their codes.
    offices: Vec<OfficeAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is an office's code.
const LIST: List<String> = List::collection("listOffices");

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfficeQuery {
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many offices at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

/// List offices
///
/// Those that are described, in the order of their codes, in pages. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/offices", operation_id = "listOffices", tag = "administration", security(("bearer" = [])),
    params(OfficeQuery),
    responses(
        (status = 200, description = "A page of the list.", body = OfficeList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor and limit, each at most once");
    let asked = Query::<OfficeQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let after = page.as_ref().and_then(|page| page.after.as_deref());
    if after.is_some_and(|code| OfficeCode::parse(code).is_none()) {
        fields.refuse(
            "/cursor",
            "malformed_cursor",
            "a cursor is the next_cursor of a page of this list, as it was given",
        );
    }
    let page = fields.finish(page)?;
    let found = state.administration.offices(page.after.as_deref(), page.limit + 1);
    let mut found = state.read_in_time(found).await??;
    let next_cursor = LIST.end(&page, &mut found, |office| office.code.as_str().to_owned());
    Ok(json(&OfficeList { offices: found.iter().map(OfficeAnswer::of).collect(), next_cursor }))
}

/// Describe an office
///
/// What it is called and how to reach it, in place of what was said before. The records that a portal shows a person name it.
/// Scope `admin`; costs one unit.
#[utoipa::path(
    post, path = "/v1/admin/offices", operation_id = "describeOffice", tag = "administration", security(("bearer" = [])),
    request_body = OfficeRequest,
    responses(
        (status = 200, description = "The office.", body = OfficeAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn describe(
    caller: Caller,
    body: JsonBody<OfficeRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let office = body.read().await?.read(&state)?;
    state.write_in_time(state.administration.describe_office(caller.actor(), &office)).await??;
    Ok(json(&OfficeAnswer::of(&office)))
}

impl OfficeRequest {
    fn read(&self, state: &AppState) -> Result<Office, Problem> {
        let (mut fields, today) = (Fields::default(), state.clock.today());
        let code = fields.office_at("/code", &self.code, today);
        let name = read_name(&mut fields, Some(&self.name), today);
        let detail = "1 to 200 visible characters, without an identity number";
        let reach = fields.take("/reach", OfficeReach::offered(&self.reach, today), "malformed_text", detail);
        fields.finish(code.zip(name).zip(reach).map(|((code, name), reach)| Office { code, name, reach }))
    }
}

impl OfficeAnswer {
    fn of(office: &Office) -> Self {
        Self {
            code: office.code.as_str().to_owned(),
            name: office.name.as_str().to_owned(),
            reach: office.reach.as_str().to_owned(),
        }
    }
}
