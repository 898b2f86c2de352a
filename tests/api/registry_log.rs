//! The registry log as its readers meet it. What is signed is told by `tests/store/log.rs`; here it is who may read what, by which
//! paths, for how long, and from which node.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use lostcard::crypto::keyfiles::{KeyFolder, Purpose};
use lostcard::crypto::random;
use lostcard::crypto::tlog::note::sign;
use lostcard::crypto::tlog::tile::entries;
use lostcard::crypto::tlog::tree::{leaf_hash, root};
use lostcard::crypto::tlog::{Checkpoint, Note, VerifierKey};
use lostcard::domain::registry_log::{Entry, LogEpoch};
use lostcard::store::feed::ChangeKind;
use lostcard::wiping::spawn_wiped;
use reqwest::redirect::Policy;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::auditor::rewrite;
use crate::blind_client::{Client, blind as of_number};
use crate::bodies::{check_of, random_number};
use crate::child;
use crate::helpers::{TestApp, eventually};
use crate::servers::http_client;

const FIRST: LogEpoch = LogEpoch::new(1);

/// Waits until a node that has just started leaves no more rows of its own in the feed.
pub(crate) async fn settled(app: &TestApp) {
    eventually("the listings are on the node's disk", async || {
        let used = app.metric("lostcard_filter_file_reads_total{outcome=\"used\"}").await;
        used + app.metric("lostcard_filter_file_writes_total{outcome=\"written\"}").await > 0
    })
    .await;
    eventually("the first base is built", async || {
        app.store.blind_keys().await.unwrap().keys.first().is_some_and(|key| key.base.is_some())
    })
    .await;
}

/// Waits until the node has begun its log and signed all that is there; how many leaves that are.
pub(crate) async fn begin(app: &TestApp) -> u64 {
    settled(app).await;
    signed(app).await
}

/// Waits until a checkpoint covers all that the feed has now, and gives its size.
pub(crate) async fn signed(app: &TestApp) -> u64 {
    signed_checkpoint(app).await.size
}

/// The first checkpoint that covers all that the feed has now. A node may add a row of its own at any time: it may cover more.
async fn signed_checkpoint(app: &TestApp) -> Checkpoint {
    let end = app.store.head().await.unwrap();
    let last = Cell::new(None);
    eventually("the node signs what has grown", async || {
        // The store first: questions without a token have a limit, which no time gives back while the test's clock stands still.
        if app.store.log_head(Some(FIRST)).await.unwrap().unwrap().sequence() < end {
            return false;
        }
        let found = checkpoint(app).await;
        let is_shown = found.is_some();
        last.set(found);
        is_shown
    })
    .await;
    last.into_inner().unwrap()
}

/// Rows of the feed that list nobody; each transaction adds their leaves.
pub(crate) async fn grow(app: &TestApp, count: usize) {
    app.change_store(async |tx| {
        let subjects = vec![random::bytes::<16>(); count];
        let subjects: Vec<_> = subjects.iter().map(<[u8; 16]>::as_slice).collect();
        tx.record_changes(ChangeKind::Node, &subjects).await.unwrap();
    })
    .await;
}

/// The keys that a node names.
pub(crate) async fn keys(app: &TestApp) -> Vec<VerifierKey> {
    let text = app.get("", "/registry-log/keys").await.text;
    text.lines().map(|line| VerifierKey::parse(line).unwrap()).collect()
}

/// The checkpoint of a node, verified by the first of its keys.
async fn checkpoint(app: &TestApp) -> Option<Checkpoint> {
    let answer = app.get("", "/registry-log/1/checkpoint").await;
    let note = Note::parse(&answer.text)?;
    note.signed_by(keys(app).await.first()?).ok()?;
    Checkpoint::parse(note.text())
}

