//! The filter: which numbers are not listed, for certain. It holds no listing, so that what it does not exclude is asked of a copy
//! or the store. Building happens off the workers.

use xorf::{BinaryFuse16, Filter as _};

use crate::domain::sequence::Sequence;

/// How many numbers a part of the filter holds, about. While xorf builds one it takes 24 bytes a number beside prefixes and
/// result; in parts that is 25 MB, however many numbers there are.
const PART_KEYS: usize = 1 << 20;

/// An immutable set of listed numbers: says "absent" for certain, "present" with an error of 2^-16.
#[derive(Debug)]
pub(super) struct Filter {
    /// Each holds an equal range of prefixes; none where nothing is listed.
    parts: Box<[BinaryFuse16]>,
    keys: u64,
    /// The filter holds every number listed at this sequence.
    pub(super) built_at: Sequence,
}

/// The fuse filter found no layout: so unlikely (1,000 seeds tried) that it points to a broken key source.
#[derive(Debug, thiserror::Error)]
#[error("the filter cannot be built from these keys")]
pub struct FilterError;

impl Filter {
    /// Builds from unsorted prefixes with repeats, in their own memory. Costs seconds for 10^7: not for a worker.
    pub(super) fn build(prefixes: Vec<u64>, built_at: Sequence) -> Result<Self, FilterError> {
        Self::build_in_parts(prefixes, built_at, PART_KEYS)
    }

    pub(super) fn build_in_parts(
        mut prefixes: Vec<u64>,
        built_at: Sequence,
        part_keys: usize,
    ) -> Result<Self, FilterError> {
        prefixes.sort_unstable();
        prefixes.dedup();
        let count = prefixes.len().div_ceil(part_keys);
        let mut parts = Vec::with_capacity(count);
        let mut rest = prefixes.as_slice();
        for part in 0..count {
            let (own, others) = rest.split_at(rest.partition_point(|prefix| part_of(*prefix, count) <= part));
            parts.push(BinaryFuse16::try_from(own).map_err(|_| FilterError)?);
            rest = others;
        }
        Ok(Self::from_parts(parts, prefixes.len() as u64, built_at))
    }

    /// A filter that was built before; the parts are its own, in their order.
    pub(super) fn from_parts(parts: Vec<BinaryFuse16>, keys: u64, built_at: Sequence) -> Self {
        Self { parts: parts.into_boxed_slice(), keys, built_at }
    }

    pub(super) fn parts(&self) -> &[BinaryFuse16] {
        &self.parts
    }

    /// How many numbers it holds.
    pub(super) fn keys(&self) -> u64 {
        self.keys
    }

    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        match self.parts.get(part_of(prefix, self.parts.len())) {
            Some(part) => part.contains(&prefix),
            // A part that is not there proves no absence, unless nothing is listed at all.
            None => self.keys > 0,
        }
    }
}

/// Which of so many equal ranges a prefix falls into. Prefixes are uniform, so the parts are of one size.
fn part_of(prefix: u64, parts: usize) -> usize {
    usize::try_from((u128::from(prefix) * parts as u128) >> 64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_lacks_its_parts_proves_no_absence() {
        let whole = Filter::build(vec![1, 2, 3], Sequence::new(9)).unwrap();
        assert_eq!(whole.keys(), 3);
        let lacking = Filter::from_parts(Vec::new(), whole.keys(), whole.built_at);
        assert!(lacking.may_hold(1) && lacking.may_hold(77));
        assert!(!Filter::build(Vec::new(), Sequence::new(9)).unwrap().may_hold(1), "nothing is listed");
    }

    #[test]
    fn parts_hold_what_is_theirs_even_where_one_is_empty() {
        let prefixes = vec![0, 1, 2, u64::MAX - 1, u64::MAX];
        let filter = Filter::build_in_parts(prefixes.clone(), Sequence::new(1), 1).unwrap();
        assert_eq!((filter.parts().len(), filter.keys()), (5, 5));
        assert!(prefixes.iter().all(|prefix| filter.may_hold(*prefix)));
        let others = (0..100_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555);
        assert!(others.filter(|prefix| filter.may_hold(*prefix)).count() < 20, "about one in 65,536");
    }
}
