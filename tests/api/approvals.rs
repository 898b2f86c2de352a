//! What an operator may not do alone beside new organizations and clients: undoing what a client did, and exporting the audit log.

use std::time::Duration;

use lostcard::crypto::audit::Entry;
use lostcard::domain::authority::WaitingAct;
use lostcard::domain::client::Actor;
use lostcard::domain::ids::{AdminRequestId, RecordId};
use lostcard::store::administration::{AdminRequest, Approved};
use serde_json::{Value, json};

use crate::bodies::random_number;
use crate::child;
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::persons::Provider;

const LOST: &str = "2016-05-01";
const UNDO: &str = "/v1/admin/undo";
const EXPORTS: &str = "/v1/admin/audit-exports";

fn undo_of(app: &TestApp, client: &TestClient) -> Value {
    let now_ms = app.clock.now_ms();
    let at = |ms| lostcard::clock::Rfc3339::of(ms).as_str().to_owned();
    let hour = Duration::from_hours(1);
    json!({"client_id": client.client_id, "from": at(now_ms.minus(hour)), "to": at(now_ms.plus(hour)), "reason": "ticket 7"})
}

/// Asks for something that waits; where it is.
async fn ask(app: &TestApp, token: &str, path: &str, body: &Value) -> String {
    let asked = app.post(token, path, body).await;
    assert_eq!((asked.status, &asked.json()["state"]), (202, &json!("awaiting_approval")), "{}", asked.text);
    assert_eq!(&asked.json()["requested"], body);
    asked.header("location").to_owned()
}

async fn approve(app: &TestApp, token: &str, location: &str) -> Answer {
    app.post(token, &format!("{location}/approval"), &json!({})).await
}

async fn log_of(app: &TestApp) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let page = app.store.list_audit(all.last().map_or(0, |last| last.sequence)).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Once it is done.
async fn done(app: &TestApp, token: &str, location: &str) -> Value {
    eventually("it is done", async || app.get(token, location).await.json().get("done_at").is_some()).await;
    app.get(token, location).await.json()
}

#[tokio::test]
async fn an_undoing_is_done_once_another_person_agrees_and_names_both() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let thief = app.add_client_of(app.police.organization, "registry").await;
    let (bad, good) = (random_number(), random_number());
    let body = |number: &str| crate::bodies::report_of(number, Some(LOST));
    assert_eq!(app.post(&thief.token, "/v1/loss-reports", &body(&bad)).await.status, 201);
    assert_eq!(app.report(&body(&good)).await.status, 201);
    let wang = provider.token("wang", "ops");
    let location = ask(app, &wang, UNDO, &undo_of(app, &thief)).await;
    approve(app, &wang, &location).await.problem(403, "insufficient_role");
    approve(app, &provider.token("wang", "sec"), &location).await.problem(403, "another_must_confirm");
    assert_eq!(app.verdict(&bad, Some(LOST)).await, "card_listed", "nothing is done before");
    let approved = approve(app, &provider.token("li", "sec"), &location).await;
    assert_eq!((approved.status, &approved.json()["state"]), (200, &json!("approved")), "{}", approved.text);
    let told = done(app, &wang, &location).await;
    assert_eq!(told["undone"], json!({"undone": 1, "nothing_left": 0, "left_count": 0, "left": []}));
    assert_eq!((&told["requested_by_person"], &told["approved_by_person"]), (&json!("wang"), &json!("li")));
    eventually("the card is not listed", async || app.verdict(&bad, Some(LOST)).await == "not_listed").await;
    assert_eq!(app.verdict(&good, Some(LOST)).await, "card_listed", "of another client");
    let log = log_of(app).await;
    let of = |action: &str| log.iter().filter(|entry| entry.action == action).collect::<Vec<_>>();
    for (action, person, reason) in [
        ("administration_requested", "wang", None),
        ("administration_approved", "li", None),
        ("client_undone", "wang", Some("ticket 7")),
        ("report_filing_undone", "wang", Some("ticket 7")),
    ] {
        let [entry] = of(action)[..] else { panic!("{action}: {:?}", of(action)) };
        assert_eq!((entry.person.as_deref(), entry.reason.as_deref()), (Some(person), reason), "{action}");
        assert!(entry.client.is_some(), "{action}");
    }
    approve(app, &provider.token("li", "sec"), &location).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn what_stays_is_told_and_a_second_undoing_finds_nothing() {
    let app = TestApp::spawn().await;
    let (one, other) = (app.add_client("admin", None).await, app.add_client("admin", None).await);
    let thief = app.add_client_of(app.police.organization, "registry").await;
    let filed =
        app.post(&thief.token, "/v1/loss-reports", &crate::bodies::report_of(&random_number(), Some(LOST))).await;
    let kept =
        app.post(&thief.token, "/v1/loss-reports", &crate::bodies::report_of(&random_number(), Some(LOST))).await;
    let kept = kept.json()["report_id"].clone();
    assert_eq!(app.withdraw(kept.as_str().unwrap()).await.status, 200);
    let asked = undo_of(&app, &thief);
    let location = ask(&app, &one.token, UNDO, &asked).await;
    assert_eq!(approve(&app, &other.token, &location).await.status, 200);
    let told = done(&app, &one.token, &location).await;
    let left = json!([{"action": "report_filed", "record_id": kept, "why": "changed_by_others"}]);
    assert_eq!(told["undone"], json!({"undone": 1, "nothing_left": 0, "left_count": 1, "left": left}));
    assert_eq!(app.read_report(filed.json()["report_id"].as_str().unwrap()).await.json()["state"], "withdrawn");
    let again = ask(&app, &one.token, UNDO, &asked).await;
    assert_eq!(approve(&app, &other.token, &again).await.status, 200);
    let told = done(&app, &one.token, &again).await;
    assert_eq!(told["undone"], json!({"undone": 0, "nothing_left": 1, "left_count": 1, "left": left}));
}

