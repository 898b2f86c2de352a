//! The background tasks of a node, in one table: start, stop, the metric and docs/ARCHITECTURE.md all go by it. What a task
//! does in detail is its layer's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use prometheus::IntGauge;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::service_manager;
use crate::access::holds::HoldKeeper;
use crate::domain::audit::Behind;
use crate::domain::retention::Policies;
use crate::http::pipeline::state::Shared;
use crate::redis_link::RedisLink;
use crate::registry::RegistryError;
use crate::registry::follower::Follower;
use crate::service::audit::heads::Heads;
use crate::service::registry_log::publisher::Publisher;
use crate::service::retention::Retention;
use crate::service::sightings::moving::Mover;
use crate::service::webhooks::Deliverer;
use crate::store::Store;
use crate::wiping::spawn_wiped;

/// How often the key folder is looked at for rotated signing keys.
const KEYS_EVERY: Duration = Duration::from_secs(2);
/// How often limits forget addresses that are whole again.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// How often outside issuers' keys are fetched again.
const OUTSIDE_EVERY: Duration = Duration::from_mins(5);
/// How long a task may take to end once it is told to: it ends at its next wait.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// What the tasks work with.
pub(super) struct Parts {
    pub(super) shared: Shared,
    pub(super) store: Store,
    /// Taken by the task that runs it.
    pub(super) follower: Option<Follower>,
    pub(super) link: Option<Arc<RedisLink>>,
    pub(super) mover: Arc<Mover>,
    pub(super) deliverer: Arc<Deliverer>,
    /// Taken by the task that runs it.
    pub(super) heads: Option<Heads>,
    /// Taken by the task that runs it; none where there is no registry log.
    pub(super) publisher: Option<Publisher>,
    pub(super) policies: Policies,
    pub(super) retention_every: Duration,
}

type Work = BoxFuture<'static, ()>;

/// A row of the table.
struct Task {
    name: &'static str,
    /// When it runs, in words.
    period: &'static str,
    does: &'static str,
    /// None where this node needs no such task.
    start: fn(&mut Parts) -> Option<Work>,
}

const TASKS: [Task; 18] = [
    Task {
        name: "follower",
        period: "every `registry.poll_ms`, or when woken",
        does: "feed, lease, swap of the snapshot",
        start: |parts| Some(Box::pin(parts.follower.take()?.run())),
    },
    Task {
        name: "company",
        period: "with each lease",
        does: "other nodes: membership, confirmations, wake-ups",
        start: |parts| Some(Box::pin(Arc::clone(&parts.shared.registry).keep_company())),
    },
    Task {
        name: "keys",
        period: "every 2 s",
        does: "takes up rotated signing keys, peppers and certificates of TLS",
        start: |parts| Some(Box::pin(tend_keys(parts.shared.clone(), parts.store.clone()))),
    },
    Task {
        name: "addresses",
        period: "every minute",
        does: "forgets the limits of idle addresses",
        start: |parts| Some(Box::pin(tend_addresses(parts.shared.clone()))),
    },
    Task {
        name: "holds",
        period: "as they come, and every 5 s",
        does: "writes which clients are held, counts them",
        start: |parts| {
            let (shared, store) = (&parts.shared, parts.store.clone());
            let (numbers, clock) = (Arc::clone(shared.access.numbers()), shared.clock.clone());
            let metrics = Arc::clone(&shared.metrics);
            Some(Box::pin(HoldKeeper { numbers, store, clock, metrics }.run()))
        },
    },
    Task {
        name: "issuers",
        period: "every 5 minutes",
        does: "fetches the keys of outside issuers, finds the provider of persons",
        start: |parts| Some(Box::pin(tend_issuers(parts.shared.clone()))),
    },
    Task {
        name: "retention",
        period: "every `retention.every_seconds`, one node for all",
        does: "deletes records whose period is over",
        start: |parts| {
            let (clock, store, policies) = (parts.shared.clock.clone(), parts.store.clone(), parts.policies.clone());
            let retention = Retention { clock, store, policies, behind: Behind::default() };
            Some(Box::pin(retention.tend(parts.retention_every, Arc::clone(&parts.shared.metrics))))
        },
    },
    Task {
        name: "audit",
        period: "every `audit.head_seconds`",
        does: "checks whether the audit log continues; signs and sends its head, files in the blocking pool",
        start: |parts| Some(Box::pin(parts.heads.take()?.run())),
    },
    Task {
        name: "registry-log",
        period: "every second",
        does: "extends and signs the registry log, one node at a time",
        start: |parts| Some(Box::pin(parts.publisher.take()?.run())),
    },
    Task {
        name: "blind",
        period: "every second",
        does: "blind keys and their bases, one node for all; evaluations of a base on threads of their own",
        start: |parts| Some(Box::pin(Arc::clone(parts.shared.blind.as_ref()?).tend())),
    },
    Task {
        name: "sightings",
        period: "every second",
        does: "moves sightings from the journal to the store, files in the blocking pool",
        start: |parts| Some(Box::pin(Arc::clone(&parts.mover).run())),
    },
    Task {
        name: "usage",
        period: "every `usage.flush_seconds`",
        does: "adds what workers counted to the store",
        start: |parts| Some(Box::pin(Arc::clone(&parts.shared.usage).run())),
    },
    Task {
        name: "callers",
        period: "every minute",
        does: "notes in the store when clients were used last, how many requests limits refused, and which persons were met",
        start: |parts| Some(Box::pin(Arc::clone(parts.shared.access.seen()).run(parts.store.clone()))),
    },
    Task {
        name: "undoing",
        period: "when approved, and every 5 s",
        does: "undoes what two operators have agreed on, one node for all",
        start: |parts| Some(Box::pin(Arc::clone(&parts.shared.administration).tend())),
    },
    Task {
        name: "console",
        period: "every 5 s",
        does: "a sample of the metrics, alert rules",
        start: |parts| Some(Box::pin(Arc::clone(&parts.shared.console).watch())),
    },
    Task {
        name: "webhooks",
        period: "every `webhooks.poll_ms`",
        does: "sends deliveries that are due; every minute, ends watches",
        start: |parts| Some(Box::pin(Arc::clone(&parts.deliverer).run())),
    },
    Task {
        name: "redis",
        period: "while it fails",
        does: "with Redis: asks one that failed",
        start: |parts| Some(Box::pin(Arc::clone(parts.link.as_ref()?).tend())),
    },
    Task {
        name: "watchdog",
        period: "twice in the time that the service manager gives",
        does: "where one asks for it: says that the node lives",
        start: |_| Some(Box::pin(service_manager::tell_alive(service_manager::watchdog()?))),
    },
];

