//! Writes that share a transaction: each gets its own answer, one that fails takes nothing of the others with it, and what is left in
//! feed, log and audit log is as if each had come alone.

use std::collections::HashSet;

use futures_util::future::{join, join_all};
use lostcard::crypto::audit::End;
use lostcard::crypto::random;
use lostcard::domain::audit::Action;
use lostcard::domain::sequence::Sequence;
use lostcard::store::feed::ChangeKind;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use crate::answer::Answer;
use crate::bodies::{check_of, later, random_number, report_of, with};
use crate::helpers::{TestApp, eventually};

const LOST: &str = "2016-05-01";
const WRITERS: usize = 32;
/// The office that a database of these tests takes nothing from.
const REFUSED_OFFICE: &str = "110105-66";

/// What is written at once. The first has its turn before the others come, and cannot use it: most of them wait for the next one.
async fn at_once<T>(app: &TestApp, writes: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let held = app.hold_writers().await;
    let groups = app.metric("lostcard_write_groups_total").await;
    let mut writes = writes.into_iter();
    let first = writes.next().unwrap();
    let others = async {
        eventually("the first has its turn", async || app.metric("lostcard_write_groups_total").await > groups).await;
        let release = async {
            eventually("they wait", async || app.metric("lostcard_writes_waiting").await >= WRITERS as u64 / 2).await;
            drop(held);
        };
        join(join_all(writes), release).await.0
    };
    let (first, others) = join(first, others).await;
    std::iter::once(first).chain(others).collect()
}

/// Entries of the audit log, which is one chain; how many of them record this.
async fn recorded(app: &TestApp, action: Action) -> usize {
    let (mut end, mut found) = (End::BEGINNING, 0);
    loop {
        let entries = app.store.list_audit(end.sequence).await.unwrap();
        if entries.is_empty() {
            return found;
        }
        for entry in &entries {
            end.follow(entry).unwrap();
            assert!(app.keyring.audit().made(entry), "entry {}", entry.sequence);
            found += usize::from(entry.action == action.as_str());
        }
    }
}

/// A feed without gaps, whose every row has a leaf.
async fn expect_whole(app: &TestApp) {
    let (head, total, greatest) = app.store.feed_totals().await.unwrap();
    assert_eq!((total, greatest), (head, head));
    let log = app.store.log_head(None).await.unwrap().unwrap();
    let rows = head - log.s0.get();
    assert_eq!(app.store.log_entries(log.epoch, log.s0, rows + 1).await.unwrap().len() as u64, rows);
}

/// Changes of listings since then: one that was taken back is none of them.
async fn listings_after(app: &TestApp, before: Sequence) -> usize {
    let page = app.store.feed_after(before, random::id(app.clock.now_ms())).await.unwrap();
    page.changes.iter().filter(|change| change.kind == ChangeKind::Listing).count()
}

fn sequence(answer: &Answer) -> u64 {
    answer.json()["registry_sequence"].as_u64().unwrap()
}

#[tokio::test]
async fn reports_that_come_at_once_are_one_group_and_each_has_its_own_answer() {
    let app = TestApp::spawn().await;
    let numbers: Vec<_> = (0..WRITERS).map(|_| random_number()).collect();
    let bodies: Vec<_> = numbers.iter().map(|number| report_of(number, Some(LOST))).collect();
    let groups = app.metric("lostcard_write_groups_total").await;
    let answers = at_once(&app, bodies.iter().map(|body| app.report(body))).await;
    let groups = app.metric("lostcard_write_groups_total").await - groups;
    assert!(groups <= WRITERS as u64 * 2 / 3, "{groups} groups of {WRITERS} reports");
    let mut ids = HashSet::new();
    for (answer, number) in answers.iter().zip(&numbers) {
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
        let id = answer.json()["report_id"].as_str().unwrap().to_owned();
        assert_eq!(app.read_report(&id).await.json(), later(answer.json()));
        assert!(ids.insert(id));
    }
    let sequences: HashSet<_> = answers.iter().map(sequence).collect();
    assert_eq!(sequences.len(), WRITERS, "each its own place in the feed");
    assert_eq!(recorded(&app, Action::ReportFiled).await, WRITERS);
    expect_whole(&app).await;
}

