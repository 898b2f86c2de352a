//! Why the pool gave no connection in time. The pool says the same of connections that others hold and of a server that is gone:
//! here the server is asked once more, so that an operator is not sent to look for a lock where a server is dead.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, AnyPool, Connection};
use tokio::time::timeout;

use super::error::{Silence, StoreError};
use super::hosts::{Hosts, silence_of};
use super::schema::{self, Dialect};
use crate::clock::Clock;
use crate::domain::redacted::DatabaseUrl;

/// How long the server may take to answer the question; a caller has waited for a connection before.
const ANSWER_MAX: Duration = Duration::from_millis(250);
/// The same at the start, where one of several servers may well be gone.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often it is looked for a primary behind a promotion, where there are several servers and all is well.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the store is, for asking whether it lives. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reach(Arc<Server>);

#[derive(Debug)]
struct Server {
    hosts: Arc<Hosts>,
    /// A file, which has no server.
    is_embedded: bool,
    /// Whose new connections go to the server in use.
    pools: OnceLock<[AnyPool; 2]>,
    /// In boot time.
    looked_ns: AtomicU64,
    /// One asks for all; the others take what was last heard.
    asking: tokio::sync::Mutex<()>,
    heard: Mutex<Option<Silence>>,
}

impl Reach {
    pub(super) fn of(url: &DatabaseUrl, dialect: Dialect) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Server {
            hosts: Arc::new(Hosts::of(url, dialect)?),
            is_embedded: dialect == Dialect::Sqlite,
            pools: OnceLock::new(),
            looked_ns: AtomicU64::new(0),
            asking: tokio::sync::Mutex::default(),
            heard: Mutex::default(),
        })))
    }

    /// Of the server in use.
    pub(super) fn url(&self) -> &DatabaseUrl {
        self.0.hosts.current()
    }

    /// Where there is more than one, connections are judged. A pool holds these alone, for this holds the pools.
    pub(super) fn hosts(&self) -> Option<&Arc<Hosts>> {
        Some(&self.0.hosts).filter(|hosts| hosts.are_several())
    }

    /// Takes the pools that follow the server in use.
    pub(super) fn lead(&self, pools: [AnyPool; 2]) {
        let _ = self.0.pools.set(pools);
    }

    /// Whether there is no server, but a file.
    pub(super) fn is_embedded(&self) -> bool {
        self.0.is_embedded
    }

    /// Where it is, for people: without user and password.
    pub(super) fn place(&self) -> String {
        let url = self.url().expose();
        if self.is_embedded() {
            return schema::file_of(url).map_or("memory".to_owned(), |path| path.display().to_string());
        }
        let options = PgConnectOptions::from_str(url).ok();
        let database = options.as_ref().and_then(|options| options.get_database()).unwrap_or("of the user's name");
        format!("PostgreSQL at {}, database {database}", self.0.hosts.addresses())
    }

    /// Looks for another primary, once in a while and beside the caller: an old one may run on without knowing of a promotion.
    pub(super) fn look_around(&self) {
        let Some(hosts) = self.hosts() else { return };
        let (now_ns, looked_ns) = (Clock::System.boot_ns(), &self.0.looked_ns);
        let last_ns = looked_ns.load(Ordering::Acquire);
        let is_due = u128::from(now_ns.saturating_sub(last_ns)) >= LOOK_EVERY.as_nanos();
        if is_due && looked_ns.compare_exchange(last_ns, now_ns, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let this = self.clone();
            tracing::trace!(servers = %hosts.addresses(), "looking for the primary");
            tokio::spawn(async move { this.look().await });
        }
    }

    /// For how long a node may follow an old primary that does not know of a promotion: until it has looked around, and the poll behind that.
    pub(super) fn unsure_for(&self) -> Duration {
        if self.hosts().is_some() { LOOK_EVERY + ANSWER_MAX * 3 } else { Duration::ZERO }
    }

    /// Who asks while another one does takes what that one finds.
    async fn look(&self) {
        let Some(hosts) = self.hosts() else { return };
        let Ok(_asking) = self.0.asking.try_lock() else { return };
        match hosts.look(ANSWER_MAX).await {
            Ok(true) => {
                tracing::warn!(address = %hosts.address(), "another server is the primary");
                self.turn_pools();
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "no server takes writes"),
        }
    }

    fn turn_pools(&self) {
        if let Ok(options) = AnyConnectOptions::from_str(self.url().expose()) {
            self.0.pools.get().into_iter().flatten().for_each(|pool| pool.set_connect_options(options.clone()));
        }
    }

    /// Before the first connection: the pool would try a server that is dead for as long as it may try one that is slow.
    pub(super) async fn ask_first(&self, within: Duration) -> Result<(), StoreError> {
        if self.is_embedded() {
            return self.ask_file(within).await;
        }
        if let Some(hosts) = self.hosts() {
            return hosts.look(within.min(FIRST_ANSWER_MAX)).await.map(|_| ());
        }
        match ask(self.url(), within).await? {
            Some(how) => Err(StoreError::Dead { address: self.0.hosts.address(), how }),
            None => Ok(()),
        }
    }

    /// A file that is no database, or cannot be opened, is found at once: the pool would try it again and again.
    async fn ask_file(&self, within: Duration) -> Result<(), StoreError> {
        let asked = async {
            let mut connection = AnyConnection::connect(self.url().expose()).await?;
            sqlx::query("PRAGMA schema_version").fetch_optional(&mut connection).await?;
            connection.close().await
        };
        match timeout(within, asked).await {
            Ok(answer) => Ok(answer?),
            // Slow, which the pool judges.
            Err(_) => Ok(()),
        }
    }

    /// What a failure to connect means. Only where the pool ran out of time is the server asked.
    pub(super) async fn why(&self, error: sqlx::Error) -> StoreError {
        if self.is_embedded() {
            return error.into();
        }
        self.look().await;
        let dead = |how| StoreError::Dead { address: self.0.hosts.address(), how };
        match &error {
            sqlx::Error::PoolTimedOut => {}
            other => return silence_of(other).map_or_else(|| error.into(), dead),
        }
        let silence = match self.0.asking.try_lock() {
            Ok(_asking) => match ask(self.url(), ANSWER_MAX).await {
                Ok(silence) => {
                    *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner) = silence;
                    silence
                }
                Err(error) => return error,
            },
            Err(_) => *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner),
        };
        silence.map_or(StoreError::Busy, dead)
    }
}

/// How the server does not answer; none if it does, and so is busy.
async fn ask(url: &DatabaseUrl, within: Duration) -> Result<Option<Silence>, StoreError> {
    match timeout(within, AnyConnection::connect(url.expose())).await {
        Err(_) => Ok(Some(Silence::Hung)),
        Ok(Ok(connection)) => {
            let _ = timeout(ANSWER_MAX, connection.close()).await;
            Ok(None)
        }
        Ok(Err(error)) => match (silence_of(&error), StoreError::from(error)) {
            (Some(silence), _) => Ok(Some(silence)),
            (None, StoreError::Busy) => Ok(None),
            (None, other) => Err(other),
        },
    }
}
