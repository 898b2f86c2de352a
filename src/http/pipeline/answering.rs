//! What every answer carries and what is logged of it, for the long way of a request ([`super::boundary`]) and for the short way of
//! a check ([`super::lane`]) alike: the headers, the problem's own headers, the lines of the log. Writes to no socket.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use super::state::AppState;
use crate::domain::client::Actor;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::Class;
use crate::limits::{Asker, LimitName, Standing};
use crate::telemetry::seconds;

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// For clients that reached it by TLS (RFC 6797, 7.2); over plain HTTP it means nothing (8.1).
pub(super) const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
pub(super) const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const LENGTH_MAX: usize = 128;

/// Answers that take longer are logged even if they succeed.
const SLOW_MS: u64 = 500;

/// Long enough for the longest names of two limits and three numbers of each; on the stack, for every answer carries two.
#[derive(Debug)]
struct ShortText {
    bytes: [u8; LENGTH_MAX],
    length: usize,
}

impl ShortText {
    const EMPTY: Self = Self { bytes: [0; LENGTH_MAX], length: 0 };

    fn put(&mut self, text: &str) -> &mut Self {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.length += text.len();
        }
        self
    }

    fn put_number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.put(itoa::Buffer::new().format(number))
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What an answer says about the caller's limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standings {
    pub(super) call: Option<Standing>,
    /// What is left of a client's numbers, after a check.
    pub(super) numbers: Option<Standing>,
}

impl Standings {
    /// The same for a refusal: the limit that spoke tells its own.
    pub(super) fn refused_by(self, problem: &Problem) -> Self {
        match problem.standing() {
            Some(standing) if standing.limit == LimitName::Numbers => Self { numbers: Some(standing), ..self },
            Some(standing) => Self { call: Some(standing), ..self },
            None => self,
        }
    }

    /// Tells `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): the one place that knows the draft.
    pub(super) fn tell(self, mut put: impl FnMut(HeaderName, &[u8])) {
        let some = [self.call, self.numbers];
        if some.iter().all(Option::is_none) {
            return;
        }
        for (name, item) in [(RATE_LIMIT_POLICY, put_policy as PutItem), (RATE_LIMIT, put_left)] {
            let mut text = ShortText::EMPTY;
            some.into_iter().flatten().for_each(|standing| item(&mut text, standing));
            put(name, text.as_bytes());
        }
    }
}

type PutItem = fn(&mut ShortText, Standing);

/// An item of `RateLimit-Policy`. Each answer has two: they are put together without the formatting of the standard library.
fn put_policy(list: &mut ShortText, Standing { limit, rate, .. }: Standing) {
    put_name(list, limit).put(";q=").put_number(rate.requests.get()).put(";w=").put_number(rate.per_seconds.get());
}

/// An item of `RateLimit`.
fn put_left(list: &mut ShortText, Standing { limit, remaining, reset_s, .. }: Standing) {
    put_name(list, limit).put(";r=").put_number(remaining).put(";t=").put_number(reset_s);
}

fn put_name(list: &mut ShortText, limit: LimitName) -> &mut ShortText {
    if !list.as_bytes().is_empty() {
        list.put(", ");
    }
    list.put("\"").put(limit.as_str()).put("\"")
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
    pub(super) asker: Asker,
    /// It is the asker's own load that left no room.
    pub(super) is_own_load: bool,
    pub(super) spent_ns: u64,
}

pub(super) fn log_failure(state: &AppState, failure: &Failure<'_>) {
    let &Failure { request_id, method, route, status, code, limit, caller, asker, is_own_load, spent_ns } = failure;
    state.metrics.problems.with_label_values(&[code]).inc();
    if let Some(limit) = limit.filter(|_| status == StatusCode::TOO_MANY_REQUESTS) {
        state.metrics.limited.with_label_values(&[limit.as_str()]).inc();
        if let Some(caller) = caller {
            state.access.seen().note_refused(caller.client);
        }
    }
    let (elapsed_us, status) = (spent_ns / 1000, status.as_u16());
    if code == problem::REDUCED_CAPACITY.code {
        state.admission.note_refusal(asker, is_own_load, state.clock.boot_ns());
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::domain::client::Rate;

    #[test]
    fn the_longest_standings_fit() {
        let rate = Rate { requests: NonZeroU32::MAX, per_seconds: NonZeroU32::MAX };
        let of = |limit| Some(Standing { limit, rate, remaining: u32::MAX, reset_s: u64::from(u32::MAX) });
        let standings = Standings { call: of(LimitName::AbnormalUse), numbers: of(LimitName::Numbers) };
        let mut texts = Vec::new();
        standings.tell(|_, text| texts.push(String::from_utf8(text.to_vec()).unwrap()));
        let policies = r#""abnormal_use";q=4294967295;w=4294967295, "numbers";q=4294967295;w=4294967295"#;
        let left = r#""abnormal_use";r=4294967295;t=4294967295, "numbers";r=4294967295;t=4294967295"#;
        assert_eq!(texts, [policies, left]);
        Standings::default().tell(|name, _| panic!("{name}"));
    }
}
