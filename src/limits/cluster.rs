//! Limits that hold for all nodes together: one GCRA script spends a client's and its organization's units at once, by the time of
//! Redis. A node reserves ahead for a client that asks often: its grant is units that are spent in Redis already, so that no
//! unit passes twice. Invariant: what is not granted here within the link's deadline is called unknown, never passed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Script;

use super::standing::LimitName;
use super::turns::{GRACE_S, TURNS_MAX};
use crate::clock::Clock;
use crate::domain::client::Rate;
use crate::domain::ids::{ClientId, OrganizationId};
use crate::redis_link::RedisLink;

/// A node reserves what a client's rate gives in this time...
const RESERVED_MS: u64 = 50;
/// ... and forgets what it has not used after this one.
const GRANT_LIFE: Duration = Duration::from_secs(1);

/// `KEYS`: when each limit is whole again, in microseconds, and the client's turns (`turns.rs`). `ARGV`: units wanted beyond the
/// cost; the cost; for each limit the window in microseconds and the units of a window; 1 where nothing must be spent; how long a
/// turn waits after its `Retry-After`, and how many a client may have. Answers the number of the limit that refused or 0, the
/// units granted beyond the cost, what the client has left, microseconds to wait, and until that limit is whole.
const SPEND: &str = r"
local time = redis.call('TIME')
-- From a late moment on, so that a double holds fractions of a microsecond.
local now = (time[1] - 1700000000) * 1000000 + time[2]
local cost, is_look = tonumber(ARGV[2]), ARGV[7] == '1'
local limits = {}
for n = 1, 2 do
  local window = tonumber(ARGV[2 * n + 1])
  local unit = window / tonumber(ARGV[2 * n + 2])
  local whole = tonumber(redis.call('GET', KEYS[n]) or '') or now
  -- At most wholly spent, and as much put aside: a clock that goes back locks nobody out for long.
  limits[n] = {window = window, unit = unit, whole = math.min(math.max(whole, now), now + 2 * window + unit)}
end

local function spend(units)
  for n = 1, 2 do limits[n].whole = math.max(now, limits[n].whole + units * limits[n].unit) end
end

local function left(n)
  return math.max(0, math.floor((now + limits[n].window - limits[n].whole) / limits[n].unit + 0.001))
end

-- The limit that is the last to have so many units, and how long that takes.
local function last(units)
  local by, longest = 1, 0
  for n = 1, 2 do
    local wait = limits[n].whole + units * limits[n].unit - now - limits[n].window
    if left(n) < units and wait > longest then by, longest = n, wait end
  end
  return by, math.ceil(longest)
end

