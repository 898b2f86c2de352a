//! What a node knows of the registry at one moment, swapped whole: filter, recent changes, sequence, lease.
//! The filter proves absence and nothing else; the recent changes say how fresh a copy of a listing must be.
//! Building happens off the workers; following the feed is the follower's affair.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xorf::{BinaryFuse16, Filter as _};

use crate::clock::Rfc3339;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::pepper::Peppers;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;

/// Prefixes are the output of an HMAC, so they are uniform: hashing them again would only cost time.
#[derive(Debug, Default)]
pub struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The sequence of the last change of each number since the filter was built.
pub type RecentChanges = HashMap<u64, Sequence, BuildHasherDefault<Uniform>>;

/// How many numbers a part of the filter holds, about. While xorf builds one it takes 24 bytes a number beside prefixes and
/// result; in parts that is 25 MB, however many numbers there are.
const PART_KEYS: usize = 1 << 20;

/// An immutable set of listed numbers: says "absent" for certain, "present" with an error of 2^-16.
#[derive(Debug)]
pub struct Filter {
    /// Each holds an equal range of prefixes; none where nothing is listed.
    parts: Box<[BinaryFuse16]>,
    keys: u64,
    /// The filter holds every number listed at this sequence.
    pub built_at: Sequence,
}

/// The fuse filter found no layout: so unlikely (1,000 seeds tried) that it points to a broken key source.
#[derive(Debug, thiserror::Error)]
#[error("the filter cannot be built from these keys")]
pub struct FilterError;

impl Filter {
    /// Builds from unsorted prefixes with repeats, in their own memory. Costs seconds for 10^7: not for a worker.
    pub fn build(prefixes: Vec<u64>, built_at: Sequence) -> Result<Self, FilterError> {
        Self::build_in_parts(prefixes, built_at, PART_KEYS)
    }

    pub(super) fn build_in_parts(
        mut prefixes: Vec<u64>,
        built_at: Sequence,
        part_keys: usize,
    ) -> Result<Self, FilterError> {
        prefixes.sort_unstable();
        prefixes.dedup();
        let count = prefixes.len().div_ceil(part_keys);
        let mut parts = Vec::with_capacity(count);
        let mut rest = prefixes.as_slice();
        for part in 0..count {
            let (own, others) = rest.split_at(rest.partition_point(|prefix| part_of(*prefix, count) <= part));
            parts.push(BinaryFuse16::try_from(own).map_err(|_| FilterError)?);
            rest = others;
        }
        Ok(Self::from_parts(parts, prefixes.len() as u64, built_at))
    }

    /// A filter that was built before; the parts are its own, in their order.
    pub(super) fn from_parts(parts: Vec<BinaryFuse16>, keys: u64, built_at: Sequence) -> Self {
        Self { parts: parts.into_boxed_slice(), keys, built_at }
    }

    pub(super) fn parts(&self) -> &[BinaryFuse16] {
        &self.parts
    }

    /// How many numbers it holds.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        match self.parts.get(part_of(prefix, self.parts.len())) {
            Some(part) => part.contains(&prefix),
            // A part that is not there proves no absence, unless nothing is listed at all.
            None => self.keys > 0,
        }
    }
}

/// Which of so many equal ranges a prefix falls into. Prefixes are uniform, so the parts are of one size.
fn part_of(prefix: u64, parts: usize) -> usize {
    usize::try_from((u128::from(prefix) * parts as u128) >> 64).unwrap_or(usize::MAX)
}

/// The whole of a node's knowledge.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub filter: Arc<Filter>,
    pub recent: Arc<RecentChanges>,
    /// Every change up to this sequence is in filter or recent changes.
    pub sequence: Sequence,
    /// In boot time; after it the snapshot proves nothing.
    pub lease_until_ns: u64,
    /// The wall time of the moment the lease counts from.
    pub as_of: Rfc3339,
    pub epoch: Arc<str>,
    /// Those that every row is keyed by at this sequence.
    pub peppers: Arc<Peppers>,
}

/// What a snapshot can say of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Not listed, for certain, while the lease holds.
    Absent,
    /// Perhaps listed: look it up in a copy that is at least as new as this sequence.
    Maybe { fresh_from: Sequence },
}

