//! Webhooks against real receivers: signatures, failures, retries for three days, endpoints that are disabled, addresses that
//! nothing is sent to, nodes that share the work or die over it.

use std::time::Duration;

use lostcard::clock::{Clock, Rfc3339};
use lostcard::config::Config;
use lostcard::crypto::random;
use lostcard::crypto::webhook::WebhookSecret;
use lostcard::domain::ids::{OrganizationId, WebhookId};
use lostcard::domain::instant::UnixMs;
use lostcard::store::webhooks::Webhook;
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, report_of, with};
use crate::child;
use crate::helpers::{TestApp, eventually};
use crate::receiver::{Manner, Received, Receiver};
use crate::servers::http_client;

const HOUR: Duration = Duration::from_hours(1);

fn for_tests(config: &mut Config) {
    config.webhooks.poll_ms = 20;
    config.webhooks.insecure_loopback_for_tests = true;
}

impl TestApp {
    pub(crate) async fn with_webhooks() -> Self {
        Self::spawn_with(for_tests).await
    }

    /// An endpoint of the hotel, with its secret.
    pub(crate) async fn add_webhook(&self, url: &str) -> (WebhookId, String) {
        self.add_webhook_of(self.hotel.organization, url).await
    }

    /// An endpoint of an organization, with its secret.
    pub(crate) async fn add_webhook_of(&self, organization: OrganizationId, url: &str) -> (WebhookId, String) {
        let webhook_id: WebhookId = random::id(self.clock.now_ms());
        let secret = WebhookSecret::generate().unwrap();
        let new = Webhook {
            webhook_id,
            organization,
            url: url.to_owned(),
            created_at_ms: self.clock.now_ms(),
            failing_since_ms: None,
            disabled_at_ms: None,
        };
        let sealed = secret.seal(self.keyring.sealer(), webhook_id.as_bytes()).unwrap();
        self.change_store(async |tx| tx.insert_webhook(&new, &sealed).await.unwrap()).await;
        (webhook_id, secret.reveal())
    }

    /// A watched check and a report of its number: one alert. Returns the check's id.
    pub(crate) async fn raise(&mut self) -> String {
        // Tokens live for ten minutes of a clock that the cases move by days.
        self.hotel.token = self.token_for(&self.hotel).await;
        self.police.token = self.token_for(&self.police).await;
        let number = random_number();
        let check = self.check(&with(check_of(&number, None), "watch_hours", 1)).await;
        assert_eq!(check.status, 200, "{}", check.text);
        self.report_lost(&number, None).await;
        check.json()["check_id"].as_str().unwrap().to_owned()
    }

    async fn webhook(&self, webhook: WebhookId) -> Webhook {
        let all = self.store.list_webhooks().await.unwrap();
        all.into_iter().find(|one| one.webhook_id == webhook).unwrap()
    }

    /// Waits until an outcome was counted so often.
    pub(crate) async fn until_counted(&self, outcome: &str, times: u64) {
        let name = format!("lostcard_webhook_deliveries_total{{outcome=\"{outcome}\"}}");
        let name = &name;
        eventually(outcome, || async move { self.metric(name).await >= times }).await;
        assert_eq!(self.metric(name).await, times, "{outcome}");
    }

    /// No delivery waits, now or later.
    async fn has_no_delivery(&self) -> bool {
        self.store.due_deliveries(UnixMs::MAX, 100).await.unwrap().is_empty()
    }

    pub(crate) async fn until_settled(&self) {
        eventually("every delivery is settled", || self.has_no_delivery()).await;
    }
}

pub(crate) async fn until_received(receiver: &Receiver, count: usize) -> Vec<Received> {
    eventually("the receiver is told", || async { receiver.count() >= count }).await;
    receiver.received()
}

