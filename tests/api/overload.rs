//! More than a node can do: what is refused, what is not, and what slow callers hold. The waiting is real: another writer holds
//! the store's lock, or every connection to the store is in use. Stopping is in `drain`.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::bodies::{check_of, random_number, report_of};
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::raw;

/// For those who ask until something is refused: a limit must not be what ends it.
const MANY: &str = "1000000/60s";

#[track_caller]
fn is_reduced(answer: &Answer) {
    answer.problem(503, "reduced_capacity");
    assert!((1..=5).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
}

async fn batch_is_refused(app: &TestApp, many: &TestClient) -> bool {
    let answer =
        app.post(&many.token, "/v1/checks/batch", &json!({ "checks": [check_of(&random_number(), None)] })).await;
    if answer.status != 200 {
        is_reduced(&answer);
    }
    answer.status != 200
}

#[tokio::test]
async fn checks_are_refused_before_reports_and_health_never() {
    let app =
        TestApp::spawn_with(|config| (config.overload.requests_max, config.overload.checks_percent) = (2, 50)).await;
    let many = app.add_client("checks", Some(MANY)).await;
    assert!(!batch_is_refused(&app, &many).await);
    let lock = app.hold_writers().await;
    let (one, two, three) =
        (report_of(&random_number(), None), report_of(&random_number(), None), report_of(&random_number(), None));
    let answers = async {
        // Batches may take one place of two: refused, they show that the first report has its own.
        let (first, ()) = tokio::join!(app.report(&one), async {
            eventually("the first report waits", || batch_is_refused(&app, &many)).await;
            assert_eq!(app.verdict(&random_number(), None).await, "not_listed", "memory answers");
            // What reads the store waits for a place, by whichever of its spellings it is asked.
            for path in ["/registry-log/1/checkpoint", "/registry-log/checkpoint", "/registry-log/tile/0/000"] {
                is_reduced(&app.get("", path).await);
            }
            assert_eq!(app.get("", "/health/live").await.status, 200);
            assert_eq!(app.get("", "/health/ready").await.status, 200);
            // Of two more reports one finds the last place, the other none.
            let (mut second, mut third) = (Box::pin(app.report(&two)), Box::pin(app.report(&three)));
            let waits = tokio::select! {
                answer = &mut second => { is_reduced(&answer); third }
                answer = &mut third => { is_reduced(&answer); second }
            };
            drop(lock);
            assert_eq!(waits.await.status, 201);
        });
        first
    };
    assert_eq!(answers.await.status, 201);
    eventually("batches are taken again", || async { !batch_is_refused(&app, &many).await }).await;
    let metrics = app.metrics().await;
    assert!(metrics.contains(r#"lostcard_problems_total{code="reduced_capacity"}"#), "{metrics}");
}

#[tokio::test]
async fn a_check_that_memory_answers_needs_no_place() {
    let app = TestApp::spawn_with(|config| {
        (config.overload.requests_max, config.overload.checks_percent) = (2, 50);
        (config.store.connections_max, config.store.acquire_timeout_ms) = (1, 10_000);
        config.registry.store_timeout_ms = 10_000;
        // A listed number is looked up in the store.
        config.registry.exact_mib = 0;
    })
    .await;
    let many = app.add_client("checks", Some(MANY)).await;
    let (one, two) = (random_number(), random_number());
    app.report_lost(&one, None).await;
    app.report_lost(&two, None).await;
    // From here on its token is known without asking the store.
    assert!(!batch_is_refused(&app, &many).await);
    let lock = app.hold_writers().await;
    // A report waits for the lock on the only connection for requests: whatever the store must be asked now, waits.
    let report = report_of(&random_number(), None);
    let search = json!({ "id_number": random_number() });
    let (filed, ()) = tokio::join!(app.report(&report), async {
        eventually("the report waits", || batch_is_refused(&app, &many)).await;
        is_reduced(&app.check(&check_of(&one, None)).await);
        for _ in 0..20 {
            assert_eq!(app.verdict(&random_number(), None).await, "not_listed");
        }
        let (found, ()) = tokio::join!(app.post(&app.police.token, "/v1/loss-reports/search", &search), async {
            drop(lock);
        });
        assert_eq!(found.status, 200);
    });
    assert_eq!(filed.status, 201);
    assert_eq!(app.verdict(&two, None).await, "number_listed");
}

#[tokio::test]
async fn a_report_beyond_the_deadline_is_never_said_to_be_not_stored() {
    let app = TestApp::spawn_with(|config| config.overload.deadline_ms = 300).await;
    let lock = app.hold_writers().await;
    let (number, started) = (random_number(), Instant::now());
    let report = report_of(&number, None);
    app.report_once("late-1", &report).await.problem(503, "outcome_unknown");
    assert!(started.elapsed() < Duration::from_secs(2));
    drop(lock);
    eventually("the report goes through", || async { app.report_once("late-1", &report).await.status == 201 }).await;
    let found = app.search(&number).await.json();
    assert_eq!(found["reports"].as_array().unwrap().len(), 1, "{found}");
}

/// The head of a request, and its body if any, without its last byte.
fn begun(client: &TestClient, with_body: bool) -> Vec<u8> {
    let headers =
        [("Authorization", format!("Bearer {}", client.token)), ("Content-Type", "application/json".to_owned())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let body = check_of(&random_number(), None).to_string();
    let mut bytes = raw::request("POST", "/v1/checks", &headers, body.as_bytes());
    bytes.truncate(bytes.len() - if with_body { 1 } else { body.len() + 1 });
    bytes
}

#[tokio::test]
async fn five_hundred_callers_that_dribble_stop_nobody() {
    const DRIBBLERS: usize = 500;
    let app = TestApp::spawn_with(|config| config.overload.requests_max = 8).await;
    let many = app.add_client("checks", Some("100000/60s")).await;
    let started = Instant::now();
    let dribble = |index: usize| {
        let bytes = begun(&many, index.is_multiple_of(2));
        let address = app.address;
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let (begin, rest) = bytes.split_at(bytes.len() - 40);
            stream.write_all(begin).await.unwrap();
            let mut answer = Vec::new();
            for byte in rest {
                if stream.write_all(std::slice::from_ref(byte)).await.is_err() {
                    break;
                }
                // A byte every half second, unless the server has ended it.
                if timeout(Duration::from_millis(500), stream.read_buf(&mut answer)).await.is_ok() {
                    break;
                }
            }
            answer
        })
    };
    let dribblers: Vec<_> = (0..DRIBBLERS).map(dribble).collect();
    let mut served = 0;
    while started.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        let check = check_of(&random_number(), None);
        assert_eq!(app.post(&many.token, "/v1/checks", &check).await.status, 200);
        let batch = app.post(&many.token, "/v1/checks/batch", &json!({ "checks": [check] })).await;
        assert_eq!(batch.status, 200, "dribblers hold their part of the places: {}", batch.text);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        served += 2;
    }
    assert!(served > 20, "{served}");
    for dribbler in dribblers {
        let answer = dribbler.await.unwrap();
        // Beyond one client's part of the places a body that trickles in is refused at once.
        let is_refused = [b"HTTP/1.1 408", b"HTTP/1.1 503"].iter().any(|start| answer.starts_with(*start));
        assert!(answer.is_empty() || is_refused, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(started.elapsed() < Duration::from_secs(19), "ended at their bounds: {:?}", started.elapsed());
}

#[tokio::test]
async fn an_address_that_nobody_vouches_for_holds_its_share_and_no_more() {
    // An eighth of one MiB for bodies whose callers are not known yet: token requests, at most 16 KiB each.
    let app = TestApp::spawn_with(|config| config.overload.memory_mib = 1).await;
    let request = "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 16000\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&[b'a'; 15_000]).await.unwrap();
        held.push(stream);
    }
    eventually("the share is held", || async {
        app.metric("lostcard_budget_refused_total{whose=\"share\"}").await > 0
    })
    .await;
    let mut refused = 0;
    for stream in &mut held {
        if let Ok(answer) = timeout(Duration::from_millis(300), raw::read_answer(stream)).await {
            let answer = answer.expect("an answer");
            answer.problem(429, "address_share_held");
            let wait: u32 = answer.header("retry-after").parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
            refused += 1;
        }
    }
    assert!((4..=12).contains(&refused), "{refused} of 16");
    // A caller that is known continues: a check keeps nothing, and its batch counts towards its client.
    assert_eq!(app.verdict(&random_number(), None).await, "not_listed");
    // Nor does its report, which goes the long way, and is held before anybody is known.
    for _ in 0..10 {
        let answer = app.report(&report_of(&random_number(), None)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    drop(held);
    let id = app.hotel.client_id.to_string();
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", app.hotel.secret.as_str())];
    eventually("what is dropped is free again", || async { app.ask_token(&form).await.status == 200 }).await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_given_up_and_holds_one_place() {
    let app = TestApp::spawn_with(|config| {
        (config.overload.requests_max, config.overload.checks_percent) = (1, 100);
        config.overload.answer_ms = 1500;
    })
    .await;
    let many = app.add_client("checks", Some(MANY)).await;
    let checks: Vec<_> = (0..1000).map(|_| check_of(&random_number(), None)).collect();
    let body = json!({ "checks": checks }).to_string();
    let headers =
        [("Authorization", format!("Bearer {}", many.token)), ("Content-Type", "application/json".to_owned())];
    let request = raw::request("POST", "/v1/checks/batch", &headers.map(|(n, v)| (n.to_owned(), v)), body.as_bytes());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.address).await.unwrap();
    // More answers of over a megabyte than the system buffers between the two ends.
    let sending = async {
        for _ in 0..16 {
            if stream.write_all(&request).await.is_err() {
                break;
            }
        }
    };
    let watching = async {
        // By a gauge until its answers are stuck: a batch that is asked in between takes the place from it, and what is refused
        // with most of its body still to come ends the connection.
        let seen = std::cell::Cell::new(0);
        eventually("the reader is stuck", || async {
            let is_taken = app.metric("lostcard_in_flight").await == 1;
            seen.set(if is_taken { seen.get() + 1 } else { 0 });
            seen.get() == 10
        })
        .await;
        eventually("the reader holds the place", || batch_is_refused(&app, &many)).await;
        assert_eq!(app.verdict(&random_number(), None).await, "not_listed");
        eventually("the reader is given up", || async { !batch_is_refused(&app, &many).await }).await;
    };
    tokio::join!(sending, watching);
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    let ended = timeout(Duration::from_secs(5), async {
        while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
            read += bytes;
        }
    });
    assert!(ended.await.is_ok(), "the connection has ended");
    assert!(read > 0);
}

#[tokio::test]
async fn a_refusal_keeps_the_connection() {
    let app = TestApp::spawn().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    for _ in 0..3 {
        let body = check_of(&random_number(), None).to_string();
        stream.write_all(&raw::request("POST", "/v1/checks", &[], body.as_bytes())).await.unwrap();
        let answer = raw::read_answer(&mut stream).await.expect("an answer on the same connection");
        answer.problem(401, "invalid_token");
        assert_eq!(answer.header("connection"), "");
    }
}
