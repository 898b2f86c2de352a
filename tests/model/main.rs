//! A model of the protocol by which a node may answer from memory (decisions 004, 006 and 014), checked breadth first: the
//! protocol as built has no counterexample in any world, each shortcut has one.
//! `state.rs` is what there is, `steps.rs` and what it names what may happen; here are the worlds and what must hold. Nothing of `src/` runs here.
#![expect(clippy::print_stdout, reason = "how many states were looked at is part of the result")]

mod checking;
mod following;
mod rotation;
mod state;
mod steps;
mod writing;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use rotation::Shortcut;
use state::{Change, Check, How, Source, State, Writer};
use stateright::{Checker, HasDiscoveries, Model, Property};
use steps::{Action, May, Variant, World};

const NEVER_WRONG: &str = "every answer was true at a moment of its check";

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.init()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !matches!(state.check, Check::Answered { is_right: false, .. }) {
            self.candidates(actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.step(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NEVER_WRONG, |_, state: &State| {
                !matches!(state.check, Check::Answered { is_right: false, .. })
            }),
            Property::sometimes("a 201 by confirmations", |_, state: &State| is_acknowledged(state, How::Confirmed)),
            Property::sometimes("a 201 by time", |_, state: &State| is_acknowledged(state, How::LeasesEnded)),
            Property::sometimes("a positive from the store", |_, state: &State| answered(state, true, Source::Store)),
        ];
        if self.has(May::NodesGo) {
            properties.push(Property::sometimes(
                "a node that was marked joins again",
                |world: &Self, state: &State| {
                    state.store.feed.iter().filter(|change| **change == Change::Join).count()
                        > usize::from(world.starting)
                },
            ));
        }
        if self.checks > 1 {
            properties.extend([
                Property::sometimes("a negative from a lease", |_, state: &State| {
                    answered(state, false, Source::Lease)
                }),
                if self.exact {
                    Property::sometimes("a positive from a lease", |_, state: &State| {
                        answered(state, true, Source::Lease)
                    })
                } else {
                    Property::sometimes("a positive from a copy", |_, state: &State| {
                        answered(state, true, Source::Copy)
                    })
                },
            ]);
        }
        properties
    }
}

fn is_acknowledged(state: &State, by: How) -> bool {
    state.writers.iter().any(|writer| matches!(writer, Writer::Acknowledged { how, .. } if *how == by))
}

fn answered(state: &State, what: bool, from: Source) -> bool {
    matches!(state.check, Check::Answered { listed, source, .. } if listed == what && source == from)
}

/// One report on one node, another node beside it that is paused, marked, removed, and joins again.
const TWO_NODES: World = World {
    name: "two nodes",
    variant: Variant::AsBuilt,
    serving: 2,
    starting: 0,
    writers: &[(0, Change::Report)],
    feed_max: 2,
    lease: 1,
    checks: 1,
    may: &[May::NodesGo],
    exact: false,
    failovers: 0,
};
/// The same where nobody goes.
const QUIET: World = World { name: "two nodes that stay", feed_max: 1, lease: 2, may: &[], ..TWO_NODES };
/// A second node starts while a report is filed.
const STARTING: World = World {
    name: "a node that starts",
    serving: 1,
    starting: 1,
    feed_max: 2,
    lease: 2,
    may: &[May::BeginApart],
    ..TWO_NODES
};
const THREE_NODES: World = World { name: "three nodes", serving: 3, feed_max: 1, may: &[], ..TWO_NODES };
/// Two writers on two nodes.
const TWO_WRITERS: World = World {
    name: "two writers",
    writers: &[(0, Change::Report), (1, Change::Other)],
    feed_max: 2,
    may: &[May::BeginApart],
    ..TWO_NODES
};
/// Two writers of one node in one transaction, another node beside it.
const GROUP: World = World {
    name: "two writers in one transaction",
    writers: &[(0, Change::Report), (0, Change::Other)],
    may: &[May::BeginApart, May::Group],
    ..TWO_WRITERS
};
const WITHDRAWAL: World = World {
    name: "a withdrawal, rebuilds, copies and Redis",
    serving: 1,
    writers: &[(0, Change::Report), (0, Change::Withdraw)],
    feed_max: 2,
    checks: 2,
    may: &[May::Rebuild, May::AskRedis],
    ..TWO_NODES
};
/// The same where nodes hold every listing.
const EXACT: World =
    World { name: "a withdrawal where every listing is in memory", may: &[May::Rebuild], exact: true, ..WITHDRAWAL };
const EXACT_TWO_NODES: World = World { name: "two nodes that hold every listing", exact: true, ..TWO_NODES };
/// The standby has received nothing: every commit is lost.
const FAILOVER: World = World {
    name: "a failover that loses all commits",
    writers: &[(0, Change::Report), (0, Change::Other)],
    may: &[],
    failovers: 1,
    ..TWO_NODES
};
const FAILOVER_ALONE: World =
    World { name: "a failover that loses some commits", serving: 1, feed_max: 3, may: &[May::Replicate], ..FAILOVER };
const EXACT_FAILOVER: World =
    World { name: "a failover under a node that holds every listing", exact: true, ..FAILOVER_ALONE };
const SYNCHRONOUS: World = World {
    name: "a failover that loses nothing",
    writers: &[(0, Change::Report)],
    may: &[May::Replicate, May::ReplicateInStep],
    ..FAILOVER
};

/// What the checking of one model came to.
struct Outcome {
    states: usize,
    /// The steps to a wrong answer, as text.
    wrong: Option<Vec<String>>,
    never_reached: Vec<&'static str>,
}

