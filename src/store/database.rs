//! The database that a process is connected to: connections, and the turn of its writers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, AssertSqlSafe, Connection, Executor, SqlSafeStr, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::StoreError;
use super::hosts::Hosts;
use super::leaves::Leaves;
use super::reach::Reach;
use super::schema::{self, Dialect};
use super::transaction::WriteTx;
use super::writing_connection::{Kept, WritingConnection};
use crate::crypto::audit_key::AuditKey;
use crate::crypto::blind::Scribe;
use crate::crypto::random;
use crate::domain::redacted::DatabaseUrl;

/// How the store is reached, and its bounds.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`; none means the embedded store of the data folder.
    pub url: Option<DatabaseUrl>,
    pub connections_max: u32,
    /// How long a caller waits for a connection before it learns that the store is busy.
    pub acquire_timeout: Duration,
    /// How long a writer waits for the confirmation of its change before it learns that the outcome is not known.
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

/// How long a writer waits for its turn before it learns that the store is busy.
const WRITE_TURN_WAIT: Duration = Duration::from_secs(2);
/// How long a new connection may take on a machine that has other work: nobody is busy then, and a command or a node that starts
/// has nobody to answer in the meantime.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Connections of the node itself: follower, membership, confirming, waiting for others. No load on the others ends a lease.
const OWN_CONNECTIONS: u32 = 4;
/// How long a connection that was given back may take to answer before it is given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The registry's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// For following the feed and for the list of nodes.
    own: AnyPool,
    reach: Reach,
    /// For imports into PostgreSQL.
    copying: Kept,
    pub(super) dialect: Dialect,
    writers: Arc<Semaphore>,
    acquire_timeout: Duration,
    commit_timeout: Duration,
    /// False once a flush failed: the system may have dropped what it could not write, and the next flush would succeed.
    sound: Arc<AtomicBool>,
    /// Of the audit log: without it nothing is recorded.
    audit_key: Arc<OnceLock<AuditKey>>,
    /// Makes entries for who checks blindly.
    scribe: Arc<OnceLock<Scribe>>,
    /// Where connections live.
    runtime: Handle,
    /// Whether its schema was made when it was opened.
    is_new: bool,
}

impl Store {
    /// Connects, and brings the schema up to date.
    pub async fn open(options: &StoreOptions, data: &Path) -> Result<Self, StoreError> {
        let url = url_of(options, data);
        // A URL that names no database names no file either.
        Dialect::of(url.expose())?;
        schema::claim_files(url.expose())?;
        let mut store = Self::connect_to(url, options).await?;
        if let Some(settings) = store.dialect.lasting_settings() {
            store.connection().await?.execute(settings).await?;
        }
        store.is_new = !store.has_schema().await?;
        store.migrate().await?;
        store.ensure_head().await?;
        Ok(store)
    }

    /// Connects to a store and leaves it as it is. None: its file does not exist yet.
    pub async fn open_as_it_is(options: &StoreOptions, data: &Path) -> Result<Option<Self>, StoreError> {
        let url = url_of(options, data);
        Dialect::of(url.expose())?;
        if schema::file_of(url.expose()).is_some_and(|path| !path.exists()) {
            return Ok(None);
        }
        Self::connect_to(url, options).await.map(Some)
    }

