//! Cards that were handed in: which loss report one belongs to, whether its holder has a newer card by now, and what may become
//! of it. A transition consumes the card and says what it becomes, or why it cannot. Nothing here lists or unlists a card: a
//! return withdraws the matched report, and that is `report`'s.

use std::fmt;

use jiff::civil::Date;

use super::card::FIRST_CARDS_ON;
use super::report::{LossReport, ReportState};
use crate::domain::ids::{FoundCardId, ReportId};

words!(
    /// Where a found card is in its life. All but `Held` are final for this record: the office that receives a transferred card
    /// registers it again.
    FoundCardState { Held = "held", Returned = "returned", Destroyed = "destroyed", Transferred = "transferred" }
);
words!(
    /// How the holder's identity was established before the card was returned.
    HolderVerification { Fingerprint = "fingerprint", Face = "face", Document = "document" }
);

/// The part of a found card that its transitions need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCard {
    pub id: FoundCardId,
    pub state: FoundCardState,
    pub card_valid_from: Option<Date>,
    /// The loss report that it belongs to, whichever organization filed that.
    pub matched_report: Option<ReportId>,
}

/// A replacement of the number, as a found card sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    pub card_valid_from: Date,
    /// It was recorded after the found card was registered.
    pub is_later: bool,
}

impl FoundCard {
    /// Whether the holder has a newer card, so that this one must never come back to life. Where the start of this card is not
    /// known, a replacement that was recorded while it lay here is taken to be in its place.
    pub fn is_superseded(&self, matched: Option<&LossReport>, successions: &[Succession]) -> bool {
        let supersedes = |succession: &Succession| match self.card_valid_from {
            Some(start) => succession.card_valid_from > start,
            None => succession.is_later,
        };
        let is_replaced = |report: &LossReport| {
            report.state == ReportState::Replaced && may_be_same(self.card_valid_from, report.card_valid_from)
        };
        matched.is_some_and(is_replaced) || successions.iter().any(supersedes)
    }

    /// The same card with its start, which an office that has it in hand can read: the one it was registered with, or the one that
    /// is told now.
    pub fn with_start(self, told: Option<Date>) -> Result<Self, StartRefusal> {
        match (self.card_valid_from, told) {
            (Some(known), Some(told)) if known != told => Err(StartRefusal::Other),
            (None, None) => Err(StartRefusal::Missing),
            (known, told) => Ok(Self { card_valid_from: known.or(told), ..self }),
        }
    }

    /// The report that its return ends: an active one of this very card, before one that does not know its card.
    pub fn ended_report<'a>(&self, active: impl IntoIterator<Item = &'a LossReport>) -> Option<&'a LossReport> {
        let of_card = active.into_iter().filter(|report| may_be_same(self.card_valid_from, report.card_valid_from));
        let of_card: Vec<_> = of_card.collect();
        let is_matched = |report: &&&LossReport| Some(report.id) == self.matched_report;
        // Of several reports of this card that which it is matched to.
        let matched = of_card.iter().find(is_matched).filter(|report| report.card_valid_from.is_some());
        matched.copied().or_else(|| find_match(self.card_valid_from, of_card.iter().copied()))
    }

    /// The holder, whose identity was established, has it again.
    pub fn hand_back(self, is_superseded: bool) -> Result<Self, FoundCardRefusal> {
        let card = self.leave(FoundCardState::Returned)?;
        if is_superseded { Err(FoundCardRefusal::Superseded) } else { Ok(card) }
    }

    /// It was destroyed: only where a newer card took its place.
    pub fn destroy(self, is_superseded: bool) -> Result<Self, FoundCardRefusal> {
        let card = self.leave(FoundCardState::Destroyed)?;
        if is_superseded { Ok(card) } else { Err(FoundCardRefusal::NotSuperseded) }
    }

    /// It was sent to another office.
    pub fn transfer(self) -> Result<Self, FoundCardRefusal> {
        self.leave(FoundCardState::Transferred)
    }

    /// Its return is undone: as far as is known it is where it was.
    pub fn hold_again(self) -> Result<Self, FoundCardRefusal> {
        match self.state {
            FoundCardState::Returned => Ok(Self { state: FoundCardState::Held, ..self }),
            from @ (FoundCardState::Held | FoundCardState::Destroyed | FoundCardState::Transferred) => {
                Err(FoundCardRefusal::NotHeld(from))
            }
        }
    }

    fn leave(self, to: FoundCardState) -> Result<Self, FoundCardRefusal> {
        self.expect_held()?;
        Ok(Self { state: to, ..self })
    }

    /// Whether it is still here.
    pub fn expect_held(&self) -> Result<(), FoundCardRefusal> {
        match self.state {
            FoundCardState::Held => Ok(()),
            from @ (FoundCardState::Returned | FoundCardState::Destroyed | FoundCardState::Transferred) => {
                Err(FoundCardRefusal::NotHeld(from))
            }
        }
    }
}

