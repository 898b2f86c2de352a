//! What imports brought, so that it can be undone, and the rows of sources that list all they know again and again. Rows are known
//! by keyed fingerprints alone.

use sqlx::AssertSqlSafe;

use super::reports::{KEYS_MAX, places};
use super::rows::RowsInsert;
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_id, get_sequence};
use crate::domain::ids::{ImportId, ReportId};
use crate::domain::sequence::Sequence;

/// Half of a keyed fingerprint of a source's name.
pub type SourceId = [u8; 16];
/// Half of a keyed fingerprint of a row.
pub type RowFingerprint = [u8; 16];

/// A piece of the feed that an import wrote: from the first to the last sequence.
pub type Piece = std::ops::RangeInclusive<Sequence>;

/// Reports of one page.
pub const PAGE_ROWS_MAX: usize = 500;

static ROWS: RowsInsert = RowsInsert::new("import_rows", "source_id, row_fingerprint, report_id");

impl Store {
    /// Every row that a source has listed and that is known still.
    pub async fn list_import_rows(&self, source: &SourceId) -> Result<Vec<RowFingerprint>, StoreError> {
        use futures_util::TryStreamExt;
        let mut tx = self.begin_long_read().await?;
        let query = sqlx::query("SELECT row_fingerprint FROM import_rows WHERE source_id = $1").bind(source.as_slice());
        let mut rows = query.fetch(&mut *tx);
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(get_bytes(&row, "row_fingerprint")?);
        }
        Ok(all)
    }

    /// The pieces of the feed that an import wrote, in their order; none where there was no such import.
    pub async fn import_pieces(&self, import: ImportId) -> Result<Vec<Piece>, StoreError> {
        let text =
            "SELECT first_sequence, last_sequence FROM import_pieces WHERE import_id = $1 ORDER BY first_sequence";
        let query = sqlx::query(text).bind(import.as_bytes().as_slice());
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(|row| Ok(get_sequence(row, "first_sequence")?..=get_sequence(row, "last_sequence")?)).collect()
    }

    /// Active reports whose last change lies in a part of the feed, in the order of their ids after `after`, a page at a time.
    pub async fn active_reports_between(
        &self,
        part: &Piece,
        after: Option<ReportId>,
    ) -> Result<Vec<(ReportId, Sequence)>, StoreError> {
        let text = format!(
            "SELECT report_id, sequence FROM loss_reports \
             WHERE report_id > $1 AND sequence >= $2 AND sequence <= $3 AND state = 'active' \
             ORDER BY report_id LIMIT {PAGE_ROWS_MAX}"
        );
        let after = after.map(|report| *report.as_bytes());
        let after = after.as_ref().map_or(&[] as &[u8], <[u8; 16]>::as_slice);
        // One page may have to pass all reports but its own.
        let mut tx = self.begin_long_read().await?;
        let query = sqlx::query(AssertSqlSafe(text)).bind(after).bind(as_i64(*part.start())).bind(as_i64(*part.end()));
        let rows = query.fetch_all(&mut *tx).await?;
        rows.iter().map(|row| Ok((get_id(row, "report_id")?, get_sequence(row, "sequence")?))).collect()
    }

    /// The fingerprint of every file that was imported.
    pub async fn list_imports(&self) -> Result<Vec<[u8; 32]>, StoreError> {
        let query = sqlx::query("SELECT file_fingerprint FROM imports");
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(|row| get_bytes(row, "file_fingerprint")).collect()
    }
}

impl WriteTx {
    /// Notes what an import wrote.
    pub async fn note_piece(&mut self, import: ImportId, piece: &Piece) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO import_pieces (import_id, first_sequence, last_sequence) VALUES ($1, $2, $3)")
            .bind(import.as_bytes().as_slice())
            .bind(as_i64(*piece.start()))
            .bind(as_i64(*piece.end()))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Notes rows of a source with the reports that they became.
    pub async fn insert_import_rows(
        &mut self,
        source: &SourceId,
        rows: &[(RowFingerprint, ReportId)],
    ) -> Result<(), StoreError> {
        let bind = |values: &mut super::rows::Values, (row, report): &(RowFingerprint, ReportId)| {
            values.push(source.as_slice()).push(row.as_slice()).push(report.as_bytes().as_slice());
        };
        ROWS.execute(&mut self.tx, self.dialect, rows, bind).await
    }

    /// The reports that rows of a source became, at most [`KEYS_MAX`] at a time.
    pub async fn reports_of_rows(
        &mut self,
        source: &SourceId,
        rows: &[RowFingerprint],
    ) -> Result<Vec<ReportId>, StoreError> {
        debug_assert!(rows.len() <= KEYS_MAX);
        let text = format!(
            "SELECT report_id FROM import_rows WHERE source_id = $1 AND row_fingerprint IN ({})",
            places(2, rows.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(source.as_slice());
        for row in rows {
            query = query.bind(row.as_slice());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        rows.iter().map(|row| get_id(row, "report_id")).collect()
    }

    /// Forgets the rows that became these reports: a source may list them again.
    pub async fn forget_import_rows(&mut self, reports: &[ReportId]) -> Result<(), StoreError> {
        for reports in reports.chunks(KEYS_MAX) {
            let text = format!("DELETE FROM import_rows WHERE report_id IN ({})", places(1, reports.len()));
            let mut query = sqlx::query(AssertSqlSafe(text));
            for report in reports {
                query = query.bind(report.as_bytes().as_slice());
            }
            query.execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// Forgets that a file was imported. False if it was not.
    pub async fn forget_import(&mut self, file: &[u8; 32]) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM imports WHERE file_fingerprint = $1").bind(file.as_slice());
        Ok(query.execute(&mut *self.tx).await?.rows_affected() == 1)
    }
}
