//! Registrars: each works on numbers of its own and repeats every change, with the same Idempotency-Key, until it is
//! acknowledged. Right after the acknowledgement it asks all nodes about the number: the sharpest question there is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lostcard::sample::SampleRecord;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use serde::Deserialize;

use crate::checker::Checker;
use crate::cluster::Tokens;
use crate::oracle::{Change, Oracle, Who};
use crate::tally::{CHANGES_BROKEN, CHANGES_REFUSED, CHANGES_UNKNOWN, lock};
use crate::wire::{Link, post};

/// How long one change may take, with all faults healed in between: beyond it the service does not come back.
const CHANGE_MAX: Duration = Duration::from_mins(1);
/// The longest pause before a repetition, and between two people.
const RETRY_MS_MAX: u64 = 100;
const PAUSE_MS_MAX: u64 = 40;

#[derive(Deserialize)]
struct Made<'a> {
    report_id: Option<&'a str>,
    replacement_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    code: &'a str,
}

/// One registrar.
pub(crate) struct Writer<'a> {
    oracle: &'a Oracle,
    tokens: &'a Tokens,
    name: u64,
    requests: u64,
    /// One connection a node for changes, and one for checks.
    links: Vec<(Link, Checker<'a>)>,
    random: Xoshiro256PlusPlus,
}

