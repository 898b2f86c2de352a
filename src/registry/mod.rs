//! What is listed, as this node knows it: `Registry::lookup` is the ladder snapshot -> local copies -> Redis -> store.
//! Invariants: no negative without a valid lease or a read of the store; a positive is exact, never the filter's word alone;
//! a copy older than the number's last change is not used. The store is the truth; nothing here writes to it.

pub mod cache;
mod confirmations;
pub mod disk;
pub mod follower;
pub mod membership;
pub mod peppers;
mod saving;
pub mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::clock::{Clock, Rfc3339};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::pepper::Peppers;
use crate::crypto::{KeyError, Keyring, random};
use crate::domain::verdict::Listing;
use crate::store::nodes::Audience;
use crate::store::reports::KEYS_MAX;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use cache::{Copy, LocalCache, SharedCache};
use confirmations::Confirmations;
use disk::FilterFolder;
use membership::{Company, Membership};
use peppers::RecordsRead;
use snapshot::{Presence, Snapshot};

/// How far timers may run apart from the clock that leases are measured by.
const LEASE_DRIFT: Duration = Duration::from_millis(50);

/// Bounds and times of the registry.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// How long a snapshot may answer after the moment of its poll.
    pub lease: Duration,
    /// How often the follower asks.
    pub poll: Duration,
    /// Listings kept in memory.
    pub listings_max: usize,
    /// Recent changes that start a rebuild of the filter.
    pub rebuild_after: usize,
    /// How long one look-up may wait for the store.
    pub store_timeout: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(1),
            poll: Duration::from_millis(250),
            listings_max: 100_000,
            rebuild_after: 50_000,
            store_timeout: Duration::from_millis(250),
        }
    }
}

