//! The audit log in the hands of somebody who may do anything with the database and has no key: triggers gone, rows changed, and
//! every hash that needs no key computed again.

use lostcard::crypto::audit::{End, Entry};
use lostcard::domain::audit::{Action, Deed, SubjectTag};
use lostcard::domain::client::Actor;
use lostcard::domain::ids::ReportId;
use lostcard::service::audit::linking::link;
use lostcard::service::audit::{Against, verify_store};
use lostcard::store::Store;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use crate::backend::{Database, audit_key};
use crate::records::{NOW_MS, id, write};

/// As many as a log had before three were taken out, unseen.
const ENTRIES: usize = 251;

pub(crate) async fn record(store: &Store, count: usize) {
    let actor = Actor::new(id(), id());
    write(store, async |tx| {
        for _ in 0..count {
            tx.record_deed(&Deed::of(actor, Action::ReportRead, id::<ReportId>()), NOW_MS).await.unwrap();
        }
    })
    .await;
}

pub(crate) async fn all(store: &Store) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = store.list_audit(entries.last().map_or(0, |last| last.sequence)).await.unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

/// Puts other entries in the place of all, with the hashes that anybody can compute.
pub(crate) async fn put(database: &Database, entries: &mut [Entry]) {
    let mut end = End::BEGINNING;
    for (sequence, entry) in (1..).zip(entries.iter_mut()) {
        entry.sequence = sequence;
        entry.hash = entry.hash_behind(&end.hash);
        end = entry.end();
    }
    let mut connection = AnyConnection::connect(&database.url()).await.unwrap();
    let removing: &[&str] = if database.url().starts_with("sqlite") {
        &["DROP TRIGGER IF EXISTS audit_is_not_removed", "DELETE FROM audit"]
    } else {
        &["ALTER TABLE audit DISABLE TRIGGER ALL", "DELETE FROM audit"]
    };
    let mut tx = connection.begin().await.unwrap();
    for statement in removing {
        tx.execute(AssertSqlSafe(*statement)).await.unwrap();
    }
    for entry in entries.iter() {
        let bytes = |id: Option<[u8; 16]>| id.map(|id| id.to_vec());
        sqlx::query(
            "INSERT INTO audit (seq, at, organization_id, client_id, action, subject, hash, keyed_hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(i64::try_from(entry.sequence).unwrap())
        .bind(entry.at_ms.get())
        .bind(bytes(entry.organization.map(|id| *id.as_bytes())))
        .bind(bytes(entry.client.map(|id| *id.as_bytes())))
        .bind(entry.action.clone())
        .bind(bytes(entry.subject.map(|id| *id.as_bytes())))
        .bind(entry.hash.to_vec())
        .bind(entry.keyed_hash.map(|keyed| keyed.to_vec()))
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    connection.close().await.unwrap();
}

/// What `audit verify` says: nothing, or what is wrong.
async fn verify(store: &Store) -> Result<u64, String> {
    verify_store(store, &audit_key(), Against::default())
        .await
        .map(|found| found.end.sequence)
        .map_err(|error| error.to_string())
}

#[track_caller]
fn assert_found(found: Result<u64, String>, why: &str) {
    let said = found.unwrap_err();
    assert!(said.contains(why), "{said}");
}

fn strip(entries: &mut [Entry]) {
    for entry in entries {
        entry.keyed_hash = None;
    }
}

type Change = (&'static str, fn(&mut Vec<Entry>), &'static str);

/// Each with the hashes computed again.
const CHANGES: &[Change] = &[
    ("251 become 248", |entries| drop(entries.drain(100..103)), "entry 101 has a keyed hash that"),
    ("another action", |entries| "report_filed".clone_into(&mut entries[9].action), "entry 10 has a keyed hash that"),
    ("another client", |entries| entries[9].client = Some(id()), "entry 10 has a keyed hash that"),
    ("another time", |entries| entries[250].at_ms = NOW_MS.plus(std::time::Duration::from_secs(1)), "entry 251 has"),
    ("one is put in", |entries| entries.insert(9, entries[0].clone()), "entry 10 has a keyed hash that"),
    ("two are exchanged", |entries| entries.swap(9, 10), "entry 10 has a keyed hash that"),
    (
        "one is put in without a keyed hash",
        |entries| entries.insert(9, Entry { keyed_hash: None, ..entries[0].clone() }),
        "entry 11 has a keyed hash that",
    ),
    (
        "one more without a keyed hash",
        |entries| entries.push(Entry { keyed_hash: None, ..entries[0].clone() }),
        "entry 252 has no keyed hash",
    ),
    ("one more with another's keyed hash", |entries| entries.push(entries[0].clone()), "entry 252 has a keyed hash"),
    (
        "all without keyed hashes",
        |entries| {
            strip(entries);
            entries.truncate(248);
        },
        "entry 1 has no keyed hash",
    ),
    (
        "a link of the thief's own",
        |entries| {
            strip(entries);
            let action = Action::LogLinked.as_str().to_owned();
            entries.push(Entry { action, organization: None, client: None, subject: None, ..entries[0].clone() });
        },
        "entry 1 has no keyed hash",
    ),
];

pub(crate) async fn a_log_that_was_rewritten_with_all_its_plain_hashes_is_found(database: &Database) {
    let store = database.open().await;
    record(&store, ENTRIES).await;
    let own = all(&store).await;
    assert_eq!(verify(&store).await, Ok(251));
    for (what, change, why) in CHANGES {
        let mut entries = own.clone();
        change(&mut entries);
        put(database, &mut entries).await;
        assert!(entries.last().unwrap().sequence >= 248, "{what}: right by its plain hashes");
        assert_found(verify(&store).await, why);
        // What the service writes behind it hides nothing.
        record(&store, 3).await;
        assert_found(verify(&store).await, why);
    }
    put(database, &mut own.clone()).await;
    assert_eq!(verify(&store).await, Ok(251), "it was the changes");
}

/// As versions without keyed hashes left it.
async fn make_plain(database: &Database, store: &Store) {
    record(store, 5).await;
    let mut entries = all(store).await;
    strip(&mut entries);
    put(database, &mut entries).await;
}

pub(crate) async fn a_log_of_before_keyed_hashes_is_linked_and_not_rewritten_since(database: &Database) {
    let store = database.open().await;
    make_plain(database, &store).await;
    assert_found(verify(&store).await, "entry 1 has no keyed hash, and no link behind it");
    let deed = Deed::of_operator(Action::LogLinked, None);
    assert_eq!(link(&store, &deed, NOW_MS).await.unwrap().sequence, 5);
    record(&store, 3).await;
    assert_eq!(verify(&store).await, Ok(9));
    let own = all(&store).await;
    // The old part has no keyed hash, and the link is tied to all of it.
    let changes: &[fn(&mut Vec<Entry>)] = &[
        |entries| "report_filed".clone_into(&mut entries[1].action),
        |entries| drop(entries.remove(1)),
        |entries| drop(entries.drain(0..5)),
    ];
    for change in changes {
        let mut entries = own.clone();
        change(&mut entries);
        put(database, &mut entries).await;
        assert_found(verify(&store).await, "has a keyed hash that the service's key did not make");
    }
    // A version of before writes once more, in a rolling deploy.
    let mut entries = own.clone();
    entries.push(Entry { keyed_hash: None, ..entries[0].clone() });
    put(database, &mut entries).await;
    record(&store, 1).await;
    assert_found(verify(&store).await, "entry 10 has no keyed hash");
    link(&store, &deed, NOW_MS).await.unwrap();
    assert_eq!(verify(&store).await, Ok(12));
    // Taking the links away takes what they took.
    let mut entries = all(&store).await;
    entries.pop();
    put(database, &mut entries).await;
    assert_found(verify(&store).await, "entry 10 has no keyed hash");
}

pub(crate) async fn who_was_looked_at_is_not_rewritten_either(database: &Database) {
    let tags = [SubjectTag::from([1; 16]), SubjectTag::from([2; 16])];
    let is_embedded = database.url().starts_with("sqlite");
    let open_up: &[&str] = if is_embedded {
        &["DROP TRIGGER audit_subjects_are_not_changed", "DROP TRIGGER audit_subjects_are_not_removed"]
    } else {
        &["ALTER TABLE audit_subjects DISABLE TRIGGER ALL"]
    };
    let store = database.open().await;
    let actor = Actor::new(id(), id());
    let deed = Deed::of_many(actor, Action::ReportsSearched).about(tags);
    write(&store, async |tx| tx.record_deed(&deed, NOW_MS).await.unwrap()).await;
    let entries = all(&store).await;
    assert_eq!((entries[0].persons.as_slice(), verify(&store).await), (tags.as_slice(), Ok(1)));
    let mut connection = AnyConnection::connect(&database.url()).await.unwrap();
    let mut run = async |statement: &'static str| connection.execute(AssertSqlSafe(statement)).await.unwrap();
    for statement in open_up {
        run(statement).await;
    }
    let tag = |byte: &'static str| {
        if is_embedded { format!("x'{}'", byte.repeat(16)) } else { format!("'\\x{}'", byte.repeat(16)) }
    };
    for statement in [
        format!("UPDATE audit_subjects SET subject_tag = {} WHERE subject_tag = {}", tag("03"), tag("01")),
        format!("DELETE FROM audit_subjects WHERE subject_tag = {}", tag("03")),
        format!("UPDATE audit_subjects SET seq = 2 WHERE subject_tag = {}", tag("02")),
        format!("INSERT INTO audit_subjects (seq, subject_tag) VALUES (1, {})", tag("04")),
        "DELETE FROM audit_subjects".to_owned(),
    ] {
        run(String::leak(statement)).await;
        assert_found(verify(&store).await, "entry 1 does not have the hash");
    }
}

pub(crate) async fn nothing_is_recorded_without_the_key(database: &Database) {
    let store = database.open_without_keys().await;
    let mut tx = store.begin().await.unwrap();
    assert!(tx.record_deed(&Deed::of_operator(Action::ImportBegun, None), NOW_MS).await.is_err());
}
