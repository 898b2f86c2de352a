//! Signed heads of the audit log on their way: every sink gets them in its own form, one that fails stops nobody and gets the rest
//! later, and `audit verify --since` takes what each has kept.

use std::time::Duration;

use lostcard::clock::Clock;
use lostcard::crypto::audit::Head;
use lostcard::domain::registry_log::{Entry, HashedEntry, LogEpoch};
use lostcard::domain::sequence::Sequence;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};
use tokio::time::timeout;

use crate::bodies::{random_number, report_of};
use crate::child;
use crate::helpers::{TestApp, eventually};
use crate::receiver::{Manner, Receiver};

/// As long as a head may take on a busy machine.
const WAIT: Duration = Duration::from_secs(20);

/// The head in a message of syslog, whose form is RFC 5424's.
fn head_of(message: &str) -> String {
    // Text in UTF-8 begins with its mark (6.4).
    let (header, text) = message.split_once(" - \u{feff}{").unwrap();
    let fields: Vec<_> = header.split(' ').collect();
    // 10, what no unprivileged user reads, and 5, a notice.
    let ["<85>1", at, host, "lostcard", process, "audit-head"] = fields[..] else { panic!("{message}") };
    assert!(at.parse::<jiff::Timestamp>().is_ok() && !host.is_empty() && process.parse::<u32>().is_ok(), "{message}");
    serde_json::from_str::<Value>(&format!("{{{text}")).unwrap()["head"].as_str().unwrap().to_owned()
}

fn verify(app: &TestApp, since: &str) -> Value {
    child::run_json(&app.config.data, &["audit", "verify", "--json", "--since", since])
}

#[tokio::test]
async fn every_sink_gets_each_head_in_its_own_form() {
    let folder = tempfile::tempdir().unwrap();
    let (file, local) = (folder.path().join("heads.ndjson"), folder.path().join("log"));
    let receiver = Receiver::start(Manner::Status(204)).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let unix = UnixDatagram::bind(&local).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for collector in [
        format!("udp://{}", udp.local_addr().unwrap()),
        format!("tcp://{}", tcp.local_addr().unwrap()),
        format!("unix:{}", local.display()),
    ] {
        let app = TestApp::spawn_at(Clock::System, |config| {
            config.audit.head_seconds = 1;
            config.audit.head_file = Some(file.clone());
            config.audit.head_webhook = Some(format!("http://{}/heads", receiver.address));
            config.audit.head_syslog = Some(collector.clone());
        })
        .await;
        let mut bytes = vec![0; 4096];
        let message = timeout(WAIT, async {
            if collector.starts_with("udp") {
                let length = udp.recv(&mut bytes).await.unwrap();
                String::from_utf8(bytes[..length].to_vec()).unwrap()
            } else if collector.starts_with("unix") {
                let length = unix.recv(&mut bytes).await.unwrap();
                String::from_utf8(bytes[..length].to_vec()).unwrap()
            } else {
                let mut all = String::new();
                tcp.accept().await.unwrap().0.read_to_string(&mut all).await.unwrap();
                let (length, message) = all.split_once(' ').unwrap();
                assert_eq!(length, message.len().to_string(), "RFC 6587, 3.4.1");
                message.to_owned()
            }
        });
        let head = head_of(&message.await.unwrap());
        let found = verify(&app, &head);
        assert_eq!((&found["in_order"], &found["heads"]), (&json!(true), &json!(1)), "{collector}: {found}");
        eventually("the file has it", || async {
            std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&head))
        })
        .await;
        eventually("the webhook has it", || async {
            receiver.received().iter().any(|told| told.json() == json!({ "head": head }))
        })
        .await;
        let first = &receiver.received()[0];
        assert_eq!(
            (first.target.as_str(), first.headers[CONTENT_TYPE].to_str().unwrap()),
            ("/heads", "application/json")
        );
        assert_eq!(app.metric("lostcard_audit_log_wrong").await, 0);
        std::fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn a_sink_that_fails_stops_nobody_and_gets_the_rest_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads.ndjson");
    let receiver = Receiver::start(Manner::Status(503)).await;
    let app = TestApp::spawn_at(Clock::System, |config| {
        config.audit.head_seconds = 1;
        config.audit.head_file = Some(file.clone());
        config.audit.head_webhook = Some(format!("http://{}/", receiver.address));
    })
    .await;
    eventually("it is noticed", || async { app.metric("lostcard_audit_heads_waiting").await > 1 }).await;
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    let before = lines();
    eventually("the file gets heads meanwhile", || async { lines() > before }).await;
    assert_eq!(app.post(&app.police.token, "/v1/loss-reports", &report_of(&random_number(), None)).await.status, 201);
    receiver.change(Manner::Status(200));
    eventually("all are sent", || async { app.metric("lostcard_audit_heads_waiting").await == 0 }).await;
    let bodies: Vec<_> = receiver.received().into_iter().map(|received| received.body).collect();
    let kept = folder.path().join("kept");
    std::fs::write(&kept, bodies.join("\n")).unwrap();
    let found = verify(&app, kept.to_str().unwrap());
    assert_eq!(found["in_order"], true, "none is missing: {found}");
    assert!(found["heads"].as_u64().unwrap() > 1);
}

