//! The journal of a node. Each worker writes its sightings into a segment of its own (`pen`); one thread flushes what was written
//! every 10 ms, makes the next segments before they are needed, and finishes those that will be moved. Where the disk takes
//! nothing, or the journal is full, the verdict goes out all the same; where it is slow, a check that finds a listing is refused.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

pub use super::maker::JournalOptions;
use super::maker::Maker;
use super::pen::Pen;
use super::segment::{Segment, WriteError};
use super::slot::Slot;
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::domain::ids::NodeId;
use crate::own_files;
use crate::telemetry::Metrics;

/// What a power cut may take, at most, of what was answered. A flush costs about as much of a core as ten checks: at a hundred in
/// a second that is a thousandth.
const FLUSH_EVERY: Duration = Duration::from_millis(10);

/// Where sightings are until they are in the store.
#[derive(Debug)]
pub struct Journal {
    orders: mpsc::Sender<Order>,
    slots: Slots,
    maker: Arc<Maker>,
    options: JournalOptions,
    metrics: Arc<Metrics>,
    clock: Clock,
}

type Slots = Arc<Mutex<Vec<Arc<Slot>>>>;

enum Order {
    /// Lets the segments that hold something go, so that they can be moved.
    Finish(oneshot::Sender<()>),
    /// Lets all go, and makes no more.
    Close(oneshot::Sender<()>),
}

impl Journal {
    /// A journal in a folder, and its thread. `node`: no other process has it.
    pub fn start(
        folder: PathBuf,
        node: NodeId,
        options: JournalOptions,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> io::Result<Self> {
        let (orders, taken) = mpsc::channel();
        let maker = Arc::new(Maker::new(folder, node, options.bytes_max, keyring));
        let slots = Slots::default();
        let thread = FlushingThread {
            slots: Arc::clone(&slots),
            maker: Arc::clone(&maker),
            clock: clock.clone(),
            is_failing: false,
        };
        thread::Builder::new().name("sightings".to_owned()).spawn(move || thread.run(&taken))?;
        Ok(Self { orders, slots, maker, options, metrics, clock })
    }

    /// What a new worker writes with.
    pub fn pen(&self) -> Pen {
        let slot = Arc::new(Slot::default());
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
        let (maker, metrics) = (Arc::clone(&self.maker), Arc::clone(&self.metrics));
        Pen::new(slot, maker, self.options.clone(), metrics, self.clock.clone())
    }

    /// Lets the segments in use go, where they hold something.
    pub(super) async fn finish_segments(&self) {
        self.order(Order::Finish).await;
    }

    /// Lets all segments go: nothing is answered any more.
    pub(super) async fn close(&self) {
        self.order(Order::Close).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, finished) = oneshot::channel();
        if self.orders.send(order(done)).is_ok() {
            let _ = finished.await;
        }
    }

    /// All segments with their sizes, and the bytes of those that wait to be moved.
    pub(super) fn list(&self) -> io::Result<(Vec<(PathBuf, u64)>, u64)> {
        self.maker.list()
    }
}

/// The thread's part.
struct FlushingThread {
    slots: Slots,
    maker: Arc<Maker>,
    clock: Clock,
    is_failing: bool,
}

