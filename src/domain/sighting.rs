//! Sightings: which verdicts are one, and under which records of the number a sighting goes. Pure functions over dates; how
//! sightings are kept until they are stored is the service's.

use jiff::civil::Date;

use super::card::Threshold;
use super::report::ReportState;
use super::verdict::Verdict;
use crate::domain::ids::{ListingId, ReplacementId, ReportId};
use crate::domain::sequence::Sequence;

impl Verdict {
    /// Whether a check that ends so is recorded: the card, or perhaps the card, that was presented is listed. A
    /// person's other card has nothing to do with the listing.
    pub const fn is_sighting(self) -> bool {
        matches!(self, Self::CardListed | Self::NumberListed)
    }
}

/// A record of the number, as far as a sighting asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    Report {
        id: ReportId,
        state: ReportState,
        card_valid_from: Option<Date>,
        /// Of its last change.
        sequence: Sequence,
    },
    Replacement {
        id: ReplacementId,
        card_valid_from: Date,
        /// When it was taken back, if it was.
        taken_back: Option<Sequence>,
    },
}

/// The records that a sighting of the card that starts on `presented` goes under: every report in force that may be about this
/// card, else every replacement that lists it. `known_up_to` is the registry's sequence that the verdict was made at: a report
/// withdrawn later was in force.
///
/// Where nothing of that is left, the report withdrawn last: a node may answer for as long as its lease from before a withdrawal
/// that it does not know yet, by a copy that is newer than its sequence.
pub fn listings_of(presented: Option<Date>, known_up_to: Sequence, records: &[Candidate]) -> Vec<ListingId> {
    let may_be = |start: Option<Date>| match (presented, start) {
        (Some(presented), Some(start)) => Threshold::of_lost_card(start).covers(presented),
        _ => true,
    };
    let (mut reports, mut replacements, mut withdrawn) = (Vec::new(), Vec::new(), None);
    for record in records {
        match *record {
            Candidate::Report { id, state, card_valid_from, sequence } if may_be(card_valid_from) => {
                if state != ReportState::Withdrawn || sequence > known_up_to {
                    reports.push(id.into());
                } else {
                    withdrawn = withdrawn.max(Some((sequence, id)));
                }
            }
            Candidate::Report { .. } => {}
            Candidate::Replacement { id, card_valid_from, taken_back } => {
                let threshold = Threshold::before_replacement(card_valid_from);
                let was_in_force = taken_back.is_none_or(|at| at > known_up_to);
                if was_in_force && presented.is_none_or(|presented| threshold.covers(presented)) {
                    replacements.push(id.into());
                }
            }
        }
    }
    if !reports.is_empty() {
        reports
    } else if !replacements.is_empty() {
        replacements
    } else {
        withdrawn.map(|(_, id)| id.into()).into_iter().collect()
    }
}

/// The replacements that listed the presented card when a verdict was made, and were taken back since.
pub fn replacements_taken_back_since(
    presented: Option<Date>,
    known_up_to: Sequence,
    records: &[Candidate],
) -> impl Iterator<Item = ReplacementId> {
    records.iter().filter_map(move |record| match *record {
        Candidate::Replacement { id, card_valid_from, taken_back: Some(at) } if at > known_up_to => {
            let threshold = Threshold::before_replacement(card_valid_from);
            presented.is_none_or(|presented| threshold.covers(presented)).then_some(id)
        }
        _ => None,
    })
}

