//! What holds whatever the path: methods, sizes, types, hosts, request ids, caching, health, metrics.

use lostcard::http::contract::route::Route;
use lostcard::http::routes::ROUTES;
use serde_json::json;

use crate::bodies::{check_of, random_number};
use crate::helpers::{Answer, TestApp, eventually};
use crate::raw;
use crate::registry_log::begin;

/// A path of a pattern: every id is one that names nothing.
pub(crate) fn target(pattern: &str) -> String {
    let id = uuid::Uuid::nil().to_string();
    let target = pattern.replace("{report_id}", &id).replace("{certificate_id}", &id).replace("{code}", "not_found");
    // The first leaf of a log.
    target.replace("{epoch}", "1").replace("{tile}", "0/000.p/1").replace("{bundle}", "000.p/1")
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let app = TestApp::spawn_sandbox().await;
    for pattern in ROUTES.iter().map(|row| row.path) {
        let taken: Vec<_> = ROUTES.iter().filter(|row| row.path == pattern).map(Route::verb).collect();
        let allowed = match (taken.contains(&"get"), taken.contains(&"post"), taken.contains(&"patch")) {
            (true, true, false) => "GET, HEAD, POST",
            (true, false, false) => "GET, HEAD",
            (true, false, true) => "GET, HEAD, PATCH",
            (false, true, false) => "POST",
            other => panic!("{pattern}: {other:?}"),
        };
        for wrong in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if taken.contains(&wrong.to_ascii_lowercase().as_str()) {
                continue;
            }
            let answer = app.send(app.request(wrong, &target(pattern))).await;
            answer.problem(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), allowed, "{wrong} {pattern}");
        }
    }
    let answer = app.send(app.request("POST", "/openapi.json")).await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::spawn().await;
    for path in ["/", "/health/live", "/health/ready", "/.well-known/jwks.json", "/openapi.json", "/problems/not_found"]
    {
        let (get, head) = (app.get("", path).await, app.send(app.request("HEAD", path)).await);
        assert_eq!((get.status, head.status, head.text.as_str()), (200, 200, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let app = TestApp::spawn().await;
    for path in
        ["/v1", "/v1/checks/", "/v2/checks", "/V1/checks", "//v1//checks", "/v1/checks/x", "/metrics", "/nowhere"]
    {
        app.send(app.request("POST", path)).await.problem(404, "not_found");
        app.get("", path).await.problem(404, "not_found");
    }
    app.get(&app.police.token, "/v1/loss-reports/not-an-id").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_body_above_its_bound_is_refused() {
    let app = TestApp::spawn().await;
    let large = format!(r#"{{"id_number":"{}","purpose":"lodging"}}"#, "1".repeat(256 * 1024));
    let post =
        |path: &str| app.request("POST", path).bearer_auth(&app.hotel.token).header("content-type", "application/json");
    app.send(post("/v1/checks").body(large.clone())).await.problem(413, "body_too_large");
    // Without an announced length it is refused where it crosses the bound.
    let mut chunked = format!(
        "POST /v1/checks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        app.hotel.token,
        large.len()
    );
    chunked.push_str(&large);
    raw::exchange(app.address, chunked.as_bytes()).await.unwrap().problem(413, "body_too_large");
    // A batch may be larger, up to a mebibyte.
    let padded = |bytes: usize| format!(r#"{{"checks":[{}]{}}}"#, check_of(&random_number(), None), " ".repeat(bytes));
    assert_eq!(app.send(post("/v1/checks/batch").body(padded(1024 * 1024 - 200))).await.status, 200);
    app.send(post("/v1/checks/batch").body(padded(1024 * 1024))).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_target_above_its_bound_is_refused() {
    let app = TestApp::spawn().await;
    for path in [format!("/v1/loss-reports/{}", "a".repeat(2048)), format!("/x?{}", "a".repeat(2048))] {
        let answer = app.get(&app.police.token, &path).await;
        assert_eq!(answer.status, 414, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn only_plain_json_in_utf_8_is_taken() {
    let app = TestApp::spawn().await;
    let body = check_of(&random_number(), None).to_string();
    let send = |content_type: &str, encoding: &str| {
        let mut request = app.request("POST", "/v1/checks").bearer_auth(&app.hotel.token).body(body.clone());
        for (name, value) in [("Content-Type", content_type), ("Content-Encoding", encoding)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        app.send(request)
    };
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
    ] {
        assert_eq!(send(good, "").await.status, 200, "{good}");
    }
    assert_eq!(send("application/json", "identity").await.status, 200);
    for (content_type, encoding) in [
        ("", ""),
        ("text/plain", ""),
        ("application/json-patch+json", ""),
        ("application/x-www-form-urlencoded", ""),
        ("application/json; charset=utf-16", ""),
        ("application/json; charset=utf-8; charset=utf-16", ""),
        ("application/json", "gzip"),
        ("application/json", "foo"),
    ] {
        send(content_type, encoding).await.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn only_100_continue_can_be_expected() {
    let app = TestApp::spawn().await;
    let body = check_of(&random_number(), None);
    let request = |expect: &str| {
        let request = app.request("POST", "/v1/checks").bearer_auth(&app.hotel.token).json(&body);
        app.send(request.header("Expect", expect))
    };
    request("200-ok").await.problem(417, "expectation_failed");
    assert_eq!(request("100-continue").await.status, 200);
}

#[tokio::test]
async fn a_node_answers_to_its_own_names_only() {
    let app = TestApp::spawn_with(|config| config.hosts = vec!["inner.example".to_owned()]).await;
    let named = |host: &'static str, path: &'static str| app.send(app.request("GET", path).header("Host", host));
    for host in ["lostcard.test", "localhost:8080", "127.0.0.1", "[::1]:80", "INNER.example"] {
        assert_eq!(named(host, "/openapi.json").await.status, 200, "{host}");
    }
    for host in ["evil.example", "lostcard.test.evil.example", "127.0.0.2"] {
        named(host, "/openapi.json").await.problem(421, "wrong_host");
        named(host, "/v1/checks").await.problem(421, "wrong_host");
        assert_eq!(named(host, "/health/live").await.status, 200, "probes come by address");
    }
}

#[tokio::test]
async fn a_request_id_is_taken_if_well_formed_and_always_returned() {
    let app = TestApp::spawn().await;
    let send = |id: &str| app.send(app.request("GET", "/health/live").header("X-Request-Id", id));
    for good in ["a", "folio-77", &"f".repeat(63), "01993c5e-0000-7000-8000-000000000000", &"7".repeat(28)] {
        assert_eq!(send(good).await.header("x-request-id"), good);
    }
    for bad in ["a b", "a\tb", "a_b", "id/1", &"f".repeat(65), "id-11010519491231002X", &"0a".repeat(32)] {
        let answer = send(bad).await;
        let made: uuid::Uuid = answer.header("x-request-id").parse().unwrap();
        assert_eq!((answer.status, made.get_version_num()), (200, 7), "{bad}");
    }
    let (one, two) = (app.get("", "/health/live").await, app.get("", "/health/live").await);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    // A problem carries the same id in its body.
    let refused = app.send(app.request("GET", "/nowhere").header("X-Request-Id", "folio-77")).await;
    assert_eq!(refused.problem(404, "not_found")["request_id"], "folio-77");
}

#[tokio::test]
async fn nothing_about_a_person_is_cached_and_no_query_is_taken() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report(&crate::bodies::report_of(&number, None)).await;
    let path = report.header("location").to_owned();
    let answers: Vec<Answer> = vec![
        app.check(&check_of(&number, None)).await,
        app.check(&json!({})).await,
        app.get(&app.police.token, &path).await,
        app.get("", &path).await,
        app.get(&app.police.token, "/v1/nowhere").await,
        report,
    ];
    for answer in &answers {
        assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"));
    }
    for query in
        [format!("/v1/checks?id_number={number}"), format!("{path}?x=1"), "/oauth2/token?grant_type=x".to_owned()]
    {
        let answer = app.get(&app.police.token, &query).await;
        answer.problem(400, "malformed_request");
        assert!(!answer.text.contains(&number));
    }
}

#[tokio::test]
async fn a_missing_token_is_asked_for() {
    let app = TestApp::spawn().await;
    let (method, body) = ("POST", check_of(&random_number(), None));
    for authorization in ["", "Bearer", "Bearer ", "Bearer a b", "Basic YTpi", "bearer"] {
        let request = app.request(method, "/v1/checks").header("Authorization", authorization).json(&body);
        let answer = app.send(request).await;
        answer.problem(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#);
    }
    let twice = app.request(method, "/v1/checks").bearer_auth(&app.hotel.token).bearer_auth(&app.hotel.token);
    app.send(twice.json(&body)).await.problem(401, "invalid_token");
    let lower = app.request(method, "/v1/checks").header("Authorization", format!("bearer {}", app.hotel.token));
    assert_eq!(app.send(lower.json(&body)).await.status, 200, "the scheme is case-insensitive (RFC 9110, 11.1)");
}

#[tokio::test]
async fn a_node_is_ready_while_its_lease_holds() {
    let app =
        TestApp::spawn_with(|config| (config.registry.lease_ms, config.registry.poll_ms) = (60_000, 30_000)).await;
    assert_eq!(app.get("", "/health/ready").await.json(), json!({"status": "ok"}));
    app.clock.advance(std::time::Duration::from_secs(61));
    let answer = app.get("", "/health/ready").await;
    answer.problem(503, "not_ready");
    assert!((1..=5).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(app.get("", "/health/live").await.json(), json!({"status": "ok"}));
    assert_eq!(app.verdict(&random_number(), None).await, "not_listed", "without a lease the store is asked");
}

#[tokio::test]
async fn a_draining_node_is_not_ready_but_serves() {
    let mut app = TestApp::spawn_with(|config| config.drain_seconds = 2).await;
    app.begin_stop();
    let node = &app;
    eventually("the node says that it drains", || async move { node.get("", "/health/ready").await.status == 503 })
        .await;
    node.get("", "/health/ready").await.problem(503, "not_ready");
    let number = random_number();
    node.report_lost(&number, None).await;
    assert_eq!(node.verdict(&number, None).await, "number_listed");
    app.stop().await;
}

#[tokio::test]
async fn metrics_are_on_their_own_listener_alone() {
    let app = TestApp::spawn().await;
    // After that writes have receipts too.
    begin(&app).await;
    let number = random_number();
    app.report_lost(&number, None).await;
    app.verdict(&number, None).await;
    app.check(&json!({})).await;
    let metrics = app.metrics().await;
    for line in [
        r#"lostcard_checks_total{verdict="number_listed"} 1"#,
        "lostcard_reports_total 1",
        r#"lostcard_problems_total{code="malformed_json"} 1"#,
        // Of the check, and of the report.
        "lostcard_receipts_total 2",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} in\n{metrics}");
    }
    app.get("", "/metrics").await.problem(404, "not_found");
    let request = raw::request("GET", "/v1/checks", &[], b"");
    assert_eq!(raw::exchange(app.metrics_address, &request).await.unwrap().status, 404);
}
