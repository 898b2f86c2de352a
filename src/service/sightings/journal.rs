//! The journal of a node: a bounded queue whose one thread adds what waits to a segment, makes it durable with one flush, and only
//! then lets the checks answer. Where the disk takes nothing, or too much waits, the verdict goes out all the same: a hotel that
//! is not told that a card is stolen is the greater harm. What is lost so is counted, and named nowhere.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::Sighting;
use super::segment::{Segment, WriteError, list};
use crate::crypto::Keyring;
use crate::domain::ids::NodeId;
use crate::telemetry::Metrics;

/// After a flush the thread rests for so long, and what comes meanwhile shares the next one: a flush with its wake-ups costs about
/// as much of a core as ten checks. Measured with 280 hits/s: resting 3 ms, flushes took 4 % of the server's time.
const REST: Duration = Duration::from_millis(10);
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

/// Where sightings are until they are in the store.
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
    places: OwnedSemaphorePermit,
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
        node: NodeId,
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
            self.orders.send(Order::Record(Group { sightings, durable, places })).ok()?;
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
    node: NodeId,
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
            // What was confirmed before is in the segment; nothing more can be added to it safely.
            self.current = None;
            if matches!(error, WriteError::Full) { Err(error) } else { self.write(&groups) }
        });
        let loss = match written {
            Ok(()) => None,
            Err(WriteError::Full) => Some(Loss::JournalFull),
            Err(_) => Some(Loss::Disk),
        };
        self.tell(written);
        for Group { sightings, durable, places } in groups {
            // Before anybody is told: who hears that its sighting is durable finds its place free.
            drop(places);
            match loss {
                None => {
                    self.metrics.sightings_recorded.inc_by(sightings.len() as u64);
                    let _ = durable.send(());
                }
                // The end of the channel tells those who wait; those who no longer wait have counted it.
                Some(loss) if !durable.is_closed() => loss.count(&self.metrics, sightings.len()),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::segment::Finished;
    use super::*;
    use crate::crypto::digest::IdDigest;
    use crate::crypto::keyfiles::KeyFolder;
    use crate::domain::ids::{CheckId, OrganizationId};
    use crate::domain::instant::UnixMs;
    use crate::domain::sequence::Sequence;
    use crate::domain::verdict::{Purpose, Verdict};

    struct Fixture {
        dir: TempDir,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
        journal: Journal,
    }

    fn fixture(options: JournalOptions) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(dir.path().join("keys"));
        keys.create_all().unwrap();
        let keyring = Arc::new(Keyring::open(keys).unwrap());
        let metrics = Arc::new(Metrics::new().unwrap());
        let folder = dir.path().join("sightings");
        let node = NodeId::from_u128(7);
        let journal = Journal::start(folder, node, options, Arc::clone(&keyring), Arc::clone(&metrics)).unwrap();
        Fixture { dir, keyring, metrics, journal }
    }

    fn options() -> JournalOptions {
        JournalOptions { queue_max: 1000, wait: Duration::from_secs(20), bytes_max: 1 << 20 }
    }

    fn sighting(n: u128) -> Sighting {
        Sighting {
            check_id: CheckId::from_u128(n),
            organization: OrganizationId::nil(),
            digest: IdDigest::from_bytes([7; 32]),
            card_valid_from: None,
            site: None,
            purpose: Purpose::Other,
            verdict: Verdict::NumberListed,
            sequence: Sequence::new(1),
            seen_at_ms: UnixMs::new(1),
        }
    }

    impl Fixture {
        async fn record(&self, ids: impl IntoIterator<Item = u128>) {
            if let Some(recording) = self.journal.record(ids.into_iter().map(sighting).collect()) {
                self.journal.confirmed(recording).await;
            }
        }

        fn lost(&self, reason: &str) -> u64 {
            self.metrics.sightings_lost.with_label_values(&[reason]).get()
        }

        /// What the folder holds, finished.
        fn read(&self) -> Vec<u128> {
            let segments = list(self.journal.folder()).unwrap();
            let finished = segments.iter().filter_map(|(path, _)| Finished::take(path, self.keyring.sealer()).unwrap());
            finished
                .flat_map(|segment| segment.sightings)
                .map(|sighting| u128::from_be_bytes(*sighting.check_id.as_bytes()))
                .collect()
        }
    }

    #[tokio::test]
    async fn what_is_confirmed_is_on_disk_in_its_order() {
        let fixture = fixture(options());
        for n in 0..5 {
            fixture.record([2 * n, 2 * n + 1]).await;
        }
        assert!(fixture.read().is_empty(), "nobody else takes the segment in use in hand");
        fixture.journal.finish_segment().await;
        assert_eq!(fixture.read(), (0..10).collect::<Vec<_>>());
        fixture.record([10]).await;
        fixture.journal.finish_segment().await;
        assert_eq!(fixture.read(), (0..11).collect::<Vec<_>>());
        assert_eq!(fixture.metrics.sightings_recorded.get(), 11);
    }

    #[tokio::test]
    async fn requests_at_once_are_each_told_when_theirs_is_durable() {
        let fixture = fixture(options());
        futures_util::future::join_all((0..200).map(|n| fixture.record([n]))).await;
        fixture.journal.finish_segment().await;
        let mut read = fixture.read();
        read.sort_unstable();
        assert_eq!(read, (0..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_more_than_may_wait_is_lost_and_counted() {
        let fixture = fixture(JournalOptions { queue_max: 10, ..options() });
        fixture.record(0..11).await;
        assert_eq!(fixture.lost("queue_full"), 11);
        fixture.record(0..10).await;
        fixture.record(10..20).await;
        fixture.journal.finish_segment().await;
        assert_eq!((fixture.read().len(), fixture.lost("queue_full")), (20, 11), "places are given back");
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_costs_the_sighting_and_not_the_answer() {
        let fixture = fixture(options());
        fs::write(fixture.dir.path().join("sightings"), "a file in the folder's place").unwrap();
        fixture.record([1, 2]).await;
        assert_eq!(fixture.lost("disk"), 2);
        fs::remove_file(fixture.dir.path().join("sightings")).unwrap();
        fixture.record([3]).await;
        fixture.journal.finish_segment().await;
        assert_eq!((fixture.read(), fixture.lost("disk")), (vec![3], 2));
    }

    #[tokio::test]
    async fn a_journal_at_its_limit_takes_nothing_until_it_is_moved() {
        let fixture = fixture(JournalOptions { bytes_max: 1000, ..options() });
        fixture.record(0..10).await;
        fixture.journal.finish_segment().await;
        fixture.record([10]).await;
        assert_eq!((fixture.lost("journal_full"), fixture.read().len()), (1, 10));
        for (path, _) in list(fixture.journal.folder()).unwrap() {
            fs::remove_file(path).unwrap();
        }
        fixture.record([11]).await;
        fixture.journal.finish_segment().await;
        assert_eq!((fixture.lost("journal_full"), fixture.read()), (1, vec![11]));
    }

    #[tokio::test]
    async fn a_slow_disk_is_not_waited_for_without_end() {
        let mut fixture = fixture(JournalOptions { wait: Duration::from_millis(1), ..options() });
        // Nobody takes what is sent here.
        let (orders, taken) = mpsc::channel();
        fixture.journal.orders = orders;
        fixture.record([1, 2]).await;
        assert_eq!(fixture.lost("late"), 2);
        let Ok(Order::Record(group)) = taken.recv() else { panic!("it was sent") };
        assert!(group.durable.is_closed() && group.sightings.len() == 2, "it may be written all the same");
    }
}
