//! Erasure of what persons told: the wrapped key of a contact or a narrative goes, and with it the only way to read what was
//! sealed, here and in every copy of the sealed bytes that has no copy of that key.

use sqlx::{AssertSqlSafe, Row};

use super::aggregate::Aggregate;
use super::{Store, StoreError, WriteTx, get_u64};
use crate::domain::ids::RecordId;

/// What became of the wish to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    NoRecord,
    /// The record has none, or has none any more.
    Nothing,
    Done,
}

impl WriteTx {
    /// Erases the sealed texts of a record of any organization.
    pub async fn erase(&mut self, of: &Aggregate, record: RecordId) -> Result<Erased, StoreError> {
        self.take_turn().await?;
        let Aggregate { table, id, sealed_texts: texts, .. } = of;
        if texts.is_empty() {
            return Err(StoreError::Misused("nothing is sealed there"));
        }
        let is_there: Vec<_> = texts.iter().map(|text| format!("{text}_key IS NOT NULL")).collect();
        let find = format!(
            "SELECT CAST(CASE WHEN {} THEN 1 ELSE 0 END AS BIGINT) AS is_there FROM {table} WHERE {id} = $1",
            is_there.join(" OR ")
        );
        let query = sqlx::query(AssertSqlSafe(find)).bind(record.as_bytes().as_slice());
        let Some(row) = query.fetch_optional(&mut *self.tx).await? else { return Ok(Erased::NoRecord) };
        if get_u64(&row, "is_there")? == 0 {
            return Ok(Erased::Nothing);
        }
        let gone: Vec<_> = texts.iter().map(|text| format!("{text}_key = NULL, {text}_sealed = NULL")).collect();
        let erase = format!("UPDATE {table} SET {} WHERE {id} = $1", gone.join(", "));
        let query = sqlx::query(AssertSqlSafe(erase)).bind(record.as_bytes().as_slice());
        query.execute(&mut *self.tx).await?;
        Ok(Erased::Done)
    }
}

impl Store {
    /// Takes copies of changed pages off the disk that are older than the last change. False where that is not the store's to
    /// do, or where a reader still needs them.
    pub async fn drop_old_pages(&self) -> Result<bool, StoreError> {
        let Some(statement) = self.dialect.drop_old_pages() else { return Ok(false) };
        let row = sqlx::query(statement).fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }
}
