//! Restores of back-ups into this store: each begins an epoch, and is known for as long as that lasts.

use sqlx::{AssertSqlSafe, Row};

use super::{Store, StoreError, as_i64, get_sequence};
use crate::crypto::random;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;

/// What a store was restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The epoch in which the back-up was made.
    pub former_epoch: String,
    /// The last change that the back-up holds.
    pub sequence: Sequence,
    pub backed_up_at_ms: UnixMs,
    pub restored_at_ms: UnixMs,
}

impl Store {
    /// Begins an epoch after a restore, before any node serves from the store, and returns it. Nodes of the time of the back-up are
    /// forgotten: none of them follows this store.
    pub async fn begin_restored(&self, restored: &Restored) -> Result<String, StoreError> {
        let epoch = hex::encode(random::bytes::<16>());
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE feed_head SET epoch = $1 WHERE id = 1").bind(epoch.as_str()).execute(&mut *tx.tx).await?;
        sqlx::query("DELETE FROM nodes").execute(&mut *tx.tx).await?;
        sqlx::query(
            "INSERT INTO restores (epoch, former_epoch, sequence, backed_up_at, restored_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(epoch)
        .bind(restored.former_epoch.as_str())
        .bind(as_i64(restored.sequence))
        .bind(restored.backed_up_at_ms.get())
        .bind(restored.restored_at_ms.get())
        .execute(&mut *tx.tx)
        .await?;
        tx.commit_unlisted().await?;
        let text = format!("SELECT {} AS epoch FROM feed_head h", self.dialect.epoch());
        let row = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get("epoch")?)
    }

    /// The restore that this epoch began with; none if it began with a new store, or by hand.
    pub async fn restored(&self) -> Result<Option<Restored>, StoreError> {
        let row = sqlx::query("SELECT r.* FROM restores r JOIN feed_head h ON h.epoch = r.epoch")
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(Restored {
                former_epoch: row.try_get("former_epoch")?,
                sequence: get_sequence(&row, "sequence")?,
                backed_up_at_ms: UnixMs::new(row.try_get("backed_up_at")?),
                restored_at_ms: UnixMs::new(row.try_get("restored_at")?),
            })
        };
        row.map(read).transpose()
    }
}
