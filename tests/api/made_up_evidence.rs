//! What a service or an accuser makes up about true receipts, and false receipts that a log is bent to bear out. Whether the command and the
//! second program believe it.

use lostcard::crypto::blind::BlindKey;
use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::signing::{SigningKey, base64url};
use lostcard::crypto::tlog::note::{SignatureType, cosign};
use lostcard::crypto::tlog::tile::push_entry;
use lostcard::crypto::tlog::{Note, VerifierKey};
use lostcard::domain::registry_log::{Entry, HashedEntry, LogEpoch};
use serde_json::{Value, json};

use crate::auditor::{Auditor, rewrite, second_program};
use crate::blind_audits::blindly_checked;
use crate::bodies::{digest_bytes, random_number, with};
use crate::helpers::{TestApp, eventually};
use crate::log_lies::{Liar, begin_next, signed_newest};
use crate::receipt_audits::{AUDIT, LOST, audited, blob, checked};
use crate::registry_log::{begin, grow, signed};
use crate::witness_faults::{at_sequence, resigned};

const FIRST: LogEpoch = LogEpoch::new(1);

/// A log as evidence has it.
async fn shown(app: &TestApp, epoch: u32) -> Value {
    let epoch = LogEpoch::new(epoch);
    let head = app.store.log_head(Some(epoch)).await.unwrap().unwrap();
    let mut bundle = Vec::new();
    for entry in app.store.log_entries(epoch, head.s0, head.size).await.unwrap() {
        assert!(push_entry(&mut bundle, &entry));
    }
    json!({"checkpoint": head.note, "entries": base64url(&bundle)})
}

async fn begin_of(app: &TestApp, epoch: u32) -> u64 {
    app.store.log_head(Some(LogEpoch::new(epoch))).await.unwrap().unwrap().s0.get()
}

/// A check's receipt that names a checkpoint of the log in force.
async fn checked_with_checkpoint(app: &TestApp, number: &str) -> Value {
    let newest = app.store.log_head(None).await.unwrap().unwrap();
    let size = |verified: &Value| verified.get("checkpoint")?.as_str()?.split('.').next()?.parse::<u64>().ok();
    let asked = std::cell::RefCell::new(Value::Null);
    eventually("a receipt names the log", async || {
        let one = checked(app, number, Some(LOST)).await;
        let named = size(&app.verify_receipt(&one).await.json());
        asked.replace(one);
        // An earlier log has fewer leaves: `grow` has seen to that.
        named.is_some_and(|named| named >= newest.size)
    })
    .await;
    asked.into_inner()
}

/// Evidence that an accuser writes of a receipt, with what the service answered to an audit of it.
fn evidence(asked: &Value, answer: &Value, number: &str, logs: &[Value]) -> Value {
    let mut value = json!({
        "evidence": "lostcard-evidence-1", "receipt": asked["receipt"], "receipt_salt": asked["receipt_salt"],
        "id_digest": hex::encode(digest_bytes(number)), "card_valid_from": LOST, "logs": logs,
    });
    for member in ["public_key", "element", "proof", "s0", "base"] {
        if let Some(told) = answer.get(member) {
            value[member] = told.clone();
        }
    }
    value
}

#[tokio::test]
async fn a_true_receipt_is_not_contradicted_by_logs_of_another_time() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let first = checked_with_checkpoint(&app, &number).await;
    // Each log longer than what the receipts name of others.
    grow(&app, 100).await;
    signed(&app).await;
    begin_next(&app).await;
    grow(&app, 200).await;
    signed_newest(&app).await;
    let second = checked_with_checkpoint(&app, &number).await;
    grow(&app, 1).await;
    signed_newest(&app).await;
    let told = [&first, &second].map(|asked| app.post(&auditor.by.token, AUDIT, asked));
    let [first_told, second_told] = futures_util::future::join_all(told).await.try_into().unwrap_or_else(|_| panic!());
    let (first_told, second_told) = (first_told.json(), second_told.json());
    for _ in 0..2 {
        begin_next(&app).await;
        grow(&app, 300).await;
        signed_newest(&app).await;
    }
    let begun = begin_of(&app, 1).await;
    let reach = |s0: u64| with(second_told.clone(), "s0", s0);
    let logs = [shown(&app, 1).await, shown(&app, 2).await, shown(&app, 3).await, shown(&app, 4).await];
    let of = |epochs: &[usize]| epochs.iter().map(|epoch| logs[epoch - 1].clone()).collect::<Vec<_>>();
    let first_base = |answer: Value| with(answer, "base", first_told["base"].clone());
    for (asked, answer, epochs) in [
        (&first, first_told.clone(), [4, 3].as_slice()),
        (&second, second_told.clone(), &[4, 3]),
        // The accuser says where the first log of the store began.
        (&second, first_base(reach(begun)), &[1]),
        (&second, first_base(reach(begun + 200)), &[1]),
        (&second, second_told.clone(), &[1]),
    ] {
        auditor.write("evidence.json", &evidence(asked, &answer, &number, &of(epochs)).to_string());
        let said = second_program(&auditor.path("evidence.json"), &auditor.path("jwks.json"), None);
        assert!(said.starts_with("NOT SHOWN: "), "{epochs:?}: {said}");
    }
}

