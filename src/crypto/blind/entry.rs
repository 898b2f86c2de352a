//! What a row of the feed says, in 20 bytes, to who has a number evaluated, and nothing to anybody else: `01`, the tag of the
//! number, and its status hidden by a pad that its own evaluation alone makes.

use jiff::civil::Date;

use super::key::{BlindKey, Evaluated};
use crate::domain::card::Threshold;
use crate::domain::verdict::{Listing, ListingKind, Verdict, decide};

const CHANGE_LABEL: &[u8] = b"lostcard:blind:change:v1:";

/// Of an entry.
pub const ENTRY_BYTES: usize = 20;
/// What each begins with.
pub const ENTRY_KIND: u8 = 1;
const TAG: std::ops::Range<usize> = 1..17;

/// Thresholds are days since then: no card is so old that 0 would be one.
const DAY_0: Date = Date::constant(1984, 4, 4);

const LISTED: u8 = 1;
const START_UNKNOWN: u8 = 2;
const SUPERSEDED: u8 = 4;

/// What is known of a number, as entries and bases have it: all that a verdict needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlindStatus {
    /// Days since 1984-04-04; 0 where no record knows its card.
    threshold: u16,
    flags: u8,
}

impl BlindStatus {
    /// Of a listing; of none, what a number has after its last one has ended.
    pub fn of(listing: Option<&Listing>) -> Self {
        let Some(listing) = listing else { return Self::default() };
        let days = listing.threshold.map_or(0, |threshold| (threshold.date() - DAY_0).get_days());
        // A day beyond the last that fits would let cards pass: the last lists them.
        let threshold = if days < 0 { 0 } else { u16::try_from(days).unwrap_or(u16::MAX) };
        let unknown = if listing.card_unknown { START_UNKNOWN } else { 0 };
        let superseded = if listing.kind == ListingKind::Superseded { SUPERSEDED } else { 0 };
        Self { threshold, flags: LISTED | unknown | superseded }
    }

    /// The same decision as that of a check.
    pub fn decide(self, card_valid_from: Option<Date>) -> Verdict {
        let is_listed = self.flags & LISTED != 0;
        let day = || DAY_0.checked_add(jiff::Span::new().days(i64::from(self.threshold))).ok();
        let listing = Listing {
            threshold: if self.threshold == 0 { None } else { day().map(Threshold::of_lost_card) },
            card_unknown: self.flags & START_UNKNOWN != 0,
            kind: if self.flags & SUPERSEDED == 0 { ListingKind::Reported } else { ListingKind::Superseded },
            since: DAY_0,
        };
        decide(card_valid_from, is_listed.then_some(&listing))
    }

    pub fn is_listed(self) -> bool {
        self.flags & LISTED != 0
    }

    /// Whether it has no other flags than there are.
    pub fn is_sound(self) -> bool {
        self.flags & !(LISTED | START_UNKNOWN | SUPERSEDED) == 0
    }

    fn to_bytes(self) -> [u8; 3] {
        let [high, low] = self.threshold.to_be_bytes();
        [high, low, self.flags]
    }

    /// As the word of a base: only what is listed stands there.
    pub(super) fn to_word(self) -> u32 {
        let bit = |flag, place: u32| if self.flags & flag == 0 { 0 } else { 1 << place };
        (u32::from(self.threshold) << 2) | bit(START_UNKNOWN, 1) | bit(SUPERSEDED, 0)
    }

    pub(super) fn from_word(word: u32) -> Self {
        let [.., high, low] = (word >> 2).to_be_bytes();
        let flag = |place: u32, flag| if (word >> place) & 1 == 0 { 0 } else { flag };
        Self {
            threshold: u16::from_be_bytes([high, low]),
            flags: LISTED | flag(1, START_UNKNOWN) | flag(0, SUPERSEDED),
        }
    }
}

/// One row of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlindEntry([u8; ENTRY_BYTES]);

impl BlindEntry {
    /// What is known of a number from `sequence` on.
    pub fn of(evaluated: &Evaluated, status: BlindStatus, sequence: u64) -> Self {
        let mut entry = [ENTRY_KIND; ENTRY_BYTES];
        entry[TAG].copy_from_slice(&evaluated.tag());
        let pad = evaluated.pad(CHANGE_LABEL, sequence);
        for (byte, (plain, pad)) in entry[TAG.end..].iter_mut().zip(status.to_bytes().iter().zip(pad.iter())) {
            *byte = plain ^ pad;
        }
        Self(entry)
    }

    /// Of a row that lists nobody.
    pub fn decoy(key: &BlindKey, sequence: u64) -> Self {
        let mut entry = [ENTRY_KIND; ENTRY_BYTES];
        entry[TAG.start..].copy_from_slice(&key.decoy(sequence)[..ENTRY_BYTES - TAG.start]);
        Self(entry)
    }

