//! The trees of the registry log: head and tiles. Who extends one holds the lock of its head until the commit; everything that is
//! signed lies here, so that no node signs a tree which another does not continue.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::log_leaves::get_epoch;
use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, as_i64, get_sequence, get_u64};
use crate::crypto::tlog::edge::{Edge, Tile};
use crate::crypto::tlog::tile::{Level, hashes};
use crate::domain::instant::UnixMs;
use crate::domain::registry_log::LogEpoch;
use crate::domain::sequence::Sequence;

/// A tree of the log, as far as it has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    pub epoch: LogEpoch,
    pub origin: String,
    pub s0: Sequence,
    /// Leaves of the newest checkpoint.
    pub size: u64,
    /// The newest checkpoint; empty before the first.
    pub note: String,
    pub signed_at: UnixMs,
    /// The newest one that enough witnesses cosigned.
    pub cosigned: Option<String>,
    /// Since when a newer one waits for that.
    pub waiting_since: Option<UnixMs>,
    /// Whether the next epoch has begun: this note stays as it is.
    pub has_ended: bool,
}

impl LogHead {
    /// The sequence of the last leaf that is in the checkpoint.
    pub fn sequence(&self) -> Sequence {
        self.s0.plus(self.size)
    }
}

/// The newest tree at one moment.
#[derive(Debug)]
pub struct LogStanding {
    pub head: LogHead,
    /// How far the feed has come.
    pub feed: Sequence,
    /// Whether listings get no entries at present: an import does not wait for them.
    pub lacks_entries: bool,
    /// Whether the feed has another epoch by now: nothing is added to this tree.
    pub is_cut: bool,
}

/// How often a node publishes: so long after a checkpoint the next one may come.
const FOLLOWS_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

const COLUMNS: &str = "epoch, origin, s0, size, note, signed_at, cosigned, waiting_since, ended";
static TILES: RowsInsert = RowsInsert::ending(
    "log_tiles",
    "epoch, level, tile, hashes",
    " ON CONFLICT (epoch, level, tile) DO UPDATE SET hashes = excluded.hashes",
);

impl Store {
    /// The tree of an epoch; without one, the newest.
    pub async fn log_head(&self, epoch: Option<LogEpoch>) -> Result<Option<LogHead>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM log_head WHERE epoch = $1 OR $1 = 0 ORDER BY epoch DESC LIMIT 1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(i64::from(epoch.map_or(0, LogEpoch::get)))
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(head).transpose()
    }

    /// The tree before an epoch's.
    pub async fn log_before(&self, epoch: LogEpoch) -> Result<Option<LogHead>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM log_head WHERE epoch < $1 ORDER BY epoch DESC LIMIT 1");
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(i64::from(epoch.get()));
        query.fetch_optional(&mut *self.connection().await?).await?.as_ref().map(head).transpose()
    }

    /// The newest tree, with the head of the feed at the same moment.
    pub async fn log_standing(&self) -> Result<Option<LogStanding>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS}, (SELECT seq FROM feed_head) AS feed, (SELECT blind_behind FROM feed_head) AS behind, \
             (SELECT {} FROM feed_head h) AS cut FROM log_head ORDER BY epoch DESC LIMIT 1",
            self.dialect.is_log_cut()
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_optional(&mut *self.own_connection().await?).await?;
        let standing = |row| {
            let (lacks_entries, is_cut) = (get_u64(row, "behind")? != 0, get_u64(row, "cut")? != 0);
            Ok(LogStanding { head: head(row)?, feed: get_sequence(row, "feed")?, lacks_entries, is_cut })
        };
        row.as_ref().map(standing).transpose()
    }

    /// The tree that the row of a sequence is in; with `is_state`, that of what was listed at the sequence.
    pub async fn log_of(&self, sequence: Sequence, is_state: bool) -> Result<Option<LogHead>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM log_head WHERE s0 < $1 ORDER BY epoch DESC LIMIT 1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(as_i64(sequence) + i64::from(is_state))
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(head).transpose()
    }

    /// Every epoch with its origin, newest first.
    pub async fn log_origins(&self) -> Result<Vec<(LogEpoch, String)>, StoreError> {
        let rows = sqlx::query("SELECT epoch, origin FROM log_head ORDER BY epoch DESC")
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(|row| Ok((get_epoch(row)?, row.try_get("origin")?))).collect()
    }

    /// The bytes of a tile, full or not.
    pub async fn log_tile(&self, epoch: LogEpoch, level: u8, tile: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT hashes FROM log_tiles WHERE epoch = $1 AND level = $2 AND tile = $3")
            .bind(i64::from(epoch.get()))
            .bind(i64::from(level))
            .bind(as_i64(tile))
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        Ok(row.map(|row| row.try_get("hashes")).transpose()?)
    }

    /// Adds cosignatures to a checkpoint, if it is still the newest one. `is_enough`: readers may have it before later ones that are
    /// not cosigned. Of a tree that has ended the note stays as it is, for the next one commits to it: cosignatures lie beside it.
    pub async fn keep_cosigned(&self, old: &LogHead, note: &str, is_enough: bool) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let epoch = i64::from(old.epoch.get());
        let newest = sqlx::query("UPDATE log_head SET note = $1 WHERE epoch = $2 AND note = $3 AND ended = 0")
            .bind(note)
            .bind(epoch)
            .bind(old.note.as_str())
            .execute(&mut *tx.tx)
            .await?;
        if is_enough {
            // From the one that followed this on, which came a publisher's turn later at the earliest.
            let followed = "CASE WHEN signed_at < $4 THEN signed_at ELSE $4 END";
            let waiting = if newest.rows_affected() == 1 { "NULL" } else { followed };
            let text = format!(
                "UPDATE log_head SET cosigned = $1, cosigned_size = $3, waiting_since = {waiting} \
                 WHERE epoch = $2 AND cosigned_size <= $3 AND $4 >= 0"
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(note).bind(epoch).bind(as_i64(old.size));
            query.bind(old.signed_at.plus(FOLLOWS_AFTER)).execute(&mut *tx.tx).await?;
        }
        tx.commit_unlisted().await
    }
}

