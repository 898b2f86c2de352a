//! The audit log: a chain without gaps no matter who writes, read in pages, which the database itself refuses to change.

use std::sync::Arc;

use jiff::civil::date;
use lostcard::crypto::audit::{End, Entry};
use lostcard::domain::audit::{Action, Behind, Deed, Grounds, OsUser, Person};
use lostcard::domain::client::Actor;
use lostcard::domain::ids::ReportId;
use lostcard::store::{Store, StoreError};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::backend::{Database, audit_key};
use crate::records::{NOW_MS, id, write};
use crate::thief::all;

fn deed() -> Deed {
    Deed::of(Actor::new(id(), id()), Action::ReportRead, id::<ReportId>())
}

fn behind() -> Behind {
    let today = date(2026, 11, 23);
    Behind {
        person: Person::parse("王芳", today),
        os_user: OsUser::parse("wang", today),
        reason: Grounds::parse("ticket 7", today),
    }
}

async fn record(store: &Store, deeds: &[Deed]) {
    write(store, async |tx| {
        for deed in deeds {
            tx.record_deed(deed, NOW_MS).await.unwrap();
        }
    })
    .await;
}

fn follow(entries: &[Entry]) -> u64 {
    let mut end = End::BEGINNING;
    for entry in entries {
        end.follow(entry).unwrap();
    }
    end.sequence
}

pub(crate) async fn entries_are_read_as_they_were_written(database: &Database) {
    let store = database.open().await;
    assert_eq!(all(&store).await, []);
    let deeds = [
        deed(),
        Deed::of_operator(Action::ImportBegun, None),
        Deed { action: Action::ReportsSearched, subject: None, ..deed() },
        Deed::of_operator(Action::ClientDisabled, Some(id())).by(&behind()),
    ];
    record(&store, &deeds).await;
    let mut end = End::BEGINNING;
    let mut expected = Vec::new();
    for deed in &deeds {
        let mut entry = end.next(NOW_MS, deed);
        entry.keyed_hash = Some(audit_key().keyed_hash(&entry));
        expected.push(entry);
        end = expected[expected.len() - 1].end();
    }
    assert_eq!(all(&store).await, expected);
    assert_eq!(store.list_audit(2).await.unwrap(), expected[2..]);
}

pub(crate) async fn a_long_log_comes_in_pages(database: &Database) {
    let store = database.open().await;
    record(&store, &vec![deed(); 2100]).await;
    let sizes = [store.list_audit(0).await.unwrap().len(), store.list_audit(2000).await.unwrap().len()];
    assert_eq!((sizes, follow(&all(&store).await)), ([1000, 100], 2100));
}

pub(crate) async fn concurrent_writers_make_one_chain(database: &Database) {
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let writers = (0..8).map(|n| {
        let store = Arc::clone(&stores[n % 2]);
        tokio::spawn(async move {
            for _ in 0..10 {
                record(&store, &[deed()]).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(follow(&all(&stores[0]).await), 80);
}

pub(crate) async fn a_transaction_that_is_dropped_leaves_no_entry(database: &Database) {
    let store = database.open().await;
    let mut tx = store.begin().await.unwrap();
    tx.record_deed(&deed(), NOW_MS).await.unwrap();
    drop(tx);
    record(&store, &[deed()]).await;
    assert_eq!(follow(&all(&store).await), 1);
}

pub(crate) async fn the_database_refuses_to_change_or_remove_an_entry(database: &Database) {
    let store = database.open().await;
    record(&store, &[deed(), deed()]).await;
    let before = all(&store).await;
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    let mut statements = vec![
        "UPDATE audit SET action = 'report_filed' WHERE seq = 1",
        "UPDATE audit SET at = at + 1",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT INTO audit_subjects (seq, subject_tag) SELECT 1, substr(hash, 1, 16) FROM audit WHERE seq = 1",
        "UPDATE audit_subjects SET seq = 2",
        "DELETE FROM audit_subjects",
    ];
    if database.url().starts_with("sqlite") {
        statements.push("INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 1");
        statements.push("INSERT OR REPLACE INTO audit_subjects SELECT * FROM audit_subjects");
    } else {
        statements.push("TRUNCATE audit_subjects");
    }
    if !database.url().starts_with("sqlite") {
        statements.push("TRUNCATE audit");
    }
    for statement in statements {
        if statement.starts_with("INSERT INTO") {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
            continue;
        }
        let refused = connection.execute(AssertSqlSafe(statement)).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    // A person may be added to an entry, which its key then tells.
    let mut after = all(&store).await;
    assert_eq!(after[0].persons.len(), 1);
    after[0].persons.clear();
    assert_eq!(after, before);
}

pub(crate) async fn an_entry_of_a_record_names_it(database: &Database) {
    let store = database.open().await;
    let mut tx = store.begin().await.unwrap();
    let refused = tx.record_deed(&Deed { subject: None, ..deed() }, NOW_MS).await;
    assert!(matches!(refused, Err(StoreError::Misused(_))));
    tx.record_deed(&deed(), NOW_MS).await.unwrap();
}
