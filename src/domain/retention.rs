//! How long records are kept: classes of records, periods, and the policy in force on a day. Which rows a class means is in
//! `store::retention`, what the periods are in the policy file of `service::retention`.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};

use crate::domain::instant::UnixMs;

words!(
    /// What has a time of its own. The audit log and the feed have none: they are never deleted.
    Class {
        Listings = "listings",
        WithdrawnReports = "withdrawn_reports",
        ImportRows = "import_rows",
        Sightings = "sightings",
        FoundCards = "found_cards",
        Applications = "applications",
        MisuseReports = "misuse_reports",
        Certificates = "certificates",
        Watches = "watches",
        Alerts = "alerts",
        IdempotencyKeys = "idempotency_keys",
        RevokedTokens = "revoked_tokens",
        Usage = "usage",
    }
);

/// A length of time as policies write it: `24 hours`, `30 days`, `20 years`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Hours(u16),
    Days(u16),
    Years(u16),
}

impl Period {
    /// A number without leading zeros or sign, a space, and `hours`, `days` or `years`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once(' ')?;
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
        let number = if is_plain { number.parse().ok()? } else { return None };
        match unit {
            "hours" => Some(Self::Hours(number)),
            "days" => Some(Self::Days(number)),
            "years" => Some(Self::Years(number)),
            _ => None,
        }
    }

    /// The instant of so long ago, in milliseconds since the Unix epoch: the period of a record of that moment is just over. Years are
    /// the calendar's; the 29th of February ends with the 28th.
    pub fn before(self, now_ms: UnixMs) -> UnixMs {
        let hours_ago = |hours: u64| now_ms.minus(Duration::from_secs(hours * 3600));
        match self {
            Self::Hours(hours) => hours_ago(hours.into()),
            Self::Days(days) => hours_ago(24 * u64::from(days)),
            Self::Years(years) => {
                let now = Timestamp::from_millisecond(now_ms.get()).unwrap_or(Timestamp::MIN);
                let years = Span::new().try_years(years);
                let then = years.and_then(|years| Offset::UTC.to_datetime(now).checked_sub(years));
                // Before the first year of the calendar nothing was.
                let then = then.and_then(|then| Offset::UTC.to_timestamp(then));
                then.map_or(UnixMs::MIN, |then| UnixMs::new(then.as_millisecond()))
            }
        }
    }

    /// For comparing: a year counts 365 days and a quarter.
    fn hours(self) -> u32 {
        match self {
            Self::Hours(hours) => hours.into(),
            Self::Days(days) => 24 * u32::from(days),
            Self::Years(years) => 8766 * u32::from(years),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours(hours) => write!(f, "{hours} hours"),
            Self::Days(days) => write!(f, "{days} days"),
            Self::Years(years) => write!(f, "{years} years"),
        }
    }
}

/// How long one class is kept, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub keep: Period,
    /// Between which periods the operator may choose; none: nothing else is lawful.
    pub choice: Option<(Period, Period)>,
    /// What the period rests on.
    pub ground: String,
}

impl Rule {
    /// The rule with the operator's own period.
    pub fn chosen(self, keep: Period) -> Result<Self, PolicyError> {
        match self.choice {
            Some((least, most)) if (least.hours()..=most.hours()).contains(&keep.hours()) => Ok(Self { keep, ..self }),
            Some((least, most)) => Err(PolicyError::OutOfRange { least, most }),
            None => Err(PolicyError::NoChoice),
        }
    }
}

/// A rule for every class, from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub effective_from: Date,
    rules: Vec<(Class, Rule)>,
}

impl Policy {
    /// `rules` has each class exactly once.
    pub fn new(effective_from: Date, mut rules: Vec<(Class, Rule)>) -> Result<Self, PolicyError> {
        rules.sort_by_key(|(class, _)| *class);
        if !rules.iter().map(|(class, _)| class).eq(Class::ALL) {
            return Err(PolicyError::NotEachClass);
        }
        Ok(Self { effective_from, rules })
    }

    /// Every class with its rule, in the order of [`Class::ALL`].
    pub fn rules(&self) -> &[(Class, Rule)] {
        &self.rules
    }
}

/// All policies there were and will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies(Vec<Policy>);

impl Policies {
    /// At least one, no two from the same day.
    pub fn new(mut policies: Vec<Policy>) -> Result<Self, PolicyError> {
        policies.sort_by_key(|policy| policy.effective_from);
        if policies.is_empty() || policies.windows(2).any(|two| two[0].effective_from == two[1].effective_from) {
            return Err(PolicyError::NotEachDay);
        }
        Ok(Self(policies))
    }

