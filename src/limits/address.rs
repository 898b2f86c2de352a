//! Limits per source address, before anybody is authenticated. Invariant: addresses are spent only by token requests and failed
//! authentications, and, in cells of their own, by what is asked without a token.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::{NotUntil, RateLimiter};
use quick_cache::sync::Cache;

use super::limit::quota;
use super::standing::{LimitName, Refused, Standing, standing, whole_seconds};
use crate::clock::Clock;
use crate::domain::client::Rate;

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
}

/// Addresses remembered as refused at a time.
const BLOCKED_MAX: usize = 10_000;

impl AddressLimits {
    pub fn new(name: LimitName, rate: Rate, clock: Clock) -> Self {
        let cells = RateLimiter::dashmap_with_clock(quota(rate), clock.clone()).with_middleware();
        Self { name, rate, clock, cells, blocked: Cache::new(BLOCKED_MAX) }
    }

    /// Whether an address has spent its units, without spending one.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let now = self.clock.boot_ns();
        match self.blocked.get(&network(address)) {
            Some(until) if now < until => Err(Refused {
                standing: standing(self.name, self.rate, 0),
                retry_after_s: whole_seconds(Duration::from_nanos(until - now)),
            }),
            _ => Ok(()),
        }
    }

    /// Spends one unit of an address.
    pub fn spend(&self, address: IpAddr) -> Result<Standing, Refused> {
        let network = network(address);
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

    /// Forgets addresses that have all their units again, so that memory stays bounded by recent failures.
    pub fn tidy(&self) {
        self.cells.retain_recent();
        self.cells.shrink_to_fit();
    }
}

/// An IPv6 host has a /64 of its own (RFC 4291, 2.5.1): the whole of it counts as one.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    #[test]
    fn an_address_is_blocked_only_by_its_own_spending() {
        let clock = Clock::fixed_now();
        let limits = AddressLimits::new(LimitName::Address, rate("2/60s"), clock.clone());
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(limits.spend(one).is_ok() && limits.spend(one).is_ok());
        assert!(limits.check(one).is_ok(), "spending the last unit blocks nobody yet");
        let refused = limits.spend(one).unwrap_err();
        assert!(limits.check(one).is_err() && limits.check(two).is_ok());
        clock.advance(Duration::from_secs(refused.retry_after_s));
        assert!(limits.check(one).is_ok() && limits.spend(one).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let same = ["2001:db8::1", "2001:db8::ffff:1"].map(|a| network(a.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
