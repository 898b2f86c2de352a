//! How far the import of each file got. Written in the transaction of the records themselves, so that a killed import
//! neither loses nor repeats one.

use sqlx::Row;

use super::{Store, StoreError, WriteTx, as_i64, get_u64};

/// The progress of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Lines whose records are all stored or rejected.
    pub lines_done: u64,
    /// Records stored after those lines, in the sorted order of their run.
    pub records_done: u64,
    pub finished: bool,
}

impl Store {
    /// Where the import of a file stands.
    pub async fn import_progress(&self, file: &[u8; 32]) -> Result<ImportProgress, StoreError> {
        let row = sqlx::query("SELECT lines_done, records_done, finished_at FROM imports WHERE file_fingerprint = $1")
            .bind(file.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(ImportProgress::default()) };
        Ok(ImportProgress {
            lines_done: get_u64(&row, "lines_done")?,
            records_done: get_u64(&row, "records_done")?,
            finished: row.try_get::<Option<i64>, _>("finished_at")?.is_some(),
        })
    }
}

impl WriteTx {
    /// Notes how far the import has come.
    pub async fn note_import(
        &mut self,
        file: &[u8; 32],
        progress: ImportProgress,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO imports (file_fingerprint, lines_done, records_done, finished_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (file_fingerprint) DO UPDATE SET lines_done = $2, records_done = $3, finished_at = $4",
        )
        .bind(file.as_slice())
        .bind(as_i64(progress.lines_done))
        .bind(as_i64(progress.records_done))
        .bind(progress.finished.then_some(now_ms))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
