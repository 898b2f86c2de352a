//! Blind checks of who was away, audits of keys that are over, files of keys that are none of the store's, and a change that cannot be told
//! to who checks blindly.

use lostcard::crypto::Keyring;
use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::keyfiles::KeyFolder;
use lostcard::domain::retention::Period;
use lostcard::service::blind::keys;
use lostcard::store::feed::ChangeKind;
use lostcard::wiping::spawn_wiped;
use serde_json::json;

use crate::auditor::rewrite;
use crate::blind_client::{Client, EVALUATIONS, blind};
use crate::bodies::{digest_bytes, random_number};
use crate::helpers::{Answer, ISSUER, TestApp, eventually};
use crate::numbers::node_of;
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

/// What is left of the numbers of who was answered.
fn left(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let numbers = answer.header("ratelimit").split(", ").nth(1).unwrap().to_owned();
    numbers.strip_prefix(r#""numbers";r="#).unwrap().split(';').next().unwrap().parse().unwrap()
}

/// A desk asks again until the next base is there.
#[tokio::test]
async fn a_question_that_is_not_evaluated_costs_no_number() {
    let app = node_of("60/1d").await;
    let by = app.add_client("blind", None).await;
    let client = Client::of(&app, by.clone(), "").await;
    let number = random_number();
    let before = left(&client.ask(&[blind(&number)]).await);
    for after in [0, client.known() + 1_000_000] {
        for _ in 0..100 {
            let mut question = client.question(&[blind(&number)]);
            question["after"] = json!(after);
            let refused = app.post(&client.by.token, EVALUATIONS, &question).await;
            assert!([409, 422].contains(&refused.status) || after == client.begin, "{}", refused.text);
        }
    }
    keys::fall_behind(&app.store).await.unwrap();
    app.report_lost(&number, None).await;
    eventually("behind", || async { client.ask(&[blind(&number)]).await.status == 503 }).await;
    for _ in 0..100 {
        client.ask(&[blind(&number), blind(&random_number())]).await.problem(503, "blind_behind");
    }
    let versions = app.store.blind_keys().await.unwrap().versions;
    keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap();
    app.report_lost(&random_number(), None).await;
    let mut newer = Client::of(&app, by, &client.key).await;
    assert_eq!(newer.verdict(&number, None).await, "number_listed");
    assert_eq!(left(&newer.ask(&[blind(&number)]).await), before - 2, "two that were answered");
}

/// A folder that may hold keys.
fn own_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    folder
}

/// A key folder of its own for another machine of the service, without blind keys: those lie in the store.
fn copied_folder(app: &TestApp) -> tempfile::TempDir {
    let folder = own_folder();
    for file in std::fs::read_dir(app.config.key_folder()).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().starts_with("blind-") {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    folder
}

#[tokio::test]
async fn the_file_of_a_foreign_blind_key_makes_no_entries() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let by = app.add_client("blind", None).await;
    // It is left of a rotation that came to nothing, or of another service.
    let foreign = own_folder();
    KeyFolder::new(foreign.path().to_owned()).create_blind(2).unwrap();
    std::fs::copy(foreign.path().join("blind-2.key"), app.config.key_folder().join("blind-2.key")).unwrap();
    let elsewhere = copied_folder(&app);
    let keyring = Keyring::open(KeyFolder::new(elsewhere.path().to_owned())).unwrap();
    let versions = app.store.blind_keys().await.unwrap().versions;
    keys::begin(&app.store, &keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap().unwrap();
    let mut client = Client::of(&app, by, "1").await;
    let numbers: Vec<_> = (0..3).map(|_| random_number()).collect();
    let rows = numbers.iter().map(|number| format!("{number},{LOST},lost,holder,110105-03,station\n"));
    let rows = rows.collect::<Vec<_>>().concat();
    let path = app.folder.path().join("import.csv");
    std::fs::write(&path, format!("id_number,card_valid_from,reason,reporter,office,channel\n{rows}")).unwrap();
    let data = app.config.data.clone();
    let done = spawn_wiped(move || crate::child::run(&data, &["import", path.to_str().unwrap()])).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for number in &numbers {
        assert_eq!(client.verdict(number, Some(LOST)).await, "card_listed");
    }
}

#[tokio::test]
async fn a_blind_key_that_does_not_come_in_force_leaves_no_file() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let file = app.config.key_folder().join("blind-2.key");
    let end = app.store.head().await.unwrap().get();
    // Nothing can follow a log of its own number.
    let log = format!(
        "INSERT INTO log_head (epoch, origin, s0, size, note, signed_at, cosigned_size, ended) VALUES (2, 'x', {end}, 0, '', 0, 0, 1)"
    );
    rewrite(&app, &[log]).await;
    let versions = app.store.blind_keys().await.unwrap().versions;
    assert!(keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.is_err());
    assert!(!file.exists());
    rewrite(&app, &["DELETE FROM log_head WHERE epoch = 2".to_owned()]).await;
    // Nor is one that lies there taken up: who left it may know it.
    KeyFolder::new(app.config.key_folder()).create_blind(2).unwrap();
    let left = std::fs::read(&file).unwrap();
    assert_eq!(keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap(), Some(2));
    assert_ne!(std::fs::read(&file).unwrap(), left);
}
