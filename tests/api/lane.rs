//! The short way of a check gives what the long way gives: the same bytes but for id, time, receipt and what is left of the limit,
//! whatever the request looks like, wherever its bytes are cut, and with another one behind it. A connection that has asked for
//! anything else stays on the long way, so that both ways of one node can be asked the same.

use lostcard::config::Forwarded;
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout};

use crate::bodies::{check_of, digest_of, random_number, rate, with};
use crate::helpers::{Answer, TestApp};
use crate::{raw, registry_log};

/// How many requests are drawn; `LANE_REQUESTS=100000` draws more.
const REQUESTS: usize = 3000;

/// Numbers that are asked for, and a token.
struct Given {
    token: String,
    listed: String,
    unlisted: String,
}

/// A head of lines, and a body.
#[derive(Clone, Debug)]
struct Sent {
    lines: Vec<String>,
    body: Vec<u8>,
    is_chunked: bool,
}

impl Sent {
    fn plain(given: &Given, body: Vec<u8>) -> Self {
        let lines = [
            "POST /v1/checks HTTP/1.1".to_owned(),
            "Host: 127.0.0.1".to_owned(),
            format!("Authorization: Bearer {}", given.token),
            "Content-Type: application/json".to_owned(),
            format!("Content-Length: {}", body.len()),
        ];
        Self { lines: lines.into(), body, is_chunked: false }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n\r\n", self.lines.join("\r\n")).into_bytes();
        if self.is_chunked {
            let (one, two) = self.body.split_at(self.body.len() / 2);
            for part in [one, two].into_iter().filter(|part| !part.is_empty()) {
                bytes.extend(format!("{:x}\r\n", part.len()).bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }
}

fn draw_body(given: &Given, rng: &mut StdRng) -> Vec<u8> {
    let number = if rng.random_bool(0.3) { &given.listed } else { &given.unlisted };
    let start = [None, Some("2016-05-01"), Some("2018-01-01")].choose(rng).copied().flatten();
    let good = check_of(number, start);
    let body = match rng.random_range(0..24) {
        0 => with(good, "receipt", false),
        1 => with(good, "site", "hotel-7"),
        2 => with(good, "client_ref", "folio-77"),
        3 => with(good, "purpose", "gambling"),
        4 => with(good, "card_valid_from", "2999-01-01"),
        5 => with(good, "card_valid_from", Value::Null),
        6 => with(good, "colour", "red"),
        7 => with(good, "receipt", "yes"),
        8 => with(good, "site", format!("a-{number}")),
        9 => json!([good]),
        10 => json!({"id_digest": digest_of(number), "purpose": "lodging"}),
        11 => json!({"id_number": number, "id_digest": digest_of(number), "purpose": "lodging"}),
        12 => json!({"id_number": format!("{}0", &number[..17]), "purpose": "lodging"}),
        13 => json!({"purpose": "lodging"}),
        14 => return Vec::new(),
        15 => return good.to_string().into_bytes()[1..].to_vec(),
        16 => return format!("\u{feff}{good}").into_bytes(),
        17 => return format!("{good}{good}").into_bytes(),
        18 => return format!(" {}\n", serde_json::to_string_pretty(&good).unwrap()).into_bytes(),
        19 => return [good.to_string().as_bytes(), &[0xff]].concat(),
        _ => good,
    };
    body.to_string().into_bytes()
}

fn spoil_head(sent: &mut Sent, rng: &mut StdRng) {
    const ADDED: &[&str] = &[
        "X-Request-Id: abc-123",
        "X-Request-Id: 11010519491231002X",
        "x-request-id: two words",
        "Connection: keep-alive",
        "Connection: close",
        "Connection: Upgrade\r\nUpgrade: h2c",
        "Expect: 100-continue",
        "Expect: more",
        "Accept: */*",
        "Accept-Encoding: gzip, br",
        "User-Agent: curl/8",
        "User-Agent: curl/8\r\nUser-Agent: curl/8",
        "Content-Encoding: gzip",
        "Content-Encoding: identity",
        "Idempotency-Key: a-b",
        "Forwarded: for=192.0.2.1",
        "Forwarded: for=\"[2001:db8::1]:80\";proto=https, for=_hidden",
        "Forwarded: garbage, for=192.0.2.1",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1, garbage",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2",
        "X-Forwarded-Prefix: /below",
        "X-Forwarded-Proto: https\r\nX-Real-IP: 192.0.2.1\r\nVia: 1.1 proxy",
        "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Cookie: a=b",
        "X-Odd: \u{e9}",
        "Bad Name: a",
        " folded: a",
        "Empty:",
    ];
    const CHANGED: &[(&str, &str)] = &[
        ("POST /v1/checks", "GET /v1/checks"),
        ("POST /v1/checks", "post /v1/checks"),
        ("/v1/checks ", "/v1/checks?a=b "),
        ("/v1/checks ", "/v1/checks# "),
        ("/v1/checks ", "/v1/checks#?id_number=1 "),
        ("/v1/checks ", "/%761/checks "),
        ("/v1/checks ", "/v1/checks/ "),
        ("/v1/checks ", "http://127.0.0.1/v1/checks "),
        ("/v1/checks ", "http://other.example/v1/checks "),
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1", "HTTP/2.0"),
        ("HTTP/1.1", "HTTP/1.1 "),
        ("Host: 127.0.0.1", "Host: other.example"),
        ("Host: 127.0.0.1", "HOST:127.0.0.1:80"),
        ("Host: 127.0.0.1", "Host: 127.0.0.1."),
        ("Bearer ", "bearer  "),
        ("Bearer ", "Basic "),
        ("Bearer ", "Bearer x"),
        ("application/json", "Application/JSON; charset=UTF-8"),
        ("application/json", "application/json; charset=utf-16"),
        ("application/json", "text/plain"),
        ("Content-Length: ", "Content-Length: +"),
        ("Content-Length: ", "Content-Length: 0"),
        ("Content-Length: ", "Content-Length:\t"),
        ("Content-Length: ", "Transfer-Encoding: chunked\r\nContent-Length: "),
    ];
    match rng.random_range(0..10) {
        0..3 => sent.lines.insert(rng.random_range(1..=sent.lines.len()), (*ADDED.choose(rng).unwrap()).to_owned()),
        3..6 => {
            let (from, to) = CHANGED.choose(rng).unwrap();
            sent.lines.iter_mut().for_each(|line| *line = line.replace(from, to));
        }
        6 => {
            let line = sent.lines[rng.random_range(1..sent.lines.len())].clone();
            sent.lines.insert(rng.random_range(1..=sent.lines.len()), line);
        }
        7 => drop(sent.lines.remove(rng.random_range(1..sent.lines.len()))),
        8 => {
            sent.lines.retain(|line| !line.starts_with("Content-Length"));
            sent.lines.push("Transfer-Encoding: chunked".to_owned());
            sent.is_chunked = true;
        }
        _ => {
            let at = rng.random_range(0..sent.lines.len());
            let line = &mut sent.lines[at];
            *line =
                if rng.random_bool(0.5) { line.replace("\r\n", "\n") + "\n X: y" } else { line.to_ascii_uppercase() };
        }
    }
}

/// What one connection has to say to these bytes, sent in these pieces: its answers until it has none.
async fn ask(app: &TestApp, is_long: bool, pieces: &[&[u8]], answers: usize) -> Vec<Answer> {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    if is_long {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        raw::read_answer(&mut stream).await.unwrap();
    }
    for piece in pieces {
        // A server that has refused may close before all is sent.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    let (mut all, mut rest) = (Vec::new(), Vec::new());
    while all.len() < answers {
        let mut reader = AsyncReadExt::chain(&rest[..], &mut stream);
        let Some((answer, following)) =
            timeout(Duration::from_secs(20), raw::read_one(&mut reader)).await.expect("an answer in time")
        else {
            break;
        };
        rest = following;
        all.push(answer);
    }
    all
}

/// An answer without what two requests need not have in common.
fn masked(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let given = answer.header("x-request-id") == "abc-123";
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "ratelimit") && (given || *name != "x-request-id"))
        // Whether a connection lives on depends on how far the server had read when its client said that no more would come.
        .filter(|(name, _)| *name != "connection")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.push(("ratelimit?".to_owned(), answer.headers.contains_key("ratelimit").to_string()));
    headers.sort();
    let mut text = answer.text.clone();
    if let Ok(Value::Object(members)) = serde_json::from_str::<Value>(&text) {
        for name in ["check_id", "as_of", "receipt", "receipt_salt", "request_id", "instance"] {
            if let Some(value) = members.get(name).and_then(Value::as_str) {
                let mask = "#".repeat(value.len());
                text = text.replacen(value, &mask, 1);
            }
        }
        // The node's own rows of the feed (its keys, its epochs) may come between two requests. The answer stays as long as it was.
        if let Some(sequence) = members.get("registry_sequence").map(Value::to_string) {
            text = text.replacen(&format!("\"registry_sequence\":{sequence}"), "\"registry_sequence\":#", 1);
            text.insert_str(text.len() - 1, &" ".repeat(sequence.len()));
        }
    }
    (answer.status, headers, text)
}

#[tokio::test]
async fn both_ways_give_the_same_answers() {
    let requests = std::env::var("LANE_REQUESTS").map_or(REQUESTS, |text| text.parse().unwrap());
    // Whether the one who asks is a proxy that is believed, and by which field.
    for proxy in [None, Some(Forwarded::XForwardedFor), Some(Forwarded::Forwarded)] {
        assert_both_ways_agree(proxy, requests / 3).await;
    }
}

async fn assert_both_ways_agree(proxy: Option<Forwarded>, requests: usize) {
    // Limits that never bite: what they left would differ.
    let app = TestApp::spawn_with(|config| {
        config.limits.address = rate("1000000/1s");
        if let Some(field) = proxy {
            config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            config.server.forwarded = field;
        }
    })
    .await;
    let token = app.token_for(&app.add_client("checks", Some("1000000/1s")).await).await;
    let (listed, unlisted) = (random_number(), random_number());
    app.report_lost(&listed, Some("2016-05-01")).await;
    // Heads of receipts name the log's checkpoint from here on, one of always the same length.
    registry_log::begin(&app).await;
    let given = Given { token, listed, unlisted };
    let seed = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    for nth in 0..requests {
        let mut sent = Sent::plain(&given, draw_body(&given, &mut rng));
        for _ in 0..[0, 1, 1, 2].choose(&mut rng).copied().unwrap() {
            spoil_head(&mut sent, &mut rng);
        }
        let mut bytes = sent.bytes();
        // Another one right behind it, or the first bytes of one.
        let mut answers = 1;
        let ends =
            |line: &String| line.contains("HTTP/1.0") || line.to_ascii_lowercase().starts_with("connection: close");
        let ends = sent.lines.iter().any(ends);
        if !ends && rng.random_bool(0.3) {
            bytes.extend(Sent::plain(&given, draw_body(&given, &mut rng)).bytes());
            answers = 2;
        }
        let at = rng.random_range(0..bytes.len());
        let pieces = if rng.random_bool(0.5) { vec![&bytes[..]] } else { vec![&bytes[..at], &bytes[at..]] };
        let (mut short, mut long);
        // A store that is slow for a moment may refuse one and answer the other.
        let mut tries = 0..5;
        loop {
            short = ask(&app, false, &pieces, answers).await;
            long = ask(&app, true, &pieces, answers).await;
            let refused = |all: &[Answer]| all.iter().position(|answer| answer.status == 503);
            if tries.next().is_none() || refused(&short) == refused(&long) {
                break;
            }
        }
        // Behind a refusal the same is true of the next answer.
        let until_refused = |all: Vec<Answer>| {
            let last = all.iter().position(|answer| answer.status != 200).map_or(all.len(), |at| at + 1);
            all[..last].iter().map(masked).collect::<Vec<_>>()
        };
        let [short, long] = [short, long].map(until_refused);
        assert_eq!(short, long, "seed {seed}, {proxy:?}, request {nth}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn plain_checks_stay_in_the_lane_and_nothing_else_does() {
    let app = TestApp::spawn_with(|config| config.server.lane = true).await;
    let given = Given { token: app.hotel.token.clone(), listed: String::new(), unlisted: random_number() };
    let body = check_of(&given.unlisted, None).to_string().into_bytes();
    let plain = Sent::plain(&given, body);
    let mut proxied = plain.clone();
    proxied.lines.extend(["X-Forwarded-For: 192.0.2.1".to_owned(), "Forwarded: for=192.0.2.1".to_owned()]);
    let (plain, proxied) = (plain.bytes(), proxied.bytes());
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    // The token is remembered from its second use on.
    assert_eq!(app.verdict(&given.unlisted, None).await, "not_listed");
    let left = app.metric("lostcard_lane_left_total").await;
    for request in [&plain, &proxied].repeat(10) {
        stream.write_all(request).await.unwrap();
        assert_eq!(raw::read_answer(&mut stream).await.unwrap().status, 200);
    }
    assert_eq!(app.metric("lostcard_lane_left_total").await, left);
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(raw::read_answer(&mut stream).await.unwrap().status, 200);
    assert_eq!(app.metric("lostcard_lane_left_total").await, left + 1);
    stream.write_all(&plain).await.unwrap();
    assert_eq!(raw::read_answer(&mut stream).await.unwrap().status, 200, "on the long way");
}

/// Whether its first bytes come with its opening or later, once or for longer than the first timer runs.
#[tokio::test]
async fn an_idle_connection_ends_whatever_it_has_asked_before() {
    const IDLE: Duration = Duration::from_secs(3);
    let app = TestApp::spawn_with(|config| {
        config.server.lane = true;
        config.overload.idle_seconds = IDLE.as_secs();
    })
    .await;
    let token = app.token_for(&app.add_client("checks", Some("1000000/1s")).await).await;
    let given = Given { token, listed: String::new(), unlisted: random_number() };
    let plain = Sent::plain(&given, check_of(&given.unlisted, None).to_string().into_bytes()).bytes();
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(&plain).await.unwrap();
        assert_eq!(raw::read_answer(stream).await.unwrap().status, 200);
    };
    // The token is remembered from its second use on.
    ask(&mut TcpStream::connect(app.address).await.unwrap()).await;
    let mut streams = Vec::new();
    for waits in [false, true, false] {
        streams.push(TcpStream::connect(app.address).await.unwrap());
        if waits {
            // Its worker looks at it before it has asked.
            ask(&mut TcpStream::connect(app.address).await.unwrap()).await;
        }
        ask(streams.last_mut().unwrap()).await;
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(5500) {
        ask(&mut streams[2]).await;
    }
    for (at, stream) in streams.iter_mut().enumerate() {
        // The last answer may come before its connection begins to wait: time passes until it has.
        let mut tries = 0..10;
        let rest = loop {
            app.clock.advance(IDLE);
            match timeout(IDLE * 2, stream.read(&mut [0])).await {
                Err(_) if tries.next().is_some() => {}
                rest => break rest,
            }
        };
        assert!(matches!(rest, Ok(Ok(0))), "{at}: {rest:?}");
    }
}

#[tokio::test]
async fn a_lane_that_is_off_has_no_connections() {
    let app = TestApp::spawn_with(|config| config.server.lane = false).await;
    assert_eq!(app.verdict(&random_number(), None).await, "not_listed");
    assert_eq!(app.metric("lostcard_lane_left_total").await, 0);
}
