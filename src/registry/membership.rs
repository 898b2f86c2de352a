//! Which nodes may hold a lease. A node's poll reads its own row in the statement that reads the feed: present and unmarked, it
//! may renew its lease; so no node has to write in order to answer, and a full disk stops no check.
//! A node that stands still is dropped in two steps: marked (after that it gets no lease), and removed when every lease it
//! may have had has run out. Writers wait as long as a row of another node is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::company::{Company, Seen};
use super::state::{LEASE_DRIFT, Registry, nanos};
use crate::domain::ids::NodeId;
use crate::store::StoreError;
use crate::store::nodes::NodeRow;

/// How often nodes look at each other, and beat if there are others.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look may take. One that is given up is made again, over another connection.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// How long a node may stand still before it is marked.
const STANDSTILL_MAX: Duration = Duration::from_secs(3);

/// What a node knows of the others.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The beat of each other node, and since when (boot time) it has not changed.
    others: HashMap<NodeId, (i64, u64)>,
}

impl Membership {
    /// Looks at the others every second, and when one joined, until the task is dropped. Not in the follower's turn: a write that
    /// waits must not end a lease.
    pub(super) async fn run(mut self, registry: Arc<Registry>) {
        loop {
            match tokio::time::timeout(LOOK_MAX, self.look(&registry)).await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => tracing::debug!(error = %failure, "the other nodes cannot be looked at"),
                Err(_) => tracing::debug!("the other nodes could not be looked at in time"),
            }
            tokio::select! {
                () = registry.joined.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// A failure here costs no answer: the others' rows make writers wait, no more.
    async fn look(&mut self, registry: &Registry) -> Result<(), StoreError> {
        let mut nodes = registry.store.list_nodes().await?;
        nodes.retain(|row| row.node != registry.node);
        // After the question, so that nobody is taken to stand still for longer than it does.
        let now = registry.clock.boot_ns();
        let live = 1 + nodes.iter().filter(|row| !is_mark(row.beat)).count();
        let was = registry.live_nodes.swap(live, Ordering::AcqRel);
        registry.metrics.nodes.set(i64::try_from(live).unwrap_or(i64::MAX));
        if was < 2 && live > 1 {
            // Alone it told nobody how far it is.
            registry.known.send_modify(|_| {});
        }
        if !nodes.is_empty() {
            registry.store.beat(registry.node).await?;
        }
        self.others.retain(|known, _| nodes.iter().any(|row| row.node == *known));
        let leases_end = nanos(registry.options.lease + LEASE_DRIFT);
        let mut seen = vec![registry.seen_by_itself(now)];
        for NodeRow { node, beat, confirmed } in nodes {
            let (last, since) = self.others.entry(node).or_insert((beat, now));
            if *last != beat {
                (*last, *since) = (beat, now);
            }
            seen.push(Seen { node, moved_ns: *since, confirmed, is_dropped: is_mark(beat) });
            let stands_for = now.saturating_sub(*since);
            if is_mark(beat) && stands_for > leases_end {
                registry.store.remove_node(node, beat).await?;
            } else if !is_mark(beat) && stands_for > nanos(STANDSTILL_MAX) {
                registry.store.mark_node(node, beat).await?;
            }
        }
        seen.sort_unstable_by_key(|seen| seen.node);
        registry.company.store(Arc::new(Company { looked_ns: now, nodes: seen }));
        Ok(())
    }
}

impl Registry {
    fn seen_by_itself(&self, now_ns: u64) -> Seen {
        Seen { node: self.node, moved_ns: now_ns, confirmed: self.snapshot.load().sequence, is_dropped: false }
    }
}

/// `Store::mark_node`: no two marks are the same.
fn is_mark(beat: i64) -> bool {
    beat < 0
}
