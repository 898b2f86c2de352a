//! What a witness remembers: of each log, the latest checkpoint that it has cosigned, and of each registry its latest log. A database
//! file of its own, never the registry's: a witness is somebody else's.

use std::path::Path;
use std::time::Duration;

use sqlx::{AnyPool, Row};

use super::columns::{get_bytes, get_u64};
use super::database::connect;
use super::schema::{self, Dialect};
use super::{StoreError, as_i64};
use crate::crypto::tlog::{Checkpoint, Hash};
use crate::domain::registry_log::{LogEpoch, epoch_of};

/// How long a question waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 4;

/// The size and root that were cosigned last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witnessed {
    pub size: u64,
    pub root: Hash,
}

/// What came of remembering a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    Done,
    /// What it continues is not there any more.
    Overtaken,
    /// A later log of the same registry was cosigned before.
    Ended,
}

const EPOCH: &str = "INSERT INTO newest_epochs (log, epoch) VALUES ($1, $2) \
                     ON CONFLICT (log) DO UPDATE SET epoch = excluded.epoch WHERE excluded.epoch >= newest_epochs.epoch";

/// The memory of a witness. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WitnessStore(AnyPool);

impl WitnessStore {
    /// Opens the file of a folder, and makes it if it is not there.
    pub async fn open(data: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = schema::made_url(&data.join("witness.db"));
        schema::claim_files(&url)?;
        let pool = connect(&url, None, Dialect::Sqlite, CONNECTIONS, WAIT_MAX).await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS witnessed (origin TEXT NOT NULL PRIMARY KEY, size BIGINT NOT NULL, root BLOB NOT NULL)",
        )
        .execute(&pool)
        .await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS newest_epochs (log TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL)")
            .execute(&pool)
            .await?;
        // What a version before this one has cosigned.
        for row in sqlx::query("SELECT origin FROM witnessed").fetch_all(&pool).await? {
            if let Some((log, epoch)) = epoch_of(&row.try_get::<String, _>("origin")?) {
                sqlx::query(EPOCH).bind(log).bind(i64::from(epoch.get())).execute(&pool).await?;
            }
        }
        Ok(Self(pool))
    }

    /// What was cosigned last of a log; none if nothing was.
    pub async fn find(&self, origin: &str) -> Result<Option<Witnessed>, StoreError> {
        let row = sqlx::query("SELECT size, root FROM witnessed WHERE origin = $1")
            .bind(origin)
            .fetch_optional(&self.0)
            .await?;
        row.map(|row| Ok(Witnessed { size: get_u64(&row, "size")?, root: get_bytes(&row, "root")? })).transpose()
    }

    /// Puts a checkpoint in the place of what was there, if it was still there: of two that continue the same one, one comes too late. Of
    /// `epoch`, a registry and its log, only where no later log of it was cosigned. Durable when this returns.
    pub async fn advance(
        &self,
        old: Option<Witnessed>,
        new: &Checkpoint,
        epoch: Option<(&str, LogEpoch)>,
    ) -> Result<Advanced, StoreError> {
        let mut tx = self.0.begin().await?;
        if let Some((log, epoch)) = epoch {
            let query = sqlx::query(EPOCH).bind(log).bind(i64::from(epoch.get()));
            if query.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(Advanced::Ended);
            }
        }
        let size = as_i64(new.size);
        let query = match old {
            None => sqlx::query(
                "INSERT INTO witnessed (origin, size, root) VALUES ($1, $2, $3) ON CONFLICT (origin) DO NOTHING",
            )
            .bind(new.origin.as_str())
            .bind(size)
            .bind(new.root.as_slice()),
            Some(old) => {
                sqlx::query("UPDATE witnessed SET size = $2, root = $3 WHERE origin = $1 AND size = $4 AND root = $5")
                    .bind(new.origin.as_str())
                    .bind(size)
                    .bind(new.root.as_slice())
                    .bind(as_i64(old.size))
                    .bind(old.root.to_vec())
            }
        };
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Advanced::Overtaken);
        }
        tx.commit().await?;
        Ok(Advanced::Done)
    }

    /// Ends every connection.
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// Leaves the file as a version without epochs had it.
    #[cfg(test)]
    pub(crate) async fn forget_epochs(&self) -> Result<(), StoreError> {
        sqlx::query("DROP TABLE newest_epochs").execute(&self.0).await?;
        Ok(())
    }
}
