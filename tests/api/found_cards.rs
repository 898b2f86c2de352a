//! Found cards: registered, returned with their report, destroyed only where replaced, transferred. How they are matched is in
//! `matching`.

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Row};

use crate::bodies::{later, random_number, report_of, with};
use crate::helpers::{Answer, TestApp, TestClient};

const LOST: &str = "2016-05-01";
const NEW: &str = "2026-11-01";

/// A found card as a police station registers it.
fn found_of(app: &TestApp, number: &str, card_valid_from: Option<&str>) -> Value {
    let body = json!({
        "id_number": number, "found_on": app.clock.today().to_string(), "found_at_region": "310104", "office": "310104-01",
    });
    card_valid_from.map_or(body.clone(), |date| with(body, "card_valid_from", date))
}

/// Registers a card and returns the answer.
pub(crate) async fn register(app: &TestApp, number: &str, card_valid_from: Option<&str>) -> Value {
    let answer = app.post(&app.police.token, "/v1/found-cards", &found_of(app, number, card_valid_from)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path_of(card: &Value) -> String {
    format!("/v1/found-cards/{}", card["found_card_id"].as_str().unwrap())
}

pub(crate) async fn read(app: &TestApp, card: &Value) -> Value {
    let answer = app.get(&app.police.token, &path_of(card)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

pub(crate) async fn hand_back(app: &TestApp, card: &Value) -> Answer {
    hand_back_from(app, card, None).await
}

/// The same with the start that is read from the card.
async fn hand_back_from(app: &TestApp, card: &Value, card_valid_from: Option<&str>) -> Answer {
    let body = json!({"office": "310104-01", "holder_verified_by": "fingerprint"});
    let body = card_valid_from.map_or(body.clone(), |date| with(body, "card_valid_from", date));
    app.post(&app.police.token, &format!("{}/return", path_of(card)), &body).await
}

async fn destroy(app: &TestApp, card: &Value) -> Answer {
    app.post(&app.police.token, &format!("{}/destruction", path_of(card)), &json!({"office": "310104-01"})).await
}

async fn transfer(app: &TestApp, card: &Value) -> Answer {
    let body = json!({"office": "310104-01", "to_office": "110105-03"});
    app.post(&app.police.token, &format!("{}/transfer", path_of(card)), &body).await
}

#[track_caller]
pub(crate) fn conflict(answer: &Answer, detail: &str) {
    let problem = answer.problem(409, "wrong_state");
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
}

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_registered_card_has_the_documented_members_and_changes_no_verdict() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let body = with(found_of(&app, &number, Some(LOST)), "finder_contact", json!({"phone": "+86 138 0013 8000"}));
    let answer = app.post(&app.police.token, "/v1/found-cards", &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"), "{}", answer.text);
    let card = answer.json();
    assert_eq!((names(&card), &card["state"]), (vec!["found_card_id", "state"], &json!("held")));
    assert_eq!(answer.header("location"), path_of(&card));
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
    let stored = read(&app, &card).await;
    assert_eq!(
        names(&stored),
        ["card_valid_from", "found_at_region", "found_card_id", "found_on", "office", "registered_at", "state"]
    );
    assert_eq!((&stored["found_card_id"], &stored["card_valid_from"]), (&card["found_card_id"], &json!(LOST)));
    assert_eq!((&stored["office"], &stored["found_at_region"]), (&json!("310104-01"), &json!("310104")));
}

#[tokio::test]
async fn a_return_withdraws_the_report_of_any_organization_at_once_where_it_may() {
    let app = TestApp::spawn().await;
    app.set_offices(&app.police, "1 3", true).await;
    let number = random_number();
    let elsewhere = app.add_client("registry", None).await;
    let report = app.post(&elsewhere.token, "/v1/loss-reports", &report_of(&number, Some(LOST))).await.json();
    let card = register(&app, &number, Some(LOST)).await;
    assert_eq!(card["matched_report_id"], report["report_id"]);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "a held card changes no verdict");
    let answer = hand_back(&app, &card).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
    let returned = answer.json();
    assert_eq!((&returned["state"], &returned["holder_verified_by"]), (&json!("returned"), &json!("fingerprint")));
    assert!(returned["closed_at"].is_string() && returned.get("to_office").is_none(), "{returned}");
    assert_eq!(read(&app, &card).await, later(returned));
    let path = format!("/v1/loss-reports/{}", report["report_id"].as_str().unwrap());
    let withdrawn = app.get(&elsewhere.token, &path).await.json();
    assert_eq!(withdrawn["state"], "withdrawn");
    assert!(withdrawn["registry_sequence"].as_u64() > report["registry_sequence"].as_u64());
}

#[tokio::test]
async fn a_return_without_a_report_in_force_just_returns() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let unreported = register(&app, &number, None).await;
    assert_eq!(hand_back_from(&app, &unreported, Some(LOST)).await.json()["state"], "returned");
    let report = app.report_lost(&number, Some(LOST)).await;
    let card = register(&app, &number, Some(LOST)).await;
    app.withdraw(report["report_id"].as_str().unwrap()).await;
    let withdrawn = app.read_report(report["report_id"].as_str().unwrap()).await.json();
    assert_eq!(hand_back(&app, &card).await.json()["state"], "returned");
    assert_eq!(app.read_report(report["report_id"].as_str().unwrap()).await.json(), withdrawn);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
}

#[tokio::test]
async fn a_replaced_card_is_destroyed_and_never_returned() {
    let app = TestApp::spawn().await;
    // What the card is known by, whether its loss was reported, and whether the replacement came before it was found.
    for (found_from, is_reported, is_replaced_before) in [
        (Some(LOST), true, false),
        (Some(LOST), false, false),
        (Some(LOST), false, true),
        (None, true, false),
        (None, false, false),
    ] {
        let number = random_number();
        if is_reported {
            app.report_lost(&number, found_from).await;
        }
        if is_replaced_before {
            assert_eq!(app.replace(&number, NEW).await.status, 201);
        }
        let card = register(&app, &number, found_from).await;
        if !is_replaced_before {
            conflict(&destroy(&app, &card).await, "no newer card");
            assert_eq!(app.replace(&number, NEW).await.status, 201);
        }
        conflict(&hand_back_from(&app, &card, Some(LOST)).await, "must be destroyed");
        assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "a refused return changes nothing");
        let destroyed = destroy(&app, &card).await.json();
        assert_eq!(destroyed["state"], "destroyed", "{destroyed}");
        assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "the old card stays listed");
    }
}

