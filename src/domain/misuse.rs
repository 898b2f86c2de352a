//! Misuse of cards as organizations report it: its words, what others may read about it, and the life of one report.
//!
//! A report is open until a registrar resolves it, once. Whose card it was is not known here: the
//! number is the store's, keyed and sealed.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroize;

use super::label::is_seen;
use super::redacted::NarrativeText;
use super::report::{Label, OfficeCode};
use crate::domain::ids::{CheckId, MisuseReportId, OrganizationId};
use crate::domain::instant::UnixMs;

words!(
    /// What was done with the card.
    MisuseKind {
        Impersonation = "impersonation",
        AlteredCard = "altered_card",
        ForgedCard = "forged_card",
        RefusedToShow = "refused_to_show",
    }
);
words!(
    /// Where a misuse report is in its life. `Resolved` is final.
    MisuseState { Open = "open", Resolved = "resolved" }
);
words!(
    /// What a registrar found: it was so; it was not; another authority continues with it.
    MisuseOutcome { Confirmed = "confirmed", Unfounded = "unfounded", HandedOver = "handed_over" }
);

/// What an organization reported, without the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MisuseReport {
    pub id: MisuseReportId,
    /// Who reported it.
    pub organization: OrganizationId,
    pub kind: MisuseKind,
    /// The check at which it was noticed. Checks are not kept: it is what the organization says.
    pub check_id: Option<CheckId>,
    /// Milliseconds since the Unix epoch, as all instants here.
    pub observed_at_ms: UnixMs,
    pub site: Option<Label>,
    pub reported_at_ms: UnixMs,
    /// None: open.
    pub resolution: Option<Resolution>,
}

/// How a registrar ended a misuse report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub outcome: MisuseOutcome,
    pub office: OfficeCode,
    /// The registrar's organization.
    pub organization: OrganizationId,
    pub at_ms: UnixMs,
}

impl MisuseReport {
    pub fn state(&self) -> MisuseState {
        if self.resolution.is_some() { MisuseState::Resolved } else { MisuseState::Open }
    }

    /// Ends the report. What one registrar found no other one overwrites.
    pub fn resolve(self, resolution: Resolution) -> Result<Self, AlreadyResolved> {
        match self.state() {
            MisuseState::Open => Ok(Self { resolution: Some(resolution), ..self }),
            MisuseState::Resolved => Err(AlreadyResolved),
        }
    }
}

/// A misuse report is resolved once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the misuse report is already resolved")]
pub struct AlreadyResolved;

/// How far another machine's clock may be ahead of ours: five minutes.
pub const OBSERVED_AHEAD_MAX: Duration = Duration::from_mins(5);
/// How long ago misuse may have been noticed: two years, as long as sightings are kept.
pub const OBSERVED_AGO_MAX: Duration = Duration::from_hours(731 * 24);

/// Whether misuse that is reported now can have been noticed at that instant.
pub fn check_observed_at(observed_at_ms: UnixMs, now_ms: UnixMs) -> Result<(), ObservedAtError> {
    if observed_at_ms > now_ms.plus(OBSERVED_AHEAD_MAX) {
        Err(ObservedAtError::InFuture)
    } else if observed_at_ms < now_ms.minus(OBSERVED_AGO_MAX) {
        Err(ObservedAtError::TooLongAgo)
    } else {
        Ok(())
    }
}

/// Why misuse cannot be reported of that instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObservedAtError {
    #[error("misuse cannot have been noticed after now")]
    InFuture,
    #[error("misuse is reported within two years")]
    TooLongAgo,
}

impl ObservedAtError {
    /// The code of the contract.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InFuture => "observed_in_future",
            Self::TooLongAgo => "observed_too_long_ago",
        }
    }
}

/// What somebody wrote about it, in their own words. Personal data, and it may well hold identity numbers: sealed before it is
/// stored, redacted when printed, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Narrative(String);

impl Narrative {
    pub const CHARS_MAX: usize = 2000;