#[tokio::test]
async fn an_accuser_brings_no_witnesses_of_his_own() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let asked = checked_with_checkpoint(&app, &number).await;
    let answer = audited(&app, &auditor.by, &asked).await;
    grow(&app, 40).await;
    signed(&app).await;
    let mut log = shown(&app, 1).await;
    let (own, note) = (SigningKey::generate().unwrap(), log["checkpoint"].as_str().unwrap().to_owned());
    let verifier = VerifierKey::new("w.example/1", SignatureType::Cosignature, own.public().clone()).unwrap();
    let line = cosign(&own, "w.example/1", Note::parse(&note).unwrap().text(), 0);
    log["checkpoint"] = json!(format!("{note}{line}"));
    let policy = format!("witness a {verifier}\nquorum a\n");
    let forged = with(evidence(&asked, &answer, &number, &[log]), "policy", policy.as_str());
    auditor.write("evidence.json", &forged.to_string());
    let said = |policy: Option<&str>| {
        let policy = policy.map(|name| auditor.path(name));
        second_program(&auditor.path("evidence.json"), &auditor.path("jwks.json"), policy.as_deref())
    };
    assert!(said(None).starts_with("NOT SHOWN: "));
    let other = crate::witnesses::stranger("w.example/2");
    auditor.write("reader", &format!("witness a {other}\nquorum a\n"));
    assert!(said(Some("reader")).starts_with("NOT SHOWN: "));
    // By a witness whom the reader trusts it would be one.
    auditor.write("his", &policy);
    assert!(said(Some("his")).contains("had cosigned a later state"));
}