#[tokio::test]
async fn the_new_card_itself_is_returned() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.replace(&number, NEW).await;
    app.report_lost(&number, Some(NEW)).await;
    for found_from in [Some(NEW), None] {
        let card = register(&app, &number, found_from).await;
        conflict(&destroy(&app, &card).await, "no newer card");
        assert_eq!(hand_back_from(&app, &card, Some(NEW)).await.json()["state"], "returned", "{found_from:?}");
    }
    assert_eq!(app.verdict(&number, Some(NEW)).await, "other_card_listed");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
}

/// The office has the card in hand: it says which of the person's cards goes back, and so which report ends.
#[tokio::test]
async fn a_return_takes_the_start_of_the_card_and_ends_the_report_of_that_card() {
    let app = TestApp::spawn().await;
    let start = |answer: &Answer| answer.field_errors();
    // The card, the starts of the reports in their order, and which of them its return ends.
    for (card_from, reported, ended) in [
        (LOST, vec![Some(NEW)], None),
        (NEW, vec![Some(LOST)], None),
        (NEW, vec![Some(LOST), None], Some(1)),
        (LOST, vec![None, Some(LOST)], Some(1)),
        (LOST, vec![Some(LOST), None], Some(0)),
    ] {
        let number = random_number();
        let mut reports = Vec::new();
        for lost in &reported {
            reports.push(app.report_lost(&number, *lost).await["report_id"].as_str().unwrap().to_owned());
        }
        let card = register(&app, &number, None).await;
        assert!(card["matched_report_id"].is_string(), "it may be any of them until then");
        let refused = hand_back(&app, &card).await;
        assert_eq!(start(&refused), [("/card_valid_from".to_owned(), "start_needed".to_owned())]);
        let returned = hand_back_from(&app, &card, Some(card_from)).await;
        assert_eq!(returned.status, 200, "{}", returned.text);
        assert_eq!(returned.json()["card_valid_from"], card_from);
        assert_eq!(read(&app, &card).await, if ended.is_some() { later(returned.json()) } else { returned.json() });
        for (nth, report) in reports.iter().enumerate() {
            let expected = if ended == Some(nth) { "withdrawn" } else { "active" };
            assert_eq!(app.read_report(report).await.json()["state"], expected, "{card_from} {reported:?}");
        }
    }
    let card = register(&app, &random_number(), Some(LOST)).await;
    let refused = hand_back_from(&app, &card, Some(NEW)).await;
    assert_eq!(start(&refused), [("/card_valid_from".to_owned(), "other_start".to_owned())]);
    let ahead = hand_back_from(&app, &card, Some("2099-01-01")).await;
    assert_eq!(start(&ahead), [("/card_valid_from".to_owned(), "starts_in_future".to_owned())]);
    assert_eq!(hand_back_from(&app, &card, Some(LOST)).await.status, 200);
}

