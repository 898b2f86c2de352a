//! Work that is too long for an event loop, done by threads of its own: a bounded number of them, a queue that is fair by asker,
//! and a time after which nobody waits any longer for a turn. What the work is, its callers say.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use tokio::sync::oneshot;

use super::caller_address::CallerAddress;
use super::fair_queue::{Bounds, FairQueue, Ticket};
use crate::domain::ids::ClientId;
use crate::telemetry::Metrics;

/// How long a piece of work takes. Each kind has threads of its own: what takes microseconds must not wait for what takes a tenth of
/// a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Up to some milliseconds: signatures, large bodies.
    Short,
    /// More: certificates, receipts without their start of validity.
    Long,
}

impl Work {
    fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
        }
    }
}

/// For whom work is done: the unit of fairness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    Client(ClientId),
    /// Before anybody is known. IPv6 by its /64.
    Address(IpAddr),
}

impl Asker {
    /// Somebody of whom only the address is known.
    pub fn at(address: CallerAddress) -> Self {
        Self::Address(address.network())
    }
}

/// How much is worked on.
#[derive(Debug, Clone, Copy)]
pub struct WorkshopOptions {
    /// Threads of each kind of work.
    pub threads: usize,
    /// Pieces of each kind that may wait.
    pub waiting_max: usize,
    /// How long a piece waits for its turn.
    pub wait: Duration,
}

/// There was no turn in time, or no room to wait for one. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has more of such work than it can do now")]
pub struct Crowded;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of a node for long work.
#[derive(Debug)]
pub struct Workshop {
    short: Bench,
    long: Bench,
    wait: Duration,
}

impl Workshop {
    pub fn start(options: WorkshopOptions, metrics: &Metrics) -> std::io::Result<Self> {
        let bench = |work| Bench::start(work, options, metrics);
        Ok(Self { short: bench(Work::Short)?, long: bench(Work::Long)?, wait: options.wait })
    }

    /// Does a piece of work on another thread, in its asker's turn. What has begun is waited for; what was given up before is not
    /// begun.
    pub async fn run<T: Send + 'static>(
        &self,
        work: Work,
        asker: Asker,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crowded> {
        let bench = &match work {
            Work::Short => &self.short,
            Work::Long => &self.long,
        }
        .shared;
        let (sender, mut receiver) = oneshot::channel();
        let job = move || {
            // Who asked may have gone.
            let _ = sender.send(job());
        };
        let waiting = Waiting { bench, asker, ticket: bench.push(asker, Box::new(job))? };
        let done = match tokio::time::timeout(self.wait, &mut receiver).await {
            Err(_) if waiting.withdraw() => return Err(bench.refuse()),
            Err(_) => receiver.await,
            Ok(done) => done,
        };
        // Its sender is gone where it had to make room for another asker's.
        done.map_err(|_| bench.refuse())
    }
}

/// The threads of one kind of work. They end with it.
struct Bench {
    shared: Arc<Shared>,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bench")
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    waiting: IntGauge,
    running: IntGauge,
    refused: IntCounter,
}

struct State {
    queue: FairQueue<Asker, Job>,
    is_closed: bool,
}

/// Less urgent than anything that answers (setpriority(2): for this thread alone).
const LONG_NICE: i32 = 10;

