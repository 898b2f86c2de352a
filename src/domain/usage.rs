//! Usage: what is counted of an organization's calls, by which days it is asked for, and under which sites. Whole calendar days in
//! Beijing and sums, nothing finer: they do not show who was checked.

use jiff::Span;
use jiff::civil::Date;

use super::report::Label;
use super::verdict::Verdict;

words!(
    /// What is counted. The first four are checks that got their verdict, the next three checks that got none.
    Outcome {
        NotListed = "not_listed",
        CardListed = "card_listed",
        OtherCardListed = "other_card_listed",
        NumberListed = "number_listed",
        /// Refused for what was sent.
        Invalid = "invalid",
        /// Refused by a limit of the client, the organization, or on wrong check characters.
        Limited = "limited",
        /// The service could not answer.
        Unavailable = "unavailable",
        /// Batches answered, whatever they held; their items are counted as checks.
        Batches = "batches",
        ReceiptsVerified = "receipts_verified",
        /// Stored; repetitions are not counted.
        LossReports = "loss_reports",
        MisuseReports = "misuse_reports",
    }
);
words!(
    /// By what counts are summed.
    Grouping { Day = "day", Site = "site" }
);

/// How many outcomes there are.
pub const OUTCOMES: usize = Outcome::ALL.len();
/// How many days may be asked for at a time.
pub const DAYS_MAX: i32 = 400;
/// Nothing was counted before.
pub const FIRST_DAY: Date = Date::constant(2020, 1, 1);
/// How many are given where no first day was named, the last one included.
pub const DAYS: i32 = 30;
/// The site of what named none. No label holds brackets.
pub const NO_SITE: &str = "(none)";
/// The site of what named one when there were too many already.
pub const OTHER_SITES: &str = "(other)";

impl Outcome {
    /// Of a check that got its verdict.
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::NotListed => Self::NotListed,
            Verdict::CardListed => Self::CardListed,
            Verdict::OtherCardListed => Self::OtherCardListed,
            Verdict::NumberListed => Self::NumberListed,
        }
    }
}

/// A sum for each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; OUTCOMES]);

impl Counts {
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    pub fn add(&mut self, outcome: Outcome, more: u64) {
        let count = &mut self.0[outcome as usize];
        *count = count.saturating_add(more);
    }

    pub fn add_all(&mut self, more: &Self) {
        for &outcome in Outcome::ALL {
            self.add(outcome, more.of(outcome));
        }
    }

    /// What is here beyond `part`.
    #[must_use]
    pub fn beyond(&self, part: &Self) -> Self {
        let mut rest = Self::default();
        for &outcome in Outcome::ALL {
            rest.add(outcome, self.of(outcome).saturating_sub(part.of(outcome)));
        }
        rest
    }

    /// Checks that got a verdict.
    pub fn checks(&self) -> u64 {
        Verdict::ALL.iter().map(|verdict| self.of(Outcome::of(*verdict))).fold(0, u64::saturating_add)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

/// The name that a site is counted under. What may be the digest of a number is kept nowhere.
pub fn kept_site(site: Option<&Label>) -> &str {
    site.filter(|site| !site.may_be_digest()).map_or(NO_SITE, Label::as_str)
}

/// The days asked for, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    from: Date,
    to: Date,
}

/// These days cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DaysError {
    #[error("the first day is after the last one")]
    Reversed,
    #[error("at most {DAYS_MAX} days at a time")]
    TooMany,
    #[error("nothing was counted before {FIRST_DAY}")]
    FirstTooEarly,
    #[error("nothing was counted before {FIRST_DAY}")]
    LastTooEarly,
}

impl DaysError {
    /// The parameter that is wrong.
    pub const fn pointer(self) -> &'static str {
        match self {
            Self::Reversed | Self::TooMany | Self::FirstTooEarly => "/from",
            Self::LastTooEarly => "/to",
        }
    }

    pub const fn code(self) -> &'static str {
        match self {
            Self::Reversed => "after_to",
            Self::TooMany => "range_too_long",
            Self::FirstTooEarly | Self::LastTooEarly => "out_of_range",
        }
    }
}

