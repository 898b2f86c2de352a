//! The registry log over every database: what is signed is the tree of the leaves, no matter which node signs it, and continues what was signed before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lostcard::clock::Clock;
use lostcard::crypto::keyfiles::{KeyFolder, Purpose};
use lostcard::crypto::tlog::note::SignatureType;
use lostcard::crypto::tlog::tile::{TileName, entries};
use lostcard::crypto::tlog::tree::{leaf_hash, root};
use lostcard::crypto::tlog::{Checkpoint, Note, VerifierKey};
use lostcard::crypto::{Keyring, random};
use lostcard::domain::registry_log::{Entry, HashedEntry, Leaf, LogEpoch};
use lostcard::domain::sequence::Sequence;
use lostcard::service::registry_log::publisher::{Published, Publisher};
use lostcard::service::registry_log::verify::verify;
use lostcard::service::registry_log::{RegistryLog, begin_epoch};
use lostcard::store::feed::ChangeKind;
use lostcard::store::{Store, WriteTx};
use lostcard::telemetry::Metrics;
use sha2::{Digest, Sha256};
use sqlx::Connection;

use crate::backend::Database;
use crate::records::{NOW_MS, key, write};

const ISSUER: &str = "https://lostcard.example";
const ORIGIN: &str = "lostcard.example/registry-log/1";
const FIRST: LogEpoch = LogEpoch::new(1);
const SECOND: LogEpoch = LogEpoch::new(2);

fn keyring(folder: &tempfile::TempDir) -> Arc<Keyring> {
    let keys = KeyFolder::new(folder.path().join("keys"));
    keys.create_all().unwrap();
    keys.create_first(Purpose::Log).unwrap();
    Arc::new(Keyring::open(keys).unwrap())
}

fn publisher(store: &Store, keyring: &Arc<Keyring>) -> Publisher {
    let (store, keyring) = (store.clone(), Arc::clone(keyring));
    Publisher {
        store,
        keyring,
        clock: Clock::System,
        metrics: Arc::new(Metrics::new().unwrap()),
        latest: Arc::default(),
        witnesses: None,
    }
}

/// Rows of the feed with their leaves, in one transaction; the leaves' entries.
async fn grow(tx: &mut WriteTx, epoch: LogEpoch, count: usize) -> Vec<Vec<u8>> {
    let keys: Vec<_> = (0..count).map(|_| key()).collect();
    let subjects: Vec<_> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let last = tx.record_changes(ChangeKind::Listing, &subjects).await.unwrap();
    let leaf = |at: usize| {
        let blind = Entry::listing([[1].as_slice(), &random::bytes::<19>()].concat().try_into().unwrap()).unwrap();
        let entry = if at.is_multiple_of(7) { Entry::hash(HashedEntry::AuditHead, random::bytes()) } else { blind };
        Leaf { entry, older: at.is_multiple_of(3).then(random::bytes) }
    };
    let leaves: Vec<_> = (0..count).map(leaf).collect();
    tx.add_log_leaves(epoch, last, &leaves).await.unwrap();
    leaves.iter().map(|leaf| leaf.entry.as_bytes().to_vec()).collect()
}

async fn begin(store: &Store, keyring: &Keyring, epoch: LogEpoch) -> Sequence {
    write(store, async |tx| begin_epoch(tx, keyring, ISSUER, epoch, NOW_MS).await.unwrap()).await
}

/// What a note says, if the log's key signed it.
fn read(note: &str, origin: &str, keyring: &Keyring) -> Checkpoint {
    let public = keyring.signing().log.as_ref().unwrap().public().clone();
    let note = Note::parse(note).unwrap();
    note.signed_by(&VerifierKey::new(origin, SignatureType::Ed25519, public).unwrap()).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!(checkpoint.origin, origin);
    checkpoint
}

fn root_of(entries: &[Vec<u8>]) -> [u8; 32] {
    root(&entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>())
}

