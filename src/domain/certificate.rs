//! Temporary identification certificates: their words, their times, what a verification finds.
//!
//! A certificate says that a police office has established who somebody is, for one purpose and a
//! few hours. It never says anything about a card. How it is signed is `crypto`'s matter.

use crate::domain::ids::CertificateId;
use crate::domain::instant::UnixMs;
use std::ops::Range;

use jiff::ToSpan;
use jiff::civil::Date;

words!(
    /// What a certificate is issued for.
    CertificatePurpose { Air = "air", Rail = "rail", Lodging = "lodging" }
);
words!(
    /// What it is shown for: the purposes of checks, and the two means of transport.
    PresentedFor {
        Lodging = "lodging",
        Banking = "banking",
        Transport = "transport",
        Telecom = "telecom",
        Other = "other",
        Air = "air",
        Rail = "rail",
    }
);
words!(
    /// What a verification finds, gravest first but for `Valid`: the first that holds is answered.
    CertificateStatus {
        Valid = "valid",
        /// Made out to somebody else than the number that was sent.
        AnotherPerson = "another_person",
        Revoked = "revoked",
        Expired = "expired",
        NotYetValid = "not_yet_valid",
        AnotherPurpose = "another_purpose",
    }
);
words!(
    /// Where a certificate is in its life. `Revoked` and `Expired` are final.
    CertificateState { Active = "active", Revoked = "revoked", Expired = "expired" }
);

/// How far the clocks of two nodes, or of a verifier, may differ at the start of validity.
const LEEWAY_S: i64 = 5;

impl CertificatePurpose {
    /// Whether the day of the journey bounds the validity: one travels on that day, but may sleep before and after it.
    pub const fn is_of_one_day(self) -> bool {
        matches!(self, Self::Air | Self::Rail)
    }

    /// Whether a certificate for this serves what it is shown for. `other` says nothing, so nothing serves it.
    pub const fn serves(self, shown_for: PresentedFor) -> bool {
        match shown_for {
            PresentedFor::Lodging => matches!(self, Self::Lodging),
            PresentedFor::Air => matches!(self, Self::Air),
            PresentedFor::Rail => matches!(self, Self::Rail),
            PresentedFor::Transport => matches!(self, Self::Air | Self::Rail),
            PresentedFor::Banking | PresentedFor::Telecom | PresentedFor::Other => false,
        }
    }
}

/// For how many hours at most a certificate is made out.
pub const VALID_HOURS_MAX: i64 = 72;

/// How many days before or after today a journey may be for which one lodges: longer ones are typing errors.
pub const LODGING_DAYS_MAX: i32 = 90;

/// Whether somebody who lodges today may be on a journey of that day.
pub fn check_lodging_journey(journey_on: Date, today: Date) -> Result<(), TermError> {
    if journey_on < today.saturating_sub(LODGING_DAYS_MAX.days()) {
        Err(TermError::JourneyPast)
    } else if journey_on > today.saturating_add(LODGING_DAYS_MAX.days()) {
        Err(TermError::JourneyBeyond)
    } else {
        Ok(())
    }
}

/// When a certificate is valid: from `starts_s` until before `ends_s`, in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    pub starts_s: i64,
    pub ends_s: i64,
}

impl Term {
    /// From `now_s` on, for some hours (1 to [`VALID_HOURS_MAX`]), within the day of the journey where there is one.
    pub fn of(now_s: i64, hours: i64, day: Option<Range<i64>>) -> Result<Self, TermError> {
        if !(1..=VALID_HOURS_MAX).contains(&hours) {
            return Err(TermError::Hours);
        }
        let (starts_s, ends_s) = (now_s, now_s.saturating_add(hours * 3600));
        match day {
            None => Ok(Self { starts_s, ends_s }),
            Some(day) if day.end <= now_s => Err(TermError::JourneyPast),
            Some(day) if day.start >= ends_s => Err(TermError::JourneyBeyond),
            Some(day) => Ok(Self { starts_s: starts_s.max(day.start), ends_s: ends_s.min(day.end) }),
        }
    }
}

/// Why a certificate cannot be made out for such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    #[error("a certificate is valid for 1 to 72 hours")]
    Hours,
    #[error("the day of the journey is over, or for lodging more than 90 days ago")]
    JourneyPast,
    #[error("the day of the journey begins when the certificate has expired, or for lodging more than 90 days ahead")]
    JourneyBeyond,
}

