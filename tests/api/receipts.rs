//! Receipts: authentic and opening or not, tampered with, across key rotations, and verified offline by the binary.

use serde_json::{Value, json};

use crate::bodies::{check_of, digest_of, random_number, with};
use crate::child;
use crate::helpers::{TestApp, eventually};

const LOST: &str = "2016-05-01";

fn opening(answer: &Value) -> Value {
    json!({"receipt": answer["receipt"], "receipt_salt": answer["receipt_salt"]})
}

#[tokio::test]
async fn a_receipt_says_what_the_check_said() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let check = app.check(&check_of(&number, Some(LOST))).await.json();
    let answer = app.verify_receipt(&with(opening(&check), "id_number", number)).await;
    assert_eq!(answer.status, 200);
    let checked_at: jiff::Timestamp = answer.json()["checked_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(checked_at.as_second(), app.clock.now_s());
    let as_of: jiff::Timestamp = answer.json()["as_of"].as_str().unwrap().parse().unwrap();
    assert!(checked_at >= as_of, "checked at {checked_at} what is of {as_of}");
    let mut verified = answer.json();
    verified.as_object_mut().unwrap().remove("checked_at");
    // Where the node has signed its log by then, which takes it a second.
    verified.as_object_mut().unwrap().remove("checkpoint");
    assert_eq!(
        verified,
        json!({"authentic": true, "opens": true, "card_valid_from": LOST, "organization": app.hotel.organization, "check_id": check["check_id"],
            "verdict": "card_listed", "as_of": check["as_of"], "registry_sequence": check["registry_sequence"]})
    );
}

#[tokio::test]
async fn a_receipt_opens_for_its_own_number_salt_and_card_only() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let dated = app.check(&check_of(&number, Some(LOST))).await.json();
    let undated = app.check(&check_of(&number, None)).await.json();
    let with_salt_of = |check: &Value, salt: &Value| with(opening(check), "receipt_salt", salt.clone());
    let found = app.verify_receipt(&with(opening(&undated), "id_number", number.clone())).await.json();
    assert_eq!((&found["opens"], found.get("card_valid_from")), (&json!(true), None), "the check named no card");
    for (body, opens) in [
        (with(opening(&dated), "id_number", number.clone()), true),
        (with(opening(&dated), "id_digest", digest_of(&number)), true),
        (with(with(opening(&dated), "id_number", number.clone()), "card_valid_from", LOST), true),
        (with(with(opening(&dated), "id_number", number.clone()), "card_valid_from", "2016-05-02"), false),
        (with(opening(&undated), "id_number", number.clone()), true),
        (with(opening(&dated), "id_number", other.clone()), false),
        (with(opening(&dated), "id_digest", digest_of(&other)), false),
        (with(with_salt_of(&dated, &undated["receipt_salt"]), "id_number", number.clone()), false),
        (with(with_salt_of(&dated, &json!("AAAA")), "id_number", number.clone()), false),
    ] {
        let verified = app.verify_receipt(&body).await.json();
        assert_eq!((&verified["authentic"], &verified["opens"]), (&json!(true), &json!(opens)), "{body}");
    }
}

#[tokio::test]
async fn without_number_and_salt_a_receipt_is_verified_but_not_opened() {
    let app = TestApp::spawn().await;
    let check = app.check(&check_of(&random_number(), None)).await.json();
    let verified = app.verify_receipt(&json!({"receipt": check["receipt"]})).await.json();
    assert_eq!((verified["authentic"].as_bool(), verified.get("opens")), (Some(true), None));
    let auditor = app.add_client("audit", None).await;
    let by_auditor = app.post(&auditor.token, "/v1/receipts/verify", &json!({"receipt": check["receipt"]})).await;
    assert_eq!(by_auditor.json(), verified);
    let by_police = app.post(&app.police.token, "/v1/receipts/verify", &json!({"receipt": check["receipt"]})).await;
    by_police.problem(403, "insufficient_scope");
}

#[tokio::test]
async fn a_receipt_that_was_tampered_with_is_not_authentic() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let text = |check: &Value| check["receipt"].as_str().unwrap().to_owned();
    let one = text(&app.check(&check_of(&number, None)).await.json());
    let two = text(&app.check(&check_of(&number, None)).await.json());
    let parts = |receipt: &str| -> Vec<String> { receipt.split('~').map(str::to_owned).collect() };
    let (a, b) = (parts(&one), parts(&two));
    let flipped = |text: &str| {
        let middle = text.len() / 2;
        let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &text[..middle], &text[middle + 1..])
    };
    for forged in [
        format!("{}~{}~{}", a[0], b[1], a[2]),
        format!("{}~{}~{}", flipped(&a[0]), a[1], a[2]),
        format!("{}~{}~{}", a[0], flipped(&a[1]), a[2]),
        format!("{}~{}~AAAAAQ", a[0], a[1]),
    ] {
        let answer = app.verify_receipt(&json!({ "receipt": forged })).await;
        // Where the forgery is no receipt any more it is a wrong value; authentic it never is.
        match answer.status {
            200 => assert_eq!(answer.json(), json!({"authentic": false})),
            _ => assert_eq!(answer.field_errors(), [("/receipt".to_owned(), "malformed_receipt".to_owned())]),
        }
    }
    let errors = app.verify_receipt(&json!({"receipt": "a~b"})).await.field_errors();
    assert_eq!(errors, [("/receipt".to_owned(), "malformed_receipt".to_owned())]);
}

