//! Applications for a new card, and the temporary card that replaces it until then. A transition consumes the application and
//! says what it becomes, or why it cannot. Where one may apply is the matter of `acceptance`, what is listed that of `verdict`.

use jiff::ToSpan;
use jiff::civil::Date;

use super::acceptance::Ground;
use crate::domain::ids::{ApplicationId, TemporaryCardId};

words!(
    /// Why a new card is needed.
    ApplicationReason { Lost = "lost", Expired = "expired", Damaged = "damaged" }
);
words!(
    /// Where an application is in its life. All but `Accepted` are final.
    ApplicationState {
        Accepted = "accepted",
        Refused = "refused",
        /// The new card was issued.
        Issued = "issued",
        Cancelled = "cancelled",
    }
);
words!(
    /// Where a temporary card is. `Returned` is final.
    TemporaryCardState {
        Outstanding = "outstanding",
        Returned = "returned",
        /// A loss report names it.
        Lost = "lost",
    }
);

/// Days after the day of the application within which a temporary card is issued (Measures for temporary identity cards, Ministry
/// of Public Security order 78 of 2005: three days; the day itself does not count, Civil Code article 201).
pub const TEMPORARY_CARD_DAYS_MAX: i32 = 3;
/// How long a temporary card is valid (the same Measures: three months from its issue).
pub const TEMPORARY_CARD_MONTHS: i32 = 3;

/// The part of an application that its transitions need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub id: ApplicationId,
    pub state: ApplicationState,
    /// Why it was accepted or refused.
    pub ground: Ground,
    pub reason: ApplicationReason,
    /// The day in Beijing.
    pub applied_on: Date,
    /// At most one.
    pub temporary_card: Option<TemporaryCard>,
}

/// A card that is valid while the new one is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemporaryCard {
    pub id: TemporaryCardId,
    pub state: TemporaryCardState,
    pub card_valid_from: Date,
    pub card_valid_until: Date,
}

impl Application {
    /// A new application: the ground decides.
    pub fn new(id: ApplicationId, ground: Ground, reason: ApplicationReason, applied_on: Date) -> Self {
        let state = if ground.is_eligible() { ApplicationState::Accepted } else { ApplicationState::Refused };
        Self { id, state, ground, reason, applied_on, temporary_card: None }
    }

    /// The new card was issued. A temporary card stays as it is: it is returned when the new one is collected.
    pub fn issue(self, card_valid_from: Date) -> Result<Self, ApplicationRefusal> {
        self.expect_accepted()?;
        expect_issuable(card_valid_from, self.applied_on, self.temporary_card.map(|card| card.card_valid_from))?;
        Ok(Self { state: ApplicationState::Issued, ..self })
    }

    /// The holder does without a new card.
    pub fn cancel(self) -> Result<Self, ApplicationRefusal> {
        self.expect_accepted()?;
        Ok(Self { state: ApplicationState::Cancelled, ..self })
    }

    /// A temporary card that starts on `card_valid_from`, today at the latest, is handed out.
    pub fn issue_temporary_card(
        self,
        id: TemporaryCardId,
        card_valid_from: Date,
        today: Date,
    ) -> Result<Self, ApplicationRefusal> {
        self.expect_accepted()?;
        if self.temporary_card.is_some() {
            return Err(ApplicationRefusal::SecondTemporaryCard);
        }
        if today > self.applied_on.saturating_add(TEMPORARY_CARD_DAYS_MAX.days()) {
            return Err(ApplicationRefusal::TemporaryCardTooLate);
        }
        if card_valid_from < self.applied_on {
            return Err(ApplicationRefusal::TemporaryCardBeforeApplication);
        }
        let card = TemporaryCard {
            id,
            state: TemporaryCardState::Outstanding,
            card_valid_from,
            card_valid_until: card_valid_from.saturating_add(TEMPORARY_CARD_MONTHS.months()),
        };
        Ok(Self { temporary_card: Some(card), ..self })
    }