/// The registry cannot answer: no verdict, never a guess.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not answer in time")]
    TooSlow,
    #[error("the filter cannot be built")]
    Filter(#[from] snapshot::FilterError),
    #[error("the store went on without what it had confirmed, perhaps: its history is another one")]
    OtherHistory,
    #[error("the follower has stopped")]
    Stopped,
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// What a registry keeps outside its memory. It could do without, only slower.
#[derive(Debug)]
pub struct Copies {
    /// Redis.
    pub shared: Option<Arc<SharedCache>>,
    /// Where the filter is saved.
    pub folder: FilterFolder,
}

/// What is listed of a number, and how fresh that is.
#[derive(Debug, Clone, Copy)]
pub struct Finding {
    pub listing: Option<Listing>,
    pub sequence: u64,
    pub as_of: Rfc3339,
}

/// A node's knowledge of the registry.
#[derive(Debug)]
pub struct Registry {
    options: RegistryOptions,
    clock: Clock,
    store: Store,
    keyring: Arc<Keyring>,
    metrics: Arc<Metrics>,
    snapshot: ArcSwap<Snapshot>,
    local: LocalCache,
    shared: Option<Arc<SharedCache>>,
    /// Where the filter is saved.
    folder: Arc<FilterFolder>,
    /// This node, among those that may hold a lease.
    node: Uuid,
    /// Wakes the follower before its next turn.
    wake: Notify,
    /// The sequence of the snapshot in place.
    known: watch::Sender<u64>,
    confirmations: Confirmations,
    /// A node joined.
    joined: Notify,
    /// Nodes that serve from this store, this one included, as far as this one knows.
    live_nodes: Arc<AtomicUsize>,
    /// All nodes at the last look.
    company: ArcSwap<Company>,
    /// Asks for a wake-up of the other nodes.
    wake_others: Notify,
}

impl Registry {
    /// A registry that knows nothing until its follower has loaded it. `peppers`: those that the store was last seen with.
    pub fn new(
        options: RegistryOptions,
        clock: Clock,
        store: Store,
        keyring: Arc<Keyring>,
        peppers: Peppers,
        copies: Copies,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            folder: Arc::new(copies.folder),
            shared: copies.shared,
            local: LocalCache::new(options.listings_max),
            snapshot: ArcSwap::from_pointee(Snapshot::unknown(Arc::new(peppers))),
            node: random::uuid_v7(clock.now_ms()),
            wake: Notify::new(),
            known: watch::Sender::new(0),
            confirmations: Confirmations::default(),
            joined: Notify::new(),
            live_nodes: Arc::new(AtomicUsize::new(1)),
            company: ArcSwap::default(),
            wake_others: Notify::new(),
            options,
            clock,
            store,
            keyring,
            metrics,
        }
    }

    /// Whether this node may answer from memory now.
    pub fn is_current(&self) -> bool {
        self.snapshot.load().is_leased(self.clock.boot_ns())
    }

    /// The sequence that this node knows the registry up to, and when it last did.
    pub fn known(&self) -> (u64, Rfc3339) {
        let snapshot = self.snapshot.load();
        (snapshot.sequence, snapshot.as_of)
    }

    /// Whether this node's store keeps what it confirms: [`Store::is_sound`].
    pub fn is_sound(&self) -> bool {
        self.store.is_sound()
    }

    /// What memory alone can say: the way of nearly every check, without lock, allocation or I/O. None: ask [`Self::lookup`].
    pub fn lookup_in_memory(&self, digest: &IdDigest) -> Option<Finding> {
        let snapshot = self.snapshot.load();
        if !snapshot.is_leased(self.clock.boot_ns()) {
            return None;
        }
        let finding = |listing| Finding { listing, sequence: snapshot.sequence, as_of: snapshot.as_of };
        let (key, presence) = snapshot.presence_of(digest);
        match presence {
            Presence::Absent => {
                self.metrics.lookups_filter.inc();
                Some(finding(None))
            }
            Presence::Maybe { fresh_from } => {
                let copy = self.local.find(&key, fresh_from)?;
                self.metrics.lookups_local.inc();
                Some(finding(copy.listing))
            }
        }
    }

    /// What is listed of a number: from memory where memory is current, else from Redis or the store.
    pub async fn lookup(self: &Arc<Self>, digest: &IdDigest) -> Result<Finding, RegistryError> {
        match self.lookup_in_memory(digest) {
            Some(finding) => Ok(finding),
            None => self.lookup_outside(&[digest]).await?.pop().ok_or(RegistryError::Stopped),
        }
    }

    /// The same for many numbers, in their order: those that memory does not know are asked for together. None for
    /// those that could not be asked; the others stand.
    pub async fn lookup_all(self: &Arc<Self>, digests: &[&IdDigest]) -> Vec<Option<Finding>> {
        let mut findings: Vec<_> = digests.iter().map(|digest| self.lookup_in_memory(digest)).collect();
        let unknown: Vec<_> = (0..digests.len()).filter(|index| findings[*index].is_none()).collect();
        for some in unknown.chunks(KEYS_MAX) {
            let asked: Vec<_> = some.iter().map(|index| digests[*index]).collect();
            match self.lookup_outside(&asked).await {
                Ok(found) => some.iter().zip(found).for_each(|(index, found)| findings[*index] = Some(found)),
                Err(failure) => tracing::debug!(error = %failure, "part of a batch could not be looked up"),
            }
        }
        findings
    }

    /// Asks Redis, then the store for those that Redis has no good copy of.
    async fn lookup_outside(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<Vec<Finding>, RegistryError> {
        let mut findings = self.lookup_in_redis(digests).await;
        let rest: Vec<_> = (0..digests.len()).filter(|index| findings[*index].is_none()).collect();
        if !rest.is_empty() {
            let asked: Vec<_> = rest.iter().map(|index| digests[*index]).collect();
            let found = self.lookup_in_store(&asked).await?;
            rest.iter().zip(found).for_each(|(index, found)| findings[*index] = Some(found));
        }
        Ok(findings.into_iter().flatten().collect())
    }

    async fn lookup_in_redis(&self, digests: &[&IdDigest]) -> Vec<Option<Finding>> {
        // One snapshot says how new a copy must be and until when that is known: a change that it does not hold was not
        // acknowledged when it was taken.
        let snapshot = self.snapshot.load_full();
        let is_leased = snapshot.is_leased(self.clock.boot_ns());
        let Some(shared) = self.shared.as_ref().filter(|shared| is_leased && !shared.link().is_open()) else {
            return vec![None; digests.len()];
        };
        let (keys, presences): (Vec<_>, Vec<_>) = digests.iter().map(|digest| snapshot.presence_of(digest)).unzip();
        let copies = shared.find(&snapshot.epoch, snapshot.peppers.current.version(), &keys).await;
        let finding = |((key, presence), copy): ((LookupKey, Presence), Option<Copy>)| {
            let Presence::Maybe { fresh_from } = presence else { return None };
            let copy = copy.filter(|copy| copy.sequence >= fresh_from)?;
            self.metrics.lookups_redis.inc();
            self.local.keep(key, copy);
            Some(Finding { listing: copy.listing, sequence: snapshot.sequence, as_of: snapshot.as_of })
        };
        keys.into_iter().zip(presences).zip(copies).map(finding).collect()
    }

    /// What is listed of some numbers (at most [`KEYS_MAX`]) by the store, whatever memory knows. No copy is kept: most of those that
    /// are asked for like this are not listed.
    pub async fn ask_store(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<Vec<Finding>, RegistryError> {
        let as_of = Rfc3339::of(self.clock.now_ms());
        let RecordsRead { head: sequence, numbers, .. } = self.read_in_time(digests).await?;
        let finding = |(_, records)| Finding { listing: Listing::from_records(records), sequence, as_of };
        Ok(numbers.into_iter().map(finding).collect())
    }

    /// Where the store lives: a worker busy with batches comes late to each step of a read, and would take its delay for the store's.
    async fn read_in_time(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<RecordsRead, RegistryError> {
        let (registry, asked) = (Arc::clone(self), digests.iter().copied().cloned().collect::<Vec<_>>());
        let read = self.store.runtime().spawn(async move {
            tokio::time::timeout(registry.options.store_timeout, registry.read_records(&asked)).await
        });
        let read = read.await.map_err(|_| RegistryError::Stopped)?.map_err(|_| RegistryError::TooSlow).flatten();
        let read = read.inspect_err(|_| self.metrics.lookups_failed.inc())?;
        self.metrics.lookups_store.inc_by(digests.len() as u64);
        Ok(read)
    }

    async fn lookup_in_store(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<Vec<Finding>, RegistryError> {
        // Taken before the read: what is kept under this epoch was not read in an earlier one.
        let epoch = self.epoch();
        // Taken before the read: the answer is at least as new as this.
        let as_of = Rfc3339::of(self.clock.now_ms());
        let RecordsRead { head: sequence, key_version, numbers } = self.read_in_time(digests).await?;
        let finding = |(key, records)| {
            let listing = Listing::from_records(records);
            self.local.keep(key, Copy { listing, sequence });
            Finding { listing, sequence, as_of }
        };
        let keys: Vec<_> = numbers.iter().map(|(key, _)| *key).collect();
        let findings: Vec<_> = numbers.into_iter().map(finding).collect();
        if let Some(shared) = &self.shared {
            let listed = keys.iter().zip(&findings).filter_map(|(key, finding)| Some((*key, finding.listing?)));
            shared.keep(&epoch, key_version, sequence, listed.collect());
        }
        Ok(findings)
    }

    /// The tier that all nodes share, if there is one.
    pub fn shared(&self) -> Option<&Arc<SharedCache>> {
        self.shared.as_ref()
    }

    /// The feed's epoch, as this node knows it.
    pub fn epoch(&self) -> Arc<str> {
        Arc::clone(&self.snapshot.load().epoch)
    }

    /// Wakes the other nodes' followers through Redis, soon and in the background; several calls may become one. Wake-ups may be
    /// lost: the poll is what a follower relies on.
    pub fn wake_others(&self) {
        self.wake_others.notify_one();
    }

    /// This node's id in the store.
    pub fn node(&self) -> Uuid {
        self.node
    }

    /// Nodes that serve from this store, this one included.
    pub fn live_nodes(&self) -> usize {
        self.live_nodes.load(Ordering::Acquire)
    }

    /// The same number for those who cannot name the registry: limits share a rate among the nodes by it.
    pub fn live_nodes_counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.live_nodes)
    }

    /// What a node does beside answering and following: it looks at the others, tells how far it is, waits for them, wakes them
    /// and is woken by them. Until the task is dropped.
    pub async fn keep_company(self: Arc<Self>) {
        let membership = Membership::default().run(Arc::clone(&self));
        let wakes = follower::exchange_wakes(Arc::clone(&self));
        tokio::join!(membership, Confirmations::tell(Arc::clone(&self)), wakes, Confirmations::read(self));
    }

    /// Waits until every check that starts from now on knows the change: the step between commit and 201. That is when this
    /// node's snapshot holds it and every other node has confirmed as much; or, whoever cannot be heard of, when every lease
    /// that does not know the change has run out: such a lease counts from before the commit.
    ///
    /// A sequence counts in the epoch of its transaction alone: after a failover that lost commits, a snapshot or a confirmation
    /// of before may well be at a higher one and not hold the change.
    pub async fn published(&self, sequence: u64, audience: &Audience) -> Result<(), RegistryError> {
        let mut known = self.known.subscribe();
        self.wake.notify_one();
        self.wake_others();
        let leases_end = tokio::time::sleep(self.options.lease + LEASE_DRIFT);
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