#[tokio::test]
async fn an_alert_is_delivered_signed_and_holds_nothing_of_the_person() {
    let mut app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(204)).await;
    let (_, secret) = app.add_webhook(&receiver.url()).await;
    let check_id = app.raise().await;
    let told = &until_received(&receiver, 1).await[0];
    assert_eq!(told.verify(&secret), (1, true));
    assert!(!told.verify(&WebhookSecret::generate().unwrap().reveal()).1);
    let read = app.get(&app.hotel.token, "/v1/alerts").await.json()["alerts"][0].clone();
    let expected = json!({
        "type": "alert.created", "timestamp": read["listed_at"],
        "data": {
            "alert_id": read["alert_id"], "check_id": check_id, "kind": "number_listed", "listing_kind": "reported",
            "listed_at": Rfc3339::of(app.clock.now_ms()).as_str(), "sequence": 1,
        },
    });
    assert_eq!(told.json(), expected, "these members and no others");
    assert_eq!(told.id(), read["alert_id"].as_str().unwrap());
    assert_eq!(told.header("webhook-timestamp"), app.clock.now_s().to_string());
    assert_eq!((told.target.as_str(), told.header("content-type")), ("/hooks?team=7", "application/json"));
    let mut names: Vec<_> = told.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ];
    assert_eq!(names, expected);
    app.until_settled().await;
    assert_eq!(receiver.count(), 1);
    app.until_counted("delivered", 1).await;
}

#[tokio::test]
async fn only_the_organization_that_watched_is_told_at_each_of_its_endpoints() {
    let mut app = TestApp::with_webhooks().await;
    let (one, two, elsewhere) = (
        Receiver::start(Manner::Status(200)).await,
        Receiver::start(Manner::Status(200)).await,
        Receiver::start(Manner::Status(200)).await,
    );
    let secrets = [app.add_webhook(&one.url()).await.1, app.add_webhook(&two.url()).await.1];
    let other = app.add_client("checks", None).await;
    let hotel = std::mem::replace(&mut app.hotel, other);
    app.add_webhook(&elsewhere.url()).await;
    app.hotel = hotel;
    app.raise().await;
    let told = [until_received(&one, 1).await.remove(0), until_received(&two, 1).await.remove(0)];
    assert_eq!(told[0].body, told[1].body);
    assert_eq!((told[0].verify(&secrets[0]).1, told[1].verify(&secrets[1]).1), (true, true));
    assert_eq!((told[0].verify(&secrets[1]).1, told[1].verify(&secrets[0]).1), (false, false));
    app.until_settled().await;
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_receiver_that_fails_and_comes_back_gets_the_same_alert_later() {
    let mut app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(500)).await;
    let (webhook, secret) = app.add_webhook(&receiver.url()).await;
    app.raise().await;
    app.until_counted("refused", 1).await;
    assert!(app.webhook(webhook).await.failing_since_ms.is_some());
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(receiver.count(), 1, "not before its time");
    app.clock.advance(Duration::from_secs(5));
    app.until_counted("refused", 2).await;
    receiver.change(Manner::Status(200));
    app.clock.advance(Duration::from_secs(20));
    app.until_counted("delivered", 1).await;
    let told = receiver.received();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|one| one.id() == told[0].id() && one.body == told[0].body && one.verify(&secret).1));
    let times: Vec<_> = told.iter().map(|one| one.header("webhook-timestamp").to_owned()).collect();
    assert!(times[0] < times[1] && times[1] < times[2], "each attempt has its own time: {times:?}");
    app.until_settled().await;
    assert_eq!(app.webhook(webhook).await.failing_since_ms, None);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut app = TestApp::with_webhooks().await;
    let target = Receiver::start(Manner::Status(200)).await;
    let receiver = Receiver::start(Manner::Redirect(target.url())).await;
    app.add_webhook(&receiver.url()).await;
    app.raise().await;
    app.until_counted("refused", 1).await;
    assert_eq!((receiver.count(), target.connections()), (1, 0));
}

