//! A listing in four bytes, for memory and local disk; and the record that a listing is made of, in as many while
//! all rows are read. What has no place in four bytes is marked so, and asked of the store.

use jiff::civil::Date;

use crate::domain::card::Threshold;
use crate::domain::report::ReportState;
use crate::domain::verdict::{Listing, ListingKind, Record};

/// Days are counted from here: no card and no report is older.
const FIRST_DAY: Date = Date::constant(1984, 1, 1);
const DAY_BITS: u32 = 15;
const DAY_MASK: u32 = (1 << DAY_BITS) - 1;
/// In a day's place: no day.
const NO_DAY: u32 = DAY_MASK;
/// The last day that has a place: 2073-09-16.
const DAY_MAX: u32 = DAY_MASK - 1;
const SECOND_DAY: u32 = DAY_BITS;
const UNKNOWN: u32 = 1 << 30;
const SUPERSEDED: u32 = 1 << 31;
const TYPE: u32 = 30;
/// No listing and no record looks like these: a second day is always one.
const UNFIT: u32 = u32::MAX;
const ABSENT: u32 = u32::MAX - 1;

/// What is listed of a number, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed(u32);

/// A packed listing, opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    Absent,
    Listed(Listing),
    /// It has no place in four bytes.
    Unfit,
}

impl Packed {
    pub(super) const BYTES: usize = 4;

    pub(super) fn of(listing: Option<&Listing>) -> Self {
        let Some(listing) = listing else { return Self(ABSENT) };
        let pack = || {
            let threshold = listing.threshold.map_or(Some(NO_DAY), |threshold| day(threshold.date()))?;
            let unknown = if listing.card_unknown { UNKNOWN } else { 0 };
            let kind = if listing.kind == ListingKind::Superseded { SUPERSEDED } else { 0 };
            Some(threshold | day(listing.since)? << SECOND_DAY | unknown | kind)
        };
        Self(pack().unwrap_or(UNFIT))
    }

    pub(super) fn open(self) -> Opened {
        match self.0 {
            ABSENT => Opened::Absent,
            UNFIT => Opened::Unfit,
            packed => open(packed).map_or(Opened::Unfit, Opened::Listed),
        }
    }

    pub(super) fn is_absent(self) -> bool {
        self.0 == ABSENT
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    /// What some records of one number come to.
    pub(super) fn of_records(records: impl Iterator<Item = PackedRecord>) -> Self {
        let opened: Option<Vec<_>> = records.map(PackedRecord::open).collect();
        opened.map_or(Self(UNFIT), |records| Self::of(Listing::from_records(records).as_ref()))
    }
}

fn open(packed: u32) -> Option<Listing> {
    let threshold = match packed & DAY_MASK {
        NO_DAY => None,
        days => Some(Threshold::of_lost_card(date(days)?)),
    };
    let kind = if packed & SUPERSEDED == 0 { ListingKind::Reported } else { ListingKind::Superseded };
    let since = date(packed >> SECOND_DAY & DAY_MASK)?;
    Some(Listing { threshold, card_unknown: packed & UNKNOWN != 0, kind, since })
}

/// A record of a number that lists something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedRecord(u32);

impl PackedRecord {
    pub(super) fn of(record: &Record) -> Self {
        let (kind, start, dated) = match record {
            Record::Report { state: ReportState::Active, card_valid_from, reported_on } => {
                (0, *card_valid_from, reported_on)
            }
            Record::Report { state: ReportState::Replaced, card_valid_from, reported_on } => {
                (1, *card_valid_from, reported_on)
            }
            Record::Replacement { card_valid_from, recorded_on } => (2, Some(*card_valid_from), recorded_on),
            Record::Report { state: ReportState::Withdrawn, .. } => return Self(UNFIT),
        };
        let pack = || Some(start.map_or(Some(NO_DAY), day)? | day(*dated)? << SECOND_DAY | kind << TYPE);
        Self(pack().unwrap_or(UNFIT))
    }

