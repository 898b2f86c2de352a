//! Limits that hold for all nodes together: one GCRA script spends a client's and its organization's units at once, by the time of
//! Redis. A node reserves ahead for a client that asks often: its grant is units that are spent in Redis already, so that no
//! unit passes twice. Invariant: what is not granted here within the link's deadline is called unknown, never passed.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Script;

use super::limit::LimitName;
use crate::clock::Clock;
use crate::domain::client::Rate;
use crate::domain::ids::{ClientId, OrganizationId};
use crate::redis_link::RedisLink;

/// A node reserves what a client's rate gives in this time...
const RESERVED_MS: u64 = 50;
/// ... and forgets what it has not used after this one.
const GRANT_LIFE: Duration = Duration::from_secs(1);

/// `KEYS`: when each limit is whole again, in microseconds. `ARGV`: units wanted beyond the cost; then for each limit the cost, the
/// window in microseconds, the units of a window. Answers the number of the limit that refused or 0, the units granted
/// beyond the cost, what the client has left, microseconds to wait.
const SPEND: &str = r"
local time = redis.call('TIME')
-- From a late moment on, so that a double holds fractions of a microsecond.
local now = (time[1] - 1700000000) * 1000000 + time[2]
local limits = {}
for n = 1, 2 do
  local cost, window = tonumber(ARGV[3 * n - 1]), tonumber(ARGV[3 * n])
  local unit = window / tonumber(ARGV[3 * n + 1])
  local whole = tonumber(redis.call('GET', KEYS[n]) or '') or now
  -- At most wholly spent: a clock that goes back locks nobody out.
  whole = math.min(math.max(whole, now), now + window + unit)
  local left = math.floor((now + window - whole) / unit + 0.001)
  if left < cost then
    return {n, 0, 0, math.ceil(whole + cost * unit - now - window)}
  end
  limits[n] = {cost = cost, unit = unit, whole = whole, left = left}
end
local more = math.max(0, math.min(tonumber(ARGV[1]), limits[1].left - limits[1].cost, limits[2].left - limits[2].cost))
for n, limit in ipairs(limits) do
  local whole = limit.whole + (limit.cost + more) * limit.unit
  redis.call('SET', KEYS[n], string.format('%.17g', whole), 'PX', math.ceil((whole - now) / 1000) + 1000)
end
return {0, more, limits[1].left - limits[1].cost - more, 0}
";

/// What an operation costs in each of the two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub client: u32,
    pub organization: u32,
}

/// Limits in Redis, for all clients of a node.
#[derive(Debug)]
pub struct Cluster {
    link: Arc<RedisLink>,
    live_nodes: Arc<AtomicUsize>,
    spend: Script,
}

impl Cluster {
    pub fn new(link: Arc<RedisLink>, live_nodes: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { link, live_nodes, spend: Script::new(SPEND) })
    }

    /// How many nodes share a rate while Redis does not answer.
    pub fn nodes(&self) -> NonZeroU32 {
        let nodes = u32::try_from(self.live_nodes.load(Ordering::Acquire)).unwrap_or(u32::MAX);
        NonZeroU32::new(nodes).unwrap_or(NonZeroU32::MIN)
    }
}

/// What Redis refused.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub limit: LimitName,
    pub wait: Duration,
}

/// Units that this node may let pass without asking.
#[derive(Debug, Default)]
struct Grant {
    units: u32,
    until_ns: u64,
    /// What the client had left in Redis when the grant was made.
    left: u32,
    is_asking: bool,
}

/// The limits of one client in Redis.
#[derive(Debug)]
pub struct ClusterCell {
    cluster: Arc<Cluster>,
    clock: Clock,
    keys: [String; 2],
    rates: [Rate; 2],
    /// Units reserved at a time; 0 or 1: every call asks Redis.
    chunk: u32,
    grant: Mutex<Grant>,
}

