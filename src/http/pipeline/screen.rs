//! What no path takes, judged before anything is looked up: the head, the target, the host, what is expected; and the id by which
//! a request is known. What is refused here is refused by its form alone.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use uuid::Uuid;

use super::state::AppState;
use super::wire::{Faults, HeadFault};
use crate::clock::beijing_date;
use crate::crypto::random;
use crate::domain::instant::UnixMs;
use crate::domain::label::holds_id_number;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::{Class, Route};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer targets are refused (RFC 9110, 15.5.15); the longest of the API is under 100 bytes.
const TARGET_BYTES_MAX: usize = 2048;
/// A browser sends one tag; a cache that keeps several, a few.
const CONDITION_BYTES_MAX: usize = 1024;
const TARGET_DETAIL: &str = "the longest path of this API has under 100 bytes";

/// What a request is for, by its matched row and never by its raw path: `/%761/checks` is `/v1/checks` to the router, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) route: Option<&'static Route>,
    /// Whether it is, or might be, about a person: below the roots of the API that is so for what no row names, too.
    pub(super) is_personal: bool,
}

impl Target {
    pub(super) fn of(request: &ServiceRequest, state: &AppState) -> Self {
        // Percent-decoded by the router, which matches this very text.
        let path = request.match_info().as_str();
        let route = state.routes.find(request.method(), path);
        let is_personal = route.map_or_else(|| state.routes.is_below_root(path), |route| route.is_personal);
        Self { route, is_personal }
    }

    pub(super) fn class(self) -> Option<Class> {
        self.route.and_then(|route| route.class)
    }

    /// For logs and metrics: the pattern, never the path that was sent.
    pub(super) fn label(self, response: &ServiceResponse<BoxBody>) -> String {
        let pattern = self.route.map(|route| route.path.to_owned()).or_else(|| response.request().match_pattern());
        pattern.unwrap_or_else(|| "(none)".to_owned())
    }
}

/// The id of a request: the one that came with it, or a new one.
pub(super) fn request_id(request: &ServiceRequest, state: &AppState) -> String {
    request_id_of(request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()), state.clock.now_ms())
}

/// A well-formed id of the client's, or a new one. One that could hold a number or a digest is not taken: ids are logged.
pub(super) fn request_id_of(offered: Option<&str>, now_ms: UnixMs) -> String {
    let offered = offered.filter(|text| {
        let bytes = text.as_bytes();
        let is_digest = bytes.len() == 64 && bytes.iter().all(u8::is_ascii_hexdigit);
        (1..=64).contains(&bytes.len())
            && !is_digest
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && !holds_id_number(text, beijing_date(now_ms))
    });
    let new = || random::uuid_v7(now_ms).hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
    offered.map_or_else(new, str::to_owned)
}

/// Takes away a condition that none of this service's tags can meet: its answer is the one without it. To read a long one as a list
/// would keep the event loop; one beyond ASCII, as tags of others may be (RFC 9110, 8.8.3), would be refused by its reader.
pub(super) fn drop_foreign_condition(request: &mut ServiceRequest) {
    let conditions = || request.headers().get_all(header::IF_NONE_MATCH);
    let length: usize = conditions().map(HeaderValue::len).sum();
    if length > CONDITION_BYTES_MAX || conditions().any(|value| value.to_str().is_err()) {
        request.headers_mut().remove(header::IF_NONE_MATCH);
    }
}

/// What no path takes.
pub(super) fn screen(request: &ServiceRequest, state: &AppState, target: Target) -> Result<(), Problem> {
    let malformed = |detail: &'static str| Err(Problem::new(problem::MALFORMED_REQUEST, detail));
    if let Some(fault) = request.conn_data::<Rc<Faults>>().and_then(|faults| faults.of_head(request.method())) {
        return Err(refused_head(fault));
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX) {
        return Err(Problem::new(problem::TARGET_TOO_LONG, TARGET_DETAIL));
    }
    let path = request.uri().path();
    if path.contains('%') && !decodes_to_text(path) {
        return malformed("the path holds control characters or is not UTF-8");
    }
    let takes_query = |route: &Route| route.takes_query && route.methods().contains(request.method());
    if target.is_personal
        && !target.route.is_some_and(takes_query)
        && request.uri().query().is_some_and(|query| !query.is_empty())
    {
        return malformed("this path takes no query: nothing about a person may be in a URL");
    }
    if let Some(expect) = request.headers().get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Problem::new(problem::EXPECTATION_FAILED, "only 100-continue can be expected"));
    }
    // Probes reach a node by its address, whatever its name.
    if !target.route.is_some_and(|route| route.is_probe) && !state.hosts.accepts(host(request)) {
        return Err(Problem::new(problem::WRONG_HOST, "the Host header names another server"));
    }
    Ok(())
}

/// The host that is asked: that of the target where it has one, whatever `Host` says (RFC 9112, 3.2.2).
fn host(request: &ServiceRequest) -> Option<&str> {
    let of_target = request.uri().authority().map(Authority::as_str);
    of_target.or_else(|| request.headers().get(header::HOST).and_then(|value| value.to_str().ok()))
}

/// What the head in whose place this request stands is refused for.
fn refused_head(fault: HeadFault) -> Problem {
    match fault {
        HeadFault::Malformed => Problem::new(problem::MALFORMED_REQUEST, "the head is not as HTTP/1.1 has it"),
        HeadFault::BareLineFeed => Problem::new(problem::MALFORMED_REQUEST, "a line of the head ends in LF without CR"),
        HeadFault::TooLarge => Problem::new(problem::HEAD_TOO_LARGE, "a head has at most 32 KiB and 96 fields"),
        HeadFault::TargetTooLong => Problem::new(problem::TARGET_TOO_LONG, TARGET_DETAIL),
        HeadFault::Preface => Problem::new(problem::MALFORMED_REQUEST, "the connection begins with no PROXY preface"),
        HeadFault::Full(full) => full.problem(false),
        HeadFault::TooSlow => Problem::new(problem::TOO_SLOW, "the head did not arrive within five seconds"),
    }
}

/// Whether percent-decoding gives UTF-8 without control characters.
fn decodes_to_text(path: &str) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut one = [0];
        let Some((pair, tail)) = rest.split_at_checked(2) else { return false };
        if hex::decode_to_slice(pair, &mut one).is_err() {
            return false;
        }
        decoded.push(one[0]);
        rest = tail;
    }
    std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_must_decode_to_text() {
        assert!(decodes_to_text("/v1/loss-reports/abc%20d"));
        for bad in ["/%0d%0aSet-Cookie:x", "/%ff", "/%", "/%4", "/%zz", "/%00"] {
            assert!(!decodes_to_text(bad), "{bad}");
        }
    }
}
