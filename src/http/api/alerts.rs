//! Look-back alerts: `/v1/alerts`. The query holds a page, which says nothing about a person.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::{AlertId, CheckId};
use crate::domain::sequence::AlertSequence;
use crate::http::contract::answers::{instant, json};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::{List, Page, read_number};
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
    cursor: Option<String>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<String>,
}

/// A card that this organization checked was listed while it watched, or the check was answered by a start that was wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertAnswer {
    #[schema(value_type = Uuid)]
    alert_id: AlertId,
    /// The check that it is about, by the id that was answered then.
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
    /// Those of the page.
    alerts: Vec<AlertAnswer>,
    /// Deprecated: `after` of the next page, where there is one. Use `next_cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, nullable = false, deprecated)]
    next: Option<AlertSequence>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
    /// Where alerts that are made later begin: at the end, keep it and send it as `cursor` to ask for those. Absent where there was none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resume_cursor: Option<String>,
}

/// A place is the sequence of an alert.
const LIST: List<AlertSequence> = List::new("listAlerts", 100);

/// Read your organization's alerts
///
/// Scope `checks`; costs one unit. Checks with `watch_hours` cause alerts; any check does that found a card listed by a replacement whose
/// start is corrected later. Oldest first, in pages: a client that keeps `resume_cursor` of the last page, and later sends it as
/// `cursor`, misses none and sees none twice. Kept for 90 days.
#[utoipa::path(
    get, path = "/v1/alerts", operation_id = "listAlerts", tag = "checks", security(("bearer" = [])),
    params(
        ("after" = Option<i64>, Query, minimum = 0, nullable = false, description = "Deprecated: the last `sequence` that was seen, to begin behind it; 0 if absent. Not beside `cursor`, which takes its place."),
        ("cursor" = Option<String>, Query, max_length = 256, nullable = false, description = "The `next_cursor` of the page before, or its `resume_cursor`."),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, nullable = false, description = "How many alerts at most; 100 if absent."),
    ),
    responses(
        (status = 200, description = "The alerts.", body = AlertList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(caller: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let page = read_page(request.query_string())?;
    let read = state.alerts.list(caller.organization_id(), page.after.unwrap_or_default(), page.limit + 1);
    let mut alerts = state.read_in_time(read).await??;
    let next_cursor = LIST.end(&page, &mut alerts, |alert| alert.sequence);
    let next = alerts.last().filter(|_| next_cursor.is_some()).map(|alert| alert.sequence);
    let last = alerts.last().map(|alert| alert.sequence).or(page.after);
    let resume_cursor = last.and_then(|sequence| LIST.cursor(sequence));
    Ok(json(&AlertList { alerts: alerts.iter().map(AlertAnswer::of).collect(), next, next_cursor, resume_cursor }))
}

fn read_page(query: &str) -> Result<Page<AlertSequence>, Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor, after and limit, each once");
    let Query(asked): web::Query<PageQuery> = Query::from_query(query).map_err(malformed)?;
    if asked.after.is_some() && asked.cursor.is_some() {
        return Err(Problem::new(problem::MALFORMED_REQUEST, "the query takes cursor or after, not both"));
    }
    let mut fields = Fields::default();
    let after = read_number(&mut fields, "/after", asked.after.as_deref(), 0, 0..=i64::MAX.unsigned_abs());
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let after = after.filter(|_| asked.after.is_some()).map(AlertSequence::new);
    fields.finish(page.map(|page| Page { after: page.after.or(after), ..page }))
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
            ("after=1&cursor=x", Err(problem::MALFORMED_REQUEST)),
            ("cursor=x", Err(problem::INVALID_VALUE)),
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
            let read = read_page(query).map(|page| (page.after.unwrap_or_default().get(), page.limit));
            assert_eq!(read.map_err(|problem| problem.kind()), expected, "{query}");
        }
    }
}
