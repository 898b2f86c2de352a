//! Misuse reports: told, read by whom they concern, listed and resolved by registrars; what no answer and no error repeats.

use std::collections::BTreeSet;
use std::time::Duration;

use lostcard::clock::Rfc3339;
use lostcard::domain::instant::UnixMs;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bodies::{check_of, digest_of, random_number, with};
use crate::helpers::{Answer, TestApp, TestClient};
use crate::limits::retry_after;
use crate::numbers::node_of;

const PATH: &str = "/v1/misuse-reports";
const STORY: &str = "The guest was far younger than the holder.\nHe left when asked.";

/// Misuse as a hotel reports it, noticed at this moment.
fn misuse_of(app: &TestApp, number: &str) -> Value {
    let observed_at = Rfc3339::of(app.clock.now_ms());
    json!({"id_number": number, "kind": "impersonation", "observed_at": observed_at.as_str(), "narrative": STORY})
}

async fn tell(app: &TestApp, body: &Value) -> Answer {
    app.post(&app.hotel.token, PATH, body).await
}

/// Reports a misuse of somebody's card; the report's id.
async fn told(app: &TestApp) -> String {
    let answer = tell(app, &misuse_of(app, &random_number())).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["misuse_report_id"].as_str().unwrap().to_owned()
}

async fn read(app: &TestApp, client: &TestClient, id: &str) -> Answer {
    app.get(&client.token, &format!("{PATH}/{id}")).await
}

async fn list(app: &TestApp, query: &str) -> Answer {
    app.get(&app.police.token, &format!("{PATH}{query}")).await
}

