//! `/v1/passkeys/...`: persons of the operator make passkeys by the links that they were given, and sign in by them.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::PasskeyError;
use crate::domain::ids::{CeremonyId, PersonId};
use crate::domain::person::Role;
use crate::domain::redacted::{SecretText, TokenText};
use crate::http::contract::answers::{created, json, respond};
use crate::http::contract::fields::{Fields, Foreign, parse_id};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::RoleCode;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Anyone;
use crate::http::pipeline::exchange::Exchange;
use crate::http::pipeline::state::AppState;
use crate::service::ServiceError;

/// The code of a link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitedRequest {
    /// The code of the link, behind `#invite=`.
    #[schema(value_type = String, example = "q83vEjRWeJCrze8SNFZ4kA", min_length = 22, max_length = 22)]
    code: SecretText,
}

/// Nothing: who it is, the answer of the browser says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {}

/// What a browser answers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAnswer {
    /// The `ceremony_id` that came with the options.
    #[schema(example = "01a20ae3-5b10-7a44-8c02-3f1d2e9b7a61", min_length = 36, max_length = 36)]
    ceremony_id: String,
    /// What the browser has made of the options, in the standard's own JSON (Web Authentication Level 3, 5.1), without extensions.
    #[schema(value_type = Object)]
    credential: Foreign,
}

/// What a browser is asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyOptionsAnswer {
    /// Names what was asked: it is good for five minutes, once.
    #[schema(value_type = Uuid)]
    ceremony_id: CeremonyId,
    /// The options in the standard's own JSON, as `PublicKeyCredential.parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON` take them.
    #[schema(value_type = Object)]
    options: Value,
}

/// Who has a passkey from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyPersonAnswer {
    /// Names the person.
    #[schema(value_type = Uuid)]
    person_id: PersonId,
    /// What they are called, as the operator said.
    #[schema(example = "Wang Fang")]
    name: String,
    /// What they may do.
    #[schema(value_type = RoleCode)]
    role: &'static str,
}

/// A token of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedInAnswer {
    /// Opaque: send it as it is.
    #[schema(value_type = String)]
    access_token: TokenText,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// In so many seconds it ends: at most 900.
    #[schema(value_type = i32, minimum = 1, example = 600)]
    expires_in: i64,
    /// What they are called, as the operator said.
    #[schema(example = "Wang Fang")]
    name: String,
    /// What they may do.
    #[schema(value_type = RoleCode)]
    role: &'static str,
}

/// An answer with a public key and what else a browser says.
const BYTES_MAX: usize = 64 * 1024;

