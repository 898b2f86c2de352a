//! Keeps a node's snapshot current: applies the change feed, renews the lease, rebuilds the filter in the background.
//! The only writer of the snapshot. Wakes the other nodes' followers, and is woken by them. Invariants: the lease counts from
//! *before* the question was asked; within an epoch the sequence never falls and has no gap, else everything is loaded again;
//! every wait has an end, because a network may swallow a question.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::cache::{SharedCache, prefix};
use super::saving::{self, Saving};
use super::snapshot::{Filter, Snapshot};
use super::state::{Registry, RegistryError};
use crate::clock::Rfc3339;
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::redis_link::{PAUSE_FIRST, PAUSE_MAX, jittered};
use crate::store::feed::{Change, ChangeKind, Listener, PAGE_CHANGES_MAX};

/// How long reading everything may take: longer than PostgreSQL lets the read take.
const LOAD_MAX: Duration = Duration::from_mins(15);
/// How long joining may take: longer than a writer waits for its turn.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// Follows the feed for one registry.
pub struct Follower {
    registry: Arc<Registry>,
    listener: Arc<dyn Listener>,
    saving: Saving,
    rebuild: Option<JoinHandle<Result<(Filter, KeyVersions), RegistryError>>>,
    failing: bool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("failing", &self.failing).finish_non_exhaustive()
    }
}

