//! `GET /v1/usage`: an organization's own counts, as JSON or CSV. The query holds days and a word, which say nothing about a person.

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::web::{self, Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::usage::{Counts, Days, Grouping, Outcome};
use crate::http::contract::answers::{to_json, written};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::schema::{GroupingCode, GroupingName};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::media::preferred;
use crate::http::pipeline::state::AppState;
use crate::limits::Work;
use crate::store::usage::{Group, Report};

/// What is asked, as text: what it holds is judged after its shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageQuery {
    #[serde(default, deserialize_with = "present")]
    from: Option<String>,
    #[serde(default, deserialize_with = "present")]
    to: Option<String>,
    #[serde(default, deserialize_with = "present")]
    by: Option<String>,
}

/// What an organization did on some days.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageAnswer {
    /// The first day, in Beijing.
    #[schema(format = Date, example = "2026-11-01")]
    from: String,
    /// The last day, included.
    #[schema(format = Date, example = "2026-11-23")]
    to: String,
    #[schema(value_type = GroupingCode)]
    by: &'static str,
    /// One entry for each day, or site, on which anything was counted; in their order.
    usage: Vec<UsageCounts>,
    /// The sum of all entries.
    total: UsageCounts,
}

/// Sums of one day, of one site, or of all.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageCounts {
    /// Only where counts are by day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date, example = "2026-11-23")]
    day: Option<String>,
    /// Only where counts are by site: as the checks named it; `(none)` for what named none and for what was refused, `(other)` for
    /// sites beyond the bound of a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "harbour-2")]
    site: Option<String>,
    /// Checks that got a verdict, alone or in a batch: the sum of the four that follow.
    checks: u64,
    not_listed: u64,
    card_listed: u64,
    other_card_listed: u64,
    number_listed: u64,
    /// Checks refused for what was sent: each bad item of a batch, each call refused whole.
    invalid: u64,
    /// Checks refused by a limit (429): each item, each call refused whole.
    limited: u64,
    /// Checks that the service could not answer (5xx): each item, each call refused whole.
    unavailable: u64,
    /// Batches answered; their items are among the others.
    batches: u64,
    /// Receipts verified by `POST /v1/receipts/verify`.
    receipts_verified: u64,
    /// Loss reports stored, without repetitions.
    loss_reports: u64,
    /// Misuse reports stored, without repetitions.
    misuse_reports: u64,
}

/// Read your organization's usage
///
/// How many checks the organization of the token made and how they ended, by day or by site; nothing about a person, and
/// nothing about other organizations. Any scope; costs ten units. Days are calendar days in Beijing, at most 400 at a time; without
/// `from` and `to` the last thirty. Counts are added every few seconds (`usage.flush_seconds`, 5 by default), today's too, and
/// kept for two years unless the operator says otherwise. A node that is killed may lose its last seconds: counts may be too low, never
/// too high. With `Accept: text/csv` the entries come as CSV: a header and one line for each entry.
#[utoipa::path(
    get, path = "/v1/usage", operation_id = "getUsage", tag = "usage", security(("bearer" = [])),
    params(
        ("from" = Option<String>, Query, nullable = false, format = Date, example = "2026-11-01", description = "The first day; thirty days with `to` if absent."),
        ("to" = Option<String>, Query, nullable = false, format = Date, example = "2026-11-23", description = "The last day, included; today if absent."),
        ("by" = Option<GroupingName>, Query, nullable = false, description = "`day` or `site`; `day` if absent."),
    ),
    responses(
        (status = 200, description = "The counts.", content((UsageAnswer = "application/json"), (String = "text/csv", example = "day,checks,not_listed,card_listed,other_card_listed,number_listed,invalid,limited,unavailable,batches,receipts_verified,loss_reports,misuse_reports\r\n2026-11-24,3,3,0,0,0,1,0,0,0,0,0,0\r\n"))),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let (days, by) = read_query(request.query_string(), state.clock.today())?;
    let report = state.read_in_time(state.usage.report(caller.organization_id(), days, by)).await??;
    // Up to 10,000 groups: that would keep the other requests of the worker waiting.
    let mut response = if wants_csv(&request) {
        let name = format!("attachment; filename=\"usage-{}-{}-by-{}.csv\"", days.from(), days.to(), by.as_str());
        HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8; header=present")
            .insert_header((header::CONTENT_DISPOSITION, name))
            .body(caller.work(Work::Short, move || to_csv(&report, by)).await?)
    } else {
        let of = move |group: &Group| UsageCounts::of(Some((by, &group.name)), &group.counts);
        let answer = move || UsageAnswer {
            from: days.from().to_string(),
            to: days.to().to_string(),
            by: by.as_str(),
            usage: report.groups.iter().map(of).collect(),
            total: UsageCounts::of(None, &report.total),
        };
        written(caller.work(Work::Short, move || to_json(&answer())).await?)
    };
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("Accept"));
    Ok(response)
}

fn read_query(query: &str, today: jiff::civil::Date) -> Result<(Days, Grouping), Problem> {
    let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the query takes from, to and by, each once");
    let Query(asked): web::Query<UsageQuery> = Query::from_query(query).map_err(malformed)?;
    let mut fields = Fields::default();
    let from = fields.date("/from", asked.from.as_deref());
    let to = fields.date("/to", asked.to.as_deref());
    let by = fields.word("/by", asked.by.as_deref().unwrap_or("day"), Grouping::parse, "day, site");
    let days = if fields.errors.is_empty() {
        Days::new(from, to, today).map_err(|error| fields.refuse(error.pointer(), error.code(), error.to_string())).ok()
    } else {
        None
    };
    fields.finish(days.zip(by))
}

