//! Figures: latencies, medians, and the few conversions between counts and
//! floating point that they need. No clock is read here and nothing is sent.

mod auc;
mod latency;
mod median;
mod quartiles;

use std::time::Duration;

pub(crate) use auc::auc;
pub(crate) use latency::{Latency, LatencySummary};
pub(crate) use median::median;
pub(crate) use quartiles::Quartiles;

/// A count as a float; exact below 2^53, far above anything counted here.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Nanoseconds of a span, at most `u64::MAX` (584 years).
pub(crate) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A non-negative number of seconds as whole nanoseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate, and the run is bounded"
)]
pub(crate) fn seconds_to_nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
