//! What a node takes on at a time: a bound on the requests that wait for more than memory (checks may take only a
//! part of it), and a look at how far a worker's event loop is behind. What is refused here is refused before its token and its body
//! are looked at. Also the deadline of the work itself. No limits of callers: those are `crate::limits`.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::http::contract::problem::Problem;
use crate::http::contract::route::Class;
use crate::limits::Asker;
use crate::telemetry::Metrics;

/// How much is taken on.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionOptions {
    /// Requests in the node that wait for more than memory.
    pub requests_max: i64,
    /// Checks stay below this, so that there is room for a report when there is none for a check.
    pub checks_max: i64,
    /// Checks are refused by a worker that is behind by more.
    pub delay: Duration,
    /// How long the work on one request may take, without the time its body takes.
    pub deadline: Duration,
}

/// The gate of a node: one for all its workers.
#[derive(Debug)]
pub struct Admission {
    options: AdmissionOptions,
    /// Its gauge of places taken is the count itself.
    metrics: Arc<Metrics>,
    /// Refusals that are not in a log line yet, and when the last line was written (boot time).
    untold: AtomicU64,
    told_ns: AtomicU64,
    /// Who was refused last for its own load, as a hash.
    last_refused: AtomicU64,
    hashes: RandomState,
}

/// A request's place among those that wait; free again when dropped.
#[derive(Debug)]
pub struct Place {
    class: Class,
    metrics: Arc<Metrics>,
}

impl Admission {
    pub fn new(options: AdmissionOptions, metrics: Arc<Metrics>) -> Self {
        let (untold, told_ns, last_refused) = Default::default();
        Self { options, metrics, untold, told_ns, last_refused, hashes: RandomState::new() }
    }

    /// How far a worker may be behind.
    pub fn delay_max(&self) -> Duration {
        self.options.delay
    }

    /// How long the work on one request may take.
    pub fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// A place, if there is one for this class.
    pub fn enter(&self, class: Class) -> Result<Place, Problem> {
        let places = match class {
            Class::Check | Class::Checks | Class::Expensive => self.options.checks_max,
            Class::Reports => self.options.requests_max,
        };
        // Counted first: two that come at once may both miss the last place, never both take it. A refused one gives it back by
        // its drop.
        self.metrics.in_flight.inc();
        let place = Place { class, metrics: Arc::clone(&self.metrics) };
        if self.metrics.in_flight.get() <= places { Ok(place) } else { Err(Problem::reduced_capacity()) }
    }

    /// Whose a refusal is: a caller's for its own load is the node's as soon as it is not the one that was refused last.
    fn whose(&self, asker: Asker, is_own_load: bool) -> &'static str {
        if !is_own_load {
            return "node";
        }
        let hash = self.hashes.hash_one(asker);
        if self.last_refused.swap(hash, Ordering::Relaxed) == hash { "caller" } else { "node" }
    }

    /// Logs refusals together, at most once a second: a line for each would make overload worse.
    pub fn note_refusal(&self, asker: Asker, is_own_load: bool, now_ns: u64) {
        self.metrics.capacity_refused.with_label_values(&[self.whose(asker, is_own_load)]).inc();
        self.untold.fetch_add(1, Ordering::Relaxed);
        let told_ns = self.told_ns.load(Ordering::Relaxed);
        let is_due = now_ns.saturating_sub(told_ns) >= 1_000_000_000;
        if is_due && self.told_ns.compare_exchange(told_ns, now_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let refused = self.untold.swap(0, Ordering::Relaxed);
            let waiting = self.metrics.in_flight.get();
            tracing::warn!(refused, waiting, "more work than this node can do: requests are refused");
        }
    }
}