async fn bytes(app: &TestApp, token: &str, path: &str) -> Vec<u8> {
    let answer = app.request("GET", path).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn the_log_is_read_by_the_paths_of_its_specification() {
    let app = TestApp::spawn().await;
    let auditor = app.add_client("audit", None).await;
    begin(&app).await;
    app.get("", "/registry-log/1/tile/0/000").await.problem(404, "not_found");
    grow(&app, 299).await;
    let found = signed_checkpoint(&app).await;
    let size = found.size;
    let (rest, head) = (size - 256, app.store.log_head(Some(FIRST)).await.unwrap().unwrap());
    let mut all: Vec<Vec<u8>> = Vec::new();
    for path in ["entries/000".to_owned(), format!("entries/001.p/{rest}")] {
        let bundle = bytes(&app, &auditor.token, &format!("/registry-log/1/tile/{path}")).await;
        all.extend(entries(&bundle).unwrap().into_iter().map(<[u8]>::to_vec));
    }
    assert_eq!(all, app.store.log_entries(FIRST, head.s0, size).await.unwrap());
    let hashes: Vec<_> = all.iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!((found.origin.as_str(), found.root), (keys(&app).await[0].name(), root(&hashes)));
    assert!(found.origin.ends_with("/registry-log/1"), "{found:?}");
    assert_eq!(bytes(&app, "", "/registry-log/1/tile/0/000").await, hashes[..256].concat());
    assert_eq!(bytes(&app, "", "/registry-log/1/tile/1/000.p/1").await, root(&hashes[..256]));
    for (path, kind, kept) in [
        ("checkpoint".to_owned(), "text/plain; charset=utf-8", "public, max-age=1"),
        (format!("tile/0/001.p/{rest}"), "application/octet-stream", "public, max-age=31536000, immutable"),
        ("tile/entries/000".to_owned(), "application/octet-stream", "private, max-age=31536000, immutable"),
    ] {
        let answer =
            app.request("GET", &format!("/registry-log/1/{path}")).bearer_auth(&auditor.token).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-type").as_str(), header("cache-control").as_str()), (kind, kept), "{path}");
    }
    for path in [
        "1/tile/0/001",
        "1/tile/0/01",
        "1/tile/0/002.p/1",
        "1/tile/64/000",
        "1/tile/",
        "2/checkpoint",
        "01/checkpoint",
        "1/tile/x",
    ] {
        app.get("", &format!("/registry-log/{path}")).await.problem(404, "not_found");
    }
    let published = app.get("", "/.well-known/jwks.json").await.text;
    assert!(published.contains(&keys(&app).await[0].public().x()), "the same key as a JWK");
}

#[tokio::test]
async fn entries_are_for_blind_clients_and_auditors() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    // The first leaf is that of the public key that began the epoch.
    let path = "/registry-log/1/tile/entries/000.p/1";
    app.get("", path).await.problem(401, "invalid_token");
    app.get(&app.hotel.token, path).await.problem(403, "insufficient_scope");
    for scope in ["blind", "audit"] {
        let client = app.add_client(scope, None).await;
        assert_eq!(bytes(&app, &client.token, path).await.len(), 2 + 33, "{scope}");
    }
}

#[tokio::test]
async fn without_an_epoch_readers_are_sent_to_the_newest() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let client = http_client().redirect(Policy::none()).build().unwrap();
    for path in ["checkpoint", "tile/0/000.p/1", "tile/0/x001/234.p/17", "tile/entries/000.p/1"] {
        let answer = client.get(format!("http://{}/registry-log/{path}", app.address)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 302, "{path}");
        assert_eq!(answer.headers()["location"].to_str().unwrap(), format!("/registry-log/1/{path}"));
    }
    app.get("", "/registry-log/tile/0/1").await.problem(404, "not_found");
}

#[tokio::test]
async fn nodes_of_one_store_sign_one_log_and_go_on_after_a_rotation() {
    let app = TestApp::spawn().await;
    let other = app.sibling().await;
    settled(&other).await;
    begin(&app).await;
    let mut size = 0;
    for _ in 0..3 {
        grow(&app, 50).await;
        size = signed(&app).await;
        // Either node may add a row of its own between two looks.
        eventually("both nodes name one checkpoint", async || {
            let (here, there) = (checkpoint(&app).await, checkpoint(&other).await);
            here == there && here.is_some_and(|it| it.size >= size)
        })
        .await;
    }
    let old = keys(&app).await.remove(0);
    KeyFolder::new(app.config.key_folder()).rotate_signing_key(Purpose::Log).unwrap();
    eventually("the new key signs", async || {
        if keys(&app).await[0] == old {
            return false;
        }
        grow(&app, 1).await;
        checkpoint(&app).await.is_some_and(|it| it.size > size)
    })
    .await;
    assert_eq!(keys(&app).await[1], old, "what it signed stays verifiable");
    let fingerprints = app.get("", "/.well-known/jwks.json").await.text;
    assert!(fingerprints.contains(&old.public().x()));
}

