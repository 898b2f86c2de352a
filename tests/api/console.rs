//! The console as a client and a browser get it: for operators only, figures that move, a store that is away, nothing about anybody;
//! the page's files and the chart library as it was published. What the page does is tried in a browser by `tests/browser`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use crate::bodies::{check_of, random_number};
use crate::desk::assert_stays_below_a_prefix;
use crate::helpers::{TestApp, eventually};

const PATHS: [&str; 2] = ["/v1/console", "/v1/console/history"];

#[tokio::test]
async fn only_operators_see_it() {
    let app = TestApp::spawn().await;
    let mut others = Vec::new();
    for scopes in ["checks", "registry", "citizen", "audit"] {
        others.push(app.add_client(scopes, None).await);
    }
    let operator = app.add_client("admin", None).await;
    for path in PATHS {
        app.get("", path).await.problem(401, "invalid_token");
        for other in &others {
            app.get(&other.token, path).await.problem(403, "insufficient_scope");
        }
        let answer = app.get(&operator.token, path).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{path}");
        app.get(&operator.token, &format!("{path}?node=1")).await.problem(400, "malformed_request");
    }
}

#[tokio::test]
async fn figures_move_with_what_happens() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let listed = random_number();
    let read = async || app.get(&operator.token, PATHS[0]).await.json();
    let before = read().await;
    app.report_lost(&listed, Some("2016-05-01")).await;
    assert_eq!(app.check(&check_of(&listed, Some("2016-05-01"))).await.status, 200);
    assert_eq!(app.check(&check_of(&listed, None)).await.status, 200);
    for _ in 0..3 {
        assert_eq!(app.check(&check_of(&random_number(), None)).await.status, 200);
    }
    assert_eq!(app.check(&check_of("11010519491231002", None)).await.status, 422);
    let after = read().await;
    let grown = |pointer: &str| {
        let [now, then] = [&after, &before].map(|answer| answer.pointer(pointer).and_then(Value::as_i64).unwrap());
        now - then
    };
    for (pointer, by) in [
        ("/sample/checks/not_listed", 3),
        ("/sample/checks/card_listed", 1),
        ("/sample/checks/number_listed", 1),
        ("/sample/checks/other_card_listed", 0),
        ("/sample/loss_reports", 1),
    ] {
        assert_eq!(grown(pointer), by, "{pointer}");
    }
    assert!(grown("/sample/registry_sequence") >= 1);
    let buckets = after["sample"]["check_buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), after["check_bounds_seconds"].as_array().unwrap().len() + 1);
    assert!(buckets.windows(2).all(|pair| pair[0].as_i64() <= pair[1].as_i64()), "{buckets:?}");
    assert_eq!(buckets.last().unwrap().as_i64().unwrap() - before["sample"]["check_buckets"][13].as_i64().unwrap(), 5);
    let problems = after["sample"]["problems"].as_array().unwrap();
    assert!(problems.iter().any(|problem| problem["name"] == "invalid_value"), "{problems:?}");
    assert_eq!(after["node_id"], before["node_id"]);
    assert!(after["alerts"].as_array().unwrap().iter().all(|alert| alert["is_firing"] == false), "{}", after["alerts"]);
}

#[tokio::test]
async fn history_begins_with_the_node_and_is_of_its_own() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let history = app.get(&operator.token, PATHS[1]).await.json();
    let now = app.get(&operator.token, PATHS[0]).await.json();
    for member in ["node_id", "started_at", "check_bounds_seconds"] {
        assert_eq!(history[member], now[member], "{member}");
    }
    assert!(!history["samples"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn nodes_of_the_store_are_listed_and_those_that_left_are_not() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let nodes = async || {
        let answer = app.get(&operator.token, PATHS[0]).await.json();
        answer["nodes"].as_array().cloned().unwrap_or_default()
    };
    eventually("the node sees itself", async || nodes().await.len() == 1).await;
    let sibling = app.sibling().await;
    eventually("both are there", async || nodes().await.len() == 2).await;
    app.report_lost(&random_number(), None).await;
    eventually("both know the report", async || nodes().await.iter().all(|node| node["changes_behind"] == 0)).await;
    assert!(nodes().await.iter().all(|node| node["is_dropped"] == false));
    sibling.stop().await;
    eventually("the one that stopped has left", async || nodes().await.len() == 1).await;
}

#[tokio::test]
async fn it_answers_while_the_store_is_away() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    assert_eq!(app.get(&operator.token, PATHS[0]).await.json()["store_reached"], true);
    rename(&app, "feed_head", "feed_head_away").await;
    rename(&app, "nodes", "nodes_away").await;
    app.clock.advance(Duration::from_secs(10));
    let read = async || app.get(&operator.token, PATHS[0]).await.json();
    eventually("it says so", async || read().await["store_reached"] == false).await;
    let last = read().await;
    assert_eq!((&last["store_reached"], &last["is_ready"]), (&Value::Bool(false), &Value::Bool(false)), "{last}");
    assert_eq!(last.get("nodes"), None, "what is not known is absent");
    assert_eq!(app.get(&operator.token, PATHS[1]).await.status, 200);
    rename(&app, "nodes_away", "nodes").await;
    rename(&app, "feed_head_away", "feed_head").await;
    eventually("it is well again", async || {
        let now = read().await;
        now["store_reached"] == true && now["is_ready"] == true && now["nodes"].is_array()
    })
    .await;
}

