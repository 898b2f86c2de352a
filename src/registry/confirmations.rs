//! Waiting until all other nodes have confirmed a change: the part of it that writers and the reading task share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

use crate::domain::sequence::Sequence;

/// One reading of the others' confirmations.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    /// Readings are numbered as they begin.
    number: u64,
    /// What every other node has confirmed.
    least: Sequence,
}

/// Waiting for other nodes.
#[derive(Debug)]
pub(super) struct Confirmations {
    begun: AtomicU64,
    waiting: AtomicUsize,
    asked: Notify,
    last: watch::Sender<Reading>,
}

impl Default for Confirmations {
    fn default() -> Self {
        let last = watch::Sender::new(Reading::default());
        Self { begun: AtomicU64::new(0), waiting: AtomicUsize::new(0), asked: Notify::new(), last }
    }
}

impl Confirmations {
    /// Waits for somebody who waits, then begins a reading: its number.
    pub(super) async fn next_reading(&self) -> u64 {
        if self.waiting.load(Ordering::Acquire) == 0 {
            self.asked.notified().await;
        }
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// What a reading found that every other node has confirmed.
    pub(super) fn read(&self, number: u64, least: Sequence) {
        self.last.send_replace(Reading { number, least });
    }

    /// Waits until every other node has confirmed the sequence. To be called after the change was committed: only a reading that
    /// begins after it counts, for an older one may not know of all the nodes that the change's transaction saw.
    pub(super) async fn wait_for(&self, sequence: Sequence) {
        let after = self.begun.load(Ordering::Acquire);
        let mut last = self.last.subscribe();
        let _waiter = Waiter::of(&self.waiting);
        self.asked.notify_one();
        let _ = last.wait_for(|reading| reading.number > after && reading.least >= sequence).await;
    }
}

/// Counts one that waits, for as long as it does.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn of(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(waiting)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