#[tokio::test]
async fn a_receipt_of_another_service_is_not_authentic() {
    let (app, other) = (TestApp::spawn().await, TestApp::spawn().await);
    let check = other.check(&check_of(&random_number(), None)).await.json();
    let verified = app.verify_receipt(&json!({"receipt": check["receipt"]})).await.json();
    assert_eq!(verified, json!({"authentic": false}));
}

#[tokio::test]
async fn receipts_and_tokens_outlive_the_rotation_of_their_keys() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let before = app.check(&check_of(&number, None)).await.json();
    let kids = |text: &str| -> Vec<String> {
        let set: Value = serde_json::from_str(text).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let old = kids(&app.get("", "/.well-known/jwks.json").await.text);
    let rotated = child::run_json(&app.config.data, &["keys", "rotate", "--receipts", "--tokens", "--json"]);
    let new: Vec<_> = rotated["rotated"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    let app = &app;
    let new = &new;
    eventually("the rotated keys are published", || async move {
        let published = kids(&app.get("", "/.well-known/jwks.json").await.text);
        new.iter().all(|kid| published.iter().any(|known| known == kid))
    })
    .await;
    let published = kids(&app.get("", "/.well-known/jwks.json").await.text);
    assert!(old.iter().all(|kid| published.contains(kid)) && published.len() == old.len() + 2, "{published:?}");
    // The token of the test is signed by the retired key, the next receipt by the new one.
    let after = app.check(&check_of(&number, None)).await.json();
    for check in [&before, &after] {
        let verified = app.verify_receipt(&with(opening(check), "id_number", number.clone())).await.json();
        assert_eq!((&verified["authentic"], &verified["opens"]), (&json!(true), &json!(true)));
    }
    assert_eq!(app.get(&app.token_for(&app.police).await, "/v1/loss-reports/x").await.status, 404);
}

#[tokio::test]
async fn an_auditor_verifies_offline() {
    let app = TestApp::spawn().await;
    let number = random_number();
    // One salt in 64 begins with a hyphen, as flags do.
    let check = loop {
        let checks = vec![check_of(&number, Some(LOST)); 200];
        app.clock.advance(std::time::Duration::from_mins(1));
        let results = app.check_batch(&checks).await.json()["results"].as_array().unwrap().clone();
        let with_hyphen = |check: &Value| check["receipt_salt"].as_str().unwrap().starts_with('-');
        if let Some(check) = results.iter().map(|result| result["check"].clone()).find(with_hyphen) {
            break check;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let jwks = write("jwks.json", &app.get("", "/.well-known/jwks.json").await.text);
    let receipt = write("receipt.txt", check["receipt"].as_str().unwrap());
    let (own, others) = (write("own.txt", &number), write("others.txt", &random_number()));
    let data = dir.path().join("unused");
    let base = ["receipt", "verify", "--json", "--jwks", &jwks, &receipt];
    let found = child::run_json(&data, &base);
    assert_eq!((&found["authentic"], &found["check_id"], found.get("opens")), (&json!(true), &check["check_id"], None));
    let salt = check["receipt_salt"].as_str().unwrap();
    let open = |file: &str| child::run(&data, &[base.as_slice(), &["--salt", salt, "--id-number-file", file]].concat());
    let opened = open(&own);
    assert!(opened.status.success());
    assert_eq!(serde_json::from_slice::<Value>(&opened.stdout).unwrap()["opens"], true);
    assert_eq!(open(&others).status.code(), Some(1));
    let forged = write("forged.txt", &format!("{}AAAA", check["receipt"].as_str().unwrap()));
    let refused = child::run(&data, &["receipt", "verify", "--jwks", &jwks, &forged]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!data.exists(), "offline means without a data folder");
}

#[tokio::test]
async fn a_receipt_that_is_opened_without_its_start_costs_ten_units() {
    let app =
        TestApp::spawn_with(|config| crate::limits::own_limits(config).client = crate::bodies::rate("50/60s")).await;
    let number = random_number();
    let check = app.check(&check_of(&number, Some("2016-05-01"))).await.json();
    let full = json!({"receipt": check["receipt"], "receipt_salt": check["receipt_salt"], "id_number": number});
    let cases = [
        (full.clone(), 39),
        (with(full.clone(), "card_valid_from", "2016-05-01"), 38),
        (json!({"receipt": check["receipt"]}), 37),
        (json!({"receipt": 7}), 36),
    ];
    for (body, left) in cases {
        let answer = app.verify_receipt(&body).await;
        assert!(
            answer.header("ratelimit").starts_with(&format!(r#""client";r={left};"#)),
            "{body}: {:?}",
            answer.headers
        );
    }
}
