//! Refusals in the OpenAPI document: one response a status, with its headers and an example of each problem that has the
//! status, and the headers that successful answers share. Handlers name `Refused`; the document puts the status' own in its place.

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, ContentBuilder, Header, HeaderBuilder, Ref, RefOr, Response, Type};
use utoipa::openapi::{ResponseBuilder, schema::ObjectBuilder};

use super::problem::{self, FieldError, Kind, Problem};

const REQUEST_ID: &str = "01a20ab7-fbc3-7a3a-91a3-236b64f206b2";
const REFUSED: &str = "#/components/responses/Refused";
const LIMITS: &[&str] = &["RateLimit", "RateLimit-Policy"];

/// Status, name and meaning of each refusal, and the headers that it has beside `X-Request-Id`.
const REFUSALS: &[(u16, &str, &str, &[&str])] = &[
    (400, "BadRequest", "Not a request of the documented shape: the detail says where reading stopped.", &[]),
    (401, "Unauthorized", "There is no valid access token: get a new one.", &["WWW-Authenticate"]),
    (
        403,
        "Forbidden",
        "The token lacks the scope (`WWW-Authenticate` names it), or the organization, its office or this client may not do this.",
        &["WWW-Authenticate"],
    ),
    (404, "NotFound", "There is no such thing, or it is another organization's.", &[]),
    (408, "RequestTimeout", "The body did not arrive within ten seconds.", &[]),
    (409, "Conflict", "The object is in a state that does not allow this: the detail says why.", &[]),
    (413, "ContentTooLarge", "The body is larger than this operation takes.", &[]),
    (414, "UriTooLong", "The target is longer than any path of this service.", &[]),
    (415, "UnsupportedMediaType", "The body is of another type, encoded, or not in UTF-8.", &[]),
    (416, "RangeNotSatisfiable", "There are no such bytes.", &[]),
    (421, "MisdirectedRequest", "The `Host` header names another server.", &[]),
    (
        422,
        "UnprocessableContent",
        "Well-formed, and a value is wrong: `errors` points to each member. Never repeats what was sent.",
        &[],
    ),
    (
        429,
        "TooManyRequests",
        "A limit is spent, by its `code`: wait for the seconds of `Retry-After`, then repeat the request.",
        &["Retry-After", "RateLimit", "RateLimit-Policy"],
    ),
    (500, "InternalServerError", "The service failed; if it fails again, tell the operator the request id.", &[]),
    (
        503,
        "ServiceUnavailable",
        "No answer now, and no verdict: an outage is never an answer. Wait for the seconds of `Retry-After`. After `outcome_unknown` repeat exactly the same request with the same `Idempotency-Key`.",
        &["Retry-After"],
    ),
    (507, "InsufficientStorage", "The registry's disk is full and nothing was stored. Checks still get answers.", &[]),
];

/// Puts in the place of `Refused` what each status has, and the shared headers on what succeeds.
pub fn detail(operation: &mut Operation, components: &mut Components) {
    let is_limited =
        operation.responses.responses.contains_key("429") && operation.tags.as_deref() != Some(&["access".to_owned()]);
    for (status, response) in &mut operation.responses.responses {
        match response {
            RefOr::Ref(reference) if reference.ref_location == REFUSED => {
                let known = REFUSALS.iter().find(|(of, ..)| *status == of.to_string());
                if let Some((status, name, description, headers)) = known {
                    let refused = components.responses.entry((*name).to_owned());
                    refused.or_insert_with(|| refusal(*status, description, headers).into());
                    *response = Ref::from_response_name(*name).into();
                }
            }
            RefOr::T(answer) if status.starts_with('2') => {
                let limits = if is_limited { LIMITS } else { &[] };
                answer.headers.extend(references(limits));
            }
            _ => {}
        }
    }
    for (name, header) in headers() {
        components.headers.entry(name.to_owned()).or_insert_with(|| header.into());
    }
}

/// The document of every refusal, and an example of each kind of problem with this status.
fn refusal(status: u16, description: &str, headers: &[&str]) -> Response {
    let kinds = problem::ALL.iter().filter(|kind| kind.status.as_u16() == status);
    let examples = kinds.map(|kind| {
        let value = serde_json::from_str(&example(kind).to_json(REQUEST_ID, "")).ok();
        (kind.code, ExampleBuilder::new().summary(kind.title).value(value).build())
    });
    let examples = examples.map(|(code, example)| (code, RefOr::T(example)));
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples).build();
    let mut response =
        ResponseBuilder::new().description(description).content("application/problem+json", content).build();
    response.headers.extend(references(headers));
    response
}