impl TermError {
    /// The member that is wrong.
    pub const fn pointer(&self) -> &'static str {
        match self {
            Self::Hours => "/valid_hours",
            Self::JourneyPast | Self::JourneyBeyond => "/journey_on",
        }
    }

    /// The code of the contract.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Hours => "out_of_range",
            Self::JourneyPast => "journey_in_past",
            Self::JourneyBeyond => "journey_after_expiry",
        }
    }
}

/// A certificate, without whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub id: CertificateId,
    pub purpose: CertificatePurpose,
    pub journey_on: Option<Date>,
    /// Seconds since the Unix epoch, as in its claims.
    pub issued_s: i64,
    pub term: Term,
    /// Milliseconds since the Unix epoch.
    pub revoked_at_ms: Option<UnixMs>,
}

/// How a certificate is shown.
#[derive(Debug, Clone, Copy)]
pub struct Showing {
    /// The number that came with it is the one that it was made out for.
    pub is_holder: bool,
    pub shown_for: Option<PresentedFor>,
    pub now_s: i64,
}

impl Certificate {
    /// Where it is in its life.
    pub fn state(&self, now_s: i64) -> CertificateState {
        if self.revoked_at_ms.is_some() {
            CertificateState::Revoked
        } else if now_s >= self.term.ends_s {
            CertificateState::Expired
        } else {
            CertificateState::Active
        }
    }

    /// Nobody may accept it any longer. One that nobody accepts anyway is not revoked: that would only hide when it ended.
    pub fn revoke(self, now_ms: UnixMs) -> Result<Self, NotRevocable> {
        match self.state(now_ms.seconds()) {
            CertificateState::Active => Ok(Self { revoked_at_ms: Some(now_ms), ..self }),
            CertificateState::Revoked => Err(NotRevocable::Revoked),
            CertificateState::Expired => Err(NotRevocable::Expired),
        }
    }

    /// What a verification finds. Whose it is comes first: a person who holds another's certificate learns nothing about its life.
    pub fn status(&self, showing: Showing) -> CertificateStatus {
        if !showing.is_holder {
            return CertificateStatus::AnotherPerson;
        }
        match self.state(showing.now_s) {
            CertificateState::Revoked => CertificateStatus::Revoked,
            CertificateState::Expired => CertificateStatus::Expired,
            CertificateState::Active if showing.now_s < self.term.starts_s - LEEWAY_S => CertificateStatus::NotYetValid,
            CertificateState::Active if showing.shown_for.is_some_and(|shown_for| !self.purpose.serves(shown_for)) => {
                CertificateStatus::AnotherPurpose
            }
            CertificateState::Active => CertificateStatus::Valid,
        }
    }
}

