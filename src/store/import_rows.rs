//! What imports brought, so that it can be undone, and the rows of sources that list all they know again and again. Rows are known
//! by keyed fingerprints alone.

use std::ops::RangeInclusive;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::feed::RecordedChange;
use super::reports::{KEYS_MAX, places};
use super::rows::RowsInsert;
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_id, get_id_opt, get_sequence, get_u64};
use crate::domain::ids::{ImportId, ReportId};
use crate::domain::sequence::Sequence;

/// Half of a keyed fingerprint of a source's name.
pub type SourceId = [u8; 16];
/// Half of a keyed fingerprint of a row.
pub type RowFingerprint = [u8; 16];

/// A piece of the feed that an import wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// From the first to the last.
    pub sequences: RangeInclusive<Sequence>,
    /// Between these lie the ids of its reports.
    pub reports: RangeInclusive<ReportId>,
}

impl Piece {
    /// The part of feed and ids that pieces lie in; none where there are none. They are in the order of their sequences.
    pub fn around(pieces: &[Self]) -> Option<Self> {
        let (first, last) = pieces.first().zip(pieces.last())?;
        let from = pieces.iter().map(|piece| *piece.reports.start()).min()?;
        let until = pieces.iter().map(|piece| *piece.reports.end()).max()?;
        Some(Self { sequences: *first.sequences.start()..=*last.sequences.end(), reports: from..=until })
    }
}

/// Active reports of a part, from an id on; the primary key bounds what is read (`tests/store/imports.rs`).
pub const ACTIVE_REPORTS_BETWEEN: [&str; 2] = [
    "SELECT report_id, sequence FROM loss_reports WHERE report_id >= $1 AND report_id <= $2 \
     AND sequence >= $3 AND sequence <= $4 AND state = 'active' ORDER BY report_id LIMIT 500",
    "SELECT report_id, sequence FROM loss_reports WHERE report_id > $1 AND report_id <= $2 \
     AND sequence >= $3 AND sequence <= $4 AND state = 'active' ORDER BY report_id LIMIT 500",
];

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

    /// How many of these rows of a source have a report that lists its card still.
    pub async fn count_listed_rows(&self, source: &SourceId, rows: &[RowFingerprint]) -> Result<u64, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let mut total = 0;
        for rows in rows.chunks(KEYS_MAX) {
            let text = format!(
                "SELECT COUNT(*) AS total FROM import_rows JOIN loss_reports ON loss_reports.report_id = import_rows.report_id \
                 WHERE source_id = $1 AND state = 'active' AND row_fingerprint IN ({})",
                places(2, rows.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(text)).bind(source.as_slice());
            for row in rows {
                query = query.bind(row.as_slice());
            }
            total += get_u64(&query.fetch_one(&mut *tx).await?, "total")?;
        }
        Ok(total)
    }

    /// The pieces of the feed that an import wrote, in their order; none where there was no such import.
    pub async fn import_pieces(&self, import: ImportId) -> Result<Vec<Piece>, StoreError> {
        let text = "SELECT first_sequence, last_sequence, first_report, last_report FROM import_pieces WHERE import_id = $1 \
             ORDER BY first_sequence";
        let query = sqlx::query(text).bind(import.as_bytes().as_slice());
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        let read = |row: &AnyRow| {
            let sequences = get_sequence(row, "first_sequence")?..=get_sequence(row, "last_sequence")?;
            // A piece of before these were kept may have any.
            let first = get_id_opt(row, "first_report")?.unwrap_or(ReportId::nil());
            let last = get_id_opt(row, "last_report")?.unwrap_or(ReportId::from_u128(u128::MAX));
            Ok(Piece { sequences, reports: first..=last })
        };
        rows.iter().map(read).collect()
    }

    /// Active reports whose last change lies in a part of the feed, in the order of their ids after `after`, a page at a time.
    pub async fn active_reports_between(
        &self,
        part: &Piece,
        after: Option<ReportId>,
    ) -> Result<Vec<(ReportId, Sequence)>, StoreError> {
        let text = ACTIVE_REPORTS_BETWEEN[usize::from(after.is_some())];
        let (from, until) = (after.unwrap_or(*part.reports.start()), *part.reports.end());
        // A page may have to pass all that others reported while the import ran.
        let mut tx = self.begin_long_read().await?;
        let query = sqlx::query(text).bind(from.as_bytes().as_slice()).bind(until.as_bytes().as_slice());
        let query = query.bind(as_i64(*part.sequences.start())).bind(as_i64(*part.sequences.end()));
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
        sqlx::query("INSERT INTO import_pieces (import_id, first_sequence, last_sequence, first_report, last_report) VALUES ($1, $2, $3, $4, $5)")
            .bind(import.as_bytes().as_slice())
            .bind(as_i64(*piece.sequences.start()))
            .bind(as_i64(*piece.sequences.end()))
            .bind(piece.reports.start().as_bytes().as_slice())
            .bind(piece.reports.end().as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Where an import brought a report that is in force again, its undoing finds it by the new change too. The ids of a piece are of one
    /// moment: who filed a report in it by itself has an entry of the audit log.
    pub(super) async fn keep_in_import(&mut self, report: ReportId, change: &RecordedChange) -> Result<(), StoreError> {
        let text = "SELECT DISTINCT import_id FROM import_pieces WHERE first_report <= $1 AND last_report >= $1 \
             AND NOT EXISTS (SELECT 1 FROM audit WHERE subject = $1 AND action = 'report_filed')";
        let found = sqlx::query(text).bind(report.as_bytes().as_slice()).fetch_all(&mut *self.tx).await?;
        for row in &found {
            // One change may bring back several reports of a number.
            sqlx::query(
                "INSERT INTO import_pieces (import_id, first_sequence, last_sequence, first_report, last_report) \
                 VALUES ($1, $2, $2, $3, $3) ON CONFLICT (import_id, first_sequence) DO UPDATE SET \
                 first_report = CASE WHEN excluded.first_report < import_pieces.first_report \
                 THEN excluded.first_report ELSE import_pieces.first_report END, \
                 last_report = CASE WHEN excluded.last_report > import_pieces.last_report \
                 THEN excluded.last_report ELSE import_pieces.last_report END",
            )
            .bind(get_id::<ImportId>(row, "import_id")?.as_bytes().as_slice())
            .bind(as_i64(change.sequence()))
            .bind(report.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Notes rows of a source with the reports that they became. False where one is known by now: another import of the source is at
    /// work, and this transaction must not be committed.
    pub async fn insert_import_rows(
        &mut self,
        source: &SourceId,
        rows: &[(RowFingerprint, ReportId)],
    ) -> Result<bool, StoreError> {
        let bind = |values: &mut super::rows::Values, (row, report): &(RowFingerprint, ReportId)| {
            values.push(source.as_slice()).push(row.as_slice()).push(report.as_bytes().as_slice());
        };
        match ROWS.execute(&mut self.tx, self.dialect, rows, bind).await {
            Err(StoreError::Unavailable(sqlx::Error::Database(error))) if error.is_unique_violation() => Ok(false),
            done => done.map(|()| true),
        }
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