local turns, written = {}, redis.call('GET', KEYS[3]) or ''
for units, by, ready, ends in string.gmatch(written, '(%d+) (%d) (%d+) (%d+);') do
  local turn = {units = tonumber(units), by = tonumber(by), ready = tonumber(ready), ends = tonumber(ends)}
  if now > turn.ends then spend(-turn.units) else turns[#turns + 1] = turn end
end

local function finish(refused_by, more, wait)
  for n = 1, 2 do
    local rest = math.ceil((limits[n].whole - now) / 1000) + 1000
    redis.call('SET', KEYS[n], string.format('%.17g', limits[n].whole), 'PX', rest)
  end
  local text, ends = '', now
  for _, turn in ipairs(turns) do
    text = text .. string.format('%d %d %.0f %.0f;', turn.units, turn.by, turn.ready, turn.ends)
    ends = math.max(ends, turn.ends)
  end
  if text ~= '' then
    redis.call('SET', KEYS[3], text, 'PX', math.ceil((ends - now) / 1000) + 60000)
  elseif written ~= '' then
    redis.call('DEL', KEYS[3])
  end
  local of = math.max(refused_by, 1)
  return {refused_by, more, left(of), wait, math.ceil(limits[of].whole - now)}
end

if is_look or cost > 1 then
  local early
  for n, turn in ipairs(turns) do
    if is_look or turn.units == cost then
      if turn.ready <= now then
        if not is_look then table.remove(turns, n) end
        return finish(0, 0, 0)
      end
      if not early or turn.ready < early.ready then early = turn end
    end
  end
  if early and (not is_look or left(1) < 1 or left(2) < 1) then
    return finish(early.by, 0, math.ceil(early.ready - now))
  end
end
if is_look then return finish(0, 0, 0) end
local by, wait = last(cost)
if wait == 0 then
  local more = math.max(0, math.min(tonumber(ARGV[1]), left(1) - cost, left(2) - cost))
  spend(cost + more)
  return finish(0, more, 0)
end
if cost > 1 then
  if left(1) > 0 and left(2) > 0 then spend(1) end
  by, wait = last(cost)
  if #turns < tonumber(ARGV[9]) and wait <= limits[by].window then
    spend(cost)
    local ends = now + math.max(1, math.ceil(wait / 1000000)) * 1000000 + tonumber(ARGV[8])
    turns[#turns + 1] = {units = cost, by = by, ready = now + wait, ends = ends}
  end
end
return finish(by, 0, wait)
";

/// Limits in Redis, for all clients of a node.
#[derive(Debug)]
pub struct Cluster {
    link: Arc<RedisLink>,
    spend: Script,
}

impl Cluster {
    pub fn new(link: Arc<RedisLink>) -> Arc<Self> {
        Arc::new(Self { link, spend: Script::new(SPEND) })
    }

    pub(super) fn link(&self) -> &Arc<RedisLink> {
        &self.link
    }

    /// Whether there is no use in asking Redis now.
    pub(super) fn is_out(&self) -> bool {
        self.link.is_open()
    }

    /// Notes that something that is good once was used; false where it was before. None: Redis does not say.
    pub async fn use_once(&self, fingerprint: &[u8; 32], life: Duration) -> Option<bool> {
        let key = format!("lostcard:used:{}", hex::encode(fingerprint));
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1);
        let set = |mut connection| async move {
            let mut command = redis::cmd("SET");
            command.arg(key).arg(1).arg("NX").arg("PX").arg(life_ms);
            command.query_async::<Option<String>>(&mut connection).await
        };
        self.link.call(set).await.map(|set| set.is_some())
    }
}

/// What Redis refused.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub limit: LimitName,
    pub wait: Duration,
    pub until_whole: Duration,
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
    keys: [String; 3],
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
        let own = format!("{of}:client:{}", client.0.as_simple());
        let turns = format!("{own}:turns");
        let keys = [own, format!("{of}:organization"), turns];
        let rate = client.1;
        let window_ms = u64::from(rate.per_seconds.get()) * 1000;
        let chunk = u64::from(rate.requests.get()) * RESERVED_MS / window_ms;
        let chunk = u32::try_from(chunk).unwrap_or(u32::MAX).min(rate.requests.get());
        Arc::new(Self { cluster, clock, keys, rates: [rate, organization.1], chunk, grant: Mutex::default() })
    }

    /// Whether there is no use in asking Redis now.
    pub fn is_out(&self) -> bool {
        self.cluster.link.is_open()
    }

    /// Spends from the grant; returns what the client has left. None: the grant does not hold so much.
    pub fn spend_grant(self: &Arc<Self>, units: u32) -> Option<u32> {
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
            tokio::spawn(async move { cell.ask(0).await });
        }
        Some(left)
    }

    /// What the client has left, where the grant holds a unit. None: it holds none.
    pub fn look_at_grant(&self) -> Option<u32> {
        let grant = self.grant();
        let has_units = grant.units > 0 && self.clock.boot_ns() < grant.until_ns;
        has_units.then(|| grant.left.saturating_add(grant.units))
    }

    /// Spends in Redis, and fills the grant up unless another call is at it; returns what the client has left. None: Redis does
    /// not say.
    pub async fn ask(&self, units: u32) -> Option<Result<u32, Spent>> {
        let filling = if units > 1 { None } else { Filling::begin(self) };
        let beyond = if filling.is_some() { self.chunk.saturating_sub(units) } else { 0 };
        let granted = self.question(units, beyond, false).await?;
        Some(granted.map(|(granted, left)| self.grant_more(granted, left)))
    }

    /// Whether a call whose cost is not known yet has any prospect; spends nothing. None: Redis does not say.
    pub async fn look(&self) -> Option<Result<u32, Spent>> {
        let seen = self.question(0, 0, true).await?;
        Some(seen.map(|(_, left)| left))
    }

    async fn question(&self, units: u32, beyond: u32, is_look: bool) -> Option<Result<(u32, u32), Spent>> {
        let mut invocation = self.cluster.spend.prepare_invoke();
        invocation.key(&self.keys).arg(beyond).arg(units);
        for rate in self.rates {
            let window_us = u64::from(rate.per_seconds.get()) * 1_000_000;
            invocation.arg(window_us).arg(rate.requests.get());
        }
        invocation.arg(u8::from(is_look)).arg(GRACE_S * 1_000_000).arg(TURNS_MAX);
        let ask =
            |mut connection| async move { invocation.invoke_async::<(u8, u32, u32, u64, u64)>(&mut connection).await };
        let (refused_by, granted, left, wait_us, whole_us) = self.cluster.link.call(ask).await?;
        let limit = match refused_by {
            0 => return Some(Ok((granted, left))),
            1 => LimitName::Client,
            _ => LimitName::Organization,
        };
        let (wait, until_whole) = (Duration::from_micros(wait_us), Duration::from_micros(whole_us));
        Some(Err(Spent { limit, wait, until_whole }))
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
