//! A receiver of webhooks: a real HTTP server in the test's process that answers as it is told, keeps what it got, and verifies
//! signatures by the specification (Standard Webhooks 1.0.0) with another HMAC than the service's.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::HeaderMap;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    Status(u16),
    /// A status, with this `Retry-After`.
    Later(u16, String),
    /// 307 to this URL.
    Redirect(String),
    /// A status with a body of this type.
    Body(u16, &'static str, String),
    /// Takes the request and never answers.
    Hang,
}

/// A receiver on a port of its own; it ends with its value.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    manner: Arc<Mutex<Manner>>,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, received) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<Received>>>::default());
        let manner = Arc::new(Mutex::new(manner));
        let (count, kept, chosen) = (Arc::clone(&connections), Arc::clone(&received), Arc::clone(&manner));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&chosen)));
            }
        });
        Self { address, connections, manner, received, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks?team=7", self.address)
    }

    pub(crate) fn change(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    /// How many signatures there are, and whether one of them is by this secret.
    pub(crate) fn verify(&self, secret: &str) -> (usize, bool) {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(self.header("webhook-id").as_bytes());
        mac.update(b".");
        mac.update(self.header("webhook-timestamp").as_bytes());
        mac.update(b".");
        mac.update(self.body.as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let signatures: Vec<_> = self.header("webhook-signature").split(' ').collect();
        (signatures.len(), signatures.contains(&expected.as_str()))
    }
}

async fn serve(mut stream: TcpStream, received: Arc<Mutex<Vec<Received>>>, manner: Arc<Mutex<Manner>>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let request_line = lines.next().unwrap();
    assert!(request_line.starts_with("POST "), "{request_line}");
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: reqwest::header::HeaderName = name.parse().unwrap();
        headers.append(name, value.trim().parse().unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let target = request_line.split(' ').nth(1).unwrap().to_owned();
    let body = String::from_utf8(bytes.split_off(head_end + 4)).unwrap();
    let manner = manner.lock().unwrap().clone();
    received.lock().unwrap().push(Received { target, headers, body });
    let answer = match manner {
        Manner::Hang => return std::future::pending().await,
        Manner::Status(status) => format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n"),
        Manner::Later(status, when) => {
            format!("HTTP/1.1 {status} Later\r\nRetry-After: {when}\r\nContent-Length: 0\r\n\r\n")
        }
        Manner::Body(status, kind, body) => {
            let length = body.len();
            format!("HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        Manner::Redirect(url) => format!("HTTP/1.1 307 Elsewhere\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}
