//! Loss reports: their words, their codes and the life of one report.
//!
//! A transition consumes the report and says what it becomes, or why it cannot. What the registry
//! then answers is the matter of `verdict`; how a report is stored, of `store`.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;
use zeroize::Zeroize;

use super::card::FIRST_CARDS_ON;
use super::label::{holds_id_number, is_code};
use super::redacted::PhoneText;
use crate::domain::ids::ReportId;
use crate::domain::instant::UnixMs;

words!(
    /// How the card went missing.
    Reason { Lost = "lost", Stolen = "stolen" }
);
words!(
    /// Who made the report.
    Reporter { Holder = "holder", Guardian = "guardian", Agent = "agent" }
);
words!(
    /// Where the report was made: police station, registration hall, citizen portal.
    Channel { Station = "station", Hall = "hall", Online = "online" }
);
words!(
    /// Why a report is taken back.
    WithdrawalReason { Found = "found", Mistaken = "mistaken" }
);
words!(
    /// Where a report is in its life. `Withdrawn` and `Replaced` are final, but for an operator's undoing.
    ReportState { Active = "active", Withdrawn = "withdrawn", Replaced = "replaced" }
);

/// The part of a loss report that its transitions need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossReport {
    pub id: ReportId,
    pub state: ReportState,
    pub card_valid_from: Option<Date>,
    /// A card that starts from this day on can be the one in its place ([`missing_on`]).
    pub missing_on: Date,
    /// Milliseconds since the Unix epoch.
    pub reported_at_ms: UnixMs,
    pub reason: Reason,
}

impl LossReport {
    /// The holder has the card again. Only while no replacement has been issued: after that the
    /// old card must never come back to life.
    pub fn withdraw(self) -> Result<Self, InvalidTransition> {
        match self.state {
            ReportState::Active => Ok(Self { state: ReportState::Withdrawn, ..self }),
            from @ (ReportState::Withdrawn | ReportState::Replaced) => {
                Err(InvalidTransition { from, to: ReportState::Withdrawn })
            }
        }
    }

    /// A card whose validity starts on `replacement_valid_from` takes the place of the reported
    /// one.
    pub fn replace(self, replacement_valid_from: Date) -> Result<Self, InvalidTransition> {
        if self.is_replaced_by(replacement_valid_from) {
            Ok(Self { state: ReportState::Replaced, ..self })
        } else {
            Err(InvalidTransition { from: self.state, to: ReportState::Replaced })
        }
    }

    /// It should not have been withdrawn: it lists its card again, as a replaced one does where a new card was recorded meanwhile.
    pub fn list_again(self, is_replaced: bool) -> Result<Self, InvalidTransition> {
        let to = if is_replaced { ReportState::Replaced } else { ReportState::Active };
        match self.state {
            ReportState::Withdrawn => Ok(Self { state: to, ..self }),
            from @ (ReportState::Active | ReportState::Replaced) => Err(InvalidTransition { from, to }),
        }
    }

    /// The replacement that ended it was taken back.
    pub fn reopen(self) -> Result<Self, InvalidTransition> {
        match self.state {
            ReportState::Replaced => Ok(Self { state: ReportState::Active, ..self }),
            from @ (ReportState::Active | ReportState::Withdrawn) => {
                Err(InvalidTransition { from, to: ReportState::Active })
            }
        }
    }

    /// Whether a replacement that starts on that day ends this report: a card that starts no later
    /// than the reported one cannot be the one made in its place. It may be the lost card itself,
    /// entered late. Where the reported card's start is unknown, so may any that starts before it
    /// was missing.
    pub fn is_replaced_by(&self, replacement_valid_from: Date) -> bool {
        self.state == ReportState::Active && self.is_before(replacement_valid_from)
    }

    /// Whether its card starts before another for certain: one whose start is unknown does before those that were made when it was
    /// missing already.
    pub fn is_before(&self, card_valid_from: Date) -> bool {
        self.card_valid_from.map_or(self.missing_on <= card_valid_from, |lost| lost < card_valid_from)
    }
}

