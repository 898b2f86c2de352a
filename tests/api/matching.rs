//! Which report a found card is matched to: whichever comes first, by an import, and while peppers rotate.

use lostcard::service::rotation::Rotation;

use crate::bodies::random_number;
use crate::child;
use crate::found_cards::{conflict, hand_back, read, register};
use crate::helpers::TestApp;

const LOST: &str = "2016-05-01";
const NEW: &str = "2026-11-01";

#[tokio::test]
async fn a_card_is_matched_whichever_comes_first() {
    let app = TestApp::spawn().await;
    for (found_from, reported_from, is_matched) in [
        (Some(LOST), Some(LOST), true),
        (Some(LOST), None, true),
        (None, Some(LOST), true),
        (None, None, true),
        (Some(LOST), Some("2010-01-01"), false),
    ] {
        let number = random_number();
        let report = app.report_lost(&number, reported_from).await;
        let card = register(&app, &number, found_from).await;
        let expected = is_matched.then_some(&report["report_id"]);
        assert_eq!(card.get("matched_report_id"), expected, "reported first: {found_from:?} {reported_from:?}");
        assert_eq!(read(&app, &card).await.get("matched_report_id"), expected);
        let number = random_number();
        let card = register(&app, &number, found_from).await;
        assert_eq!(card.get("matched_report_id"), None);
        let report = app.report_lost(&number, reported_from).await;
        let expected = is_matched.then_some(&report["report_id"]);
        let stored = read(&app, &card).await;
        assert_eq!(stored.get("matched_report_id"), expected, "found first: {found_from:?} {reported_from:?}");
    }
}

#[tokio::test]
async fn only_an_active_report_is_matched_and_another_takes_its_place_when_it_is_withdrawn() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let first = app.report_lost(&number, Some(LOST)).await;
    app.withdraw(first["report_id"].as_str().unwrap()).await;
    let card = register(&app, &number, Some(LOST)).await;
    assert_eq!(card.get("matched_report_id"), None);
    let second = app.report_lost(&number, Some(LOST)).await;
    app.report_lost(&number, Some(LOST)).await;
    assert_eq!(read(&app, &card).await["matched_report_id"], second["report_id"], "it has one");
    app.withdraw(second["report_id"].as_str().unwrap()).await;
    let fourth = app.report_lost(&number, None).await;
    assert_eq!(read(&app, &card).await["matched_report_id"], fourth["report_id"]);
}

/// Imports reports of these numbers.
fn import(app: &TestApp, numbers: &[&str]) {
    let rows: Vec<_> = numbers.iter().map(|number| format!("{number},{LOST},lost,holder,110105-03,station")).collect();
    let file = app.folder.path().join("reports.csv");
    std::fs::write(&file, format!("id_number,card_valid_from,reason,reporter,office,channel\n{}\n", rows.join("\n")))
        .unwrap();
    child::run_json(&app.config.data, &["import", "--json", file.to_str().unwrap()]);
}

#[tokio::test]
async fn an_imported_report_is_matched_and_withdrawn_by_a_return() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let (card, different) =
        (register(&app, &number, Some(LOST)).await, register(&app, &other, Some("2010-01-01")).await);
    import(&app, &[&number, &other]);
    assert!(read(&app, &card).await["matched_report_id"].is_string());
    assert_eq!(read(&app, &different).await.get("matched_report_id"), None);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(hand_back(&app, &card).await.status, 200);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
}

#[tokio::test]
async fn a_rotation_of_the_pepper_hides_neither_report_nor_replacement() {
    let app = TestApp::spawn().await;
    let numbers: [String; 4] = std::array::from_fn(|_| random_number());
    let [reported_later, replaced_later, reported_before, imported] = &numbers;
    let later = register(&app, reported_later, Some(LOST)).await;
    let replaced = register(&app, replaced_later, Some(LOST)).await;
    let late = register(&app, imported, Some(LOST)).await;
    app.report_lost(reported_before, Some(LOST)).await;
    // From here on new rows have another key than those that are there.
    let rotation = Rotation::prepare(&app.store, &app.keyring, false).await.unwrap();
    rotation.announce().await.unwrap();
    assert!(rotation.switch(true).await.unwrap().is_empty());
    let report = app.report_lost(reported_later, Some(LOST)).await;
    assert_eq!(read(&app, &later).await["matched_report_id"], report["report_id"]);
    let before = register(&app, reported_before, Some(LOST)).await;
    assert!(before["matched_report_id"].is_string());
    assert_eq!(app.replace(replaced_later, NEW).await.status, 201);
    conflict(&hand_back(&app, &replaced).await, "must be destroyed");
    import(&app, &[imported]);
    rotation.rekey(|_| {}).await.unwrap();
    assert!(read(&app, &late).await["matched_report_id"].is_string());
    conflict(&hand_back(&app, &replaced).await, "must be destroyed");
    for (card, number) in [(&later, reported_later), (&before, reported_before), (&late, imported)] {
        assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
        assert_eq!(hand_back(&app, card).await.status, 200);
        assert_eq!(app.verdict(number, Some(LOST)).await, "not_listed");
    }
}
