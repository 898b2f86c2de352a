//! Replacements: the threshold they move, the reports they end, with and without a report before them.

use jiff::ToSpan;
use serde_json::{Value, json};

use crate::bodies::{check_of, later, random_number, report_of, with};
use crate::helpers::{Answer, TestApp, eventually};

const LOST: &str = "2016-05-01";
const EVE: &str = "2026-10-31";
const NEW: &str = "2026-11-01";
const LATE: &str = "2026-11-10";

#[tokio::test]
async fn a_replacement_ends_reports_and_moves_the_threshold() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    assert_eq!(app.verdict(&number, Some(EVE)).await, "other_card_listed");
    let answer = app.replace(&number, NEW).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let replacement = later(answer.json());
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
    let (number, of_day) = (random_number(), random_number());
    app.report_lost(&number, None).await;
    assert_eq!(app.verdict(&number, Some(NEW)).await, "number_listed");
    assert_eq!(app.replace(&number, NEW).await.json()["reports_replaced"], 1);
    assert_eq!(app.verdict(&number, Some(EVE)).await, "card_listed");
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
    // Who reports says since when.
    assert_eq!(app.report(&with(report_of(&of_day, None), "lost_on", NEW)).await.status, 201);
    assert_eq!(app.replace(&of_day, EVE).await.json()["reports_replaced"], 0);
    assert_eq!(app.replace(&of_day, NEW).await.json()["reports_replaced"], 1);
    assert_eq!(app.verdict(&of_day, Some(NEW)).await, "other_card_listed");
}

/// A start of long ago would let the lost card pass as newer: a registrar whose secret is stolen unlists nobody else's report so.
#[tokio::test]
async fn a_start_before_the_loss_ends_no_report_that_does_not_know_its_card() {
    let app = TestApp::spawn().await;
    let (sibling, thief) = (app.sibling().await, app.add_client("registry", None).await);
    let number = random_number();
    let report = app.report_lost(&number, None).await;
    let state = async || app.read_report(report["report_id"].as_str().unwrap()).await.json()["state"].clone();
    // Nobody said since when the card is missing: a year before its report at most.
    let first = app.clock.today().saturating_sub(1.year());
    let (too_early, first) = (first.yesterday().unwrap().to_string(), first.to_string());
    let body = |start: &str| json!({"id_number": number, "card_valid_from": start, "office": "110105-03"});
    let recorded = app.post(&thief.token, "/v1/replacements", &body("1990-01-01")).await.json();
    assert_eq!(recorded["reports_replaced"], 0, "{recorded}");
    assert_eq!(correct(&app, &thief.token, &recorded, "1991-01-01").await.json()["reports_replaced"], 0);
    assert_eq!(state().await, "active");
    for node in [&app, &sibling] {
        assert_eq!(node.verdict(&number, Some(LOST)).await, "number_listed", "it may be this very card");
        assert_eq!(node.verdict(&number, Some("1985-01-01")).await, "card_listed");
    }
    assert_eq!(app.replace(&number, &too_early).await.json()["reports_replaced"], 0);
    assert_eq!(app.verdict(&number, Some(&too_early)).await, "number_listed");
    // The new card, at last.
    let new = app.replace(&number, &first).await.json();
    assert_eq!((&new["reports_replaced"], state().await), (&json!(1), json!("replaced")));
    assert_eq!(app.verdict(&number, Some(&first)).await, "other_card_listed");
    // Its start was wrong: what only that had ended is in force again.
    assert_eq!(correct(&app, &app.police.token, &new, &too_early).await.status, 200);
    assert_eq!(state().await, "active");
    for node in [&app, &sibling] {
        assert_eq!(node.verdict(&number, Some(&too_early)).await, "number_listed");
    }
    assert_eq!(correct(&app, &app.police.token, &new, &first).await.json()["reports_replaced"], 1);
    assert_eq!(state().await, "replaced");
}

