//! Temporary identification certificates: issuing, showing, revoking, verifying. The credential goes to the caller who asked for it
//! and is kept only, sealed, in the answer to a repetition. A verification leaves no trace: it would be a record of where
//! somebody travels.

use std::sync::Arc;

use jiff::civil::Date;

use super::writing::{Begun, Writer, seal_number};
use super::{ServiceError, qr};
use crate::crypto::certificate::{self, Claims, Commitment, CredentialError};
use crate::crypto::digest::IdDigest;
use crate::crypto::random;
use crate::crypto::seal::SealError;
use crate::crypto::signing::{base64url, from_base64url};
use crate::domain::audit::{Action, Deed};
use crate::domain::certificate::{
    Certificate, CertificatePurpose, CertificateState, CertificateStatus, PresentedFor, Showing, Term,
};
use crate::domain::client::Actor;
use crate::domain::ids::CertificateId;
use crate::domain::instant::UnixMs;
use crate::domain::redacted::CredentialText;
use crate::domain::report::OfficeCode;
use crate::store::aggregates;
use crate::store::certificates::{NewCertificate, StoredCertificate};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::lists::Wanted;

/// A certificate as a police office makes it out.
#[derive(Debug)]
pub struct Issuing {
    pub digest: IdDigest,
    pub purpose: CertificatePurpose,
    pub office: OfficeCode,
    pub journey_on: Option<Date>,
    pub term: Term,
    /// When `term` was made, in seconds since the Unix epoch.
    pub now_s: i64,
}

/// A certificate that is signed, and not issued yet.
#[derive(Debug)]
pub struct Prepared {
    issuing: Issuing,
    certificate: Certificate,
    credential: CredentialText,
    qr_svg: CredentialText,
}

/// What the caller who asked for a certificate gets.
#[derive(Debug)]
pub struct Issued<'a> {
    pub certificate: &'a Certificate,
    pub credential: &'a CredentialText,
    pub qr_svg: &'a CredentialText,
}

/// What a verification found.
#[derive(Debug)]
pub enum Verified {
    /// Not signed by this service, or not known to it.
    NotAuthentic,
    Authentic {
        claims: Claims,
        status: CertificateStatus,
    },
}

/// Issues and verifies.
#[derive(Debug)]
pub struct Certificates {
    writer: Arc<Writer>,
}

