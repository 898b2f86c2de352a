//! Wakes the other nodes' followers through Redis, and is woken by them. A wake-up may be lost: the poll is what a follower relies on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::{ErrorKind, RedisError, RedisResult};

use super::cache::{SharedCache, prefix};
use super::state::Registry;
use crate::redis_link::{PAUSE_FIRST, PAUSE_MAX, jittered};

/// How often a subscription is looked at: a connection may die without a word.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Wakes other nodes and is woken by them, until the task is dropped. Without Redis there is nothing to do.
pub(super) async fn exchange_wakes(registry: Arc<Registry>) {
    if let Some(shared) = &registry.shared {
        tokio::join!(wake_others(&registry, shared), be_woken(&registry, shared));
    }
}

fn channel(epoch: &str) -> String {
    format!("{}:wake", prefix(epoch))
}

async fn wake_others(registry: &Registry, shared: &SharedCache) {
    loop {
        registry.wake_others.notified().await;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel(&registry.epoch())).arg(registry.node.as_bytes());
        shared.link().call(|mut connection| async move { publish.query_async::<()>(&mut connection).await }).await;
    }
}

async fn be_woken(registry: &Registry, shared: &SharedCache) {
    let mut pause = PAUSE_FIRST;
    loop {
        if let Err(failure) = subscribe(registry, shared, &mut pause).await {
            tracing::debug!(why = failure.category(), "no wake-ups by Redis; the feed is polled");
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Listens until the epoch is another one, or the connection fails.
async fn subscribe(registry: &Registry, shared: &SharedCache, pause: &mut Duration) -> RedisResult<()> {
    let epoch = registry.epoch();
    let (mut sink, mut messages) = shared.link().subscriber().await?.split();
    in_time(sink.subscribe(channel(&epoch))).await?;
    *pause = PAUSE_FIRST;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) if message.get_payload_bytes() == registry.node.as_bytes() => {}
                Some(_) => {
                    registry.metrics.wakes.inc();
                    registry.wake.notify_one();
                }
                None => return Err(RedisError::from((ErrorKind::Io, "the subscription ended"))),
            },
            _ = look.tick() => {
                if registry.epoch() != epoch {
                    return Ok(());
                }
                in_time(sink.ping::<()>()).await?;
            }
        }
    }
}

async fn in_time<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(RedisError::from((ErrorKind::Io, "no answer in time")));
    tokio::time::timeout(LOOK_EVERY, work).await.unwrap_or_else(late)
}
