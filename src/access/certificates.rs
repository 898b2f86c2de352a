//! Certificates that clients show, on their connection or by way of a proxy: who they are for, and whether an authority or an
//! operator vouches for them (RFC 8705). That the client has the key is the handshake's word.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use x509_cert::Version;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

/// A certificate, by its SHA-256 (`x5t#S256`; RFC 8705, 3.1).
pub type Thumbprint = [u8; 32];

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NotPem,
    #[error("not an X.509 certificate")]
    NotACertificate,
    #[error("not of version 3: make it with an extension, such as subjectAltName")]
    OldVersion,
    #[error("not a certificate of an authority: {0}")]
    NoAuthority(String),
}

/// What a client showed.
#[derive(Clone)]
pub struct PeerCertificate {
    pub thumbprint: Thumbprint,
    /// Whether an authority of `tls.client_ca` vouches for it.
    pub is_of_ca: bool,
    /// RFC 4514.
    pub subject: String,
    pub dns_names: Vec<String>,
    not_before_s: i64,
    not_after_s: i64,
}

/// Names of clients stay out of logs.
impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerCertificate(is_of_ca: {})", self.is_of_ca)
    }
}

impl PeerCertificate {
    /// Reads the first of a chain; the others link it to its authority.
    pub fn read(chain: &[CertificateDer<'_>], ca: Option<&ClientCa>, now_s: i64) -> Result<Self, CertificateError> {
        let (first, links) = chain.split_first().ok_or(CertificateError::NotACertificate)?;
        let parsed = x509_cert::Certificate::from_der(first).map_err(|_| CertificateError::NotACertificate)?;
        let tbs = parsed.tbs_certificate();
        let names = tbs.get_extension::<SubjectAltName>().map_err(|_| CertificateError::NotACertificate)?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let dns_names = names.into_iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
            _ => None,
        });
        let seconds =
            |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Ok(Self {
            thumbprint: Sha256::digest(first).into(),
            is_of_ca: ca.is_some_and(|ca| ca.vouches_for(first, links, now_s)),
            subject: tbs.subject().to_string(),
            dns_names: dns_names.collect(),
            not_before_s: seconds(tbs.validity().not_before),
            not_after_s: seconds(tbs.validity().not_after),
        })
    }

    /// The first certificate of a text in PEM. One of a version that no handshake takes would never be of use.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        let first = CertificateDer::from_pem_slice(text).map_err(|_| CertificateError::NotPem)?;
        let parsed = x509_cert::Certificate::from_der(&first).map_err(|_| CertificateError::NotACertificate)?;
        if parsed.tbs_certificate().version() != Version::V3 {
            return Err(CertificateError::OldVersion);
        }
        Self::read(&[first], None, 0)
    }

    /// When it ends, in seconds.
    pub fn not_after_s(&self) -> i64 {
        self.not_after_s
    }

    pub fn is_valid_at(&self, now_s: i64) -> bool {
        (self.not_before_s..=self.not_after_s).contains(&now_s)
    }
}

/// A distinguished name as it is compared: read by RFC 4514 and written again.
pub fn parse_subject(text: &str) -> Option<String> {
    let name: RdnSequence = text.parse().ok()?;
    (!name.is_empty()).then(|| name.to_string())
}

/// A DNS name of a certificate, as it is compared.
pub fn parse_dns_name(text: &str) -> Option<String> {
    let is_name = (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte));
    is_name.then(|| text.to_ascii_lowercase())
}

/// The authorities that vouch for clients.
#[derive(Clone)]
pub struct ClientCa(Arc<dyn ClientCertVerifier>);

impl fmt::Debug for ClientCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCa")
    }
}

impl ClientCa {
    /// From one or several certificates in PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|_| CertificateError::NotPem)?;
            roots.add(certificate).map_err(|error| CertificateError::NoAuthority(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(CertificateError::NotPem);
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), default_provider().into()).build();
        verifier.map(Self).map_err(|error| CertificateError::NoAuthority(error.to_string()))
    }

    fn vouches_for(&self, certificate: &CertificateDer<'_>, links: &[CertificateDer<'_>], now_s: i64) -> bool {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s.unsigned_abs()));
        self.0.verify_client_cert(certificate, links, now).is_ok()
    }
}
