//! `[sightings]`: bounds of the journal of sightings.

use super::setting::section;

section! {
    /// Bounds of the journal of sightings.
    Sightings in "sightings." {
        /// Sightings that may wait for their flush; beyond it checks that find a listing are 503.
        queue_max: u32 = 10_000, unit("sightings"), within(1000..=1_000_000);
        /// How far the disk may be behind; beyond it checks that find a listing are 503.
        wait_ms: u64 = 250, unit("ms"), within(10..=5000);
        /// What the journal may hold while the store takes nothing.
        journal_mib_max: u64 = 256, unit("MiB"), within(1..=65_536);
    }
}
