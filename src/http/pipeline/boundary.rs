//! The outermost layer of every request: what is refused whatever the path, the request id, the headers of every answer, the
//! text of every problem, and the one log line of a failure. Raw paths, queries and header values are never logged.

use std::io::Write as _;
use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpResponse};

use super::admission::Place;
use super::connection::{Connection, hand_over};
use super::exchange::{Exchange, OwnErrorForm, refused_check};
use super::state::AppState;
use crate::crypto::random;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::{Class, Route};
use crate::limits::Standing;
use crate::telemetry::seconds;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Longer targets are refused (RFC 9110, 15.5.15); the longest of the API is under 100 bytes.
const TARGET_BYTES_MAX: usize = 2048;
/// Answers that take longer are logged even if they succeed.
const SLOW_MS: u64 = 500;

/// Wraps every request.
pub async fn boundary(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<Data<AppState>>().cloned() else {
        return Ok(request.into_response(HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR)));
    };
    let started_ns = state.clock.boot_ns();
    let target = Target::of(&request, &state);
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.begin();
    }
    let mut exchange =
        Exchange { route: target.route, request_id: request_id(&request, &state), ..Exchange::default() };
    let admitted = screen(&request, &state, target).and_then(|()| admit(target, &state, started_ns));
    let admitted = admitted.map(|place| exchange.place = place);
    request.extensions_mut().insert(exchange);
    let mut response = match admitted {
        Err(problem) => request.error_response(problem),
        Ok(()) => match next.call(request).await {
            Ok(response) => response.map_into_boxed_body(),
            Err(error) => return Err(error),
        },
    };
    let exchange = response.request().extensions_mut().remove::<Exchange>();
    let Exchange { request_id: id, mut standing, organization, place, .. } = exchange.unwrap_or_default();
    let elapsed_ns = state.clock.boot_ns().saturating_sub(started_ns);
    if response.status().as_u16() >= 400 {
        let problem = response.response().extensions().get::<Problem>().cloned();
        let is_reduced = problem.as_ref().is_some_and(|problem| problem.kind().code == problem::REDUCED_CAPACITY.code);
        standing = problem.as_ref().and_then(Problem::standing).or(standing);
        response = explain(response, target, &id, &state, elapsed_ns);
        if let Some(organization) = organization.filter(|_| target.route.is_some_and(|route| route.gives_verdicts)) {
            state.counter.count(organization, refused_check(response.status().as_u16()), state.clock.now_ms());
        }
        // A refusal before the body was read would end the connection. Most bodies have come with their head, and are taken off
        // the connection as soon as this waits: then it stays.
        match is_reduced.then(|| state.delay.pace_refusal(state.clock.boot_ns())) {
            Some(wait) if !wait.is_zero() => tokio::time::sleep(wait).await,
            _ => tokio::task::yield_now().await,
        }
    } else {
        note_success(&response, target, &id, &state, elapsed_ns);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_maybe_shared(id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    // Only what is about nobody says for how long it may be kept.
    if target.is_personal && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
    if let Some(standing) = standing {
        write_standing(headers, standing);
    }
    if state.is_draining() {
        // The client learns it with its answer, so that it sends nothing more on a connection that is about to end.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(hand_over(response, place))
}

/// What a request is for, by its matched row and never by its raw path: `/%761/checks` is `/v1/checks` to the router, too.
#[derive(Debug, Clone, Copy)]
struct Target {
    route: Option<&'static Route>,
    /// Whether it is, or might be, about a person: below the roots of the API that is so for what no row names, too.
    is_personal: bool,
}

impl Target {
    fn of(request: &ServiceRequest, state: &AppState) -> Self {
        // Percent-decoded by the router, which matches this very text.
        let path = request.match_info().as_str();
        let route = state.routes.find(request.method(), path);
        let is_personal = route.map_or_else(|| state.routes.is_below_root(path), |route| route.is_personal);
        Self { route, is_personal }
    }

    fn class(self) -> Option<Class> {
        self.route.and_then(|route| route.class)
    }

    /// For logs and metrics: the pattern, never the path that was sent.
    fn label(self, response: &ServiceResponse<BoxBody>) -> String {
        let pattern = self.route.map(|route| route.path.to_owned()).or_else(|| response.request().match_pattern());
        pattern.unwrap_or_else(|| "(none)".to_owned())
    }
}

/// A place for what will wait. A single check takes one only when memory cannot answer it.
fn admit(target: Target, state: &AppState, now_ns: u64) -> Result<Option<Place>, Problem> {
    let Some(class) = target.class() else { return Ok(None) };
    if class != Class::Reports {
        state.delay.admit(now_ns)?;
    }
    if class == Class::Check { Ok(None) } else { state.admission.enter(class).map(Some) }
}

/// A well-formed id of the client's, or a new one. One that could hold a number or a digest is not taken: ids are logged.
fn request_id(request: &ServiceRequest, state: &AppState) -> String {
    let offered = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|text| {
        let bytes = text.as_bytes();
        let longest_run = bytes.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
        let is_digest = bytes.len() == 64 && bytes.iter().all(u8::is_ascii_hexdigit);
        (1..=64).contains(&bytes.len())
            && !is_digest
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && longest_run < 15
    });
    offered.map_or_else(|| random::uuid_v7(state.clock.now_ms()).to_string(), str::to_owned)
}

/// What no path takes.
fn screen(request: &ServiceRequest, state: &AppState, target: Target) -> Result<(), Problem> {
    let malformed = |detail: &'static str| Err(Problem::new(problem::MALFORMED_REQUEST, detail));
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX) {
        return Err(Problem::new(problem::TARGET_TOO_LONG, "the longest path of this API has under 100 bytes"));
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

fn host(request: &ServiceRequest) -> Option<&str> {
    request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(actix_web::http::uri::Authority::as_str))
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

/// Counts the time of a check, and of what was stored and published; logs a success only if it was slow.
fn note_success(response: &ServiceResponse<BoxBody>, target: Target, id: &str, state: &AppState, spent_ns: u64) {
    if target.class() == Some(Class::Check) {
        state.metrics.check_seconds.observe(seconds(spent_ns));
    } else if response.status() == StatusCode::CREATED {
        state.metrics.created_seconds.observe(seconds(spent_ns));
    }
    let elapsed_ms = spent_ns / 1_000_000;
    if elapsed_ms > SLOW_MS {
        let route = target.label(response);
        tracing::warn!(request_id = id, route, elapsed_ms, status = response.status().as_u16(), "slow request");
    }
}

/// Writes the problem document, counts and logs the failure.
fn explain(
    response: ServiceResponse<BoxBody>,
    target: Target,
    request_id: &str,
    state: &AppState,
    spent_ns: u64,
) -> ServiceResponse<BoxBody> {
    let own_form = response.response().extensions().get::<OwnErrorForm>().copied();
    let problem = response.response().extensions().get::<Problem>().cloned();
    let problem = problem.unwrap_or_else(|| Problem::of_status(response.status()));
    let code = own_form.map_or(problem.kind().code, |form| form.0);
    log_failure(&response, target, request_id, code, state, spent_ns);
    if own_form.is_some() {
        return response;
    }
    let (request, old) = response.into_parts();
    let mut fresh = HttpResponse::build(problem.kind().status);
    fresh.insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
    if let Some(allow) = old.headers().get(header::ALLOW) {
        fresh.insert_header((header::ALLOW, allow.clone()));
    }
    if let Some(challenge) = problem.challenge() {
        fresh.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    if let Some(seconds) = problem.retry_after_s() {
        fresh.insert_header((header::RETRY_AFTER, seconds));
    }
    let body = problem.to_json(request_id);
    ServiceResponse::new(request, fresh.body(body))
}

fn log_failure(
    response: &ServiceResponse<BoxBody>,
    target: Target,
    request_id: &str,
    code: &str,
    state: &AppState,
    spent_ns: u64,
) {
    state.metrics.problems.with_label_values(&[code]).inc();
    let problem = response.response().extensions();
    if let Some(standing) = problem.get::<Problem>().and_then(Problem::standing)
        && response.status() == StatusCode::TOO_MANY_REQUESTS
    {
        state.metrics.limited.with_label_values(&[standing.limit.as_str()]).inc();
    }
    drop(problem);
    let status = response.status().as_u16();
    let route = target.label(response);
    let method = response.request().method().as_str();
    let method = if matches!(method, "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") {
        method
    } else {
        "(other)"
    };
    let elapsed_us = spent_ns / 1000;
    if code == problem::REDUCED_CAPACITY.code {
        state.admission.note_refusal(state.clock.boot_ns());
    } else if status >= 500 {
        tracing::error!(request_id, method, route, status, code, elapsed_us, "request failed");
    } else {
        tracing::info!(request_id, method, route, status, code, elapsed_us, "request refused");
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): the one place that knows the draft.
fn write_standing(headers: &mut header::HeaderMap, standing: Standing) {
    let (name, rate) = (standing.limit.as_str(), standing.rate);
    let mut insert = |header, text: std::fmt::Arguments<'_>| {
        // Long enough for the longest name and three numbers; on the stack, for every answer carries both headers.
        let mut bytes = [0; 64];
        let mut rest = bytes.as_mut_slice();
        let fits = rest.write_fmt(text).is_ok();
        let length = 64 - rest.len();
        if let Some(value) = bytes.get(..length).filter(|_| fits).and_then(|text| HeaderValue::from_bytes(text).ok()) {
            headers.insert(header, value);
        }
    };
    insert(RATE_LIMIT_POLICY, format_args!(r#""{name}";q={};w={}"#, rate.requests, rate.per_seconds));
    insert(RATE_LIMIT, format_args!(r#""{name}";r={};t={}"#, standing.remaining, standing.reset_s));
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