/// Ask for a new passkey
///
/// For a person of the operator with a link, where `admin.passkeys` is set; else 404. The link is not used up by this. No token; spends one unit
/// of the source address's limit for public questions, and one of its limit for failed authentications where the code is refused. 401
/// `passkey_refused`, whatever is wrong with the code. At most 64 KiB.
#[utoipa::path(
    post, path = "/v1/passkeys/registration-options", operation_id = "askForPasskey", tag = "administration",
    request_body = InvitedRequest,
    responses(
        (status = 200, description = "What to ask the browser for.", body = PasskeyOptionsAnswer),
        (status = 400, response = crate::http::contract::openapi::Refused),
        (status = 401, response = crate::http::contract::openapi::Refused),
        (status = 404, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::BodyRefusals,
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn ask_for_new(
    _anyone: Anyone,
    body: JsonBody<InvitedRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let address = Exchange::address(&request);
    state.addresses.check(address)?;
    let (told, _) = body.read_up_to(BYTES_MAX).await?;
    let passkeys = state.passkeys.as_ref().ok_or_else(Problem::not_found)?;
    let asked = state.write_in_time(passkeys.ask(&told.code)).await?;
    if matches!(asked, Err(ServiceError::PasskeyRefused)) {
        state.addresses.spend(address)?;
    }
    let asked = asked?;
    Ok(json(&PasskeyOptionsAnswer { ceremony_id: asked.ceremony, options: asked.options }))
}

/// Register a passkey
///
/// With what the browser has made: the link is used up by it, and the person signs in by the passkey. No token; spends one unit
/// of the source address's limit for public questions, and one of its limit for failed authentications where it is refused. 401
/// `passkey_refused`, whatever is wrong. 404 where `admin.passkeys` is not set. At most 64 KiB.
#[utoipa::path(
    post, path = "/v1/passkeys/registration", operation_id = "registerPasskey", tag = "administration",
    request_body = PasskeyAnswer,
    responses(
        (status = 201, description = "Whose passkey it is.", body = PasskeyPersonAnswer),
        (status = 400, response = crate::http::contract::openapi::Refused),
        (status = 401, response = crate::http::contract::openapi::Refused),
        (status = 404, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::BodyRefusals,
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn register(
    _anyone: Anyone,
    body: JsonBody<PasskeyAnswer>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let address = Exchange::address(&request);
    state.addresses.check(address)?;
    let (told, _) = body.read_up_to(BYTES_MAX).await?;
    let passkeys = state.passkeys.as_ref().ok_or_else(Problem::not_found)?;
    let ceremony = told.ceremony()?;
    let made = state.write_in_time(passkeys.register(ceremony, &told.credential.0, address.origin())).await?;
    if matches!(made, Err(ServiceError::PasskeyRefused)) {
        state.addresses.spend(address)?;
    }
    let holder = made?;
    let name = holder.name.as_str().to_owned();
    let answer = PasskeyPersonAnswer { person_id: holder.id, name, role: holder.role.as_str() };
    Ok(respond(created(String::new(), &answer)))
}

/// Ask who signs in
///
/// For persons of the operator, where `admin.passkeys` is set; else 404. Of questions that wait for an answer the oldest gives way where there are
/// thousands. No token; spends one unit of the source address's limit for public questions. At most 64 KiB.
#[utoipa::path(
    post, path = "/v1/passkeys/sign-in-options", operation_id = "askWhoSignsIn", tag = "administration",
    request_body = SignInRequest,
    responses(
        (status = 200, description = "What to ask the browser for.", body = PasskeyOptionsAnswer),
        (status = 400, response = crate::http::contract::openapi::Refused),
        (status = 404, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::BodyRefusals,
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn ask_who(
    _anyone: Anyone,
    body: JsonBody<SignInRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    state.addresses.check(Exchange::address(&request))?;
    body.read_up_to(BYTES_MAX).await?;
    let passkeys = state.access.passkeys().ok_or_else(Problem::not_found)?;
    // A stranger's writes stand behind nobody's but other strangers'.
    let _turn = state.writer.turn(Some(Exchange::asker(&request))).await?;
    let (ceremony_id, options) = state.write_in_time(state.access.ask_passkey(passkeys)).await??;
    Ok(json(&PasskeyOptionsAnswer { ceremony_id, options }))
}

/// Sign in by a passkey
///
/// A token for a person of the operator, of at most 15 minutes, with their name and their role. No token; spends one unit of the source address's
/// limit for public questions, and one of its limit for failed authentications where it is refused. 401 `passkey_refused`, whatever is
/// wrong. 404 where `admin.passkeys` is not set. At most 64 KiB.
#[utoipa::path(
    post, path = "/v1/passkeys/sign-in", operation_id = "signInByPasskey", tag = "administration",
    request_body = PasskeyAnswer,
    responses(
        (status = 200, description = "The token.", body = SignedInAnswer),
        (status = 400, response = crate::http::contract::openapi::Refused),
        (status = 401, response = crate::http::contract::openapi::Refused),
        (status = 404, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::BodyRefusals,
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn sign_in(
    _anyone: Anyone,
    body: JsonBody<PasskeyAnswer>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let address = Exchange::address(&request);
    state.addresses.check(address)?;
    let (told, _) = body.read_up_to(BYTES_MAX).await?;
    let passkeys = state.access.passkeys().ok_or_else(Problem::not_found)?;
    let signing =
        state.access.sign_in_by_passkey(passkeys, told.ceremony()?, &told.credential.0, Exchange::asker(&request));
    let signed_in = state.write_in_time(signing).await?;
    if matches!(signed_in, Err(PasskeyError::Refused)) {
        state.addresses.spend(address)?;
    }
    let signed_in = signed_in?;
    state.addresses.note_proven(passkeys.client);
    Ok(json(&SignedInAnswer {
        access_token: signed_in.access_token,
        token_type: "Bearer",
        expires_in: signed_in.expires_in_s,
        name: signed_in.holder.name.as_str().to_owned(),
        role: Role::as_str(signed_in.holder.role),
    }))
}

impl PasskeyAnswer {
    fn ceremony(&self) -> Result<CeremonyId, Problem> {
        let mut fields = Fields::default();
        let detail = "the `ceremony_id` that came with the options";
        let id = fields.take("/ceremony_id", parse_id(&self.ceremony_id), "malformed_id", detail);
        fields.finish(id)
    }
}
