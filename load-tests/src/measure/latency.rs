//! Latency histograms. A value is the time from the *intended* start of a
//! request to its last byte, so that a server which stalls is charged for
//! every request that should have started meanwhile (no coordinated omission).

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart, in nanoseconds; longer ones count as this.
const LATENCY_NS_MAX: u64 = 120_000_000_000;
/// Shortest latency told apart, in nanoseconds.
const LATENCY_NS_MIN: u64 = 100;
const SIGNIFICANT_DIGITS: u8 = 3;

#[derive(Debug)]
pub(crate) struct Latency(Histogram<u64>);

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct LatencySummary {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_9_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latency {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, SIGNIFICANT_DIGITS)?))
    }

    /// Records one request; both instants in nanoseconds of one clock.
    pub(crate) fn record(&mut self, intended_ns: u64, finished_ns: u64) {
        self.0.saturating_record(finished_ns.saturating_sub(intended_ns));
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// How many took at most so long.
    pub(crate) fn count_within(&self, span: std::time::Duration) -> u64 {
        self.0.count_between(0, super::nanoseconds(span))
    }

    pub(crate) fn summary(&self) -> LatencySummary {
        let at = |quantile: f64| super::float(self.0.value_at_quantile(quantile)) / 1e6;
        LatencySummary {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: super::float(self.0.max()) / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    const MS: u64 = 1_000_000;

    /// A request a millisecond, a server that stands still for the first
    /// second: what counted from sending would call one slow request.
    #[test]
    fn stall_is_charged_to_every_request_that_should_have_started() {
        let mut latency = Latency::new().unwrap();
        for arrival in 0..2_000_u64 {
            let intended = arrival * MS;
            let started = intended.max(1_000 * MS);
            latency.record(intended, started + MS);
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 2_000);
        assert!((1_000.0..1_003.0).contains(&summary.max_ms), "{summary:?}");
        assert!((795.0..805.0).contains(&summary.p90_ms), "{summary:?}");
        assert!(summary.p50_ms < 5.0, "{summary:?}");
    }

    #[test]
    fn values_beyond_the_bounds_are_kept_at_the_bound() {
        let mut latency = Latency::new().unwrap();
        latency.record(10, 5);
        latency.record(0, u64::MAX);
        assert_eq!(latency.summary().count, 2);
        assert!(latency.summary().max_ms > 119_000.0);
    }
}
