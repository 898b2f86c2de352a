//! `[redis]`: bounds of the calls to Redis.

use super::setting::section;

section! {
    /// Bounds of Redis.
    Redis in "redis." {
        /// How long one call may take.
        timeout_ms: u64 = 50, unit("ms"), within(5..=1000);
    }
}
