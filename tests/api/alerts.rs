//! Look-back alerts: what causes an alert and what does not, no matter how a listing came in, and that none falls between the
//! check and its watch.

use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, report_of, with};
use crate::child;
use crate::helpers::TestApp;

const LOST: &str = "2016-05-01";
const LATER: &str = "2016-05-02";
const NEW: &str = "2026-11-01";

/// A check that asks for an alert.
fn watched(number: &str, card_valid_from: Option<&str>, hours: i64) -> Value {
    with(check_of(number, card_valid_from), "watch_hours", hours)
}

impl TestApp {
    /// A watched check with the verdict that it must get; returns its id.
    async fn watch(&self, number: &str, card_valid_from: Option<&str>, verdict: &str) -> String {
        let answer = self.check(&watched(number, card_valid_from, 24)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["verdict"], verdict);
        answer.json()["check_id"].as_str().unwrap().to_owned()
    }

    /// The alerts of the hotel.
    async fn alerts(&self) -> Vec<Value> {
        self.alerts_of(&self.hotel.token, "").await["alerts"].as_array().unwrap().clone()
    }

    async fn alerts_of(&self, token: &str, query: &str) -> Value {
        let answer = self.get(token, &format!("/v1/alerts{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

#[tokio::test]
async fn a_card_that_is_listed_after_its_check_is_told_once() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.verdict(&number, Some(LOST)).await;
    let check_id = app.watch(&number, Some(LOST), "not_listed").await;
    app.watch(&random_number(), Some(LOST), "not_listed").await;
    assert_eq!(app.alerts().await, [] as [Value; 0]);
    app.clock.advance(Duration::from_mins(1));
    let report = app.report_lost(&number, Some(LOST)).await;
    let alerts = app.alerts().await;
    let expected = json!([{
        "alert_id": alerts[0]["alert_id"], "check_id": check_id, "kind": "card_listed", "listing_kind": "reported",
        "listed_at": report["reported_at"], "sequence": 1,
    }]);
    assert_eq!(json!(alerts), expected);
    let other = app.add_client("checks", None).await;
    assert_eq!(app.alerts_of(&other.token, "").await, json!({"alerts": []}), "another organization's");
    app.report_lost(&number, Some(LOST)).await;
    app.replace(&number, NEW).await;
    assert_eq!(app.alerts().await.len(), 1, "the watch ended with its alert");
}

#[tokio::test]
async fn only_listings_of_the_watched_card_are_told() {
    let app = TestApp::spawn().await;
    for (watched, lost, expected) in [
        (Some(LOST), Some(LOST), Some("card_listed")),
        (Some(LOST), Some(LATER), Some("card_listed")),
        (Some(LATER), Some(LOST), None),
        (Some(LATER), None, Some("number_listed")),
        (None, Some(LOST), Some("number_listed")),
        (None, None, Some("number_listed")),
    ] {
        let number = random_number();
        let check_id = app.watch(&number, watched, "not_listed").await;
        app.report_lost(&number, lost).await;
        let alerts = app.alerts().await;
        let kind =
            alerts.iter().find(|alert| alert["check_id"] == check_id).map(|alert| alert["kind"].as_str().unwrap());
        assert_eq!(kind, expected, "{watched:?} {lost:?}");
    }
}

#[tokio::test]
async fn a_replacement_is_told_to_those_who_saw_the_older_card() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let older = app.watch(&number, Some(LOST), "not_listed").await;
    app.watch(&number, Some(NEW), "not_listed").await;
    let unknown = app.watch(&number, None, "not_listed").await;
    assert_eq!(app.replace(&number, NEW).await.status, 201);
    let mut told: Vec<_> = app
        .alerts()
        .await
        .iter()
        .map(|alert| (alert["check_id"].clone(), alert["kind"].clone(), alert["listing_kind"].clone()))
        .collect();
    told.sort_by_key(|(_, kind, _)| kind.to_string());
    assert_eq!(
        told,
        [
            (json!(older), json!("card_listed"), json!("superseded")),
            (json!(unknown), json!("number_listed"), json!("superseded"))
        ]
    );
}

#[tokio::test]
async fn what_the_check_was_answered_is_not_told_again() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    app.watch(&number, Some(LOST), "card_listed").await;
    app.watch(&number, Some(LATER), "other_card_listed").await;
    assert_eq!(app.withdraw(report["report_id"].as_str().unwrap()).await.status, 200);
    assert_eq!(app.alerts().await.len(), 0);
    app.report_lost(&number, Some(LATER)).await;
    assert_eq!(app.alerts().await.len(), 2, "another listing is told");
}

#[tokio::test]
async fn a_watch_ends_by_itself_and_is_deleted() {
    let mut app = TestApp::spawn_with(|config| config.webhooks.poll_ms = 25).await;
    let (over, almost) = (random_number(), random_number());
    app.check(&watched(&over, None, 1)).await;
    app.clock.advance(Duration::from_secs(1));
    let kept = app.check(&watched(&almost, None, 1)).await.json();
    // Its last second: the other has ended.
    app.clock.advance(Duration::from_secs(3599));
    app.police.token = app.token_for(&app.police).await;
    app.hotel.token = app.token_for(&app.hotel).await;
    app.report_lost(&over, None).await;
    app.report_lost(&almost, None).await;
    let alerts = app.alerts().await;
    assert_eq!((alerts.len(), &alerts[0]["check_id"]), (1, &kept["check_id"]));
    crate::helpers::eventually("the watch is deleted", || async {
        app.store.watch_versions().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn each_item_of_a_batch_is_watched_for_itself() {
    let app = TestApp::spawn().await;
    let numbers: Vec<_> = (0..70).map(|_| random_number()).collect();
    app.report_lost(&numbers[3], Some(LOST)).await;
    let mut items: Vec<_> = numbers.iter().map(|number| watched(number, Some(LOST), 1)).collect();
    items[1] = check_of(&numbers[1], Some(LOST));
    items[2] = watched(&numbers[2], Some(LOST), 0);
    let results = app.check_batch(&items).await.json()["results"].clone();
    assert_eq!(results[2]["problem"]["errors"][0]["pointer"], "/watch_hours");
    assert_eq!(
        (&results[1]["check"]["verdict"], &results[3]["check"]["verdict"]),
        (&json!("not_listed"), &json!("card_listed"))
    );
    for at in [0, 1, 2, 69] {
        app.report_lost(&numbers[at], Some(LOST)).await;
    }
    let told: Vec<_> = app.alerts().await.iter().map(|alert| alert["check_id"].clone()).collect();
    assert_eq!(told, [results[0]["check"]["check_id"].clone(), results[69]["check"]["check_id"].clone()]);
}

#[tokio::test]
async fn wrong_hours_are_refused() {
    let app = TestApp::spawn().await;
    let check = check_of(&random_number(), None);
    for hours in [0, 169, -1, i64::MAX] {
        let errors = app.check(&with(check.clone(), "watch_hours", hours)).await.field_errors();
        assert_eq!(errors, [("/watch_hours".to_owned(), "out_of_range".to_owned())], "{hours}");
    }
    for hours in [json!("24"), json!(1.5), json!(null), json!(true), json!([1])] {
        app.check(&with(check.clone(), "watch_hours", hours)).await.problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn alerts_are_read_in_pages_without_a_gap() {
    let app = TestApp::spawn().await;
    let other = app.add_client("checks", None).await;
    for n in 0..5 {
        let number = random_number();
        app.watch(&number, None, "not_listed").await;
        if n % 2 == 0 {
            app.post(&other.token, "/v1/checks", &watched(&number, None, 1)).await;
        }
        app.report_lost(&number, None).await;
    }
    let sequences = |page: &Value| -> Vec<i64> {
        page["alerts"].as_array().unwrap().iter().map(|alert| alert["sequence"].as_i64().unwrap()).collect()
    };
    let mut seen = Vec::new();
    let mut page = app.alerts_of(&app.hotel.token, "?limit=2").await;
    while let Some(next) = page["next"].as_i64() {
        assert_eq!(page["alerts"].as_array().unwrap().len(), 2);
        seen.extend(sequences(&page));
        page = app.alerts_of(&app.hotel.token, &format!("?after={next}&limit=2")).await;
    }
    seen.extend(sequences(&page));
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = app.alerts_of(&app.hotel.token, &query).await;
        seen.extend(sequences(&page));
        assert_eq!(page.get("next").is_some(), page.get("next_cursor").is_some(), "{page}");
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?cursor={cursor}&limit=2");
    }
    assert_eq!(seen, [1, 2, 3, 4, 5], "by cursors as by sequences");
    // What comes after the end is asked for by the cursor of the end, as often as one likes.
    let mut cursor = app.alerts_of(&app.hotel.token, &query).await["resume_cursor"].as_str().unwrap().to_owned();
    for wanted in [vec![], vec![6], vec![]] {
        if !wanted.is_empty() {
            let number = random_number();
            app.watch(&number, None, "not_listed").await;
            app.report_lost(&number, None).await;
        }
        let page = app.alerts_of(&app.hotel.token, &format!("?cursor={cursor}")).await;
        assert_eq!((sequences(&page), page.get("next_cursor")), (wanted, None));
        page["resume_cursor"].as_str().unwrap().clone_into(&mut cursor);
    }
    let misuse =
        app.get(&app.police.token, "/v1/misuse-reports?cursor=eyJsaXN0IjoibGlzdEFsZXJ0cyIsImFmdGVyIjoyfQ").await;
    assert_eq!(
        misuse.field_errors(),
        [("/cursor".to_owned(), "malformed_cursor".to_owned())],
        "no list takes another's"
    );
    assert_eq!(sequences(&app.alerts_of(&other.token, "").await), [1, 2, 3], "each organization has its own count");
    let beyond = app.alerts_of(&other.token, "?after=3").await;
    assert_eq!((&beyond["alerts"], beyond.get("next_cursor")), (&json!([]), None));
    assert!(app.alerts_of(&other.token, "?limit=3").await.get("next").is_none());
    for query in ["?x=1", "?after=1&after=2", "?after=1&", "?limit=1&limit=1"] {
        let answer = app.get(&app.hotel.token, &format!("/v1/alerts{query}")).await;
        if query.ends_with('&') {
            assert_eq!(answer.status, 200);
        } else {
            answer.problem(400, "malformed_request");
        }
    }
    let answer = app.get(&app.hotel.token, "/v1/alerts?after=x&limit=0").await;
    let wrong =
        [("/after", "out_of_range"), ("/limit", "out_of_range")].map(|(at, code)| (at.to_owned(), code.to_owned()));
    assert_eq!(answer.field_errors(), wrong);
    app.get(&app.police.token, "/v1/alerts").await.problem(403, "insufficient_scope");
    app.get("", "/v1/alerts").await.problem(401, "invalid_token");
}

#[tokio::test]
async fn a_listing_is_in_the_answer_or_in_an_alert() {
    let app = TestApp::spawn().await;
    for round in 0..60 {
        let number = random_number();
        let (check, report) = (watched(&number, Some(LOST), 1), report_of(&number, Some(LOST)));
        let waiting = Duration::from_micros(u64::from(lostcard::crypto::random::below(4000)));
        let check = async {
            if round % 2 == 0 {
                tokio::time::sleep(waiting).await;
            }
            app.check(&check).await
        };
        let report = async {
            if round % 2 == 1 {
                tokio::time::sleep(waiting).await;
            }
            app.report(&report).await
        };
        let (check, report) = join(check, report).await;
        assert_eq!((check.status, report.status), (200, 201), "{} {}", check.text, report.text);
        let check = check.json();
        let is_told = app.alerts_of(&app.hotel.token, "?limit=1000").await["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|alert| alert["check_id"] == check["check_id"]);
        let is_listed = check["verdict"] == "card_listed";
        assert!(is_listed || is_told, "round {round}: listed {is_listed}, told {is_told}");
    }
}

#[tokio::test]
async fn only_watched_checks_wait_for_the_store() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let held = app.hold_writers().await;
    assert_eq!(app.verdict(&number, None).await, "not_listed");
    let answer = app.check(&watched(&number, None, 1)).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let batch = app.check_batch(&[check_of(&number, None), watched(&number, None, 1)]).await.json();
    assert_eq!(batch["results"][0]["check"]["verdict"], "not_listed");
    assert_eq!(batch["results"][1]["problem"]["status"], 503);
    drop(held);
    app.watch(&number, None, "not_listed").await;
}

fn import(app: &TestApp, name: &str, lines: &[String]) {
    let path = app.folder.path().join(name);
    std::fs::write(&path, format!("id_number,card_valid_from,reason,reporter,office,channel\n{}\n", lines.join("\n")))
        .unwrap();
    let output = child::run(&app.config.data, &["import", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn imported_reports_are_told_too_and_watches_outlive_a_rotation() {
    let app = TestApp::spawn_at(lostcard::clock::Clock::System, |_| {}).await;
    let line = |number: &str, from: &str| format!("{number},{from},lost,holder,110105-03,station");
    let numbers: Vec<_> = (0..6).map(|_| random_number()).collect();
    let mut ids = Vec::new();
    for number in &numbers {
        ids.push(app.watch(number, Some(LOST), "not_listed").await);
    }
    // Two lines of one number: the one that says more is told, once.
    import(&app, "first.csv", &[line(&numbers[0], ""), line(&numbers[0], LOST), line(&random_number(), LOST)]);
    let told = app.alerts().await;
    assert_eq!((told.len(), &told[0]["check_id"], &told[0]["kind"]), (1, &json!(ids[0]), &json!("card_listed")));
    for nested in [false, true] {
        let args = ["keys", "rotate", "--pepper", "--json", "--nested"];
        let output = child::run(&app.config.data, &args[..if nested { 5 } else { 4 }]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (reported, imported) = if nested { (1, 2) } else { (3, 4) };
        app.report_lost(&numbers[reported], Some(LOST)).await;
        import(&app, &format!("nested-{nested}.csv"), &[line(&numbers[imported], LOST), line(&random_number(), LOST)]);
        let told = app.alerts().await;
        for at in [reported, imported] {
            assert!(told.iter().any(|alert| alert["check_id"] == ids[at]), "nested {nested}: number {at}: {told:?}");
        }
    }
    assert_eq!(app.alerts().await.len(), 5, "nobody else is told");
}

#[tokio::test]
async fn a_listing_that_this_node_does_not_know_yet_is_in_the_answer() {
    let app = TestApp::spawn_with(|config| config.registry.poll_ms = 500).await;
    let sibling = app.sibling().await;
    let mut answered_by_memory = 0;
    for _ in 0..10 {
        let number = random_number();
        let before = app.changes().await;
        let check = async {
            // Committed by the other node, which waits for this one before it says so.
            while app.changes().await == before {}
            let of_memory = app.verdict(&number, Some(LOST)).await;
            answered_by_memory += u32::from(of_memory == "not_listed");
            app.watch(&number, Some(LOST), "card_listed").await;
        };
        let (report, ()) = join(sibling.report(&report_of(&number, Some(LOST))), check).await;
        assert_eq!(report.status, 201, "{}", report.text);
    }
    // With Redis this node is woken, and may know sooner.
    assert!(answered_by_memory > 0 || app.config.redis_url.is_some(), "memory was never behind");
    assert_eq!(app.alerts().await.len(), 0);
    sibling.stop().await;
}

#[tokio::test]
async fn a_node_says_that_it_lacks_a_pepper_of_watches() {
    let app = TestApp::spawn_at(lostcard::clock::Clock::System, |_| {}).await;
    app.watch(&random_number(), None, "not_listed").await;
    let output = child::run(&app.config.data, &["keys", "rotate", "--pepper"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("pepper-1.key") && said.contains("seven days"), "{said}");
    let missing = "lostcard_watch_peppers_missing";
    assert_eq!(app.metric(missing).await, 0);
    let app = app
        .restart(async |config: &mut lostcard::config::Config| {
            std::fs::remove_file(config.key_folder().join("pepper-1.key")).unwrap();
        })
        .await;
    crate::helpers::eventually("it is told", || async { app.metric(missing).await == 1 }).await;
}
