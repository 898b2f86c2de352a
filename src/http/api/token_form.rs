//! The form of a token request: how a client says who it is (RFC 6749, 2.3; RFC 7523; RFC 8705), and the refusals of the token endpoint in
//! their own form.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Query;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::access::client_auth::{AssertionFault, Credentials};
use crate::access::dpop::DpopFault;
use crate::domain::ids::ClientId;
use crate::domain::redacted::{SecretText, TokenText};
use crate::http::contract::problem::Problem;
use crate::http::pipeline::broken_rules::Offered;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token request. Client authentication is in the Authorization header (`client_secret_basic`), here
/// (`client_secret_post`), is a signed assertion (`private_key_jwt`), or the certificate of the connection (RFC 8705).
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenRequest {
    /// `client_credentials`.
    #[schema(nullable = false, required = true, example = "client_credentials")]
    grant_type: Option<String>,
    /// Scopes with single spaces between them; all of the client's if absent.
    #[schema(nullable = false, example = "checks")]
    scope: Option<String>,
    #[schema(nullable = false)]
    client_id: Option<String>,
    #[schema(nullable = false, value_type = Option<String>)]
    client_secret: Option<SecretText>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    #[schema(nullable = false)]
    client_assertion_type: Option<String>,
    /// A JWT signed by the client; its `aud` is the issuer alone.
    #[schema(nullable = false, value_type = Option<String>)]
    client_assertion: Option<TokenText>,
}

/// Why there is no token.
pub(super) enum Refusal {
    Own {
        status: u16,
        error: &'static str,
        description: &'static str,
        challenge: bool,
    },
    /// A rule of assertions or proofs was broken, by this client as far as is known.
    Rule {
        offered: Offered,
        status: u16,
        error: &'static str,
        rule: &'static str,
        client: Option<ClientId>,
    },
    Problem(Problem),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(problem: E) -> Self {
        Self::Problem(problem.into())
    }
}

pub(super) fn invalid_request(description: &'static str) -> Refusal {
    Refusal::Own { status: 400, error: "invalid_request", description, challenge: false }
}

/// Of a client that is unknown, or a secret that is wrong: which of them, nobody is told.
pub(super) fn invalid_client() -> Refusal {
    unproven("the client is unknown, disabled, or its proof does not hold")
}

/// A client has not proven itself, for a reason that can be seen in the request alone.
fn unproven(description: &'static str) -> Refusal {
    Refusal::Own { status: 401, error: "invalid_client", description, challenge: true }
}

pub(super) fn invalid_assertion(fault: AssertionFault, client: Option<ClientId>) -> Refusal {
    let (offered, rule) = (Offered::Assertion, fault.as_str());
    Refusal::Rule { offered, status: 401, error: "invalid_client", rule, client }
}

pub(super) fn invalid_proof(fault: DpopFault, client: Option<ClientId>) -> Refusal {
    let (offered, rule) = (Offered::Proof, fault.as_str());
    Refusal::Rule { offered, status: 400, error: fault.error(), rule, client }
}

impl TokenRequest {
    /// A form of these parameters, each at most once (RFC 6749, 3.2), and of others, which mean nothing here.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid_request("the form is not UTF-8"))?;
        let read = Query::<Self>::from_query(text).map_err(|error| invalid_request(form_fault(&error.to_string())))?;
        Ok(read.into_inner().without_empty())
    }

    /// The scopes that it asks for, if it asks for what is granted here.
    pub(super) fn granted_scope(&self) -> Result<Option<String>, Refusal> {
        match self.grant_type.as_deref() {
            Some("client_credentials") => Ok(self.scope.clone()),
            None => Err(invalid_request("grant_type is missing")),
            Some(_) => {
                let description = "only client_credentials is granted here";
                Err(Refusal::Own { status: 400, error: "unsupported_grant_type", description, challenge: false })
            }
        }
    }

    /// A parameter without a value is treated as if it were not there (RFC 6749, 3.2); a list of scopes with nothing in it, too.
    fn without_empty(self) -> Self {
        let given = |parameter: Option<String>| parameter.filter(|value| !value.is_empty());
        Self {
            grant_type: given(self.grant_type),
            scope: self.scope.filter(|list| list.bytes().any(|byte| byte != b' ')),
            client_id: given(self.client_id),
            client_secret: self.client_secret.filter(|secret| !secret.expose().is_empty()),
            client_assertion_type: given(self.client_assertion_type),
            client_assertion: self.client_assertion.filter(|jwt| !jwt.expose().is_empty()),
        }
    }
}