impl Bench {
    fn start(work: Work, options: WorkshopOptions, metrics: &Metrics) -> std::io::Result<Self> {
        let bounds = Bounds { places: options.threads, waiting_max: options.waiting_max };
        let label = &[work.as_str()];
        let bench = Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State { queue: FairQueue::new(bounds), is_closed: false }),
                changed: Condvar::new(),
                waiting: metrics.workshop_waiting.with_label_values(label),
                running: metrics.workshop_running.with_label_values(label),
                refused: metrics.workshop_refused.with_label_values(label),
            }),
        };
        for _ in 0..options.threads {
            let shared = Arc::clone(&bench.shared);
            let run = move || {
                if work == Work::Long {
                    // Where the system forbids it, long work is as urgent as the rest.
                    let _ = rustix::process::setpriority_process(None, LONG_NICE);
                }
                shared.work();
            };
            std::thread::Builder::new().name(format!("{}-work", work.as_str())).spawn(run)?;
        }
        Ok(bench)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, asker: Asker, job: Job) -> Result<Ticket, Crowded> {
        let mut state = self.state();
        let ticket = state.queue.push(asker, job);
        self.show(&state);
        drop(state);
        self.changed.notify_one();
        ticket.ok_or_else(|| self.refuse())
    }

    fn refuse(&self) -> Crowded {
        self.refused.inc();
        Crowded
    }

    fn show(&self, state: &State) {
        let (waiting, running) = state.queue.counts();
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// What each thread does until the end of the node.
    fn work(&self) {
        let mut state = self.state();
        while !state.is_closed {
            let Some((asker, job)) = state.queue.take_next() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            self.show(&state);
            drop(state);
            // A fault in one piece of work must not cost the node a thread; its asker is told that nothing was done.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            state = self.state();
            state.queue.done(asker);
            self.show(&state);
            // The place may be another asker's, for whom an idle thread could not work before.
            self.changed.notify_one();
        }
    }
}

/// A piece of work that was asked for; taken out of the queue when its asker goes away.
struct Waiting<'a> {
    bench: &'a Shared,
    asker: Asker,
    ticket: Ticket,
}

impl Waiting<'_> {
    fn withdraw(&self) -> bool {
        let mut state = self.bench.state();
        let is_out = state.queue.withdraw(self.asker, self.ticket);
        self.bench.show(&state);
        is_out
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::crypto::random;
    use crate::domain::instant::UnixMs;

    fn workshop(threads: usize, wait: Duration) -> Workshop {
        let options = WorkshopOptions { threads, waiting_max: 8, wait };
        Workshop::start(options, &Metrics::new().unwrap()).unwrap()
    }

    fn client(n: i64) -> Asker {
        Asker::Client(random::id(UnixMs::new(n)))
    }

    #[tokio::test]
    async fn one_asker_waits_in_vain_while_another_is_served() {
        let workshop = workshop(2, Duration::from_secs(1));
        let (one, two) = (client(1), client(2));
        let (release, held) = mpsc::channel::<()>();
        let first = workshop.run(Work::Long, one, move || held.recv().is_ok());
        let others = async {
            assert_eq!(workshop.run(Work::Long, one, || 1).await, Err(Crowded), "half of the places are its share");
            assert_eq!(workshop.run(Work::Long, two, || 2).await, Ok(2));
            assert_eq!(workshop.run(Work::Short, one, || 3).await, Ok(3), "another kind of work");
            release.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(first, others);
        assert_eq!(first, Ok(true), "what has begun is waited for");
        assert_eq!(workshop.run(Work::Long, one, || 4).await, Ok(4));
        assert_eq!(workshop.long.shared.refused.get(), 1);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_begun() {
        let workshop = workshop(1, Duration::from_mins(1));
        let (release, held) = mpsc::channel::<()>();
        let first = workshop.run(Work::Short, client(1), move || held.recv().is_ok());
        let given_up = async {
            let (tell, told) = mpsc::channel();
            let mut second = Box::pin(workshop.run(Work::Short, client(2), move || tell.send(())));
            assert!(futures_util::poll!(&mut second).is_pending());
            drop(second);
            assert!(told.recv().is_err(), "dropped, never run");
            release.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(first, given_up);
        assert_eq!(first, Ok(true));
    }

    #[tokio::test]
    async fn a_fault_in_one_piece_of_work_costs_no_thread() {
        let workshop = workshop(1, Duration::from_mins(1));
        let fault = workshop.run(Work::Short, client(1), || assert!(std::hint::black_box(false), "on purpose"));
        assert_eq!(fault.await, Err(Crowded));
        assert_eq!(workshop.run(Work::Short, client(1), || 1).await, Ok(1));
    }
}
