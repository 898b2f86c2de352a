//! HTTP by hand over TCP, for bytes that no client library sends. Each exchange is a connection of its own.

use std::fmt::Write as _;
use std::net::SocketAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, interval, timeout};

use crate::helpers::Answer;

/// Longer than any bound of the service on a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// Sends the bytes and reads one response; None where the connection ends without one.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has refused may close before all is sent.
    let _ = stream.write_all(request).await;
    timeout(PATIENCE, read_answer(&mut stream)).await.expect("an answer in time")
}

/// A request with these headers beside `Host` (unless given) and `Content-Length`.
pub(crate) fn request(method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: 127.0.0.1\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Sends the bytes, then, if there is a drip, that once a second until an answer comes. The answer; None where the connection ends
/// without one. Nothing may follow it, and the server must end the connection once the client has said that it sends no more.
pub(crate) async fn exchange_all(address: SocketAddr, request: &[u8], drip: Option<&[u8]>) -> Option<Answer> {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let _ = writer.write_all(request).await;
    let dripping = async {
        let mut second = interval(Duration::from_secs(1));
        while let Some(drip) = drip {
            second.tick().await;
            let _ = writer.write_all(drip).await;
        }
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        read = timeout(PATIENCE, read_one(&mut reader)) => read.expect("an answer in time"),
        () = dripping => None,
    };
    let (answer, mut rest) = read?;
    let _ = writer.shutdown().await;
    // A connection that the server has cut is at its end, too.
    let _ = timeout(PATIENCE, reader.read_to_end(&mut rest)).await.expect("the connection ends");
    assert!(rest.is_empty(), "a second answer: {}", String::from_utf8_lossy(&rest));
    Some(answer)
}

/// Reads one response; what follows it is lost.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    read_one(stream).await.map(|(answer, _)| answer)
}

/// Reads one response, and perhaps bytes that follow it.
pub(crate) async fn read_one(stream: &mut (impl AsyncRead + Unpin)) -> Option<(Answer, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = HeaderValue::from_str(value.trim()).unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value);
    }
    let length: usize = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            break;
        }
    }
    // What follows the body is another response.
    let rest = bytes.split_off(bytes.len().min(head_end + 4 + length));
    let text = String::from_utf8(bytes.split_off(head_end + 4)).unwrap();
    Some((Answer { status, headers, text }, rest))
}
