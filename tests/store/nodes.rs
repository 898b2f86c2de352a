//! Nodes that may hold a lease: a writer sees all of them, and one that stands still is dropped.

use lostcard::store::feed::ChangeKind;
use uuid::Uuid;

use crate::backend::Database;
use crate::records::{id, key, write};

async fn others(store: &lostcard::store::Store, own: Uuid) -> bool {
    write(store, async |tx| {
        tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap();
        tx.has_other_nodes(own).await.unwrap()
    })
    .await
}

pub(crate) async fn a_writer_sees_every_other_node(database: &Database) {
    let stores = [database.open().await, database.open().await];
    let (one, two) = (id(), id());
    assert!(!others(&stores[0], one).await);
    stores[0].join(one).await.unwrap();
    assert!(!others(&stores[0], one).await, "alone with itself");
    stores[1].join(two).await.unwrap();
    assert!(others(&stores[0], one).await && others(&stores[1], two).await);
    stores[1].leave(two).await.unwrap();
    assert!(!others(&stores[0], one).await && others(&stores[1], two).await);
}

pub(crate) async fn a_node_that_stands_still_is_marked_and_told(database: &Database) {
    let store = database.open().await;
    let (lively, still) = (id(), id());
    for node in [lively, still] {
        store.join(node).await.unwrap();
        store.beat(node).await.unwrap();
    }
    let seen = store.list_nodes().await.unwrap();
    assert_eq!(seen.len(), 2);
    store.beat(lively).await.unwrap();
    for (node, beat) in seen {
        store.mark_node(node, beat).await.unwrap();
    }
    let is_member = async |node| store.feed_after(0, node).await.unwrap().is_member;
    assert!(is_member(lively).await, "the one that has beaten since stays");
    store.beat(still).await.unwrap();
    assert!(!is_member(still).await, "a beat does not unmark");
    assert!(others(&store, lively).await, "until it is removed, writers wait for it");
    store.join(still).await.unwrap();
    assert!(is_member(still).await, "it has joined again");
}

pub(crate) async fn a_node_is_removed_only_where_it_stands(database: &Database) {
    let store = database.open().await;
    let node = id();
    store.join(node).await.unwrap();
    let (_, beat) = store.list_nodes().await.unwrap()[0];
    store.beat(node).await.unwrap();
    store.remove_node(node, beat).await.unwrap();
    assert_eq!(store.list_nodes().await.unwrap().len(), 1);
    let (_, beat) = store.list_nodes().await.unwrap()[0];
    store.remove_node(node, beat).await.unwrap();
    assert!(store.list_nodes().await.unwrap().is_empty());
    assert!(!store.feed_after(0, node).await.unwrap().is_member);
}