impl Presence {
    /// Of a number that may be under either of two keys.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Absent, known) | (known, Self::Absent) => known,
            (Self::Maybe { fresh_from: one }, Self::Maybe { fresh_from: two }) => {
                Self::Maybe { fresh_from: one.max(two) }
            }
        }
    }
}

impl Snapshot {
    /// A snapshot that knows nothing but peppers, and never held a lease.
    pub fn unknown(peppers: Arc<Peppers>) -> Self {
        Self {
            filter: Arc::new(Filter::from_parts(Vec::new(), 0, Sequence::ZERO)),
            recent: Arc::default(),
            sequence: Sequence::ZERO,
            lease_until_ns: 0,
            as_of: Rfc3339::of(UnixMs::EPOCH),
            epoch: Arc::from(""),
            peppers,
        }
    }

    /// Whether its word counts.
    pub fn is_leased(&self, boot_ns: u64) -> bool {
        boot_ns < self.lease_until_ns
    }

    /// Looks a number up in memory, under every key that its rows may have; the first is the one that copies are kept under.
    pub fn presence_of(&self, digest: &IdDigest) -> (LookupKey, Presence) {
        let key = self.peppers.current.lookup_key(digest);
        let presence = self.presence(&key);
        match self.peppers.previous_key(digest) {
            None => (key, presence),
            Some(previous) => (key, presence.or(self.presence(&previous))),
        }
    }

    /// Looks a key up in memory. A copy read at a sequence before the number's last change is stale; of a change older than
    /// the filter no more is known than that, so copies older than the filter do not count either.
    fn presence(&self, key: &LookupKey) -> Presence {
        let prefix = key.prefix();
        if let Some(&changed_at) = self.recent.get(&prefix) {
            return Presence::Maybe { fresh_from: changed_at };
        }
        if self.filter.may_hold(prefix) {
            Presence::Maybe { fresh_from: self.filter.built_at }
        } else {
            Presence::Absent
        }
    }

    /// The same knowledge with changes applied, the last of them being `sequence`. What is shared is copied once; page after page
    /// of a long feed then goes into the copy.
    #[must_use]
    pub fn with_changes(mut self, changed: &[(u64, Sequence)], sequence: Sequence) -> Self {
        if !changed.is_empty() {
            Arc::make_mut(&mut self.recent).extend(changed.iter().copied());
        }
        self.sequence = sequence;
        self
    }

