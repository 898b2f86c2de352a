//! Outside issuers' keys: JWK Sets (RFC 7517) from files, and the public keys of clients that sign assertions.
//! Only asymmetric keys with a known algorithm are taken: a symmetric one would let whoever verifies also sign.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// An outside issuer whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that its tokens carry for this service.
    pub audience: String,
    /// Its JWK Set.
    pub jwks_file: PathBuf,
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
    NotASet(PathBuf),
    #[error("{0}: holds no usable key (asymmetric, with a kid)")]
    NoKey(PathBuf),
    #[error("not a public JWK for EdDSA, ES256, ES384, RS256 or PS256")]
    UnusableKey,
}

impl IssuerKeys {
    /// Reads an outside issuer's set.
    pub fn read(outside: &OutsideIssuer) -> Result<Self, JwksError> {
        let set = read_set(&outside.jwks_file)?;
        let usable = set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone()?, PublishedKey::of(jwk).ok()?)));
        let keys: HashMap<_, _> = usable.collect();
        if keys.is_empty() {
            return Err(JwksError::NoKey(outside.jwks_file.clone()));
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
    serde_json::from_slice(&text).map_err(|_| JwksError::NotASet(path.to_owned()))
}
