//! The token endpoint (RFC 6749, client credentials) and its metadata. Its errors have RFC 6749's own form, except for limits
//! and outages, which look like everywhere else.

use actix_web::http::header::{self, IfNoneMatch};
use actix_web::web::{Data, Header};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::access::client_auth::{AssertionFault, Credentials};
use crate::access::dpop::{self, DpopFault};
use crate::access::holder::Holder;
use crate::access::jwks::PublishedKey;
use crate::access::{GrantError, HolderError};
use crate::domain::client::Scope;
use crate::domain::ids::ClientId;
use crate::domain::redacted::{SecretText, TokenText};
use crate::domain::sandbox::Environment;
use crate::http::contract::answers::Published;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::ScopeCode;
use crate::http::pipeline::body::read_bytes;
use crate::http::pipeline::exchange::{Exchange, OwnErrorForm};
use crate::http::pipeline::holder;
use crate::http::pipeline::media::{Media, expect_type};
use crate::http::pipeline::state::AppState;

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

/// An access token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// Opaque to clients: send it as it is.
    #[schema(value_type = String)]
    access_token: TokenText,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 600)]
    expires_in: i64,
    /// The scopes granted, with single spaces between them.
    #[schema(example = "checks")]
    scope: String,
}

/// A refusal (RFC 6749, 5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenError {
    #[schema(value_type = String, example = "invalid_client")]
    error: &'static str,
    #[schema(value_type = String)]
    error_description: &'static str,
}

/// Authorization server metadata (RFC 8414).
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerMetadata {
    /// The `iss` of tokens and receipts.
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    service_documentation: String,
    grant_types_supported: Vec<String>,
    response_types_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Vec<String>,
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// RFC 8705, 3.3.
    tls_client_certificate_bound_access_tokens: bool,
    /// RFC 9449, 5.1.
    dpop_signing_alg_values_supported: Vec<String>,
    #[schema(value_type = Vec<ScopeCode>)]
    scopes_supported: Vec<String>,
}

