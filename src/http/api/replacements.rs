//! Replacements: `/v1/replacements`. Bodies to domain types, domain types to answers.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::ReplacementId;
use crate::domain::redacted::IdNumberText;
use crate::http::contract::answers::{created, instant, respond};
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::listing::{Replacement, Replacing};

/// A new card was issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2026-11-20", "office": "110105-03"}))]
pub struct ReplacementRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The start of validity of the new card: every card of the number that starts before it is listed from now on.
    #[schema(format = Date)]
    card_valid_from: String,
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
}

/// A recorded replacement.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacementAnswer {
    #[schema(value_type = Uuid)]
    replacement_id: ReplacementId,
    #[schema(format = Date)]
    card_valid_from: String,
    /// Active reports that it ended.
    reports_replaced: usize,
    #[schema(format = DateTime)]
    recorded_at: String,
    registry_sequence: u64,
}

/// Record a replacement
///
/// A new card was issued: every card of the number that starts before it is listed from now on, with or without a loss report;
/// active reports become `replaced`. Scope `registry`; costs one unit. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/replacements", operation_id = "createReplacement", tag = "registry", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new replacement.")),
    request_body = ReplacementRequest,
    responses(
        (status = 201, description = "Recorded, durable, and known to every node.", body = ReplacementAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<ReplacementRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (asked, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let today = state.clock.today();
    let mut fields = Fields::default();
    let digest = fields.id_number(&asked.id_number, today);
    let card_valid_from = fields.start(Some(&asked.card_valid_from), today);
    let office = fields.office(&asked.office);
    let replacing = digest.zip(card_valid_from).zip(office);
    let replacing = replacing.map(|((digest, card_valid_from), office)| Replacing { digest, card_valid_from, office });
    let replacing = caller.finish(fields, replacing)?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render = |replacement: &Replacement| {
        created(
            String::new(),
            &ReplacementAnswer {
                replacement_id: replacement.replacement_id,
                card_valid_from: replacement.card_valid_from.to_string(),
                reports_replaced: replacement.reports_replaced,
                recorded_at: instant(replacement.recorded_at_ms),
                registry_sequence: replacement.sequence,
            },
        )
    };
    Ok(respond(state.write_in_time(state.reports.replace(caller.actor(), replacing, repeatable, render)).await??))
}
