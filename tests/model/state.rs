//! What the model holds: the store, the nodes' memory, writers, one check. Plain data and what can be read from it; no step is
//! taken here. Times are ages, so that time has no end and the states are finite.

/// Nodes that a world may have.
pub(crate) const NODES: usize = 3;
/// Writers that a world may have.
pub(crate) const WRITERS: usize = 2;
/// Changes that the feed may hold.
pub(crate) const FEED_MAX: usize = 5;
/// `LEASE_DRIFT`, in ticks: timers run that much early at worst.
pub(crate) const DRIFT: u8 = 1;

/// One row of the feed. The model has one number; `Other` is any change that is not of its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    Uncommitted,
    Report,
    Withdraw,
    Other,
    Join,
}

/// One row of `nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) is_marked: bool,
    /// How long the others have seen the mark.
    pub(crate) mark_age: Option<u8>,
    pub(crate) confirmed: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) epoch: u8,
    pub(crate) head: u8,
    pub(crate) feed: [Change; FEED_MAX],
    pub(crate) rows: [Option<Row>; NODES],
}

impl Store {
    /// Whether the number is listed at a sequence.
    pub(crate) fn listed(&self, at: u8) -> bool {
        let changed = self.last_change(0, at);
        changed.is_some_and(|sequence| self.feed[usize::from(sequence) - 1] == Change::Report)
    }

    /// The last change of the number after a sequence, up to another.
    pub(crate) fn last_change(&self, after: u8, up_to: u8) -> Option<u8> {
        let is_of_number = |at: &u8| matches!(self.feed[usize::from(*at) - 1], Change::Report | Change::Withdraw);
        (after + 1..=up_to).rev().find(is_of_number)
    }

    pub(crate) fn has_gap(&self, after: u8) -> bool {
        self.feed[usize::from(after)..usize::from(self.head)].contains(&Change::Uncommitted)
    }

    pub(crate) fn commit(&mut self, sequence: u8, change: Change) {
        self.feed[usize::from(sequence) - 1] = change;
        self.head = self.head.max(sequence);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Snapshot {
    pub(crate) epoch: u8,
    pub(crate) sequence: u8,
    /// Ticks that are left.
    pub(crate) lease: u8,
    pub(crate) built_at: u8,
    pub(crate) filter_holds: bool,
    pub(crate) recent: Option<u8>,
    /// Exact listings: what the base holds is told; none where there is a filter.
    pub(crate) exact: Option<Exact>,
}

/// What a node that holds every listing has read of the number since its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Exact {
    pub(crate) read: Option<Reading>,
}

/// What a snapshot says of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Presence {
    Absent,
    Listed,
    Maybe { fresh_from: u8 },
}

impl Snapshot {
    pub(crate) fn loaded(store: &Store, is_exact: bool) -> Self {
        Self {
            epoch: store.epoch,
            sequence: store.head,
            lease: 0,
            built_at: store.head,
            filter_holds: store.listed(store.head),
            recent: None,
            exact: is_exact.then_some(Exact { read: None }),
        }
    }

    /// Changes of the number that nobody asked the store about since are asked about by the next check.
    pub(crate) fn changed(&mut self, at: u8, keeps_what_was_read: bool) {
        self.recent = Some(at);
        if let Some(Exact { read }) = &mut self.exact {
            *read = read.filter(|read| read.sequence >= at || keeps_what_was_read);
        }
    }

    pub(crate) fn presence(self) -> Presence {
        let told = |listed| if listed { Presence::Listed } else { Presence::Absent };
        if let Some(Exact { read }) = self.exact {
            return match (self.recent, read) {
                (None, _) => told(self.filter_holds),
                (Some(_), Some(read)) => told(read.listed),
                (Some(fresh_from), None) => Presence::Maybe { fresh_from },
            };
        }
        match (self.recent, self.filter_holds) {
            (Some(fresh_from), _) => Presence::Maybe { fresh_from },
            (None, true) => Presence::Maybe { fresh_from: self.built_at },
            (None, false) => Presence::Absent,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Not started yet, or a process whose memory is gone.
    Off {
        may_start: bool,
    },
    /// Must join; what is in memory stays in use meanwhile. `then_load`: it starts, or the feed went back.
    Joining {
        then_load: bool,
    },
    Loading,
    Up,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Poll {
    Idle,
    /// The clock was read `age` ticks ago, the question is on its way.
    Asked {
        age: u8,
    },
    /// The answer is here and not yet in place.
    Got {
        age: u8,
        next: Snapshot,
    },
}

/// A listing as it was at a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) sequence: u8,
    pub(crate) listed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) phase: Phase,
    pub(crate) snapshot: Snapshot,
    pub(crate) copy: Option<Reading>,
    pub(crate) poll: Poll,
    /// A confirmation on its way: epoch and sequence.
    pub(crate) confirm: Option<(u8, u8)>,
    /// A filter that is being built.
    pub(crate) rebuild: Option<Reading>,
    /// What the store said of the changed number, not in place yet.
    pub(crate) reading: Option<Reading>,
}

impl Node {
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Off { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum How {
    Confirmed,
    LeasesEnded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Writer {
    Idle,
    /// Only where others are asked for too early.
    Asked {
        others: bool,
    },
    Begun {
        sequence: u8,
        others: Option<bool>,
    },
    Committed {
        sequence: u8,
        age: u8,
        others: Option<bool>,
    },
    Acknowledged {
        sequence: u8,
        how: How,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Lease,
    Copy,
    Store,
}

/// A check; `floor` is the newest change of the number acknowledged before it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Check {
    Idle,
    /// Only where the filter is read before the lease.
    Loaded {
        node: u8,
        floor: u8,
        presence: Presence,
    },
    /// `fresh_from` where a valid lease lets Redis be asked.
    Asking {
        node: u8,
        floor: u8,
        fresh_from: Option<u8>,
    },
    Read {
        node: u8,
        floor: u8,
        copy: Reading,
        source: Source,
    },
    Answered {
        listed: bool,
        source: Source,
        is_right: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) store: Store,
    /// What a standby has received.
    pub(crate) standby: Store,
    /// Ticks until the store answers again.
    pub(crate) down: u8,
    pub(crate) nodes: [Node; NODES],
    pub(crate) writers: [Writer; WRITERS],
    pub(crate) check: Check,
    pub(crate) checks_left: u8,
    pub(crate) failovers_left: u8,
    pub(crate) steps_left: u8,
}

impl State {
    /// The newest change of the number that a check starting now must know.
    pub(crate) fn floor(&self) -> u8 {
        let is_of_number = |at: u8| self.store.last_change(at - 1, at).is_some();
        let acknowledged = self.writers.iter().filter_map(|writer| match writer {
            Writer::Acknowledged { sequence, .. } if is_of_number(*sequence) => Some(*sequence),
            _ => None,
        });
        acknowledged.max().unwrap_or(0)
    }

    pub(crate) fn has_begun_writer(&self) -> bool {
        self.writers.iter().any(|writer| matches!(writer, Writer::Begun { .. }))
    }
}
