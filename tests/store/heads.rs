//! Signed heads against a thief who has the database and no key: what an end that was cut off, an older database, or two of them look
//! like to the node that runs on it, and to those who kept the heads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lostcard::clock::Clock;
use lostcard::crypto::Keyring;
use lostcard::domain::audit::{Action, Deed};
use lostcard::service::audit::heads::{HeadOptions, Heads, Held};
use lostcard::service::audit::linking::link;
use lostcard::service::audit::since::Kept;
use lostcard::service::audit::sinks::Sink;
use lostcard::service::audit::{Against, verify_store};
use lostcard::store::Store;
use lostcard::telemetry::Metrics;
use tempfile::TempDir;

use crate::backend::Database;
use crate::keys::keyring;
use crate::thief::{all, put, record};

/// A node's heads, into a file that the database's thief does not reach.
struct Node {
    heads: Heads,
    held: Held,
    kept: PathBuf,
    _folder: TempDir,
}

impl Node {
    fn new(store: &Store, keyring: &Arc<Keyring>, clock: &Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("elsewhere.ndjson");
        let options = HeadOptions {
            every: Duration::from_mins(1),
            issuer: "http://x".to_owned(),
            folder: folder.path().join("audit"),
            sinks: vec![Sink::File(kept.clone())],
        };
        let (clock, metrics) = (clock.clone(), Arc::new(Metrics::new().unwrap()));
        let heads = Heads { options, clock, keyring: Arc::clone(keyring), store: store.clone(), metrics };
        Self { heads, held: Held::default(), kept, _folder: folder }
    }

    /// What it says: nothing, or what is wrong.
    async fn turn(&mut self) -> Result<(), String> {
        self.heads.clock.advance(Duration::from_mins(1));
        self.heads.turn(&mut self.held).await.map_err(|error| error.to_string())
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.kept).unwrap().lines().map(str::to_owned).collect()
    }
}

/// A fresh store under a node's keys.
async fn store_of(database: &Database, keyring: &Keyring) -> Store {
    let store = database.open_without_keys().await;
    store.use_audit_key(keyring.audit().clone());
    store
}

