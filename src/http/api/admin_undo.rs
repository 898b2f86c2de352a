//! `/v1/admin/undo`: what a client should not have done is countered, once another operator agrees.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::admin_answers::{AdminRequestAnswer, respond_to, stored};
use super::admin_orders::UndoRequest;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::{Act, Asked};

/// Undo what a client did
///
/// As when its secret was stolen: each act of that time is countered by a new one (a report is withdrawn as mistaken, what was withdrawn is
/// listed again, a replacement is taken back), with its entry in the audit log, and those who were told wrongly get an alert. It waits for
/// another operator: the answer is 202. Once that one approves, a node begins at once, and `undone` of the request says what came of it; every node
/// follows within its lease. What others did since stays. Suspend the client first. Scope `admin`; costs one unit. 409 where there is no such client.
#[utoipa::path(
    post, path = "/v1/admin/undo", operation_id = "undoClient", tag = "administration", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new undoing.")),
    request_body = UndoRequest,
    responses(
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
    body: JsonBody<UndoRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let act = Act::Undo(told.read(state.clock.today())?);
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let asked = Asked { actor: caller.actor(), act, body: String::from_utf8_lossy(&bytes).into_owned() };
    let route = caller.route();
    let done = state.administration.act(asked, repeatable, |outcome| stored(route, outcome));
    respond_to(route, state.write_in_time(done).await??)
}
