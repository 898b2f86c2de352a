//! Temporary identification certificates: `/v1/temporary-certificates...`. Bodies to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::{Rfc3339, beijing_day};
use crate::crypto::certificate::CredentialError;
use crate::domain::certificate::{Certificate, CertificatePurpose, PresentedFor, Term, check_lodging_journey};
use crate::domain::ids::CertificateId;
use crate::domain::instant::UnixMs;
use crate::domain::redacted::{CredentialText, DigestText, IdNumberText};
use crate::http::contract::answers::{created, json, path_id, respond};
use crate::http::contract::fields::{Fields, Whole, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::route::Class;
use crate::http::contract::schema::{
    CertificatePurposeCode, CertificatePurposeName, CertificateStateCode, CertificateStatusCode, PresentedForName,
};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::limits::Work;
use crate::service::certificates::{Issued, Issuing, Verified};
use crate::store::certificates::StoredCertificate;

/// A certificate for somebody whose identity the office has established.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "purpose": "lodging", "office": "110105-03", "valid_hours": 24}))]
pub struct CertificateRequest {
    /// The 18 characters of GB 11643.
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    #[schema(value_type = CertificatePurposeName)]
    purpose: String,
    /// The office that established who the holder is: 1 to 32 letters, digits and hyphens.
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
    /// The day of the journey, in Beijing. A certificate for `air` or `rail` is valid on this day only.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    journey_on: Option<String>,
    #[schema(value_type = i32, minimum = 1, maximum = 72)]
    valid_hours: Whole,
}

/// An issued certificate. The service returns the credential once and does not keep it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateIssuedAnswer<'a> {
    #[schema(value_type = Uuid)]
    certificate_id: CertificateId,
    /// The credential: a compact JWS, see docs/CERTIFICATES.md. The number is in it as a commitment only.
    #[schema(value_type = String)]
    certificate: &'a CredentialText,
    /// The credential as a QR code (SVG), for the holder's phone or for paper.
    #[schema(value_type = String)]
    qr_svg: &'a CredentialText,
    #[schema(value_type = CertificatePurposeCode)]
    purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    journey_on: Option<String>,
    #[schema(format = DateTime)]
    issued_at: String,
    #[schema(format = DateTime)]
    valid_from: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A certificate as the service knows it: without the credential.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateAnswer {
    #[schema(value_type = Uuid)]
    certificate_id: CertificateId,
    #[schema(value_type = CertificateStateCode)]
    state: &'static str,
    #[schema(value_type = CertificatePurposeCode)]
    purpose: &'static str,
    office: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    journey_on: Option<String>,
    #[schema(format = DateTime)]
    issued_at: String,
    #[schema(format = DateTime)]
    valid_from: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    revoked_at: Option<String>,
}

/// Nobody may accept the certificate any longer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationRequest {
    #[schema(example = "110105-03", max_length = 32)]
    office: String,
}

/// A certificate that somebody shows, and the number that they say is theirs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateVerificationRequest {
    /// The text of the QR code.
    #[schema(value_type = String)]
    certificate: CredentialText,
    /// The holder's number. Exactly one of this and `id_digest`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>, example = "11010519491231002X")]
    id_number: Option<IdNumberText>,
    /// SHA-256 of `lostcard:v1:` and the number, 64 hexadecimal characters. As sensitive as the number.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_digest: Option<DigestText>,
    /// What it is shown for. Without it the answer leaves to you whether its purpose is yours.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = PresentedForName)]
    purpose: Option<String>,
}

/// What was found. Only `authentic` if the certificate is not this service's. Accept `valid` and nothing else.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct CertificateVerificationAnswer {
    /// Issued by this service and unchanged.
    authentic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = CertificateStatusCode)]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    certificate_id: Option<CertificateId>,
    /// What it was issued for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = CertificatePurposeCode)]
    purpose: Option<String>,
    /// The office that established who the holder is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    office: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    journey_on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    issued_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    valid_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires_at: Option<String>,
}

