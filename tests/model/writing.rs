//! The steps of a writer, from its sequence to its 201: `service::reports` and `Registry::published`.

use crate::state::{Change, DRIFT, How, NODES, Phase, Row, State, Writer};
use crate::steps::{May, Variant, World, require};

impl World {
    fn node_of(&self, writer: u8) -> usize {
        usize::from(self.writers[usize::from(writer)].0)
    }

    pub(crate) fn ask_for_others(&self, state: &mut State, writer: u8) -> Option<()> {
        let node = self.node_of(writer);
        let slot = usize::from(writer);
        require(state.down == 0 && state.writers[slot] == Writer::Idle)?;
        let others = (0..NODES).any(|other| other != node && state.store.rows[other].is_some());
        state.writers[slot] = Writer::Asked { others };
        Some(())
    }

    pub(crate) fn begin(&self, state: &mut State, writer: u8) -> Option<()> {
        let (node, change) = self.writers[usize::from(writer)];
        let others = match state.writers[usize::from(writer)] {
            Writer::Asked { others } => Some(others),
            Writer::Idle if !self.is(Variant::OthersAskedBeforeTheSequence) => None,
            _ => return None,
        };
        let is_of_group = |(at, _): &(usize, &Writer)| self.has(May::Group) && self.writers[*at].0 == node;
        let mut begun = state.writers.iter().enumerate().filter(|(_, writer)| matches!(writer, Writer::Begun { .. }));
        let is_locked = !begun.all(|of| is_of_group(&of)) && !self.is(Variant::SequencesCommittedOutOfOrder);
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
        if self.has(May::BeginApart) { Some(()) } else { self.commit(state, writer) }
    }

    pub(crate) fn commit(&self, state: &mut State, writer: u8) -> Option<()> {
        require(state.down == 0 && matches!(state.writers[usize::from(writer)], Writer::Begun { .. }))?;
        let node = self.writers[usize::from(writer)].0;
        for (at, (of, change)) in self.writers.iter().enumerate() {
            let is_of_commit = at == usize::from(writer) || (self.has(May::Group) && *of == node);
            if let Writer::Begun { sequence, others } = state.writers[at]
                && is_of_commit
            {
                state.store.commit(sequence, *change);
                state.writers[at] = Writer::Committed { sequence, age: 0, others };
            }
        }
        Some(())
    }

    pub(crate) fn acknowledge_confirmed(&self, state: &mut State, writer: u8) -> Option<()> {
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

    pub(crate) fn acknowledge_after_leases(&self, state: &mut State, writer: u8) -> Option<()> {
        let Writer::Committed { sequence, age, .. } = state.writers[usize::from(writer)] else { return None };
        let waits_for = self.lease + if self.is(Variant::NoAllowanceForDrift) { 0 } else { DRIFT };
        require(age + DRIFT >= waits_for && state.nodes[self.node_of(writer)].is_running())?;
        state.writers[usize::from(writer)] = Writer::Acknowledged { sequence, how: How::LeasesEnded };
        Some(())
    }
}

pub(crate) fn acknowledge_at_once(state: &mut State, writer: u8) -> Option<()> {
    let Writer::Committed { sequence, .. } = state.writers[usize::from(writer)] else { return None };
    state.writers[usize::from(writer)] = Writer::Acknowledged { sequence, how: How::Confirmed };
    Some(())
}
