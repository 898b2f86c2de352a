//! Makes the segments of a node's journal, knows which of them are in use, and how much the journal may hold.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::segment::{Segment, WriteError, list};
use crate::crypto::Keyring;
use crate::domain::ids::NodeId;
use crate::telemetry::Metrics;

/// Bounds of the journal.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Sightings that wait for their flush, of one worker.
    pub queue_max: u32,
    /// How long a sighting may wait for its flush before checks that find a listing are refused.
    pub wait: Duration,
    /// What the folder may hold.
    pub bytes_max: u64,
}

/// Why a sighting is lost: the word in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Disk,
    JournalFull,
    /// What had been written could not be read.
    Damaged,
    /// The number is listed no more, and by nothing that is left.
    NoListing,
}

impl Loss {
    pub(super) fn count(self, metrics: &Metrics, sightings: usize) {
        let reason = match self {
            Self::Disk => "disk",
            Self::JournalFull => "journal_full",
            Self::Damaged => "damaged",
            Self::NoListing => "no_listing",
        };
        metrics.sightings_lost.with_label_values(&[reason]).inc_by(sightings as u64);
    }
}

/// Makes segments, and knows those that are in use.
#[derive(Debug)]
pub(super) struct Maker {
    folder: PathBuf,
    node: NodeId,
    bytes_max: u64,
    keyring: Arc<Keyring>,
    begun: AtomicU64,
    in_use: Mutex<BTreeSet<PathBuf>>,
}

impl Maker {
    pub(super) fn new(folder: PathBuf, node: NodeId, bytes_max: u64, keyring: Arc<Keyring>) -> Self {
        Self { folder, node, bytes_max, keyring, begun: AtomicU64::new(0), in_use: Mutex::default() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn make(&self) -> Result<Segment, WriteError> {
        let mut in_use = self.in_use();
        if held(&list(&self.folder)?, &in_use) >= self.bytes_max {
            return Err(WriteError::Full);
        }
        let nth = 1 + self.begun.fetch_add(1, Ordering::Relaxed);
        let segment = Segment::create(&self.folder, &format!("{}-{nth:010}", self.node), self.keyring.sealer())?;
        in_use.insert(segment.path().to_owned());
        Ok(segment)
    }

    /// All segments with their sizes, and the bytes of those that wait to be moved.
    pub(super) fn list(&self) -> io::Result<(Vec<(PathBuf, u64)>, u64)> {
        // A segment that is being made must not be taken for one that a killed process left.
        let in_use = self.in_use();
        let segments = list(&self.folder)?;
        let held = held(&segments, &in_use);
        Ok((segments, held))
    }

    fn in_use(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn finish(&self, segment: Segment) -> io::Result<()> {
        let path = segment.path().to_owned();
        let finished = segment.finish();
        self.in_use().remove(&path);
        finished
    }
}

fn held(segments: &[(PathBuf, u64)], in_use: &BTreeSet<PathBuf>) -> u64 {
    segments.iter().filter(|(path, _)| !in_use.contains(path)).map(|(_, bytes)| bytes).sum()
}
