//! What a worker and the journal's thread share: the segment that the worker writes, one that is ready to follow, and how far the
//! disk is behind. Held for moments only: files are made, flushed and finished while it is not held.

use std::fs::File;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::segment::Segment;

/// One worker's.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Held>);

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) current: Option<Segment>,
    pub(super) next: Option<Segment>,
    /// Written to no more, and to be finished.
    full: Vec<Segment>,
    /// When (boot time) the first of the sightings came that no flush has begun for.
    written_since: Option<u64>,
    written: u32,
    /// The same of those that are being flushed.
    flushing_since: Option<u64>,
    flushing: u32,
    /// Nothing will be written any more.
    pub(super) is_closed: bool,
}

impl Slot {
    pub(super) fn hold(&self) -> MutexGuard<'_, Held> {
        // Whatever a panic left is a state that the next holder can work with.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// How long the oldest sighting has waited for its flush, and how many wait.
    pub(super) fn behind(&self, now_ns: u64) -> (Duration, u32) {
        let since = self.flushing_since.or(self.written_since);
        let waited = since.map_or(0, |since| now_ns.saturating_sub(since));
        (Duration::from_nanos(waited), self.written.saturating_add(self.flushing))
    }

    /// Sightings were written.
    pub(super) fn note_written(&mut self, count: usize, now_ns: u64) {
        self.written_since.get_or_insert(now_ns);
        self.written = self.written.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Puts the segment in use aside, and the next one in its place.
    pub(super) fn turn_over(&mut self) {
        self.full.extend(self.current.take());
        self.current = self.next.take();
    }

    /// A flush of all that was written begins: of these files, and of these segments, which are finished with it.
    pub(super) fn begin_flush(&mut self) -> (Option<Arc<File>>, Vec<Segment>) {
        self.flushing_since = self.written_since.take();
        self.flushing = mem::take(&mut self.written);
        let is_written = self.flushing > 0;
        (self.current.as_ref().filter(|_| is_written).map(Segment::file), mem::take(&mut self.full))
    }

    /// Whether nothing is left of a worker that is gone.
    pub(super) fn is_spent(&self) -> bool {
        self.is_closed && self.current.is_none() && self.next.is_none() && self.full.is_empty()
    }

    pub(super) fn end_flush(&mut self) {
        (self.flushing_since, self.flushing) = (None, 0);
    }
}
