//! All records that list a number, read in one go when a node takes up the registry.

use futures_util::TryStreamExt;
use sqlx::Row;

use super::key_versions::get_key_versions;
use super::report_rows::{in_force, read_listed};
use super::{Store, StoreError, get_bytes, get_sequence, get_u64};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

/// The moment of the store at which everything was read.
#[derive(Debug)]
pub struct ListedAt {
    pub head: Sequence,
    pub epoch: String,
    pub key_versions: KeyVersions,
}

/// What takes the records, in no order; a number may have several.
pub trait ListedReader: Send {
    /// Whether it wants the records, or their numbers' keys alone, which are read faster. There are at most so many: counted
    /// first, so that memory is taken once; a list that grows holds everything twice while it moves.
    fn begin(&mut self, records_max: usize) -> bool;
    fn take(&mut self, key: LookupKey, record: Option<Record>);
}

impl Store {
    /// How many records there are that may list a number.
    pub async fn count_listing_records(&self) -> Result<u64, StoreError> {
        let text = "SELECT (SELECT COUNT(*) FROM loss_reports) + (SELECT COUNT(*) FROM replacements) AS total";
        get_u64(&sqlx::query(text).fetch_one(&mut *self.connection().await?).await?, "total")
    }

    /// Reads every record that lists a number, under whichever key it has.
    pub async fn read_listed(&self, reader: &mut impl ListedReader) -> Result<ListedAt, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let head = format!(
            "SELECT h.seq AS seq, {} AS epoch, h.key_version AS key_version, h.key_version_from AS key_version_from, \
             (SELECT COUNT(*) FROM loss_reports) + (SELECT COUNT(*) FROM replacements) AS rows_max FROM feed_head h",
            self.dialect.epoch()
        );
        let head = sqlx::query(sqlx::AssertSqlSafe(head)).fetch_one(&mut *tx).await?;
        let rows_max = usize::try_from(get_u64(&head, "rows_max")?).map_err(|_| StoreError::Corrupt("rows_max"))?;
        let (reports, replacements) = if reader.begin(rows_max) {
            (
                concat!(
                    "SELECT 'report' AS kind, lookup_key, state, card_valid_from, reported_at AS dated FROM loss_reports WHERE ",
                    in_force!()
                ),
                "SELECT 'replacement' AS kind, lookup_key, '' AS state, card_valid_from, recorded_at AS dated FROM replacements",
            )
        } else {
            (concat!("SELECT lookup_key FROM loss_reports WHERE ", in_force!()), "SELECT lookup_key FROM replacements")
        };
        for query in [reports, replacements] {
            let mut rows = sqlx::query(query).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                let record = if row.len() > 1 { read_listed(&row)? } else { None };
                reader.take(LookupKey::from_bytes(get_bytes(&row, "lookup_key")?), record);
            }
        }
        Ok(ListedAt {
            head: get_sequence(&head, "seq")?,
            epoch: head.try_get("epoch")?,
            key_versions: get_key_versions(&head)?,
        })
    }
}
