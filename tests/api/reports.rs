//! Loss reports: filed, read, searched, withdrawn; idempotency; what other organizations see (nothing).

use serde_json::{Value, json};

use crate::bodies::{check_of, later, random_number, report_of, with};
use crate::helpers::TestApp;

const LOST: &str = "2016-05-01";

#[tokio::test]
async fn a_filed_report_has_a_location_and_is_listed_at_once() {
    let app = TestApp::spawn().await;
    for _ in 0..20 {
        let number = random_number();
        let answer = app.report(&report_of(&number, Some(LOST))).await;
        assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"), "{}", answer.text);
        assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
        let report = answer.json();
        let id = report["report_id"].as_str().unwrap();
        assert_eq!(answer.header("location"), format!("/v1/loss-reports/{id}"));
        assert_eq!(app.read_report(id).await.json(), later(report.clone()));
    }
}

#[tokio::test]
async fn a_report_has_the_documented_members_and_no_others() {
    let app = TestApp::spawn().await;
    let mut body = report_of(&random_number(), Some(LOST));
    for (member, value) in [
        ("card_valid_until", json!("2036-05-01")),
        ("lost_on", json!("2026-11-01")),
        ("contact", json!({"phone": "+86 138 0013 8000"})),
        ("reason", json!("stolen")),
    ] {
        body = with(body, member, value);
    }
    let report = later(app.report(&body).await.json());
    let mut names: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["card_valid_from", "reason", "registry_sequence", "report_id", "reported_at", "state"]);
    assert_eq!(
        (&report["state"], &report["reason"], &report["card_valid_from"]),
        (&json!("active"), &json!("stolen"), &json!(LOST))
    );
    let undated = app.report_lost(&random_number(), None).await;
    assert!(undated.get("card_valid_from").is_none(), "absent, never null");
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_stores_nothing() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let body = report_of(&number, Some(LOST));
    let first = app.report_once("key-1", &body).await;
    assert_eq!(first.status, 201);
    app.clock.advance(std::time::Duration::from_mins(1));
    for _ in 0..3 {
        let again = app.report_once("key-1", &body).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.header("location"), first.header("location"));
    }
    assert_eq!(app.search(&number).await.json()["reports"].as_array().unwrap().len(), 1);
    app.report_once("key-2", &body).await;
    assert_eq!(app.search(&number).await.json()["reports"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn concurrent_repetitions_store_one_report() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let body = report_of(&number, Some(LOST));
    let answers = futures_util::future::join_all((0..16).map(|_| app.report_once("key", &body))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(app.search(&number).await.json()["reports"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_of_another_body_is_refused_and_of_another_client_is_free() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let first = app.report_once("key", &report_of(&number, Some(LOST))).await;
    assert_eq!(first.status, 201);
    app.report_once("key", &report_of(&other, Some(LOST))).await.problem(422, "idempotency_key_reused");
    assert_eq!(app.verdict(&other, None).await, "not_listed");
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let request = app.request("POST", "/v1/loss-reports").header("Idempotency-Key", "key");
    let answer = app.send(request.bearer_auth(&colleague.token).json(&report_of(&number, Some(LOST)))).await;
    assert_eq!(answer.status, 201);
    assert_ne!(answer.text, first.text);
    // The same key at another operation is another request.
    let request = app.request("POST", "/v1/replacements").header("Idempotency-Key", "key");
    let body = json!({"id_number": other, "card_valid_from": LOST, "office": "110105-03"});
    assert_eq!(app.send(request.bearer_auth(&app.police.token).json(&body)).await.status, 201);
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let app = TestApp::spawn().await;
    let body = report_of(&random_number(), None);
    for key in ["", "a b", &"k".repeat(256)] {
        app.report_once(key, &body).await.problem(400, "malformed_request");
    }
    assert_eq!(app.report_once(&"k".repeat(255), &body).await.status, 201);
}

#[tokio::test]
async fn withdrawn_report_is_not_listed() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let id = report["report_id"].as_str().unwrap();
    let answer = app.withdraw(id).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let withdrawn = answer.json();
    assert_eq!(withdrawn["state"], "withdrawn");
    assert!(withdrawn["registry_sequence"].as_u64() > report["registry_sequence"].as_u64());
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
    assert_eq!(app.read_report(id).await.json(), later(withdrawn));
    app.withdraw(id).await.problem(409, "report_not_active");
    // A withdrawal is of one loss, not of the number.
    app.report_lost(&number, Some(LOST)).await;
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
}

#[tokio::test]
async fn a_withdrawal_removes_its_own_record_only() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some("2010-01-01")).await;
    let second = app.report_lost(&number, Some(LOST)).await;
    assert_eq!(app.withdraw(second["report_id"].as_str().unwrap()).await.status, 200);
    assert_eq!(app.verdict(&number, Some("2010-01-01")).await, "card_listed");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "other_card_listed");
}

