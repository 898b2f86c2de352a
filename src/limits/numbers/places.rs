//! Where numbers belong: how many of one county and birth date a client may ask about in thirty days, and how many of one birth date.
//! What is counted, and where, is the work of `cells` and `birthdays`.

use std::num::NonZeroU32;

use super::seen::DAY_NS;

/// What was counted is forgotten with its part, when it is between 30 and 45 days old.
pub(super) const PART_NS: u64 = 15 * DAY_NS;
pub(super) const PARTS: usize = 3;
/// Numbers of one county and birth date that pass, and from how many guests a day on there are more.
const CELL_MAX: usize = 12;
pub(super) const MANY_GUESTS: u32 = 5_000;
const MANY_CELL_MAX: usize = 25;
/// Numbers of one birth date that pass, at least; a fifth of the declared guests where that is more.
const BIRTHDAY_MIN: u32 = 40;

/// A place that has no number left, and how long until it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded {
    pub(super) wait_ns: u64,
}

/// At each of several nodes: people of one county and birth date come to a large station by eights in a month, and its next node
/// may have none of them.
pub(super) fn cell_max(declared: NonZeroU32) -> usize {
    if declared.get() > MANY_GUESTS { MANY_CELL_MAX } else { CELL_MAX }
}

/// Each node counts for itself, as nothing of a number leaves it. So each of several gives half of it: less, and a client that a balancer
/// keeps at one node would be refused guests that it has.
pub(super) fn birthday_max(declared: NonZeroU32, nodes: NonZeroU32) -> u16 {
    let max = (declared.get() / 5).max(BIRTHDAY_MIN);
    u16::try_from(max.div_ceil(nodes.get().min(2))).unwrap_or(u16::MAX)
}
