//! Numbers that went through a node, looked for in its memory when it rests: as text, as digest, in hexadecimal.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::authority::{Authority, Pair};
use crate::bodies::{check_of, digest_bytes, digest_of, random_number, report_of};
use crate::memory::{Needles, search};
use crate::servers::node::Node;
use crate::service::Service;

/// The rest after which memory is looked at.
const REST: Duration = Duration::from_secs(5);

/// Canaries of one way in.
struct Way {
    name: &'static str,
    path: &'static str,
    numbers: Vec<String>,
    body: fn(&[String]) -> Value,
    /// How many of them one request carries.
    at_a_time: usize,
    is_known: bool,
    status: u16,
}

fn ways() -> Vec<Way> {
    let way = |name, path, body, count: usize, at_a_time, is_known, status| {
        let numbers = (0..count).map(|_| random_number()).collect();
        Way { name, path, numbers, body, at_a_time, is_known, status }
    };
    let search = |numbers: &[String]| json!({ "id_number": numbers[0] });
    vec![
        way("check", "/v1/checks", |n| check_of(&n[0], None), 150, 1, true, 200),
        way("digest", "/v1/checks", |n| json!({"id_digest": digest_of(&n[0]), "purpose": "other"}), 50, 1, true, 200),
        way(
            "escaped",
            "/v1/checks",
            |n| json!({"id_number": n[0], "purpose": "lodging", "site": "a"}),
            50,
            1,
            true,
            200,
        ),
        way("batch", "/v1/checks/batch", batch, 200, 100, true, 200),
        way("batch of digests", "/v1/checks/batch", batch_of_digests, 100, 100, true, 200),
        way("batch of wrong items", "/v1/checks/batch", batch_of_wrong, 100, 100, true, 200),
        way("wrong type", "/v1/checks", |n| json!({"id_number": "x", "purpose": {"a": n[0]}}), 50, 1, true, 400),
        way("unknown member", "/v1/checks", |n| json!({"id_number": "x", "other": n[0]}), 50, 1, true, 400),
        way("report", "/v1/loss-reports", |n| report_of(&n[0], None), 100, 1, true, 201),
        way("search", "/v1/loss-reports/search", search, 50, 1, true, 200),
        way("not known", "/v1/checks", |n| check_of(&n[0], None), 50, 1, false, 401),
        way("not known, batch", "/v1/checks/batch", batch, 50, 50, false, 401),
    ]
}

fn batch(numbers: &[String]) -> Value {
    json!({ "checks": numbers.iter().map(|number| check_of(number, None)).collect::<Vec<_>>() })
}

fn batch_of_digests(numbers: &[String]) -> Value {
    let check = |number: &String| json!({"id_digest": digest_of(number), "purpose": "lodging"});
    json!({ "checks": numbers.iter().map(check).collect::<Vec<_>>() })
}

fn batch_of_wrong(numbers: &[String]) -> Value {
    let check = |number: &String| json!({"id_number": "1", "purpose": number, "site": number, "other": number});
    json!({ "checks": numbers.iter().map(check).collect::<Vec<_>>() })
}

/// A connection, with or without TLS.
trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// How a node is reached.
struct Door {
    node: Node,
    /// None: without TLS.
    trusted: Option<Arc<rustls::ClientConfig>>,
}

impl Door {
    fn connect(&self) -> Box<dyn Connection> {
        let Some(config) = &self.trusted else { return Box::new(TcpStream::connect(self.node.address).unwrap()) };
        let tcp = TcpStream::connect(self.node.tls_address.unwrap()).unwrap();
        let session = rustls::ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
        Box::new(rustls::StreamOwned::new(session, tcp))
    }
}

fn trusting(root: &Pair) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from(root.der())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Sends a request on a connection that stays open; the status.
fn post(stream: &mut dyn Connection, path: &str, token: &str, body: &str) -> u16 {
    let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: lostcard.test\r\n{bearer}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0; 16384];
    loop {
        let read = stream.read(&mut byte).unwrap();
        assert!(read > 0, "{path}: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&byte[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if rest.len() >= length.parse::<usize>().unwrap() {
            return head[9..12].parse().unwrap();
        }
    }
}

fn load(service: &Service, door: &Door, ways: &[Way]) -> Vec<Box<dyn Connection>> {
    let mut connections = Vec::new();
    for way in ways {
        let token = match way.path {
            _ if !way.is_known => "",
            path if path.starts_with("/v1/checks") => &service.hotel.token,
            _ => &service.police.token,
        };
        // A connection for each five: some are used again, some rest after one request.
        let mut open: Vec<_> = (0..5).map(|_| door.connect()).collect();
        for (at, numbers) in way.numbers.chunks(way.at_a_time).enumerate() {
            let body = (way.body)(numbers).to_string();
            let body = if way.name == "escaped" {
                body.replacen("\"id_number\":\"1", "\"id_number\":\"\\u0031", 1)
            } else {
                body
            };
            let status = post(&mut *open[at % 5], way.path, token, &body);
            if way.name != "escaped" {
                assert_eq!(status, way.status, "{}", way.name);
            }
        }
        connections.extend(open);
    }
    // What is listed is answered by other ways than what is not.
    let reported = ways.iter().find(|way| way.name == "report").unwrap();
    let mut stream = door.connect();
    for number in &reported.numbers {
        assert_eq!(post(&mut *stream, "/v1/checks", &service.hotel.token, &check_of(number, None).to_string()), 200);
    }
    connections.push(stream);
    connections
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_seconds_of_rest_no_number_is_in_memory() {
    let mut service = Service::new(None);
    let node = service.start().await;
    assert_none_is_left("without TLS", &service, &Door { node, trusted: None }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_seconds_of_rest_no_number_is_in_memory_with_tls_either() {
    let authority = Authority::new();
    let pair = authority.of_node("node");
    let mut service = Service::new(None);
    let node = service
        .start_with(|command| {
            command.env("LOSTCARD_TLS__CERTIFICATE", &pair.certificate).env("LOSTCARD_TLS__KEY", &pair.key);
            command.env("LOSTCARD_TLS__PLAIN_LISTEN", "127.0.0.1:0");
        })
        .await;
    let door = Door { node, trusted: Some(trusting(&authority.root)) };
    assert_none_is_left("with TLS", &service, &door).await;
}

async fn assert_none_is_left(how: &str, service: &Service, door: &Door) {
    let ways = ways();
    let connections = load(service, door, &ways);
    tokio::time::sleep(REST).await;
    let mut needles = Needles::default();
    for way in &ways {
        for number in &way.numbers {
            let digest = digest_of(number);
            needles.add(&format!("{}, number", way.name), number.as_bytes());
            needles.add(&format!("{}, digest", way.name), &digest_bytes(number));
            needles.add(&format!("{}, hexadecimal", way.name), digest.as_bytes());
        }
    }
    let found = search(door.node.id(), &needles);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &found {
        *counts.entry(&one.needle).or_default() += 1;
    }
    let looked_for: usize = ways.iter().map(|way| way.numbers.len()).sum();
    eprintln!("canaries {how}: {looked_for} numbers sent, found after {REST:?} of rest: {} {counts:?}", found.len());
    drop(connections);
    let places: Vec<_> = found.iter().take(60).map(|found| format!("{}: {}", found.needle, found.place)).collect();
    assert!(places.is_empty(), "{}", places.join("\n"));
}
