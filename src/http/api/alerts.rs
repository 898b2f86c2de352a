//! Look-back alerts: `/v1/alerts`. The query holds a sequence and a limit, which say nothing about a person.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::{AlertId, CheckId};
use crate::domain::sequence::AlertSequence;
use crate::http::contract::answers::{instant, json};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::schema::{AlertKindCode, ListingKindCode};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::store::alerts::Alert;

/// A page, as text: what it holds is judged after its shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    #[serde(default, deserialize_with = "present")]
    after: Option<String>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<String>,
}

/// A card that this organization checked was listed while it watched.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertAnswer {
    #[schema(value_type = Uuid)]
    alert_id: AlertId,
    /// The check that asked for it, by the id that was answered then.
    #[schema(value_type = Uuid)]
    check_id: CheckId,
    #[schema(value_type = AlertKindCode)]
    kind: &'static str,
    #[schema(value_type = ListingKindCode)]
    listing_kind: &'static str,
    /// When the card or number was listed.
    #[schema(format = DateTime)]
    listed_at: String,
    /// Counts this organization's alerts from one, without a gap.
    #[schema(value_type = i64, minimum = 1)]
    sequence: AlertSequence,
}

/// An organization's alerts, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertList {
    /// Those after `after`, at most `limit`.
    alerts: Vec<AlertAnswer>,
    /// Only where there are more: `after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, nullable = false)]
    next: Option<AlertSequence>,
}

const PAGE_ALERTS_MAX: i64 = 1000;
const PAGE_ALERTS: i64 = 100;

/// Read your organization's alerts
///
/// Scope `checks`; costs one unit. The alerts after a sequence, oldest first: a client that keeps the last
/// `sequence` that it has seen and asks for those after it misses none and sees none twice. Kept for 90 days.
#[utoipa::path(
    get, path = "/v1/alerts", operation_id = "listAlerts", tag = "checks", security(("bearer" = [])),
    params(
        ("after" = Option<i64>, Query, minimum = 0, nullable = false, description = "The last `sequence` that was seen; 0 if absent."),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, nullable = false, description = "How many alerts at most; 100 if absent."),
    ),
    responses(
        (status = 200, description = "The alerts.", body = AlertList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(caller: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = read_page(request.query_string())?;
    let read = state.alerts.list(caller.organization_id(), after, limit);
    let (alerts, has_more) = state.read_in_time(read).await??;
    let next = alerts.last().filter(|_| has_more).map(|alert| alert.sequence);
    Ok(json(&AlertList { alerts: alerts.iter().map(AlertAnswer::of).collect(), next }))
}

fn read_page(query: &str) -> Result<(AlertSequence, i64), Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes after and limit, each once");
    let Query(page): web::Query<PageQuery> = Query::from_query(query).map_err(malformed)?;
    let mut fields = Fields::default();
    let mut number = |pointer, text: Option<String>, absent, range: std::ops::RangeInclusive<i64>| match text {
        None => Some(absent),
        Some(text) => {
            // "+1" would parse.
            let digits = (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            let value = if digits { text.parse().ok() } else { None };
            let detail = format!("a whole number from {} to {}", range.start(), range.end());
            fields.take(pointer, value.filter(|value| range.contains(value)), "out_of_range", detail)
        }
    };
    let after = number("/after", page.after, 0, 0..=i64::MAX);
    let limit = number("/limit", page.limit, PAGE_ALERTS, 1..=PAGE_ALERTS_MAX);
    fields.finish(after.map(|after| AlertSequence::new(after.unsigned_abs())).zip(limit))
}

impl AlertAnswer {
    fn of(alert: &Alert) -> Self {
        Self {
            alert_id: alert.alert_id,
            check_id: alert.check_id,
            kind: alert.kind.as_str(),
            listing_kind: alert.listing.as_str(),
            listed_at: instant(alert.listed_at_ms),
            sequence: alert.sequence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_two_numbers_each_once() {
        for (query, expected) in [
            ("", Ok((0, 100))),
            ("after=7", Ok((7, 100))),
            ("limit=1000&after=0", Ok((0, 1000))),
            ("after=999999999999999999", Ok((999_999_999_999_999_999, 100))),
            ("after=1&after=2", Err(problem::MALFORMED_REQUEST)),
            ("before=1", Err(problem::MALFORMED_REQUEST)),
            ("after=1&x", Err(problem::MALFORMED_REQUEST)),
            ("after", Err(problem::INVALID_VALUE)),
            ("after=", Err(problem::INVALID_VALUE)),
            ("after=-1", Err(problem::INVALID_VALUE)),
            ("after=%2B1", Err(problem::INVALID_VALUE)),
            ("after=1e3", Err(problem::INVALID_VALUE)),
            ("after=9223372036854775807", Ok((9_223_372_036_854_775_807, 100))),
            ("after=9223372036854775808", Err(problem::INVALID_VALUE)),
            ("after=9999999999999999999", Err(problem::INVALID_VALUE)),
            ("limit=0", Err(problem::INVALID_VALUE)),
            ("limit=1001", Err(problem::INVALID_VALUE)),
        ] {
            let read = read_page(query).map(|(after, limit)| (after.get(), limit));
            assert_eq!(read.map_err(|problem| problem.kind()), expected, "{query}");
        }
    }
}
