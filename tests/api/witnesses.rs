//! Witnesses of the registry log: what they cosign is served with the checkpoint, and one that fails or lies keeps nothing up.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lostcard::crypto::signing::SigningKey;
use lostcard::crypto::tlog::note::SignatureType;
use lostcard::crypto::tlog::{Checkpoint, Note, VerifierKey};
use lostcard::node::witness::{WitnessOptions, WitnessProcess};
use lostcard::wiping::spawn_wiped;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::helpers::{TestApp, eventually};
use crate::registry_log::{begin, grow, settled};
use crate::servers::free_address;

/// A witness in this process, until it is dropped.
pub(crate) struct Witness {
    pub(crate) key: VerifierKey,
    pub(crate) url: String,
    stop: Arc<Notify>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

impl Witness {
    pub(crate) async fn start(data: &Path, name: &str, log: &VerifierKey) -> Self {
        let (stop, log_keys) = (Arc::new(Notify::new()), [log.to_string()]);
        let options = WitnessOptions { data, listen: "127.0.0.1:0".parse().unwrap(), name, log_keys: &log_keys };
        let process = WitnessProcess::start(&options).await.unwrap();
        let (key, url, told) = (process.verifier.clone(), format!("http://{}", process.address), Arc::clone(&stop));
        tokio::spawn(async move { process.run_until_stopped(told.notified()).await.unwrap() });
        Self { key, url, stop }
    }
}

pub(crate) fn log_key(app: &TestApp) -> VerifierKey {
    let public = app.keyring.signing().log.as_ref().unwrap().public().clone();
    VerifierKey::new("lostcard.test/registry-log/1", SignatureType::Ed25519, public).unwrap()
}

pub(crate) fn stranger(name: &str) -> VerifierKey {
    VerifierKey::new(name, SignatureType::Cosignature, SigningKey::generate().unwrap().public().clone()).unwrap()
}

/// The node once more, with a policy.
pub(crate) async fn with_policy(app: TestApp, policy: &str) -> TestApp {
    // A node that stops while it builds a base is not followed at once.
    settled(&app).await;
    let path = app.folder.path().join("policy");
    std::fs::write(&path, policy).unwrap();
    app.restart(async |config| config.witnesses.policy = Some(path.clone())).await
}

/// Size of the checkpoint that a node serves, and which of these cosigned it.
pub(crate) async fn served(app: &TestApp, keys: &[&VerifierKey]) -> (u64, Vec<bool>) {
    let note = Note::parse(&app.get("", "/registry-log/1/checkpoint").await.text).unwrap();
    note.signed_by(&log_key(app)).unwrap();
    let cosigned = keys.iter().map(|key| note.signed_by(key).is_ok()).collect();
    (Checkpoint::parse(note.text()).unwrap().size, cosigned)
}

/// What a program in another language reads of the whole log.
async fn read_elsewhere(app: &TestApp, token: &str, witnesses: &[&VerifierKey]) -> Value {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/reader.py"));
    command.args([format!("http://{}", app.address), log_key(app).to_string(), token.to_owned()]);
    command.args(witnesses.iter().map(ToString::to_string));
    // The node lives in this runtime, which must not wait.
    let done = spawn_wiped(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Go's packages for such logs, as Debian has them: size and root of the tree, and of its beginning.
async fn read_in_go(app: &TestApp, old: u64) -> Vec<String> {
    let mut command = Command::new("go");
    command.args(["run", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/reader.go")]);
    command.args([format!("http://{}", app.address), log_key(app).to_string(), old.to_string()]);
    command.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOCACHE", app.folder.path().join("go"));
    let done = spawn_wiped(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn two_of_three_are_enough_where_one_is_down_and_one_lies() {
    let app = TestApp::spawn().await;
    let (log, folder) = (log_key(&app), Arc::clone(&app.folder));
    let first = Witness::start(&folder.path().join("w1"), "w.example/1", &log).await;
    let second = Witness::start(&folder.path().join("w2"), "w.example/2", &log).await;
    // What signs for this one is another key than the policy's.
    let false_one = Witness::start(&folder.path().join("w3"), "w.example/3", &log).await;
    let (lying, down) = (stranger("w.example/3"), stranger("w.example/4"));
    let policy = format!(
        "witness a {} {}\nwitness b {} {}\nwitness c {lying} {}\nwitness d {down} http://{}\ngroup all-of-them 2 a b c d\nquorum all-of-them\n",
        first.key,
        first.url,
        second.key,
        second.url,
        false_one.url,
        free_address()
    );
    let app = with_policy(app, &policy).await;
    let auditor = app.add_client("audit", None).await;
    begin(&app).await;
    let keys = [&first.key, &second.key, &lying, &down];
    for size in [101, 201, 701] {
        let missing = size - served(&app, &keys).await.0;
        grow(&app, usize::try_from(missing).unwrap()).await;
        let wanted = (size, vec![true, true, false, false]);
        eventually("it is cosigned", async || served(&app, &keys).await == wanted).await;
    }
    let read = read_elsewhere(&app, &auditor.token, &[&first.key, &second.key]).await;
    assert_eq!((&read["size"], &read["levels"], &read["cosigned"]), (&json!(701), &json!(2), &json!(2)), "{read}");
    let note = app.get("", "/registry-log/1/checkpoint").await.text;
    let lines: Vec<_> = note.lines().collect();
    let read = read_in_go(&app, 257).await;
    assert_eq!((&read[0], &read[1], &read[2]), (&"701".to_owned(), &lines[2].to_owned(), &"257".to_owned()));
    assert!(app.metric("lostcard_witness_answers_total{outcome=\"cosigned\"}").await >= 6);
    assert!(app.metric("lostcard_witness_answers_total{outcome=\"failed\"}").await >= 6);
}

#[tokio::test]
async fn without_enough_witnesses_the_log_goes_on_and_says_so() {
    let app = TestApp::spawn().await;
    let log = log_key(&app);
    let witness = Witness::start(&app.folder.path().join("w1"), "w.example/1", &log).await;
    let app = with_policy(app, &format!("witness a {} {}\nquorum a\n", witness.key, witness.url)).await;
    let begun = begin(&app).await;
    grow(&app, 9).await;
    eventually("it is cosigned", async || served(&app, &[&witness.key]).await == (begun + 9, vec![true])).await;
    let key = witness.key.clone();
    drop(witness);
    eventually("the witness is gone", async || {
        grow(&app, 1).await;
        let newest = app.store.log_head(None).await.unwrap().unwrap();
        newest.size > begun + 9 && newest.waiting_since.is_some()
    })
    .await;
    // Clients are given the last one that was cosigned, while it is asked about a newer one, and then the newer one all the same.
    let (size, cosigned) = served(&app, &[&key]).await;
    assert_eq!(cosigned, [true], "{size}");
    app.clock.advance(Duration::from_secs(3));
    let (newer, cosigned) = served(&app, &[&key]).await;
    assert!(newer > size && cosigned == [false], "{newer} {cosigned:?}");
}

#[tokio::test]
async fn a_policy_that_is_none_is_refused_at_the_start() {
    let app = TestApp::spawn().await;
    let path = app.folder.path().join("policy");
    let key = stranger("w.example/1");
    for (text, said) in [
        ("quorum w\n".to_owned(), "line 1"),
        (format!("witness w {key}\nquorum w\n"), "w.example/1"),
        (format!("witness w {key} http://w.example\nquorum w\n"), "w.example/1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let mut config = app.config.clone();
        config.witnesses.policy = Some(path.clone());
        let refused = lostcard::node::options::check(&config).unwrap_err().to_string();
        assert!(refused.contains("witnesses.policy") && refused.contains(said), "{refused}");
    }
}
