//! The way to Redis or Valkey: which servers, one connection for each runtime that calls, a deadline for every call and a circuit
//! breaker. Invariants: no call waits longer than the deadline; while the breaker is open none waits at all; a node starts
//! and serves without Redis; no URL reaches a log. Holds no command but the probe's: the others are next to their use.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, OnceCell};
use tokio::time::timeout;

use crate::crypto::random;
use crate::telemetry::Metrics;

/// How long connecting may take. It continues without the call that asked for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before the first try after a failure, doubled up to [`PAUSE_MAX`].
pub const PAUSE_FIRST: Duration = Duration::from_millis(500);
pub const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A Redis that fails again sooner than this after it answered is asked more and more rarely.
const STEADY: Duration = Duration::from_secs(10);

/// The URL names no servers that can be asked. Says nothing of the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "redis_url must be redis://, rediss:// or valkey://[user:password@]host[:port][/db], or redis-cluster:// with several host:port"
)]
pub struct RedisUrlError;

/// A connection, shared by all calls of a runtime.
#[derive(Clone)]
pub enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

enum Servers {
    Single(Box<Client>),
    Cluster { all: Box<ClusterClient>, each: Vec<Client> },
}

/// One Redis server or cluster, as a node reaches it.
pub struct RedisLink {
    servers: Servers,
    call_timeout: Duration,
    /// A connection belongs to the runtime that made it: each worker has its own, and none is asked by another thread.
    connections: Mutex<HashMap<runtime::Id, Arc<OnceCell<Connection>>>>,
    is_open: AtomicBool,
    opened: Notify,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl RedisLink {
    /// A link by URL. Connects to nothing yet, so Redis need not be there.
    pub fn new(url: &str, call_timeout: Duration, metrics: Arc<Metrics>) -> Result<Arc<Self>, RedisUrlError> {
        let servers = Servers::parse(url, call_timeout)?;
        let (connections, is_open, opened) = (Mutex::default(), AtomicBool::new(false), Notify::new());
        Ok(Arc::new(Self { servers, call_timeout, connections, is_open, opened, metrics }))
    }

    /// Whether the breaker is open: calls get nothing, at once.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Does one thing in Redis. None: it could not be done within the deadline, or perhaps it was and nobody knows.
    /// Nothing is tried a second time.
    pub async fn call<T, W, F>(self: &Arc<Self>, work: W) -> Option<T>
    where
        W: FnOnce(Connection) -> F,
        F: Future<Output = RedisResult<T>>,
    {
        if self.is_open() {
            self.metrics.redis_skipped.inc();
            return None;
        }
        match timeout(self.call_timeout, async { work(self.connection().await?).await }).await {
            Ok(Ok(value)) => {
                self.metrics.redis_answered.inc();
                Some(value)
            }
            Ok(Err(failure)) => {
                self.metrics.redis_failed.inc();
                self.open(failure.category());
                None
            }
            Err(_) => {
                self.metrics.redis_timed_out.inc();
                self.open("no answer in time");
                None
            }
        }
    }

    /// A connection for subscribing alone; of a cluster any server will do, for they pass messages on to each other.
    pub async fn subscriber(&self) -> RedisResult<PubSub> {
        let servers = match &self.servers {
            Servers::Single(client) => std::slice::from_ref(&**client),
            Servers::Cluster { each, .. } => each,
        };
        let mut failure = no_answer();
        for client in servers {
            match timeout(CONNECT_TIMEOUT, client.get_async_pubsub()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = no_answer(),
            }
        }
        Err(failure)
    }

    /// Looks after the breaker until the task is dropped: whenever it opened, asks Redis in growing intervals and closes it when
    /// Redis answers.
    pub async fn tend(self: Arc<Self>) {
        let mut pause = PAUSE_FIRST;
        self.opened.notified().await;
        loop {
            tokio::time::sleep(jittered(pause)).await;
            if !self.answers().await {
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
            self.metrics.redis_breaker_open.set(0);
            self.is_open.store(false, Ordering::Relaxed);
            tracing::info!("Redis answers again");
            if timeout(STEADY, self.opened.notified()).await.is_ok() {
                pause = (pause * 2).min(PAUSE_MAX);
            } else {
                pause = PAUSE_FIRST;
                self.opened.notified().await;
            }
        }
    }

    /// Whether Redis answers now, whatever the breaker says.
    pub async fn answers(&self) -> bool {
        let Ok(mut connection) = self.connect().await else { return false };
        let ping = redis::cmd("PING");
        matches!(timeout(self.call_timeout, ping.query_async::<Value>(&mut connection)).await, Ok(Ok(_)))
    }

    fn open(&self, why: &str) {
        if self.is_open.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(why, "Redis does not answer as it should; continuing without it");
        self.metrics.redis_breaker_open.set(1);
        // Those that are being made stay: a call does not wait for them, the next ones find them.
        self.slots().retain(|_, slot| !slot.initialized());
        self.opened.notify_one();
    }

    async fn connection(self: &Arc<Self>) -> RedisResult<Connection> {
        let slot = Arc::clone(self.slots().entry(Handle::current().id()).or_default());
        if let Some(connection) = slot.get() {
            return Ok(connection.clone());
        }
        let link = Arc::clone(self);
        // In a task of its own: a call that has waited long enough must not take the connecting down with it.
        let connecting = tokio::spawn(async move {
            let connect = || async { if link.is_open() { Err(no_answer()) } else { link.connect().await } };
            slot.get_or_try_init(connect).await.cloned()
        });
        connecting.await.unwrap_or_else(|_| Err(no_answer()))
    }

    async fn connect(&self) -> RedisResult<Connection> {
        let connecting = async {
            match &self.servers {
                Servers::Single(client) => {
                    // Deadlines are this file's affair.
                    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
                }
                Servers::Cluster { all, .. } => all.get_async_connection().await.map(Connection::Cluster),
            }
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(no_answer()))
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<runtime::Id, Arc<OnceCell<Connection>>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half of a pause and all of it, so that nodes do not come back together.
pub fn jittered(pause: Duration) -> Duration {
    pause / 2 + (pause / 2).mul_f64(f64::from(random::below(1000)) / 1000.0)
}

fn no_answer() -> RedisError {
    RedisError::from((ErrorKind::Io, "no answer in time"))
}

/// Whether a URL names servers that a link can be made to.
pub fn is_redis_url(url: &str) -> bool {
    Servers::parse(url, CONNECT_TIMEOUT).is_ok()
}

impl Servers {
    fn parse(url: &str, call_timeout: Duration) -> Result<Self, RedisUrlError> {
        // A fragment would ask for TLS without a look at the certificate.
        let (scheme, rest) = url.split_once("://").filter(|_| !url.contains('#')).ok_or(RedisUrlError)?;
        let open = |url: String| Client::open(url).map_err(|_| RedisUrlError);
        let scheme = match scheme {
            "redis" | "rediss" | "valkey" | "valkeys" => return open(url.to_owned()).map(Box::new).map(Self::Single),
            "redis-cluster" => "redis",
            "rediss-cluster" => "rediss",
            _ => return Err(RedisUrlError),
        };
        let (user, hosts) =
            rest.rsplit_once('@').map_or((String::new(), rest), |(user, hosts)| (format!("{user}@"), hosts));
        let each = hosts.trim_end_matches('/').split(',').map(|host| open(format!("{scheme}://{user}{host}")));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        let all = ClusterClient::builder(each.iter().map(|client| client.get_connection_info().clone()))
            .retries(0)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(call_timeout)
            .build();
        Ok(Self::Cluster { all: Box::new(all.map_err(|_| RedisUrlError)?), each })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Connection(single)",
            Self::Cluster(_) => "Connection(cluster)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_one_server_or_a_cluster() {
        for good in [
            "redis://127.0.0.1",
            "redis://:secret@cache.example:6380/3",
            "rediss://user:p%40ss@cache.example",
            "valkey://[::1]:6379",
            "redis-cluster://user:secret@one.example:7000,two.example:7001",
            "rediss-cluster://one.example:7000",
        ] {
            assert!(is_redis_url(good), "{good}");
        }
        for bad in [
            "",
            "cache.example:6379",
            "http://cache.example",
            "unix:///run/redis.sock",
            "rediss://cache.example/#insecure",
            "redis://cache.example/zero",
            "redis-cluster://",
            "redis-cluster://one.example:7000,,",
        ] {
            assert!(!is_redis_url(bad), "{bad}");
        }
    }

    #[test]
    fn a_password_is_in_no_text() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let link = RedisLink::new("redis://user:tops3cret@127.0.0.1", Duration::from_millis(50), metrics).unwrap();
        assert!(!format!("{link:?} {RedisUrlError}").contains("tops3cret"));
    }

    #[test]
    fn pauses_vary_within_their_bounds() {
        let pauses: Vec<_> = (0..50).map(|_| jittered(PAUSE_FIRST)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE_FIRST / 2..=PAUSE_FIRST).contains(pause)), "{pauses:?}");
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
