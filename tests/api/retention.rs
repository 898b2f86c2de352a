//! Records whose period is over are deleted, by the node's own hourly task and by the command line; contacts are erased on demand.
//! The clock is moved, never waited for. Which row is due when is told by `tests/store`.

use std::time::Duration;

use jiff::ToSpan;
use lostcard::domain::audit::Behind;
use lostcard::service::retention::Retention;
use serde_json::{Value, json};

use crate::backend;
use crate::bodies::{random_number, report_of, with};
use crate::child;
use crate::helpers::{TestApp, eventually};

const LOST: &str = "2016-05-01";
const DAY: Duration = Duration::from_hours(24);

/// A node that looks for what is due every second.
async fn eager() -> TestApp {
    TestApp::spawn_with(|config| config.retention.every_seconds = 1).await
}

/// Moves the clock, and waits until the node has run again.
async fn pass(app: &mut TestApp, days: u32) {
    let now_ms = u64::try_from(app.clock.now_ms().get()).unwrap();
    app.clock.advance(DAY * days);
    let metric = "lostcard_retention_finished_milliseconds";
    eventually("retention has run", || async { app.metric(metric).await > now_ms }).await;
    // Tokens do not live for days.
    (app.hotel.token, app.police.token) = (app.token_for(&app.hotel).await, app.token_for(&app.police).await);
}

/// The same deletion as the operator's, at the node's time.
async fn run_by_hand(app: &TestApp) {
    let policies = lostcard::node::options::retention_policies(&app.config).unwrap();
    Retention { clock: app.clock.clone(), store: app.store.clone(), policies, behind: Behind::default() }
        .run_by_hand()
        .await
        .unwrap();
}

