//! The recent past of a node, kept in memory by a task, and what the alert rules say of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rules::{RULES, Rule};
use super::sample::Sample;
use crate::clock::Clock;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Verdict;
use crate::telemetry::Metrics;
use crate::telemetry::figures::Figures;

/// How often a sample is taken.
const EVERY: Duration = Duration::from_secs(5);
/// Samples kept: an hour, which is the longest window of a rule.
const SAMPLES_MAX: usize = 721;

/// An alert rule, and since when it holds.
#[derive(Debug, Clone, Copy)]
pub struct Alert {
    pub rule: &'static Rule,
    pub since_ms: Option<UnixMs>,
    /// Whether it has held for as long as it must.
    pub is_firing: bool,
}

/// A node's recent past.
#[derive(Debug)]
pub struct Console {
    clock: Clock,
    metrics: Arc<Metrics>,
    pub started_ms: UnixMs,
    started_ns: u64,
    check_bounds: Vec<f64>,
    created_bounds: Vec<f64>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    samples: VecDeque<Sample>,
    /// When each rule began to hold: wall time to tell, boot time to measure.
    since: Vec<Option<(UnixMs, u64)>>,
}

impl Console {
    /// Begins with the figures of this moment.
    pub fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let figures = metrics.figures();
        let [check_bounds, created_bounds] =
            ["lostcard_check_seconds", "lostcard_created_seconds"].map(|name| figures.histogram(name).0);
        let memory = Mutex::new(Memory { samples: VecDeque::new(), since: vec![None; RULES.len()] });
        let console = Self {
            started_ms: clock.now_ms(),
            started_ns: clock.boot_ns(),
            clock,
            metrics,
            check_bounds,
            created_bounds,
            memory,
        };
        console.take();
        console
    }

    /// Takes samples until the task is dropped.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.take();
        }
    }

    /// Keeps the figures of this moment, and judges the rules by them.
    pub fn take(&self) {
        let sample = self.sample(&self.metrics.figures());
        let bounds = [self.check_bounds.as_slice(), self.created_bounds.as_slice()];
        let mut memory = self.memory();
        memory.judge(&sample, bounds);
        if memory.samples.len() >= SAMPLES_MAX {
            memory.samples.pop_front();
        }
        memory.samples.push_back(sample);
    }

    /// The figures in another form.
    pub fn sample(&self, figures: &Figures) -> Sample {
        let now_ms = self.clock.now_ms();
        let verdicts = [Verdict::NotListed, Verdict::CardListed, Verdict::OtherCardListed, Verdict::NumberListed];
        Sample {
            at_ms: now_ms,
            boot_ns: self.clock.boot_ns(),
            checks: verdicts.map(|verdict| count_of(self.metrics.verdict(verdict).get())),
            check_buckets: figures.histogram("lostcard_check_seconds").1,
            created_buckets: figures.histogram("lostcard_created_seconds").1,
            reports: figures.value("lostcard_reports_total"),
            limited: figures.by_label("lostcard_limited_total"),
            problems: figures.by_label("lostcard_problems_total"),
            sequence: Sequence::new(figures.value("lostcard_feed_sequence").unsigned_abs()),
            numbers: figures.value("lostcard_filter_keys"),
            recent_changes: figures.value("lostcard_recent_changes"),
            age_ms: (now_ms.get() - figures.value("lostcard_lease_as_of_milliseconds")).max(0),
            measured: RULES.iter().map(|rule| rule.read(figures, now_ms)).collect(),
        }
    }

    /// The last hour, oldest first: every second sample.
    pub fn history(&self) -> Vec<Sample> {
        self.memory().samples.iter().step_by(2).cloned().collect()
    }

    /// Every rule that this node judges.
    pub fn alerts(&self) -> Vec<Alert> {
        let now_ns = self.clock.boot_ns();
        let memory = self.memory();
        let alert = |(rule, since): (&'static Rule, &Option<(UnixMs, u64)>)| Alert {
            rule,
            since_ms: since.map(|(at_ms, _)| at_ms),
            is_firing: since.is_some_and(|(_, from)| now_ns.saturating_sub(from) >= nanos(rule.holds_s)),
        };
        RULES.iter().zip(&memory.since).map(alert).collect()
    }

    /// The upper bounds of the buckets of check times, in seconds.
    pub fn check_bounds(&self) -> &[f64] {
        &self.check_bounds
    }

    /// How long the node has been running.
    pub fn uptime_s(&self) -> u64 {
        self.clock.boot_ns().saturating_sub(self.started_ns) / 1_000_000_000
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn judge(&mut self, now: &Sample, bounds: [&[f64]; 2]) {
        for (at, (rule, since)) in RULES.iter().zip(&mut self.since).enumerate() {
            let begin = now.boot_ns.saturating_sub(nanos(rule.window_s()));
            // The last sample at or before the window's begin; a node that is younger is judged from its start.
            let behind = self.samples.partition_point(|sample| sample.boot_ns <= begin);
            let then = self.samples.get(behind.saturating_sub(1)).unwrap_or(now);
            let holds = rule.figure(at, then, now, bounds).is_some_and(|figure| figure > rule.above);
            *since = holds.then(|| since.unwrap_or((now.at_ms, now.boot_ns)));
        }
    }
}

