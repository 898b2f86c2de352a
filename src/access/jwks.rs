//! Outside issuers' keys: JWK Sets (RFC 7517) from files, and the public keys of clients that sign assertions.
//! Only asymmetric keys with a known algorithm are taken: a symmetric one would let a verifier also sign.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};

/// An outside issuer whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that its tokens carry for this service.
    pub audience: String,
    /// Its JWK Set, as a file; or:
    pub jwks_file: Option<PathBuf>,
    /// where to fetch it: HTTPS, or plain HTTP from this machine itself.
    pub jwks_url: Option<String>,
}

/// One issuer with its keys by id.
#[derive(Debug, Clone)]
pub struct IssuerKeys {
    pub issuer: String,
    pub audience: String,
    pub keys: HashMap<String, PublishedKey>,
}

/// A key that verifies, with its one algorithm.
#[derive(Clone)]
pub struct PublishedKey {
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

impl fmt::Debug for PublishedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishedKey({:?})", self.algorithm)
    }
}

/// A JWK Set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}: not a JWK Set (RFC 7517, 5)")]
    NotASet(String),
    #[error("{0}: holds no usable key (asymmetric, with a kid)")]
    NoKey(String),
    #[error("{url}: {source}")]
    NotFetched { url: String, source: reqwest::Error },
    #[error("{0}: larger than a JWK Set needs to be")]
    TooLarge(String),
    #[error("an issuer has either jwks_file or jwks_url")]
    NoSource,
    #[error("not a public JWK for EdDSA, ES256, ES384, RS256 or PS256")]
    UnusableKey,
}

impl IssuerKeys {
    /// Reads or fetches an outside issuer's set.
    pub async fn load(outside: &OutsideIssuer) -> Result<Self, JwksError> {
        match (&outside.jwks_file, &outside.jwks_url) {
            (Some(file), None) => Self::of(outside, &read_set(file)?, &file.display().to_string()),
            (None, Some(url)) => Self::of(outside, &fetch_set(url).await?, url),
            _ => Err(JwksError::NoSource),
        }
    }

    fn of(outside: &OutsideIssuer, set: &JwkSet, source: &str) -> Result<Self, JwksError> {
        let usable = set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone()?, PublishedKey::of(jwk).ok()?)));
        let keys: HashMap<_, _> = usable.collect();
        if keys.is_empty() {
            return Err(JwksError::NoKey(source.to_owned()));
        }
        Ok(Self { issuer: outside.issuer.clone(), audience: outside.audience.clone(), keys })
    }
}

impl PublishedKey {
    /// The key of a JWK, with the algorithm that it names or that its type implies.
    pub fn of(jwk: &Jwk) -> Result<Self, JwksError> {
        let implied = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => Algorithm::ES384,
            AlgorithmParameters::RSA(_) => match jwk.common.key_algorithm {
                Some(KeyAlgorithm::PS256) => Algorithm::PS256,
                Some(KeyAlgorithm::RS256) | None => Algorithm::RS256,
                _ => return Err(JwksError::UnusableKey),
            },
            _ => return Err(JwksError::UnusableKey),
        };
        let key = DecodingKey::from_jwk(jwk).map_err(|_| JwksError::UnusableKey)?;
        Ok(Self { algorithm: implied, key })
    }

    /// From the text of one JWK.
    pub fn parse(jwk: &str) -> Result<Self, JwksError> {
        Self::of(&serde_json::from_str(jwk).map_err(|_| JwksError::UnusableKey)?)
    }
}

/// Reads a JWK Set from a file.
pub fn read_set(path: &Path) -> Result<JwkSet, JwksError> {
    let text = std::fs::read(path).map_err(|source| JwksError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|_| JwksError::NotASet(path.display().to_string()))
}

/// A set of a few keys has some 2 kB.
const SET_BYTES_MAX: usize = 64 * 1024;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a URL may be fetched from: HTTPS without user information, or plain HTTP to this very machine.
pub fn is_fetchable(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    is_safe && url.username().is_empty() && url.password().is_none()
}

/// Fetches a set: no redirects, a bound on time and size.
async fn fetch_set(url: &str) -> Result<JwkSet, JwksError> {
    let failed = |source| JwksError::NotFetched { url: url.to_owned(), source };
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(FETCH_TIMEOUT);
    let client = client.no_proxy().build().map_err(failed)?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(failed)?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if text.len() + chunk.len() > SET_BYTES_MAX {
            return Err(JwksError::TooLarge(url.to_owned()));
        }
        text.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&text).map_err(|_| JwksError::NotASet(url.to_owned()))
}
