//! `[limits]`: how often those may ask that have no limit of their own.

use std::num::NonZeroU32;

use super::setting::section;
use crate::domain::client::Rate;

section! {
    /// Limits of those that have none of their own, as `requests/seconds`: `600/60s`.
    Limits in "limits." {
        /// Requests of a client that was created without `--rate`.
        client: Rate = rate(600);
        /// Requests of an organization that was created without `--rate`.
        organization: Rate = rate(60_000);
        /// Token requests and failed authentications of one source address.
        address: Rate = rate(600);
        /// Requests without a token from one source address.
        public: Rate = rate(600);
    }
}

/// So many a minute.
fn rate(requests: u32) -> Rate {
    let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Rate { requests: positive(requests), per_seconds: positive(60) }
}