impl Follower {
    pub fn new(registry: Arc<Registry>, listener: Arc<dyn Listener>) -> Self {
        Self { registry, listener, saving: Saving::default(), rebuild: None, failing: false }
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
            self.poll().await
        };
        tokio::time::timeout(LOAD_MAX, load).await.unwrap_or(Err(RegistryError::TooSlow))
    }

    async fn join(&self) -> Result<(), RegistryError> {
        let joined = self.registry.store.join(self.registry.node);
        Ok(tokio::time::timeout(JOIN_MAX, joined).await.map_err(|_| RegistryError::TooSlow)??)
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

    /// One turn of [`Self::run`]: the snapshot is brought up to date, and the filter tended to.
    pub async fn turn(&mut self) -> Result<(), RegistryError> {
        let polled = self.poll().await;
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
        let lease_ns = u64::try_from(registry.options.lease.as_nanos()).unwrap_or(u64::MAX);
        snapshot.lease_until_ns = asked_ns.saturating_add(lease_ns);
        snapshot.as_of = Rfc3339::of(asked_wall_ms);
        self.publish(snapshot, asked_wall_ms);
        Ok(())
    }

    /// Listings for the snapshot; everything else to the listener that remembers it.
    fn sort_out(&self, changes: &[Change]) -> Vec<(u64, Sequence)> {
        let mut listings = Vec::with_capacity(changes.len());
        for change in changes {
            match (change.kind, <[u8; 16]>::try_from(change.subject.as_slice())) {
                (ChangeKind::Listing, Ok(key)) => {
                    listings.push((LookupKey::from_bytes(key).prefix(), change.sequence));
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
        listings
    }

    fn publish(&self, snapshot: Snapshot, asked_wall_ms: UnixMs) {
        let metrics = &self.registry.metrics;
        metrics.feed_sequence.set(i64::try_from(snapshot.sequence.get()).unwrap_or(i64::MAX));
        metrics.recent_changes.set(i64::try_from(snapshot.recent.len()).unwrap_or(i64::MAX));
        metrics.filter_keys.set(i64::try_from(snapshot.filter.keys()).unwrap_or(i64::MAX));
        metrics.lease_as_of_ms.set(asked_wall_ms.get());
        metrics.rotating_from.set(snapshot.peppers.versions().previous.map_or(0, i64::from));
        let sequence = snapshot.sequence;
        self.registry.snapshot.store(Arc::new(snapshot));
        self.registry.known.send_replace(sequence);
    }

    /// Starts a rebuild when the recent changes have grown, and puts a finished one in place.
    async fn tend_rebuild(&mut self) {
        let current = self.registry.snapshot.load_full();
        let due = current.recent.len() >= self.registry.options.rebuild_after;
        match self.rebuild.take_if(|task| task.is_finished()) {
            Some(task) => match task.await.map_err(|_| RegistryError::Stopped).flatten() {
                // Invariant 12: a filter older than the one in place would lose changes. One that holds rows under a pepper
                // that this snapshot does not look up by would lose those.
                Ok((filter, versions))
                    if filter.built_at >= current.filter.built_at && current.peppers.versions().cover(versions) =>
                {
                    let swapped = Snapshot::clone(&current).with_filter(Arc::new(filter));
                    self.registry.snapshot.store(Arc::new(swapped));
                }
                Ok(_) => {}
                Err(failure) => error!(error = %failure, "the filter was not rebuilt; it will be tried again"),
            },
            None if due && self.rebuild.is_none() => {
                let registry = Arc::clone(&self.registry);
                self.rebuild = Some(tokio::spawn(async move {
                    let (filter, _, versions) = build_filter(&registry).await?;
                    Ok((filter, versions))
                }));
            }
            None => {}
        }
    }

    /// Forgets everything and reads it again.
    async fn reload(&mut self, source: Source) -> Result<(), RegistryError> {
        self.rebuild = None;
        let peppers = Arc::clone(&self.registry.snapshot.load().peppers);
        self.registry.snapshot.store(Arc::new(Snapshot::unknown(peppers)));
        self.registry.known.send_replace(Sequence::ZERO);
        self.registry.local.clear();
        let saved = match source {
            Source::DiskOrRows => saving::restore(&self.registry).await?,
            Source::Rows => None,
        };
        let is_saved = saved.is_some();
        let (filter, epoch, key_versions) = match saved {
            Some((saved, key_versions)) => (saved.filter, saved.epoch, key_versions),
            None => build_filter(&self.registry).await?,
        };
        info!(numbers = filter.keys(), sequence = filter.built_at.get(), from_disk = is_saved, "registry loaded");
        let loaded = Snapshot {
            sequence: filter.built_at,
            filter: Arc::new(filter),
            epoch: Arc::from(epoch),
            ..Snapshot::unknown(self.registry.peppers_for(key_versions).await?)
        };
        if is_saved {
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

async fn build_filter(registry: &Registry) -> Result<(Filter, String, KeyVersions), RegistryError> {
    let listed = registry.store.listed_prefixes().await?;
    let build = tokio::task::spawn_blocking(move || Filter::build(listed.prefixes, listed.head));
    let filter = build.await.map_err(|_| RegistryError::Stopped)??;
    Ok((filter, listed.epoch, listed.key_versions))
}

/// How often a subscription is looked at: a connection may die without a word.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Wakes other nodes and is woken by them, until the task is dropped. Without Redis there is nothing to do.
pub async fn exchange_wakes(registry: Arc<Registry>) {
    if let Some(shared) = &registry.shared {
        tokio::join!(wake_others(&registry, shared), be_woken(&registry, shared));
    }
}

fn channel(epoch: &str) -> String {
    format!("{}:wake", prefix(epoch))
}

async fn wake_others(registry: &Registry, shared: &SharedCache) {
    loop {
        registry.wake_others.notified().await;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel(&registry.epoch())).arg(registry.node.as_bytes());
        shared.link().call(|mut connection| async move { publish.query_async::<()>(&mut connection).await }).await;
    }
}

async fn be_woken(registry: &Registry, shared: &SharedCache) {
    let mut pause = PAUSE_FIRST;
    loop {
        if let Err(failure) = subscribe(registry, shared, &mut pause).await {
            tracing::debug!(why = failure.category(), "no wake-ups by Redis; the feed is polled");
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Listens until the epoch is another one, or the connection fails.
async fn subscribe(registry: &Registry, shared: &SharedCache, pause: &mut Duration) -> RedisResult<()> {
    let epoch = registry.epoch();
    let (mut sink, mut messages) = shared.link().subscriber().await?.split();
    in_time(sink.subscribe(channel(&epoch))).await?;
    *pause = PAUSE_FIRST;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) if message.get_payload_bytes() == registry.node.as_bytes() => {}
                Some(_) => {
                    registry.metrics.wakes.inc();
                    registry.wake.notify_one();
                }
                None => return Err(RedisError::from((ErrorKind::Io, "the subscription ended"))),
            },
            _ = look.tick() => {
                if registry.epoch() != epoch {
                    return Ok(());
                }
                in_time(sink.ping::<()>()).await?;
            }
        }
    }
}

async fn in_time<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(RedisError::from((ErrorKind::Io, "no answer in time")));
    tokio::time::timeout(LOOK_EVERY, work).await.unwrap_or_else(late)
}