/// Why the start of a found card is not known at its return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartRefusal {
    #[error("the card was registered without its start of validity: read it from the card, which is returned by it")]
    Missing,
    #[error("the card was registered with another start of validity: read it from the card again")]
    Other,
}

impl StartRefusal {
    /// The code of the contract.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "start_needed",
            Self::Other => "other_start",
        }
    }
}

/// Why a found card cannot become what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FoundCardRefusal {
    NotHeld(FoundCardState),
    Superseded,
    NotSuperseded,
}

impl fmt::Display for FoundCardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld(state) => write!(f, "the card is not held any more: it was {}", state.as_str()),
            Self::Superseded => {
                f.write_str("the number has a newer card: this one cannot be returned and must be destroyed")
            }
            Self::NotSuperseded => f.write_str(
                "no newer card of the number is recorded: only a card that was already replaced is destroyed; return or transfer it",
            ),
        }
    }
}

/// Whether a found card and a reported one may be the same: nothing that is known of the two differs.
pub fn may_be_same(found_valid_from: Option<Date>, reported_valid_from: Option<Date>) -> bool {
    found_valid_from.zip(reported_valid_from).is_none_or(|(found, reported)| found == reported)
}

/// Which of a number's reports a found card belongs to: an active one of this very card before one that may be of it, between
/// such the latest.
pub fn find_match<'a>(
    card_valid_from: Option<Date>,
    reports: impl IntoIterator<Item = &'a LossReport>,
) -> Option<&'a LossReport> {
    reports
        .into_iter()
        .filter(|report| report.state == ReportState::Active && may_be_same(card_valid_from, report.card_valid_from))
        .max_by_key(|report| {
            let is_this = card_valid_from.is_some() && report.card_valid_from == card_valid_from;
            (is_this, report.reported_at_ms, report.id)
        })
}

/// Whether the card can have been found on `found_on`. Where its start is unknown, the first card ever made bounds it.
pub fn check_found_on(found_on: Date, card_valid_from: Option<Date>, today: Date) -> Result<(), FoundOnError> {
    if found_on > today {
        Err(FoundOnError::InFuture)
    } else if found_on < card_valid_from.unwrap_or(FIRST_CARDS_ON) {
        Err(FoundOnError::BeforeCardStart)
    } else {
        Ok(())
    }
}

/// Why a card cannot have been found on that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FoundOnError {
    #[error("the card cannot have been found after today")]
    InFuture,
    #[error("the card cannot have been found before its validity started")]
    BeforeCardStart,
}

impl FoundOnError {
    /// The code of the contract.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InFuture => "found_in_future",
            Self::BeforeCardStart => "found_before_card_start",
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::instant::UnixMs;
    use crate::domain::report::Reason;

    const START: Date = Date::constant(2016, 5, 1);
    const TODAY: Date = Date::constant(2026, 11, 23);

    fn card(state: FoundCardState, card_valid_from: Option<Date>) -> FoundCard {
        FoundCard { id: FoundCardId::nil(), state, card_valid_from, matched_report: None }
    }

    fn report(n: u128, state: ReportState, card_valid_from: Option<Date>, reported_at_ms: i64) -> LossReport {
        LossReport {
            id: ReportId::from_u128(n),
            state,
            card_valid_from,
            missing_on: TODAY,
            reported_at_ms: UnixMs::new(reported_at_ms),
            reason: Reason::Lost,
        }
    }

