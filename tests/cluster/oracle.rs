//! What may be answered. For each number the history of its changes, with the instants between which each took effect; an answer
//! is right if one of the states that the asker can have met explains it. The rules of verdicts are here a second time, in
//! the words of the product, on purpose: nothing of `lostcard::domain::verdict` is used.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};

use jiff::civil::Date;
use lostcard::clock::Clock;
use lostcard::domain::instant::UnixMs;
use lostcard::sample::{SampleRecord, records};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::tally::{Tally, lock};

pub(crate) const VERDICTS: [&str; 4] = ["not_listed", "card_listed", "other_card_listed", "number_listed"];
const NOT_LISTED: &str = VERDICTS[0];
/// How long after its answer a withdrawal may still be unknown to a node: the lease and the drift of timers (invariant 13).
const WITHDRAWAL_MAX_MS: u64 = 1050;
/// How old the knowledge may be on which a negative rests: the lease, and the time between two readings of a clock.
const AS_OF_AGE_MAX_MS: i64 = 1050;
/// Numbers that nobody ever reports.
const STRANGERS: usize = 20_000;
/// Numbers that changed just now: the sharpest to ask about.
const RECENT_MAX: usize = 32;
const COMPLAINTS_MAX: usize = 20;

/// A change to a number's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Report {
        card_valid_from: Option<Date>,
    },
    /// Of the last report, which is active.
    Withdrawal,
    Replacement {
        starts_on: Date,
    },
}

#[derive(Debug, Clone)]
struct Entry {
    change: Change,
    begun_ns: u64,
    /// None: no answer yet, it may take effect at any time.
    acknowledged_ns: Option<u64>,
}

#[derive(Debug)]
struct Person {
    id_number: String,
    card_valid_from: Date,
    /// In the order in which they were made: the next begins after the one before is acknowledged.
    history: Vec<Entry>,
}

/// One of the oracle's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Never reported.
    Stranger(usize),
    /// With a history.
    Known(usize),
}

/// A check as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) who: Who,
    pub(crate) presented: Option<Date>,
}

/// When a question was asked, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    began_ns: u64,
    began_wall_ms: UnixMs,
}

/// All that was written and acknowledged.
pub(crate) struct Oracle {
    pub(crate) tally: Tally,
    pub(crate) today: Date,
    strangers: Vec<SampleRecord>,
    unused: Mutex<Box<dyn Iterator<Item = SampleRecord> + Send>>,
    people: RwLock<Vec<Person>>,
    recent: Mutex<VecDeque<usize>>,
    /// Ids of reports and replacements that were acknowledged, as the database writes them.
    stored: Mutex<HashMap<String, &'static str>>,
    complaints: Mutex<Vec<String>>,
    failed: AtomicBool,
}