/// Who keeps or cosigns the registry log keeps what the audit log was with it.
#[tokio::test]
async fn the_registry_log_commits_to_a_head_when_the_audit_log_has_grown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads.ndjson");
    let app = TestApp::spawn_with(|config| {
        config.audit.head_seconds = 1;
        config.audit.head_file = Some(file.clone());
    })
    .await;
    let sent = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let heads =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["head"].as_str().unwrap().to_owned());
        let leaf = |head: &str| Entry::hash(HashedEntry::AuditHead, Head::digest(head)).as_bytes().to_vec();
        heads.map(|head| leaf(&head)).collect::<Vec<_>>()
    };
    let logged = async || {
        let entries = app.store.log_entries(LogEpoch::new(1), Sequence::ZERO, 1_000).await.unwrap();
        entries.into_iter().filter(|entry| entry[0] == HashedEntry::AuditHead as u8).collect::<Vec<_>>()
    };
    let are_sent = |leaves: &[Vec<u8>]| leaves.iter().all(|leaf| sent().contains(leaf));
    assert_eq!(app.report(&report_of(&random_number(), None)).await.status, 201);
    eventually("a head that was sent is a leaf", async || {
        let leaves = logged().await;
        leaves.len() == 1 && are_sent(&leaves)
    })
    .await;
    // Heads go out all the same, and have nothing new to say.
    app.clock.advance(Duration::from_mins(2));
    let before = sent().len();
    eventually("more heads are sent", async || sent().len() > before + 1).await;
    assert_eq!(logged().await.len(), 1);
    assert_eq!(app.report(&report_of(&random_number(), None)).await.status, 201);
    eventually("a head of the longer log is a leaf", async || {
        let leaves = logged().await;
        leaves.len() == 2 && are_sent(&leaves)
    })
    .await;
    // It is a row of the feed that lists nobody, and the log is whole.
    assert!(child::run(&app.config.data, &["log", "verify"]).status.success());
}

#[test]
fn what_is_no_sink_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value, said) in [
        ("LOSTCARD_AUDIT__HEAD_SYSLOG", "logs.example", "audit.head_syslog"),
        ("LOSTCARD_AUDIT__HEAD_WEBHOOK", "http://audit.example/", "audit.head_webhook"),
        ("LOSTCARD_AUDIT__HEAD_SECONDS", "0", "audit.head_seconds"),
    ] {
        let mut command = child::command(folder.path());
        let output = command.args(["serve", "--listen", "127.0.0.1:0"]).env(variable, value).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_command_signs_in_the_name_of_the_node_that_runs() {
    let app = TestApp::spawn().await;
    let exported = child::run(&app.config.data, &["audit", "export"]);
    let text = String::from_utf8(exported.stdout).unwrap();
    let (export, jwks) = (app.folder.path().join("export"), app.folder.path().join("jwks.json"));
    std::fs::write(&export, text).unwrap();
    std::fs::write(&jwks, app.get("", "/.well-known/jwks.json").await.text).unwrap();
    let args = ["audit", "verify", export.to_str().unwrap(), "--jwks", jwks.to_str().unwrap(), "--json"];
    let issuer = app.get("", "/.well-known/oauth-authorization-server").await.json()["issuer"].clone();
    assert_eq!(child::run_json(&app.config.data, &args)["issuer"], issuer, "no setting told the command");
}
