//! The registry log: its epochs, and what may be a leaf of it. What a blind entry hides is not known here.

use super::sequence::Sequence;

/// The log of one blind key: N of `blind-N.key`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogEpoch(u32);

impl LogEpoch {
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    /// Reads it from a path: decimal, without further zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.parse().ok().map(Self);
        number.filter(|epoch| epoch.0 > 0 && epoch.to_string() == text)
    }
}

impl std::fmt::Display for LogEpoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// The name of a registry log without its epoch, and that; none of another name.
pub fn epoch_of(origin: &str) -> Option<(&str, LogEpoch)> {
    let (log, epoch) = origin.rsplit_once('/')?;
    LogEpoch::parse(epoch).filter(|_| log.ends_with("/registry-log")).map(|epoch| (log, epoch))
}

/// What a leaf of one hash is about: the first byte of its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashedEntry {
    /// The manifest of a base.
    Base = 2,
    /// A new blind public key.
    BlindKey = 3,
    /// The head of the audit log.
    AuditHead = 4,
    /// The published keys.
    PublishedKeys = 5,
}

/// The first byte of what a listing's change leaves.
const LISTING: u8 = 1;
/// The first byte of a successor's leaf 0.
const SUCCESSOR: u8 = 6;

/// What is committed to of a row of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry(Vec<u8>);

impl Entry {
    /// A change of a listing, or a decoy: 20 blind bytes that begin with 1.
    pub fn listing(bytes: [u8; 20]) -> Option<Self> {
        (bytes[0] == LISTING).then(|| Self(bytes.to_vec()))
    }

    /// A hash.
    pub fn hash(of: HashedEntry, hash: [u8; 32]) -> Self {
        Self([[of as u8].as_slice(), &hash].concat())
    }

    /// The first leaf of a log that follows another: where it begins, and the hash of the other's last note.
    pub fn successor(s0: Sequence, last_note: [u8; 32]) -> Self {
        Self([[SUCCESSOR].as_slice(), &s0.get().to_be_bytes(), &last_note].concat())
    }

    /// Whether bytes are such a leaf.
    pub fn is_successor(entry: &[u8]) -> bool {
        entry.first() == Some(&SUCCESSOR)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A leaf, and beside it the row's bytes under the older key while two live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub entry: Entry,
    pub older: Option<[u8; 20]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_one_spelling() {
        assert_eq!(LogEpoch::parse("12"), Some(LogEpoch::new(12)));
        for bad in ["", "0", "01", "+1", "-1", "1 ", "4294967296", "x"] {
            assert_eq!(LogEpoch::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_entry_begins_with_its_kind() {
        assert!(Entry::listing([1; 20]).is_some_and(|entry| entry.as_bytes() == [1; 20]));
        assert_eq!(Entry::listing([2; 20]), None);
        let hash = Entry::hash(HashedEntry::AuditHead, [9; 32]);
        assert_eq!((hash.as_bytes().len(), &hash.as_bytes()[..2]), (33, [4, 9].as_slice()));
        let first = Entry::successor(Sequence::new(258), [9; 32]);
        assert_eq!((first.as_bytes().len(), &first.as_bytes()[..10]), (41, [6, 0, 0, 0, 0, 0, 0, 1, 2, 9].as_slice()));
    }
}