/// A report in state `from` cannot become `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct InvalidTransition {
    pub from: ReportState,
    pub to: ReportState,
}

impl fmt::Display for InvalidTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.as_str(), self.to.as_str());
        match (self.from, self.to) {
            (ReportState::Active, ReportState::Replaced) => {
                f.write_str("the report stays active: the replacement does not start after the reported card")
            }
            (ReportState::Replaced, ReportState::Withdrawn) => {
                f.write_str("a replaced report cannot be withdrawn: the old card stays listed until its end date")
            }
            _ if self.from == self.to => write!(f, "the report is already {to}"),
            _ => write!(f, "a {from} report cannot become {to}"),
        }
    }
}

/// No card that starts before this day can be the one in the place of a lost one whose start nobody knows: it was not missing yet. Where
/// nobody said since when it is missing, that may be a year before the report: some report late, when they have the new card already.
pub fn missing_on(lost_on: Option<Date>, reported_on: Date) -> Date {
    lost_on.unwrap_or_else(|| reported_on.saturating_sub(1.year()))
}

/// Whether the card can have been lost on `lost_on`. Where its start is unknown, the first card
/// ever made bounds it.
pub fn check_lost_on(lost_on: Date, card_valid_from: Option<Date>, today: Date) -> Result<(), LostOnError> {
    if lost_on > today {
        Err(LostOnError::InFuture)
    } else if lost_on < card_valid_from.unwrap_or(FIRST_CARDS_ON) {
        Err(LostOnError::BeforeCardStart)
    } else {
        Ok(())
    }
}

/// Why a card cannot have been lost on that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LostOnError {
    #[error("the card cannot have been lost after today")]
    InFuture,
    #[error("the card cannot have been lost before its validity started")]
    BeforeCardStart,
}

impl LostOnError {
    /// The code of the contract.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InFuture => "lost_in_future",
            Self::BeforeCardStart => "lost_before_card_start",
        }
    }
}

/// What stands where the office of an act does, where an operator has undone one. No office is called so: codes begin with a region.
pub const UNDOING: &str = "undo";

/// The police station or registration hall that took a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeCode(String);

impl OfficeCode {
    /// An office as somebody names it today: no identity number.
    pub fn offered(text: &str, today: Date) -> Option<Self> {
        Self::parse(text).filter(|_| !holds_id_number(text, today))
    }

    /// 1 to 32 letters, digits and hyphens: what was taken once, and is read again.
    pub fn parse(text: &str) -> Option<Self> {
        is_code(text, 32, |byte| byte.is_ascii_alphanumeric() || byte == b'-').then(|| Self(text.to_owned()))
    }

    /// The office of what a citizen does through a portal.
    pub fn online() -> Self {
        Self("online".to_owned())
    }

    /// The office of what an import takes back.
    pub fn of_import() -> Self {
        Self("import".to_owned())
    }

