//! The steps of the protocol, each one atomic where the code is (one statement of SQL, one swap of a pointer), and the shortcuts
//! that it might take instead. The step is named beside the function in `src/` that it stands for; nothing calls that code.
//! A pause, a slow answer, a hung store are steps that do not come: nothing here has to follow on anything.

use crate::state::{
    Change, Check, DRIFT, FEED_MAX, How, NODES, Node, Phase, Poll, Presence, Reading, Row, Snapshot, Source,
    State, Store, WRITERS, Writer,
};

/// The protocol as built, or one shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    AsBuilt,
    AcknowledgedAtOnce,
    LossyFeed,
    SequencesCommittedOutOfOrder,
    NoLease,
    LeaseFromThePollsEnd,
    FilterReadBeforeTheLease,
    ClockStepsBack,
    ClockStopsInSuspend,
    ReplicaPolled,
    RejoinConfirmsTheHead,
    ConfirmedBeforeTheSwap,
    MarkedNodeRemovedEarly,
    OthersAskedBeforeTheSequence,
    NoAllowanceForDrift,
    MarksLookAlike,
    RebuildDropsRecentChanges,
    CopyBelievedWithoutItsSequence,
    RedisBelievedWithoutItsSequence,
    ConfirmedInWhateverEpoch,
    FailoverFasterThanTheLease,
}

/// What may happen in a run.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) variant: Variant,
    /// Nodes that serve already, and nodes that may start.
    pub(crate) serving: u8,
    pub(crate) starting: u8,
    /// The node and the change of each writer.
    pub(crate) writers: &'static [(u8, Change)],
    pub(crate) feed_max: u8,
    /// `registry.lease`, in ticks.
    pub(crate) lease: u8,
    /// Checks of a run; of one alone only what it says after the 201 matters, of several also the copies that they leave.
    pub(crate) checks: u8,
    /// Something may happen between a writer's sequence and its commit.
    pub(crate) begins_apart: bool,
    /// Nodes are marked, removed and leave. A crash is a pause that does not end.
    pub(crate) membership: bool,
    pub(crate) rebuilds: bool,
    pub(crate) redis: bool,
    pub(crate) failovers: u8,
    /// The standby has whatever was acknowledged.
    pub(crate) synchronous: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// A tick that a node's clock does not count.
    TickUnseenBy(u8),
    StepBack(u8),
    /// `WriteTx::has_other_nodes`, too early.
    AskForOthers(u8),
    /// `Store::begin`, `WriteTx::record_change`.
    Begin(u8),
    /// `WriteTx::commit`.
    Commit(u8),
    /// `Registry::published`, by `Confirmations::wait_for` and `Store::least_confirmed`.
    AcknowledgeConfirmed(u8),
    /// `Registry::published`, by time.
    AcknowledgeAfterLeases(u8),
    AcknowledgeAtOnce(u8),
    /// `Follower::poll`: the clock is read.
    PollAsks(u8),
    /// `Store::feed_after`, and what `Follower::poll` makes of the page.
    PollIsAnswered(u8),
    PollIsAnsweredWithLoss(u8),
    /// `Follower::publish`.
    Publish(u8),
    /// `Confirmations::tell`, `Store::confirm`.
    Confirm(u8),
    /// `Store::join`.
    Join(u8),
    /// `Follower::reload`.
    Load(u8),
    /// `Follower::tend_rebuild`: `Store::listed_prefixes`, then `Snapshot::with_filter`.
    RebuildReads(u8),
    RebuildSwaps(u8),
    /// `Membership::look`.
    Mark(u8),
    Remove(u8),
    /// `Store::leave`, when nothing is answered any more.
    Leave(u8),
    /// Replication to the standby, which may become the primary.
    Replicate,
    FailOver,
    /// `Registry::lookup_in_memory`: snapshot, lease, presence, copy. One step: whatever comes between them leaves less of the
    /// lease, and a check that starts where another one loads must know as much.
    CheckLooks(u8),
    /// The lease, read too late.
    CheckReadsLease,
    /// `Registry::lookup`, where memory does not know.
    RedisAnswers(u8),
    StoreAnswers,
    CheckKeepsCopy,
}

