//! Where a card can be applied for, as anybody may ask: the rules as answered, values that are none, a limit that is apart from
//! that of token requests, and the places that an operator adds.

use std::time::Duration;

use lostcard::config::Place;
use serde_json::{Value, json};

use crate::bodies::{rate, with};
use crate::helpers::{Answer, TestApp};

fn question(household: &str, applying: &str, on: &str) -> Value {
    json!({"household_region": household, "applying_region": applying, "on": on,
        "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false})
}

async fn ask(app: &TestApp, body: &Value) -> Answer {
    app.send(app.request("POST", "/v1/acceptance/eligibility").json(body)).await
}

#[tokio::test]
async fn the_rules_answer_by_places_and_day() {
    let app = TestApp::spawn().await;
    let everywhere = json!({"eligible": true, "ground": "nationwide", "since": "2017-07-01"});
    let not_yet = json!({"eligible": false, "ground": "not_yet"});
    for (household, applying, on, expected) in [
        ("410221", "120221", "2015-06-30", not_yet.clone()),
        ("410221", "120221", "2015-07-01", json!({"eligible": true, "ground": "pilot_pair", "since": "2015-07-01"})),
        ("120221", "410221", "2026-11-23", json!({"eligible": true, "ground": "pilot_pair", "since": "2015-07-01"})),
        ("222521", "222624", "2015-12-31", not_yet.clone()),
        (
            "222521",
            "222624",
            "2016-01-01",
            json!({"eligible": true, "ground": "within_province", "since": "2016-01-01"}),
        ),
        ("140221", "110105", "2016-06-30", not_yet.clone()),
        ("140221", "110105", "2016-07-01", json!({"eligible": true, "ground": "listed_place", "since": "2016-07-01"})),
        ("110105", "140221", "2017-06-30", not_yet),
        ("110105", "140221", "2017-07-01", everywhere.clone()),
        ("140221", "140322", "2099-12-31", everywhere),
        ("140221", "140221", "1999-01-01", json!({"eligible": true, "ground": "household_place"})),
    ] {
        let answer = ask(&app, &question(household, applying, on)).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{household} {applying} {on}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn who_cannot_be_identified_or_misused_documents_applies_at_home() {
    let app = TestApp::spawn().await;
    for (fingerprint, changed, flag, ground) in [
        (false, false, false, "nationwide"),
        (true, true, false, "nationwide"),
        (false, true, false, "appearance_changed"),
        (true, false, true, "document_fraud"),
        (false, true, true, "document_fraud"),
    ] {
        for (applying, ground) in [("140221", ground), ("110105", "household_place")] {
            let mut body = question("110105", applying, "2026-11-23");
            for (member, value) in
                [("fingerprint_on_file", fingerprint), ("appearance_changed", changed), ("credit_flag", flag)]
            {
                body = with(body, member, value);
            }
            let answer = ask(&app, &body).await.json();
            assert_eq!(answer["ground"], ground, "{body}");
            assert_eq!(answer["eligible"], matches!(ground, "nationwide" | "household_place"));
            assert_eq!(answer.get("since").is_some(), ground == "nationwide");
        }
    }
}

#[tokio::test]
async fn every_wrong_value_is_named() {
    let app = TestApp::spawn().await;
    let good = question("110105", "310104", "2026-11-23");
    for (member, bad) in [
        ("household_region", "11010"),
        ("household_region", "160105"),
        ("household_region", "810000"),
        ("applying_region", "710000"),
        ("applying_region", "３１０１０４"),
        ("applying_region", ""),
    ] {
        let answer = ask(&app, &with(good.clone(), member, bad)).await;
        assert_eq!(answer.field_errors(), [(format!("/{member}"), "unknown_region".to_owned())], "{bad}");
        assert!(bad.is_empty() || !answer.text.contains(bad), "echoes {bad}");
    }
    for bad in ["2026-02-30", "20261123", "2026-11-23T00:00:00Z", ""] {
        let answer = ask(&app, &with(good.clone(), "on", bad)).await;
        assert_eq!(answer.field_errors(), [("/on".to_owned(), "malformed_date".to_owned())], "{bad}");
    }
    let all = ask(&app, &question("x", "y", "z")).await.field_errors();
    assert_eq!(all.len(), 3, "{all:?}");
    for bad in [
        json!([]),
        json!({}),
        with(good.clone(), "credit_flag", Value::Null),
        with(good.clone(), "credit_flag", "no"),
        with(good.clone(), "id_number", "11010519491231002X"),
    ] {
        ask(&app, &bad).await.problem(400, "malformed_json");
    }
    ask(&app, &with(good, "on", "2".repeat(4096))).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn public_questions_and_token_requests_do_not_lock_each_other_out() {
    let app = TestApp::spawn_with(|config| config.limits.public = rate("2/60s")).await;
    let body = question("110105", "310104", "2026-11-23");
    for left in [1, 0] {
        let answer = ask(&app, &body).await;
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (200, r#""public";q=2;w=60"#));
        assert!(answer.header("ratelimit").starts_with(&format!(r#""public";r={left};"#)));
    }
    let refused = ask(&app, &body).await;
    refused.problem(429, "public_limit_spent");
    assert_eq!(refused.header("ratelimit-policy"), r#""public";q=2;w=60"#);
    app.token_for(&app.hotel).await;
    app.post("a.b.c", "/v1/checks", &json!({})).await.problem(401, "invalid_token");
    app.clock.advance(Duration::from_secs(refused.header("retry-after").parse().unwrap()));
    assert_eq!(ask(&app, &body).await.status, 200);

    // Two units go into the tokens of hotel and police.
    let app = TestApp::spawn_with(|config| config.limits.address = rate("2/60s")).await;
    app.ask_token(&[("grant_type", "client_credentials")]).await.problem(429, "address_limit_spent");
    for _ in 0..5 {
        assert_eq!(ask(&app, &body).await.status, 200);
    }
}

#[tokio::test]
async fn the_operator_adds_places() {
    let place = |region: &str, since: &str| Place { region: region.to_owned(), since: since.to_owned() };
    let app = TestApp::spawn_with(|config| config.acceptance.places = vec![place("1402", "2016-09-01")]).await;
    for (applying, on, ground) in [
        ("140221", "2016-08-31", "not_yet"),
        ("140221", "2016-09-01", "listed_place"),
        ("140322", "2016-09-01", "not_yet"),
    ] {
        assert_eq!(ask(&app, &question("650102", applying, on)).await.json()["ground"], ground, "{applying} {on}");
    }
}
