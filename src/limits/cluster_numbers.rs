//! What is left of a client's numbers for all nodes together, counted in Redis: two counts for each client and how far it runs
//! ahead, and nothing of any number. A node that is asked often reserves a few ahead, and gives back what it did not use.
//! Invariants: no number passes twice; what one node would hold a client for, all nodes together hold it for; what Redis does
//! not say within the link's deadline is called unknown.

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
/// `KEYS`: when each count is whole again, in microseconds, and last what the client ran ahead: its numbers since all of them were
/// there, and when it was first out of them. `ARGV`: units wanted: as many as there are, are granted; units beyond them; units
/// that were not used; for each count the window in microseconds and its units. Answers what was granted, what is left of the
/// first, microseconds until there is one more of all, until the first is whole, and what the client is held for if it was not
/// granted all: 1, it is out again; 2, it ran away. The rules are those of `numbers/spent.rs`.
const TAKE: &str = r"
local time = redis.call('TIME')
-- From a late moment on, so that a double holds fractions of a microsecond.
local now = (time[1] - 1700000000) * 1000000 + time[2]
local wanted, back, last, counts = tonumber(ARGV[1]), tonumber(ARGV[3]), KEYS[#KEYS], {}
local there = wanted + tonumber(ARGV[2])
for n = 1, #KEYS - 1 do
  local window = tonumber(ARGV[2 * n + 2])
  local units = tonumber(ARGV[2 * n + 3])
  local unit = window / units
  local whole = tonumber(redis.call('GET', KEYS[n]) or '') or now
  -- At most wholly spent: a clock that goes back locks nobody out for long.
  whole = math.max(now, math.min(math.max(whole, now), now + window) - back * unit)
  local left = math.max(0, math.floor((now + window - whole) / unit + 0.001))
  counts[n] = {window = window, units = units, unit = unit, whole = whole, left = left}
  there = math.min(there, left)
end
local run, out = string.match(redis.call('GET', last) or '', '^(%d+) (%d+)$')
run, out = math.max(0, (tonumber(run) or 0) - back), tonumber(out) or 0
if counts[1].whole <= now then run = 0 end
local burst = counts[1].units
-- So many more, and it is two days' guests ahead, and four days' since all of them were there.
local pace = math.max(0, math.ceil(counts[1].left - burst / 3), math.ceil(4 * burst / 3 - run))
local granted, why = math.min(there, pace), 0
if granted < wanted and pace < there then
  why = 2
elseif granted < wanted then
  local day = 86400000000
  if out == 0 then out = now end
  local days = math.floor((now - out) / day)
  if days >= 30 then out = now elseif days >= 1 then why = 1 end
end
local wait = 0
for n, count in ipairs(counts) do
  count.whole = count.whole + granted * count.unit
  wait = math.max(wait, count.whole + count.unit - now - count.window)
  redis.call('SET', KEYS[n], string.format('%.17g', count.whole), 'PX', math.ceil((count.whole - now) / 1000) + 1000)
end
local rest = counts[1].whole - now
if out > 0 then rest = math.max(rest, out + 31 * 86400000000 - now) end
redis.call('SET', last, string.format('%.0f %.0f', run + granted, out), 'PX', math.ceil(rest / 1000) + 1000)
local left = math.max(0, math.floor((now + counts[1].window - counts[1].whole) / counts[1].unit + 0.001))
return {granted, left, math.ceil(wait), math.ceil(counts[1].whole - now), why}
";

/// The counts of one client in Redis.
#[derive(Debug)]
pub struct ClusterNumbers {
    cluster: Arc<Cluster>,
    script: Script,
    clock: Clock,
    keys: [String; 2],
    /// How far it runs ahead.
    pace: String,
    ahead: Mutex<Ahead>,
}

/// What Redis has granted a call: one entry for numbers and one for digests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Granted {
    pub(super) units: [u32; 2],
    /// How long until there is another one.
    pub(super) waits: [Duration; 2],
    pub(super) judged: [Judged; 2],
}

/// What all nodes together make of a client that was not granted all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Judged {
    #[default]
    Fair,
    /// Out of numbers on another day.
    OutAgain,
    /// It ran away from what it declared.
    RanAway,
}

#[derive(Debug, Default)]
struct Ahead {
    units: u32,
    /// What was spent for nothing: Redis gets it back with the next question.
    unspent: u32,
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
        let pace = format!("{of}:pace:{since}");
        Arc::new(Self { cluster, script: Script::new(TAKE), clock, keys, pace, ahead: Mutex::default() })
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

    /// What a call has spent and got nothing for.
    pub(super) fn give_back(&self, units: u32) {
        let mut ahead = self.ahead();
        ahead.unspent = ahead.unspent.saturating_add(units);
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
                (granted.units[of], granted.waits[of], granted.judged[of]) =
                    self.ask_for(wanted, of == 1, rates).await?;
            }
        }
        Some(granted)
    }

    async fn ask_for(&self, wanted: u32, is_digest: bool, rates: [Rate; 2]) -> Option<(u32, Duration, Judged)> {
        let now_ns = self.clock.boot_ns();
        let (beyond, back) = {
            let mut ahead = self.ahead();
            match (is_digest, ahead.is_good(now_ns)) {
                (true, _) => (0, 0),
                (false, true) => {
                    let beyond = AHEAD_MAX.min(ahead.left / AHEAD_PART).saturating_sub(ahead.units);
                    (beyond, std::mem::take(&mut ahead.unspent))
                }
                (false, false) => {
                    let unused = std::mem::take(&mut ahead.units);
                    (0, unused.saturating_add(std::mem::take(&mut ahead.unspent)))
                }
            }
        };
        let counts = if is_digest { 2 } else { 1 };
        let mut invocation = self.script.prepare_invoke();
        invocation.key(&self.keys[..counts]).key(&self.pace).arg(wanted).arg(beyond).arg(back);
        for rate in &rates[..counts] {
            invocation.arg(u64::from(rate.per_seconds.get()) * 1_000_000).arg(rate.requests.get());
        }
        let ask =
            |mut connection| async move { invocation.invoke_async::<(u32, u32, u64, u64, u8)>(&mut connection).await };
        let (granted, left, wait_us, whole_us, why) = self.cluster.link().call(ask).await?;
        let now_ns = self.clock.boot_ns();
        let mut ahead = self.ahead();
        ahead.units = ahead.units.saturating_add(granted.saturating_sub(wanted));
        (ahead.left, ahead.asked_ns) = (left, Some(now_ns));
        ahead.whole_ns = Some(now_ns.saturating_add(whole_us.saturating_mul(1000)));
        let judged = match why {
            0 => Judged::Fair,
            1 => Judged::OutAgain,
            _ => Judged::RanAway,
        };
        Some((granted.min(wanted), Duration::from_micros(wait_us), judged))
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Granted {
    /// Spends units of one count, if there are so many: how long to wait for them, and what all nodes make of the client.
    pub(super) fn spend(&mut self, of: usize, count: u32, rate: Rate) -> (u64, Judged) {
        if let Some(left) = self.units[of].checked_sub(count) {
            self.units[of] = left;
            return (0, Judged::Fair);
        }
        let unit = Duration::from_secs(u64::from(rate.per_seconds.get())) / rate.requests.get();
        // The wait is for the first that was not granted.
        let wait = self.waits[of] + unit * (count - self.units[of] - 1);
        (u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX).max(1), self.judged[of])
    }
}

impl Ahead {
    fn is_good(&self, now_ns: u64) -> bool {
        self.asked_ns.is_some_and(|asked_ns| now_ns.saturating_sub(asked_ns) < AHEAD_LIFE_NS)
    }
}
