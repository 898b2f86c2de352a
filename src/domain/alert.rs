//! Watches of an organization on a card that it checked, and what an alert says when the card is listed later.

use std::time::Duration;

use jiff::civil::Date;

use super::verdict::{Listing, ListingKind, Record, Verdict, decide};
use crate::domain::instant::UnixMs;

words!(
    /// What an alert says: the verdict that the check would get now, or that the one it got was wrong.
    AlertKind {
        /// This very card was listed.
        CardListed = "card_listed",
        /// The number was listed, and it is not known whether this card is meant.
        NumberListed = "number_listed",
        /// The check was answered by a start of validity that was wrong: what it would get now is for a new check to say.
        CheckAgain = "check_again",
    }
);

/// How long a check is watched, in hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchHours(u8);

/// A week.
pub const WATCH_HOURS_MAX: u8 = 168;

impl WatchHours {
    /// 1 to [`WATCH_HOURS_MAX`].
    pub fn parse(hours: i64) -> Option<Self> {
        u8::try_from(hours).ok().filter(|hours| (1..=WATCH_HOURS_MAX).contains(hours)).map(Self)
    }

    /// The instant from which on nothing is watched, of a watch that begins at `now_ms`.
    pub fn end(self, now_ms: UnixMs) -> UnixMs {
        now_ms.plus(Duration::from_secs(u64::from(self.0) * 3600))
    }
}

/// What a new record means for a card that was checked before it: none where it is about other cards of the number. Records of
/// before the check do not matter: the check was answered by them.
pub fn alert_of(watched_card: Option<Date>, record: Record) -> Option<(AlertKind, ListingKind)> {
    let listing = Listing::from_records([record])?;
    let kind = match decide(watched_card, Some(&listing)) {
        Verdict::CardListed => AlertKind::CardListed,
        Verdict::NumberListed => AlertKind::NumberListed,
        Verdict::NotListed | Verdict::OtherCardListed => return None,
    };
    Some((kind, listing.kind))
}

/// It has as many watches as it may, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchesSpent {
    pub retry_after_s: u64,
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::report::ReportState;

    const L: Date = Date::constant(2016, 5, 1);
    const R: Date = Date::constant(2026, 11, 20);
    const ON: Date = Date::constant(2026, 11, 23);

    #[test]
    fn an_alert_is_what_the_check_would_be_answered_now() {
        use AlertKind::{CardListed, NumberListed};
        use ListingKind::{Reported, Superseded};
        let report = |state, card_valid_from| Record::Report { state, card_valid_from, reported_on: ON };
        let (of_card, unknown) = (report(ReportState::Active, Some(L)), report(ReportState::Active, None));
        let replacement = Record::Replacement { card_valid_from: R, recorded_on: ON };
        let (older, newer) = (Some(date(2006, 5, 1)), Some(date(2016, 5, 2)));
        for (record, watched, expected) in [
            (of_card, Some(L), Some((CardListed, Reported))),
            (of_card, older, Some((CardListed, Reported))),
            (of_card, newer, None),
            (of_card, None, Some((NumberListed, Reported))),
            (unknown, Some(L), Some((NumberListed, Reported))),
            (unknown, None, Some((NumberListed, Reported))),
            (replacement, Some(L), Some((CardListed, Superseded))),
            (replacement, Some(R.yesterday().unwrap()), Some((CardListed, Superseded))),
            (replacement, Some(R), None),
            (replacement, None, Some((NumberListed, Superseded))),
            (report(ReportState::Withdrawn, Some(L)), Some(L), None),
        ] {
            assert_eq!(alert_of(watched, record), expected, "{record:?} {watched:?}");
        }
    }

    #[test]
    fn a_watch_lasts_an_hour_to_a_week() {
        for (hours, is_good) in [
            (i64::MIN, false),
            (-1, false),
            (0, false),
            (1, true),
            (168, true),
            (169, false),
            (257, false),
            (i64::MAX, false),
        ] {
            assert_eq!(WatchHours::parse(hours).is_some(), is_good, "{hours}");
        }
        assert_eq!(WatchHours::parse(24).unwrap().end(UnixMs::new(1_000)), UnixMs::new(86_401_000));
    }
}