impl Place {
    pub fn class(&self) -> Class {
        self.class
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

/// Refusals that a worker answers in a second before the next ones wait: 2,000 cost it about 0.04 of its time.
const REFUSAL_EVERY_NS: u64 = 500_000;
/// What may be answered at once after a second without refusals.
const REFUSAL_BURST_NS: u64 = 1_000_000_000;
const REFUSAL_WAIT_MAX_NS: u64 = 1_000_000_000;

/// How far the event loop of one worker is behind. A gate counts only what has begun: what waits in the kernel for a busy worker
/// shows only here. A task is put at the end of the worker's queue; the time until its turn is what a request waits now.
#[derive(Debug)]
pub struct Delay {
    clock: Clock,
    max_ns: u64,
    asked: Rc<Cell<Option<Moment>>>,
    /// When the next refusal may be answered.
    refusal_ns: Cell<u64>,
}

/// When a turn was asked for.
#[derive(Debug, Clone, Copy)]
struct Moment {
    boot_ns: u64,
    cpu_ns: u64,
}

impl Delay {
    pub fn new(clock: Clock, max: Duration) -> Self {
        let max_ns = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        Self { clock, max_ns, asked: Rc::default(), refusal_ns: Cell::new(0) }
    }

    /// Refuses a check while a turn that was asked for is late, and the worker has worked for half of that time: a worker that was
    /// itself kept waiting has no queue.
    pub fn admit(&self, now_ns: u64) -> Result<(), Problem> {
        let Some(asked) = self.asked.get() else {
            self.ask(now_ns);
            return Ok(());
        };
        let is_late = now_ns.saturating_sub(asked.boot_ns) > self.max_ns
            && self.clock.thread_cpu_ns().saturating_sub(asked.cpu_ns) > self.max_ns / 2;
        if is_late { Err(Problem::reduced_capacity()) } else { Ok(()) }
    }

    /// How long a refusal waits before it is answered, so that those who come back at once cannot make refusing the whole work:
    /// the first of a second wait for nothing, later ones for their turn, none longer than `REFUSAL_WAIT_MAX_NS`.
    pub fn pace_refusal(&self, now_ns: u64) -> Duration {
        let turn_ns =
            self.refusal_ns.get().max(now_ns.saturating_sub(REFUSAL_BURST_NS)).saturating_add(REFUSAL_EVERY_NS);
        self.refusal_ns.set(turn_ns.min(now_ns.saturating_add(REFUSAL_WAIT_MAX_NS)));
        Duration::from_nanos(turn_ns.saturating_sub(now_ns).min(REFUSAL_WAIT_MAX_NS))
    }

    fn ask(&self, now_ns: u64) {
        self.asked.set(Some(Moment { boot_ns: now_ns, cpu_ns: self.clock.thread_cpu_ns() }));
        let asked = Rc::clone(&self.asked);
        tokio::task::spawn_local(async move { asked.set(None) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::contract::problem;

    fn options(requests_max: i64, checks_max: i64) -> AdmissionOptions {
        let delay = Duration::from_millis(250);
        AdmissionOptions { requests_max, checks_max, delay, deadline: Duration::from_secs(5) }
    }

    #[test]
    fn checks_are_refused_before_reports() {
        let admission = Admission::new(options(3, 2), Arc::new(Metrics::new().unwrap()));
        let mut places = vec![admission.enter(Class::Checks).unwrap(), admission.enter(Class::Check).unwrap()];
        let refused = admission.enter(Class::Checks).unwrap_err();
        assert_eq!(refused.kind(), problem::REDUCED_CAPACITY);
        assert!((1..=u64::from(problem::REDUCED_RETRY_S_MAX)).contains(&refused.retry_after_s().unwrap()));
        places.push(admission.enter(Class::Reports).unwrap());
        assert!(admission.enter(Class::Reports).is_err());
        places.clear();
        assert!(admission.enter(Class::Checks).is_ok(), "refused ones keep no place");
    }

    #[tokio::test(flavor = "local")]
    async fn a_worker_that_is_behind_refuses_until_its_turn_comes() {
        let clock = Clock::fixed_now();
        let delay = Delay::new(clock.clone(), Duration::from_millis(250));
        let admit = || delay.admit(clock.boot_ns()).is_ok();
        assert!(admit());
        clock.advance(Duration::from_millis(250));
        assert!(admit(), "late by no more than is allowed");
        clock.advance(Duration::from_millis(1));
        assert!(!admit());
        tokio::task::yield_now().await;
        assert!(admit(), "what was queued is done");
    }

    #[test]
    fn a_flood_of_one_caller_that_is_refused_alone_is_no_load_of_the_node() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let admission = Admission::new(options(4, 3), Arc::clone(&metrics));
        let count = |whose: &str| metrics.capacity_refused.with_label_values(&[whose]).get();
        let [one, other] = [1, 2].map(|last| Asker::Address([192, 0, 2, last].into()));
        for _ in 0..100 {
            admission.note_refusal(one, true, 0);
        }
        assert_eq!((count("node"), count("caller")), (1, 99));
        for _ in 0..50 {
            admission.note_refusal(one, true, 0);
            admission.note_refusal(other, true, 0);
        }
        assert!(count("node") >= 100, "others are refused as well");
        admission.note_refusal(other, false, 0);
        admission.note_refusal(other, false, 0);
        assert!(count("node") >= 102, "the node has no room, no matter who asks");
    }

    #[test]
    fn refusals_beyond_a_rate_wait_for_their_turn_but_not_for_ever() {
        let delay = Delay::new(Clock::fixed_now(), Duration::from_millis(250));
        let second = 1_000_000_000;
        let waits: Vec<_> = (0..2_001).map(|_| delay.pace_refusal(10 * second)).collect();
        assert!(waits[..2_000].iter().all(Duration::is_zero));
        assert_eq!(waits[2_000], Duration::from_nanos(REFUSAL_EVERY_NS));
        let most = Duration::from_nanos(REFUSAL_WAIT_MAX_NS);
        let later: Vec<_> = (0..10_000).map(|_| delay.pace_refusal(10 * second)).collect();
        assert!(later.is_sorted() && later.last() == Some(&most));
        assert_eq!(delay.pace_refusal(11 * second), Duration::from_nanos(REFUSAL_EVERY_NS), "turns have passed");
        assert!(delay.pace_refusal(12 * second).is_zero());
    }

    #[tokio::test(flavor = "local")]
    async fn a_pause_of_the_machine_is_not_a_queue() {
        let delay = Delay::new(Clock::System, Duration::from_millis(50));
        assert!(delay.admit(Clock::System.boot_ns()).is_ok());
        std::thread::sleep(Duration::from_millis(60));
        assert!(delay.admit(Clock::System.boot_ns()).is_ok(), "this thread has not worked meanwhile");
        let begun_ns = Clock::System.thread_cpu_ns();
        while Clock::System.thread_cpu_ns() - begun_ns < 30_000_000 {
            std::hint::spin_loop();
        }
        assert!(delay.admit(Clock::System.boot_ns()).is_err(), "now it has");
    }
}
