//! An instant of the wall's clock, in milliseconds since the Unix epoch: what people read and what the store keeps. Boot time, by
//! which leases and limits are measured, is another clock and stays in nanoseconds of its own; JWTs count whole seconds, and only
//! `seconds` and `from_seconds` lead there and back.
//!
//! ```compile_fail,E0308
//! use lostcard::domain::instant::UnixMs;
//! use lostcard::domain::sequence::Sequence;
//! let known: Sequence = UnixMs::new(7);
//! ```
//!
//! ```compile_fail,E0308
//! use lostcard::clock::Rfc3339;
//! Rfc3339::of(1_795_440_000_000);
//! ```

use std::time::Duration;

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixMs(i64);

impl UnixMs {
    pub const EPOCH: Self = Self(0);
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn new(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    /// Of whole seconds, as JWT claims count them (RFC 7519, 2).
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The whole seconds that have passed, as JWT claims count them.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(whole_ms(time)))
    }

    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(whole_ms(time)))
    }

    /// The time from `earlier` to this; none if that is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn whole_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl std::fmt::Display for UnixMs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::fmt::Debug for UnixMs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// A time written `7d`, `24h`, `30m` or `0s`, up to ninety days.
pub fn parse_period(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1))?;
    let unit_s = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if is_plain { number.parse().ok()? } else { return None };
    number.checked_mul(unit_s).filter(|seconds| *seconds <= 90 * 86_400).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_and_read_as_its_milliseconds_are() {
        let at = UnixMs::new(-1500);
        assert_eq!((at.to_string(), format!("{at:?}")), ("-1500".to_owned(), "-1500".to_owned()));
        assert_eq!(serde_json::to_string(&at).unwrap(), "-1500");
        assert_eq!(serde_json::from_str::<UnixMs>("-1500").unwrap(), at);
        for wrong in ["1.5", "\"1\"", "9223372036854775808"] {
            assert!(serde_json::from_str::<UnixMs>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_those_that_have_passed() {
        for (ms, seconds) in [(-1001, -2), (-1000, -1), (-1, -1), (0, 0), (999, 0), (1000, 1)] {
            assert_eq!(UnixMs::new(ms).seconds(), seconds, "{ms}");
        }
        assert_eq!(UnixMs::from_seconds(-2), UnixMs::new(-2000));
        assert_eq!(UnixMs::from_seconds(i64::MAX), UnixMs::MAX);
    }

    #[test]
    fn time_is_added_and_taken_away_without_wrapping() {
        let (at, second) = (UnixMs::new(5000), Duration::from_secs(1));
        assert_eq!((at.plus(second), at.minus(second)), (UnixMs::new(6000), UnixMs::new(4000)));
        assert_eq!((at.plus(second).since(at), at.since(at.plus(second))), (second, Duration::ZERO));
        assert_eq!((UnixMs::MAX.plus(second), UnixMs::MIN.minus(second)), (UnixMs::MAX, UnixMs::MIN));
        assert_eq!(
            (at.plus(Duration::MAX), UnixMs::MAX.since(UnixMs::MIN)),
            (UnixMs::MAX, Duration::from_millis(i64::MAX as u64))
        );
    }
}
