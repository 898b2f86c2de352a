//! The time: the only caller of the system's clocks, so that a test can hold and move it.
//! Wall time dates what people read; boot time (which also counts suspension) measures leases and limits.
//! Nothing here formats or schedules.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use jiff::civil::Date;
use jiff::tz::Offset;
use rustix::time::{ClockId, clock_gettime};

use crate::domain::instant::UnixMs;

/// The registry's offices, cards and birth dates live by Beijing time (UTC+8, no daylight saving).
const BEIJING: Offset = Offset::constant(8);
const DAY_S: i64 = 24 * 3600;

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clocks.
    #[default]
    System,
    /// A clock that stands still until a test moves it.
    Fixed(Arc<FixedClock>),
}

/// One look at both clocks, for what is done in one go: who has waited since looks again.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub boot_ns: u64,
    pub wall_ms: UnixMs,
}

/// Both clocks of a test, in nanoseconds since the epoch and since an imagined start.
#[derive(Debug, Default)]
pub struct FixedClock {
    wall_ns: AtomicI64,
    boot_ns: AtomicI64,
}

impl Clock {
    /// A clock that always shows the present moment.
    pub fn fixed_now() -> Self {
        let fixed = FixedClock::default();
        fixed.wall_ns.store(wall_ns(), Ordering::SeqCst);
        fixed.boot_ns.store(read(ClockId::Boottime), Ordering::SeqCst);
        Self::Fixed(Arc::new(fixed))
    }

    /// A clock that always shows one moment of the wall, in milliseconds since the Unix epoch.
    pub fn fixed_at(wall_ms: UnixMs) -> Self {
        let clock = Self::fixed_now();
        if let Self::Fixed(fixed) = &clock {
            fixed.wall_ns.store(wall_ms.get().saturating_mul(1_000_000), Ordering::SeqCst);
        }
        clock
    }

    /// Moves a fixed clock on; a system clock takes no orders.
    pub fn advance(&self, by: std::time::Duration) {
        if let Self::Fixed(fixed) = self {
            let ns = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
            fixed.wall_ns.fetch_add(ns, Ordering::SeqCst);
            fixed.boot_ns.fetch_add(ns, Ordering::SeqCst);
        }
    }

    /// Wall time in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> UnixMs {
        let ns = match self {
            // By the C library, unlike boot time: the tests step it there.
            Self::System => wall_ns(),
            Self::Fixed(fixed) => fixed.wall_ns.load(Ordering::SeqCst),
        };
        UnixMs::new(ns.div_euclid(1_000_000))
    }

    /// Wall time in whole seconds since the Unix epoch, as JWT claims count it (RFC 7519, 2).
    pub fn now_s(&self) -> i64 {
        self.now_ms().seconds()
    }

    /// Nanoseconds since boot, suspension included: unaffected by steps of the wall clock.
    pub fn boot_ns(&self) -> u64 {
        let ns = match self {
            Self::System => read(ClockId::Boottime),
            Self::Fixed(fixed) => fixed.boot_ns.load(Ordering::SeqCst),
        };
        u64::try_from(ns).unwrap_or(0)
    }

    /// Both clocks, boot time first.
    pub fn both(&self) -> Now {
        Now { boot_ns: self.boot_ns(), wall_ms: self.now_ms() }
    }

    /// Nanoseconds that this thread has worked: a thread that is kept waiting does not age. A fixed clock's threads always work.
    pub fn thread_cpu_ns(&self) -> u64 {
        match self {
            Self::System => u64::try_from(read(ClockId::ThreadCPUTime)).unwrap_or(0),
            Self::Fixed(_) => self.boot_ns(),
        }
    }

    /// The calendar day in Beijing.
    pub fn today(&self) -> Date {
        beijing_date(self.now_ms())
    }
}

/// The calendar day in Beijing, looked up in the calendar once a day.
#[derive(Debug, Default)]
pub struct Days {
    /// The last one: its beginning in seconds since the Unix epoch, and its date.
    last: Cell<Option<(i64, Date)>>,
}

impl Days {
    pub fn at(&self, at_ms: UnixMs) -> Date {
        let now_s = at_ms.seconds();
        let last = self.last.get().filter(|(from_s, _)| (*from_s..from_s.saturating_add(DAY_S)).contains(&now_s));
        let (from_s, date) = last.unwrap_or_else(|| {
            let date = beijing_date(at_ms);
            (beijing_day(date).start, date)
        });
        self.last.set(Some((from_s, date)));
        date
    }
}

