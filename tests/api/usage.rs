//! Usage: each organization reads its own sums, exact whichever worker or node counted, by day and by site; what the query may
//! hold; what a stop and a store that is away do to counts.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use crate::backend;
use crate::bodies::{check_of, digest_of, random_number, report_of, with};
use crate::helpers::{Answer, TestApp, TestClient, eventually};

const OUTCOMES: [&str; 12] = [
    "checks",
    "not_listed",
    "card_listed",
    "other_card_listed",
    "number_listed",
    "invalid",
    "limited",
    "unavailable",
    "batches",
    "receipts_verified",
    "loss_reports",
    "misuse_reports",
];

/// A node that adds its counts every second.
async fn spawn() -> TestApp {
    TestApp::spawn_with(|config| config.usage.flush_seconds = 1).await
}

impl TestApp {
    async fn usage(&self, client: &TestClient, query: &str) -> Answer {
        self.get(&client.token, &format!("/v1/usage{query}")).await
    }

    /// The total without what is zero.
    async fn total(&self, client: &TestClient) -> Value {
        let answer = self.usage(client, "").await;
        // Who asks often enough is told to wait.
        let mut total = if answer.status == 429 { Value::Null } else { answer.json()["total"].take() };
        if let Some(counts) = total.as_object_mut() {
            counts.retain(|_, count| *count != 0);
        }
        total
    }

    /// Waits until the total is this.
    async fn counted(&self, client: &TestClient, expected: &Value) {
        eventually(&format!("{expected} is counted"), || async { self.total(client).await == *expected }).await;
    }

    /// The checks of each site.
    async fn by_site(&self, client: &TestClient) -> Vec<(String, u64)> {
        let answer = self.usage(client, "?by=site").await.json();
        assert_eq!(answer["by"], "site");
        let entry = |entry: &Value| (entry["site"].as_str().unwrap().to_owned(), entry["checks"].as_u64().unwrap());
        answer["usage"].as_array().unwrap().iter().map(entry).collect()
    }
}

