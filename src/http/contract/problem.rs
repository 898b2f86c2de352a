//! The only error-to-response table: every refusal of the API is a kind of this file (RFC 9457), with its status, its title and
//! what to do about it. A problem never repeats what was sent. The body is written at the boundary, which knows the request id.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub use super::field_codes::FieldError;
use crate::domain::person::Role;
use crate::limits::{NumbersRefused, Refused, Standing};
use crate::service::json::JsonFault;

/// A kind of problem, as `/problems/{code}` explains it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub code: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    pub remedy: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $status:ident, $title:literal, $remedy:literal;)+) => {
        $(pub const $name: &Kind = &Kind { code: $code, status: StatusCode::$status, title: $title, remedy: $remedy };)+
        /// Every kind, in the order of their status codes.
        pub const ALL: &[&Kind] = &[$($name),+];
    };
}

kinds! {
    MALFORMED_JSON = "malformed_json", BAD_REQUEST, "The body is not JSON of the documented shape",
        "Send one JSON object with the documented members and no others, each once, none of them null. The detail says where reading stopped.";
    MALFORMED_REQUEST = "malformed_request", BAD_REQUEST, "The request is malformed",
        "Look at the detail: a header, the path or the query does not follow HTTP or this API. Only lists take query strings, with the documented members: no number may be in a URL.";
    INVALID_TOKEN = "invalid_token", UNAUTHORIZED, "There is no valid access token",
        "Get a token from POST /oauth2/token and send it as `Authorization: Bearer <token>`. Tokens live for ten minutes; get a new one when one expires.";
    PASSKEY_REFUSED = "passkey_refused", UNAUTHORIZED, "The passkey cannot be used",
        "Begin again, with a passkey that was made for this service. Ask the operator for a new link where you have none.";
    INSUFFICIENT_SCOPE = "insufficient_scope", FORBIDDEN, "The token lacks the scope for this operation",
        "Ask the operator to give your client the scope that the operation names, then get a new token.";
    INSUFFICIENT_ROLE = "insufficient_role", FORBIDDEN, "The person's role does not include this",
        "Ask a person with the role that the detail names. Roles come from the groups of your login: the operator's settings say which.";
    CLIENT_HELD = "client_held", FORBIDDEN, "The client is held: numbers that are new to it are not answered",
        "It was out of numbers on two days of thirty, or sent too many wrong check characters. Numbers that it asked about lately still get answers. Talk to the operator, who releases it.";
    DIGESTS_REFUSED = "digests_refused", FORBIDDEN, "This client may not send digests",
        "Send `id_number` instead of `id_digest`, or ask the operator to let your client send digests.";
    OFFICE_NOT_YOURS = "office_not_yours", FORBIDDEN, "The office is not one of your organization's",
        "Act for an office of your own: its code begins with your organization's region or with a prefix that the operator has registered. Let the organization that filed a report end it, or ask the operator.";
    ANOTHER_MUST_CONFIRM = "another_must_confirm", FORBIDDEN, "Another client must confirm this",
        "Have another client of your organization send the confirmation or the correction, in the hand of another clerk, or another operator the approval: the one that asked cannot.";
    COMMAND_LINE_ONLY = "command_line_only", FORBIDDEN, "This is done at the command line",
        "Make clients of operators, and give them secrets, keys and certificates, at the command line of a node: `lostcard client`.";
    PAIRING_REFUSED = "pairing_refused", FORBIDDEN, "The code cannot be used",
        "Read the code again: it is good for ten minutes, once, and for five tries. Ask the operator for a new one.";
    NOT_FOUND = "not_found", NOT_FOUND, "There is no such thing, or it is not yours to see",
        "Check the path and the id. Objects of other organizations are answered as if they did not exist.";
    METHOD_NOT_ALLOWED = "method_not_allowed", METHOD_NOT_ALLOWED, "This path does not take this method",
        "Use a method that the Allow header lists.";
    TOO_SLOW = "too_slow", REQUEST_TIMEOUT, "The request did not arrive in time",
        "Send the whole request without pauses; look for a slow or broken connection.";
    REPORT_NOT_ACTIVE = "report_not_active", CONFLICT, "The report is not in a state that allows this",
        "Read the report: one that was withdrawn or replaced stays so. Hand in a card that was found again after a replacement was issued.";
    WRONG_STATE = "wrong_state", CONFLICT, "The object is not in a state that allows this",
        "The detail says which state it is in, or what prevents the request. Read the object; transitions happen once.";
    START_NOT_AFTER_LISTED = "start_not_after_listed", CONFLICT, "The new card does not start after the cards that are listed",
        "Read the start of validity from the new card again. If a replacement of the number was recorded with a wrong start, correct that one: POST /v1/replacements/{id}/correction.";
    BASE_TOO_OLD = "base_too_old", CONFLICT, "What you know of the registry is too old to be continued",
        "Read the base of the newest key again, or the entries of the registry log since, then ask with a later `after`.";
    BODY_TOO_LARGE = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large",
        "Split a batch: at most 1,000 checks and 1 MiB.";
    TARGET_TOO_LONG = "target_too_long", URI_TOO_LONG, "The request target is too long",
        "Use the documented paths; the data of a request belongs in its body.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body's type or encoding is not taken",
        "Send `Content-Type: application/json` in UTF-8, without Content-Encoding (the token endpoint: `application/x-www-form-urlencoded`).";
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable", RANGE_NOT_SATISFIABLE, "There are no such bytes",
        "Ask for bytes below the base's length, which the list of keys has, or leave `Range` out.";
    EXPECTATION_FAILED = "expectation_failed", EXPECTATION_FAILED, "The expectation cannot be met",
        "Send no Expect header, or `Expect: 100-continue`.";
    WRONG_HOST = "wrong_host", MISDIRECTED_REQUEST, "This server does not answer for that host",
        "Use the service's own host name. Operators: set `hosts` to every name by which the service is reached.";
    INVALID_VALUE = "invalid_value", UNPROCESSABLE_ENTITY, "A value is wrong",
        "Each entry of `errors` points to a member and says what is wrong with it. A wrong check character is nearly always a misread card: read it again.";
    ELEMENT_INVALID = "element_invalid", UNPROCESSABLE_ENTITY, "An element is none of the group",
        "Each entry of `errors` points to one. Blind the number again, with a scalar that is not zero, and send the 32 bytes of the element.";
    BLIND_KEY_UNKNOWN = "blind_key_unknown", UNPROCESSABLE_ENTITY, "The blind key is not in force",
        "Read GET /v1/blind/keys again, take up the newest key's base, and ask by that key.";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request",
        "Use a new key for every new request, and the same key only to repeat exactly the same body.";
    BATCH_TOO_LARGE_FOR_LIMIT = "batch_too_large_for_limit", UNPROCESSABLE_ENTITY, "The batch has more items than the limit ever holds",
        "Split it: a batch may have at most `items_max` items. It cost nothing. Ask the operator for a higher rate if this is your normal load.";
    LIMIT_SPENT = "limit_spent", TOO_MANY_REQUESTS, "The client's limit is spent",
        "Wait for the seconds in Retry-After, then continue. A batch costs a unit for each of its items. Ask the operator for a higher rate if this is your normal load.";
    ORGANIZATION_LIMIT_SPENT = "organization_limit_spent", TOO_MANY_REQUESTS, "The organization's limit is spent",
        "All clients of your organization share this limit. Wait for the seconds in Retry-After.";
    NUMBERS_SPENT = "numbers_spent", TOO_MANY_REQUESTS, "The client has no new number left",
        "A number that your client has not asked about for a day costs one; repeats are free. Wait for the seconds in Retry-After. Ask the operator to declare more guests a day if these are yours.";
    NEIGHBOURHOOD_SPENT = "neighbourhood_spent", TOO_MANY_REQUESTS, "Too many numbers of one birth date, or of one county and birth date",
        "Numbers of other birth dates and places get answers. Talk to the operator if these are your guests.";
    ATTEMPTS_SPENT = "attempts_spent", TOO_MANY_REQUESTS, "Too many starts of validity for one number",
        "Three different `card_valid_from` of one number get answers in a day. Read the start from the card; those that were answered are answered again.";
    WATCHES_SPENT = "watches_spent", TOO_MANY_REQUESTS, "The client has as many watches as it may",
        "Wait for the seconds in Retry-After, when the first of them ends, or check without `watch_hours`. A card that is watched already may be watched longer.";
    ADDRESS_LIMIT_SPENT = "address_limit_spent", TOO_MANY_REQUESTS, "Too many token requests or failed authentications from this address",
        "Keep a token until it expires instead of asking for one per check. Wait for the seconds in Retry-After.";
    PUBLIC_LIMIT_SPENT = "public_limit_spent", TOO_MANY_REQUESTS, "Too many questions without a token from this address",
        "Wait for the seconds in Retry-After. Token requests have a limit of their own.";
    ADDRESS_SHARE_HELD = "address_share_held", TOO_MANY_REQUESTS, "Too much of this address is on its way to the node at once",
        "Send fewer requests at a time, each without pauses. Wait for the seconds in Retry-After.";
    ABNORMAL_USE = "abnormal_use", TOO_MANY_REQUESTS, "Too many numbers with a wrong check character",
        "This looks like guessing. Verify the check character before you send a number, and talk to the operator.";
    HEAD_TOO_LARGE = "head_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large",
        "Send at most 32 KiB of request line and headers, and at most 96 headers. Look for cookies or tokens of other services that a proxy adds.";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "The service failed",
        "No verdict was given. Try again; if it fails again, tell the operator the request id.";
    REGISTRY_UNAVAILABLE = "registry_unavailable", SERVICE_UNAVAILABLE, "The registry cannot be asked now",
        "There is no verdict: an outage is never an answer. Try again after Retry-After; until then follow your sector's rule for checks that cannot be made.";
    BLIND_BEHIND = "blind_behind", SERVICE_UNAVAILABLE, "Blind checks are behind the registry",
        "Nothing can be checked blindly before the next base is built. Check directly until then, or try again after Retry-After.";
    REDUCED_CAPACITY = "reduced_capacity", SERVICE_UNAVAILABLE, "The node has more work than it can do now",
        "Nothing was looked up or stored, and no limit of yours is the reason. Wait for the seconds in Retry-After, then send the request again, to another node if there is one.";
    NOT_READY = "not_ready", SERVICE_UNAVAILABLE, "This node is not ready",
        "It is starting, draining, does not know how current it is, or its disk has failed. Send requests to another node. It comes back by itself, but after a failure of the disk only when the operator restarts it.";
    STORE_READ_ONLY = "store_read_only", SERVICE_UNAVAILABLE, "The registry takes no changes now",
        "Nothing was stored. Try again after Retry-After with the same Idempotency-Key. Checks still get answers.";
    OUTCOME_UNKNOWN = "outcome_unknown", SERVICE_UNAVAILABLE, "It is not known whether the change was stored",
        "Repeat exactly the same request with the same Idempotency-Key: it will be stored once.";
    STORAGE_FULL = "storage_full", INSUFFICIENT_STORAGE, "The registry's disk is full",
        "Nothing was stored. Tell the operator; repeat the request with the same Idempotency-Key. Checks still get answers.";
}

