//! `[tokens]`: the access tokens that this service issues and remembers.

use super::setting::section;

section! {
    /// Bounds of access tokens.
    Tokens in "tokens." {
        /// How long an access token is valid.
        lifetime_seconds: i64 = 600, unit("s"), within(60..=3600);
        /// Verified tokens that are kept in memory.
        remembered_max: usize = 100_000, unit("tokens"), within(1..=10_000_000);
        /// Keys of outside issuers are fetched from this machine, by plain HTTP: for tests of issuers alone.
        insecure_loopback_for_tests: bool = false;
    }
}
