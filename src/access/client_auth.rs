//! How a client proves who it is at the token endpoint: by a secret, in the header or the form, or by a signed assertion
//! (RFC 6749, 2.3.1; RFC 7523). A refused secret says no more than that; a refused assertion says which rule it broke, for those
//! rules are public and its signer needs to know.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::certificates::PeerCertificate;
use super::directory::ClientEntry;
use super::jwks::PublishedKey;
use super::numeric_date::{seconds, seconds_if_there};
use super::token_claims::{LEEWAY_S, TokenError, check_times};
use super::tokens::TOKEN_BYTES_MAX;
use crate::crypto::client_secret::hash_secret;
use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::domain::redacted::{SecretText, TokenText};
use crate::store::clients::Proof;

/// What a client offered as proof.
#[derive(Debug, Clone)]
pub enum Credentials {
    Secret {
        client_id: ClientId,
        secret: SecretText,
    },
    Assertion(Box<Assertion>),
    /// The certificate of the connection.
    Certificate {
        client_id: ClientId,
    },
}

impl Credentials {
    /// Who the client says it is. For an assertion that is its `sub`, not yet believed.
    pub fn client_id(&self) -> ClientId {
        match self {
            Self::Secret { client_id, .. } | Self::Certificate { client_id } => *client_id,
            Self::Assertion(assertion) => assertion.client_id,
        }
    }

    /// Credentials from an assertion alone: all that needs no key is read.
    pub fn from_assertion(jwt: TokenText) -> Result<Self, AssertionFault> {
        Assertion::read(jwt).map(|assertion| Self::Assertion(Box::new(assertion)))
    }
}

/// The rule that an assertion breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionFault {
    TooLong,
    Malformed,
    Header,
    Critical,
    Type,
    Algorithm,
    Claims,
    Subject,
    Audience,
    TokenId,
    Lifetime,
    Expired,
    Signature,
    Used,
}

impl AssertionFault {
    /// For `error_description` and the operator's log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "the assertion is longer than 4,096 bytes",
            Self::Malformed => "the assertion is not a signed JWT in three parts",
            Self::Header => "the assertion's header is not the base64url of an object with alg, or its typ is no text",
            Self::Critical => "the assertion's header has crit, and no extension is known here",
            Self::Type => "the assertion's typ is neither JWT nor client-authentication+jwt",
            Self::Algorithm => "the assertion's alg is none of EdDSA, Ed25519, ES256, ES384, RS256, PS256",
            Self::Claims => {
                "the assertion lacks one of iss, sub, aud, exp and jti, or one of these, nbf or iat is not of its type"
            }
            Self::Subject => "the assertion's iss and sub are not both the client's id",
            Self::Audience => "the assertion's aud is not the issuer alone",
            Self::TokenId => "the assertion's jti is empty",
            Self::Lifetime => {
                "the assertion's exp is more than five minutes from now, more than an hour after its iat, or not after it"
            }
            Self::Expired => "the assertion has expired or is not valid yet",
            Self::Signature => "no key of the client made the assertion's signature",
            Self::Used => "the assertion was used before",
        }
    }
}

/// A client's assertion, read and not yet believed.
#[derive(Clone)]
pub struct Assertion {
    jwt: TokenText,
    header: AssertionHeader,
    claims: AssertionClaims,
    /// Its `sub`.
    client_id: ClientId,
}

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assertion(redacted)")
    }
}

/// Members that change nothing here (`kid`, `x5t`, `jku` and the like) are passed over: keys are the registered ones alone.
#[derive(Clone, Deserialize)]
struct AssertionHeader {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, deserialize_with = "there")]
    crit: Option<IgnoredAny>,
}

#[derive(Clone, Deserialize)]
struct AssertionClaims {
    iss: Party,
    sub: Party,
    aud: Audience,
    #[serde(deserialize_with = "seconds")]
    exp: i64,
    #[serde(default, deserialize_with = "seconds_if_there")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "seconds_if_there")]
    iat: Option<i64>,
    jti: String,
    /// Of devices: who is at it, and the proof of its PIN.
    #[serde(default)]
    clerk: Option<String>,
    #[serde(default)]
    pin: Option<String>,
}

/// Who a claim names: none, where the text is no client's id.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
struct Party(Option<ClientId>);

impl From<String> for Party {
    fn from(text: String) -> Self {
        Self(ClientId::parse(&text))
    }
}

/// What the assertion of a device says beside who it is.
#[derive(Clone, Copy)]
pub struct Unlocking<'a> {
    pub clerk: Option<&'a str>,
    pub pin: Option<&'a str>,
    /// What the PIN is proven for.
    pub token_id: &'a str,
}

/// It names a person.
impl std::fmt::Debug for Unlocking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unlocking(redacted)")
    }
}

/// A string, or a list (RFC 7519, 4.1.3).
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// An assertion made for another server as well must not work here.
    fn is_alone(&self, issuer: &str) -> bool {
        match self {
            Self::One(one) => one == issuer,
            Self::Several(several) => matches!(several.as_slice(), [one] if one == issuer),
        }
    }
}