impl Oracle {
    pub(crate) fn new(seed: u64) -> Self {
        let today = Clock::System.today();
        let mut people = records(seed, u64::MAX, today);
        Self {
            tally: Tally::new(),
            today,
            strangers: people.by_ref().take(STRANGERS).collect(),
            unused: Mutex::new(Box::new(people)),
            people: RwLock::default(),
            recent: Mutex::default(),
            stored: Mutex::default(),
            complaints: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    /// Somebody of whom nothing is known yet, for one writer alone.
    pub(crate) fn somebody(&self) -> (usize, SampleRecord) {
        let record = lock(&self.unused).next().unwrap();
        let person = Person {
            id_number: record.id_number.expose().to_owned(),
            card_valid_from: record.card_valid_from,
            history: Vec::new(),
        };
        let mut people = self.people.write().unwrap();
        people.push(person);
        (people.len() - 1, record)
    }

    /// A change is about to be sent.
    pub(crate) fn begin(&self, known: usize, change: Change) {
        let entry = Entry { change, begun_ns: self.tally.now_ns(), acknowledged_ns: None };
        self.people.write().unwrap()[known].history.push(entry);
    }

    /// The last change was acknowledged, just now.
    pub(crate) fn acknowledge(&self, known: usize) {
        let now_ns = self.tally.now_ns();
        self.people.write().unwrap()[known].history.last_mut().unwrap().acknowledged_ns = Some(now_ns);
        let mut recent = lock(&self.recent);
        recent.push_back(known);
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
    }

    /// What a row of the database must hold from now on.
    pub(crate) fn stores(&self, id: &str, state: &'static str) {
        lock(&self.stored).insert(id.replace('-', ""), state);
    }

    pub(crate) fn stored(&self) -> HashMap<String, &'static str> {
        lock(&self.stored).clone()
    }

    pub(crate) fn people(&self) -> usize {
        self.people.read().unwrap().len()
    }

    /// Acknowledged changes: each is one row of the feed.
    pub(crate) fn changes(&self) -> usize {
        let people = self.people.read().unwrap();
        people.iter().flat_map(|person| &person.history).filter(|entry| entry.acknowledged_ns.is_some()).count()
    }

    /// Changes that were never acknowledged.
    pub(crate) fn open_changes(&self) -> usize {
        let people = self.people.read().unwrap();
        people.iter().flat_map(|person| &person.history).filter(|entry| entry.acknowledged_ns.is_none()).count()
    }

    /// A question of the mix: mostly strangers, some who changed just now, some of old.
    pub(crate) fn question(&self, random: &mut Xoshiro256PlusPlus) -> Question {
        let people = self.people();
        let who = match random.random_range(0..100) {
            _ if people == 0 => Who::Stranger(0),
            0..10 => lock(&self.recent)
                .get(random.random_range(0..RECENT_MAX))
                .map_or(Who::Stranger(1), |at| Who::Known(*at)),
            10..30 => Who::Known(random.random_range(0..people)),
            _ => Who::Stranger(random.random_range(0..STRANGERS)),
        };
        self.question_about(who, random)
    }

    /// A question about one person: the card that was lost, one before it, a later one, or no date.
    pub(crate) fn question_about(&self, who: Who, random: &mut Xoshiro256PlusPlus) -> Question {
        let (_, card) = self.card_of(who);
        let presented = match random.random_range(0..5) {
            0 => None,
            1 => Some(self.today),
            2 => Some(card.yesterday().unwrap()),
            _ => Some(card),
        };
        Question { who, presented }
    }

    pub(crate) fn card_of(&self, who: Who) -> (String, Date) {
        match who {
            Who::Stranger(at) => (self.strangers[at].id_number.expose().to_owned(), self.strangers[at].card_valid_from),
            Who::Known(at) => {
                let people = self.people.read().unwrap();
                (people[at].id_number.clone(), people[at].card_valid_from)
            }
        }
    }

    /// Call before the question is sent.
    pub(crate) fn asked(&self) -> Asked {
        Asked { began_ns: self.tally.now_ns(), began_wall_ms: Clock::System.now_ms() }
    }

    /// Judges an answer that has just come. `as_of` is what the node said it rests on.
    pub(crate) fn judge(&self, asked: Asked, question: &Question, verdict: &str, as_of: &str) {
        match VERDICTS.iter().position(|word| *word == verdict) {
            Some(index) => self.tally.verdict(index),
            None => self.complain(format!("unknown verdict {verdict}")),
        }
        if verdict == NOT_LISTED {
            self.judge_age(asked, as_of);
        }
        let ended_ns = self.tally.now_ns();
        let Who::Known(at) = question.who else {
            if verdict != NOT_LISTED {
                self.complain(format!("{verdict} for somebody who was never reported"));
            }
            return;
        };
        let people = self.people.read().unwrap();
        let history = &people[at].history;
        let expected = expected(history, asked.began_ns, ended_ns, question.presented);
        if !expected.contains(&verdict) {
            let (began, presented) = (asked.began_ns, question.presented);
            self.complain(format!(
                "{verdict}, expected {expected:?}: person {at}, card of {}, presented {presented:?}, asked at {began} to \
                 {ended_ns} ns, {history:#?}",
                people[at].card_valid_from
            ));
        }
    }

    /// Invariants 2 and 10: a negative rests on a lease that was valid, or on a read of the store, when it was given.
    fn judge_age(&self, asked: Asked, as_of: &str) {
        let Ok(as_of) = as_of.parse::<jiff::Timestamp>() else {
            return self.complain(format!("as_of {as_of} is no instant"));
        };
        let (age_ms, now_ms) = (asked.began_wall_ms.get() - as_of.as_millisecond(), Clock::System.now_ms().get());
        if age_ms > AS_OF_AGE_MAX_MS || as_of.as_millisecond() > now_ms {
            self.complain(format!("a negative as of {as_of}: {age_ms} ms before the question"));
        }
    }

    /// An invariant is broken: the run ends.
    pub(crate) fn complain(&self, what: String) {
        let mut complaints = lock(&self.complaints);
        if complaints.is_empty() {
            eprintln!("after {} ms: {what}", self.tally.now_ns() / 1_000_000);
        }
        if complaints.len() < COMPLAINTS_MAX {
            complaints.push(what);
        }
        self.failed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    pub(crate) fn assert_content(&self) {
        let complaints = lock(&self.complaints);
        assert!(complaints.is_empty(), "{} broken promises: {complaints:#?}", complaints.len());
    }
}

/// Every verdict that a question of this time can be answered with: after the changes that everybody must know, and after each
/// that may have taken effect meanwhile.
fn expected(history: &[Entry], began_ns: u64, ended_ns: u64, presented: Option<Date>) -> Vec<&'static str> {
    let must_be_known = |entry: &Entry| {
        let wait_ns = if entry.change == Change::Withdrawal { WITHDRAWAL_MAX_MS * 1_000_000 } else { 0 };
        entry.acknowledged_ns.is_some_and(|at| at + wait_ns < began_ns)
    };
    let least = history.iter().rposition(must_be_known).map_or(0, |last| last + 1);
    let most = history.iter().rposition(|entry| entry.begun_ns <= ended_ns).map_or(0, |last| last + 1);
    let changes: Vec<_> = history.iter().map(|entry| entry.change).collect();
    (least..=most.max(least)).map(|known| verdict(&changes[..known], presented)).collect()
}

/// The product's table: the latest threshold wins; a withdrawal removes its own report only; a replacement lists what is older.
fn verdict(changes: &[Change], presented: Option<Date>) -> &'static str {
    let (mut reports, mut replaced_on) = (Vec::new(), None);
    for change in changes {
        match change {
            Change::Report { card_valid_from } => reports.push(*card_valid_from),
            Change::Withdrawal => drop(reports.pop()),
            Change::Replacement { starts_on } => {
                // A report that does not know its card is about one before the new one.
                reports.retain(Option::is_some);
                replaced_on = replaced_on.max(Some(*starts_on));
            }
        }
    }
    if reports.is_empty() && replaced_on.is_none() {
        return "not_listed";
    }
    let Some(presented) = presented else { return "number_listed" };
    let is_listed =
        reports.iter().flatten().any(|lost| presented <= *lost) || replaced_on.is_some_and(|on| presented < on);
    if is_listed {
        "card_listed"
    } else if reports.iter().any(Option::is_none) {
        "number_listed"
    } else {
        "other_card_listed"
    }
}

