//! One day of each of the people whom the service is for, from the first call to the last, as they would tell it.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::bodies::{check_of, random_number, report_of};
use crate::helpers::{TestApp, TestClient, eventually};

const LOST_CARD: &str = "2016-05-01";
const OFFICE: &str = "110105-03";

fn at(app: &TestApp, days: i32) -> String {
    (app.clock.today() + jiff::Span::new().days(days)).to_string()
}

async fn created(app: &TestApp, client: &TestClient, path: &str, body: &Value) -> Value {
    let answer = app.post(&client.token, path, body).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text);
    answer.json()
}

async fn done(app: &TestApp, client: &TestClient, path: &str, body: &Value) -> Value {
    let answer = app.post(&client.token, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

async fn sightings(app: &TestApp, report_id: &str) -> Vec<Value> {
    let answer = app.get(&app.police.token, &format!("/v1/loss-reports/{report_id}/sightings")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["sightings"].as_array().unwrap().clone()
}

async fn hand_in(app: &TestApp, number: &str) -> Value {
    let found = json!({"id_number": number, "card_valid_from": LOST_CARD, "found_on": at(app, 0),
        "found_at_region": "120101", "office": OFFICE});
    created(app, &app.police, "/v1/found-cards", &found).await
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_else(|| panic!("no {member} in {object}"))
}

#[tokio::test]
async fn the_owner_finds_the_card_again() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST_CARD)).await;
    assert_eq!(app.verdict(&number, Some(LOST_CARD)).await, "card_listed");
    // A stranger hands it in at another police station, which knows at once whose report it belongs to.
    let found = hand_in(&app, &number).await;
    assert_eq!((text(&found, "state"), &found["matched_report_id"]), ("held", &report["report_id"]));
    assert_eq!(app.verdict(&number, Some(LOST_CARD)).await, "card_listed", "until its holder has it");
    let path = format!("/v1/found-cards/{}/return", text(&found, "found_card_id"));
    let body = json!({"office": OFFICE, "holder_verified_by": "fingerprint"});
    assert_eq!(text(&done(&app, &app.police, &path, &body).await, "state"), "returned");
    assert_eq!(app.verdict(&number, Some(LOST_CARD)).await, "not_listed");
    assert_eq!(app.read_report(text(&report, "report_id")).await.json()["state"], "withdrawn");
    app.post(&app.police.token, &path, &body).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn the_owner_gets_a_new_card_and_checks_in_with_it_the_same_evening() {
    let app = TestApp::spawn().await;
    let (number, new_card) = (random_number(), at(&app, 0));
    let report = app.report_lost(&number, Some(LOST_CARD)).await;
    let application = json!({"id_number": number, "applied_at_office": OFFICE, "household_office": "410105-01", "reason": "lost",
        "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false});
    let application = created(&app, &app.police, "/v1/replacement-applications", &application).await;
    assert_eq!(text(&application, "state"), "accepted");
    let path = format!("/v1/replacement-applications/{}/issue", text(&application, "application_id"));
    let issued = done(&app, &app.police, &path, &json!({"card_valid_from": new_card, "office": OFFICE})).await;
    assert_eq!(text(&issued, "state"), "issued");
    let check = app.check(&check_of(&number, Some(&new_card))).await.json();
    assert_eq!((text(&check, "verdict"), text(&check, "advice")), ("other_card_listed", "proceed"));
    assert_eq!(app.verdict(&number, Some(LOST_CARD)).await, "card_listed", "the old one is refused as before");
    assert_eq!(app.read_report(text(&report, "report_id")).await.json()["state"], "replaced");
    assert!(
        sightings(&app, text(&report, "report_id")).await.iter().all(|seen| seen["verdict"] != "other_card_listed")
    );
}

#[tokio::test]
async fn the_thief_at_three_hotels() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let bank = app.add_client("checks", None).await;
    // Hours before anybody reports the card, the thief opens an account with it.
    let mut check = check_of(&number, Some(LOST_CARD));
    (check["purpose"], check["watch_hours"]) = (json!("banking"), json!(48));
    let opened = app.post(&bank.token, "/v1/checks", &check).await.json();
    assert_eq!(text(&opened, "verdict"), "not_listed");
    let report = app.report_lost(&number, Some(LOST_CARD)).await;
    let alerts = app.get(&bank.token, "/v1/alerts").await.json();
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 1, "{alerts}");
    assert_eq!(alerts["alerts"][0]["check_id"], opened["check_id"]);
    let mut check_ids = Vec::new();
    for site in ["north", "south", "west"] {
        let hotel = app.add_client("checks", None).await;
        let mut check = check_of(&number, Some(LOST_CARD));
        check["site"] = json!(site);
        let answer = app.post(&hotel.token, "/v1/checks", &check).await.json();
        assert_eq!((text(&answer, "verdict"), text(&answer, "advice")), ("card_listed", "refuse_and_report"));
        check_ids.push(answer["check_id"].clone());
        if site == "west" {
            let misuse = json!({"check_id": answer["check_id"], "id_number": number, "kind": "impersonation",
                "observed_at": answer["as_of"], "site": site, "narrative": "The photograph is of somebody else."});
            let misuse = created(&app, &hotel, "/v1/misuse-reports", &misuse).await;
            let path = format!("/v1/misuse-reports/{}/resolution", text(&misuse, "misuse_report_id"));
            let open = app.get(&app.police.token, "/v1/misuse-reports?state=open").await.json();
            assert_eq!(open["misuse_reports"][0]["misuse_report_id"], misuse["misuse_report_id"], "{open}");
            let body = json!({"office": OFFICE, "outcome": "confirmed"});
            assert_eq!(text(&done(&app, &app.police, &path, &body).await, "state"), "resolved");
        }
    }
    let report_id = text(&report, "report_id");
    eventually("three sightings", || async { sightings(&app, report_id).await.len() == 3 }).await;
    for seen in sightings(&app, report_id).await {
        assert!(check_ids.contains(&seen["check_id"]), "{seen}");
    }
    // The holder learns where, by kind and region, not by name.
    let portal = app.add_client("citizen", None).await;
    let records = done(&app, &portal, "/v1/citizen/records", &json!({"id_number": number})).await;
    assert_eq!(records["sightings"].as_array().unwrap().len(), 3, "{records}");
    assert_eq!(records["sightings"][0]["organization_kind"], "certifying");
}

#[tokio::test]
async fn the_traveller_without_a_card() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST_CARD)).await;
    let asked = json!({"id_number": number, "purpose": "lodging", "office": OFFICE, "valid_hours": 24});
    let issued = created(&app, &app.police, "/v1/temporary-certificates", &asked).await;
    let verify = async |client: &TestClient, number: &str, purpose: &str| -> Value {
        let body = json!({"certificate": issued["certificate"], "id_number": number, "purpose": purpose});
        done(&app, client, "/v1/temporary-certificates/verify", &body).await
    };
    let bank = app.add_client("checks", None).await;
    assert_eq!(text(&verify(&app.hotel, &number, "lodging").await, "status"), "valid");
    assert_eq!(text(&verify(&bank, &number, "banking").await, "status"), "another_purpose");
    assert_eq!(text(&verify(&app.hotel, &random_number(), "lodging").await, "status"), "another_person");
    let path = format!("/v1/temporary-certificates/{}/revocation", text(&issued, "certificate_id"));
    done(&app, &app.police, &path, &json!({"office": OFFICE})).await;
    assert_eq!(text(&verify(&app.hotel, &number, "lodging").await, "status"), "revoked");
}

#[tokio::test]
async fn the_found_card_of_someone_already_replaced() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report(&report_of(&number, Some(LOST_CARD))).await.json();
    assert_eq!(app.replace(&number, &at(&app, 0)).await.status, 201);
    let found = hand_in(&app, &number).await;
    assert_eq!(text(&found, "state"), "held");
    let path = |step: &str| format!("/v1/found-cards/{}/{step}", text(&found, "found_card_id"));
    let refused: Answer =
        app.post(&app.police.token, &path("return"), &json!({"office": OFFICE, "holder_verified_by": "face"})).await;
    refused.problem(409, "wrong_state");
    let destroyed = done(&app, &app.police, &path("destruction"), &json!({"office": OFFICE})).await;
    assert_eq!(text(&destroyed, "state"), "destroyed");
    assert_eq!(app.verdict(&number, Some(LOST_CARD)).await, "card_listed", "it stays listed to its end");
    assert_eq!(app.verdict(&number, Some(&at(&app, 0))).await, "other_card_listed");
    assert_eq!(app.read_report(text(&report, "report_id")).await.json()["state"], "replaced");
}
