//! The leaves of the registry log: inserted with the rows of the feed that they stand for, read in the tree's order.

use sqlx::Row;

use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_sequence, get_u64};
use crate::domain::registry_log::{Entry, Leaf, LogEpoch};
use crate::domain::sequence::Sequence;

const HAS_ENTRY: &str = "SELECT seq FROM log_leaves WHERE epoch = $1 AND entry = $2 AND seq > $3 LIMIT 1";

static LEAVES: RowsInsert = RowsInsert::new("log_leaves", "seq, epoch, entry, older");

impl WriteTx {
    /// Adds the leaves of the rows of the feed that this transaction recorded last, in their order; `last` is the last one's
    /// sequence.
    pub async fn add_log_leaves(&mut self, epoch: LogEpoch, last: Sequence, leaves: &[Leaf]) -> Result<(), StoreError> {
        let mut sequence = as_i64(last) - as_i64(leaves.len() as u64);
        if sequence < 0 {
            return Err(StoreError::Misused("more leaves than rows of the feed"));
        }
        let bind = |values: &mut Values, leaf: &Leaf| {
            sequence += 1;
            let older = leaf.older.map(|bytes| bytes.to_vec());
            values.push(sequence).push(i64::from(epoch.get())).push(leaf.entry.as_bytes()).push(older);
        };
        LEAVES.execute(&mut self.tx, self.dialect, leaves, bind).await?;
        self.leaves_given(last, leaves.len());
        Ok(())
    }

    /// The newest epoch of the log, and the sequence at which it began; none before the first.
    pub async fn log_epoch(&mut self) -> Result<Option<(LogEpoch, Sequence)>, StoreError> {
        let row = sqlx::query("SELECT epoch, s0 FROM log_head ORDER BY epoch DESC LIMIT 1")
            .fetch_optional(&mut *self.tx)
            .await?;
        row.map(|row| Ok((get_epoch(&row)?, get_sequence(&row, "s0")?))).transpose()
    }

    /// Whether an entry is in a log behind a sequence.
    pub async fn has_log_entry_after(
        &mut self,
        epoch: LogEpoch,
        entry: &Entry,
        after: Sequence,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_ENTRY).bind(i64::from(epoch.get())).bind(entry.as_bytes()).bind(as_i64(after));
        Ok(query.fetch_optional(&mut *self.tx).await?.is_some())
    }

    /// At most `max` entries after a sequence, as far as they follow each other.
    pub(super) async fn log_entries_after(
        &mut self,
        epoch: LogEpoch,
        after: Sequence,
        max: u64,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows =
            sqlx::query("SELECT seq, entry FROM log_leaves WHERE seq > $1 AND seq <= $2 AND epoch = $3 ORDER BY seq")
                .bind(as_i64(after))
                .bind(as_i64(after.plus(max)))
                .bind(i64::from(epoch.get()))
                .fetch_all(&mut *self.tx)
                .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            if get_sequence(row, "seq")? != after.plus(entries.len() as u64 + 1) {
                break;
            }
            entries.push(row.try_get("entry")?);
        }
        Ok(entries)
    }
}

impl Store {
    /// Whether an entry is in a log. Reads every leaf of it.
    pub async fn has_log_entry(&self, epoch: LogEpoch, entry: &Entry) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_ENTRY).bind(i64::from(epoch.get())).bind(entry.as_bytes()).bind(-1_i64);
        Ok(query.fetch_optional(&mut *self.connection().await?).await?.is_some())
    }

    /// `count` entries after a sequence. Fewer: not all of them are there.
    pub async fn log_entries(&self, epoch: LogEpoch, after: Sequence, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query("SELECT entry FROM log_leaves WHERE seq > $1 AND seq <= $2 AND epoch = $3 ORDER BY seq")
            .bind(as_i64(after))
            .bind(as_i64(after.plus(count)))
            .bind(i64::from(epoch.get()))
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(|row| Ok(row.try_get("entry")?)).collect()
    }
}

/// Entries of one number that are told: it has a handful.
const TAGGED_MAX: i64 = 256;

impl Store {
    /// The entries with a tag up to a sequence, each with its own: the newest, if there are very many. Reads every leaf of the epoch.
    pub async fn log_entries_of(
        &self,
        epoch: LogEpoch,
        tag: &[u8; 16],
        until: Sequence,
    ) -> Result<Vec<(Sequence, [u8; 20])>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, entry FROM log_leaves WHERE epoch = $1 AND seq <= $2 AND substr(entry, 2, 16) = $3 \
             ORDER BY seq DESC LIMIT $4",
        )
        .bind(i64::from(epoch.get()))
        .bind(as_i64(until))
        .bind(tag.as_slice())
        .bind(TAGGED_MAX)
        .fetch_all(&mut *self.connection().await?)
        .await?;
        let mut found = rows
            .iter()
            .map(|row| Ok((get_sequence(row, "seq")?, get_bytes(row, "entry")?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        found.reverse();
        Ok(found)
    }
}

pub(super) fn get_epoch(row: &sqlx::any::AnyRow) -> Result<LogEpoch, StoreError> {
    let number = get_u64(row, "epoch")?;
    u32::try_from(number).map(LogEpoch::new).map_err(|_| StoreError::Corrupt("log_head.epoch"))
}
