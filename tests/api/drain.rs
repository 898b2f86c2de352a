//! How a node stops: not ready at once, serving on, telling its clients with each answer that the connection ends, then finishing
//! what is in flight. `http` holds what a draining node answers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bodies::{check_of, random_number, report_of};
use crate::child::Server;
use crate::helpers::{TestApp, TestClient, eventually};
use crate::raw;

fn check_request(client: &TestClient) -> Vec<u8> {
    let headers =
        [("Authorization", format!("Bearer {}", client.token)), ("Content-Type", "application/json".to_owned())];
    let body = check_of(&random_number(), None).to_string();
    raw::request("POST", "/v1/checks", &headers.map(|(n, v)| (n.to_owned(), v)), body.as_bytes())
}

#[tokio::test]
async fn clients_that_heed_close_lose_no_request_when_a_node_stops() {
    const CLIENTS: usize = 8;
    let mut old = TestApp::spawn_with(|config| config.drain_seconds = 1).await;
    let new = old.sibling().await;
    let many = old.add_client("checks", Some("1000000/60s")).await;
    let (addresses, moved, done) = ([old.address, new.address], AtomicUsize::new(0), AtomicBool::new(false));
    let client = async || {
        let (mut at, mut answered) = (0, 0_u32);
        let mut stream = TcpStream::connect(addresses[at]).await.unwrap();
        while !done.load(Ordering::Relaxed) {
            stream.write_all(&check_request(&many)).await.expect("the connection is open");
            let answer = raw::read_answer(&mut stream).await.expect("no request is lost");
            assert_eq!(answer.status, 200, "{}", answer.text);
            answered += 1;
            if answer.header("connection") == "close" {
                assert_eq!(at, 0, "only the node that stops sends its clients away");
                at = 1;
                stream = TcpStream::connect(addresses[at]).await.unwrap();
                moved.fetch_add(1, Ordering::Relaxed);
            }
        }
        answered
    };
    let (answered, ()) = tokio::join!(futures_util::future::join_all((0..CLIENTS).map(|_| client())), async {
        let begun = random_number();
        old.report_lost(&begun, None).await;
        old.begin_stop();
        eventually("every client has moved", || async { moved.load(Ordering::Relaxed) == CLIENTS }).await;
        old.stop().await;
        assert_eq!(new.verdict(&begun, None).await, "number_listed");
        done.store(true, Ordering::Relaxed);
    });
    assert!(answered.iter().all(|count| *count > 1), "{answered:?}");
}

#[tokio::test]
async fn what_is_in_flight_is_finished_after_the_drain() {
    let mut app = TestApp::spawn().await;
    let lock = app.hold_writers().await;
    let number = random_number();
    let request =
        app.request("POST", "/v1/loss-reports").bearer_auth(&app.police.token).json(&report_of(&number, None));
    let filing = tokio::spawn(request.send());
    let metric = "lostcard_in_flight 1";
    eventually("the report is in flight", || async { app.metrics().await.contains(metric) }).await;
    app.begin_stop();
    let address = app.address;
    // Nothing new is taken: the drain of a test node is over at once.
    eventually("the node has stopped listening", || async { TcpStream::connect(address).await.is_err() }).await;
    drop(lock);
    assert_eq!(filing.await.unwrap().unwrap().status(), 201);
    app.stop().await;
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&folder.path().join("data"), |command| {
        command.env("LOSTCARD_DRAIN_SECONDS", "5");
    });
    server.signal(Signal::TERM);
    let told = Instant::now();
    while !server.log().contains("draining") {
        assert!(told.elapsed() < Duration::from_secs(5), "it drains");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(server.is_alive(), "it serves on for five seconds");
    let told = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}
