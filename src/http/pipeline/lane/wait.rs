//! How long the lane waits for a connection's next request.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::clock::Clock;
use crate::http::pipeline::wire::HEAD_TIMEOUT;

/// How long a connection may send nothing: five seconds at first, then as long as it may be idle. One timer, set again at its end.
#[derive(Debug)]
pub(super) struct Wait {
    timer: Pin<Box<Sleep>>,
    /// When the last answer was given (boot time).
    since_ns: Option<u64>,
    idle_time: Duration,
    /// Whom the timer and the stop wake: who has asked them before.
    waker: Option<Waker>,
    /// An answer has just gone out, and nothing has woken the task since.
    has_begun: bool,
}

impl Wait {
    pub(super) fn new(idle_time: Duration) -> Self {
        Self { timer: Box::pin(sleep(HEAD_TIMEOUT)), since_ns: None, idle_time, waker: None, has_begun: false }
    }

    /// An answer has gone out.
    pub(super) fn begin(&mut self, now_ns: u64) {
        (self.since_ns, self.has_begun) = (Some(now_ns), true);
    }

    /// Whether the timer and the stop must be asked. Right after an answer they need not be: they still wake this task, and neither
    /// has woken it to no avail (a node that stops was draining before, so that the answer was the last one).
    pub(super) fn asks(&mut self, cx: &Context<'_>) -> bool {
        let wakes = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if std::mem::take(&mut self.has_begun) && wakes && !self.timer.is_elapsed() {
            return false;
        }
        if !wakes {
            self.waker = Some(cx.waker().clone());
        }
        true
    }

    pub(super) fn is_over(&mut self, clock: &Clock, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let rested = self.since_ns.map(|since_ns| Duration::from_nanos(clock.boot_ns().saturating_sub(since_ns)));
            let left = rested.and_then(|rested| self.idle_time.checked_sub(rested)).filter(|left| !left.is_zero());
            let Some(left) = left else {
                return true;
            };
            self.timer.set(sleep(left));
        }
        false
    }
}
