//! The dates of answers: sequence and `as_of` of one client's checks at one node never go back, whether memory answers or the
//! store, which is ahead of memory between two polls. No date is better than what was read.

use std::sync::atomic::Ordering;

use super::snapshot::Snapshot;
use super::state::{Registry, RegistryError, nanos};
use crate::clock::Rfc3339;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;

impl Registry {
    /// The sequence that an answer may rely on now, and its date: by memory where memory may answer, else by the store.
    pub async fn moment(&self) -> Result<(Sequence, Rfc3339), RegistryError> {
        {
            let snapshot = self.snapshot.load();
            if self.may_answer(&snapshot) {
                return Ok((snapshot.sequence, snapshot.as_of));
            }
        }
        self.moment_of_store().await
    }

    /// The same by the store.
    pub async fn moment_of_store(&self) -> Result<(Sequence, Rfc3339), RegistryError> {
        let asked_ms = self.clock.now_ms();
        let head = tokio::time::timeout(self.options.store_timeout, self.store.head()).await;
        let head = head.map_err(|_| RegistryError::TooSlow)??;
        Ok((head, self.date(head, asked_ms).await))
    }

    /// Whether memory may answer by a snapshot: its lease holds, and it is not older than what was said without it.
    pub(super) fn may_answer(&self, snapshot: &Snapshot) -> bool {
        snapshot.is_leased(self.clock.boot_ns())
            && snapshot.lease_until_ns >= self.said.lease_until_ns.load(Ordering::Acquire)
    }

    /// The `as_of` of what the store said at the sequence `head`, asked at `asked_ms`. Memory may answer the client's next check:
    /// so it is brought to this sequence first, a poll of the feed, and its own date is the answer's where that is earlier.
    pub(super) async fn date(&self, head: Sequence, asked_ms: UnixMs) -> Rfc3339 {
        let asked = Rfc3339::of(asked_ms);
        let is_leased = |snapshot: &Snapshot| snapshot.is_leased(self.clock.boot_ns());
        let is_behind = {
            let snapshot = self.snapshot.load();
            is_leased(&snapshot) && snapshot.sequence < head
        };
        if is_behind {
            let mut known = self.known.subscribe();
            self.wake.notify_one();
            let caught_up = known.wait_for(|known| *known >= head);
            let _ = tokio::time::timeout(self.options.store_timeout, caught_up).await;
        }
        let snapshot = self.snapshot.load();
        if is_leased(&snapshot) && snapshot.sequence >= head {
            let said = Rfc3339::of(UnixMs::new(self.said.as_of_ms.load(Ordering::Acquire)));
            return asked.min(snapshot.as_of.max(said));
        }
        let lease_until = self.clock.boot_ns().saturating_add(nanos(self.options.lease));
        self.said.lease_until_ns.fetch_max(lease_until, Ordering::AcqRel);
        self.said.as_of_ms.fetch_max(asked_ms.get(), Ordering::AcqRel);
        asked
    }
}