/// A change on its way.
struct Request<'a> {
    known: usize,
    path: &'a str,
    body: &'a str,
    change: Change,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(oracle: &'a Oracle, tokens: &'a Tokens, name: u64, random: Xoshiro256PlusPlus) -> Self {
        Self { oracle, tokens, name, requests: 0, links: Vec::new(), random }
    }

    /// Works until it is told to stop; what has begun is finished.
    pub(crate) fn run(&mut self, addresses: impl Fn() -> Vec<SocketAddr>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) && !self.oracle.has_failed() {
            self.work_on_somebody(&addresses);
            std::thread::sleep(Duration::from_millis(self.random.random_range(0..=PAUSE_MS_MAX)));
        }
    }

    /// One person's story.
    fn work_on_somebody(&mut self, addresses: &impl Fn() -> Vec<SocketAddr>) -> Option<()> {
        let (known, record) = self.oracle.somebody();
        let story = self.random.random_range(0..100);
        if story < 95 {
            let card_valid_from = (story >= 10).then_some(record.card_valid_from);
            let report_id = self.report(known, &record, card_valid_from, addresses)?;
            if story >= 75 {
                self.withdraw(known, &report_id, addresses)?;
                if self.random.random_ratio(1, 3) {
                    self.report(known, &record, Some(record.card_valid_from), addresses)?;
                }
            } else if story >= 60 {
                self.replace(known, &record, addresses)?;
                self.oracle.stores(&report_id, "replaced");
            }
        } else {
            self.replace(known, &record, addresses)?;
        }
        Some(())
    }

    pub(crate) fn report(
        &mut self,
        known: usize,
        record: &SampleRecord,
        card_valid_from: Option<jiff::civil::Date>,
        addresses: &impl Fn() -> Vec<SocketAddr>,
    ) -> Option<String> {
        let card = card_valid_from.map_or_else(String::new, |date| format!(r#""card_valid_from":"{date}","#));
        let (reason, reporter, channel) = (record.reason.as_str(), record.reporter.as_str(), record.channel.as_str());
        let (id_number, office) = (record.id_number.expose(), &record.office);
        let body = format!(
            r#"{{"id_number":"{id_number}",{card}"reason":"{reason}","reporter":"{reporter}","office":"{office}","channel":"{channel}"}}"#
        );
        let change = Change::Report { card_valid_from };
        let report_id = self.make(&Request { known, path: "/v1/loss-reports", body: &body, change }, addresses)?;
        self.oracle.stores(&report_id, "active");
        Some(report_id)
    }

    fn withdraw(&mut self, known: usize, report_id: &str, addresses: &impl Fn() -> Vec<SocketAddr>) -> Option<()> {
        let path = format!("/v1/loss-reports/{report_id}/withdrawal");
        let body = r#"{"office":"110105-03","reason":"found"}"#;
        self.make(&Request { known, path: &path, body, change: Change::Withdrawal }, addresses)?;
        self.oracle.stores(report_id, "withdrawn");
        Some(())
    }

    fn replace(&mut self, known: usize, record: &SampleRecord, addresses: &impl Fn() -> Vec<SocketAddr>) -> Option<()> {
        let starts_on = self.oracle.today;
        let body = format!(
            r#"{{"id_number":"{}","card_valid_from":"{starts_on}","office":"110105-03"}}"#,
            record.id_number.expose()
        );
        let change = Change::Replacement { starts_on };
        let id = self.make(&Request { known, path: "/v1/replacements", body: &body, change }, addresses)?;
        self.oracle.stores(&id, "replacement");
        Some(())
    }

    /// Sends a change until it is acknowledged; returns the id of what it made. None: the run has failed.
    fn make(&mut self, request: &Request<'_>, addresses_now: &impl Fn() -> Vec<SocketAddr>) -> Option<String> {
        self.requests += 1;
        let key = format!("w{}-{}", self.name, self.requests);
        // Without it a withdrawal is known by its report.
        let key = (request.change != Change::Withdrawal).then_some(key.as_str());
        let text = post(request.path, &self.tokens.registry, key, request.body);
        self.oracle.begin(request.known, request.change);
        let first = Instant::now();
        let mut attempts = 0;
        loop {
            let addresses = addresses_now();
            attempts += 1;
            if !addresses.is_empty() {
                self.connect_to(addresses.len());
                let node = self.random.random_range(0..addresses.len());
                if let Some(id) = self.attempt(node, addresses[node], &text, request, attempts) {
                    self.oracle.acknowledge(request.known);
                    self.ask_all(request.known, addresses_now);
                    return Some(id);
                }
            }
            if self.oracle.has_failed() {
                return None;
            }
            if first.elapsed() > CHANGE_MAX {
                self.oracle.complain(format!("a change was not acknowledged within {CHANGE_MAX:?}"));
                return None;
            }
            std::thread::sleep(Duration::from_millis(self.random.random_range(0..=RETRY_MS_MAX)));
        }
    }

    /// One attempt at one node: the id of what was made if it was acknowledged.
    fn attempt(
        &mut self,
        node: usize,
        address: SocketAddr,
        text: &str,
        request: &Request<'_>,
        attempts: u32,
    ) -> Option<String> {
        let tally = &self.oracle.tally;
        let began = Instant::now();
        let began_ns = tally.now_ns();
        let Ok(answer) = self.links[node].0.ask(address, text) else {
            tally.count(CHANGES_BROKEN, 1);
            return None;
        };
        let body = self.links[node].0.body();
        let made =
            || serde_json::from_slice::<Made<'_>>(body).ok().and_then(|made| made.report_id.or(made.replacement_id));
        let code = || serde_json::from_slice::<Problem<'_>>(body).map_or("none", |problem| problem.code);
        match (answer.status, request.change) {
            (201, Change::Report { .. } | Change::Replacement { .. }) | (200, Change::Withdrawal) => {
                tally.count(if attempts == 1 { "changes at once" } else { "changes by repetition" }, 1);
                if answer.status == 201 && tally.was_calm_since(began_ns) {
                    lock(&tally.reports_calm).add(began.elapsed());
                }
                made().map(str::to_owned)
            }
            // Its own repetition: an attempt before this one took effect without an answer.
            (409, Change::Withdrawal) if attempts > 1 && code() == "report_not_active" => {
                tally.count("changes by repetition", 1);
                Some(String::new())
            }
            (503, _) => {
                let is_unknown = code() == "outcome_unknown";
                tally.count(if is_unknown { CHANGES_UNKNOWN } else { CHANGES_REFUSED }, 1);
                None
            }
            (status, change) => {
                self.oracle.complain(format!("{change:?} was answered {status}: {}", String::from_utf8_lossy(body)));
                None
            }
        }
    }

    fn connect_to(&mut self, nodes: usize) {
        while self.links.len() < nodes {
            let checker = Checker::new(self.oracle, &self.tokens.checks, self.random.clone());
            self.links.push((Link::default(), checker));
        }
    }

    /// Asks every node about a number whose change was acknowledged just now.
    fn ask_all(&mut self, known: usize, addresses_now: &impl Fn() -> Vec<SocketAddr>) {
        let addresses = addresses_now();
        self.connect_to(addresses.len());
        let first = self.random.random_range(0..addresses.len().max(1));
        for at in 0..addresses.len() {
            let node = (first + at) % addresses.len();
            let question = self.oracle.question_about(Who::Known(known), &mut self.random);
            self.links[node].1.ask(addresses[node], &[question]);
        }
    }
}
