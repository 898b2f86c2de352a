//! What a node has said while its memory could say nothing. What is done with it is in `dating.rs`.

use std::sync::atomic::{AtomicI64, AtomicU64};

/// The newest that the store said while no snapshot had a lease.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// A lease that ends earlier counts from before it.
    pub(super) lease_until_ns: AtomicU64,
    /// Wall time.
    pub(super) as_of_ms: AtomicI64,
}
