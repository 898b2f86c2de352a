//! What one client has spent: numbers, digests, wrong numbers, and how far it runs ahead of what it declared. Pure: the caller says
//! what time it is and how many nodes share.

use std::num::NonZeroU32;

use super::birthdays::Birthdays;
use super::seen::DAY_NS;
use crate::domain::client::Rate;
use crate::limits::cell::{Cell, Measure};
use crate::limits::cluster_numbers::Judged;
use crate::limits::standing::LimitName;

/// Days whose guests may come at once, and how many may at least.
const BURST_DAYS: u32 = 3;
pub(super) const BURST_MIN: u32 = 25;
pub(super) const DAY_S: u32 = 24 * 3600;
/// Who is out of numbers on two days of so many is held.
const OUT_DAYS: u64 = 30;

/// What follows from the declared guests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) guests: NonZeroU32,
    pub(super) numbers: Rate,
    pub(super) digests: Rate,
    /// The two as one node counts them that is alone.
    pub(super) measures: [Measure; 2],
}

/// Numbers that were taken without being known.
#[derive(Debug, PartialEq, Eq)]
pub struct TakenUnseen {
    pub(super) count: u32,
    /// What they took of what this node counts.
    pub(super) here_ns: u64,
    /// Whether all nodes count them together.
    pub(super) is_granted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Spent {
    pub(super) numbers: Cell,
    pub(super) digests: Cell,
    pub(super) wrong: Cell,
    birthdays: Option<Box<Birthdays>>,
    /// When it was first out of numbers, of late.
    out_ns: Option<u64>,
    /// Numbers since all of them were there.
    run: u32,
}

impl Spent {
    /// Spends a number, and one of the day's digests where it is one. What all nodes have let pass together counts here too where it
    /// is there: if Redis fails, nobody finds this node's cells untouched.
    pub(super) fn spend(&mut self, [numbers, digests]: &[Measure; 2], is_digest: bool, now_ns: u64) {
        if self.numbers.is_whole(now_ns) {
            self.run = 0;
        }
        self.run = self.run.saturating_add(1);
        if self.numbers.wait_ns(numbers, 1, now_ns) == 0 {
            self.numbers.spend(numbers, 1, now_ns);
        }
        if is_digest && self.digests.wait_ns(digests, 1, now_ns) == 0 {
            self.digests.spend(digests, 1, now_ns);
        }
    }

    /// What so many numbers find, and as many digests where they are some: how long to wait for them, and whether it runs away.
    pub(super) fn judge(
        &self,
        [numbers, digests]: &[Measure; 2],
        count: u32,
        is_digest: bool,
        now_ns: u64,
    ) -> (u64, Judged) {
        let of_digests = if is_digest { self.digests.wait_ns(digests, count, now_ns) } else { 0 };
        let wait_ns = self.numbers.wait_ns(numbers, count, now_ns).max(of_digests);
        let runs_away = wait_ns == 0 && self.runs_away(numbers, count, now_ns);
        (wait_ns, if runs_away { Judged::RanAway } else { Judged::Fair })
    }

    /// Whether the last of so many runs away from what it declared: two days' guests ahead, and four days' since it had all of them. So
    /// twice the declared guests end on the second day, which by running out alone would end on the fourth.
    fn runs_away(&self, numbers: &Measure, count: u32, now_ns: u64) -> bool {
        let before = u64::from(count.saturating_sub(1));
        let left = u64::from(self.numbers.standing(numbers, now_ns).remaining).saturating_sub(before);
        let run = if self.numbers.is_whole(now_ns) { 0 } else { u64::from(self.run) } + before;
        let burst = u64::from(numbers.largest().get());
        3 * left <= burst && 3 * run >= 4 * burst
    }

    /// Numbers that were spent here for what was then not done.
    pub(super) fn give_back(&mut self, count: u32, numbers_ns: u64) {
        self.numbers.give_back(numbers_ns);
        self.run = self.run.saturating_sub(count);
    }

    /// What all nodes count together is judged where they count it, in Redis.
    pub(super) fn forget_run(&mut self) {
        self.run = 0;
    }

    /// Out of numbers: whether it is held for that.
    pub(super) fn is_out_again(&mut self, now_ns: u64) -> bool {
        let first_ns = *self.out_ns.get_or_insert(now_ns);
        let days = now_ns.saturating_sub(first_ns) / DAY_NS;
        if days >= OUT_DAYS {
            self.out_ns = Some(now_ns);
        }
        (1..OUT_DAYS).contains(&days)
    }

    pub(super) fn birthdays(&mut self, now_ns: u64) -> &mut Birthdays {
        self.birthdays.get_or_insert_with(|| Box::new(Birthdays::new(now_ns)))
    }
}

impl Rates {
    pub(super) fn of(guests: NonZeroU32) -> Self {
        let (numbers, digests) = (of_days(guests, BURST_DAYS), of_days(guests, 1));
        let measures = [numbers, digests].map(|rate| Measure::of(LimitName::Numbers, rate));
        Self { guests, numbers, digests, measures }
    }
}

/// The guests of so many days at once. Fewer than 25 are 25, which come back as slowly.
fn of_days(guests: NonZeroU32, days: u32) -> Rate {
    let units = guests.get().saturating_mul(days);
    if units >= BURST_MIN {
        return Rate { requests: positive(units), per_seconds: positive(DAY_S * days) };
    }
    Rate { requests: positive(BURST_MIN), per_seconds: positive(BURST_MIN * DAY_S / guests.get()) }
}

pub(super) fn positive(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
