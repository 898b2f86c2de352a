//! What can be done, and how often it is tried. `nth` is one of the records that there are, counted round.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::{DAYS, PERSONS, PORTALS, STEPS_MAX};

/// The day on which a card starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    Old(usize),
    Yesterday,
    Today,
    Tomorrow,
}

/// What is read by its id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Report,
    Found,
    Application,
    Certificate,
    /// As the organization that reported it.
    Misuse,
}

/// What somebody does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Report {
        person: usize,
        start: Option<Start>,
        office: usize,
        days_left: Option<u16>,
    },
    Withdraw {
        nth: usize,
        office: usize,
    },
    Replace {
        person: usize,
        start: Start,
        office: usize,
    },
    Read {
        kind: Kind,
        nth: usize,
        office: usize,
    },
    Search {
        person: usize,
        office: usize,
    },
    /// A card is handed in.
    Find {
        person: usize,
        start: Option<Start>,
        office: usize,
    },
    /// `return`, `destruction` or `transfer`.
    Leave {
        nth: usize,
        office: usize,
        step: &'static str,
        /// As it is read from the card at its return.
        start: Option<Start>,
    },
    /// For a new card, away from home; refused to who has a record of fraud.
    Apply {
        person: usize,
        office: usize,
        has_record: bool,
    },
    Issue {
        nth: usize,
        office: usize,
        start: Start,
    },
    Cancel {
        nth: usize,
        office: usize,
    },
    /// A temporary card.
    Lend {
        nth: usize,
        office: usize,
        start: Option<Start>,
    },
    TakeBack {
        nth: usize,
        office: usize,
    },
    Certify {
        person: usize,
        office: usize,
        purpose: &'static str,
    },
    Revoke {
        nth: usize,
        office: usize,
    },
    /// For its holder, or a stranger.
    Verify {
        nth: usize,
        is_stranger: bool,
        shown_for: &'static str,
    },
    Tell {
        person: usize,
    },
    Resolve {
        nth: usize,
        office: usize,
    },
    ReportOnline {
        person: usize,
        start: Option<Start>,
        portal: usize,
    },
    /// By a number: the report's, or a stranger's.
    WithdrawOnline {
        nth: usize,
        portal: usize,
        is_stranger: bool,
    },
    /// Of a person, as a portal reads them.
    Records {
        person: usize,
        portal: usize,
    },
    /// A check that is watched for a day.
    Watch {
        person: usize,
        start: Option<Start>,
    },
    /// Reads the alerts since the last reading.
    Alerts,
    /// The last request that created something, once more under its `Idempotency-Key`.
    Repeat,
    /// So many days pass, and records whose period is over are deleted. In no sequence so many that what is kept for two years goes.
    Pass {
        days: u16,
    },
}

pub(super) fn operations(is_certifying: bool) -> impl Strategy<Value = Vec<Op>> {
    let mut all = of_reports();
    all.extend(of_cards());
    all.extend(of_desks());
    if is_certifying {
        all.extend(of_certificates());
    }
    prop::collection::vec(Union::new_weighted(all), 1..=STEPS_MAX)
}

type Weighted = Vec<(u32, BoxedStrategy<Op>)>;

fn nth() -> impl Strategy<Value = usize> {
    0..12_usize
}

/// Mostly the first, so that records are met by their own.
fn office() -> impl Strategy<Value = usize> {
    select(vec![0, 0, 0, 1])
}

/// Of a card that exists.
fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        6 => (0..DAYS).prop_map(Start::Old),
        2 => Just(Start::Today),
        1 => Just(Start::Yesterday),
    ]
}

/// Of a new card.
fn new_start() -> impl Strategy<Value = Start> {
    prop_oneof![3 => start(), 1 => Just(Start::Tomorrow)]
}

fn known_start() -> impl Strategy<Value = Option<Start>> {
    prop::option::weighted(0.75, start())
}