    fn expect_accepted(&self) -> Result<(), ApplicationRefusal> {
        match self.state {
            ApplicationState::Accepted => Ok(()),
            ApplicationState::Refused => Err(ApplicationRefusal::Refused),
            ApplicationState::Issued => Err(ApplicationRefusal::Issued),
            ApplicationState::Cancelled => Err(ApplicationRefusal::Cancelled),
        }
    }
}

/// Whether a new card that was applied for can start on a day, at its issue and by a correction later. `temporary`: the start of the
/// application's temporary card.
pub fn expect_issuable(
    card_valid_from: Date,
    applied_on: Date,
    temporary: Option<Date>,
) -> Result<(), ApplicationRefusal> {
    // It is made for this application: a start before it is misread, and would let the card that it replaces pass.
    if card_valid_from < applied_on {
        return Err(ApplicationRefusal::NewCardBeforeApplication);
    }
    // Otherwise the new card's threshold would not list the temporary one, or a report of that list the new one.
    if temporary.is_some_and(|temporary| card_valid_from <= temporary) {
        return Err(ApplicationRefusal::NotAfterTemporaryCard);
    }
    Ok(())
}

impl TemporaryCard {
    /// The office has it again. Also one that was reported lost: it is found, and must not stay in anybody's hands.
    pub fn take_back(self) -> Result<Self, ApplicationRefusal> {
        match self.state {
            TemporaryCardState::Outstanding | TemporaryCardState::Lost => {
                Ok(Self { state: TemporaryCardState::Returned, ..self })
            }
            TemporaryCardState::Returned => Err(ApplicationRefusal::TemporaryCardReturned),
        }
    }

    /// What a loss report that names the card starting on `card_valid_from` makes of it; None: nothing.
    pub fn reported_lost(self, card_valid_from: Option<Date>) -> Option<Self> {
        let is_meant = self.state == TemporaryCardState::Outstanding && card_valid_from == Some(self.card_valid_from);
        is_meant.then_some(Self { state: TemporaryCardState::Lost, ..self })
    }
}

