//! Spans of requests, as a collector gets them: decoded from what a node sends, by the published definitions. And what a collector that
//! hangs, refuses or is gone does to answers: nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::bodies::{check_of, digest_of, random_number};
use crate::servers::{free_address, http_client};
use crate::service::Service;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector: takes requests until it is dropped, and hands over their bodies.
struct Collector {
    address: SocketAddr,
    bodies: Receiver<Vec<u8>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bodies) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(body) = take(stream.unwrap()) else { continue };
                if sender.send(body).is_err() {
                    return;
                }
            }
        });
        Self { address, bodies }
    }

    fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// The next span that fits, with the bytes in which it came.
    fn wait_for(&self, fits: impl Fn(&Span) -> bool) -> (Span, Vec<u8>) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let body = self.bodies.recv_timeout(deadline - Instant::now()).unwrap();
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let spans = request.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans);
            if let Some(span) = spans.into_iter().find(|span| fits(span)) {
                return (span.clone(), body);
            }
        }
    }
}

/// One request of HTTP/1.1 with a length, and an answer that ends the connection.
fn take(mut stream: TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        assert!(
            head.starts_with("post /v1/traces ") && head.contains("content-type: application/x-protobuf"),
            "{head}"
        );
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            return Some(bytes.split_off(end + 4));
        }
    }
}

fn attribute(span: &Span, key: &str) -> Option<Any> {
    span.attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value
}

fn text(of: &str) -> Any {
    Any::StringValue(of.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_spans_of_requests_and_nothing_about_persons() {
    let collector = Collector::start();
    let mut service = Service::new(None);
    let node = service
        .start_with(|command| {
            command.env("LOSTCARD_TRACES__ENDPOINT", collector.url()).env("LOSTCARD_TRACES__ONE_IN", "1");
        })
        .await;
    let number = random_number();
    // Through the lane: a check in plain form, without a parent.
    assert_eq!(service.check(&node, &number).await.status, 200);
    let (span, bytes) = collector.wait_for(|span| span.name == "POST /v1/checks");
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.kind), (16, 8, 2));
    assert!(span.parent_span_id.is_empty() && span.start_time_unix_nano <= span.end_time_unix_nano);
    assert_eq!(attribute(&span, "http.response.status_code"), Some(Any::IntValue(200)));
    assert_eq!(attribute(&span, "http.route"), Some(text("/v1/checks")));
    assert_eq!(attribute(&span, "http.request.method"), Some(text("POST")));
    let keys: Vec<_> = span.attributes.iter().map(|pair| pair.key.as_str()).collect();
    let known = ["http.request.method", "http.route", "http.response.status_code", "lostcard.request_id"];
    assert_eq!(keys, known, "nothing else is told");
    let secrets = [&number, &digest_of(&number), &service.hotel.token, &service.hotel.client_id];
    for secret in secrets {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }

    // By a caller with a trace of its own.
    let http = http_client().build().unwrap();
    let ask = async |flags: &str, id: &str| {
        let request = http.post(format!("{}/v1/checks", node.url())).json(&check_of(&number, None));
        let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}")).header("x-request-id", id);
        let request = request.header("tracestate", "vendor=110105199001011234");
        assert_eq!(request.bearer_auth(&service.hotel.token).send().await.unwrap().status(), 200);
    };
    ask("00", "not-wanted").await;
    ask("01", "wanted").await;
    let (span, bytes) = collector.wait_for(|span| {
        assert_ne!(attribute(span, "lostcard.request_id"), Some(text("not-wanted")), "the caller decided");
        hex::encode(&span.trace_id) == TRACE
    });
    assert_eq!(
        (hex::encode(&span.parent_span_id).as_str(), attribute(&span, "lostcard.request_id")),
        (PARENT, Some(text("wanted")))
    );
    assert!(!bytes.windows(6).any(|window| window == b"vendor"), "what a caller says beside it is not passed on");
    // What is on no path has no path in its span.
    service.get(&node, &service.hotel.token, &format!("/v1/{number}")).await;
    let (span, bytes) =
        collector.wait_for(|span| attribute(span, "http.response.status_code") == Some(Any::IntValue(404)));
    assert!(!bytes.windows(number.len()).any(|window| window == number.as_bytes()), "{span:?}");
    // The last ones are sent by a node that stops.
    service.get(&node, &service.police.token, "/v1/loss-reports/x").await;
    assert!(node.terminate().success());
    collector.wait_for(|span| span.name == "GET /v1/loss-reports/{report_id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_or_hangs_holds_up_no_answer_and_no_end() {
    // The system takes connections for a listener that takes none from it.
    let hanging = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for address in [free_address(), hanging.local_addr().unwrap()] {
        let mut service = Service::new(None);
        let node = service
            .start_with(|command| {
                let url = format!("http://{address}/v1/traces");
                command.env("LOSTCARD_TRACES__ENDPOINT", url).env("LOSTCARD_TRACES__ONE_IN", "1");
            })
            .await;
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let answer = service.check(&node, &random_number()).await;
            assert!(answer.status == 200 && answer.took < Duration::from_secs(2), "{answer:?}");
        }
        let began = Instant::now();
        assert!(node.terminate().success());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_no_span_is_made() {
    let mut service = Service::new(None);
    let node = service.start().await;
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.id())).unwrap();
    let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    let names: Vec<_> = names.collect();
    assert!(!names.iter().any(|name| name.starts_with("OpenTelemetry")), "{names:?}");
}
