//! What a node takes on at a time: a bound on the requests that wait for more than memory (checks may take only a
//! part of it, and one caller no more than is left free), and a look at how far a worker's event loop is behind. What is refused here is
//! refused before its body is looked at, and where no place is left before its token. Also the deadline of the work itself. No limits of callers: those are `crate::limits`.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::budget::Full;
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
    held: Arc<Held>,
}

/// How many places each caller has.
#[derive(Debug, Default)]
struct Held(Mutex<HashMap<Asker, i64>>);

impl Held {
    /// A thread that panicked has left whole counts.
    fn lock(&self) -> MutexGuard<'_, HashMap<Asker, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; how many it has with it.
    fn add(&self, asker: Asker) -> i64 {
        let mut held = self.lock();
        let count = held.entry(asker).or_default();
        *count += 1;
        *count
    }

    fn give_back(&self, asker: Asker) {
        let mut held = self.lock();
        if let Some(count) = held.get_mut(&asker) {
            *count -= 1;
            if *count <= 0 {
                held.remove(&asker);
            }
        }
    }
}

/// A request's place among those that wait; free again when dropped.
#[derive(Debug)]
pub struct Place {
    class: Class,
    /// Those that its class may have.
    places: i64,
    /// Whom it counts towards; nobody as long as that is not known.
    asker: Option<Asker>,
    metrics: Arc<Metrics>,
    held: Arc<Held>,
}

impl Admission {
    pub fn new(options: AdmissionOptions, metrics: Arc<Metrics>) -> Self {
        let (untold, told_ns, last_refused, held) = Default::default();
        Self { options, metrics, untold, told_ns, last_refused, hashes: RandomState::new(), held }
    }

    /// How far a worker may be behind.
    pub fn delay_max(&self) -> Duration {
        self.options.delay
    }

    /// How long the work on one request may take.
    pub fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// A place, if there is one for this class, and for this caller where it is known.
    pub fn enter(&self, class: Class, asker: Option<Asker>) -> Result<Place, Problem> {
        let places = match class {
            Class::Check | Class::Checks | Class::Expensive => self.options.checks_max,
            Class::Reports => self.options.requests_max,
        };
        // Counted first: two that come at once may both miss the last place, never both take it. A refused one gives it back by
        // its drop.
        self.metrics.in_flight.inc();
        let (metrics, held) = (Arc::clone(&self.metrics), Arc::clone(&self.held));
        let mut place = Place { class, places, asker: None, metrics, held };
        if self.metrics.in_flight.get() > places {
            return Err(Problem::reduced_capacity());
        }
        asker.map_or(Ok(()), |asker| place.assign(asker))?;
        Ok(place)
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

    /// It counts towards this caller from here on, which may have as many places as are left free, and one more (decision 097).
    pub fn assign(&mut self, asker: Asker) -> Result<(), Problem> {
        if self.asker == Some(asker) {
            return Ok(());
        }
        let before = self.held.add(asker) - 1;
        if let Some(other) = self.asker.replace(asker) {
            self.held.give_back(other);
        }
        // Without this one.
        let free = self.places - (self.metrics.in_flight.get() - 1);
        if before <= free { Ok(()) } else { Err(Full::Share.problem(matches!(asker, Asker::Client(_)))) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if let Some(asker) = self.asker {
            self.held.give_back(asker);
        }
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
    use crate::domain::ids::ClientId;
    use crate::http::contract::problem;

    fn options(requests_max: i64, checks_max: i64) -> AdmissionOptions {
        let delay = Duration::from_millis(250);
        AdmissionOptions { requests_max, checks_max, delay, deadline: Duration::from_secs(5) }
    }

    #[test]
    fn checks_are_refused_before_reports() {
        let admission = Admission::new(options(3, 2), Arc::new(Metrics::new().unwrap()));
        let enter = |class| admission.enter(class, None);
        let mut places = vec![enter(Class::Checks).unwrap(), enter(Class::Check).unwrap()];
        let refused = enter(Class::Checks).unwrap_err();
        assert_eq!(refused.kind(), problem::REDUCED_CAPACITY);
        assert!((1..=u64::from(problem::REDUCED_RETRY_S_MAX)).contains(&refused.retry_after_s().unwrap()));
        places.push(enter(Class::Reports).unwrap());
        assert!(enter(Class::Reports).is_err());
        places.clear();
        assert!(enter(Class::Checks).is_ok(), "refused ones keep no place");
    }

    #[test]
    fn a_caller_has_as_many_places_as_it_leaves_and_no_more() {
        let admission = Admission::new(options(12, 8), Arc::new(Metrics::new().unwrap()));
        let [one, two, three] = [1, 2, 3].map(|n| Asker::Client(ClientId::from_u128(n)));
        let fill =
            |class, asker| -> Vec<_> { (0..20).map_while(|_| admission.enter(class, Some(asker)).ok()).collect() };
        let of_one = fill(Class::Reports, one);
        assert_eq!(of_one.len(), 7, "alone: half, and one");
        let refused = admission.enter(Class::Reports, Some(one)).unwrap_err();
        assert!(refused.kind() == problem::REDUCED_CAPACITY && refused.is_own_load());
        let of_two = fill(Class::Reports, two);
        assert_eq!(of_two.len(), 3, "of what is left the same");
        assert!(admission.enter(Class::Reports, Some(three)).is_ok(), "others have theirs all the same");
        drop((of_one, of_two));
        assert_eq!(fill(Class::Checks, one).len(), 5, "of its class");
        assert!(admission.held.lock().is_empty());
    }

    #[test]
    fn a_place_counts_towards_its_caller_once_that_is_known() {
        let admission = Admission::new(options(12, 8), Arc::new(Metrics::new().unwrap()));
        let address = Asker::Address([192, 0, 2, 1].into());
        let client = Asker::Client(ClientId::from_u128(1));
        let mut places: Vec<_> = (0..8).map(|_| admission.enter(Class::Reports, None).unwrap()).collect();
        let assigned = places.iter_mut().map(|place| place.assign(address).and_then(|()| place.assign(client)));
        let refused: Vec<_> = assigned.map(|assigned| assigned.is_err()).collect();
        assert_eq!(refused.iter().filter(|refused| **refused).count(), 2, "{refused:?}");
        assert_eq!(admission.held.lock().get(&client), Some(&8));
        assert!(admission.enter(Class::Reports, Some(address)).is_ok(), "nothing of them is its address's");
        let mut one = admission.enter(Class::Reports, None).unwrap();
        let other = Asker::Address([192, 0, 2, 2].into());
        for _ in 0..9 {
            admission.held.add(other);
        }
        assert_eq!(one.assign(other).unwrap_err().kind(), problem::ADDRESS_SHARE_HELD);
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
