//! Citizen portals: a person's own records over all organizations, reports made online and taken back, and what is refused.

use lostcard::crypto::signing::base64url;
use serde_json::{Value, json};

use crate::bodies::{check_of, later, random_number, report_of, with};
use crate::helpers::{Answer, TestApp, TestClient, eventually};

const LOST: &str = "2016-05-01";

async fn records(app: &TestApp, portal: &TestClient, number: &str) -> Value {
    let answer = app.post(&portal.token, "/v1/citizen/records", &json!({ "id_number": number })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// A loss as its holder reports it.
fn online_of(number: &str) -> Value {
    json!({"id_number": number, "card_valid_from": LOST, "reason": "lost"})
}

async fn report(app: &TestApp, portal: &TestClient, number: &str) -> Value {
    let answer = app.post(&portal.token, "/v1/citizen/loss-reports", &online_of(number)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn withdraw(app: &TestApp, portal: &TestClient, report: &Value, number: &str) -> Answer {
    let path = format!("/v1/citizen/loss-reports/{}/withdrawal", report["report_id"].as_str().unwrap());
    app.post(&portal.token, &path, &json!({"id_number": number, "reason": "found"})).await
}

/// A report as it was answered when it was filed, as the person is told it.
fn told(mut report: Value, channel: &str, office: &str) -> Value {
    (report["channel"], report["office"]) = (json!(channel), json!(office));
    report
}

#[tokio::test]
async fn records_name_the_office_and_how_to_reach_it() {
    let app = TestApp::spawn().await;
    let (portal, operator) = (app.add_client("citizen", None).await, app.add_client("admin", None).await);
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let today = app.clock.today().to_string();
    let found = json!({"id_number": number, "found_on": today, "found_at_region": "310104", "office": "110105-03"});
    assert_eq!(app.post(&app.police.token, "/v1/found-cards", &found).await.status, 201);
    assert_eq!(records(&app, &portal, &number).await["reports"][0].get("office_name"), None, "nobody has said it");
    let describe = async |name: &str, reach: &str| {
        let office = json!({"code": "110105-03", "name": name, "reach": reach});
        app.post(&operator.token, "/v1/admin/offices", &office).await
    };
    assert_eq!(describe("Quay station", "1 Quay Road").await.status, 200);
    let answer = describe("Harbour station", " 1 Quay Road, +86 10 1234 5678 ").await;
    let known = json!({"code": "110105-03", "name": "Harbour station", "reach": "1 Quay Road, +86 10 1234 5678"});
    assert_eq!((answer.status, answer.json()), (200, known.clone()));
    let read = records(&app, &portal, &number).await;
    for one in [&read["reports"][0], &read["found_cards"][0]] {
        assert_eq!(one["office"], "110105-03");
        assert_eq!((&one["office_name"], &one["office_reach"]), (&known["name"], &known["reach"]));
    }
    for (pointer, code, wrong) in [
        ("/code", "malformed_office", json!({"code": "Quay 1", "name": "a", "reach": "b"})),
        ("/name", "malformed_text", json!({"code": "1", "name": " ", "reach": "b"})),
        ("/reach", "malformed_text", json!({"code": "1", "name": "a", "reach": format!("ask {number}")})),
    ] {
        let errors = app.post(&operator.token, "/v1/admin/offices", &wrong).await.field_errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())]);
    }
    for code in ["110105-04", "310104-01"] {
        let office = json!({"code": code, "name": "Lake station", "reach": "2 Lake Road"});
        app.post(&operator.token, "/v1/admin/offices", &office).await;
    }
    let (mut all, mut path) = (Vec::new(), "/v1/admin/offices?limit=2".to_owned());
    loop {
        let page = app.get(&operator.token, &path).await.json();
        all.extend(page["offices"].as_array().unwrap().iter().map(|office| office["code"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/admin/offices?limit=2&cursor={cursor}");
    }
    assert_eq!(all, ["110105-03", "110105-04", "310104-01"]);
    let forged = base64url(br#"{"list":"listOffices","after":"\u0000"}"#);
    let errors = app.get(&operator.token, &format!("/v1/admin/offices?cursor={forged}")).await.field_errors();
    assert_eq!(errors, [("/cursor".to_owned(), "malformed_cursor".to_owned())]);
}

#[tokio::test]
async fn a_person_sees_the_records_of_every_organization_and_nobody_elses() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let elsewhere = app.add_client("registry", None).await;
    let (number, other) = (random_number(), random_number());
    let nothing = json!({"reports": [], "sightings": [], "found_cards": [], "certificates": []});
    assert_eq!(records(&app, &portal, &number).await, nothing);
    let first = app.report_lost(&number, Some(LOST)).await;
    app.clock.advance(std::time::Duration::from_millis(5));
    let second = app.post(&elsewhere.token, "/v1/loss-reports", &report_of(&number, None)).await.json();
    let today = app.clock.today().to_string();
    let found = json!({"id_number": number, "found_on": today, "found_at_region": "310104", "office": "310104-01"});
    let card = app.post(&elsewhere.token, "/v1/found-cards", &found).await.json();
    let read = records(&app, &portal, &number).await;
    let told = [told(later(second), "station", "110105-03"), told(later(first), "station", "110105-03")];
    assert_eq!(read["reports"], json!(told), "newest first, as registrars see them");
    let [waiting] = &read["found_cards"].as_array().unwrap()[..] else { panic!("{read}") };
    let mut names: Vec<_> = waiting.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["found_card_id", "found_on", "office", "registered_at", "state"]);
    assert_eq!((&waiting["found_card_id"], &waiting["state"]), (&card["found_card_id"], &json!("held")));
    assert_eq!((&waiting["office"], &waiting["found_on"]), (&json!("310104-01"), &json!(today)));
    assert_eq!(records(&app, &portal, &other).await, nothing);
}

#[tokio::test]
async fn an_online_report_is_listed_at_once_and_repeated_once() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let send = |body: Value| {
        let request = app.request("POST", "/v1/citizen/loss-reports").header("Idempotency-Key", "online-1");
        app.send(request.bearer_auth(&portal.token).json(&body))
    };
    let mut body = online_of(&number);
    for (member, value) in [
        ("card_valid_until", json!("2036-05-01")),
        ("lost_on", json!("2026-11-01")),
        ("contact", json!({"phone": "+86 138 0013 8000"})),
        ("reason", json!("stolen")),
    ] {
        body = with(body, member, value);
    }
    let first = send(body.clone()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    let filed = later(first.json());
    let mut names: Vec<_> = filed.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["card_valid_from", "reason", "registry_sequence", "report_id", "reported_at", "state"]);
    assert_eq!((&filed["state"], &filed["reason"]), (&json!("active"), &json!("stolen")));
    let again = send(body).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(records(&app, &portal, &number).await["reports"], json!([told(filed, "online", "online")]));
    send(online_of(&number)).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn an_online_report_takes_a_card_that_was_handed_in() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let today = app.clock.today().to_string();
    let found = json!({"id_number": number, "found_on": today, "found_at_region": "310104", "office": "310104-01"});
    let registered = app.post(&app.police.token, "/v1/found-cards", &found).await;
    let report = report(&app, &portal, &number).await;
    let card = app.get(&app.police.token, registered.header("location")).await.json();
    assert_eq!(card["matched_report_id"], report["report_id"]);
}

#[tokio::test]
async fn a_person_takes_an_online_report_back() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let filed = report(&app, &portal, &number).await;
    // Another client of the same portal.
    let colleague = app.add_client_of(portal.organization, "citizen").await;
    let answer = withdraw(&app, &colleague, &filed, &number).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("withdrawn")), "{}", answer.text);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
    let told = told(later(answer.json()), "online", "online");
    assert_eq!(records(&app, &portal, &number).await["reports"], json!([told]));
    withdraw(&app, &portal, &filed, &number).await.problem(409, "report_not_active");
    let replaced = report(&app, &portal, &number).await;
    app.replace(&number, "2026-11-01").await;
    withdraw(&app, &portal, &replaced, &number).await.problem(409, "report_not_active");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
}

