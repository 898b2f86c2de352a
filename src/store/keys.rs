//! The key checks: values by which the store recognises its keys, and refuses to serve with others.
//! The keys themselves never come here.

use sqlx::Row;

use super::{Store, StoreError, WriteTx};
use crate::crypto::KeyCheck;
use crate::crypto::keyfiles::Purpose;

/// How the keys of a node compare with the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMatch {
    /// The store knows no keys yet.
    Unknown,
    /// These are its keys.
    Same,
    /// These are not.
    Different,
    /// A pepper that rows are keyed by is not among them.
    Lacks { pepper: u32 },
}

impl Store {
    /// Compares keys with those the store knows. Retired peppers may be missing, and newer ones may be there that the store
    /// does not know yet.
    pub async fn match_keys(&self, checks: &[KeyCheck]) -> Result<KeyMatch, StoreError> {
        if !self.knows_keys().await? {
            return Ok(KeyMatch::Unknown);
        }
        for check in checks {
            match self.key_check(check.purpose, check.version).await? {
                Some(value) if value == check.value => {}
                None if check.purpose == Purpose::Pepper => {}
                _ => return Ok(KeyMatch::Different),
            }
        }
        for pepper in self.key_versions().await?.all() {
            if !checks.iter().any(|check| check.purpose == Purpose::Pepper && check.version == pepper) {
                return Ok(KeyMatch::Lacks { pepper });
            }
        }
        Ok(KeyMatch::Same)
    }

    /// Whether the store was made with keys at all.
    pub async fn knows_keys(&self) -> Result<bool, StoreError> {
        let row =
            sqlx::query("SELECT COUNT(*) AS total FROM key_checks").fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get::<i64, _>("total")? > 0)
    }

    /// The value by which a key is recognised; none if the store does not know it.
    pub async fn key_check(&self, purpose: Purpose, version: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT value FROM key_checks WHERE purpose = $1 AND version = $2")
            .bind(purpose.as_str())
            .bind(i64::from(version))
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        Ok(row.map(|row| row.try_get("value")).transpose()?)
    }

    /// By which issuer nodes serve from this store; none where none has served yet.
    pub async fn issuer(&self) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT issuer FROM service WHERE id = 1")
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        Ok(row.map(|row| row.try_get("issuer")).transpose()?)
    }

    /// Remembers it, in the place of an earlier one. A start writes nothing that is known already.
    pub async fn remember_issuer(&self, issuer: &str) -> Result<(), StoreError> {
        if self.issuer().await?.as_deref() == Some(issuer) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO service (id, issuer) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET issuer = $1")
            .bind(issuer)
            .execute(&mut *tx.tx)
            .await?;
        tx.commit_unlisted().await
    }

    /// The highest version of a pepper that was ever made known, in use or not.
    pub async fn newest_known_pepper(&self) -> Result<u32, StoreError> {
        let row = sqlx::query("SELECT COALESCE(MAX(version), 0) AS newest FROM key_checks WHERE purpose = $1")
            .bind(Purpose::Pepper.as_str())
            .fetch_one(&mut *self.connection().await?)
            .await?;
        u32::try_from(row.try_get::<i64, _>("newest")?).map_err(|_| StoreError::Corrupt("key_checks.version"))
    }

    /// Remembers the keys of a first start; after it rows are keyed by the newest pepper. Where two nodes start at once the
    /// first wins, and the second must compare again.
    pub async fn remember_keys(&self, checks: &[KeyCheck]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.take_turn().await?;
        let row = sqlx::query("SELECT COUNT(*) AS total FROM key_checks").fetch_one(&mut *tx.tx).await?;
        if row.try_get::<i64, _>("total")? > 0 {
            return Ok(());
        }
        for check in checks {
            tx.insert_key_check(check).await?;
        }
        let peppers = checks.iter().filter(|check| check.purpose == Purpose::Pepper);
        if let Some(newest) = peppers.map(|check| check.version).max() {
            sqlx::query("UPDATE feed_head SET key_version = $1 WHERE id = 1")
                .bind(i64::from(newest))
                .execute(&mut *tx.tx)
                .await?;
        }
        tx.commit_unlisted().await
    }

    /// Makes a key known: a pepper before it is used, a signing key when a node starts with it. False if another one of its
    /// version is known already.
    pub async fn remember_key(&self, check: &KeyCheck) -> Result<bool, StoreError> {
        if self.key_check(check.purpose, check.version).await?.is_none() {
            let mut tx = self.begin().await?;
            tx.insert_key_check(check).await?;
            tx.commit_unlisted().await?;
        }
        Ok(self.key_check(check.purpose, check.version).await?.is_some_and(|value| value == check.value))
    }
}

impl WriteTx {
    async fn insert_key_check(&mut self, check: &KeyCheck) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO key_checks (purpose, version, value) VALUES ($1, $2, $3) ON CONFLICT (purpose, version) DO NOTHING",
        )
        .bind(check.purpose.as_str())
        .bind(i64::from(check.version))
        .bind(check.value.as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
