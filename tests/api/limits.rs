//! Limits: their headers, what spends them, when they are whole again, and which of them said no.

use std::time::Duration;

use lostcard::config::{Config, Limits};
use serde_json::json;

use crate::bodies::{check_of, random_number, rate, with};
use crate::child;
use crate::helpers::{Answer, TestApp, TestClient, eventually};

async fn check_as(app: &TestApp, client: &TestClient) -> Answer {
    app.post(&client.token, "/v1/checks", &with(check_of(&random_number(), None), "receipt", false)).await
}

async fn with_bad_token(app: &TestApp) -> Answer {
    app.post("a.b.c", "/v1/checks", &check_of(&random_number(), None)).await
}

pub(crate) fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap()
}

/// Limits by the node's own clock, which a test can move on. Shared limits go by the clock of Redis: `shared_limits`.
pub(crate) fn own_limits(config: &mut Config) -> &mut Limits {
    config.redis_url = None;
    &mut config.limits
}

#[tokio::test]
async fn every_answer_to_a_limited_call_says_where_the_client_stands() {
    let app = TestApp::spawn().await;
    let ok = check_as(&app, &app.hotel).await;
    assert_eq!(ok.header("ratelimit-policy"), r#""client";q=600;w=60"#);
    assert_eq!(ok.header("ratelimit"), r#""client";r=599;t=1"#);
    let invalid = app.check(&json!({"purpose": "lodging"})).await;
    assert_eq!((invalid.status, invalid.header("ratelimit")), (422, r#""client";r=598;t=1"#));
    let malformed = app.check(&json!([])).await;
    assert_eq!((malformed.status, malformed.header("ratelimit")), (400, r#""client";r=597;t=1"#));
    let missing = app.read_report("x").await;
    assert_eq!((missing.status, missing.header("ratelimit")), (404, r#""client";r=599;t=1"#));
    for unlimited in ["/health/live", "/openapi.json"] {
        assert!(app.get("", unlimited).await.headers.get("ratelimit").is_none());
    }
    let refused = app.post(&app.police.token, "/v1/checks", &json!({})).await;
    assert_eq!(
        (refused.status, refused.headers.get("ratelimit")),
        (403, None),
        "a call that is not allowed costs nothing"
    );
}

#[tokio::test]
async fn a_spent_limit_passes_again_after_retry_after() {
    let app = TestApp::spawn_with(|config| own_limits(config).client = rate("5/60s")).await;
    for left in (0..5).rev() {
        let answer = check_as(&app, &app.hotel).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit")),
            (200, &*format!(r#""client";r={left};t={}"#, (5 - left) * 12))
        );
    }
    let refused = check_as(&app, &app.hotel).await;
    refused.problem(429, "limit_spent");
    assert!(app.metric(r#"lostcard_limited_total{limit="client"}"#).await > 0, "as the alerts know it");
    assert_eq!(refused.header("ratelimit-policy"), r#""client";q=5;w=60"#);
    assert_eq!(refused.header("ratelimit"), r#""client";r=0;t=60"#);
    let wait = retry_after(&refused);
    assert_eq!(wait, 12);
    app.clock.advance(Duration::from_secs(wait - 1));
    check_as(&app, &app.hotel).await.problem(429, "limit_spent");
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(check_as(&app, &app.hotel).await.status, 200);
    check_as(&app, &app.hotel).await.problem(429, "limit_spent");
    app.clock.advance(Duration::from_mins(1));
    for _ in 0..5 {
        assert_eq!(check_as(&app, &app.hotel).await.status, 200);
    }
}

#[tokio::test]
async fn one_client_does_not_spend_for_another_and_has_its_own_rate() {
    let app = TestApp::spawn_with(|config| config.limits.client = rate("2/60s")).await;
    let big = app.add_client("checks", Some("1000/60s")).await;
    for _ in 0..2 {
        check_as(&app, &app.hotel).await;
    }
    check_as(&app, &app.hotel).await.problem(429, "limit_spent");
    assert_eq!(check_as(&app, &big).await.header("ratelimit-policy"), r#""client";q=1000;w=60"#);
}

#[tokio::test]
async fn clients_of_one_organization_share_its_limit() {
    let app = TestApp::spawn_with(|config| own_limits(config).organization = rate("4/60s")).await;
    let sister = app.add_client_of(app.hotel.organization, "checks").await;
    for client in [&app.hotel, &sister, &app.hotel, &sister] {
        assert_eq!(check_as(&app, client).await.status, 200);
    }
    for client in [&app.hotel, &sister] {
        let refused = check_as(&app, client).await;
        refused.problem(429, "organization_limit_spent");
        assert_eq!(refused.header("ratelimit-policy"), r#""organization";q=4;w=60"#);
        assert_eq!((refused.header("ratelimit"), retry_after(&refused)), (r#""organization";r=0;t=60"#, 15));
    }
    assert_eq!(app.read_report("x").await.status, 404, "other organizations continue");
    app.clock.advance(Duration::from_secs(15));
    assert_eq!(check_as(&app, &app.hotel).await.status, 200);
}

#[tokio::test]
async fn an_address_is_spent_by_token_requests_and_failures_and_not_by_good_traffic() {
    // Two units go into the tokens of hotel and police.
    let app = TestApp::spawn_with(|config| config.limits.address = rate("6/60s")).await;
    for _ in 0..20 {
        assert_eq!(check_as(&app, &app.hotel).await.status, 200);
    }
    app.token_for(&app.hotel).await;
    assert_eq!(app.ask_token(&[("grant_type", "client_credentials")]).await.status, 401);
    with_bad_token(&app).await.problem(401, "invalid_token");
    app.send(app.request("POST", "/v1/checks").json(&json!({}))).await.problem(401, "invalid_token");
    let refused = with_bad_token(&app).await;
    refused.problem(429, "address_limit_spent");
    assert_eq!(refused.header("ratelimit-policy"), r#""address";q=6;w=60"#);
    let refused = app.ask_token(&[("grant_type", "client_credentials")]).await;
    refused.problem(429, "address_limit_spent");
    assert_eq!(check_as(&app, &app.hotel).await.status, 200, "a caller with a good token is not locked out");
    app.clock.advance(Duration::from_secs(retry_after(&refused)));
    with_bad_token(&app).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn forwarded_addresses_are_not_believed() {
    let app = TestApp::spawn_with(|config| config.limits.address = rate("4/60s")).await;
    let from = |n: u32| {
        let mut request = app.request("POST", "/v1/checks").bearer_auth("a.b.c").json(&json!({}));
        for name in ["X-Forwarded-For", "X-Real-IP"] {
            request = request.header(name, format!("192.0.2.{n}"));
        }
        app.send(request.header("Forwarded", format!("for=192.0.2.{n}")))
    };
    for n in 0..2 {
        from(n).await.problem(401, "invalid_token");
    }
    from(3).await.problem(429, "address_limit_spent");
}

#[tokio::test]
async fn many_wrong_check_characters_are_abnormal_use() {
    let app = TestApp::spawn_with(|config| config.limits.client = rate("20/60s")).await;
    let wrong = || {
        let mut number = random_number();
        let last = if number.pop() == Some('0') { '1' } else { '0' };
        number.push(last);
        check_of(&number, None)
    };
    for _ in 0..10 {
        assert_eq!(
            app.check(&wrong()).await.field_errors(),
            [("/id_number".to_owned(), "wrong_check_character".to_owned())]
        );
    }
    let refused = app.check(&wrong()).await;
    refused.problem(429, "abnormal_use");
    assert_eq!(refused.header("ratelimit-policy"), r#""abnormal_use";q=10;w=60"#);
    assert_eq!(check_as(&app, &app.hotel).await.status, 200, "right numbers continue");
    app.clock.advance(Duration::from_secs(retry_after(&refused)));
    assert_eq!(app.check(&wrong()).await.status, 422);
}

#[tokio::test]
async fn wrong_check_characters_count_in_batches_too() {
    let app = TestApp::spawn_with(|config| config.limits.client = rate("20/60s")).await;
    let checks = vec![check_of("110105194912310021", None); 12];
    let results = app.check_batch(&checks).await.json()["results"].clone();
    let codes: Vec<_> = (0..12).map(|n| results[n]["problem"]["code"].as_str().unwrap().to_owned()).collect();
    assert!(
        codes[..10].iter().all(|code| code == "invalid_value") && codes[10..].iter().all(|code| code == "abnormal_use"),
        "{codes:?}"
    );
}

/// Three rotations while four callers ask without a pause, by a clock that stands still: what passes is one burst.
#[tokio::test]
async fn a_rotation_of_the_secret_under_load_gives_no_units_back() {
    let app = TestApp::spawn_with(|config| own_limits(config).client = rate("40/600s")).await;
    let passed = std::cell::Cell::new(0);
    let is_over = std::cell::Cell::new(false);
    let token = std::cell::RefCell::new(app.hotel.token.clone());
    let hammer = async || {
        while !is_over.get() {
            let client = TestClient { token: token.borrow().clone(), ..app.hotel.clone() };
            if check_as(&app, &client).await.status == 200 {
                passed.set(passed.get() + 1);
            }
        }
    };
    let rotate = async {
        for _ in 0..3 {
            let before = check_as(&app, &app.hotel).await;
            assert!([200, 429].contains(&before.status), "{}", before.text);
            passed.set(passed.get() + i32::from(before.status == 200));
            let (data, id) = (app.config.data.clone(), app.hotel.client_id.to_string());
            let rotated = lostcard::wiping::spawn_wiped(move || {
                child::run_json(&data, &["client", "rotate-secret", &id, "--json"])
            });
            let secret = rotated.await.unwrap()["client_secret"].as_str().unwrap().to_owned();
            let client = TestClient { secret, ..app.hotel.clone() };
            let fresh = std::cell::RefCell::new(String::new());
            eventually("the new secret is taken", async || {
                let id = client.client_id.to_string();
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", id.as_str()),
                    ("client_secret", client.secret.as_str()),
                ];
                let answer = app.ask_token(&form).await;
                if answer.status == 200 {
                    *fresh.borrow_mut() = answer.json()["access_token"].as_str().unwrap().to_owned();
                }
                answer.status == 200
            })
            .await;
            *token.borrow_mut() = fresh.borrow().clone();
        }
        eventually("the limit is spent", async || passed.get() >= 40).await;
        let client = TestClient { token: token.borrow().clone(), ..app.hotel.clone() };
        check_as(&app, &client).await.problem(429, "limit_spent");
        is_over.set(true);
    };
    tokio::join!(rotate, hammer(), hammer(), hammer(), hammer());
    assert_eq!(passed.get(), 40);
}

/// The bound: together at most one burst and what flows in, as long as the same nodes live. A node that joins brings its own part
/// of a burst with it.
#[tokio::test]
async fn nodes_without_redis_let_pass_together_what_one_would() {
    let one = TestApp::spawn_with(|config| own_limits(config).client = rate("20/600s")).await;
    let two = one.sibling().await;
    for app in [&one, &two] {
        eventually("both know of each other", async || app.metric("lostcard_nodes").await == 2).await;
    }
    let batch = |items: usize| (0..items).map(|_| check_of(&random_number(), None)).collect::<Vec<_>>();
    for app in [&one, &two] {
        let refused = app.check_batch(&batch(11)).await;
        refused.problem(422, "batch_too_large_for_limit");
        assert_eq!(refused.json()["items_max"], 10, "its half");
    }
    for (left, app) in (0..10).rev().flat_map(|left| [(left, &one), (left, &two)]) {
        let answer = check_as(app, &app.hotel).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit")),
            (200, &*format!(r#""client";r={left};t={}"#, (10 - left) * 60))
        );
    }
    for app in [&one, &two] {
        let refused = check_as(app, &app.hotel).await;
        refused.problem(429, "limit_spent");
        assert_eq!(retry_after(&refused), 60);
    }
    one.clock.advance(Duration::from_mins(1));
    for app in [&one, &two] {
        assert_eq!(check_as(app, &app.hotel).await.status, 200);
        check_as(app, &app.hotel).await.problem(429, "limit_spent");
    }
}
