//! Every listing of the registry in memory, exactly: sorted keys with their listings, so that what is listed is found in the same
//! steps as what is not, and no hit asks a store. 256 parts by a key's first byte, which the others need not hold; a part is
//! replaced whole, so that changes are worked in without a second copy of everything. Built off the workers.

use std::fmt;
use std::sync::Arc;

use super::packed::{Packed, PackedRecord};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

pub(super) const PARTS: usize = 256;
/// The rest of a key.
const TAIL_BYTES: usize = 15;
/// A number with its listing: 19 bytes.
pub(super) const ENTRY_BYTES: usize = TAIL_BYTES + Packed::BYTES;
/// What a record is reckoned at, with what leads to it and what its neighbours need.
pub(super) const RECORD_BYTES: u64 = 20;
/// Entries that a look-up has to search, about.
const BUCKET: usize = 16;
/// The bits of a tail that buckets go by, at most.
const BUCKET_BITS_MAX: u32 = 16;

type Entry = [u8; ENTRY_BYTES];
type Tail = [u8; TAIL_BYTES];

/// Every listed number and what is listed of it.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    parts: Box<[Arc<Part>]>,
    keys: u64,
    /// It holds every change up to this sequence.
    pub(super) built_at: Sequence,
    /// When the store was read for what has no place here: of that, copies from before do not count.
    pub(super) read_at: Sequence,
    /// By which peppers the numbers were keyed when they were read.
    pub(super) versions: KeyVersions,
}

/// There is no place for a number where there should be one: nothing is known of it, and no absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoPlace;

/// The numbers that begin with one byte, in order.
pub(super) struct Part {
    /// Entries of [`ENTRY_BYTES`].
    bytes: Box<[u8]>,
    /// Where each bucket begins, and the end.
    bounds: Box<[u32]>,
    bits: u32,
}

/// Without its numbers: keyed ones are a person's pseudonym.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("entries", &self.entries().len()).finish_non_exhaustive()
    }
}

impl Part {
    /// Of sorted entries, each number once. One that is cut off, or more than can be counted, has no places.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let Some(end) = u32::try_from(entries.len()).ok().filter(|_| rest.is_empty()) else {
            return Self { bounds: Box::default(), bytes: bytes.into_boxed_slice(), bits: 0 };
        };
        let bits = (entries.len() / BUCKET).checked_ilog2().map_or(0, |bits| (bits + 1).min(BUCKET_BITS_MAX));
        let mut bounds = Vec::with_capacity((1 << bits) + 1);
        for (at, entry) in (0..).zip(entries) {
            let bucket = bucket_of(entry, bits);
            while bounds.len() <= bucket {
                bounds.push(at);
            }
        }
        bounds.resize((1 << bits) + 1, end);
        Self { bounds: bounds.into_boxed_slice(), bytes: bytes.into_boxed_slice(), bits }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn entries(&self) -> &[Entry] {
        self.bytes.as_chunks().0
    }

    /// None: it is not there, for certain.
    fn find(&self, tail: &Tail) -> Result<Option<Packed>, NoPlace> {
        let bucket = bucket_of(tail, self.bits);
        let bound = |at: usize| self.bounds.get(at).map(|bound| *bound as usize).ok_or(NoPlace);
        let some = self.entries().get(bound(bucket)?..bound(bucket + 1)?).ok_or(NoPlace)?;
        // Keys are uniform: one is about where its next bits say, and some steps from there cost less than halving.
        let wanted = rank(tail);
        let next_bits = usize::from(((wanted << self.bits) >> 48) as u16);
        let mut at = (some.len() * next_bits) >> 16;
        while some.get(at).is_some_and(|entry| rank(entry) < wanted) {
            at += 1;
        }
        while at > 0 && rank(&some[at - 1]) >= wanted {
            at -= 1;
        }
        let alike = some[at..].iter().take_while(|entry| rank(*entry) == wanted);
        Ok(alike.into_iter().find(|entry| tail_of(entry) == tail).map(packed_of))
    }

    /// The part with changes worked in, which are in order; a number that is listed no more goes.
    fn with(&self, changes: &[(LookupKey, Packed)]) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + changes.len() * ENTRY_BYTES);
        let mut rest = self.entries();
        for (key, packed) in changes {
            let tail = tail_of_key(key);
            let (before, from) = rest.split_at(rest.partition_point(|entry| tail_of(entry) < &tail));
            bytes.extend_from_slice(before.as_flattened());
            rest = match from.split_first() {
                Some((same, after)) if tail_of(same) == &tail => after,
                _ => from,
            };
            if !packed.is_absent() {
                bytes.extend_from_slice(&tail);
                bytes.extend_from_slice(&packed.to_bytes());
            }
        }
        bytes.extend_from_slice(rest.as_flattened());
        bytes.shrink_to_fit();
        Self::new(bytes)
    }
}

