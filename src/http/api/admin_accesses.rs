//! `/v1/admin/accesses`: who looked at a person's records, as the operator is told: with clients, persons and reasons.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accesses::page_of;
use crate::domain::ids::{ClientId, OrganizationId, RecordId};
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

/// Whose accesses are asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessesRequest {
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
pub struct AccessList {
    /// The page, newest first.
    accesses: Vec<AccessAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// One act, as the audit log has it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessAnswer {
    /// The entry of the audit log.
    #[schema(minimum = 1, example = 4711)]
    sequence: u64,
    #[schema(format = DateTime)]
    at: String,
    /// What was done, as a word: `report_read`, `reports_searched`, `citizen_records_read`. New words may be added.
    #[schema(example = "report_read")]
    action: String,
    /// Absent: the operator of the service, by its command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    organization_id: Option<OrganizationId>,
    /// What it is called; absent where the store does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Harbour police station")]
    organization_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = OrganizationKindCode)]
    organization_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    client_id: Option<ClientId>,
    /// The record that it was done to; absent where there are none or several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    subject_id: Option<RecordId>,
    /// Who did it, as far as the entry names a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Wang Fang")]
    person: Option<String>,
    /// The user of the machine, of an act by the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "root")]
    os_user: Option<String>,
    /// Why, as it was said at the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "asked by the person")]
    reason: Option<String>,
    /// The class of the address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "private")]
    origin: Option<String>,
}

/// A place is the sequence of an entry.
const LIST: List<u64> = List::new("listAccesses", 100);

/// Read who looked at a person, as the operator
///
/// From the audit log: each act of an organization, of a client of it and of the operator that wrote, read or searched for records of the
/// person, newest first, in pages. The question leaves an entry of its own, which names the client that asks. Not checks of cards, which
/// leave none. Scope `admin`; costs one unit.
#[utoipa::path(
    post, path = "/v1/admin/accesses", operation_id = "listAccesses", tag = "administration", security(("bearer" = [])),
    request_body = AccessesRequest,
    responses(
        (status = 200, description = "The accesses, newest first.", body = AccessList),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(
    caller: Caller,
    body: JsonBody<AccessesRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let asked = (&request.id_number, request.cursor.as_deref(), request.limit);
    let (found, next_cursor) = page_of(&caller, &state, &LIST, Told::Operator, asked).await?;
    Ok(json(&AccessList { accesses: found.into_iter().map(AccessAnswer::of).collect(), next_cursor }))
}

impl AccessAnswer {
    fn of(access: Access) -> Self {
        let Access { sequence, at_ms, action, organization, client, subject, person, os_user, reason, origin } = access;
        Self {
            sequence,
            at: instant(at_ms),
            action,
            organization_id: organization.as_ref().map(|organization| organization.id),
            organization_kind: organization.as_ref().and_then(|organization| Some(organization.kind?.as_str())),
            organization_name: organization.and_then(|organization| organization.name),
            client_id: client,
            subject_id: subject,
            person,
            os_user,
            reason,
            origin,
        }
    }
}