/// A JWK Set (RFC 7517): the keys of tokens, receipts, certificates and logs, retired ones included.
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkSet {
    /// `kid` says which one signed.
    keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
pub struct Jwk {
    kty: String,
    crv: String,
    alg: String,
    #[serde(rename = "use")]
    key_use: String,
    kid: String,
    x: String,
}

const FORM_BYTES_MAX: usize = 16 * 1024;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

enum Refusal {
    Own { status: u16, error: &'static str, description: &'static str, challenge: bool },
    Problem(Problem),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(problem: E) -> Self {
        Self::Problem(problem.into())
    }
}

fn invalid_request(description: &'static str) -> Refusal {
    Refusal::Own { status: 400, error: "invalid_request", description, challenge: false }
}

/// Get an access token
///
/// The client credentials grant of RFC 6749. No token is needed; the client proves itself by `client_secret_basic`,
/// `client_secret_post`, `private_key_jwt` (`EdDSA` or `Ed25519`, `ES256`, `ES384`, `RS256`, `PS256`), or by the certificate of its
/// connection and `client_id` alone (`tls_client_auth`, `self_signed_tls_client_auth`). With a `DPoP` proof the token is bound to its key. The token lives for ten minutes: keep it and use it for many checks. Spends one unit
/// of the source address's limit, and none of the client's but for a `DPoP` proof, which costs one. At most 16 KiB.
#[utoipa::path(
    post, path = "/oauth2/token", operation_id = "createToken", tag = "access",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token.", body = TokenAnswer),
        (status = 400, description = "The request is refused (RFC 6749, 5.2).", body = TokenError),
        (status = 401, description = "The client did not prove who it is.", body = TokenError),
        (status = 413, response = crate::http::contract::openapi::Refused), (status = 415, response = crate::http::contract::openapi::Refused),
        (status = 429, response = crate::http::contract::openapi::Refused), (status = 503, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn token(request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    match grant(&request, &state).await {
        Ok(answer) => Ok(HttpResponse::Ok().insert_header((header::PRAGMA, "no-cache")).json(answer)),
        Err(Refusal::Problem(problem)) => Err(problem),
        Err(Refusal::Own { status, error, description, challenge }) => {
            let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
            let mut response = HttpResponse::build(status);
            if challenge {
                response.insert_header((header::WWW_AUTHENTICATE, r#"Basic realm="lostcard""#));
            }
            let mut response = response.json(TokenError { error, error_description: description });
            response.extensions_mut().insert(OwnErrorForm(error));
            Ok(response)
        }
    }
}

async fn grant(request: &HttpRequest, state: &AppState) -> Result<TokenAnswer, Refusal> {
    let address = Exchange::address(request);
    let spent = state.addresses.spend(address);
    let asked = read(request, state).await;
    if let Err(refused) = spent {
        let client = asked.as_ref().ok().map(|(credentials, _)| credentials.client_id());
        if !state.addresses.spend_reserve(client, address) {
            return Err(Problem::from(refused).into());
        }
    }
    let (credentials, scope) = asked?;
    let certificate = holder::certificate(request, state);
    let proof = holder::proof(request).map_err(invalid_proof)?;
    let held = Holder {
        certificate: certificate.as_deref(),
        proof: proof.as_ref().map(|proof| (proof, holder::expected(request, &state.access))),
    };
    let issued =
        state.read_in_time(state.access.grant(&credentials, scope.as_deref(), held, Exchange::asker(request))).await?;
    let issued = issued.map_err(|error| refusal(error, &credentials))?;
    state.addresses.note_proven(credentials.client_id());
    Ok(TokenAnswer {
        access_token: issued.access_token,
        token_type: if issued.binding.key.is_some() { "DPoP" } else { "Bearer" },
        expires_in: issued.expires_in_s,
        scope: issued.scopes.to_string(),
    })
}

/// Who asks, as far as it says, and for which scopes.
async fn read(request: &HttpRequest, state: &AppState) -> Result<(Credentials, Option<String>), Refusal> {
    expect_type(request.headers(), Media::Form)?;
    let bytes = read_bytes(request, FORM_BYTES_MAX).await?;
    let form = actix_web::web::Query::<TokenRequest>::from_query(std::str::from_utf8(&bytes).unwrap_or("%"))
        .map_err(|_| invalid_request("the form cannot be read, or a parameter is repeated"))?
        .into_inner()
        .without_empty();
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        None => return Err(invalid_request("grant_type is missing")),
        Some(_) => {
            let description = "only client_credentials is granted here";
            return Err(Refusal::Own { status: 400, error: "unsupported_grant_type", description, challenge: false });
        }
    }
    let scope = form.scope.clone();
    let credentials = credentials(request, form, holder::certificate(request, state).is_some())?;
    Ok((credentials, scope))
}

fn refusal(error: GrantError, credentials: &Credentials) -> Refusal {
    match error {
        GrantError::InvalidClient => invalid_client(),
        GrantError::Assertion(fault) => {
            tracing::info!(client = %credentials.client_id(), rule = fault.as_str(), "an assertion was refused");
            invalid_assertion(fault)
        }
        GrantError::InvalidScope => {
            let description = "a requested scope is unknown or not this client's";
            Refusal::Own { status: 400, error: "invalid_scope", description, challenge: false }
        }
        GrantError::ForbiddenScope => {
            let description =
                "the client has a scope that organizations of its kind may not have: the operator must change it";
            Refusal::Own { status: 400, error: "invalid_scope", description, challenge: false }
        }
        GrantError::Crowded(crowded) => Refusal::Problem(crowded.into()),
        GrantError::NoCertificate => {
            let description = "the connection has no certificate of this client";
            Refusal::Own { status: 401, error: "invalid_client", description, challenge: true }
        }
        GrantError::Unbound => {
            let description = "the token would be bound to nobody: show a certificate or a DPoP proof";
            Refusal::Own { status: 400, error: "unauthorized_client", description, challenge: false }
        }
        GrantError::Locked(fault) => {
            Refusal::Own { status: 400, error: fault.error(), description: fault.as_str(), challenge: false }
        }
        GrantError::Holder(HolderError::Dpop(fault)) => {
            tracing::info!(client = %credentials.client_id(), rule = fault.as_str(), "a DPoP proof was refused");
            invalid_proof(fault)
        }
        GrantError::Holder(error) => Refusal::Problem(error.into()),
        GrantError::Store(error) => Refusal::Problem(error.into()),
    }
}

fn invalid_proof(fault: DpopFault) -> Refusal {
    Refusal::Own { status: 400, error: fault.error(), description: fault.as_str(), challenge: false }
}

fn invalid_client() -> Refusal {
    let description = "the client is unknown, disabled, or its proof does not hold";
    Refusal::Own { status: 401, error: "invalid_client", description, challenge: true }
}

fn invalid_assertion(fault: AssertionFault) -> Refusal {
    Refusal::Own { status: 401, error: "invalid_client", description: fault.as_str(), challenge: true }
}

impl TokenRequest {
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
fn credentials(request: &HttpRequest, form: TokenRequest, has_certificate: bool) -> Result<Credentials, Refusal> {
    let named = form.client_id.as_deref().map(|id| ClientId::parse(id).ok_or_else(invalid_client)).transpose()?;
    let basic = request.headers().get(header::AUTHORIZATION);
    let credentials = match (basic, form.client_secret, form.client_assertion) {
        (Some(value), None, None) => {
            basic_credentials(value.to_str().unwrap_or_default()).ok_or_else(invalid_client)?
        }
        (None, Some(secret), None) => Credentials::Secret { client_id: named.ok_or_else(invalid_client)?, secret },
        (None, None, Some(jwt)) => {
            if form.client_assertion_type.as_deref() != Some(ASSERTION_TYPE) {
                return Err(invalid_request("client_assertion_type is not jwt-bearer"));
            }
            Credentials::from_assertion(jwt).map_err(invalid_assertion)?
        }
        (None, None, None) if has_certificate => {
            Credentials::Certificate { client_id: named.ok_or_else(invalid_client)? }
        }
        (None, None, None) => return Err(invalid_client()),
        _ => return Err(invalid_request("use one way of client authentication, not several")),
    };
    if named.is_some_and(|named| named != credentials.client_id()) { Err(invalid_client()) } else { Ok(credentials) }
}

/// RFC 7617, whose two parts RFC 6749 (2.3.1) has encoded as in forms before. Our ids and secrets mean the same with and without.
fn basic_credentials(value: &str) -> Option<Credentials> {
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_ascii_start()).ok()?);
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let client_id = ClientId::parse(&form_decoded(id)?)?;
    let secret = form_decoded(secret)?.into();
    scheme.eq_ignore_ascii_case("basic").then_some(Credentials::Secret { client_id, secret })
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

/// Published keys
///
/// Every key that signs or once signed tokens, receipts or certificates. Retired ones stay: a receipt is verifiable for years.
/// No token, no limit; you may cache it for five minutes.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "getJwks", tag = "access",
    responses((status = 200, description = "A JWK Set (RFC 7517).", body = JwkSet))
)]
pub async fn jwks(request: HttpRequest, state: Data<AppState>, known: Header<IfNoneMatch>) -> HttpResponse {
    // Another process may have rotated, and another node may sign by the new key already: a client that keeps this set for
    // five minutes would know neither.
    let seen = state.keyring.signing_count();
    state.access.seek_keys(Exchange::asker(&request), seen).await;
    Published::new(state.keyring.signing().to_jwks().to_string()).answer(&known)
}

/// Server metadata
///
/// RFC 8414: where and how to get tokens. No token, no limit; you may cache it for five minutes.
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", operation_id = "getServerMetadata", tag = "access",
    responses((status = 200, description = "The metadata.", body = ServerMetadata))
)]
pub async fn metadata(state: Data<AppState>) -> HttpResponse {
    let issuer = state.access.issuer();
    let url = Environment::url_of(issuer);
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(ServerMetadata {
        issuer: issuer.to_owned(),
        token_endpoint: format!("{url}/oauth2/token"),
        jwks_uri: format!("{url}/.well-known/jwks.json"),
        service_documentation: format!("{url}/docs"),
        grant_types_supported: words(&["client_credentials"]),
        response_types_supported: words(&["none"]),
        token_endpoint_auth_methods_supported: words(&[
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
        ]),
        token_endpoint_auth_signing_alg_values_supported: words(PublishedKey::ALGORITHMS),
        tls_client_certificate_bound_access_tokens: true,
        dpop_signing_alg_values_supported: words(dpop::ALGORITHMS),
        scopes_supported: Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect(),
    })
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
