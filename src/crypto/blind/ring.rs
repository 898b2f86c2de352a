//! The blind keys that a process holds, by epoch: those of its key folder, and those that other nodes have made.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::key::BlindKey;

/// Blind keys by epoch.
#[derive(Debug, Default)]
pub struct BlindRing(ArcSwap<BTreeMap<u32, Arc<BlindKey>>>);

impl BlindRing {
    /// The key of an epoch.
    pub fn get(&self, epoch: u32) -> Option<Arc<BlindKey>> {
        self.0.load().get(&epoch).cloned()
    }

    /// Every key.
    pub fn all(&self) -> Vec<Arc<BlindKey>> {
        self.0.load().values().cloned().collect()
    }

    /// Adds a key, or puts it in the place of another of its epoch.
    pub fn take(&self, key: BlindKey) {
        let key = Arc::new(key);
        self.0.rcu(|keys| {
            let mut keys = BTreeMap::clone(keys);
            keys.insert(key.epoch(), Arc::clone(&key));
            keys
        });
    }

    /// Forgets the keys of other epochs than these.
    pub fn keep(&self, wanted: &[u32]) {
        self.0.rcu(|keys| {
            let mut keys = BTreeMap::clone(keys);
            keys.retain(|epoch, _| wanted.contains(epoch));
            keys
        });
    }

    /// Forgets keys that are not what the store says: a file may be of another store, or of a rotation that never came in force.
    pub fn keep_those_of(&self, public_key: impl Fn(u32) -> Option<[u8; 32]>) {
        self.0.rcu(|keys| {
            let mut keys = BTreeMap::clone(keys);
            keys.retain(|epoch, key| public_key(*epoch) == Some(key.public_key()));
            keys
        });
    }

    /// The newest epoch that it has a key of.
    pub fn newest(&self) -> Option<u32> {
        self.0.load().keys().next_back().copied()
    }
}