pub(crate) async fn a_log_is_the_tree_of_its_leaves(database: &Database) {
    let (store, folder) = (database.open().await, tempfile::tempdir().unwrap());
    let keyring = keyring(&folder);
    let publisher = publisher(&store, &keyring);
    assert_eq!(publisher.publish().await.unwrap(), Published::default(), "no log, nothing to do");
    // The epoch begins behind what is there already.
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    assert_eq!(begin(&store, &keyring, FIRST).await, Sequence::new(1));
    let log = RegistryLog { store: store.clone(), keyring: Arc::clone(&keyring), clock: Clock::System };
    assert_eq!(log.checkpoint(FIRST).await.unwrap(), None);
    let mut all = Vec::new();
    for count in [0, 1, 254, 1, 1, 700] {
        if count > 0 {
            all.extend(write(&store, async |tx| grow(tx, FIRST, count).await).await);
        }
        let done = publisher.publish().await.unwrap();
        assert_eq!((done.signed.is_some(), done.hindrance), (all.is_empty() || count > 0, None));
        let note = log.checkpoint(FIRST).await.unwrap().unwrap();
        let checkpoint = read(&note, ORIGIN, &keyring);
        assert_eq!((checkpoint.size, checkpoint.root), (all.len() as u64, root_of(&all)));
        assert_eq!(publisher.publish().await.unwrap(), Published::default());
        assert_eq!(log.checkpoint(FIRST).await.unwrap().unwrap(), note, "nothing is signed twice");
    }
    // 957 leaves: three full tiles, a partial one of 189, and one of three above.
    let tile = async |name: &str| log.tile(FIRST, TileName::parse(name).unwrap()).await.unwrap();
    let hashes: Vec<_> = all.iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!(tile("0/001").await.unwrap(), hashes[256..512].concat());
    assert_eq!(tile("0/003.p/189").await.unwrap(), hashes[768..].concat());
    assert_eq!(tile("0/003.p/7").await.unwrap(), hashes[768..775].concat());
    let above: Vec<_> = (0..3).map(|at| root(&hashes[at * 256..(at + 1) * 256])).collect();
    assert_eq!(tile("1/000.p/3").await.unwrap(), above.concat());
    let bundle = tile("entries/002").await.unwrap();
    assert_eq!(entries(&bundle).unwrap(), all[512..768]);
    assert_eq!(entries(&tile("entries/003.p/189").await.unwrap()).unwrap(), all[768..]);
    for missing in ["0/003", "0/003.p/190", "0/004", "1/000", "2/000.p/1", "entries/003", "entries/003.p/190"] {
        assert_eq!(tile(missing).await, None, "{missing}");
    }
    assert_eq!(log.tile(SECOND, TileName::parse("0/000").unwrap()).await.unwrap(), None);
    let keys: Vec<_> = log.verifier_keys().await.unwrap().iter().map(|key| key.name().to_owned()).collect();
    assert_eq!(keys, [ORIGIN]);
}

/// Leaves beyond the newest checkpoint are not given out: nobody could verify them.
pub(crate) async fn what_is_not_signed_is_not_served(database: &Database) {
    let (store, folder) = (database.open().await, tempfile::tempdir().unwrap());
    let keyring = keyring(&folder);
    begin(&store, &keyring, FIRST).await;
    write(&store, async |tx| grow(tx, FIRST, 3).await).await;
    let log = RegistryLog { store: store.clone(), keyring: Arc::clone(&keyring), clock: Clock::System };
    let first = async || log.tile(FIRST, TileName::parse("entries/000.p/1").unwrap()).await.unwrap();
    assert_eq!(first().await, None);
    publisher(&store, &keyring).publish().await.unwrap();
    assert!(first().await.is_some());
}

