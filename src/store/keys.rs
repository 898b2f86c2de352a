//! The key checks: values by which the store recognises its keys, and refuses to serve with others.
//! The keys themselves never come here.

use sqlx::Row;

use super::{Store, StoreError};
use crate::crypto::KeyCheck;

/// How the keys of a node compare with the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMatch {
    /// The store knows no keys yet.
    Unknown,
    /// These are its keys.
    Same,
    /// These are not.
    Different,
}

impl Store {
    /// Compares keys with those the store was made with.
    pub async fn match_keys(&self, checks: &[KeyCheck]) -> Result<KeyMatch, StoreError> {
        let mut known = 0;
        for check in checks {
            let row = sqlx::query("SELECT value FROM key_checks WHERE purpose = $1 AND version = $2")
                .bind(check.purpose.as_str())
                .bind(i64::from(check.version))
                .fetch_optional(&mut *self.connection().await?)
                .await?;
            match row {
                Some(row) if row.try_get::<&[u8], _>("value")? == check.value => known += 1,
                Some(_) => return Ok(KeyMatch::Different),
                None => {}
            }
        }
        if known == checks.len() {
            return Ok(KeyMatch::Same);
        }
        Ok(if self.knows_keys().await? { KeyMatch::Different } else { KeyMatch::Unknown })
    }

    /// Whether the store was made with keys at all.
    pub async fn knows_keys(&self) -> Result<bool, StoreError> {
        let row =
            sqlx::query("SELECT COUNT(*) AS total FROM key_checks").fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get::<i64, _>("total")? > 0)
    }

    /// Remembers the keys of a first start. Where two nodes start at once the first wins, and the second must compare again.
    pub async fn remember_keys(&self, checks: &[KeyCheck]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for check in checks {
            sqlx::query(
                "INSERT INTO key_checks (purpose, version, value) VALUES ($1, $2, $3) ON CONFLICT (purpose, version) DO NOTHING",
            )
            .bind(check.purpose.as_str())
            .bind(i64::from(check.version))
            .bind(check.value.as_slice())
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit().await
    }
}
