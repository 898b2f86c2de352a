//! `POST /v1/checks/batch`: order, items that spoil only themselves, bounds, cost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, rate, with};
use crate::helpers::TestApp;
use crate::limits::{own_limits, retry_after};
use crate::servers::tables::Tables;

const LOST: &str = "2016-05-01";

#[tokio::test]
async fn results_stand_in_the_order_of_the_checks() {
    let app = TestApp::spawn().await;
    let numbers: Vec<_> = (0..40).map(|_| random_number()).collect();
    for number in numbers.iter().step_by(4) {
        app.report_lost(number, Some(LOST)).await;
    }
    let checks: Vec<_> = numbers.iter().map(|number| check_of(number, Some(LOST))).collect();
    let answer = app.check_batch(&checks).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 40);
    for (n, result) in results.iter().enumerate() {
        let expected = if n % 4 == 0 { "card_listed" } else { "not_listed" };
        assert_eq!((result["index"].as_u64(), &result["check"]["verdict"]), (Some(n as u64), &json!(expected)));
        // Each receipt is about its own number.
        let opening = json!({"receipt": result["check"]["receipt"], "receipt_salt": result["check"]["receipt_salt"],
            "id_number": numbers[n], "card_valid_from": LOST});
        let verified = app.verify_receipt(&opening).await.json();
        assert_eq!((&verified["opens"], &verified["check_id"]), (&json!(true), &result["check"]["check_id"]));
    }
}

#[tokio::test]
async fn a_bad_item_spoils_only_itself() {
    let app = TestApp::spawn().await;
    let good = check_of(&random_number(), None);
    let bad = [
        (check_of("110105194912310021", None), 422, "invalid_value"),
        (json!(7), 400, "malformed_json"),
        (json!([random_number()]), 400, "malformed_json"),
        (with(good.clone(), "extra", 1), 400, "malformed_json"),
        (Value::Null, 400, "malformed_json"),
        (json!({}), 400, "malformed_json"),
        (with(good.clone(), "purpose", "x"), 422, "invalid_value"),
    ];
    let mut checks = vec![good.clone()];
    for (item, ..) in &bad {
        checks.extend([item.clone(), good.clone()]);
    }
    let answer = app.check_batch(&checks).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (n, result) in answer.json()["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(result["index"], n);
        if n % 2 == 0 {
            assert_eq!(result["check"]["verdict"], "not_listed", "{result}");
            assert!(result.get("problem").is_none());
        } else {
            let (_, status, code) = &bad[n / 2];
            assert_eq!((&result["problem"]["status"], &result["problem"]["code"]), (&json!(status), &json!(code)));
            assert_eq!(result["problem"]["request_id"], answer.header("x-request-id"));
            assert!(result.get("check").is_none());
        }
    }
}

#[tokio::test]
async fn a_batch_holds_one_to_a_thousand_checks() {
    let app = TestApp::spawn_with(|config| config.limits.client = rate("5000/60s")).await;
    let checks =
        |n: usize| -> Vec<Value> { (0..n).map(|_| with(check_of(&random_number(), None), "receipt", false)).collect() };
    assert_eq!(app.check_batch(&checks(1)).await.json()["results"].as_array().unwrap().len(), 1);
    let thousand = app.check_batch(&checks(1000)).await;
    assert_eq!(thousand.json()["results"].as_array().unwrap().len(), 1000);
    let wrong_length = [("/checks".to_owned(), "wrong_length".to_owned())];
    assert_eq!(app.check_batch(&checks(0)).await.field_errors(), wrong_length);
    assert_eq!(app.check_batch(&checks(1001)).await.field_errors(), wrong_length);
}

fn many(items: usize) -> Vec<Value> {
    (0..items).map(|_| with(check_of(&random_number(), None), "receipt", false)).collect()
}

