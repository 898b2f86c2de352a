//! How often a caller may ask: one GCRA cell (the `governor` crate) per client, per organization and per source address.
//! A client's cell is one record shared by all workers, or the limit would multiply by their number. Invariants: no request
//! is refused without a limit's name and a time to wait; addresses are spent only by token requests and failed
//! authentications, and, in cells of their own, by what is asked without a token. With Redis the limits of clients and organizations hold for all nodes together (`cluster.rs`), and these cells
//! are what a node falls back to. Says nothing of headers or status codes.

pub mod cluster;

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::domain::client::Rate;
use cluster::{ClusterCell, Cost, Spent};

type Cell = RateLimiter<NotKeyed, InMemoryState, Clock, StateInformationMiddleware>;
type AddressCells = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, Clock, StateInformationMiddleware>;
type Refusal = NotUntil<governor::nanos::Nanos>;

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

/// Where a caller stands with a limit after it was asked.
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
    name: LimitName,
    rate: Rate,
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
    fn spend_share(&self, cost: NonZeroU32, nodes: NonZeroU32) -> Result<Standing, Refused> {
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

    fn standing(&self, remaining: u32) -> Standing {
        standing(self.name, self.rate, remaining)
    }
}

fn standing(limit: LimitName, rate: Rate, remaining: u32) -> Standing {
    let spent = u64::from(rate.requests.get().saturating_sub(remaining));
    let reset_s = (spent * u64::from(rate.per_seconds.get())).div_ceil(u64::from(rate.requests.get()));
    Standing { limit, rate, remaining, reset_s }
}

/// What a wait tells of a limit: the units that it brings are those that were missing.
fn refused(limit: LimitName, rate: Rate, cost: NonZeroU32, nodes: NonZeroU32, wait: Duration) -> Refused {
    let window_ns = u128::from(rate.per_seconds.get()) * 1_000_000_000;
    let missing = (wait.as_nanos() * u128::from(rate.requests.get())).div_ceil(window_ns);
    let left = cost.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX)) / nodes;
    Refused { standing: standing(limit, rate, left), retry_after_s: whole_seconds(wait) }
}

/// Rounded up, and never zero: a client that waits as told must pass.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn quota(rate: Rate) -> Quota {
    let window_ns = u64::from(rate.per_seconds.get()) * 1_000_000_000;
    let per_unit = Duration::from_nanos((window_ns / u64::from(rate.requests.get())).max(1));
    // Unwrap safety of the alternative: a period of zero is excluded above.
    Quota::with_period(per_unit).unwrap_or(Quota::per_second(rate.requests)).allow_burst(rate.requests)
}

const UNIT: Cost = Cost { client: 1, organization: 1 };
const NOTHING: Cost = Cost { client: 0, organization: 0 };

/// The limits of one client.
#[derive(Debug)]
pub struct CallerLimits {
    client: Limit,
    organization: Arc<Limit>,
    wrong_numbers: Limit,
    /// What all nodes have in common; None without Redis.
    cluster: Option<Arc<ClusterCell>>,
}

impl CallerLimits {
    /// A client's own limits beside those it shares with its organization.
    pub fn new(client: Rate, organization: Arc<Limit>, clock: &Clock) -> Self {
        // Half the client's rate: a reader or a clerk misreads now and then, nobody misreads every second card.
        let half = NonZeroU32::new(client.requests.get() / 2).unwrap_or(NonZeroU32::MIN);
        let wrong = Rate { requests: half, per_seconds: client.per_seconds };
        Self {
            client: Limit::new(LimitName::Client, client, clock.clone()),
            organization,
            wrong_numbers: Limit::new(LimitName::AbnormalUse, wrong, clock.clone()),
            cluster: None,
        }
    }

    /// The same limits, shared with the other nodes.
    #[must_use]
    pub fn shared_by(self, cluster: Arc<ClusterCell>) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// The client's own rate and the one of its organization.
    pub fn rates(&self) -> [(LimitName, Rate); 2] {
        [&self.client, &*self.organization].map(|limit| (limit.name, limit.rate))
    }

    /// Spends one unit on both limits without waiting; the standing is the client's unless the organization's refused. None: it
    /// takes a question to Redis, by [`Self::spend_unit`].
    pub fn try_spend_unit(&self) -> Option<Result<Standing, Refused>> {
        self.try_spend(UNIT).map(|spent| Ok(spent?.unwrap_or_else(|| self.client.standing(0))))
    }

    /// Spends one unit on both limits.
    pub async fn spend_unit(&self) -> Result<Standing, Refused> {
        Ok(self.spend(UNIT).await?.unwrap_or_else(|| self.client.standing(0)))
    }

    /// Spends what an operation costs beyond the unit that was spent when its caller was authenticated.
    pub async fn spend_rest(&self, cost: NonZeroU32) -> Result<Option<Standing>, Refused> {
        let rest_of = |limit: &Limit| cost.min(limit.rate.requests).get() - 1;
        let rest = Cost { client: rest_of(&self.client), organization: rest_of(&self.organization) };
        if rest == NOTHING { Ok(None) } else { self.spend(rest).await }
    }

    async fn spend(&self, cost: Cost) -> Result<Option<Standing>, Refused> {
        if let Some(spent) = self.try_spend(cost) {
            return spent;
        }
        match &self.cluster {
            Some(cluster) => match cluster.ask(cost).await {
                Some(Ok(left)) => Ok(Some(self.granted(cost, left, cluster))),
                Some(Err(spent)) => Err(self.refused_by_all(cost, spent)),
                None => self.spend_here(cost, cluster.nodes()),
            },
            None => self.spend_here(cost, NonZeroU32::MIN),
        }
    }

