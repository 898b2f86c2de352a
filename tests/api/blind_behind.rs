//! Blind checks of who was away, audits of keys that are over, and a change that cannot be told to who checks blindly.

use lostcard::crypto::digest::IdDigest;
use lostcard::domain::retention::Period;
use lostcard::service::blind::keys;
use lostcard::store::feed::ChangeKind;
use serde_json::json;

use crate::auditor::rewrite;
use crate::blind_client::{Client, blind};
use crate::bodies::{digest_bytes, random_number};
use crate::helpers::{ISSUER, TestApp, eventually};
use crate::receipt_audits::{AUDIT, LOST, blob, checked};
use crate::registry_log::{begin, grow, signed};

#[tokio::test]
async fn who_is_far_behind_reads_the_log_and_asks_again() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let mut client = Client::of(&app, by, "").await;
    let (number, other) = (random_number(), random_number());
    app.report_lost(&number, Some(LOST)).await;
    grow(&app, 5000).await;
    app.report_lost(&other, Some(LOST)).await;
    signed(&app).await;
    client.ask(&[blind(&number)]).await.problem(409, "base_too_old");
    client.catch_up().await;
    assert_eq!(client.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(client.verdict(&number, Some("2016-05-02")).await, "other_card_listed");
    assert_eq!(client.verdict(&other, Some(LOST)).await, "card_listed");
    assert_eq!(client.verdict(&random_number(), None).await, "not_listed");
}

#[tokio::test]
async fn receipts_without_an_entry_are_audited_as_long_as_seed_and_base_are_kept() {
    let app = TestApp::spawn_with(|config| config.blind.audit_keep = Period::Days(30)).await;
    begin(&app).await;
    let never = checked(&app, &random_number(), Some(LOST)).await;
    // At the very begin of the next log the next base would judge.
    grow(&app, 1).await;
    signed(&app).await;
    let versions = app.store.blind_keys().await.unwrap().versions;
    keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap();
    eventually("the next key has its base", async || {
        app.store.blind_keys().await.unwrap().keys.first().is_some_and(|key| key.epoch == 2 && key.base.is_some())
    })
    .await;
    let versions = app.store.blind_keys().await.unwrap().versions.unwrap();
    keys::end_previous(&app.store, &app.keyring, versions, app.clock.now_ms()).await.unwrap();
    // This node has never had the base of the key that is over, and gives it to no client.
    let sibling = app.sibling().await;
    let (mut auditor, by) = (app.add_client("audit", None).await, app.add_client("blind", None).await);
    let told = sibling.post(&auditor.token, AUDIT, &never).await.json();
    assert_eq!(told["outcome"], "consistent", "{told}");
    assert!(told["base"].is_object(), "{told}");
    sibling.get(&by.token, "/v1/blind/bases/1").await.problem(404, "not_found");
    app.clock.advance(std::time::Duration::from_hours(29 * 24));
    auditor.token = app.token_for(&auditor).await;
    let told = sibling.post(&auditor.token, AUDIT, &never).await.json();
    assert_eq!(told["outcome"], "consistent", "{told}");
    app.clock.advance(std::time::Duration::from_hours(2 * 24));
    eventually("no seed", async || app.store.sealed_blind_seed(1).await.unwrap().is_none()).await;
    assert!(app.store.base_piece(1, 0).await.unwrap().is_none(), "nor a base");
    auditor.token = app.token_for(&auditor).await;
    let told = sibling.post(&auditor.token, AUDIT, &never).await.json();
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&json!("cannot_tell"), &json!("the key of that time was destroyed"))
    );
}

#[tokio::test]
async fn who_checks_blindly_is_not_told_that_nothing_changed_where_it_cannot_be_told() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let client = Client::of(&app, by, "").await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    assert_eq!(client.ask(&[blind(&number)]).await.status, 200);
    rewrite(&app, &[format!("UPDATE loss_reports SET sealed_digest = {}", blob(&"00".repeat(60)))]).await;
    let key = app.keyring.newest_pepper().unwrap().lookup_key(&IdDigest::from_bytes(digest_bytes(&number)));
    app.change_store(async |tx| {
        tx.record_change(ChangeKind::Listing, key.as_bytes()).await.unwrap();
    })
    .await;
    client.ask(&[blind(&number)]).await.problem(503, "blind_behind");
}