    /// 1 to 2,000 characters, at least one of them visible, without control characters other than line breaks and tabs.
    pub fn parse(text: &str) -> Option<Self> {
        // A character takes at most four bytes: longer texts are not even counted.
        let valid = text.len() <= Self::CHARS_MAX * 4
            && text.chars().count() <= Self::CHARS_MAX
            && text.chars().any(is_seen)
            && !text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The text itself, for sealing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl NarrativeText {
    /// The narrative, if it can be one.
    pub fn parse(&self) -> Option<Narrative> {
        Narrative::parse(self.expose())
    }
}

impl fmt::Debug for Narrative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Narrative(redacted)")
    }
}

impl Drop for Narrative {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Duration = Duration::from_millis(1);
    const NOW_MS: UnixMs = UnixMs::new(1_795_440_000_000);

    fn open() -> MisuseReport {
        MisuseReport {
            id: MisuseReportId::nil(),
            organization: OrganizationId::nil(),
            kind: MisuseKind::Impersonation,
            check_id: None,
            observed_at_ms: NOW_MS,
            site: None,
            reported_at_ms: NOW_MS,
            resolution: None,
        }
    }

    fn resolution(outcome: MisuseOutcome) -> Resolution {
        let office = OfficeCode::parse("110105-03").unwrap();
        Resolution { outcome, office, organization: OrganizationId::from_u128(u128::MAX), at_ms: NOW_MS.plus(ONE) }
    }

    #[test]
    fn a_report_is_resolved_once_whatever_the_outcome() {
        assert_eq!(open().state(), MisuseState::Open);
        for &first in MisuseOutcome::ALL {
            let resolved = open().resolve(resolution(first)).unwrap();
            assert_eq!(resolved.state(), MisuseState::Resolved);
            assert_eq!(resolved.resolution.as_ref().map(|resolution| resolution.outcome), Some(first));
            assert_eq!(MisuseReport { resolution: None, ..resolved.clone() }, open(), "nothing else changes");
            for &second in MisuseOutcome::ALL {
                assert_eq!(resolved.clone().resolve(resolution(second)), Err(AlreadyResolved));
            }
        }
    }

    #[test]
    fn misuse_was_noticed_within_two_years_and_not_later_than_now() {
        for (observed_at_ms, expected) in [
            (NOW_MS, Ok(())),
            (NOW_MS.plus(OBSERVED_AHEAD_MAX), Ok(())),
            (NOW_MS.plus(OBSERVED_AHEAD_MAX + ONE), Err(ObservedAtError::InFuture)),
            (UnixMs::MAX, Err(ObservedAtError::InFuture)),
            (NOW_MS.minus(OBSERVED_AGO_MAX), Ok(())),
            (NOW_MS.minus(OBSERVED_AGO_MAX + ONE), Err(ObservedAtError::TooLongAgo)),
            (UnixMs::MIN, Err(ObservedAtError::TooLongAgo)),
        ] {
            assert_eq!(check_observed_at(observed_at_ms, NOW_MS), expected, "{observed_at_ms}");
        }
    }

    #[test]
    fn narratives_are_text_within_bounds() {
        let longest = "证".repeat(2000);
        for good in ["x", "Line one\r\n\tline two", "11010519491231002X showed this card", &longest] {
            assert_eq!(Narrative::parse(good).as_ref().map(Narrative::expose), Some(good));
        }
        for bad in ["", " \n\t ", "a\0b", "a\u{1b}[31m", "a\u{85}b", &format!("{longest}x"), &"x".repeat(2001)] {
            assert!(Narrative::parse(bad).is_none(), "{bad:.10}");
        }
    }

    #[test]
    fn a_narrative_is_not_printed() {
        assert_eq!(format!("{:?}", Narrative::parse("secret").unwrap()), "Narrative(redacted)");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_judged(text in "\\PC{0,50}|.{0,50}") {
            let _ = Narrative::parse(&text);
        }
    }
}
