//! A service that answers auditors and monitors what its log does not bear out. Whether a command believes it.

use std::net::SocketAddr;

use lostcard::crypto::blind::BaseBuilder;
use lostcard::crypto::random;
use lostcard::crypto::signing::base64url;
use lostcard::crypto::tlog::Checkpoint;
use lostcard::crypto::tlog::note::sign;
use lostcard::domain::registry_log::{Entry, HashedEntry, Leaf, LogEpoch};
use lostcard::service::blind::keys as blind_keys;
use lostcard::store::feed::ChangeKind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::auditor::{Auditor, rewrite};
use crate::bodies::{random_number, with};
use crate::helpers::{ISSUER, TestApp, eventually};
use crate::receipt_audits::{AUDIT, LOST, audited, checked};
use crate::registry_log::{begin, grow, keys, signed, watch};

const FIRST: LogEpoch = LogEpoch::new(1);

/// What stands before a node and answers audits, or another question, with what it was given.
pub(crate) struct Liar(SocketAddr);

impl Liar {
    pub(crate) async fn start(app: &TestApp, lie: &Value) -> Self {
        Self::instead(app, &format!("post {AUDIT} "), lie.to_string()).await
    }

    /// Answers what begins so, in small letters.
    pub(crate) async fn instead(app: &TestApp, question: &str, lie: String) -> Self {
        let question = question.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, node) = (listener.local_addr().unwrap(), app.address);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, node, question.clone(), lie.clone()));
            }
        });
        Self(address)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// One request of a connection, which is closed behind the answer.
async fn pass_on(mut client: TcpStream, node: SocketAddr, question: String, lie: String) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |it| it.parse().unwrap());
    while bytes.len() < head_end + length {
        assert!(client.read_buf(&mut bytes).await.unwrap() > 0);
    }
    let answer = if head.starts_with(&question) {
        let length = lie.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{lie}")
            .into_bytes()
    } else {
        let mut node = TcpStream::connect(node).await.unwrap();
        let head_begin = bytes.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
        let whole = [&bytes[..head_begin], b"Connection: close\r\n".as_slice(), &bytes[head_begin..]].concat();
        node.write_all(&whole).await.unwrap();
        let mut answer = Vec::new();
        node.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let _ = client.write_all(&answer).await;
}

/// Puts the next key in force, and waits for its base and a checkpoint that covers all.
pub(crate) async fn begin_next(app: &TestApp) {
    let versions = app.store.blind_keys().await.unwrap().versions.unwrap();
    blind_keys::begin(&app.store, &app.keyring, ISSUER, Some(versions), app.clock.now_ms()).await.unwrap();
    let next = versions.current + 1;
    eventually("the next key has its base", async || {
        app.store.blind_keys().await.unwrap().keys.first().is_some_and(|key| key.epoch == next && key.base.is_some())
    })
    .await;
    signed_newest(app).await;
}

pub(crate) async fn signed_newest(app: &TestApp) {
    let end = app.store.head().await.unwrap();
    eventually("it is signed", async || app.store.log_head(None).await.unwrap().unwrap().sequence() >= end).await;
}

#[tokio::test]
async fn a_log_that_began_after_the_receipt_bears_nothing_out() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let withdrawn = app.withdraw(report["report_id"].as_str().unwrap()).await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text);
    let before = checked(&app, &number, Some(LOST)).await;
    // At the very begin of the next log that would judge it, too.
    grow(&app, 1).await;
    signed(&app).await;
    begin_next(&app).await;
    let later = checked(&app, &number, Some(LOST)).await;
    signed_newest(&app).await;
    let truth = app.post(&auditor.by.token, AUDIT, &later).await.json();
    assert_eq!((&truth["outcome"], &truth["key"]), (&json!("consistent"), &json!("2")), "{truth}");
    let liar = Liar::start(&app, &truth).await;
    Auditor::expect(&auditor.judge_at(&liar.url(), &later).await, 0, "consistent");
    let judged = auditor.judge_at(&liar.url(), &before).await;
    Auditor::expect(&judged, 75, "cannot_tell");
    assert!(judged.said["reason"].as_str().unwrap().contains("began after the receipt"), "{}", judged.said);
}

