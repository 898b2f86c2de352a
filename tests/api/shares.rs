//! What one client may have of a node beside its share of memory: places, connections, the work of reading lists.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::bodies::{check_of, random_number, report_of};
use crate::helpers::{TestApp, eventually};
use crate::raw;

/// For those who ask until something is refused: a limit must not be what ends it.
const MANY: &str = "1000000/60s";

#[tokio::test]
async fn a_client_whose_reads_wait_leaves_reports_and_tokens_of_others_alone() {
    let app = TestApp::spawn_with(|config| config.overload.requests_max = 16).await;
    let flood = app.add_client("checks", Some(MANY)).await;
    // From here on its token is known.
    assert_eq!(app.get(&flood.token, "/v1/misuse-reports").await.status, 200);
    let lock = app.hold_writers().await;
    // Each leaves an entry in the audit log, and so waits for the writers' turn.
    let reads = futures_util::future::join_all((0..40).map(|_| app.get(&flood.token, "/v1/misuse-reports")));
    let others = async {
        eventually("its part is taken", async || app.metric("lostcard_in_flight").await == 9).await;
        let id = app.hotel.client_id.to_string();
        let form =
            [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", app.hotel.secret.as_str())];
        assert_eq!(app.ask_token(&form).await.status, 200);
        let report = report_of(&random_number(), None);
        let (filed, ()) = tokio::join!(app.report(&report), async {
            eventually("the report has its place", async || app.metric("lostcard_in_flight").await == 10).await;
            drop(lock);
        });
        assert_eq!(filed.status, 201, "{}", filed.text);
    };
    let (reads, ()) = tokio::join!(reads, others);
    let (passed, refused): (Vec<_>, Vec<_>) = reads.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((passed.len(), refused.len()), (9, 31), "half of the places, and one");
    for answer in refused {
        answer.problem(503, "reduced_capacity");
    }
    assert_eq!(app.get(&flood.token, "/v1/misuse-reports").await.status, 200, "all is given back");
}

#[tokio::test]
async fn large_answers_that_a_client_does_not_read_are_in_the_budget() {
    // An eighth of one MiB; a large answer counts half of that at most.
    let app = TestApp::spawn_with(|config| config.overload.memory_mib = 1).await;
    let flood = app.add_client("checks", Some(MANY)).await;
    let checks: Vec<_> = (0..300).map(|_| check_of(&random_number(), None)).collect();
    let batch = json!({ "checks": checks });
    assert_eq!(app.post(&flood.token, "/v1/checks/batch", &batch).await.status, 200, "one always fits");
    let headers =
        [("Authorization", format!("Bearer {}", flood.token)), ("Content-Type", "application/json".to_owned())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let request = raw::request("POST", "/v1/checks/batch", &headers, batch.to_string().as_bytes());
    let mut held = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let (reader, mut writer) = socket.connect(app.address).await.unwrap().into_split();
        let request = request.clone();
        // More answers than the system buffers between the two ends.
        let sending = tokio::spawn(async move {
            for _ in 0..40 {
                if writer.write_all(&request).await.is_err() {
                    break;
                }
            }
            writer
        });
        held.push((reader, sending));
    }
    let small = json!({ "checks": checks[..200] });
    eventually("two fill the client's share", async || {
        app.post(&flood.token, "/v1/checks/batch", &small).await.status == 503
    })
    .await;
    let other = app.add_client("checks", Some(MANY)).await;
    let answer = app.post(&other.token, "/v1/checks/batch", &small).await;
    assert_eq!(answer.status, 200, "others are not refused for it: {}", answer.text);
    for (reader, sending) in held {
        sending.abort();
        drop(reader);
    }
    eventually("it is free again", async || app.post(&flood.token, "/v1/checks/batch", &small).await.status == 200)
        .await;
}

#[tokio::test]
async fn idle_connections_give_way_where_workers_have_all_that_they_take() {
    let app = TestApp::spawn_with(|config| (config.workers, config.overload.connections_max) = (2, 20)).await;
    let mut idle = Vec::new();
    for last in 1..=3 {
        for _ in 0..20 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 7, last], 0).into()).unwrap();
            idle.push(socket.connect(app.address).await.unwrap());
        }
    }
    for _ in 0..5 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 7, 9], 0).into()).unwrap();
        let mut newcomer = socket.connect(app.address).await.unwrap();
        let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
        newcomer.write_all(request).await.unwrap();
        let answer = timeout(Duration::from_secs(20), raw::read_answer(&mut newcomer)).await;
        assert_eq!(answer.expect("it is accepted").expect("an answer").status, 200);
        idle.push(newcomer);
    }
    eventually("no more than were chosen", async || app.metric("lostcard_connections").await <= 40).await;
}

/// What is left of the client's limit.
fn left(answer: &crate::helpers::Answer) -> u32 {
    let text = answer.header("ratelimit");
    let left = text.split(';').find_map(|part| part.strip_prefix("r=")).unwrap();
    left.parse().unwrap()
}

#[tokio::test]
async fn a_page_costs_its_rows() {
    let app = TestApp::spawn().await;
    let registrar = app.add_client("registry", Some("60/3600s")).await;
    let reports: Vec<_> = (0..25).map(|_| report_of(&random_number(), None)).collect();
    for report in &reports {
        assert_eq!(app.post(&registrar.token, "/v1/loss-reports", report).await.status, 201);
    }
    let list = async |query: &str| app.get(&registrar.token, &format!("/v1/loss-reports?{query}")).await;
    let first = list("limit=9").await;
    assert_eq!((first.status, left(&first)), (200, 34));
    assert_eq!(left(&list("limit=20").await), 31, "one, and one for each ten rows");
    assert_eq!(left(&list("state=withdrawn").await), 30, "an empty one costs one");
    for expected in [27, 24, 21, 18, 15, 12, 9, 6, 3] {
        assert_eq!(left(&list("").await), expected);
    }
    assert_eq!(left(&list("").await), 0);
    list("").await.problem(429, "limit_spent");
    let usage = app.get(&app.hotel.token, "/v1/usage").await;
    assert_eq!((usage.status, left(&usage)), (200, 590), "a look at many days costs ten");
}

#[tokio::test]
async fn what_rows_cost_beyond_the_limit_is_owed() {
    let app = TestApp::spawn().await;
    let registrar = app.add_client("registry", Some("25/3600s")).await;
    let other = app.add_client_of(registrar.organization, "registry").await;
    for _ in 0..30 {
        let body = report_of(&random_number(), None);
        assert_eq!(app.post(&other.token, "/v1/loss-reports", &body).await.status, 201);
    }
    let list = async || app.get(&registrar.token, "/v1/loss-reports").await;
    for expected in [21, 17, 13, 9, 5, 1, 0] {
        let answer = list().await;
        assert_eq!((answer.status, left(&answer)), (200, expected), "{}", answer.text);
    }
    let refused = list().await;
    refused.problem(429, "limit_spent");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    // The one that is asked for, and three that are owed.
    assert!((3 * 144..=4 * 144).contains(&wait), "{wait}");
    // Redis has a clock of its own.
    if app.config.redis_url.is_none() {
        app.clock.advance(Duration::from_secs(wait));
        assert_eq!(list().await.status, 200, "the wait that it was told is enough");
    }
}