fn references(names: &[&str]) -> BTreeMap<String, RefOr<Header>> {
    let all = names.iter().chain([&"X-Request-Id"]);
    all.map(|name| ((*name).to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))))).collect()
}

fn headers() -> [(&'static str, Header); 5] {
    let header = |description: &str, kind: Type, example: serde_json::Value| {
        let schema = ObjectBuilder::new().schema_type(kind).build();
        HeaderBuilder::new().description(Some(description)).schema(Some(schema)).example(Some(example)).build()
    };
    [
        (
            "X-Request-Id",
            header(
                "The request's id, the caller's own where it is well-formed. Quote it to the operator.",
                Type::String,
                REQUEST_ID.into(),
            ),
        ),
        (
            "RateLimit-Policy",
            header(
                "The limit that this call was counted against: `q` units in `w` seconds (draft-ietf-httpapi-ratelimit-headers). Of checks also `numbers`, which only a number costs that the client has not asked about for a day.",
                Type::String,
                r#""client";q=600;w=60"#.into(),
            ),
        ),
        (
            "RateLimit",
            header(
                "What is left of it: `r` units; it is whole again in `t` seconds.",
                Type::String,
                r#""client";r=599;t=60"#.into(),
            ),
        ),
        ("Retry-After", header("Seconds to wait before the request is sent again.", Type::Integer, 2.into())),
        (
            "WWW-Authenticate",
            header(
                "Why the token was not taken, or which scope it lacks (RFC 6750, 3).",
                Type::String,
                r#"Bearer error="invalid_token""#.into(),
            ),
        ),
    ]
}

/// A problem of a kind as it may come.
fn example(kind: &'static Kind) -> Problem {
    let detail = match kind.code {
        "malformed_json" => "unknown member (line 1, column 58)",
        "malformed_request" => "this path takes no query: nothing about a person may be in a URL",
        "invalid_token" => "the token has expired",
        "insufficient_scope" => "the token lacks the scope of this operation: registry",
        "insufficient_role" => "this needs a person with the role security",
        "office_not_yours" => "the office is not one of the organization's",
        "another_must_confirm" => "the client has asked for it itself: another client must confirm",
        "command_line_only" => {
            "clients of operators are made, and get what they prove themselves by, at the command line"
        }
        "pairing_refused" => "the code is not one that is good now",
        "passkey_refused" => "refused",
        "not_found" => "nothing is here for this caller",
        "too_slow" => "the body did not arrive in time",
        "report_not_active" => "the report is withdrawn",
        "body_too_large" => "the body may have at most 262144 bytes",
        "unsupported_media_type" => "the Content-Type is not the one this operation takes",
        "wrong_host" => "the Host header names another server",
        "idempotency_key_reused" => "the body differs from the first request with this key",
        "limit_spent"
        | "organization_limit_spent"
        | "address_limit_spent"
        | "public_limit_spent"
        | "abnormal_use"
        | "numbers_spent"
        | "address_share_held" => "wait for the seconds that Retry-After says",
        "neighbourhood_spent" => "other numbers still get answers",
        "attempts_spent" => "read the start of validity from the card again",
        "watches_spent" => "checks without watch_hours still get answers",
        "client_held" => "numbers that it asked about lately still get answers",
        "digests_refused" => "send the number itself",
        "batch_too_large_for_limit" => return Problem::batch_too_large(600),
        "base_too_old" => "more than 4,096 changes have happened since",
        "range_not_satisfiable" => "the base ends before the range begins",
        "blind_key_unknown" => "no key of that name is in force",
        "blind_behind" => "the base of this key is being built",
        "element_invalid" => {
            return Problem::of_members(
                problem::ELEMENT_INVALID,
                vec![FieldError {
                    pointer: "/blinded/0".into(),
                    code: "element_invalid",
                    detail:
                        "an element is 32 bytes as base64url without padding, in its only form, and not the identity"
                            .into(),
                }],
            );
        }
        "registry_unavailable" => "the store does not answer",
        "outcome_unknown" => "the commit was not confirmed",
        "store_read_only" | "storage_full" => "nothing was stored",
        "invalid_value" => {
            return Problem::invalid(vec![FieldError {
                pointer: "/id_number".into(),
                code: "wrong_check_character",
                detail: "the check character does not match the other 17".into(),
            }]);
        }
        _ => kind.title,
    };
    Problem::new(kind, detail)
}