/// After a restore or a promotion the store may lack what the log has: it is signed no further, and the next one says what came before.
#[tokio::test]
async fn a_log_ends_with_the_epoch_of_its_feed() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    grow(&app, 20).await;
    let before = signed_checkpoint(&app).await;
    let by = app.add_client("blind", None).await;
    let blind = Client::of(&app, by.clone(), "").await;
    let number = random_number();
    app.report_lost(&number, None).await;
    app.store.renew_epoch().await.unwrap();
    // Who comes with the key of before learns nothing, however far the feed comes.
    grow(&app, 20).await;
    assert_ne!(blind.ask(&[of_number(&number)]).await.status, 200);
    let next = Cell::new(None);
    eventually("the next log is signed", async || {
        let head = app.store.log_head(None).await.unwrap().unwrap();
        let is_there = head.epoch > FIRST && head.size > 0;
        next.set(Some(head));
        is_there
    })
    .await;
    let (old, next) = (app.store.log_head(Some(FIRST)).await.unwrap().unwrap(), next.into_inner().unwrap());
    assert!(old.has_ended && old.size < before.size + 20 && old.sequence() <= next.s0, "{old:?} {next:?}");
    let entries = app.store.log_entries(next.epoch, next.s0, 1).await.unwrap();
    let successor = Entry::successor(next.s0, Sha256::digest(old.note.as_bytes()).into());
    assert_eq!(entries[0], successor.as_bytes());
    blind.ask(&[of_number(&number)]).await.problem(422, "blind_key_unknown");
    let mut newer = Client::of(&app, by, &blind.key).await;
    assert_eq!(newer.verdict(&number, None).await, "number_listed");
    let data = app.config.data.clone();
    let done = spawn_wiped(move || child::run(&data, &["log", "verify"])).await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
}

/// While blind checks are off there is no log: what was answered then is in none, and those before and after it are whole.
#[tokio::test]
async fn a_time_without_a_log_is_no_fault_of_the_logs_beside_it() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let app = app.restart(async |config| config.blind.enabled = false).await;
    let number = random_number();
    app.report_lost(&number, None).await;
    let check = app.check(&check_of(&number, None)).await.json();
    let app = app.restart(async |config| config.blind.enabled = true).await;
    eventually("the next log is signed", async || {
        app.store.log_head(None).await.unwrap().is_some_and(|head| head.epoch > FIRST && head.size > 0)
    })
    .await;
    let data = app.config.data.clone();
    let done = spawn_wiped(move || child::run(&data, &["log", "verify"])).await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let auditor = app.add_client("audit", None).await;
    let asked = json!({"receipt": check["receipt"], "receipt_salt": check["receipt_salt"], "id_number": number});
    let told = app.post(&auditor.token, "/v1/receipts/audit", &asked).await.json();
    assert_eq!(told["outcome"], "cannot_tell", "{told}");
}

#[tokio::test]
async fn a_service_without_blind_keys_has_no_log() {
    let app = TestApp::spawn_with(|config| config.blind.enabled = false).await;
    for path in ["checkpoint", "keys", "1/checkpoint", "1/tile/0/000.p/1", "tile/0/000.p/1"] {
        app.get("", &format!("/registry-log/{path}")).await.problem(404, "not_found");
    }
    let auditor = app.add_client("audit", None).await;
    app.get(&auditor.token, "/registry-log/1/tile/entries/000.p/1").await.problem(404, "not_found");
    assert!(KeyFolder::new(app.config.key_folder()).lacks(Purpose::Log).unwrap(), "nor a key for one");
}

