//! The bytes of an answer, head and body, as the long way would send them.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, HttpDate};

use crate::domain::instant::UnixMs;
use crate::http::pipeline::answering::{NO_SNIFF, NO_STORE, ONE_YEAR, Standings};

/// The `Date` of answers (RFC 9110, 6.6.1), written once a second.
#[derive(Debug)]
pub(super) struct DateLine {
    second: Cell<i64>,
    text: Cell<[u8; 29]>,
}

impl DateLine {
    pub(super) fn new() -> Self {
        Self { second: Cell::new(i64::MIN), text: Cell::new(*b"Thu, 01 Jan 1970 00:00:00 GMT") }
    }

    pub(super) fn at(&self, now: UnixMs) -> [u8; 29] {
        let second = now.seconds();
        if self.second.replace(second) != second {
            let since = Duration::from_secs(u64::try_from(second).unwrap_or(0));
            let text = HttpDate::from(SystemTime::UNIX_EPOCH + since).to_string();
            // Every date has this length (RFC 9110, 5.6.7).
            self.text.set(text.as_bytes().try_into().unwrap_or(self.text.get()));
        }
        self.text.get()
    }
}

/// What an answer's head says.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) status: StatusCode,
    pub(super) request_id: &'a str,
    pub(super) standings: Standings,
    /// The connection ends after it.
    pub(super) is_last: bool,
    /// Clients reach the service by TLS.
    pub(super) is_https: bool,
    pub(super) date: [u8; 29],
}

/// Appends an answer. `fields` are those that depend on what is answered, its type among them.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    fields: impl Iterator<Item = (HeaderName, HeaderValue)>,
    body: &[u8],
) {
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    put(&[b"HTTP/1.1 ", head.status.as_str().as_bytes(), b" "]);
    put(&[head.status.canonical_reason().unwrap_or_default().as_bytes(), b"\r\ncontent-length: "]);
    put(&[itoa::Buffer::new().format(body.len()).as_bytes()]);
    if head.is_last {
        put(&[b"\r\nconnection: close"]);
    }
    for (name, value) in fields {
        put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    put(&[b"\r\nx-request-id: ", head.request_id.as_bytes()]);
    put(&[b"\r\nx-content-type-options: ", NO_SNIFF.as_bytes(), b"\r\ncache-control: ", NO_STORE.as_bytes()]);
    if head.is_https {
        put(&[b"\r\nstrict-transport-security: ", ONE_YEAR.as_bytes()]);
    }
    head.standings.tell(|name, text| put(&[b"\r\n", name.as_str().as_bytes(), b": ", text]));
    put(&[b"\r\ndate: ", &head.date, b"\r\n\r\n", body]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_date_follows_the_clock() {
        let clock = Clock::fixed_at(UnixMs::new(784_111_777_000));
        let line = DateLine::new();
        assert_eq!(&line.at(clock.now_ms()), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(999));
        assert_eq!(&line.at(clock.now_ms()), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(1));
        assert_eq!(&line.at(clock.now_ms()), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
