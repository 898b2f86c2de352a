//! Several real nodes on one PostgreSQL and one Redis, under load and under faults, and an oracle that knows every acknowledged
//! write: what the service promises must hold whatever fails. Faults and choices come from a seed that is printed;
//! docs/RELIABILITY.md has the commands of the long runs.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

mod audit;
mod balancer;
mod checker;
mod cluster;
mod failover;
mod faults;
mod injector;
mod latency;
mod member;
mod oracle;
mod redis_faults;
mod repetition;
mod restarts;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
mod settings;
mod stop;
mod tally;
mod wire;
mod writer;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every test here wants the whole machine: they take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
