//! TLS of the node itself: what is spoken, by which certificate, and what a handshake may hold.

use std::fs::Permissions;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lostcard::config::{Config, Overrides, TlsVersion};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::authority::{Authority, Pair};
use crate::bodies::{check_of, random_number};
use crate::child;
use crate::helpers::{ISSUER, TestApp, eventually};

/// A node that speaks TLS, and plainly beside it.
pub(crate) async fn spawn_tls(pair: &Pair, tweak: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::spawn_with(|config| {
        (config.tls.certificate, config.tls.key) = (Some(pair.certificate.clone()), Some(pair.key.clone()));
        config.tls.plain_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)).into());
        tweak(config);
    })
    .await
}

impl TestApp {
    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls_address.port())
    }
}

/// What `openssl s_client` says of a handshake.
fn s_client(app: &TestApp, args: &[&str]) -> String {
    let address = app.tls_address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address]).args(args).stdin(Stdio::null());
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn listen_speaks_tls_and_plain_listen_does_not() {
    let authority = Authority::new();
    let app = spawn_tls(&authority.of_node("node"), |_| {}).await;
    let client = authority.client(None);
    let check = client.post(app.https("/v1/checks")).bearer_auth(&app.hotel.token);
    let answer = check.json(&check_of(&random_number(), None)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(app.get("", "/health/live").await.status, 200, "the plain one");
    // A client that speaks plainly to the other one gets nothing.
    let mut plain = TcpStream::connect(app.tls_address).await.unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    let _ = plain.read_to_end(&mut all).await;
    assert!(!all.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&all));
}

#[tokio::test]
async fn versions_and_protocol_are_the_settings() {
    let authority = Authority::new();
    let pair = authority.of_node("node");
    let app = spawn_tls(&pair, |_| {}).await;
    let spoken = s_client(&app, &["-alpn", "h2,http/1.1"]);
    assert!(spoken.contains("TLSv1.3") && spoken.contains("ALPN protocol: http/1.1"), "{spoken}");
    let refused = s_client(&app, &["-tls1_2"]);
    assert!(refused.contains("alert protocol version"), "{refused}");
    let app = spawn_tls(&pair, |config| config.tls.min_version = TlsVersion::V1_2).await;
    let spoken = s_client(&app, &["-tls1_2"]);
    assert!(spoken.contains("TLSv1.2") && !spoken.contains("alert"), "{spoken}");
}

