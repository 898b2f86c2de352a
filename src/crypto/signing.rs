//! Ed25519 (RFC 8032) keys that sign and the set that is published (JWK Set, RFC 7517 and 8037).
//! A key is parsed once; signing costs about 8 us. What is signed (tokens, receipts) is not decided here.

use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;
use sha2::{Digest, Sha256};

/// The DER of an Ed25519 `SubjectPublicKeyInfo` up to the key itself (RFC 8410, 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key is not an Ed25519 key in PKCS#8 or `SubjectPublicKeyInfo` form.
#[derive(Debug, thiserror::Error)]
#[error("not an Ed25519 key in PKCS#8 or SubjectPublicKeyInfo form")]
pub struct KeyFormatError;

/// A public key with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kid: String,
    bytes: [u8; 32],
}

impl PublicKey {
    /// A key from its 32 bytes; the id is the start of its thumbprint.
    pub fn new(bytes: [u8; 32]) -> Self {
        let kid = base64url(&thumbprint(&bytes)[..12]);
        Self { kid, bytes }
    }

    /// What a reader pins: the thumbprint in hexadecimal, in groups of four that two people can read to each other.
    pub fn fingerprint(&self) -> String {
        let hex = hex::encode(thumbprint(&self.bytes));
        let groups: Vec<_> = hex.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(" ")
    }

    /// From the DER of a `SubjectPublicKeyInfo`.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyFormatError> {
        let bytes = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyFormatError)?;
        Ok(Self::new(bytes.try_into().map_err(|_| KeyFormatError)?))
    }

    /// The DER of the `SubjectPublicKeyInfo`.
    pub fn to_spki(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &self.bytes].concat()
    }

    /// The key id, as `kid` in headers and in the published set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The raw key, base64url: the `x` of the JWK.
    pub fn x(&self) -> String {
        base64url(&self.bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature).is_ok()
    }

    /// The JWK, as published.
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": self.x()})
    }
}

/// The JWK thumbprint of a key (RFC 7638 with RFC 8037, 2).
fn thumbprint(bytes: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(bytes))).into()
}

/// A private key that signs compact JWS.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: zeroize::Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl SigningKey {
    /// A new key of 32 random bytes.
    pub fn generate() -> Result<Self, KeyFormatError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyFormatError)?;
        // Version 1 carries no public key: the form that every library reads (RFC 5958, RFC 8410, 7).
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyFormatError)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// From PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFormatError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyFormatError)?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| KeyFormatError)?;
        Ok(Self { pair, pkcs8: zeroize::Zeroizing::new(der.to_vec()), public: PublicKey::new(bytes) })
    }

    /// PKCS#8 DER, for the key file and for libraries that sign themselves.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A bare signature, as notes carry it.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// A compact JWS (RFC 7515, 3.1) with the header `{"typ","alg","kid"}`.
    pub fn sign_jws(&self, typ: &str, payload: &[u8]) -> String {
        let header = format!(r#"{{"typ":"{typ}","alg":"EdDSA","kid":"{}"}}"#, self.public.kid);
        let mut jws = Vec::with_capacity(header.len() * 2 + payload.len() * 2 + 88);
        push_base64url(&mut jws, header.as_bytes());
        jws.push(b'.');
        push_base64url(&mut jws, payload);
        let signature = self.pair.sign(&jws);
        jws.push(b'.');
        push_base64url(&mut jws, signature.as_ref());
        String::from_utf8(jws).unwrap_or_default()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, redacted)", self.public.kid)
    }
}

/// By the vectors of the processor where it has them, for texts of 128 bytes and more: claims and heads of receipts.
static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Base64url without padding (RFC 4648, 5), as every byte string on the wire is written.
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

/// Appends what [`base64url`] gives, straight into its place.
pub fn push_base64url(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + base64::encoded_len(bytes.len(), false).unwrap_or(0), 0);
    let written = BASE64URL.encode_slice(bytes, &mut out[start..]);
    // Room that was made for it is never too small.
    out.truncate(start + written.unwrap_or(0));
}

/// Texts are put together without the formatting machinery: that shows in the throughput.
pub fn push_all<const N: usize>(out: &mut Vec<u8>, parts: [&str; N]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Reads [`base64url`]; anything else, padding included, is `None`.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_key_survives_its_file_form() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(key.public(), again.public());
        assert_eq!(&PublicKey::from_spki(&key.public().to_spki()).unwrap(), key.public());
    }

    /// RFC 8037, A.3.
    #[test]
    fn a_fingerprint_is_the_thumbprint_of_the_standard() {
        let x = from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = PublicKey::new(x.try_into().unwrap());
        let thumbprint = from_base64url("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k").unwrap();
        assert_eq!(key.fingerprint().replace(' ', ""), hex::encode(&thumbprint));
        assert_eq!(key.fingerprint().split(' ').count(), 16);
        assert_eq!(key.kid(), base64url(&thumbprint[..12]));
    }

    /// Short texts are written without vectors, long ones with them.
    #[test]
    fn a_text_of_any_length_is_written_and_read_as_the_standard_has_it() {
        let bytes: Vec<u8> = (0..=255).cycle().map(|byte: u8| byte.wrapping_mul(151)).take(700).collect();
        for length in 0..bytes.len() {
            let (bytes, mut text) = (&bytes[..length], b"before".to_vec());
            push_base64url(&mut text, bytes);
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text, format!("before{}", URL_SAFE_NO_PAD.encode(bytes)));
            assert_eq!(base64url(bytes), text["before".len()..]);
            assert_eq!(from_base64url(&text["before".len()..]).as_deref(), Some(bytes));
        }
        let text = base64url(&bytes);
        for at in 0..text.len() {
            for wrong in ["+", "/", "=", "\0", "\u{e9}"] {
                assert!(
                    from_base64url(&format!("{}{wrong}{}", &text[..at], &text[at + 1..])).is_none(),
                    "{wrong} at {at}"
                );
            }
        }
        for wrong in ["A", "AA==", "AB", "AAB", "AA\n"] {
            assert!(from_base64url(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_jws_verifies_and_a_changed_one_does_not() {
        let key = SigningKey::generate().unwrap();
        let jws = key.sign_jws("test+jwt", b"{}");
        let (signed, signature) = jws.rsplit_once('.').unwrap();
        let signature = from_base64url(signature).unwrap();
        assert!(key.public().verifies(signed.as_bytes(), &signature));
        assert!(!key.public().verifies(format!("{signed}A").as_bytes(), &signature));
        assert!(!SigningKey::generate().unwrap().public().verifies(signed.as_bytes(), &signature));
    }
}
