//! The audit log: rows are added, never changed. Each is written in the transaction of what it tells, or, for a read, before the
//! answer goes out.

use super::{StoreError, WriteTx, as_i64, get_bytes, get_u64};
use crate::crypto::audit::{GENESIS, link};
use crate::domain::audit::Deed;

impl WriteTx {
    /// Adds an entry. It takes the lock that orders all writers, so that the chain has one end.
    pub async fn record_deed(&mut self, deed: &Deed, now_ms: i64) -> Result<(), StoreError> {
        self.take_turn().await?;
        let last =
            sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(&mut *self.tx).await?;
        let (sequence, previous) = match last {
            Some(row) => (get_u64(&row, "seq")? + 1, get_bytes(&row, "hash")?),
            None => (1, GENESIS),
        };
        sqlx::query(
            "INSERT INTO audit (seq, at, organization_id, client_id, action, subject, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(as_i64(sequence))
        .bind(now_ms)
        .bind(deed.actor.map(|actor| actor.organization.as_bytes().to_vec()))
        .bind(deed.actor.map(|actor| actor.client.as_bytes().to_vec()))
        .bind(deed.action.as_str())
        .bind(deed.subject.map(|subject| subject.as_bytes().to_vec()))
        .bind(link(&previous, sequence, now_ms, deed).to_vec())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