/// A null is there, too.
pub(super) fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

/// How far an assertion's end may be ahead, in seconds: so long its use is remembered.
const ASSERTION_AHEAD_S_MAX: i64 = 300;
/// How long it may be good in all, in seconds, where it says since when.
const ASSERTION_LIFETIME_S_MAX: i64 = 3600;

/// An assertion that held. It is good once: the store says whether it was used before.
#[derive(Debug)]
pub struct Proven {
    /// Of client and `jti`.
    pub fingerprint: [u8; 32],
    pub expires_s: i64,
}

impl Assertion {
    fn read(jwt: TokenText) -> Result<Self, AssertionFault> {
        use AssertionFault as F;
        if jwt.expose().len() > TOKEN_BYTES_MAX {
            return Err(F::TooLong);
        }
        let mut parts = jwt.expose().split('.');
        let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(F::Malformed);
        };
        let header: AssertionHeader = read_part(header).ok_or(F::Header)?;
        if header.crit.is_some() {
            return Err(F::Critical);
        }
        if !header.typ.as_deref().is_none_or(is_of_assertions) {
            return Err(F::Type);
        }
        if !PublishedKey::ALGORITHMS.contains(&header.alg.as_str()) {
            return Err(F::Algorithm);
        }
        let claims: AssertionClaims = read_part(claims).ok_or(F::Claims)?;
        let client_id = claims.sub.0.ok_or(F::Subject)?;
        Ok(Self { jwt, header, claims, client_id })
    }

    /// What it says of who is at a device.
    pub fn unlocking(&self) -> Unlocking<'_> {
        let claims = &self.claims;
        Unlocking { clerk: claims.clerk.as_deref(), pin: claims.pin.as_deref(), token_id: &claims.jti }
    }

    /// Whether this client made it, for this service and for now. It may have been used before.
    pub fn verify(&self, client: &ClientEntry, issuer: &str, now_s: i64) -> Result<Proven, AssertionFault> {
        use AssertionFault as F;
        let claims = &self.claims;
        if claims.iss.0 != Some(client.client_id) || self.client_id != client.client_id {
            return Err(F::Subject);
        }
        if !claims.aud.is_alone(issuer) {
            return Err(F::Audience);
        }
        if claims.jti.is_empty() {
            return Err(F::TokenId);
        }
        if now_s >= claims.exp.saturating_add(LEEWAY_S) {
            return Err(F::Expired);
        }
        if claims.exp > now_s.saturating_add(ASSERTION_AHEAD_S_MAX + LEEWAY_S) {
            return Err(F::Lifetime);
        }
        // Where `iat` is absent (RFC 7523, 3 leaves it optional), the lifetime counts from now.
        let iat = claims.iat.unwrap_or_else(|| now_s.min(claims.exp.saturating_sub(1)));
        check_times(iat, claims.nbf, claims.exp, ASSERTION_LIFETIME_S_MAX, now_s).map_err(|error| match error {
            TokenError::Expired => F::Expired,
            _ => F::Lifetime,
        })?;
        let is_signed = client.proofs(UnixMs::from_seconds(now_s)).any(|proof| match proof {
            Proof::Key(jwk) => PublishedKey::parse(jwk).is_ok_and(|key| key.made(self.jwt.expose(), &self.header.alg)),
            _ => false,
        });
        if !is_signed {
            return Err(F::Signature);
        }
        let digest = Sha256::new().chain_update(client.client_id.as_bytes()).chain_update(&claims.jti);
        Ok(Proven { fingerprint: digest.finalize().into(), expires_s: claims.exp.saturating_add(LEEWAY_S) })
    }
}

/// `JWT` (RFC 7519, 5.1), or the type that its own standard is to have; with or without `application/`.
fn is_of_assertions(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "client-authentication+jwt")
}

/// A part of a JWT: an object. Serde would fill a struct from an array too.
fn read_part<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    if is_object { serde_json::from_slice(&json).ok() } else { None }
}

/// Whether a secret is one of the client's.
pub fn is_secret_of(client: &ClientEntry, secret: &SecretText, now_ms: UnixMs) -> bool {
    let offered = hash_secret(secret);
    client.proofs(now_ms).any(|proof| match proof {
        Proof::SecretHash(hash) => verify_slices_are_equal(hash, &offered).is_ok(),
        _ => false,
    })
}

/// What the certificates of a client say of one that was shown: whether it is one of them. None: it has none registered.
pub fn is_certificate_of(client: &ClientEntry, shown: &PeerCertificate, now_ms: UnixMs) -> Option<bool> {
    let matches = client.proofs(now_ms).filter_map(|proof| match proof {
        Proof::Thumbprint(thumbprint) => Some(shown.thumbprint == *thumbprint),
        Proof::Subject(subject) => Some(shown.is_of_ca && shown.subject == *subject),
        Proof::DnsName(name) => Some(shown.is_of_ca && shown.dns_names.contains(name)),
        Proof::SecretHash(_) | Proof::Key(_) => None,
    });
    let is_one = matches.reduce(|one, other| one || other)?;
    Some(is_one && shown.is_valid_at(now_ms.seconds()))
}
