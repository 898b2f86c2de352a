//! The whole life of cards, as a property: random sequences of all operations go to a real node and to a simple model, and after
//! each of them answers, states, refusals and the verdicts on every card agree.
//! A further aggregate is: operations in `ops`, what they mean in `model` (`cards`, `desks`), how they are sent in `world` (`sends`).
//! Both tell an `Outcome`; the model never looks at the service's code.

mod cards;
mod desks;
mod model;
mod ops;
mod sends;
mod world;

use std::fmt::Write as _;

use lostcard::crypto::random;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use model::Model;
use ops::{Op, operations};
use world::World;

/// Few, so that operations meet.
const PERSONS: usize = 3;
/// Days long ago on which cards start, one after the other: a replacement's threshold is the day before.
const DAYS: usize = 5;
/// Organizations that may use the registry; the first is a registrar.
const OFFICES: usize = 2;
const PORTALS: usize = 2;
const CASES: u32 = 40;
/// Of so many sequences one is about certificates: each that is issued takes a second in a debug build.
const CERTIFYING_EACH: u32 = 8;
const STEPS_MAX: usize = 60;

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

    fn not_found() -> Self {
        Self::new(404, "not_found")
    }

    fn wrong_state() -> Self {
        Self::new(409, "wrong_state")
    }

    /// Nothing was there to be done.
    fn none() -> Self {
        Self::new(0, "")
    }
}

/// The starts of the cards that are checked after each step: not given, each old one, the sequence's first day, the last two.
const CHECKED: usize = DAYS + 4;

/// The verdict on each card of each person.
type Verdicts = Vec<[String; CHECKED]>;

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
    for nth in 0..CASES {
        let mut case = operations(nth % CERTIFYING_EACH == 0).new_tree(&mut runner).unwrap();
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
