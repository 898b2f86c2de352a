//! The credential of a temporary identification certificate: a compact JWS whose claims hold the number only as a commitment.
//!
//! Number and credential are all that an offline verifier has, so the salt travels in the credential. Anybody who has the
//! credential can try numbers (about 1.3e11 are plausible): the commitment is slow on purpose, so that each try costs
//! [`ITERATIONS`] of PBKDF2. See docs/decisions/021-certificates.md for what that buys and what not.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use serde::{Deserialize, Serialize};

use super::digest::IdDigest;
use super::salt::Salt;
use super::signing::{PublicKey, SigningKey, base64url, from_base64url};
use crate::domain::ids::CertificateId;
use crate::domain::redacted::{CredentialText, SaltText};

/// The `typ` of the JWS header.
pub const TYP: &str = "lostcard-certificate+jwt";
/// Longer texts are refused unread.
const CREDENTIAL_BYTES_MAX: usize = 4096;
const COMMITMENT_LABEL: &[u8] = b"lostcard:certificate:v1:";
/// About 0.06 s of one core.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
const SALT_BYTES: usize = 16;

/// What a credential says. Times in seconds since the Unix epoch (RFC 7519, 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service that issued it.
    pub iss: String,
    /// The certificate.
    pub jti: CertificateId,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    /// `air`, `rail` or `lodging`.
    pub purpose: String,
    /// The office that established who the holder is.
    pub office: String,
    /// The day of the journey, in Beijing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journey_on: Option<String>,
    /// The commitment to the number, base64url.
    pub cm: String,
    /// Its salt, base64url.
    pub salt: SaltText,
}

/// A commitment to a number and its salt, each base64url.
#[derive(Debug)]
pub struct Commitment {
    pub cm: String,
    pub salt: SaltText,
}

impl Commitment {
    /// Binds a credential to a number. Takes about 0.06 s: never on a thread that serves requests.
    pub fn to(digest: &IdDigest) -> Self {
        let salt = Salt::<SALT_BYTES>::draw();
        Self { cm: base64url(&derive(&salt, digest)), salt: salt.to_text() }
    }
}

/// PBKDF2-HMAC-SHA-256 (RFC 8018, 5.2) of the digest with the label and the salt.
fn derive(salt: &Salt<SALT_BYTES>, digest: &IdDigest) -> [u8; 32] {
    let mut cm = [0; 32];
    pbkdf2::derive(
        PBKDF2_HMAC_SHA256,
        ITERATIONS,
        &[COMMITMENT_LABEL, salt.expose()].concat(),
        digest.expose(),
        &mut cm,
    );
    cm
}

impl Claims {
    /// The credential.
    pub fn sign(&self, key: &SigningKey) -> Result<CredentialText, serde_json::Error> {
        Ok(key.sign_jws(TYP, &serde_json::to_vec(self)?).into())
    }

    /// Whether it is about this number. Takes about 0.06 s.
    pub fn is_about(&self, digest: &IdDigest) -> bool {
        let salt = Salt::parse(&self.salt);
        salt.is_some_and(|salt| base64url(&derive(&salt, digest)) == self.cm)
    }
}

/// The text is no credential of these keys. Why not is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("the certificate is signed by no key of this set")]
    UnknownKey,
    #[error("not an authentic certificate")]
    NotAuthentic,
}

/// Nothing beside these: `crit`, `jwk` and whatever else would change the meaning of the signature is refused by being unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

/// The claims of a credential that one of these keys has signed. Says nothing of times, revocation or persons.
pub fn verify(credential: &str, keys: &[PublicKey]) -> Result<Claims, CredentialError> {
    let wrong = CredentialError::NotAuthentic;
    if credential.len() > CREDENTIAL_BYTES_MAX {
        return Err(wrong);
    }
    let (signed, signature) = credential.rsplit_once('.').ok_or(wrong)?;
    let (header, payload) = signed.split_once('.').ok_or(wrong)?;
    let header: Header = from_json(header)?;
    let signature = from_base64url(signature).ok_or(wrong)?;
    if header.typ != TYP || header.alg != "EdDSA" {
        return Err(wrong);
    }
    let key = keys.iter().find(|key| key.kid() == header.kid).ok_or(CredentialError::UnknownKey)?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(wrong);
    }
    from_json(payload)
}