/// What `audit verify --since` says of heads.
async fn verify(store: &Store, keyring: &Keyring, lines: &[String]) -> Result<u64, String> {
    let keys = keyring.signing().published_receipts.clone();
    let kept = Kept::read(lines.iter().map(String::as_str), &keys).map_err(|error| error.to_string())?;
    let against = Against { kept: Some(&kept), ..Against::default() };
    let found = verify_store(store, keyring.audit(), against).await;
    found.map(|found| found.end.sequence).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_said<T: std::fmt::Debug>(found: Result<T, String>, why: &str) {
    let said = found.unwrap_err();
    assert!(said.contains(why), "{said}");
}

pub(crate) async fn heads_of_a_log_that_only_grows_are_all_on_it(database: &Database) {
    let (keyring, clock) = (Arc::new(keyring()), Clock::fixed_now());
    let store = store_of(database, &keyring).await;
    let mut node = Node::new(&store, &keyring, &clock);
    for grown in [0, 3, 0, 5] {
        record(&store, grown).await;
        node.turn().await.unwrap();
    }
    let lines = node.lines();
    assert_eq!((lines.len(), verify(&store, &keyring, &lines).await), (4, Ok(8)));
    record(&store, 2).await;
    assert_eq!(verify(&store, &keyring, &lines).await, Ok(10), "what is younger than the newest head is no fault");
    assert_eq!(verify(&store, &keyring, &lines[1..2]).await, Ok(10), "one line will do");
    let without = [&lines[..1], &lines[3..]].concat();
    assert_said(verify(&store, &keyring, &without).await, "heads 2 to 3 of the series");
    // Another process of the same folder continues the series.
    drop(std::mem::take(&mut node.held));
    node.turn().await.unwrap();
    assert_eq!((node.lines().len(), verify(&store, &keyring, &node.lines()).await), (5, Ok(10)));
}

pub(crate) async fn an_end_that_was_cut_off_is_found_by_heads_and_by_the_node(database: &Database) {
    let (keyring, clock) = (Arc::new(keyring()), Clock::fixed_now());
    let store = store_of(database, &keyring).await;
    let mut node = Node::new(&store, &keyring, &clock);
    record(&store, 251).await;
    node.turn().await.unwrap();
    let mut entries = all(&store).await;
    entries.truncate(248);
    put(database, &mut entries).await;
    assert!(verify_store(&store, keyring.audit(), Against::default()).await.is_ok(), "right in itself");
    assert_said(verify(&store, &keyring, &node.lines()).await, "the log ends at entry 248, and a head of");
    assert_said(node.turn().await, "saw entry 251, and the log ends at 248");
    record(&store, 10).await;
    assert_said(verify(&store, &keyring, &node.lines()).await, "at entry 251 the log is not the one of the head of");
    assert_said(node.turn().await, "at entry 251 the log is not");
    assert_eq!(node.lines().len(), 1, "no head is signed over it");
}

pub(crate) async fn an_older_database_in_the_place_of_the_newer_is_found(database: &Database) {
    let (keyring, clock) = (Arc::new(keyring()), Clock::fixed_now());
    let store = store_of(database, &keyring).await;
    let mut node = Node::new(&store, &keyring, &clock);
    record(&store, 20).await;
    node.turn().await.unwrap();
    let mut older = all(&store).await;
    record(&store, 20).await;
    node.turn().await.unwrap();
    let mut newer = all(&store).await;
    put(database, &mut older).await;
    assert_said(verify(&store, &keyring, &node.lines()).await, "or an older one was put in its place");
    assert_said(node.turn().await, "its end was cut off");
    // The service writes on, as long as before: two logs under one key, each right in itself.
    record(&store, 20).await;
    assert!(verify_store(&store, keyring.audit(), Against::default()).await.is_ok());
    assert_said(verify(&store, &keyring, &node.lines()).await, "at entry 40 the log is not the one");
    assert_said(node.turn().await, "at entry 40 the log is not");
    // A node that knows nothing of before signs it; its heads and the others' do not fit together.
    let mut deceived = Node::new(&store, &keyring, &clock);
    deceived.turn().await.unwrap();
    let both = [node.lines(), deceived.lines()].concat();
    assert_said(verify(&store, &keyring, &both).await, "two heads of entry 40 differ: there were two logs");
    // The newer one comes back, to hide it: its own heads are right, and the others tell.
    put(database, &mut newer).await;
    assert_eq!(verify(&store, &keyring, &node.lines()).await, Ok(40));
    assert_said(verify(&store, &keyring, &deceived.lines()).await, "at entry 40 the log is not the one");
    assert_said(deceived.turn().await, "at entry 40 the log is not");
}

/// The node's own folder is set back with the database.
pub(crate) async fn a_node_that_continued_from_an_older_state_signs_a_number_twice(database: &Database) {
    let (keyring, clock) = (Arc::new(keyring()), Clock::fixed_now());
    let store = store_of(database, &keyring).await;
    let mut node = Node::new(&store, &keyring, &clock);
    record(&store, 2).await;
    node.turn().await.unwrap();
    let state = node.heads.options.folder.join("heads.json");
    let (older, mut entries) = (std::fs::read(&state).unwrap(), all(&store).await);
    record(&store, 2).await;
    node.turn().await.unwrap();
    drop(std::mem::take(&mut node.held));
    std::fs::write(&state, older).unwrap();
    put(database, &mut entries).await;
    record(&store, 1).await;
    node.turn().await.unwrap();
    assert_said(verify(&store, &keyring, &node.lines()).await, "head 2 of the series");
    let said = verify(&store, &keyring, &node.lines()).await.unwrap_err();
    assert!(said.contains("was signed twice, and differently"), "{said}");
}

pub(crate) async fn a_restored_log_is_continued_after_a_link(database: &Database) {
    let (keyring, clock) = (Arc::new(keyring()), Clock::fixed_now());
    let store = store_of(database, &keyring).await;
    let mut node = Node::new(&store, &keyring, &clock);
    record(&store, 3).await;
    let linked = Deed::of_operator(Action::LogLinked, None);
    link(&store, &linked, clock.now_ms()).await.unwrap();
    let mut back_up = all(&store).await;
    record(&store, 3).await;
    node.turn().await.unwrap();
    put(database, &mut back_up).await;
    assert_said(node.turn().await, "its end was cut off");
    record(&store, 3).await;
    assert_said(node.turn().await, "at entry 7 the log is not");
    link(&store, &linked, clock.now_ms()).await.unwrap();
    node.turn().await.unwrap();
    let lines = node.lines();
    assert_eq!((lines.len(), verify(&store, &keyring, &lines[1..]).await), (2, Ok(8)), "a series of its own");
    assert_said(verify(&store, &keyring, &lines).await, "at entry 7 the log is not the one");
}
