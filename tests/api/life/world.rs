//! The same operations through the API of a real node. Holds the ids of what was made, and no rule. Here are the node and how it is
//! asked, in `sends` what it is asked.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::ToSpan;
use jiff::civil::Date;
use lostcard::crypto::random;
use lostcard::domain::audit::Behind;
use lostcard::service::retention::Retention;
use serde_json::Value;
use uuid::Uuid;

use super::ops::{Op, Start};
use super::{CHECKED, DAYS, OFFICES, Outcome, PERSONS, PORTALS, Verdicts};
use crate::bodies::{check_of, random_number, rate};
use crate::helpers::{Answer, TestApp, TestClient, eventually};

/// The old days on which cards start.
const STARTS: [&str; DAYS] = ["2020-02-27", "2020-02-28", "2020-02-29", "2020-03-01", "2020-03-02"];

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Caller {
    Office(usize),
    Portal(usize),
    Hotel,
}

/// A creating request, as it was sent, and its answer.
struct Sent {
    path: String,
    body: Value,
    caller: Caller,
    key: String,
    answer: String,
    told: Outcome,
}

/// What was made in the present sequence, in order.
#[derive(Default)]
pub(super) struct Made {
    /// With the person.
    pub(super) reports: Vec<(String, usize)>,
    pub(super) found: Vec<String>,
    pub(super) applications: Vec<String>,
    /// With the credential and the person.
    pub(super) certificates: Vec<(String, String, usize)>,
    pub(super) misuses: Vec<String>,
    /// Ids of watched checks.
    pub(super) watches: Vec<String>,
    last_created: Option<Sent>,
}

/// A node, and what was made on it.
pub(super) struct World {
    pub(super) app: TestApp,
    offices: [TestClient; OFFICES],
    portals: [TestClient; PORTALS],
    pub(super) persons: [String; PERSONS],
    pub(super) made: Made,
    /// The day on which the sequence began.
    first_day: Date,
    /// The last alert that was read.
    pub(super) alerts_seen: i64,
}

impl World {
    pub(super) async fn spawn() -> Self {
        // The clock stands still, so that no limit would ever be whole again.
        let plenty = rate("100000000/1s");
        let mut app = TestApp::spawn_with(|config| {
            let limits = &mut config.limits;
            (limits.client, limits.organization, limits.address) = (plenty, plenty, plenty);
        })
        .await;
        // Far from midnight: days end only where they pass.
        let (day_s, beijing_s) = (24 * 3600, 8 * 3600);
        let into_day = (app.clock.now_s() + beijing_s) % day_s;
        app.clock.advance(Duration::from_secs(u64::try_from(day_s + day_s / 2 - into_day).unwrap()));
        app.police.token = app.token_for(&app.police).await;
        let offices = [app.police.clone(), app.add_client("registry", None).await];
        let portals = [app.add_client("citizen", None).await, app.add_client("citizen", None).await];
        let first_day = app.clock.today();
        let persons = std::array::from_fn(|_| random_number());
        let mut world = Self { app, offices, portals, persons, made: Made::default(), first_day, alerts_seen: 0 };
        world.renew_tokens().await;
        world
    }

    /// Other persons: whatever was before, nothing of it concerns them.
    pub(super) fn forget(&mut self) {
        self.persons = std::array::from_fn(|_| random_number());
        self.made = Made::default();
        self.first_day = self.app.clock.today();
    }

    pub(super) async fn apply(&mut self, op: &Op) -> Outcome {
        // Of two reports one is the later.
        self.app.clock.advance(Duration::from_millis(1));
        match *op {
            Op::Repeat => self.repeat().await,
            Op::Pass { days } => {
                self.pass(days).await;
                Outcome::none()
            }
            _ => self.ask(op).await.unwrap_or_else(Outcome::none),
        }
    }

    async fn pass(&mut self, days: u16) {
        self.made.last_created = None;
        let app = &self.app;
        app.clock.advance(Duration::from_hours(24) * days.into());
        let policies = lostcard::node::options::retention_policies(&app.config).unwrap();
        let retention =
            Retention { clock: app.clock.clone(), store: app.store.clone(), policies, behind: Behind::default() };
        retention.run_by_hand().await.unwrap();
        let (head, ..) = app.store.feed_totals().await.unwrap();
        eventually("the node knows", || async { app.metric("lostcard_feed_sequence").await >= head }).await;
        self.renew_tokens().await;
    }

