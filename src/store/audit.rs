//! The audit log: rows are added, never changed (triggers in `schema.rs` see to it). Each is written in the transaction of what
//! it records, or, for a read, before the answer goes out. What a chain must look like is `crypto::audit`'s.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::aggregates;
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_id_opt, get_u64};
use crate::crypto::audit::{End, Entry};
use crate::domain::audit::Deed;
use crate::domain::instant::UnixMs;

/// Entries of one page.
const PAGE_ENTRIES_MAX: i64 = 1000;

impl Store {
    /// The entries behind a sequence, in order; none at the end of the log. They are read as they are: whether they follow
    /// from one another is for the caller to see.
    pub async fn list_audit(&self, after: u64) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, organization_id, client_id, action, subject, old_start, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(as_i64(after))
        .bind(PAGE_ENTRIES_MAX)
        .fetch_all(&mut *self.connection().await?)
        .await?;
        rows.iter().map(read_entry).collect()
    }
}

impl WriteTx {
    /// Adds an entry. It takes the lock that orders all writers, so that the chain has one end.
    pub async fn record_deed(&mut self, deed: &Deed, now_ms: UnixMs) -> Result<(), StoreError> {
        if deed.subject.is_none() && aggregates::subject_of(deed.action).is_some() {
            return Err(StoreError::Misused("the audit log is not told which record"));
        }
        self.take_turn().await?;
        let last =
            sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(&mut *self.tx).await?;
        let end = match last {
            Some(row) => End { sequence: get_u64(&row, "seq")?, hash: get_bytes(&row, "hash")? },
            None => End::BEGINNING,
        };
        let entry = end.next(now_ms, deed);
        sqlx::query(
            "INSERT INTO audit (seq, at, organization_id, client_id, action, subject, old_start, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(as_i64(entry.sequence))
        .bind(entry.at_ms)
        .bind(entry.organization.map(|id| id.as_bytes().to_vec()))
        .bind(entry.client.map(|id| id.as_bytes().to_vec()))
        .bind(entry.action.as_str())
        .bind(entry.subject.map(|id| id.as_bytes().to_vec()))
        .bind(entry.old_start.clone())
        .bind(entry.hash.to_vec())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn read_entry(row: &AnyRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        sequence: get_u64(row, "seq")?,
        at_ms: row.try_get("at")?,
        organization: get_id_opt(row, "organization_id")?,
        client: get_id_opt(row, "client_id")?,
        action: row.try_get("action")?,
        subject: get_id_opt(row, "subject")?,
        old_start: row.try_get("old_start")?,
        hash: get_bytes(row, "hash")?,
    })
}
