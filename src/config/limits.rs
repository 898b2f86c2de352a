//! `[limits]`: how often those may ask that have no limit of their own.

use std::num::NonZeroU32;

use super::raw::Fault;
use super::setting::section;
use super::value::{Value, texts};
use crate::domain::client::Rate;
use crate::domain::numbers::{Guests, NumbersMode};

section! {
    /// Limits of those that have none of their own, as `requests/seconds`: `600/60s`.
    Limits in "limits." {
        /// Requests of a client that was created without `--rate`.
        client: Rate = rate(600);
        /// Requests of an organization that was created without `--rate`.
        organization: Rate = rate(60_000);
        /// Guests a day of a client that was created without `--numbers`: numbers that it has not asked about for a day. `none`: nobody counts.
        numbers: Guests = Guests::ADay(positive(1000));
        /// Whether limits of numbers refuse, or only count and tell.
        numbers_mode: Option<NumbersMode> = None, default_is("as the store says: `enforce`, and `observe` where 0.1 made it");
        /// Token requests and failed authentications of one source address.
        address: Rate = rate(600);
        /// Requests without a token from one source address.
        public: Rate = rate(600);
    }
}

texts! {
    Guests: "guests a day: 250/1d, or none", Self::parse, Self::to_string;
    NumbersMode: "`observe` or `enforce`", Self::parse, |mode| mode.as_str().to_owned();
}

fn positive(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// So many a minute.
fn rate(requests: u32) -> Rate {
    Rate { requests: positive(requests), per_seconds: positive(60) }
}
