//! How a client proves who it is at the token endpoint: a secret (in the header or the form) or a signed assertion
//! (RFC 6749, 2.3.1; RFC 7523). All failures look alike from outside.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use quick_cache::sync::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::directory::ClientEntry;
use super::jwks::PublishedKey;
use super::tokens::{TOKEN_BYTES_MAX, check_times, strict};
use crate::domain::ids::ClientId;
use crate::domain::redacted::{SecretText, TokenText};
use crate::store::clients::Proof;

/// What a client offered as proof.
#[derive(Debug, Clone)]
pub enum Credentials {
    Secret { client_id: ClientId, secret: SecretText },
    Assertion { client_id: ClientId, jwt: TokenText },
}

impl Credentials {
    /// Who the client says it is. For an assertion that is its `sub`, not yet believed.
    pub fn client_id(&self) -> ClientId {
        match self {
            Self::Secret { client_id, .. } | Self::Assertion { client_id, .. } => *client_id,
        }
    }

    /// Credentials from an assertion alone: the client's id is read from it, unverified.
    pub fn from_assertion(jwt: TokenText) -> Option<Self> {
        if jwt.expose().len() > TOKEN_BYTES_MAX {
            return None;
        }
        let claims: AssertionClaims = jsonwebtoken::dangerous::insecure_decode_claims(jwt.expose()).ok()?;
        Some(Self::Assertion { client_id: claims.sub, jwt })
    }
}

#[derive(Deserialize)]
struct AssertionClaims {
    iss: ClientId,
    sub: ClientId,
    /// One string: in a list, the issuer would not be alone.
    #[serde(rename = "aud")]
    _audience: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    iat: Option<i64>,
    jti: String,
}

/// An assertion is good for one use within so many seconds.
const ASSERTION_LIFETIME_S_MAX: i64 = 300;
/// Assertions remembered against replay: more than can be verified within their lifetime by the limit per address.
const ASSERTIONS_MAX: usize = 100_000;

/// Verifies proofs and remembers used assertions.
#[derive(Debug)]
pub struct ClientVerifier {
    used: Cache<[u8; 32], i64>,
}

impl Default for ClientVerifier {
    fn default() -> Self {
        Self { used: Cache::new(ASSERTIONS_MAX) }
    }
}

impl ClientVerifier {
    /// Whether the credentials prove to be this client's.
    pub fn proves(&self, client: &ClientEntry, credentials: &Credentials, issuer: &str, now_s: i64) -> bool {
        match credentials {
            Credentials::Secret { secret, .. } => {
                let offered = hash_secret(secret);
                client.proofs.iter().any(|proof| match proof {
                    Proof::SecretHash(hash) => verify_slices_are_equal(hash, &offered).is_ok(),
                    Proof::Key(_) => false,
                })
            }
            Credentials::Assertion { jwt, .. } => client.proofs.iter().any(|proof| match proof {
                Proof::Key(jwk) => self.assertion_holds(client.client_id, jwk, jwt.expose(), issuer, now_s),
                Proof::SecretHash(_) => false,
            }),
        }
    }

    fn assertion_holds(&self, client: ClientId, jwk: &str, jwt: &str, issuer: &str, now_s: i64) -> bool {
        let Ok(key) = PublishedKey::parse(jwk) else { return false };
        // The audience is the issuer alone: an assertion made for another server must not work here.
        let validation = strict(key.algorithm, &client.to_string(), issuer);
        let Ok(token) = jsonwebtoken::decode::<AssertionClaims>(jwt, &key.key, &validation) else { return false };
        let claims = token.claims;
        // Where `iat` is absent (RFC 7523, 3 leaves it optional), the lifetime counts from now.
        let iat = claims.iat.unwrap_or_else(|| now_s.min(claims.exp - 1));
        let timely = check_times(iat, claims.nbf, claims.exp, ASSERTION_LIFETIME_S_MAX, now_s).is_ok();
        timely && claims.iss == client && claims.sub == client && self.first_use(client, &claims.jti, claims.exp, now_s)
    }

    fn first_use(&self, client: ClientId, token_id: &str, expires_s: i64, now_s: i64) -> bool {
        let id: [u8; 32] = Sha256::new().chain_update(client.as_bytes()).chain_update(token_id).finalize().into();
        let mut first = false;
        let made: Result<i64, std::convert::Infallible> = self.used.get_or_insert_with(&id, || {
            first = true;
            Ok(expires_s)
        });
        let Ok(until) = made;
        first || until.saturating_add(super::tokens::LEEWAY_S) < now_s
    }
}

/// What the store keeps of a secret.
pub fn hash_secret(secret: &SecretText) -> [u8; 32] {
    Sha256::digest(secret.expose().as_bytes()).into()
}