    fn try_spend(&self, cost: Cost) -> Option<Result<Option<Standing>, Refused>> {
        let Some(cluster) = &self.cluster else { return Some(self.spend_here(cost, NonZeroU32::MIN)) };
        if let Some(left) = cluster.spend_grant(cost) {
            return Some(Ok(Some(self.granted(cost, left, cluster))));
        }
        cluster.is_out().then(|| self.spend_here(cost, cluster.nodes()))
    }

    fn spend_here(&self, cost: Cost, nodes: NonZeroU32) -> Result<Option<Standing>, Refused> {
        let spend = |limit: &Limit, cost| NonZeroU32::new(cost).map(|cost| limit.spend_share(cost, nodes)).transpose();
        let standing = spend(&self.client, cost.client)?;
        spend(&self.organization, cost.organization)?;
        Ok(standing)
    }

    /// What passed by Redis counts here too: if Redis fails, nobody finds this node's cells untouched.
    fn granted(&self, cost: Cost, left: u32, cluster: &ClusterCell) -> Standing {
        let _ = self.spend_here(cost, cluster.nodes());
        self.client.standing(left.min(self.client.rate.requests.get()))
    }

    fn refused_by_all(&self, cost: Cost, spent: Spent) -> Refused {
        let (limit, cost) = match spent.limit {
            LimitName::Organization => (&*self.organization, cost.organization),
            _ => (&self.client, cost.client),
        };
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        refused(limit.name, limit.rate, cost, NonZeroU32::MIN, spent.wait)
    }

    /// The refusal of a client whose units are all spent, for a sandbox: nothing is spent.
    pub fn as_if_spent(&self, retry_after_s: u64) -> Refused {
        Refused { standing: self.client.standing(0), retry_after_s }
    }

    /// Counts a number with a wrong check character.
    pub fn count_wrong_number(&self) -> Result<(), Refused> {
        self.wrong_numbers.spend(NonZeroU32::MIN).map(|_| ())
    }
}

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
                Err(refused(self.name, self.rate, NonZeroU32::MIN, NonZeroU32::MIN, wait))
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
fn network(address: IpAddr) -> IpAddr {
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
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn units(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn a_spent_limit_refuses_until_it_says() {
        let clock = Clock::fixed_now();
        let limit = Limit::new(LimitName::Client, rate("3/60s"), clock.clone());
        let remaining: Vec<_> = (0..3).map(|_| limit.spend(units(1)).unwrap().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = limit.spend(units(1)).unwrap_err();
        assert_eq!((refused.retry_after_s, refused.standing.remaining, refused.standing.reset_s), (20, 0, 60));
        clock.advance(Duration::from_secs(refused.retry_after_s));
        assert_eq!(limit.spend(units(1)).unwrap().remaining, 0);
    }

    #[test]
    fn a_batch_costs_what_it_holds_and_one_above_the_limit_costs_all_of_it() {
        let limit = Limit::new(LimitName::Client, rate("600/60s"), Clock::fixed_now());
        assert_eq!(limit.spend(units(100)).unwrap().remaining, 500);
        let refused = limit.spend(units(1000)).unwrap_err();
        let told = (refused.standing.remaining, refused.standing.reset_s, refused.retry_after_s);
        assert_eq!(told, (500, 10, 10), "what is left is there for others");
        let fresh = Limit::new(LimitName::Client, rate("600/60s"), Clock::fixed_now());
        assert_eq!(fresh.spend(units(1000)).unwrap().remaining, 0);
    }

    #[test]
    fn clients_of_one_organization_share_its_limit() {
        let clock = Clock::fixed_now();
        let organization = Arc::new(Limit::new(LimitName::Organization, rate("3/60s"), clock.clone()));
        let one = CallerLimits::new(rate("600/60s"), Arc::clone(&organization), &clock);
        let two = CallerLimits::new(rate("600/60s"), organization, &clock);
        for client in [&one, &one, &two] {
            assert!(client.try_spend_unit().unwrap().is_ok());
        }
        assert_eq!(two.try_spend_unit().unwrap().unwrap_err().standing.limit, LimitName::Organization);
    }

    #[test]
    fn nodes_that_share_a_rate_let_no_more_pass_together() {
        for (requests, nodes, each) in [(600, 1, 600), (600, 2, 300), (5, 2, 2), (3, 5, 1)] {
            let limit = Limit::new(LimitName::Client, rate(&format!("{requests}/60s")), Clock::fixed_now());
            let passed = (0..requests).filter(|_| limit.spend_share(units(1), units(nodes)).is_ok()).count();
            assert_eq!(passed, each, "{requests} among {nodes}");
        }
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

    proptest! {
        /// Within any window no more passes than the burst and what flowed in since.
        #[test]
        fn never_more_than_the_rate(
            requests in 1_u32..50, seconds in 1_u32..120,
            steps in proptest::collection::vec((0_u64..5_000, 1_u32..20), 1..200),
        ) {
            let clock = Clock::fixed_now();
            let limit = Limit::new(LimitName::Client, Rate { requests: units(requests), per_seconds: units(seconds) }, clock.clone());
            let (mut passed, mut elapsed_ms) = (0_u64, 0_u64);
            for (wait_ms, cost) in steps {
                clock.advance(Duration::from_millis(wait_ms));
                elapsed_ms += wait_ms;
                let cost = cost.min(requests);
                if let Ok(standing) = limit.spend(units(cost)) {
                    passed += u64::from(cost);
                    prop_assert!(standing.remaining <= requests - cost);
                }
                prop_assert!(passed <= u64::from(requests) + elapsed_ms * u64::from(requests) / (u64::from(seconds) * 1000) + 1);
            }
        }
    }
}
