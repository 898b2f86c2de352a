//! What a node holds of all numbers saved on local disk, exact listings or a filter: it starts from that and the feed since, and
//! refuses what is in doubt. Whatever the file holds, no listed number is answered `not_listed`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lostcard::config::Config;

use crate::backend;
use crate::bodies::random_number;
use crate::child;
use crate::helpers::{TestApp, eventually};

const LOST: &str = "2016-05-01";

fn file_in(config: &Config) -> PathBuf {
    config.data.join(if config.registry.exact_mib > 0 { "snapshot/exact" } else { "snapshot/filter" })
}

/// Waits until the node has saved so many filters.
async fn saved(app: &TestApp, files: u64) {
    eventually("the filter is saved", || async move {
        app.metric("lostcard_filter_file_writes_total{outcome=\"written\"}").await >= files
    })
    .await;
}

#[track_caller]
fn assert_loaded(metrics: &str, outcome: &str) {
    let line = format!("lostcard_filter_file_reads_total{{outcome=\"{outcome}\"}} 1");
    assert!(metrics.lines().any(|each| each == line), "not {line}:\n{metrics}");
}

async fn report_all(app: &TestApp, count: usize) -> Vec<String> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(random_number());
        app.report_lost(&numbers[numbers.len() - 1], Some(LOST)).await;
    }
    numbers
}

async fn assert_verdicts(app: &TestApp, numbers: &[String], verdict: &str) {
    for number in numbers {
        assert_eq!(app.verdict(number, Some(LOST)).await, verdict);
    }
}

/// A node whose saved filter holds these numbers and no others.
async fn node_with_saved(count: usize) -> (TestApp, Vec<String>) {
    with_saved(TestApp::spawn().await, count).await
}

async fn with_saved(app: TestApp, count: usize) -> (TestApp, Vec<String>) {
    let numbers = report_all(&app, count).await;
    saved(&app, 1).await;
    let app = app.restart(async |config| fs::remove_file(file_in(config)).unwrap()).await;
    saved(&app, 1).await;
    assert_eq!(app.metric("lostcard_filter_keys").await, count as u64);
    (app, numbers)
}

/// Other numbers, stored by the command line while no node runs.
fn import(data: &Path, numbers: &[String]) {
    let file = data.with_extension("csv");
    let mut text =
        "id_number,card_valid_from,card_valid_until,reason,lost_on,reporter,office,channel,reported_at\n".to_owned();
    for number in numbers {
        let _ = writeln!(text, "{number},{LOST},,lost,2020-01-01,holder,110105-03,station,2020-01-02T03:04:05.000Z");
    }
    fs::write(&file, text).unwrap();
    let output = child::run(data, &["import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_node_starts_from_its_saved_filter_and_knows_what_others_changed_since() {
    Box::pin(starts_from_what_was_saved(256)).await;
    Box::pin(starts_from_what_was_saved(0)).await;
}

async fn starts_from_what_was_saved(exact_mib: u64) {
    let first = TestApp::spawn_with(|config| config.registry.exact_mib = exact_mib).await;
    let withdrawn = random_number();
    let report = first.report_lost(&withdrawn, Some(LOST)).await;
    let kept = report_all(&first, 3).await;
    saved(&first, 1).await;
    let first = first.restart(async |config| fs::remove_file(file_in(config)).unwrap()).await;
    saved(&first, 1).await;
    let second = first.sibling().await;
    first.stop().await;
    assert_eq!(second.withdraw(report["report_id"].as_str().unwrap()).await.status, 200);
    let since = report_all(&second, 2).await;
    let third = second.sibling().await;
    second.stop().await;
    assert_loaded(&third.metrics().await, "used");
    assert_eq!(third.metric("lostcard_filter_keys").await, 4, "the filter of the first node's start");
    assert_verdicts(&third, &kept, "card_listed").await;
    assert_verdicts(&third, &since, "card_listed").await;
    assert_verdicts(&third, &[withdrawn, random_number()], "not_listed").await;
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_the_filter_built_from_rows() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("damaged", |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("damaged", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() - 10]).unwrap();
        }),
        ("format", |file| fs::write(file, "a file of a version that is still to come").unwrap()),
        ("unreadable", |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
    ];
    let (mut app, numbers) = node_with_saved(3).await;
    for (reason, damage) in damages {
        saved(&app, 1).await;
        app = app.restart(async |config| damage(&file_in(config))).await;
        assert_loaded(&app.metrics().await, reason);
        assert_eq!(app.metric("lostcard_filter_keys").await, 3);
        assert_verdicts(&app, &numbers, "card_listed").await;
        assert_verdicts(&app, &[random_number()], "not_listed").await;
    }
}

#[tokio::test]
async fn another_stores_file_is_refused() {
    let (app, numbers) = node_with_saved(2).await;
    let keys = app.config.key_folder();
    let same_keys = TestApp::spawn_with(|config| config.keys = Some(keys)).await;
    let own_keys = TestApp::spawn().await;
    let mut app = app;
    for (other, reason) in [(same_keys, "epoch"), (own_keys, "damaged")] {
        saved(&other, 1).await;
        app = app.restart(async |config| _ = fs::copy(file_in(&other.config), file_in(config)).unwrap()).await;
        assert_loaded(&app.metrics().await, reason);
        assert_verdicts(&app, &numbers, "card_listed").await;
    }
}