impl Days {
    /// Without a last day: to today. Without a first one: so that there are thirty.
    pub fn new(from: Option<Date>, to: Option<Date>, today: Date) -> Result<Self, DaysError> {
        let to = to.unwrap_or(today);
        if to < FIRST_DAY {
            return Err(DaysError::LastTooEarly);
        }
        let thirty = || to.saturating_sub(Span::new().days(DAYS - 1)).max(FIRST_DAY);
        let from = from.unwrap_or_else(thirty);
        if from < FIRST_DAY {
            return Err(DaysError::FirstTooEarly);
        }
        if from > to {
            return Err(DaysError::Reversed);
        }
        if to.saturating_sub(Span::new().days(DAYS_MAX)) >= from {
            return Err(DaysError::TooMany);
        }
        Ok(Self { from, to })
    }

    pub const fn from(&self) -> Date {
        self.from
    }

    pub const fn to(&self) -> Date {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_bounded_and_in_order() {
        let today = date(2026, 11, 23);
        for (case, from, to, expected) in [
            ("neither", None, None, Ok((date(2026, 10, 25), today))),
            ("a last one", None, Some(date(2026, 3, 1)), Ok((date(2026, 1, 31), date(2026, 3, 1)))),
            ("a first one", Some(date(2026, 11, 1)), None, Ok((date(2026, 11, 1), today))),
            ("one day", Some(today), Some(today), Ok((today, today))),
            ("days to come", Some(today), Some(date(2026, 12, 31)), Ok((today, date(2026, 12, 31)))),
            ("400 days", Some(date(2025, 1, 1)), Some(date(2026, 2, 4)), Ok((date(2025, 1, 1), date(2026, 2, 4)))),
            ("401 days", Some(date(2025, 1, 1)), Some(date(2026, 2, 5)), Err(DaysError::TooMany)),
            ("reversed", Some(date(2026, 11, 2)), Some(date(2026, 11, 1)), Err(DaysError::Reversed)),
            ("from tomorrow", Some(date(2026, 11, 24)), None, Err(DaysError::Reversed)),
            ("the end of the calendar", Some(Date::MAX), Some(Date::MAX), Ok((Date::MAX, Date::MAX))),
            ("all of the calendar", Some(Date::MIN), Some(Date::MAX), Err(DaysError::FirstTooEarly)),
            ("the beginning of the calendar", None, Some(date(0, 1, 1)), Err(DaysError::LastTooEarly)),
            ("the day before", Some(date(2019, 12, 31)), Some(FIRST_DAY), Err(DaysError::FirstTooEarly)),
            ("the first day", None, Some(FIRST_DAY), Ok((FIRST_DAY, FIRST_DAY))),
        ] {
            let days = Days::new(from, to, today).map(|days| (days.from(), days.to()));
            assert_eq!(days, expected, "{case}");
        }
    }

    #[test]
    fn only_verdicts_are_checks() {
        let mut counts = Counts::default();
        assert!(counts.is_empty());
        for (at, &outcome) in Outcome::ALL.iter().enumerate() {
            counts.add(outcome, 10_u64.pow(u32::try_from(at).unwrap()));
        }
        assert_eq!((counts.checks(), counts.of(Outcome::MisuseReports)), (1111, 10_000_000_000));
        let mut twice = counts;
        twice.add_all(&counts);
        assert_eq!((twice.checks(), twice.beyond(&counts)), (2222, counts));
        assert!(counts.beyond(&twice).is_empty() && !counts.is_empty());
    }

    #[test]
    fn a_site_is_kept_unless_it_may_be_a_digest() {
        let digest = "0a1B".repeat(16);
        for (site, kept) in [(None, NO_SITE), (Some("harbour-2"), "harbour-2"), (Some(digest.as_str()), NO_SITE)] {
            let label = site.map(|site| Label::parse(site).unwrap());
            assert_eq!(kept_site(label.as_ref()), kept);
        }
        assert!(Label::parse(NO_SITE).is_none() && Label::parse(OTHER_SITES).is_none(), "no site has these names");
    }
}