async fn resolve(app: &TestApp, id: &str, body: &Value) -> Answer {
    app.post(&app.police.token, &format!("{PATH}/{id}/resolution"), body).await
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn ids(list: &Value) -> Vec<String> {
    let reports = list["misuse_reports"].as_array().unwrap();
    reports.iter().map(|report| report["misuse_report_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_misuse_report_is_read_by_its_organization_and_by_registrars() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let check = app.check(&check_of(&number, None)).await.json();
    let mut body = with(misuse_of(&app, &number), "check_id", check["check_id"].clone());
    body["site"] = json!("harbour-2");
    let answer = tell(&app, &body).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"), "{}", answer.text);
    let told = answer.json();
    assert_eq!(
        members(&told),
        ["check_id", "kind", "misuse_report_id", "observed_at", "reported_at", "site", "state"],
        "the narrative is not repeated: the answer is kept for repetitions"
    );
    assert_eq!((&told["state"], &told["check_id"]), (&json!("open"), &check["check_id"]));
    assert_eq!(told["observed_at"], body["observed_at"]);
    let id = told["misuse_report_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("{PATH}/{id}"));
    let own = read(&app, &app.hotel, id).await;
    assert_eq!((own.status, own.header("cache-control")), (200, "no-store"));
    assert_eq!(own.json(), with(told.clone(), "narrative", STORY));
    let colleague = app.add_client_of(app.hotel.organization, "checks").await;
    assert_eq!(read(&app, &colleague, id).await.json(), own.json());
    let by_police = read(&app, &app.police, id).await.json();
    assert_eq!(by_police, with(own.json(), "organization", app.hotel.organization.to_string()));
}

#[tokio::test]
async fn a_misuse_report_takes_number_or_digest() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let mut by_digest = misuse_of(&app, &number);
    by_digest.as_object_mut().unwrap().remove("id_number");
    assert_eq!(tell(&app, &by_digest).await.field_errors(), [(String::new(), "exactly_one".to_owned())]);
    by_digest["id_digest"] = json!(digest_of(&number));
    assert_eq!(tell(&app, &by_digest).await.status, 201);
    by_digest["id_number"] = json!(number);
    assert_eq!(tell(&app, &by_digest).await.field_errors(), [(String::new(), "exactly_one".to_owned())]);
}

#[tokio::test]
async fn a_misuse_report_lists_nobody() {
    let app = TestApp::spawn().await;
    let number = random_number();
    assert_eq!(tell(&app, &misuse_of(&app, &number)).await.status, 201);
    assert_eq!(app.verdict(&number, None).await, "not_listed", "a hotel cannot take a card out of use");
}

#[tokio::test]
async fn another_organizations_misuse_report_does_not_exist() {
    let app = TestApp::spawn().await;
    let id = told(&app).await;
    let thief = app.add_client("checks", None).await;
    read(&app, &thief, &id).await.problem(404, "not_found");
    read(&app, &thief, &Uuid::nil().to_string()).await.problem(404, "not_found");
    read(&app, &app.hotel, "not-an-id").await.problem(404, "not_found");
}

#[tokio::test]
async fn only_a_registrar_sees_the_reports_of_others() {
    let app = TestApp::spawn().await;
    let id = told(&app).await;
    let body = json!({"office": "110105-03", "outcome": "confirmed"});
    let path = format!("{PATH}/{id}/resolution");
    // The kind without the scope.
    let checking_police = app.add_client_of(app.police.organization, "checks").await;
    read(&app, &checking_police, &id).await.problem(404, "not_found");
    for client in [&checking_police, &app.hotel] {
        app.post(&client.token, &path, &body).await.problem(403, "insufficient_scope");
    }
    for (client, seen) in [(&checking_police, [].as_slice()), (&app.hotel, std::slice::from_ref(&id))] {
        assert_eq!(ids(&app.get(&client.token, PATH).await.json()), seen, "those of the own organization alone");
    }
    tell_as(&app, &app.police).await.problem(403, "insufficient_scope");
    let auditor = app.add_client("audit", None).await;
    read(&app, &auditor, &id).await.problem(403, "insufficient_scope");
    assert_eq!(read(&app, &app.hotel, &id).await.json()["state"], "open");
}

async fn tell_as(app: &TestApp, client: &TestClient) -> Answer {
    app.post(&client.token, PATH, &misuse_of(app, &random_number())).await
}

#[tokio::test]
async fn a_misuse_report_is_resolved_once() {
    let app = TestApp::spawn().await;
    for outcome in ["confirmed", "unfounded", "handed_over"] {
        let id = told(&app).await;
        let body = json!({"office": "110105-03", "outcome": outcome, "note": "Seen on the cameras."});
        let answer = resolve(&app, &id, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let resolved = answer.json();
        assert_eq!((&resolved["state"], &resolved["narrative"]), (&json!("resolved"), &json!(STORY)));
        assert_eq!(members(&resolved["resolution"]), ["note", "office", "outcome", "resolved_at"]);
        assert_eq!(resolved["resolution"]["outcome"], outcome);
        assert_eq!(read(&app, &app.police, &id).await.json(), resolved);
        let own = read(&app, &app.hotel, &id).await.json();
        assert_eq!(members(&own["resolution"]), ["office", "outcome", "resolved_at"], "the note is the registrar's");
        let again = json!({"office": "110105-04", "outcome": "unfounded", "note": "No."});
        resolve(&app, &id, &again).await.problem(409, "wrong_state");
        assert_eq!(read(&app, &app.police, &id).await.json(), resolved, "a refused resolution changes nothing");
    }
    resolve(&app, &Uuid::nil().to_string(), &json!({"office": "1", "outcome": "confirmed"}))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn of_concurrent_resolutions_one_holds() {
    let app = TestApp::spawn().await;
    let id = told(&app).await;
    let bodies: Vec<_> = (0..8).map(|n| json!({"office": format!("110105-{n:02}"), "outcome": "confirmed"})).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| resolve(&app, &id, body))).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(done.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)));
    assert_eq!(read(&app, &app.police, &id).await.json(), done[0].json());
}

#[tokio::test]
async fn the_list_comes_in_pages_oldest_first() {
    let app = TestApp::spawn().await;
    assert_eq!(list(&app, "").await.json(), json!({"misuse_reports": []}));
    let mut all = Vec::new();
    for _ in 0..103 {
        all.push(told(&app).await);
        app.clock.advance(Duration::from_secs(1));
    }
    let first = list(&app, "?state=open").await.json();
    assert_eq!(ids(&first), all[..100]);
    assert!(!first.to_string().contains("younger"), "no narrative in a list");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&app, &format!("?state=open&cursor={cursor}")).await.json();
    assert_eq!(ids(&second), all[100..]);
    assert!(second.get("next_cursor").is_none());
    let (whole, last) =
        (list(&app, "?limit=1000").await.json(), list(&app, &format!("?cursor={cursor}&limit=2")).await.json());
    assert_eq!((ids(&whole), ids(&last)), (all.clone(), all[100..102].to_vec()));
    for id in &all[..3] {
        resolve(&app, id, &json!({"office": "110105-03", "outcome": "unfounded"})).await;
    }
    assert_eq!(ids(&list(&app, "?state=resolved").await.json()), all[..3]);
    let open = list(&app, "").await.json();
    assert_eq!(ids(&open), all[3..]);
    assert!(open.get("next_cursor").is_none(), "exactly a page has no next one");
    let others = app.add_client("checks", None).await;
    tell_as(&app, &others).await;
    assert_eq!(list(&app, "").await.json()["misuse_reports"].as_array().unwrap().len(), 100, "of every organization");
    assert!(list(&app, "").await.json()["next_cursor"].is_string());
}