/// A problem's code in the OpenAPI document: an open list, so that a new one breaks no client.
#[derive(Debug)]
pub struct ProblemCode;

impl ToSchema for ProblemCode {}

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let codes: Vec<_> = ALL.iter().map(|kind| kind.code).collect();
        let open = ExtensionsBuilder::new().add("x-extensible-enum", codes).build();
        let description = "What is wrong, as a word that programs can rely on; `/problems/{code}` says what to do.";
        ObjectBuilder::new().schema_type(Type::String).extensions(Some(open)).description(Some(description)).into()
    }
}

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    items_max: Option<u32>,
    retry_after_s: Option<u64>,
    /// Whether it is this caller's own load that leaves no room.
    is_own_load: bool,
    standing: Option<Standing>,
    /// Of `WWW-Authenticate`.
    challenge: Option<String>,
}

/// The document (RFC 9457, 3).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `/problems/{code}`: a page that explains the problem.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "/problems/invalid_value")]
    pub type_uri: String,
    /// What is wrong, as a word that programs can rely on.
    #[schema(value_type = ProblemCode)]
    pub code: &'a str,
    #[schema(value_type = String, example = "A value is wrong")]
    pub title: &'a str,
    /// The HTTP status again.
    #[schema(value_type = i32, example = 422)]
    pub status: u16,
    /// What is wrong with this request.
    #[schema(value_type = String)]
    pub detail: &'a str,
    /// Quote it to the operator.
    #[schema(value_type = String)]
    pub request_id: &'a str,
    /// One entry for each member that is wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldError>, required = false)]
    pub errors: &'a [FieldError],
    /// The largest batch that the limit ever lets pass; with `batch_too_large_for_limit` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<i32>, minimum = 1)]
    pub items_max: Option<u32>,
}

