//! What a node does beside answering and following: it keeps company with the other nodes, and it tells a writer when every check
//! that starts knows its change.

use std::sync::Arc;

use super::membership::Membership;
use super::reporting;
use super::state::{LEASE_DRIFT, Registry, RegistryError};
use super::wakes::exchange_wakes;
use crate::domain::sequence::Sequence;
use crate::store::nodes::Audience;

impl Registry {
    /// What a node does beside answering and following: it looks at the others, says how far it is, waits for them, wakes them
    /// and is woken by them. Until the task is dropped.
    pub async fn keep_company(self: Arc<Self>) {
        let membership = Membership::default().run(Arc::clone(&self));
        let wakes = exchange_wakes(Arc::clone(&self));
        tokio::join!(membership, reporting::tell(Arc::clone(&self)), wakes, reporting::read(self));
    }

    /// Waits until every check that starts from now on knows the change: the step between commit and 201. That is when this
    /// node's snapshot holds it and every other node has confirmed as much; or, if a node is silent, when every lease
    /// that does not know the change has run out: such a lease counts from before the commit.
    ///
    /// A sequence counts in the epoch of its transaction alone: after a failover that lost commits, a snapshot or a confirmation
    /// of before may well be at a higher one and not hold the change.
    pub async fn published(&self, sequence: Sequence, audience: &Audience) -> Result<(), RegistryError> {
        let mut known = self.known.subscribe();
        self.wake.notify_one();
        self.wake_others();
        let leases_end = tokio::time::sleep(self.options.lease + LEASE_DRIFT + self.store.unsure_for());
        let is_here = || *self.epoch() == *audience.epoch;
        let known_everywhere = async {
            let _ = known.wait_for(|known| *known >= sequence && is_here()).await;
            if audience.has_other_nodes {
                self.confirmations.wait_for(sequence).await;
            }
        };
        tokio::select! {
            () = leases_end => self.metrics.publications_by_lease.inc(),
            () = known_everywhere => {}
        }
        if is_here() { Ok(()) } else { Err(RegistryError::OtherHistory) }
    }
}