fn of_reports() -> Weighted {
    // Of the reported card, where its end is known: it may be over with the next day.
    let days_left = prop::option::weighted(0.4, select(vec![0_u16, 29, 30]));
    let report = (0..PERSONS, known_start(), office(), days_left).prop_map(|(person, start, office, days_left)| {
        // No card ends on the day on which it starts.
        let days_left = days_left.filter(|_| matches!(start, None | Some(Start::Old(_))));
        Op::Report { person, start, office, days_left }
    });
    let replace = (0..PERSONS, new_start(), office());
    vec![
        (5, report.boxed()),
        (4, (nth(), office()).prop_map(|(nth, office)| Op::Withdraw { nth, office }).boxed()),
        (2, replace.prop_map(|(person, start, office)| Op::Replace { person, start, office }).boxed()),
        (1, (0..PERSONS, office()).prop_map(|(person, office)| Op::Search { person, office }).boxed()),
        (2, Just(Op::Repeat).boxed()),
        (2, select(vec![1_u16, 2, 29, 30]).prop_map(|days| Op::Pass { days }).boxed()),
    ]
}

fn of_cards() -> Weighted {
    let kinds = vec![Kind::Report, Kind::Found, Kind::Found, Kind::Application, Kind::Application, Kind::Misuse];
    let read = (select(kinds), nth(), office()).prop_map(|(kind, nth, office)| Op::Read { kind, nth, office });
    let find = (0..PERSONS, known_start(), office());
    let steps = select(vec!["return", "return", "destruction", "destruction", "transfer"]);
    let leave = (nth(), office(), steps, known_start());
    let apply = (0..PERSONS, office(), prop::bool::weighted(0.1));
    // About the start of the temporary card.
    let about_now = select(vec![Start::Yesterday, Start::Today, Start::Today, Start::Tomorrow]);
    let issue = (nth(), office(), prop_oneof![1 => new_start(), 2 => about_now]);
    let lend = (nth(), office(), prop::option::of(select(vec![Start::Today, Start::Yesterday])));
    vec![
        (4, read.boxed()),
        (4, find.prop_map(|(person, start, office)| Op::Find { person, start, office }).boxed()),
        (5, leave.prop_map(|(nth, office, step, start)| Op::Leave { nth, office, step, start }).boxed()),
        (5, apply.prop_map(|(person, office, has_record)| Op::Apply { person, office, has_record }).boxed()),
        (4, issue.prop_map(|(nth, office, start)| Op::Issue { nth, office, start }).boxed()),
        (1, (nth(), office()).prop_map(|(nth, office)| Op::Cancel { nth, office }).boxed()),
        (5, lend.prop_map(|(nth, office, start)| Op::Lend { nth, office, start }).boxed()),
        (2, (nth(), office()).prop_map(|(nth, office)| Op::TakeBack { nth, office }).boxed()),
    ]
}

fn of_desks() -> Weighted {
    let online = (0..PERSONS, known_start(), 0..PORTALS);
    let withdraw = (nth(), 0..PORTALS, prop::bool::weighted(0.2));
    vec![
        (1, (0..PERSONS).prop_map(|person| Op::Tell { person }).boxed()),
        (1, (nth(), office()).prop_map(|(nth, office)| Op::Resolve { nth, office }).boxed()),
        (2, online.prop_map(|(person, start, portal)| Op::ReportOnline { person, start, portal }).boxed()),
        (3, withdraw.prop_map(|(nth, portal, is_stranger)| Op::WithdrawOnline { nth, portal, is_stranger }).boxed()),
        (2, (0..PERSONS, 0..PORTALS).prop_map(|(person, portal)| Op::Records { person, portal }).boxed()),
        (2, (0..PERSONS, known_start()).prop_map(|(person, start)| Op::Watch { person, start }).boxed()),
        (2, Just(Op::Alerts).boxed()),
    ]
}

fn of_certificates() -> Weighted {
    let certify = (0..PERSONS, office(), select(vec!["lodging", "air"]));
    let shown_for = select(vec!["lodging", "air", "transport", "banking"]);
    let verify = (nth(), prop::bool::weighted(0.2), shown_for);
    let read = (nth(), office()).prop_map(|(nth, office)| Op::Read { kind: Kind::Certificate, nth, office });
    vec![
        (3, certify.prop_map(|(person, office, purpose)| Op::Certify { person, office, purpose }).boxed()),
        (3, (nth(), office()).prop_map(|(nth, office)| Op::Revoke { nth, office }).boxed()),
        (10, verify.prop_map(|(nth, is_stranger, shown_for)| Op::Verify { nth, is_stranger, shown_for }).boxed()),
        (3, read.boxed()),
    ]
}
