//! Bytes on a connection: offers of other protocols, chunks, heads and their time, and the host that a target names.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies::{check_of, random_number};
use crate::helpers::{Answer, TestApp};
use crate::raw;

/// A check with these lines in its head.
fn check_with(app: &TestApp, lines: &str) -> Vec<u8> {
    let body = check_of(&random_number(), None).to_string();
    let head = format!(
        "POST /v1/checks HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n{lines}",
        app.hotel.token
    );
    if lines.contains("chunked") {
        let (one, two) = body.split_at(7);
        format!("{head}\r\n{:x}\r\n{one}\r\n{:X};last\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()).into_bytes()
    } else {
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }
}

async fn ask(stream: &mut TcpStream, request: &[u8]) -> Answer {
    stream.write_all(request).await.unwrap();
    raw::read_answer(stream).await.expect("an answer")
}

#[tokio::test]
async fn offers_of_other_protocols_are_ignored_and_the_connection_stays_in_step() {
    let app = TestApp::spawn().await;
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    for offer in [
        h2c,
        &format!("{h2c}Transfer-Encoding: chunked\r\n"),
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: upgrade\r\n",
        "connection: keep-alive, UPGRADE\r\nupgrade: TLS/1.2, HTTP/2.0\r\n",
        "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        for nth in 0..20 {
            let answer = ask(&mut stream, &check_with(&app, offer)).await;
            assert_eq!((answer.status, answer.header("connection")), (200, ""), "{nth}: {offer} {}", answer.text);
        }
        let last = check_with(&app, "Connection: close, Upgrade\r\nUpgrade: h2c\r\n");
        assert_eq!(ask(&mut stream, &last).await.header("connection"), "close");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "as its answer says");
    }
}

#[tokio::test]
async fn an_offer_with_a_refused_request_is_ignored_as_well() {
    let app = TestApp::spawn().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let get = "GET /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    for _ in 0..3 {
        let answer = ask(&mut stream, get.as_bytes()).await;
        answer.problem(404, "not_found");
        assert_eq!(answer.header("connection"), "");
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_answered_before_the_connection_ends() {
    let app = TestApp::spawn().await;
    let head = String::from_utf8(check_with(&app, "Transfer-Encoding: chunked\r\n")).unwrap();
    let head = head.split("\r\n\r\n").next().unwrap().to_owned() + "\r\n\r\n";
    for chunks in [
        "-1\r\n",
        "zz\r\n",
        "17 f\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n",
        "\r\n",
        "2\r\n{}\r\n-1\r\n",
        "2\r\n{}xx\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r\n{}\r\n0\r\nX: y\n\r\n",
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let answer = ask(&mut stream, (head.clone() + chunks).as_bytes()).await;
        let problem = answer.problem(400, "malformed_request");
        assert!(problem["detail"].as_str().unwrap().contains("chunks"), "{chunks:?} {problem}");
        assert_eq!(answer.header("connection"), "close");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "{chunks:?}: the connection ends");
    }
    // Where the head alone is answered, the connection ends as well.
    let refused = head.replace(&app.hotel.token, "x") + "zz\r\n";
    raw::exchange(app.address, refused.as_bytes()).await.unwrap().problem(401, "invalid_token");
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    assert_eq!(ask(&mut stream, &check_with(&app, "Transfer-Encoding: chunked\r\nTrailer: X\r\n")).await.status, 200);
}

