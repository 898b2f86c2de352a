//! Counts and latencies of a run, shared by all threads, and the summary that is printed of them. Judges nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::oracle::VERDICTS;

/// After a fault has ended, so long is still not a calm time: a node that was killed is waited for until the others drop it.
const SETTLE: Duration = Duration::from_secs(6);

/// Counts of requests that were not answered as they should be in a healthy cluster. While something is broken they are right.
pub(crate) const CHECKS_BROKEN: &str = "check requests broken";
pub(crate) const CHECKS_REFUSED: &str = "checks refused with 503";
pub(crate) const CHANGES_BROKEN: &str = "change attempts broken";
pub(crate) const CHANGES_REFUSED: &str = "change attempts refused with 503";
pub(crate) const CHANGES_UNKNOWN: &str = "change attempts unknown";
const FAILURES: [&str; 5] = [CHECKS_BROKEN, CHECKS_REFUSED, CHANGES_BROKEN, CHANGES_REFUSED, CHANGES_UNKNOWN];

/// What happened.
#[derive(Debug)]
pub(crate) struct Tally {
    began: Instant,
    verdicts: [AtomicU64; VERDICTS.len()],
    counts: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    faults_now: AtomicU32,
    last_fault_ended_ns: AtomicU64,
    pub(crate) reports_calm: Mutex<Latencies>,
    pub(crate) checks_calm: Mutex<Latencies>,
    pub(crate) checks: Mutex<Latencies>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            verdicts: Default::default(),
            counts: Mutex::default(),
            faults: Mutex::default(),
            faults_now: AtomicU32::new(0),
            last_fault_ended_ns: AtomicU64::new(0),
            reports_calm: Mutex::default(),
            checks_calm: Mutex::default(),
            checks: Mutex::default(),
        }
    }

    /// Nanoseconds since the run began: every instant of the oracle.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    pub(crate) fn verdict(&self, index: usize) {
        self.verdicts[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Answered checks.
    pub(crate) fn answered(&self) -> u64 {
        self.verdicts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn count(&self, what: &'static str, by: u64) {
        *lock(&self.counts).entry(what).or_default() += by;
    }

    /// Requests that were refused or got no answer.
    pub(crate) fn failed_requests(&self) -> u64 {
        lock(&self.counts).iter().filter(|(what, _)| FAILURES.contains(what)).map(|(_, count)| count).sum()
    }

    pub(crate) fn fault_begins(&self, kind: &'static str) {
        self.faults_now.fetch_add(1, Ordering::SeqCst);
        *lock(&self.faults).entry(kind).or_default() += 1;
    }

    pub(crate) fn fault_ended(&self) {
        self.last_fault_ended_ns.store(self.now_ns(), Ordering::SeqCst);
        self.faults_now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn faults(&self) -> u64 {
        lock(&self.faults).values().sum()
    }

    /// Whether nothing was broken from then until now.
    pub(crate) fn was_calm_since(&self, since_ns: u64) -> bool {
        let ended = self.last_fault_ended_ns.load(Ordering::SeqCst);
        let settled = if ended == 0 { 0 } else { ended + u64::try_from(SETTLE.as_nanos()).unwrap() };
        self.faults_now.load(Ordering::SeqCst) == 0 && settled <= since_ns
    }

    /// The figures of the run: `{}` is one line for machines, `{:#}` is for people.
    pub(crate) fn summary(&self) -> Value {
        let verdicts = VERDICTS.iter().zip(&self.verdicts);
        let verdicts: BTreeMap<_, _> = verdicts.map(|(word, count)| (word, count.load(Ordering::Relaxed))).collect();
        json!({
            "seconds": self.began.elapsed().as_secs(),
            "checks": self.answered(),
            "verdicts": verdicts,
            "counts": *lock(&self.counts),
            "faults": self.faults(),
            "faults_by_kind": *lock(&self.faults),
            "report_201_ms_calm": lock(&self.reports_calm).summary(),
            "check_request_ms_calm": lock(&self.checks_calm).summary(),
            "check_request_ms": lock(&self.checks).summary(),
        })
    }
}

/// Latencies in buckets of about 3 %.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies {
    buckets: Vec<u64>,
}

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        let bucket = bucket(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The latency, in milliseconds, that so many thousandths did not exceed.
    pub(crate) fn per_mille_ms(&self, per_mille: u64) -> f64 {
        let wanted = (self.total() * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0.0, |bucket| Duration::from_micros(begins_at(bucket + 1)).as_secs_f64() * 1000.0)
    }

    pub(crate) fn summary(&self) -> Value {
        let [p50, p99, max] = [500, 990, 1000].map(|per_mille| (self.per_mille_ms(per_mille) * 100.0).round() / 100.0);
        json!({"count": self.total(), "p50": p50, "p99": p99, "max": max})
    }
}

/// 32 buckets for each power of two, from 64 us on.
fn bucket(us: u64) -> usize {
    let shift = us.max(32).ilog2() - 5;
    usize::try_from(u64::from(shift) * 32 + (us >> shift)).unwrap()
}

fn begins_at(bucket: usize) -> u64 {
    let shift = (bucket / 32).saturating_sub(1);
    u64::try_from(bucket - shift * 32).unwrap() << shift
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn latencies_are_told_within_a_bucket() {
    let mut latencies = Latencies::default();
    for us in 1..=100_000 {
        latencies.add(Duration::from_micros(us));
    }
    for (per_mille, ms) in [(500, 50.0), (990, 99.0), (1000, 100.0)] {
        let told = latencies.per_mille_ms(per_mille);
        assert!((ms..ms * 1.04).contains(&told), "{per_mille}: {told}");
    }
}
