//! A server's vital signs while something else loads it: resident memory, and
//! whether and how soon health answers to a probe on a connection of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Child;
use crate::measure::{Latency, LatencySummary, nanoseconds};
use crate::wire::get_status;

const PROBE_EVERY: Duration = Duration::from_millis(100);
/// One sample of memory in so many probes.
const PROBES_PER_SAMPLE: u64 = 10;

/// What was seen of a server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Vitals {
    pub(crate) probes: u64,
    pub(crate) probes_failed: u64,
    pub(crate) probe_latency: LatencySummary,
    /// Resident bytes, one sample a second.
    pub(crate) resident_bytes: Vec<u64>,
}

impl Vitals {
    /// Resident bytes at the begin, in the middle and at the end, and the most of all.
    pub(crate) fn resident(&self) -> [u64; 4] {
        let at = |index: usize| self.resident_bytes.get(index).copied().unwrap_or(0);
        let samples = self.resident_bytes.len();
        let most = self.resident_bytes.iter().copied().max().unwrap_or(0);
        [at(0), at(samples / 2), at(samples.saturating_sub(1)), most]
    }
}

/// Watches until told to stop.
pub(crate) fn watch(server: &Child, stop: &AtomicBool) -> anyhow::Result<Vitals> {
    let (mut latency, mut resident_bytes) = (Latency::new()?, Vec::new());
    let (mut probes, mut failed) = (0_u64, 0);
    while !stop.load(Ordering::Relaxed) {
        if u64::is_multiple_of(probes, PROBES_PER_SAMPLE) {
            resident_bytes.extend(server.resident_bytes());
        }
        let asked_at = Instant::now();
        probes += 1;
        match get_status(server.target(), "/health/live") {
            Ok(200) => latency.record(0, nanoseconds(asked_at.elapsed())),
            _ => failed += 1,
        }
        std::thread::sleep(PROBE_EVERY.saturating_sub(asked_at.elapsed()));
    }
    Ok(Vitals { probes, probes_failed: failed, probe_latency: latency.summary(), resident_bytes })
}
