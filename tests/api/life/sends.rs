//! Each operation as its request.

use jiff::ToSpan;
use lostcard::clock::Rfc3339;
use serde_json::{Value, json};

use super::ops::{Kind, Op, Start};
use super::world::{Caller, World, text};
use super::{Outcome, PERSONS};
use crate::applications::{OFFICE, application_of, by_office};
use crate::bodies::{check_of, report_of, with};
use crate::certificates::certificate_of;

const REPORTS: &str = "/v1/loss-reports";
const FOUND: &str = "/v1/found-cards";
const APPLICATIONS: &str = "/v1/replacement-applications";
const CERTIFICATES: &str = "/v1/temporary-certificates";
const MISUSES: &str = "/v1/misuse-reports";
const ONLINE: &str = "/v1/citizen/loss-reports";

impl World {
    /// What the answer tells; none where nothing is there to be asked for.
    pub(super) async fn ask(&mut self, op: &Op) -> Option<Outcome> {
        let office = by_office();
        match *op {
            Op::Read { kind, nth, office } => self.read(kind, nth, office).await,
            Op::Withdraw { nth, office } => {
                let (id, _) = at(&self.made.reports, nth)?;
                let body = json!({"office": OFFICE, "reason": "found"});
                Some(self.step(office, &format!("{REPORTS}/{id}/withdrawal"), &body).await)
            }
            Op::Leave { nth, office, step, start } => {
                let id = at(&self.made.found, nth)?;
                let body = match step {
                    "return" => self.starting(json!({"office": OFFICE, "holder_verified_by": "fingerprint"}), start),
                    "transfer" => json!({"office": OFFICE, "to_office": "110105-03"}),
                    _ => by_office(),
                };
                Some(self.step(office, &format!("{FOUND}/{id}/{step}"), &body).await)
            }
            Op::Issue { nth, office, start } => {
                let id = at(&self.made.applications, nth)?;
                let body = json!({"office": OFFICE, "card_valid_from": self.day(start)});
                Some(self.step(office, &format!("{APPLICATIONS}/{id}/issue"), &body).await)
            }
            Op::Cancel { nth, office: by } => {
                let id = at(&self.made.applications, nth)?;
                Some(self.step(by, &format!("{APPLICATIONS}/{id}/cancellation"), &office).await)
            }
            Op::Lend { nth, office: by, start } => {
                let path = format!("{APPLICATIONS}/{}/temporary-card", at(&self.made.applications, nth)?);
                let body = self.starting(office, start);
                Some(self.create(Caller::Office(by), &path, body, "state").await.0)
            }
            Op::TakeBack { nth, office: by } => {
                let id = at(&self.made.applications, nth)?;
                Some(self.step(by, &format!("{APPLICATIONS}/{id}/temporary-card/return"), &office).await)
            }
            Op::Revoke { nth, office: by } => {
                let (id, ..) = at(&self.made.certificates, nth)?;
                Some(self.step(by, &format!("{CERTIFICATES}/{id}/revocation"), &office).await)
            }
            Op::Resolve { nth, office } => {
                let id = at(&self.made.misuses, nth)?;
                let body = json!({"office": OFFICE, "outcome": "confirmed"});
                Some(self.step(office, &format!("{MISUSES}/{id}/resolution"), &body).await)
            }
            Op::Verify { nth, is_stranger, shown_for } => {
                let (_, credential, person) = at(&self.made.certificates, nth)?;
                let body = json!({"certificate": credential, "id_number": self.number(*person, is_stranger), "purpose": shown_for});
                let answer = self.post(Caller::Hotel, &format!("{CERTIFICATES}/verify"), &body).await;
                Some(self.outcome(&answer, "status"))
            }
            Op::WithdrawOnline { nth, portal, is_stranger } => {
                let (id, person) = at(&self.made.reports, nth)?;
                let body = json!({"id_number": self.number(*person, is_stranger), "reason": "found"});
                let answer = self.post(Caller::Portal(portal), &format!("{ONLINE}/{id}/withdrawal"), &body).await;
                Some(self.outcome(&answer, "state"))
            }
            Op::Search { person, office } => {
                let body = json!({"id_number": self.persons[person]});
                let answer = self.post(Caller::Office(office), &format!("{REPORTS}/search"), &body).await;
                Some(Outcome::new(answer.status, listed(&answer.json()["reports"], "state")))
            }
            Op::Records { person, portal } => {
                let body = json!({"id_number": self.persons[person]});
                let answer = self.post(Caller::Portal(portal), "/v1/citizen/records", &body).await;
                let records = answer.json();
                let told = [("reports", "state"), ("found_cards", "state"), ("certificates", "revoked")]
                    .map(|(list, member)| listed(&records[list], member));
                Some(Outcome::new(answer.status, told.join(", ")))
            }
            Op::Watch { person, start } => {
                let check = with(self.starting(check_of(&self.persons[person], None), start), "watch_hours", 24);
                let answer = self.app.check(&check).await;
                self.made.watches.push(text(&answer.json(), "check_id"));
                Some(self.outcome(&answer, "verdict"))
            }
            Op::Alerts => Some(self.alerts().await),
            _ => Some(self.make(op).await),
        }
    }