    #[test]
    fn a_held_card_goes_back_unless_it_was_replaced_and_is_destroyed_only_then() {
        use FoundCardState::{Destroyed, Held, Returned, Transferred};
        for (is_superseded, handed_back, destroyed) in [
            (false, Ok(Returned), Err(FoundCardRefusal::NotSuperseded)),
            (true, Err(FoundCardRefusal::Superseded), Ok(Destroyed)),
        ] {
            let held = card(Held, Some(START));
            assert_eq!(held.clone().hand_back(is_superseded).map(|card| card.state), handed_back);
            assert_eq!(held.clone().destroy(is_superseded).map(|card| card.state), destroyed);
            assert_eq!(held.transfer().map(|card| card.state), Ok(Transferred));
        }
    }

    #[test]
    fn every_other_state_is_final() {
        use FoundCardState::{Destroyed, Returned, Transferred};
        for state in [Returned, Destroyed, Transferred] {
            for is_superseded in [false, true] {
                let refused = Err(FoundCardRefusal::NotHeld(state));
                assert_eq!(card(state, None).hand_back(is_superseded), refused);
                assert_eq!(card(state, None).destroy(is_superseded), refused);
                assert_eq!(card(state, None).transfer(), refused);
            }
        }
    }

    #[test]
    fn a_newer_card_supersedes_the_found_one() {
        let succession = |card_valid_from, is_later| Succession { card_valid_from, is_later };
        let (eve, after) = (date(2016, 4, 30), date(2016, 5, 2));
        for (card_valid_from, matched, successions, superseded) in [
            (Some(START), None, vec![], false),
            (Some(START), Some(ReportState::Active), vec![], false),
            (Some(START), Some(ReportState::Withdrawn), vec![], false),
            (Some(START), Some(ReportState::Replaced), vec![], true),
            (Some(date(2010, 1, 1)), Some(ReportState::Replaced), vec![], false),
            (None, Some(ReportState::Replaced), vec![], true),
            // Known: the starts decide, whichever was recorded first.
            (Some(START), None, vec![succession(after, false)], true),
            (Some(START), None, vec![succession(after, true)], true),
            (Some(START), None, vec![succession(START, true)], false),
            (Some(START), None, vec![succession(eve, true)], false),
            (Some(START), Some(ReportState::Active), vec![succession(eve, true), succession(after, false)], true),
            // Unknown: what was recorded while the card lay here.
            (None, None, vec![succession(after, false)], false),
            (None, None, vec![succession(eve, true)], true),
            (None, Some(ReportState::Active), vec![succession(after, false), succession(eve, false)], false),
        ] {
            let found = card(FoundCardState::Held, card_valid_from);
            // The report that it is matched to is one of the card that starts on that day.
            let matched = matched.map(|state| report(1, state, Some(START), 5));
            let is_superseded = found.is_superseded(matched.as_ref(), &successions);
            assert_eq!(is_superseded, superseded, "{found:?} {matched:?} {successions:?}");
        }
    }

    #[test]
    fn a_card_belongs_to_the_latest_active_report_that_names_it() {
        use ReportState::{Active, Replaced, Withdrawn};
        let other = Some(date(2010, 1, 1));
        for (card_valid_from, reports, matched) in [
            (Some(START), vec![], None),
            (Some(START), vec![report(1, Active, Some(START), 5)], Some(1)),
            (Some(START), vec![report(1, Active, None, 5)], Some(1)),
            (None, vec![report(1, Active, other, 5)], Some(1)),
            (None, vec![report(1, Active, None, 5)], Some(1)),
            (Some(START), vec![report(1, Active, other, 5)], None),
            (Some(START), vec![report(1, Withdrawn, Some(START), 5), report(2, Replaced, Some(START), 6)], None),
            // This very card before perhaps this card, however late; between equals the latest.
            (Some(START), vec![report(1, Active, Some(START), 5), report(2, Active, None, 9)], Some(1)),
            (Some(START), vec![report(1, Active, Some(START), 5), report(2, Active, Some(START), 9)], Some(2)),
            (Some(START), vec![report(2, Active, Some(START), 5), report(1, Active, Some(START), 5)], Some(2)),
            (None, vec![report(1, Active, None, 5), report(2, Active, other, 9)], Some(2)),
            (None, vec![report(1, Active, None, 9), report(2, Active, other, 5)], Some(1)),
        ] {
            let found = find_match(card_valid_from, &reports).map(|report| report.id);
            assert_eq!(found, matched.map(ReportId::from_u128), "{card_valid_from:?} {reports:?}");
        }
    }