#[tokio::test]
async fn every_outcome_is_counted_once_and_where_it_belongs() {
    let app = spawn().await;
    let (listed, free) = (random_number(), random_number());
    let report = report_of(&listed, Some("2016-05-01"));
    for _ in 0..2 {
        assert_eq!(app.report_once("once", &report).await.status, 201);
    }
    for (card, verdict) in
        [(Some("2016-05-01"), "card_listed"), (Some("2020-01-01"), "other_card_listed"), (None, "number_listed")]
    {
        assert_eq!(app.verdict(&listed, card).await, verdict);
    }
    let check = app.check(&check_of(&free, None)).await.json();
    let wrong = with(check_of(&free, None), "purpose", "curiosity");
    app.check(&wrong).await.problem(422, "invalid_value");
    app.post(&app.hotel.token, "/v1/checks", &json!([])).await.problem(400, "malformed_json");
    let batch = app.check_batch(&[check_of(&free, None), wrong, check_of(&listed, None)]).await;
    assert_eq!(batch.status, 200);
    app.check_batch(&[]).await.problem(422, "invalid_value");
    assert_eq!(app.verify_receipt(&json!({"receipt": check["receipt"]})).await.status, 200);
    let observed_at = lostcard::clock::Rfc3339::of(app.clock.now_ms());
    let misuse = json!({"id_number": listed, "kind": "impersonation", "observed_at": observed_at.as_str()});
    assert_eq!(app.post(&app.hotel.token, "/v1/misuse-reports", &misuse).await.status, 201);
    // What is no check, or nobody's.
    app.get(&app.hotel.token, "/v1/alerts?limit=0").await.problem(422, "invalid_value");
    app.post(&app.police.token, "/v1/checks", &check_of(&free, None)).await.problem(403, "insufficient_scope");
    app.post("x", "/v1/checks", &check_of(&free, None)).await.problem(401, "invalid_token");
    let expected = json!({"checks": 6, "not_listed": 2, "card_listed": 1, "other_card_listed": 1, "number_listed": 2,
        "invalid": 4, "batches": 1, "receipts_verified": 1, "misuse_reports": 1});
    app.counted(&app.hotel, &expected).await;
    app.counted(&app.police, &json!({"loss_reports": 1})).await;
    let answer = app.usage(&app.hotel, "").await.json();
    let today = app.clock.today().to_string();
    assert_eq!((&answer["to"], &answer["by"]), (&json!(today), &json!("day")));
    let [day] = answer["usage"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(day["day"], today);
    assert_eq!(day.as_object().unwrap().len(), 1 + OUTCOMES.len());
    assert!(OUTCOMES.iter().all(|outcome| day[outcome] == answer["total"][outcome]), "{answer}");
}

#[tokio::test]
async fn what_a_limit_refuses_is_counted_as_limited() {
    let app = spawn().await;
    let client = app.add_client("checks", Some("3/3600s")).await;
    let check = async || app.post(&client.token, "/v1/checks", &check_of(&random_number(), None)).await;
    // A client that was just made is read again when the node learns about it, and its limit is whole then.
    let (mut answered, mut limited) = (0, 0);
    while limited < 2 {
        match check().await.status {
            200 => answered += 1,
            status => {
                assert_eq!(status, 429);
                limited += 1;
            }
        }
    }
    // Its own organization's, read by another client, whose limit is whole.
    let colleague = app.add_client_of(client.organization, "checks").await;
    app.counted(&colleague, &json!({"checks": answered, "not_listed": answered, "limited": limited})).await;
}

#[tokio::test]
async fn nobody_reads_another_organizations_usage() {
    let app = spawn().await;
    app.verdict(&random_number(), None).await;
    app.counted(&app.hotel, &json!({"checks": 1, "not_listed": 1})).await;
    for scopes in ["checks", "registry", "citizen", "audit", "admin"] {
        let other = app.add_client(scopes, None).await;
        let answer = app.usage(&other, "").await.json();
        assert_eq!((&answer["usage"], &answer["total"]["checks"]), (&json!([]), &json!(0)), "{scopes}");
        let naming = app.usage(&other, &format!("?organization={}", app.hotel.organization)).await;
        naming.problem(400, "malformed_request");
    }
    for scopes in ["checks", "blind", "checks blind"] {
        let same = app.add_client_of(app.hotel.organization, scopes).await;
        assert_eq!(app.total(&same).await["checks"], 1, "{scopes}");
    }
    app.get("", "/v1/usage").await.problem(401, "invalid_token");
}

#[tokio::test]
async fn counts_are_exact_whichever_worker_and_node_counted() {
    const EACH: u64 = 60;
    let app = spawn().await;
    let other = app.sibling().await;
    let many = app.add_client("checks", Some("1000000/60s")).await;
    let ask = async |node: &TestApp, site: &str| {
        for _ in 0..EACH / 2 {
            // A connection of its own each time, so that every worker has some.
            let request = node.request("POST", "/v1/checks").header("Connection", "close");
            let check = with(check_of(&random_number(), None), "site", site);
            assert_eq!(node.send(request.bearer_auth(&many.token).json(&check)).await.status, 200);
            let batch = json!({"checks": [check]});
            assert_eq!(node.post(&many.token, "/v1/checks/batch", &batch).await.status, 200);
        }
    };
    let nodes = [&app, &other, &app, &other];
    join_all(nodes.iter().zip(["east", "east", "west", "west"]).map(|(node, site)| ask(node, site))).await;
    let total = json!({"checks": 4 * EACH, "not_listed": 4 * EACH, "batches": 2 * EACH});
    app.counted(&many, &total).await;
    let sites = [("(none)", 0), ("east", 2 * EACH), ("west", 2 * EACH)].map(|(site, n)| (site.to_owned(), n));
    assert_eq!(other.by_site(&many).await, sites);
    // A further flush of both nodes, which has something of another organization alone.
    for node in nodes.iter().take(2) {
        assert_eq!(node.post(&app.hotel.token, "/v1/checks", &check_of(&random_number(), None)).await.status, 200);
    }
    app.counted(&app.hotel, &json!({"checks": 2, "not_listed": 2})).await;
    assert_eq!(app.total(&many).await, total, "nothing is added again");
}

#[tokio::test]
async fn a_node_that_stops_adds_what_it_counted() {
    let app = TestApp::spawn_with(|config| config.usage.flush_seconds = 3600).await;
    let other = app.sibling().await;
    for _ in 0..3 {
        app.verdict(&random_number(), None).await;
    }
    let hotel = app.hotel.clone();
    assert_eq!(other.total(&hotel).await, json!({}), "not before");
    app.stop().await;
    assert_eq!(other.total(&hotel).await, json!({"checks": 3, "not_listed": 3}));
}

#[tokio::test]
async fn a_store_that_takes_nothing_for_a_while_loses_no_count() {
    let app = TestApp::spawn_with(|config| {
        backend::embed(config);
        config.usage.flush_seconds = 1;
    })
    .await;
    let held = app.hold_writers().await;
    for site in ["east", "west"] {
        app.check(&with(check_of(&random_number(), None), "site", site)).await;
    }
    let failed = || async { app.metric("lostcard_usage_flushes_failed_total").await > 0 };
    eventually("a flush fails", failed).await;
    app.verdict(&random_number(), None).await;
    assert_eq!(app.total(&app.hotel).await, json!({}));
    drop(held);
    app.counted(&app.hotel, &json!({"checks": 3, "not_listed": 3})).await;
    assert!(app.metric("lostcard_usage_rows_total").await >= 3);
}

#[tokio::test]
async fn sites_are_the_organizations_own_words_within_a_bound() {
    let app = TestApp::spawn_with(|config| (config.usage.flush_seconds, config.usage.sites_max) = (1, 2)).await;
    let number = random_number();
    // A digest has the form of a site, unless it happens to hold 15 digits in a row.
    let digest = std::iter::repeat_with(|| digest_of(&random_number()))
        .find(|digest| digest.split(|c: char| !c.is_ascii_digit()).all(|run| run.len() < 15))
        .unwrap();
    for site in ["-east:2", "west", "north", "west", "south", &digest] {
        assert_eq!(app.check(&with(check_of(&number, None), "site", site)).await.status, 200);
    }
    app.check(&check_of(&number, None)).await;
    app.counted(&app.hotel, &json!({"checks": 7, "not_listed": 7})).await;
    let sites = [("(none)", 2), ("(other)", 2), ("-east:2", 1), ("west", 2)].map(|(site, n)| (site.to_owned(), n));
    assert_eq!(app.by_site(&app.hotel).await, sites);
    let organization = app.get(&app.hotel.token, "/v1/organization").await.json();
    assert_eq!(organization["sites"], json!(["-east:2", "west"]));
    let request = app.request("GET", "/v1/usage?by=site").bearer_auth(&app.hotel.token).header(ACCEPT, "text/csv");
    let answer = app.send(request).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/csv; charset=utf-8; header=present"));
    assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Accept"));
    let days = (app.clock.today().saturating_sub(jiff::Span::new().days(29)), app.clock.today());
    let name = format!("attachment; filename=\"usage-{}-{}-by-site.csv\"", days.0, days.1);
    assert_eq!(answer.header("content-disposition"), name);
    let lines: Vec<_> = answer.text.split("\r\n").collect();
    assert_eq!(lines[0], format!("site,{}", OUTCOMES.join(",")));
    assert_eq!(lines[3], "'-east:2,1,1,0,0,0,0,0,0,0,0,0,0", "no formula");
    assert_eq!((lines.len(), lines[5]), (6, ""));
}

#[tokio::test]
async fn days_are_those_asked_for() {
    let app = spawn().await;
    app.verdict(&random_number(), None).await;
    app.counted(&app.hotel, &json!({"checks": 1, "not_listed": 1})).await;
    let first = app.clock.today();
    app.clock.advance(Duration::from_hours(24));
    let token = app.token_for(&app.hotel).await;
    app.post(&token, "/v1/checks", &check_of(&random_number(), None)).await;
    let read = async |query: String| app.get(&token, &format!("/v1/usage{query}")).await.json();
    let both = || async { read(String::new()).await["total"]["checks"] == 2 };
    eventually("the next day's is counted", both).await;
    let (first, second) = (first.to_string(), app.clock.today().to_string());
    let days = async |query: String| -> Vec<String> {
        let answer = read(query).await;
        answer["usage"].as_array().unwrap().iter().map(|entry| entry["day"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(days(String::new()).await, [first.clone(), second.clone()]);
    assert_eq!(days(format!("?to={first}")).await, std::slice::from_ref(&first));
    assert_eq!(days(format!("?from={second}")).await, std::slice::from_ref(&second));
    assert_eq!(days("?from=2020-01-01&to=2020-12-31".to_owned()).await, [] as [String; 0]);
}

#[tokio::test]
async fn a_query_that_is_wrong_is_named_and_not_repeated() {
    let app = spawn().await;
    for (query, pointer, code) in [
        ("from=2026-02-30", "/from", "malformed_date"),
        ("to=yesterday", "/to", "malformed_date"),
        ("from=2026-11-02&to=2026-11-01", "/from", "after_to"),
        ("from=2025-01-01&to=2026-11-01", "/from", "range_too_long"),
        ("by=client", "/by", "unknown_value"),
    ] {
        let answer = app.usage(&app.hotel, &format!("?{query}")).await;
        assert_eq!(answer.field_errors(), [(pointer.to_owned(), code.to_owned())], "{query}");
        assert!(!answer.text.contains("2026-1") && !answer.text.contains("yesterday"), "{}", answer.text);
    }
    for query in ["from=2026-11-01&from=2026-11-01", "site=east", "by=day&x"] {
        app.usage(&app.hotel, &format!("?{query}")).await.problem(400, "malformed_request");
    }
    let posted = app.post(&app.hotel.token, "/v1/usage", &json!({})).await;
    posted.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_client_reads_what_the_service_knows_of_it() {
    let app = spawn().await;
    let client = app.add_client("checks registry", Some("7/3600s")).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client.client_id.to_string()),
        ("client_secret", &client.secret),
        ("scope", "registry"),
    ];
    let token = app.ask_token(&form).await.json()["access_token"].as_str().unwrap().to_owned();
    let answer = app.get(&token, "/v1/organization").await;
    let created_at = lostcard::clock::Rfc3339::of(app.clock.now_ms());
    let expected = json!({
        "organization_id": client.organization, "name": "Harbour Office", "kind": "registrar", "region": "110105",
        "created_at": created_at.as_str(),
        "client": {"client_id": client.client_id, "scopes": ["checks", "registry"], "token_scopes": ["registry"],
            "held": false},
        "limits": [
            {"name": "client", "requests": 7, "per_seconds": 3600, "remaining": 6},
            {"name": "organization", "requests": 60000, "per_seconds": 60},
        ],
        "sites": [],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert!(answer.header("ratelimit").starts_with(r#""client";r=6;"#));
    app.get("", "/v1/organization").await.problem(401, "invalid_token");
    app.get(&token, "/v1/organization?client=x").await.problem(400, "malformed_request");
}

#[tokio::test]
async fn the_status_is_public_short_lived_and_true() {
    let app =
        TestApp::spawn_with(|config| (config.registry.lease_ms, config.registry.poll_ms) = (60_000, 30_000)).await;
    let answer = app.get("", "/v1/status").await;
    let status = answer.json();
    assert_eq!((answer.status, answer.header("cache-control")), (200, "public, max-age=5"));
    assert_eq!((&status["status"], &status["environment"]), (&json!("ok"), &json!("production")));
    let check = app.check(&check_of(&random_number(), None)).await.json();
    // The node may add a row of its own to the feed at any time.
    let later = app.get("", "/v1/status").await.json();
    let sequence = |answer: &Value, member: &str| answer[member].as_u64().unwrap();
    let around = sequence(&status["registry"], "sequence")..=sequence(&later["registry"], "sequence");
    assert!(around.contains(&sequence(&check, "registry_sequence")));
    let as_of = [&status["registry"]["as_of"], &check["as_of"], &later["registry"]["as_of"]];
    assert!(as_of.map(|instant| instant.as_str().unwrap()).is_sorted());
    let members: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["environment", "registry", "status", "version"], "no figure of load, no name of a node");
    app.get("", "/v1/status?x=1").await.problem(400, "malformed_request");
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(app.get("", "/v1/status").await.json()["status"], "degraded", "its lease has expired");
    let limited = TestApp::spawn_with(|config| config.limits.public = crate::bodies::rate("1/60s")).await;
    assert_eq!(limited.get("", "/v1/status").await.status, 200);
    let refused = limited.get("", "/v1/status").await;
    refused.problem(429, "public_limit_spent");
    assert_eq!(refused.header("cache-control"), "no-store");
}
