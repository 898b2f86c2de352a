//! The peppers: secrets that turn digests into lookup keys, by version. A nested pepper takes the lookup key of an older one
//! instead of the digest: rows can be re-keyed by it without opening a digest, and it always needs the older pepper.
//! Also the stable secret of fingerprints that must outlive a rotation. Which versions are in use is the store's word.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::digest::{IdDigest, LookupKey};

/// Keeps the input of a nested pepper apart from a digest (32 bytes) and from fingerprints.
const NESTED_LABEL: &[u8] = b"lostcard:nested-pepper:v1:";
const FINGERPRINT_LABEL: &[u8] = b"lostcard:fingerprint:v1:";
/// What the secret of fingerprints is derived from the seal key by: sealing itself never makes this HMAC.
const FINGERPRINT_KEY_LABEL: &[u8] = b"lostcard:fingerprint-key:v1";

/// A keyed hash with its key schedule kept.
#[derive(Clone)]
pub(super) struct Keyed(Hmac<Sha256>);

impl Keyed {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        // Unwrap safety: HMAC takes a key of any length (RFC 2104, 2), so this never fails.
        #[expect(clippy::unwrap_used, reason = "HMAC takes a key of any length")]
        let mac = Hmac::new_from_slice(secret).unwrap();
        Self(mac)
    }

    pub(super) fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn lookup_key(&self, parts: &[&[u8]]) -> LookupKey {
        let full = self.of(parts);
        let mut key = [0; 16];
        key.copy_from_slice(&full[..16]);
        LookupKey::from_bytes(key)
    }
}

/// The secret that turns digests into lookup keys.
#[derive(Clone)]
pub struct Pepper {
    version: u32,
    keyed: Keyed,
    inner: Option<Arc<Pepper>>,
}

impl Pepper {
    /// A pepper of 32 bytes.
    pub fn new(version: u32, secret: &[u8; 32]) -> Self {
        Self { version, keyed: Keyed::new(secret), inner: None }
    }

    /// A pepper around an older one.
    pub fn nested(version: u32, secret: &[u8; 32], inner: Arc<Self>) -> Self {
        Self { version, keyed: Keyed::new(secret), inner: Some(inner) }
    }

    /// Which of the rotating peppers this is.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The pepper that this one is nested in.
    pub fn inner(&self) -> Option<&Self> {
        self.inner.as_deref()
    }

    /// The version of the pepper that this one is nested in.
    pub fn nested_in(&self) -> Option<u32> {
        self.inner().map(Self::version)
    }

    /// What the registry stores and looks up instead of the digest.
    pub fn lookup_key(&self, digest: &IdDigest) -> LookupKey {
        match &self.inner {
            None => self.keyed.lookup_key(&[digest.expose()]),
            Some(inner) => self.nest(&inner.lookup_key(digest)),
        }
    }

    /// The lookup key of a nested pepper from that of the pepper inside it.
    pub fn nest(&self, inner_key: &LookupKey) -> LookupKey {
        self.keyed.lookup_key(&[NESTED_LABEL, inner_key.as_bytes()])
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper(v{}, redacted)", self.version)
    }
}

/// By which peppers the rows of a store are keyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyVersions {
    /// Of every new row.
    pub current: u32,
    /// Of the rows that a rotation has not come to yet; none while there is no rotation.
    pub previous: Option<u32>,
}

impl KeyVersions {
    /// Both, the newer first.
    pub fn all(self) -> impl Iterator<Item = u32> {
        std::iter::once(self.current).chain(self.previous)
    }

    /// Whether looking up by these finds every row of a store that is keyed by `others`.
    pub fn cover(self, others: Self) -> bool {
        others.all().all(|version| self.all().any(|own| own == version))
    }
}

/// The peppers that a look-up needs.
#[derive(Debug)]
pub struct Peppers {
    pub current: Arc<Pepper>,
    pub previous: Option<Arc<Pepper>>,
}

impl Peppers {
    pub fn versions(&self) -> KeyVersions {
        KeyVersions { current: self.current.version(), previous: self.previous.as_deref().map(Pepper::version) }
    }

    /// The key of rows that a rotation has not come to.
    pub fn previous_key(&self, digest: &IdDigest) -> Option<LookupKey> {
        self.previous.as_ref().map(|previous| previous.lookup_key(digest))
    }

    /// Every key that rows of this number may have.
    pub fn lookup_keys(&self, digest: &IdDigest) -> impl Iterator<Item = LookupKey> {
        std::iter::once(&self.current).chain(&self.previous).map(|pepper| pepper.lookup_key(digest))
    }
}

/// Makes keyed fingerprints of what must be recognised later, whichever pepper is in use by then.
#[derive(Clone)]
pub struct Fingerprints(Keyed);