fn from_json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, CredentialError> {
    let bytes = from_base64url(part).ok_or(CredentialError::NotAuthentic)?;
    serde_json::from_slice(&bytes).map_err(|_| CredentialError::NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            iss: "https://lostcard.example".to_owned(),
            jti: CertificateId::nil(),
            iat: 1_795_440_000,
            nbf: 1_795_440_000,
            exp: 1_795_443_600,
            purpose: "rail".to_owned(),
            office: "110105-03".to_owned(),
            journey_on: None,
            cm: String::new(),
            salt: String::new().into(),
        }
    }

    #[test]
    fn a_credential_is_read_as_it_was_signed() {
        let key = SigningKey::generate().unwrap();
        let journey = Claims { journey_on: Some("2026-11-24".to_owned()), ..claims() };
        for claims in [claims(), journey] {
            let credential = claims.sign(&key).unwrap();
            assert_eq!(verify(credential.expose(), &[key.public().clone()]), Ok(claims));
            let stranger = SigningKey::generate().unwrap();
            assert_eq!(verify(credential.expose(), &[stranger.public().clone()]), Err(CredentialError::UnknownKey));
        }
    }

    /// Other kinds of tokens, other headers, and texts that are none.
    #[test]
    fn whatever_else_is_not_authentic() {
        let key = SigningKey::generate().unwrap();
        let good = claims().sign(&key).unwrap();
        let good = good.expose();
        let parts: Vec<&str> = good.split('.').collect();
        let payload = serde_json::to_vec(&claims()).unwrap();
        let later = Claims { exp: 1_895_443_600, ..claims() }.sign(&SigningKey::generate().unwrap()).unwrap();
        let crit = base64url(
            format!(r#"{{"typ":"{TYP}","alg":"EdDSA","kid":"{}","crit":["b64"],"b64":true}}"#, key.public().kid())
                .as_bytes(),
        );
        for bad in [
            String::new(),
            "..".to_owned(),
            "a.b".to_owned(),
            "WIFI:S:guest;P:x;;".to_owned(),
            key.sign_jws("lostcard-receipt+jwt", &payload),
            key.sign_jws("at+jwt", &payload),
            key.sign_jws(TYP, b"[]"),
            key.sign_jws(TYP, b"{}"),
            format!("{}.{}.{}", parts[0], later.expose().split('.').nth(1).unwrap(), parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{crit}.{}.{}", parts[1], parts[2]),
            format!("{good}="),
            format!("{good}{}", " ".repeat(4096)),
        ] {
            assert_eq!(verify(&bad, &[key.public().clone()]), Err(CredentialError::NotAuthentic), "{bad:.80}");
        }
    }

    #[test]
    fn a_commitment_is_about_its_own_number_and_as_documented() {
        let (own, other) = (IdDigest::from_bytes([1; 32]), IdDigest::from_bytes([2; 32]));
        let Commitment { cm, salt } = Commitment::to(&own);
        let bound = Claims { cm, salt, ..claims() };
        assert!(bound.is_about(&own));
        assert!(!bound.is_about(&other));
        assert!(!Claims { salt: base64url(&[0; SALT_BYTES]).into(), ..bound.clone() }.is_about(&own));
        assert!(!Claims { salt: String::new().into(), ..bound.clone() }.is_about(&own), "a shortened salt is none");
        assert_ne!(Commitment::to(&own).cm, bound.cm, "two certificates of a person do not show that they are");
        // Known from another implementation: Python's hashlib.pbkdf2_hmac("sha256", digest, label + salt, 600_000).
        assert_eq!(base64url(&derive(&[7; 16].into(), &own)), "9vzMuabuGYY5R1tcLvkCLVQaAK5q2Pc2Iy3PpfzXN3E");
    }
}
