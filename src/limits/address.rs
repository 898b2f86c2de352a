//! Limits per address, before anybody is authenticated. Invariant: addresses are spent only by token requests and failed
//! authentications, and, in cells of their own, by what is asked without a token.

use std::net::IpAddr;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::{NotUntil, RateLimiter};
use quick_cache::sync::Cache;

use super::caller_address::CallerAddress;
use super::limit::quota;
use super::reserve::Reserve;
use super::standing::{LimitName, Refused, Standing, standing, whole_seconds};
use crate::clock::Clock;
use crate::domain::client::Rate;
use crate::domain::ids::ClientId;

type AddressCells = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, Clock, StateInformationMiddleware>;
type Refusal = NotUntil<governor::nanos::Nanos>;

/// Limits per source address, before anybody is authenticated.
#[derive(Debug)]
pub struct AddressLimits {
    name: LimitName,
    rate: Rate,
    clock: Clock,
    cells: AddressCells,
    /// Addresses that were refused, until when (boot time): looked at before any signature is verified.
    blocked: Cache<IpAddr, u64>,
    reserve: Reserve,
}

/// Addresses remembered as refused at a time.
const BLOCKED_MAX: usize = 10_000;

impl AddressLimits {
    pub fn new(name: LimitName, rate: Rate, clock: Clock) -> Self {
        let cells = RateLimiter::dashmap_with_clock(quota(rate), clock.clone()).with_middleware();
        let reserve = Reserve::of(rate, clock.clone());
        Self { name, rate, clock, cells, blocked: Cache::new(BLOCKED_MAX), reserve }
    }

    /// Whether an address has spent its units, without spending one.
    pub fn check(&self, address: CallerAddress) -> Result<(), Refused> {
        let now = self.clock.boot_ns();
        match self.blocked.get(&address.network()) {
            Some(until) if now < until => Err(Refused {
                standing: standing(self.name, self.rate, 0),
                retry_after_s: whole_seconds(Duration::from_nanos(until - now)),
            }),
            _ => Ok(()),
        }
    }

    /// Spends one unit of an address.
    pub fn spend(&self, address: CallerAddress) -> Result<Standing, Refused> {
        let network = address.network();
        let state: Result<StateSnapshot, Refusal> = self.cells.check_key(&network);
        match state {
            Ok(state) => Ok(standing(self.name, self.rate, state.remaining_burst_capacity())),
            Err(refusal) => {
                let wait = refusal.wait_time_from(self.clock.now());
                let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                self.blocked.insert(network, self.clock.boot_ns().saturating_add(wait_ns));
                Err(Refused { standing: standing(self.name, self.rate, 0), retry_after_s: whole_seconds(wait) })
            }
        }
    }

    /// A client has proven itself: for an hour it has units of its own where an address has none.
    pub fn note_proven(&self, client: ClientId) {
        self.reserve.note(client);
    }

    /// For an address that was refused: whether the client that asks there, as far as it says, has units of its own.
    pub fn spend_reserve(&self, client: Option<ClientId>, address: CallerAddress) -> bool {
        client.is_some_and(|client| self.reserve.spend(client, address))
    }

    /// Forgets addresses that have all their units again, so that memory stays bounded by recent failures.
    pub fn tidy(&self) {
        self.cells.retain_recent();
        self.cells.shrink_to_fit();
        self.reserve.tidy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn address(text: &str) -> CallerAddress {
        CallerAddress::new(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_blocked_only_by_its_own_spending() {
        let clock = Clock::fixed_now();
        let limits = AddressLimits::new(LimitName::Address, rate("2/60s"), clock.clone());
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(address);
        assert!(limits.spend(one).is_ok() && limits.spend(one).is_ok());
        assert!(limits.check(one).is_ok(), "spending the last unit blocks nobody yet");
        let refused = limits.spend(one).unwrap_err();
        assert!(limits.check(one).is_err() && limits.check(two).is_ok());
        clock.advance(Duration::from_secs(refused.retry_after_s));
        assert!(limits.check(one).is_ok() && limits.spend(one).is_ok());
    }

    #[test]
    fn a_client_that_was_verified_within_the_hour_has_units_of_its_own() {
        let clock = Clock::fixed_now();
        let limits = AddressLimits::new(LimitName::Address, rate("100/60s"), clock.clone());
        let [here, there] = ["2001:db8::1", "2001:db8:0:1::1"].map(address);
        let [client, stranger] = [1, 2].map(|n| ClientId::from_bytes([n; 16]));
        limits.note_proven(client);
        let spent = |client, at| (0..20).filter(|_| limits.spend_reserve(Some(client), at)).count();
        assert_eq!((spent(client, here), spent(stranger, here)), (10, 0));
        assert!(!limits.spend_reserve(None, here));
        assert_eq!(spent(client, address("2001:db8::2")), 0, "the same network");
        assert_eq!(spent(client, there), 10, "one that names a client elsewhere spends nothing here");
        clock.advance(Duration::from_mins(59));
        assert!(limits.spend_reserve(Some(client), here));
        clock.advance(Duration::from_mins(1));
        assert!(!limits.spend_reserve(Some(client), here));
    }
}
