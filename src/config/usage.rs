//! `[usage]`: counting of usage.

use super::setting::section;

section! {
    /// Counting of usage.
    Usage in "usage." {
        /// How often counts are added to the store.
        flush_seconds: u64 = 5, unit("s"), within(1..=3600);
        /// Sites that one organization is counted by on one day, on one node.
        sites_max: usize = 1000, unit("sites"), within(1..=10_000);
    }
}
