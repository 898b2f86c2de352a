//! Proofs from the tiles of a tree: that it continues an older one, that a leaf is in it.

use std::collections::HashMap;

use crate::crypto::tlog::Hash;
use crate::crypto::tlog::proof::{Range, consistency, hashes, inclusion};
use crate::crypto::tlog::tile::{self, Place};
use crate::domain::registry_log::LogEpoch;
use crate::store::{Store, StoreError};

/// The proof from `old` leaves to `size`. Tiles that have grown since serve as well: what they had is unchanged.
pub async fn consistency_proof(store: &Store, epoch: LogEpoch, old: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
    read(store, epoch, &consistency(old, size)).await
}

/// The path of a leaf in the tree of `size` leaves, from below.
pub async fn inclusion_path(store: &Store, epoch: LogEpoch, index: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
    read(store, epoch, &inclusion(index, size)).await
}

async fn read(store: &Store, epoch: LogEpoch, ranges: &[Range]) -> Result<Vec<Hash>, StoreError> {
    let mut tiles = HashMap::new();
    for place in ranges.iter().flat_map(|range| range.subtrees()).map(Place::of) {
        if let std::collections::hash_map::Entry::Vacant(free) = tiles.entry((place.level, place.index)) {
            let bytes = store.log_tile(epoch, place.level, place.index).await?.unwrap_or_default();
            free.insert(tile::hashes(&bytes).ok_or(StoreError::Corrupt("log_tiles.hashes"))?);
        }
    }
    let read = |subtree| {
        let place = Place::of(subtree);
        place.read(tiles.get(&(place.level, place.index))?)
    };
    hashes(ranges, read).ok_or(StoreError::Corrupt("log_tiles.hashes"))
}
