//! Applications for a new card: accepted and refused, issued and cancelled, whose they are. Their temporary cards are in
//! `temporary_cards`.

use futures_util::future::join_all;
use lostcard::clock::Clock;
use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::random;
use lostcard::domain::acceptance::Ground;
use lostcard::domain::application::{Application, ApplicationReason};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::report::OfficeCode;
use lostcard::store::applications::NewApplication;
use lostcard::store::reports::SealedNumber;
use serde_json::{Value, json};

use crate::bodies::{later, random_number, report_of, with};
use crate::child;
use crate::helpers::{Answer, TestApp};

const LOST: &str = "2016-05-01";
pub(crate) const OFFICE: &str = "310104-01";
const PATH: &str = "/v1/replacement-applications";

/// An application away from home, of somebody with nothing against them.
pub(crate) fn application_of(number: &str) -> Value {
    json!({"id_number": number, "applied_at_office": OFFICE, "household_office": "110105-03", "reason": "lost",
        "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false})
}

async fn apply(app: &TestApp, body: &Value) -> Answer {
    app.post(&app.police.token, PATH, body).await
}

/// A start that a card has which is applied for today.
fn new_start() -> String {
    Clock::System.today().to_string()
}

/// The path of a new application that was accepted.
pub(crate) async fn accepted(app: &TestApp, number: &str) -> String {
    let answer = apply(app, &application_of(number)).await;
    assert_eq!((answer.status, &answer.json()["state"]), (201, &json!("accepted")), "{}", answer.text);
    answer.header("location").to_owned()
}

/// A step in the life of an application.
pub(crate) async fn step(app: &TestApp, application: &str, step: &str, body: &Value) -> Answer {
    app.post(&app.police.token, &format!("{application}/{step}"), body).await
}

pub(crate) async fn issue(app: &TestApp, application: &str, card_valid_from: &str) -> Answer {
    step(app, application, "issue", &json!({"card_valid_from": card_valid_from, "office": OFFICE})).await
}

pub(crate) fn by_office() -> Value {
    json!({ "office": OFFICE })
}

pub(crate) async fn read(app: &TestApp, application: &str) -> Value {
    let answer = app.get(&app.police.token, application).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

const MEMBERS: [&str; 7] =
    ["application_id", "applied_at", "applied_at_office", "ground", "household_office", "reason", "state"];

#[tokio::test]
async fn an_application_is_accepted_and_read_again() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let answer = apply(&app, &application_of(&number)).await;
    let application = answer.json();
    assert_eq!((answer.status, names(&application)), (201, MEMBERS.to_vec()));
    let id = application["application_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("{PATH}/{id}"));
    for (member, value) in [
        ("state", "accepted"),
        ("ground", "listed_place"),
        ("reason", "lost"),
        ("applied_at_office", OFFICE),
        ("household_office", "110105-03"),
    ] {
        assert_eq!(application[member], value);
    }
    assert_eq!(read(&app, answer.header("location")).await, application);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed", "an application lists nothing");
}

#[tokio::test]
async fn the_rules_of_the_day_decide_by_the_offices_places() {
    let app = TestApp::spawn().await;
    for (applied_at, household, fingerprint, changed, flag, state, ground) in [
        ("110105-99", "110105-03", false, true, true, "accepted", "household_place"),
        ("110106-01", "110105-03", false, false, false, "accepted", "listed_place"),
        ("140221-01", "110105-03", false, false, false, "accepted", "nationwide"),
        ("410102-01", "120101-01", true, true, false, "accepted", "pilot_pair"),
        ("310104-01", "110105-03", false, true, false, "refused", "appearance_changed"),
        ("310104-01", "110105-03", true, false, true, "refused", "document_fraud"),
    ] {
        let mut body = application_of(&random_number());
        for (member, value) in [("applied_at_office", applied_at), ("household_office", household)] {
            body = with(body, member, value);
        }
        for (member, value) in
            [("fingerprint_on_file", fingerprint), ("appearance_changed", changed), ("credit_flag", flag)]
        {
            body = with(body, member, value);
        }
        let answer = apply(&app, &body).await;
        let application = answer.json();
        assert_eq!(
            (answer.status, &application["state"], &application["ground"]),
            (201, &json!(state), &json!(ground))
        );
        assert_eq!(names(&application), MEMBERS, "what the rules asked is not kept");
        assert_eq!(read(&app, answer.header("location")).await, application);
    }
}

#[tokio::test]
async fn a_refused_application_stays_refused() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let answer = apply(&app, &with(application_of(&number), "credit_flag", true)).await;
    let path = answer.header("location").to_owned();
    issue(&app, &path, &new_start()).await.problem(409, "wrong_state");
    step(&app, &path, "cancellation", &by_office()).await.problem(409, "wrong_state");
    step(&app, &path, "temporary-card", &by_office()).await.problem(409, "wrong_state");
    step(&app, &path, "temporary-card/return", &by_office()).await.problem(404, "not_found");
    assert_eq!(read(&app, &path).await, answer.json());
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed", "a refused issue lists nothing");
}

#[tokio::test]
async fn every_wrong_member_of_an_application_is_named() {
    let app = TestApp::spawn().await;
    let good = application_of(&random_number());
    for (member, bad, code) in [
        ("id_number", "11010519491231002", "wrong_length"),
        ("applied_at_office", "HALL-7", "unknown_region"),
        ("applied_at_office", "11010-5", "unknown_region"),
        ("household_office", "810000-01", "unknown_region"),
        ("household_office", "160105-01", "unknown_region"),
        ("household_office", "", "malformed_office"),
        ("applied_at_office", "310104_01", "malformed_office"),
        ("reason", "stolen", "unknown_value"),
    ] {
        let answer = apply(&app, &with(good.clone(), member, bad)).await;
        assert_eq!(answer.field_errors(), [(format!("/{member}"), code.to_owned())], "{bad}");
    }
    let all = json!({"id_number": "1", "applied_at_office": "1", "household_office": "1", "reason": "1",
        "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false});
    assert_eq!(apply(&app, &all).await.field_errors().len(), 4);
    for (member, bad) in [("credit_flag", Value::Null), ("fingerprint_on_file", json!("yes")), ("more", json!(1))] {
        apply(&app, &with(good.clone(), member, bad)).await.problem(400, "malformed_json");
    }
    let path = accepted(&app, &random_number()).await;
    for (start, code) in
        [("2026-13-01", "malformed_date"), ("1984-04-05", "before_first_cards"), ("2999-01-01", "starts_too_far_ahead")]
    {
        let errors = issue(&app, &path, start).await.field_errors();
        assert_eq!(errors, [("/card_valid_from".to_owned(), code.to_owned())], "{start}");
    }
    assert_eq!(read(&app, &path).await["state"], "accepted");
}

#[tokio::test]
async fn the_new_card_moves_the_threshold_and_ends_reports() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let path = accepted(&app, &number).await;
    assert_eq!(app.verdict(&number, Some("2026-11-19")).await, "other_card_listed");
    let answer = issue(&app, &path, &new_start()).await;
    let issued = later(answer.json());
    let mut members = [MEMBERS.as_slice(), &["closed_at", "registry_sequence", "replacement_id"]].concat();
    members.sort_unstable();
    assert_eq!((answer.status, &issued["state"], names(&issued)), (200, &json!("issued"), members), "{}", answer.text);
    let (new, eve) = (new_start(), app.clock.today().yesterday().unwrap().to_string());
    for (presented, verdict) in [(LOST, "card_listed"), (&eve, "card_listed"), (&new, "other_card_listed")] {
        assert_eq!(app.verdict(&number, Some(presented)).await, verdict, "{presented}");
    }
    assert!(issued["registry_sequence"].as_u64() > report["registry_sequence"].as_u64());
    assert_eq!(app.read_report(report["report_id"].as_str().unwrap()).await.json()["state"], "replaced");
    let read_again = read(&app, &path).await;
    assert_eq!((&read_again["state"], &read_again["replacement_id"]), (&issued["state"], &issued["replacement_id"]));
    for (name, body) in [
        ("issue", json!({"card_valid_from": new, "office": OFFICE})),
        ("cancellation", by_office()),
        ("temporary-card", by_office()),
    ] {
        step(&app, &path, name, &body).await.problem(409, "wrong_state");
    }
    assert_eq!(app.verdict(&number, Some(&new_start())).await, "other_card_listed", "a refused issue changes nothing");
    assert_eq!(read(&app, &path).await, read_again);
}

/// One wrong digit in the year of a new card would let the card that it replaces pass.
#[tokio::test]
async fn a_new_card_starts_on_or_after_the_day_of_its_application() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let path = accepted(&app, &number).await;
    for start in [app.clock.today().yesterday().unwrap().to_string(), "2016-11-28".to_owned()] {
        let errors = issue(&app, &path, &start).await.field_errors();
        assert_eq!(errors, [("/card_valid_from".to_owned(), "before_application".to_owned())], "{start}");
    }
    assert_eq!(read(&app, &path).await["state"], "accepted");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(issue(&app, &path, &new_start()).await.status, 200);
}

#[tokio::test]
async fn a_new_card_starts_after_every_card_that_is_reported() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let today = new_start();
    app.report_lost(&number, Some(&today)).await;
    let path = accepted(&app, &number).await;
    issue(&app, &path, &today).await.problem(409, "start_not_after_listed");
    assert_eq!(read(&app, &path).await["state"], "accepted");
    assert_eq!(app.verdict(&number, Some(&today)).await, "card_listed", "a refused issue changes nothing");
    let tomorrow = app.clock.today().tomorrow().unwrap().to_string();
    assert_eq!(issue(&app, &path, &tomorrow).await.status, 200);
    assert_eq!(app.verdict(&number, Some(&today)).await, "card_listed");
    assert_eq!(app.verdict(&number, Some(&tomorrow)).await, "other_card_listed");
}

#[tokio::test]
async fn an_issued_card_is_known_to_every_node() {
    let one = TestApp::spawn_at(Clock::System, |config| {
        (config.registry.lease_ms, config.registry.poll_ms) = (300, 150);
    })
    .await;
    let two = one.sibling().await;
    for (here, there) in [(&one, &two), (&two, &one)].into_iter().cycle().take(6) {
        let number = random_number();
        assert_eq!(there.verdict(&number, Some(LOST)).await, "not_listed");
        let path = accepted(here, &number).await;
        assert_eq!(issue(here, &path, &new_start()).await.status, 200);
        assert_eq!(there.verdict(&number, Some(LOST)).await, "card_listed");
    }
}

#[tokio::test]
async fn a_cancelled_application_stays_cancelled() {
    let app = TestApp::spawn().await;
    let path = accepted(&app, &random_number()).await;
    let answer = step(&app, &path, "cancellation", &by_office()).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("cancelled")), "{}", answer.text);
    assert_eq!(read(&app, &path).await, answer.json());
    step(&app, &path, "cancellation", &by_office()).await.problem(409, "wrong_state");
    issue(&app, &path, &new_start()).await.problem(409, "wrong_state");
    step(&app, &path, "temporary-card", &by_office()).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn of_concurrent_ends_one_is_taken() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let path = accepted(&app, &number).await;
    let new = new_start();
    let issuing = join_all((0..4).map(|_| issue(&app, &path, &new)));
    let body = by_office();
    let cancelling = join_all((0..4).map(|_| step(&app, &path, "cancellation", &body)));
    let (issued, cancelled) = futures_util::future::join(issuing, cancelling).await;
    let taken = |answers: &[Answer]| answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken(&issued) + taken(&cancelled), 1);
    for answer in issued.iter().chain(&cancelled).filter(|answer| answer.status != 200) {
        answer.problem(409, "wrong_state");
    }
    let listed = if taken(&issued) == 1 { "card_listed" } else { "not_listed" };
    assert_eq!(app.verdict(&number, Some(LOST)).await, listed);
}

