//! The answer: from the records of a number to its listing, from the listing and the presented card
//! to the verdict.
//!
//! Pure functions over dates. They never see the number, and they cannot say "valid": `NotListed`
//! only means that nobody reported the card.

use jiff::civil::Date;

use super::card::Threshold;
use super::report::ReportState;

words!(
    /// What the registry knows of the card that was presented.
    Verdict {
        NotListed = "not_listed",
        CardListed = "card_listed",
        OtherCardListed = "other_card_listed",
        NumberListed = "number_listed",
    }
);
words!(
    /// What the organization is to do.
    Advice {
        Proceed = "proceed",
        /// Do not serve on this card, do not keep it (nobody but the police may), file a misuse
        /// report.
        RefuseAndReport = "refuse_and_report",
        /// Read the card's start date and check again, or establish identity another way.
        ConfirmCard = "confirm_card",
    }
);
words!(
    /// Why a number is listed: somebody reported a card, or a newer card took its place.
    ListingKind { Reported = "reported", Superseded = "superseded" }
);
words!(
    /// What an organization checks a card for.
    Purpose {
        Lodging = "lodging",
        Banking = "banking",
        Transport = "transport",
        Telecom = "telecom",
        Other = "other",
    }
);

impl Verdict {
    pub const fn advice(self) -> Advice {
        match self {
            Self::NotListed | Self::OtherCardListed => Advice::Proceed,
            Self::CardListed => Advice::RefuseAndReport,
            Self::NumberListed => Advice::ConfirmCard,
        }
    }
}

impl Advice {
    /// The advice in words, for the clerk at the desk. Nothing where there is nothing to do.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Proceed => "",
            Self::RefuseAndReport => {
                "Do not serve on this card, do not keep it, report the misuse. The way out for its holder: a temporary identification certificate."
            }
            Self::ConfirmCard => {
                "Read the card's start date and check again. The way out without it: a temporary identification certificate."
            }
        }
    }

    /// The length of the longest text: answers are padded to it.
    pub const fn longest_text() -> usize {
        Self::RefuseAndReport.text().len()
    }
}

/// One record of a number as its listing sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    Report { state: ReportState, card_valid_from: Option<Date>, reported_on: Date },
    Replacement { card_valid_from: Date, recorded_on: Date },
}

/// What the registry knows of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// `None` where no record knows its card; then `card_unknown` is true.
    pub threshold: Option<Threshold>,
    /// A report in force does not say which card it is about: it may be any of the person's.
    pub card_unknown: bool,
    pub kind: ListingKind,
    pub since: Date,
}

impl Listing {
    /// `None` where nothing is in force. The order of the records does not matter.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Option<Self> {
        let mut known: Option<Known> = None;
        let mut unknown_active: Option<Date> = None;
        let mut unknown_replaced: Option<Date> = None;
        let mut any_replacement = false;
        for record in records {
            match record {
                Record::Report { state: ReportState::Withdrawn, .. } => {}
                Record::Report { card_valid_from: Some(lost), reported_on: since, .. } => {
                    let threshold = Threshold::of_lost_card(lost);
                    known = known.max(Some(Known { threshold, reported: true, since }));
                }
                Record::Report { state: ReportState::Active, card_valid_from: None, reported_on } => {
                    unknown_active = unknown_active.max(Some(reported_on));
                }
                Record::Report { state: ReportState::Replaced, card_valid_from: None, reported_on } => {
                    unknown_replaced = unknown_replaced.max(Some(reported_on));
                }
                Record::Replacement { card_valid_from, recorded_on: since } => {
                    any_replacement = true;
                    let threshold = Threshold::before_replacement(card_valid_from);
                    known = known.max(Some(Known { threshold, reported: false, since }));
                }
            }
        }
        // The replacement's threshold covers the card of a replaced report. Without one nothing
        // does, and the report counts as if it were active: a lost card accepted is the worse
        // error.
        let uncovered = unknown_replaced.filter(|_| !any_replacement);
        let threshold = known.map(|known| known.threshold);
        match (unknown_active.max(uncovered), known) {
            (Some(since), _) => Some(Self { threshold, card_unknown: true, kind: ListingKind::Reported, since }),
            (None, Some(Known { reported, since, .. })) => {
                let kind = if reported { ListingKind::Reported } else { ListingKind::Superseded };
                Some(Self { threshold, card_unknown: false, kind, since })
            }
            (None, None) => None,
        }
    }
}

/// A record that knows its card. The order of the members is the order of precedence: the latest
/// threshold wins, between equal ones a report, between equal reports the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    threshold: Threshold,
    reported: bool,
    since: Date,
}