    /// The policy of a day. None before the first: then nothing is deleted.
    pub fn on(&self, today: Date) -> Option<&Policy> {
        self.0.iter().rev().find(|policy| policy.effective_from <= today)
    }
}

/// A policy cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("a policy has each class exactly once")]
    NotEachClass,
    #[error("there is at least one policy, and no two begin on the same day")]
    NotEachDay,
    #[error("this period is not the operator's to choose")]
    NoChoice,
    #[error("the operator may choose from {least} to {most}")]
    OutOfRange { least: Period, most: Period },
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn rule(choice: Option<(Period, Period)>) -> Rule {
        Rule { keep: Period::Years(2), choice, ground: "a law".to_owned() }
    }

    fn policy(effective_from: Date) -> Policy {
        Policy::new(effective_from, Class::ALL.iter().map(|class| (*class, rule(None))).collect()).unwrap()
    }

    #[test]
    fn periods_have_one_way_to_be_written() {
        for (text, period) in [
            ("24 hours", Some(Period::Hours(24))),
            ("0 hours", Some(Period::Hours(0))),
            ("30 days", Some(Period::Days(30))),
            ("20 years", Some(Period::Years(20))),
            ("020 years", None),
            ("+20 years", None),
            ("-1 years", None),
            ("20years", None),
            ("20  years", None),
            ("20 Years", None),
            ("1 month", None),
            ("99999 days", None),
            ("years", None),
            ("", None),
        ] {
            assert_eq!(Period::parse(text), period, "{text}");
            assert!(period.is_none_or(|period| period.to_string() == text));
        }
    }

    #[test]
    fn a_period_ends_to_the_millisecond() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let now = at("2026-11-23T09:00:00.123Z");
        for (period, then) in [
            (Period::Hours(0), "2026-11-23T09:00:00.123Z"),
            (Period::Hours(24), "2026-11-22T09:00:00.123Z"),
            (Period::Days(30), "2026-10-24T09:00:00.123Z"),
            (Period::Years(20), "2006-11-23T09:00:00.123Z"),
        ] {
            assert_eq!(period.before(UnixMs::new(now)), UnixMs::new(at(then)), "{period}");
        }
        assert_eq!(
            Period::Years(1).before(UnixMs::new(at("2024-02-29T00:00:00Z"))),
            UnixMs::new(at("2023-02-28T00:00:00Z"))
        );
        assert_eq!(Period::Years(u16::MAX).before(UnixMs::new(now)), UnixMs::MIN);
    }

    #[test]
    fn the_operator_chooses_within_the_range_or_not_at_all() {
        let range = Some((Period::Days(30), Period::Years(2)));
        let out_of_range = Err(PolicyError::OutOfRange { least: Period::Days(30), most: Period::Years(2) });
        for (choice, keep, expected) in [
            (range, Period::Days(30), Ok(Period::Days(30))),
            (range, Period::Years(2), Ok(Period::Years(2))),
            (range, Period::Hours(30 * 24 - 1), out_of_range),
            (range, Period::Days(731), out_of_range),
            (None, Period::Years(2), Err(PolicyError::NoChoice)),
        ] {
            assert_eq!(rule(choice).chosen(keep).map(|rule| rule.keep), expected, "{keep}");
        }
    }

    #[test]
    fn a_policy_has_each_class_once() {
        let all: Vec<_> = Class::ALL.iter().map(|class| (*class, rule(None))).collect();
        let twice = [all.clone(), vec![all[0].clone()]].concat();
        let day = date(2026, 1, 1);
        for (rules, holds) in [(all.clone(), true), (all[1..].to_vec(), false), (twice, false)] {
            assert_eq!(Policy::new(day, rules).is_ok(), holds);
        }
        let backwards = all.iter().rev().cloned().collect();
        assert_eq!(Policy::new(day, backwards).unwrap(), policy(day));
    }

    #[test]
    fn the_policy_of_a_day_is_the_last_that_began() {
        let (old, new) = (date(2026, 1, 1), date(2027, 7, 1));
        let policies = Policies::new(vec![policy(new), policy(old)]).unwrap();
        for (day, from) in [
            (date(2025, 12, 31), None),
            (old, Some(old)),
            (date(2027, 6, 30), Some(old)),
            (new, Some(new)),
            (date(2099, 1, 1), Some(new)),
        ] {
            assert_eq!(policies.on(day).map(|policy| policy.effective_from), from, "{day}");
        }
        assert_eq!(Policies::new(vec![]), Err(PolicyError::NotEachDay));
        assert_eq!(Policies::new(vec![policy(old), policy(old)]), Err(PolicyError::NotEachDay));
    }
}
