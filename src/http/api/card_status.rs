//! `POST /v1/citizen/card-status`: what a holder shows a desk, which verifies it without asking anybody.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::redacted::{IdNumberText, SaltText};
use crate::http::contract::answers::json;
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;

/// Whose card: the person that the portal authenticated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01"}))]
pub struct CardStatusRequest {
    /// The 18 characters of GB 11643.
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The start of validity printed on the card.
    #[schema(format = Date)]
    card_valid_from: String,
}

/// The status to show.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "eyJ0eXAiOiJsb3N0Y2FyZC1zdGF0dXMrand0IiwiYWxnIjoiRWREU0EiLCJraWQiOiIycGhIeEN3RTljMjZvVzl3In0.eyJ2ZXJkaWN0Ijoibm90X2xpc3RlZCJ9.iy5jE1uecsZhD63VRQILS2fo3Ep2mgg2aEG2WBYv0q77xCuIgZxGrAj3gsuRM_g-sPY8Rh3CmEOkTbE1BUHBCQ",
    "status_salt": "vRYHWpH389Y2KWWmO8WgYNrzOno5tNpQTpIyZpPG9fA"
}))]
pub struct CardStatusAnswer {
    /// A compact JWS, `lostcard-status+jwt`, good for 15 minutes. Show it joined with the salt: `status~status_salt`, as text or as a QR code.
    status: String,
    /// Without it nobody can tell whose card it is.
    #[schema(value_type = String)]
    status_salt: SaltText,
}

/// Get a status that the holder can show
///
/// What a check of this card would be answered now, signed, and about the number for those alone who have number and salt. The holder shows
/// it, a desk verifies it without a network, and no organization asks about anybody. It leaves no sighting. Scope `citizen`; costs one unit.
#[utoipa::path(
    post, path = "/v1/citizen/card-status", operation_id = "createCardStatus", tag = "citizen", security(("bearer" = [])),
    request_body = CardStatusRequest,
    responses(
        (status = 200, description = "The signed status, and its salt.", body = CardStatusAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<CardStatusRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let (mut fields, today) = (Fields::default(), state.clock.today());
    let digest = fields.id_number(&request.id_number, today);
    let start = fields.shown_start(Some(&request.card_valid_from), today);
    let (digest, start) = caller.finish(fields, digest.zip(start))?;
    let given = state.read_in_time(state.citizen.card_status(caller.actor(), &digest, start)).await??;
    Ok(json(&CardStatusAnswer { status: given.status, status_salt: given.salt.to_text() }))
}
