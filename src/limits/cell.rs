//! What a limit counts with: one number, the moment at which all units are there again (GCRA, as ATM's traffic management has it:
//! ITU-T I.371, annex A). The script of `cluster.rs` counts in the same way. Pure: the caller says what time it is.

use std::num::NonZeroU32;
use std::time::Duration;

use super::standing::{LimitName, Refused, Standing, whole_seconds};
use crate::domain::client::Rate;

/// How a limit is counted on one node: where several share it without counting together, each unit weighs as many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    pub(super) name: LimitName,
    pub(super) rate: Rate,
    period_ns: u64,
    weight: NonZeroU32,
}

impl Measure {
    /// Where one node counts all of it. Made once for a limit: the division shows in the throughput.
    pub(super) fn of(name: LimitName, rate: Rate) -> Self {
        let window_ns = u64::from(rate.per_seconds.get()) * 1_000_000_000;
        let period_ns = (window_ns / u64::from(rate.requests.get())).max(1);
        Self { name, rate, period_ns, weight: NonZeroU32::MIN }
    }

    pub(super) fn among(self, nodes: NonZeroU32) -> Self {
        // With more nodes than units, one unit is all that a node has.
        Self { weight: nodes.min(self.rate.requests), ..self }
    }

    /// The most that can ever be spent at once.
    pub(super) fn largest(&self) -> NonZeroU32 {
        NonZeroU32::new(self.rate.requests.get() / self.weight).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn window_ns(&self) -> u64 {
        self.period_ns * u64::from(self.rate.requests.get())
    }

    pub(super) fn cost_ns(&self, units: u32) -> u64 {
        self.period_ns.saturating_mul(u64::from(units)).saturating_mul(u64::from(self.weight.get()))
    }

    /// What a limit says of itself that is whole again after so long.
    pub(super) fn standing(&self, until_whole_ns: u64) -> Standing {
        let left_ns = self.window_ns().saturating_sub(until_whole_ns);
        let units = left_ns / self.cost_ns(1);
        Standing {
            limit: self.name,
            rate: self.rate,
            remaining: u32::try_from(units).unwrap_or(u32::MAX),
            reset_s: until_whole_ns.div_ceil(1_000_000_000),
        }
    }
}

/// The state of one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cell {
    whole_ns: u64,
}

impl Cell {
    /// How long until so many units are there. Zero: they are.
    pub(super) fn wait_ns(self, measure: &Measure, units: u32, now_ns: u64) -> u64 {
        let spent_ns = self.until_whole_ns(now_ns);
        spent_ns.saturating_add(measure.cost_ns(units)).saturating_sub(measure.window_ns())
    }

    /// Spends units, whether they are there or will be.
    pub(super) fn spend(&mut self, measure: &Measure, units: u32, now_ns: u64) {
        self.whole_ns = self.whole_ns.max(now_ns).saturating_add(measure.cost_ns(units));
    }

    /// What was spent since it was like this.
    pub(super) fn spent_since(self, before: Self, now_ns: u64) -> u64 {
        self.whole_ns.saturating_sub(before.whole_ns.max(now_ns))
    }

    pub(super) fn give_back(&mut self, ns: u64) {
        self.whole_ns = self.whole_ns.saturating_sub(ns);
    }

    /// The same state under another rate: at most wholly spent.
    pub(super) fn under(self, measure: &Measure, now_ns: u64) -> Self {
        Self { whole_ns: self.whole_ns.min(now_ns.saturating_add(measure.window_ns())) }
    }

    pub(super) fn standing(self, measure: &Measure, now_ns: u64) -> Standing {
        measure.standing(self.until_whole_ns(now_ns))
    }

    pub(super) fn refused(self, measure: &Measure, wait_ns: u64, now_ns: u64) -> Refused {
        let retry_after_s = whole_seconds(Duration::from_nanos(wait_ns));
        Refused { standing: self.standing(measure, now_ns), retry_after_s }
    }

    /// Whether all units are there.
    pub(super) fn is_whole(self, now_ns: u64) -> bool {
        self.until_whole_ns(now_ns) == 0
    }

    fn until_whole_ns(self, now_ns: u64) -> u64 {
        self.whole_ns.saturating_sub(now_ns)
    }
}