    /// The office of what an operator undoes.
    pub fn of_undoing() -> Self {
        Self(UNDOING.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An organization's own mark on a check: which hotel or branch (`site`), which folio
/// (`client_ref`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// A mark as somebody sets it today: no identity number.
    pub fn offered(text: &str, today: Date) -> Option<Self> {
        Self::parse(text).filter(|_| !holds_id_number(text, today))
    }

    /// 1 to 64 of `[A-Za-z0-9._:-]`: what was taken once, and is read again.
    pub fn parse(text: &str) -> Option<Self> {
        is_code(text, 64, |byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)).then(|| Self(text.to_owned()))
    }

    /// Whether it may be the digest of an identity number, in hexadecimal: such a label is taken, but must not be kept.
    pub fn may_be_digest(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How to reach a reporter. Personal data: sealed before it is stored, redacted when printed, wiped
/// on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// 5 to 24 characters, at least 5 of them digits: digits, spaces and hyphens, with or without a
    /// leading `+`.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('+').unwrap_or(text);
        let valid = (5..=24).contains(&text.len())
            && rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-'))
            && rest.bytes().filter(u8::is_ascii_digit).count() >= 5;
        valid.then(|| Self(text.to_owned()))
    }

    /// The number itself, for sealing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PhoneText {
    /// The phone number, if it is one.
    pub fn parse(&self) -> Option<Phone> {
        Phone::parse(self.expose())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(redacted)")
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);
    const L: Date = Date::constant(2016, 5, 1);

    /// Missing on L.
    fn report(state: ReportState, card_valid_from: Option<Date>) -> LossReport {
        LossReport {
            id: ReportId::nil(),
            state,
            card_valid_from,
            missing_on: L,
            reported_at_ms: UnixMs::EPOCH,
            reason: Reason::Lost,
        }
    }

    #[test]
    fn only_an_active_report_is_withdrawn() {
        use ReportState::{Active, Replaced, Withdrawn};
        assert_eq!(report(Active, Some(L)).withdraw(), Ok(report(Withdrawn, Some(L))));
        for from in [Withdrawn, Replaced] {
            let refused = InvalidTransition { from, to: Withdrawn };
            assert_eq!(report(from, Some(L)).withdraw(), Err(refused));
        }
    }

    #[test]
    fn a_card_was_missing_from_the_day_of_its_loss_or_a_year_before_its_report() {
        assert_eq!(missing_on(Some(L), TODAY), L);
        assert_eq!(missing_on(None, TODAY), date(2025, 11, 23));
        assert_eq!(missing_on(None, date(2028, 2, 29)), date(2027, 2, 28));
    }

    #[test]
    fn replacement_ends_reports_of_earlier_cards_and_of_unknown_ones_that_were_missing_already() {
        use ReportState::{Active, Replaced, Withdrawn};
        for (state, lost, starts, replaced) in [
            (Active, Some(L), date(2016, 5, 2), true),
            (Active, Some(L), L, false),
            (Active, Some(L), date(2016, 4, 30), false),
            // It may be the lost card itself, or one before it.
            (Active, None, date(1990, 1, 1), false),
            (Active, None, date(2016, 4, 30), false),
            (Active, None, L, true),
            (Active, None, date(2026, 1, 1), true),
            (Withdrawn, Some(L), date(2026, 1, 1), false),
            (Replaced, None, date(2026, 1, 1), false),
        ] {
            assert_eq!(report(state, lost).is_replaced_by(starts), replaced);
            let expected = if replaced {
                Ok(report(Replaced, lost))
            } else {
                Err(InvalidTransition { from: state, to: Replaced })
            };
            assert_eq!(report(state, lost).replace(starts), expected);
        }
    }

    #[test]
    fn invalid_transition_says_why() {
        use ReportState::{Active, Replaced, Withdrawn};
        for (from, to, message) in [
            (Withdrawn, Withdrawn, "the report is already withdrawn"),
            (Replaced, Replaced, "the report is already replaced"),
            (Withdrawn, Replaced, "a withdrawn report cannot become replaced"),
            (
                Replaced,
                Withdrawn,
                "a replaced report cannot be withdrawn: the old card stays listed until its end date",
            ),
            (Active, Replaced, "the report stays active: the replacement does not start after the reported card"),
        ] {
            assert_eq!(InvalidTransition { from, to }.to_string(), message);
        }
    }

    #[test]
    fn lost_day_lies_between_the_cards_start_and_today() {
        let code = |on, from| check_lost_on(on, from, TODAY).err().map(|error| error.code());
        assert_eq!(code(TODAY, Some(L)), None);
        assert_eq!(code(L, Some(L)), None);
        assert_eq!(code(date(1990, 1, 1), None), None);
        assert_eq!(code(date(2026, 11, 24), Some(L)), Some("lost_in_future"));
        assert_eq!(code(date(2026, 11, 24), None), Some("lost_in_future"));
        assert_eq!(code(date(2016, 4, 30), Some(L)), Some("lost_before_card_start"));
        assert_eq!(code(date(1970, 1, 1), None), Some("lost_before_card_start"));
    }

    #[test]
    fn codes_and_labels_are_short_plain_and_carry_no_number() {
        assert_eq!(OfficeCode::parse(OfficeCode::online().as_str()), Some(OfficeCode::online()));
        let (max_office, max_label) = ("a".repeat(32), "a".repeat(64));
        let (long_office, long_label) = ("a".repeat(33), "a".repeat(65));
        for (text, office, label) in [
            ("110105-03", true, true),
            ("A", true, true),
            ("folio:77_b.c", false, true),
            ("12345678901234", true, true),
            ("123456789012345", true, true),
            ("a11010519491231002X", true, true),
            ("", false, false),
            ("a b", false, false),
            ("a\n", false, false),
            ("a/b", false, false),
            ("朝阳", false, false),
            (&max_office, true, true),
            (&long_office, false, true),
            (&max_label, false, true),
            (&long_label, false, false),
        ] {
            // What holds a number is taken no more; what was taken once is read still.
            let holds_number = text == "a11010519491231002X";
            assert_eq!(OfficeCode::offered(text, TODAY).is_some(), office && !holds_number, "{text}");
            assert_eq!(Label::offered(text, TODAY).is_some(), label && !holds_number, "{text}");
            let parsed = OfficeCode::parse(text);
            assert_eq!(parsed.is_some(), office, "{text}");
            assert!(parsed.is_none_or(|code| code.as_str() == text));
            let parsed = Label::parse(text);
            assert_eq!(parsed.is_some(), label, "{text}");
            assert!(parsed.is_none_or(|code| code.as_str() == text));
        }
    }

    #[test]
    fn phone_is_plain_and_redacted() {
        for (text, valid) in [
            ("13800138000", true),
            ("+86 138-0013-8000", true),
            ("10086", true),
            ("1008", false),
            ("1-0-8-6", false),
            ("++8613800138000", false),
            ("86+13800138000", false),
            ("1380013800a", false),
            ("１３８００１３８０００", false),
            ("", false),
            ("123456789012345678901234", true),
            ("1234567890123456789012345", false),
        ] {
            let phone = Phone::parse(text);
            assert_eq!(phone.is_some(), valid, "{text}");
            if let Some(phone) = phone {
                assert_eq!(phone.expose(), text);
                assert_eq!(format!("{phone:?}"), "Phone(redacted)");
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Withdraw,
        Replace(Date),
    }

    fn day() -> impl Strategy<Value = Date> {
        (1..=9_i8).prop_map(|day| date(2016, 5, day))
    }

    proptest! {
        #[test]
        fn a_final_state_is_final_and_nothing_but_the_state_changes(
            lost in prop::option::of(day()),
            steps in prop::collection::vec(
                prop_oneof![Just(Step::Withdraw), day().prop_map(Step::Replace)],
                0..8,
            ),
        ) {
            let mut current = report(ReportState::Active, lost);
            for step in steps {
                let before = current.clone();
                let (target, result) = match step {
                    Step::Withdraw => (ReportState::Withdrawn, current.withdraw()),
                    Step::Replace(on) => (ReportState::Replaced, current.replace(on)),
                };
                current = match result {
                    Ok(after) => {
                        prop_assert_eq!(before.state, ReportState::Active);
                        prop_assert_eq!(&after, &LossReport { state: target, ..before });
                        after
                    }
                    Err(refused) => {
                        prop_assert_eq!(refused, InvalidTransition { from: before.state, to: target });
                        before
                    }
                };
            }
        }
    }

    #[test]
    fn a_label_of_the_form_of_a_digest_is_told_apart() {
        let may_be = |text: &str| Label::parse(text).unwrap().may_be_digest();
        assert!(may_be(&"0a1B".repeat(16)));
        assert!(!may_be(&"0a1B".repeat(15)) && !may_be(&"0a1g".repeat(16)) && !may_be("west-wing:2"));
    }
}