    /// Tokens do not live for days.
    async fn renew_tokens(&mut self) {
        let app = &mut self.app;
        app.hotel.token = app.token_for(&app.hotel).await;
        for client in self.offices.iter_mut().chain(&mut self.portals) {
            client.token = app.token_for(client).await;
        }
    }

    /// Asks for every card, in a batch for each person.
    pub(super) async fn verdicts(&self) -> Verdicts {
        let old = STARTS.map(|start| Some(start.to_owned()));
        let recent = [Some(self.first_day.to_string()), Some(self.day(Start::Yesterday)), Some(self.day(Start::Today))];
        let starts: Vec<_> = [None].into_iter().chain(old).chain(recent).collect();
        let of_person = async |number: &String| -> [String; CHECKED] {
            let checks: Vec<_> = starts.iter().map(|start| check_of(number, start.as_deref())).collect();
            let answer = self.app.check_batch(&checks).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let results = answer.json()["results"].as_array().unwrap().clone();
            let verdicts: Vec<_> = results.iter().map(|result| text(&result["check"], "verdict")).collect();
            verdicts.try_into().unwrap()
        };
        join_all(self.persons.iter().map(of_person)).await
    }

    /// The date of a start.
    pub(super) fn day(&self, start: Start) -> String {
        let from_today = |days: i32| self.app.clock.today().checked_add(days.days()).unwrap().to_string();
        match start {
            Start::Old(day) => STARTS[day].to_owned(),
            Start::Yesterday => from_today(-1),
            Start::Today => from_today(0),
            Start::Tomorrow => from_today(1),
        }
    }

    fn token(&self, caller: Caller) -> &str {
        match caller {
            Caller::Office(nth) => &self.offices[nth].token,
            Caller::Portal(nth) => &self.portals[nth].token,
            Caller::Hotel => &self.app.hotel.token,
        }
    }

    pub(super) async fn get(&self, caller: Caller, path: &str) -> Answer {
        self.app.get(self.token(caller), path).await
    }

    pub(super) async fn post(&self, caller: Caller, path: &str, body: &Value) -> Answer {
        self.app.post(self.token(caller), path, body).await
    }

    /// Sends what can be repeated. With the outcome comes the answer, if something was made.
    pub(super) async fn create(
        &mut self,
        caller: Caller,
        path: &str,
        body: Value,
        member: &str,
    ) -> (Outcome, Option<Value>) {
        let key = Uuid::from_bytes(random::bytes()).to_string();
        let answer = self.send(caller, path, &body, &key).await;
        let told = self.outcome(&answer, member);
        if answer.status != 201 {
            return (told, None);
        }
        let made = answer.json();
        let (path, answer, told_first) = (path.to_owned(), answer.text, told.clone());
        self.made.last_created = Some(Sent { path, body, caller, key, answer, told: told_first });
        (told, Some(made))
    }

    async fn repeat(&self) -> Outcome {
        let Some(sent) = &self.made.last_created else { return Outcome::none() };
        let answer = self.send(sent.caller, &sent.path, &sent.body, &sent.key).await;
        if (answer.status, &answer.text) == (201, &sent.answer) {
            sent.told.clone()
        } else {
            Outcome::new(answer.status, "not the first answer")
        }
    }

    async fn send(&self, caller: Caller, path: &str, body: &Value, key: &str) -> Answer {
        let request = self.app.request("POST", path).header("Idempotency-Key", key);
        self.app.send(request.bearer_auth(self.token(caller)).json(body)).await
    }

    /// What an answer tells: this member, or the code of a problem; with a state, of a found card which report it belongs to, of an
    /// application its temporary card.
    pub(super) fn outcome(&self, answer: &Answer, member: &str) -> Outcome {
        let value = answer.json();
        if answer.status >= 400 {
            return Outcome::new(answer.status, text(&value, "code"));
        }
        let mut told = text(&value, member);
        if let Some(id) = value["matched_report_id"].as_str() {
            let nth = self.made.reports.iter().position(|(report, _)| report == id);
            told = nth.map_or(format!("{told} of an unknown report"), |nth| format!("{told} {nth}"));
        }
        if let Some(state) = value["temporary_card"]["state"].as_str() {
            told = format!("{told} {state}");
        }
        Outcome::new(answer.status, told)
    }
}

/// A member as text.
pub(super) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().map_or_else(|| value[member].to_string(), str::to_owned)
}