#[tokio::test]
async fn the_operator_verifies_the_whole_log_by_a_command() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    grow(&app, 300).await;
    let size = signed(&app).await;
    let data = app.config.data.clone();
    let verify = async || {
        let data = data.clone();
        // The node lives in this runtime, which must not wait.
        spawn_wiped(move || child::run(&data, &["log", "verify", "--json"])).await.unwrap()
    };
    let done = verify().await;
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{errors}");
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((said["logs"][0]["size"].as_u64(), said["logs"].as_array().unwrap().len()), (Some(size), 1), "{said}");
    assert!(said["logs"][0]["origin"].as_str().unwrap().ends_with("/registry-log/1"), "{said}");
    // A base of the store that is not the one that the log commits to.
    let piece = app.store.base_piece(1, 0).await.unwrap().unwrap();
    let bent = [&piece[..piece.len() - 1], &[piece[piece.len() - 1] ^ 1]].concat();
    app.store.put_base_piece(1, 0, &bent).await.unwrap();
    let done = verify().await;
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), errors.contains("the base that is kept")), (Some(1), true), "{errors}");
    app.store.put_base_piece(1, 0, &piece).await.unwrap();
    let seq = app.store.log_head(Some(FIRST)).await.unwrap().unwrap().s0.get() + 100;
    let other = format!("(SELECT entry FROM log_leaves WHERE seq = {})", seq + 1);
    rewrite(&app, &[format!("UPDATE log_leaves SET entry = {other} WHERE seq = {seq}")]).await;
    let done = verify().await;
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), errors.contains("is not made of the leaves")), (Some(1), true), "{errors}");
}

/// `log watch --once`: its exit code, and what it said.
pub(crate) async fn watch(app: &TestApp, state: &Path) -> (Option<i32>, String) {
    watch_at(app, &format!("http://{}", app.address), state, &[]).await
}

/// The same, asking another address, with further arguments.
pub(crate) async fn watch_at(app: &TestApp, url: &str, state: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
    command.env_clear().args(["log", "watch", "--once", "--url", url, "--log-key"]);
    command.arg(keys(app).await[0].to_string()).arg("--state").arg(state).args(more);
    // The node lives in this runtime, which must not wait.
    let done = spawn_wiped(move || command.output().unwrap()).await.unwrap();
    (done.status.code(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

#[tokio::test]
async fn a_monitor_follows_and_tells_another_history() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let state = app.folder.path().join("state");
    let origin = keys(&app).await[0].name().to_owned();
    // A node may add a row of its own at any time, so a size is at least what was grown.
    let mut size = 0;
    for rows in [0, 1, 280, 600] {
        grow(&app, rows).await;
        let grown = signed(&app).await;
        let (code, said) = watch(&app, &state).await;
        let mut words = said.split(' ');
        assert_eq!((code, words.next()), (Some(0), Some(origin.as_str())), "{said}");
        size = words.next().unwrap().parse().unwrap();
        assert!(size >= grown, "{said}");
    }
    eventually("nothing is new", async || watch(&app, &state).await == (Some(0), String::new())).await;
    let signing = app.keyring.signing();
    let write = |size, root| {
        let text = Checkpoint { origin: origin.clone(), size, root }.text();
        let note = format!("{text}\n{}", sign(signing.log.as_ref().unwrap(), &origin, &text));
        std::fs::write(&state, &note).unwrap();
        note
    };
    // What the log's own key has signed once, and shows no more: of fewer leaves, of as many.
    for size in [299, size] {
        let other = write(size, [7; 32]);
        let (code, said) = watch(&app, &state).await;
        assert_eq!((code, said.contains("another history")), (Some(10), true), "{size}: {said}");
        let evidence = std::fs::read_to_string(app.folder.path().join("state.fork")).unwrap();
        assert!(evidence.contains(&other), "{evidence}");
        let others_aside = evidence.replace(&other, "");
        assert!(others_aside.contains(&format!("{origin}\n")), "what the log shows now: {evidence}");
    }
    // A tree of more leaves cannot be proven to continue the log's: its tiles are not there.
    write(size + 1000, [7; 32]);
    let (code, said) = watch(&app, &state).await;
    assert_eq!(code, Some(75), "{said}");
    std::fs::write(&state, "nothing").unwrap();
    assert_eq!(watch(&app, &state).await.0, Some(1), "what is kept is not believed either");
}