#[tokio::test]
async fn one_in_ten_that_fails_takes_nothing_of_the_others_with_it() {
    let app = TestApp::spawn().await;
    let (withdrawn, listed, used) = (random_number(), random_number(), random_number());
    let ended = app.report_lost(&withdrawn, Some(LOST)).await;
    let ended = ended["report_id"].as_str().unwrap().to_owned();
    assert_eq!(app.withdraw(&ended).await.status, 200);
    app.report_lost(&listed, Some("2026-01-01")).await;
    assert_eq!(app.report_once("used", &report_of(&used, Some(LOST))).await.status, 201);
    let mut active = Vec::new();
    for _ in 0..8 {
        let report = app.report_lost(&random_number(), Some(LOST)).await;
        active.push(report["report_id"].as_str().unwrap().to_owned());
    }
    let before = (recorded(&app, Action::ReportFiled).await, recorded(&app, Action::ReportWithdrawn).await);
    let head = app.store.head().await.unwrap();

    let numbers: Vec<_> = (0..WRITERS).map(|_| random_number()).collect();
    let write = async |n: usize| match n {
        // 409, 409, 422: of different kinds, among those that succeed.
        5 => app.withdraw(&ended).await,
        15 => app.replace(&listed, "2016-05-01").await,
        25 => app.report_once("used", &report_of(&numbers[n], Some(LOST))).await,
        n if n % 4 == 0 => app.withdraw(&active[n / 4]).await,
        n if n % 4 == 1 => app.replace(&numbers[n], "2026-10-01").await,
        n => app.report_once(&format!("key-{n}"), &report_of(&numbers[n], Some(LOST))).await,
    };
    let answers = at_once(&app, (0..WRITERS).map(write)).await;
    assert_eq!(listings_after(&app, head).await, WRITERS - 3, "those that failed have changed nothing");
    let (mut filed, mut ends) = (0, 0);
    for (n, (answer, number)) in answers.iter().zip(&numbers).enumerate() {
        match n {
            5 => drop(answer.problem(409, "report_not_active")),
            15 => drop(answer.problem(409, "start_not_after_listed")),
            25 => {
                answer.problem(422, "idempotency_key_reused");
                assert_eq!(app.verdict(number, Some(LOST)).await, "not_listed");
            }
            n if n % 4 == 0 => {
                assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("withdrawn")), "{}", answer.text);
                ends += 1;
            }
            n if n % 4 == 1 => {
                assert_eq!(answer.status, 201, "{}", answer.text);
                assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
            }
            _ => {
                assert_eq!(answer.status, 201, "{}", answer.text);
                assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
                filed += 1;
            }
        }
    }
    // Each repetition gets the answer of its own first occurrence.
    let n = 30;
    let again = app.report_once(&format!("key-{n}"), &report_of(&numbers[n], Some(LOST))).await;
    assert_eq!((again.status, &again.text), (201, &answers[n].text));
    let after = (recorded(&app, Action::ReportFiled).await, recorded(&app, Action::ReportWithdrawn).await);
    assert_eq!((after.0 - before.0, after.1 - before.1), (filed, ends));
    expect_whole(&app).await;
}

#[tokio::test]
async fn repetitions_of_one_group_store_one_report() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let body = report_of(&number, Some(LOST));
    let answers = at_once(&app, (0..WRITERS).map(|_| app.report_once("key", &body))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(app.search(&number).await.json()["reports"].as_array().unwrap().len(), 1);
}

/// Who watches a number is told about its first report, also where all come in one group.
#[tokio::test]
async fn reports_of_one_number_are_filed_one_after_the_other() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let watch = with(check_of(&number, Some(LOST)), "watch_hours", 24);
    assert_eq!(app.check(&watch).await.status, 200);
    let body = report_of(&number, Some(LOST));
    let answers = at_once(&app, (0..WRITERS).map(|_| app.report(&body))).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(app.search(&number).await.json()["reports"].as_array().unwrap().len(), WRITERS);
    let alerts: Value = app.get(&app.hotel.token, "/v1/alerts").await.json();
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 1, "a watch ends with its alert: {alerts}");
    expect_whole(&app).await;
}

/// The database itself refuses one row: the others of the statement are filed, and it alone is told.
#[tokio::test]
async fn a_report_that_the_database_refuses_is_the_only_one_that_fails() {
    let app = TestApp::spawn().await;
    refuse_an_office(&app).await;
    let numbers: Vec<_> = (0..WRITERS).map(|_| random_number()).collect();
    let refused = |n: usize| n % 10 == 7;
    let body = |n: usize| {
        let body = report_of(&numbers[n], Some(LOST));
        if refused(n) { with(body, "office", REFUSED_OFFICE) } else { body }
    };
    let bodies: Vec<_> = (0..WRITERS).map(body).collect();
    let head = app.store.head().await.unwrap();
    let answers = at_once(&app, bodies.iter().map(|body| app.report(body))).await;
    for (n, answer) in answers.iter().enumerate() {
        let verdict = app.verdict(&numbers[n], Some(LOST)).await;
        let expected = if refused(n) { (503, "not_listed") } else { (201, "card_listed") };
        assert_eq!((answer.status, verdict.as_str()), expected, "{n}: {}", answer.text);
    }
    let filed = (0..WRITERS).filter(|n| !refused(*n)).count();
    assert_eq!((recorded(&app, Action::ReportFiled).await, listings_after(&app, head).await), (filed, filed));
    expect_whole(&app).await;
    let last = answers.iter().filter(|answer| answer.status == 201).map(sequence).max().unwrap();
    assert!(app.store.head().await.unwrap() >= Sequence::new(last));
}

async fn refuse_an_office(app: &TestApp) {
    sqlx::any::install_default_drivers();
    let url = app.store_url();
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    let statement = if url.starts_with("sqlite") {
        format!(
            "CREATE TRIGGER refuses BEFORE INSERT ON loss_reports WHEN NEW.office = '{REFUSED_OFFICE}' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    } else {
        format!(
            "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$; \
             CREATE TRIGGER refuses BEFORE INSERT ON loss_reports FOR EACH ROW WHEN (NEW.office = '{REFUSED_OFFICE}') \
             EXECUTE FUNCTION refuses()"
        )
    };
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}
