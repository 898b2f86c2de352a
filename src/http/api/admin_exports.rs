//! `/v1/admin/audit-exports`: an export of the audit log, which another operator must approve, and its lines in pages.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_answers::{AdminRequestAnswer, respond_to, stored};
use super::admin_orders::AuditExportRequest;
use crate::crypto::audit::Head;
use crate::domain::ids::AdminRequestId;
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::{Act, Asked};
use crate::service::administration::undo::ExportPart;
use crate::service::audit::head_line;

/// Lines of an export.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditExportPage {
    /// The request that it was asked for by.
    #[schema(value_type = Uuid)]
    request_id: AdminRequestId,
    /// Each a line of the export, JSON itself: an entry, and behind the last one the signed head.
    lines: Vec<String>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A place is the sequence of an entry.
const LIST: List<u64> = List::collection("readAuditExport");

/// Which page of an export.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditExportQuery {
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many entries at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

/// Ask for an export of the audit log
///
/// It waits for another operator: the answer is 202. Once that one approves, the log up to then can be read for seven days, at
/// `/v1/admin/requests/{request_id}/export`, by who asked for it. Scope `admin`; costs one unit.
#[utoipa::path(
    post, path = "/v1/admin/audit-exports", operation_id = "exportAudit", tag = "administration", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new export.")),
    request_body = AuditExportRequest,
    responses(
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<AuditExportRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let act = Act::ExportAudit(told.read(state.clock.today())?);
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let asked = Asked { actor: caller.actor(), act, body: String::from_utf8_lossy(&bytes).into_owned() };
    let route = caller.route();
    let done = state.administration.act(asked, repeatable, |outcome| stored(route, outcome));
    respond_to(route, state.write_in_time(done).await??)
}

/// Read an approved export
///
/// In pages: the lines of all of them, one after the other, are a file that `lostcard audit verify` takes; the last line is a head that this
/// service signs. Each page leaves an entry in the log, behind the export's end. Only for who asked for it: others are answered 404. 409 before it is approved, and
/// seven days after. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/requests/{request_id}/export", operation_id = "readAuditExport", tag = "administration",
    security(("bearer" = [])),
    params(("request_id" = Uuid, Path, description = "The request's id."), AuditExportQuery),
    responses(
        (status = 200, description = "A page of the export.", body = AuditExportPage),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 422, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(
    caller: Caller,
    path: Path<String>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor and limit, each at most once");
    let asked = Query::<AuditExportQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let page = fields.finish(page)?;
    let read = state.administration.read_export(caller.actor(), id, page.after, page.limit);
    let ExportPart { page, is_last } = state.write_in_time(read).await??.ok_or_else(Problem::not_found)?;
    let mut lines = page.lines;
    if !is_last {
        return Ok(json(&AuditExportPage { request_id: id, lines, next_cursor: LIST.cursor(page.end.sequence) }));
    }
    let issuer = state.access.issuer().to_owned();
    let head = Head { issuer, issued_at_s: state.clock.now_s(), end: page.end, place: None };
    lines.push(head_line(head.sign(&state.keyring.signing().receipt)));
    Ok(json(&AuditExportPage { request_id: id, lines, next_cursor: None }))
}
