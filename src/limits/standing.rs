//! What a limit says: its name, what is left of it, and how long to wait.

use std::time::Duration;

use crate::domain::client::Rate;

/// Which limit spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitName {
    Client,
    Organization,
    Address,
    /// Of an address, for what is asked without a token.
    Public,
    /// Too many wrong check characters: somebody is guessing numbers.
    AbnormalUse,
    /// Numbers that a client has not asked about lately.
    Numbers,
}

impl LimitName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Organization => "organization",
            Self::Address => "address",
            Self::Public => "public",
            Self::AbnormalUse => "abnormal_use",
            Self::Numbers => "numbers",
        }
    }
}

/// What a caller has left of a limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub limit: LimitName,
    pub rate: Rate,
    /// Units that could be spent at once.
    pub remaining: u32,
    /// Seconds until all units are there again.
    pub reset_s: u64,
}

/// A limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub standing: Standing,
    /// Whole seconds after which the same request would pass.
    pub retry_after_s: u64,
}

pub(super) fn standing(limit: LimitName, rate: Rate, remaining: u32) -> Standing {
    let spent = u64::from(rate.requests.get().saturating_sub(remaining));
    let reset_s = (spent * u64::from(rate.per_seconds.get())).div_ceil(u64::from(rate.requests.get()));
    Standing { limit, rate, remaining, reset_s }
}

/// Rounded up, and never zero: a client that waits as told must pass.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}
