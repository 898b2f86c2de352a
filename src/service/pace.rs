//! Makes a check that leaves no sighting take as long as one that does, where somebody could tell: on a worker that has nothing
//! else to do. There a client sees single microseconds, and a write to the journal takes some; on a busy worker what waits for
//! what drowns them, and its time is needed. So the one waits as long as a write has just taken, at no cost to anybody.

use std::cell::{Cell, RefCell};

use crate::clock::Clock;
use crate::crypto::random;

/// A worker that has ended no check for so long has nothing else to do, unless it ends many in a while: at full load most begin
/// within ten microseconds, but some after the clients have had their answers.
const IDLE_NS: u64 = 20_000;
const WHILE_NS: u64 = 1_000_000;
/// A client that asks one question after the other gets about 15 answers in that time.
const IN_A_WHILE_MAX: u32 = 25;
/// How long a check waits at most. Where a write takes longer than this the disk is slow, and that shows.
const WAIT_NS_MAX: u64 = 50_000;
/// Writes that are remembered.
const WRITES: usize = 64;
/// After so long without a write another one is rehearsed: how long one takes depends on what else the machine has done since.
const STALE_NS: u64 = 1_000_000_000;

/// The pace of one worker.
#[derive(Debug, Default)]
pub struct Pace {
    /// The last check ended then. By the machine's clock, whatever clock a test holds: this is about real time.
    ended_ns: Cell<u64>,
    /// When the present while began, what began in it, and in the one before.
    while_ns: Cell<u64>,
    begun: Cell<u32>,
    begun_before: Cell<u32>,
    written_ns: Cell<u64>,
    /// How long the last writes took, from the beginning of their check.
    took_ns: RefCell<Vec<u64>>,
    next: Cell<usize>,
}

/// A check that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    at_ns: u64,
    is_idle: bool,
}

impl Pace {
    pub fn begin(&self) -> Begun {
        let at_ns = Clock::System.boot_ns();
        let is_busy = self.count(at_ns) > IN_A_WHILE_MAX;
        Begun { at_ns, is_idle: !is_busy && at_ns.saturating_sub(self.ended_ns.get()) >= IDLE_NS }
    }

    /// How many checks have begun in this while or in the one before it, whichever had more.
    fn count(&self, at_ns: u64) -> u32 {
        let since_ns = at_ns.saturating_sub(self.while_ns.get());
        if since_ns >= WHILE_NS {
            self.begun_before.set(if since_ns < 2 * WHILE_NS { self.begun.get() } else { 0 });
            self.begun.set(0);
            self.while_ns.set(at_ns);
        }
        self.begun.set(self.begun.get().saturating_add(1));
        self.begun.get().max(self.begun_before.get())
    }

    /// A check has written its sighting.
    pub fn end_written(&self, begun: Begun) {
        let now_ns = Clock::System.boot_ns();
        self.ended_ns.set(now_ns);
        if begun.is_idle {
            self.remember(now_ns.saturating_sub(begun.at_ns));
            self.written_ns.set(now_ns);
        }
    }

    /// A check has nothing to write. `rehearse` does all that a write does, and leaves nothing.
    pub fn end_unwritten(&self, begun: Begun, rehearse: impl FnOnce() -> bool) {
        if begun.is_idle {
            let is_stale = begun.at_ns.saturating_sub(self.written_ns.get()) >= STALE_NS;
            if is_stale && rehearse() {
                return self.end_written(begun);
            }
            let wait_ns = self.one_of_the_last().min(WAIT_NS_MAX);
            while Clock::System.boot_ns().saturating_sub(begun.at_ns) < wait_ns {
                std::hint::spin_loop();
            }
        }
        self.ended_ns.set(Clock::System.boot_ns());
    }

    fn remember(&self, took_ns: u64) {
        let (mut took, next) = (self.took_ns.borrow_mut(), self.next.get());
        match took.get_mut(next) {
            Some(place) => *place = took_ns,
            None => took.push(took_ns),
        }
        self.next.set((next + 1) % WRITES);
    }

    /// Drawn, so that both kinds of checks have the same times, not only the same mean.
    fn one_of_the_last(&self) -> u64 {
        let took = self.took_ns.borrow();
        let count = u32::try_from(took.len()).unwrap_or(0);
        if count == 0 { 0 } else { took.get(random::below(count) as usize).copied().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(ns: u64) {
        let from = Clock::System.boot_ns();
        while Clock::System.boot_ns() - from < ns {}
    }

    fn took(work: impl FnOnce()) -> u64 {
        let from = Clock::System.boot_ns();
        work();
        Clock::System.boot_ns() - from
    }

    #[test]
    fn where_nothing_else_is_done_a_check_without_a_write_takes_as_long_as_one_with() {
        let pace = Pace::default();
        for _ in 0..WRITES {
            wait(IDLE_NS);
            let begun = pace.begin();
            wait(20_000);
            pace.end_written(begun);
        }
        wait(IDLE_NS);
        let without = took(|| pace.end_unwritten(pace.begin(), || panic!("a write was seen just now")));
        assert!(without >= 20_000, "{without}");
    }

    #[test]
    fn a_busy_worker_waits_for_nothing() {
        let pace = Pace::default();
        wait(IDLE_NS);
        let begun = pace.begin();
        wait(40_000);
        pace.end_written(begun);
        let waited = (0..100).filter(|_| took(|| pace.end_unwritten(pace.begin(), || false)) >= 40_000).count();
        assert!(waited < 50, "{waited} of 100");
    }

    #[test]
    fn a_pause_among_many_checks_is_no_rest() {
        let pace = Pace::default();
        wait(IDLE_NS);
        let begun = pace.begin();
        wait(40_000);
        pace.end_written(begun);
        let waited = (0..100).filter(|_| {
            (0..2 * IN_A_WHILE_MAX).for_each(|_| pace.end_unwritten(pace.begin(), || false));
            wait(IDLE_NS);
            took(|| pace.end_unwritten(pace.begin(), || false)) >= 40_000
        });
        let waited = waited.count();
        assert!(waited < 50, "{waited} of 100");
    }

    #[test]
    fn a_write_is_rehearsed_where_none_was_seen_and_a_slow_one_is_not_waited_for() {
        let pace = Pace::default();
        wait(IDLE_NS);
        let mut rehearsed = 0;
        pace.end_unwritten(pace.begin(), || {
            wait(2 * WAIT_NS_MAX);
            rehearsed += 1;
            true
        });
        assert_eq!(rehearsed, 1);
        let least = (0..100)
            .map(|_| {
                wait(IDLE_NS);
                took(|| pace.end_unwritten(pace.begin(), || false))
            })
            .min();
        assert!(least < Some(2 * WAIT_NS_MAX), "{least:?}");
    }
}
