//! One log follows another: what receipts, monitors and witnesses of either say, and what each log has of the service's keys. And tiles that
//! were damaged on the way, and an auditor who must wait.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lostcard::crypto::keyfiles::{KeyFolder, Purpose};
use lostcard::crypto::receipt::parse_checkpoint;
use lostcard::crypto::tlog::checkpoint::AddCheckpoint;
use lostcard::crypto::tlog::tree::{leaf_hash, root};
use lostcard::crypto::tlog::{Checkpoint, Note};
use lostcard::domain::registry_log::{Entry, HashedEntry, LogEpoch};
use lostcard::store::log::LogHead;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::auditor::Auditor;
use crate::blind_audits::blindly_checked;
use crate::bodies::random_number;
use crate::helpers::{TestApp, eventually};
use crate::log_lies::{Liar, begin_next, signed_newest};
use crate::receipt_audits::{AUDIT, LOST, checked, written};
use crate::registry_log::{begin, grow, signed, watch, watch_at};
use crate::servers::http_client;
use crate::witnesses::{Witness, log_key, served, with_policy};

async fn head_of(app: &TestApp, epoch: u32) -> LogHead {
    app.store.log_head(Some(LogEpoch::new(epoch))).await.unwrap().unwrap()
}

/// Whether a receipt's head names a tree that the log of an epoch begins with.
async fn names(app: &TestApp, asked: &Value, epoch: u32) -> bool {
    let verified = app.verify_receipt(asked).await.json();
    let Some((size, wanted)) = verified.get("checkpoint").and_then(|cp| parse_checkpoint(cp.as_str()?)) else {
        return false;
    };
    let head = head_of(app, epoch).await;
    let entries = app.store.log_entries(head.epoch, head.s0, size).await.unwrap();
    root(&entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>()) == wanted
}

/// The time of the witness's signature in the newest note.
async fn cosigned_at(app: &TestApp, witness: &Witness, epoch: u32) -> Option<u64> {
    Note::parse(&head_of(app, epoch).await.note)?.signed_by(&witness.key).ok()?.time_s
}

#[tokio::test]
async fn receipts_of_every_kind_a_monitor_and_a_witness_follow_a_switch_of_logs() {
    let app = TestApp::spawn().await;
    let witness = Witness::start(&app.folder.path().join("w1"), "w.example/1", &log_key(&app)).await;
    let policy = format!("witness a {} {}\nquorum a\n", witness.key, witness.url);
    let app = with_policy(app, &policy).await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    auditor.write("policy", &policy);
    let (number, state) = (random_number(), auditor.path("state"));
    let policy_path = auditor.path("policy").display().to_string();
    let watched = async || {
        let more = ["--policy", policy_path.as_str(), "--max-age-seconds", "600"];
        watch_at(&app, &format!("http://{}", app.address), &state, &more).await
    };
    let report = app.report_lost(&number, Some(LOST)).await;
    let mut all = vec![written(&report, &number), checked(&app, &number, Some(LOST)).await];
    all.push(checked(&app, &random_number(), None).await);
    all.push(blindly_checked(&app, &random_number()).await);
    let size = signed(&app).await;
    eventually("the first log is cosigned", async || served(&app, &[&witness.key]).await.1 == [true]).await;
    assert!(head_of(&app, 1).await.size >= size);
    assert_eq!(watched().await.0, Some(0));
    // The last of the log, which is signed at its end without witnesses.
    let withdrawn = app.withdraw(report["report_id"].as_str().unwrap()).await.json();
    all.push(written(&withdrawn, &number));
    all.push(checked(&app, &number, Some(LOST)).await);
    begin_next(&app).await;
    all.push(checked(&app, &number, Some(LOST)).await);
    let blind = std::cell::RefCell::new(Value::Null);
    eventually("a blind receipt of the older key names the newer log", async || {
        let one = blindly_checked(&app, &random_number()).await;
        let is_one = names(&app, &one, 2).await;
        blind.replace(one);
        is_one
    })
    .await;
    all.push(blind.into_inner());
    let again = app.report_lost(&number, Some(LOST)).await;
    all.push(written(&again, &number));
    all.push(checked(&app, &number, Some(LOST)).await);
    eventually("both logs are cosigned to their ends", async || {
        let (old, new) = (head_of(&app, 1).await, head_of(&app, 2).await);
        let size = |note: &Option<String>| Some(Checkpoint::parse(Note::parse(note.as_ref()?)?.text())?.size);
        size(&old.cosigned) == Some(old.size)
            && size(&new.cosigned) == Some(new.size)
            && new.sequence() == app.store.head().await.unwrap()
    })
    .await;
    let (code, said) = watched().await;
    assert_eq!((code, said.contains("has ended")), (Some(0), true), "{said}");
    assert!(!said.contains("in no log"), "{said}");
    for asked in &all {
        let told = app.post(&auditor.by.token, AUDIT, asked).await.json();
        assert_eq!(told["outcome"], "consistent", "{told}");
        let judged = auditor.judge_with(&app, asked, &["--policy", "policy"]).await;
        Auditor::expect(&judged, 0, "consistent");
        assert_eq!(judged.said["published_keys_in_log"], true, "{}", judged.said);
    }
    // The first log grows for nobody any more.
    let old = head_of(&app, 1).await;
    let body = AddCheckpoint::body(old.size, &[], &old.note);
    let answer = http_client().build().unwrap().post(format!("{}/add-checkpoint", witness.url)).body(body);
    assert_eq!(answer.send().await.unwrap().status().as_u16(), 404);
    // Nothing changes, and its cosignature is renewed all the same.
    let before = cosigned_at(&app, &witness, 2).await.unwrap();
    app.clock.advance(Duration::from_mins(6));
    eventually("it is cosigned again", async || cosigned_at(&app, &witness, 2).await > Some(before)).await;
}

