//! The two load models. `open` sends when a schedule says so, whatever the
//! server does: latency under a given load. `closed` sends when an answer has
//! come: the most a server can do. Both run on the calling thread alone.

pub(crate) mod closed;
pub(crate) mod open;
mod open_result;
pub(crate) mod schedule;

use std::time::Instant;

/// One read takes at most this; small enough to stay in the second-level cache.
const READ_BUFFER_BYTES: usize = 256 * 1024;
const EVENTS_PER_POLL_MAX: usize = 1_024;
/// Connections lost before a run is given up.
const LOSSES_MAX: u64 = 10_000;

/// Pins the calling thread, and what it starts later, to one CPU.
pub(crate) fn pin_to_cpu(cpu: usize) -> anyhow::Result<()> {
    anyhow::ensure!(cpu < rustix::thread::CpuSet::MAX_CPU, "no CPU has that number");
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(cpu);
    rustix::thread::sched_setaffinity(None, &cpus).map_err(|error| anyhow::anyhow!("cannot pin to CPU {cpu}: {error}"))
}

/// Nanoseconds since the start of a run.
#[derive(Debug, Clone, Copy)]
struct RunClock(Instant);

impl RunClock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now_ns(self) -> u64 {
        crate::measure::nanoseconds(self.0.elapsed())
    }
}
