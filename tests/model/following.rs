//! The steps of a node beside answering: it joins, loads, polls, confirms, rebuilds its filter, is taken for gone; and what becomes
//! of the store meanwhile. `registry::follower`, `registry::confirmations`, `registry::membership`, `store::nodes`.

use crate::state::{Change, Check, Node, Phase, Poll, Reading, Row, Snapshot, State, Store, Writer};
use crate::steps::{May, Variant, World, require};

impl World {
    pub(crate) fn poll_is_answered(&self, state: &mut State, node: u8, with_loss: bool) -> Option<()> {
        let store = if self.is(Variant::ReplicaPolled) { state.standby } else { state.store };
        let slot = &mut state.nodes[usize::from(node)];
        let Poll::Asked { age } = slot.poll else { return None };
        require(state.down == 0)?;
        slot.poll = Poll::Idle;
        let known = slot.snapshot.sequence;
        let skips_gaps = self.is(Variant::SequencesCommittedOutOfOrder);
        if store.epoch != slot.snapshot.epoch || store.head < known || (!skips_gaps && store.has_gap(known)) {
            slot.phase = Phase::Joining { then_load: true };
            return Some(());
        }
        if store.rows[usize::from(node)].is_none_or(|row| row.is_marked) {
            slot.phase = Phase::Joining { then_load: false };
            return Some(());
        }
        let mut next = slot.snapshot;
        if let Some(at) = store.last_change(known, store.head).filter(|_| !with_loss) {
            next.changed(at, self.is(Variant::ReadKeptOverALaterChange));
        }
        (next.sequence, next.lease) = (store.head, 0);
        slot.poll = Poll::Got { age, next };
        if self.is(Variant::ConfirmedBeforeTheSwap) {
            slot.confirm = Some((next.epoch, next.sequence));
        }
        Some(())
    }

    pub(crate) fn publish(&self, state: &mut State, node: u8) -> Option<()> {
        let confirmed = state.store.rows[usize::from(node)].map(|row| row.confirmed);
        let slot = &mut state.nodes[usize::from(node)];
        let Poll::Got { age, next } = slot.poll else { return None };
        slot.poll = Poll::Idle;
        let age = if self.is(Variant::LeaseFromThePollsEnd) { 0 } else { age };
        slot.snapshot = Snapshot { lease: self.lease.saturating_sub(age), ..next };
        if confirmed != Some(next.sequence) {
            slot.confirm = Some((next.epoch, next.sequence));
        }
        Some(())
    }

    pub(crate) fn confirm(&self, state: &mut State, node: u8) -> Option<()> {
        let (epoch, sequence) = state.nodes[usize::from(node)].confirm?;
        require(state.down == 0)?;
        state.nodes[usize::from(node)].confirm = None;
        let is_of_this_history = epoch == state.store.epoch && sequence <= state.store.head;
        if let Some(row) = &mut state.store.rows[usize::from(node)]
            && (is_of_this_history || self.is(Variant::ConfirmedInWhateverEpoch))
        {
            row.confirmed = row.confirmed.max(sequence);
        }
        Some(())
    }

    pub(crate) fn join(&self, state: &mut State, node: u8) -> Option<()> {
        let phase = state.nodes[usize::from(node)].phase;
        let then = match phase {
            Phase::Off { may_start: true } | Phase::Joining { then_load: true } => Phase::Loading,
            Phase::Joining { then_load: false } => Phase::Up,
            _ => return None,
        };
        require(state.down == 0 && !state.has_begun_writer() && state.store.head < self.feed_max)?;
        let sequence = state.store.head + 1;
        state.store.commit(sequence, Change::Join);
        let keeps = |row: &Row| if self.is(Variant::RejoinConfirmsTheHead) { sequence } else { row.confirmed };
        let row = &mut state.store.rows[usize::from(node)];
        let mark_age = row.filter(|_| self.is(Variant::MarksLookAlike)).and_then(|row| row.mark_age);
        *row = Some(Row { is_marked: false, mark_age, confirmed: row.as_ref().map_or(sequence, keeps) });
        state.nodes[usize::from(node)].phase = then;
        Some(())
    }

    pub(crate) fn rebuild_swaps(&self, node: &mut Node) -> Option<()> {
        let filter = node.rebuild?;
        require(node.poll == Poll::Idle && filter.sequence >= node.snapshot.built_at)?;
        node.rebuild = None;
        let stays = |changed_at: &u8| *changed_at > filter.sequence && !self.is(Variant::RebuildDropsRecentChanges);
        node.snapshot.recent = node.snapshot.recent.filter(stays);
        if let (None, Some(exact)) = (node.snapshot.recent, &mut node.snapshot.exact) {
            exact.read = None;
        }
        (node.snapshot.built_at, node.snapshot.filter_holds) = (filter.sequence, filter.listed);
        Some(())
    }

    pub(crate) fn mark(&self, state: &mut State, node: u8) -> Option<()> {
        require(state.down == 0)?;
        let row = state.store.rows[usize::from(node)].as_mut().filter(|row| !row.is_marked)?;
        row.is_marked = true;
        if !self.is(Variant::MarksLookAlike) || row.mark_age.is_none() {
            row.mark_age = Some(0);
        }
        Some(())
    }

