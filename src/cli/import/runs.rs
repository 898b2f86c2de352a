//! From valid records to batches for the store, on two threads: one reads, judges and sorts runs of records by lookup key (the
//! index is then written in its order), the other seals them, with all cores where numbers are evaluated for who checks blindly: some
//! 50 us each, which no transaction should wait for. Also the arithmetic of a continued import: a run and its order depend on
//! the file, the day and the pepper alone, so what was stored of it is a prefix.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::ensure;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::input::Input;
use super::judge::Judged;
use super::known::Known;
use super::reading::Reading;
use crate::clock::Clock;
use crate::crypto::blind::Ahead;
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::Pepper;
use crate::crypto::{Keyring, random};
use crate::domain::ids::OrganizationId;
use crate::store::import_rows::RowFingerprint;
use crate::store::imports::ImportProgress;
use crate::store::reports::NewReport;
use crate::wiping::{spawn_wiped, wipe_stack};

/// Records that are sorted together: about 100 MB, and two runs are in memory at a time.
pub(super) const RUN_RECORDS_MAX: usize = 500_000;
/// Records that are handed on together.
const BATCH_RECORDS_MAX: usize = 20_000;
/// Batches that may wait for the store.
const BATCHES_WAITING_MAX: usize = 4;

/// Reports for the store, and how far the import is before the first and after the last.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) reports: Vec<NewReport>,
    /// Of each of them, or of none.
    pub(super) ahead: Vec<Ahead>,
    /// Of a source: by which each of them is known again.
    pub(super) rows: Vec<RowFingerprint>,
    pub(super) from: ImportProgress,
    pub(super) to: ImportProgress,
}

/// What every record of an import has in common.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) keyring: Arc<Keyring>,
    /// Of new rows.
    pub(super) pepper: Arc<Pepper>,
    /// Whose lookup keys give the order of a run: the one that the import began with, whatever was rotated since.
    pub(super) order: Arc<Pepper>,
    pub(super) organization: Option<OrganizationId>,
    pub(super) clock: Clock,
    /// Valid records that an earlier start stored, or that the source has listed before.
    pub(super) already_stored: Arc<AtomicU64>,
    /// Records that the plan found valid.
    pub(super) valid: u64,
    /// The file, which stays as it was planned.
    pub(super) input: Input,
    /// Whether each report gets an entry for who checks blindly.
    pub(super) makes_entries: bool,
}

/// Starts both threads. The last batch has no reports and says that the file is finished.
pub(super) fn start(
    job: &Job,
    reading: Reading,
    known: Option<Known>,
    from: ImportProgress,
) -> (mpsc::Receiver<Batch>, [JoinHandle<anyhow::Result<()>>; 2]) {
    // No run waits between the threads: one is being sealed while the next is read.
    let (runs, sorted) = sync_channel(0);
    let (batches, ready) = mpsc::channel(BATCHES_WAITING_MAX);
    let (first, second) = (job.clone(), job.clone());
    let reading = spawn_wiped(move || first.read(reading, known, from, &runs));
    let sealing = spawn_wiped(move || second.seal(&sorted, &batches));
    (ready, [reading, sealing])
}

/// A run in its order, without what is stored of it already.
#[derive(Debug)]
struct Run<T> {
    records: Vec<T>,
    from: ImportProgress,
    to: ImportProgress,
}

#[derive(Debug)]
struct Keyed {
    order: LookupKey,
    line: u64,
    judged: Judged,
    /// Of a source.
    row: Option<RowFingerprint>,
}

