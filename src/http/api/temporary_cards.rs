//! Temporary cards; an application for a new card has at most one: `/v1/replacement-applications/{id}/temporary-card...`.
//! Bodies to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::offices::read_office;
use crate::domain::application::TemporaryCard;
use crate::domain::card::{CardValidity, CardValidityError};
use crate::domain::ids::{ApplicationId, TemporaryCardId};
use crate::http::contract::answers::{created, json, path_id, respond};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::TemporaryCardStateCode;
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;

/// A temporary card was handed out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemporaryCardRequest {
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
    /// Its start of validity, between the day of the application and today; today if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
}

/// An office has the temporary card again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemporaryCardReturnRequest {
    #[schema(example = "310104-01", max_length = 32)]
    office: String,
}

/// A card that is valid while the new one is made. It is checked as any card is, by its own start of validity.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemporaryCardAnswer {
    #[schema(value_type = Uuid)]
    temporary_card_id: TemporaryCardId,
    #[schema(value_type = TemporaryCardStateCode)]
    state: &'static str,
    #[schema(format = Date)]
    card_valid_from: String,
    #[schema(format = Date)]
    card_valid_until: String,
}

/// Issue a temporary card
///
/// While the application is accepted, on the day of the application or the three after it (Beijing), once; it is valid for three
/// months. 409 otherwise. Scope `registry`; costs one unit. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/replacement-applications/{application_id}/temporary-card", operation_id = "issueTemporaryCard",
    tag = "registry", security(("bearer" = [])),
    params(
        ("application_id" = Uuid, Path, description = "The application's id."),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new card."),
    ),
    request_body = TemporaryCardRequest,
    responses(
        (status = 201, description = "The temporary card.", body = TemporaryCardAnswer,
            headers(("Location" = String, description = "The application's path: its temporary card is there."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn issue(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<TemporaryCardRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id: ApplicationId = path_id(&path)?;
    let (asked, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let mut fields = Fields::default();
    let office = fields.office(&asked.office, state.clock.today());
    let start = read_temporary_start(&mut fields, asked.card_valid_from.as_deref(), state.clock.today());
    let office = fields.finish(office)?;
    caller.act_for(&office)?;
    // The same body for another application is another request.
    let of_application = [id.as_bytes().as_slice(), &bytes].concat();
    let repeatable = repeatable(&caller, &state, &request, &of_application)?;
    let render = |card: &TemporaryCard| created(caller.route().location(id), &TemporaryCardAnswer::of(card));
    let issuing = state.applications.issue_temporary_card(caller.actor(), id, start, &office, repeatable, render);
    state.write_in_time(issuing).await??.map(respond).ok_or_else(Problem::not_found)
}

/// Take a temporary card back
///
/// When the holder collects the new card, or without one. In any state of the application; also for a card that was reported lost and is
/// there again. 404 if none was issued, 409 if it was returned already. Scope `registry`; costs one unit.
#[utoipa::path(
    post, path = "/v1/replacement-applications/{application_id}/temporary-card/return", operation_id = "returnTemporaryCard",
    tag = "registry", security(("bearer" = [])),
    params(("application_id" = Uuid, Path, description = "The application's id.")),
    request_body = TemporaryCardReturnRequest,
    responses(
        (status = 200, description = "The temporary card, returned.", body = TemporaryCardAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn take_back(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<TemporaryCardReturnRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let office = read_office(&caller, &body.read().await?.office, state.clock.today())?;
    let returned =
        state.write_in_time(state.applications.take_back_temporary_card(caller.actor(), id, &office)).await??;
    returned.map(|card| json(&TemporaryCardAnswer::of(&card))).ok_or_else(Problem::not_found)
}

/// As a lost card's start: it is printed on the card, and the card is there.
fn read_temporary_start(fields: &mut Fields, text: Option<&str>, today: Date) -> Option<Date> {
    let start = fields.date("/card_valid_from", text)?;
    let checked = CardValidity::new(Some(start), None, today);
    let checked = checked.map_err(|error| match error {
        CardValidityError::StartsInFuture => {
            fields.refuse(error.pointer(), error.code(), "a temporary card starts today at the latest");
        }
        other => fields.refuse(other.pointer(), other.code(), other.to_string()),
    });
    checked.is_ok().then_some(start)
}

impl TemporaryCardAnswer {
    pub fn of(card: &TemporaryCard) -> Self {
        Self {
            temporary_card_id: card.id,
            state: card.state.as_str(),
            card_valid_from: card.card_valid_from.to_string(),
            card_valid_until: card.card_valid_until.to_string(),
        }
    }
}
