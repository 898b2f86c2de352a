//! Witnesses that are slow or lie: what readers get meanwhile, and whether they are asked again.

use std::time::Duration;

use lostcard::crypto::receipt::{checkpoint_member, sign_batch};
use lostcard::crypto::signing::{base64url, from_base64url};
use lostcard::crypto::tlog::{Checkpoint, Note};
use serde_json::{Value, json};

use crate::auditor::Auditor;
use crate::bodies::{random_number, with};
use crate::helpers::{ISSUER, TestApp, eventually};
use crate::receipt_audits::{LOST, audited, checked};
use crate::receiver::{Manner, Receiver};
use crate::registry_log::{begin, grow, signed};
use crate::servers::free_address;
use crate::witnesses::{Witness, log_key, served, stranger, with_policy};

#[tokio::test]
async fn one_that_never_answers_keeps_readers_from_nothing() {
    let app = TestApp::spawn().await;
    let log = log_key(&app);
    let good = Witness::start(&app.folder.path().join("w1"), "w.example/1", &log).await;
    let (hanging, of_it) = (Receiver::start(Manner::Hang).await, stranger("w.example/2"));
    let policy = format!(
        "witness a {} {}\nwitness b {of_it} http://{}\ngroup any 1 a b\nquorum any\n",
        good.key, good.url, hanging.address
    );
    let app = with_policy(app, &policy).await;
    let begun = begin(&app).await;
    eventually("it is cosigned", async || served(&app, &[&good.key]).await == (begun, vec![true])).await;
    // While changes continue, faster than the one that hangs is given up.
    for _ in 0..12 {
        let before = app.store.log_head(None).await.unwrap().unwrap().size;
        grow(&app, 1).await;
        app.clock.advance(Duration::from_millis(500));
        eventually("it is signed", async || app.store.log_head(None).await.unwrap().unwrap().size > before).await;
        let (size, cosigned) = served(&app, &[&good.key]).await;
        assert_eq!(cosigned, [true], "{size} of {}", before + 1);
    }
    assert!(hanging.count() > 1);
}

#[tokio::test]
async fn nodes_that_ask_at_once_have_the_same_cosigned() {
    let app = TestApp::spawn().await;
    let log = log_key(&app);
    let good = Witness::start(&app.folder.path().join("w1"), "w.example/1", &log).await;
    // What signs for this one is another key than the policy's, and nobody listens for the third.
    let false_one = Witness::start(&app.folder.path().join("w2"), "w.example/2", &log).await;
    let (lying, down) = (stranger("w.example/2"), stranger("w.example/3"));
    let policy = format!(
        "witness a {} {}\nwitness b {lying} {}\nwitness c {down} http://{}\ngroup any 1 a b c\nquorum any\n",
        good.key,
        good.url,
        false_one.url,
        free_address()
    );
    let app = with_policy(app, &policy).await;
    let (second, third) = (app.sibling().await, app.sibling().await);
    begin(&app).await;
    for rows in [1, 300, 2, 40, 1] {
        grow(&app, rows).await;
        let size = signed(&app).await;
        for node in [&app, &second, &third] {
            eventually("each node serves it cosigned", async || {
                let (served, cosigned) = served(node, &[&good.key, &lying, &down]).await;
                served >= size && cosigned == [true, false, false]
            })
            .await;
        }
    }
}

#[tokio::test]
async fn one_that_once_told_of_more_leaves_is_asked_again() {
    let app = TestApp::spawn().await;
    let size = (1_u64 << 60).to_string() + "\n";
    let (liar, of_it) = (Receiver::start(Manner::Body(409, "text/x.tlog.size", size)).await, stranger("w.example/1"));
    let policy = format!("witness a {of_it} http://{}\nquorum a\n", liar.address);
    let app = with_policy(app, &policy).await;
    begin(&app).await;
    for asked in 1..4 {
        let before = liar.count();
        grow(&app, 1).await;
        eventually("it is asked", async || liar.count() > before).await;
        assert!(liar.count() >= asked);
    }
}

/// A receipt with another sequence, as only the service can sign it.
pub(crate) fn at_sequence(app: &TestApp, asked: &Value, note: &str, change: impl Fn(u64) -> u64) -> Value {
    resigned(app, asked, note, |claims| {
        let seq = serde_json::from_str::<Value>(claims).unwrap()["seq"].as_u64().unwrap();
        claims.replace(&format!("\"seq\":{seq}"), &format!("\"seq\":{}", change(seq)))
    })
}

/// A receipt with other claims.
pub(crate) fn resigned(app: &TestApp, asked: &Value, note: &str, change: impl Fn(&str) -> String) -> Value {
    let claims = asked["receipt"].as_str().unwrap().split('~').nth(1).unwrap();
    let claims = change(&String::from_utf8(from_base64url(claims).unwrap()).unwrap());
    let checkpoint = Checkpoint::parse(Note::parse(note).unwrap().text()).unwrap();
    let member = checkpoint_member(checkpoint.size, &checkpoint.root);
    let (signing, now_s) = (app.keyring.signing(), app.clock.now_s());
    let claims = vec![base64url(claims.as_bytes())];
    let receipt = sign_batch(&signing.receipt, &json!(ISSUER).to_string(), now_s, &member, claims).remove(0);
    with(asked.clone(), "receipt", receipt.to_string())
}

#[tokio::test]
async fn a_verdict_of_an_older_state_than_witnesses_had_cosigned_is_shown() {
    let app = TestApp::spawn().await;
    let witness = Witness::start(&app.folder.path().join("w1"), "w.example/1", &log_key(&app)).await;
    let policy = format!("witness a {} {}\nquorum a\n", witness.key, witness.url);
    let app = with_policy(app, &policy).await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    auditor.write("policy", &policy);
    auditor.write("other", &format!("witness a {}\nquorum a\n", stranger("w.example/1")));
    grow(&app, 40).await;
    signed(&app).await;
    eventually("it is cosigned", async || served(&app, &[&witness.key]).await.1 == [true]).await;
    // Two minutes after the witness's signature.
    app.clock.advance(Duration::from_mins(2));
    let asked = checked(&app, &random_number(), Some(LOST)).await;
    audited(&app, &auditor.by, &asked).await;
    eventually("all of it is cosigned", async || {
        served(&app, &[&witness.key]).await == (signed(&app).await, vec![true])
    })
    .await;
    let judged = auditor.judge_with(&app, &asked, &["--policy", "policy"]).await;
    Auditor::expect(&judged, 0, "consistent");
    let note = app.get("", "/registry-log/1/checkpoint").await.text;
    // Nothing signed tells where the first log of a store began: it is held to have begun with the first row.
    let s0 = app.store.log_head(None).await.unwrap().unwrap().s0.get();
    let old = at_sequence(&app, &asked, &note, |seq| seq - s0 - 1);
    Auditor::expect(&auditor.judge(&app, &old).await, 0, "consistent");
    let judged = auditor.judge_with(&app, &old, &["--policy", "policy"]).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("had cosigned a later state"));
    let judged = auditor.judge_with(&app, &asked, &["--policy", "other"]).await;
    Auditor::expect(&judged, 75, "cannot_tell");
}
