//! What stands for an ID number outside the request that brought it.
//! `IdDigest` (SHA-256, unkeyed) is what a client may send and is as sensitive as the number itself: the numbers are so few
//! (about 1.3e11) that the digest can be undone. `LookupKey` (HMAC under the pepper) is what is stored.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::domain::id_number::IdNumber;

const DIGEST_LABEL: &[u8] = b"lostcard:v1:";

/// SHA-256 of `lostcard:v1:` and the canonical number.
#[derive(Clone, PartialEq, Eq)]
pub struct IdDigest([u8; 32]);

impl IdDigest {
    /// The digest of a number.
    pub fn of(number: &IdNumber) -> Self {
        let mut hash = Sha256::new();
        hash.update(DIGEST_LABEL);
        hash.update(number.as_bytes());
        Self(hash.finalize().into())
    }

    /// A digest sent by a client: exactly 64 hexadecimal characters, in either case.
    pub fn parse(hex_text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex_text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The bytes, for sealing and commitments only.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest that was sealed and is open again.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Drop for IdDigest {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for IdDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdDigest(redacted)")
    }
}

/// HMAC-SHA-256 of a digest under the pepper, the first 16 bytes (a collision among 1e8 records: 1.5e-23).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupKey([u8; 16]);

impl LookupKey {
    /// The bytes, as stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A key read back from the store.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 64 bits that the filter holds.
    pub fn prefix(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupKey(redacted)")
    }
}

/// The secret that turns digests into lookup keys, with its key schedule kept.
#[derive(Clone)]
pub struct Pepper {
    version: u32,
    mac: Hmac<Sha256>,
}

impl Pepper {
    /// A pepper of 32 bytes.
    pub fn new(version: u32, secret: &[u8; 32]) -> Self {
        // Unwrap safety: HMAC takes a key of any length (RFC 2104, 2), so this never fails.
        #[expect(clippy::unwrap_used, reason = "HMAC takes a key of any length")]
        let mac = Hmac::new_from_slice(secret).unwrap();
        Self { version, mac }
    }

    /// Which of the rotating peppers this is.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the registry stores and looks up instead of the digest.
    pub fn lookup_key(&self, digest: &IdDigest) -> LookupKey {
        let mut mac = self.mac.clone();
        mac.update(digest.expose());
        let full = mac.finalize().into_bytes();
        let mut key = [0; 16];
        key.copy_from_slice(&full[..16]);
        LookupKey(key)
    }

    /// A keyed fingerprint for another purpose; the label keeps it apart from lookup keys, which have none and are of
    /// exactly 32 bytes of input.
    pub fn fingerprint(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut fingerprint = self.begin_fingerprint(label);
        for part in parts {
            fingerprint.update(part);
        }
        fingerprint.finish()
    }

    /// Whether the first bytes of a fingerprint are these, in a time that tells nothing of where they differ.
    pub fn is_fingerprint(&self, label: &str, parts: &[&[u8]], first: &[u8]) -> bool {
        let expected = self.fingerprint(label, parts);
        let differing = expected.iter().zip(first).fold(0, |all, (a, b)| all | (a ^ b));
        first.len() >= 16 && first.len() <= expected.len() && std::hint::black_box(differing) == 0
    }

    /// The same for what is too long to be held in one piece.
    pub fn begin_fingerprint(&self, label: &str) -> Fingerprint {
        let mut fingerprint = Fingerprint(self.mac.clone());
        fingerprint.update(b"lostcard:fingerprint:v1:");
        fingerprint.update(label.as_bytes());
        fingerprint.update(&[0]);
        fingerprint
    }
}

/// A keyed fingerprint in the making.
pub struct Fingerprint(Hmac<Sha256>);

impl Fingerprint {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }

    /// Whether it is this one, in a time that does not tell how far they agree.
    pub fn is(self, expected: &[u8; 32]) -> bool {
        self.0.verify_slice(expected).is_ok()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(redacted)")
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper(v{}, redacted)", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: &str) -> IdDigest {
        let today = jiff::civil::date(2026, 11, 23);
        IdDigest::of(&IdNumber::parse(number, today).unwrap())
    }

    #[test]
    fn the_digest_is_what_api_clients_compute() {
        // printf 'lostcard:v1:11010519491231002X' | sha256sum
        let by_client = hex::encode(Sha256::digest(b"lostcard:v1:11010519491231002X"));
        assert_eq!(digest("11010519491231002X"), IdDigest::parse(&by_client).unwrap());
        assert_eq!(digest("11010519491231002x"), IdDigest::parse(&by_client.to_uppercase()).unwrap());
    }

    #[test]
    fn a_malformed_digest_is_refused() {
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            assert!(IdDigest::parse(bad).is_none());
        }
    }

    #[test]
    fn keys_differ_by_number_and_by_pepper() {
        let (one, two) = (Pepper::new(1, &[1; 32]), Pepper::new(2, &[2; 32]));
        let (a, b) = (digest("11010519491231002X"), digest("440524188001010014"));
        assert_eq!(one.lookup_key(&a), one.lookup_key(&a));
        assert_ne!(one.lookup_key(&a), one.lookup_key(&b));
        assert_ne!(one.lookup_key(&a), two.lookup_key(&a));
        assert_ne!(one.lookup_key(&a).as_bytes()[..], one.fingerprint("x", &[a.expose()])[..16]);
    }

    #[test]
    fn a_fingerprint_is_known_by_its_first_half() {
        let pepper = Pepper::new(1, &[1; 32]);
        let whole = pepper.fingerprint("x", &[b"a"]);
        assert!(pepper.is_fingerprint("x", &[b"a"], &whole[..16]) && pepper.is_fingerprint("x", &[b"a"], &whole));
        assert!(!pepper.is_fingerprint("x", &[b"a"], &whole[..15]) && !pepper.is_fingerprint("x", &[b"a"], &[]));
        assert!(
            !pepper.is_fingerprint("x", &[b"b"], &whole[..16]) && !pepper.is_fingerprint("y", &[b"a"], &whole[..16])
        );
        let mut other = whole;
        other[15] ^= 1;
        assert!(!pepper.is_fingerprint("x", &[b"a"], &other[..16]));
    }

    #[test]
    fn debug_shows_nothing() {
        let pepper = Pepper::new(1, &[7; 32]);
        let shown = format!(
            "{:?} {:?} {pepper:?}",
            digest("11010519491231002X"),
            pepper.lookup_key(&digest("11010519491231002X"))
        );
        assert_eq!(shown, "IdDigest(redacted) LookupKey(redacted) Pepper(v1, redacted)");
    }
}
