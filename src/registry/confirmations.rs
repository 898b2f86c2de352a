//! What nodes tell each other of how far they are: each confirms the sequence of the snapshot that it answers from, and a writer
//! waits until all others have confirmed its change. Both go through the store, the one thing that all agree on; a
//! confirmation that is lost, late or refused costs waiting, never a wrong answer: the lease bounds the wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::Registry;

/// How often the others' confirmations are read while somebody waits for them.
const READ_EVERY: Duration = Duration::from_millis(5);
/// How long a confirmation that failed is not tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// One reading of the others' confirmations.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    /// Readings are numbered as they begin.
    number: u64,
    /// What every other node has confirmed.
    least: u64,
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
    /// Waits until every other node has confirmed the sequence. To be called after the change was committed: only a reading that
    /// begins after it counts, for an older one may not know of all the nodes that the change's transaction saw.
    pub(super) async fn wait_for(&self, sequence: u64) {
        let after = self.begun.load(Ordering::Acquire);
        let mut last = self.last.subscribe();
        let _waiter = Waiter::of(&self.waiting);
        self.asked.notify_one();
        let _ = last.wait_for(|reading| reading.number > after && reading.least >= sequence).await;
    }

    /// Reads the others' confirmations as long as somebody waits for them, until the task is dropped.
    pub(super) async fn read(registry: Arc<Registry>) {
        let this = &registry.confirmations;
        loop {
            if this.waiting.load(Ordering::Acquire) == 0 {
                this.asked.notified().await;
            }
            let number = this.begun.fetch_add(1, Ordering::AcqRel) + 1;
            let read = tokio::time::timeout(registry.options.lease, registry.store.least_confirmed(registry.node));
            match read.await {
                Ok(Ok(least)) => {
                    this.last.send_replace(Reading { number, least: least.unwrap_or(u64::MAX) });
                }
                Ok(Err(failure)) => tracing::debug!(error = %failure, "the others' confirmations cannot be read"),
                Err(_) => tracing::debug!("the others' confirmations were not read in time"),
            }
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    /// Confirms whatever this node's snapshot has come to hold, if there is anybody to tell, until the task is dropped.
    pub(super) async fn tell(registry: Arc<Registry>) {
        let mut known = registry.known.subscribe();
        while known.changed().await.is_ok() {
            if registry.live_nodes() < 2 {
                continue;
            }
            // After the swap: whoever asks from now on is answered from this snapshot or a later one.
            let snapshot = registry.snapshot.load_full();
            if snapshot.sequence == 0 {
                continue;
            }
            let told = registry.store.confirm(registry.node, snapshot.sequence, &snapshot.epoch);
            if !matches!(tokio::time::timeout(registry.options.lease, told).await, Ok(Ok(()))) {
                tracing::debug!(sequence = snapshot.sequence, "this node's confirmation was not stored");
                tokio::time::sleep(RETRY_AFTER).await;
                known.mark_changed();
            }
        }
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
