//! The card as a physical thing: when it is valid, and which cards of a number a threshold lists.
//!
//! An identity number never changes and a replacement carries the same one, so the start of
//! validity is what tells two cards of a person apart. No numbers here, and no listing: see
//! `verdict`.

use jiff::ToSpan;
use jiff::civil::Date;

/// The State Council's trial regulations that created the resident identity card are of this day;
/// cards followed within the year. No card is older.
pub const FIRST_CARDS_ON: Date = Date::constant(1984, 4, 6);

/// A replacement is made within 60 days (Resident Identity Card Law, article 12: 30 more in remote
/// areas), so one whose validity starts later than this many days from today is a typing error, and
/// would list every card of the person.
pub const START_AHEAD_DAYS_MAX: i32 = 90;

/// Cards of a number whose validity starts on or before this date are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(Date);

impl Threshold {
    /// A loss report that knows its card lists that card and those before it.
    pub fn of_lost_card(valid_from: Date) -> Self {
        Self(valid_from)
    }

    /// A replacement that starts on `valid_from` lists every card before it, itself not.
    pub fn before_replacement(valid_from: Date) -> Self {
        Self(valid_from.saturating_sub(1.day()))
    }

    /// Whether the card that starts on `valid_from` is listed.
    pub fn covers(self, valid_from: Date) -> bool {
        valid_from <= self.0
    }

    /// The last start of validity that is listed.
    pub fn date(self) -> Date {
        self.0
    }
}

/// When a reported card is valid, as far as the reporter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardValidity {
    valid_from: Option<Date>,
    valid_until: Option<Date>,
}

impl CardValidity {
    /// A missing `valid_until` means unknown or long-term: the card does not say more than
    /// "long-term" either.
    pub fn new(valid_from: Option<Date>, valid_until: Option<Date>, today: Date) -> Result<Self, CardValidityError> {
        if let Some(from) = valid_from {
            not_before_first_cards(from, CardDate::ValidFrom)?;
            // A threshold in the future would list cards that are not made yet.
            if from > today {
                return Err(CardValidityError::StartsInFuture);
            }
        }
        if let Some(until) = valid_until {
            not_before_first_cards(until, CardDate::ValidUntil)?;
            if valid_from.is_some_and(|from| until <= from) {
                return Err(CardValidityError::EndsBeforeStart);
            }
        }
        Ok(Self { valid_from, valid_until })
    }

    pub fn valid_from(&self) -> Option<Date> {
        self.valid_from
    }

    pub fn valid_until(&self) -> Option<Date> {
        self.valid_until
    }
}

/// A card is handed out when its validity starts, or on the day before: one that is shown and starts later is misread, and
/// would pass as newer than any that is listed.
pub const SHOWN_AHEAD_DAYS_MAX: i32 = 1;

/// Whether a card that somebody shows may start on `valid_from`.
pub fn check_shown_start(valid_from: Date, today: Date) -> Result<(), CardValidityError> {
    not_before_first_cards(valid_from, CardDate::ValidFrom)?;
    if valid_from > today.saturating_add(SHOWN_AHEAD_DAYS_MAX.days()) {
        return Err(CardValidityError::ShownBeforeStart);
    }
    Ok(())
}

/// Whether a replacement may start on `valid_from`: its validity can begin after today, within reason.
pub fn check_start(valid_from: Date, today: Date) -> Result<(), CardValidityError> {
    not_before_first_cards(valid_from, CardDate::ValidFrom)?;
    if valid_from > today.saturating_add(START_AHEAD_DAYS_MAX.days()) {
        return Err(CardValidityError::StartsTooFarAhead);
    }
    Ok(())
}

fn not_before_first_cards(date: Date, which: CardDate) -> Result<(), CardValidityError> {
    if date < FIRST_CARDS_ON { Err(CardValidityError::BeforeFirstCards(which)) } else { Ok(()) }
}

/// Which of a card's two dates is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardDate {
    ValidFrom,
    ValidUntil,
}

/// Why a card cannot have such dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardValidityError {
    #[error("resident identity cards exist since 1984-04-06: the date cannot be earlier")]
    BeforeFirstCards(CardDate),
    #[error("a reported card cannot start after today: send the start of validity printed on the lost card")]
    StartsInFuture,
    #[error("the card's validity must end after it starts")]
    EndsBeforeStart,
    #[error(
        "a card cannot start more than {START_AHEAD_DAYS_MAX} days from today: send the start of its validity, not the end"
    )]
    StartsTooFarAhead,
    #[error("no card that can be shown starts later than tomorrow: read the start of validity from the card again")]
    ShownBeforeStart,
}

