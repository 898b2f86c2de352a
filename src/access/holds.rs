//! Holds of clients, written into the store, so that they outlive this process and hold at every node; and how many clients are held.
//! Who is held, and when, is decided in `limits::numbers`.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::audit::{Action, Deed};
use crate::limits::Numbers;
use crate::limits::numbers::Hold;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How often it is counted who is held, and what failed is tried again.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// What the task works with.
#[derive(Debug)]
pub struct HoldKeeper {
    pub numbers: Arc<Numbers>,
    pub store: Store,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

impl HoldKeeper {
    /// Writes holds as they come, and counts.
    pub async fn run(self) {
        let mut waiting = Vec::new();
        loop {
            if let Ok(came) = tokio::time::timeout(COUNT_EVERY, self.numbers.holds().next()).await {
                waiting.extend(came);
            }
            while let Some(hold) = waiting.last() {
                if let Err(error) = self.write(hold).await {
                    tracing::error!(error = %error, "a client is held by this node alone: the store did not take it");
                    break;
                }
                waiting.pop();
            }
            match self.store.count_clients().await {
                Ok(counts) => {
                    self.metrics.clients_held.set(counts.held);
                    self.metrics.clients_uncounted.set(counts.uncounted);
                }
                Err(error) => tracing::debug!(error = %error, "held clients could not be counted"),
            }
        }
    }

    async fn write(&self, hold: &Hold) -> Result<(), StoreError> {
        let (client, now_ms) = (hold.client.client, self.clock.now_ms());
        let mut tx = self.store.begin().await?;
        if tx.hold_client(client, hold.why, now_ms).await? {
            tx.record_deed(&Deed::of(hold.client, Action::ClientHeld, client), now_ms).await?;
            tx.commit_unlisted().await?;
            let organization = hold.client.organization;
            tracing::warn!(%client, %organization, why = hold.why.as_str(), "a client is held: look at what it asks, then release it");
        }
        Ok(())
    }
}