#[tokio::test]
async fn a_repetition_makes_no_second_application() {
    let app = TestApp::spawn().await;
    let body = application_of(&random_number());
    let send = |body: Value| {
        let request = app.request("POST", PATH).header("Idempotency-Key", "key").bearer_auth(&app.police.token);
        app.send(request.json(&body))
    };
    let first = send(body.clone()).await;
    let again = send(body.clone()).await;
    assert_eq!((first.status, again.status, &again.text), (201, 201, &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    send(with(body, "reason", "expired")).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn an_application_is_its_organizations_own() {
    let app = TestApp::spawn().await;
    let path = accepted(&app, &random_number()).await;
    step(&app, &path, "temporary-card", &by_office()).await;
    let elsewhere = app.add_client("registry", None).await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let steps = [
        ("issue", json!({"card_valid_from": new_start(), "office": OFFICE})),
        ("cancellation", by_office()),
        ("temporary-card", by_office()),
        ("temporary-card/return", by_office()),
    ];
    for (name, body) in &steps {
        let target = format!("{path}/{name}");
        app.post(&elsewhere.token, &target, body).await.problem(404, "not_found");
        app.post(&app.hotel.token, &target, body).await.problem(403, "insufficient_scope");
        app.post(&app.police.token, &format!("{PATH}/not-an-id/{name}"), body).await.problem(404, "not_found");
    }
    app.get(&elsewhere.token, &path).await.problem(404, "not_found");
    app.get(&app.hotel.token, &path).await.problem(403, "insufficient_scope");
    app.post(&app.hotel.token, PATH, &application_of(&random_number())).await.problem(403, "insufficient_scope");
    assert_eq!(app.get(&colleague.token, &path).await.json()["state"], "accepted", "nothing was done to it");
}

#[tokio::test]
async fn a_new_pepper_changes_nothing() {
    let app = TestApp::spawn_at(Clock::System, |config| config.registry.store_timeout_ms = 5000).await;
    let (to_issue, to_lose) = (random_number(), random_number());
    let path = accepted(&app, &to_issue).await;
    let lost_path = accepted(&app, &to_lose).await;
    let card = step(&app, &lost_path, "temporary-card", &by_office()).await.json();
    let rotated = child::run_json(&app.config.data, &["keys", "rotate", "--pepper", "--json"]);
    assert_eq!(app.store.count_keyed(2).await.unwrap(), 2, "{rotated}");
    assert_eq!(issue(&app, &path, &new_start()).await.status, 200);
    assert_eq!(app.verdict(&to_issue, Some(LOST)).await, "card_listed");
    let start = card["card_valid_from"].as_str().unwrap();
    assert_eq!(app.report(&report_of(&to_lose, Some(start))).await.status, 201);
    assert_eq!(read(&app, &lost_path).await["temporary_card"]["state"], "lost", "found by its new key");
}

#[tokio::test]
async fn an_application_whose_number_does_not_open_can_be_cancelled_and_not_issued() {
    let app = TestApp::spawn().await;
    let on = app.clock.today();
    let application = Application::new(random::id(UnixMs::EPOCH), Ground::Nationwide, ApplicationReason::Damaged, on);
    let path = format!("{PATH}/{}", application.id);
    let office = OfficeCode::parse(OFFICE).unwrap();
    let sealed_digest = random::bytes::<60>().to_vec();
    let new = NewApplication {
        application,
        organization: app.police.organization,
        number: SealedNumber { lookup_key: LookupKey::from_bytes(random::bytes()), key_version: 1, sealed_digest },
        applied_at_office: office.clone(),
        household_office: office,
        applied_at_ms: app.clock.now_ms(),
    };
    app.change_store(async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_application(&new).await.unwrap();
    })
    .await;
    let refused = issue(&app, &path, &new_start()).await.problem(409, "wrong_state");
    assert!(refused["detail"].as_str().unwrap().contains("record the card as a replacement"));
    assert_eq!(step(&app, &path, "cancellation", &by_office()).await.json()["state"], "cancelled");
}