    pub(crate) fn remove(&self, state: &mut State, node: u8) -> Option<()> {
        let row = state.store.rows[usize::from(node)].filter(|row| row.is_marked)?;
        let is_early = row.mark_age.is_none_or(|age| age < self.lease);
        require(state.down == 0 && (!is_early || self.is(Variant::MarkedNodeRemovedEarly)))?;
        state.store.rows[usize::from(node)] = None;
        Some(())
    }

    pub(crate) fn fail_over(&self, state: &mut State) -> Option<()> {
        require(state.failovers_left > 0 && (!self.has(May::ReplicateInStep) || state.standby == state.store))?;
        state.failovers_left -= 1;
        state.store = Store { epoch: state.store.epoch + 1, ..state.standby };
        state.standby = state.store;
        // Fencing: the operator who promotes waits until the old primary is gone, and that takes longer than a lease.
        state.down =
            if self.has(May::ReplicateInStep) || self.is(Variant::FailoverFasterThanTheLease) { 0 } else { self.lease };
        for writer in &mut state.writers {
            // The writer tries what was lost again.
            match *writer {
                Writer::Committed { sequence, .. } | Writer::Acknowledged { sequence, .. }
                    if sequence <= state.store.head => {}
                _ => *writer = Writer::Idle,
            }
        }
        // `registry.store_timeout`: no look-up outlives the failover.
        state.check = Check::Idle;
        Some(())
    }

    /// The store says what is listed of the number, for a node that holds every listing.
    pub(crate) fn read_answers(&self, state: &mut State, node: u8) -> Option<()> {
        let is_of_replica = self.is(Variant::ReplicaReadWithoutItsSequence);
        let store = if is_of_replica { state.standby } else { state.store };
        let slot = &mut state.nodes[usize::from(node)];
        let is_unread = slot.snapshot.exact.is_some_and(|exact| exact.read.is_none()) && slot.snapshot.recent.is_some();
        require(state.down == 0 && slot.phase == Phase::Up && slot.poll == Poll::Idle)?;
        require(is_unread && slot.reading.is_none())?;
        slot.reading = Some(Reading { sequence: store.head, listed: store.listed(store.head) });
        Some(())
    }

    pub(crate) fn read_swaps(&self, node: &mut Node) -> Option<()> {
        let reading = node.reading.take()?;
        let changed_at = node.snapshot.recent?;
        let is_new = reading.sequence >= changed_at || self.is(Variant::ReplicaReadWithoutItsSequence);
        let exact = node.snapshot.exact.as_mut().filter(|_| is_new)?;
        exact.read = Some(reading);
        Some(())
    }

    /// What was read of the number goes into the listings.
    pub(crate) fn merge(&self, node: &mut Node) -> Option<()> {
        require(node.poll == Poll::Idle && node.reading.is_none() && node.snapshot.recent.is_some())?;
        let read = match node.snapshot.exact.as_mut()?.read.take() {
            None => require(self.is(Variant::UnreadChangesMerged)).map(|()| node.snapshot.filter_holds)?,
            Some(read) => read.listed,
        };
        (node.snapshot.filter_holds, node.snapshot.recent) = (read, None);
        node.snapshot.built_at = node.snapshot.sequence;
        Some(())
    }
}

pub(crate) fn poll_asks(node: &mut Node) -> Option<()> {
    require(node.phase == Phase::Up && node.poll == Poll::Idle && node.reading.is_none())?;
    node.poll = Poll::Asked { age: 0 };
    Some(())
}

pub(crate) fn load(state: &mut State, node: u8) -> Option<()> {
    let slot = &mut state.nodes[usize::from(node)];
    require(slot.phase == Phase::Loading && state.down == 0)?;
    let snapshot = Snapshot::loaded(&state.store, slot.snapshot.exact.is_some());
    *slot = Node { phase: Phase::Up, snapshot, copy: None, rebuild: None, reading: None, ..*slot };
    Some(())
}

pub(crate) fn rebuild_reads(state: &mut State, node: u8) -> Option<()> {
    let head = state.store.head;
    let slot = &mut state.nodes[usize::from(node)];
    require(state.down == 0 && slot.phase == Phase::Up && slot.rebuild.is_none() && head > slot.snapshot.built_at)?;
    slot.rebuild = Some(Reading { sequence: head, listed: state.store.listed(head) });
    Some(())
}

pub(crate) fn leave(state: &mut State, node: u8) -> Option<()> {
    let slot = &mut state.nodes[usize::from(node)];
    require(state.down == 0 && slot.phase == Phase::Up)?;
    let empty =
        Snapshot { epoch: 0, sequence: 0, lease: 0, built_at: 0, filter_holds: false, recent: None, exact: None };
    let phase = Phase::Off { may_start: false };
    *slot = Node { phase, snapshot: empty, copy: None, poll: Poll::Idle, confirm: None, rebuild: None, reading: None };
    state.store.rows[usize::from(node)] = None;
    if !matches!(state.check, Check::Answered { .. }) {
        state.check = Check::Idle;
    }
    Some(())
}

pub(crate) fn replicate(state: &mut State) -> Option<()> {
    require(state.standby != state.store)?;
    state.standby = state.store;
    Some(())
}
