//! The journal of a node: a bounded queue whose one thread adds what waits to a segment, makes it durable with one flush, and only
//! then lets the checks answer. Where the disk takes nothing, or too much waits, the verdict goes out all the same: a hotel that
//! is not told that a card is stolen is the greater harm. What is lost so is counted, and named nowhere.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::Sighting;
use super::segment::{Segment, WriteError, list};
use crate::crypto::Keyring;
use crate::telemetry::Metrics;

/// After a flush the thread rests for so long, and what comes meanwhile shares the next one: a flush costs about as much of a core
/// as five checks.
const REST: Duration = Duration::from_millis(3);
/// A segment that has grown to this is finished, so that it can be moved in one piece.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// Bounds of the journal.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Sightings that wait for the disk.
    pub queue_max: u32,
    /// How long a check waits for its sighting.
    pub wait: Duration,
    /// What the folder may hold.
    pub bytes_max: u64,
}

/// Where sightings stand until they are in the store.
#[derive(Debug)]
pub struct Journal {
    orders: mpsc::Sender<Order>,
    places: Arc<Semaphore>,
    folder: PathBuf,
    options: JournalOptions,
    metrics: Arc<Metrics>,
}

enum Order {
    Record(Group),
    /// Lets the segment go, so that it can be moved.
    Finish(oneshot::Sender<()>),
}

/// The sightings of one request.
struct Group {
    sightings: Vec<Sighting>,
    durable: oneshot::Sender<()>,
    _places: OwnedSemaphorePermit,
}

/// Why a sighting is lost: the word in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    QueueFull,
    /// The disk took it too late, if at all.
    Late,
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
            Self::QueueFull => "queue_full",
            Self::Late => "late",
            Self::Disk => "disk",
            Self::JournalFull => "journal_full",
            Self::Damaged => "damaged",
            Self::NoListing => "no_listing",
        };
        metrics.sightings_lost.with_label_values(&[reason]).inc_by(sightings as u64);
    }
}

/// A sighting on its way to the disk.
#[derive(Debug)]
pub struct Recording {
    durable: oneshot::Receiver<()>,
    sightings: usize,
}

impl Journal {
    /// A journal in a folder, which is made when there is something to write, and its thread. `node`: no other process has it.
    pub fn start(
        folder: PathBuf,
        node: Uuid,
        options: JournalOptions,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let (orders, taken) = mpsc::channel();
        let places = Arc::new(Semaphore::new(options.queue_max as usize));
        let writer = SegmentWriter {
            folder: folder.clone(),
            node,
            bytes_max: options.bytes_max,
            keyring,
            metrics: Arc::clone(&metrics),
            current: None,
            begun: 0,
            is_failing: false,
        };
        thread::Builder::new().name("sightings".to_owned()).spawn(move || writer.run(&taken))?;
        Ok(Self { orders, places, folder, options, metrics })
    }

    /// Hands the sightings of one request over; none where they cannot be taken: then they are lost, and counted.
    pub fn record(&self, sightings: Vec<Sighting>) -> Option<Recording> {
        let count = sightings.len();
        let wanted = u32::try_from(count).unwrap_or(u32::MAX);
        let recording = Arc::clone(&self.places).try_acquire_many_owned(wanted).ok().and_then(|places| {
            let (durable, told) = oneshot::channel();
            self.orders.send(Order::Record(Group { sightings, durable, _places: places })).ok()?;
            Some(Recording { durable: told, sightings: count })
        });
        if recording.is_none() {
            Loss::QueueFull.count(&self.metrics, count);
        }
        recording
    }

    /// Waits until they are durable, or known to be lost, or it takes too long.
    pub async fn confirmed(&self, recording: Recording) {
        // One that was lost was counted where it was.
        if timeout(self.options.wait, recording.durable).await.is_err() {
            Loss::Late.count(&self.metrics, recording.sightings);
        }
    }

    /// Lets the segment in use go.
    pub(super) async fn finish_segment(&self) {
        let (done, finished) = oneshot::channel();
        if self.orders.send(Order::Finish(done)).is_ok() {
            let _ = finished.await;
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The thread's part.
struct SegmentWriter {
    folder: PathBuf,
    node: Uuid,
    bytes_max: u64,
    keyring: Arc<Keyring>,
    metrics: Arc<Metrics>,
    current: Option<Segment>,
    begun: u64,
    is_failing: bool,
}

impl SegmentWriter {
    /// Until nobody can send any more.
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let (mut groups, mut finish) = (Vec::new(), None);
            let mut next = Some(first);
            while let Some(order) = next.take() {
                match order {
                    Order::Record(group) => {
                        groups.push(group);
                        next = orders.try_recv().ok();
                    }
                    Order::Finish(done) => finish = Some(done),
                }
            }
            let has_recorded = !groups.is_empty();
            if has_recorded {
                self.record(groups);
            }
            if let Some(done) = finish {
                self.current = None;
                let _ = done.send(());
            } else if has_recorded {
                thread::sleep(REST);
            }
        }
    }

    fn record(&mut self, groups: Vec<Group>) {
        let written = self.write(&groups).or_else(|error| {
            // What was confirmed before stands in the segment; nothing more can be added to it safely.
            self.current = None;
            if matches!(error, WriteError::Full) { Err(error) } else { self.write(&groups) }
        });
        let loss = match written {
            Ok(()) => None,
            Err(WriteError::Full) => Some(Loss::JournalFull),
            Err(_) => Some(Loss::Disk),
        };
        self.tell(written);
        for group in groups {
            match loss {
                None => {
                    self.metrics.sightings_recorded.inc_by(group.sightings.len() as u64);
                    let _ = group.durable.send(());
                }
                // Whoever waits is told by the end of the channel; who waits no more has counted it.
                Some(loss) if !group.durable.is_closed() => loss.count(&self.metrics, group.sightings.len()),
                Some(_) => {}
            }
        }
    }

    fn write(&mut self, groups: &[Group]) -> Result<(), WriteError> {
        let mut segment = match self.current.take() {
            Some(segment) if segment.bytes() < SEGMENT_BYTES_MAX => segment,
            _ => self.begin_segment()?,
        };
        for sighting in groups.iter().flat_map(|group| &group.sightings) {
            segment.push(sighting)?;
        }
        segment.flush()?;
        self.current = Some(segment);
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<Segment, WriteError> {
        let held: u64 = list(&self.folder)?.iter().map(|(_, bytes)| bytes).sum();
        if held >= self.bytes_max {
            return Err(WriteError::Full);
        }
        self.begun += 1;
        Segment::create(&self.folder, &format!("{}-{:010}", self.node, self.begun), self.keyring.sealer())
    }

    /// Once when it begins to fail, and once when it works again.
    fn tell(&mut self, written: Result<(), WriteError>) {
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        match written {
            Err(error) if !was_failing => {
                tracing::error!(error = %error, "sightings are being lost: they cannot be written to the journal");
            }
            Ok(()) if was_failing => tracing::info!("sightings are written to the journal again"),
            _ => {}
        }
    }
}
