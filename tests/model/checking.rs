//! The steps of a check: `Registry::lookup`, and what makes an answer right.

use crate::state::{Check, Presence, Reading, Source, State};
use crate::steps::{Variant, World, require};

impl World {
    pub(crate) fn check_looks(&self, state: &mut State, node: u8) -> Option<()> {
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

    pub(crate) fn check_reads_lease(&self, state: &mut State) -> Option<()> {
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
            Presence::Listed => answer(state, floor, true, Source::Lease),
            Presence::Maybe { fresh_from } => {
                let is_fresh =
                    |copy: &Reading| copy.sequence >= fresh_from || self.is(Variant::CopyBelievedWithoutItsSequence);
                match slot.copy.filter(is_fresh) {
                    Some(copy) => answer(state, floor, copy.listed, Source::Copy),
                    None => Check::Asking { node, floor, fresh_from: Some(fresh_from) },
                }
            }
        }
    }

    pub(crate) fn store_answers(&self, state: &mut State) -> Option<()> {
        let Check::Asking { node, floor, .. } = state.check else { return None };
        require(state.down == 0)?;
        let copy = Reading { sequence: state.store.head, listed: state.store.listed(state.store.head) };
        state.check = Check::Read { node, floor, copy, source: Source::Store };
        if self.checks > 1 { Some(()) } else { check_keeps_copy(state) }
    }

    /// Redis may hold a copy of any moment; a negative of it counts for nothing.
    pub(crate) fn redis_answers(&self, state: &mut State, sequence: u8) -> Option<()> {
        let Check::Asking { node, floor, fresh_from: Some(fresh_from) } = state.check else { return None };
        let is_fresh = sequence >= fresh_from || self.is(Variant::RedisBelievedWithoutItsSequence);
        require(sequence <= state.store.head && state.store.listed(sequence) && is_fresh)?;
        let copy = Reading { sequence, listed: true };
        state.check = Check::Read { node, floor, copy, source: Source::Copy };
        Some(())
    }
}

pub(crate) fn check_keeps_copy(state: &mut State) -> Option<()> {
    let Check::Read { node, floor, copy, source } = state.check else { return None };
    state.nodes[usize::from(node)].copy = Some(copy);
    state.check = answer(state, floor, copy.listed, source);
    Some(())
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
