//! Records whose period is over: how many rows there are, and their deletion in pieces that hold the writers' lock shortly: they are
//! looked for before it is taken. What ends a listing leaves its change in the feed. `aggregates` says which rows a class means,
//! the callers how long they are kept. Every condition has an index (migrations 0011 and 0024).

use jiff::civil::Date;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::aggregate::{Aggregate, Compared, Expiry, Reference, WhenGone};
use super::aggregates;
use super::blind::get_number;
use super::reports::places;
use super::rows::Values;
use super::{Store, StoreError, WriteTx, get_bytes, get_id, get_u64};
use crate::crypto::digest::LookupKey;
use crate::domain::ids::ReportId;
use crate::domain::instant::UnixMs;
use crate::domain::retention::Class;

/// Rows of one piece, without those that go with them.
pub const PIECE_ROWS_MAX: usize = 250;
/// Rows that are looked for at a time: an index by month has rows beside them that are not due yet.
const FOUND_ROWS_MAX: usize = 20 * PIECE_ROWS_MAX;
/// How far the clock may be from the last run before a node deletes nothing by itself: a clock that is years ahead would
/// delete everything.
pub const STEP_MS_MAX: i64 = 31 * 24 * 3_600_000;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Records of this instant, in milliseconds since the Unix epoch, and before.
    pub until_ms: UnixMs,
    /// The day of that instant.
    pub until_on: Date,
    /// Cards whose last day was before this one.
    pub today: Date,
}

/// Rows to delete together.
#[derive(Debug)]
pub struct Piece {
    aggregate: &'static Aggregate,
    expiry: &'static Expiry,
    /// None: the next ones of a table whose rows nothing names.
    ids: Option<Vec<Vec<u8>>>,
}

/// Whether a run may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Ours,
    /// Another node ran a while ago.
    Others,
    /// The clock is far from the last run.
    ClockStepped,
}

fn query(text: String, expiry: &Expiry, due: &Due) -> Query<'static, Any, sqlx::any::AnyArguments> {
    let query = sqlx::query(AssertSqlSafe(text));
    match expiry.compared {
        Compared::Instant => query.bind(due.until_ms),
        Compared::Today => query.bind(due.today.to_string()),
        Compared::Day => query.bind(due.until_on.to_string()),
        Compared::InstantAndDay => query.bind(due.until_ms).bind(due.until_on.to_string()),
        Compared::Id => query.bind(last_id_of(due.until_ms).as_bytes().to_vec()),
    }
}

/// No id of this instant or before is greater: ids begin with their milliseconds (`UUIDv7`, RFC 9562, 5.7).
fn last_id_of(instant: UnixMs) -> ReportId {
    let ms = u128::try_from(instant.get()).unwrap_or_default();
    ReportId::from_u128((ms << 80) | (u128::MAX >> 48))
}

impl Store {
    /// How many rows of a class are due. Rows that go with them are not counted.
    pub async fn count_due(&self, class: Class, due: &Due) -> Result<u64, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let mut total = 0;
        for (aggregate, expiry) in aggregates::expiring(class) {
            let text = format!("SELECT COUNT(*) AS total FROM {} WHERE {}", aggregate.table, expiry.due);
            total += get_u64(&query(text, expiry, due).fetch_one(&mut *tx).await?, "total")?;
        }
        Ok(total)
    }

    /// The next pieces of what is due of a class; none when nothing is left.
    pub async fn find_due(&self, class: Class, due: &Due) -> Result<Vec<Piece>, StoreError> {
        let mut tx = self.begin_long_read().await?;
        for (aggregate, expiry) in aggregates::expiring(class) {
            let (Aggregate { table, id, .. }, Expiry { due: condition, order, .. }) = (aggregate, expiry);
            let is_named = expiry.is_listing || aggregates::naming(aggregate).next().is_some();
            let (column, most) = if is_named { (*id, FOUND_ROWS_MAX) } else { ("1", 1) };
            let text = format!("SELECT {column} FROM {table} WHERE {condition} ORDER BY {order} LIMIT {most}");
            let rows = query(text, expiry, due).fetch_all(&mut *tx).await?;
            if rows.is_empty() {
                continue;
            }
            if !is_named {
                return Ok(vec![Piece { aggregate, expiry, ids: None }]);
            }
            let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Vec<u8>>, _>>()?;
            let piece = |ids: &[Vec<u8>]| Piece { aggregate, expiry, ids: Some(ids.to_vec()) };
            return Ok(ids.chunks(PIECE_ROWS_MAX).map(piece).collect());
        }
        Ok(Vec::new())
    }

    /// Asks for the run of this interval. One whose clock was ahead does not keep the others from running.
    pub async fn claim_retention(&self, now_ms: UnixMs, every_ms: i64) -> Result<Claim, StoreError> {
        let mut tx = self.begin().await?;
        tx.take_turn().await?;
        let begun_at: UnixMs =
            sqlx::query("SELECT begun_at FROM retention").fetch_one(&mut *tx.tx).await?.try_get(0)?;
        let since_ms = now_ms.get().saturating_sub(begun_at.get());
        if begun_at > UnixMs::EPOCH && since_ms.abs() > STEP_MS_MAX {
            return Ok(Claim::ClockStepped);
        }
        if (0..every_ms / 2).contains(&since_ms) {
            return Ok(Claim::Others);
        }
        tx.begin_retention(now_ms).await?;
        tx.commit_unlisted().await?;
        Ok(Claim::Ours)
    }

    /// When a run was last brought to its end; the epoch: never.
    pub async fn retention_finished_at(&self) -> Result<UnixMs, StoreError> {
        let row = sqlx::query("SELECT finished_at FROM retention").fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get("finished_at")?)
    }
}

