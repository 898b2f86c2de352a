//! The leaves that a transaction owes: noted with each row of the feed, made and added when it ends (`blind`).

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use crate::crypto::blind::{Ahead, BlindVersions, Scribe};
use crate::crypto::digest::LookupKey;
use crate::domain::ids::RecordId;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

/// What a transaction owes.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub(super) versions: Option<BlindVersions>,
    pub(super) due: Vec<(Sequence, Subject)>,
    /// Numbers that the transaction knows without asking, by a record of each.
    pub(super) numbers: HashMap<LookupKey, (RecordId, Vec<u8>)>,
    /// Numbers that were evaluated before this transaction began.
    pub(super) ahead: HashMap<LookupKey, Ahead>,
    pub(super) scribe: Arc<OnceLock<Scribe>>,
}

/// What a row is about.
#[derive(Debug)]
pub(super) enum Subject {
    Nobody,
    /// With the record that this row brought, where it brought one.
    Number(LookupKey, Option<Record>),
}

impl Leaves {
    pub(super) fn of(scribe: Arc<OnceLock<Scribe>>) -> Self {
        Self { scribe, ..Self::default() }
    }

    /// Rows were recorded, the last one at `last`.
    pub(super) fn are_due(&mut self, are_listings: bool, subjects: &[&[u8]], last: Sequence) {
        if self.versions.is_none() {
            return;
        }
        let first = last.get() + 1 - subjects.len() as u64;
        let due = (first..).zip(subjects).map(|(sequence, subject)| {
            let key = are_listings.then(|| <[u8; 16]>::try_from(*subject).ok()).flatten();
            (
                Sequence::new(sequence),
                key.map_or(Subject::Nobody, |key| Subject::Number(LookupKey::from_bytes(key), None)),
            )
        });
        self.due.extend(due);
    }

    /// What is listed of these numbers is as it was: their rows have other keys, and nothing to say to who checks blindly.
    pub(super) fn list_nobody(&mut self, sequences: &RangeInclusive<Sequence>) {
        for (_, subject) in self.due.iter_mut().filter(|(sequence, _)| sequences.contains(sequence)) {
            *subject = Subject::Nobody;
        }
    }

    /// The rows from `first` on brought these records, each its own.
    pub(super) fn brought(&mut self, first: Sequence, records: impl Iterator<Item = Record>) {
        let from = self.due.partition_point(|(sequence, _)| *sequence < first);
        for ((sequence, subject), (at, record)) in self.due[from..].iter_mut().zip((first.get()..).zip(records)) {
            if let Subject::Number(_, brought) = subject
                && sequence.get() == at
            {
                *brought = Some(record);
            }
        }
    }

    /// The numbers of rows that are due: each with what its row brought, if there is one row of it and that brought all that this
    /// transaction has to say of it.
    pub(super) fn numbers_of(due: &[(Sequence, Subject)]) -> BTreeMap<LookupKey, Option<Record>> {
        let mut numbers = BTreeMap::new();
        for (_, subject) in due {
            if let Subject::Number(key, brought) = subject {
                numbers.entry(*key).and_modify(|of_one_row| *of_one_row = None).or_insert(*brought);
            }
        }
        numbers
    }

    /// A record holds a number.
    pub(super) fn know(&mut self, record: RecordId, key: LookupKey, sealed: &[u8]) {
        if self.versions.is_some() {
            self.numbers.insert(key, (record, sealed.to_vec()));
        }
    }
}
