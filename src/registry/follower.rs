//! Keeps a node's snapshot current: applies the change feed, renews the lease, works changes into what it holds of all numbers.
//! The only writer of the snapshot. Invariants: the lease counts from *before* the question was asked; within an epoch the sequence
//! never falls and has no gap, else everything is loaded again; every wait has an end, because a network may swallow a question.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::building::{self, Built};
use super::exact::PARTS;
use super::packed::Packed;
use super::saving::{self, Saving};
use super::snapshot::{Base, Read, Snapshot};
use super::state::{Registry, RegistryError, nanos};
use crate::clock::Rfc3339;
use crate::crypto::digest::LookupKey;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Listing;
use crate::store::feed::{Change, ChangeKind, Listener, PAGE_CHANGES_MAX};
use crate::store::reports::KEYS_MAX;
use crate::wiping::spawn_wiped;

/// How long reading everything may take: longer than PostgreSQL lets the read take.
const LOAD_MAX: Duration = Duration::from_mins(15);
/// How long joining may take: longer than a writer waits for its turn among many.
const JOIN_MAX: Duration = Duration::from_secs(30);
/// How long catching up may take after everything is loaded.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// Changed numbers whose listings are read in a turn at most.
const READ_AT_ONCE_MAX: usize = 1024;
/// Parts of the exact listings that changes are worked into in a turn.
const MERGED_AT_ONCE: usize = 16;

/// Follows the feed for one registry.
pub struct Follower {
    registry: Arc<Registry>,
    listener: Arc<dyn Listener>,
    saving: Saving,
    rebuild: Option<JoinHandle<Result<Built, RegistryError>>>,
    /// Changed numbers that the store was not asked about yet.
    unread: Vec<LookupKey>,
    /// The next part that changes are worked into, while they are.
    merging: Option<usize>,
    /// The filter came from the disk: perhaps the listings fit into memory by now.
    may_fit: bool,
    failing: bool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("failing", &self.failing).finish_non_exhaustive()
    }
}

impl Follower {
    pub fn new(registry: Arc<Registry>, listener: Arc<dyn Listener>) -> Self {
        Self {
            registry,
            listener,
            saving: Saving::default(),
            rebuild: None,
            unread: Vec::new(),
            merging: None,
            may_fit: false,
            failing: false,
        }
    }

    /// Loads everything, from local disk if it can, and catches up: after it the node may answer.
    pub async fn load(&mut self) -> Result<(), RegistryError> {
        self.load_from(Source::DiskOrRows).await
    }

    async fn load_from(&mut self, source: Source) -> Result<(), RegistryError> {
        let load = async {
            self.join().await?;
            self.reload(source).await?;
            self.listener.on_reload().await?;
            self.catch_up().await
        };
        tokio::time::timeout(LOAD_MAX, load).await.unwrap_or(Err(RegistryError::TooSlow))
    }

    async fn join(&self) -> Result<(), RegistryError> {
        let joined = self.registry.store.join(self.registry.node);
        Ok(tokio::time::timeout(JOIN_MAX, joined).await.map_err(|_| RegistryError::TooSlow)??)
    }

    /// A poll that took longer than a lease is made again: nobody relies yet on what this node knows.
    async fn catch_up(&mut self) -> Result<(), RegistryError> {
        let until = self.registry.clock.boot_ns().saturating_add(nanos(CATCH_UP_MAX));
        loop {
            match self.poll().await {
                Err(RegistryError::TooSlow) if self.registry.clock.boot_ns() < until => {}
                polled => return polled,
            }
        }
    }

    /// Follows until the task is dropped.
    pub async fn run(mut self) {
        loop {
            let registry = Arc::clone(&self.registry);
            tokio::select! {
                () = registry.wake.notified() => {}
                () = tokio::time::sleep(registry.options.poll) => {}
            }
            match self.turn().await {
                Ok(()) if self.failing => {
                    self.failing = false;
                    info!("the feed can be followed again");
                }
                Ok(()) => {}
                Err(failure) => {
                    registry.metrics.follower_failures.inc();
                    // Once per outage: the lease runs out by itself and readiness tells the rest.
                    if !std::mem::replace(&mut self.failing, true) {
                        error!(error = %failure, "the feed cannot be followed; checks go to the store when the lease ends");
                    }
                }
            }
        }
    }

