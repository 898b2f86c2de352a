//! `Registry`: what look-ups, follower and company share of a node's knowledge. Here is only what it holds; what is done with it
//! is in the files next to this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::cache::{LocalCache, SharedCache};
use super::company::Company;
use super::confirmations::Confirmations;
use super::disk::FilterFolder;
use super::filter::FilterError;
use super::said::Said;
use super::snapshot::Snapshot;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::pepper::Peppers;
use crate::crypto::{KeyError, Keyring, random};
use crate::domain::ids::NodeId;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Listing;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How far timers may run apart from the clock that leases are measured by.
pub const LEASE_DRIFT: Duration = Duration::from_millis(50);

/// A duration in the unit of [`crate::clock::Clock::boot_ns`].
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Bounds and times of the registry.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// How long a snapshot may answer after the moment of its poll.
    pub lease: Duration,
    /// How often the follower asks.
    pub poll: Duration,
    /// Listings kept in memory.
    pub listings_max: usize,
    /// Memory for exact listings; with more of them there is a filter.
    pub exact_bytes: u64,
    /// Recent changes that are worked into the exact listings, or start a rebuild of the filter.
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
            exact_bytes: 256 << 20,
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
    Filter(#[from] FilterError),
    #[error("the store may have lost what it had confirmed: its history is another one")]
    OtherHistory,
    #[error("the follower has stopped")]
    Stopped,
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl RegistryError {
    /// The same for another one who waited for the same.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Store(error) => error.again().into(),
            Self::OtherHistory => Self::OtherHistory,
            Self::Stopped => Self::Stopped,
            Self::TooSlow | Self::Filter(_) | Self::Keys(_) => Self::TooSlow,
        }
    }
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
    pub sequence: Sequence,
    pub as_of: Rfc3339,
}

/// A node's knowledge of the registry.
#[derive(Debug)]
pub struct Registry {
    pub(super) options: RegistryOptions,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) keyring: Arc<Keyring>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) snapshot: ArcSwap<Snapshot>,
    pub(super) local: LocalCache,
    pub(super) shared: Option<Arc<SharedCache>>,
    /// Where the filter is saved.
    pub(super) folder: Arc<FilterFolder>,
    /// This node, among those that may hold a lease.
    pub(super) node: NodeId,
    /// Wakes the follower before its next turn.
    pub(super) wake: Notify,
    /// The sequence of the snapshot in place.
    pub(super) known: watch::Sender<Sequence>,
    pub(super) confirmations: Confirmations,
    /// What was said while memory could say nothing: what it says later must not be older.
    pub(super) said: Said,
    /// A node joined.
    pub(super) joined: Notify,
    /// Nodes that serve from this store, this one included, as far as this one knows.
    pub(super) live_nodes: Arc<AtomicUsize>,
    /// All nodes at the last look.
    pub(super) company: ArcSwap<Company>,
    /// Asks for a wake-up of the other nodes.
    pub(super) wake_others: Notify,
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
            node: random::id(clock.now_ms()),
            wake: Notify::new(),
            known: watch::Sender::new(Sequence::ZERO),
            confirmations: Confirmations::default(),
            said: Said::default(),
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
    pub fn known(&self) -> (Sequence, Rfc3339) {
        let snapshot = self.snapshot.load();
        (snapshot.sequence, snapshot.as_of)
    }

    /// Whether this node's store keeps what it confirms: [`Store::is_sound`].
    pub fn is_sound(&self) -> bool {
        self.store.is_sound()
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
    pub fn node(&self) -> NodeId {
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

    /// All nodes of the store at this node's last look, which is a second ago where the store answers.
    pub fn company(&self) -> Arc<Company> {
        self.company.load_full()
    }
}