#[tokio::test]
async fn a_search_finds_the_reports_of_a_number_newest_first() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let mut filed = Vec::new();
    for _ in 0..3 {
        let report = app.report_lost(&number, Some(LOST)).await;
        filed.insert(
            0,
            with(with(with(later(report), "reporter", "holder"), "office", "110105-03"), "channel", "station"),
        );
        app.clock.advance(std::time::Duration::from_millis(5));
    }
    app.report_lost(&other, None).await;
    assert_eq!(app.search(&number).await.json(), json!({ "reports": filed }));
    assert_eq!(app.search(&random_number()).await.json(), json!({ "reports": [] }));
    assert_eq!(app.search("1").await.field_errors(), [("/id_number".to_owned(), "wrong_length".to_owned())]);
}

#[tokio::test]
async fn another_organizations_report_does_not_exist() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let id = report["report_id"].as_str().unwrap();
    let thief = app.add_client("registry checks", None).await;
    let path = format!("/v1/loss-reports/{id}");
    let theirs = app.get(&thief.token, &path).await.problem(404, "not_found");
    let mut nobodys =
        app.get(&thief.token, &format!("/v1/loss-reports/{}", uuid::Uuid::nil())).await.problem(404, "not_found");
    nobodys["request_id"] = theirs["request_id"].clone();
    assert_eq!(theirs, nobodys, "a foreign report and none look alike");
    let body = json!({"office": "110105-03", "reason": "found"});
    app.post(&thief.token, &format!("{path}/withdrawal"), &body).await.problem(404, "not_found");
    let found = app.post(&thief.token, "/v1/loss-reports/search", &json!({ "id_number": number })).await.json();
    assert_eq!(found, json!({ "reports": [] }));
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    assert_eq!(app.get(&colleague.token, &path).await.json(), later(report.clone()));
}

#[tokio::test]
async fn wrong_values_of_a_report_are_refused_by_pointer_and_code() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let good = report_of(&number, Some(LOST));
    let tomorrow = app.clock.today().tomorrow().unwrap().to_string();
    for (member, value, pointer, code) in [
        ("id_number", json!("440524188001010015"), "/id_number", "wrong_check_character"),
        ("card_valid_from", json!("1984-04-05"), "/card_valid_from", "before_first_cards"),
        ("card_valid_from", json!(tomorrow), "/card_valid_from", "starts_in_future"),
        ("card_valid_until", json!(LOST), "/card_valid_until", "ends_before_start"),
        ("lost_on", json!(tomorrow), "/lost_on", "lost_in_future"),
        ("lost_on", json!("2016-04-30"), "/lost_on", "lost_before_card_start"),
        ("lost_on", json!("20160501"), "/lost_on", "malformed_date"),
        ("reason", json!("found"), "/reason", "unknown_value"),
        ("reporter", json!("neighbour"), "/reporter", "unknown_value"),
        ("channel", json!("phone"), "/channel", "unknown_value"),
        ("office", json!(""), "/office", "malformed_office"),
        ("office", json!("110105-19491231-002X"), "/office", "malformed_office"),
        ("contact", json!({"phone": "call me"}), "/contact/phone", "malformed_phone"),
        ("contact", json!("13800138000"), "/contact", "not_a_contact"),
    ] {
        let errors = app.report(&with(good.clone(), member, value)).await.field_errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())]);
    }
    for (member, value) in [("card_valid_from", Value::Null), ("id_number", json!(7)), ("extra", json!(1))] {
        app.report(&with(good.clone(), member, value)).await.problem(400, "malformed_json");
    }
    assert_eq!(app.check(&check_of(&number, None)).await.json()["verdict"], "not_listed");
}