/// The replacements that may have listed the presented card when a verdict was made, and perhaps do no more: none where a report
/// is about the card.
pub fn replacements_that_may_have_listed(
    presented: Date,
    known_up_to: Sequence,
    records: &[Candidate],
) -> Vec<ReplacementId> {
    let is_report = |record: &Candidate| matches!(record, Candidate::Report { .. });
    let reports: Vec<_> = records.iter().filter(|record| is_report(record)).cloned().collect();
    if !listings_of(Some(presented), known_up_to, &reports).is_empty() {
        return Vec::new();
    }
    let replacement = |record: &Candidate| match record {
        Candidate::Replacement { id, .. } => Some(*id),
        Candidate::Report { .. } => None,
    };
    records.iter().filter_map(replacement).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use ReportState::{Active, Replaced, Withdrawn};

    const L: Date = Date::constant(2016, 5, 1);
    const R: Date = Date::constant(2026, 11, 20);

    /// Name, presented start, records of the number, listings expected.
    type Case<'a> = (&'a str, Option<Date>, &'a [Candidate], &'a [u128]);

    fn report(id: u128, state: ReportState, card_valid_from: Option<Date>, sequence: u64) -> Candidate {
        Candidate::Report { id: ReportId::from_u128(id), state, card_valid_from, sequence: Sequence::new(sequence) }
    }

    fn replacement(id: u128, card_valid_from: Date) -> Candidate {
        Candidate::Replacement { id: ReplacementId::from_u128(id), card_valid_from, taken_back: None }
    }

    #[test]
    fn only_what_tells_of_the_presented_card_is_a_sighting() {
        let sightings: Vec<_> = Verdict::ALL.iter().filter(|verdict| verdict.is_sighting()).collect();
        assert_eq!(sightings, [&Verdict::CardListed, &Verdict::NumberListed]);
    }

    #[test]
    fn a_sighting_goes_under_what_made_the_card_listed() {
        let (older, newer) = (date(2006, 5, 1), date(2016, 5, 2));
        let cases: [Case<'_>; 12] = [
            ("the reported card", Some(L), &[report(1, Active, Some(L), 5)], &[1]),
            ("an older card", Some(older), &[report(1, Active, Some(L), 5)], &[1]),
            ("start not read", None, &[report(1, Active, Some(L), 5)], &[1]),
            ("a report that does not know its card", Some(newer), &[report(1, Active, None, 5)], &[1]),
            (
                "every report of the card",
                Some(L),
                &[report(1, Active, Some(L), 5), report(2, Replaced, None, 6)],
                &[1, 2],
            ),
            (
                "a report of an older card is not about this one",
                Some(L),
                &[report(1, Active, Some(older), 5), report(2, Active, Some(L), 6)],
                &[2],
            ),
            (
                "a report comes before a replacement",
                Some(L),
                &[replacement(3, R), report(1, Replaced, Some(L), 5)],
                &[1],
            ),
            ("a replacement alone", Some(L), &[replacement(3, R)], &[3]),
            (
                "a replacement that lists it, and not the one that it is",
                Some(L),
                &[replacement(3, R), replacement(4, L)],
                &[3],
            ),
            (
                "a report of an older card, and a replacement",
                Some(newer),
                &[report(1, Replaced, Some(L), 5), replacement(3, R)],
                &[3],
            ),
            ("withdrawn before", Some(L), &[report(1, Withdrawn, Some(L), 5), report(2, Active, Some(L), 6)], &[2]),
            ("nothing of the number", Some(L), &[], &[]),
        ];
        for (case, presented, records, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|id| ListingId::from_u128(*id)).collect();
            assert_eq!(listings_of(presented, Sequence::new(10), records), expected, "{case}");
        }
    }

    #[test]
    fn a_report_withdrawn_after_the_verdict_was_in_force() {
        let withdrawn_at = |sequence| [report(1, Withdrawn, Some(L), sequence), replacement(3, R)];
        assert_eq!(listings_of(Some(L), Sequence::new(10), &withdrawn_at(11)), [ListingId::from_u128(1)]);
        assert_eq!(listings_of(Some(L), Sequence::new(10), &withdrawn_at(10)), [ListingId::from_u128(3)]);
        let all_withdrawn = [report(1, Withdrawn, Some(L), 9), report(2, Withdrawn, Some(L), 10)];
        assert_eq!(
            listings_of(Some(L), Sequence::new(10), &all_withdrawn),
            [ListingId::from_u128(2)],
            "nothing else can have listed it"
        );
    }
}
