//! What a node knows of the registry at one moment, swapped whole: what is listed, recent changes, sequence, lease.
//! While every listing fits into memory it knows them exactly; else it has a filter, which proves absence and nothing else, and
//! the recent changes say how fresh a copy of a listing must be. Following the feed is the follower's affair.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::exact::{Exact, NoPlace};
use super::filter::Filter;
use super::packed::{Opened, Packed};
use crate::clock::Rfc3339;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::pepper::Peppers;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Listing;

/// Keys are the output of an HMAC, so they are uniform: hashing them again would only cost time.
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

/// The last change of a number since the base was built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) changed_at: Sequence,
    /// What the store said of the number since; none while nobody asked.
    pub(super) read: Option<Read>,
}

impl Change {
    fn is_mergeable(&self) -> bool {
        self.read.is_some_and(|read| read.listed.open() != Opened::Unfit)
    }
}

/// What is listed of a number, as the store had it at a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) at: Sequence,
    pub(super) listed: Packed,
}

/// The changes of each number since the base was built. By both halves of its key.
pub(super) type RecentChanges = HashMap<(u64, u64), Change, BuildHasherDefault<Uniform>>;

/// What a snapshot holds of all numbers, but for the recent changes.
#[derive(Debug, Clone)]
pub(super) enum Base {
    /// Every listing.
    Exact(Arc<Exact>),
    /// Which numbers are listed, perhaps.
    Filter(Arc<Filter>),
}

impl Base {
    /// Every change up to this sequence is in it.
    pub(super) fn built_at(&self) -> Sequence {
        match self {
            Self::Exact(exact) => exact.built_at,
            Self::Filter(filter) => filter.built_at,
        }
    }

    /// How many numbers it holds.
    pub(super) fn keys(&self) -> u64 {
        match self {
            Self::Exact(exact) => exact.keys(),
            Self::Filter(filter) => filter.keys(),
        }
    }

    /// A copy read before the base was built may be older than a change that it holds.
    fn presence(&self, key: &LookupKey) -> Presence {
        match self {
            Self::Exact(exact) => match exact.find(key) {
                Ok(None) => Presence::Absent,
                Ok(Some(listed)) => Presence::of(listed, exact.read_at),
                Err(NoPlace) => Presence::Maybe { fresh_from: exact.read_at },
            },
            Self::Filter(filter) if filter.may_hold(key.prefix()) => Presence::Maybe { fresh_from: filter.built_at },
            Self::Filter(_) => Presence::Absent,
        }
    }
}

/// The whole of a node's knowledge.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) base: Base,
    pub(super) recent: Arc<RecentChanges>,
    /// Every change up to this sequence is in base or recent changes.
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
    /// Listed, and exactly so, while the lease holds.
    Listed(Listing),
    /// Perhaps listed: look it up in a copy that is at least as new as this sequence.
    Maybe { fresh_from: Sequence },
}

impl Presence {
    fn of(listed: Packed, fresh_from: Sequence) -> Self {
        match listed.open() {
            Opened::Absent => Self::Absent,
            Opened::Listed(listing) => Self::Listed(listing),
            Opened::Unfit => Self::Maybe { fresh_from },
        }
    }
}