/// Why a certificate cannot be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRevocable {
    #[error("the certificate is already revoked")]
    Revoked,
    #[error("the certificate has expired")]
    Expired,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: i64 = 3600;
    const NOW: i64 = 1_795_440_000;

    fn certificate(purpose: CertificatePurpose, revoked_at_ms: Option<UnixMs>) -> Certificate {
        let term = Term { starts_s: NOW, ends_s: NOW + HOUR };
        Certificate { id: CertificateId::nil(), purpose, journey_on: None, issued_s: NOW, term, revoked_at_ms }
    }

    #[test]
    fn each_purpose_serves_what_it_names() {
        use CertificatePurpose::{Air, Lodging, Rail};
        for (shown_for, serving) in [
            (PresentedFor::Lodging, &[Lodging][..]),
            (PresentedFor::Air, &[Air]),
            (PresentedFor::Rail, &[Rail]),
            (PresentedFor::Transport, &[Air, Rail]),
            (PresentedFor::Banking, &[]),
            (PresentedFor::Telecom, &[]),
            (PresentedFor::Other, &[]),
        ] {
            for &purpose in CertificatePurpose::ALL {
                assert_eq!(purpose.serves(shown_for), serving.contains(&purpose), "{purpose:?} for {shown_for:?}");
            }
        }
    }

    /// Every combination of person, revocation, time and purpose, against the precedence written as a list.
    #[test]
    fn the_first_finding_that_holds_is_answered() {
        use CertificateStatus::{AnotherPerson, AnotherPurpose, Expired, NotYetValid, Revoked, Valid};
        let mut seen = 0;
        let shown: Vec<_> = PresentedFor::ALL.iter().map(|word| Some(*word)).chain([None]).collect();
        for &purpose in CertificatePurpose::ALL {
            for revoked_at_ms in [None, Some(UnixMs::from_seconds(NOW))] {
                for is_holder in [true, false] {
                    for now_s in
                        [NOW - 6, NOW - 5, NOW - 1, NOW, NOW + HOUR - 1, NOW + HOUR, NOW + HOUR + 1, NOW + 90 * HOUR]
                    {
                        for &shown_for in &shown {
                            let precedence = [
                                (!is_holder, AnotherPerson),
                                (revoked_at_ms.is_some(), Revoked),
                                (now_s >= NOW + HOUR, Expired),
                                (now_s < NOW - 5, NotYetValid),
                                (shown_for.is_some_and(|shown_for| !purpose.serves(shown_for)), AnotherPurpose),
                                (true, Valid),
                            ];
                            let expected = precedence.iter().find(|(holds, _)| *holds).unwrap().1;
                            let found =
                                certificate(purpose, revoked_at_ms).status(Showing { is_holder, shown_for, now_s });
                            assert_eq!(
                                found, expected,
                                "{purpose:?} {revoked_at_ms:?} {is_holder} {now_s} {shown_for:?}"
                            );
                            seen += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen, 3 * 2 * 2 * 8 * 8);
    }

    #[test]
    fn only_an_active_certificate_is_revoked_and_only_once() {
        let last_ms = UnixMs::new((NOW + HOUR) * 1000 - 1);
        let fresh = certificate(CertificatePurpose::Air, None);
        let revoked = fresh.clone().revoke(last_ms).unwrap();
        assert_eq!(revoked, Certificate { revoked_at_ms: Some(last_ms), ..fresh.clone() });
        assert_eq!(revoked.state(NOW), CertificateState::Revoked);
        assert_eq!(revoked.clone().revoke(last_ms), Err(NotRevocable::Revoked));
        assert_eq!(fresh.clone().revoke(last_ms.plus(Duration::from_millis(1))), Err(NotRevocable::Expired));
        assert_eq!(
            revoked.revoke(last_ms.plus(Duration::from_millis(1))),
            Err(NotRevocable::Revoked),
            "how it ended stays"
        );
        // Before its day begins it can be revoked as well.
        assert!(fresh.revoke(UnixMs::new((NOW - HOUR) * 1000)).is_ok());
    }

    #[test]
    fn one_lodges_for_a_journey_of_these_months() {
        let today = jiff::civil::date(2026, 11, 23);
        for (day, expected) in [
            (today, Ok(())),
            (jiff::civil::date(2026, 8, 25), Ok(())),
            (jiff::civil::date(2026, 8, 24), Err(TermError::JourneyPast)),
            (jiff::civil::date(2027, 2, 21), Ok(())),
            (jiff::civil::date(2027, 2, 22), Err(TermError::JourneyBeyond)),
            (jiff::civil::date(0, 1, 1), Err(TermError::JourneyPast)),
            (Date::MAX, Err(TermError::JourneyBeyond)),
        ] {
            assert_eq!(check_lodging_journey(day, today), expected, "{day}");
        }
    }

    #[test]
    fn a_term_lies_within_its_hours_and_its_day() {
        let (start, day) = (NOW - 5 * HOUR, |from: i64| Some(NOW + from * HOUR..NOW + (from + 24) * HOUR));
        let term = |starts_s, ends_s| Ok(Term { starts_s, ends_s });
        for (hours, day, expected) in [
            (1, None, term(NOW, NOW + HOUR)),
            (72, None, term(NOW, NOW + 72 * HOUR)),
            (0, None, Err(TermError::Hours)),
            (73, None, Err(TermError::Hours)),
            (-1, None, Err(TermError::Hours)),
            (i64::MAX, None, Err(TermError::Hours)),
            (72, day(-5), term(NOW, NOW + 19 * HOUR)),
            (2, day(-5), term(NOW, NOW + 2 * HOUR)),
            (72, day(19), term(NOW + 19 * HOUR, NOW + 43 * HOUR)),
            (20, day(19), term(NOW + 19 * HOUR, NOW + 20 * HOUR)),
            (19, day(19), Err(TermError::JourneyBeyond)),
            (72, day(72), Err(TermError::JourneyBeyond)),
            (72, day(-24), Err(TermError::JourneyPast)),
            (72, Some(start..NOW + 1), term(NOW, NOW + 1)),
        ] {
            assert_eq!(Term::of(NOW, hours, day.clone()), expected, "{hours} {day:?}");
        }
    }
}