impl CardValidityError {
    /// The code of the contract.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BeforeFirstCards(_) => "before_first_cards",
            Self::StartsInFuture => "starts_in_future",
            Self::EndsBeforeStart => "ends_before_start",
            // One word for both: a start that no such card can have yet.
            Self::StartsTooFarAhead | Self::ShownBeforeStart => "starts_too_far_ahead",
        }
    }

    /// The member of the request that is wrong, as a JSON pointer (RFC 6901).
    pub const fn pointer(&self) -> &'static str {
        match self {
            Self::BeforeFirstCards(CardDate::ValidFrom)
            | Self::StartsInFuture
            | Self::StartsTooFarAhead
            | Self::ShownBeforeStart => "/card_valid_from",
            Self::BeforeFirstCards(CardDate::ValidUntil) | Self::EndsBeforeStart => "/card_valid_until",
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    #[test]
    fn lost_card_is_covered_and_later_cards_are_not() {
        let threshold = Threshold::of_lost_card(date(2016, 5, 1));
        assert!(threshold.covers(date(2016, 5, 1)));
        assert!(threshold.covers(date(2006, 5, 1)));
        assert!(!threshold.covers(date(2016, 5, 2)));
    }

    #[test]
    fn replacement_covers_the_day_before_and_not_itself() {
        let threshold = Threshold::before_replacement(date(2024, 3, 1));
        assert_eq!(threshold, Threshold::of_lost_card(date(2024, 2, 29)));
        assert!(threshold.covers(date(2024, 2, 29)));
        assert!(!threshold.covers(date(2024, 3, 1)));
        assert_eq!(Threshold::before_replacement(Date::MIN).date(), Date::MIN);
    }

    #[test]
    fn card_dates_follow_the_rules() {
        use CardDate::{ValidFrom, ValidUntil};
        use CardValidityError as E;
        let (first, eve) = (FIRST_CARDS_ON, date(1984, 4, 5));
        for (from, until, expected) in [
            (None, None, None),
            (Some(date(2016, 5, 1)), Some(date(2036, 5, 1)), None),
            (Some(date(2016, 5, 1)), None, None),
            (None, Some(date(2036, 5, 1)), None),
            (Some(TODAY), None, None),
            (Some(first), Some(date(1984, 4, 7)), None),
            (Some(date(2026, 11, 24)), None, Some((E::StartsInFuture, "/card_valid_from"))),
            (Some(eve), None, Some((E::BeforeFirstCards(ValidFrom), "/card_valid_from"))),
            (None, Some(eve), Some((E::BeforeFirstCards(ValidUntil), "/card_valid_until"))),
            (Some(TODAY), Some(TODAY), Some((E::EndsBeforeStart, "/card_valid_until"))),
            (Some(TODAY), Some(date(2020, 1, 1)), Some((E::EndsBeforeStart, "/card_valid_until"))),
        ] {
            match (CardValidity::new(from, until, TODAY), expected) {
                (Ok(card), None) => {
                    assert_eq!((card.valid_from(), card.valid_until()), (from, until));
                }
                (result, expected) => {
                    assert_eq!(result.err().map(|error| (error, error.pointer())), expected);
                }
            }
        }
    }

    #[test]
    fn a_card_that_is_shown_starts_tomorrow_at_the_latest() {
        let code = |start| check_shown_start(start, TODAY).err().map(|error| (error.code(), error.pointer()));
        assert_eq!(code(TODAY), None);
        assert_eq!(code(date(2026, 11, 24)), None);
        assert_eq!(code(date(2026, 11, 25)), Some(("starts_too_far_ahead", "/card_valid_from")));
        assert_eq!(code(date(1984, 4, 5)), Some(("before_first_cards", "/card_valid_from")));
    }

    #[test]
    fn replacement_starts_within_ninety_days() {
        let code = |start| check_start(start, TODAY).err().map(|error| error.code());
        assert_eq!(code(TODAY), None);
        assert_eq!(code(date(2004, 1, 1)), None);
        assert_eq!(code(date(2027, 2, 21)), None);
        assert_eq!(code(date(2027, 2, 22)), Some("starts_too_far_ahead"));
        assert_eq!(code(date(1984, 4, 5)), Some("before_first_cards"));
        assert_eq!(check_start(Date::MAX, Date::MAX), Ok(()));
    }
}
