//! What stands for an ID number outside the request that brought it.
//! `IdDigest` (SHA-256, unkeyed) is what a client may send and is as sensitive as the number itself: the numbers are so few
//! (about 1.3e11) that the digest can be undone. `LookupKey` (HMAC under a pepper, see the sibling) is what is stored.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::domain::id_number::IdNumber;
use crate::domain::redacted::DigestText;

const DIGEST_LABEL: &[u8] = b"lostcard:v1:";

/// SHA-256 of `lostcard:v1:` and the canonical number. On the heap, so that moving it leaves no copy behind: a connection that
/// rests keeps the memory of its last request (decision 040).
#[derive(Clone, PartialEq, Eq)]
pub struct IdDigest(Box<[u8; 32]>);

impl IdDigest {
    /// The digest of a number.
    pub fn of(number: &IdNumber) -> Self {
        let mut hash = Sha256::new();
        hash.update(DIGEST_LABEL);
        hash.update(number.as_bytes());
        let mut digest = Self(Box::new([0; 32]));
        hash.finalize_into((&mut *digest.0).into());
        digest
    }

    /// A digest sent by a client: exactly 64 hexadecimal characters, in either case.
    pub fn parse(hex_text: &str) -> Option<Self> {
        let mut digest = Self(Box::new([0; 32]));
        hex::decode_to_slice(hex_text, &mut *digest.0).ok()?;
        Some(digest)
    }

    /// The bytes, for sealing and commitments only.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest that was sealed and is open again.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Box::new(bytes))
    }
}

impl DigestText {
    /// The digest, if it is one.
    pub fn parse(&self) -> Option<IdDigest> {
        IdDigest::parse(self.expose())
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

/// HMAC-SHA-256 of a digest under a pepper, the first 16 bytes (a collision among 1e8 records: 1.5e-23).
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

    /// The same bytes as two numbers, which are compared faster.
    pub fn halves(&self) -> (u64, u64) {
        (self.prefix(), self.0.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }

    /// The key of two such numbers.
    pub fn from_halves((first, second): (u64, u64)) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_be_bytes());
        bytes[8..].copy_from_slice(&second.to_be_bytes());
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
}