    #[test]
    fn a_card_goes_back_by_its_start() {
        let (held, other) = (|start| card(FoundCardState::Held, start), date(2010, 1, 1));
        for (known, told, expected) in [
            (None, Some(START), Ok(START)),
            (Some(START), None, Ok(START)),
            (Some(START), Some(START), Ok(START)),
            (Some(START), Some(other), Err(StartRefusal::Other)),
            (None, None, Err(StartRefusal::Missing)),
        ] {
            assert_eq!(held(known).with_start(told), expected.map(|start| held(Some(start))), "{known:?} {told:?}");
        }
    }

    #[test]
    fn a_return_ends_the_report_of_that_card_or_one_that_does_not_know_its_card() {
        use ReportState::{Active, Withdrawn};
        let other = Some(date(2010, 1, 1));
        for (matched, reports, ended) in [
            (None, vec![], None),
            (Some(1), vec![report(1, Active, other, 5)], None),
            (Some(1), vec![report(1, Active, other, 5), report(2, Active, None, 1)], Some(2)),
            (Some(1), vec![report(1, Active, None, 5), report(2, Active, Some(START), 1)], Some(2)),
            (Some(1), vec![report(1, Active, Some(START), 1), report(2, Active, Some(START), 5)], Some(1)),
            (None, vec![report(1, Active, Some(START), 1), report(2, Active, Some(START), 5)], Some(2)),
            (None, vec![report(1, Withdrawn, Some(START), 1)], None),
        ] {
            let card = FoundCard {
                matched_report: matched.map(ReportId::from_u128),
                ..card(FoundCardState::Held, Some(START))
            };
            let found = card.ended_report(&reports).map(|report| report.id);
            assert_eq!(found, ended.map(ReportId::from_u128), "{matched:?} {reports:?}");
        }
    }

    #[test]
    fn found_day_lies_between_the_cards_start_and_today() {
        let code = |on, from| check_found_on(on, from, TODAY).err().map(|error| error.code());
        assert_eq!(code(TODAY, Some(START)), None);
        assert_eq!(code(START, Some(START)), None);
        assert_eq!(code(FIRST_CARDS_ON, None), None);
        assert_eq!(code(date(2026, 11, 24), None), Some("found_in_future"));
        assert_eq!(code(date(2016, 4, 30), Some(START)), Some("found_before_card_start"));
        assert_eq!(code(date(1984, 4, 5), None), Some("found_before_card_start"));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        HandBack(bool),
        Destroy(bool),
        Transfer,
    }

    proptest! {
        #[test]
        fn a_card_leaves_once_and_nothing_but_its_state_changes(
            steps in prop::collection::vec(
                prop_oneof![
                    any::<bool>().prop_map(Step::HandBack),
                    any::<bool>().prop_map(Step::Destroy),
                    Just(Step::Transfer),
                ],
                0..8,
            ),
        ) {
            let mut current = card(FoundCardState::Held, Some(START));
            for step in steps {
                let before = current.clone();
                let (target, allowed, result) = match step {
                    Step::HandBack(is_superseded) => {
                        (FoundCardState::Returned, !is_superseded, current.hand_back(is_superseded))
                    }
                    Step::Destroy(is_superseded) => (FoundCardState::Destroyed, is_superseded, current.destroy(is_superseded)),
                    Step::Transfer => (FoundCardState::Transferred, true, current.transfer()),
                };
                prop_assert_eq!(result.is_ok(), before.state == FoundCardState::Held && allowed);
                current = match result {
                    Ok(after) => {
                        prop_assert_eq!(&after, &FoundCard { state: target, ..before });
                        after
                    }
                    Err(_) => before,
                };
            }
        }
    }
}
