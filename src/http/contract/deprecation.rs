//! An operation that is on its way out: since when, until when it is served at least, and what takes its place. Answers say it by
//! `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` (RFC 5829), the document by its own member.

use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue, HttpDate, TryIntoHeaderValue};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Deprecated, HeaderBuilder, RefOr};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Both days begin at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deprecation {
    pub since: Date,
    /// The first day on which it may be gone.
    pub sunset: Date,
    /// The path of the operation in its place.
    pub successor: &'static str,
}

impl Deprecation {
    /// Says it in an answer, to a caller who sees the service below this prefix.
    pub fn write(self, prefix: &str, headers: &mut HeaderMap) {
        let (Some(since), Some(sunset)) = (seconds(self.since), seconds(self.sunset)) else { return };
        // A date of RFC 9651 (3.3.7), and one of HTTP.
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(sunset);
        for (name, value) in [
            (DEPRECATION, HeaderValue::from_str(&format!("@{since}")).ok()),
            (SUNSET, HttpDate::from(until).try_into_value().ok()),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        // A place for an id stays as the document has it: nothing that was sent is repeated.
        let link =
            format!("<{prefix}{}>; rel=\"successor-version\"", self.successor.replace('{', "%7B").replace('}', "%7D"));
        if let Ok(value) = HeaderValue::from_str(&link) {
            headers.append(header::LINK, value);
        }
    }

    /// Says it in the document.
    pub fn describe(self, operation: &mut Operation) {
        operation.deprecated = Some(Deprecated::True);
        let words = format!(
            "Deprecated since {}; it may be gone from {} on. `{}` takes its place.",
            self.since, self.sunset, self.successor
        );
        let text = operation.description.take().map(|text| format!("{words}\n\n{text}"));
        operation.description = Some(text.unwrap_or(words));
        for response in operation.responses.responses.values_mut() {
            let RefOr::T(response) = response else { continue };
            for (name, description) in [
                ("Deprecation", "Since when the operation is deprecated (RFC 9745)."),
                ("Sunset", "From when on it may be gone (RFC 8594)."),
                ("Link", "The operation in its place, as `successor-version` (RFC 5829)."),
            ] {
                response
                    .headers
                    .insert(name.to_owned(), HeaderBuilder::new().description(Some(description)).build().into());
            }
        }
    }
}

fn seconds(day: Date) -> Option<u64> {
    let midnight = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
    u64::try_from(midnight.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::http::contract::openapi;
    use crate::http::contract::route::{Class, Route, Table};

    #[test]
    fn a_row_says_it_in_answers_and_in_the_document() {
        static ROWS: &[Route] = &[
            Route::get("/v1/status").deprecated(date(2026, 12, 1), date(2027, 6, 1), "/v2/status"),
            Route::post("/v1/checks").personal(Class::Check),
        ];
        let mut headers = HeaderMap::new();
        ROWS[0].deprecation.unwrap().write("/registry", &mut headers);
        assert_eq!(headers.get("deprecation").unwrap(), "@1796083200");
        assert_eq!(headers.get("sunset").unwrap(), "Tue, 01 Jun 2027 00:00:00 GMT");
        assert_eq!(headers.get("link").unwrap(), "</registry/v2/status>; rel=\"successor-version\"");
        assert_eq!(ROWS[1].deprecation, None);
        let document = openapi::document(crate::http::routes::operations(), Table::new(ROWS, &["/v1/"]));
        let document = serde_json::to_value(document).unwrap();
        let status = &document["paths"]["/v1/status"]["get"];
        assert_eq!(status["deprecated"], true);
        assert!(status["description"].as_str().unwrap().starts_with(
            "Deprecated since 2026-12-01; it may be gone from 2027-06-01 on. `/v2/status` takes its place."
        ));
        let said = &status["responses"]["200"]["headers"];
        assert!(said["Deprecation"].is_object() && said["Sunset"].is_object() && said["Link"].is_object(), "{said}");
        assert!(document["paths"]["/v1/checks"]["post"].get("deprecated").is_none());
    }
}