/// Why a transition cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationRefusal {
    #[error("the application was refused: its ground says why")]
    Refused,
    #[error("the new card has been issued already")]
    Issued,
    #[error("the application was cancelled: a new card takes a new application")]
    Cancelled,
    #[error("the new card cannot start before the day of its application")]
    NewCardBeforeApplication,
    #[error("the new card must start after the temporary card")]
    NotAfterTemporaryCard,
    #[error("a temporary card has been issued for this application already")]
    SecondTemporaryCard,
    #[error("a temporary card is issued within {TEMPORARY_CARD_DAYS_MAX} days of the application")]
    TemporaryCardTooLate,
    #[error("a temporary card cannot start before the day of the application")]
    TemporaryCardBeforeApplication,
    #[error("the temporary card has been returned already")]
    TemporaryCardReturned,
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const APPLIED: Date = Date::constant(2026, 11, 23);

    fn application(state: ApplicationState, temporary_card: Option<TemporaryCard>) -> Application {
        let ground = Ground::Nationwide;
        let reason = ApplicationReason::Lost;
        Application { id: ApplicationId::nil(), state, ground, reason, applied_on: APPLIED, temporary_card }
    }

    fn card(state: TemporaryCardState) -> TemporaryCard {
        TemporaryCard {
            id: TemporaryCardId::nil(),
            state,
            card_valid_from: APPLIED,
            card_valid_until: date(2027, 2, 23),
        }
    }

    #[test]
    fn the_ground_decides_the_first_state() {
        for &ground in Ground::ALL {
            let new = Application::new(ApplicationId::nil(), ground, ApplicationReason::Damaged, APPLIED);
            let accepted = new.state == ApplicationState::Accepted;
            assert_eq!((accepted, new.ground, new.temporary_card), (ground.is_eligible(), ground, None));
            assert!(accepted || new.state == ApplicationState::Refused);
        }
    }

    #[test]
    fn only_an_accepted_application_goes_on() {
        use ApplicationState::{Accepted, Cancelled, Issued, Refused};
        for (from, refusal) in [
            (Accepted, None),
            (Refused, Some(ApplicationRefusal::Refused)),
            (Issued, Some(ApplicationRefusal::Issued)),
            (Cancelled, Some(ApplicationRefusal::Cancelled)),
        ] {
            let start = APPLIED.saturating_add(30.days());
            for card in [None, Some(card(TemporaryCardState::Outstanding))] {
                let before = application(from, card);
                let to = |state| refusal.map_or(Ok(application(state, card)), Err);
                assert_eq!(before.clone().issue(start), to(Issued), "{from:?}");
                assert_eq!(before.cancel(), to(Cancelled), "{from:?}");
            }
            let issued = application(from, None).issue_temporary_card(TemporaryCardId::nil(), APPLIED, APPLIED);
            let expected = application(from, Some(card(TemporaryCardState::Outstanding)));
            assert_eq!(issued, refusal.map_or(Ok(expected), Err), "{from:?}");
        }
    }

    #[test]
    fn the_new_card_starts_after_the_temporary_one() {
        for (card, start, taken) in [
            (None, APPLIED, true),
            (Some(card(TemporaryCardState::Outstanding)), APPLIED, false),
            (Some(card(TemporaryCardState::Returned)), APPLIED, false),
            (Some(card(TemporaryCardState::Lost)), APPLIED, false),
            (Some(card(TemporaryCardState::Outstanding)), date(2026, 11, 24), true),
            (Some(card(TemporaryCardState::Returned)), date(2026, 11, 24), true),
            (Some(card(TemporaryCardState::Lost)), date(2026, 11, 24), true),
        ] {
            let issued = application(ApplicationState::Accepted, card).issue(start);
            let expected = application(ApplicationState::Issued, card);
            assert_eq!(issued, if taken { Ok(expected) } else { Err(ApplicationRefusal::NotAfterTemporaryCard) });
        }
    }

    #[test]
    fn the_new_card_starts_on_or_after_the_day_of_the_application() {
        let refused = Err(ApplicationRefusal::NewCardBeforeApplication);
        for start in [date(2026, 11, 22), date(2016, 11, 28)] {
            assert_eq!(application(ApplicationState::Accepted, None).issue(start), refused, "{start}");
        }
    }

    #[test]
    fn a_temporary_card_is_issued_once_and_within_three_days() {
        use ApplicationRefusal::{SecondTemporaryCard, TemporaryCardBeforeApplication, TemporaryCardTooLate};
        let (eve, last, late) = (date(2026, 11, 22), date(2026, 11, 26), date(2026, 11, 27));
        for (today, start, existing, refusal) in [
            (APPLIED, APPLIED, None, None),
            (last, last, None, None),
            (last, APPLIED, None, None),
            (late, late, None, Some(TemporaryCardTooLate)),
            (late, APPLIED, None, Some(TemporaryCardTooLate)),
            (last, eve, None, Some(TemporaryCardBeforeApplication)),
            (APPLIED, APPLIED, Some(TemporaryCardState::Outstanding), Some(SecondTemporaryCard)),
            (APPLIED, APPLIED, Some(TemporaryCardState::Returned), Some(SecondTemporaryCard)),
            (APPLIED, APPLIED, Some(TemporaryCardState::Lost), Some(SecondTemporaryCard)),
        ] {
            let before = application(ApplicationState::Accepted, existing.map(card));
            let issued = before.issue_temporary_card(TemporaryCardId::nil(), start, today);
            assert_eq!(issued.as_ref().err().copied(), refusal, "{today} {start}");
            if let Ok(Application { state, temporary_card: Some(card), .. }) = issued {
                assert_eq!((state, card.state), (ApplicationState::Accepted, TemporaryCardState::Outstanding));
                assert_eq!(card.card_valid_from, start);
            }
        }
    }

    #[test]
    fn a_temporary_card_is_valid_for_three_months() {
        for (applied_on, until) in [
            (date(2026, 11, 23), date(2027, 2, 23)),
            (date(2026, 11, 30), date(2027, 2, 28)),
            (date(2027, 11, 30), date(2028, 2, 29)),
            (date(2026, 12, 31), date(2027, 3, 31)),
        ] {
            let before = Application { applied_on, ..application(ApplicationState::Accepted, None) };
            let issued = before.issue_temporary_card(TemporaryCardId::nil(), applied_on, applied_on).unwrap();
            assert_eq!(issued.temporary_card.unwrap().card_valid_until, until);
        }
    }

    #[test]
    fn a_temporary_card_is_returned_once_and_lost_where_a_report_names_it() {
        use TemporaryCardState::{Lost, Outstanding, Returned};
        for (from, returned) in [
            (Outstanding, Ok(card(Returned))),
            (Lost, Ok(card(Returned))),
            (Returned, Err(ApplicationRefusal::TemporaryCardReturned)),
        ] {
            assert_eq!(card(from).take_back(), returned);
            for (named, lost) in [
                (Some(APPLIED), (from == Outstanding).then_some(card(Lost))),
                (Some(date(2026, 11, 22)), None),
                (Some(date(2026, 11, 24)), None),
                (None, None),
            ] {
                assert_eq!(card(from).reported_lost(named), lost, "{from:?} {named:?}");
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Issue(Date),
        Cancel,
        Temporary(Date, Date),
        Return,
        Lose(Option<Date>),
    }

    fn day() -> impl Strategy<Value = Date> {
        (-2..6_i64).prop_map(|days| APPLIED.saturating_add(days.days()))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            day().prop_map(Step::Issue),
            Just(Step::Cancel),
            (day(), day()).prop_map(|(start, today)| Step::Temporary(start.min(today), today)),
            Just(Step::Return),
            prop::option::of(day()).prop_map(Step::Lose),
        ]
    }

    fn take(application: Application, step: Step) -> Result<Application, ApplicationRefusal> {
        let with_card = |application: Application, card| Application { temporary_card: Some(card), ..application };
        match (step, application.temporary_card) {
            (Step::Issue(start), _) => application.issue(start),
            (Step::Cancel, _) => application.cancel(),
            (Step::Temporary(start, today), _) => {
                application.issue_temporary_card(TemporaryCardId::nil(), start, today)
            }
            (Step::Return, Some(card)) => card.take_back().map(|card| with_card(application, card)),
            (Step::Lose(start), Some(card)) => {
                Ok(with_card(application.clone(), card.reported_lost(start).unwrap_or(card)))
            }
            (Step::Return | Step::Lose(_), None) => Ok(application),
        }
    }

    proptest! {
        #[test]
        fn what_is_final_stays_and_the_new_card_always_follows_the_temporary_one(
            ground in prop::sample::select(Ground::ALL), steps in prop::collection::vec(step(), 0..12),
        ) {
            let mut current = Application::new(ApplicationId::nil(), ground, ApplicationReason::Lost, APPLIED);
            for step in steps {
                let before = current.clone();
                let Ok(after) = take(current, step) else { current = before; continue };
                if before.state != ApplicationState::Accepted {
                    prop_assert_eq!(after.state, before.state, "final");
                    prop_assert_eq!(after.temporary_card.is_some(), before.temporary_card.is_some());
                }
                if let Some(card) = before.temporary_card {
                    let now = after.temporary_card.unwrap();
                    prop_assert_eq!((now.id, now.card_valid_from, now.card_valid_until), (card.id, card.card_valid_from, card.card_valid_until));
                    prop_assert!(card.state != TemporaryCardState::Returned || now.state == card.state);
                }
                if let Step::Issue(start) = step {
                    prop_assert!(start >= before.applied_on);
                    prop_assert!(after.temporary_card.is_none_or(|card| card.card_valid_from < start));
                }
                prop_assert_eq!((after.id, after.ground, after.reason, after.applied_on), (before.id, before.ground, before.reason, before.applied_on));
                current = after;
            }
        }
    }
}
