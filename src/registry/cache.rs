//! Copies of listings, nearest first: this process's memory. A copy is used only if it is at least as new as the snapshot asks
//! (`Presence::Maybe`), so nothing ever has to be invalidated: a stale copy is simply not looked at.

use quick_cache::sync::Cache;

use crate::crypto::digest::LookupKey;
use crate::domain::verdict::Listing;

/// A listing as it was at a sequence; None: nothing was listed (a withdrawn report, or a false positive of the filter).
#[derive(Debug, Clone, Copy)]
pub struct Copy {
    pub listing: Option<Listing>,
    pub sequence: u64,
}

/// The local tier, bounded.
#[derive(Debug)]
pub struct LocalCache(Cache<LookupKey, Copy>);

impl LocalCache {
    pub fn new(listings_max: usize) -> Self {
        Self(Cache::new(listings_max))
    }

    /// A copy at least as new as `fresh_from`.
    pub fn find(&self, key: &LookupKey, fresh_from: u64) -> Option<Copy> {
        self.0.get(key).filter(|copy| copy.sequence >= fresh_from)
    }

    /// Forgets everything: sequences of another epoch cannot be compared.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Keeps a copy. An older one may overwrite a newer: it will then be found stale and read again, never believed.
    pub fn keep(&self, key: LookupKey, copy: Copy) {
        self.0.insert(key, copy);
    }
}
