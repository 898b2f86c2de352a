//! The open connections of a node, so that near the limit of descriptors the one that has been idle longest gives way to a new one.
//! A connection that works on a request never does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::task::AtomicWaker;

use crate::telemetry::Metrics;

/// An open connection, as other threads see it.
#[derive(Debug)]
pub struct Line {
    is_ending: AtomicBool,
    waker: AtomicWaker,
    is_busy: AtomicBool,
    /// When its last request began, or it was opened (boot time).
    last_ns: AtomicU64,
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

/// All open connections of a node.
#[derive(Debug)]
pub struct Lines {
    max: usize,
    metrics: Arc<Metrics>,
    open: Mutex<HashMap<u64, Arc<Line>>>,
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

    /// A new connection. None: there is no room, and every other one works on a request.
    pub fn enter(self: &Arc<Self>, now_ns: u64) -> Option<Entry> {
        let mut open = self.lock();
        if open.len() >= self.max {
            let idle = open.iter().filter(|(_, line)| !line.is_busy.load(Ordering::Relaxed));
            let longest = idle.min_by_key(|(_, line)| line.last_ns.load(Ordering::Relaxed)).map(|(id, _)| *id);
            self.metrics.budget_refused.with_label_values(&["descriptors"]).inc();
            // Its descriptor is free a moment later: the reserve covers that.
            open.remove(&longest?)?.end();
        }
        let line = Arc::new(Line {
            is_ending: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            is_busy: AtomicBool::new(false),
            last_ns: AtomicU64::new(now_ns),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        open.insert(id, Arc::clone(&line));
        self.metrics.connections.set(i64::try_from(open.len()).unwrap_or(i64::MAX));
        Some(Entry { id, line, lines: Arc::clone(self) })
    }

    /// A thread that panicked has left a whole map.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Line>>> {
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
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.lines.lock();
        open.remove(&self.id);
        self.lines.metrics.connections.set(i64::try_from(open.len()).unwrap_or(i64::MAX));
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
        let open: Vec<_> = (1..=3).map(|ns| lines.enter(ns).unwrap()).collect();
        open[0].line.begin(10);
        let fourth = lines.enter(4).unwrap();
        let ending: Vec<_> = open.iter().map(|entry| entry.line.is_ending()).collect();
        assert_eq!(ending, [false, true, false]);
        open[0].line.rest();
        open[2].line.begin(11);
        fourth.line.begin(12);
        assert!(lines.enter(13).is_some() && open[0].line.is_ending(), "idle again");
        let fifth = lines.enter(14).unwrap();
        fifth.line.begin(15);
        assert!(lines.enter(16).is_none(), "all work");
        drop(open);
        assert!(lines.enter(17).is_some());
        assert_eq!(lines.metrics.connections.get(), 2);
    }
}