impl WriteTx {
    /// Notes that a run begins.
    pub async fn begin_retention(&mut self, now_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query("UPDATE retention SET begun_at = $1 WHERE id = 1").bind(now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Notes that a run came to its end.
    pub async fn finish_retention(&mut self, now_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query("UPDATE retention SET finished_at = $1 WHERE id = 1").bind(now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Deletes a piece of what is due, with its changes of the feed; returns how many rows of the class it was.
    pub async fn delete_due(&mut self, piece: &Piece, due: &Due) -> Result<u64, StoreError> {
        self.take_turn().await?;
        match &piece.ids {
            Some(ids) => self.delete_named(piece.aggregate, piece.expiry, due, ids).await,
            None => self.delete_plain(piece.aggregate, piece.expiry, due).await,
        }
    }

    async fn delete_plain(&mut self, aggregate: &Aggregate, expiry: &Expiry, due: &Due) -> Result<u64, StoreError> {
        let (Aggregate { table, id, .. }, Expiry { due: condition, order, .. }) = (aggregate, expiry);
        let text = format!(
            "DELETE FROM {table} WHERE ({id}) IN \
             (SELECT {id} FROM {table} WHERE {condition} ORDER BY {order} LIMIT {PIECE_ROWS_MAX})"
        );
        Ok(query(text, expiry, due).execute(&mut *self.tx).await?.rows_affected())
    }

    async fn delete_named(
        &mut self,
        aggregate: &Aggregate,
        expiry: &Expiry,
        due: &Due,
        found: &[Vec<u8>],
    ) -> Result<u64, StoreError> {
        let (Aggregate { table, id, .. }, Expiry { due: condition, compared, .. }) = (aggregate, expiry);
        let key = if expiry.is_listing { ", lookup_key, key_version, sealed_digest" } else { "" };
        let places = places(compared.values() + 1, found.len());
        // Once more: somebody may have changed them since.
        let text = format!("SELECT {id}{key} FROM {table} WHERE {id} IN ({places}) AND {condition}");
        let mut query = query(text, expiry, due);
        for id in found {
            query = query.bind(id.as_slice());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Vec<u8>>, _>>()?;
        if expiry.is_listing {
            let key = |row| Ok(LookupKey::from_bytes(get_bytes(row, "lookup_key")?));
            let keys = rows.iter().map(key).collect::<Result<Vec<_>, StoreError>>()?;
            self.record_listings(&keys).await?;
            // What an entry is made from goes with the rows.
            for row in &rows {
                let number = get_number(row)?;
                self.leaves.know(get_id(row, id)?, number.lookup_key, &number.sealed_digest);
            }
        }
        let goes_along = |reference: &Reference| reference.when_gone != WhenGone::Outlive;
        for (other, reference) in aggregates::naming(aggregate).filter(|(_, reference)| goes_along(reference)) {
            self.execute_on(&reference.statement(other.table), reference.column, &ids).await?;
        }
        self.execute_on(&format!("DELETE FROM {table}"), id, &ids).await
    }

    /// A statement over the rows whose column has one of these values; returns how many they were.
    async fn execute_on(&mut self, statement: &str, column: &str, ids: &[Vec<u8>]) -> Result<u64, StoreError> {
        let places: Vec<_> = (1..=ids.len()).map(|n| self.dialect.place(n)).collect();
        let mut values = Values::default();
        for id in ids {
            values.push(id.as_slice());
        }
        let query = values.query(format!("{statement} WHERE {column} IN ({})", places.join(",")))?;
        Ok(query.execute(&mut *self.tx).await?.rows_affected())
    }
}