#[tokio::test]
async fn one_that_hangs_delays_nobody_else() {
    let mut app = TestApp::spawn_with(|config| {
        for_tests(config);
        config.webhooks.timeout_ms = 1500;
    })
    .await;
    let (hangs, answers) = (Receiver::start(Manner::Hang).await, Receiver::start(Manner::Status(200)).await);
    app.add_webhook(&hangs.url()).await;
    app.add_webhook(&answers.url()).await;
    for _ in 0..8 {
        app.raise().await;
    }
    until_received(&answers, 8).await;
    app.until_counted("delivered", 8).await;
    assert!(hangs.count() <= 8);
    let ids: std::collections::BTreeSet<_> = answers.received().iter().map(Received::id).collect();
    assert_eq!((ids.len(), answers.count()), (8, 8), "each once");
    app.until_counted("unreachable", 8).await;
    hangs.change(Manner::Status(200));
    app.clock.advance(Duration::from_secs(5));
    app.until_counted("delivered", 16).await;
    app.until_settled().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_disabled_at_once() {
    let mut app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(410)).await;
    let (webhook, _) = app.add_webhook(&receiver.url()).await;
    app.raise().await;
    eventually("it is disabled", || async { app.webhook(webhook).await.disabled_at_ms.is_some() }).await;
    app.raise().await;
    app.until_settled().await;
    assert_eq!((receiver.count(), app.metric("lostcard_webhooks_disabled_total").await), (1, 1));
    assert_eq!(app.get(&app.hotel.token, "/v1/alerts").await.json()["alerts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn after_three_days_of_failures_an_endpoint_is_disabled_and_alerts_stay() {
    let mut app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(503)).await;
    let (webhook, _) = app.add_webhook(&receiver.url()).await;
    app.raise().await;
    let began_ms = app.clock.now_ms();
    let mut attempts = 1;
    app.until_counted("refused", attempts).await;
    // From one attempt to the next, until none is left.
    while let [due] = app.store.due_deliveries(UnixMs::MAX, 1).await.unwrap().as_slice() {
        let wait_ms = due.next_at_ms.get() - app.clock.now_ms().get();
        assert!((1..=12 * 3_600_000).contains(&wait_ms) && attempts < 30, "{wait_ms} after {attempts} attempts");
        app.clock.advance(Duration::from_millis(u64::try_from(wait_ms).unwrap()));
        attempts += 1;
        app.until_counted("refused", attempts).await;
    }
    assert!(app.webhook(webhook).await.disabled_at_ms.is_some());
    let took_hours = app.clock.now_ms().since(began_ms).as_secs() / 3600;
    assert!((72..=84).contains(&took_hours), "{took_hours} hours");
    assert!((12..=22).contains(&attempts), "{attempts} attempts");
    app.until_counted("given_up", 1).await;
    app.until_settled().await;
    assert_eq!(receiver.count() as u64, attempts);
    app.raise().await;
    app.clock.advance(HOUR);
    receiver.change(Manner::Status(200));
    app.change_store(async |tx| assert!(tx.enable_webhook(webhook).await.unwrap())).await;
    let check_id = app.raise().await;
    app.until_counted("delivered", 1).await;
    let told = receiver.received().pop().unwrap();
    assert_eq!(told.json()["data"]["check_id"], json!(check_id), "alerts from its enabling on");
    let alerts = app.get(&app.hotel.token, "/v1/alerts").await.json()["alerts"].as_array().unwrap().len();
    assert_eq!(alerts, 3, "all can be read");
}

#[tokio::test]
async fn nothing_is_sent_to_addresses_that_are_not_public() {
    let mut app = TestApp::spawn_with(|config| config.webhooks.poll_ms = 20).await;
    let receiver = Receiver::start(Manner::Status(200)).await;
    let port = receiver.address.port();
    // As if an older version had taken them, or a name had come to mean another address since.
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://localhost:{port}/"),
    ] {
        app.add_webhook(&url).await;
    }
    app.raise().await;
    app.until_counted("not_public", 4).await;
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn for_a_day_after_a_rotation_both_secrets_sign() {
    let mut app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(200)).await;
    let (webhook, old) = app.add_webhook(&receiver.url()).await;
    let new = WebhookSecret::generate().unwrap();
    let sealed = new.seal(app.keyring.sealer(), webhook.as_bytes()).unwrap();
    let until_ms = app.clock.now_ms().plus(lostcard::service::webhooks::OLD_SECRET_KEPT);
    app.change_store(async |tx| assert!(tx.rotate_webhook_secret(webhook, &sealed, until_ms).await.unwrap())).await;
    app.raise().await;
    let told = &until_received(&receiver, 1).await[0];
    assert_eq!((told.verify(&old), told.verify(&new.reveal())), ((2, true), (2, true)));
    app.clock.advance(24 * HOUR);
    app.raise().await;
    let told = &until_received(&receiver, 2).await[1];
    assert_eq!((told.verify(&old), told.verify(&new.reveal())), ((1, false), (1, true)));
}