#[tokio::test]
async fn an_undoing_is_judged_and_repeated_as_any_write() {
    let app = TestApp::spawn().await;
    let (one, other) = (app.add_client("admin", None).await, app.add_client("admin", None).await);
    let asked = undo_of(&app, &app.police);
    let send = async |body: &Value| app.post(&one.token, UNDO, body).await;
    for (member, value, code) in [
        ("client_id", json!("x"), "malformed_id"),
        ("from", json!("yesterday"), "malformed_instant"),
        ("to", json!("2020-01-01T00:00:00Z"), "out_of_range"),
        ("reason", json!(""), "malformed_text"),
        ("reason", json!("of 11010519491231002X"), "malformed_text"),
    ] {
        let refused = send(&crate::bodies::with(asked.clone(), member, value)).await;
        assert_eq!(refused.field_errors(), [(format!("/{member}"), code.to_owned())]);
    }
    send(&crate::bodies::with(asked.clone(), "client_id", json!("00000000-0000-0000-0000-000000000000")))
        .await
        .problem(409, "wrong_state");
    let request = || app.request("POST", UNDO).bearer_auth(&one.token).header("idempotency-key", "k").json(&asked);
    let (first, again) = (app.send(request()).await, app.send(request()).await);
    assert_eq!((first.status, &first.text), (202, &again.text));
    let location = first.header("location").to_owned();
    app.clock.advance(Duration::from_hours(7 * 24));
    app.clock.advance(Duration::from_secs(1));
    let fresh = app.token_for(&other).await;
    approve(&app, &fresh, &location).await.problem(409, "wrong_state");
    assert_eq!(app.get(&fresh, &location).await.json()["state"], "expired");
    assert!(app.get(&fresh, &location).await.json().get("done_at").is_none());
}