/// The seconds after which refused callers come back, spread so that they do not come back together.
pub const REDUCED_RETRY_S_MAX: u32 = 5;

impl Problem {
    pub fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Box::new(Inner {
            kind,
            detail,
            errors: Vec::new(),
            items_max: None,
            retry_after_s: None,
            is_own_load: false,
            standing: None,
            challenge: None,
        }))
    }

    /// A person may not do this.
    pub fn insufficient_role(needed: Role) -> Self {
        Self::new(INSUFFICIENT_ROLE, format!("this needs a person with the role {}", needed.as_str()))
    }

    /// Wrong values, one error each.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(INVALID_VALUE, "one or more members hold a wrong value: see errors");
        problem.0.errors = errors;
        problem
    }

    /// Members that are wrong in a way that has a code of its own.
    pub fn of_members(kind: &'static Kind, errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(kind, "one or more members are wrong: see errors");
        problem.0.errors = errors;
        problem
    }

    /// A batch that no wait would let pass.
    pub fn batch_too_large(items_max: u32) -> Self {
        let detail = format!("a batch of this client may have at most {items_max} items");
        let mut problem = Self::new(BATCH_TOO_LARGE_FOR_LIMIT, detail);
        problem.0.items_max = Some(items_max);
        problem
    }

    /// A spent limit.
    pub(super) fn spent(kind: &'static Kind, refused: Refused) -> Self {
        let mut problem = Self::new(kind, "wait for the seconds that Retry-After says");
        problem.0.retry_after_s = Some(refused.retry_after_s);
        problem.0.standing = Some(refused.standing);
        problem
    }

    /// A question that limits of numbers refuse.
    pub(super) fn of_numbers(refused: NumbersRefused) -> Self {
        match refused {
            NumbersRefused::Spent(refused) => Self::spent(NUMBERS_SPENT, refused),
            NumbersRefused::Neighbourhood { retry_after_s } => {
                Self::retry_after(NEIGHBOURHOOD_SPENT, "other numbers still get answers", retry_after_s)
            }
            NumbersRefused::Attempts { retry_after_s } => {
                Self::retry_after(ATTEMPTS_SPENT, "read the start of validity from the card again", retry_after_s)
            }
            NumbersRefused::Held => Self::new(CLIENT_HELD, "numbers that it asked about lately still get answers"),
            NumbersRefused::Digest => Self::new(DIGESTS_REFUSED, "send the number itself"),
        }
    }

    /// A body that is not an object of the documented shape.
    pub fn malformed_json(fault: JsonFault) -> Self {
        let mut problem = Self::new(MALFORMED_JSON, fault.detail);
        problem.0.errors = fault.member.into_iter().map(Into::into).collect();
        problem
    }

    /// By which way one is let in (RFC 9110, 15.5.2).
    pub(super) fn challenging(mut self, challenge: String) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    pub fn not_found() -> Self {
        Self::new(NOT_FOUND, "nothing is here for this caller")
    }

    pub fn unavailable(kind: &'static Kind, detail: &'static str) -> Self {
        Self::retry_within(kind, detail, 3)
    }

    /// To be tried again after 1 to `seconds_max`: jitter, so that clients do not all come back in the same second.
    pub fn retry_within(kind: &'static Kind, detail: &'static str, seconds_max: u32) -> Self {
        Self::retry_after(kind, detail, 1 + u64::from(crate::crypto::random::below(seconds_max)))
    }

    /// Refused for what the node has to do, no matter who asks.
    pub fn reduced_capacity() -> Self {
        Self::retry_within(REDUCED_CAPACITY, "the node has more work than it can do now", REDUCED_RETRY_S_MAX)
    }

    /// Refused, while others are served: what this caller has asked for already leaves it no room.
    #[must_use]
    pub fn of_own_load(mut self) -> Self {
        self.0.is_own_load = true;
        self
    }

    /// To be tried again after so many seconds.
    pub fn retry_after(kind: &'static Kind, detail: &'static str, seconds: u64) -> Self {
        let mut problem = Self::new(kind, detail);
        problem.0.retry_after_s = Some(seconds);
        problem
    }

    /// What an answer of the framework's own amounts to.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::not_found(),
            405 => Self::new(METHOD_NOT_ALLOWED, "see the Allow header"),
            408 => Self::new(TOO_SLOW, "the request did not arrive in time"),
            413 => Self::new(BODY_TOO_LARGE, "the body is larger than this operation takes"),
            431 => Self::new(HEAD_TOO_LARGE, "a head has at most 32 KiB and 96 fields"),
            415 => Self::new(UNSUPPORTED_MEDIA_TYPE, "the body's type is not taken"),
            400..=499 => Self::new(MALFORMED_REQUEST, "the request could not be read"),
            _ => Self::new(INTERNAL, "the request could not be handled"),
        }
    }

    pub fn kind(&self) -> &'static Kind {
        self.0.kind
    }

    pub fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    pub fn is_own_load(&self) -> bool {
        self.0.is_own_load
    }

    pub fn standing(&self) -> Option<Standing> {
        self.0.standing
    }

    pub fn challenge(&self) -> Option<&str> {
        self.0.challenge.as_deref()
    }

    /// The document's text, with what paths begin with where the caller sees them.
    pub fn to_json(&self, request_id: &str, prefix: &str) -> String {
        let body = ProblemBody {
            type_uri: format!("{prefix}/problems/{}", self.0.kind.code),
            code: self.0.kind.code,
            title: self.0.kind.title,
            status: self.0.kind.status.as_u16(),
            detail: &self.0.detail,
            request_id,
            errors: &self.0.errors,
            items_max: self.0.items_max,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.kind.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.kind.status
    }

    /// Only the status: the boundary finds the problem here and writes the document.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.0.kind.status);
        response.extensions_mut().insert(self.clone());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id_number::IdNumberError;
    use crate::service::fields::WrongMember;

    #[test]
    fn codes_are_unique_and_every_kind_says_what_to_do() {
        let mut codes: Vec<_> = ALL.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        assert!(ALL.iter().all(|kind| kind.status.as_u16() >= 400 && kind.remedy.ends_with('.')));
    }

    #[test]
    fn a_problem_is_the_document_of_the_contract() {
        let problem = Problem::invalid(vec![WrongMember::from(IdNumberError::FullWidth).into()]);
        let body: serde_json::Value = serde_json::from_str(&problem.to_json("r-1", "")).unwrap();
        assert_eq!(body["type"], "/problems/invalid_value");
        assert_eq!(
            (&body["code"], &body["status"], &body["request_id"]),
            (&"invalid_value".into(), &422.into(), &"r-1".into())
        );
        assert_eq!(
            (&body["errors"][0]["pointer"], &body["errors"][0]["code"]),
            (&"/id_number".into(), &"full_width".into())
        );
        assert!(
            serde_json::from_str::<serde_json::Value>(&Problem::not_found().to_json("r", ""))
                .unwrap()
                .get("errors")
                .is_none()
        );
    }
}
