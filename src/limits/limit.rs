//! One limit of one caller: a GCRA cell (the `governor` crate), and what it says about itself. Invariant: no refusal is without a
//! limit's name and a time to wait.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::domain::client::Rate;

type Cell = RateLimiter<NotKeyed, InMemoryState, Clock, StateInformationMiddleware>;

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
}

impl LimitName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Organization => "organization",
            Self::Address => "address",
            Self::Public => "public",
            Self::AbnormalUse => "abnormal_use",
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

/// One limit of one caller.
#[derive(Debug)]
pub struct Limit {
    pub(super) name: LimitName,
    pub(super) rate: Rate,
    clock: Clock,
    cell: Cell,
}

impl Limit {
    pub fn new(name: LimitName, rate: Rate, clock: Clock) -> Self {
        let cell = RateLimiter::direct_with_clock(quota(rate), clock.clone()).with_middleware();
        Self { name, rate, clock, cell }
    }

    /// Spends `cost` units. A cost above the whole limit counts as the whole limit: such a batch passes when nothing else did.
    pub fn spend(&self, cost: NonZeroU32) -> Result<Standing, Refused> {
        self.spend_share(cost, NonZeroU32::MIN)
    }

    /// The same where so many nodes share the rate: each unit weighs as many.
    pub(super) fn spend_share(&self, cost: NonZeroU32, nodes: NonZeroU32) -> Result<Standing, Refused> {
        let cost = cost.saturating_mul(nodes).min(self.rate.requests);
        match self.cell.check_n(cost) {
            Ok(Ok(state)) => Ok(self.standing(state.remaining_burst_capacity() / nodes)),
            Ok(Err(refusal)) => {
                let wait = refusal.wait_time_from(self.clock.now());
                Err(refused(self.name, self.rate, cost, nodes, wait))
            }
            // Not reached: the cost is at most the burst.
            Err(_) => {
                Err(Refused { standing: self.standing(0), retry_after_s: u64::from(self.rate.per_seconds.get()) })
            }
        }
    }

    pub(super) fn standing(&self, remaining: u32) -> Standing {
        standing(self.name, self.rate, remaining)
    }
}

pub(super) fn standing(limit: LimitName, rate: Rate, remaining: u32) -> Standing {
    let spent = u64::from(rate.requests.get().saturating_sub(remaining));
    let reset_s = (spent * u64::from(rate.per_seconds.get())).div_ceil(u64::from(rate.requests.get()));
    Standing { limit, rate, remaining, reset_s }
}

/// What a wait says about a limit: the units that it brings are those that were missing.
pub(super) fn refused(limit: LimitName, rate: Rate, cost: NonZeroU32, nodes: NonZeroU32, wait: Duration) -> Refused {
    let window_ns = u128::from(rate.per_seconds.get()) * 1_000_000_000;
    let missing = (wait.as_nanos() * u128::from(rate.requests.get())).div_ceil(window_ns);
    let left = cost.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX)) / nodes;
    Refused { standing: standing(limit, rate, left), retry_after_s: whole_seconds(wait) }
}

/// Rounded up, and never zero: a client that waits as told must pass.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

pub(super) fn quota(rate: Rate) -> Quota {
    let window_ns = u64::from(rate.per_seconds.get()) * 1_000_000_000;
    let per_unit = Duration::from_nanos((window_ns / u64::from(rate.requests.get())).max(1));
    // Unwrap safety of the alternative: a period of zero is excluded above.
    Quota::with_period(per_unit).unwrap_or(Quota::per_second(rate.requests)).allow_burst(rate.requests)
}