    /// The same knowledge over a newer filter: the changes that it holds already are dropped.
    #[must_use]
    pub fn with_filter(mut self, filter: Arc<Filter>) -> Self {
        let later = self.recent.iter().filter(|(_, changed_at)| **changed_at > filter.built_at);
        self.recent = Arc::new(later.map(|(prefix, changed_at)| (*prefix, *changed_at)).collect());
        self.filter = filter;
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::pepper::Pepper;

    fn unknown() -> Snapshot {
        Snapshot::unknown(Arc::new(Peppers { current: Arc::new(Pepper::new(1, &[1; 32])), previous: None }))
    }

    fn key(n: u64) -> LookupKey {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        LookupKey::from_bytes(bytes)
    }

    #[test]
    fn nothing_listed_is_absent() {
        assert_eq!(unknown().presence(&key(1)), Presence::Absent);
        assert!(!unknown().is_leased(0));
    }

    #[test]
    fn a_filter_that_lacks_its_parts_proves_no_absence() {
        let whole = Filter::build(vec![1, 2, 3], Sequence::new(9)).unwrap();
        assert_eq!(whole.keys(), 3);
        let lacking = Filter::from_parts(Vec::new(), whole.keys(), whole.built_at);
        let snapshot = unknown().with_filter(Arc::new(lacking));
        assert_eq!(snapshot.presence(&key(1)), Presence::Maybe { fresh_from: Sequence::new(9) });
        assert!(!Filter::build(Vec::new(), Sequence::new(9)).unwrap().may_hold(1), "nothing is listed");
    }

    #[test]
    fn while_peppers_rotate_a_number_is_absent_only_under_both_keys() {
        let peppers = [1, 2].map(|version| Arc::new(Pepper::new(u32::from(version), &[version; 32])));
        let number = IdDigest::from_bytes([7; 32]);
        let [old, new] = peppers.each_ref().map(|pepper| pepper.lookup_key(&number));
        let [previous, current] = peppers;
        let rotating = Snapshot::unknown(Arc::new(Peppers { current, previous: Some(previous) }));
        assert_eq!(rotating.presence_of(&number), (new, Presence::Absent));
        let kept_under_old = rotating.clone().with_changes(&[(old.prefix(), Sequence::new(5))], Sequence::new(5));
        assert_eq!(kept_under_old.presence_of(&number), (new, Presence::Maybe { fresh_from: Sequence::new(5) }));
        for (changed, fresh_from) in [(new, 6), (old, 7)] {
            let both = kept_under_old.clone().with_changes(
                &[(new.prefix(), Sequence::new(6)), (changed.prefix(), Sequence::new(fresh_from))],
                Sequence::new(7),
            );
            assert_eq!(
                both.presence_of(&number),
                (new, Presence::Maybe { fresh_from: Sequence::new(fresh_from) }),
                "the later of both changes"
            );
        }
    }

    #[test]
    fn pages_of_a_long_feed_are_applied_without_copying_what_came_before() {
        let first = unknown().with_changes(&[(1, Sequence::new(1))], Sequence::new(1));
        let at = Arc::as_ptr(&first.recent);
        let second = first.with_changes(&[(2, Sequence::new(2))], Sequence::new(2));
        assert_eq!((Arc::as_ptr(&second.recent), second.recent.len()), (at, 2));
        let later = second.clone().with_changes(&[(3, Sequence::new(3))], Sequence::new(3));
        assert_eq!((second.recent.len(), later.recent.len()), (2, 3), "what is published stays as it is");
    }

    #[test]
    fn parts_hold_what_is_theirs_even_where_one_is_empty() {
        let prefixes = vec![0, 1, 2, u64::MAX - 1, u64::MAX];
        let filter = Filter::build_in_parts(prefixes.clone(), Sequence::new(1), 1).unwrap();
        assert_eq!((filter.parts().len(), filter.keys()), (5, 5));
        assert!(prefixes.iter().all(|prefix| filter.may_hold(*prefix)));
        let others = (0..100_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555);
        assert!(others.filter(|prefix| filter.may_hold(*prefix)).count() < 20, "about one in 65,536");
    }

    proptest! {
        /// Invariants 1 and 12: whatever is built and applied in whatever order, no listed number is absent, and a copy is
        /// asked to be at least as new as the number's last change.
        #[test]
        fn no_change_is_ever_lost(
            base in proptest::collection::vec(0_u64..500, 0..200),
            changes in proptest::collection::vec(0_u64..500, 0..100),
            rebuilt_after in 0_usize..100,
            part_keys in 1_usize..50,
        ) {
            let start = Sequence::new(base.len() as u64);
            let filter = Filter::build_in_parts(base.iter().map(|n| key(*n).prefix()).collect(), start, part_keys).unwrap();
            let mut snapshot = Snapshot { filter: Arc::new(filter), sequence: start, ..unknown() };
            let mut last_change = std::collections::HashMap::new();
            for (n, change) in changes.iter().enumerate() {
                let sequence = start.plus(1 + n as u64);
                snapshot = snapshot.with_changes(&[(key(*change).prefix(), sequence)], sequence);
                last_change.insert(*change, sequence);
            }
            let cut = rebuilt_after.min(changes.len());
            let all = base.iter().chain(&changes[..cut]).map(|n| key(*n).prefix()).collect();
            let rebuilt = Arc::new(Filter::build(all, start.plus(cut as u64)).unwrap());
            for snapshot in [snapshot.clone(), snapshot.with_filter(rebuilt)] {
                for n in base.iter().chain(&changes) {
                    match snapshot.presence(&key(*n)) {
                        Presence::Absent => prop_assert!(false, "a listed number is absent"),
                        Presence::Maybe { fresh_from } => {
                            prop_assert!(fresh_from >= last_change.get(n).copied().unwrap_or_default());
                            prop_assert!(fresh_from <= snapshot.sequence);
                        }
                    }
                }
            }
        }
    }
}