    /// One turn of [`Self::run`]: the snapshot is brought up to date, and what it holds tended to.
    pub async fn turn(&mut self) -> Result<(), RegistryError> {
        let polled = self.poll().await;
        self.read_changed().await;
        self.tend_merge().await;
        self.tend_rebuild().await;
        self.saving.tend(&self.registry);
        polled
    }

    /// Asks for every change since the last poll and renews the lease.
    async fn poll(&mut self) -> Result<(), RegistryError> {
        let registry = Arc::clone(&self.registry);
        let mut snapshot = Snapshot::clone(&registry.snapshot.load());
        let (mut asked_ns, mut asked_wall_ms, mut is_member, mut key_versions);
        loop {
            // Before the question, the last one where there are many pages: a change committed after this moment may be missing
            // from the answer, and the lease must run out before anybody relies on it.
            (asked_ns, asked_wall_ms) = (registry.clock.boot_ns(), registry.clock.now_ms());
            // A question that the network swallowed must not be waited for: another connection may get through.
            let page = registry.store.feed_after(snapshot.sequence, registry.node);
            let page =
                tokio::time::timeout(registry.options.lease, page).await.map_err(|_| RegistryError::TooSlow)??;
            (is_member, key_versions) = (page.is_member, page.key_versions);
            let expected = snapshot.sequence.plus(page.changes.len() as u64);
            let is_whole = page.changes.len() == PAGE_CHANGES_MAX || expected == page.head;
            let last = page.changes.last().map_or(snapshot.sequence, |change| change.sequence);
            if *page.epoch != *snapshot.epoch || page.head < snapshot.sequence || last != expected || !is_whole {
                warn!(
                    known = snapshot.sequence.get(),
                    head = page.head.get(),
                    "the feed went back, has a gap or is another one: loading everything again"
                );
                registry.metrics.epoch_changes.inc();
                // From rows: a gap that the feed has behind a saved filter would lead here again and again.
                return Box::pin(self.load_from(Source::Rows)).await;
            }
            snapshot = snapshot.with_changes(&self.sort_out(&page.changes), expected);
            if expected == page.head {
                break;
            }
        }
        if !is_member {
            // The others took this node for gone: what it knows is good, but no writer waits for its lease any more.
            warn!("this node was dropped by the others and joins again");
            self.join().await?;
            return Box::pin(self.poll()).await;
        }
        // Without the right peppers an absent key would prove nothing: no lease.
        let peppers = tokio::time::timeout(registry.options.lease, registry.peppers_for(key_versions)).await;
        snapshot.peppers = peppers.map_err(|_| RegistryError::TooSlow)??;
        snapshot.lease_until_ns = asked_ns.saturating_add(nanos(registry.options.lease));
        snapshot.as_of = Rfc3339::of(asked_wall_ms);
        self.publish(snapshot, asked_wall_ms);
        Ok(())
    }

    /// Listings for the snapshot; everything else to the listener that remembers it.
    fn sort_out(&mut self, changes: &[Change]) -> Vec<(LookupKey, Sequence)> {
        let mut listings = Vec::with_capacity(changes.len());
        for change in changes {
            match (change.kind, <[u8; 16]>::try_from(change.subject.as_slice())) {
                (ChangeKind::Listing, Ok(key)) => {
                    listings.push((LookupKey::from_bytes(key), change.sequence));
                }
                (ChangeKind::Listing, Err(_)) => {
                    error!(sequence = change.sequence.get(), "a listing change without a lookup key");
                }
                (kind, _) => {
                    if kind == ChangeKind::Node {
                        self.registry.joined.notify_one();
                    }
                    self.listener.on_change(change);
                }
            }
        }
        self.unread.extend(listings.iter().map(|(key, _)| *key));
        listings
    }

