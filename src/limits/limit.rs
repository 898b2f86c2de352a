//! One limit of one caller, and what it says about itself. Invariant: no refusal is without a limit's name and a time to wait.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::Quota;

use super::cell::{Cell, Measure};
use super::standing::{LimitName, Refused, Standing, standing};
use crate::clock::Clock;
use crate::domain::client::Rate;

/// One limit of one caller.
#[derive(Debug)]
pub struct Limit {
    /// As one node counts it that is alone.
    pub(super) whole: Measure,
    clock: Clock,
    cell: Mutex<Cell>,
}

impl Limit {
    pub fn new(name: LimitName, rate: Rate, clock: Clock) -> Self {
        Self { whole: Measure::of(name, rate), clock, cell: Mutex::default() }
    }

    /// The same limit under another rate: what was spent stays spent.
    pub(super) fn at_rate(&self, rate: Rate) -> Self {
        let whole = Measure::of(self.whole.name, rate);
        let cell = self.cell().under(&whole, self.clock.boot_ns());
        Self { whole, clock: self.clock.clone(), cell: Mutex::new(cell) }
    }

    /// An organization's limit under the rate that it has now, which may be the one it had.
    pub fn again(self: std::sync::Arc<Self>, rate: Rate) -> std::sync::Arc<Self> {
        if self.whole.rate == rate { self } else { std::sync::Arc::new(self.at_rate(rate)) }
    }

    /// Spends units, where so many nodes share the rate. A cost above what could ever be spent at once counts as all of that.
    pub fn spend(&self, units: NonZeroU32, nodes: NonZeroU32) -> Result<Standing, Refused> {
        let (measure, now_ns) = (self.measure(nodes), self.clock.boot_ns());
        let units = units.min(measure.largest()).get();
        let mut cell = self.cell();
        match cell.wait_ns(&measure, units, now_ns) {
            0 => {
                cell.spend(&measure, units, now_ns);
                Ok(cell.standing(&measure, now_ns))
            }
            wait_ns => Err(cell.refused(&measure, wait_ns, now_ns)),
        }
    }

    pub(super) fn measure(&self, nodes: NonZeroU32) -> Measure {
        self.whole.among(nodes)
    }

    pub(super) fn cell(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self, remaining: u32) -> Standing {
        standing(self.whole.name, self.whole.rate, remaining)
    }
}

pub(super) fn quota(rate: Rate) -> Quota {
    let window_ns = u64::from(rate.per_seconds.get()) * 1_000_000_000;
    let per_unit = Duration::from_nanos((window_ns / u64::from(rate.requests.get())).max(1));
    // Unwrap safety of the alternative: a period of zero is excluded above.
    Quota::with_period(per_unit).unwrap_or(Quota::per_second(rate.requests)).allow_burst(rate.requests)
}
