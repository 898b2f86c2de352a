//! `[registry]`: bounds of the registry in memory.

use super::setting::section;

section! {
    /// Bounds of the registry in memory.
    Registry in "registry." {
        /// How long a node may answer from memory after its last question to the store.
        lease_ms: u64 = 1000, unit("ms"), within(50..=60_000);
        /// How often a node asks the store for changes.
        poll_ms: u64 = 250, unit("ms"), must(|ms| *ms >= 10, "10 to half of `registry.lease_ms`");
        /// Exact listings that are kept in memory.
        listings_max: usize = 100_000, unit("listings"), within(1..=100_000_000);
        /// Changes since the filter was built that start a new one.
        rebuild_after: usize = 50_000, unit("changes"), within(1..=1_000_000);
        /// How long a look-up in the store may take.
        store_timeout_ms: u64 = 250, unit("ms"), within(10..=10_000);
    }
}

impl Registry {
    /// A lease must outlast two questions.
    pub(super) fn lease_lasts(&self) -> bool {
        self.poll_ms.saturating_mul(2) <= self.lease_ms
    }
}
