//! The rotation of the pepper as a model of its own: two numbers, two versions, rows that move one by one, two nodes that look up
//! what their snapshot says. Leases are left to the other model: a writer waits here until every node knows its change.

use stateright::{Model, Property};

const NUMBERS: usize = 2;
const NODES: usize = 2;

/// The rotation as built, or one shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortcut {
    None,
    OnlyTheNewVersionLookedUp,
    WriterDoesNotCheckTheVersion,
    EndedBeforeAllRowsMoved,
    KeysReadInTwoStatements,
    AnswerOfOtherVersionsBelieved,
    FilterAheadOfTheVersions,
}

/// The version new rows get, and while rows move the one that old rows have: `feed_head.key_version` and `key_version_from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Versions {
    current: u8,
    from: Option<u8>,
}

/// By number: which versions of its key are there.
type Keys = [[bool; 2]; NUMBERS];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    sequence: u8,
    versions: Versions,
    filter: Keys,
    /// The sequence that brought a key.
    recent: [[u8; 2]; NUMBERS],
    /// A filter that is being built, and the sequence at which it was read.
    rebuild: Option<(u8, Keys)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    /// The key is derived from the snapshot of node 0.
    Derived {
        version: u8,
    },
    Committed {
        sequence: u8,
    },
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Check {
    Idle,
    /// The store is asked with the keys of these versions; the first of two may have been answered already.
    Asking {
        number: u8,
        versions: Versions,
        is_half_read: bool,
    },
    Positive,
    FalseNegative,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    sequence: u8,
    versions: Versions,
    /// The version of each number's row; number 0 is listed from the beginning, number 1 is being reported.
    rows: [Option<u8>; NUMBERS],
    changed_at: [u8; NUMBERS],
    nodes: [Node; NODES],
    writer: Writer,
    check: Check,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Rotate,
    MoveRow(u8),
    End,
    Poll(u8),
    RebuildReads(u8),
    RebuildSwaps(u8),
    Derive,
    Commit,
    Acknowledge,
    Check(u8, u8),
    StoreAnswersHalf,
    StoreAnswers,
}

impl Versions {
    fn contain(self, version: u8) -> bool {
        self.current == version || self.from == Some(version)
    }
}

impl State {
    fn keys(&self) -> Keys {
        self.rows.map(|row| [row == Some(1), row == Some(2)])
    }

    fn put(&mut self, number: u8, version: u8) {
        self.rows[usize::from(number)] = Some(version);
        self.changed_at[usize::from(number)] = self.sequence;
    }
}

impl Model for Shortcut {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let versions = Versions { current: 1, from: None };
        let node = Node {
            sequence: 0,
            versions,
            filter: [[true, false], [false; 2]],
            recent: [[0; 2]; NUMBERS],
            rebuild: None,
        };
        let (writer, check) = (Writer::Idle, Check::Idle);
        vec![State {
            sequence: 0,
            versions,
            rows: [Some(1), None],
            changed_at: [0; NUMBERS],
            nodes: [node; NODES],
            writer,
            check,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Rotate, Action::End, Action::Derive, Action::Commit, Action::Acknowledge]);
        actions.extend([Action::StoreAnswersHalf, Action::StoreAnswers]);
        for of in 0..2 {
            actions.extend([Action::MoveRow(of), Action::Poll(of), Action::RebuildReads(of), Action::RebuildSwaps(of)]);
            actions.extend([Action::Check(of, 0), Action::Check(of, 1)]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        let taken = match action {
            Action::Rotate | Action::MoveRow(_) | Action::End => self.rotate(&mut state, action),
            Action::Derive | Action::Commit | Action::Acknowledge => self.write(&mut state, action),
            Action::Poll(node) | Action::RebuildReads(node) | Action::RebuildSwaps(node) => {
                self.follow(&mut state, usize::from(node), action)
            }
            Action::Check(node, number) => self.look_up(&mut state, node, number),
            Action::StoreAnswersHalf => self.answer_half(&mut state),
            Action::StoreAnswers => self.answer(&mut state),
        };
        taken.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(crate::NEVER_WRONG, |_, state: &State| state.check != Check::FalseNegative),
            Property::sometimes("a positive during the rotation", |_, state: &State| {
                state.check == Check::Positive && state.versions.from.is_some()
            }),
            Property::sometimes("a report under the new version", |_, state: &State| {
                state.rows[1] == Some(2) && state.writer == Writer::Acknowledged
            }),
            Property::sometimes("the rotation ends", |_, state: &State| {
                state.versions == Versions { current: 2, from: None } && state.check == Check::Positive
            }),
        ]
    }
}