    /// What it says of a number, if it is about that one.
    pub fn read(&self, evaluated: &Evaluated, sequence: u64) -> Option<BlindStatus> {
        if self.0[0] != ENTRY_KIND || self.0[TAG] != evaluated.tag() {
            return None;
        }
        let pad = evaluated.pad(CHANGE_LABEL, sequence);
        let [high, low, flags] = std::array::from_fn(|at| self.0[TAG.end + at] ^ pad[at]);
        Some(BlindStatus { threshold: u16::from_be_bytes([high, low]), flags })
    }

    pub fn as_bytes(&self) -> &[u8; ENTRY_BYTES] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; ENTRY_BYTES]) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::digest::IdDigest;
    use crate::domain::card::FIRST_CARDS_ON;

    fn evaluated(of: u8) -> Evaluated {
        BlindKey::derive(1, &[9; 32]).unwrap().evaluate(&IdDigest::from_bytes([of; 32])).unwrap()
    }

    prop_compose! {
        fn listings()(
            threshold in proptest::option::of(0..40_000_i64), unknown: bool, superseded: bool,
        ) -> Listing {
            let threshold = threshold.map(|days| Threshold::before_replacement(FIRST_CARDS_ON + days.days()));
            Listing {
                threshold,
                card_unknown: unknown || threshold.is_none(),
                kind: if superseded { ListingKind::Superseded } else { ListingKind::Reported },
                since: FIRST_CARDS_ON,
            }
        }
    }

    proptest! {
        #[test]
        fn a_status_decides_as_its_listing_does(
            listing in proptest::option::of(listings()), presented in proptest::option::of(0..40_000_i64),
        ) {
            let presented = presented.map(|days| FIRST_CARDS_ON + days.days());
            let status = BlindStatus::of(listing.as_ref());
            prop_assert_eq!(status.decide(presented), decide(presented, listing.as_ref()));
            prop_assert_eq!(status.is_listed(), listing.is_some());
            if listing.is_some() {
                prop_assert_eq!(BlindStatus::from_word(status.to_word()), status);
                prop_assert!(status.to_word() < 1 << 18);
            }
        }

        #[test]
        fn an_entry_says_its_status_to_its_own_number_at_its_own_place(
            listing in proptest::option::of(listings()), sequence: u64, other: u64,
        ) {
            let (status, own) = (BlindStatus::of(listing.as_ref()), evaluated(1));
            let entry = BlindEntry::of(&own, status, sequence);
            prop_assert_eq!(entry.read(&own, sequence), Some(status));
            prop_assert_eq!(entry.read(&evaluated(2), sequence), None);
            prop_assert_eq!(entry.as_bytes()[0], 1);
            if other != sequence {
                // 24 bits: equal pads at two places are a chance in 16 million.
                prop_assert_ne!(BlindEntry::of(&own, status, other), entry);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let listing = Listing {
            threshold: Some(Threshold::of_lost_card(jiff::civil::date(1984, 4, 5))),
            card_unknown: true,
            kind: ListingKind::Superseded,
            since: DAY_0,
        };
        let status = BlindStatus::of(Some(&listing));
        assert_eq!(status.to_bytes(), [0, 1, 7]);
        assert_eq!(status.to_word(), 0b0111);
        assert_eq!(BlindStatus::of(None).to_bytes(), [0, 0, 0]);
        // HMAC-SHA-256 by another way than `Keyed`.
        let bytes = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let entry = BlindEntry::of(&Evaluated::from_bytes(bytes), BlindStatus::of(None), 258);
        assert_eq!(entry.as_bytes()[..17], *b"\x01\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&bytes[32..]).unwrap();
        mac.update(b"lostcard:blind:change:v1:\0\0\0\0\0\0\x01\x02");
        assert_eq!(entry.as_bytes()[17..], mac.finalize().into_bytes()[..3]);
    }

    #[test]
    fn decoys_differ_and_can_be_made_again() {
        let key = BlindKey::derive(1, &[9; 32]).unwrap();
        assert_eq!(BlindEntry::decoy(&key, 1), BlindEntry::decoy(&key, 1));
        assert_ne!(BlindEntry::decoy(&key, 1), BlindEntry::decoy(&key, 2));
        assert_ne!(BlindEntry::decoy(&key, 1), BlindEntry::decoy(&BlindKey::derive(2, &[9; 32]).unwrap(), 1));
        assert_eq!(BlindEntry::decoy(&key, 1).as_bytes()[0], ENTRY_KIND);
        assert_eq!(BlindEntry::decoy(&key, 1).read(&evaluated(1), 1), None);
    }
}
