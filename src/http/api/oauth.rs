//! The token endpoint (RFC 6749, client credentials) and its metadata. Its errors have RFC 6749's own form, except for limits
//! and outages, which look like everywhere else.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, IfNoneMatch};
use actix_web::web::{Data, Header, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::token_form::{Refusal, TokenRequest, credentials, invalid_assertion, invalid_client, invalid_proof};
use crate::access::certificates::PeerCertificate;
use crate::access::client_auth::Credentials;
use crate::access::dpop;
use crate::access::holder::Holder;
use crate::access::jwks::PublishedKey;
use crate::access::{GrantError, HolderError};
use crate::domain::client::Scope;
use crate::domain::redacted::TokenText;
use crate::domain::sandbox::Environment;
use crate::http::contract::answers::Published;
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::ScopeCode;
use crate::http::pipeline::body::read_bytes_within;
use crate::http::pipeline::broken_rules::note_broken_rule;
use crate::http::pipeline::exchange::{Exchange, OwnErrorForm};
use crate::http::pipeline::holder;
use crate::http::pipeline::media::{Media, expect_type};
use crate::http::pipeline::state::AppState;
use crate::http::pipeline::wire::BODY_TIMEOUT;

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
/// How long a form is waited for whose address has spent its units: many clients send it a moment after its head, and the client that it
/// names may have units of its own.
const SPENT_WAIT: Duration = Duration::from_millis(500);

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
            Ok(own_form(status, error, description, challenge))
        }
        Err(Refusal::Rule { offered, status, error, rule, client }) => {
            let client = match client {
                Some(client) => state.read_in_time(state.access.actor_of(client)).await.ok().flatten(),
                None => None,
            };
            note_broken_rule(&state, offered, rule, client);
            Ok(own_form(status, error, rule, status == 401))
        }
    }
}

fn own_form(status: u16, error: &'static str, description: &'static str, challenge: bool) -> HttpResponse {
    let mut response = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap_or_default());
    if challenge {
        response.insert_header((header::WWW_AUTHENTICATE, r#"Basic realm="lostcard""#));
    }
    let mut response = response.json(TokenError { error, error_description: description });
    response.extensions_mut().insert(OwnErrorForm(error));
    response
}

async fn grant(request: &HttpRequest, state: &AppState) -> Result<TokenAnswer, Refusal> {
    let address = Exchange::address(request);
    let spent = state.addresses.spend(address);
    let asked = read(request, state, if spent.is_ok() { BODY_TIMEOUT } else { SPENT_WAIT }).await;
    if let Err(refused) = spent {
        let client = asked.as_ref().ok().map(|asked| asked.credentials.client_id());
        if !state.addresses.spend_reserve(client, address) {
            return Err(Problem::from(refused).into());
        }
    }
    let Asked { credentials, scope, certificate } = asked?;
    let proof = holder::proof(request).map_err(|fault| invalid_proof(fault, Some(credentials.client_id())))?;
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

/// Who asks, as far as it says, for which scopes, and what its connection has shown.
struct Asked {
    credentials: Credentials,
    scope: Option<String>,
    certificate: Option<Arc<PeerCertificate>>,
}

async fn read(request: &HttpRequest, state: &AppState, time: Duration) -> Result<Asked, Refusal> {
    expect_type(request.headers(), Media::Form)?;
    let bytes = read_bytes_within(request, FORM_BYTES_MAX, time).await?;
    let form = TokenRequest::read(&bytes)?;
    let scope = form.granted_scope()?;
    let certificate = holder::certificate(request, state).await?;
    let credentials = credentials(request, form, certificate.is_some())?;
    Ok(Asked { credentials, scope, certificate })
}

fn refusal(error: GrantError, credentials: &Credentials) -> Refusal {
    match error {
        GrantError::InvalidClient => invalid_client(),
        GrantError::Assertion(fault) => invalid_assertion(fault, Some(credentials.client_id())),
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
        GrantError::Holder(HolderError::Dpop(fault)) => invalid_proof(fault, Some(credentials.client_id())),
        GrantError::Holder(error) => Refusal::Problem(error.into()),
        GrantError::Store(error) => Refusal::Problem(error.into()),
    }
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
    let metadata = ServerMetadata::of(state.access.issuer());
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(metadata)
}

/// The same where clients ask for it whose issuer has a path (RFC 8414, 3.1): behind the name that is known to all, below the host.
pub async fn metadata_of_path(path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let host_and_path = state.access.issuer().split_once("://").map_or("", |(_, rest)| rest);
    match host_and_path.split_once('/') {
        Some((_, own)) if own == path.as_str() => Ok(metadata(state).await),
        _ => Err(Problem::not_found()),
    }
}

impl ServerMetadata {
    fn of(issuer: &str) -> Self {
        let url = Environment::url_of(issuer);
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_the_document_is_what_a_node_says() {
        let document = serde_json::to_value(crate::http::routes::document()).unwrap();
        let answer = &document["paths"]["/.well-known/oauth-authorization-server"]["get"]["responses"]["200"];
        let example = &answer["content"]["application/json"]["examples"]["metadata"]["value"];
        assert_eq!(serde_json::to_value(ServerMetadata::of("https://lostcard.example")).unwrap(), *example);
    }
}
