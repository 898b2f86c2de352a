//! What takes longer than its approval: what is still to be done of a request, which a node takes for a while, and what came of it. What
//! the texts say is the service's.

use sqlx::{AssertSqlSafe, Row};

use super::administration::{AdminRequest, REQUEST, read_request};
use super::{Store, StoreError, WriteTx};
use crate::domain::ids::AdminRequestId;
use crate::domain::instant::UnixMs;

/// Approved, not done, and taken by no node.
const OPEN: &str =
    "work IS NOT NULL AND approved_at IS NOT NULL AND done_at IS NULL AND (taken_until IS NULL OR taken_until < $1)";

impl Store {
    /// Whether something that was approved is still to be done, and no node does it.
    pub async fn has_admin_work(&self, now_ms: UnixMs) -> Result<bool, StoreError> {
        let text = format!("SELECT COUNT(*) AS total FROM admin_requests WHERE {OPEN}");
        let row = sqlx::query(AssertSqlSafe(text)).bind(now_ms).fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get::<i64, _>("total")? > 0)
    }
}

impl WriteTx {
    /// Keeps what must be done of a request that is approved in this transaction.
    pub async fn leave_admin_work(&mut self, id: AdminRequestId, work: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE admin_requests SET work = $1 WHERE request_id = $2")
            .bind(work)
            .bind(id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Takes the oldest of what must be done. If its node dies, another one takes it after that time.
    pub async fn take_admin_work(
        &mut self,
        now_ms: UnixMs,
        until_ms: UnixMs,
    ) -> Result<Option<AdminRequest>, StoreError> {
        self.take_turn().await?;
        let text = format!("SELECT {REQUEST} FROM admin_requests WHERE {OPEN} ORDER BY request_id LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(text)).bind(now_ms).fetch_optional(&mut *self.tx).await?;
        let Some(taken) = row.as_ref().map(read_request).transpose()? else { return Ok(None) };
        sqlx::query("UPDATE admin_requests SET taken_until = $1 WHERE request_id = $2")
            .bind(until_ms)
            .bind(taken.id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(Some(taken))
    }

    /// Keeps what came of a request, once.
    pub async fn end_admin_work(&mut self, id: AdminRequestId, at_ms: UnixMs, outcome: &str) -> Result<(), StoreError> {
        self.take_turn().await?;
        sqlx::query("UPDATE admin_requests SET done_at = $1, outcome = $2 WHERE request_id = $3 AND done_at IS NULL")
            .bind(at_ms)
            .bind(outcome)
            .bind(id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