impl Exact {
    pub(super) fn new(parts: Vec<Arc<Part>>, built_at: Sequence, versions: KeyVersions) -> Self {
        let keys = parts.iter().map(|part| part.entries().len() as u64).sum();
        Self { parts: parts.into_boxed_slice(), keys, built_at, read_at: built_at, versions }
    }

    /// How many numbers it holds.
    pub(super) fn keys(&self) -> u64 {
        self.keys
    }

    pub(super) fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// None: it is not there, for certain.
    pub(super) fn find(&self, key: &LookupKey) -> Result<Option<Packed>, NoPlace> {
        self.parts.get(usize::from(key.as_bytes()[0])).ok_or(NoPlace)?.find(&tail_of_key(key))
    }

    /// With the changes of numbers that begin with one of these bytes worked in; the other parts are shared. The caller says up to
    /// which sequence it holds everything then.
    pub(super) fn with_changes(
        &self,
        first_bytes: std::ops::Range<usize>,
        changes: &mut [(LookupKey, Packed)],
    ) -> Self {
        changes.sort_unstable_by_key(|(key, _)| *key);
        let mut rest = &*changes;
        let mut parts = self.parts.to_vec();
        for byte in first_bytes {
            let (own, others) = rest.split_at(rest.partition_point(|(key, _)| usize::from(key.as_bytes()[0]) <= byte));
            rest = others;
            if let Some(part) = parts.get_mut(byte).filter(|_| !own.is_empty()) {
                *part = Arc::new(part.with(own));
            }
        }
        Self { read_at: self.read_at, ..Self::new(parts, self.built_at, self.versions) }
    }

    /// What a filter is built of.
    pub(super) fn prefixes(&self) -> Vec<u64> {
        let mut prefixes = Vec::with_capacity(usize::try_from(self.keys).unwrap_or(0));
        for (first, part) in (0_u8..=u8::MAX).zip(&self.parts) {
            prefixes.extend(part.entries().iter().map(|entry| {
                let mut prefix = [first; 8];
                prefix[1..].copy_from_slice(&entry[..7]);
                u64::from_be_bytes(prefix)
            }));
        }
        prefixes
    }
}

/// Makes it of records in any order. Takes the memory of the result, and nothing beside.
#[derive(Debug)]
pub(super) struct ExactBuilder(Vec<Vec<u8>>);

impl ExactBuilder {
    pub(super) fn new(records_max: usize) -> Self {
        // Keys are uniform: hardly a part is by four deviations larger than another.
        let each = records_max / PARTS;
        let most = each + 4 * each.isqrt() + 4;
        Self((0..PARTS).map(|_| Vec::with_capacity(most * ENTRY_BYTES)).collect())
    }

    pub(super) fn push(&mut self, key: &LookupKey, record: &Record) {
        if let Some(part) = self.0.get_mut(usize::from(key.as_bytes()[0])) {
            part.extend_from_slice(&tail_of_key(key));
            part.extend_from_slice(&PackedRecord::of(record).to_bytes());
        }
    }