fn check<M>(model: M, name: &str, is_as_built: bool) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let started = Instant::now();
    let sought: Vec<_> = model.properties().iter().map(|property| property.name).collect();
    // The protocol as built is searched to the end: a wrong answer, which never comes, is among what is sought.
    let finish = if is_as_built { HasDiscoveries::All } else { HasDiscoveries::AnyFailures };
    let checker = model.checker().finish_when(finish).spawn_bfs().join();
    let wrong = checker.discovery(NEVER_WRONG).map(|path| {
        let actions = path.into_actions();
        actions.iter().map(|action| format!("{action:?}")).collect::<Vec<_>>()
    });
    let is_missing = |&name: &&'static str| name != NEVER_WRONG && checker.discovery(name).is_none();
    let states = checker.unique_state_count();
    println!("{name}: {states} states in {:.1} s, {wrong:?}", started.elapsed().as_secs_f32());
    Outcome { states, wrong, never_reached: sought.into_iter().filter(is_missing).collect() }
}

fn has_no_counterexample<M>(model: M, name: &str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let outcome = check(model, name, true);
    assert_eq!(outcome.wrong, None, "a wrong answer");
    assert!(outcome.never_reached.is_empty(), "never reached: {:?}", outcome.never_reached);
    assert!(outcome.states > 100, "hardly anything was looked at");
}

/// The worlds as one table: the protocol as built.
macro_rules! as_built {
    ($($name:ident: $world:expr;)+) => {
        $(#[test]
        fn $name() {
            has_no_counterexample($world, $world.name);
        })+
    };
}

as_built! {
    two_nodes_that_stay_never_answer_wrong: QUIET;
    two_nodes_never_answer_wrong: TWO_NODES;
    a_starting_node_never_answers_wrong: STARTING;
    three_nodes_never_answer_wrong: THREE_NODES;
    two_writers_never_make_an_answer_wrong: TWO_WRITERS;
    writers_that_share_a_transaction_never_make_an_answer_wrong: GROUP;
    copies_rebuilds_and_redis_never_make_an_answer_wrong: WITHDRAWAL;
    exact_listings_never_make_an_answer_wrong: EXACT;
    exact_listings_on_two_nodes_never_make_an_answer_wrong: EXACT_TWO_NODES;
    exact_listings_never_outlive_a_slow_failover: EXACT_FAILOVER;
    a_slow_failover_never_makes_an_answer_wrong: FAILOVER;
    a_slow_failover_under_one_node_never_makes_an_answer_wrong: FAILOVER_ALONE;
    a_failover_without_loss_never_makes_an_answer_wrong: SYNCHRONOUS;
}

/// Each shortcut, in the smallest world that shows what is wrong with it.
const SHORTCUTS: &[(Variant, &World)] = &[
    (Variant::AcknowledgedAtOnce, &QUIET),
    (Variant::LossyFeed, &QUIET),
    (Variant::SequencesCommittedOutOfOrder, &TWO_WRITERS),
    (Variant::NoLease, &QUIET),
    (Variant::LeaseFromThePollsEnd, &QUIET),
    (Variant::FilterReadBeforeTheLease, &QUIET),
    (Variant::ClockStepsBack, &QUIET),
    (Variant::ClockStopsInSuspend, &QUIET),
    (Variant::ReplicaPolled, &QUIET),
    (Variant::RejoinConfirmsTheHead, &TWO_NODES),
    (Variant::ConfirmedBeforeTheSwap, &QUIET),
    (Variant::MarkedNodeRemovedEarly, &TWO_NODES),
    (Variant::OthersAskedBeforeTheSequence, &STARTING),
    (Variant::NoAllowanceForDrift, &QUIET),
    (Variant::MarksLookAlike, &TWO_NODES),
    (Variant::RebuildDropsRecentChanges, &WITHDRAWAL),
    (Variant::CopyBelievedWithoutItsSequence, &WITHDRAWAL),
    (Variant::RedisBelievedWithoutItsSequence, &WITHDRAWAL),
    (Variant::ConfirmedInWhateverEpoch, &FAILOVER),
    (Variant::FailoverFasterThanTheLease, &FAILOVER_ALONE),
    (Variant::ReadKeptOverALaterChange, &EXACT),
    (Variant::UnreadChangesMerged, &EXACT),
    (Variant::ReplicaReadWithoutItsSequence, &EXACT),
];

#[test]
fn every_shortcut_of_the_protocol_gives_a_wrong_answer() {
    for (variant, world) in SHORTCUTS {
        let outcome = check(World { variant: *variant, ..(*world).clone() }, &format!("{variant:?}"), false);
        assert!(outcome.wrong.is_some(), "no counterexample for {variant:?} in {}", world.name);
    }
}

#[test]
fn a_rotation_of_the_pepper_never_makes_an_answer_wrong() {
    has_no_counterexample(Shortcut::None, "a rotation");
}

#[test]
fn every_shortcut_of_a_rotation_gives_a_wrong_answer() {
    for shortcut in [
        Shortcut::OnlyTheNewVersionLookedUp,
        Shortcut::WriterDoesNotCheckTheVersion,
        Shortcut::EndedBeforeAllRowsMoved,
        Shortcut::KeysReadInTwoStatements,
        Shortcut::AnswerOfOtherVersionsBelieved,
        Shortcut::FilterAheadOfTheVersions,
    ] {
        let outcome = check(shortcut, &format!("{shortcut:?}"), false);
        assert!(outcome.wrong.is_some(), "no counterexample for {shortcut:?}");
    }
}
