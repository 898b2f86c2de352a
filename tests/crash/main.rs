//! Kills real processes with SIGKILL and checks whether anything was lost or stored twice. The moment of each kill comes from a
//! seed that is printed. `LOSTCARD_TEST_ROUNDS=50 cargo test --release --test crash -- --nocapture` for a long run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

mod clients;
mod import;
mod node;
mod reports;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
mod sightings;

use std::time::{Duration, Instant};

/// How often a test kills: 3, or `LOSTCARD_TEST_ROUNDS`.
fn rounds() -> u64 {
    std::env::var("LOSTCARD_TEST_ROUNDS").map_or(3, |text| text.parse().expect("LOSTCARD_TEST_ROUNDS is a number"))
}

/// Small random numbers for moments (`SplitMix64`), from a seed that is printed.
struct Moments(u64);

impl Moments {
    fn new(test: &str) -> Self {
        let seed = std::env::var("LOSTCARD_TEST_SEED").map_or_else(
            |_| u64::from_le_bytes(lostcard::crypto::random::bytes()),
            |text| text.parse().expect("LOSTCARD_TEST_SEED is a number"),
        );
        eprintln!("{test}: LOSTCARD_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Up to so many milliseconds: a kill should also fall between the points that a condition can see.
    fn pause(&mut self, ms_max: u64) {
        std::thread::sleep(Duration::from_micros(self.below(ms_max * 1000)));
    }
}

/// Waits for a condition, for a minute at most.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "waited a minute for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