/// A table that is not there under its name: nothing that needs it succeeds, whatever the database.
async fn rename(app: &TestApp, from: &str, to: &str) {
    sqlx::any::install_default_drivers();
    let embedded = || format!("sqlite:{}", app.config.data.join("lostcard.db").display());
    let url = app.config.database_url.clone().unwrap_or_else(embedded);
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    let statement = format!("ALTER TABLE {from} RENAME TO {to}");
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn nobody_is_named() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let number = random_number();
    let report = app.report_lost(&number, None).await;
    app.check(&check_of(&number, None)).await;
    for path in PATHS {
        let text = app.get(&operator.token, path).await.text;
        let ids = [&app.hotel.client_id, &app.police.client_id, &operator.client_id].map(ToString::to_string);
        for secret in ids.iter().map(String::as_str).chain([number.as_str(), report["report_id"].as_str().unwrap()]) {
            assert!(!text.contains(secret), "{path}: {secret}");
        }
    }
}

#[tokio::test]
async fn each_file_of_the_page_is_served_with_its_type_and_policy() {
    let app = TestApp::spawn().await;
    let mut waiting = vec!["/console".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = app.get("", &path).await;
        assert_eq!(file.status, 200, "{path}");
        let expected = match path.rsplit_once('.').map(|(_, end)| end) {
            None => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        };
        assert_eq!((file.header("content-type"), file.header("cache-control")), (expected, "no-cache"), "{path}");
        let policy = file.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        if path.contains("uPlot") {
            continue;
        }
        if path != "/console/operations.md" {
            assert_stays_below_a_prefix(&path, &file.text);
        }
        let own = if path.starts_with("/web/") { "/web/" } else { "/console/" };
        for (before, folder) in [
            ("\"console/", "/console/"),
            ("\"web/", "/web/"),
            ("at(\"/console/", "/console/"),
            ("\"../web/", "/web/"),
            ("\"./", own),
        ] {
            let names = file.text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
            waiting.extend(names.map(|name| format!("{folder}{name}")));
        }
    }
    assert_eq!(seen.len(), 39, "a file that nothing names, or one too many: {seen:?}");
    for path in ["/console/", "/console/index.html", "/console/VENDORED", "/console?x=1", "/web/", "/web/nothing.js"] {
        app.get("", path).await.problem(404, "not_found");
    }
    assert!(app.get("", "/").await.text.contains("href=\"/console\""), "the start page links it");
}

#[tokio::test]
async fn vendored_libraries_are_the_published_ones() {
    let app = TestApp::spawn().await;
    let uplot = include_str!("../../src/web/vendor/uplot/VENDORED");
    let qr = include_str!("../../src/web/vendor/qr/VENDORED");
    let ed25519 = include_str!("../../src/web/vendor/ed25519/VENDORED");
    let blind = include_str!("../../src/web/vendor/blind/VENDORED");
    // A change of the client is one of the desk: the bundle is made of this very file.
    let client = Sha256::digest(include_bytes!("../../clients/blind/lostcard-blind.mjs"));
    assert!(blind.contains(&format!("{}  lostcard-blind.mjs", hex::encode(client))), "make the bundle again");
    for (told, path, name) in [
        (uplot, "/console/uPlot.iife.min.js", "uPlot.iife.min.js"),
        (uplot, "/console/uPlot.min.css", "uPlot.min.css"),
        (qr, "/web/qr-decode.min.js", "decode.min.js"),
        (qr, "/web/qr-encode.min.js", "encode.min.js"),
        (ed25519, "/web/ed25519.min.js", "ed25519.min.js"),
        (blind, "/desk/blind.min.js", "blind.min.js"),
    ] {
        let file = app.get("", path).await.text;
        let line = format!("{}  {name}", hex::encode(Sha256::digest(file.as_bytes())));
        assert!(told.contains(&line), "{line}");
    }
}