impl Job {
    fn read(
        &self,
        mut reading: Reading,
        mut known: Option<Known>,
        from: ImportProgress,
        runs: &SyncSender<Run<Keyed>>,
    ) -> anyhow::Result<()> {
        let mut at = from;
        let mut next = Vec::new();
        let mut valid = 0;
        loop {
            let judged = reading.next()?;
            let is_end = judged.is_none();
            if let Some(judged) = judged {
                valid += 1;
                next.extend(self.key(judged, reading.line(), known.as_mut(), from));
            }
            if is_end || next.len() == RUN_RECORDS_MAX {
                // Before the run is sent: what nobody planned is not stored.
                self.expect_as_planned(valid, is_end)?;
                next.sort_unstable_by_key(|keyed: &Keyed| (keyed.order, keyed.line));
                self.already_stored.fetch_add(at.records_done, Ordering::Relaxed);
                let Some(run) = Run::remaining(std::mem::take(&mut next), at, reading.line())? else { break };
                at = run.to;
                if runs.send(run).is_err() {
                    // The store failed, and says so itself.
                    return Ok(());
                }
            }
            if is_end {
                break;
            }
        }
        let to = ImportProgress { lines_done: reading.line(), finished: true, ..at };
        if !from.finished {
            let _ = runs.send(Run { records: Vec::new(), from: at, to });
        }
        Ok(())
    }

    fn expect_as_planned(&self, valid: u64, is_end: bool) -> anyhow::Result<()> {
        self.input.expect_unchanged()?;
        if valid > self.valid || (is_end && valid < self.valid) { Err(self.input.was_changed()) } else { Ok(()) }
    }

    /// A record with its place in the order; none that is stored already.
    fn key(&self, judged: Judged, line: u64, known: Option<&mut Known>, from: ImportProgress) -> Option<Keyed> {
        let row = known.as_ref().map(|known| known.fingerprint(&judged));
        let is_new = known.zip(row).is_none_or(|(known, row)| known.add(row));
        if line <= from.lines_done || !is_new {
            self.already_stored.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Keyed { order: self.order.lookup_key(&judged.filing.digest), line, judged, row })
    }

