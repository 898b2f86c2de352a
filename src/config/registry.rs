//! `[registry]`: bounds of the registry in memory.

use super::setting::section;

section! {
    /// Bounds of the registry in memory.
    Registry in "registry." {
        /// How long a node may answer from memory after its last question to the store.
        lease_ms: u64 = 1000, unit("ms"), within(50..=60_000);
        /// How often a node asks the store for changes.
        poll_ms: u64 = 250, unit("ms"), must(|ms| *ms >= 10, "10 to half of `registry.lease_ms`");
        /// Memory for every listing, so that no hit asks the store. Beyond it, or with 0, there is a filter.
        exact_mib: u64 = 256, unit("MiB"), within(0..=65_536);
        /// Copies of listings that are kept in memory beside a filter.
        listings_max: usize = 100_000, unit("listings"), within(1..=100_000_000);
        /// Changes that are worked into the listings in memory, or start a new filter.
        rebuild_after: usize = 50_000, unit("changes"), within(1..=1_000_000);
        /// Listings that a client ends in a day by itself, by withdrawals and earlier starts of replacements; beyond them a second client of its organization confirms each.
        withdrawals_per_day: u64 = 200, unit("withdrawals"), within(1..=1_000_000);
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