impl World {
    pub(crate) fn init(&self) -> State {
        let rows = std::array::from_fn(|node| {
            (node < usize::from(self.serving)).then_some(Row { is_marked: false, mark_age: None, confirmed: 0 })
        });
        let store = Store { epoch: 0, head: 0, feed: [Change::Uncommitted; FEED_MAX], rows };
        let node = |at: usize| Node {
            phase: match u8::try_from(at) {
                Ok(at) if at < self.serving => Phase::Up,
                Ok(at) => Phase::Off { may_start: at < self.serving + self.starting },
                Err(_) => unreachable!("few nodes"),
            },
            snapshot: Snapshot::loaded(&store),
            copy: None,
            poll: Poll::Idle,
            confirm: None,
            rebuild: None,
        };
        State {
            store,
            standby: store,
            down: 0,
            nodes: std::array::from_fn(node),
            writers: [Writer::Idle; WRITERS],
            check: Check::Idle,
            checks_left: self.checks,
            failovers_left: self.failovers,
            steps_left: 1,
        }
    }

    pub(crate) fn is(&self, variant: Variant) -> bool {
        self.variant == variant
    }

    /// Every step that might be possible; `step` tells whether it is.
    pub(crate) fn candidates(&self, actions: &mut Vec<Action>) {
        use Action as A;
        actions.push(A::Tick);
        for node in 0..self.serving + self.starting {
            actions.extend([A::PollAsks, A::PollIsAnswered, A::Publish, A::Confirm, A::Join, A::Load, A::CheckLooks].map(|of| of(node)));
            if self.membership {
                actions.extend([A::Mark, A::Remove, A::Leave].map(|of| of(node)));
            }
            if self.rebuilds {
                actions.extend([A::RebuildReads(node), A::RebuildSwaps(node)]);
            }
            match self.variant {
                Variant::ClockStepsBack => actions.push(A::StepBack(node)),
                Variant::ClockStopsInSuspend => actions.push(A::TickUnseenBy(node)),
                Variant::LossyFeed => actions.push(A::PollIsAnsweredWithLoss(node)),
                _ => {}
            }
        }
        for writer in (0..).take(self.writers.len()) {
            actions.extend([A::Begin, A::Commit, A::AcknowledgeConfirmed, A::AcknowledgeAfterLeases].map(|of| of(writer)));
            match self.variant {
                Variant::AcknowledgedAtOnce => actions.push(A::AcknowledgeAtOnce(writer)),
                Variant::OthersAskedBeforeTheSequence => actions.push(A::AskForOthers(writer)),
                _ => {}
            }
        }
        actions.extend([A::CheckReadsLease, A::StoreAnswers, A::CheckKeepsCopy]);
        if self.redis {
            actions.extend((0..=self.feed_max).map(A::RedisAnswers));
        }
        if self.failovers > 0 || self.is(Variant::ReplicaPolled) {
            actions.extend([A::Replicate, A::FailOver]);
        }
    }

    /// The state after a step, or none where it cannot happen now.
    pub(crate) fn step(&self, mut state: State, action: Action) -> Option<State> {
        use Action as A;
        let taken = match action {
            A::Tick => self.tick(&mut state, None),
            A::TickUnseenBy(node) => self.tick(&mut state, Some(node)),
            A::StepBack(node) => step_back(&mut state, node),
            A::AskForOthers(writer) => self.ask_for_others(&mut state, writer),
            A::Begin(writer) => self.begin(&mut state, writer),
            A::Commit(writer) => self.commit(&mut state, writer),
            A::AcknowledgeConfirmed(writer) => self.acknowledge_confirmed(&mut state, writer),
            A::AcknowledgeAfterLeases(writer) => self.acknowledge_after_leases(&mut state, writer),
            A::AcknowledgeAtOnce(writer) => acknowledge_at_once(&mut state, writer),
            A::PollAsks(node) => poll_asks(&mut state.nodes[usize::from(node)]),
            A::PollIsAnswered(node) => self.poll_is_answered(&mut state, node, false),
            A::PollIsAnsweredWithLoss(node) => self.poll_is_answered(&mut state, node, true),
            A::Publish(node) => self.publish(&mut state, node),
            A::Confirm(node) => self.confirm(&mut state, node),
            A::Join(node) => self.join(&mut state, node),
            A::Load(node) => load(&mut state, node),
            A::RebuildReads(node) => rebuild_reads(&mut state, node),
            A::RebuildSwaps(node) => self.rebuild_swaps(&mut state.nodes[usize::from(node)]),
            A::Mark(node) => self.mark(&mut state, node),
            A::Remove(node) => self.remove(&mut state, node),
            A::Leave(node) => leave(&mut state, node),
            A::Replicate => replicate(&mut state),
            A::FailOver => self.fail_over(&mut state),
            A::CheckLooks(node) => self.check_looks(&mut state, node),
            A::CheckReadsLease => self.check_reads_lease(&mut state),
            A::RedisAnswers(sequence) => self.redis_answers(&mut state, sequence),
            A::StoreAnswers => self.store_answers(&mut state),
            A::CheckKeepsCopy => self.check_keeps_copy(&mut state),
        };
        taken.map(|()| state)
    }