/// Whether the caller would rather have CSV.
fn wants_csv(request: &HttpRequest) -> bool {
    preferred(request, ["application/json", "text/csv"]) == "text/csv"
}

/// RFC 4180: lines end with CRLF. A spreadsheet would take a field that begins with one of `=+-@` for a formula: an apostrophe before
/// it makes it text (of these a site can begin with `-` alone).
fn to_csv(report: &Report, by: Grouping) -> String {
    let mut text = format!("{},checks", by.as_str());
    for outcome in Outcome::ALL {
        let _ = write!(text, ",{}", outcome.as_str());
    }
    text.push_str("\r\n");
    for group in &report.groups {
        text.push_str(&csv_field(&group.name));
        let _ = write!(text, ",{}", group.counts.checks());
        for &outcome in Outcome::ALL {
            let _ = write!(text, ",{}", group.counts.of(outcome));
        }
        text.push_str("\r\n");
    }
    text
}

fn csv_field(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

impl UsageCounts {
    fn of(group: Option<(Grouping, &str)>, counts: &Counts) -> Self {
        let named = |by| group.filter(|(of, _)| *of == by).map(|(_, name)| name.to_owned());
        Self {
            day: named(Grouping::Day),
            site: named(Grouping::Site),
            checks: counts.checks(),
            not_listed: counts.of(Outcome::NotListed),
            card_listed: counts.of(Outcome::CardListed),
            other_card_listed: counts.of(Outcome::OtherCardListed),
            number_listed: counts.of(Outcome::NumberListed),
            invalid: counts.of(Outcome::Invalid),
            limited: counts.of(Outcome::Limited),
            unavailable: counts.of(Outcome::Unavailable),
            batches: counts.of(Outcome::Batches),
            receipts_verified: counts.of(Outcome::ReceiptsVerified),
            loss_reports: counts.of(Outcome::LossReports),
            misuse_reports: counts.of(Outcome::MisuseReports),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_query_is_days_and_a_grouping_each_once() {
        let today = date(2026, 11, 23);
        for (query, expected) in [
            ("", Ok((date(2026, 10, 25), today, Grouping::Day))),
            ("by=site&to=2026-11-01&from=2026-11-01", Ok((date(2026, 11, 1), date(2026, 11, 1), Grouping::Site))),
            ("from=2026-11-01&from=2026-11-02", Err(problem::MALFORMED_REQUEST)),
            ("organization=x", Err(problem::MALFORMED_REQUEST)),
            ("from", Err(problem::INVALID_VALUE)),
            ("from=2026-11-31", Err(problem::INVALID_VALUE)),
            ("from=20261101", Err(problem::INVALID_VALUE)),
            ("to=2026-11-01T00:00:00Z", Err(problem::INVALID_VALUE)),
            ("by=hour", Err(problem::INVALID_VALUE)),
            ("by=", Err(problem::INVALID_VALUE)),
            ("from=2026-11-24", Err(problem::INVALID_VALUE)),
            ("from=2025-01-01&to=2026-11-01", Err(problem::INVALID_VALUE)),
        ] {
            let read = read_query(query, today).map(|(days, by)| (days.from(), days.to(), by));
            assert_eq!(read.map_err(|problem| problem.kind()), expected, "{query}");
        }
    }

    #[test]
    fn csv_comes_where_it_is_preferred() {
        for (accept, csv) in [
            (None, false),
            (Some("*/*"), false),
            (Some("text/csv"), true),
            (Some("text/csv; q=0.9, application/json; q=0.5"), true),
            (Some("application/json, text/csv"), false),
            (Some("text/csv;q=0"), false),
            (Some("text/html"), false),
            (Some("nonsense"), false),
            (Some("text/csv;q=0.2, */*;q=0.9"), false),
            (Some("text/csv, */*;q=0.9"), true),
            (Some("text/csv, application/json;q=0, */*"), true),
            (Some("text/*;q=0.5, application/json;q=0.4"), true),
        ] {
            let request = accept
                .iter()
                .fold(TestRequest::default(), |request, accept| request.insert_header((header::ACCEPT, *accept)));
            assert_eq!(wants_csv(&request.to_http_request()), csv, "{accept:?}");
        }
    }

    #[test]
    fn no_field_of_csv_is_a_formula() {
        let mut counts = Counts::default();
        counts.add(Outcome::CardListed, 2);
        let groups = ["-1:2", "a.b"].map(|name| Group { name: name.to_owned(), counts });
        let report = Report { groups: groups.to_vec(), total: counts };
        let text = to_csv(&report, Grouping::Site);
        let lines: Vec<_> = text.split("\r\n").collect();
        assert!(lines[0].starts_with("site,checks,not_listed,card_listed,"), "{text}");
        assert_eq!((lines[1], lines[2]), ("'-1:2,2,0,2,0,0,0,0,0,0,0,0,0", "a.b,2,0,2,0,0,0,0,0,0,0,0,0"));
        assert_eq!((lines[3], lines.len()), ("", 4));
        for (field, told) in [("=1+1", "'=1+1"), ("@x", "'@x"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("a", "a")]
        {
            assert_eq!(csv_field(field), told);
        }
    }
}
