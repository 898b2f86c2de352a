//! What is left of a client's numbers for all nodes together, counted in Redis: two counts for each client, and nothing of any
//! number. A node that is asked often reserves a few ahead, and gives back what it did not use. Invariant: no number passes
//! twice; what Redis does not say within the link's deadline is called unknown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Script;

use super::cluster::Cluster;
use crate::clock::Clock;
use crate::domain::client::{Actor, Rate};
use crate::domain::instant::UnixMs;

/// Who comes again within this time gets some ahead; what is not used within it is given back.
const AHEAD_LIFE_NS: u64 = 1_000_000_000;
/// At most so many ahead, and at most this part of what is left.
const AHEAD_MAX: u32 = 256;
const AHEAD_PART: u32 = 16;
/// `KEYS`: when each count is whole again, in microseconds. `ARGV`: units wanted: as many as there are, are granted; units
/// that were not used; for each count the window in microseconds and its units. Answers what was granted, what is left of the
/// first, microseconds until there is one more of all, and until the first is whole.
const TAKE: &str = r"
local time = redis.call('TIME')
-- From a late moment on, so that a double holds fractions of a microsecond.
local now = (time[1] - 1700000000) * 1000000 + time[2]
local granted, counts = tonumber(ARGV[1]), {}
for n = 1, #KEYS do
  local window = tonumber(ARGV[2 * n + 1])
  local unit = window / tonumber(ARGV[2 * n + 2])
  local whole = tonumber(redis.call('GET', KEYS[n]) or '') or now
  -- At most wholly spent: a clock that goes back locks nobody out for long.
  whole = math.max(now, math.min(math.max(whole, now), now + window) - tonumber(ARGV[2]) * unit)
  counts[n] = {window = window, unit = unit, whole = whole}
  granted = math.min(granted, math.max(0, math.floor((now + window - whole) / unit + 0.001)))
end
local wait = 0
for n = 1, #KEYS do
  local count = counts[n]
  count.whole = count.whole + granted * count.unit
  wait = math.max(wait, count.whole + count.unit - now - count.window)
  redis.call('SET', KEYS[n], string.format('%.17g', count.whole), 'PX', math.ceil((count.whole - now) / 1000) + 1000)
end
local left = math.max(0, math.floor((now + counts[1].window - counts[1].whole) / counts[1].unit + 0.001))
return {granted, left, math.ceil(wait), math.ceil(counts[1].whole - now)}
";

/// The counts of one client in Redis.
#[derive(Debug)]
pub struct ClusterNumbers {
    cluster: Arc<Cluster>,
    script: Script,
    clock: Clock,
    keys: [String; 2],
    ahead: Mutex<Ahead>,
}

/// What Redis has granted a call: one entry for numbers and one for digests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Granted {
    pub(super) units: [u32; 2],
    /// How long until there is another one.
    pub(super) waits: [Duration; 2],
}

#[derive(Debug, Default)]
struct Ahead {
    units: u32,
    asked_ns: Option<u64>,
    left: u32,
    /// When the numbers are whole again (boot time).
    whole_ns: Option<u64>,
}

impl ClusterNumbers {
    /// A client that was released has its full budget.
    pub fn new(cluster: Arc<Cluster>, clock: Clock, client: Actor, released_at_ms: Option<UnixMs>) -> Arc<Self> {
        // The braces are Redis Cluster's: the text in them decides the slot, so that one script may touch both keys.
        let of = format!("lostcard:limit:{{{}}}", client.organization.as_simple());
        let of = format!("{of}:client:{}", client.client.as_simple());
        let since = released_at_ms.map_or(0, UnixMs::get);
        let keys = ["numbers", "digests"].map(|name| format!("{of}:{name}:{since}"));
        Arc::new(Self { cluster, script: Script::new(TAKE), clock, keys, ahead: Mutex::default() })
    }

    /// Whether there is no use in asking Redis now.
    pub(super) fn is_out(&self) -> bool {
        self.cluster.is_out()
    }

    /// A number of those that were reserved.
    pub(super) fn take_ahead(&self) -> bool {
        let now_ns = self.clock.boot_ns();
        let mut ahead = self.ahead();
        let has_one = ahead.units > 0 && ahead.is_good(now_ns);
        ahead.units -= u32::from(has_one);
        has_one
    }

    /// What a call was granted and did not use.
    pub(super) fn put_back(&self, units: u32) {
        let mut ahead = self.ahead();
        ahead.units = ahead.units.saturating_add(units);
    }

    /// How long until all numbers are there again, as far as Redis has said.
    pub(super) fn until_whole_ns(&self, now_ns: u64) -> Option<u64> {
        self.ahead().whole_ns.map(|whole_ns| whole_ns.saturating_sub(now_ns))
    }

    /// Asks Redis for numbers and digests. None: it does not say.
    pub(super) async fn ask(&self, wanted: [u32; 2], rates: [Rate; 2]) -> Option<Granted> {
        let mut granted = Granted::default();
        for (of, wanted) in wanted.into_iter().enumerate() {
            if wanted > 0 {
                (granted.units[of], granted.waits[of]) = self.ask_for(wanted, of == 1, rates).await?;
            }
        }
        Some(granted)
    }

    async fn ask_for(&self, wanted: u32, is_digest: bool, rates: [Rate; 2]) -> Option<(u32, Duration)> {
        let now_ns = self.clock.boot_ns();
        let (beyond, back) = {
            let mut ahead = self.ahead();
            match (is_digest, ahead.is_good(now_ns)) {
                (true, _) => (0, 0),
                (false, true) => (AHEAD_MAX.min(ahead.left / AHEAD_PART).saturating_sub(ahead.units), 0),
                (false, false) => (0, std::mem::take(&mut ahead.units)),
            }
        };
        let counts = if is_digest { 2 } else { 1 };
        let mut invocation = self.script.prepare_invoke();
        invocation.key(&self.keys[..counts]).arg(wanted.saturating_add(beyond)).arg(back);
        for rate in &rates[..counts] {
            invocation.arg(u64::from(rate.per_seconds.get()) * 1_000_000).arg(rate.requests.get());
        }
        let ask =
            |mut connection| async move { invocation.invoke_async::<(u32, u32, u64, u64)>(&mut connection).await };
        let (granted, left, wait_us, whole_us) = self.cluster.link().call(ask).await?;
        let now_ns = self.clock.boot_ns();
        let mut ahead = self.ahead();
        ahead.units = ahead.units.saturating_add(granted.saturating_sub(wanted));
        (ahead.left, ahead.asked_ns) = (left, Some(now_ns));
        ahead.whole_ns = Some(now_ns.saturating_add(whole_us.saturating_mul(1000)));
        Some((granted.min(wanted), Duration::from_micros(wait_us)))
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ahead {
    fn is_good(&self, now_ns: u64) -> bool {
        self.asked_ns.is_some_and(|asked_ns| now_ns.saturating_sub(asked_ns) < AHEAD_LIFE_NS)
    }
}
