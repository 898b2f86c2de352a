//! The open connections of a node, so that near the limit of descriptors one gives way to a new one: the one that has been idle
//! longest, of the address that has the most. A connection that works on a request does so only where its address has more than its
//! share: one address must not be able to have them all.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use crate::telemetry::Metrics;

/// An address that has more than this part of the connections loses busy ones, too.
const SHARES: usize = 8;

/// An open connection, as other threads see it.
#[derive(Debug)]
pub struct Line {
    is_ending: AtomicBool,
    waker: AtomicWaker,
    is_busy: AtomicBool,
    /// When its last request began, or it was opened (boot time).
    last_ns: AtomicU64,
    /// Whom it counts towards; nobody where a trusted proxy speaks for many.
    network: OnceLock<IpAddr>,
}

impl Line {
    /// Told to end. The one who reads it is woken and ends it.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Who waits for it.
    pub fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// Until it is told to end: for what is done on it before anybody reads it.
    pub async fn ended(&self) {
        poll_fn(|cx| {
            self.register(cx.waker());
            if self.is_ending() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// A request has come.
    pub fn begin(&self, now_ns: u64) {
        self.last_ns.store(now_ns, Ordering::Relaxed);
        self.is_busy.store(true, Ordering::Relaxed);
    }

    /// It has been answered.
    pub fn rest(&self) {
        self.is_busy.store(false, Ordering::Relaxed);
    }
}

/// Connections of one address, or of trusted proxies, that are looked at for the longest idle, and addresses that have as many as the
/// one with the most: a newcomer at the limit must not cost a look at all.
const LOOKED_AT: usize = 512;
const TIED: usize = 32;

/// Open connections by address; those of trusted proxies together.
#[derive(Debug, Default)]
struct Open {
    by_network: HashMap<Option<IpAddr>, HashMap<u64, Arc<Line>>>,
    count: usize,
}

impl Open {
    fn insert(&mut self, network: Option<IpAddr>, id: u64, line: Arc<Line>) {
        self.by_network.entry(network).or_default().insert(id, line);
        self.count += 1;
    }

    fn remove(&mut self, network: Option<IpAddr>, id: u64) -> Option<Arc<Line>> {
        let lines = self.by_network.get_mut(&network)?;
        let line = lines.remove(&id)?;
        if lines.is_empty() {
            self.by_network.remove(&network);
        }
        self.count -= 1;
        Some(line)
    }
}

/// Of connections that are busy or not, the one whose last request is longest ago, and that instant.
fn first(lines: &HashMap<u64, Arc<Line>>, is_busy: bool) -> Option<(u64, u64)> {
    let of = lines.iter().filter(|(_, line)| line.is_busy.load(Ordering::Relaxed) == is_busy);
    of.take(LOOKED_AT).map(|(id, line)| (line.last_ns.load(Ordering::Relaxed), *id)).min()
}

/// All open connections of a node.
#[derive(Debug)]
pub struct Lines {
    max: usize,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
    next: AtomicU64,
}

impl Lines {
    /// As many as descriptors allow.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        Self { max, metrics, open: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// As many as descriptors allow.
    pub fn max(&self) -> usize {
        self.max
    }

    /// A new connection, of this address where it is known already. None: there is no room, and none gives way.
    pub fn enter(self: &Arc<Self>, now_ns: u64, network: Option<IpAddr>) -> Option<Entry> {
        let mut open = self.lock();
        if open.count >= self.max {
            self.metrics.budget_refused.with_label_values(&["descriptors"]).inc();
            // Its descriptor is free a moment later: the reserve covers that.
            let (of, first) = self.gives_way(&open, network)?;
            open.remove(of, first)?.end();
        }
        let line = Arc::new(Line {
            is_ending: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            is_busy: AtomicBool::new(false),
            last_ns: AtomicU64::new(now_ns),
            network: network.map(OnceLock::from).unwrap_or_default(),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        open.insert(network, id, Arc::clone(&line));
        self.metrics.connections.set(i64::try_from(open.count).unwrap_or(i64::MAX));
        Some(Entry { id, line, lines: Arc::clone(self) })
    }

    /// Which one gives way to a newcomer, and its address.
    fn gives_way(&self, open: &Open, newcomer: Option<IpAddr>) -> Option<(Option<IpAddr>, u64)> {
        // Of those of proxies each is somebody else's.
        let count = |network: &Option<IpAddr>, lines: &HashMap<_, _>| if network.is_some() { lines.len() } else { 1 };
        let most = open.by_network.iter().map(|(network, lines)| count(network, lines)).max()?;
        let tied = open.by_network.iter().filter(|(network, lines)| count(network, lines) == most).take(TIED);
        // Of those that have as many, the one with the longest idle.
        let tied = tied.map(|(network, lines)| (*network, lines, first(lines, false)));
        let (network, lines, idle) = tied.min_by_key(|(_, _, idle)| idle.unwrap_or((u64::MAX, 0)))?;
        if let Some((_, id)) = idle {
            return Some((network, id));
        }
        if most > (self.max / SHARES).max(1) {
            // Another of its own would only take the place of one.
            return if network == newcomer { None } else { first(lines, true).map(|(_, id)| (network, id)) };
        }
        let idle = open.by_network.iter().find_map(|(network, lines)| Some((*network, first(lines, false)?)));
        idle.map(|(network, (_, id))| (network, id))
    }

    /// A thread that panicked has left a whole map.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among them; free again when dropped.
#[derive(Debug)]
pub struct Entry {
    id: u64,
    line: Arc<Line>,
    lines: Arc<Lines>,
}

impl Entry {
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Whom it counts towards, where that shows only by its preface.
    pub fn belongs_to(&self, network: IpAddr) {
        let mut open = self.lines.lock();
        // One that has been told to end already is not among them.
        if self.line.network.set(network).is_ok()
            && let Some(line) = open.remove(None, self.id)
        {
            open.insert(Some(network), self.id, line);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.lines.lock();
        open.remove(self.line.network.get().copied(), self.id);
        self.lines.metrics.connections.set(i64::try_from(open.count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn lines(max: usize) -> Arc<Lines> {
        Arc::new(Lines::new(max, Arc::new(Metrics::new().unwrap())))
    }

    #[test]
    fn the_longest_idle_gives_way_and_no_busy_one_does() {
        let lines = lines(3);
        let open: Vec<_> = (1..=3).map(|ns| lines.enter(ns, None).unwrap()).collect();
        open[0].line.begin(10);
        let fourth = lines.enter(4, None).unwrap();
        let ending: Vec<_> = open.iter().map(|entry| entry.line.is_ending()).collect();
        assert_eq!(ending, [false, true, false]);
        open[0].line.rest();
        open[2].line.begin(11);
        fourth.line.begin(12);
        assert!(lines.enter(13, None).is_some() && open[0].line.is_ending(), "idle again");
        let fifth = lines.enter(14, None).unwrap();
        fifth.line.begin(15);
        assert!(lines.enter(16, None).is_none(), "all work");
        drop(open);
        assert!(lines.enter(17, None).is_some());
        assert_eq!(lines.metrics.connections.get(), 2);
    }

    #[test]
    fn an_address_with_the_most_gives_way_and_busy_ones_beyond_its_share() {
        let lines = lines(16);
        let [one, two, three] = [1, 2, 3].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let honest = lines.enter(1, one).unwrap();
        let mut flood: Vec<_> = (0..15).map(|at| lines.enter(2 + at, two).unwrap()).collect();
        let next = lines.enter(20, three).unwrap();
        assert!(!honest.line.is_ending() && flood[0].line.is_ending(), "not the longest idle of all");
        drop(flood.remove(0));
        for (at, entry) in (30..).zip(&flood) {
            entry.line.begin(at);
        }
        let more = lines.enter(50, three).unwrap();
        assert!(!honest.line.is_ending() && !next.line.is_ending() && flood[0].line.is_ending(), "busy or not");
        drop(flood.remove(0));
        assert!(lines.enter(51, two).is_none(), "it takes nobody else's place");
        assert!(![honest, next, more].iter().any(|entry| entry.line.is_ending()));
    }

    #[test]
    fn connections_of_trusted_proxies_are_nobodys_flood() {
        let lines = lines(8);
        let proxy: Vec<_> = (0..6).map(|at| lines.enter(at, None).unwrap()).collect();
        let other = Some(IpAddr::from([192, 0, 2, 1]));
        let own: Vec<_> = (6..8).map(|at| lines.enter(at, other).unwrap()).collect();
        assert!(lines.enter(9, None).is_some() && own[0].line.is_ending());
        assert!(!proxy.iter().any(|entry| entry.line.is_ending()));
        let late = lines.enter(10, None);
        late.unwrap().belongs_to([192, 0, 2, 9].into());
    }
}
