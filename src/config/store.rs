//! `[store]`: bounds of the connections to the store.

use super::setting::section;

section! {
    /// Bounds of the store.
    Store in "store." {
        /// Connections of one node.
        connections_max: u32 = 8, unit("connections"), within(1..=1000);
        /// How long a request waits for a free connection.
        acquire_timeout_ms: u64 = 250, unit("ms"), within(10..=60_000);
        /// How long a writer waits to hear that its change is durable.
        commit_timeout_ms: u64 = 2000, unit("ms"), within(100..=60_000);
    }
}