/// The tasks that run.
pub(super) struct Tasks(Vec<(&'static str, JoinHandle<()>)>);

impl Tasks {
    /// Starts every task of the table that this node needs.
    pub(super) fn start(mut parts: Parts) -> Self {
        let metrics = Arc::clone(&parts.shared.metrics);
        let tasks = TASKS.iter().filter_map(|task| {
            let work = (task.start)(&mut parts)?;
            tracing::trace!(task = task.name, period = task.period, does = task.does, "background task starts");
            let running = Running::new(metrics.tasks_running.with_label_values(&[task.name]));
            let run = async move {
                work.await;
                drop(running);
            };
            Some((task.name, tokio::spawn(run)))
        });
        Self(tasks.collect())
    }

    /// Ends them all, and names one that does not end.
    pub(super) async fn stop(self) {
        for (name, task) in self.0 {
            task.abort();
            if timeout(END_TIMEOUT, task).await.is_err() {
                tracing::warn!(task = name, "a background task did not end in time");
            }
        }
    }
}

/// Says in the metric that a task runs, until it ends, however it does.
struct Running(IntGauge);

impl Running {
    fn new(gauge: IntGauge) -> Self {
        gauge.set(1);
        Self(gauge)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

async fn tend_keys(shared: Shared, store: Store) {
    let mut ticks = interval(KEYS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_complaining = false;
    loop {
        ticks.tick().await;
        match shared.keyring.reload_signing() {
            Ok(true) => {
                shared.access.reload_keys();
                tracing::info!("signing keys were rotated");
                compare_signing_keys(&shared, &store).await;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = %error, "the key folder cannot be read; the keys in memory stay in use");
            }
        }
        tend_tls(&shared).await;
        let tended = timeout(KEYS_EVERY, shared.registry.tend_peppers()).await;
        match tended.unwrap_or(Err(RegistryError::TooSlow)) {
            Ok(()) => is_complaining = false,
            // The follower reports a store that does not answer.
            Err(RegistryError::Store(_) | RegistryError::TooSlow) => {}
            Err(error) if !std::mem::replace(&mut is_complaining, true) => {
                tracing::error!(error = %error, "a pepper cannot be taken up; those in memory stay in use");
            }
            Err(_) => {}
        }
    }
}

/// A key that was made in two folders at once has two halves of one name: what one node signs by it, another refuses. The next start
/// would be refused for it, so it is said now.
async fn compare_signing_keys(shared: &Shared, store: &Store) {
    let Ok(checks) = shared.keyring.later_checks() else { return };
    for check in checks {
        if let Ok(false) = store.remember_key(&check).await {
            let (purpose, version) = (check.purpose.as_str(), check.version);
            tracing::error!(purpose, version, "this key differs from this service's: copy the other node's file");
        }
    }
}

/// Files may lie on a slow disk.
async fn tend_tls(shared: &Shared) {
    let (tls, authorities) = (shared.tls.clone(), shared.authorities.clone());
    let reload = move || tls.is_none_or(|tls| tls.reload()) & authorities.is_none_or(|all| all.reload());
    if let Ok(were_taken) = spawn_wiped(reload).await {
        shared.metrics.tls_files_refused.set(i64::from(!were_taken));
    }
}

async fn tend_addresses(shared: Shared) {
    let mut ticks = interval(TIDY_EVERY);
    loop {
        ticks.tick().await;
        shared.addresses.tidy();
        shared.public_addresses.tidy();
    }
}

async fn tend_issuers(shared: Shared) {
    let mut ticks = interval(OUTSIDE_EVERY);
    // The first time was at the start.
    ticks.reset();
    loop {
        ticks.tick().await;
        shared.access.refresh_outside().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_page_has_the_table_of_tasks() {
        let page = include_str!("../../docs/ARCHITECTURE.md");
        let rows: Vec<_> = page.lines().filter(|line| line.contains("| a task on the runtime |")).collect();
        let row = |task: &Task| format!("| {} | a task on the runtime | {}: {} |", task.name, task.period, task.does);
        assert_eq!(rows, TASKS.iter().map(row).collect::<Vec<_>>());
    }
}