    fn publish(&self, snapshot: Snapshot, asked_wall_ms: UnixMs) {
        let metrics = &self.registry.metrics;
        metrics.feed_sequence.set(i64::try_from(snapshot.sequence.get()).unwrap_or(i64::MAX));
        metrics.recent_changes.set(i64::try_from(snapshot.recent.len()).unwrap_or(i64::MAX));
        metrics.filter_keys.set(i64::try_from(snapshot.base.keys()).unwrap_or(i64::MAX));
        metrics.exact.set(i64::from(matches!(snapshot.base, Base::Exact(_))));
        metrics.lease_as_of_ms.set(asked_wall_ms.get());
        metrics.rotating_from.set(snapshot.peppers.versions().previous.map_or(0, i64::from));
        let sequence = snapshot.sequence;
        self.registry.snapshot.store(Arc::new(snapshot));
        self.registry.known.send_replace(sequence);
    }

    /// Asks the store what is listed of numbers that have changed, so that no check has to. While rows are being re-keyed one key
    /// alone does not tell what is listed of a number: then checks ask, by both.
    async fn read_changed(&mut self) {
        let registry = Arc::clone(&self.registry);
        let snapshot = registry.snapshot.load_full();
        if !matches!(snapshot.base, Base::Exact(_)) || snapshot.is_rotating() {
            self.unread.clear();
            return;
        }
        let first = self.unread.len().saturating_sub(READ_AT_ONCE_MAX);
        let asked = self.unread.split_off(first);
        // The lease must not run out over it.
        let time_max = registry.options.store_timeout.min(registry.options.poll);
        let read = tokio::time::timeout(time_max, read_listings(&registry, &snapshot, &asked)).await;
        let Ok(Ok(read)) = read else {
            tracing::debug!("what is listed of changed numbers could not be read; it will be tried again");
            self.unread.extend(asked);
            return;
        };
        if !read.is_empty() {
            registry.snapshot.store(Arc::new(Snapshot::clone(&snapshot).with_read(&read)));
        }
        if !self.unread.is_empty() {
            registry.wake.notify_one();
        }
    }

    /// Works changes into the exact listings once there are many, some parts in a turn.
    async fn tend_merge(&mut self) {
        let registry = Arc::clone(&self.registry);
        let snapshot = registry.snapshot.load_full();
        let Base::Exact(exact) = &snapshot.base else {
            self.merging = None;
            return;
        };
        let least = registry.options.rebuild_after;
        let due = snapshot.recent.len() >= least && snapshot.mergeable() >= least;
        let Some(first) = self.merging.or(due.then_some(0)).filter(|_| !snapshot.is_rotating()) else {
            self.merging = None;
            return;
        };
        let next = first + MERGED_AT_ONCE;
        let made = if building::fits(exact.keys() + snapshot.recent.len() as u64, registry.options.exact_bytes) {
            let merge = Snapshot::clone(&snapshot);
            let merged = spawn_wiped(move || merge.with_merged(first..next));
            merged.await.map_err(|_| RegistryError::Stopped)
        } else {
            info!(numbers = exact.keys(), "the listings outgrow registry.exact_mib: from now on there is a filter");
            building::filter_of(Arc::clone(exact)).await.map(|filter| Snapshot::clone(&snapshot).with_base(filter))
        };
        match made {
            Ok(made) => registry.snapshot.store(Arc::new(made)),
            Err(failure) => error!(error = %failure, "changes were not worked in; it will be tried again"),
        }
        self.merging = (next < PARTS).then_some(next);
        if self.merging.is_some() {
            registry.wake.notify_one();
        }
    }

