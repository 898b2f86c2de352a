//! Blind checks (docs/BLIND.md): the service's blind keys and their bases as a node knows them, their course (`keys`, `tending`),
//! the building of a base (`building`), and what clients are answered (`evaluating`).

pub mod auditing;
mod building;
pub mod evaluating;
pub mod keys;
mod tending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::writing::Writer;
use crate::crypto::blind::BlindVersions;
use crate::domain::instant::UnixMs;
use crate::domain::retention::Period;
use crate::limits::Asker;
use crate::limits::fair_gate::FairGate;
use crate::limits::fair_queue::Bounds;
use crate::store::StoreError;
use crate::store::blind_keys::{BlindKeys, StoredBase, StoredBlindKey};
use arc_swap::ArcSwap;

/// Evaluations that wait for their turn; of further ones the client with the most waiting gives way.
const WAITING_MAX: usize = 128;
/// How long a key is the current one.
const KEY: Duration = Duration::from_hours(7 * 24);
/// How long the key before lives on.
const PREVIOUS: Duration = Duration::from_hours(24);

/// Blind checks of a node.
#[derive(Debug)]
pub struct Blind {
    writer: Arc<Writer>,
    /// Of this service: the registry log is named after it.
    issuer: String,
    /// How long seeds and bases of keys that are over are kept for audits.
    audit_keep: Period,
    known: ArcSwap<Known>,
    /// The log that has the keys which this node publishes, and the count of looks at the key folder by which they are those.
    published: ArcSwap<Option<(u32, u64)>>,
    /// The turns of evaluations, fair by client: they take nothing from direct checks.
    turns: Arc<FairGate<Asker>>,
}

/// What a node knows of keys and bases.
#[derive(Debug, Default)]
struct Known {
    versions: Option<BlindVersions>,
    /// Newest first.
    keys: Vec<StoredBlindKey>,
    bases: BTreeMap<u32, Arc<Vec<u8>>>,
}

/// A key that clients may use.
#[derive(Debug)]
pub struct LiveKey {
    pub key: StoredBlindKey,
    pub base: StoredBase,
    /// When it ends, if the next key comes in time.
    pub until: UnixMs,
}

impl Blind {
    pub fn new(writer: Arc<Writer>, issuer: String, audit_keep: Period) -> Self {
        // Half of the cores at most, so that a node with one has one turn.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = FairGate::new(Bounds { places: cores.div_ceil(2), waiting_max: WAITING_MAX });
        let (known, published) = (ArcSwap::default(), ArcSwap::default());
        Self { writer, issuer, audit_keep, known, published, turns }
    }

    /// The keys in force that have a base, newest first. The store is asked: another node may have begun one a moment ago.
    pub async fn live_keys(&self) -> Result<Vec<LiveKey>, StoreError> {
        let stored = self.writer.store.blind_keys().await?;
        let in_force = stored.versions.filter(|_| !stored.is_cut);
        let live = in_force.map(|versions| versions.all().collect::<Vec<_>>()).unwrap_or_default();
        let begun_at = |epoch| stored.keys.iter().find(|key| key.epoch == epoch).map(|key| key.begun_at);
        let next_begun_at = stored.versions.filter(|versions| versions.previous.is_some());
        let next_begun_at = next_begun_at.and_then(|versions| begun_at(versions.current).zip(versions.previous));
        let keys = stored.keys.iter().filter(|key| live.contains(&key.epoch));
        let until = |key: &StoredBlindKey| match next_begun_at {
            Some((at, previous)) if previous == key.epoch => at.plus(PREVIOUS),
            _ => key.begun_at.plus(KEY).plus(PREVIOUS),
        };
        Ok(keys.filter_map(|key| Some(LiveKey { base: key.base?, until: until(key), key: key.clone() })).collect())
    }

    /// The bytes of a base; none where there is no such base any more, or not yet.
    pub async fn base(&self, epoch: u32) -> Result<Option<(StoredBase, Arc<Vec<u8>>)>, StoreError> {
        let live = self.live_keys().await?;
        let Some(LiveKey { base, .. }) = live.into_iter().find(|live| live.key.epoch == epoch) else { return Ok(None) };
        let bytes = match self.known.load().bases.get(&epoch) {
            Some(bytes) => Arc::clone(bytes),
            None => self.fetch_base(epoch, &base).await?,
        };
        Ok(Some((base, bytes)))
    }

    /// Takes up what the store says.
    fn note(&self, stored: BlindKeys) {
        let bases = self.known.load().bases.clone();
        let live: Vec<_> = stored.versions.map(|versions| versions.all().collect()).unwrap_or_default();
        let bases = bases.into_iter().filter(|(epoch, _)| live.contains(epoch)).collect();
        let is_behind = |versions: BlindVersions| versions.is_behind || stored.is_cut;
        let versions = stored.versions.map(|versions| BlindVersions { is_behind: is_behind(versions), ..versions });
        self.known.store(Arc::new(Known { versions, keys: stored.keys, bases }));
    }

    fn note_base(&self, epoch: u32, bytes: &Arc<Vec<u8>>) {
        self.known.rcu(|known| {
            let Known { versions, keys, bases } = &**known;
            let mut bases = bases.clone();
            bases.insert(epoch, Arc::clone(bytes));
            Known { versions: *versions, keys: keys.clone(), bases }
        });
    }
}
