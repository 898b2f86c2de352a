//! `/v1/admin/clients/{client_id}/...`: what a client proves itself by, its tokens, the hold of its numbers.

use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::admin_answers::{AdminClientAnswer, AdminRequestAnswer, respond_to, stored};
use super::admin_forms::{NoMembers, read_keys};
use crate::access::certificates::PeerCertificate;
use crate::domain::audit::Action;
use crate::domain::instant::parse_period;
use crate::http::contract::answers::{json, path_id};
use crate::http::contract::fields::{Fields, Foreign, present};
use crate::http::contract::problem::Problem;
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::administration::asked::Answered;
use crate::store::administration::ListedClient;
use crate::store::clients::Proof;

/// How long the secrets before it stay good.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// A new secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"keep": "7d"}))]
pub struct SecretRequest {
    /// How long the secret before it stays good: `7d`, `24h`, `30m` or `0s`, up to ninety days; `7d` if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, pattern = "^[0-9]{1,7}[dhms]$", min_length = 2, max_length = 8)]
    keep: Option<String>,
}

/// A certificate that the operator vouches for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificateRequest {
    /// The certificate as PEM (RFC 7468, 5).
    #[schema(max_length = 16384)]
    certificate: String,
}

/// Public keys, for `private_key_jwt`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysRequest {
    /// One or two keys as JWK (RFC 7517).
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 2)]
    keys: Vec<Foreign>,
}

/// Make a new secret
///
/// It is in this answer and nowhere else; the secret before it ends after `keep`, or at the next rotation. Scope `admin`; costs one unit.
/// Another operator's client gets none here. For a client with the scope `citizen` another operator must agree: the answer is 202, and once it is
/// approved, ask again within seven days. The first secret of a client that was approved needs no more. With an `Idempotency-Key` a repetition gets the first answer without its secret.
#[utoipa::path(
    post, path = "/v1/admin/clients/{client_id}/secrets", operation_id = "createClientSecret", tag = "administration",
    security(("bearer" = [])),
    params(
        ("client_id" = Uuid, Path, description = "The client's id."),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new secret."),
    ),
    request_body = SecretRequest,
    responses(
        (status = 201, description = "The client, with its new secret.", body = AdminClientAnswer),
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn rotate(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<SecretRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, mut bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let mut fields = Fields::default();
    let detail = "a time is written 7d, 24h, 30m or 0s, up to 90d";
    let keep = told
        .keep
        .as_deref()
        .map_or(Some(KEEP), |text| fields.take("/keep", parse_period(text), "malformed_period", detail));
    let keep = fields.finish(keep)?;
    let sent = String::from_utf8_lossy(&bytes).into_owned();
    // The same key and body for another client is another request.
    bytes.extend_from_slice(path.as_bytes());
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let route = caller.route();
    let rotated = state
        .administration
        .rotate_secret(caller.actor(), id, keep, sent, repeatable, |outcome| stored(route, outcome));
    respond_to(route, state.write_in_time(rotated).await??)
}

/// Add a certificate
///
/// Lets the client in by this certificate, which no authority needs to vouch for (RFC 8705, 2.2). Scope `admin`; costs one unit. Of
/// secrets, keys and certificates the newest two stay. One that it has already changes nothing. Not for another operator's client. For a client with
/// the scope `citizen` another operator must agree: the answer is 202, and it is added then.
#[utoipa::path(
    post, path = "/v1/admin/clients/{client_id}/certificates", operation_id = "addClientCertificate", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    request_body = ClientCertificateRequest,
    responses(
        (status = 200, description = "The client.", body = AdminClientAnswer),
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn add_certificate(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<ClientCertificateRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let proofs = (Action::ClientCertificateAdded, vec![told.read(state.clock.now_s())?]);
    let sent = String::from_utf8_lossy(&bytes).into_owned();
    let added = state.administration.add_proofs(caller.actor(), id, proofs, sent);
    respond_to(caller.route(), state.write_in_time(added).await??.map(Answered::Fresh))
}

/// Add keys
///
/// Lets the client in by assertions that these keys sign (RFC 7523). Scope `admin`; costs one unit. Of secrets, keys and certificates
/// the newest two stay. One that it has already changes nothing. Not for another operator's client. For a client with
/// the scope `citizen` another operator must agree: the answer is 202, and it is added then.
#[utoipa::path(
    post, path = "/v1/admin/clients/{client_id}/keys", operation_id = "addClientKeys", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    request_body = KeysRequest,
    responses(
        (status = 200, description = "The client.", body = AdminClientAnswer),
        (status = 202, description = "It waits for another operator.", body = AdminRequestAnswer,
            headers(("Location" = String, description = "The request's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn add_keys(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<KeysRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let proofs = (Action::ClientKeysAdded, told.read()?);
    let sent = String::from_utf8_lossy(&bytes).into_owned();
    let added = state.administration.add_proofs(caller.actor(), id, proofs, sent);
    respond_to(caller.route(), state.write_in_time(added).await??.map(Answered::Fresh))
}

/// Release a client
///
/// It is held no more and has all its numbers again. Scope `admin`; costs one unit. 409 for a client that is not held.
#[utoipa::path(
    post, path = "/v1/admin/clients/{client_id}/release", operation_id = "releaseClient", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    request_body = NoMembers,
    responses(
        (status = 200, description = "The client.", body = AdminClientAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn release(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<NoMembers>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let NoMembers {} = body.read().await?;
    answer(state.write_in_time(state.administration.release(caller.actor(), id)).await??)
}

/// Revoke all tokens of a client
///
/// Those that it has until now, at every node within its lease. Scope `admin`; costs one unit. It may get new ones: suspend it, or change
/// what it proves itself by, where it must not.
#[utoipa::path(
    post, path = "/v1/admin/clients/{client_id}/revocation", operation_id = "revokeClientTokens", tag = "administration",
    security(("bearer" = [])),
    params(("client_id" = Uuid, Path, description = "The client's id.")),
    request_body = NoMembers,
    responses(
        (status = 200, description = "The client.", body = AdminClientAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn revoke(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<NoMembers>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let NoMembers {} = body.read().await?;
    answer(state.write_in_time(state.administration.revoke_tokens(caller.actor(), id)).await??)
}

impl ClientCertificateRequest {
    pub(super) fn read(&self, now_s: i64) -> Result<Proof, Problem> {
        let mut fields = Fields::default();
        let certificate = PeerCertificate::from_pem(self.certificate.as_bytes()).ok();
        let certificate = certificate.filter(|certificate| certificate.not_after_s() >= now_s);
        let detail = "an X.509 certificate of version 3 as PEM that has not ended";
        let certificate = fields.take("/certificate", certificate, "malformed_pem", detail);
        fields.finish(certificate).map(|certificate| Proof::Thumbprint(certificate.thumbprint))
    }
}

impl KeysRequest {
    pub(super) fn read(&self) -> Result<Vec<Proof>, Problem> {
        let mut fields = Fields::default();
        let keys = read_keys(&mut fields, &self.keys);
        Ok(fields.finish(keys)?.into_iter().map(Proof::Key).collect())
    }
}

fn answer(done: Option<ListedClient>) -> Result<HttpResponse, Problem> {
    done.map(|one| json(&AdminClientAnswer::of(&one))).ok_or_else(Problem::not_found)
}
