//! Batches into the store, in transactions that hold the write lock for a short while each: reports that a server files
//! meanwhile pass between them. Every transaction notes how far it came.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc::Receiver;

use super::progress::Progress;
use super::runs::Batch;
use super::stop::Stop;
use crate::cli::exits::try_again;
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::crypto::blind::Ahead;
use crate::domain::audit::{Action, Behind, Deed};
use crate::domain::ids::{Id, ImportId};
use crate::service::listing;
use crate::service::writing::{Writing, leave_to_followers};
use crate::store::import_rows::{Piece, RowFingerprint, SourceId};
use crate::store::imports::ImportProgress;
use crate::store::reports::NewReport;
use crate::store::{Store, StoreError, WriteTx};

/// Rows of the first transaction; further ones are as large as their time allows, or the largest where nobody waits.
const ROWS_MIN: usize = 2_000;
const ROWS_MAX: usize = 20_000;
/// A transaction that took longer is followed by smaller ones; one that took half of it, by larger ones.
const HOLD_NS_MAX: u64 = 80_000_000;
/// Between two transactions while a server runs on the same store: SQLite gives its lock to the process that asks at the right moment,
/// and a waiting server asks only every tenth of a second at worst.
const PAUSE: Duration = Duration::from_millis(25);
/// How often a store that is kept busy by others is asked again; each time takes up to five seconds.
const TRIES_MAX: u32 = 12;

/// Writes the reports of one file.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) store: &'a Store,
    pub(super) keyring: &'a Arc<Keyring>,
    pub(super) fingerprint: [u8; 32],
    /// Whose rows they are.
    pub(super) source: Option<SourceId>,
    pub(super) clock: Clock,
    pub(super) progress: Progress,
    pub(super) stop: Stop,
    /// Who imports, and why.
    pub(super) behind: Behind,
    /// A part of the file is stored.
    pub(super) has_begun: bool,
}

/// Rows of one transaction: a row of a source has its fingerprint.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    reports: &'a [NewReport],
    ahead: &'a [Ahead],
    rows: &'a [RowFingerprint],
}

impl Part<'_> {
    fn split_at(self, at: usize) -> (Self, Self) {
        let (now, later) = self.reports.split_at(at.min(self.reports.len()));
        let (ahead, later_ahead) = self.ahead.split_at(now.len().min(self.ahead.len()));
        let (rows, later_rows) = self.rows.split_at(now.len().min(self.rows.len()));
        (Self { reports: now, ahead, rows }, Self { reports: later, ahead: later_ahead, rows: later_rows })
    }
}