    fn open(self) -> Option<Record> {
        let start = match self.0 & DAY_MASK {
            NO_DAY => None,
            days => Some(date(days)?),
        };
        let dated = date(self.0 >> SECOND_DAY & DAY_MASK)?;
        let report = |state| Record::Report { state, card_valid_from: start, reported_on: dated };
        match self.0 >> TYPE {
            0 => Some(report(ReportState::Active)),
            1 => Some(report(ReportState::Replaced)),
            2 => Some(Record::Replacement { card_valid_from: start?, recorded_on: dated }),
            _ => None,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Packed::BYTES] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; Packed::BYTES]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}

/// None where it has no place.
fn day(date: Date) -> Option<u32> {
    let days = FIRST_DAY.duration_until(date).as_hours() / 24;
    u32::try_from(days).ok().filter(|days| *days <= DAY_MAX)
}

fn date(days: u32) -> Option<Date> {
    if days > DAY_MAX {
        return None;
    }
    FIRST_DAY.checked_add(jiff::Span::new().days(days)).ok()
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn days() -> impl Strategy<Value = Date> {
        (0_i64..32_767).prop_map(|days| FIRST_DAY.saturating_add(days.days()))
    }

    fn records() -> impl Strategy<Value = Record> {
        let state = prop_oneof![Just(ReportState::Active), Just(ReportState::Replaced)];
        let report = (state, proptest::option::of(days()), days())
            .prop_map(|(state, card_valid_from, reported_on)| Record::Report { state, card_valid_from, reported_on });
        let replacement = (days(), days())
            .prop_map(|(card_valid_from, recorded_on)| Record::Replacement { card_valid_from, recorded_on });
        prop_oneof![report, replacement]
    }

    proptest! {
        #[test]
        fn what_is_packed_opens_as_it_was(records in proptest::collection::vec(records(), 1..5)) {
            let packed = records.iter().map(PackedRecord::of).collect::<Vec<_>>();
            for (packed, record) in packed.iter().zip(&records) {
                prop_assert_eq!(packed.open(), Some(*record));
                prop_assert_eq!(PackedRecord::from_bytes(packed.to_bytes()), *packed);
            }
            let listing = Listing::from_records(records);
            let of_records = Packed::of_records(packed.into_iter());
            prop_assert_eq!(of_records, Packed::of(listing.as_ref()));
            let fits = |day: Date| day >= FIRST_DAY;
            match listing {
                Some(listing) if listing.threshold.is_none_or(|threshold| fits(threshold.date())) => {
                    prop_assert_eq!(of_records.open(), Opened::Listed(listing));
                }
                Some(_) => prop_assert_eq!(of_records.open(), Opened::Unfit),
                None => prop_assert_eq!(of_records.open(), Opened::Absent),
            }
            prop_assert_eq!(Packed::from_bytes(of_records.to_bytes()), of_records);
        }
    }

    #[test]
    fn what_has_no_place_is_marked_and_never_guessed() {
        let (first, last) = (FIRST_DAY, date(2073, 9, 16));
        let listing = |threshold: Date, since| Listing {
            threshold: Some(Threshold::of_lost_card(threshold)),
            card_unknown: true,
            kind: ListingKind::Superseded,
            since,
        };
        let opened = |listing: Listing| Packed::of(Some(&listing)).open();
        for fits in [listing(first, last), listing(last, first), Listing { threshold: None, ..listing(last, last) }] {
            assert_eq!(opened(fits), Opened::Listed(fits));
        }
        for day in [date(1983, 12, 31), date(2073, 9, 17), date(-9999, 1, 1), date(9999, 12, 31)] {
            assert_eq!(opened(listing(day, last)), Opened::Unfit);
            assert_eq!(opened(listing(last, day)), Opened::Unfit);
            let record = Record::Replacement { card_valid_from: day, recorded_on: last };
            let known = Record::Replacement { card_valid_from: last, recorded_on: last };
            let both = [record, known].map(|record| PackedRecord::of(&record));
            assert_eq!(Packed::of_records(both.into_iter()).open(), Opened::Unfit);
        }
        assert!(Packed::of(None).is_absent() && Packed::of(None).open() == Opened::Absent);
    }
}
