//! A client's private key: it signs who the client is (`private_key_jwt`, RFC 7523) and that each request is its own (`DPoP`, RFC 9449).

use std::fmt;

use anyhow::Context;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crypto::random;
use crate::crypto::signing::{base64url, from_base64url};
use crate::domain::ids::ClientId;
use crate::domain::redacted::SecretText;

/// An assertion is sent at once.
const ASSERTION_LIFETIME_S: i64 = 60;

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A key, and what others see of it.
pub(crate) struct Holder {
    pair: Pair,
    public: Value,
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Holder(redacted)")
    }
}

/// A private key as JSON (RFC 7517; RFC 7518, 6.2; RFC 8037).
#[derive(Debug, Deserialize)]
pub(super) struct PrivateJwk {
    crv: String,
    x: String,
    y: Option<String>,
    d: SecretText,
}

/// One request, as a proof names it.
#[derive(Clone, Copy)]
pub(super) struct Proven<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) token: Option<&'a str>,
    /// Of the service, where it has offered one.
    pub(super) nonce: Option<&'a str>,
    pub(super) now_s: i64,
}

impl Holder {
    /// None where it is no such key, or its halves do not belong together.
    pub(super) fn of_jwk(jwk: &PrivateJwk) -> Option<Self> {
        let private = Zeroizing::new(from_base64url(jwk.d.expose())?);
        let x = from_base64url(&jwk.x)?;
        match (jwk.crv.as_str(), &jwk.y) {
            ("Ed25519", None) => Ed25519KeyPair::from_seed_and_public_key(&private, &x).ok().map(Self::of_ed25519),
            ("P-256", Some(y)) if x.len() == 32 => {
                // Uncompressed (SEC 1, 2.3.3).
                let point = [vec![4], x, from_base64url(y)?].concat();
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &point).ok()?;
                let public = json!({"crv": "P-256", "kty": "EC", "x": jwk.x, "y": y});
                Some(Self { pair: Pair::P256(pair), public })
            }
            _ => None,
        }
    }

    /// One for this run alone: a token can be bound to any key.
    pub(super) fn new() -> anyhow::Result<Self> {
        let seed = Zeroizing::new(random::key_bytes::<32>()?);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
        pair.map(Self::of_ed25519).ok().context("no key could be made")
    }

    fn of_ed25519(pair: Ed25519KeyPair) -> Self {
        let public = json!({"crv": "Ed25519", "kty": "OKP", "x": base64url(pair.public_key().as_ref())});
        Self { pair: Pair::Ed25519(pair), public }
    }

    /// Who the client is. `issuer` is the service that may believe it, and no other one.
    pub(super) fn assertion(&self, client_id: ClientId, issuer: &str, now_s: i64) -> anyhow::Result<String> {
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": issuer, "jti": new_id(),
            "iat": now_s, "exp": now_s.saturating_add(ASSERTION_LIFETIME_S),
        });
        self.sign(&json!({"typ": "JWT", "alg": self.algorithm()}), &claims)
    }

    /// That a request is made by the one who has the key.
    pub(super) fn proof(&self, request: Proven<'_>) -> anyhow::Result<String> {
        let mut claims = json!({"jti": new_id(), "htm": request.method, "htu": request.url, "iat": request.now_s});
        if let Some(token) = request.token {
            claims["ath"] = json!(base64url(&Sha256::digest(token)));
        }
        if let Some(nonce) = request.nonce {
            claims["nonce"] = json!(nonce);
        }
        self.sign(&json!({"typ": "dpop+jwt", "alg": self.algorithm(), "jwk": self.public}), &claims)
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()),
            Pair::P256(pair) => pair.sign(&random::of_signatures(), message.as_bytes())?,
        };
        Ok(format!("{message}.{}", base64url(signature.as_ref())))
    }
}

fn new_id() -> String {
    base64url(&random::bytes::<16>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::dpop::DpopProof;

    fn read(jwk: &Value) -> Option<Holder> {
        Holder::of_jwk(&serde_json::from_value(jwk.clone()).unwrap())
    }

    /// RFC 8037, A.1, and RFC 7515, A.3.
    fn jwks() -> [Value; 2] {
        [
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}),
            json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}),
        ]
    }

    #[test]
    fn proofs_are_signed_by_keys_of_both_kinds() {
        let holders = jwks().map(|jwk| read(&jwk).unwrap());
        for holder in holders.into_iter().chain([Holder::new().unwrap()]) {
            let request =
                Proven { method: "POST", url: "https://a.example/x", token: Some("t"), nonce: Some("n"), now_s: 7 };
            let (one, two) = (holder.proof(request).unwrap(), holder.proof(request).unwrap());
            assert_ne!(one, two, "each is good once");
            assert!(DpopProof::read(&one).unwrap().is_signed());
            assert_eq!(format!("{holder:?}"), "Holder(redacted)");
        }
    }

    #[test]
    fn what_is_no_pair_of_keys_is_none() {
        for jwk in jwks() {
            for (member, value) in [("d", "AAAA"), ("x", "AAAA"), ("x", "%"), ("crv", "P-521"), ("y", "AAAA")] {
                let mut wrong = jwk.clone();
                wrong[member] = json!(value);
                assert!(read(&wrong).is_none(), "{} {member}", jwk["crv"]);
            }
        }
        let [mut mixed, other] = jwks();
        mixed["d"] = other["d"].clone();
        assert!(read(&mixed).is_none(), "the halves are of two keys");
    }
}