#[tokio::test]
async fn a_list_is_the_callers_own_or_a_registrars_and_of_an_office_and_an_instant() {
    let app = TestApp::spawn().await;
    let others = app.add_client("checks", None).await;
    let mut all = Vec::new();
    for n in 0..6 {
        let by = if n % 2 == 0 { &app.hotel } else { &others };
        all.push(tell_as(&app, by).await.json()["misuse_report_id"].as_str().unwrap().to_owned());
        app.clock.advance(Duration::from_secs(1));
    }
    let of =
        async |client: &TestClient, query: &str| ids(&app.get(&client.token, &format!("{PATH}{query}")).await.json());
    let own = app.get(&app.hotel.token, PATH).await.json();
    assert_eq!(ids(&own), [all[0].clone(), all[2].clone(), all[4].clone()]);
    assert!(own["misuse_reports"][0].get("organization").is_none(), "for registrars");
    let first = app.get(&app.hotel.token, &format!("{PATH}?limit=2")).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(of(&app.hotel, &format!("?cursor={cursor}")).await, all[4..5]);
    for (at, office) in [(0, "110105-03"), (1, "110105-03"), (2, "110105-04")] {
        resolve(&app, &all[at], &json!({"office": office, "outcome": "confirmed"})).await;
    }
    assert_eq!(of(&app.police, "?office=110105-03").await, all[..2]);
    assert_eq!(of(&app.police, "?office=110105-03&state=open").await, [] as [String; 0], "what is open has no office");
    assert_eq!(of(&app.hotel, "?office=110105-03").await, all[..1]);
    assert_eq!(of(&app.hotel, "?state=resolved").await, [all[0].clone(), all[2].clone()]);
    let since = Rfc3339::of(UnixMs::new(app.clock.now_ms().get() - 2000));
    assert_eq!(of(&app.police, &format!("?since={}", since.as_str())).await, all[4..]);
}

#[tokio::test]
async fn a_query_of_the_list_takes_state_and_page_alone() {
    let app = TestApp::spawn().await;
    let number = random_number();
    for query in [
        "?id_number=".to_owned() + &number,
        "?state=open&state=resolved".to_owned(),
        "?cursor=AAAA&cursor=AAAA".to_owned(),
        "?after=1".to_owned(),
        "?open".to_owned(),
    ] {
        let answer = list(&app, &query).await;
        answer.problem(400, "malformed_request");
        assert!(!answer.text.contains(&number), "{query}");
    }
    for query in [
        "?limit=0".to_owned(),
        "?limit=1001".to_owned(),
        "?state=".to_owned(),
        "?state=Open".to_owned(),
        "?cursor=".to_owned(),
        format!("?cursor={number}"),
        format!("?cursor={}", "A".repeat(22) + "="),
    ] {
        let answer = list(&app, &query).await;
        assert_eq!(answer.field_errors().len(), 1, "{query}");
        assert!(!answer.text.contains(&number), "{query}");
    }
    let reported = app.post(&app.hotel.token, &format!("{PATH}?state=open"), &misuse_of(&app, &number)).await;
    reported.problem(400, "malformed_request");
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_stores_nothing() {
    let app = TestApp::spawn().await;
    let body = misuse_of(&app, &random_number());
    let send = |body: Value| {
        let request = app.request("POST", PATH).header("Idempotency-Key", "key").json(&body);
        app.send(request.bearer_auth(&app.hotel.token))
    };
    let answers = futures_util::future::join_all((0..8).map(|_| send(body.clone()))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
        assert_eq!(answer.header("location"), answers[0].header("location"));
    }
    assert_eq!(ids(&list(&app, "").await.json()).len(), 1);
    send(with(body, "kind", "forged_card")).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn wrong_values_are_refused_by_pointer_and_code() {
    let app = TestApp::spawn().await;
    let good = misuse_of(&app, &random_number());
    let at = |ms: i64| json!(Rfc3339::of(UnixMs::new(app.clock.now_ms().get() + ms)).as_str());
    let day_ms = 24 * 3600 * 1000;
    for (member, value, pointer, code) in [
        ("id_number", json!("440524188001010015"), "/id_number", "wrong_check_character"),
        ("kind", json!("theft"), "/kind", "unknown_value"),
        ("observed_at", json!("2026-11-23"), "/observed_at", "malformed_instant"),
        ("observed_at", json!("2026-11-23T08:55:00"), "/observed_at", "malformed_instant"),
        ("observed_at", at(301_000), "/observed_at", "observed_in_future"),
        ("observed_at", at(-732 * day_ms), "/observed_at", "observed_too_long_ago"),
        ("check_id", json!("folio-77"), "/check_id", "malformed_id"),
        ("site", json!("11010519491231002X"), "/site", "malformed_label"),
        ("narrative", json!(""), "/narrative", "malformed_text"),
        ("narrative", json!("n".repeat(2001)), "/narrative", "malformed_text"),
        ("narrative", json!("secret\u{0}word"), "/narrative", "malformed_text"),
    ] {
        let answer = tell(&app, &with(good.clone(), member, value)).await;
        assert_eq!(answer.field_errors(), [(pointer.to_owned(), code.to_owned())]);
        assert!(!answer.text.contains("younger") && !answer.text.contains("secret"), "{}", answer.text);
    }
    for (member, value) in [("narrative", Value::Null), ("check_id", json!(7)), ("extra", json!("secret"))] {
        let answer = tell(&app, &with(good.clone(), member, value)).await;
        answer.problem(400, "malformed_json");
        assert!(!answer.text.contains("secret"));
    }
    for value in [at(299_000), at(-730 * day_ms), json!("2026-11-01T08:55:00.5+08:00")] {
        assert_eq!(tell(&app, &with(good.clone(), "observed_at", value)).await.status, 201);
    }
    assert_eq!(tell(&app, &with(good.clone(), "narrative", "证".repeat(2000))).await.status, 201);
    let id = told(&app).await;
    let good = json!({"office": "110105-03", "outcome": "confirmed", "note": "x"});
    for (member, value, pointer, code) in [
        ("office", json!(""), "/office", "malformed_office"),
        ("outcome", json!("open"), "/outcome", "unknown_value"),
        ("note", json!("n".repeat(2001)), "/note", "malformed_text"),
    ] {
        let errors = resolve(&app, &id, &with(good.clone(), member, value)).await.field_errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())]);
    }
    assert_eq!(read(&app, &app.hotel, &id).await.json()["state"], "open");
}