impl ClusterCell {
    pub fn new(
        cluster: Arc<Cluster>,
        clock: Clock,
        client: (ClientId, Rate),
        organization: (OrganizationId, Rate),
    ) -> Arc<Self> {
        // The braces are Redis Cluster's: the text in them decides the slot, so that one script may touch both keys.
        let of = format!("lostcard:limit:{{{}}}", organization.0.as_simple());
        let keys = [format!("{of}:client:{}", client.0.as_simple()), format!("{of}:organization")];
        let rate = client.1;
        let window_ms = u64::from(rate.per_seconds.get()) * 1000;
        let chunk = u64::from(rate.requests.get()) * RESERVED_MS / window_ms;
        let chunk = u32::try_from(chunk).unwrap_or(u32::MAX).min(rate.requests.get());
        Arc::new(Self { cluster, clock, keys, rates: [rate, organization.1], chunk, grant: Mutex::default() })
    }

    /// How many nodes share a rate while Redis does not answer.
    pub fn nodes(&self) -> NonZeroU32 {
        self.cluster.nodes()
    }

    /// Whether there is no use in asking Redis now.
    pub fn is_out(&self) -> bool {
        self.cluster.link.is_open()
    }

    /// Spends from the grant; returns what the client has left. None: the grant does not hold so much.
    pub fn spend_grant(self: &Arc<Self>, cost: Cost) -> Option<u32> {
        let units = cost.client.max(cost.organization);
        let mut grant = self.grant();
        if grant.units < units || self.clock.boot_ns() >= grant.until_ns {
            return None;
        }
        grant.units -= units;
        let left = grant.left.saturating_add(grant.units);
        let is_low = grant.units < self.chunk / 2 && !grant.is_asking;
        drop(grant);
        if is_low && !self.is_out() {
            let cell = Arc::clone(self);
            tokio::spawn(async move { cell.ask(Cost { client: 0, organization: 0 }).await });
        }
        Some(left)
    }

    /// Spends in Redis, and fills the grant up unless another call is at it; returns what the client has left. None: Redis does
    /// not say.
    pub async fn ask(&self, cost: Cost) -> Option<Result<u32, Spent>> {
        let filling = Filling::begin(self);
        let beyond = if filling.is_some() { self.chunk.saturating_sub(cost.client) } else { 0 };
        let mut invocation = self.cluster.spend.prepare_invoke();
        invocation.key(&self.keys).arg(beyond);
        for (cost, rate) in [cost.client, cost.organization].into_iter().zip(self.rates) {
            let window_us = u64::from(rate.per_seconds.get()) * 1_000_000;
            invocation.arg(cost).arg(window_us).arg(rate.requests.get());
        }
        let spend =
            |mut connection| async move { invocation.invoke_async::<(u8, u32, u32, u64)>(&mut connection).await };
        let (refused, granted, left, wait_us) = self.cluster.link.call(spend).await?;
        let limit = match refused {
            0 => return Some(Ok(self.grant_more(granted, left))),
            1 => LimitName::Client,
            _ => LimitName::Organization,
        };
        Some(Err(Spent { limit, wait: Duration::from_micros(wait_us) }))
    }

    fn grant_more(&self, units: u32, left: u32) -> u32 {
        let now = self.clock.boot_ns();
        let life_ns = u64::try_from(GRANT_LIFE.as_nanos()).unwrap_or(u64::MAX);
        let mut grant = self.grant();
        if now >= grant.until_ns {
            grant.units = 0;
        }
        if units > 0 {
            grant.units = grant.units.saturating_add(units);
            grant.until_ns = now.saturating_add(life_ns);
        }
        grant.left = left;
        left.saturating_add(grant.units)
    }

    fn grant(&self) -> MutexGuard<'_, Grant> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call at a time reserves ahead, or a hundred that come together would reserve for a hundred times as long. Ends with its
/// value, for a call may be given up.
struct Filling<'a>(&'a ClusterCell);

impl<'a> Filling<'a> {
    fn begin(cell: &'a ClusterCell) -> Option<Self> {
        let was_asking = std::mem::replace(&mut cell.grant().is_asking, true);
        (!was_asking).then_some(Self(cell))
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.0.grant().is_asking = false;
    }
}