    async fn connect_to(url: DatabaseUrl, options: &StoreOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url.expose())?;
        let reach = Reach::of(&url, dialect)?;
        let wait = options.acquire_timeout.max(CONNECT_MAX);
        reach.ask_first(wait).await?;
        let connect = async |connections| {
            let connected = connect(reach.url().expose(), reach.hosts(), dialect, connections, wait).await;
            match connected {
                Ok(pool) => Ok(pool),
                Err(error) => Err(reach.why(error).await),
            }
        };
        let pool = connect(options.connections_max).await?;
        let own = connect(OWN_CONNECTIONS).await?;
        reach.lead([pool.clone(), own.clone()]);
        Ok(Self {
            pool,
            own,
            reach: reach.clone(),
            copying: Kept::default(),
            dialect,
            writers: Arc::new(Semaphore::new(dialect.writers_max())),
            acquire_timeout: options.acquire_timeout,
            commit_timeout: options.commit_timeout,
            sound: Arc::new(AtomicBool::new(true)),
            audit_key: Arc::default(),
            scribe: Arc::default(),
            runtime: Handle::current(),
            is_new: false,
        })
    }

    /// A store that is busy, or dead, is no schema that cannot be brought up to date.
    async fn migrate(&self) -> Result<(), StoreError> {
        let (version, error) = match self.dialect.migrator().run(&self.pool).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::Execute(error)) => (None, error),
            Err(MigrateError::ExecuteMigration(error, version)) => (Some(version), error),
            Err(other) => return Err(other.into()),
        };
        match (self.reach.why(error).await, version) {
            (StoreError::Unavailable(cause), None) => Err(MigrateError::Execute(cause).into()),
            (StoreError::Unavailable(cause), Some(version)) => {
                Err(MigrateError::ExecuteMigration(cause, version).into())
            }
            (told, _) => Err(told),
        }
    }

    /// Whether its schema was made when this process opened it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where it is, for people: a file, or a server's address and the name of the database.
    pub fn place(&self) -> String {
        self.reach.place()
    }

    /// Takes the key of the audit log. It is set once: no entry of a process has another.
    pub fn use_audit_key(&self, key: AuditKey) {
        let _ = self.audit_key.set(key);
    }

    /// Takes what makes entries for who checks blindly.
    pub fn use_scribe(&self, scribe: Scribe) {
        let _ = self.scribe.set(scribe);
    }

    /// Begins a transaction that writes. Writers of one process take turns here, fairly, rather than in the database's lock.
    pub async fn begin(&self) -> Result<WriteTx, StoreError> {
        let turn = self.turn().await?;
        let tx = WritingConnection::Any(self.begin_with(self.dialect.begin_write()).await?);
        Ok(self.writing(tx, turn))
    }

    /// The same for an import: PostgreSQL takes its rows by COPY, on a connection beside those of the pool.
    pub async fn begin_import(&self) -> Result<WriteTx, StoreError> {
        if self.dialect == Dialect::Sqlite {
            return self.begin().await;
        }
        let turn = self.turn().await?;
        let tx = self.copying.begin(&self.reach, self.dialect).await?;
        Ok(self.writing(tx, turn))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = timeout(WRITE_TURN_WAIT, Arc::clone(&self.writers).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(self.why_no_turn().await) };
        // After the turn: a writer that waited while a flush failed is refused too.
        if self.is_sound() { Ok(turn) } else { Err(StoreError::Unsound) }
    }

    /// Why a writer did not get its turn in time, or was not done in it: a server that hangs under one writer keeps the others
    /// waiting as a busy one does.
    pub async fn why_no_turn(&self) -> StoreError {
        let reach = self.reach.clone();
        let asked = self.runtime.spawn(async move { reach.why(sqlx::Error::PoolTimedOut).await });
        asked.await.unwrap_or(StoreError::Stopped)
    }

    fn writing(&self, tx: WritingConnection, turn: OwnedSemaphorePermit) -> WriteTx {
        let (commit_timeout, sound) = (self.commit_timeout, Arc::clone(&self.sound));
        let (dialect, audit_key) = (self.dialect, Arc::clone(&self.audit_key));
        let (tx, leaves) = (Box::new(tx), Leaves::of(Arc::clone(&self.scribe)));
        WriteTx { tx, dialect, key_versions: None, listed: None, leaves, audit_key, commit_timeout, sound, turn }
    }

    /// Whether what it confirms can be believed. If not, the process must be restarted: it then reads what is really there.
    pub fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    /// Where connections live. What takes several steps with one is done there, because a waiting task may be slow to take each.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// How long another node may renew its lease at a server that this one has left. Nothing where there is one server.
    pub fn unsure_for(&self) -> Duration {
        self.reach.unsure_for()
    }

    pub(super) fn url(&self) -> &DatabaseUrl {
        self.reach.url()
    }

    /// Ends every connection, checkpointing what is embedded.
    pub async fn close(&self) {
        self.copying.close().await;
        self.own.close().await;
        self.pool.close().await;
    }

    pub(super) async fn begin_with(&self, statement: &'static str) -> Result<Transaction<'static, Any>, StoreError> {
        let (pool, reach, within) = (self.pool.clone(), self.reach.clone(), self.acquire_timeout);
        let begun = self.runtime.spawn(async move {
            let connection = acquire(&pool, &reach, within).await?;
            match Transaction::begin(connection, Some(statement.into_sql_str())).await {
                Ok(tx) => Ok(tx),
                Err(error) => Err(reach.why(error).await),
            }
        });
        begun.await.map_err(|_| StoreError::Stopped)?
    }

    /// A connection for one statement. It is made where the store lives and not where it is asked for: the thread of a request may
    /// be busy, or end, while its connection serves others.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Any>, StoreError> {
        let (pool, reach, within) = (self.pool.clone(), self.reach.clone(), self.acquire_timeout);
        let acquired = self.runtime.spawn(async move { acquire(&pool, &reach, within).await });
        acquired.await.map_err(|_| StoreError::Stopped)?
    }

    /// One of the node's own connections, which no load on the others can take away.
    pub(super) async fn own_connection(&self) -> Result<PoolConnection<Any>, StoreError> {
        self.reach.look_around();
        acquire(&self.own, &self.reach, self.acquire_timeout).await
    }

    /// Begins a transaction that reads the store at one moment, with time to read all of it.
    pub(super) async fn begin_long_read(&self) -> Result<Transaction<'static, Any>, StoreError> {
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

