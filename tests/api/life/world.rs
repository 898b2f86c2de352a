//! The same operations through the API of a real node. Holds the ids of what was made, and no rule.

use std::time::Duration;

use jiff::ToSpan;
use lostcard::crypto::random;
use lostcard::service::retention::Retention;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{DAYS, OFFICES, Op, Outcome, PERSONS, Verdicts};
use crate::bodies::{check_of, random_number, rate, report_of};
use crate::helpers::{Answer, TestApp, TestClient, eventually};

/// The days on which cards start.
const STARTS: [&str; DAYS] = ["2020-02-27", "2020-02-28", "2020-02-29", "2020-03-01", "2020-03-02"];

/// A creating request, as it was sent.
#[derive(Clone)]
struct Sent {
    path: &'static str,
    body: Value,
    office: usize,
    key: String,
    answer: String,
    member: &'static str,
}

/// A node, and what was made on it in the present sequence.
pub(super) struct World {
    app: TestApp,
    offices: [TestClient; OFFICES],
    persons: [String; PERSONS],
    reports: Vec<String>,
    last_created: Option<Sent>,
}

impl World {
    pub(super) async fn spawn() -> Self {
        // The clock stands still, so that no limit would ever be whole again.
        let plenty = rate("100000000/1s");
        let app = TestApp::spawn_with(|config| {
            let limits = &mut config.limits;
            (limits.client, limits.organization, limits.address) = (plenty, plenty, plenty);
        })
        .await;
        let offices = [app.police.clone(), app.add_client("registry", None).await];
        let persons = std::array::from_fn(|_| random_number());
        Self { app, offices, persons, reports: Vec::new(), last_created: None }
    }

    /// Other persons: whatever was before, nothing of it concerns them.
    pub(super) fn forget(&mut self) {
        self.persons = std::array::from_fn(|_| random_number());
        self.reports.clear();
        self.last_created = None;
    }

    pub(super) async fn apply(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Report { person, day, office, days_left } => {
                let mut body = report_of(&self.persons[person], day.map(|day| STARTS[day]));
                if let Some(days) = days_left {
                    let last_day = self.app.clock.today().checked_add(i32::from(days).days()).unwrap();
                    body["card_valid_until"] = json!(last_day.to_string());
                }
                let answer = self.create("/v1/loss-reports", body, office, "state").await;
                if answer.status == 201 {
                    self.reports.push(text(&answer.json(), "report_id"));
                }
                outcome(&answer, "state")
            }
            Op::Withdraw { nth, office } => {
                let Some(id) = self.nth(nth) else { return Outcome::none() };
                let path = format!("/v1/loss-reports/{id}/withdrawal");
                let body = json!({"office": "110105-03", "reason": "found"});
                outcome(&self.app.post(&self.offices[office].token, &path, &body).await, "state")
            }
            Op::Replace { person, day, office } => {
                let number = &self.persons[person];
                let body = json!({"id_number": number, "card_valid_from": STARTS[day], "office": "110105-03"});
                outcome(&self.create("/v1/replacements", body, office, "reports_replaced").await, "reports_replaced")
            }
            Op::Read { nth, office } => {
                let Some(id) = self.nth(nth) else { return Outcome::none() };
                let path = format!("/v1/loss-reports/{id}");
                outcome(&self.app.get(&self.offices[office].token, &path).await, "state")
            }
            Op::Search { person, office } => {
                let body = json!({"id_number": self.persons[person]});
                let answer = self.app.post(&self.offices[office].token, "/v1/loss-reports/search", &body).await;
                let found = answer.json();
                let mut states: Vec<_> =
                    found["reports"].as_array().unwrap().iter().map(|report| text(report, "state")).collect();
                states.sort_unstable();
                Outcome::new(answer.status, states.join(" "))
            }
            Op::Repeat => self.repeat().await,
            Op::Pass { days } => {
                self.pass(days).await;
                Outcome::none()
            }
        }
    }

    async fn pass(&mut self, days: u16) {
        self.last_created = None;
        let app = &mut self.app;
        app.clock.advance(Duration::from_hours(24) * days.into());
        let policies = app.config.retention_policies().unwrap();
        let retention = Retention { clock: app.clock.clone(), store: app.store.clone(), policies };
        retention.run_by_hand().await.unwrap();
        let (head, ..) = app.store.feed_totals().await.unwrap();
        eventually("the node knows", || async { app.metric("lostcard_feed_sequence").await >= head }).await;
        // Tokens do not live for days.
        app.hotel.token = app.token_for(&app.hotel).await;
        for office in &mut self.offices {
            office.token = app.token_for(office).await;
        }
    }

    /// Asks for every card in one batch.
    pub(super) async fn verdicts(&self) -> Verdicts {
        let starts = || [None].into_iter().chain(STARTS.map(Some));
        let cards = self.persons.iter().flat_map(|number| starts().map(move |start| check_of(number, start)));
        let answer = self.app.check_batch(&cards.collect::<Vec<_>>()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let results = answer.json()["results"].as_array().unwrap().clone();
        let verdicts: Vec<_> = results.iter().map(|result| text(&result["check"], "verdict")).collect();
        verdicts.chunks(DAYS + 1).map(|person| person.to_vec().try_into().unwrap()).collect()
    }

    async fn create(&mut self, path: &'static str, body: Value, office: usize, member: &'static str) -> Answer {
        let key = Uuid::from_bytes(random::bytes()).to_string();
        let mut sent = Sent { path, body, office, key, answer: String::new(), member };
        let answer = self.send(&sent).await;
        sent.answer.clone_from(&answer.text);
        self.last_created = Some(sent);
        answer
    }

    async fn repeat(&self) -> Outcome {
        let Some(sent) = &self.last_created else { return Outcome::none() };
        let answer = self.send(sent).await;
        if answer.text == sent.answer {
            outcome(&answer, sent.member)
        } else {
            Outcome::new(answer.status, "not the first answer")
        }
    }

    async fn send(&self, sent: &Sent) -> Answer {
        let request = self.app.request("POST", sent.path).header("Idempotency-Key", &sent.key);
        self.app.send(request.bearer_auth(&self.offices[sent.office].token).json(&sent.body)).await
    }

    fn nth(&self, nth: usize) -> Option<&str> {
        Some(&self.reports[nth.checked_rem(self.reports.len())?])
    }
}

/// A member as text.
fn text(value: &Value, member: &str) -> String {
    value[member].as_str().map_or_else(|| value[member].to_string(), str::to_owned)
}

/// What an answer tells: this member, or the code of a problem.
fn outcome(answer: &Answer, member: &str) -> Outcome {
    let told = if answer.status < 400 { member } else { "code" };
    Outcome::new(answer.status, text(&answer.json(), told))
}