/// The back-up has the same epoch, and its feed grows beyond the saved filter's sequence with other numbers in it.
#[tokio::test]
async fn a_store_that_was_restored_and_went_on_differently_is_noticed() {
    // The back-up is a copy of the embedded store's file, whatever the suite runs on.
    let (app, before) = with_saved(TestApp::spawn_with(backend::embed).await, 2).await;
    let app = app.restart(async |config| _ = fs::copy(database(config), backup(config)).unwrap()).await;
    let lost_with_the_disk = report_all(&app, 5).await;
    // Another start from rows, so that the saved filter is newer than the back-up.
    let app = app.restart(async |config| fs::remove_file(file_in(config)).unwrap()).await;
    saved(&app, 1).await;
    assert_eq!(app.metric("lostcard_filter_keys").await, 7);
    let after: Vec<_> = (0..30).map(|_| random_number()).collect();
    let app = app
        .restart(async |config| {
            fs::copy(backup(config), database(config)).unwrap();
            import(&config.data, &after);
        })
        .await;
    assert_loaded(&app.metrics().await, "history");
    assert_verdicts(&app, &before, "card_listed").await;
    assert_verdicts(&app, &after, "card_listed").await;
    assert_verdicts(&app, &lost_with_the_disk, "not_listed").await;
}

fn database(config: &Config) -> PathBuf {
    config.data.join("lostcard.db")
}

fn backup(config: &Config) -> PathBuf {
    config.data.join("backup.db")
}

#[tokio::test]
async fn a_disk_that_takes_no_file_stops_no_node() {
    let app = TestApp::spawn_with(|config| {
        fs::create_dir_all(&config.data).unwrap();
        fs::write(config.data.join("snapshot"), "where the folder should be").unwrap();
    })
    .await;
    let numbers = report_all(&app, 2).await;
    let node = &app;
    eventually("reported", || async move {
        node.metric("lostcard_filter_file_writes_total{outcome=\"failed\"}").await == 1
    })
    .await;
    assert_verdicts(&app, &numbers, "card_listed").await;
    let app = app.restart(async |_| {}).await;
    assert_loaded(&app.metrics().await, "unreadable");
    assert_verdicts(&app, &numbers, "card_listed").await;
}

#[tokio::test]
async fn a_rebuilt_filter_is_saved_once_a_minute_at_most() {
    is_saved_once_a_minute(256).await;
    is_saved_once_a_minute(0).await;
}

async fn is_saved_once_a_minute(exact_mib: u64) {
    let app = TestApp::spawn_with(|config| {
        config.registry.rebuild_after = 1;
        config.registry.exact_mib = exact_mib;
    })
    .await;
    saved(&app, 1).await;
    let numbers = report_all(&app, 1).await;
    let node = &app;
    eventually("rebuilt", || async move { node.metric("lostcard_filter_keys").await == 1 }).await;
    assert_eq!(app.metric("lostcard_filter_file_writes_total{outcome=\"written\"}").await, 1, "within the minute");
    app.clock.advance(Duration::from_mins(1));
    saved(&app, 2).await;
    let app = app.restart(async |_| {}).await;
    assert_loaded(&app.metrics().await, "used");
    assert_eq!(app.metric("lostcard_filter_keys").await, 1);
    assert_verdicts(&app, &numbers, "card_listed").await;
}

/// A node that was set up for a filter, as version 0.1 was, is ready from its file, and holds the listings soon after; and back.
#[tokio::test]
async fn a_filter_that_was_saved_gives_way_to_exact_listings_and_they_to_a_filter() {
    let (app, numbers) = with_saved(TestApp::spawn_with(|config| config.registry.exact_mib = 0).await, 3).await;
    let app = app.restart(async |config| config.registry.exact_mib = 1).await;
    assert_loaded(&app.metrics().await, "used");
    let node = &app;
    eventually("exact", || async move { node.metric("lostcard_exact").await == 1 }).await;
    assert_verdicts(&app, &numbers, "card_listed").await;
    assert_verdicts(&app, &[random_number()], "not_listed").await;
    app.clock.advance(Duration::from_mins(1));
    saved(&app, 1).await;
    assert!(file_in(&app.config).exists() && !app.config.data.join("snapshot/filter").exists());
    let app = app.restart(async |config| config.registry.exact_mib = 0).await;
    assert_eq!((app.metric("lostcard_exact").await, app.metric("lostcard_filter_keys").await), (0, 3));
    assert_verdicts(&app, &numbers, "card_listed").await;
}

/// What is listed is known exactly: no hit asks the store, whatever was reported, withdrawn or replaced a moment ago.
#[tokio::test]
async fn no_hit_asks_the_store_while_all_listings_are_in_memory() {
    for rebuild_after in [1, 50_000] {
        let app = TestApp::spawn_with(|config| config.registry.rebuild_after = rebuild_after).await;
        let numbers = report_all(&app, 5).await;
        let node = &app;
        let numbers = &numbers;
        let asks_none = || async move {
            let before = node.metric("lostcard_lookups_total{tier=\"store\"}").await;
            assert_verdicts(node, numbers, "card_listed").await;
            node.metric("lostcard_lookups_total{tier=\"store\"}").await == before
        };
        let asks_none = &asks_none;
        eventually("no hit asks the store", || async move { asks_none().await }).await;
    }
}