#[tokio::test]
async fn what_was_not_made_here_is_withdrawn_where_it_was_made() {
    let app = TestApp::spawn().await;
    let (portal, other) = (app.add_client("citizen", None).await, app.add_client("citizen", None).await);
    let number = random_number();
    let at_office = app.report_lost(&number, Some(LOST)).await;
    let elsewhere = report(&app, &other, &number).await;
    for (caller, report, place) in
        [(&portal, &at_office, "at an office"), (&portal, &elsewhere, "through another organization")]
    {
        let problem = withdraw(&app, caller, report, &number).await.problem(409, "wrong_state");
        assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
    }
    let own = report(&app, &portal, &number).await;
    let somebody = random_number();
    for report in [&at_office, &elsewhere, &own, &json!({"report_id": uuid::Uuid::nil()}), &json!({"report_id": "x"})] {
        withdraw(&app, &portal, report, &somebody).await.problem(404, "not_found");
    }
    let states: Vec<_> = records(&app, &portal, &number).await["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["state"].clone())
        .collect();
    assert_eq!(states, vec![json!("active"); 3]);
}

#[tokio::test]
async fn what_a_portal_may_not_send_is_refused() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let filed = report(&app, &portal, &number).await;
    let withdrawal = format!("/v1/citizen/loss-reports/{}/withdrawal", filed["report_id"].as_str().unwrap());
    let (asked, taken) = (json!({ "id_number": number }), json!({"id_number": number, "reason": "found"}));
    for (path, body) in [
        ("/v1/citizen/records", &asked),
        ("/v1/citizen/accesses", &asked),
        ("/v1/citizen/loss-reports", &online_of(&number)),
        (&withdrawal, &taken),
    ] {
        for token in [&app.police.token, &app.hotel.token] {
            app.post(token, path, body).await.problem(403, "insufficient_scope");
        }
        let wrong = with(body.clone(), "id_number", "440524188001010015");
        let errors = app.post(&portal.token, path, &wrong).await.field_errors();
        assert_eq!(errors, [("/id_number".to_owned(), "wrong_check_character".to_owned())]);
        app.post(&portal.token, path, &with(body.clone(), "office", "1")).await.problem(400, "malformed_json");
    }
    for (member, value, pointer, code) in [
        ("reason", json!("found"), "/reason", "unknown_value"),
        ("lost_on", json!("2016-04-30"), "/lost_on", "lost_before_card_start"),
        ("contact", json!("13800138000"), "/contact", "not_a_contact"),
    ] {
        let body = with(online_of(&number), member, value);
        let errors = app.post(&portal.token, "/v1/citizen/loss-reports", &body).await.field_errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())]);
    }
    let errors = app.post(&portal.token, &withdrawal, &with(taken, "reason", "lost")).await.field_errors();
    assert_eq!(errors, [("/reason".to_owned(), "unknown_value".to_owned())]);
}

