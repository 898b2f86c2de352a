//! SQL, and all of it. Invariants: every change of the registry and its row of the feed are committed in one transaction
//! (`WriteTx::record_changes`), so the feed has no gap; nothing here decides what a listing means, and nothing holds a number
//! or an unsealed digest. The store is the truth: everything else is a copy that must prove that it is current.

pub mod aggregate;
pub mod aggregates;
pub mod alerts;
pub mod applications;
pub mod audit;
pub mod certificates;
pub mod citizen;
pub mod clients;
pub mod erasure;
pub mod feed;
pub mod found_cards;
pub mod idempotency;
pub mod imports;
mod key_versions;
pub mod keys;
mod migrations;
pub mod misuse_reports;
pub mod nodes;
pub mod reports;
pub mod retention;
pub mod rotation;
mod rows;
pub mod sandbox;
mod schema;
pub mod sightings;
pub mod usage;
pub mod webhooks;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, AssertSqlSafe, Connection, Executor, Row, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::crypto::pepper::KeyVersions;
use crate::crypto::random;
use schema::Dialect;

/// How the store is reached, and its bounds.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`; none means the embedded store of the data folder.
    pub url: Option<String>,
    pub connections_max: u32,
    /// How long a caller waits for a connection before it is told that the store is busy.
    pub acquire_timeout: Duration,
    /// How long a writer waits for the word that its change is durable before it is told that this is not known.
    pub commit_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            url: None,
            connections_max: 8,
            acquire_timeout: Duration::from_millis(250),
            commit_timeout: Duration::from_secs(2),
        }
    }
}

/// The store did not do what it was asked. What a client is told of it is decided in `http`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database URL names no supported database: sqlite:PATH or postgres://USER@HOST/NAME")]
    UnknownUrl,
    #[error("the store is busy")]
    Busy,
    #[error("the store's disk is full")]
    Full,
    #[error("the store is read-only")]
    ReadOnly,
    #[error("the store cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    #[error("the store did not confirm the commit: it may or may not have happened")]
    OutcomeUnknown(#[source] sqlx::Error),
    #[error("the rows are keyed by another pepper by now")]
    OtherPepper,
    #[error("the store did not confirm the commit in time: it may or may not happen")]
    CommitUnanswered,
    #[error("the disk failed to confirm a write: until this node is restarted it stores nothing more")]
    Unsound,
    #[error("a row does not hold what was written: {0}")]
    Corrupt(&'static str),
    /// A fault of this program: nothing was committed.
    #[error("the store was used in a way that would lose a change: {0}")]
    Misused(&'static str),
    #[error("the store's runtime has stopped")]
    Stopped,
    #[error("the schema cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        schema::classify(error)
    }
}

/// How long a writer waits for its turn before it is told that the store is busy.
const WRITE_TURN_WAIT: Duration = Duration::from_secs(2);
/// Connections of the node itself: follower, membership, confirming, waiting for others. No load on the others ends a lease.
const OWN_CONNECTIONS: u32 = 4;
/// How long a connection that was given back may take to answer before it is given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a COMMIT that nobody waits for any more may keep its connection and its turn.
const LATE_COMMIT_MAX: Duration = Duration::from_secs(30);

/// The registry's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// For following the feed and for the list of nodes.
    own: AnyPool,
    dialect: Dialect,
    writers: Arc<Semaphore>,
    commit_timeout: Duration,
    /// False once a flush failed: the system may have dropped what it could not write, and the next flush would succeed.
    sound: Arc<AtomicBool>,
    /// Where connections live.
    runtime: Handle,
}

impl Store {
    /// Connects, and brings the schema up to date.
    pub async fn open(options: &StoreOptions, data: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = options.url.clone().unwrap_or_else(|| schema::embedded_url(data));
        let dialect = Dialect::of(&url)?;
        let pool = connect(&url, dialect, options.connections_max, options.acquire_timeout).await?;
        let own = connect(&url, dialect, OWN_CONNECTIONS, options.acquire_timeout).await?;
        let writers = Arc::new(Semaphore::new(dialect.writers_max()));
        let commit_timeout = options.commit_timeout;
        let sound = Arc::new(AtomicBool::new(true));
        let store = Self { pool, own, dialect, writers, commit_timeout, sound, runtime: Handle::current() };
        store.dialect.migrator().run(&store.pool).await?;
        store.ensure_head().await?;
        Ok(store)
    }

    /// Begins a transaction that writes. Writers of one process take turns here, fairly, rather than in the database's lock.
    pub async fn begin(&self) -> Result<WriteTx, StoreError> {
        let turn = timeout(WRITE_TURN_WAIT, Arc::clone(&self.writers).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(StoreError::Busy) };
        // After the turn: whoever waited while a flush failed is refused too.
        if !self.is_sound() {
            return Err(StoreError::Unsound);
        }
        let tx = self.begin_with(self.dialect.begin_write()).await?;
        let (commit_timeout, sound) = (self.commit_timeout, Arc::clone(&self.sound));
        Ok(WriteTx { tx, dialect: self.dialect, key_versions: None, listed: None, commit_timeout, sound, turn })
    }

    /// Whether what it confirms can be believed. If not, the process must be restarted: it then reads what is really there.
    pub fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    /// Where connections live. What takes several steps with one is done there, for whoever waits may be slow to take each.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends every connection, checkpointing what is embedded.
    pub async fn close(&self) {
        self.own.close().await;
        self.pool.close().await;
    }