/// The leaves of the first log, bent by hand, and signed once more.
async fn sign_again(app: &TestApp, mut statements: Vec<String>) {
    statements.push("DELETE FROM log_tiles".to_owned());
    statements.push("UPDATE log_head SET size = 0, note = ''".to_owned());
    rewrite(app, &statements).await;
    eventually("the log is signed once more", async || {
        let head = app.store.log_head(Some(FIRST)).await.unwrap().unwrap();
        head.size > 0 && head.sequence() == app.store.head().await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_second_key_at_the_head_of_a_log_is_none() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let before = checked(&app, &number, Some(LOST)).await;
    app.report_lost(&number, Some(LOST)).await;
    grow(&app, 1).await;
    signed(&app).await;
    let (head, second) = (app.store.log_head(None).await.unwrap().unwrap(), BlindKey::derive(1, &[9; 32]).unwrap());
    let (at, end) = (head.s0.get() + 2, head.sequence().get());
    let place = app.store.log_entries(FIRST, head.s0.plus(1), 1).await.unwrap().remove(0);
    let mut statements = vec![];
    if place[0] == HashedEntry::Base as u8 {
        // The base keeps a place, behind all that decides.
        statements.push(format!("UPDATE log_leaves SET entry = {} WHERE seq = {end}", blob(&hex::encode(&place))));
    }
    let key = Entry::hash(HashedEntry::BlindKey, second.public_key());
    statements.push(format!("UPDATE log_leaves SET entry = {} WHERE seq = {at}", blob(&hex::encode(key.as_bytes()))));
    sign_again(&app, statements).await;
    let note = app.store.log_head(None).await.unwrap().unwrap().note;
    // The card was reported, and the receipt says that it was not listed.
    let lie = at_sequence(&app, &before, &note, |_| end);
    let mut answer = audited(&app, &auditor.by, &lie).await;
    assert_eq!(answer["outcome"], "contradicted", "{answer}");
    let opened = second.evaluate_open(&IdDigest::from_bytes(digest_bytes(&number))).unwrap();
    answer["public_key"] = json!(base64url(&second.public_key()));
    answer["element"] = json!(base64url(&opened.elements[0]));
    answer["proof"] = json!(base64url(&opened.proof));
    let liar = Liar::start(&app, &answer).await;
    let judged = auditor.judge_at(&liar.url(), &lie).await;
    Auditor::expect(&judged, 75, "cannot_tell");
    assert!(judged.said["reason"].as_str().unwrap().contains("not that of the log"), "{}", judged.said);
}

#[tokio::test]
async fn a_first_log_that_is_said_to_begin_later_hides_no_entry() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let before = checked(&app, &number, Some(LOST)).await;
    grow(&app, 20).await;
    let at = app.report_lost(&number, Some(LOST)).await["registry_sequence"].as_u64().unwrap();
    signed(&app).await;
    let head = app.store.log_head(None).await.unwrap().unwrap();
    let (s0, end) = (head.s0.get(), head.sequence().get());
    let lie = at_sequence(&app, &before, &head.note, |_| end);
    let truth = audited(&app, &auditor.by, &lie).await;
    assert_eq!(truth["outcome"], "contradicted", "{truth}");
    let told = with(truth.clone(), "entries", json!([]));
    // So that the report's entry is behind the last that the receipt reaches, by more than lies between the base and its leaf.
    assert!(end < at + 10, "the entry is among the last");
    for begun in [s0 + 10, s0 + 20] {
        for without in [false, true] {
            let mut answer = with(told.clone(), "s0", begun);
            if without {
                answer.as_object_mut().unwrap().remove("base");
            }
            let liar = Liar::start(&app, &answer).await;
            Auditor::expect(&auditor.judge_at(&liar.url(), &lie).await, 75, "cannot_tell");
        }
    }
    Auditor::expect(&auditor.judge(&app, &lie).await, 10, "contradicted");
}

#[tokio::test]
async fn a_blind_receipt_is_judged_by_the_log_of_its_key_alone() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let asked = blindly_checked(&app, &random_number()).await;
    let note = app.store.log_head(None).await.unwrap().unwrap().note;
    let truth = audited(&app, &auditor.by, &asked).await;
    let other = resigned(&app, &asked, &note, |claims| claims.replace(r#""key":"1""#, r#""key":"2""#));
    let liar = Liar::start(&app, &truth).await;
    Auditor::expect(&auditor.judge_at(&liar.url(), &asked).await, 0, "consistent");
    Auditor::expect(&auditor.judge_at(&liar.url(), &other).await, 75, "cannot_tell");
    // An element that is not what the key makes of it: the evidence of that verifies too.
    let bent = resigned(&app, &asked, &note, |claims| {
        let claims: Value = serde_json::from_str(claims).unwrap();
        let bl = claims["bl"].as_str().unwrap();
        claims.to_string().replace(claims["ev"].as_str().unwrap(), bl)
    });
    let judged = auditor.judge(&app, &bent).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("was not evaluated by the key"));
}

#[tokio::test]
async fn a_log_that_was_cut_and_made_again_is_not_believed_and_what_was_kept_stays() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let at = report["registry_sequence"].as_u64().unwrap();
    let old = checked(&app, &random_number(), Some(LOST)).await;
    let cut = app.store.head().await.unwrap().get();
    grow(&app, 300).await;
    signed(&app).await;
    let auditor = Auditor::of(&app).await;
    let newer = checked(&app, &random_number(), Some(LOST)).await;
    audited(&app, &auditor.by, &newer).await;
    Auditor::expect(&auditor.judge(&app, &newer).await, 0, "consistent");
    let kept = std::fs::read_to_string(auditor.path("log/1-checkpoint")).unwrap();
    let zeros = blob(&format!("01{}", "00".repeat(19)));
    rewrite(
        &app,
        &[
            format!("UPDATE log_leaves SET entry = {zeros} WHERE seq = {at}"),
            format!("DELETE FROM log_leaves WHERE seq > {cut}"),
            "DELETE FROM log_tiles".to_owned(),
            "UPDATE log_head SET size = 0, note = ''".to_owned(),
        ],
    )
    .await;
    eventually("what is left is signed once more", async || {
        let head = app.store.log_head(Some(FIRST)).await.unwrap().unwrap();
        head.size > 0 && head.sequence().get() == cut
    })
    .await;
    for _ in 0..2 {
        let judged = auditor.judge(&app, &old).await;
        Auditor::expect(&judged, 10, "contradicted");
        assert!(judged.evidence.unwrap().contains("that do not continue each other"));
        assert_eq!(std::fs::read_to_string(auditor.path("log/1-checkpoint")).unwrap(), kept, "what was seen first");
    }
    // Who has kept the checkpoint alone cannot show it, and does not believe it either.
    for file in std::fs::read_dir(auditor.path("log")).unwrap() {
        let path = file.unwrap().path();
        if !path.ends_with("1-checkpoint") {
            std::fs::remove_file(path).unwrap();
        }
    }
    Auditor::expect(&auditor.judge(&app, &old).await, 75, "cannot_tell");
    assert_eq!(std::fs::read_to_string(auditor.path("log/1-checkpoint")).unwrap(), kept);
}
