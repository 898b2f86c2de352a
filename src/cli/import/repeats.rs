//! Values that are in many rows: a formula that was filled down, or a placeholder that has the form of a value. Counted in
//! little memory, first roughly, then exactly where it matters. Holds no value, only hashes under a key of this process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// A value in this many rows is in doubt.
pub(super) const ROWS_MIN: u64 = 20;

const COUNTERS_MIN: usize = 1 << 12;
const COUNTERS_MAX: usize = 1 << 24;

/// Counts how often each value is in one column.
#[derive(Debug)]
pub(super) struct Repeats {
    hasher: RandomState,
    /// A counter for each value, shared with others: it is never too small. One for each row, so that they fit a cache.
    counters: Vec<u8>,
    suspects: HashMap<u64, u64>,
}

impl Repeats {
    /// For about so many rows.
    pub(super) fn of_rows(rows: u64) -> Self {
        let counters = usize::try_from(rows).unwrap_or(COUNTERS_MAX);
        let counters = counters.clamp(COUNTERS_MIN, COUNTERS_MAX).next_power_of_two();
        Self { hasher: RandomState::new(), counters: vec![0; counters], suspects: HashMap::new() }
    }

    /// Counts a value roughly.
    pub(super) fn see(&mut self, value: &str) {
        let hash = self.hasher.hash_one(value);
        let mask = self.counters.len() as u64 - 1;
        let counter = usize::try_from(hash & mask).ok().and_then(|place| self.counters.get_mut(place));
        let Some(counter) = counter else { return };
        *counter = counter.saturating_add(1);
        if u64::from(*counter) >= ROWS_MIN {
            self.suspects.insert(hash, 0);
        }
    }

    /// Whether the values must be counted again.
    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Counts a value exactly, if it may be one that matters.
    pub(super) fn see_again(&mut self, value: &str) {
        if let Some(count) = self.suspects.get_mut(&self.hasher.hash_one(value)) {
            *count += 1;
        }
    }

    /// In how many rows the most frequent value is, if these are too many.
    pub(super) fn most(&self) -> Option<u64> {
        self.suspects.values().copied().filter(|count| *count >= ROWS_MIN).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_rows_are_too_many_and_nineteen_are_not() {
        for (times, expected) in [(1, None), (19, None), (20, Some(20)), (300, Some(300))] {
            let mut values: Vec<String> = (0..5_000).map(|n| format!("value {n}")).collect();
            values.extend((0..times).map(|_| "the same".to_owned()));
            values.extend((0..19).map(|_| "another".to_owned()));
            let mut repeats = Repeats::of_rows(values.len() as u64);
            for value in &values {
                repeats.see(value);
            }
            assert!(expected.is_none() || repeats.has_suspects());
            for value in &values {
                repeats.see_again(value);
            }
            assert_eq!(repeats.most(), expected, "{times}");
        }
    }
}
