//! Notices: the portal that filed a report learns that the card was handed in or shown, and no other portal does.

use std::time::Duration;

use lostcard::crypto::webhook::WebhookSecret;
use lostcard::domain::instant::UnixMs;
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, with};
use crate::helpers::{TestApp, TestClient, eventually};
use crate::receiver::{Manner, Receiver};
use crate::webhooks::until_received;

const LOST: &str = "2016-05-01";

impl TestApp {
    /// A report that a person makes through a portal; its id.
    pub(crate) async fn report_online(&self, portal: &TestClient, number: &str) -> Value {
        let body = json!({"id_number": number, "card_valid_from": LOST, "reason": "lost"});
        let answer = self.post(&portal.token, "/v1/citizen/loss-reports", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["report_id"].clone()
    }

    /// The card of a number is handed in.
    pub(crate) async fn found(&self, number: &str) {
        let today = self.clock.today().to_string();
        let found = json!({"id_number": number, "card_valid_from": LOST, "found_on": today, "found_at_region": "310104",
            "office": "310104-01"});
        let answer = self.post(&self.police.token, "/v1/found-cards", &found).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    async fn waiting(&self) -> usize {
        self.store.due_notices(UnixMs::MAX, 100).await.unwrap().len()
    }
}

/// Kinds and reports of what came, in the order of the words.
fn told(receiver: &Receiver) -> Vec<(Value, Value)> {
    let read = |body: Value| (body["data"]["kind"].clone(), body["data"]["report_id"].clone());
    let mut all: Vec<_> = receiver.received().iter().map(|one| read(one.json())).collect();
    all.sort_by_key(|(kind, report)| (kind.to_string(), report.to_string()));
    all
}

#[tokio::test]
async fn the_portal_that_filed_a_report_hears_of_its_card_and_no_other_does() {
    let app = TestApp::with_webhooks().await;
    let (own, other) = (app.add_client("citizen", None).await, app.add_client("citizen", None).await);
    let (mine, others) = (Receiver::start(Manner::Status(204)).await, Receiver::start(Manner::Status(204)).await);
    let (_, secret) = app.add_webhook_of(own.organization, &mine.url()).await;
    app.add_webhook_of(other.organization, &others.url()).await;
    let station = Receiver::start(Manner::Status(204)).await;
    app.add_webhook_of(app.police.organization, &station.url()).await;
    let (number, at_station) = (random_number(), random_number());
    let report = app.report_online(&own, &number).await;
    app.report_lost(&at_station, Some(LOST)).await;
    for number in [&number, &at_station] {
        app.found(number).await;
        // Twice at one place on one day, and once at another place.
        for site in ["a", "a", "b"] {
            app.check(&with(check_of(number, Some(LOST)), "site", site)).await;
        }
    }
    until_received(&mine, 3).await;
    eventually("every notice is delivered", || async { app.waiting().await == 0 }).await;
    let shown = (json!("card_shown"), report.clone());
    assert_eq!(told(&mine), [(json!("card_found"), report.clone()), shown.clone(), shown]);
    assert_eq!((others.count(), station.count()), (0, 0), "who did not file the report, and who is no portal");
    for one in mine.received() {
        assert_eq!(one.verify(&secret), (1, true));
        assert!(!one.verify(&WebhookSecret::generate().unwrap().reveal()).1);
        let body = one.json();
        assert_eq!(one.id(), body["data"]["notice_id"].as_str().unwrap());
        assert_eq!(body["type"], "notice.created");
        let mut members: Vec<_> = body["data"].as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["kind", "notice_id", "noticed_at", "report_id"]);
        assert!(!one.body.contains(&number) && !one.body.contains("310104"), "{}", one.body);
    }
}

#[tokio::test]
async fn a_card_that_was_handed_in_before_its_report_is_told_too() {
    let app = TestApp::with_webhooks().await;
    let portal = app.add_client("citizen", None).await;
    let receiver = Receiver::start(Manner::Status(204)).await;
    app.add_webhook_of(portal.organization, &receiver.url()).await;
    let number = random_number();
    app.found(&number).await;
    let report = app.report_online(&portal, &number).await;
    until_received(&receiver, 1).await;
    assert_eq!(told(&receiver), [(json!("card_found"), report)]);
}

/// Writes of one moment share a transaction.
#[tokio::test]
async fn each_of_many_reports_at_once_is_told_of_its_card() {
    let app = TestApp::with_webhooks().await;
    let portal = app.add_client("citizen", None).await;
    let receiver = Receiver::start(Manner::Status(204)).await;
    app.add_webhook_of(portal.organization, &receiver.url()).await;
    let numbers: Vec<_> = (0..12).map(|_| random_number()).collect();
    for number in &numbers {
        app.found(number).await;
    }
    let held = app.hold_writers().await;
    let reports = futures_util::future::join_all(numbers.iter().map(|number| app.report_online(&portal, number)));
    let release = async {
        eventually("they wait", async || app.metric("lostcard_writes_waiting").await >= 2).await;
        drop(held);
    };
    let (reports, ()) = futures_util::future::join(reports, release).await;
    until_received(&receiver, numbers.len()).await;
    let mut expected: Vec<_> = reports.into_iter().map(|report| (json!("card_found"), report)).collect();
    expected.sort_by_key(|(_, report)| report.to_string());
    assert_eq!(told(&receiver), expected);
}

#[tokio::test]
async fn who_is_suspended_is_told_nothing_until_it_is_let_in_again() {
    let app = TestApp::with_webhooks().await;
    let (portal, operator) = (app.add_client("citizen", None).await, app.add_client("admin", None).await);
    let receiver = Receiver::start(Manner::Status(204)).await;
    app.add_webhook_of(portal.organization, &receiver.url()).await;
    let number = random_number();
    app.report_online(&portal, &number).await;
    let path = format!("/v1/admin/organizations/{}", portal.organization);
    let put = async |state: &str| {
        assert_eq!(app.patch(&operator.token, &path, &json!({"state": state})).await.status, 200);
    };
    put("suspended").await;
    app.found(&number).await;
    assert_eq!((app.waiting().await, receiver.count()), (0, 0));
    put("active").await;
    until_received(&receiver, 1).await;
    put("ended").await;
    app.check(&check_of(&number, Some(LOST))).await;
    assert_eq!(app.waiting().await, 0);
}

#[tokio::test]
async fn a_notice_is_repeated_for_three_days_and_by_its_id() {
    let mut app = TestApp::with_webhooks().await;
    let portal = app.add_client("citizen", None).await;
    let receiver = Receiver::start(Manner::Status(500)).await;
    let (webhook, _) = app.add_webhook_of(portal.organization, &receiver.url()).await;
    let number = random_number();
    app.report_online(&portal, &number).await;
    app.found(&number).await;
    until_received(&receiver, 1).await;
    let is_settled = async || app.store.due_notices(app.clock.now_ms(), 10).await.unwrap().is_empty();
    eventually("it waits", &is_settled).await;
    app.clock.advance(Duration::from_secs(6));
    let told = until_received(&receiver, 2).await;
    assert_eq!(told[0].id(), told[1].id());
    // What has failed is noted before the clock moves on.
    eventually("it waits again", &is_settled).await;
    receiver.change(Manner::Status(204));
    app.clock.advance(Duration::from_hours(1));
    eventually("it is delivered", || async { app.waiting().await == 0 }).await;
    receiver.change(Manner::Status(500));
    app.police.token = app.token_for(&app.police).await;
    app.check(&check_of(&random_number(), None)).await;
    let count = receiver.count();
    app.found(&number).await;
    until_received(&receiver, count + 1).await;
    let is_settled = async || app.store.due_notices(app.clock.now_ms(), 10).await.unwrap().is_empty();
    eventually("it waits", is_settled).await;
    app.clock.advance(Duration::from_hours(3 * 24 + 1));
    eventually("it is given up", || async { app.waiting().await == 0 }).await;
    // And one that waits goes with its endpoint.
    app.police.token = app.token_for(&app.police).await;
    app.found(&number).await;
    app.change_store(async |tx| assert!(tx.disable_webhook(webhook, UnixMs::EPOCH).await.unwrap())).await;
    assert_eq!(app.waiting().await, 0);
}