impl Shortcut {
    fn rotate(self, state: &mut State, action: Action) -> bool {
        let is_moving = state.versions.from.is_some();
        let may = match action {
            Action::Rotate => state.versions.current == 1,
            Action::MoveRow(number) => is_moving && state.rows[usize::from(number)] == Some(1),
            _ => is_moving && (!state.rows.contains(&Some(1)) || self == Self::EndedBeforeAllRowsMoved),
        };
        if may {
            state.sequence += 1;
            match action {
                Action::Rotate => state.versions = Versions { current: 2, from: Some(1) },
                Action::MoveRow(number) => state.put(number, 2),
                _ => state.versions.from = None,
            }
        }
        may
    }

    fn write(self, state: &mut State, action: Action) -> bool {
        state.writer = match (action, state.writer) {
            (Action::Derive, Writer::Idle) => Writer::Derived { version: state.nodes[0].versions.current },
            (Action::Commit, Writer::Derived { version }) => {
                if version != state.versions.current && self != Self::WriterDoesNotCheckTheVersion {
                    // Rolled back; it derives the key again.
                    Writer::Idle
                } else {
                    state.sequence += 1;
                    state.put(1, version);
                    Writer::Committed { sequence: state.sequence }
                }
            }
            (Action::Acknowledge, Writer::Committed { sequence })
                if state.nodes.iter().all(|node| node.sequence >= sequence) =>
            {
                Writer::Acknowledged
            }
            _ => return false,
        };
        true
    }

    fn follow(self, state: &mut State, at: usize, action: Action) -> bool {
        let (sequence, keys) = (state.sequence, state.keys());
        let node = &mut state.nodes[at];
        match action {
            Action::Poll(_) if node.sequence < sequence => {
                for (number, version) in state.rows.iter().enumerate() {
                    if let Some(version) = version
                        && state.changed_at[number] > node.sequence
                    {
                        node.recent[number][usize::from(*version) - 1] = state.changed_at[number];
                    }
                }
                (node.sequence, node.versions) = (sequence, state.versions);
            }
            Action::RebuildReads(_) if node.rebuild.is_none() => node.rebuild = Some((sequence, keys)),
            Action::RebuildSwaps(_) => {
                let Some((built_at, filter)) = node.rebuild else { return false };
                if built_at > node.sequence && self != Self::FilterAheadOfTheVersions {
                    return false;
                }
                (node.filter, node.rebuild) = (filter, None);
                for at in node.recent.iter_mut().flatten().filter(|at| **at <= built_at) {
                    *at = 0;
                }
            }
            _ => return false,
        }
        true
    }

    fn look_up(self, state: &mut State, node: u8, number: u8) -> bool {
        let is_known = number == 0 || state.writer == Writer::Acknowledged;
        if !matches!(state.check, Check::Idle | Check::Positive) || !is_known {
            return false;
        }
        let node = &state.nodes[usize::from(node)];
        let mut versions = node.versions;
        if self == Self::OnlyTheNewVersionLookedUp {
            versions.from = None;
        }
        let [one, two] = [0, 1].map(|version: usize| {
            let number = usize::from(number);
            node.filter[number][version] || node.recent[number][version] > 0
        });
        let is_absent = !(one && versions.contain(1) || two && versions.contain(2));
        let asking = Check::Asking { number, versions, is_half_read: false };
        state.check = if is_absent { Check::FalseNegative } else { asking };
        true
    }

    fn answer_half(self, state: &mut State) -> bool {
        let Check::Asking { number, versions, is_half_read: false } = state.check else { return false };
        let is_missing = state.rows[usize::from(number)] != Some(versions.current);
        if self != Self::KeysReadInTwoStatements || !is_missing {
            return false;
        }
        state.check = Check::Asking { number, versions, is_half_read: true };
        true
    }

    fn answer(self, state: &mut State) -> bool {
        let Check::Asking { number, versions, is_half_read } = state.check else { return false };
        let is_half_blind = self == Self::KeysReadInTwoStatements && is_half_read;
        let row = state.rows[usize::from(number)];
        let is_found =
            row.is_some_and(
                |version| {
                    if is_half_blind { versions.from == Some(version) } else { versions.contain(version) }
                },
            );
        state.check = if is_found {
            Check::Positive
        } else if versions == state.versions || self == Self::AnswerOfOtherVersionsBelieved || is_half_blind {
            Check::FalseNegative
        } else {
            // By other versions than the store's: asked again when the follower has caught up.
            Check::Idle
        };
        true
    }
}
