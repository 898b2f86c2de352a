//! The way to Redis or Valkey: which servers, one connection for each runtime that calls, a deadline for every call and a circuit
//! breaker. Invariants: no call waits longer than the deadline; while the breaker is open none waits at all; a node starts
//! and serves without Redis; no URL reaches a log. Holds no command but the probe's: the others are next to their use.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::PubSub;
use redis::{ErrorKind, RedisError, RedisResult, Value};
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, OnceCell};
use tokio::time::timeout;

use crate::crypto::random;
use crate::telemetry::Metrics;

mod servers;

use servers::{CONNECT_TIMEOUT, Servers};
pub use servers::{Connection, RedisUrlError, is_redis_url};

/// The pause before the first try after a failure, doubled up to [`PAUSE_MAX`].
pub const PAUSE_FIRST: Duration = Duration::from_millis(500);
pub const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A Redis that fails again sooner than this after it answered is asked more and more rarely.
const STEADY: Duration = Duration::from_secs(10);

/// Redis, as a node reaches it: one server, a cluster, or the one that sentinels name.
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
        let mut failure = no_answer();
        for client in self.servers.to_subscribe_at().await? {
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
        timeout(CONNECT_TIMEOUT, self.servers.connect()).await.unwrap_or_else(|_| Err(no_answer()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