    fn tick(&self, state: &mut State, unseen_by: Option<u8>) -> Option<()> {
        let older = |age: u8| self.lease.min(age + 1);
        state.down = state.down.saturating_sub(1);
        for (at, node) in (0..).zip(&mut state.nodes) {
            if Some(at) == unseen_by {
                continue;
            }
            node.snapshot.lease = node.snapshot.lease.saturating_sub(1);
            if let Poll::Asked { age } | Poll::Got { age, .. } = &mut node.poll {
                *age = older(*age);
            }
        }
        for row in state.store.rows.iter_mut().chain(&mut state.standby.rows).flatten() {
            row.mark_age = row.mark_age.map(older);
        }
        for writer in &mut state.writers {
            if let Writer::Committed { age, .. } = writer {
                *age = older(*age);
            }
        }
        Some(())
    }

    fn node_of(&self, writer: u8) -> usize {
        usize::from(self.writers[usize::from(writer)].0)
    }

    fn ask_for_others(&self, state: &mut State, writer: u8) -> Option<()> {
        let node = self.node_of(writer);
        let slot = usize::from(writer);
        require(state.down == 0 && state.writers[slot] == Writer::Idle)?;
        let others = (0..NODES).any(|other| other != node && state.store.rows[other].is_some());
        state.writers[slot] = Writer::Asked { others };
        Some(())
    }

    fn begin(&self, state: &mut State, writer: u8) -> Option<()> {
        let (node, change) = self.writers[usize::from(writer)];
        let others = match state.writers[usize::from(writer)] {
            Writer::Asked { others } => Some(others),
            Writer::Idle if !self.is(Variant::OthersAskedBeforeTheSequence) => None,
            _ => return None,
        };
        let is_locked = state.has_begun_writer() && !self.is(Variant::SequencesCommittedOutOfOrder);
        require(state.down == 0 && state.nodes[usize::from(node)].phase == Phase::Up && !is_locked)?;
        // `reports.withdraw`: there must be something to withdraw.
        require(change != Change::Withdraw || state.store.listed(state.store.head))?;
        let begun = state.writers.iter().filter_map(|writer| match writer {
            Writer::Begun { sequence, .. } => Some(*sequence),
            _ => None,
        });
        let sequence = begun.max().unwrap_or(0).max(state.store.head) + 1;
        require(sequence <= self.feed_max)?;
        state.writers[usize::from(writer)] = Writer::Begun { sequence, others };
        if self.begins_apart { Some(()) } else { self.commit(state, writer) }
    }

    fn commit(&self, state: &mut State, writer: u8) -> Option<()> {
        let Writer::Begun { sequence, others } = state.writers[usize::from(writer)] else { return None };
        require(state.down == 0)?;
        state.store.commit(sequence, self.writers[usize::from(writer)].1);
        state.writers[usize::from(writer)] = Writer::Committed { sequence, age: 0, others };
        Some(())
    }

    fn acknowledge_confirmed(&self, state: &mut State, writer: u8) -> Option<()> {
        let Writer::Committed { sequence, others, .. } = state.writers[usize::from(writer)] else { return None };
        let own = self.node_of(writer);
        require(state.nodes[own].snapshot.sequence >= sequence && state.nodes[own].is_running())?;
        let knows = |row: &Option<Row>| row.is_none_or(|row| row.confirmed >= sequence);
        let all_know = || (0..NODES).all(|other| other == own || knows(&state.store.rows[other]));
        require(match others {
            Some(others) => !others,
            None => state.down == 0 && all_know(),
        })?;
        state.writers[usize::from(writer)] = Writer::Acknowledged { sequence, how: How::Confirmed };
        Some(())
    }

    fn acknowledge_after_leases(&self, state: &mut State, writer: u8) -> Option<()> {
        let Writer::Committed { sequence, age, .. } = state.writers[usize::from(writer)] else { return None };
        let waits_for = self.lease + if self.is(Variant::NoAllowanceForDrift) { 0 } else { DRIFT };
        require(age + DRIFT >= waits_for && state.nodes[self.node_of(writer)].is_running())?;
        state.writers[usize::from(writer)] = Writer::Acknowledged { sequence, how: How::LeasesEnded };
        Some(())
    }

