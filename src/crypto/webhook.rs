//! Signatures of webhooks as Standard Webhooks 1.0.0 has them: HMAC-SHA-256 over id, time and body, under a secret that the
//! receiver holds too.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::random::{NoRandomness, key_bytes};
use super::seal::{SealError, Sealer};

/// What a secret begins with when it is shown.
const PREFIX: &str = "whsec_";
/// The specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// The secret of one endpoint.
pub struct WebhookSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl WebhookSecret {
    /// A new one.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(Zeroizing::new(key_bytes()?)))
    }

    /// Opens what [`Self::seal`] sealed for the same endpoint.
    pub fn open(by: &Sealer, endpoint: &[u8], sealed: &[u8]) -> Result<Self, SealError> {
        let plain = Zeroizing::new(by.open(endpoint, sealed)?);
        Ok(Self(Zeroizing::new(plain.as_slice().try_into().map_err(|_| SealError)?)))
    }

    /// As it is stored: bound to its endpoint.
    pub fn seal(&self, by: &Sealer, endpoint: &[u8]) -> Result<Vec<u8>, SealError> {
        by.seal(endpoint, self.0.as_slice())
    }

    /// As its receiver is given it: `whsec_` and base64.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0.as_slice()))
    }

    /// One signature of the header `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        sign(self.0.as_slice(), id, timestamp_s, body)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(redacted)")
    }
}

fn sign(secret: &[u8], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(format!("{id}.{timestamp_s}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example that the reference libraries share.
        let secret = STANDARD.decode("plJ3nmyCDGBKInavdOK15jsl").unwrap();
        let body = br#"{"event_type":"ping","data":{"success":true}}"#;
        let signature = sign(&secret, "msg_loFOjxBNrRLzqYUf", 1_731_705_121, body);
        assert_eq!(signature, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
    }

    #[test]
    fn a_secret_opens_for_its_endpoint_alone_and_is_not_shown() {
        let own = Sealer::new(&[1; 32]).unwrap();
        let secret = WebhookSecret::generate().unwrap();
        let sealed = secret.seal(&own, b"one").unwrap();
        let opened = WebhookSecret::open(&own, b"one", &sealed).unwrap();
        assert_eq!(opened.reveal(), secret.reveal());
        assert_eq!(opened.sign("a", 1, b"x"), secret.sign("a", 1, b"x"));
        assert!(WebhookSecret::open(&own, b"two", &sealed).is_err());
        assert!(secret.reveal().starts_with("whsec_") && secret.reveal().len() == 50);
        assert_ne!(secret.reveal(), WebhookSecret::generate().unwrap().reveal());
        assert_eq!(format!("{secret:?}"), "WebhookSecret(redacted)");
    }
}