/// Exactly one of the ways (RFC 6749, 2.3: a client must not use more than one); the certificate of the connection is the way of those
/// that name themselves and nothing else (RFC 8705, 2). Where the client is named beside its
/// proof, that is the same one.
pub(super) fn credentials(
    request: &HttpRequest,
    form: TokenRequest,
    has_certificate: bool,
) -> Result<Credentials, Refusal> {
    let no_id = || unproven("client_id is not written as an id: 36 characters with hyphens");
    let named = form.client_id.as_deref().map(|id| ClientId::parse(id).ok_or_else(no_id)).transpose()?;
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let basic = headers.next();
    if headers.next().is_some() {
        return Err(invalid_request("the request has more than one Authorization field"));
    }
    let missing = || unproven("client_id is missing");
    let credentials = match (basic, form.client_secret, form.client_assertion) {
        (Some(value), None, None) => basic_credentials(value.to_str().unwrap_or_default()).map_err(unproven)?,
        (None, Some(secret), None) => Credentials::Secret { client_id: named.ok_or_else(missing)?, secret },
        (None, None, Some(jwt)) => {
            if form.client_assertion_type.as_deref() != Some(ASSERTION_TYPE) {
                return Err(invalid_request("client_assertion_type is not jwt-bearer"));
            }
            Credentials::from_assertion(jwt).map_err(|fault| invalid_assertion(fault, named))?
        }
        (None, None, None) if form.client_assertion_type.is_some() => {
            return Err(invalid_request("client_assertion_type stands without client_assertion"));
        }
        (None, None, None) if has_certificate => Credentials::Certificate { client_id: named.ok_or_else(missing)? },
        (None, None, None) => {
            return Err(unproven(
                "the client does not say who it is: no Authorization, client_secret, client_assertion or certificate",
            ));
        }
        _ => return Err(invalid_request("use one way of client authentication, not several")),
    };
    if named.is_some_and(|named| named != credentials.client_id()) {
        return Err(unproven("client_id names another client than its proof"));
    }
    Ok(credentials)
}

/// What is wrong with a form, by the message of its reader. Nothing of that is repeated.
fn form_fault(message: &str) -> &'static str {
    let repeated = message.split_once("duplicate field `").and_then(|(_, rest)| rest.split('`').next());
    match repeated {
        Some("grant_type") => "grant_type is repeated",
        Some("scope") => "scope is repeated",
        Some("client_id") => "client_id is repeated",
        Some("client_secret") => "client_secret is repeated",
        Some("client_assertion_type") => "client_assertion_type is repeated",
        Some("client_assertion") => "client_assertion is repeated",
        _ => "the form cannot be read",
    }
}

/// RFC 7617, whose two parts RFC 6749 (2.3.1) has encoded as in forms before. Our ids and secrets mean the same with and without.
fn basic_credentials(value: &str) -> Result<Credentials, &'static str> {
    const NOT_BASIC: &str = "the Authorization field is not of the scheme Basic";
    const MALFORMED: &str =
        "the Authorization field is not Basic with base64 of the client's id, a colon and its secret";
    const NO_ID: &str =
        "the client's id in the Authorization field is not written as an id: 36 characters with hyphens";
    let (scheme, encoded) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(NOT_BASIC);
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_ascii_start()).map_err(|_| MALFORMED)?);
    let parts = std::str::from_utf8(&decoded).ok().and_then(|text| text.split_once(':')).ok_or(MALFORMED)?;
    let [id, secret] = [parts.0, parts.1].map(form_decoded);
    let client_id = ClientId::parse(&id.ok_or(MALFORMED)?).ok_or(NO_ID)?;
    Ok(Credentials::Secret { client_id, secret: secret.ok_or(MALFORMED)?.into() })
}

/// What a part of a form stands for: `+` for a space, `%` and two digits for a byte.
fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (pair, tail) = tail.split_at_checked(2)?;
                rest = tail;
                let mut one = [0];
                hex::decode_to_slice(pair, &mut one).ok()?;
                one[0]
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_basic_are_decoded_as_in_forms() {
        for (text, decoded) in [
            ("lcs_a-b", Some("lcs_a-b")),
            ("lcs%5Fa%2db", Some("lcs_a-b")),
            ("a+b", Some("a b")),
            ("%E5%AE%BE", Some("宾")),
            ("", Some("")),
            ("%", None),
            ("%5", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(form_decoded(text).as_deref(), decoded, "{text}");
        }
    }
}
