//! Rotation of the pepper beside serving nodes: no answer changes, whatever is killed meanwhile, and no node answers by a pepper
//! that is not the store's.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use lostcard::clock::Clock;
use lostcard::config::Config;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::crypto::random;
use lostcard::node::Application;
use serde_json::Value;

use crate::bodies::{check_of, digest_of, random_number, rate, report_of};
use crate::child;
use crate::helpers::{TestApp, config_in, eventually};
use crate::servers::{postgres, shared};

const LOST: &str = "2016-05-01";
const NEW: &str = "2026-11-01";
const ROTATE: [&str; 4] = ["keys", "rotate", "--pepper", "--json"];

/// A node by the real clock, without limits that a test would spend. A busy machine is not what is tested here.
async fn node() -> TestApp {
    node_on(None).await
}

async fn node_on(database_url: Option<String>) -> TestApp {
    TestApp::spawn_at(Clock::System, |config| {
        config.database_url = database_url.or(config.database_url.take());
        config.limits.client = rate("1000000/60s");
        config.limits.organization = rate("1000000/60s");
        config.registry.rebuild_after = 1000;
        config.registry.listings_max = 300;
        config.registry.store_timeout_ms = 10_000;
        config.store.acquire_timeout_ms = 60_000;
        config.overload.deadline_ms = 60_000;
    })
    .await
}

