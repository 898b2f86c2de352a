//! `/v1/admin/clients/{client_id}/credentials`: what a client proves itself by, seen and ended; never a secret.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::admin_forms::NoMembers;
use crate::crypto::signing::base64url;
use crate::domain::ids::{ClientId, CredentialId};
use crate::http::contract::answers::{instant, json, path_id};
use crate::http::contract::problem::Problem;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::store::clients::{Credential, Proof};

/// What a client proves itself by: one of at most two.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialAnswer {
    /// Names it.
    #[schema(value_type = Uuid)]
    credential_id: CredentialId,
    /// `secret`, `key`, `certificate`; `subject` or `dns_name`: what an authority's certificate must be for. New words may be added.
    #[schema(value_type = String, example = "key")]
    kind: &'static str,
    /// The `kid` of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "desk-1")]
    kid: Option<String>,
    /// The `x5t#S256` of a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")]
    thumbprint: Option<String>,
    /// The subject or the name of a certificate by an authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "CN=front-desk,O=Harbour Hotels,C=CN")]
    subject: Option<String>,
    /// When it was made or added.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends; absent: when another one takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    ends_at: Option<String>,
}

/// What a client proves itself by, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialList {
    /// At most two, newest first.
    credentials: Vec<CredentialAnswer>,
}

/// List what a client proves itself by
///
/// Secrets, keys and certificates that are good now, newest first, at most two. Of a secret it is told that there is one. Scope `admin`; costs
/// one unit.
#[utoipa::path(
    get, path = "/v1/admin/clients/{client_id}/credentials", operation_id = "listClientCredentials", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    responses(
        (status = 200, description = "The list.", body = CredentialList),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    answer(state.read_in_time(state.administration.credentials(path_id(&path)?)).await??)
}

/// End a secret, a key or a certificate
///
/// As when it was stolen. It is good for nothing any more, at every node within its lease, and all tokens that the client has are revoked.
/// The answer is what is left. Scope `admin`; costs one unit. Not for another operator's client.
#[utoipa::path(
    post, path = "/v1/admin/clients/{client_id}/credentials/{credential_id}/revocation", operation_id = "endClientCredential",
    tag = "administration", security(("bearer" = [])),
    params(
        ("client_id" = Uuid, Path, description = "The client's id."),
        ("credential_id" = Uuid, Path, description = "The id of the secret, key or certificate."),
    ),
    request_body = NoMembers,
    responses(
        (status = 200, description = "What is left.", body = CredentialList),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn end(
    caller: Caller,
    path: Path<(String, String)>,
    body: JsonBody<NoMembers>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let client = ClientId::parse(&path.0).ok_or_else(Problem::not_found)?;
    let credential = CredentialId::parse(&path.1).ok_or_else(Problem::not_found)?;
    let NoMembers {} = body.read().await?;
    let ended = state.administration.end_credential(caller.actor(), client, credential);
    answer(state.write_in_time(ended).await??)
}

fn answer(found: Option<Vec<Credential>>) -> Result<HttpResponse, Problem> {
    let all = found.ok_or_else(Problem::not_found)?;
    Ok(json(&CredentialList { credentials: all.iter().map(CredentialAnswer::of).collect() }))
}

impl CredentialAnswer {
    fn of(one: &Credential) -> Self {
        let (mut named, mut thumbprint, mut subject) = (None, None, None);
        let kind = match &one.proof {
            Proof::SecretHash(_) => "secret",
            Proof::Key(jwk) => {
                let read: Option<serde_json::Value> = serde_json::from_str(jwk).ok();
                named = read.and_then(|jwk| Some(jwk.get("kid")?.as_str()?.to_owned()));
                "key"
            }
            Proof::Thumbprint(hash) => {
                thumbprint = Some(base64url(hash));
                "certificate"
            }
            Proof::Subject(name) => {
                subject = Some(name.clone());
                "subject"
            }
            Proof::DnsName(name) => {
                subject = Some(name.clone());
                "dns_name"
            }
        };
        let (created_at, ends_at) = (instant(one.created_at_ms), one.ends_at_ms.map(instant));
        Self { credential_id: one.id, kind, kid: named, thumbprint, subject, created_at, ends_at }
    }
}