impl Writer<'_> {
    /// Stores every batch; returns the number of reports stored. `stored_as` is what the store knows of the file before.
    pub(super) async fn write(
        &mut self,
        mut batches: Receiver<Batch>,
        mut stored_as: ImportProgress,
    ) -> anyhow::Result<u64> {
        let mut rows = ROWS_MIN;
        let mut stored = 0;
        let mut is_first = true;
        while let Some(Batch { reports, ahead, rows: fingerprints, mut from, to }) =
            self.next(&mut batches, stored).await?
        {
            let others_write = !self.store.list_nodes().await?.is_empty();
            let mut rest = Part { reports: &reports, ahead: &ahead, rows: &fingerprints };
            loop {
                let (now, later) = rest.split_at(if others_write { rows } else { ROWS_MAX });
                let count = now.reports.len() as u64;
                let until = if later.reports.is_empty() { to } else { from.after(count) };
                let began_ns = self.clock.boot_ns();
                self.store_rows(now, &stored_as, &until, std::mem::take(&mut is_first)).await?;
                self.has_begun = true;
                let took_ns = self.clock.boot_ns().saturating_sub(began_ns);
                stored += count;
                self.progress.show(stored);
                rows = next_rows(rows, took_ns);
                (from, stored_as, rest) = (until, until, later);
                if rest.reports.is_empty() {
                    break;
                }
                if self.stop.is_set() {
                    return Err(self.stopped(stored));
                }
                if others_write {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(stored)
    }

    /// The next batch, unless Ctrl-C comes before it.
    async fn next(&mut self, batches: &mut Receiver<Batch>, stored: u64) -> anyhow::Result<Option<Batch>> {
        tokio::select! {
            biased;
            () = self.stop.set() => Err(self.stopped(stored)),
            batch = batches.recv() => Ok(batch),
        }
    }

    fn stopped(&self, stored: u64) -> anyhow::Error {
        let where_it_stands = self.progress.where_it_stands(stored);
        try_again(format!("stopped: {where_it_stands}; the same command continues where this one stopped"))
    }

    async fn store_rows(
        &self,
        Part { reports, ahead, rows }: Part<'_>,
        from: &ImportProgress,
        to: &ImportProgress,
        is_first: bool,
    ) -> anyhow::Result<()> {
        let mut writing =
            Writing::of_command(begin_import(self.store).await?, self.keyring, self.clock.now_ms()).await?;
        for (report, ahead) in reports.iter().zip(ahead) {
            writing.tx.know_ahead(report.number.lookup_key, ahead.clone());
        }
        if !reports.is_empty() {
            let reported = listing::reported(&mut writing, reports).await;
            let change = reported.context("the import stopped; the same command continues there")?;
            let ids = reports.iter().map(|report| report.report_id);
            if let Some((first, last)) = ids.clone().min().zip(ids.max()) {
                let piece = Piece { sequences: change.sequences(), reports: first..=last };
                writing.tx.note_piece(import_id(&self.fingerprint), &piece).await?;
            }
        }
        if let Some(source) = &self.source {
            let ids = reports.iter().map(|report| report.report_id);
            let mut rows: Vec<_> = rows.iter().copied().zip(ids).collect();
            // Neighbours in the index.
            rows.sort_unstable();
            if !writing.tx.insert_import_rows(source, &rows).await? {
                return Err(try_again("another import of this source is at work: import again when it has ended"));
            }
        }
        let mut tx = writing.tx;
        let noted = tx.note_import(&self.fingerprint, from, to, self.clock.now_ms()).await?;
        if !noted {
            return Err(try_again("another import of this file is at work: it stores what this one would"));
        }
        // In the audit log every run begins, and the one that comes to the end of the file finishes.
        let deeds = [(is_first, Action::ImportBegun), (to.finished, Action::ImportFinished)];
        for (_, action) in deeds.into_iter().filter(|(is_due, _)| *is_due) {
            let deed = Deed::of_operator(action, Some(import_id(&self.fingerprint).into())).by(&self.behind);
            tx.record_deed(&deed, self.clock.now_ms()).await?;
        }
        leave_to_followers(tx).await.context("the import stopped; the same command continues there")
    }
}

/// A transaction, also where the store is kept busy for a while.
pub(super) async fn begin(store: &Store) -> anyhow::Result<WriteTx> {
    until_begun(async || store.begin().await).await
}

/// The same for many rows.
async fn begin_import(store: &Store) -> anyhow::Result<WriteTx> {
    until_begun(async || store.begin_import().await).await
}

async fn until_begun(ask: impl AsyncFn() -> Result<WriteTx, StoreError>) -> anyhow::Result<WriteTx> {
    let mut tries = 1;
    loop {
        // PostgreSQL has others wait for the turn, SQLite for the transaction itself.
        let begun = async {
            let mut tx = ask().await?;
            tx.take_turn().await?;
            Ok::<_, StoreError>(tx)
        };
        match begun.await {
            Err(error) if error.is_passing() && tries < TRIES_MAX => tries += 1,
            begun => return begun.context("the import stopped; the same command continues there"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// By which the audit log knows a file: half of its keyed fingerprint, in the form of an id (RFC 9562, 5.8).
pub(super) fn import_id(fingerprint: &[u8; 32]) -> ImportId {
    let half = fingerprint.first_chunk().copied().unwrap_or_default();
    ImportId::from_uuid(uuid::Builder::from_custom_bytes(half).into_uuid())
}

fn next_rows(rows: usize, took_ns: u64) -> usize {
    let next = match took_ns {
        0..HOLD_NS_MAX_HALF => rows * 2,
        HOLD_NS_MAX_HALF..=HOLD_NS_MAX => rows,
        _ => rows / 2,
    };
    next.clamp(ROWS_MIN, ROWS_MAX)
}

const HOLD_NS_MAX_HALF: u64 = HOLD_NS_MAX / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_grow_and_shrink_with_their_time() {
        assert_eq!(next_rows(2_000, 10_000_000), 4_000);
        assert_eq!(next_rows(16_000, 10_000_000), ROWS_MAX);
        assert_eq!(next_rows(8_000, 60_000_000), 8_000);
        assert_eq!(next_rows(8_000, 90_000_000), 4_000);
        assert_eq!(next_rows(2_000, 900_000_000), ROWS_MIN);
    }
}