    /// Operations that make a record; its id is noted.
    async fn make(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Report { person, start, office, days_left } => {
                let mut body = self.starting(report_of(&self.persons[person], None), start);
                if let Some(days) = days_left {
                    let last_day = self.app.clock.today().checked_add(i32::from(days).days()).unwrap();
                    body["card_valid_until"] = json!(last_day.to_string());
                }
                let (told, made) = self.create(Caller::Office(office), REPORTS, body, "state").await;
                self.made.reports.extend(made.map(|made| (text(&made, "report_id"), person)));
                told
            }
            Op::ReportOnline { person, start, portal } => {
                let body = self.starting(json!({"id_number": self.persons[person], "reason": "lost"}), start);
                let (told, made) = self.create(Caller::Portal(portal), ONLINE, body, "state").await;
                self.made.reports.extend(made.map(|made| (text(&made, "report_id"), person)));
                told
            }
            Op::Replace { person, start, office } => {
                let body = json!({"id_number": self.persons[person], "office": OFFICE});
                let body = self.starting(body, Some(start));
                self.create(Caller::Office(office), "/v1/replacements", body, "reports_replaced").await.0
            }
            Op::Find { person, start, office } => {
                let body = json!({"id_number": self.persons[person], "found_on": self.day(Start::Today),
                    "found_at_region": "310104", "office": OFFICE});
                let body = self.starting(body, start);
                let (told, made) = self.create(Caller::Office(office), FOUND, body, "state").await;
                self.made.found.extend(made.map(|made| text(&made, "found_card_id")));
                told
            }
            Op::Apply { person, office, has_record } => {
                let body = with(application_of(&self.persons[person]), "credit_flag", has_record);
                let (told, made) = self.create(Caller::Office(office), APPLICATIONS, body, "state").await;
                self.made.applications.extend(made.map(|made| text(&made, "application_id")));
                told
            }
            Op::Certify { person, office, purpose } => {
                let body = certificate_of(&self.persons[person], purpose);
                let (told, made) = self.create(Caller::Office(office), CERTIFICATES, body, "purpose").await;
                let made = made.map(|made| (text(&made, "certificate_id"), text(&made, "certificate"), person));
                self.made.certificates.extend(made);
                told
            }
            Op::Tell { person } => {
                let observed_at = Rfc3339::of(self.app.clock.now_ms());
                let number = &self.persons[person];
                let body = json!({"id_number": number, "kind": "impersonation", "observed_at": observed_at.as_str()});
                let (told, made) = self.create(Caller::Hotel, MISUSES, body, "state").await;
                self.made.misuses.extend(made.map(|made| text(&made, "misuse_report_id")));
                told
            }
            _ => unreachable!("{op:?} makes nothing"),
        }
    }

    async fn read(&self, kind: Kind, nth: usize, office: usize) -> Option<Outcome> {
        let made = &self.made;
        let (caller, path) = match kind {
            Kind::Report => (Caller::Office(office), format!("{REPORTS}/{}", at(&made.reports, nth)?.0)),
            Kind::Found => (Caller::Office(office), format!("{FOUND}/{}", at(&made.found, nth)?)),
            Kind::Application => (Caller::Office(office), format!("{APPLICATIONS}/{}", at(&made.applications, nth)?)),
            Kind::Certificate => (Caller::Office(office), format!("{CERTIFICATES}/{}", at(&made.certificates, nth)?.0)),
            Kind::Misuse => (Caller::Hotel, format!("{MISUSES}/{}", at(&made.misuses, nth)?)),
        };
        Some(self.outcome(&self.get(caller, &path).await, "state"))
    }

    /// The alerts of the sequence's watches since the last reading.
    async fn alerts(&mut self) -> Outcome {
        let answer = self.get(Caller::Hotel, &format!("/v1/alerts?limit=1000&after={}", self.alerts_seen)).await;
        let mut told = Vec::new();
        for alert in answer.json()["alerts"].as_array().unwrap() {
            self.alerts_seen = alert["sequence"].as_i64().unwrap();
            let watch = self.made.watches.iter().position(|check| *check == text(alert, "check_id"));
            told.extend(watch.map(|nth| format!("{nth} {} {}", text(alert, "kind"), text(alert, "listing_kind"))));
        }
        told.sort_unstable();
        Outcome::new(answer.status, told.join(" "))
    }

    async fn step(&self, office: usize, path: &str, body: &Value) -> Outcome {
        let answer = self.post(Caller::Office(office), path, body).await;
        self.outcome(&answer, "state")
    }

    /// The body with the card's start, where it is known.
    fn starting(&self, body: Value, start: Option<Start>) -> Value {
        match start {
            None => body,
            Some(start) => with(body, "card_valid_from", self.day(start)),
        }
    }

    /// The person's number, or somebody else's.
    fn number(&self, person: usize, is_stranger: bool) -> &str {
        &self.persons[(person + usize::from(is_stranger)) % PERSONS]
    }
}

/// One of them, counted round.
fn at<T>(made: &[T], nth: usize) -> Option<&T> {
    made.get(nth.checked_rem(made.len())?)
}

/// A member of each object in a list, in order, in one line.
fn listed(list: &Value, member: &str) -> String {
    let mut words: Vec<_> = list.as_array().unwrap().iter().map(|record| text(record, member)).collect();
    words.sort_unstable();
    words.join(" ")
}
