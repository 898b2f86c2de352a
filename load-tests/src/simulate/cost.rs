//! What the limits of numbers cost a check: the server's own code under the machine's clock, among clients and numbers that are
//! too many for the processor's caches.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use anyhow::ensure;
use lostcard::clock::Clock;
use lostcard::domain::numbers::NumbersMode;
use lostcard::limits::numbers::Numbers;
use lostcard::telemetry::Metrics;
use rand::RngExt;
use rand::rngs::StdRng;

use super::Desk;
use super::people::Person;

const CLIENTS: usize = 300;
/// More than they ask about.
const GUESTS: &str = "100000/1d";
const BORN: (u32, u32) = (1940, 2008);
/// Numbers that are there before anything is measured.
const BEFORE: usize = 500_000;
const MEASURED: usize = 500_000;

/// Nanoseconds of one check, on average.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) new: f64,
    pub(crate) known: f64,
}

impl Cost {
    /// Of a check where half as many ask again as are new, as the trades of `honest` have it.
    pub(crate) fn mean(&self) -> f64 {
        (self.new * 2.0 + self.known) / 3.0
    }
}

pub(crate) fn measure(rng: &mut StdRng) -> anyhow::Result<Cost> {
    let (clock, metrics) = (Clock::System, Arc::new(Metrics::new()?));
    let all = Numbers::new(NumbersMode::Enforce, clock.clone(), Arc::new(AtomicUsize::new(1)), metrics);
    let desks = (0..CLIENTS).map(|_| Desk::of(Arc::clone(&all), clock.clone(), GUESTS));
    let desks: Vec<_> = desks.collect::<anyhow::Result<_>>()?;
    ask_all(&desks, &drawn(BEFORE, rng))?;
    let people = drawn(MEASURED, rng);
    let new = ask_all(&desks, &people)?;
    let known = ask_all(&desks, &people)?;
    Ok(Cost { new, known })
}

fn drawn(count: usize, rng: &mut StdRng) -> Vec<(usize, Person)> {
    (0..count).map(|_| (rng.random_range(0..CLIENTS), Person::anybody(rng, BORN))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "an average of far fewer than 2^52 nanoseconds")]
fn ask_all(desks: &[Desk], people: &[(usize, Person)]) -> anyhow::Result<f64> {
    let (begun, mut passed) = (Instant::now(), 0_usize);
    for (client, person) in people {
        passed += usize::from(desks[*client].ask(person, None).is_ok());
    }
    let took_ns = begun.elapsed().as_nanos() as f64;
    ensure!(passed == people.len(), "only {passed} of {} passed", people.len());
    Ok(took_ns / people.len() as f64)
}
