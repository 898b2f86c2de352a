//! `[overload]`: how much work is taken on at a time.

use super::setting::section;

section! {
    /// Bounds of the work that is taken on at a time.
    Overload in "overload." {
        /// Requests of the node that may wait for more than memory.
        requests_max: i64 = 512, unit("requests"), within(1..=100_000);
        /// The part of them that checks may take: the rest is for reports.
        checks_percent: i64 = 80, unit("percent"), within(1..=100);
        /// A worker that is further behind refuses checks.
        delay_ms: u64 = 250, unit("ms"), within(10..=60_000);
        /// Work on one request, without the time its body takes.
        deadline_ms: u64 = 5000, unit("ms"), within(100..=60_000);
        /// What a reader may take for a large answer.
        answer_ms: u64 = 30_000, unit("ms"), within(1000..=600_000);
        /// Threads for long work, and as many for short pieces of it; 0: one a core, at least two.
        workshop_threads: usize = 0, unit("threads"), within(0..=256);
        /// Pieces of long work, and of short, that may wait for their turn.
        workshop_queue_max: usize = 256, unit("pieces"), within(1..=100_000);
        /// How long a piece of such work waits for its turn.
        workshop_wait_ms: u64 = 250, unit("ms"), within(10..=60_000);
        /// Measures how long each poll of a connection takes, for the metric `lostcard_event_loop_longest_poll_seconds`.
        measure_polls: bool = false;
        /// Heads and bodies that are in flight, in all. One address or client holds at most an eighth of it.
        memory_mib: i64 = 128, unit("MiB"), within(1..=65_536);
        /// Open connections of one address; an IPv6 address counts by its /64.
        connections_per_address: i64 = 512, unit("connections"), within(1..=1_000_000);
        /// What a connection may be idle between two requests.
        idle_seconds: u64 = 75, unit("s"), within(1..=3600);
        /// Open connections for each worker: with as many times that, or what descriptors allow, some give way to newcomers.
        connections_max: usize = 8192, unit("connections"), within(1..=1_000_000);
    }
}
