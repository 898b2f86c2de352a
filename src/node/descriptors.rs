//! How many descriptors the process may have, and how many of them are for connections: store, Redis, files and webhooks keep theirs,
//! however many connect.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::telemetry::Metrics;

/// A connection of SQLite has its database, the log of changes and their index open.
const A_STORE_CONNECTION: usize = 3;
/// Beside the pool: follower, membership, confirming, waiting for others.
const OWN_STORE_CONNECTIONS: usize = 4;
/// Redis, webhooks, the keys of outside issuers, segments, snapshots, files of commands, event loops of workers to come.
const OTHERS: usize = 48;
/// Connections that are accepted while those that give way to them have not closed yet.
pub(super) const ACCEPTED_AHEAD: usize = 16;
/// However few descriptors there are.
pub(super) const CONNECTIONS_MIN: usize = 16;

/// Takes what the system allows: shells give a process 1,024.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(error = %error, "the limit of open files cannot be raised");
    }
}

/// How many descriptors the process may have, and how many connections the node may have open by that.
pub(super) fn room(config: &Config) -> (usize, usize) {
    let limit =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let store = (config.store.connections_max as usize + OWN_STORE_CONNECTIONS) * A_STORE_CONNECTION;
    (limit, allowed(limit, store + OTHERS + 4 * workers(config)))
}

/// How many event loops the node has.
pub(super) fn workers(config: &Config) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        chosen => chosen,
    }
}

/// How many connections one address may have open: never more than half of all, whatever was chosen.
pub(super) fn of_one_address(config: &Config, allowed: usize) -> i64 {
    config.overload.connections_per_address.min(i64::try_from(allowed / 2).unwrap_or(i64::MAX))
}

/// How many connections the node may have open, and says so: what descriptors allow, and no more than was chosen, so that somebody
/// gives way to a newcomer before every worker has what it takes.
pub(super) fn connections_allowed(config: &Config, metrics: &Arc<Metrics>) -> usize {
    let (limit, by_descriptors) = room(config);
    let allowed = by_descriptors.min(config.overload.connections_max.saturating_mul(workers(config)));
    let as_gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    metrics.descriptors_max.set(as_gauge(limit));
    metrics.connections_allowed.set(as_gauge(allowed));
    tracing::info!(
        descriptors = limit,
        connections = allowed,
        connections_per_address = of_one_address(config, allowed),
        memory_mib = config.overload.memory_mib,
        "what this node takes on at a time"
    );
    if by_descriptors == CONNECTIONS_MIN {
        tracing::warn!(descriptors = limit, "so few descriptors leave no reserve: raise the limit of open files");
    }
    allowed
}

fn allowed(limit: usize, reserve: usize) -> usize {
    limit.saturating_sub(reserve + ACCEPTED_AHEAD).max(CONNECTIONS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_after_the_reserve_is_for_connections() {
        assert_eq!(allowed(1024, 100), 908);
        assert_eq!(allowed(64, 100), CONNECTIONS_MIN);
        assert!(allowed(usize::MAX, 100) > 1 << 40);
    }
}