impl WriteTx {
    /// Takes the lock of a tree, and tells how it stands; without an epoch, of the newest.
    pub async fn lock_log(&mut self, epoch: Option<LogEpoch>) -> Result<Option<LogHead>, StoreError> {
        let chosen = if epoch.is_some() { "$1" } else { "(SELECT MAX(epoch) FROM log_head WHERE epoch >= $1)" };
        let text = format!("UPDATE log_head SET size = size WHERE epoch = {chosen} RETURNING {COLUMNS}");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(i64::from(epoch.map_or(0, LogEpoch::get)))
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(head).transpose()
    }

    /// Begins a tree.
    pub async fn insert_log(&mut self, epoch: LogEpoch, origin: &str, s0: Sequence) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO log_head (epoch, origin, s0, size, note, signed_at, cosigned_size, ended) VALUES ($1, $2, $3, 0, '', 0, 0, 0)")
            .bind(i64::from(epoch.get()))
            .bind(origin)
            .bind(as_i64(s0))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The next epoch begins: nothing is added any more, cosignatures neither.
    pub async fn end_log(&mut self, epoch: LogEpoch) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE log_head SET ended = 1 WHERE epoch = $1").bind(i64::from(epoch.get()));
        query.execute(&mut *self.tx).await?;
        Ok(())
    }

    /// The right edge of a tree.
    pub async fn log_edge(&mut self, of: &LogHead) -> Result<Edge, StoreError> {
        let mut tiles = Vec::new();
        for name in Edge::tiles_of(of.size) {
            let Level::Hashes(level) = name.level else { continue };
            let row = sqlx::query("SELECT hashes FROM log_tiles WHERE epoch = $1 AND level = $2 AND tile = $3")
                .bind(i64::from(of.epoch.get()))
                .bind(i64::from(level))
                .bind(as_i64(name.index))
                .fetch_optional(&mut *self.tx)
                .await?;
            let bytes = row.map(|row| row.try_get::<Vec<u8>, _>("hashes")).transpose()?.unwrap_or_default();
            let hashes = hashes(&bytes).ok_or(StoreError::Corrupt("log_tiles.hashes"))?;
            tiles.push(Tile { level, index: name.index, hashes });
        }
        Edge::of(of.size, tiles).ok_or(StoreError::Corrupt("log_tiles.hashes"))
    }

    /// At most `max` entries that follow the tree.
    pub async fn log_entries_behind(&mut self, of: &LogHead, max: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.log_entries_after(of.epoch, of.sequence(), max).await
    }

    /// Stores tiles in the place of what was there of them.
    pub async fn put_log_tiles(&mut self, epoch: LogEpoch, tiles: &[Tile]) -> Result<(), StoreError> {
        let bind = |values: &mut Values, tile: &Tile| {
            let hashes = tile.hashes.concat();
            values.push(i64::from(epoch.get())).push(i64::from(tile.level)).push(as_i64(tile.index)).push(hashes);
        };
        TILES.execute(&mut self.tx, self.dialect, tiles, bind).await
    }

    /// Puts a checkpoint in the place of the one before. `has_witnesses`: from now on it waits to be cosigned.
    pub async fn put_checkpoint(
        &mut self,
        of: &LogHead,
        size: u64,
        note: &str,
        at: UnixMs,
        has_witnesses: bool,
    ) -> Result<(), StoreError> {
        let waiting = has_witnesses.then(|| of.waiting_since.unwrap_or(at));
        sqlx::query("UPDATE log_head SET size = $1, note = $2, signed_at = $3, waiting_since = $4 WHERE epoch = $5")
            .bind(as_i64(size))
            .bind(note)
            .bind(at)
            .bind(waiting)
            .bind(i64::from(of.epoch.get()))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

fn head(row: &AnyRow) -> Result<LogHead, StoreError> {
    Ok(LogHead {
        epoch: get_epoch(row)?,
        origin: row.try_get("origin")?,
        s0: get_sequence(row, "s0")?,
        size: get_u64(row, "size")?,
        note: row.try_get("note")?,
        signed_at: row.try_get("signed_at")?,
        cosigned: row.try_get("cosigned")?,
        waiting_since: row.try_get("waiting_since")?,
        has_ended: get_u64(row, "ended")? == 1,
    })
}