    /// Starts a rebuild from the store when it is due, and puts a finished one in place.
    async fn tend_rebuild(&mut self) {
        let current = self.registry.snapshot.load_full();
        match self.rebuild.take_if(|task| task.is_finished()) {
            Some(task) => match task.await.map_err(|_| RegistryError::Stopped).flatten() {
                // Invariant 12: one older than that in place would lose changes. One that holds rows under a pepper
                // that this snapshot does not look up by would lose those.
                Ok(Built { base, key_versions, .. })
                    if base.built_at() >= current.base.built_at() && current.peppers.versions().cover(key_versions) =>
                {
                    let swapped = Snapshot::clone(&current).with_base(base);
                    (self.merging, self.unread) = (None, swapped.unread());
                    self.registry.snapshot.store(Arc::new(swapped));
                }
                Ok(_) => {}
                Err(failure) => error!(error = %failure, "the rows were not read; it will be tried again"),
            },
            None if self.rebuild.is_none() && (self.may_fit || is_rebuild_due(&current, &self.registry)) => {
                self.may_fit = false;
                let registry = Arc::clone(&self.registry);
                self.rebuild = Some(tokio::spawn(async move { building::build(&registry).await }));
            }
            None => {}
        }
    }

    /// Forgets everything and reads it again.
    async fn reload(&mut self, source: Source) -> Result<(), RegistryError> {
        (self.rebuild, self.merging) = (None, None);
        self.may_fit = false;
        self.unread.clear();
        let peppers = Arc::clone(&self.registry.snapshot.load().peppers);
        self.registry.snapshot.store(Arc::new(Snapshot::unknown(peppers)));
        self.registry.known.send_replace(Sequence::ZERO);
        self.registry.local.clear();
        let saved = match source {
            Source::DiskOrRows => saving::restore(&self.registry).await?,
            Source::Rows => None,
        };
        let is_saved = saved.is_some();
        let Built { base, epoch, key_versions } = match saved {
            Some((saved, key_versions)) => Built { base: saved.base, epoch: saved.epoch, key_versions },
            None => building::build(&self.registry).await?,
        };
        info!(
            numbers = base.keys(),
            sequence = base.built_at().get(),
            is_exact = matches!(base, Base::Exact(_)),
            from_disk = is_saved,
            "registry loaded"
        );
        let loaded = Snapshot {
            sequence: base.built_at(),
            base,
            epoch: Arc::from(epoch),
            ..Snapshot::unknown(self.registry.peppers_for(key_versions).await?)
        };
        if is_saved {
            self.may_fit = matches!(&loaded.base, Base::Filter(filter) if building::fits(filter.keys(), self.registry.options.exact_bytes));
            self.saving.is_saved(&loaded);
        }
        self.registry.snapshot.store(Arc::new(loaded));
        Ok(())
    }
}

/// What a node may load the registry from.
#[derive(Debug, Clone, Copy)]
enum Source {
    DiskOrRows,
    Rows,
}

/// A filter is built again when much has changed. Exact listings hold what changes by being worked in; while rows are re-keyed
/// that is not possible, and afterwards they hold keys that nobody looks up.
fn is_rebuild_due(snapshot: &Snapshot, registry: &Registry) -> bool {
    let has_changed = snapshot.recent.len() >= registry.options.rebuild_after;
    match &snapshot.base {
        Base::Exact(exact) if !snapshot.is_rotating() => exact.versions != snapshot.peppers.versions(),
        Base::Exact(_) | Base::Filter(_) => has_changed,
    }
}

/// What the store has listed of some numbers, unless it is keyed by other peppers than the snapshot, or of another history.
async fn read_listings(
    registry: &Registry,
    snapshot: &Snapshot,
    keys: &[LookupKey],
) -> Result<Vec<(LookupKey, Read)>, RegistryError> {
    let mut listings = Vec::with_capacity(keys.len());
    for some in keys.chunks(KEYS_MAX) {
        let read = registry.store.records_of(some).await?;
        if read.key_versions != snapshot.peppers.versions() {
            return Ok(Vec::new());
        }
        let listed = |records: Vec<_>| Packed::of(Listing::from_records(records).as_ref());
        let read = read.records.into_iter().map(|records| Read { at: read.head, listed: listed(records) });
        listings.extend(some.iter().copied().zip(read));
    }
    Ok(listings)
}
