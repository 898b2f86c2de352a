//! Proofs that a client has the key of its token (`DPoP`, RFC 9449): read, compared with their request, and verified, in the order of
//! what it costs. Whether one was used before is the store's or Redis's to say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::certificates::Thumbprint;
use super::client_auth::there;
use super::jwks::{PublishedKey, is_private, thumbprint_of};
use super::numeric_date::seconds;
use crate::crypto::once_each::once_each;
use crate::crypto::pepper::Fingerprints;
use crate::crypto::signing::base64url;
use crate::domain::redacted::TokenText;

/// What `alg` of a proof may be.
pub const ALGORITHMS: &[&str] = &["ES256", "EdDSA", "Ed25519"];
/// How old a proof may be, and how far its clock may be ahead, in seconds.
pub const AGE_S_MAX: i64 = 30;
/// A nonce is new for so long, and good for twice as long, in seconds.
const NONCE_S: i64 = 300;
const PROOF_BYTES_MAX: usize = 4096;

/// The rule that a proof breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DpopFault {
    Missing,
    Several,
    TooLong,
    Malformed,
    Header,
    Critical,
    Type,
    Algorithm,
    Key,
    Claims,
    Method,
    Target,
    Time,
    Token,
    Holder,
    Nonce,
    Signature,
    Used,
}

impl DpopFault {
    /// For `error_description`, details and the operator's log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "a DPoP proof is needed and there is none",
            Self::Several => "there is more than one DPoP header",
            Self::TooLong => "the DPoP proof is longer than 4,096 bytes",
            Self::Malformed => "the DPoP proof is not a signed JWT in three parts",
            Self::Header => "the DPoP proof's header is not the base64url of an object with typ, alg and jwk",
            Self::Critical => "the DPoP proof's header has crit, and no extension is known here",
            Self::Type => "the DPoP proof's typ is not dpop+jwt",
            Self::Algorithm => "the DPoP proof's alg is none of ES256, EdDSA, Ed25519",
            Self::Key => "the DPoP proof's jwk is not a public key of its alg, or has a member twice",
            Self::Claims => "the DPoP proof lacks one of jti, htm, htu and iat, or one is not of its type",
            Self::Method => "the DPoP proof's htm is not the method of the request",
            Self::Target => "the DPoP proof's htu is not the public URL of the request",
            Self::Time => "the DPoP proof's iat is more than 30 seconds from now",
            Self::Token => "the DPoP proof's ath is not the hash of the token",
            Self::Holder => "the DPoP proof's key is not the one that the token is bound to",
            Self::Nonce => "the DPoP proof has no nonce of this service, or an old one: use the one of DPoP-Nonce",
            Self::Signature => "the DPoP proof's signature does not match",
            Self::Used => "the DPoP proof was used before",
        }
    }

    /// As the standard calls it (RFC 9449, 5 and 8).
    pub const fn error(self) -> &'static str {
        match self {
            Self::Nonce => "use_dpop_nonce",
            _ => "invalid_dpop_proof",
        }
    }
}

/// Members that change nothing here are passed over.
#[derive(Deserialize)]
struct Header<'a> {
    alg: String,
    typ: String,
    #[serde(borrow)]
    jwk: &'a RawValue,
    #[serde(default, deserialize_with = "there")]
    crit: Option<IgnoredAny>,
}

#[derive(Clone, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    #[serde(deserialize_with = "seconds")]
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// A proof, read and not yet believed.
#[derive(Clone)]
pub struct DpopProof {
    jws: TokenText,
    alg: String,
    key: PublishedKey,
    thumbprint: Thumbprint,
    claims: Claims,
}

impl std::fmt::Debug for DpopProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DpopProof(redacted)")
    }
}

/// Of the token that comes with a proof: its hash (`ath`), and the key that it is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub hash: [u8; 32],
    pub key: Thumbprint,
}

impl Held {
    pub fn of(token: &str, key: Thumbprint) -> Self {
        Self { hash: Sha256::digest(token).into(), key }
    }
}

/// What a proof must be about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// The public URL of the service, and the path behind it.
    pub url: &'a str,
    pub path: &'a str,
    pub held: Option<Held>,
    pub now_s: i64,
}