#[tokio::test]
async fn a_card_is_sent_to_another_office_than_its_own() {
    let app = TestApp::spawn().await;
    let card = register(&app, &random_number(), Some(LOST)).await;
    let path = format!("{}/transfer", path_of(&card));
    let body = json!({"office": "310104-01", "to_office": "310104-01"});
    let refused = app.post(&app.police.token, &path, &body).await;
    assert_eq!(refused.field_errors(), [("/to_office".to_owned(), "same_office".to_owned())]);
    assert_eq!(read(&app, &card).await["state"], "held");
    assert_eq!(transfer(&app, &card).await.status, 200);
}

#[tokio::test]
async fn a_card_leaves_once() {
    let app = TestApp::spawn().await;
    let (returned, transferred) = (random_number(), random_number());
    let returned = register(&app, &returned, Some(LOST)).await;
    assert_eq!(hand_back(&app, &returned).await.status, 200);
    let transferred = register(&app, &transferred, None).await;
    let answer = transfer(&app, &transferred).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((&answer.json()["state"], &answer.json()["to_office"]), (&json!("transferred"), &json!("110105-03")));
    let number = random_number();
    let destroyed = register(&app, &number, Some(LOST)).await;
    app.replace(&number, NEW).await;
    assert_eq!(destroy(&app, &destroyed).await.status, 200);
    for (card, state) in [(&returned, "returned"), (&transferred, "transferred"), (&destroyed, "destroyed")] {
        let before = read(&app, card).await;
        for refused in [hand_back(&app, card).await, destroy(&app, card).await, transfer(&app, card).await] {
            conflict(&refused, &format!("it was {state}"));
        }
        assert_eq!(read(&app, card).await, before);
    }
}

