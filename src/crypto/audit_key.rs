//! The key of the audit log, which the database does not hold: who changes the log there can correct every hash but not the keyed
//! ones. Under the same key, the tags of persons that entries are about: a tag outlives every pepper, and is found by who has the
//! number.

use std::fmt;

use super::audit::Entry;
use super::digest::IdDigest;
use super::pepper::Fingerprints;
use crate::domain::audit::SubjectTag;

/// What the fingerprint of an entry is made for.
const ENTRY: &str = "audit-entry";
const SUBJECT: &str = "audit-subject";

/// Makes keyed hashes of entries, and tags of persons.
#[derive(Clone)]
pub struct AuditKey(Fingerprints);

impl AuditKey {
    /// Under a secret of its own.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Fingerprints::new(secret))
    }

    /// The keyed hash of an entry: over its sequence and its hash, which covers all of it and all before it.
    pub fn keyed_hash(&self, entry: &Entry) -> [u8; 32] {
        self.0.of(ENTRY, &[&entry.sequence.to_be_bytes(), &entry.hash])
    }

    /// Whether an entry has the one that is its own.
    pub fn made(&self, entry: &Entry) -> bool {
        let parts: [&[u8]; 2] = [&entry.sequence.to_be_bytes(), &entry.hash];
        entry.keyed_hash.is_some_and(|keyed| self.0.is_of(ENTRY, &parts, &keyed))
    }

    /// The tag of a number.
    pub fn tag(&self, digest: &IdDigest) -> SubjectTag {
        let whole = self.0.of(SUBJECT, &[digest.expose()]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&whole[..16]);
        SubjectTag::from(tag)
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::audit::End;
    use crate::domain::audit::{Action, Deed};
    use crate::domain::id_number::IdNumber;
    use crate::domain::instant::UnixMs;

    #[test]
    fn a_keyed_hash_is_of_its_key_its_place_and_its_entry() {
        let (own, other) = (AuditKey::new(&[1; 32]), AuditKey::new(&[2; 32]));
        let mut entry = End::BEGINNING.next(UnixMs::new(7), &Deed::of_operator(Action::ImportBegun, None));
        assert!(!own.made(&entry), "it has none");
        entry.keyed_hash = Some(own.keyed_hash(&entry));
        assert!(own.made(&entry) && !other.made(&entry));
        let mut moved = entry.clone();
        moved.sequence += 1;
        assert!(!own.made(&moved));
        let mut changed = entry.clone();
        changed.hash[0] ^= 1;
        assert!(!own.made(&changed));
        // As it is documented, so that somebody else can compute it.
        let mut bytes = b"lostcard:fingerprint:v1:audit-entry\0".to_vec();
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        bytes.extend_from_slice(&entry.hash);
        let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(&[1; 32]).unwrap();
        hmac::Mac::update(&mut mac, &bytes);
        assert_eq!(entry.keyed_hash.unwrap(), <[u8; 32]>::from(hmac::Mac::finalize(mac).into_bytes()));
    }

    #[test]
    fn a_tag_is_of_its_number_and_its_key_and_not_shown() {
        let (own, other) = (AuditKey::new(&[1; 32]), AuditKey::new(&[2; 32]));
        let digest = |number| IdDigest::of(&IdNumber::parse(number, jiff::civil::date(2026, 11, 23)).unwrap());
        let (one, two) = (digest("11010519491231002X"), digest("440524188001010014"));
        assert_eq!(own.tag(&one), own.tag(&one));
        assert!(own.tag(&one) != own.tag(&two) && own.tag(&one) != other.tag(&one));
        assert_eq!(format!("{:?} {own:?}", own.tag(&one)), "SubjectTag(redacted) AuditKey(redacted)");
    }
}