impl DpopProof {
    /// Reads the value of a `DPoP` header.
    pub fn read(jws: &str) -> Result<Self, DpopFault> {
        use DpopFault as F;
        if jws.len() > PROOF_BYTES_MAX {
            return Err(F::TooLong);
        }
        let mut parts = jws.split('.');
        let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(F::Malformed);
        };
        let object = |part: &str| {
            let json = URL_SAFE_NO_PAD.decode(part).ok()?;
            // Serde fills a struct from an array too.
            (json.trim_ascii_start().first() == Some(&b'{')).then_some(json)
        };
        let header = object(header).ok_or(F::Header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| F::Header)?;
        if header.crit.is_some() {
            return Err(F::Critical);
        }
        if !header.typ.eq_ignore_ascii_case("dpop+jwt") {
            return Err(F::Type);
        }
        if !ALGORITHMS.contains(&header.alg.as_str()) {
            return Err(F::Algorithm);
        }
        let jwk = once_each(header.jwk.get()).map_err(|_| F::Key)?;
        if is_private(&jwk) {
            return Err(F::Key);
        }
        let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| F::Key)?;
        let key = PublishedKey::of(&jwk).map_err(|_| F::Key)?;
        if !matches!(key.algorithm, Algorithm::ES256 | Algorithm::EdDSA) || !key.is_named(&header.alg) {
            return Err(F::Key);
        }
        let thumbprint = thumbprint_of(&jwk).ok_or(F::Key)?;
        let claims = object(claims).ok_or(F::Claims)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| F::Claims)?;
        if claims.jti.is_empty() {
            return Err(F::Claims);
        }
        Ok(Self { jws: jws.to_owned().into(), alg: header.alg, key, thumbprint, claims })
    }

    /// The key that it was made by (`jkt`).
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// All that costs no mathematics.
    pub fn check(&self, request: &Request<'_>) -> Result<(), DpopFault> {
        use DpopFault as F;
        let claims = &self.claims;
        if claims.htm != request.method {
            return Err(F::Method);
        }
        if !is_target(&claims.htu, request.url, request.path) {
            return Err(F::Target);
        }
        if claims.iat.saturating_sub(request.now_s).saturating_abs() > AGE_S_MAX {
            return Err(F::Time);
        }
        if let Some(held) = request.held {
            if self.thumbprint != held.key {
                return Err(F::Holder);
            }
            if claims.ath.as_deref() != Some(base64url(&held.hash).as_str()) {
                return Err(F::Token);
            }
        }
        Ok(())
    }

    /// Whether its nonce is one of the service's.
    pub fn has_nonce(&self, keys: &Fingerprints, now_s: i64) -> bool {
        let window = now_s.div_euclid(NONCE_S);
        let is = |window| self.claims.nonce.as_deref() == Some(nonce_of(keys, window).as_str());
        is(window) || is(window - 1)
    }

    /// The mathematics.
    pub fn is_signed(&self) -> bool {
        self.key.made(self.jws.expose(), &self.alg)
    }

    /// What is remembered of its use, and until when, in seconds.
    pub fn use_of(&self) -> ([u8; 32], i64) {
        let digest = Sha256::new().chain_update("dpop\0").chain_update(self.thumbprint).chain_update(&self.claims.jti);
        (digest.finalize().into(), self.claims.iat.saturating_add(AGE_S_MAX + 1))
    }
}

/// The nonce of the moment: nothing is kept, every node on the same keys makes the same.
pub fn nonce(keys: &Fingerprints, now_s: i64) -> String {
    nonce_of(keys, now_s.div_euclid(NONCE_S))
}

fn nonce_of(keys: &Fingerprints, window: i64) -> String {
    base64url(&keys.of("dpop-nonce", &[&window.to_be_bytes()]))
}

/// Whether `htu` is a URL (RFC 9449, 4.3, 9): without query and fragment, as RFC 3986 (6.2.2, 6.2.3) normalizes both.
fn is_target(htu: &str, url: &str, path: &str) -> bool {
    if htu.strip_prefix(url) == Some(path) {
        return true;
    }
    let plain = |text: &str| {
        let mut parsed = reqwest::Url::parse(text).ok()?;
        parsed.set_query(None);
        parsed.set_fragment(None);
        Some(parsed)
    };
    let asked = plain(&format!("{url}{path}"));
    asked.is_some() && plain(htu) == asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_public_url_however_it_is_written() {
        let (url, path) = ("https://lostcard.example", "/v1/checks");
        for (htu, is) in [
            ("https://lostcard.example/v1/checks", true),
            ("HTTPS://LostCard.example:443/v1/checks", true),
            ("https://lostcard.example/v1/../v1/checks", true),
            ("https://lostcard.example/v1/checks?a=b#c", true),
            ("https://lostcard.example/v1/checks/batch", false),
            ("https://lostcard.example/V1/checks", false),
            ("http://lostcard.example/v1/checks", false),
            ("https://lostcard.example:8443/v1/checks", false),
            ("https://other.example/v1/checks", false),
            ("/v1/checks", false),
            ("", false),
        ] {
            assert_eq!(is_target(htu, url, path), is, "{htu}");
        }
    }
}