#[tokio::test]
async fn what_a_dead_node_has_taken_another_one_does() {
    let app = TestApp::spawn().await;
    let (one, other) = (app.add_client("admin", None).await, app.add_client("admin", None).await);
    let filed = app.report_lost(&random_number(), Some(LOST)).await;
    let now_ms = app.clock.now_ms();
    let hour = Duration::from_hours(1);
    let request = AdminRequest {
        id: AdminRequestId::from_u128(7),
        actor: Actor::new(one.organization, one.client_id),
        act: WaitingAct::UndoClient,
        target: Some(app.police.client_id.into()),
        body: "{}".to_owned(),
        requested_at_ms: now_ms,
        approved: None,
        refused: None,
        work: None,
        done_at_ms: None,
        outcome: None,
    };
    let work = json!({"from_ms": now_ms.minus(hour).get(), "to_ms": now_ms.plus(hour).get(), "reason": "ticket 7"});
    let subject: RecordId = app.police.client_id.into();
    let approved = Approved { at_ms: now_ms, by: other.client_id, person: None, subject };
    let until_ms = now_ms.plus(Duration::from_mins(2));
    // Approved, and taken by a node that died with that.
    app.change_store(async |tx| {
        tx.keep_admin_request(&request).await.unwrap();
        tx.approve_admin_request(request.id, &approved).await.unwrap();
        tx.leave_admin_work(request.id, &work.to_string()).await.unwrap();
        let taken = tx.take_admin_work(now_ms, until_ms).await.unwrap();
        assert_eq!(taken.map(|taken| taken.id), Some(request.id));
        assert!(tx.take_admin_work(until_ms, until_ms).await.unwrap().is_none(), "it is taken until then");
    })
    .await;
    let read = async || app.read_report(filed["report_id"].as_str().unwrap()).await.json()["state"].clone();
    assert_eq!(read().await, "active");
    app.clock.advance(Duration::from_secs(121));
    eventually("another node does it", async || read().await == "withdrawn").await;
    let location = format!("/v1/admin/requests/{}", request.id);
    assert_eq!(done(&app, &one.token, &location).await["undone"]["undone"], 1);
}

#[tokio::test]
async fn an_export_is_read_by_who_asked_once_another_person_agrees() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    app.report_lost(&random_number(), Some(LOST)).await;
    let wang = provider.token("wang", "ops");
    let too_far = app.post(&wang, EXPORTS, &json!({"after": 1_000_000, "reason": "yearly"})).await;
    assert_eq!(too_far.field_errors(), [("/after".to_owned(), "out_of_range".to_owned())]);
    let location = ask(app, &wang, EXPORTS, &json!({"reason": "the yearly visit"})).await;
    let export = format!("{location}/export");
    app.get(&wang, &export).await.problem(409, "wrong_state");
    approve(app, &provider.token("wang", "sec"), &location).await.problem(403, "another_must_confirm");
    let approved = approve(app, &provider.token("li", "sec"), &location).await.json();
    let last = approved["exported_to"].as_u64().unwrap();
    app.report_lost(&random_number(), Some(LOST)).await;
    let (mut text, mut cursor, mut pages) = (String::new(), None::<String>, 0);
    loop {
        let query = cursor.map_or_else(|| "?limit=2".to_owned(), |cursor| format!("?limit=2&cursor={cursor}"));
        let page = app.get(&wang, &format!("{export}{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        for line in page.json()["lines"].as_array().unwrap() {
            text.push_str(line.as_str().unwrap());
            text.push('\n');
        }
        pages += 1;
        cursor = page.json().get("next_cursor").map(|cursor| cursor.as_str().unwrap().to_owned());
        if cursor.is_none() {
            break;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("export.ndjson"), &text).unwrap();
    std::fs::write(path("jwks.json"), app.get("", "/.well-known/jwks.json").await.text).unwrap();
    let verify = || {
        let args = ["audit", "verify", "--json", "--jwks", &path("jwks.json"), &path("export.ndjson")];
        child::run(&folder.path().join("nowhere"), &args)
    };
    let verified = verify();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&verified["last"], &verified["entries"]), (&json!(last), &json!(last)));
    assert_eq!(u64::try_from(pages).unwrap(), last.div_ceil(2));
    // Who reads it, is in the log; and a line that is missing is found.
    let log = log_of(app).await;
    let read = log.iter().filter(|entry| entry.action == "audit_exported");
    assert!(read.clone().all(|entry| entry.person.as_deref() == Some("wang")));
    assert_eq!(read.count(), pages);
    let opened: Vec<_> = log.iter().filter(|entry| entry.action == "audit_export_opened").collect();
    assert_eq!(opened[0].reason.as_deref(), Some("the yearly visit"));
    std::fs::write(path("export.ndjson"), text.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    assert!(!verify().status.success());
    // Nobody else reads it, nor who approved it; nor anybody later.
    app.get(&provider.token("li", "sec"), &export).await.problem(404, "not_found");
    app.get(&provider.token("zhao", "sec"), &export).await.problem(404, "not_found");
    app.clock.advance(Duration::from_hours(7 * 24));
    app.clock.advance(Duration::from_secs(1));
    app.get(&provider.token("wang", "ops"), &export).await.problem(409, "wrong_state");
}
