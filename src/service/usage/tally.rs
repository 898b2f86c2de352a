//! Sums that a worker adds to and the node's task reads: what counter and usage hand to each other.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Date;

use crate::domain::ids::OrganizationId;
use crate::domain::usage::{Counts, OUTCOMES, Outcome};

/// Sums that one thread adds to and others read: they only grow, so that nothing has to be taken back from them.
#[derive(Debug)]
pub(super) struct Tally {
    pub organization: OrganizationId,
    pub day: Date,
    pub site: Box<str>,
    counts: [AtomicU64; OUTCOMES],
}

impl Tally {
    pub(super) fn new(organization: OrganizationId, day: Date, site: &str) -> Self {
        Self { organization, day, site: site.into(), counts: [const { AtomicU64::new(0) }; OUTCOMES] }
    }

    /// Only ever by one thread at a time: it reads and writes without a lock on the memory bus.
    pub(super) fn add(&self, outcome: Outcome) {
        let count = &self.counts[outcome as usize];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let mut counts = Counts::default();
        for &outcome in Outcome::ALL {
            counts.add(outcome, self.counts[outcome as usize].load(Ordering::Relaxed));
        }
        counts
    }
}

/// The sites that an organization may still be counted by, once there are as many as may be.
pub(super) type ClosedSites = Arc<HashSet<Box<str>>>;

/// What the node says of a site that a worker has not met today.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is counted by its name.
    Named(Arc<Tally>),
    /// There are too many: these are, and no further one.
    Closed(ClosedSites),
}