impl Fingerprints {
    /// Under a secret of their own.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Keyed::new(secret))
    }

    /// Under a secret derived from the seal key, which no rotation of peppers changes.
    pub fn of_seal_key(seal: &[u8; 32]) -> Self {
        Self::new(&Keyed::new(seal).of(&[FINGERPRINT_KEY_LABEL]))
    }

    /// The fingerprint of `parts` for the purpose that `label` names.
    pub fn of(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut fingerprint = self.begin(label);
        for part in parts {
            fingerprint.update(part);
        }
        fingerprint.finish()
    }

    /// The same for what is too long to be held in one piece.
    pub fn begin(&self, label: &str) -> Fingerprint {
        let mut fingerprint = Fingerprint(self.0.0.clone());
        for part in [FINGERPRINT_LABEL, label.as_bytes(), &[0]] {
            fingerprint.update(part);
        }
        fingerprint
    }

    /// Whether the first bytes of a fingerprint are these, 16 at least, in a time that says nothing about where they differ.
    pub fn is_of(&self, label: &str, parts: &[&[u8]], first: &[u8]) -> bool {
        let mut fingerprint = self.begin(label);
        for part in parts {
            fingerprint.update(part);
        }
        first.len() >= 16 && fingerprint.0.verify_truncated_left(first).is_ok()
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

impl fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprints(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id_number::IdNumber;

    fn digest(number: &str) -> IdDigest {
        let today = jiff::civil::date(2026, 11, 23);
        IdDigest::of(&IdNumber::parse(number, today).unwrap())
    }

    #[test]
    fn keys_differ_by_number_and_by_pepper() {
        let (one, two) = (Pepper::new(1, &[1; 32]), Pepper::new(2, &[2; 32]));
        let (a, b) = (digest("11010519491231002X"), digest("440524188001010014"));
        assert_eq!(one.lookup_key(&a), one.lookup_key(&a));
        assert_ne!(one.lookup_key(&a), one.lookup_key(&b));
        assert_ne!(one.lookup_key(&a), two.lookup_key(&a));
        let fingerprint = Fingerprints::new(&[1; 32]).of("x", &[a.expose()]);
        assert_ne!(one.lookup_key(&a).as_bytes()[..], fingerprint[..16]);
    }

    #[test]
    fn a_nested_key_comes_from_the_older_key_alone() {
        let one = Arc::new(Pepper::new(1, &[1; 32]));
        let two = Arc::new(Pepper::nested(2, &[2; 32], Arc::clone(&one)));
        let three = Pepper::nested(3, &[3; 32], Arc::clone(&two));
        let number = digest("11010519491231002X");
        let key_2 = two.lookup_key(&number);
        assert_eq!(key_2, two.nest(&one.lookup_key(&number)));
        assert_eq!(three.lookup_key(&number), three.nest(&key_2));
        assert_ne!(key_2, Pepper::new(2, &[2; 32]).lookup_key(&number), "a plain pepper of the same bytes is another");
        assert_eq!((one.nested_in(), two.nested_in(), three.nested_in()), (None, Some(1), Some(2)));
    }

    #[test]
    fn look_ups_must_cover_every_version_of_the_store() {
        let versions = |current, previous| KeyVersions { current, previous };
        for (asked, stored, is_covered) in [
            (versions(1, None), versions(1, None), true),
            (versions(1, None), versions(2, Some(1)), false),
            (versions(2, Some(1)), versions(1, None), true),
            (versions(2, Some(1)), versions(2, None), true),
            (versions(2, None), versions(2, Some(1)), false),
            (versions(2, Some(1)), versions(3, Some(2)), false),
        ] {
            assert_eq!(asked.cover(stored), is_covered, "{asked:?} {stored:?}");
        }
    }

    #[test]
    fn fingerprints_differ_by_purpose_and_secret() {
        let (one, derived) = (Fingerprints::new(&[1; 32]), Fingerprints::of_seal_key(&[1; 32]));
        assert_eq!(one.of("a", &[b"x"]), one.of("a", &[b"x"]));
        assert_ne!(one.of("a", &[b"x"]), one.of("b", &[b"x"]));
        assert_ne!(one.of("a", &[b"x"]), derived.of("a", &[b"x"]), "never the seal key itself");
    }

    #[test]
    fn a_fingerprint_is_known_by_its_first_half() {
        let prints = Fingerprints::new(&[1; 32]);
        let whole = prints.of("x", &[b"a"]);
        assert!(prints.is_of("x", &[b"a"], &whole[..16]) && prints.is_of("x", &[b"a"], &whole));
        assert!(!prints.is_of("x", &[b"a"], &whole[..15]) && !prints.is_of("x", &[b"a"], &[]));
        assert!(!prints.is_of("x", &[b"b"], &whole[..16]) && !prints.is_of("y", &[b"a"], &whole[..16]));
        let mut other = whole;
        other[15] ^= 1;
        assert!(!prints.is_of("x", &[b"a"], &other[..16]));
    }

    #[test]
    fn debug_shows_nothing() {
        let pepper = Pepper::new(1, &[7; 32]);
        let shown = format!(
            "{:?} {:?} {pepper:?} {:?}",
            digest("11010519491231002X"),
            pepper.lookup_key(&digest("11010519491231002X")),
            Fingerprints::new(&[7; 32]),
        );
        assert_eq!(shown, "IdDigest(redacted) LookupKey(redacted) Pepper(v1, redacted) Fingerprints(redacted)");
    }
}
