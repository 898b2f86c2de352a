//! Replacements: `/v1/replacements`. Bodies to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::act_receipts::{kept, respond_salted};
use crate::crypto::act_receipt::Act;
use crate::domain::ids::ReplacementId;
use crate::domain::redacted::{IdNumberText, SaltText};
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::{created, instant, json, path_id};
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::act_receipts::ActReceipt;
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

/// The start that the new card really has.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"card_valid_from": "2026-11-20", "office": "110105-03"}))]
pub struct CorrectionRequest {
    /// Every card of the number that starts before it is listed from now on.
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
    #[schema(value_type = u64)]
    registry_sequence: Sequence,
    /// The receipt of this write: its place in the registry log. Only in the answer to the write, and only where there is a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    report_receipt: Option<String>,
    /// What opens it, with the number: keep both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    report_receipt_salt: Option<SaltText>,
}

/// Record a replacement
///
/// A new card was issued: every card of the number that starts before it is listed from now on, with or without a loss report;
/// active reports of such cards become `replaced`. A report that does not know its card's start does where the new card starts no earlier
/// than `lost_on`, or else than a year before the report. 409 `start_not_after_listed` where the new card would itself be listed: it does not start after
/// each card that is. Scope `registry`; costs one unit. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/replacements", operation_id = "createReplacement", tag = "registry", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new replacement.")),
    request_body = ReplacementRequest,
    responses(
        (status = 201, description = "Recorded, durable, and known to every node.", body = ReplacementAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 409, response = crate::http::contract::openapi::Refused),
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
    let office = fields.office(&asked.office, today);
    let replacing = digest.zip(card_valid_from).zip(office);
    let replacing = replacing.map(|((digest, card_valid_from), office)| Replacing { digest, card_valid_from, office });
    let replacing = caller.finish(fields, replacing)?;
    caller.act_for(&replacing.office)?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render = |replacement: &Replacement, receipt| {
        let answer = ReplacementAnswer { report_receipt: kept(receipt), ..ReplacementAnswer::of(replacement) };
        created(String::new(), &answer)
    };
    let answer = state.write_in_time(state.reports.replace(caller.actor(), replacing, repeatable, render)).await??;
    Ok(respond_salted(&state, Act::Replacement, answer))
}

/// Correct the start of a replacement
///
/// A replacement was recorded with a wrong start: from the answer on the right one lists the cards before it, on every node, and
/// active reports of such cards become `replaced`; those that only the wrong start had ended become `active` again. Organizations that watch a card that the wrong start let pass get an alert; those
/// who were answered or alerted that a card is listed by the wrong one get `check_again`. The audit log keeps the old start. Only the organization that recorded it can correct it: others are answered 404. 409 `start_not_after_listed` where the card would itself be listed.
/// An earlier start ends the listing of cards and counts among the client's withdrawals of the day: beyond their number it is 403 `another_must_confirm`, and another client of the organization sends it.
/// Scope `registry`; costs one unit. May be repeated at will.
#[utoipa::path(
    post, path = "/v1/replacements/{replacement_id}/correction", operation_id = "correctReplacement", tag = "registry",
    security(("bearer" = [])),
    params(("replacement_id" = Uuid, Path, description = "The replacement's id.")),
    request_body = CorrectionRequest,
    responses(
        (status = 200, description = "Corrected, durable, and known to every node.", body = ReplacementAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn correct(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<CorrectionRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let asked = body.read().await?;
    let today = state.clock.today();
    let mut fields = Fields::default();
    let start = fields.start(Some(&asked.card_valid_from), today);
    let office = fields.office(&asked.office, today);
    let (start, office) = fields.finish(start.zip(office))?;
    caller.act_for(&office)?;
    let corrected = state.write_in_time(state.reports.correct(caller.actor(), id, start, office)).await??;
    let (corrected, receipt) = corrected.ok_or_else(Problem::not_found)?;
    let (report_receipt, report_receipt_salt) = ActReceipt::unzip(receipt);
    Ok(json(&ReplacementAnswer { report_receipt, report_receipt_salt, ..ReplacementAnswer::of(&corrected) }))
}

impl ReplacementAnswer {
    fn of(replacement: &Replacement) -> Self {
        Self {
            replacement_id: replacement.replacement_id,
            card_valid_from: replacement.card_valid_from.to_string(),
            reports_replaced: replacement.reports_replaced,
            recorded_at: instant(replacement.recorded_at_ms),
            registry_sequence: replacement.sequence,
            report_receipt: None,
            report_receipt_salt: None,
        }
    }
}