#[tokio::test]
async fn heads_have_a_size_and_lines_that_end_in_both() {
    let app = TestApp::spawn().await;
    let get = |lines: &str| format!("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n");
    let field = |bytes: usize| format!("X-Padding: {}\r\n", "a".repeat(bytes));
    let answer = raw::exchange(app.address, get(&field(31 * 1024)).as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    for head in
        [get(&field(40 * 1024)), get(&field(1024).repeat(40)), get(&"X: y\r\n".repeat(120)), get(&field(400_000))]
    {
        let answer = raw::exchange(app.address, head.as_bytes()).await.unwrap();
        answer.problem(431, "head_too_large");
        assert_eq!(answer.header("connection"), "close");
    }
    let good = get("");
    for head in [good.replace("\r\n", "\n"), get("X: y\n"), format!("\n{good}"), good.replacen("\r\n", "\n", 1)] {
        let answer = raw::exchange(app.address, head.as_bytes()).await.unwrap();
        answer.problem(400, "malformed_request");
        assert_eq!(answer.header("connection"), "close");
    }
    // On a kept connection, too.
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    assert_eq!(ask(&mut stream, good.as_bytes()).await.status, 200);
    ask(&mut stream, good.replace("\r\n", "\n").as_bytes()).await.problem(400, "malformed_request");
    let empty_lines = raw::exchange(app.address, format!("\r\n\r\n{good}").as_bytes()).await.unwrap();
    assert_eq!(empty_lines.status, 200, "empty lines before a request are passed over");
}

#[tokio::test]
async fn every_head_of_a_connection_has_five_seconds() {
    let app = TestApp::spawn().await;
    let good = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let slow = async |heads: usize| {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        for _ in 0..heads {
            assert_eq!(ask(&mut stream, good).await.status, 200);
        }
        let began = Instant::now();
        let (mut read, mut write) = stream.split();
        let drip = async {
            for byte in b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ".iter().chain(std::iter::repeat(&b'a')) {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let mut answer = Vec::new();
        let all = async { read.read_to_end(&mut answer).await };
        tokio::select! {
            _ = all => {}
            () = drip => {}
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("too_slow"), "{heads} heads: {answer}");
        let waited = began.elapsed();
        assert!((4..9).contains(&waited.as_secs()), "{heads} heads: {waited:?}");
    };
    tokio::join!(slow(0), slow(1), slow(5));
}

#[tokio::test]
async fn the_host_of_the_target_counts_before_the_host_field() {
    let app = TestApp::spawn().await;
    let get = async |target: &str, host: &str| {
        let token = &app.hotel.token;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        raw::exchange(app.address, request.as_bytes()).await.unwrap()
    };
    get("http://evil.example/v1/alerts", "127.0.0.1").await.problem(421, "wrong_host");
    get("http://evil.example:80/v1/alerts", "127.0.0.1").await.problem(421, "wrong_host");
    get("http://user@127.0.0.1/v1/alerts", "127.0.0.1").await.problem(421, "wrong_host");
    for (target, host) in [
        ("http://127.0.0.1/v1/alerts", "evil.example"),
        ("https://LOSTCARD.test:8443/v1/alerts", "evil.example"),
        ("/v1/alerts", "lostcard.test."),
        ("/v1/alerts", "localhost.:8080"),
    ] {
        let answer = get(target, host).await;
        assert_eq!((answer.status, &answer.json()["alerts"]), (200, &json!([])), "{target} {host}");
    }
    get("http://127.0.0.1/v1/checks?id_number=1", "127.0.0.1").await.problem(400, "malformed_request");
}

/// A fragment is no part of a request (RFC 9112, 3.2): what stands behind the sign would go unseen by every rule of targets.
#[tokio::test]
async fn a_target_has_no_fragment() {
    let app = TestApp::spawn().await;
    let long = "a".repeat(20_000);
    for target in [
        "/v1/checks#",
        "/v1/checks#?id_number=1",
        "/v1/checks?a=b#c",
        "http://127.0.0.1/v1/checks#part",
        &format!("/v1/checks#{long}"),
    ] {
        let request = String::from_utf8(check_with(&app, "")).unwrap().replacen("/v1/checks", target, 1);
        let answer = raw::exchange(app.address, request.as_bytes()).await.unwrap();
        answer.problem(400, "malformed_request");
        assert_eq!(answer.header("connection"), "close", "{target:.40}");
    }
}

/// Many proxies and programs speak it still, and its requests need not say which host they mean.
#[tokio::test]
async fn what_comes_in_the_older_version_is_answered_like_anything_else() {
    let app = TestApp::spawn().await;
    let sent = String::from_utf8(check_with(&app, "")).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    let without_host = sent.replacen("Host: 127.0.0.1\r\n", "", 1);
    let absolute = without_host.replacen("/v1/checks", "http://127.0.0.1/v1/checks", 1);
    let expecting = sent.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let refused = raw::exchange(app.address, without_host.as_bytes()).await.unwrap();
    refused.problem(421, "wrong_host");
    assert!(!refused.header("x-request-id").is_empty());
    let get = b"GET /v1/alerts HTTP/1.0\r\n\r\n";
    raw::exchange(app.address, get).await.unwrap().problem(421, "wrong_host");
    for method in ["PUT", "GET", "PATCH"] {
        let other = without_host.replacen("POST", method, 1);
        raw::exchange(app.address, other.as_bytes()).await.unwrap().problem(421, "wrong_host");
    }
    // What is written again for the server has fields more than it had.
    for (fields, status) in [(90, 421), (96, 431)] {
        let many = without_host.replacen("\r\n", &format!("\r\n{}", "X: y\r\n".repeat(fields - 3)), 1);
        let answer = raw::exchange(app.address, many.as_bytes()).await.unwrap();
        answer.problem(status, if status == 421 { "wrong_host" } else { "head_too_large" });
    }
    for request in [sent, absolute, expecting] {
        let answer = raw::exchange(app.address, request.as_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, "close"), "{request} {}", answer.text);
    }
}

#[tokio::test]
async fn a_tunnel_is_refused_and_ends_its_connection() {
    let app = TestApp::spawn().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let connect = b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\x16\x03\x01";
    let answer = ask(&mut stream, connect).await;
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text);
    assert_eq!(answer.header("connection"), "close");
}

/// The request by which a refused head is answered says nothing by itself.
#[tokio::test]
async fn nobody_refuses_himself_by_a_method() {
    let app = TestApp::spawn().await;
    let asked = b"REFUSED * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let answer = raw::exchange(app.address, asked).await.unwrap();
    answer.problem(404, "not_found");
}
