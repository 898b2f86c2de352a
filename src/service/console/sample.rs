//! What the console keeps of one moment.

use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;

/// The figures of one moment that charts and rules are made of. Counts are since the node's start.
#[derive(Debug, Clone)]
pub struct Sample {
    pub at_ms: UnixMs,
    /// The same moment in boot time, by which windows are measured.
    pub(super) boot_ns: u64,
    /// In the order of the verdicts.
    pub checks: [i64; 4],
    /// Of [`Console::check_bounds`], each with those below; the last is all.
    pub check_buckets: Vec<i64>,
    pub(super) created_buckets: Vec<i64>,
    pub reports: i64,
    pub limited: Vec<(String, i64)>,
    pub problems: Vec<(String, i64)>,
    pub sequence: Sequence,
    pub numbers: i64,
    pub recent_changes: i64,
    /// How long ago the poll began that the registry's state is known from.
    pub age_ms: i64,
    /// What each rule needs of this moment.
    pub(super) measured: Vec<[f64; 2]>,
}