#[tokio::test]
async fn of_concurrent_returns_one_succeeds() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let card = register(&app, &number, Some(LOST)).await;
    let answers = futures_util::future::join_all((0..8).map(|_| hand_back(&app, &card))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn another_organizations_found_card_does_not_exist() {
    let app = TestApp::spawn().await;
    let card = register(&app, &random_number(), None).await;
    let other: TestClient = app.add_client("registry", None).await;
    app.get(&other.token, &path_of(&card)).await.problem(404, "not_found");
    for (transition, body) in [
        ("return", json!({"office": "1", "holder_verified_by": "face"})),
        ("destruction", json!({"office": "1"})),
        ("transfer", json!({"office": "1", "to_office": "2"})),
    ] {
        let path = format!("{}/{transition}", path_of(&card));
        app.post(&other.token, &path, &body).await.problem(404, "not_found");
        app.post(&app.hotel.token, &path, &body).await.problem(403, "insufficient_scope");
        let nobodys = format!("/v1/found-cards/{}/{transition}", uuid::Uuid::nil());
        app.post(&app.police.token, &nobodys, &body).await.problem(404, "not_found");
        app.post(&app.police.token, &format!("/v1/found-cards/x/{transition}"), &body).await.problem(404, "not_found");
    }
    assert_eq!(read(&app, &card).await["state"], "held");
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    assert_eq!(app.get(&colleague.token, &path_of(&card)).await.status, 200);
}

#[tokio::test]
async fn a_repeated_registration_gets_the_first_answer() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let send = |body: Value| {
        let request = app.request("POST", "/v1/found-cards").header("Idempotency-Key", "found-1");
        app.send(request.bearer_auth(&app.police.token).json(&body))
    };
    let first = send(found_of(&app, &number, None)).await;
    app.report_lost(&number, None).await;
    let again = send(found_of(&app, &number, None)).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    send(found_of(&app, &number, Some(LOST))).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn wrong_values_of_a_found_card_are_refused_by_pointer_and_code() {
    let app = TestApp::spawn().await;
    let good = found_of(&app, &random_number(), Some(LOST));
    let tomorrow = app.clock.today().tomorrow().unwrap().to_string();
    for (member, value, pointer, code) in [
        ("id_number", json!("440524188001010015"), "/id_number", "wrong_check_character"),
        ("card_valid_from", json!("1984-04-05"), "/card_valid_from", "before_first_cards"),
        ("found_on", json!(tomorrow), "/found_on", "found_in_future"),
        ("found_on", json!("2016-04-30"), "/found_on", "found_before_card_start"),
        ("found_on", json!("20260501"), "/found_on", "malformed_date"),
        ("found_at_region", json!("3101040"), "/found_at_region", "malformed_region"),
        ("found_at_region", json!("000000"), "/found_at_region", "malformed_region"),
        ("office", json!("a b"), "/office", "malformed_office"),
        ("finder_contact", json!({"phone": "call me"}), "/finder_contact/phone", "malformed_phone"),
        ("finder_contact", json!("13800138000"), "/finder_contact", "not_a_contact"),
    ] {
        let answer = app.post(&app.police.token, "/v1/found-cards", &with(good.clone(), member, value)).await;
        assert_eq!(answer.field_errors(), [(pointer.to_owned(), code.to_owned())]);
    }
    for (member, value) in [("card_valid_from", Value::Null), ("found_on", json!(7)), ("extra", json!(1))] {
        let body = with(good.clone(), member, value);
        app.post(&app.police.token, "/v1/found-cards", &body).await.problem(400, "malformed_json");
    }
    let card = register(&app, &random_number(), None).await;
    for (transition, body, pointer, code) in [
        ("return", json!({"office": "1", "holder_verified_by": "voice"}), "/holder_verified_by", "unknown_value"),
        ("return", json!({"office": "", "holder_verified_by": "face"}), "/office", "malformed_office"),
        ("destruction", json!({"office": ""}), "/office", "malformed_office"),
        ("transfer", json!({"office": "1", "to_office": ""}), "/to_office", "malformed_office"),
    ] {
        let answer = app.post(&app.police.token, &format!("{}/{transition}", path_of(&card)), &body).await;
        assert_eq!(answer.field_errors(), [(pointer.to_owned(), code.to_owned())]);
    }
    assert_eq!(read(&app, &card).await["state"], "held");
}

/// What the audit log tells that was done, from the first entry.
async fn deeds(app: &TestApp) -> Vec<String> {
    sqlx::any::install_default_drivers();
    let embedded = || format!("sqlite:{}", app.config.data.join("lostcard.db").display());
    let url = app.config.database_url.clone().unwrap_or_else(embedded);
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    let rows = sqlx::query("SELECT action FROM audit ORDER BY seq").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.try_get("action").unwrap()).collect()
}

#[tokio::test]
async fn every_read_and_write_leaves_its_deed() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let online = json!({"id_number": number, "card_valid_from": LOST, "reason": "lost"});
    let report = app.post(&portal.token, "/v1/citizen/loss-reports", &online).await.json();
    let withdrawal = format!("/v1/citizen/loss-reports/{}/withdrawal", report["report_id"].as_str().unwrap());
    let taken = json!({"id_number": number, "reason": "found"});
    assert_eq!(app.post(&portal.token, &withdrawal, &taken).await.status, 200);
    app.report_lost(&number, Some(LOST)).await;
    let cards = [Some(LOST), None, Some("2010-01-01")].map(|from| register(&app, &number, from));
    let [first, second, third] = futures_util::future::join_all(cards).await.try_into().unwrap();
    assert_eq!(transfer(&app, &second).await.status, 200);
    assert_eq!(hand_back(&app, &first).await.status, 200);
    app.replace(&number, NEW).await;
    conflict(&hand_back(&app, &third).await, "must be destroyed");
    assert_eq!(destroy(&app, &third).await.status, 200);
    read(&app, &third).await;
    app.post(&portal.token, "/v1/citizen/records", &json!({ "id_number": number })).await;
    let expected = [
        "report_filed",
        "report_withdrawn",
        "report_filed",
        "found_card_registered",
        "found_card_registered",
        "found_card_registered",
        "found_card_transferred",
        "report_withdrawn",
        "found_card_returned",
        "replacement_recorded",
        "found_card_destroyed",
        "found_card_read",
        "citizen_records_read",
    ];
    assert_eq!(deeds(&app).await, expected, "a refusal leaves none");
}
