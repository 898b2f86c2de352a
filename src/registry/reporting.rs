//! What nodes tell each other of how far they are: each confirms the sequence of the snapshot that it answers from, and a writer
//! waits until all others have confirmed its change. Both go through the store, the one thing that all agree on; a
//! confirmation that is lost, late or refused costs waiting, never a wrong answer: the lease bounds the wait.

use std::sync::Arc;
use std::time::Duration;

use super::state::Registry;
use crate::domain::sequence::Sequence;

/// How often the others' confirmations are read while somebody waits for them.
const READ_EVERY: Duration = Duration::from_millis(5);
/// How long a confirmation that failed is not tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Reads the others' confirmations as long as somebody waits for them, until the task is dropped.
pub(super) async fn read(registry: Arc<Registry>) {
    let this = &registry.confirmations;
    loop {
        let number = this.next_reading().await;
        let read = tokio::time::timeout(registry.options.lease, registry.store.least_confirmed(registry.node));
        match read.await {
            Ok(Ok(least)) => {
                this.read(number, least.unwrap_or(Sequence::MAX));
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
        // After the swap: a question from now on is answered from this snapshot or a later one.
        let snapshot = registry.snapshot.load_full();
        if snapshot.sequence == Sequence::ZERO {
            continue;
        }
        let told = registry.store.confirm(registry.node, snapshot.sequence, &snapshot.epoch);
        if !matches!(tokio::time::timeout(registry.options.lease, told).await, Ok(Ok(()))) {
            tracing::debug!(sequence = snapshot.sequence.get(), "this node's confirmation was not stored");
            tokio::time::sleep(RETRY_AFTER).await;
            known.mark_changed();
        }
    }
}
