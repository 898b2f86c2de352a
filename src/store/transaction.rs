//! A transaction that writes, and its two ends: `commit_unlisted`, and `commit` for those who publish. What is written in one is
//! beside each aggregate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::{Executor, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use super::error::{StoreError, is_failed_flush};
use super::leaves::Leaves;
use super::schema::Dialect;
use super::writing_connection::WritingConnection;
use crate::crypto::audit_key::AuditKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::sequence::Sequence;

/// How long a COMMIT that nobody waits for any more may keep its connection and its turn.
const LATE_COMMIT_MAX: Duration = Duration::from_secs(30);

/// A transaction that writes: dropped, it is rolled back.
#[derive(Debug)]
pub struct WriteTx {
    pub(super) tx: Box<WritingConnection>,
    pub(super) dialect: Dialect,
    /// By which peppers rows are keyed until this ends; none before it took the lock that orders all writers.
    pub(super) key_versions: Option<KeyVersions>,
    /// The sequence of its last change of a listing: by that it is published.
    pub(super) listed: Option<Sequence>,
    /// What its rows of the feed say to who checks blindly: added at the end, when listings are what they will be.
    pub(super) leaves: Leaves,
    pub(super) audit_key: Arc<OnceLock<AuditKey>>,
    pub(super) commit_timeout: Duration,
    pub(super) sound: Arc<AtomicBool>,
    pub(super) turn: OwnedSemaphorePermit,
}

/// The COMMIT itself.
async fn end(connection: WritingConnection) -> sqlx::Result<()> {
    match connection {
        WritingConnection::Any(tx) => tx.commit().await,
        WritingConnection::Postgres { mut connection, kept } => {
            (&mut *connection).execute("COMMIT").await?;
            kept.keep(connection).await;
            Ok(())
        }
    }
}

/// Ends the transaction that fills an empty database with a copy: nobody follows its feed yet.
pub(super) async fn end_filling(tx: Transaction<'_, Postgres>) -> Result<(), StoreError> {
    Ok(tx.commit().await?)
}

/// A place in a transaction: what was done behind it can be undone alone.
#[derive(Debug)]
pub struct Savepoint {
    listed: Option<Sequence>,
    /// How many rows of the feed had no leaf yet.
    due: usize,
}

impl WriteTx {
    /// Marks a place to go back to. They are taken one after the other, never one inside another.
    pub async fn set_savepoint(&mut self) -> Result<Savepoint, StoreError> {
        // The lock that orders all writers must be older than the place, or PostgreSQL gives it up on the way back.
        self.take_turn().await?;
        self.tx.execute("SAVEPOINT one_of_many").await?;
        Ok(Savepoint { listed: self.listed, due: self.leaves.due.len() })
    }

    /// What was done behind the place stays.
    pub async fn keep(&mut self, _: Savepoint) -> Result<(), StoreError> {
        self.tx.execute("RELEASE SAVEPOINT one_of_many").await?;
        Ok(())
    }

    /// What was done behind the place was never done. Fails where the database has ended the whole transaction.
    pub async fn go_back(&mut self, to: Savepoint) -> Result<(), StoreError> {
        self.tx.execute("ROLLBACK TO SAVEPOINT one_of_many; RELEASE SAVEPOINT one_of_many").await?;
        self.listed = to.listed;
        self.leaves.due.truncate(to.due);
        Ok(())
    }

    /// Makes durable what changed no listing. A transaction that did is refused here: it ends in `service::writing`, which knows
    /// who must learn about it first.
    pub async fn commit_unlisted(self) -> Result<(), StoreError> {
        if self.listed.is_some() {
            return Err(StoreError::Misused("a listing was changed and would not be published"));
        }
        self.commit().await
    }

    /// The sequence of its last change of a listing; none if it made none.
    pub fn listed(&self) -> Option<Sequence> {
        self.listed
    }

    /// Makes it durable. Only this file and `service::writing` call it (tests/tidy.rs). A failure that leaves the outcome open says so: the caller must not guess. The wait for a standby has no
    /// end on the server's side, because PostgreSQL reports a wait that it cancels as success.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.add_leaves().await?;
        let Self { mut tx, dialect, commit_timeout, sound, turn, .. } = self;
        if let Some(settings) = dialect.commit_settings() {
            tx.execute(settings).await?;
        }
        let (tell, told) = oneshot::channel();
        // A task of its own: dropped half-way, a COMMIT would leave its connection unusable, and whether it happens unknown.
        tokio::spawn(async move {
            let outcome = timeout(LATE_COMMIT_MAX, end(*tx)).await;
            if matches!(&outcome, Ok(Err(error)) if is_failed_flush(error)) {
                sound.store(false, Ordering::Release);
                tracing::error!("{}", StoreError::Unsound);
            }
            let _ = tell.send(outcome);
            drop(turn);
        });
        let outcome = timeout(commit_timeout, told).await;
        let Ok(Ok(Ok(outcome))) = outcome else { return Err(StoreError::CommitUnanswered) };
        outcome.map_err(|error| match StoreError::from(error) {
            StoreError::Unavailable(error) => StoreError::OutcomeUnknown(error),
            certain => certain,
        })
    }
}