pub(crate) async fn many_publishers_sign_one_history(database: &Database) {
    const ROUNDS: usize = 40;
    let (folder, stores) =
        (tempfile::tempdir().unwrap(), [database.open().await, database.open().await, database.open().await]);
    let keyring = keyring(&folder);
    begin(&stores[0], &keyring, FIRST).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let publishing: Vec<_> = stores
        .iter()
        .map(|store| {
            let (publisher, store, is_done) = (publisher(store, &keyring), store.clone(), Arc::clone(&is_done));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let is_last = is_done.load(Ordering::SeqCst);
                    match publisher.publish().await {
                        Ok(done) => assert_eq!(done.hindrance, None),
                        Err(error) => assert!(error.is_passing(), "{error}"),
                    }
                    seen.push(store.log_head(None).await.unwrap().unwrap().note);
                    if is_last {
                        break seen;
                    }
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let store = &stores[round % stores.len()];
        let mut tx = store.begin().await.unwrap();
        let grown = grow(&mut tx, FIRST, 1 + round % 50).await;
        if round % 5 == 4 {
            drop(tx);
        } else {
            tx.commit().await.unwrap();
            all.extend(grown);
        }
    }
    is_done.store(true, Ordering::SeqCst);
    let mut sizes = std::collections::BTreeSet::new();
    for publishing in publishing {
        for note in publishing.await.unwrap().iter().filter(|note| !note.is_empty()) {
            let checkpoint = read(note, ORIGIN, &keyring);
            let size = usize::try_from(checkpoint.size).unwrap();
            assert_eq!(checkpoint.root, root_of(&all[..size]), "another history of {size} leaves was signed");
            sizes.insert(size);
        }
    }
    assert!(sizes.len() > 3, "{sizes:?}");
    assert_eq!(sizes.last(), Some(&all.len()));
}

pub(crate) async fn a_row_without_a_leaf_stops_the_log_before_it(database: &Database) {
    let (store, folder) = (database.open().await, tempfile::tempdir().unwrap());
    let keyring = keyring(&folder);
    begin(&store, &keyring, FIRST).await;
    let before = write(&store, async |tx| grow(tx, FIRST, 5).await).await;
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    write(&store, async |tx| grow(tx, FIRST, 5).await).await;
    let publisher = publisher(&store, &keyring);
    let said = publisher.publish().await.unwrap().hindrance.unwrap();
    assert!(said.contains("has no leaf"), "{said}");
    let checkpoint = read(&store.log_head(None).await.unwrap().unwrap().note, ORIGIN, &keyring);
    assert_eq!((checkpoint.size, checkpoint.root), (5, root_of(&before)));
    let mut tx = store.begin().await.unwrap();
    assert!(begin_epoch(&mut tx, &keyring, ISSUER, SECOND, NOW_MS).await.is_err(), "no end is signed that is none");
}

pub(crate) async fn a_successor_commits_to_the_last_checkpoint(database: &Database) {
    let (store, folder) = (database.open().await, tempfile::tempdir().unwrap());
    let keyring = keyring(&folder);
    let log = RegistryLog { store: store.clone(), keyring: Arc::clone(&keyring), clock: Clock::System };
    begin(&store, &keyring, FIRST).await;
    let all = write(&store, async |tx| grow(tx, FIRST, 300).await).await;
    assert_eq!(begin(&store, &keyring, SECOND).await, Sequence::new(300), "what nobody had signed yet, too");
    let last = log.checkpoint(FIRST).await.unwrap().unwrap();
    assert_eq!((read(&last, ORIGIN, &keyring).size, read(&last, ORIGIN, &keyring).root), (300, root_of(&all)));
    let grown = write(&store, async |tx| grow(tx, SECOND, 2).await).await;
    publisher(&store, &keyring).publish().await.unwrap();
    let newest = read(&log.checkpoint(SECOND).await.unwrap().unwrap(), "lostcard.example/registry-log/2", &keyring);
    let bundle = log.tile(SECOND, TileName::parse("entries/000.p/3").unwrap()).await.unwrap().unwrap();
    let leaves: Vec<_> = entries(&bundle).unwrap().iter().map(|entry| entry.to_vec()).collect();
    let mut first = vec![6];
    first.extend_from_slice(&300_u64.to_be_bytes());
    first.extend_from_slice(&Sha256::digest(&last));
    assert_eq!((&leaves[0], &leaves[1..]), (&first, grown.as_slice()));
    assert_eq!((newest.size, newest.root), (3, root_of(&leaves)));
    assert_eq!(log.newest().await.unwrap(), Some(SECOND));
    let head = store.log_head(Some(FIRST)).await.unwrap().unwrap();
    store.keep_cosigned(&head, "changed", true).await.unwrap();
    assert_eq!(log.checkpoint(FIRST).await.unwrap().unwrap(), last, "a log that has ended stays as it is");
    let mut tx = store.begin().await.unwrap();
    assert!(begin_epoch(&mut tx, &keyring, ISSUER, SECOND, NOW_MS).await.is_err(), "no epoch begins twice");
}

pub(crate) async fn a_changed_leaf_tile_or_note_is_found(database: &Database) {
    let (store, folder) = (database.open().await, tempfile::tempdir().unwrap());
    let keyring = keyring(&folder);
    assert_eq!(verify(&store, &keyring).await.unwrap(), []);
    begin(&store, &keyring, FIRST).await;
    let all = write(&store, async |tx| grow(tx, FIRST, 300).await).await;
    begin(&store, &keyring, SECOND).await;
    publisher(&store, &keyring).publish().await.unwrap();
    write(&store, async |tx| grow(tx, SECOND, 2).await).await;
    let verified = verify(&store, &keyring).await.unwrap();
    let sizes: Vec<_> = verified.iter().map(|log| (log.checkpoint.size, log.unsigned)).collect();
    assert_eq!((sizes, verified[0].checkpoint.root), (vec![(300, 0), (1, 2)], root_of(&all)));
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    let zeros = if database.is_sqlite() { "zeroblob(20)" } else { "decode(repeat('00', 20), 'hex')" };
    let tile = if database.is_sqlite() { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
    for (changed, back, said) in [
        (
            format!("UPDATE log_leaves SET entry = {zeros} WHERE seq = 7"),
            Some(("UPDATE log_leaves SET entry = $1 WHERE seq = 7", all[6].clone())),
            "tile 0/0 is not made of the leaves",
        ),
        (
            format!("UPDATE log_tiles SET hashes = {tile} WHERE epoch = 1 AND level = 1"),
            Some(("UPDATE log_tiles SET hashes = $1 WHERE epoch = 1 AND level = 1", root_of(&all[..256]).to_vec())),
            "tile 1/0 is not made of the leaves",
        ),
        ("UPDATE log_head SET size = 299 WHERE epoch = 1".to_owned(), None, "log 1: the checkpoint is not signed"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(changed)).execute(&mut connection).await.unwrap();
        let found = verify(&store, &keyring).await.unwrap_err().to_string();
        assert!(found.contains(said), "{found}");
        if let Some((statement, bytes)) = back {
            sqlx::query(statement).bind(bytes).execute(&mut connection).await.unwrap();
            assert!(verify(&store, &keyring).await.is_ok());
        }
    }
    sqlx::query("UPDATE log_head SET size = 300 WHERE epoch = 1").execute(&mut connection).await.unwrap();
    // A note of the same tree, signed by the right key, but not the one that the successor has seen.
    let head = store.log_head(Some(FIRST)).await.unwrap().unwrap();
    sqlx::query("UPDATE log_head SET note = $1 WHERE epoch = 1")
        .bind(format!("{}\u{2014} w.example AAAAAAAA\n", head.note))
        .execute(&mut connection)
        .await
        .unwrap();
    let found = verify(&store, &keyring).await.unwrap_err().to_string();
    assert!(found.contains("log 2: its first leaf does not commit"), "{found}");
    connection.close().await.unwrap();
}
