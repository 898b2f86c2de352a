//! Offices as people know them. A code stands for one office, whatever organization acts for it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::reports::places;
use super::{Store, StoreError, WriteTx, as_i64, get_parsed};
use crate::domain::client::OrganizationName;
use crate::domain::office::{Office, OfficeReach};
use crate::domain::report::OfficeCode;

impl Store {
    /// Offices behind one of them, in the order of their codes.
    pub async fn list_offices(&self, after: Option<&str>, count_max: usize) -> Result<Vec<Office>, StoreError> {
        let rows = sqlx::query("SELECT office, name, reach FROM offices WHERE office > $1 ORDER BY office LIMIT $2")
            .bind(after.unwrap_or_default())
            .bind(as_i64(count_max as u64))
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(read_office).collect()
    }
}

impl WriteTx {
    /// Says what an office is, in place of what was said before.
    pub async fn put_office(&mut self, office: &Office) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO offices (office, name, reach) VALUES ($1, $2, $3) \
             ON CONFLICT (office) DO UPDATE SET name = excluded.name, reach = excluded.reach",
        )
        .bind(office.code.as_str())
        .bind(office.name.as_str())
        .bind(office.reach.as_str())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// Those of some codes that are known.
pub(super) async fn known_offices(
    connection: impl sqlx::Executor<'_, Database = sqlx::Any>,
    codes: &[&str],
) -> Result<Vec<Office>, StoreError> {
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!("SELECT office, name, reach FROM offices WHERE office IN ({})", places(1, codes.len()));
    let mut query = sqlx::query(AssertSqlSafe(text));
    for code in codes {
        query = query.bind((*code).to_owned());
    }
    query.fetch_all(connection).await?.iter().map(read_office).collect()
}

fn read_office(row: &AnyRow) -> Result<Office, StoreError> {
    Ok(Office {
        code: get_parsed(row, "office", OfficeCode::parse)?,
        name: get_parsed(row, "name", OrganizationName::stored)?,
        reach: get_parsed(row, "reach", OfficeReach::stored)?,
    })
}
