//! What every answer carries and what is logged of it, for the long way of a request ([`super::boundary`]) and for the short way of
//! a check ([`super::lane`]) alike: the headers, the problem's own headers, the lines of the log. Writes to no socket.

use std::io::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use super::state::AppState;
use crate::domain::client::Actor;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::Class;
use crate::limits::{LimitName, Standing};
use crate::telemetry::seconds;

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// For clients that reached it by TLS (RFC 6797, 7.2); over plain HTTP it means nothing (8.1).
pub(super) const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
pub(super) const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Answers that take longer are logged even if they succeed.
const SLOW_MS: u64 = 500;

/// Long enough for the longest name of a limit and three numbers; on the stack, for every answer carries two.
#[derive(Debug)]
pub(super) struct ShortText {
    bytes: [u8; 64],
    length: usize,
}

impl ShortText {
    fn of(text: std::fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; 64];
        let mut rest = bytes.as_mut_slice();
        let fits = rest.write_fmt(text).is_ok();
        let length = if fits { 64 - rest.len() } else { 0 };
        Self { bytes, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): the one place that knows the draft.
pub(super) fn standing_fields(standing: Standing) -> [(HeaderName, ShortText); 2] {
    let (name, rate) = (standing.limit.as_str(), standing.rate);
    [
        (RATE_LIMIT_POLICY, ShortText::of(format_args!(r#""{name}";q={};w={}"#, rate.requests, rate.per_seconds))),
        (RATE_LIMIT, ShortText::of(format_args!(r#""{name}";r={};t={}"#, standing.remaining, standing.reset_s))),
    ]
}

/// The headers that a problem's answer has of its own.
pub(super) fn problem_fields(problem: &Problem) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let challenge = problem.challenge().and_then(|text| HeaderValue::from_str(text).ok());
    let challenge = challenge.map(|value| (header::WWW_AUTHENTICATE, value));
    let retry_after = problem.retry_after_s().map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds)));
    [Some((header::CONTENT_TYPE, PROBLEM_JSON)), challenge, retry_after].into_iter().flatten()
}

/// A request that failed, as it is counted and logged. Raw paths, queries and header values are never part of it.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) request_id: &'a str,
    pub(super) method: &'a str,
    /// The pattern of its path.
    pub(super) route: &'a str,
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// The limit that spoke.
    pub(super) limit: Option<LimitName>,
    pub(super) caller: Option<Actor>,
    pub(super) spent_ns: u64,
}

pub(super) fn log_failure(state: &AppState, failure: &Failure<'_>) {
    let &Failure { request_id, method, route, status, code, limit, caller, spent_ns } = failure;
    state.metrics.problems.with_label_values(&[code]).inc();
    if let Some(limit) = limit.filter(|_| status == StatusCode::TOO_MANY_REQUESTS) {
        state.metrics.limited.with_label_values(&[limit.as_str()]).inc();
    }
    let (elapsed_us, status) = (spent_ns / 1000, status.as_u16());
    if code == problem::REDUCED_CAPACITY.code {
        state.admission.note_refusal(state.clock.boot_ns());
        return;
    }
    if !state.refusal_log.admits(code, caller, state.clock.boot_ns()) {
        return;
    }
    let client = caller.map(|caller| tracing::field::display(caller.client));
    let organization = caller.map(|caller| tracing::field::display(caller.organization));
    if status >= 500 {
        tracing::error!(request_id, method, route, status, code, client, organization, elapsed_us, "request failed");
    } else {
        tracing::info!(request_id, method, route, status, code, client, organization, elapsed_us, "request refused");
    }
}

/// Counts the time of a check, and of what was stored and published; logs a success only if it was slow.
pub(super) fn note_success(
    state: &AppState,
    class: Option<Class>,
    status: StatusCode,
    request_id: &str,
    route: impl FnOnce() -> String,
    spent_ns: u64,
) {
    if class == Some(Class::Check) {
        state.metrics.check_seconds.observe(seconds(spent_ns));
    } else if status == StatusCode::CREATED {
        state.metrics.created_seconds.observe(seconds(spent_ns));
    }
    let elapsed_ms = spent_ns / 1_000_000;
    if elapsed_ms > SLOW_MS && state.refusal_log.admits("slow", None, state.clock.boot_ns()) {
        tracing::warn!(request_id, route = route(), elapsed_ms, status = status.as_u16(), "slow request");
    }
}