#[tokio::test]
async fn a_log_that_is_said_to_begin_elsewhere_bears_nothing_out() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    // By another begin each entry opens to other bytes: one of 32 to flags that there are.
    for _ in 0..4 {
        let report = app.report_lost(&number, Some(LOST)).await;
        assert_eq!(app.withdraw(report["report_id"].as_str().unwrap()).await.status, 200);
    }
    let asked = checked(&app, &number, Some(LOST)).await;
    let truth = audited(&app, &auditor.by, &asked).await;
    let s0 = truth["s0"].as_u64().unwrap();
    let liar = Liar::start(&app, &with(truth, "s0", s0 + 1)).await;
    grow(&app, 2).await;
    signed(&app).await;
    let judged = auditor.judge_at(&liar.url(), &asked).await;
    Auditor::expect(&judged, 75, "cannot_tell");
}

#[tokio::test]
async fn a_second_base_of_a_log_is_none() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    begin_next(&app).await;
    let asked = checked(&app, &number, Some(LOST)).await;
    signed_newest(&app).await;
    // One that lists nobody.
    let other = BaseBuilder::new(app.store.head().await.unwrap().get()).finish().unwrap();
    app.change_store(async |tx| {
        let sequence = tx.record_change(ChangeKind::Node, &random::bytes::<16>()).await.unwrap();
        let leaf = Leaf { entry: Entry::hash(HashedEntry::Base, other.manifest), older: None };
        tx.add_log_leaves(LogEpoch::new(2), sequence, &[leaf]).await.unwrap();
    })
    .await;
    signed_newest(&app).await;
    let truth = app.post(&auditor.by.token, AUDIT, &asked).await.json();
    assert_eq!(truth["outcome"], "consistent", "{truth}");
    let (index, part) = other.bytes.split_at(52);
    let base = json!({"epoch": "2", "index": base64url(index), "part": base64url(part)});
    let liar = Liar::start(&app, &with(truth, "base", base)).await;
    Auditor::expect(&auditor.judge_at(&liar.url(), &asked).await, 75, "cannot_tell");
}

/// A monitor that saw the first log, and the next one by now.
#[tokio::test]
async fn a_monitor_believes_no_log_that_does_not_follow_the_one_before() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    grow(&app, 20).await;
    signed(&app).await;
    let state = app.folder.path().join("state");
    let origin = keys(&app).await[0].name().to_owned();
    assert_eq!(watch(&app, &state).await.0, Some(0));
    let seen = std::fs::read_to_string(&state).unwrap();
    begin_next(&app).await;
    let last = app.store.log_head(Some(FIRST)).await.unwrap().unwrap();
    assert!(last.has_ended);
    let write = async |size: u64, note: &str| {
        rewrite(&app, &[format!("UPDATE log_head SET note = '{note}', size = {size} WHERE epoch = 1")]).await;
        std::fs::write(&state, &seen).unwrap();
    };
    write(last.size, &last.note).await;
    let (code, said) = watch(&app, &state).await;
    assert_eq!((code, said.contains("has ended")), (Some(0), true), "{said}");
    // The last note is not the one to which the next log's first leaf commits.
    let signing = app.keyring.signing();
    let again = format!("{}\u{2014} {origin} AAAAAAAA\n", last.note);
    write(last.size, &again).await;
    let (code, said) = watch(&app, &state).await;
    assert_eq!((code, said.contains("another history")), (Some(10), true), "{said}");
    let evidence = std::fs::read_to_string(app.folder.path().join("state.fork")).unwrap();
    let next = app.store.log_head(None).await.unwrap().unwrap();
    assert!(evidence.contains(&again) && evidence.contains(&next.origin), "{evidence}");
    // The old log is shorter than it was seen.
    let text = Checkpoint { origin: origin.clone(), size: 3, root: [7; 32] }.text();
    let shorter = format!("{text}\n{}", sign(signing.log.as_ref().unwrap(), &origin, &text));
    write(3, &shorter).await;
    let (code, said) = watch(&app, &state).await;
    assert_eq!((code, said.contains("another history")), (Some(10), true), "{said}");
    let evidence = std::fs::read_to_string(app.folder.path().join("state.fork")).unwrap();
    assert!(evidence.contains(&seen) && evidence.contains(&shorter), "what was compared: {evidence}");
    // A log that shows an older state than before says nothing else, but it is told.
    std::fs::write(&state, &next.note).unwrap();
    write(last.size, &last.note).await;
    std::fs::write(&state, &next.note).unwrap();
    rewrite(&app, &["DELETE FROM log_head WHERE epoch = 2".to_owned()]).await;
    let (code, said) = watch(&app, &state).await;
    assert_eq!((code, said.contains("OLDER")), (Some(75), true), "{said}");
}