fn count_of(counter: u64) -> i64 {
    i64::try_from(counter).unwrap_or(i64::MAX)
}

fn nanos(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::super::rules::quantile;
    use super::*;

    fn console() -> (Console, Clock, Arc<Metrics>) {
        let (clock, metrics) = (Clock::fixed_now(), Arc::new(Metrics::new().unwrap()));
        metrics.lease_as_of_ms.set(clock.now_ms().get());
        metrics.retention_finished_ms.set(clock.now_ms().get());
        (Console::new(clock.clone(), Arc::clone(&metrics)), clock, metrics)
    }

    /// The rules that hold, and whether they fire.
    fn holding(console: &Console) -> Vec<(&'static str, bool)> {
        let alerts = console.alerts().into_iter().filter(|alert| alert.since_ms.is_some());
        alerts.map(|alert| (alert.rule.alert, alert.is_firing)).collect()
    }

    fn pass(console: &Console, clock: &Clock, metrics: &Metrics, seconds: u64) {
        for _ in 0..seconds / 5 {
            clock.advance(EVERY);
            metrics.lease_as_of_ms.set(clock.now_ms().get());
            console.take();
        }
    }

    #[test]
    fn quiet_node_has_no_alert() {
        let (console, clock, metrics) = console();
        pass(&console, &clock, &metrics, 600);
        assert_eq!(holding(&console), []);
        assert_eq!(console.uptime_s(), 600);
    }

    #[test]
    fn lease_that_is_not_renewed_fires_after_its_time() {
        let (console, clock, metrics) = console();
        for _ in 0..3 {
            clock.advance(EVERY);
            console.take();
        }
        assert_eq!(holding(&console), [("LostcardLeaseExpired", false)]);
        for _ in 0..6 {
            clock.advance(EVERY);
            console.take();
        }
        assert_eq!(holding(&console), [("LostcardLeaseExpired", true)]);
        pass(&console, &clock, &metrics, 5);
        assert_eq!(holding(&console), [], "it ends with the next poll");
    }

    #[test]
    fn one_event_is_told_for_as_long_as_the_window_and_no_longer() {
        let (console, clock, metrics) = console();
        metrics.limited.with_label_values(&["abnormal_use"]).inc();
        pass(&console, &clock, &metrics, 890);
        assert_eq!(holding(&console), [("LostcardAbnormalUse", true)]);
        pass(&console, &clock, &metrics, 20);
        assert_eq!(holding(&console), []);
    }

    #[test]
    fn slow_checks_are_told_by_what_is_new_in_the_window() {
        let (console, clock, metrics) = console();
        for _ in 0..1000 {
            metrics.check_seconds.observe(0.000_02);
        }
        pass(&console, &clock, &metrics, 400);
        for _ in 0..100 {
            metrics.check_seconds.observe(0.2);
        }
        pass(&console, &clock, &metrics, 5);
        assert_eq!(holding(&console), [("LostcardChecksSlow", false)]);
    }

    #[test]
    fn failures_are_a_share_of_what_is_answered() {
        let (console, clock, metrics) = console();
        metrics.verdict(Verdict::NotListed).inc_by(1000);
        metrics.problems.with_label_values(&["registry_unavailable"]).inc_by(9);
        pass(&console, &clock, &metrics, 5);
        assert_eq!(holding(&console), []);
        metrics.problems.with_label_values(&["registry_unavailable"]).inc_by(9);
        pass(&console, &clock, &metrics, 5);
        assert_eq!(holding(&console), [("LostcardErrors", false)]);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let (console, clock, metrics) = console();
        pass(&console, &clock, &metrics, 7200);
        let history = console.history();
        assert_eq!(history.len(), 361);
        assert_eq!(history[360].at_ms.since(history[0].at_ms), Duration::from_hours(1));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let bounds = [1.0, 2.0, 4.0];
        for (then, now, part, expected) in [
            ([0, 0, 0, 0], [0, 0, 0, 0], 0.5, None),
            ([0, 0, 0, 0], [10, 10, 10, 10], 0.5, Some(0.5)),
            ([5, 5, 5, 5], [5, 15, 15, 15], 0.5, Some(1.5)),
            ([0, 0, 0, 0], [0, 50, 100, 100], 0.99, Some(3.96)),
            ([0, 0, 0, 0], [0, 0, 0, 3], 0.99, Some(4.0)),
        ] {
            assert_eq!(quantile(&bounds, &then, &now, part), expected, "{now:?}");
        }
    }
}
