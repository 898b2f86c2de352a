//! Clients that check cards: batches and single checks, with and without receipts, over keep-alive connections. Every verdict
//! goes to the oracle. A check may be refused with 503 while something is broken; no other refusal is right.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use serde::Deserialize;

use crate::oracle::{Asked, Oracle, Question};
use crate::tally::{CHECKS_BROKEN, CHECKS_REFUSED, lock};
use crate::wire::{Link, post};

/// Checks of a batch.
const BATCH: std::ops::RangeInclusive<usize> = 50..=100;
/// One batch in so many asks for receipts, one request in so many is a single check.
const RECEIPTS_EVERY: u32 = 10;
const SINGLE_EVERY: u32 = 8;
/// How long a client waits after it was refused.
const REFUSED_WAIT: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    results: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    check: Option<Checked<'a>>,
    #[serde(borrow)]
    problem: Option<Problem<'a>>,
}

#[derive(Deserialize)]
struct Checked<'a> {
    verdict: &'a str,
    as_of: &'a str,
    receipt: Option<&'a str>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    status: u16,
    code: &'a str,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    /// 503, for all or for some.
    Unavailable,
    /// No answer: refused, cut or late.
    Broken,
}

/// One client with its connection.
pub(crate) struct Checker<'a> {
    oracle: &'a Oracle,
    token: &'a str,
    link: Link,
    pub(crate) random: Xoshiro256PlusPlus,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(oracle: &'a Oracle, token: &'a str, random: Xoshiro256PlusPlus) -> Self {
        Self { oracle, token, link: Link::default(), random }
    }

    /// Checks at a node until it is told to stop: so many a second where the machine allows.
    pub(crate) fn run(&mut self, address: impl Fn() -> Option<SocketAddr>, per_s: u64, stop: &AtomicBool) {
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) && !self.oracle.has_failed() {
            let Some(address) = address() else {
                std::thread::sleep(REFUSED_WAIT);
                continue;
            };
            let questions = self.questions();
            if self.ask(address, &questions) != Outcome::Answered {
                std::thread::sleep(REFUSED_WAIT);
            }
            let takes = Duration::from_micros(u64::try_from(questions.len()).unwrap() * 1_000_000 / per_s.max(1));
            // What an outage has cost is not made up for at once.
            next = (next + takes).max(Instant::now().checked_sub(takes * 4).unwrap_or(next));
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// The questions of one request.
    pub(crate) fn questions(&mut self) -> Vec<Question> {
        let length = if self.random.random_ratio(1, SINGLE_EVERY) { 1 } else { self.random.random_range(BATCH) };
        (0..length).map(|_| self.oracle.question(&mut self.random)).collect()
    }

    /// Asks a node and has every answer judged.
    pub(crate) fn ask(&mut self, address: SocketAddr, questions: &[Question]) -> Outcome {
        let receipts = self.random.random_ratio(1, RECEIPTS_EVERY);
        let request = self.request(questions, receipts);
        let (asked, began) = (self.oracle.asked(), Instant::now());
        let began_ns = self.oracle.tally.now_ns();
        let Ok(answer) = self.link.ask(address, &request) else {
            self.oracle.tally.count(CHECKS_BROKEN, 1);
            return Outcome::Broken;
        };
        let tally = &self.oracle.tally;
        match answer.status {
            200 => {
                lock(&tally.checks).add(began.elapsed());
                if tally.was_calm_since(began_ns) {
                    lock(&tally.checks_calm).add(began.elapsed());
                }
            }
            503 => {
                tally.count(CHECKS_REFUSED, questions.len() as u64);
                return Outcome::Unavailable;
            }
            status => {
                let body = String::from_utf8_lossy(self.link.body());
                self.oracle.complain(format!("a check was answered {status}: {body}"));
                return Outcome::Unavailable;
            }
        }
        let body = self.link.body();
        let results = match questions {
            [_] => serde_json::from_slice(body).map(|check| vec![Item { check: Some(check), problem: None }]),
            _ => serde_json::from_slice::<Batch<'_>>(body).map(|batch| batch.results),
        };
        let Ok(results) = results else {
            self.oracle.complain("an answer to checks is not the documented JSON".to_owned());
            return Outcome::Unavailable;
        };
        if results.len() != questions.len() {
            self.oracle.complain(format!("{} results for {} checks", results.len(), questions.len()));
        }
        self.judge(asked, questions, &results, receipts)
    }

    fn judge(&self, asked: Asked, questions: &[Question], results: &[Item<'_>], receipts: bool) -> Outcome {
        let mut outcome = Outcome::Answered;
        for (question, result) in questions.iter().zip(results) {
            match result {
                Item { check: Some(check), .. } => {
                    self.oracle.judge(asked, question, check.verdict, check.as_of);
                    if check.receipt.is_some() != receipts {
                        self.oracle
                            .complain(format!("receipt asked for: {receipts}, got: {}", check.receipt.is_some()));
                    }
                }
                Item { problem: Some(Problem { status: 503, .. }), .. } => {
                    self.oracle.tally.count(CHECKS_REFUSED, 1);
                    outcome = Outcome::Unavailable;
                }
                Item { problem: Some(problem), .. } => {
                    self.oracle
                        .complain(format!("a check of a batch was answered {} {}", problem.status, problem.code));
                }
                _ => self.oracle.complain("a result of a batch without check and problem".to_owned()),
            }
        }
        outcome
    }

    fn request(&self, questions: &[Question], receipts: bool) -> String {
        let mut checks = String::with_capacity(questions.len() * 110);
        for (index, question) in questions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (id_number, _) = self.oracle.card_of(question.who);
            write!(checks, r#"{comma}{{"id_number":"{id_number}","purpose":"lodging","receipt":{receipts}"#).unwrap();
            if let Some(presented) = question.presented {
                write!(checks, r#","card_valid_from":"{presented}""#).unwrap();
            }
            checks.push('}');
        }
        match questions {
            [_] => post("/v1/checks", self.token, None, &checks),
            _ => post("/v1/checks/batch", self.token, None, &format!(r#"{{"checks":[{checks}]}}"#)),
        }
    }
}