#[tokio::test]
async fn a_batch_costs_as_many_units_as_it_has_items() {
    let app = TestApp::spawn_with(|config| own_limits(config).client = rate("100/60s")).await;
    assert_eq!(app.check_batch(&many(60)).await.header("ratelimit"), r#""client";r=40;t=36"#);
    // One that is refused for its shape costs a unit, as any call.
    app.check_batch(&[]).await.problem(422, "invalid_value");
    let malformed = app.post(&app.hotel.token, "/v1/checks/batch", &json!([])).await;
    malformed.problem(400, "malformed_json");
    assert_eq!(malformed.header("ratelimit"), r#""client";r=38;t=38"#);
    assert_eq!(app.check_batch(&many(38)).await.header("ratelimit"), r#""client";r=0;t=60"#);
}

#[tokio::test]
async fn a_batch_that_the_limit_never_holds_is_told_the_largest_that_it_does_and_costs_nothing() {
    let app = TestApp::spawn_with(|config| own_limits(config).client = rate("1/3600s")).await;
    let big = app.add_client("checks", Some("1000/60s")).await;
    for _ in 0..3 {
        let refused = app.check_batch(&many(999)).await;
        refused.problem(422, "batch_too_large_for_limit");
        assert_eq!(refused.json()["items_max"], 1);
        assert_eq!(refused.header("ratelimit"), r#""client";r=1;t=0"#);
        assert!(refused.headers.get("retry-after").is_none(), "no wait helps");
    }
    assert_eq!(app.check_batch(&many(1)).await.status, 200, "nothing was spent");
    app.check_batch(&many(999)).await.problem(422, "batch_too_large_for_limit");
    app.check_batch(&many(1)).await.problem(429, "limit_spent");
    assert_eq!(app.post(&big.token, "/v1/checks/batch", &json!({ "checks": many(1000) })).await.status, 200);
}

#[tokio::test]
async fn small_calls_of_a_client_keep_none_of_its_batches_away() {
    let app = TestApp::spawn_with(|config| own_limits(config).client = rate("100/60s")).await;
    let check = with(check_of(&random_number(), None), "receipt", false);
    assert_eq!(app.check_batch(&many(60)).await.status, 200);
    let refused = app.check_batch(&many(60)).await;
    refused.problem(429, "limit_spent");
    // The one that it costs is gone, the rest is put aside: nobody else may have it.
    assert_eq!(refused.header("ratelimit"), r#""client";r=0;t=73"#);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(wait, 13);
    for _ in 1..wait {
        app.clock.advance(Duration::from_secs(1));
        app.check(&check).await.problem(429, "limit_spent");
        let early = app.check_batch(&many(60)).await;
        early.problem(429, "limit_spent");
        assert_eq!(early.header("ratelimit").split(';').nth(1), Some("r=0"));
    }
    app.clock.advance(Duration::from_secs(1));
    app.check(&check).await.problem(429, "limit_spent");
    assert_eq!(app.check_batch(&many(60)).await.status, 200, "it waited as told");
    // Units are put aside once, and for a while.
    let wait = retry_after(&app.check_batch(&many(60)).await);
    app.clock.advance(Duration::from_secs(wait));
    app.check(&check).await.problem(429, "limit_spent");
    app.clock.advance(Duration::from_millis(2001));
    let answer = app.check(&check).await;
    assert_eq!((answer.status, answer.header("ratelimit").split(';').nth(1)), (200, Some("r=63")));
}

#[tokio::test]
async fn an_organizations_limit_keeps_units_for_a_batch_too() {
    let app = TestApp::spawn_with(|config| own_limits(config).organization = rate("100/60s")).await;
    let sister = app.add_client_of(app.hotel.organization, "checks").await;
    assert_eq!(app.check_batch(&many(60)).await.status, 200);
    let refused = app.check_batch(&many(60)).await;
    refused.problem(429, "organization_limit_spent");
    assert_eq!(refused.header("ratelimit"), r#""organization";r=0;t=73"#);
    let check = with(check_of(&random_number(), None), "receipt", false);
    for _ in 0..retry_after(&refused) {
        for client in [&app.hotel, &sister] {
            app.post(&client.token, "/v1/checks", &check).await.problem(429, "organization_limit_spent");
        }
        app.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(app.check_batch(&many(60)).await.status, 200);
}

#[tokio::test]
async fn a_batch_is_one_object_with_one_member() {
    let app = TestApp::spawn().await;
    let check = check_of(&random_number(), None);
    for body in [json!([check]), json!({"checks": check}), json!({}), json!({"checks": [check], "extra": 1})] {
        app.post(&app.hotel.token, "/v1/checks/batch", &body).await.problem(400, "malformed_json");
    }
    app.post(&app.police.token, "/v1/checks/batch", &json!({"checks": [check]}))
        .await
        .problem(403, "insufficient_scope");
}

#[tokio::test]
async fn an_item_that_cannot_be_looked_up_has_the_cause_of_a_single_check() {
    // What is in memory in full is not read again.
    let app = TestApp::spawn_with(|config| config.registry.exact_mib = 0).await;
    let (broken, good) = (random_number(), random_number());
    app.report_lost(&broken, Some(LOST)).await;
    let mut tables = Tables::of(&app.store_url()).await;
    tables.execute("UPDATE loss_reports SET state = 'nonsense'").await;
    let single = app.check(&check_of(&broken, Some(LOST))).await.json();
    assert_eq!(single["code"], "internal");
    let batch = app.check_batch(&[check_of(&good, None), check_of(&broken, Some(LOST))]).await.json();
    assert_eq!(batch["results"][0]["check"]["verdict"], "not_listed");
    let item = &batch["results"][1]["problem"];
    assert_eq!((&item["code"], &item["detail"]), (&single["code"], &single["detail"]));
}

/// The fastest of several tells, whatever else the machine does: with a wait for an acknowledgement none takes less than 40 ms.
#[tokio::test]
async fn the_last_piece_of_a_large_answer_waits_for_no_acknowledgement() {
    let app = TestApp::spawn().await;
    let many = app.add_client("checks", Some("1000000/60s")).await;
    let checks: Vec<_> = (0..50).map(|_| check_of(&random_number(), None)).collect();
    let mut fastest = std::time::Duration::MAX;
    // A new connection is acknowledged at once for a while.
    for round in 0..40 {
        let started = std::time::Instant::now();
        let answer = app.post(&many.token, "/v1/checks/batch", &json!({ "checks": checks })).await;
        assert_eq!(answer.status, 200);
        if round >= 30 {
            fastest = fastest.min(started.elapsed());
        }
    }
    assert!(fastest < std::time::Duration::from_millis(35), "{fastest:?}");
}
