//! Temporary cards: issued once and in time, returned, reported lost; and what a check says of old, temporary and new card.

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::applications::{OFFICE, accepted, application_of, by_office, issue, read, step};
use crate::bodies::{check_of, random_number, report_of};
use crate::helpers::{Answer, TestApp};

const LOST: &str = "2016-05-01";

/// A day counted from today, in Beijing.
fn day(app: &TestApp, days: i32) -> String {
    app.clock.today().saturating_add(days.days()).to_string()
}

async fn temporary(app: &TestApp, application: &str) -> Value {
    let answer = step(app, application, "temporary-card", &by_office()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn take_back(app: &TestApp, application: &str) -> Answer {
    step(app, application, "temporary-card/return", &by_office()).await
}

/// Moves the clock, past the end of every token.
async fn advance(app: &mut TestApp, by: Duration) {
    app.clock.advance(by);
    app.police.token = app.token_for(&app.police).await;
    app.hotel.token = app.token_for(&app.hotel).await;
}

/// Verdict and advice on a card.
async fn says(app: &TestApp, number: &str, card_valid_from: &str) -> String {
    let answer = app.check(&check_of(number, Some(card_valid_from))).await.json();
    format!("{}: {}", answer["verdict"].as_str().unwrap(), answer["advice"].as_str().unwrap())
}

#[tokio::test]
async fn a_temporary_card_starts_today_and_is_valid_for_three_months() {
    let app = TestApp::spawn().await;
    let path = accepted(&app, &random_number()).await;
    let answer = step(&app, &path, "temporary-card", &by_office()).await;
    assert_eq!((answer.status, answer.header("location")), (201, path.as_str()), "{}", answer.text);
    let card = answer.json();
    let today: Date = app.clock.today();
    let until = today.saturating_add(3.months()).to_string();
    let id = &card["temporary_card_id"];
    assert!(id.as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!(
        card,
        json!({"temporary_card_id": id, "state": "outstanding", "card_valid_from": today.to_string(), "card_valid_until": until})
    );
    let application = read(&app, &path).await;
    assert_eq!((&application["temporary_card"], &application["state"]), (&card, &json!("accepted")));
    step(&app, &path, "temporary-card", &by_office()).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn a_repetition_issues_no_second_card_and_another_application_is_another_request() {
    let app = TestApp::spawn().await;
    let (one, two) = (accepted(&app, &random_number()).await, accepted(&app, &random_number()).await);
    let send = |path: &str| {
        let request = app.request("POST", &format!("{path}/temporary-card")).header("Idempotency-Key", "key");
        app.send(request.bearer_auth(&app.police.token).json(&by_office()))
    };
    let (first, again) = (send(&one).await, send(&one).await);
    assert_eq!((first.status, again.status, &again.text), (201, 201, &first.text));
    send(&two).await.problem(422, "idempotency_key_reused");
    assert!(read(&app, &two).await.get("temporary_card").is_none());
}

#[tokio::test]
async fn it_is_issued_on_the_day_of_the_application_or_the_three_after_it() {
    let mut app = TestApp::spawn().await;
    let (one, two) = (accepted(&app, &random_number()).await, accepted(&app, &random_number()).await);
    let applied_on = day(&app, 0);
    // The last millisecond of the third day in Beijing.
    let (day_ms, beijing_ms) = (86_400_000, 8 * 3_600_000);
    let now_ms = app.clock.now_ms().get();
    let fourth = ((now_ms + beijing_ms) / day_ms + 4) * day_ms - beijing_ms;
    let wait = u64::try_from(fourth - 1 - now_ms).unwrap();
    advance(&mut app, Duration::from_millis(wait)).await;
    let body = json!({"office": OFFICE, "card_valid_from": applied_on});
    assert_eq!(step(&app, &one, "temporary-card", &body).await.json()["card_valid_from"], applied_on);
    app.clock.advance(Duration::from_millis(1));
    step(&app, &two, "temporary-card", &body).await.problem(409, "wrong_state");
    assert_eq!(read(&app, &two).await["state"], "accepted", "the new card is made all the same");
}

#[tokio::test]
async fn it_starts_between_the_application_and_today() {
    let mut app = TestApp::spawn().await;
    let path = accepted(&app, &random_number()).await;
    advance(&mut app, Duration::from_hours(24)).await;
    let with_start = |start: &str| json!({"office": OFFICE, "card_valid_from": start});
    for (start, code) in [
        (day(&app, 1), "starts_in_future"),
        ("1984-04-05".to_owned(), "before_first_cards"),
        ("yesterday".to_owned(), "malformed_date"),
    ] {
        let errors = step(&app, &path, "temporary-card", &with_start(&start)).await.field_errors();
        assert_eq!(errors, [("/card_valid_from".to_owned(), code.to_owned())], "{start}");
    }
    step(&app, &path, "temporary-card", &with_start(&day(&app, -2))).await.problem(409, "wrong_state");
    let both = step(&app, &path, "temporary-card", &json!({"office": "_", "card_valid_from": "x"})).await;
    assert_eq!(both.field_errors().len(), 2);
    let card = step(&app, &path, "temporary-card", &with_start(&day(&app, -1))).await.json();
    assert_eq!(card["card_valid_from"], day(&app, -1));
}

#[tokio::test]
async fn old_temporary_and_new_card_are_told_apart() {
    let mut app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let path = accepted(&app, &number).await;
    let start = temporary(&app, &path).await["card_valid_from"].as_str().unwrap().to_owned();
    assert_eq!(says(&app, &number, LOST).await, "card_listed: refuse_and_report");
    assert_eq!(says(&app, &number, &start).await, "other_card_listed: proceed");
    assert_eq!(read(&app, &path).await["temporary_card"]["state"], "outstanding", "the report meant another card");
    // The temporary one is lost as well, and reported somewhere else.
    let elsewhere = app.add_client("registry", None).await;
    let filed = app.post(&elsewhere.token, "/v1/loss-reports", &report_of(&number, Some(&start))).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    assert_eq!(says(&app, &number, &start).await, "card_listed: refuse_and_report");
    let application = read(&app, &path).await;
    assert_eq!((&application["temporary_card"]["state"], &application["state"]), (&json!("lost"), &json!("accepted")));
    step(&app, &path, "temporary-card", &by_office()).await.problem(409, "wrong_state");
    // Three weeks later the new card is there.
    advance(&mut app, Duration::from_hours(21 * 24)).await;
    let new = day(&app, 0);
    let issued = issue(&app, &path, &new).await;
    assert_eq!((issued.status, &issued.json()["temporary_card"]["state"]), (200, &json!("lost")), "{}", issued.text);
    assert_eq!(says(&app, &number, &new).await, "other_card_listed: proceed");
    for old in [LOST, start.as_str()] {
        assert_eq!(says(&app, &number, old).await, "card_listed: refuse_and_report");
    }
}

#[tokio::test]
async fn the_new_card_lists_the_temporary_one_that_nobody_lost() {
    let mut app = TestApp::spawn().await;
    let number = random_number();
    let path = accepted(&app, &number).await;
    let start = temporary(&app, &path).await["card_valid_from"].as_str().unwrap().to_owned();
    assert_eq!(says(&app, &number, &start).await, "not_listed: proceed");
    advance(&mut app, Duration::from_hours(48)).await;
    issue(&app, &path, &start).await.problem(409, "wrong_state");
    let errors = issue(&app, &path, &day(&app, -3)).await.field_errors();
    assert_eq!(errors, [("/card_valid_from".to_owned(), "before_application".to_owned())]);
    assert_eq!(says(&app, &number, &start).await, "not_listed: proceed");
    let new = day(&app, -1);
    assert_eq!(issue(&app, &path, &new).await.status, 200);
    assert_eq!(says(&app, &number, &start).await, "card_listed: refuse_and_report");
    assert_eq!(says(&app, &number, &new).await, "other_card_listed: proceed");
    assert_eq!(read(&app, &path).await["temporary_card"]["state"], "outstanding", "it is still to be returned");
    assert_eq!(take_back(&app, &path).await.json()["state"], "returned");
}

/// What the issue refuses, no correction brings about: the temporary card would not be listed, though it must be returned.
#[tokio::test]
async fn a_correction_leaves_the_new_card_after_the_temporary_one() {
    let app = TestApp::spawn().await;
    let path = accepted(&app, &random_number()).await;
    let start = temporary(&app, &path).await["card_valid_from"].as_str().unwrap().to_owned();
    let issued = issue(&app, &path, &day(&app, 1)).await.json();
    let path = format!("/v1/replacements/{}/correction", issued["replacement_id"].as_str().unwrap());
    let correct = async |start: &str| {
        app.post(&app.police.token, &path, &json!({"card_valid_from": start, "office": OFFICE})).await
    };
    correct(&start).await.problem(409, "wrong_state");
    let errors = correct(&day(&app, -1)).await.field_errors();
    assert_eq!(errors, [("/card_valid_from".to_owned(), "before_application".to_owned())]);
    assert_eq!(correct(&day(&app, 1)).await.status, 200);
}

#[tokio::test]
async fn it_is_returned_once_whatever_became_of_the_application() {
    let app = TestApp::spawn().await;
    for end in ["", "cancellation", "issue", "lost"] {
        let number = random_number();
        let path = accepted(&app, &number).await;
        take_back(&app, &path).await.problem(404, "not_found");
        let card = temporary(&app, &path).await;
        let start = card["card_valid_from"].as_str().unwrap();
        match end {
            "cancellation" => assert_eq!(step(&app, &path, end, &by_office()).await.status, 200),
            "issue" => assert_eq!(issue(&app, &path, &day(&app, 1)).await.status, 200),
            "lost" => assert_eq!(app.report(&report_of(&number, Some(start))).await.status, 201),
            _ => {}
        }
        let returned = take_back(&app, &path).await;
        assert_eq!((returned.status, &returned.json()["state"]), (200, &json!("returned")), "{end}");
        assert_eq!(read(&app, &path).await["temporary_card"], returned.json());
        take_back(&app, &path).await.problem(409, "wrong_state");
        if end == "lost" {
            assert_eq!(app.verdict(&number, Some(start)).await, "card_listed", "that is the report's matter");
        }
    }
}

#[tokio::test]
async fn a_report_of_another_number_or_of_no_start_loses_no_temporary_card() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let path = accepted(&app, &number).await;
    let start = temporary(&app, &path).await["card_valid_from"].as_str().unwrap().to_owned();
    app.report_lost(&other, Some(&start)).await;
    app.report_lost(&number, None).await;
    app.report_lost(&number, Some(LOST)).await;
    assert_eq!(read(&app, &path).await["temporary_card"]["state"], "outstanding");
    assert_eq!(take_back(&app, &path).await.status, 200);
    app.report_lost(&number, Some(&start)).await;
    assert_eq!(read(&app, &path).await["temporary_card"]["state"], "returned", "it is in the office's hands");
}

#[tokio::test]
async fn two_applications_of_one_number_have_a_card_each() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let elsewhere = app.add_client("registry", None).await;
    let path = accepted(&app, &number).await;
    let there = app.post(&elsewhere.token, "/v1/replacement-applications", &application_of(&number)).await;
    let there = there.header("location").to_owned();
    let start = temporary(&app, &path).await["card_valid_from"].as_str().unwrap().to_owned();
    app.post(&elsewhere.token, &format!("{there}/temporary-card"), &by_office()).await;
    app.report_lost(&number, Some(&start)).await;
    assert_eq!(read(&app, &path).await["temporary_card"]["state"], "lost");
    assert_eq!(app.get(&elsewhere.token, &there).await.json()["temporary_card"]["state"], "lost");
}