    /// Costs seconds for 10^7: not for a worker.
    pub(super) fn build(self, built_at: Sequence, versions: KeyVersions) -> Exact {
        let parts = self.0.into_iter().map(|mut bytes| {
            bytes.as_chunks_mut::<ENTRY_BYTES>().0.sort_unstable();
            fold(&mut bytes);
            bytes.shrink_to_fit();
            Arc::new(Part::new(bytes))
        });
        Exact::new(parts.collect(), built_at, versions)
    }
}

/// Makes of the records of each number its listing, in their place.
fn fold(bytes: &mut Vec<u8>) {
    let (entries, _) = bytes.as_chunks_mut::<ENTRY_BYTES>();
    let (mut from, mut kept) = (0, 0);
    while let Some(first) = entries.get(from).copied() {
        let same = entries[from..].iter().take_while(|entry| tail_of(entry) == tail_of(&first)).count();
        let records = entries[from..from + same].iter().map(record_of);
        let packed = Packed::of_records(records);
        from += same;
        if !packed.is_absent() {
            entries[kept] = first;
            entries[kept][TAIL_BYTES..].copy_from_slice(&packed.to_bytes());
            kept += 1;
        }
    }
    bytes.truncate(kept * ENTRY_BYTES);
}

fn tail_of_key(key: &LookupKey) -> Tail {
    let mut tail = [0; TAIL_BYTES];
    tail.copy_from_slice(&key.as_bytes()[1..]);
    tail
}

fn tail_of(entry: &Entry) -> &Tail {
    entry.first_chunk().unwrap_or(&[0; TAIL_BYTES])
}

fn packed_of(entry: &Entry) -> Packed {
    Packed::from_bytes(entry.last_chunk().copied().unwrap_or_default())
}

fn record_of(entry: &Entry) -> PackedRecord {
    PackedRecord::from_bytes(entry.last_chunk().copied().unwrap_or_default())
}