/// The verdict on a card of the listed number whose validity starts on `card_valid_from`, as far as
/// that was read.
pub fn decide(card_valid_from: Option<Date>, listing: Option<&Listing>) -> Verdict {
    let Some(listing) = listing else {
        return Verdict::NotListed;
    };
    match (card_valid_from, listing.threshold) {
        (Some(presented), Some(threshold)) if threshold.covers(presented) => Verdict::CardListed,
        // Beyond the threshold the card is another one, unless a report that does not know its card
        // is in force too: that one may mean this very card, and a lost card accepted is the worse
        // error.
        (Some(_), Some(_)) if !listing.card_unknown => Verdict::OtherCardListed,
        _ => Verdict::NumberListed,
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const L: Date = Date::constant(2016, 5, 1);
    const R: Date = Date::constant(2026, 11, 20);
    const THEN: Date = Date::constant(2026, 11, 2);
    const LATER: Date = Date::constant(2026, 11, 9);

    fn report(state: ReportState, card_valid_from: Option<Date>, reported_on: Date) -> Record {
        Record::Report { state, card_valid_from, reported_on }
    }

    fn replacement(card_valid_from: Date, recorded_on: Date) -> Record {
        Record::Replacement { card_valid_from, recorded_on }
    }

    #[test]
    fn table_of_the_product() {
        use Verdict::{CardListed, NotListed, NumberListed, OtherCardListed};
        let listing = |threshold, card_unknown| {
            Some(Listing { threshold, card_unknown, kind: ListingKind::Reported, since: THEN })
        };
        let known = listing(Some(Threshold::of_lost_card(L)), false);
        let unknown = listing(None, true);
        let both = listing(Some(Threshold::of_lost_card(L)), true);
        let (before, after) = (date(2006, 5, 1), date(2016, 5, 2));
        for (listing, presented, verdict) in [
            (None, None, NotListed),
            (None, Some(L), NotListed),
            (known, Some(before), CardListed),
            (known, Some(L), CardListed),
            (known, Some(after), OtherCardListed),
            (known, None, NumberListed),
            (unknown, Some(L), NumberListed),
            (unknown, None, NumberListed),
            (both, Some(L), CardListed),
            (both, Some(after), NumberListed),
            (both, None, NumberListed),
            // Not made by `from_records`; were it to come out of a cache, it must not pass a card.
            (listing(None, false), Some(L), NumberListed),
        ] {
            assert_eq!(decide(presented, listing.as_ref()), verdict, "{listing:?} {presented:?}");
        }
    }

    #[test]
    fn advice_follows_the_verdict() {
        assert_eq!(Verdict::NotListed.advice(), Advice::Proceed);
        assert_eq!(Verdict::OtherCardListed.advice(), Advice::Proceed);
        assert_eq!(Verdict::CardListed.advice(), Advice::RefuseAndReport);
        assert_eq!(Verdict::NumberListed.advice(), Advice::ConfirmCard);
    }

    #[test]
    fn advice_that_turns_a_card_down_names_the_way_out() {
        for &advice in Advice::ALL {
            let names_it = advice.text().contains("temporary identification certificate");
            assert_eq!(names_it, advice != Advice::Proceed, "{advice:?}");
            assert!(advice.text().len() <= Advice::longest_text());
            assert!(!advice.text().contains(['"', '\\']), "it is written into JSON as it is");
        }
    }

    #[test]
    fn listing_of_records() {
        use ListingKind::{Reported, Superseded};
        use ReportState::{Active, Replaced, Withdrawn};
        let at = |valid_from| Some(Threshold::of_lost_card(valid_from));
        let before_r = Some(Threshold::before_replacement(R));
        let same_day = R.yesterday().unwrap();
        for (records, expected) in [
            (vec![], None),
            (vec![report(Withdrawn, Some(L), THEN), report(Withdrawn, None, THEN)], None),
            (vec![report(Active, Some(L), THEN)], Some((at(L), false, Reported, THEN))),
            (vec![report(Replaced, Some(L), THEN)], Some((at(L), false, Reported, THEN))),
            (vec![report(Active, None, THEN)], Some((None, true, Reported, THEN))),
            (vec![report(Replaced, None, THEN)], Some((None, true, Reported, THEN))),
            (vec![replacement(R, LATER)], Some((before_r, false, Superseded, LATER))),
            (vec![report(Replaced, None, THEN), replacement(R, LATER)], Some((before_r, false, Superseded, LATER))),
            (vec![report(Replaced, Some(L), THEN), replacement(R, LATER)], Some((before_r, false, Superseded, LATER))),
            // The new card is lost in its turn.
            (vec![replacement(R, THEN), report(Active, Some(R), LATER)], Some((at(R), false, Reported, LATER))),
            (vec![replacement(R, THEN), report(Active, None, LATER)], Some((before_r, true, Reported, LATER))),
            // A tie of thresholds goes to the report, a tie of reports to the latest.
            (
                vec![report(Active, Some(same_day), THEN), replacement(R, LATER)],
                Some((before_r, false, Reported, THEN)),
            ),
            (
                vec![report(Active, Some(L), LATER), report(Active, Some(L), THEN)],
                Some((at(L), false, Reported, LATER)),
            ),
            // The latest threshold wins, not the latest report.
            (
                vec![report(Active, Some(L), THEN), report(Active, Some(date(2006, 1, 1)), LATER)],
                Some((at(L), false, Reported, THEN)),
            ),
        ] {
            let expected =
                expected.map(|(threshold, card_unknown, kind, since)| Listing { threshold, card_unknown, kind, since });
            assert_eq!(Listing::from_records(records.clone()), expected, "{records:?}");
        }
    }

    #[test]
    fn new_card_of_a_victim_passes_and_the_stolen_one_never_does() {
        let records = [report(ReportState::Replaced, Some(L), THEN), replacement(R, LATER)];
        let listing = Listing::from_records(records);
        assert_eq!(decide(Some(R), listing.as_ref()), Verdict::OtherCardListed);
        assert_eq!(decide(Some(L), listing.as_ref()), Verdict::CardListed);
    }

    /// Few days, so that ties and neighbours are common.
    fn day() -> impl Strategy<Value = Date> {
        (0..8_i64).prop_map(|days| L.saturating_add(days.days()))
    }

    fn record() -> impl Strategy<Value = Record> {
        let state = prop::sample::select(ReportState::ALL);
        prop_oneof![
            3 => (state, prop::option::of(day()), day())
                .prop_map(|(state, lost, on)| report(state, lost, on)),
            1 => (day(), day()).prop_map(|(starts, on)| replacement(starts, on)),
        ]
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        prop::collection::vec(record(), 0..7)
    }

    fn verdict(records: &[Record], presented: Option<Date>) -> Verdict {
        decide(presented, Listing::from_records(records.iter().copied()).as_ref())
    }

    /// The product's words taken one by one, without a listing in between.
    fn naive_verdict(records: &[Record], presented: Option<Date>) -> Verdict {
        use ReportState::{Active, Replaced, Withdrawn};
        let in_force: Vec<_> =
            records.iter().filter(|record| !matches!(record, Record::Report { state: Withdrawn, .. })).collect();
        let listed = |record: &&&Record, presented: Date| match ***record {
            Record::Report { card_valid_from, .. } => card_valid_from.is_some_and(|lost| presented <= lost),
            Record::Replacement { card_valid_from, .. } => presented < card_valid_from,
        };
        let replaced = in_force.iter().any(|record| matches!(record, Record::Replacement { .. }));
        let unknown = in_force.iter().any(|record| match record {
            Record::Report { state: Active, card_valid_from: None, .. } => true,
            Record::Report { state: Replaced, card_valid_from: None, .. } => !replaced,
            _ => false,
        });
        match presented {
            _ if in_force.is_empty() => Verdict::NotListed,
            None => Verdict::NumberListed,
            Some(day) if in_force.iter().any(|record| listed(&record, day)) => Verdict::CardListed,
            Some(_) if unknown => Verdict::NumberListed,
            Some(_) => Verdict::OtherCardListed,
        }
    }

    proptest! {
        #[test]
        fn verdict_agrees_with_the_naive_one(records in records(), presented in prop::option::of(day())) {
            prop_assert_eq!(verdict(&records, presented), naive_verdict(&records, presented));
        }

        #[test]
        fn one_more_record_never_clears_a_card(
            records in records(),
            more in record(),
            presented in prop::option::of(day()),
        ) {
            let before = verdict(&records, presented);
            let after = verdict(&[records, vec![more]].concat(), presented);
            prop_assert!(before != Verdict::CardListed || after == Verdict::CardListed);
            prop_assert!(before == Verdict::NotListed || after != Verdict::NotListed);
        }

        #[test]
        fn withdrawal_removes_its_own_record_only(
            mut records in records(),
            lost in prop::option::of(day()),
            on in day(),
        ) {
            let without = Listing::from_records(records.iter().copied());
            records.push(report(ReportState::Withdrawn, lost, on));
            prop_assert_eq!(Listing::from_records(records), without);
        }

        #[test]
        fn order_of_records_does_not_matter(records in records().prop_shuffle()) {
            let reversed = Listing::from_records(records.iter().rev().copied());
            prop_assert_eq!(Listing::from_records(records), reversed);
        }

        #[test]
        fn listing_without_threshold_knows_no_card(records in records()) {
            if let Some(listing) = Listing::from_records(records) {
                prop_assert!(listing.threshold.is_some() || listing.card_unknown);
                prop_assert!(!listing.card_unknown || listing.kind == ListingKind::Reported);
            }
        }

        #[test]
        fn earlier_card_is_never_better_off(records in records(), one in day(), other in day()) {
            let (earlier, later) = (one.min(other), one.max(other));
            let is_listed = |day| verdict(&records, Some(day)) == Verdict::CardListed;
            prop_assert!(!is_listed(later) || is_listed(earlier));
        }
    }
}