    fn seal(&self, runs: &Receiver<Run<Keyed>>, batches: &mpsc::Sender<Batch>) -> anyhow::Result<()> {
        while let Ok(Run { records, mut from, to }) = runs.recv() {
            let mut left = records.len();
            let mut records = records.into_iter();
            loop {
                let batch: Vec<_> = records.by_ref().take(BATCH_RECORDS_MAX).collect();
                left -= batch.len();
                let count = batch.len() as u64;
                let until = if left == 0 { to } else { from.after(count) };
                let rows = batch.iter().filter_map(|keyed| keyed.row).collect();
                let ahead = self.look_ahead(&batch);
                let batch = Batch { reports: self.seal_batch(batch)?, ahead, rows, from, to: until };
                if batches.blocking_send(batch).is_err() {
                    return Ok(());
                }
                from = until;
                if left == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// None where the keys are not all here: the transaction learns them.
    fn look_ahead(&self, batch: &[Keyed]) -> Vec<Ahead> {
        if !self.makes_entries || batch.is_empty() {
            return Vec::new();
        }
        let of_some = |some: &[Keyed]| {
            let made = some.iter().map(|keyed| Ahead::of(&self.keyring, &keyed.judged.filing.digest)).collect();
            wipe_stack();
            made
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let made: Option<Vec<Vec<Ahead>>> = std::thread::scope(|scope| {
            let parts = batch.chunks(batch.len().div_ceil(cores));
            let threads: Vec<_> = parts.map(|some| scope.spawn(move || of_some(some))).collect();
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
        });
        made.unwrap_or_default().concat()
    }

    fn seal_batch(&self, batch: Vec<Keyed>) -> anyhow::Result<Vec<NewReport>> {
        let now_ms = self.clock.now_ms();
        // In order, so that the rows of a batch are neighbours in the index of the ids.
        let mut ids: Vec<_> = std::iter::repeat_with(|| random::id(now_ms)).take(batch.len()).collect();
        ids.sort_unstable();
        let seal = |(Keyed { judged, .. }, report_id)| {
            let reported_at_ms = judged.reported_at_ms.unwrap_or(now_ms);
            Ok(judged.filing.seal(&self.keyring, &self.pepper, report_id, self.organization, reported_at_ms)?)
        };
        batch.into_iter().zip(ids).map(seal).collect()
    }
}

impl<T> Run<T> {
    /// What is left to store of a sorted run that begins at `from` and ends with line `line`; none if it was empty.
    fn remaining(mut records: Vec<T>, from: ImportProgress, line: u64) -> anyhow::Result<Option<Self>> {
        let done = usize::try_from(from.records_done)?;
        ensure!(
            done <= records.len(),
            "the file holds fewer valid records than were stored of it: it was begun by another version of this program"
        );
        if records.is_empty() {
            return Ok(None);
        }
        records.drain(..done);
        Ok(Some(Self { records, from, to: ImportProgress { lines_done: line, records_done: 0, ..from } }))
    }
}

impl ImportProgress {
    /// So many records of the run later.
    pub(super) fn after(self, records: u64) -> Self {
        Self { records_done: self.records_done + records, ..self }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::super::dates::BEIJING;
    use super::super::judge::Judge;
    use super::*;
    use crate::cli::exits::code_of;
    use crate::crypto::keyfiles::KeyFolder;

    const BEGINNING: ImportProgress = ImportProgress {
        lines_done: 10,
        records_done: 0,
        judged_on: Date::constant(2026, 11, 23),
        key_version: 1,
        finished: false,
    };

    /// The file is longer, shorter or another one when it is read for the store: the rows that nobody planned are not stored.
    #[test]
    fn what_nobody_planned_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(dir.path().join("keys"));
        folder.create_all().unwrap();
        let keyring = Arc::new(Keyring::open(folder).unwrap());
        let path = dir.path().join("a.csv");
        let numbers = ["11010519491231002X", "440524188001010014", "810000199408230021"];
        let write = |rows: usize| {
            let rows = numbers[..rows].iter().map(|number| format!("{number},lost,holder,A,hall\n"));
            let rows: String = rows.collect();
            std::fs::write(&path, format!("id_number,reason,reporter,office,channel\n{rows}")).unwrap();
        };
        for (read, planned, after, sent) in [(2, 2, 2, true), (3, 2, 3, false), (1, 2, 1, false), (2, 2, 3, false)] {
            write(read);
            let input = Input::open(&path, None, None, &[]).unwrap();
            let records = input.records(Judge { today: BEGINNING.judged_on, zone: BEIJING }).unwrap();
            if after != read {
                write(after);
            }
            let pepper = keyring.newest_pepper().unwrap();
            let job = Job {
                keyring: Arc::clone(&keyring),
                order: Arc::clone(&pepper),
                pepper,
                organization: None,
                clock: Clock::System,
                already_stored: Arc::default(),
                valid: planned,
                input,
                makes_entries: false,
            };
            let (runs, received) = sync_channel(8);
            let from = ImportProgress { lines_done: 0, ..BEGINNING };
            let done = job.read(Reading::new(records, Vec::new()), None, from, &runs);
            drop(runs);
            let found: usize = received.iter().map(|run| run.records.len()).sum();
            assert_eq!(found, if sent { 2 } else { 0 }, "{read} read, {planned} planned, {after} after");
            assert_eq!(done.err().map(|error| code_of(&error)), (!sent).then_some(75));
        }
    }

    #[test]
    fn a_run_goes_on_after_what_is_stored() {
        for done in 0..=5 {
            let run = Run::remaining(vec![1, 2, 3, 4, 5], BEGINNING.after(done), 16).unwrap().unwrap();
            assert_eq!(run.records.len() as u64, 5 - done);
            assert_eq!((run.from.lines_done, run.from.records_done), (10, done));
            assert_eq!((run.to.lines_done, run.to.records_done), (16, 0));
        }
        assert!(Run::remaining(vec![1], BEGINNING.after(2), 16).is_err());
        assert!(Run::<u8>::remaining(vec![], BEGINNING, 16).unwrap().is_none());
    }
}