/// Issue a temporary identification certificate
///
/// For somebody without a card, after the office has established who they are. Scope `registry`; costs ten units, for
/// it takes a tenth of a second. `Idempotency-Key` as for loss reports. Issuing another one revokes nothing.
#[utoipa::path(
    post, path = "/v1/temporary-certificates", operation_id = "createTemporaryCertificate", tag = "certificates",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new certificate.")),
    request_body = CertificateRequest,
    responses(
        (status = 201, description = "Issued, and durable.", body = CertificateIssuedAnswer<'static>,
            headers(("Location" = String, description = "The certificate's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<CertificateRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (asked, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let issuing = read_issuing(&asked, &caller, &state)?;
    caller.act_for(&issuing.office)?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render = |issued: &Issued<'_>| {
        created(caller.route().location(issued.certificate.id), &CertificateIssuedAnswer::of(issued))
    };
    let prepared = caller.work(Work::Long, state.certificates.preparing(state.access.issuer(), issuing)).await??;
    caller.enter(Class::Reports)?;
    let issued = state.certificates.issue(caller.actor(), prepared, repeatable, render);
    Ok(respond(state.write_in_time(issued).await??))
}

/// Read a temporary identification certificate
///
/// Its state, without the credential. Scope `registry`; costs one unit. Only your own organization's: others are 404.
#[utoipa::path(
    get, path = "/v1/temporary-certificates/{certificate_id}", operation_id = "getTemporaryCertificate", tag = "certificates",
    security(("bearer" = [])),
    params(("certificate_id" = Uuid, Path, description = "The certificate's id.")),
    responses(
        (status = 200, description = "The certificate.", body = CertificateAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(caller: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let certificate_id = path_id(&path)?;
    let found = state.read_in_time(state.certificates.find(caller.actor(), certificate_id)).await??;
    let now_s = state.clock.now_s();
    found.map(|stored| json(&CertificateAnswer::of(&stored, now_s))).ok_or_else(Problem::not_found)
}

/// Revoke a temporary identification certificate
///
/// After the answer no node accepts it. Scope `registry`, the organization that issued it; costs one unit. 409 if it is
/// revoked or has expired already.
#[utoipa::path(
    post, path = "/v1/temporary-certificates/{certificate_id}/revocation", operation_id = "revokeTemporaryCertificate",
    tag = "certificates", security(("bearer" = [])),
    params(("certificate_id" = Uuid, Path, description = "The certificate's id.")),
    request_body = RevocationRequest,
    responses(
        (status = 200, description = "The certificate, revoked.", body = CertificateAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn revoke(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<RevocationRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let certificate_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let office = fields.office(&request.office, state.clock.today());
    let office = fields.finish(office)?;
    caller.act_for(&office)?;
    let revoked = state.certificates.revoke(caller.actor(), certificate_id, &office);
    let revoked = state.write_in_time(revoked).await??;
    let now_s = state.clock.now_s();
    revoked.map(|stored| json(&CertificateAnswer::of(&stored, now_s))).ok_or_else(Problem::not_found)
}

/// The longest certificate that is read.
const CERTIFICATE_BYTES_MAX: usize = 4096;

/// Verify a temporary identification certificate
///
/// Is it authentic and in force, is it this person's, and for this purpose? Scope `checks`; costs one unit. The `status` is the
/// first of these that applies: `another_person`, `revoked`, `expired`, `not_yet_valid`, `another_purpose`, `valid`. If the service cannot ask the registry, there is no answer (503). Leaves nothing behind. Offline: `lostcard certificate verify`.
#[utoipa::path(
    post, path = "/v1/temporary-certificates/verify", operation_id = "verifyTemporaryCertificate", tag = "certificates",
    security(("bearer" = [])),
    request_body = CertificateVerificationRequest,
    responses(
        (status = 200, description = "What was found, also where the certificate is not authentic.", body = CertificateVerificationAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
    )
)]
pub async fn verify(
    caller: Caller,
    body: JsonBody<CertificateVerificationRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let mut fields = Fields::default();
    let digest = fields.number_or_digest(request.id_number.as_ref(), request.id_digest.as_ref(), state.clock.today());
    let words = "lodging, banking, transport, telecom, other, air, rail";
    let shown_for =
        request.purpose.as_deref().and_then(|word| fields.word("/purpose", word, PresentedFor::parse, words));
    if request.certificate.expose().len() > CERTIFICATE_BYTES_MAX {
        fields.refuse("/certificate", "malformed_certificate", "longer than any certificate");
    }
    let digest = caller.finish(fields, digest)?;
    let read = || state.certificates.read(&request.certificate);
    let seen = state.keyring.signing_count();
    let claims = match read() {
        Err(CredentialError::UnknownKey) if state.access.seek_keys(caller.asker(), seen).await => read(),
        claims => claims,
    };
    let Ok(claims) = claims else { return Ok(json(&CertificateVerificationAnswer::default())) };
    let verified = state.certificates.verify(claims, &digest, shown_for);
    Ok(json(&CertificateVerificationAnswer::of(state.read_in_time(verified).await??)))
}

fn read_issuing(asked: &CertificateRequest, caller: &Caller, state: &AppState) -> Result<Issuing, Problem> {
    let mut fields = Fields::default();
    let digest = fields.id_number(&asked.id_number, state.clock.today());
    let purpose = fields.word("/purpose", &asked.purpose, CertificatePurpose::parse, "air, rail, lodging");
    let office = fields.office(&asked.office, state.clock.today());
    let journey_on = fields.date("/journey_on", asked.journey_on.as_deref());
    let now_s = state.clock.now_s();
    let lodging_on = journey_on.filter(|_| purpose.is_some_and(|purpose| !purpose.is_of_one_day()));
    if let Some(Err(error)) = lodging_on.map(|day| check_lodging_journey(day, state.clock.today())) {
        fields.refuse(error.pointer(), error.code(), error.to_string());
    }
    let day = journey_on.filter(|_| purpose.is_some_and(CertificatePurpose::is_of_one_day)).map(beijing_day);
    let term = Term::of(now_s, asked.valid_hours.0, day)
        .map_err(|error| fields.refuse(error.pointer(), error.code(), error.to_string()))
        .ok();
    let issuing = digest.zip(purpose).zip(office).zip(term);
    let issuing =
        issuing.map(|(((digest, purpose), office), term)| Issuing { digest, purpose, office, journey_on, term, now_s });
    caller.finish(fields, issuing)
}

/// An instant of the claims.
fn instant(at_s: i64) -> String {
    Rfc3339::of(UnixMs::from_seconds(at_s)).as_str().to_owned()
}

impl<'a> CertificateIssuedAnswer<'a> {
    fn of(issued: &Issued<'a>) -> Self {
        let Certificate { id, purpose, journey_on, issued_s, term, .. } = issued.certificate;
        Self {
            certificate_id: *id,
            certificate: issued.credential,
            qr_svg: issued.qr_svg,
            purpose: purpose.as_str(),
            journey_on: journey_on.map(|day| day.to_string()),
            issued_at: instant(*issued_s),
            valid_from: instant(term.starts_s),
            expires_at: instant(term.ends_s),
        }
    }
}

impl CertificateAnswer {
    pub(super) fn of(stored: &StoredCertificate, now_s: i64) -> Self {
        let certificate = &stored.certificate;
        Self {
            certificate_id: certificate.id,
            state: certificate.state(now_s).as_str(),
            purpose: certificate.purpose.as_str(),
            office: stored.office.as_str().to_owned(),
            journey_on: certificate.journey_on.map(|day| day.to_string()),
            issued_at: instant(certificate.issued_s),
            valid_from: instant(certificate.term.starts_s),
            expires_at: instant(certificate.term.ends_s),
            revoked_at: certificate.revoked_at_ms.map(|at_ms| Rfc3339::of(at_ms).as_str().to_owned()),
        }
    }
}

impl CertificateVerificationAnswer {
    fn of(verified: Verified) -> Self {
        let Verified::Authentic { claims, status } = verified else { return Self::default() };
        Self {
            authentic: true,
            status: Some(status.as_str()),
            certificate_id: Some(claims.jti),
            purpose: Some(claims.purpose),
            office: Some(claims.office),
            journey_on: claims.journey_on,
            issued_at: Some(instant(claims.iat)),
            valid_from: Some(instant(claims.nbf)),
            expires_at: Some(instant(claims.exp)),
        }
    }
}
