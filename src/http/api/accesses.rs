//! Who looked at a person's records: what a portal shows of the audit log. Not what checks leave, which is nothing.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::citizen::read_page;
use crate::domain::redacted::IdNumberText;
use crate::http::contract::answers::{instant, json};
use crate::http::contract::fields::{Whole, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::OrganizationKindCode;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::store::accesses::{Access, Told};

/// Whose accesses are asked for: the person that the portal authenticated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitizenAccessesRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 256)]
    cursor: Option<String>,
    /// How many at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<i32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole>,
}

/// Who wrote or read records of the person, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenAccesses {
    /// The page, newest first.
    accesses: Vec<CitizenAccess>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// One act, as the audit log has it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenAccess {
    #[schema(format = DateTime)]
    at: String,
    /// What was done, as a word: `report_read`, `reports_searched`, `citizen_records_read`. New words may be added.
    #[schema(example = "report_read")]
    action: String,
    /// Absent: the operator of the service, by its command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Harbour police station")]
    organization_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = OrganizationKindCode)]
    organization_kind: Option<&'static str>,
}

/// A place is the sequence of an entry.
const ACCESSES: List<u64> = List::new("listCitizenAccesses", 100);

/// Read who looked at a person's records
///
/// From the audit log: each act of an organization or of the operator that wrote, read or searched for records of the person, newest
/// first, in pages. Not checks of cards, which leave none; and not what others report about a card to the police. Scope `citizen`;
/// costs one unit.
#[utoipa::path(
    post, path = "/v1/citizen/accesses", operation_id = "listCitizenAccesses", tag = "citizen", security(("bearer" = [])),
    request_body = CitizenAccessesRequest,
    responses(
        (status = 200, description = "The accesses, newest first.", body = CitizenAccesses),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(
    caller: Caller,
    body: JsonBody<CitizenAccessesRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let asked = (&request.id_number, request.cursor.as_deref(), request.limit);
    let (found, next_cursor) = page_of(&caller, &state, &ACCESSES, Told::Person, asked).await?;
    Ok(json(&CitizenAccesses { accesses: found.iter().map(CitizenAccess::of).collect(), next_cursor }))
}

/// A page of what was done to a person's records, and where the next begins.
pub(super) async fn page_of(
    caller: &Caller,
    state: &AppState,
    list: &List<u64>,
    told: Told,
    (id_number, cursor, limit): (&IdNumberText, Option<&str>, Option<Whole>),
) -> Result<(Vec<Access>, Option<String>), Problem> {
    let limit = limit.map(|limit| limit.0.to_string());
    let (digest, page) = read_page(caller, state, list, id_number, cursor, limit.as_deref())?;
    let read = state.accesses.list(caller.actor(), &digest, told, page.after, page.limit + 1);
    let mut found = state.read_in_time(read).await??;
    let next_cursor = list.end(&page, &mut found, |access| access.sequence);
    Ok((found, next_cursor))
}

impl CitizenAccess {
    fn of(access: &Access) -> Self {
        let organization = access.organization.as_ref();
        Self {
            at: instant(access.at_ms),
            action: access.action.clone(),
            organization_name: organization.and_then(|organization| organization.name.clone()),
            organization_kind: organization.and_then(|organization| Some(organization.kind?.as_str())),
        }
    }
}
