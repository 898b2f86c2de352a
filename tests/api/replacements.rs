//! Replacements: the threshold they move, the reports they end, with and without a report before them.

use serde_json::json;

use crate::bodies::{check_of, random_number};
use crate::helpers::TestApp;

const LOST: &str = "2016-05-01";
const EVE: &str = "2026-10-31";
const NEW: &str = "2026-11-01";

#[tokio::test]
async fn a_replacement_ends_reports_and_moves_the_threshold() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    assert_eq!(app.verdict(&number, Some(EVE)).await, "other_card_listed");
    let answer = app.replace(&number, NEW).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let replacement = answer.json();
    let mut names: Vec<_> = replacement.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["card_valid_from", "recorded_at", "registry_sequence", "replacement_id", "reports_replaced"]);
    assert_eq!((&replacement["card_valid_from"], &replacement["reports_replaced"]), (&json!(NEW), &json!(1)));
    for (presented, verdict) in [(LOST, "card_listed"), (EVE, "card_listed"), (NEW, "other_card_listed")] {
        assert_eq!(app.verdict(&number, Some(presented)).await, verdict, "{presented}");
    }
    assert_eq!(app.verdict(&number, None).await, "number_listed");
    let id = report["report_id"].as_str().unwrap();
    assert_eq!(app.read_report(id).await.json()["state"], "replaced");
    app.withdraw(id).await.problem(409, "report_not_active");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "a refused withdrawal changes nothing");
}

#[tokio::test]
async fn a_replacement_without_a_report_lists_older_cards() {
    let app = TestApp::spawn().await;
    let number = random_number();
    assert_eq!(app.replace(&number, NEW).await.json()["reports_replaced"], 0);
    let answer = app.check(&check_of(&number, Some(EVE))).await.json();
    assert_eq!((&answer["verdict"], &answer["listing"]["kind"]), (&json!("card_listed"), &json!("superseded")));
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
}

#[tokio::test]
async fn a_replacement_settles_which_card_an_undated_report_meant() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, None).await;
    assert_eq!(app.verdict(&number, Some(NEW)).await, "number_listed");
    assert_eq!(app.replace(&number, NEW).await.json()["reports_replaced"], 1);
    assert_eq!(app.verdict(&number, Some(EVE)).await, "card_listed");
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
}

#[tokio::test]
async fn a_replacement_ends_the_reports_of_every_organization() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let elsewhere = app.add_client("registry", None).await;
    app.report_lost(&number, Some(LOST)).await;
    let body = json!({"id_number": number, "card_valid_from": NEW, "office": "310104-01"});
    let answer = app.post(&elsewhere.token, "/v1/replacements", &body).await;
    assert_eq!((answer.status, &answer.json()["reports_replaced"]), (201, &json!(1)));
    assert_eq!(app.search(&number).await.json()["reports"][0]["state"], "replaced");
}

#[tokio::test]
async fn the_new_card_can_be_lost_as_well() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    app.replace(&number, NEW).await;
    let again = app.report_lost(&number, Some(NEW)).await;
    assert_eq!(app.verdict(&number, Some(NEW)).await, "card_listed");
    assert_eq!(app.withdraw(again["report_id"].as_str().unwrap()).await.status, 200);
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
    assert_eq!(app.verdict(&number, Some(EVE)).await, "card_listed");
}

#[tokio::test]
async fn wrong_values_of_a_replacement_are_refused() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let far = app.clock.today().checked_add(jiff::Span::new().days(91)).unwrap().to_string();
    for (date, code) in [("1984-04-05", "before_first_cards"), (&far, "starts_too_far_ahead"), ("x", "malformed_date")]
    {
        let errors = app.replace(&number, date).await.field_errors();
        assert_eq!(errors, [("/card_valid_from".to_owned(), code.to_owned())]);
    }
    assert_eq!(app.verdict(&number, None).await, "not_listed");
}

#[tokio::test]
async fn a_repeated_replacement_is_recorded_once() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let body = json!({"id_number": number, "card_valid_from": NEW, "office": "110105-03"});
    let mut texts = Vec::new();
    for _ in 0..2 {
        let request = app.request("POST", "/v1/replacements").header("Idempotency-Key", "replacement-1");
        let answer = app.send(request.bearer_auth(&app.police.token).json(&body)).await;
        assert_eq!(answer.status, 201);
        texts.push(answer.text);
    }
    assert_eq!(texts[0], texts[1], "also the reports it replaced the first time");
}
