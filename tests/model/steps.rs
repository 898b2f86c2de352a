//! The steps of the protocol, each one atomic where the code is (one statement of SQL, one swap of a pointer), and the shortcuts
//! that it might take instead. The step is named beside the function in `src/` that it stands for; nothing calls that code.
//! A pause, a slow answer, a hung store are steps that do not come: nothing here has to follow on anything.

use crate::checking::check_keeps_copy;
use crate::following::{leave, load, poll_asks, rebuild_reads, replicate};
use crate::state::{Change, Check, FEED_MAX, Node, Phase, Poll, Row, Snapshot, State, Store, WRITERS, Writer};
use crate::writing::acknowledge_at_once;

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
    ReadKeptOverALaterChange,
    UnreadChangesMerged,
    ReplicaReadWithoutItsSequence,
}

/// What may happen beside polls, writes and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// Something comes between a writer's sequence and its commit.
    BeginApart,
    /// Writers of one node share a transaction (`service::groups`).
    Group,
    /// Nodes are marked, removed and leave. A crash is a pause that does not end.
    NodesGo,
    Rebuild,
    AskRedis,
    /// The standby receives what the primary has; otherwise it has nothing.
    Replicate,
    /// The standby has whatever was committed, so that a failover may be as fast as it likes.
    ReplicateInStep,
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
    pub(crate) may: &'static [May],
    /// Nodes hold every listing, not a filter.
    pub(crate) exact: bool,
    pub(crate) failovers: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// A tick that a node's clock does not count.
    TickUnseenBy(u8),
    StepBack(u8),
    /// `WriteTx::audience`, too early.
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
    /// `Follower::read_changed`: `Store::records_of`, then `Snapshot::with_read`.
    ReadAnswers(u8),
    ReadSwaps(u8),
    /// `Follower::tend_merge`: `Snapshot::with_merged`.
    Merge(u8),
    /// `Follower::tend_rebuild`: `Store::read_listed`, then `Snapshot::with_base`.
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
            snapshot: Snapshot::loaded(&store, self.exact),
            copy: None,
            poll: Poll::Idle,
            confirm: None,
            rebuild: None,
            reading: None,
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

    pub(crate) fn has(&self, may: May) -> bool {
        self.may.contains(&may)
    }

    /// Every step that might be possible; `step` tells whether it is.
    pub(crate) fn candidates(&self, actions: &mut Vec<Action>) {
        use Action as A;
        actions.push(A::Tick);
        for node in 0..self.serving + self.starting {
            actions.extend(
                [A::PollAsks, A::PollIsAnswered, A::Publish, A::Confirm, A::Join, A::Load, A::CheckLooks]
                    .map(|of| of(node)),
            );
            // The writers' own node may as well stay: they do not ask for its row.
            if self.has(May::NodesGo) && node > 0 {
                actions.extend([A::Mark, A::Remove, A::Leave].map(|of| of(node)));
            }
            if self.exact {
                actions.extend([A::ReadAnswers, A::ReadSwaps, A::Merge].map(|of| of(node)));
            }
            if self.has(May::Rebuild) {
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
            actions
                .extend([A::Begin, A::Commit, A::AcknowledgeConfirmed, A::AcknowledgeAfterLeases].map(|of| of(writer)));
            match self.variant {
                Variant::AcknowledgedAtOnce => actions.push(A::AcknowledgeAtOnce(writer)),
                Variant::OthersAskedBeforeTheSequence => actions.push(A::AskForOthers(writer)),
                _ => {}
            }
        }
        actions.extend([A::CheckReadsLease, A::StoreAnswers, A::CheckKeepsCopy]);
        if self.has(May::AskRedis) {
            actions.extend((0..=self.feed_max).map(A::RedisAnswers));
        }
        if self.failovers > 0 {
            actions.push(A::FailOver);
        }
        if self.has(May::Replicate)
            || self.is(Variant::ReplicaPolled)
            || self.is(Variant::ReplicaReadWithoutItsSequence)
        {
            actions.push(A::Replicate);
        }
    }

    /// The state after a step, or none where it cannot happen now.
    pub(crate) fn step(&self, last: &State, action: Action) -> Option<State> {
        use Action as A;
        let mut state = *last;
        let taken = match action {
            A::Tick => {
                self.tick(&mut state, None);
                Some(())
            }
            A::TickUnseenBy(node) => {
                self.tick(&mut state, Some(node));
                Some(())
            }
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
            A::ReadAnswers(node) => self.read_answers(&mut state, node),
            A::ReadSwaps(node) => self.read_swaps(&mut state.nodes[usize::from(node)]),
            A::Merge(node) => self.merge(&mut state.nodes[usize::from(node)]),
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
            A::CheckKeepsCopy => check_keeps_copy(&mut state),
        };
        taken.map(|()| state)
    }

    fn tick(&self, state: &mut State, unseen_by: Option<u8>) {
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
    }
}

pub(crate) fn require(condition: bool) -> Option<()> {
    condition.then_some(())
}

fn step_back(state: &mut State, node: u8) -> Option<()> {
    let slot = &mut state.nodes[usize::from(node)];
    require(state.steps_left > 0 && slot.snapshot.lease > 0)?;
    state.steps_left -= 1;
    slot.snapshot.lease += 1;
    Some(())
}
