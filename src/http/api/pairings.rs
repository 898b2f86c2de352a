//! `/v1/pairings/registration`: a page becomes a device by its code.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::access::jwks::check_client_keys;
use crate::crypto::pairing::PinKey;
use crate::crypto::signing::from_base64url;
use crate::domain::client::Scope;
use crate::domain::ids::{ClientId, PairingId};
use crate::domain::pairing::PairingCode;
use crate::domain::redacted::SecretText;
use crate::http::contract::answers::{created, respond};
use crate::http::contract::fields::{Fields, Foreign};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::ScopeCode;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Anyone;
use crate::http::pipeline::exchange::Exchange;
use crate::http::pipeline::state::AppState;
use crate::service::ServiceError;
use crate::service::pairings::NewDevice;

/// What a page registers with its code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRequest {
    /// The code, as it was given.
    #[schema(value_type = String, example = "7K3M-Q9TX", min_length = 9, max_length = 9)]
    code: SecretText,
    /// The public half of the page's P-256 key as JWK (RFC 7517), without more members than it needs.
    #[schema(value_type = Object)]
    key: Foreign,
    /// What the page has derived from the device's PIN: 32 bytes as base64url without padding. The PIN itself stays where it was typed.
    #[schema(value_type = String, min_length = 43, max_length = 43)]
    pin_key: SecretText,
}

/// The device that a page is from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistrationAnswer {
    /// The client that it is.
    #[schema(value_type = Uuid)]
    client_id: ClientId,
    #[schema(value_type = Uuid)]
    pairing_id: PairingId,
    /// What it may do.
    #[schema(value_type = Vec<ScopeCode>)]
    scopes: Vec<&'static str>,
    #[schema(example = "harbour-1")]
    site: String,
    /// What it is called; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "front desk")]
    name: Option<String>,
}

/// A code and a key, with what else a browser says of it.
const BYTES_MAX: usize = 64 * 1024;

/// Register a page as a device
///
/// With its code, once. After that it gets tokens by assertions of its key (`private_key_jwt`), with a `DPoP` proof of the same key.
/// Each assertion has two members more: `clerk`, who is at the device, and `pin`, the HMAC-SHA-256 of `lostcard:pin:v1:` and the `jti`
/// under the PIN's key, as base64url. No token; spends one unit of the source address's limit for public questions, and one of its limit for failed
/// authentications where the code is refused. 403 `pairing_refused`, whatever is wrong with the code. At most 64 KiB.
#[utoipa::path(
    post, path = "/v1/pairings/registration", operation_id = "registerDevice", tag = "devices",
    request_body = RegistrationRequest,
    responses(
        (status = 201, description = "The device.", body = RegistrationAnswer),
        (status = 400, response = crate::http::contract::openapi::Refused),
        (status = 403, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::BodyRefusals,
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn register(
    _anyone: Anyone,
    body: JsonBody<RegistrationRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let address = Exchange::address(&request);
    state.addresses.check(address)?;
    let (told, _) = body.read_up_to(BYTES_MAX).await?;
    let registered = state.write_in_time(state.pairings.register(told.read()?, address.origin())).await?;
    if matches!(registered, Err(ServiceError::PairingRefused)) {
        state.addresses.spend(address)?;
    }
    let registered = registered?;
    let pairing = &registered.pairing;
    pairing.device.iter().for_each(|device| state.addresses.note_proven(device.client));
    let answer = RegistrationAnswer {
        client_id: pairing.device.as_ref().map_or(ClientId::nil(), |device| device.client),
        pairing_id: pairing.pairing_id,
        scopes: pairing.scopes.iter().map(Scope::as_str).collect(),
        site: pairing.site.as_str().to_owned(),
        name: pairing.name.as_ref().map(|name| name.as_str().to_owned()),
    };
    Ok(respond(created(String::new(), &answer)))
}

impl RegistrationRequest {
    fn read(&self) -> Result<NewDevice, Problem> {
        let mut fields = Fields::default();
        let detail = "a code is two groups of four letters and digits with a hyphen between them, as it was given";
        let code = fields.take("/code", PairingCode::parse(self.code.expose()), "malformed_code", detail);
        let is_p256 = self.key.0["kty"] == "EC" && self.key.0["crv"] == "P-256";
        // What else it says, a name perhaps, is not kept.
        let [kty, crv, x, y] = ["kty", "crv", "x", "y"].map(|member| &self.key.0[member]);
        let plain = json!({"kty": kty, "crv": crv, "x": x, "y": y});
        let is_public = check_client_keys(std::slice::from_ref(&self.key.0)).is_ok();
        let key = check_client_keys(&[plain]).ok().filter(|_| is_p256 && is_public);
        let detail = "the public half of a P-256 key as JWK, without a private member";
        let key = fields.take("/key", key.and_then(|mut keys| keys.pop()), "malformed_key", detail);
        let pin_key = from_base64url(self.pin_key.expose()).and_then(|bytes| Some(PinKey::new(bytes.try_into().ok()?)));
        let detail = "32 bytes as base64url without padding";
        let pin_key = fields.take("/pin_key", pin_key, "malformed_key", detail);
        let new = code.zip(key).zip(pin_key).map(|((code, key), pin_key)| NewDevice { code, key, pin_key });
        fields.finish(new)
    }
}
