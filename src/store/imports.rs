//! How far the import of each file got. Written in the transaction of the records themselves, so that a killed import
//! neither loses nor repeats one.

use jiff::civil::Date;
use sqlx::Row;

use super::{Store, StoreError, WriteTx, as_i64, get_parsed_opt, get_u64, parse_date};
use crate::domain::instant::UnixMs;

/// The progress of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Lines whose records are all stored or rejected.
    pub lines_done: u64,
    /// Records stored after those lines, in the sorted order of their run.
    pub records_done: u64,
    /// The day by which the records are judged, from the first to the last.
    pub judged_on: Date,
    /// The pepper whose lookup keys give the order of each run, from the first to the last.
    pub key_version: u32,
    pub finished: bool,
}

impl ImportProgress {
    /// How far an import is that begins on that day, under that pepper.
    pub fn beginning(judged_on: Date, key_version: u32) -> Self {
        Self { lines_done: 0, records_done: 0, judged_on, key_version, finished: false }
    }
}

impl Store {
    /// How far the import of a file is; none if it never stored anything.
    pub async fn import_progress(&self, file: &[u8; 32]) -> Result<Option<ImportProgress>, StoreError> {
        let row = sqlx::query(
            "SELECT lines_done, records_done, judged_on, key_version, finished_at FROM imports WHERE file_fingerprint = $1",
        )
        .bind(file.as_slice())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(ImportProgress {
            lines_done: get_u64(&row, "lines_done")?,
            records_done: get_u64(&row, "records_done")?,
            judged_on: get_parsed_opt(&row, "judged_on", parse_date)?.ok_or(StoreError::Corrupt("judged_on"))?,
            key_version: u32::try_from(row.try_get::<i64, _>("key_version")?)
                .map_err(|_| StoreError::Corrupt("imports.key_version"))?,
            finished: row.try_get::<Option<i64>, _>("finished_at")?.is_some(),
        }))
    }
}

impl Store {
    /// Whether an import that has not ended stands within a run that is in the order of a pepper.
    pub async fn has_import_ordered_by(&self, key_version: u32) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS total FROM imports WHERE key_version = $1 AND finished_at IS NULL AND records_done > 0",
        )
        .bind(i64::from(key_version))
        .fetch_one(&mut *self.connection().await?)
        .await?;
        Ok(get_u64(&row, "total")? > 0)
    }
}

impl WriteTx {
    /// Notes that the import has come from one point to the next. False if it is not at that point any more: another
    /// import of the file is at work, and this transaction must not be committed.
    pub async fn note_import(
        &mut self,
        file: &[u8; 32],
        from: &ImportProgress,
        to: &ImportProgress,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let noted = sqlx::query(
            "INSERT INTO imports (file_fingerprint, lines_done, records_done, judged_on, finished_at, key_version) \
             VALUES ($1, $2, $3, $4, $5, $8) ON CONFLICT (file_fingerprint) DO UPDATE \
             SET lines_done = $2, records_done = $3, judged_on = $4, finished_at = $5, key_version = $8 \
             WHERE imports.lines_done = $6 AND imports.records_done = $7",
        )
        .bind(file.as_slice())
        .bind(as_i64(to.lines_done))
        .bind(as_i64(to.records_done))
        .bind(to.judged_on.to_string())
        .bind(to.finished.then_some(now_ms))
        .bind(as_i64(from.lines_done))
        .bind(as_i64(from.records_done))
        .bind(i64::from(to.key_version))
        .execute(&mut *self.tx)
        .await?;
        Ok(noted.rows_affected() == 1)
    }
}
