//! `POST /v1/checks/batch`: order, items that spoil only themselves, bounds, cost.

use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, rate, with};
use crate::helpers::TestApp;
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

#[tokio::test]
async fn a_batch_costs_as_many_units_as_it_has_items() {
    let app = TestApp::spawn_with(|config| config.limits.client = rate("100/60s")).await;
    let checks: Vec<_> = (0..60).map(|_| check_of(&random_number(), None)).collect();
    assert_eq!(app.check_batch(&checks).await.header("ratelimit"), r#""client";r=40;t=36"#);
    let refused = app.check_batch(&checks).await;
    refused.problem(429, "limit_spent");
    // What did not pass cost no more than its authentication.
    let one = app.check(&check_of(&random_number(), None)).await;
    assert_eq!(
        (one.status, one.header("ratelimit").starts_with(r#""client";r=38;"#)),
        (200, true),
        "{:?}",
        one.headers
    );
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
    let app = TestApp::spawn().await;
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