/// A check that finds two reports of one card is one check, whatever is reported when.
#[tokio::test]
async fn each_check_is_told_to_its_person_once() {
    let app = TestApp::spawn().await;
    let (portal, bank) = (app.add_client("citizen", None).await, app.add_client("checks", None).await);
    let number = random_number();
    let see = async |by: &TestClient, purpose: &str, site: Option<&str>| {
        let mut check = with(check_of(&number, Some(LOST)), "purpose", purpose);
        if let Some(site) = site {
            check["site"] = json!(site);
        }
        let answer = app.post(&by.token, "/v1/checks", &check).await;
        assert_eq!(answer.json()["verdict"], "card_listed", "{}", answer.text);
        // Checks of one millisecond have no order.
        app.clock.advance(std::time::Duration::from_millis(5));
    };
    let first = app.report_lost(&number, Some(LOST)).await;
    for _ in 0..4 {
        see(&app.hotel, "lodging", None).await;
    }
    see(&bank, "banking", None).await;
    app.report_lost(&number, Some(LOST)).await;
    for purpose in ["telecom", "banking", "lodging", "banking", "transport", "other"] {
        see(&app.hotel, purpose, None).await;
    }
    for site in ["a", "b", "c"] {
        see(&app.hotel, "lodging", Some(site)).await;
    }
    // The first report is over: what it saw alone is told still.
    let path = format!("/v1/loss-reports/{}/withdrawal", first["report_id"].as_str().unwrap());
    let withdrawn = app.post(&app.police.token, &path, &json!({"office": "110105-03", "reason": "found"})).await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text);
    see(&app.hotel, "transport", None).await;
    let pages = async |limit: u32| {
        let mut body = json!({"id_number": number, "limit": limit});
        let mut all = Vec::new();
        loop {
            let page = app.post(&portal.token, "/v1/citizen/records", &body).await.json();
            all.extend(page["sightings"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else { return all };
            body = with(body, "cursor", cursor);
        }
    };
    let counts = |all: &[Value]| all.iter().map(|one| one["count"].as_u64().unwrap()).collect::<Vec<_>>();
    eventually("all are stored", async || counts(&pages(100).await).iter().sum::<u64>() >= 15).await;
    let all = pages(100).await;
    assert_eq!(counts(&all), [1, 1, 1, 1, 11], "newest first, by the first check of each");
    assert_eq!((&all[4]["purpose"], &all[3]["purpose"]), (&json!("transport"), &json!("banking")), "of the last check");
    for limit in [1, 2, 3] {
        assert_eq!(pages(limit).await, all, "{limit}");
    }
}