/// How a tail begins: two are in the order of their beginnings where these differ.
fn rank(entry_or_tail: &[u8]) -> u64 {
    entry_or_tail.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

fn bucket_of(entry_or_tail: &[u8], bits: u32) -> usize {
    let next = entry_or_tail.first_chunk().map_or(0, |next| u16::from_be_bytes(*next));
    (usize::from(next) << bits) >> 16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::super::packed::Opened;
    use super::*;
    use crate::domain::report::ReportState;
    use crate::domain::verdict::Listing;

    fn key(n: u64) -> LookupKey {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        LookupKey::from_bytes(bytes)
    }

    fn record(day: i8) -> Record {
        let card_valid_from = (day > 1).then(|| date(2016, 5, day));
        Record::Report { state: ReportState::Active, card_valid_from, reported_on: date(2026, 11, day) }
    }

    fn built(records: &[(u64, i8)]) -> Exact {
        let mut builder = ExactBuilder::new(records.len());
        for (number, day) in records {
            builder.push(&key(*number), &record(*day));
        }
        builder.build(Sequence::new(1), KeyVersions { current: 1, previous: None })
    }

    fn listing(exact: &Exact, number: u64) -> Option<Listing> {
        exact.find(&key(number)).unwrap().map(|packed| match packed.open() {
            Opened::Listed(listing) => listing,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_record_takes_less_than_it_is_reckoned_at() {
        let numbers: Vec<_> = (0..200_000).map(|n| (n, 5)).collect();
        let exact = built(&numbers);
        assert_eq!(exact.keys(), 200_000);
        let bytes: usize = exact.parts().iter().map(|part| part.bytes.len() + part.bounds.len() * 4).sum();
        assert!(bytes as u64 <= exact.keys() * RECORD_BYTES, "{bytes}");
        assert!(numbers.iter().all(|(number, _)| listing(&exact, *number).is_some()));
        assert!((200_000..400_000).all(|number| exact.find(&key(number)) == Ok(None)));
        let mut prefixes: Vec<_> = numbers.iter().map(|(number, _)| key(*number).prefix()).collect();
        prefixes.sort_unstable();
        assert_eq!(exact.prefixes(), prefixes);
    }

    #[test]
    fn numbers_that_begin_alike_are_told_apart() {
        let alike = |last: u8, begins: u8| {
            let mut bytes = [begins; 16];
            bytes[15] = last;
            LookupKey::from_bytes(bytes)
        };
        let mut builder = ExactBuilder::new(600);
        for begins in [0, 7, u8::MAX] {
            (1..=100).for_each(|last| builder.push(&alike(last * 2, begins), &record(5)));
        }
        let exact = builder.build(Sequence::new(1), KeyVersions { current: 1, previous: None });
        for begins in [0, 7, u8::MAX] {
            let found: Vec<_> =
                (0..=u8::MAX).filter(|last| exact.find(&alike(*last, begins)).unwrap().is_some()).collect();
            assert_eq!(found, (2..=200).step_by(2).collect::<Vec<_>>(), "{begins}");
        }
    }

    #[test]
    fn nothing_listed_holds_nothing() {
        let empty = built(&[]);
        assert_eq!((empty.keys(), empty.find(&key(1)) == Ok(None)), (0, true));
    }

    proptest! {
        /// Whatever is built and worked in, in whatever pieces, is what a plain map says.
        #[test]
        fn it_says_what_a_map_says(
            records in proptest::collection::vec((0_u64..300, 1_i8..28), 0..400),
            changes in proptest::collection::vec((0_u64..400, proptest::option::of(1_i8..28)), 0..200),
            pieces in 1_usize..20,
        ) {
            let mut exact = built(&records);
            let mut map = BTreeMap::<u64, Vec<Record>>::new();
            for (number, day) in &records {
                map.entry(*number).or_default().push(record(*day));
            }
            let mut map: BTreeMap<_, _> =
                map.into_iter().map(|(number, records)| (number, Listing::from_records(records))).collect();
            let changes: BTreeMap<_, _> = changes.into_iter().collect();
            for first in (0..PARTS).step_by(pieces) {
                let bytes = first..(first + pieces).min(PARTS);
                let of_piece = changes.iter().filter(|(number, _)| bytes.contains(&usize::from(key(**number).as_bytes()[0])));
                let packed = |day: &Option<i8>| Packed::of(day.and_then(|day| Listing::from_records([record(day)])).as_ref());
                let mut some: Vec<_> = of_piece.map(|(number, day)| (key(*number), packed(day))).collect();
                exact = exact.with_changes(bytes, &mut some);
            }
            for (number, day) in changes {
                map.insert(number, day.and_then(|day| Listing::from_records([record(day)])));
            }
            for number in 0..400 {
                prop_assert_eq!(listing(&exact, number), map.get(&number).copied().flatten(), "{}", number);
            }
            prop_assert_eq!(exact.keys(), map.values().flatten().count() as u64);
        }
    }

    #[test]
    fn listings_that_lack_a_part_prove_no_absence() {
        let whole = built(&[(1, 5), (2, 6)]);
        assert!((1..100).all(|number| whole.find(&key(number)).is_ok()));
        let none = Exact::new(Vec::new(), whole.built_at, whole.versions);
        assert!((1..100).all(|number| none.find(&key(number)) == Err(NoPlace)));
        // A part that was cut off within an entry.
        let cut = whole.parts().iter().map(|part| Arc::new(Part::new([part.bytes(), &[7]].concat())));
        let cut = Exact::new(cut.collect(), whole.built_at, whole.versions);
        assert!((1..100).all(|number| cut.find(&key(number)) == Err(NoPlace)));
        // Bounds beyond the entries.
        let beyond = Part { bytes: Box::default(), bounds: Box::new([0, 3]), bits: 0 };
        assert_eq!(beyond.find(&[0; TAIL_BYTES]), Err(NoPlace));
        let nothing = Part::new(Vec::new());
        assert_eq!(nothing.find(&[0; TAIL_BYTES]), Ok(None), "nothing is listed");
    }
}