/// The calendar day in Beijing at an instant.
pub fn beijing_date(at_ms: UnixMs) -> Date {
    BEIJING.to_datetime(timestamp(at_ms)).date()
}

/// The seconds since the Unix epoch at which a calendar day begins and ends in Beijing.
pub fn beijing_day(day: Date) -> std::ops::Range<i64> {
    // The calendar's very first and last days end outside what a timestamp can say.
    let beyond = if day.year() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let midnight = BEIJING.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(beyond).as_second();
    midnight..midnight.saturating_add(DAY_S)
}

/// An instant as every answer writes it: RFC 3339, UTC, milliseconds. The text has the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339([u8; 24]);

impl Rfc3339 {
    /// Of milliseconds since the Unix epoch; outside the years 0 to 9999 the end of them that is nearer.
    pub fn of(at_ms: UnixMs) -> Self {
        let text = format!("{:.3}", timestamp(at_ms));
        // Only years before 0 are written longer.
        Self(text.as_bytes().try_into().unwrap_or(*b"0000-01-01T00:00:00.000Z"))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn timestamp(at_ms: UnixMs) -> jiff::Timestamp {
    let beyond = if at_ms < UnixMs::EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at_ms.get()).unwrap_or(beyond)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
fn wall_ns() -> i64 {
    ns_since_epoch(SystemTime::now())
}

/// Nanoseconds since the Unix epoch, negative before it: a clock that shows 1969 must not seem to stand still at the epoch.
fn ns_since_epoch(at: SystemTime) -> i64 {
    let ns = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    at.duration_since(SystemTime::UNIX_EPOCH).map_or_else(|before| -ns(before.duration()), ns)
}

fn read(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// Limits count in boot time, so that a step of the wall clock neither frees nor locks a client.
impl governor::clock::Clock for Clock {
    type Instant = governor::nanos::Nanos;

    fn now(&self) -> Self::Instant {
        governor::nanos::Nanos::from(self.boot_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_utc_with_milliseconds() {
        assert_eq!(Rfc3339::of(UnixMs::EPOCH).as_str(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Rfc3339::of(UnixMs::new(1_763_888_400_123)).as_str(), "2025-11-23T09:00:00.123Z");
    }

    #[test]
    fn no_time_is_taken_for_the_epoch() {
        let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_millis(1500);
        assert_eq!(ns_since_epoch(before), -1_500_000_000);
        for (at_ms, text) in [
            (-1500, "1969-12-31T23:59:58.500Z"),
            (253_402_207_200_000, "9999-12-30T22:00:00.000Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Rfc3339::of(UnixMs::new(at_ms)).as_str(), text);
        }
        assert!(
            Rfc3339::of(UnixMs::new(-1)) < Rfc3339::of(UnixMs::EPOCH)
                && Rfc3339::of(UnixMs::MIN) < Rfc3339::of(UnixMs::new(-1))
        );
        assert_eq!(beijing_date(UnixMs::MAX), Date::MAX);
        assert_eq!(beijing_date(UnixMs::MIN).year(), Date::MIN.year());
        assert!(beijing_day(Date::MIN).start < -300_000_000_000);
    }

    #[test]
    fn the_day_is_beijings() {
        // 2025-11-22T16:00:00Z is midnight of the 23rd in Beijing.
        assert_eq!(beijing_date(UnixMs::new(1_763_827_200_000)).to_string(), "2025-11-23");
        assert_eq!(beijing_date(UnixMs::new(1_763_827_199_999)).to_string(), "2025-11-22");
        let day = beijing_date(UnixMs::new(1_763_827_200_000));
        assert_eq!(beijing_day(day), 1_763_827_200..1_763_913_600);
        let days = Days::default();
        for at_ms in [1_763_827_200_000, 1_763_827_199_999, 1_763_913_599_999, 1_763_913_600_000, i64::MAX, 0, i64::MIN]
        {
            let at_ms = UnixMs::new(at_ms);
            assert_eq!((days.at(at_ms), days.at(at_ms)), (beijing_date(at_ms), beijing_date(at_ms)));
        }
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed_now();
        let (wall, boot) = (clock.now_ms(), clock.boot_ns());
        assert_eq!((clock.now_ms(), clock.boot_ns()), (wall, boot));
        clock.advance(std::time::Duration::from_secs(2));
        assert_eq!((clock.now_ms().since(wall).as_millis(), clock.boot_ns() - boot), (2000, 2_000_000_000));
    }
}