/// A report of a card that ends so many days from now.
async fn report_ending(app: &TestApp, number: &str, days: i32) -> String {
    let last_day = app.clock.today().checked_add(days.days()).unwrap().to_string();
    let answer = app.report(&with(report_of(number, Some(LOST)), "card_valid_until", last_day)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["report_id"].as_str().unwrap().to_owned()
}

async fn assert_no_gap(app: &TestApp) {
    let (head, total, greatest) = app.store.feed_totals().await.unwrap();
    assert_eq!((head, total), (greatest, greatest), "the feed has no gap");
}

/// What a run would delete of a class, or has deleted.
fn rows(told: &Value, class: &str, count: &str) -> u64 {
    let classes = told["classes"].as_array().unwrap();
    classes.iter().find(|row| row["class"] == class).unwrap()[count].as_u64().unwrap()
}

#[tokio::test]
async fn a_listing_ends_after_its_cards_last_day_and_a_withdrawn_report_after_thirty() {
    let mut app = eager().await;
    let [ending, endless, found] = [(); 3].map(|()| random_number());
    let ending_id = report_ending(&app, &ending, 20).await;
    app.report_lost(&endless, Some(LOST)).await;
    let withdrawn = app.report_lost(&found, Some(LOST)).await["report_id"].as_str().unwrap().to_owned();
    assert_eq!(app.withdraw(&withdrawn).await.status, 200);
    pass(&mut app, 20).await;
    assert_eq!(app.verdict(&ending, Some(LOST)).await, "card_listed", "its last day");
    pass(&mut app, 1).await;
    let gone = || async { app.verdict(&ending, Some(LOST)).await == "not_listed" };
    eventually("the listing has ended", gone).await;
    app.read_report(&ending_id).await.problem(404, "not_found");
    pass(&mut app, 8).await;
    assert_eq!(app.read_report(&withdrawn).await.json()["state"], "withdrawn", "29 days");
    pass(&mut app, 1).await;
    app.read_report(&withdrawn).await.problem(404, "not_found");
    assert_eq!(app.verdict(&endless, Some(LOST)).await, "card_listed");
    assert_eq!(app.metric("lostcard_retention_deleted_total{class=\"listings\"}").await, 1);
    assert_eq!(app.metric("lostcard_retention_deleted_total{class=\"withdrawn_reports\"}").await, 1);
    assert_no_gap(&app).await;
}

#[tokio::test]
async fn a_clock_that_steps_by_years_deletes_nothing_by_itself() {
    let mut app = eager().await;
    pass(&mut app, 1).await;
    let number = random_number();
    report_ending(&app, &number, 20).await;
    app.clock.advance(DAY * 40);
    eventually("it was refused", || async { app.metric("lostcard_retention_failures_total").await > 0 }).await;
    app.hotel.token = app.token_for(&app.hotel).await;
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    run_by_hand(&app).await;
    let (app, number) = (&app, &number);
    eventually("the operator knows", || async move { app.verdict(number, Some(LOST)).await == "not_listed" }).await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_run_reaches_every_node() {
    let one = TestApp::spawn().await;
    let two = one.sibling().await;
    let [over, stays] = [(); 2].map(|()| random_number());
    report_ending(&one, &over, -1).await;
    report_ending(&one, &stays, 0).await;
    for app in [&one, &two] {
        assert_eq!(app.verdict(&over, Some(LOST)).await, "card_listed");
    }
    let before = one.changes().await;
    let told = child::run_json(&one.config.data, &["retention", "run", "--dry-run", "--json"]);
    assert_eq!((&told["dry_run"], rows(&told, "listings", "due")), (&json!(true), 1));
    assert_eq!(one.changes().await, before);
    assert_eq!(one.verdict(&over, Some(LOST)).await, "card_listed");
    let told = child::run_json(&one.config.data, &["retention", "run", "--json"]);
    assert_eq!((&told["dry_run"], rows(&told, "listings", "deleted")), (&json!(false), 1));
    let over = &over;
    for app in [&one, &two] {
        eventually("it has ended", || async move { app.verdict(over, Some(LOST)).await == "not_listed" }).await;
        assert_eq!(app.verdict(&stays, Some(LOST)).await, "card_listed");
    }
    assert_no_gap(&one).await;
    let again = child::run_json(&one.config.data, &["retention", "run", "--json"]);
    assert_eq!(rows(&again, "listings", "deleted"), 0);
}

#[tokio::test]
async fn what_was_saved_before_is_right_after() {
    let app = TestApp::spawn().await;
    let [over, stays] = [(); 2].map(|()| random_number());
    report_ending(&app, &over, -1).await;
    report_ending(&app, &stays, 1).await;
    // What this start saves holds both numbers.
    let app = app.restart(async |config| std::fs::remove_file(config.data.join("snapshot/exact")).unwrap()).await;
    let saved = "lostcard_filter_file_writes_total{outcome=\"written\"}";
    eventually("the filter is saved", || async { app.metric(saved).await > 0 }).await;
    let app = app.restart(async |config| {
        child::run_json(&config.data, &["retention", "run", "--json"]);
    });
    let app = app.await;
    assert_eq!(app.metric("lostcard_filter_file_reads_total{outcome=\"used\"}").await, 1);
    assert_eq!(app.verdict(&over, Some(LOST)).await, "not_listed");
    assert_eq!(app.verdict(&stays, Some(LOST)).await, "card_listed");
}

#[tokio::test]
async fn an_idempotency_key_is_forgotten_after_a_day() {
    let mut app = TestApp::spawn().await;
    let body = report_of(&random_number(), Some(LOST));
    let first = app.report_once("folio-1", &body).await;
    app.clock.advance(Duration::from_millis(24 * 3_600_000 - 1));
    app.police.token = app.token_for(&app.police).await;
    run_by_hand(&app).await;
    assert_eq!(app.report_once("folio-1", &body).await.text, first.text, "not yet");
    app.clock.advance(Duration::from_millis(1));
    run_by_hand(&app).await;
    let again = app.report_once("folio-1", &body).await;
    assert_eq!(again.status, 201);
    // Redis counts its own day, by its own clock.
    assert_eq!(again.text == first.text, backend::redis_url().is_some());
}

#[tokio::test]
async fn a_contact_is_erased_beside_a_running_node_and_its_listing_stays() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let body = with(report_of(&number, Some(LOST)), "contact", json!({"phone": "13800138000"}));
    let answer = app.report(&body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["report_id"].as_str().unwrap().to_owned();
    let erase = |id: &str| child::run_json(&app.config.data, &["contact", "erase", "--report", id, "--json"]);
    let off_disk = !backend::is_postgres();
    assert_eq!(erase(&id), json!({"record_id": id, "state": "erased", "off_disk": off_disk}));
    assert_eq!(erase(&id)["state"], "nothing_to_erase");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(app.read_report(&id).await.json()["state"], "active");
    for kind in ["--report", "--found-card", "--misuse-report"] {
        let output = child::run(&app.config.data, &["contact", "erase", kind, &uuid::Uuid::nil().to_string()]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "error: there is no such record\n");
    }
}