fn start(app: &TestApp, args: &[&str]) -> Child {
    let mut command = child::command(&app.config.data);
    // It may differ from the suite's choice.
    if let Some(url) = &app.config.database_url {
        command.env("LOSTCARD_DATABASE_URL", url);
    }
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn rotate(app: &TestApp, args: &[&str]) -> Output {
    start(app, &[&ROTATE[..], args].concat()).wait_with_output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["rotated"][0].clone()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn refusal_of_start(config: &Config) -> String {
    format!("{:#}", Application::build(config, Clock::System).await.unwrap_err())
}

async fn versions(app: &TestApp) -> (u32, Option<u32>) {
    let KeyVersions { current, previous } = app.store.key_versions().await.unwrap();
    (current, previous)
}

/// Waits until so many rows are keyed by a pepper; a minute without it fails the test.
async fn until_keyed(app: &TestApp, version: u32, rows: u64) {
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while app.store.count_keyed(version).await.unwrap() < rows {
        assert!(std::time::Instant::now() < deadline, "{rows} rows are not keyed by pepper {version}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Numbers that are imported, that are reported and that are never listed differ in their 17th digit: thousands drawn at random
/// would meet.
fn to_import() -> String {
    draw("13")
}

fn to_report() -> String {
    draw("579")
}

fn unlisted() -> String {
    draw("02468")
}

fn draw(digits: &str) -> String {
    std::iter::repeat_with(random_number).find(|number| digits.contains(&number[16..17])).unwrap()
}

/// A file of reports with their numbers.
fn import_file(app: &TestApp, count: usize) -> (PathBuf, Vec<String>) {
    let mut numbers = BTreeSet::new();
    while numbers.len() < count {
        numbers.insert(to_import());
    }
    let numbers: Vec<_> = numbers.into_iter().collect();
    let mut text = "id_number,card_valid_from,reason,reporter,office,channel\n".to_owned();
    for number in &numbers {
        writeln!(text, "{number},{LOST},lost,holder,110105-03,station").unwrap();
    }
    let path = app.folder.path().join("reports.csv");
    std::fs::write(&path, text).unwrap();
    (path, numbers)
}

fn some(all: &[String]) -> &str {
    &all[random::below(u32::try_from(all.len()).unwrap()) as usize]
}

/// One round of everything that a caller may do, with the answers that it must get.
async fn round(here: &TestApp, there: &TestApp, listed: &[String], to_replace: &str) {
    for node in [here, there] {
        assert_eq!(node.verdict(some(listed), Some(LOST)).await, "card_listed");
        assert_eq!(node.verdict(&unlisted(), None).await, "not_listed");
    }
    let number = to_report();
    let key = digest_of(&unlisted());
    let filed = here.report_once(&key, &report_of(&number, Some(LOST))).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    for node in [here, there] {
        assert_eq!(node.verdict(&number, Some(LOST)).await, "card_listed", "right after its 201");
    }
    let again = there.report_once(&key, &report_of(&number, Some(LOST))).await;
    assert_eq!((again.status, &again.text), (201, &filed.text), "a repetition");
    let found = there.search(&number).await;
    assert_eq!(found.status, 200, "{}", found.text);
    let found = found.json();
    assert_eq!(found["reports"].as_array().unwrap().len(), 1, "{found}");
    let report_id = filed.json()["report_id"].as_str().unwrap().to_owned();
    assert_eq!(there.withdraw(&report_id).await.status, 200);
    assert_eq!(there.verdict(&number, Some(LOST)).await, "not_listed", "withdrawn");

    let replaced = here.replace(to_replace, NEW).await;
    assert_eq!((replaced.status, &replaced.json()["reports_replaced"]), (201, &Value::from(1)), "{}", replaced.text);
    for node in [there, here] {
        assert_eq!(node.verdict(to_replace, Some(NEW)).await, "other_card_listed");
        assert_eq!(node.verdict(to_replace, Some(LOST)).await, "card_listed");
    }

    let checks: Vec<_> = (0..40)
        .map(|n| if n % 2 == 0 { check_of(some(listed), Some(LOST)) } else { check_of(&unlisted(), None) })
        .collect();
    let answers = there.check_batch(&checks).await.json();
    for (n, answer) in answers["results"].as_array().unwrap().iter().enumerate() {
        let expected = if n % 2 == 0 { "card_listed" } else { "not_listed" };
        assert_eq!(answer["check"]["verdict"], expected, "{answer}");
    }
}

/// Rounds on both nodes until told to stop; returns how many there were.
async fn load(nodes: [&TestApp; 2], listed: &[String], to_replace: &[String], stop: &AtomicBool) -> u64 {
    let (rounds, next) = (AtomicU64::new(0), AtomicU64::new(0));
    let caller = async |n: usize| {
        while !stop.load(Ordering::Relaxed) {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
            round(nodes[n % 2], nodes[(n + 1) % 2], listed, &to_replace[at]).await;
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    join_all((0..4).map(caller)).await;
    rounds.into_inner()
}

/// Starts a rotation and kills it when some rows have their new key and others have not; then runs two at once to the end.
async fn rotate_with_a_kill(app: &TestApp) -> Vec<Value> {
    let mut first = start(app, &ROTATE);
    until_keyed(app, 2, 1000).await;
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(versions(app).await, (2, Some(1)), "killed in the middle");
    assert!(app.store.count_keyed(1).await.unwrap() > 0, "killed in the middle");
    // Answers under two peppers, for longer than a lease.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let two = [start(app, &ROTATE), start(app, &ROTATE)];
    let ends = two.map(|child| lostcard::wiping::spawn_wiped(move || child.wait_with_output().unwrap()));
    join_all(ends).await.into_iter().map(|end| done(&end.unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_changes_while_a_rotation_runs_is_killed_and_goes_on() {
    rotate_under_load(node().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_changes_on_postgresql_either() {
    rotate_under_load(node_on(Some(shared::postgres().create_database())).await).await;
}

async fn rotate_under_load(one: TestApp) {
    const REPLACED_MAX: usize = 2000;
    let (file, numbers) = import_file(&one, 12_000);
    let imported = start(&one, &["import", "--json", file.to_str().unwrap()]).wait_with_output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let two = one.sibling().await;
    let before = one.report_once("before", &report_of(&numbers[0], Some(LOST))).await;
    let (to_replace, listed) = numbers.split_at(REPLACED_MAX);
    let stop = AtomicBool::new(false);
    let rotation = async {
        let ends = rotate_with_a_kill(&one).await;
        stop.store(true, Ordering::Relaxed);
        ends
    };
    let (rounds, ends) = join(load([&one, &two], listed, &to_replace[1..], &stop), rotation).await;
    assert!(rounds > 3, "{rounds}");
    for end in &ends {
        assert_eq!(
            (&end["version"], &end["state"], &end["retired"][0]),
            (&2.into(), &"done".into(), &"pepper-1.key".into())
        );
    }
    assert_eq!(versions(&one).await, (2, None));
    assert_eq!(one.store.count_keyed(1).await.unwrap(), 0, "every row has the new key");
    let (head, total, greatest) = one.store.feed_totals().await.unwrap();
    assert_eq!((head, head), (total, greatest), "the feed has no gap");

    std::fs::remove_file(one.config.key_folder().join("pepper-1.key")).unwrap();
    let three = one.sibling().await;
    for (node, replaced) in [&one, &two, &three].into_iter().zip(to_replace.iter().rev()) {
        let again = node.report_once("before", &report_of(&numbers[0], Some(LOST))).await;
        assert_eq!((again.status, &again.text), (201, &before.text), "a repetition is known after the rotation");
        for number in listed.iter().step_by(97) {
            assert_eq!(node.verdict(number, Some(LOST)).await, "card_listed");
            assert_eq!(node.verdict(&unlisted(), None).await, "not_listed");
        }
        round(node, &one, listed, replaced).await;
    }
}

/// Spoils every sealed digest, as a lost seal key or a damaged column would.
fn lose_digests(app: &TestApp) {
    let spoil = "UPDATE loss_reports SET sealed_digest = zeroblob(60)";
    if let Some(url) = &app.config.database_url {
        postgres::query(url, &spoil.replace("zeroblob(60)", "decode(repeat('00', 60), 'hex')"));
        return;
    }
    let database = app.config.data.join("lostcard.db");
    let output = Command::new("sqlite3").args(["-cmd", ".timeout 5000"]).arg(database).arg(spoil).output();
    assert!(output.expect("the tests need the sqlite3 command").status.success());
}

#[tokio::test]
async fn a_nested_pepper_needs_no_digest() {
    let app = node().await;
    let numbers: Vec<_> = (0..5).map(|_| to_report()).collect();
    for number in &numbers {
        app.report_lost(number, Some(LOST)).await;
    }
    lose_digests(&app);
    let message = refused(&rotate(&app, &[]));
    assert!(message.contains("5 rows") && message.contains("--nested"), "{message}");
    assert_eq!(versions(&app).await, (1, None), "a rotation that could not end is not begun");
    let message = refused(&rotate(&app, &["--nested"]));
    assert!(message.contains("pepper-2.key is there already and is not nested"), "{message}");
    let keys = app.config.key_folder();
    std::fs::remove_file(keys.join("pepper-2.key")).unwrap();
    // The node has the plain one in memory; the store knows neither, so the right one is taken up.
    let end = done(&rotate(&app, &["--nested"]));
    assert_eq!((&end["rows"], end["retired"].as_array().unwrap().len()), (&5.into(), 0));
    assert_eq!(versions(&app).await, (2, None));
    for number in &numbers {
        eventually("listed", || async { app.verdict(number, Some(LOST)).await == "card_listed" }).await;
        assert_eq!(app.verdict(&unlisted(), None).await, "not_listed");
    }
    app.report_lost(&to_report(), Some(LOST)).await;
    std::fs::rename(keys.join("pepper-1.key"), app.folder.path().join("aside")).unwrap();
    assert!(refusal_of_start(&app.config).await.contains("holds no pepper-1.key"), "the inner pepper stays needed");
}

#[tokio::test]
async fn a_node_without_the_pepper_in_use_refuses_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = config_in(&folder);
    lostcard::node::open(&config).await.unwrap().0.close().await;
    let old = copy_of_keys(&config.key_folder(), &folder.path().join("old"));
    let end = done(&child::run(&config.data, &ROTATE));
    assert_eq!((&end["version"], &end["rows"]), (&2.into(), &0.into()));
    let mut behind = config.clone();
    behind.keys = Some(old.clone());
    assert!(refusal_of_start(&behind).await.contains("holds no pepper-2.key"));
    std::fs::copy(old.join("pepper-1.key"), old.join("pepper-2.key")).unwrap();
    assert!(refusal_of_start(&behind).await.contains("not the keys that the store was made with"));
    std::fs::copy(config.key_folder().join("pepper-2.key"), old.join("pepper-2.key")).unwrap();
    std::fs::remove_file(old.join("pepper-1.key")).unwrap();
    assert!(Application::build(&behind, Clock::System).await.is_ok(), "the retired one is not needed");
}

fn copy_of_keys(from: &Path, to: &Path) -> PathBuf {
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_until_every_node_holds_the_pepper() {
    let one = node().await;
    let number = to_report();
    one.report_lost(&number, Some(LOST)).await;
    let keys = copy_of_keys(&one.config.key_folder(), &one.folder.path().join("other-keys"));
    let two = one.sibling_with(|config| config.keys = Some(keys.clone())).await;
    let prepared = done(&rotate(&one, &["--prepare"]));
    assert_eq!((&prepared["version"], &prepared["state"]), (&2.into(), &"prepared".into()));
    let message = refused(&rotate(&one, &["--wait", "0"]));
    assert!(message.contains("do not hold pepper 2 yet") && message.contains("Copy pepper-2.key"), "{message}");
    assert_eq!(versions(&one).await, (1, None), "nothing was changed");
    let waiting = start(&one, &[&ROTATE[..], &["--wait", "60"]].concat());
    std::fs::copy(one.config.key_folder().join("pepper-2.key"), keys.join("pepper-2.key")).unwrap();
    let end = lostcard::wiping::spawn_wiped(move || waiting.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(done(&end)["rows"], 1);
    for node in [&one, &two] {
        assert_eq!(node.verdict(&number, Some(LOST)).await, "card_listed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lacks_the_pepper_in_use_answers_nothing_until_it_has_it() {
    let one = node().await;
    let keys = copy_of_keys(&one.config.key_folder(), &one.folder.path().join("other-keys"));
    let two = one.sibling_with(|config| config.keys = Some(keys.clone())).await;
    let old = to_report();
    one.report_lost(&old, Some(LOST)).await;
    assert_eq!(done(&rotate(&one, &["--force"]))["state"], "done");
    let new = to_report();
    one.report_lost(&new, Some(LOST)).await;
    let refuses = async || {
        for number in [&old, &new, &unlisted()] {
            two.check(&check_of(number, Some(LOST))).await.problem(503, "registry_unavailable");
        }
        two.report(&report_of(&to_report(), Some(LOST))).await.problem(503, "registry_unavailable");
    };
    refuses().await;
    // Another pepper under the right name is not believed, and does not block the right one.
    std::fs::copy(keys.join("pepper-1.key"), keys.join("pepper-2.key")).unwrap();
    refuses().await;
    std::fs::copy(one.config.key_folder().join("pepper-2.key"), keys.join("pepper-2.key")).unwrap();
    eventually("it follows again", || async { two.check(&check_of(&new, Some(LOST))).await.status == 200 }).await;
    for number in [&old, &new] {
        assert_eq!(two.verdict(number, Some(LOST)).await, "card_listed");
    }
    assert_eq!(two.verdict(&unlisted(), None).await, "not_listed");
    two.report_lost(&to_report(), Some(LOST)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_after_a_rotation_and_stores_each_record_once() {
    const REPORTS: usize = 20_000;
    let app = node().await;
    let (file, numbers) = import_file(&app, REPORTS);
    let import = ["import", "--json", file.to_str().unwrap()];
    let mut killed = start(&app, &import);
    until_keyed(&app, 1, 1).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let stored = app.store.count_keyed(1).await.unwrap();
    assert!(stored < REPORTS as u64, "killed in the middle of its run");
    assert_eq!(done(&rotate(&app, &[]))["rows"], stored);
    let end = child::run_json(&app.config.data, &import);
    assert_eq!((&end["stored"], &end["already_stored"]), (&(REPORTS as u64 - stored).into(), &stored.into()));
    assert_eq!((app.store.count_keyed(1).await.unwrap(), app.store.count_keyed(2).await.unwrap()), (0, REPORTS as u64));
    for number in numbers.iter().step_by(199) {
        assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed", "none is missing, so none is there twice");
    }
}