#[tokio::test]
async fn a_changed_certificate_is_taken_up_and_a_broken_one_keeps_the_old() {
    let (old, new) = (Authority::new(), Authority::new());
    let pair = old.of_node("node");
    let app = spawn_tls(&pair, |_| {}).await;
    // A new connection each time: kept ones would say nothing.
    let serves =
        async |authority: &Authority| authority.client(None).get(app.https("/health/live")).send().await.is_ok();
    assert!(serves(&old).await && !serves(&new).await);
    let right = std::fs::read(&pair.certificate).unwrap();
    for broken in [&b"-----BEGIN CERTIFICATE-----\nAAAA\n"[..], b"", &right[..right.len() / 2]] {
        std::fs::write(&pair.certificate, broken).unwrap();
        eventually("a broken file is noticed", async || app.metric("lostcard_tls_files_refused").await == 1).await;
        assert!(serves(&old).await, "the old certificate serves on");
        std::fs::write(&pair.certificate, &right).unwrap();
        eventually("it is whole again", async || app.metric("lostcard_tls_files_refused").await == 0).await;
    }
    std::fs::set_permissions(&pair.key, Permissions::from_mode(0o644)).unwrap();
    eventually("a key that all may read is noticed", async || app.metric("lostcard_tls_files_refused").await == 1)
        .await;
    std::fs::set_permissions(&pair.key, Permissions::from_mode(0o600)).unwrap();
    eventually("it is closed again", async || app.metric("lostcard_tls_files_refused").await == 0).await;
    let fresh = new.of_node("node");
    // The certificate first: with the old key it is no pair, until the key has come too.
    std::fs::copy(&fresh.certificate, &pair.certificate).unwrap();
    eventually("no pair", async || app.metric("lostcard_tls_files_refused").await == 1).await;
    assert!(serves(&old).await);
    std::fs::copy(&fresh.key, &pair.key).unwrap();
    eventually("the new certificate serves", async || serves(&new).await).await;
    assert!(!serves(&old).await);
    assert_eq!(app.metric("lostcard_tls_files_refused").await, 0);
    assert!(app.metric("lostcard_tls_certificate_ends_seconds").await > 0);
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let load = |pairs: &[(&'static str, &str)]| {
        let overrides = pairs.iter().fold(Overrides::default(), |all, (key, value)| all.set(key, *value));
        Config::load(None, overrides).map(drop).map_err(|error| error.to_string())
    };
    for (pairs, word) in [
        (&[("tls.certificate", "a.pem")][..], "tls.key"),
        (&[("tls.key", "a.key")], "tls.certificate"),
        (&[("tls.plain_listen", "127.0.0.1:0")], "tls.certificate"),
        (&[("tls.certificate", "a"), ("tls.key", "b"), ("tls.plain_listen", "0.0.0.0:80")], "loopback"),
        (&[("tls.min_version", "1.1")], "1.3"),
    ] {
        let refusal = load(pairs).unwrap_err();
        assert!(refusal.contains(word), "{pairs:?}: {refusal}");
    }
    let both = [("tls.certificate", "a"), ("tls.key", "b"), ("tls.plain_listen", "localhost:0")];
    assert_eq!(load(&both), Ok(()));
}

#[tokio::test]
async fn the_start_line_prints_the_https_address() {
    let authority = Authority::new();
    let pair = authority.of_node("node");
    let folder = tempfile::tempdir().unwrap();
    let mut command = child::command(&folder.path().join("data"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--public-url", ISSUER]);
    command.env("LOSTCARD_TLS__CERTIFICATE", &pair.certificate).env("LOSTCARD_TLS__KEY", &pair.key);
    command.env("LOSTCARD_TLS__PLAIN_LISTEN", "127.0.0.1:0");
    let mut process = crate::servers::process::Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let lines = process.lines();
    let line = || lines.recv_timeout(Duration::from_secs(20)).unwrap();
    let (first, second) = (line(), line());
    let address = first.split_once(" listening on https://127.0.0.1:").unwrap_or_else(|| panic!("{first}"));
    assert!(address.1.parse::<u16>().is_ok(), "{first}");
    let plain = second.strip_prefix("without TLS on http://").unwrap_or_else(|| panic!("{second}"));
    eventually("it serves plainly too", async || TcpStream::connect(plain.to_owned()).await.is_ok()).await;
    process.kill();
}

/// A connection from an address of this machine.
pub(crate) async fn connect_from(address: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn a_handshake_has_its_time_and_one_address_its_share() {
    let authority = Authority::new();
    let app = spawn_tls(&authority.of_node("node"), |config| {
        (config.tls.handshakes_max, config.tls.handshake_ms) = (16, 1500);
    })
    .await;
    let attacker: IpAddr = [127, 0, 0, 9].into();
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = connect_from(attacker, app.tls_address).await;
        // The begin of a handshake that never continues.
        stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        held.push(tokio::spawn(async move {
            let opened = Instant::now();
            // Closed, with or without a word.
            let _ = stream.read(&mut [0]).await;
            opened.elapsed()
        }));
    }
    // Another address makes its handshakes meanwhile.
    for _ in 0..5 {
        let asked = authority.client(None).get(app.https("/health/live")).send();
        let answer = tokio::time::timeout(Duration::from_secs(1), asked).await;
        assert_eq!(answer.expect("at once").unwrap().status(), 200);
    }
    let open: Vec<_> = futures_util::future::join_all(held).await.into_iter().map(Result::unwrap).collect();
    let waited_for = open.iter().filter(|open| **open >= Duration::from_millis(1200)).count();
    assert_eq!(waited_for, 4, "a quarter of sixteen: {open:?}");
}

#[tokio::test]
async fn a_slow_reader_loses_its_connection_with_tls_too() {
    let authority = Authority::new();
    let pair = authority.of_node("node");
    let app = spawn_tls(&pair, |config| config.overload.answer_ms = 1200).await;
    let client = app.add_client("checks", Some("100000/60s")).await;
    let checks: Vec<_> = (0..1000).map(|_| check_of(&random_number(), None)).collect();
    let body = json!({ "checks": checks }).to_string();
    let request = format!(
        "POST /v1/checks/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        client.token,
        body.len()
    );
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from(authority.root.der())).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let tcp = socket.connect(app.tls_address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    // Many large answers, none of them read: more than the kernel holds.
    let began = Instant::now();
    let cut = async {
        loop {
            if stream.write_all(request.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), cut).await.expect("the connection ends");
    assert!(began.elapsed() >= Duration::from_secs(1), "not before its time: {:?}", began.elapsed());
}