#[tokio::test]
async fn each_log_has_the_published_keys_once() {
    let app = TestApp::spawn().await;
    let other = app.sibling().await;
    begin(&app).await;
    let entries_of_keys = async |epoch: u32| {
        let head = head_of(&app, epoch).await;
        let all = app.store.log_entries(head.epoch, head.s0, 1 << 20).await.unwrap();
        all.into_iter().filter(|entry| entry[0] == HashedEntry::PublishedKeys as u8).collect::<Vec<_>>()
    };
    let published = async |of: &TestApp| {
        let text = of.get("", "/.well-known/jwks.json").await.text;
        Entry::hash(HashedEntry::PublishedKeys, Sha256::digest(text.as_bytes()).into()).as_bytes().to_vec()
    };
    let first = published(&app).await;
    assert_eq!(entries_of_keys(1).await, std::slice::from_ref(&first));
    KeyFolder::new(app.config.key_folder()).rotate_signing_key(Purpose::Receipt).unwrap();
    eventually("both nodes publish the new key", async || {
        let (here, there) = (published(&app).await, published(&other).await);
        here == there && here != first
    })
    .await;
    let second = published(&app).await;
    eventually("the log has it", async || entries_of_keys(1).await.len() > 1).await;
    begin_next(&app).await;
    assert_eq!(entries_of_keys(1).await, [first, second.clone()], "one of the nodes committed to it");
    // This test's own key ring, by which the key began, is from before the rotation.
    eventually("so has the next one", async || entries_of_keys(2).await.contains(&second)).await;
    signed_newest(&app).await;
    // An auditor who has other keys than the log is told.
    let auditor = Auditor::of(&app).await;
    let asked = checked(&app, &random_number(), None).await;
    eventually("a checkpoint reaches it", async || app.post(&auditor.by.token, AUDIT, &asked).await.status == 200)
        .await;
    let jwks = std::fs::read_to_string(auditor.path("jwks.json")).unwrap();
    auditor.write("jwks.json", &jwks.replacen('{', "{ ", 1));
    let judged = auditor.judge(&app, &asked).await;
    Auditor::expect(&judged, 0, "consistent");
    assert_eq!(judged.said["published_keys_in_log"], false, "{}", judged.said);
}

fn beside(state: &Path, what: &str) -> std::path::PathBuf {
    state.with_extension(what)
}

#[tokio::test]
async fn a_damaged_tile_is_no_fork() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let state = app.folder.path().join("state");
    assert_eq!(watch(&app, &state).await.0, Some(0));
    let seen = std::fs::read_to_string(&state).unwrap();
    grow(&app, 37).await;
    signed(&app).await;
    let liar = Liar::instead(&app, "get /registry-log/1/tile/", "7".repeat(32 * 256)).await;
    let (code, said) = watch_at(&app, &liar.url(), &state, &[]).await;
    assert_eq!((code, said.contains("do not give the root")), (Some(75), true), "{said}");
    assert!(beside(&state, "unproven").exists() && !beside(&state, "fork").exists());
    assert_eq!(std::fs::read_to_string(&state).unwrap(), seen, "it is not taken");
    assert_eq!(watch(&app, &state).await.0, Some(0));
}

#[tokio::test]
async fn an_auditor_whose_limit_is_spent_waits() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    grow(&app, 2000).await;
    signed(&app).await;
    let mut auditor = Auditor::of(&app).await;
    auditor.by = app.add_client("audit", Some("12/4s")).await;
    auditor.write(
        "client.json",
        &serde_json::json!({"client_id": auditor.by.client_id, "client_secret": auditor.by.secret}).to_string(),
    );
    let asked = checked(&app, &random_number(), None).await;
    signed(&app).await;
    let is_done = AtomicBool::new(false);
    let judge = async {
        let judged = auditor.judge(&app, &asked).await;
        is_done.store(true, Ordering::Relaxed);
        judged
    };
    // The service's time stands still but for this.
    let time = eventually("it has what it needs", async || {
        app.clock.advance(Duration::from_millis(200));
        is_done.load(Ordering::Relaxed)
    });
    let (judged, ()) = tokio::join!(judge, time);
    Auditor::expect(&judged, 0, "consistent");
}