/// A check of a number whose card nobody knows is kept with the report, though the card was listed by a wrong start alone.
#[tokio::test]
async fn who_was_told_by_a_wrong_start_beside_an_undated_report_is_told_to_ask_again() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, None).await;
    let wrong = app.replace(&number, "2020-01-01").await.json();
    let told = app.check(&check_of(&number, Some(LOST))).await.json();
    assert_eq!(told["verdict"], "card_listed");
    let path = format!("/v1/loss-reports/{}/sightings", report["report_id"].as_str().unwrap());
    eventually("the sighting is stored", || async {
        app.get(&app.police.token, &path).await.text.contains("check_id")
    })
    .await;
    assert_eq!(correct(&app, &app.police.token, &wrong, "2010-01-01").await.status, 200);
    assert_eq!(correct(&app, &app.police.token, &wrong, "2009-01-01").await.status, 200);
    let alerts = app.get(&app.hotel.token, "/v1/alerts").await.json();
    let again: Vec<_> =
        alerts["alerts"].as_array().unwrap().iter().map(|alert| (&alert["check_id"], &alert["kind"])).collect();
    assert_eq!(again, [(&told["check_id"], &json!("check_again"))]);
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
async fn a_new_card_that_would_itself_be_listed_is_refused() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    for start in [LOST, "2010-01-01"] {
        app.replace(&number, start).await.problem(409, "start_not_after_listed");
    }
    assert_eq!(app.replace(&number, NEW).await.status, 201);
    app.replace(&number, EVE).await.problem(409, "start_not_after_listed");
    assert_eq!(app.replace(&number, NEW).await.status, 201, "the same card again");
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
    // What was withdrawn lists nothing.
    let number = random_number();
    let report = app.report_lost(&number, Some(NEW)).await;
    app.withdraw(report["report_id"].as_str().unwrap()).await;
    assert_eq!(app.replace(&number, EVE).await.status, 201);
}

async fn correct(app: &TestApp, token: &str, replacement: &Value, card_valid_from: &str) -> Answer {
    let path = format!("/v1/replacements/{}/correction", replacement["replacement_id"].as_str().unwrap());
    app.post(token, &path, &json!({"card_valid_from": card_valid_from, "office": "110105-03"})).await
}

/// One wrong digit in a year let the lost card pass: an organization that watches the card gets an alert.
#[tokio::test]
async fn a_wrong_start_is_corrected_on_every_node_and_watchers_are_told() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let number = random_number();
    let wrong = app.replace(&number, "2016-11-01").await.json();
    let mut watched = Vec::new();
    for start in [EVE, NEW] {
        let check = app.check(&with(check_of(&number, Some(start)), "watch_hours", 24)).await.json();
        assert_eq!(check["verdict"], "other_card_listed");
        watched.push(check["check_id"].clone());
    }
    let answer = correct(&app, &app.police.token, &wrong, NEW).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let right = answer.json();
    assert_eq!((&right["replacement_id"], &right["card_valid_from"]), (&wrong["replacement_id"], &json!(NEW)));
    assert!(right["registry_sequence"].as_u64() > wrong["registry_sequence"].as_u64());
    for node in [&app, &sibling] {
        assert_eq!(node.verdict(&number, Some(EVE)).await, "card_listed");
        assert_eq!(node.verdict(&number, Some(NEW)).await, "other_card_listed");
    }
    let alerts = app.get(&app.hotel.token, "/v1/alerts").await.json();
    let told: Vec<_> = alerts["alerts"].as_array().unwrap().iter().map(|alert| alert["check_id"].clone()).collect();
    assert_eq!(told, watched[..1], "the new card itself is none of them");
    // Said once more it changes nothing, and back again it unlists.
    assert_eq!(correct(&app, &app.police.token, &wrong, NEW).await.status, 200);
    assert_eq!(correct(&app, &app.police.token, &wrong, "2016-11-01").await.status, 200);
    assert_eq!(app.verdict(&number, Some(EVE)).await, "other_card_listed");
}