impl Snapshot {
    /// A snapshot that knows nothing but peppers, and never held a lease.
    pub fn unknown(peppers: Arc<Peppers>) -> Self {
        Self {
            base: Base::Filter(Arc::new(Filter::from_parts(Vec::new(), 0, Sequence::ZERO))),
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

    /// Whether rows are being given new keys.
    pub(super) fn is_rotating(&self) -> bool {
        self.peppers.previous.is_some()
    }

    /// Looks a number up in memory, under every key that its rows may have; the first is the one that copies are kept under.
    pub fn presence_of(&self, digest: &IdDigest) -> (LookupKey, Presence) {
        let key = self.peppers.current.lookup_key(digest);
        let presence = self.presence(&key);
        match self.peppers.previous_key(digest) {
            None => (key, presence),
            Some(previous) => (key, self.of_both(&key, presence, &previous)),
        }
    }

    /// Of a number that may be under either of two keys. The feed names a row that moves by its new key alone: what was known of the
    /// old key is true only while nothing is known of the new one. Where something is known of both, the store has the rows of both.
    fn of_both(&self, key: &LookupKey, presence: Presence, previous: &LookupKey) -> Presence {
        let (changed, before) = (self.recent.get(&key.halves()), self.presence(previous));
        match (presence, before) {
            (_, Presence::Absent) => presence,
            (Presence::Absent, _) if changed.is_none() => before,
            _ => Presence::Maybe { fresh_from: self.fresh_from(key).max(self.fresh_from(previous)) },
        }
    }

    /// How new a copy of a number must be, at least.
    fn fresh_from(&self, key: &LookupKey) -> Sequence {
        self.recent.get(&key.halves()).map_or(self.base.built_at(), |change| change.changed_at)
    }

    /// Looks a key up in memory. A copy read at a sequence before the number's last change is stale; of a change older than
    /// the base no more is known than that.
    fn presence(&self, key: &LookupKey) -> Presence {
        match self.recent.get(&key.halves()) {
            None => self.base.presence(key),
            Some(Change { changed_at, read: None }) => Presence::Maybe { fresh_from: *changed_at },
            Some(Change { changed_at, read: Some(read) }) => Presence::of(read.listed, *changed_at),
        }
    }

    /// The same knowledge with changes applied, the last of them being `sequence`. What is shared is copied once; page after page
    /// of a long feed then goes into the copy.
    #[must_use]
    pub fn with_changes(mut self, changed: &[(LookupKey, Sequence)], sequence: Sequence) -> Self {
        if !changed.is_empty() {
            let recent = Arc::make_mut(&mut self.recent);
            for (key, changed_at) in changed {
                let change = recent.entry(key.halves()).or_insert(Change { changed_at: *changed_at, read: None });
                // What was read later than this change holds it.
                *change = Change { changed_at: *changed_at, read: change.read.filter(|read| read.at >= *changed_at) };
            }
        }
        self.sequence = sequence;
        self
    }

    /// The same knowledge with what the store said of some changed numbers, unless they have changed since.
    #[must_use]
    pub(super) fn with_read(mut self, read: &[(LookupKey, Read)]) -> Self {
        let recent = Arc::make_mut(&mut self.recent);
        for (key, read) in read {
            if let Some(change) = recent.get_mut(&key.halves()).filter(|change| read.at >= change.changed_at) {
                change.read = Some(*read);
            }
        }
        self
    }

    /// The same knowledge over a newer base: the changes that it holds already are dropped.
    #[must_use]
    pub(super) fn with_base(mut self, base: Base) -> Self {
        let later = self.recent.iter().filter(|(_, change)| change.changed_at > base.built_at());
        self.recent = Arc::new(later.map(|(key, change)| (*key, *change)).collect());
        self.base = base;
        self
    }

    /// The changed numbers that the store was not asked about.
    pub(super) fn unread(&self) -> Vec<LookupKey> {
        let unread = self.recent.iter().filter(|(_, change)| change.read.is_none());
        unread.map(|(halves, _)| LookupKey::from_halves(*halves)).collect()
    }

    /// How many changes can be worked into the exact listings.
    pub(super) fn mergeable(&self) -> usize {
        self.recent.values().filter(|change| change.is_mergeable()).count()
    }

    /// The same knowledge with what was read of changed numbers that begin with one of these bytes worked into the exact listings.
    /// Copies their parts: not for a worker. What has no place there stays a recent change.
    #[must_use]
    pub(super) fn with_merged(mut self, first_bytes: Range<usize>) -> Self {
        let Base::Exact(exact) = &self.base else { return self };
        let (mut merged, mut left) = (Vec::new(), RecentChanges::default());
        for (halves, change) in &*self.recent {
            let key = LookupKey::from_halves(*halves);
            let read = change.read.filter(|_| change.is_mergeable());
            match read.filter(|_| first_bytes.contains(&usize::from(key.as_bytes()[0]))) {
                Some(read) => merged.push((key, read.listed)),
                None => {
                    left.insert(*halves, *change);
                }
            }
        }
        let mut exact = exact.with_changes(first_bytes, &mut merged);
        // Every change up to the snapshot's sequence is in the one or the other.
        let first_left = left.values().map(|change| change.changed_at).min();
        exact.built_at = first_left.map_or(self.sequence, Sequence::before).max(exact.built_at);
        self.base = Base::Exact(Arc::new(exact));
        self.recent = Arc::new(left);
        self
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::super::exact::{ExactBuilder, PARTS};
    use super::*;
    use crate::crypto::pepper::{KeyVersions, Pepper};
    use crate::domain::verdict::Record;

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
    fn while_peppers_rotate_a_number_is_absent_only_under_both_keys() {
        let peppers = [1, 2].map(|version| Arc::new(Pepper::new(u32::from(version), &[version; 32])));
        let number = IdDigest::from_bytes([7; 32]);
        let [old, new] = peppers.each_ref().map(|pepper| pepper.lookup_key(&number));
        let [previous, current] = peppers;
        let rotating = Snapshot::unknown(Arc::new(Peppers { current, previous: Some(previous) }));
        assert_eq!(rotating.presence_of(&number), (new, Presence::Absent));
        let kept_under_old = rotating.clone().with_changes(&[(old, Sequence::new(5))], Sequence::new(5));
        assert_eq!(kept_under_old.presence_of(&number), (new, Presence::Maybe { fresh_from: Sequence::new(5) }));
        for (changed, fresh_from) in [(new, 6), (old, 7)] {
            let both = kept_under_old
                .clone()
                .with_changes(&[(new, Sequence::new(6)), (changed, Sequence::new(fresh_from))], Sequence::new(7));
            assert_eq!(
                both.presence_of(&number),
                (new, Presence::Maybe { fresh_from: Sequence::new(fresh_from) }),
                "the later of both changes"
            );
        }
    }

    fn exact(records: &[(u64, i8)], built_at: u64) -> Base {
        let mut builder = ExactBuilder::new(records.len());
        for (n, day) in records {
            builder.push(&key(*n), &record(*day));
        }
        Base::Exact(builder.build(Sequence::new(built_at), KeyVersions { current: 1, previous: None }).into())
    }

    fn record(day: i8) -> Record {
        Record::Replacement { card_valid_from: date(2020, 5, day), recorded_on: date(2026, 11, 1) }
    }

    fn listing(day: i8) -> Listing {
        Listing::from_records([record(day)]).unwrap()
    }

    fn read(at: u64, day: Option<i8>) -> Read {
        Read { at: Sequence::new(at), listed: Packed::of(day.map(listing).as_ref()) }
    }

    #[test]
    fn what_is_listed_is_known_exactly_but_for_changes_that_nobody_asked_about() {
        let start = Snapshot { base: exact(&[(1, 1), (2, 2)], 10), sequence: Sequence::new(10), ..unknown() };
        assert_eq!(start.presence(&key(1)), Presence::Listed(listing(1)));
        assert_eq!(start.presence(&key(3)), Presence::Absent);
        let changed =
            start.with_changes(&[(key(1), Sequence::new(11)), (key(3), Sequence::new(12))], Sequence::new(12));
        assert_eq!(changed.presence(&key(1)), Presence::Maybe { fresh_from: Sequence::new(11) });
        assert_eq!((changed.unread().len(), changed.mergeable()), (2, 0));
        let stale = changed.clone().with_read(&[(key(1), read(10, Some(1)))]);
        assert_eq!(
            stale.presence(&key(1)),
            Presence::Maybe { fresh_from: Sequence::new(11) },
            "from before the change"
        );
        let known = changed.with_read(&[(key(1), read(15, None)), (key(3), read(12, Some(3)))]);
        assert_eq!(known.presence(&key(1)), Presence::Absent, "withdrawn");
        assert_eq!(known.presence(&key(3)), Presence::Listed(listing(3)));
        let again =
            known.clone().with_changes(&[(key(1), Sequence::new(14)), (key(3), Sequence::new(15))], Sequence::new(15));
        assert_eq!(again.presence(&key(1)), Presence::Absent, "what was read at 15 holds the change at 14");
        assert_eq!(again.presence(&key(3)), Presence::Maybe { fresh_from: Sequence::new(15) });
        let merged = again.with_merged(0..PARTS);
        assert_eq!((merged.base.keys(), merged.recent.len()), (1, 1));
        assert_eq!(merged.base.built_at(), Sequence::new(14), "the change at 15 is not in it");
        assert_eq!(merged.presence(&key(1)), Presence::Absent);
        assert_eq!(merged.presence(&key(2)), Presence::Listed(listing(2)));
        assert_eq!(merged.presence(&key(3)), Presence::Maybe { fresh_from: Sequence::new(15) });
    }

    #[test]
    fn while_peppers_rotate_what_was_listed_under_the_old_key_holds_until_the_new_one_is_told_of() {
        let peppers = [1, 2].map(|version| Arc::new(Pepper::new(u32::from(version), &[version; 32])));
        let number = IdDigest::from_bytes([7; 32]);
        let [old, new] = peppers.each_ref().map(|pepper| pepper.lookup_key(&number));
        let [previous, current] = peppers;
        let mut builder = ExactBuilder::new(1);
        builder.push(&old, &record(1));
        let versions = KeyVersions { current: 1, previous: None };
        let base = Base::Exact(builder.build(Sequence::new(4), versions).into());
        let peppers = Arc::new(Peppers { current, previous: Some(previous) });
        let rotating = Snapshot { base, sequence: Sequence::new(4), ..Snapshot::unknown(peppers) };
        assert_eq!(rotating.presence_of(&number), (new, Presence::Listed(listing(1))));
        let moved = rotating.with_changes(&[(new, Sequence::new(5))], Sequence::new(5));
        assert_eq!(moved.presence_of(&number), (new, Presence::Maybe { fresh_from: Sequence::new(5) }));
        // However it came to be known that nothing is listed under the new key: the old one is of before.
        let withdrawn = moved.with_read(&[(new, read(6, None))]);
        assert_eq!(withdrawn.presence_of(&number), (new, Presence::Maybe { fresh_from: Sequence::new(5) }));
    }

    #[test]
    fn pages_of_a_long_feed_are_applied_without_copying_what_came_before() {
        let first = unknown().with_changes(&[(key(1), Sequence::new(1))], Sequence::new(1));
        let at = Arc::as_ptr(&first.recent);
        let second = first.with_changes(&[(key(2), Sequence::new(2))], Sequence::new(2));
        assert_eq!((Arc::as_ptr(&second.recent), second.recent.len()), (at, 2));
        let later = second.clone().with_changes(&[(key(3), Sequence::new(3))], Sequence::new(3));
        assert_eq!((second.recent.len(), later.recent.len()), (2, 3), "what is published stays as it is");
    }

    proptest! {
        /// Whatever is applied, read and merged in whatever order: nothing is answered that was not so at the last change or later.
        #[test]
        fn exact_listings_never_tell_what_was_before_the_last_change(
            base in proptest::collection::vec((0_u64..40, 1_i8..28), 0..30),
            steps in proptest::collection::vec((0_u64..40, proptest::option::of(1_i8..28), 0_u8..6), 0..80),
        ) {
            let mut now: std::collections::HashMap<u64, Option<Listing>> = std::collections::HashMap::new();
            let base: std::collections::BTreeMap<_, _> = base.into_iter().collect();
            now.extend(base.iter().map(|(n, day)| (*n, Some(listing(*day)))));
            let base: Vec<_> = base.into_iter().collect();
            let mut snapshot = Snapshot { base: exact(&base, 1), sequence: Sequence::new(1), ..unknown() };
            let mut merged = 0;
            for (n, day, step) in steps {
                let sequence = snapshot.sequence.next();
                now.insert(n, day.map(listing));
                snapshot = snapshot.with_changes(&[(key(n), sequence)], sequence);
                if step > 2 {
                    let asked = snapshot.unread();
                    let of = |key: &LookupKey| (0..40).find(|n| self::key(*n) == *key).unwrap();
                    let said = |key: LookupKey| {
                        (key, Read { at: sequence, listed: Packed::of(now.get(&of(&key)).copied().flatten().as_ref()) })
                    };
                    let read: Vec<_> = asked.into_iter().skip(usize::from(step == 3)).map(said).collect();
                    snapshot = snapshot.with_read(&read);
                }
                if step == 5 {
                    snapshot = snapshot.with_merged(merged..merged + PARTS / 2);
                    merged = (merged + PARTS / 2) % PARTS;
                }
                for n in 0..40 {
                    let listed = now.get(&n).copied().flatten();
                    match snapshot.presence(&key(n)) {
                        Presence::Absent => prop_assert_eq!(listed, None),
                        Presence::Listed(told) => prop_assert_eq!(Some(told), listed),
                        Presence::Maybe { .. } => prop_assert!(snapshot.unread().contains(&key(n))),
                    }
                }
                prop_assert!(snapshot.recent.values().all(|change| change.changed_at > snapshot.base.built_at()));
            }
        }
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
            let mut snapshot = Snapshot { base: Base::Filter(Arc::new(filter)), sequence: start, ..unknown() };
            let mut last_change = std::collections::HashMap::new();
            for (n, change) in changes.iter().enumerate() {
                let sequence = start.plus(1 + n as u64);
                snapshot = snapshot.with_changes(&[(key(*change), sequence)], sequence);
                last_change.insert(*change, sequence);
            }
            let cut = rebuilt_after.min(changes.len());
            let all = base.iter().chain(&changes[..cut]).map(|n| key(*n).prefix()).collect();
            let rebuilt = Base::Filter(Arc::new(Filter::build(all, start.plus(cut as u64)).unwrap()));
            for snapshot in [snapshot.clone(), snapshot.with_base(rebuilt)] {
                for n in base.iter().chain(&changes) {
                    match snapshot.presence(&key(*n)) {
                        Presence::Absent => prop_assert!(false, "a listed number is absent"),
                        Presence::Listed(_) => prop_assert!(false, "a filter knows no listing"),
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