fn url_of(options: &StoreOptions, data: &Path) -> DatabaseUrl {
    options.url.clone().unwrap_or_else(|| schema::embedded_url(data).into())
}

/// The bound is ours and not the pool's, which has one for requests and for the first connection. The embedded store has no server
/// that could be dead: there, what makes a new connection take long is the machine.
async fn acquire(pool: &AnyPool, reach: &Reach, within: Duration) -> Result<PoolConnection<Any>, StoreError> {
    let may_grow = reach.is_embedded() && pool.size() < pool.options().get_max_connections();
    let within = if may_grow { within.max(CONNECT_MAX) } else { within };
    match timeout(within, pool.acquire()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        Ok(connection) => Ok(connection),
        Err(error) => Err(reach.why(error).await),
    }
}

pub(super) async fn connect(
    url: &str,
    hosts: Option<&Arc<Hosts>>,
    dialect: Dialect,
    connections: u32,
    acquire_timeout: Duration,
) -> sqlx::Result<AnyPool> {
    let settings = dialect.connection_settings(connections);
    let (judge, asked, released) = (hosts.cloned(), hosts.cloned(), hosts.cloned());
    AnyPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(acquire_timeout)
        .max_lifetime(None)
        .idle_timeout(None)
        .after_connect(move |connection, _| {
            let (settings, judge) = (AssertSqlSafe(settings.clone()), judge.clone());
            Box::pin(async move {
                connection.execute(settings).await?;
                match judge {
                    Some(hosts) => hosts.accept(connection).await,
                    None => Ok(()),
                }
            })
        })
        .before_acquire(move |_, met| {
            let is_to_current = asked.as_ref().is_none_or(|hosts| hosts.is_to_current(met.age));
            Box::pin(async move { Ok(is_to_current) })
        })
        // A caller that gave up waiting left a question without an answer: such a connection must not keep its place. Nor
        // may one that is held to be in a transaction: where a COMMIT fails, SQLite has ended it and the driver does not know.
        .after_release(move |connection, met| {
            let is_to_current = released.as_ref().is_none_or(|hosts| hosts.is_to_current(met.age));
            Box::pin(async move {
                if !is_to_current {
                    return Ok(false);
                }
                timeout(RELEASE_TIMEOUT, connection.ping()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect(url)
        .await
}
