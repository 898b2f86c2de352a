//! The whole life of cards, as a property: random sequences of all operations go to a real node and to a simple model, and after
//! each of them answers, states, refusals and the verdicts on every card agree.
//! A further aggregate is: operations here, what they mean in `model`, how they are sent in `world`. Both tell an `Outcome`; the
//! model never looks at the service's code.

mod model;
mod world;

use std::fmt::Write as _;

use lostcard::crypto::random;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use model::Model;
use world::World;

/// Few, so that operations meet.
const PERSONS: usize = 3;
/// Days on which cards start, one after the other: a replacement's threshold is the day before.
const DAYS: usize = 5;
/// Organizations of registrars.
const OFFICES: usize = 2;
const CASES: u32 = 32;
const STEPS_MAX: usize = 30;

/// What somebody does. `nth` is one of the records there are, counted round.
#[derive(Debug, Clone, Copy)]
enum Op {
    Report {
        person: usize,
        day: Option<usize>,
        office: usize,
        days_left: Option<u16>,
    },
    Withdraw {
        nth: usize,
        office: usize,
    },
    Replace {
        person: usize,
        day: usize,
        office: usize,
    },
    Read {
        nth: usize,
        office: usize,
    },
    Search {
        person: usize,
        office: usize,
    },
    /// The last request that created something, once more under its `Idempotency-Key`.
    Repeat,
    /// So many days pass, and what has outlived its time is deleted.
    Pass {
        days: u16,
    },
}

/// What somebody is told: the status, and the state or the code that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    status: u16,
    told: String,
}

impl Outcome {
    fn new(status: u16, told: impl Into<String>) -> Self {
        Self { status, told: told.into() }
    }

    /// Nothing was there to be done.
    fn none() -> Self {
        Self::new(0, "")
    }
}

/// The verdict on each card of each person: of a start not given, then of each day.
type Verdicts = Vec<[String; DAYS + 1]>;

fn operations() -> impl Strategy<Value = Vec<Op>> {
    let (person, day, office, nth) = (0..PERSONS, 0..DAYS, 0..OFFICES, 0..12_usize);
    // Of the reported card, where its end is known: it may be over with the next day.
    let days_left = prop::option::weighted(0.4, prop::sample::select(vec![0_u16, 29, 30]));
    let op = prop_oneof![
        5 => (person.clone(), prop::option::weighted(0.75, day.clone()), office.clone(), days_left)
            .prop_map(|(person, day, office, days_left)| Op::Report { person, day, office, days_left }),
        4 => (nth.clone(), office.clone()).prop_map(|(nth, office)| Op::Withdraw { nth, office }),
        3 => (person.clone(), day, office.clone())
            .prop_map(|(person, day, office)| Op::Replace { person, day, office }),
        1 => (nth, office.clone()).prop_map(|(nth, office)| Op::Read { nth, office }),
        1 => (person, office).prop_map(|(person, office)| Op::Search { person, office }),
        1 => Just(Op::Repeat),
        1 => prop::sample::select(vec![1_u16, 29, 30]).prop_map(|days| Op::Pass { days }),
    ];
    prop::collection::vec(op, 1..=STEPS_MAX)
}

/// Drives one sequence; the first difference, if there is one.
async fn run(world: &mut World, ops: &[Op]) -> Result<(), String> {
    world.forget();
    let mut model = Model::default();
    for (step, op) in ops.iter().enumerate() {
        let (expected, seen) = (model.apply(op), world.apply(op).await);
        if seen != expected {
            return Err(format!("step {step}, {op:?}: the model says {expected:?}, the service {seen:?}"));
        }
        let (expected, seen) = (model.verdicts(), world.verdicts().await);
        if seen != expected {
            return Err(format!(
                "after step {step}, {op:?}, verdicts: the model says {expected:?}, the service {seen:?}"
            ));
        }
    }
    Ok(())
}

/// `LOSTCARD_TEST_SEED`, as a failure prints it, or a seed of its own.
fn seed() -> [u8; 32] {
    let given = std::env::var("LOSTCARD_TEST_SEED").ok();
    given.map_or_else(random::bytes, |text| {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    })
}

/// Drives sequences until one differs, then looks for the smallest that does.
#[tokio::test]
async fn a_service_and_a_simple_model_live_alike() {
    let seed = seed();
    let printed = seed.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    eprintln!("LOSTCARD_TEST_SEED={printed}");
    let mut world = World::spawn().await;
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    for _ in 0..CASES {
        let mut case = operations().new_tree(&mut runner).unwrap();
        let Err(mut failure) = run(&mut world, &case.current()).await else { continue };
        let mut smallest = case.current();
        while case.simplify() {
            match run(&mut world, &case.current()).await {
                Err(again) => (failure, smallest) = (again, case.current()),
                Ok(()) if !case.complicate() => break,
                Ok(()) => {}
            }
        }
        let steps: Vec<_> = smallest.iter().enumerate().map(|(step, op)| format!("{step}: {op:?}")).collect();
        panic!("{failure}\nLOSTCARD_TEST_SEED={printed}\n{}", steps.join("\n"));
    }
}
