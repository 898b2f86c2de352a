//! The alert rules of deploy/prometheus/alerts.yaml, as far as one node can judge them by its own figures. The file is the one
//! that counts: `tests/deploy.rs` compares names, thresholds, windows, times and severities.

use super::sample::Sample;
use crate::domain::instant::UnixMs;
use crate::telemetry::figures::Figures;

/// A counter, or some of its series.
#[derive(Debug)]
pub struct Counter {
    pub metric: &'static str,
    /// The labels that count; all where there are none.
    pub labels: &'static [&'static str],
    /// Whether it is all others that count.
    pub is_but: bool,
}

/// What a rule looks at.
#[derive(Debug)]
pub enum Measure {
    /// A gauge.
    Gauge(&'static str),
    /// Seconds since the wall time that a gauge gives in milliseconds.
    Age(&'static str),
    /// How much a counter grew within a window, in seconds.
    Increase(Counter, u64),
    /// How fast the fastest of some counters grew within a window, by the second.
    Rate(&'static [Counter], u64),
    /// The seconds within which 99 of 100 observations of a window stay.
    P99(Histogram, u64),
    /// What part the first counter's growth within a window is of all that was answered.
    Share(Counter, u64),
}

/// The histograms of a sample.
#[derive(Debug, Clone, Copy)]
pub enum Histogram {
    Checks,
    Created,
}

/// When somebody must know.
#[derive(Debug)]
pub struct Rule {
    pub alert: &'static str,
    /// Whether it wakes somebody; else it waits for the morning.
    pub wakes: bool,
    /// For how long it must hold, in seconds.
    pub holds_s: u64,
    pub measure: Measure,
    /// It holds above this.
    pub above: f64,
}

const fn all(metric: &'static str) -> Counter {
    Counter { metric, labels: &[], is_but: false }
}

const fn only(metric: &'static str, labels: &'static [&'static str]) -> Counter {
    Counter { metric, labels, is_but: false }
}

const fn but(metric: &'static str, labels: &'static [&'static str]) -> Counter {
    Counter { metric, labels, is_but: true }
}

macro_rules! rules {
    ($($alert:ident $severity:ident for $holds_s:literal: $measure:expr, > $above:literal;)+) => {
        /// In the order of the file.
        pub const RULES: &[Rule] = &[$(Rule {
            alert: stringify!($alert),
            wakes: rules!(@$severity),
            holds_s: $holds_s,
            measure: $measure,
            above: $above,
        }),+];
    };
    (@page) => { true };
    (@ticket) => { false };
}

use Measure::{Age, Gauge, Increase, P99, Rate, Share};

/// `problems_total`.
const PROBLEMS: &str = "lostcard_problems_total";
/// `limited_total`.
const LIMITED: &str = "lostcard_limited_total";
/// `budget_refused_total`.
const REFUSED: &str = "lostcard_budget_refused_total";
/// `capacity_refused_total`.
const CROWDED: &str = "lostcard_capacity_refused_total";
/// What is answered where the service fails.
const FAILURES: &[&str] = &["internal", "registry_unavailable", "store_read_only", "outcome_unknown", "storage_full"];
/// All that is answered.
pub const ANSWERED: &[&str] = &["lostcard_checks_total", "lostcard_reports_total", PROBLEMS];

rules! {
    LostcardLeaseExpired page for 30: Age("lostcard_lease_as_of_milliseconds"), > 5.0;
    LostcardEpochChanged page for 0: Increase(all("lostcard_epoch_changes_total"), 600), > 0.0;
    LostcardFollowerFailing ticket for 60: Rate(&[all("lostcard_follower_failures_total")], 120), > 0.1;
    LostcardFilterNotRebuilt ticket for 900: Gauge("lostcard_recent_changes"), > 200_000.0;
    LostcardFilterNotSaved ticket for 0: Increase(only("lostcard_filter_file_writes_total", &["failed"]), 1800), > 2.0;
    LostcardFilterRefused ticket for 0: Increase(but("lostcard_filter_file_reads_total", &["used", "none"]), 1800), > 0.0;
    LostcardConfirmationsMissing ticket for 0: Increase(all("lostcard_publications_by_lease_total"), 600), > 10.0;
    LostcardLookupsFailing page for 60: Rate(&[only("lostcard_lookups_total", &["failed"])], 300), > 0.1;
    LostcardOutcomeUnknown page for 0: Increase(only(PROBLEMS, &["outcome_unknown"]), 300), > 0.0;
    LostcardDiskFull page for 0: Increase(only(PROBLEMS, &["storage_full"]), 300), > 0.0;
    LostcardStoreReadOnly page for 0: Increase(only(PROBLEMS, &["store_read_only"]), 300), > 0.0;
    LostcardRetentionStopped ticket for 5400: Age("lostcard_retention_finished_milliseconds"), > 10800.0;
    LostcardSightingsLost ticket for 0: Increase(all("lostcard_sightings_lost_total"), 900), > 0.0;
    LostcardSightingsBehind page for 0: Increase(all("lostcard_sightings_behind_total"), 300), > 0.0;
    LostcardSightingsNotMoved ticket for 600: Increase(all("lostcard_sightings_moves_failed_total"), 300), > 0.0;
    LostcardUsageNotCounted ticket for 600: Increase(all("lostcard_usage_flushes_failed_total"), 300), > 0.0;
    LostcardAuditLogWrong page for 0: Gauge("lostcard_audit_log_wrong"), > 0.0;
    LostcardAuditHeadsNotSent ticket for 300: Gauge("lostcard_audit_heads_waiting"), > 0.0;
    LostcardRegistryLogStopped page for 60: Gauge("lostcard_registry_log_behind"), > 0.0;
    LostcardWitnessesFail ticket for 0: Increase(only("lostcard_witness_answers_total", &["failed"]), 900), > 3.0;
    LostcardTlsFilesRefused ticket for 60: Gauge("lostcard_tls_files_refused"), > 0.0;
    LostcardRedisAway ticket for 120: Gauge("lostcard_redis_breaker_open"), > 0.0;
    LostcardRedisNotGenuine ticket for 0: Increase(all("lostcard_redis_not_genuine_total"), 900), > 0.0;
    LostcardErrors page for 300: Share(only(PROBLEMS, FAILURES), 300), > 0.01;
    LostcardReducedCapacity page for 300: Rate(&[only(CROWDED, &["node"])], 300), > 1.0;
    LostcardWorkshopCrowded ticket for 300: Rate(&[all("lostcard_workshop_refused_total")], 300), > 0.2;
    LostcardMemorySpent page for 300: Rate(&[only(REFUSED, &["node"])], 300), > 0.2;
    LostcardShareHeld ticket for 300: Rate(&[only(REFUSED, &["share"])], 300), > 0.2;
    LostcardConnectionsHeld ticket for 300: Rate(&[only(REFUSED, &["connections"])], 300), > 0.2;
    LostcardHandshakesLate ticket for 300: Rate(&[only(REFUSED, &["handshakes"])], 300), > 0.2;
    LostcardHeadsLate ticket for 300: Rate(&[only(REFUSED, &["heads"])], 300), > 0.2;
    LostcardDescriptorsSpent page for 300: Rate(&[only(REFUSED, &["descriptors"])], 300), > 0.2;
    LostcardInternalError ticket for 0: Increase(only(PROBLEMS, &["internal"]), 900), > 0.0;
    LostcardChecksSlow ticket for 600: P99(Histogram::Checks, 300), > 0.05;
    LostcardWritesSlow ticket for 600: P99(Histogram::Created, 600), > 0.5;
    LostcardRotationUnfinished ticket for 86400: Gauge("lostcard_rotating_from"), > 0.0;
    LostcardLimitsHit ticket for 900: Rate(&[only(LIMITED, &["client"]), only(LIMITED, &["organization"])], 900), > 1.0;
    LostcardAddressLimitHit ticket for 300: Rate(&[only(LIMITED, &["address"])], 300), > 0.2;
    LostcardAbnormalUse ticket for 0: Increase(only(LIMITED, &["abnormal_use"]), 900), > 0.0;
    LostcardClientHeld ticket for 0: Gauge("lostcard_clients_held"), > 0.0;
    LostcardClientsUncounted ticket for 3600: Gauge("lostcard_clients_uncounted"), > 0.0;
    LostcardNumbersSpent ticket for 900: Rate(&[all("lostcard_numbers_refused_total")], 900), > 0.02;
    LostcardTokenRefusals ticket for 300: Rate(&[all("lostcard_tokens_refused_total")], 300), > 5.0;
    LostcardWebhookDisabled ticket for 0: Increase(all("lostcard_webhooks_disabled_total"), 3600), > 0.0;
    LostcardWebhooksOverdue ticket for 600: Gauge("lostcard_webhook_overdue_seconds"), > 300.0;
    LostcardWatchPepperMissing ticket for 300: Gauge("lostcard_watch_peppers_missing"), > 0.0;
}

/// The alerts that only somebody who sees several nodes can judge, and what the console shows instead.
pub const NOT_HERE: &[(&str, &str)] = &[
    ("LostcardDown", "the page gets no answer and says so"),
    ("LostcardNodeDown", "the list of nodes"),
    ("LostcardNodeBehind", "the list of nodes: changes behind"),
    ("LostcardNodesDiffer", "the list of nodes"),
];

impl Counter {
    fn read(&self, figures: &Figures) -> f64 {
        figures.sum(self.metric, |label| self.labels.is_empty() || (self.labels.contains(&label) != self.is_but))
    }
}

impl Rule {
    /// What is kept of this moment to judge by later.
    pub(super) fn read(&self, figures: &Figures, now_ms: UnixMs) -> [f64; 2] {
        let any = |_: &str| true;
        match &self.measure {
            Gauge(name) => [figures.sum(name, any), 0.0],
            // Differences of instants are small, whatever a clock does in between.
            Age(name) => [seconds(now_ms.get() - figures.value(name)), 0.0],
            Increase(counter, _) => [counter.read(figures), 0.0],
            Rate(counters, _) => [0, 1].map(|at| counters.get(at).map_or(0.0, |counter| counter.read(figures))),
            Share(counter, _) => [counter.read(figures), ANSWERED.iter().map(|name| figures.sum(name, any)).sum()],
            P99(..) => [0.0; 2],
        }
    }

    fn counters(&self) -> Vec<&Counter> {
        match &self.measure {
            Increase(counter, _) | Share(counter, _) => vec![counter],
            Rate(counters, _) => counters.iter().collect(),
            Gauge(_) | Age(_) | P99(..) => Vec::new(),
        }
    }

    /// The metrics that it reads.
    pub fn metrics(&self) -> Vec<&'static str> {
        match self.measure {
            Gauge(name) | Age(name) => vec![name],
            P99(Histogram::Checks, _) => vec!["lostcard_check_seconds_bucket"],
            P99(Histogram::Created, _) => vec!["lostcard_created_seconds_bucket"],
            Share(..) => self.counters().iter().map(|of| of.metric).chain(ANSWERED.iter().copied()).collect(),
            Increase(..) | Rate(..) => self.counters().iter().map(|of| of.metric).collect(),
        }
    }

    /// The labels by which it selects.
    pub fn labels(&self) -> Vec<&'static str> {
        self.counters().iter().flat_map(|of| of.labels.iter().copied()).collect()
    }

    /// How far a sample may lie back that this rule looks at.
    pub fn window_s(&self) -> u64 {
        match self.measure {
            Gauge(_) | Age(_) => 0,
            Increase(_, window_s) | Rate(_, window_s) | P99(_, window_s) | Share(_, window_s) => window_s,
        }
    }

    /// The figure to compare, from what was kept at the begin of the window and what is now. None: nothing can be said.
    pub(super) fn figure(&self, at: usize, then: &Sample, now: &Sample, bounds: [&[f64]; 2]) -> Option<f64> {
        let ([now_a, now_b], [then_a, then_b]) = (now.measured.get(at)?, then.measured.get(at)?);
        let spent_s = seconds(i64::try_from(now.boot_ns.saturating_sub(then.boot_ns) / 1_000_000).ok()?);
        match self.measure {
            Gauge(_) | Age(_) => Some(*now_a),
            Increase(..) => Some(now_a - then_a),
            Rate(..) if spent_s > 0.0 => Some((now_a - then_a).max(now_b - then_b) / spent_s),
            Share(..) if now_b > then_b => Some((now_a - then_a) / (now_b - then_b)),
            P99(Histogram::Checks, _) => quantile(bounds[0], &then.check_buckets, &now.check_buckets, 0.99),
            P99(Histogram::Created, _) => quantile(bounds[1], &then.created_buckets, &now.created_buckets, 0.99),
            Rate(..) | Share(..) => None,
        }
    }
}

/// As Prometheus's `histogram_quantile`: within a bucket observations are taken to be spread evenly.
pub fn quantile(bounds: &[f64], then: &[i64], now: &[i64], part: f64) -> Option<f64> {
    let grown: Vec<f64> = now.iter().zip(then).map(|(now, then)| seconds((now - then) * 1000)).collect();
    let all = *grown.last().filter(|all| **all > 0.0)?;
    let rank = part * all;
    let at = grown.iter().position(|count| *count >= rank)?;
    let Some(upper) = bounds.get(at) else { return bounds.last().copied() };
    let (below, lower) = at.checked_sub(1).map_or((0.0, 0.0), |before| (grown[before], bounds[before]));
    let here = grown[at] - below;
    Some(if here > 0.0 { lower + (upper - lower) * (rank - below) / here } else { *upper })
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 milliseconds")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
