//! What a run can be told by the environment, and the random numbers of its threads. All of them come from one seed.

use std::str::FromStr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

/// How long one token of the service lives at most: no run is longer.
const SECONDS_MAX: u64 = 3400;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// How long load and faults last: `LOSTCARD_TEST_SECONDS`.
    pub(crate) lasts: Duration,
    /// What all checkers together aim at: `LOSTCARD_TEST_CHECKS_PER_S`.
    pub(crate) checks_per_s: u64,
    /// How many nodes are restarted, one after the other: `LOSTCARD_TEST_ROUNDS`.
    pub(crate) rounds: u64,
    /// Reports whose latency is measured: `LOSTCARD_TEST_REPORTS`.
    pub(crate) reports: usize,
}

impl Settings {
    /// Prints the seed, for a failure must be repeatable.
    pub(crate) fn read(test: &str) -> Self {
        let seed = variable("SEED").unwrap_or_else(|| u64::from_le_bytes(lostcard::crypto::random::bytes()));
        eprintln!("{test}: LOSTCARD_TEST_SEED={seed}");
        let seconds = variable("SECONDS").unwrap_or(20);
        assert!(seconds <= SECONDS_MAX, "LOSTCARD_TEST_SECONDS is at most {SECONDS_MAX}: the life of a token");
        Self {
            seed,
            lasts: Duration::from_secs(seconds),
            checks_per_s: variable("CHECKS_PER_S").unwrap_or(3000),
            rounds: variable("ROUNDS").unwrap_or(4),
            reports: variable("REPORTS").unwrap_or(40),
        }
    }

    /// The random numbers of one thread.
    pub(crate) fn random(&self, thread: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.seed ^ (thread + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let name = format!("LOSTCARD_TEST_{name}");
    let text = std::env::var(&name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
