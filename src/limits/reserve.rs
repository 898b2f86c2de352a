//! The share of verifications that is kept for clients whose address is spent, by others as a rule: a client that was verified within the
//! hour has units of its own there. Whom an unproven text names may be anybody, so each address has its own for each client: a
//! stranger elsewhere cannot spend them.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::RateLimiter;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use quick_cache::sync::Cache;

use super::caller_address::CallerAddress;
use super::limit::quota;
use crate::clock::Clock;
use crate::domain::client::Rate;
use crate::domain::ids::ClientId;

type Cells = RateLimiter<(ClientId, IpAddr), DashMapStateStore<(ClientId, IpAddr)>, Clock, StateInformationMiddleware>;

/// How long a client is known after a verification.
const KNOWN: Duration = Duration::from_hours(1);
/// Clients remembered at a time.
const CLIENTS_MAX: usize = 100_000;
/// The part of an address's limit that is kept for each client, and the least of it.
const SHARE: u32 = 10;
const UNITS_MIN: u32 = 10;

#[derive(Debug)]
pub(super) struct Reserve {
    clock: Clock,
    /// When each client was verified last (boot time).
    known: Cache<ClientId, u64>,
    cells: Cells,
}

impl Reserve {
    /// A share of the rate of an address.
    pub(super) fn of(rate: Rate, clock: Clock) -> Self {
        let units = NonZeroU32::new((rate.requests.get() / SHARE).max(UNITS_MIN)).unwrap_or(NonZeroU32::MIN);
        let share = Rate { requests: units, per_seconds: rate.per_seconds };
        let cells = RateLimiter::dashmap_with_clock(quota(share), clock.clone()).with_middleware();
        Self { clock, known: Cache::new(CLIENTS_MAX), cells }
    }

    pub(super) fn note(&self, client: ClientId) {
        self.known.insert(client, self.clock.boot_ns());
    }

    /// Spends a unit of a client at an address. False: it has none there, or it was not verified within the hour.
    pub(super) fn spend(&self, client: ClientId, address: CallerAddress) -> bool {
        let verified_ns = self.known.get(&client);
        let is_known =
            verified_ns.is_some_and(|at| u128::from(self.clock.boot_ns().saturating_sub(at)) < KNOWN.as_nanos());
        is_known && self.cells.check_key(&(client, address.network())).is_ok()
    }

    pub(super) fn tidy(&self) {
        self.cells.retain_recent();
        self.cells.shrink_to_fit();
    }
}