#[tokio::test]
async fn misuse_reports_are_counted() {
    let app = TestApp::spawn().await;
    let all: BTreeSet<_> = [told(&app).await, told(&app).await].into();
    assert_eq!((all.len(), app.metric("lostcard_misuse_reports_total").await), (2, 2));
}

/// One organization does not fill the list that registrars work by.
#[tokio::test]
async fn a_client_files_so_many_in_a_day_and_others_stay_in_sight() {
    let app = node_of("200/1d").await;
    let sibling = app.sibling().await;
    let bank = app.add_client("checks", None).await;
    let send = |key: &str, body: Value| {
        let request = app.request("POST", PATH).header("Idempotency-Key", key);
        app.send(request.bearer_auth(&app.hotel.token).json(&body))
    };
    let body = misuse_of(&app, &random_number());
    let first = send("first", body.clone()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    for at in 1..40 {
        let node = [&app, &sibling][at % 2];
        assert_eq!(tell_as(node, &node.hotel).await.status, 201, "{at}");
    }
    for node in [&app, &sibling] {
        let refused = tell_as(node, &node.hotel).await;
        refused.problem(429, "limit_spent");
        assert!((1..=24 * 3600).contains(&retry_after(&refused)));
    }
    let again = send("first", body).await;
    assert_eq!((again.status, again.text), (201, first.text), "a repetition files nothing");
    let of_bank = tell_as(&app, &bank).await.json();
    assert_eq!(ids(&list(&app, "?limit=1000").await.json()).len(), 41);
    let found = list(&app, &format!("?organization={}", bank.organization)).await.json();
    assert_eq!(ids(&found), [of_bank["misuse_report_id"].as_str().unwrap()]);
    assert_eq!(ids(&list(&app, &format!("?organization={}", Uuid::nil())).await.json()), [""; 0]);
    let wrong = [("/organization".to_owned(), "malformed_id".to_owned())];
    assert_eq!(list(&app, "?organization=bank").await.field_errors(), wrong);
    let own = app.get(&app.hotel.token, &format!("{PATH}?organization={}", bank.organization)).await;
    assert_eq!(own.field_errors(), [("/organization".to_owned(), "unknown_value".to_owned())]);
    app.clock.advance(Duration::from_hours(24));
    let hotel = TestClient { token: app.token_for(&app.hotel).await, ..app.hotel.clone() };
    assert_eq!(tell_as(&app, &hotel).await.status, 201, "a new day in Beijing");
}