    fn poll_is_answered(&self, state: &mut State, node: u8, with_loss: bool) -> Option<()> {
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
        if !with_loss {
            next.recent = store.last_change(known, store.head).or(next.recent);
        }
        (next.sequence, next.lease) = (store.head, 0);
        slot.poll = Poll::Got { age, next };
        if self.is(Variant::ConfirmedBeforeTheSwap) {
            slot.confirm = Some((next.epoch, next.sequence));
        }
        Some(())
    }

    fn publish(&self, state: &mut State, node: u8) -> Option<()> {
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

    fn confirm(&self, state: &mut State, node: u8) -> Option<()> {
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

    fn join(&self, state: &mut State, node: u8) -> Option<()> {
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

    fn rebuild_swaps(&self, node: &mut Node) -> Option<()> {
        let filter = node.rebuild?;
        require(node.poll == Poll::Idle && filter.sequence >= node.snapshot.built_at)?;
        node.rebuild = None;
        let stays = |changed_at: &u8| *changed_at > filter.sequence && !self.is(Variant::RebuildDropsRecentChanges);
        node.snapshot.recent = node.snapshot.recent.filter(stays);
        (node.snapshot.built_at, node.snapshot.filter_holds) = (filter.sequence, filter.listed);
        Some(())
    }

    fn mark(&self, state: &mut State, node: u8) -> Option<()> {
        require(state.down == 0)?;
        let row = state.store.rows[usize::from(node)].as_mut().filter(|row| !row.is_marked)?;
        row.is_marked = true;
        if !self.is(Variant::MarksLookAlike) || row.mark_age.is_none() {
            row.mark_age = Some(0);
        }
        Some(())
    }

    fn remove(&self, state: &mut State, node: u8) -> Option<()> {
        let row = state.store.rows[usize::from(node)].filter(|row| row.is_marked)?;
        let is_early = row.mark_age.is_none_or(|age| age < self.lease);
        require(state.down == 0 && (!is_early || self.is(Variant::MarkedNodeRemovedEarly)))?;
        state.store.rows[usize::from(node)] = None;
        Some(())
    }

    fn fail_over(&self, state: &mut State) -> Option<()> {
        require(state.failovers_left > 0 && (!self.synchronous || state.standby == state.store))?;
        state.failovers_left -= 1;
        state.store = Store { epoch: state.store.epoch + 1, ..state.standby };
        state.standby = state.store;
        // Fencing: whoever promotes waits until the old primary is gone, and that takes longer than a lease.
        state.down = if self.synchronous || self.is(Variant::FailoverFasterThanTheLease) { 0 } else { self.lease };
        for writer in &mut state.writers {
            *writer = match *writer {
                Writer::Begun { .. } => Writer::Gone,
                Writer::Committed { sequence, .. } | Writer::Acknowledged { sequence, .. }
                    if sequence > state.store.head =>
                {
                    Writer::Gone
                }
                other => other,
            };
        }
        // `registry.store_timeout`: no look-up outlives the failover.
        state.check = Check::Idle;
        Some(())
    }

    fn check_looks(&self, state: &mut State, node: u8) -> Option<()> {
        let is_idle = matches!(state.check, Check::Idle | Check::Answered { .. });
        let (slot, floor) = (&state.nodes[usize::from(node)], state.floor());
        require(is_idle && state.checks_left > 0 && slot.is_running() && (floor > 0 || self.checks > 1))?;
        state.checks_left -= 1;
        let presence = slot.snapshot.presence();
        if self.is(Variant::FilterReadBeforeTheLease) {
            state.check = Check::Loaded { node, floor, presence };
        } else {
            state.check = self.decide(state, node, floor, presence);
        }
        Some(())
    }

    fn check_reads_lease(&self, state: &mut State) -> Option<()> {
        let Check::Loaded { node, floor, presence } = state.check else { return None };
        state.check = self.decide(state, node, floor, presence);
        Some(())
    }

    fn decide(&self, state: &State, node: u8, floor: u8, presence: Presence) -> Check {
        let slot = &state.nodes[usize::from(node)];
        let is_leased = slot.snapshot.lease > 0 || self.is(Variant::NoLease);
        match presence {
            _ if !is_leased => Check::Asking { node, floor, fresh_from: None },
            Presence::Absent => answer(state, floor, false, Source::Lease),
            Presence::Maybe { fresh_from } => {
                let is_fresh = |copy: &Reading| {
                    copy.sequence >= fresh_from || self.is(Variant::CopyBelievedWithoutItsSequence)
                };
                match slot.copy.filter(is_fresh) {
                    Some(copy) => answer(state, floor, copy.listed, Source::Copy),
                    None => Check::Asking { node, floor, fresh_from: Some(fresh_from) },
                }
            }
        }
    }

    fn store_answers(&self, state: &mut State) -> Option<()> {
        let Check::Asking { node, floor, .. } = state.check else { return None };
        require(state.down == 0)?;
        let copy = Reading { sequence: state.store.head, listed: state.store.listed(state.store.head) };
        state.check = Check::Read { node, floor, copy, source: Source::Store };
        if self.checks > 1 { Some(()) } else { self.check_keeps_copy(state) }
    }

    /// Redis may hold a copy of any moment; a negative of it counts for nothing.
    fn redis_answers(&self, state: &mut State, sequence: u8) -> Option<()> {
        let Check::Asking { node, floor, fresh_from: Some(fresh_from) } = state.check else { return None };
        let is_fresh = sequence >= fresh_from || self.is(Variant::RedisBelievedWithoutItsSequence);
        require(sequence <= state.store.head && state.store.listed(sequence) && is_fresh)?;
        let copy = Reading { sequence, listed: true };
        state.check = Check::Read { node, floor, copy, source: Source::Copy };
        Some(())
    }

    fn check_keeps_copy(&self, state: &mut State) -> Option<()> {
        let Check::Read { node, floor, copy, source } = state.check else { return None };
        state.nodes[usize::from(node)].copy = Some(copy);
        state.check = answer(state, floor, copy.listed, source);
        Some(())
    }
}

fn require(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// An answer is right if it was true at a moment of the check: at a sequence not before the newest one acknowledged when it
/// started, nor after its end.
fn answer(state: &State, floor: u8, listed: bool, source: Source) -> Check {
    let mut moments = floor..=state.store.head;
    let was_true = moments.any(|sequence| state.store.listed(sequence) == listed);
    // What a failover took back may still be told until the lease ends, never a false negative.
    let is_right = was_true || (listed && state.store.epoch > 0);
    Check::Answered { listed, source, is_right }
}

fn step_back(state: &mut State, node: u8) -> Option<()> {
    let slot = &mut state.nodes[usize::from(node)];
    require(state.steps_left > 0 && slot.snapshot.lease > 0)?;
    state.steps_left -= 1;
    slot.snapshot.lease += 1;
    Some(())
}

fn acknowledge_at_once(state: &mut State, writer: u8) -> Option<()> {
    let Writer::Committed { sequence, .. } = state.writers[usize::from(writer)] else { return None };
    state.writers[usize::from(writer)] = Writer::Acknowledged { sequence, how: How::Confirmed };
    Some(())
}

fn poll_asks(node: &mut Node) -> Option<()> {
    require(node.phase == Phase::Up && node.poll == Poll::Idle)?;
    node.poll = Poll::Asked { age: 0 };
    Some(())
}

fn load(state: &mut State, node: u8) -> Option<()> {
    let slot = &mut state.nodes[usize::from(node)];
    require(slot.phase == Phase::Loading && state.down == 0)?;
    *slot = Node { phase: Phase::Up, snapshot: Snapshot::loaded(&state.store), copy: None, rebuild: None, ..*slot };
    Some(())
}

fn rebuild_reads(state: &mut State, node: u8) -> Option<()> {
    let head = state.store.head;
    let slot = &mut state.nodes[usize::from(node)];
    require(state.down == 0 && slot.phase == Phase::Up && slot.rebuild.is_none() && head > slot.snapshot.built_at)?;
    slot.rebuild = Some(Reading { sequence: head, listed: state.store.listed(head) });
    Some(())
}

fn leave(state: &mut State, node: u8) -> Option<()> {
    let slot = &mut state.nodes[usize::from(node)];
    require(state.down == 0 && slot.phase == Phase::Up)?;
    let empty = Snapshot { epoch: 0, sequence: 0, lease: 0, built_at: 0, filter_holds: false, recent: None };
    let phase = Phase::Off { may_start: false };
    *slot = Node { phase, snapshot: empty, copy: None, poll: Poll::Idle, confirm: None, rebuild: None };
    state.store.rows[usize::from(node)] = None;
    if !matches!(state.check, Check::Answered { .. }) {
        state.check = Check::Idle;
    }
    Some(())
}

fn replicate(state: &mut State) -> Option<()> {
    require(state.standby != state.store)?;
    state.standby = state.store;
    Some(())
}
