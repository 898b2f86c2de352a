//! What may happen to two registries on one store, drawn at random by proptest; `machine.rs` says what each does.

use jiff::civil::Date;
use proptest::prelude::*;

use crate::records::LOST;

const OPERATIONS_MAX: usize = 60;
/// Few, so that operations meet on the same number.
pub(crate) const NUMBERS: usize = 5;
pub(crate) const REGISTRIES: usize = 2;
/// What reports say of when the lost card's validity starts.
pub(crate) const CARD_STARTS: [Option<Date>; 3] = [None, Some(LOST), Some(Date::constant(2020, 2, 29))];

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    File {
        by: usize,
        number: usize,
        card: usize,
    },
    /// The last report's request once more.
    Repeat,
    /// A transaction that files and is dropped.
    GiveUp {
        number: usize,
    },
    Withdraw {
        by: usize,
        report: usize,
    },
    Replace {
        by: usize,
        number: usize,
    },
    LookUp {
        on: usize,
        number: usize,
    },
    LookUpAll {
        on: usize,
        numbers: Vec<usize>,
    },
    Poll {
        on: usize,
    },
    /// A poll that takes this long between question and answer.
    PollSlowly {
        on: usize,
        ms: u64,
    },
    Wait {
        ms: u64,
    },
    /// The process ends without a word, and a new one starts.
    Restart {
        on: usize,
    },
    Leave {
        on: usize,
    },
    /// The others take it for gone.
    Mark {
        on: usize,
    },
}

/// Some of them, in any order.
pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    use Operation as Op;
    let (on, number) = (0..REGISTRIES, 0..NUMBERS);
    let one = prop_oneof![
        4 => (on.clone(), number.clone(), 0..CARD_STARTS.len()).prop_map(|(by, number, card)| Op::File { by, number, card }),
        1 => Just(Op::Repeat),
        1 => number.clone().prop_map(|number| Op::GiveUp { number }),
        3 => (on.clone(), 0_usize..8).prop_map(|(by, report)| Op::Withdraw { by, report }),
        1 => (on.clone(), number.clone()).prop_map(|(by, number)| Op::Replace { by, number }),
        6 => (on.clone(), number.clone()).prop_map(|(on, number)| Op::LookUp { on, number }),
        2 => (on.clone(), prop::collection::vec(number, 1..12)).prop_map(|(on, numbers)| Op::LookUpAll { on, numbers }),
        6 => on.clone().prop_map(|on| Op::Poll { on }),
        2 => (on.clone(), 1..1500_u64).prop_map(|(on, ms)| Op::PollSlowly { on, ms }),
        3 => (1..1200_u64).prop_map(|ms| Op::Wait { ms }),
        1 => on.clone().prop_map(|on| Op::Restart { on }),
        1 => on.clone().prop_map(|on| Op::Leave { on }),
        1 => on.prop_map(|on| Op::Mark { on }),
    ];
    prop::collection::vec(one, 1..OPERATIONS_MAX)
}