impl Certificates {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// What signs a certificate, and draws it: all that takes long (0.07 s of a core), to be done elsewhere, before the transaction takes its
    /// turn. Nothing is valid yet.
    pub fn preparing(
        &self,
        issuer: &str,
        issuing: Issuing,
    ) -> impl FnOnce() -> Result<Prepared, ServiceError> + Send + 'static {
        let (issuer, keys) = (issuer.to_owned(), self.writer.keyring.signing());
        move || {
            let certificate = Certificate {
                id: random::id(UnixMs::from_seconds(issuing.now_s)),
                purpose: issuing.purpose,
                journey_on: issuing.journey_on,
                issued_s: issuing.now_s,
                term: issuing.term,
                revoked_at_ms: None,
            };
            let Commitment { cm, salt } = Commitment::to(&issuing.digest);
            let claims = Claims {
                iss: issuer,
                jti: certificate.id,
                iat: certificate.issued_s,
                nbf: certificate.term.starts_s,
                exp: certificate.term.ends_s,
                purpose: certificate.purpose.as_str().to_owned(),
                office: issuing.office.as_str().to_owned(),
                journey_on: certificate.journey_on.map(|day| day.to_string()),
                cm,
                salt,
            };
            let credential = claims.sign(&keys.certificate).map_err(|_| ServiceError::NotSigned)?;
            let qr_svg = qr::to_svg(credential.expose()).map_err(|_| ServiceError::NotSigned)?.into();
            Ok(Prepared { issuing, certificate, credential, qr_svg })
        }
    }

    /// Issues what was prepared. `render` makes the answer, which a repetition of the request gets as well.
    pub async fn issue(
        &self,
        actor: Actor,
        prepared: Prepared,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Issued<'_>) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return self.open_answer(repeatable.as_ref(), answer),
            Begun::Fresh(writing) => *writing,
        };
        let Prepared { issuing, certificate, credential, qr_svg } = prepared;
        let number = seal_number(&self.writer.keyring, &writing.peppers.current, &issuing.digest, certificate.id)?;
        let office = issuing.office.clone();
        let new = NewCertificate { certificate, organization: actor.organization, number, office };
        writing.tx.insert_certificate(&new).await?;
        let certificate = &new.certificate;
        let answer = render(&Issued { certificate, credential: &credential, qr_svg: &qr_svg });
        let kept = repeatable.as_ref().map(|request| self.seal_answer(request, &answer)).transpose()?;
        let deed = Deed::of(actor, Action::CertificateIssued, certificate.id);
        self.writer.finish(writing, &deed, kept.as_ref()).await?;
        self.writer.metrics.certificates.inc();
        Ok(answer)
    }

    /// A page of an organization's own.
    pub async fn list(
        &self,
        actor: Actor,
        wanted: &Wanted<CertificateState, CertificateId>,
    ) -> Result<Vec<StoredCertificate>, ServiceError> {
        let found =
            self.writer.store.page_of_certificates(actor.organization, wanted, self.writer.clock.now_ms()).await?;
        let ids: Vec<_> = found.iter().map(|stored| stored.certificate.id.into()).collect();
        self.writer
            .note_many(Deed::of_many(actor, Action::CertificatesListed), &aggregates::CERTIFICATES, &ids)
            .await?;
        Ok(found)
    }

    /// An organization's own certificate.
    pub async fn find(
        &self,
        actor: Actor,
        certificate: CertificateId,
    ) -> Result<Option<StoredCertificate>, ServiceError> {
        let found = self.writer.store.find_certificate(actor.organization, certificate).await?;
        if found.is_some() {
            self.writer.note(&Deed::of(actor, Action::CertificateRead, certificate)).await?;
        }
        Ok(found)
    }

    /// Nobody may accept it any longer: after the answer no node does.
    pub async fn revoke(
        &self,
        actor: Actor,
        certificate: CertificateId,
        office: &OfficeCode,
    ) -> Result<Option<StoredCertificate>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(stored) = writing.tx.find_certificate(actor.organization, certificate).await? else { return Ok(None) };
        let revoked = stored.certificate.revoke(writing.now_ms);
        let revoked = revoked.map_err(|refusal| ServiceError::Conflict(refusal.to_string().into()))?;
        writing.tx.revoke_certificate(&revoked, office).await?;
        let deed = Deed::of(actor, Action::CertificateRevoked, certificate);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(StoredCertificate { certificate: revoked, ..stored }))
    }

    /// The claims of a credential that this service has signed.
    pub fn read(&self, credential: &CredentialText) -> Result<Claims, CredentialError> {
        certificate::verify(credential.expose(), &self.writer.keyring.signing().published_certificates)
    }

    /// Verifies a credential that this service has signed, by its row: never from memory, for it may have been revoked a moment
    /// ago. Whose it is shows in the lookup key, without the slow commitment.
    pub async fn verify(
        &self,
        claims: Claims,
        digest: &IdDigest,
        shown_for: Option<PresentedFor>,
    ) -> Result<Verified, ServiceError> {
        let store = &self.writer.store;
        let read = async |keys: Vec<_>| {
            let (versions, found) = store.certificate_to_verify(claims.jti).await?;
            Ok((versions, found.map(|stored| (keys.contains(&stored.lookup_key), stored.certificate))))
        };
        let found = self.writer.read_by_number(digest, read).await?;
        let now_s = self.writer.clock.now_s();
        let status = match found {
            Some((is_holder, certificate)) => certificate.status(Showing { is_holder, shown_for, now_s }),
            // Its row may have been deleted since.
            None if now_s >= claims.exp => CertificateStatus::Expired,
            // Nothing was ever issued by that id: somebody else has the signing key, or the store was set back.
            None => {
                tracing::warn!(certificate = %claims.jti, "a certificate is signed by this service and not known to it");
                return Ok(Verified::NotAuthentic);
            }
        };
        Ok(Verified::Authentic { claims, status })
    }

    /// The credential is not kept, but its answer has to be: sealed, so that the store alone lets nobody try numbers.
    fn seal_answer(&self, request: &IdempotentRequest, answer: &StoredAnswer) -> Result<StoredAnswer, ServiceError> {
        let sealed = self.writer.keyring.sealer().seal(&request.key, answer.body.as_bytes())?;
        Ok(StoredAnswer { body: base64url(&sealed), ..answer.clone() })
    }

    fn open_answer(
        &self,
        request: Option<&IdempotentRequest>,
        answer: StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let (request, sealed) = request.zip(from_base64url(&answer.body)).ok_or(SealError)?;
        let body = self.writer.keyring.sealer().open(&request.key, &sealed)?;
        Ok(StoredAnswer { body: String::from_utf8(body).map_err(|_| SealError)?, ..answer })
    }
}
