//! Nodes that may hold a lease: a writer sees all of them, and one that stands still is dropped.

use lostcard::domain::ids::NodeId;
use lostcard::domain::sequence::Sequence;
use lostcard::store::feed::ChangeKind;
use lostcard::store::nodes::NodeRow;

use crate::backend::Database;
use crate::records::{id, key, write};

async fn others(store: &lostcard::store::Store, own: NodeId) -> bool {
    write(store, async |tx| {
        tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap();
        tx.audience(own).await.unwrap().has_other_nodes
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
    for NodeRow { node, beat, .. } in seen {
        store.mark_node(node, beat).await.unwrap();
    }
    let is_member = async |node| store.feed_after(Sequence::ZERO, node).await.unwrap().is_member;
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
    let NodeRow { beat, .. } = store.list_nodes().await.unwrap()[0];
    store.beat(node).await.unwrap();
    store.remove_node(node, beat).await.unwrap();
    assert_eq!(store.list_nodes().await.unwrap().len(), 1);
    let NodeRow { beat, .. } = store.list_nodes().await.unwrap()[0];
    store.remove_node(node, beat).await.unwrap();
    assert!(store.list_nodes().await.unwrap().is_empty());
    assert!(!store.feed_after(Sequence::ZERO, node).await.unwrap().is_member);
}

pub(crate) async fn others_confirmations_are_read_together(database: &Database) {
    let store = database.open().await;
    let (own, near, far) = (id(), id(), id());
    store.join(own).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), None, "alone");
    for node in [near, far] {
        store.join(node).await.unwrap();
    }
    assert_eq!(
        store.least_confirmed(own).await.unwrap(),
        Some(Sequence::new(2)),
        "who joins has confirmed all before it"
    );
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    let epoch = store.feed_after(Sequence::ZERO, own).await.unwrap().epoch;
    store.confirm(near, Sequence::new(4), &epoch).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), Some(Sequence::new(3)));
    store.confirm(far, Sequence::new(4), &epoch).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), Some(Sequence::new(4)));
    store.confirm(far, Sequence::new(3), &epoch).await.unwrap();
    assert_eq!(
        store.least_confirmed(own).await.unwrap(),
        Some(Sequence::new(4)),
        "a late confirmation takes nothing back"
    );
}

pub(crate) async fn a_confirmation_of_another_history_is_void(database: &Database) {
    let store = database.open().await;
    let (own, other) = (id(), id());
    store.join(own).await.unwrap();
    store.join(other).await.unwrap();
    let epoch = store.feed_after(Sequence::ZERO, own).await.unwrap().epoch;
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    store.confirm(other, Sequence::new(3), &format!("{epoch}x")).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), Some(Sequence::new(2)), "of another epoch");
    store.confirm(other, Sequence::new(4), &epoch).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), Some(Sequence::new(2)), "of more than there is");
    assert_ne!(store.renew_epoch().await.unwrap(), epoch);
    store.confirm(other, Sequence::new(3), &epoch).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), Some(Sequence::new(2)), "of the epoch before");
}

pub(crate) async fn a_node_that_joins_again_has_confirmed_nothing_new(database: &Database) {
    let store = database.open().await;
    let (own, other) = (id(), id());
    store.join(own).await.unwrap();
    store.join(other).await.unwrap();
    store.mark_node(other, 0).await.unwrap();
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    store.join(other).await.unwrap();
    assert_eq!(store.least_confirmed(own).await.unwrap(), Some(Sequence::new(2)), "its old lease may still run");
}

pub(crate) async fn a_second_mark_is_not_the_first(database: &Database) {
    let store = database.open().await;
    let node = id();
    store.join(node).await.unwrap();
    let mut marks = Vec::new();
    for _ in 0..3 {
        let NodeRow { beat, .. } = store.list_nodes().await.unwrap()[0];
        store.mark_node(node, beat).await.unwrap();
        let NodeRow { beat: mark, .. } = store.list_nodes().await.unwrap()[0];
        assert!(beat >= 0 && mark < 0 && !marks.contains(&mark), "{beat}, {mark} after {marks:?}");
        store.mark_node(node, mark).await.unwrap();
        assert_eq!(store.list_nodes().await.unwrap()[0].beat, mark, "a marked node is not marked again");
        for old in &marks {
            store.remove_node(node, *old).await.unwrap();
        }
        marks.push(mark);
        store.join(node).await.unwrap();
    }
    assert!(store.feed_after(Sequence::ZERO, node).await.unwrap().is_member);
    let NodeRow { beat, .. } = store.list_nodes().await.unwrap()[0];
    store.mark_node(node, beat).await.unwrap();
    store.leave(node).await.unwrap();
    assert!(store.list_nodes().await.unwrap().is_empty(), "a marked node may leave");
}