#[tokio::test]
async fn two_nodes_share_the_work() {
    let mut app = TestApp::with_webhooks().await;
    let sibling = app.sibling().await;
    let receiver = Receiver::start(Manner::Status(200)).await;
    app.add_webhook(&receiver.url()).await;
    for _ in 0..20 {
        app.raise().await;
    }
    until_received(&receiver, 20).await;
    app.until_settled().await;
    let ids: std::collections::BTreeSet<_> = receiver.received().iter().map(Received::id).collect();
    assert_eq!((ids.len(), receiver.count()), (20, 20), "each once, by whichever node");
    sibling.stop().await;
}

#[tokio::test]
async fn a_node_that_is_killed_before_it_delivers_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let receiver = Receiver::start(Manner::Hang).await;
    let add = |url: &str, switch: &str| {
        let organization = child::run_json(
            &data,
            &[
                "organization",
                "create",
                "--name",
                "Harbour Bank",
                "--kind",
                "registrar",
                "--region",
                "110105",
                "--json",
            ],
        );
        let organization = organization["organization_id"].as_str().unwrap().to_owned();
        let args = ["webhook", "add", "--organization", &organization, "--url", url, "--json"];
        let output = child::command(&data)
            .args(args)
            .env("LOSTCARD_WEBHOOKS__INSECURE_LOOPBACK_FOR_TESTS", switch)
            .output()
            .unwrap();
        (organization, output)
    };
    let (_, refused) = add(&receiver.url(), "false");
    assert_eq!(refused.status.code(), Some(1), "loopback is refused where no test says otherwise");
    let (organization, added) = add(&receiver.url(), "true");
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let added: Value = serde_json::from_slice(&added.stdout).unwrap();
    let secret = added["secret"].as_str().unwrap();
    let args =
        ["client", "create", "--organization", &organization, "--scope", "checks", "--scope", "registry", "--json"];
    let client = child::run_json(&data, &args);
    let start = || {
        crate::servers::node::Node::start_with(&data, |command| {
            command.envs(child::variables(&data));
            command.env("LOSTCARD_WEBHOOKS__INSECURE_LOOPBACK_FOR_TESTS", "true");
            command.env("LOSTCARD_WEBHOOKS__POLL_MS", "50").env("LOSTCARD_WEBHOOKS__TIMEOUT_MS", "1000");
        })
    };
    let node = start();
    let http = http_client().build().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client["client_id"].as_str().unwrap()),
        ("client_secret", client["client_secret"].as_str().unwrap()),
    ];
    let token = http.post(format!("{}/oauth2/token", node.url())).form(&form).send().await.unwrap();
    let token = token.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    let number = random_number();
    for (path, body) in [
        ("/v1/checks", with(check_of(&number, None), "watch_hours", 1)),
        ("/v1/loss-reports", report_of(&number, None)),
    ] {
        let answer = http.post(format!("{}{path}", node.url())).bearer_auth(&token).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}");
    }
    // The alert is committed; the node dies while it delivers, at the latest.
    node.kill();
    let before = receiver.count();
    receiver.change(Manner::Status(200));
    let node = start();
    let told = until_received(&receiver, before + 1).await.pop().unwrap();
    assert!(told.verify(secret).1);
    assert!(!told.body.contains(&number[..17]) && !node.log().contains(&number[..17]));
    assert!(!node.log().contains(secret) && !node.log().contains("/hooks"), "neither secret nor URL is logged");
    let clock = Clock::System;
    assert!(clock.now_s() - told.header("webhook-timestamp").parse::<i64>().unwrap() < 60);
}