/// A start that was too late lists cards that are good: who was told so, by an answer or by an alert, gets an alert.
#[tokio::test]
async fn a_correction_tells_those_who_were_told_of_a_good_card() {
    let app = TestApp::spawn().await;
    let bank = app.add_client("checks", None).await;
    let number = random_number();
    // Watched before: an alert says that the card is listed.
    let watched = app.check(&with(check_of(&number, Some(NEW)), "watch_hours", 24)).await.json();
    assert_eq!(watched["verdict"], "not_listed");
    let wrong = app.replace(&number, LATE).await.json();
    // Checked after: the answer says so.
    let path = "/v1/checks";
    let answered = app.post(&bank.token, path, &check_of(&number, Some(NEW))).await.json();
    assert_eq!(answered["verdict"], "card_listed");
    let without = app.post(&bank.token, path, &check_of(&number, None)).await.json();
    assert_eq!(without["verdict"], "number_listed");
    let alerts = async |token: &str| app.get(token, "/v1/alerts").await.json()["alerts"].as_array().unwrap().clone();
    let told = async |token: &str| {
        let told = alerts(token).await.into_iter().map(|alert| (alert["check_id"].clone(), alert["kind"].clone()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&app.hotel.token).await, [(watched["check_id"].clone(), json!("card_listed"))]);
    assert!(told(&bank.token).await.is_empty());
    assert_eq!(correct(&app, &app.police.token, &wrong, NEW).await.status, 200);
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
    // Whether the sighting was in the store or still in the journal when the correction came.
    eventually("the bank gets an alert", || async { !told(&bank.token).await.is_empty() }).await;
    assert_eq!(
        told(&bank.token).await,
        [(answered["check_id"].clone(), json!("check_again"))],
        "and of that check alone"
    );
    let expected =
        [(watched["check_id"].clone(), json!("card_listed")), (watched["check_id"].clone(), json!("check_again"))];
    assert_eq!(told(&app.hotel.token).await, expected);
    // A start that moves on tells nobody again, and nobody who was told already.
    let moved = app.clock.today().to_string();
    assert_eq!(correct(&app, &app.police.token, &wrong, &moved).await.status, 200);
    assert_eq!(correct(&app, &app.police.token, &wrong, NEW).await.status, 200);
    assert_eq!((told(&app.hotel.token).await.len(), told(&bank.token).await.len()), (2, 1));
}

#[tokio::test]
async fn sightings_of_before_a_correction_are_found_in_the_store_too() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let wrong = app.replace(&number, LATE).await.json();
    let mut checks = Vec::new();
    for _ in 0..3 {
        checks.push(app.check(&check_of(&number, Some(NEW))).await.json()["check_id"].as_str().unwrap().to_owned());
    }
    eventually("the sightings are stored", || async { app.metric("lostcard_sightings_stored_total").await >= 3 }).await;
    assert_eq!(correct(&app, &app.police.token, &wrong, NEW).await.status, 200);
    // In the correction's own transaction: nothing is waited for.
    let alerts = app.get(&app.hotel.token, "/v1/alerts").await.json();
    let mut told: Vec<_> = alerts["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["check_id"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    checks.sort();
    assert_eq!(told, checks);
    // The audit log keeps what the start was, and its chain covers it.
    let entries = app.store.list_audit(0).await.unwrap();
    let corrected = entries.iter().find(|entry| entry.action == "replacement_corrected").unwrap();
    assert_eq!(corrected.old_start.as_deref(), Some(LATE));
    let mut end = lostcard::crypto::audit::End::BEGINNING;
    for entry in &entries {
        end.follow(entry).unwrap();
    }
    let mut changed = corrected.clone();
    for other in [None, Some(NEW.to_owned())] {
        changed.old_start = other;
        let mut end = lostcard::crypto::audit::End::BEGINNING;
        let broken = entries.iter().map(|entry| if entry.sequence == changed.sequence { &changed } else { entry });
        assert!(broken.into_iter().try_for_each(|entry| end.follow(entry)).is_err());
    }
}

#[tokio::test]
async fn a_correction_is_the_organizations_own_and_within_the_rules() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let replacement = app.replace(&number, NEW).await.json();
    let elsewhere = app.add_client("registry", None).await;
    correct(&app, &elsewhere.token, &replacement, EVE).await.problem(404, "not_found");
    correct(&app, &app.hotel.token, &replacement, EVE).await.problem(403, "insufficient_scope");
    correct(&app, &app.police.token, &replacement, LOST).await.problem(409, "start_not_after_listed");
    let errors = correct(&app, &app.police.token, &replacement, "2016-13-01").await.field_errors();
    assert_eq!(errors, [("/card_valid_from".to_owned(), "malformed_date".to_owned())]);
    assert_eq!(app.verdict(&number, Some(EVE)).await, "card_listed");
    assert_eq!(correct(&app, &app.police.token, &replacement, EVE).await.status, 200);
    assert_eq!(app.verdict(&number, Some(EVE)).await, "other_card_listed");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "it stays reported");
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