impl FlushingThread {
    /// Until nobody can order any more.
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        let (mut spent, mut is_closed) = (FLUSH_EVERY, false);
        loop {
            let (may_turn, done) = match orders.recv_timeout(FLUSH_EVERY.saturating_sub(spent)) {
                Ok(Order::Finish(done)) => (true, Some(done)),
                Ok(Order::Close(done)) => {
                    is_closed = true;
                    (true, Some(done))
                }
                Err(mpsc::RecvTimeoutError::Timeout) => (false, None),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.tend(true, true),
            };
            let began_ns = self.clock.boot_ns();
            self.tend(may_turn, is_closed);
            spent = Duration::from_nanos(self.clock.boot_ns().saturating_sub(began_ns));
            if let Some(done) = done {
                let _ = done.send(());
            }
        }
    }

    /// Flushes what was written. `may_turn`: segments that hold something are let go.
    fn tend(&mut self, may_turn: bool, is_closed: bool) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut outcome = Ok(());
        for slot in &slots {
            if let Err(error) = self.tend_one(slot, may_turn, is_closed) {
                outcome = Err(error);
            }
        }
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|slot| !slot.hold().is_spent());
        self.tell(outcome);
    }

    fn tend_one(&self, slot: &Slot, may_turn: bool, is_closed: bool) -> Result<(), WriteError> {
        let (file, finished, is_closed) = {
            let mut held = slot.hold();
            let is_closed = is_closed || held.is_closed;
            if is_closed {
                held.turn_over();
                held.turn_over();
            } else if may_turn && held.current.as_ref().is_some_and(Segment::has_records) {
                held.turn_over();
            }
            let (file, finished) = held.begin_flush();
            (file, finished, is_closed)
        };
        let flush = || {
            if let Some(file) = &file {
                file.sync_data()?;
            }
            finished.into_iter().try_for_each(|segment| self.maker.finish(segment))
        };
        let flushed: io::Result<()> = flush();
        drop(file);
        let mut held = slot.hold();
        held.end_flush();
        if flushed.is_err() {
            // The system may have dropped what it could not write, and the next flush would succeed.
            held.turn_over();
        }
        drop(held);
        flushed?;
        if is_closed { Ok(()) } else { self.prepare(slot) }
    }

    /// Makes what the worker will write next, so that it need not.
    fn prepare(&self, slot: &Slot) -> Result<(), WriteError> {
        loop {
            let (lacks_current, lacks_next) = {
                let held = slot.hold();
                (held.current.is_none(), held.next.is_none())
            };
            if !lacks_current && !lacks_next {
                return Ok(());
            }
            let segment = self.maker.make()?;
            segment.file().sync_all()?;
            own_files::sync_folder(self.maker.folder())?;
            let mut held = slot.hold();
            let place = if held.current.is_none() { &mut held.current } else { &mut held.next };
            let over = place.replace(segment);
            drop(held);
            over.map_or(Ok(()), |segment| self.maker.finish(segment))?;
        }
    }

    /// Once when it begins to fail, and once when it works again.
    fn tell(&mut self, outcome: Result<(), WriteError>) {
        let was_failing = std::mem::replace(&mut self.is_failing, outcome.is_err());
        match outcome {
            Err(error) if !was_failing => {
                tracing::error!(error = %error, "the journal of sightings cannot be flushed: a power cut would take them");
            }
            Ok(()) if was_failing => tracing::info!("the journal of sightings is flushed again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::super::Sighting;
    use super::super::pen::Behind;
    use super::super::segment::{End, Finished, SEGMENT_BYTES};
    use super::super::slot::Held;
    use super::*;
    use crate::crypto::digest::IdDigest;
    use crate::crypto::keyfiles::KeyFolder;
    use crate::domain::ids::{CheckId, OrganizationId};
    use crate::domain::instant::UnixMs;
    use crate::domain::sequence::Sequence;
    use crate::domain::verdict::{Purpose, Verdict};

    /// A journal with the pen of one worker.
    struct Fixture {
        dir: TempDir,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
        journal: Journal,
        pen: Pen,
    }

    fn fixture(options: JournalOptions) -> Fixture {
        fixture_in("sightings", options, |_| {})
    }

    fn fixture_in(name: &str, options: JournalOptions, prepare: impl FnOnce(&Path)) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let keys = KeyFolder::new(dir.path().join("keys"));
        keys.create_all().unwrap();
        let keyring = Arc::new(Keyring::open(keys).unwrap());
        let metrics = Arc::new(Metrics::new().unwrap());
        let (folder, node) = (dir.path().join(name), NodeId::from_u128(7));
        let journal = Journal::start(folder, node, options, Arc::clone(&keyring), Arc::clone(&metrics), Clock::System);
        let journal = journal.unwrap();
        let pen = journal.pen();
        Fixture { dir, keyring, metrics, journal, pen }
    }

    fn options() -> JournalOptions {
        JournalOptions { queue_max: 1000, wait: Duration::from_secs(20), bytes_max: 1 << 20 }
    }

    fn sighting(n: u128) -> Sighting {
        Sighting {
            check_id: CheckId::from_u128(n),
            organization: OrganizationId::nil(),
            client: None,
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
        fn lost(&self, reason: &str) -> u64 {
            self.metrics.sightings_lost.with_label_values(&[reason]).get()
        }

        fn write(&self, ids: impl IntoIterator<Item = u128>) {
            self.pen.write(&ids.into_iter().map(sighting).collect::<Vec<_>>());
        }

        /// What the folder holds, finished.
        async fn read(&self) -> Vec<u128> {
            self.journal.finish_segments().await;
            let segments = self.journal.list().unwrap().0;
            let finished = segments.iter().filter_map(|(path, _)| Finished::take(path, self.keyring.sealer()).unwrap());
            finished
                .flat_map(|segment| segment.sightings)
                .map(|sighting| u128::from_be_bytes(*sighting.check_id.as_bytes()))
                .collect()
        }
    }

    #[tokio::test]
    async fn what_is_written_is_on_disk_in_its_order() {
        let fixture = fixture(options());
        for n in 0..5 {
            fixture.write([2 * n, 2 * n + 1]);
        }
        assert_eq!(fixture.read().await, (0..10).collect::<Vec<_>>());
        fixture.write([10]);
        assert_eq!(fixture.read().await, (0..11).collect::<Vec<_>>());
        assert_eq!(fixture.metrics.sightings_recorded.get(), 11);
    }

    #[tokio::test]
    async fn more_than_a_segment_holds_goes_into_the_next() {
        let fixture = fixture(JournalOptions { queue_max: u32::MAX, bytes_max: 1 << 30, ..options() });
        for n in 0..10 {
            fixture.write(1000 * n..1000 * (n + 1));
        }
        // Segments made by worker and thread may have their names in another order than they were written in.
        let mut read = fixture.read().await;
        read.sort_unstable();
        assert!(read.into_iter().eq(0..10_000));
    }

    #[tokio::test]
    async fn a_process_that_is_killed_leaves_what_it_wrote() {
        let fixture = fixture(options());
        fixture.write([1, 2]);
        // What another process sees once the locks are gone: the file as it is, flushed or not.
        let (path, bytes) = fixture.journal.list().unwrap().0.swap_remove(0);
        let left = fixture.dir.path().join("left");
        fs::copy(path, &left).unwrap();
        let taken = Finished::take(&left, fixture.keyring.sealer()).unwrap().unwrap();
        assert_eq!((taken.sightings.len(), taken.end, bytes), (2, End::Whole, SEGMENT_BYTES));
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_costs_the_sighting_and_not_the_answer() {
        let fixture = fixture_in("sightings", options(), |dir| {
            fs::write(dir.join("sightings"), "a file in the folder's place").unwrap();
        });
        fixture.write([1, 2]);
        assert_eq!(fixture.lost("disk"), 2);
        fs::remove_file(fixture.dir.path().join("sightings")).unwrap();
        fixture.write([3]);
        assert_eq!((fixture.read().await, fixture.lost("disk")), (vec![3], 2));
    }

    #[tokio::test]
    async fn a_journal_at_its_limit_takes_nothing_until_it_is_moved() {
        let fixture = fixture(JournalOptions { bytes_max: 1000, ..options() });
        fixture.write(0..10);
        assert_eq!(fixture.read().await.len(), 10);
        // Two segments were ready before the limit was reached.
        let mut written = 10;
        while fixture.lost("journal_full") == 0 {
            fixture.write([written]);
            fixture.journal.finish_segments().await;
            written += 1;
            assert!(written < 20, "it takes more and more");
        }
        for (path, _) in fixture.journal.list().unwrap().0 {
            fs::remove_file(path).unwrap();
        }
        fixture.write([77]);
        assert_eq!((fixture.lost("journal_full"), fixture.read().await.contains(&77)), (1, true));
    }

    #[tokio::test]
    async fn a_disk_that_is_behind_lets_no_hit_be_told() {
        let fixture = fixture(options());
        assert_eq!(fixture.pen.ready(), Ok(()));
        let mut held = Held::default();
        let [now, late, later] = [0, 1_000_000_000, 2_000_000_000];
        held.note_written(3, now);
        assert_eq!(held.behind(now + 251_000_000), (Duration::from_millis(251), 3));
        let _ = held.begin_flush();
        held.note_written(1, late);
        assert_eq!(held.behind(later), (Duration::from_secs(2), 4), "one that hangs counts");
        held.end_flush();
        assert_eq!(held.behind(later), (Duration::from_secs(1), 1));

        let none = fixture_in("sightings", JournalOptions { queue_max: 0, ..options() }, |_| {});
        assert_eq!(none.pen.ready(), Err(Behind));
        assert_eq!(none.metrics.sightings_behind.get(), 1);
    }

    #[tokio::test]
    async fn a_journal_that_is_closed_leaves_no_empty_file() {
        let fixture = fixture(options());
        fixture.write([1]);
        fixture.journal.close().await;
        let left = fixture.journal.list().unwrap().0;
        assert_eq!(left.len(), 1);
        assert!(left[0].1 < 1000, "it gave back what it did not use");
    }
}
