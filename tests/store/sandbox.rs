//! What a store is for, and what the reset of a sandbox removes.

use lostcard::domain::sandbox::Environment;
use sqlx::{Connection, Executor};

use crate::backend::Database;
use crate::keys::keyring;
use crate::records::{NOW_MS, feed_after, key, replacement, report, store_reports, stored_organization, write};

pub(crate) async fn a_store_stays_what_it_was_made_for(database: &Database) {
    let store = database.open().await;
    assert_eq!(store.environment(Environment::Sandbox).await.unwrap(), Environment::Sandbox);
    assert_eq!(store.environment(Environment::Production).await.unwrap(), Environment::Sandbox);
    assert_eq!(database.open().await.environment(Environment::Production).await.unwrap(), Environment::Sandbox);
}

pub(crate) async fn a_store_of_before_there_were_sandboxes_is_a_productions(database: &Database) {
    let store = database.open().await;
    store.remember_keys(&keyring().check_values()).await.unwrap();
    store.close().await;
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    for statement in ["DROP TABLE environment", "DELETE FROM _sqlx_migrations WHERE version = 13"] {
        connection.execute(statement).await.unwrap();
    }
    connection.close().await.unwrap();
    let store = database.open().await;
    assert_eq!(store.environment(Environment::Sandbox).await.unwrap(), Environment::Production);
}

pub(crate) async fn a_reset_removes_an_organizations_records_and_those_of_some_keys(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    // Twice reported; replaced; another's; another's under the magic key; imported under it.
    let [twice, replaced, others, magic] = [key(), key(), key(), key()];
    let reports = [
        report(Some(own), twice, NOW_MS),
        report(Some(own), twice, NOW_MS),
        report(Some(other), others, NOW_MS),
        report(Some(other), magic, NOW_MS),
        report(None, magic, NOW_MS),
    ];
    store_reports(&store, &reports).await;
    write(&store, async |tx| {
        for (organization, key) in [(own, replaced), (other, others)] {
            let change = tx.record_listing(&key).await.unwrap();
            tx.insert_replacement(&replacement(organization, key), &change).await.unwrap();
        }
    })
    .await;
    let head = feed_after(&store, 0).await.head;
    let keys = [twice, replaced, others, magic];
    let counts = async || {
        let read = store.records_of(&keys).await.unwrap();
        read.records.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [2, 1, 2, 2]);
    write(&store, async |tx| tx.remove_for_reset(own, &[magic]).await.unwrap()).await;
    assert_eq!(counts().await, [0, 0, 2, 0]);
    let told: Vec<_> = feed_after(&store, head.get()).await.changes.into_iter().map(|change| change.subject).collect();
    let mut expected: Vec<_> = [twice, replaced, magic].iter().map(|key| key.as_bytes().to_vec()).collect();
    expected.sort();
    assert_eq!(told, expected, "each listing that ended, once");
    write(&store, async |tx| tx.remove_for_reset(own, &[magic]).await.unwrap()).await;
    assert_eq!(feed_after(&store, head.get()).await.changes.len(), 3, "nothing left to tell");
}