#[test]
fn verdicts_are_the_products() {
    let day = |text: &str| text.parse::<Date>().unwrap();
    let (lost, before, after) = (day("2016-05-01"), day("2006-05-01"), day("2016-05-02"));
    let known = Change::Report { card_valid_from: Some(lost) };
    let unknown = Change::Report { card_valid_from: None };
    let replaced = Change::Replacement { starts_on: after };
    for (changes, presented, expected) in [
        (vec![], Some(lost), "not_listed"),
        (vec![known], Some(before), "card_listed"),
        (vec![known], Some(lost), "card_listed"),
        (vec![known], Some(after), "other_card_listed"),
        (vec![known], None, "number_listed"),
        (vec![unknown], Some(lost), "number_listed"),
        (vec![known, Change::Withdrawal], Some(lost), "not_listed"),
        (vec![known, replaced], Some(lost), "card_listed"),
        (vec![known, replaced], Some(after), "other_card_listed"),
        (vec![unknown, replaced], Some(after), "other_card_listed"),
        (vec![replaced], None, "number_listed"),
    ] {
        assert_eq!(verdict(&changes, presented), expected, "{changes:?} {presented:?}");
    }
}

#[test]
fn an_answer_is_explained_by_what_the_asker_can_have_met() {
    let change = Change::Report { card_valid_from: None };
    let report = |acknowledged_ns| Entry { change, begun_ns: 10, acknowledged_ns };
    let of = |history: &[Entry], began, ended| expected(history, began, ended, None);
    assert_eq!(of(&[report(Some(20))], 1, 9), ["not_listed"]);
    assert_eq!(of(&[report(Some(20))], 1, 15), ["not_listed", "number_listed"]);
    assert_eq!(of(&[report(Some(20))], 20, 30), ["not_listed", "number_listed"]);
    assert_eq!(of(&[report(Some(20))], 21, 30), ["number_listed"]);
    assert_eq!(of(&[report(None)], 1_000_000, 2_000_000), ["not_listed", "number_listed"]);
    let withdrawal = Entry { change: Change::Withdrawal, begun_ns: 30, acknowledged_ns: Some(40) };
    let history = [report(Some(20)), withdrawal];
    assert_eq!(of(&history, 41, 42), ["number_listed", "not_listed"]);
    assert_eq!(of(&history, 2_000_000_000, 2_000_000_001), ["not_listed"]);
}