    async fn begin_with(&self, statement: &'static str) -> Result<Transaction<'static, Any>, StoreError> {
        let pool = self.pool.clone();
        let begun = self.runtime.spawn(async move { pool.begin_with(statement).await });
        Ok(begun.await.map_err(|_| StoreError::Stopped)??)
    }

    /// A connection for one statement. It is made where the store lives and not where it is asked for: the thread of a request may
    /// be busy, or end, while its connection serves others.
    async fn connection(&self) -> Result<PoolConnection<Any>, StoreError> {
        let pool = self.pool.clone();
        let acquired = self.runtime.spawn(async move { pool.acquire().await });
        Ok(acquired.await.map_err(|_| StoreError::Stopped)??)
    }

    /// Begins a transaction that reads the store at one moment, with time to read all of it.
    async fn begin_long_read(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut tx = self.begin_with(self.dialect.begin_read()).await?;
        if let Some(setting) = self.dialect.long_read_setting() {
            tx.execute(setting).await?;
        }
        Ok(tx)
    }

    async fn ensure_head(&self) -> Result<(), StoreError> {
        let epoch = hex::encode(random::bytes::<16>());
        sqlx::query("INSERT INTO feed_head (id, seq, epoch) VALUES (1, 0, $1) ON CONFLICT (id) DO NOTHING")
            .bind(epoch)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// A transaction that writes: dropped, it is rolled back.
#[derive(Debug)]
pub struct WriteTx {
    tx: Transaction<'static, Any>,
    dialect: Dialect,
    /// By which peppers rows are keyed until this ends; none before it took the lock that orders all writers.
    key_versions: Option<KeyVersions>,
    /// The sequence of its last change of a listing: by that it is published.
    listed: Option<u64>,
    commit_timeout: Duration,
    sound: Arc<AtomicBool>,
    turn: OwnedSemaphorePermit,
}

impl WriteTx {
    /// Makes durable what changed no listing. A transaction that did is refused here: it ends in `service::writing`, which knows
    /// who must hear of it first.
    pub async fn commit_unlisted(self) -> Result<(), StoreError> {
        if self.listed.is_some() {
            return Err(StoreError::Misused("a listing was changed and would not be published"));
        }
        self.commit().await
    }

    /// The sequence of its last change of a listing; none if it made none.
    pub fn listed(&self) -> Option<u64> {
        self.listed
    }

    /// Makes it durable. Only this file and `service::writing` call it (tests/tidy.rs). A failure that leaves the outcome open says so: the caller must not guess. The wait for a standby has no
    /// end on the server's side, for a wait that PostgreSQL cancels is told as success.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self { mut tx, dialect, commit_timeout, sound, turn, .. } = self;
        if let Some(settings) = dialect.commit_settings() {
            tx.execute(settings).await?;
        }
        let (tell, told) = oneshot::channel();
        // A task of its own: dropped half-way, a COMMIT would leave its connection unusable, and whether it happens unknown.
        tokio::spawn(async move {
            let outcome = timeout(LATE_COMMIT_MAX, tx.commit()).await;
            if matches!(&outcome, Ok(Err(error)) if schema::is_failed_flush(error)) {
                sound.store(false, Ordering::Release);
                tracing::error!("{}", StoreError::Unsound);
            }
            let _ = tell.send(outcome);
            drop(turn);
        });
        let outcome = timeout(commit_timeout, told).await;
        let Ok(Ok(Ok(outcome))) = outcome else { return Err(StoreError::CommitUnanswered) };
        outcome.map_err(|error| match schema::classify(error) {
            StoreError::Unavailable(error) => StoreError::OutcomeUnknown(error),
            certain => certain,
        })
    }
}

async fn connect(url: &str, dialect: Dialect, connections: u32, acquire_timeout: Duration) -> sqlx::Result<AnyPool> {
    let settings = dialect.connection_settings(connections);
    AnyPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(acquire_timeout)
        .max_lifetime(None)
        .idle_timeout(None)
        .after_connect(move |connection, _| {
            let settings = AssertSqlSafe(settings.clone());
            Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
        })
        // Whoever gave up waiting left a question without an answer: such a connection must not keep its place for ever. Nor
        // may one that is held to be in a transaction: where a COMMIT fails, SQLite has ended it and the driver does not know.
        .after_release(|connection, _| {
            Box::pin(async move {
                timeout(RELEASE_TIMEOUT, connection.ping()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect(url)
        .await
}

fn get_uuid(row: &AnyRow, column: &'static str) -> Result<Uuid, StoreError> {
    Uuid::from_slice(row.try_get::<&[u8], _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

fn get_bytes<const N: usize>(row: &AnyRow, column: &'static str) -> Result<[u8; N], StoreError> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(|_| StoreError::Corrupt(column))
}

fn get_u64(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

/// A column that holds a word, a date or a code, by the parser of its type.
fn get_parsed<T>(row: &AnyRow, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
    parse(row.try_get::<&str, _>(column)?).ok_or(StoreError::Corrupt(column))
}

/// The same for a column that may be null.
fn get_parsed_opt<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<&str>, _>(column)?.map(|text| parse(text).ok_or(StoreError::Corrupt(column))).transpose()
}

fn parse_date(text: &str) -> Option<jiff::civil::Date> {
    text.parse().ok()
}

/// A sequence as the databases hold it.
fn as_i64(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
