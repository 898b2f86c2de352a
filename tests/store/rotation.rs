//! Rotation of the pepper: the switch, which waits for nodes; rows that change their key, once each; and versions that are told
//! with everything that is looked up by key.

use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::domain::ids::{NodeId, RecordId};
use lostcard::domain::verdict::Record;
use lostcard::store::aggregate::Aggregate;
use lostcard::store::aggregates::{self, LOSS_REPORTS};
use lostcard::store::feed::ChangeKind;
use lostcard::store::reports::NewReport;
use lostcard::store::rotation::{PAGE_ROWS_MAX, Switch};
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{NOW_MS, feed_after, id, key, replacement, report, store_reports, stored_organization, write};

const BEFORE: KeyVersions = KeyVersions { current: 1, previous: None };
const DURING: KeyVersions = KeyVersions { current: 2, previous: Some(1) };
const AFTER: KeyVersions = KeyVersions { current: 2, previous: None };

async fn switch(store: &Store) {
    assert_eq!(store.begin_rotation(1, 2, false).await.unwrap(), Switch::Done);
}

pub(crate) async fn a_switch_waits_for_every_node(database: &Database) {
    let store = database.open().await;
    let (one, two) = (id(), id());
    assert_eq!(store.noted_pepper(one).await.unwrap(), None);
    for node in [one, two] {
        store.join(node).await.unwrap();
        assert_eq!(store.noted_pepper(node).await.unwrap(), Some(0));
    }
    store.note_pepper(one, 2).await.unwrap();
    store.note_pepper(two, 1).await.unwrap();
    let head = feed_after(&store, 0).await.head;
    assert_eq!(store.begin_rotation(1, 2, false).await.unwrap(), Switch::NodesLack(vec![two]));
    assert_eq!((store.key_versions().await.unwrap(), feed_after(&store, 0).await.head), (BEFORE, head));
    store.note_pepper(two, 2).await.unwrap();
    store.join(two).await.unwrap();
    assert_eq!(store.noted_pepper(two).await.unwrap(), Some(2), "a node that joins again has lost no key");
    switch(&store).await;
    assert_eq!(store.key_versions().await.unwrap(), DURING);
    let changes = feed_after(&store, head.get() + 1).await.changes;
    assert_eq!(changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [ChangeKind::Pepper]);
    for (from, to) in [(1, 2), (2, 3), (1, 3)] {
        assert_eq!(store.begin_rotation(from, to, true).await.unwrap(), Switch::Otherwise(DURING), "one at a time");
    }
    assert!(!store.end_rotation(KeyVersions { current: 3, previous: Some(2) }).await.unwrap());
    assert!(store.end_rotation(DURING).await.unwrap() && !store.end_rotation(DURING).await.unwrap());
    assert_eq!(store.key_versions().await.unwrap(), AFTER);
    assert_eq!(store.begin_rotation(2, 3, false).await.unwrap(), Switch::NodesLack(sorted([one, two])));
    assert_eq!(store.begin_rotation(2, 3, true).await.unwrap(), Switch::Done, "forced");
}

fn sorted(mut nodes: [NodeId; 2]) -> Vec<NodeId> {
    nodes.sort_unstable();
    nodes.to_vec()
}

/// Every row of a table, and the key that each is to get.
async fn rows(store: &Store, table: &Aggregate) -> Vec<(RecordId, LookupKey)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_keyed(table, after).await.unwrap();
        assert!(page.len() <= PAGE_ROWS_MAX);
        let Some(last) = page.last() else { return all };
        after = Some(last.id);
        all.extend(page.iter().map(|row| (row.id, key())));
    }
}

pub(crate) async fn rows_are_rekeyed_once_each_with_its_change(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let reports: Vec<NewReport> = (0..PAGE_ROWS_MAX + 7).map(|_| report(Some(own), key(), NOW_MS)).collect();
    store_reports(&store, &reports).await;
    let replaced = replacement(own, reports[0].number.lookup_key);
    write(&store, async |tx| {
        let change = tx.record_listing(&replaced.number.lookup_key).await.unwrap();
        tx.insert_replacement(&replaced, &change).await.unwrap();
    })
    .await;
    let total = reports.len() as u64 + 1;
    assert_eq!(store.count_keyed(1).await.unwrap(), total);
    switch(&store).await;
    let mut head = feed_after(&store, 0).await.head;
    for (table, count) in aggregates::rekeyed().zip([total - 1, 1, 0, 0, 0, 0]) {
        let rows = rows(&store, table).await;
        assert_eq!(rows.len() as u64, count, "each row is on one page");
        for page in rows.chunks(PAGE_ROWS_MAX) {
            let rekeyed = write(&store, async |tx| tx.rekey(table, page, DURING).await.unwrap()).await;
            assert_eq!(rekeyed, page.len() as u64);
            let again: Vec<_> = page.iter().map(|(id, _)| (*id, key())).collect();
            let rekeyed = write(&store, async |tx| tx.rekey(table, &again, DURING).await.unwrap()).await;
            assert_eq!(rekeyed, 0, "somebody else was first");
            let page_of_feed = feed_after(&store, head.get()).await;
            let subjects: Vec<_> = page_of_feed.changes.iter().map(|change| change.subject.as_slice()).collect();
            assert_eq!(subjects, page.iter().map(|(_, key)| key.as_bytes().as_slice()).collect::<Vec<_>>());
            head = page_of_feed.head;
        }
        let read = store.list_keyed(table, None).await.unwrap();
        assert!(read.iter().zip(&rows).all(|(row, (id, key))| (row.id, row.lookup_key) == (*id, *key)));
        assert!(read.iter().all(|row| row.key_version == 2));
    }
    assert_eq!((store.count_keyed(1).await.unwrap(), store.count_keyed(2).await.unwrap()), (0, total));
}

pub(crate) async fn a_row_under_another_pepper_is_refused(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (old, mut new) = (report(Some(own), key(), NOW_MS), report(Some(own), key(), NOW_MS));
    store_reports(&store, std::slice::from_ref(&old)).await;
    let row = [(old.report_id.into(), key())];
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(tx.rekey(&LOSS_REPORTS, &row, DURING).await, Err(StoreError::OtherPepper)), "not begun");
    drop(tx);
    switch(&store).await;
    new.number.key_version = 2;
    for (report, is_taken) in [(&old, false), (&new, true)] {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.take_turn().await.unwrap(), DURING);
        let change = tx.record_listing(&report.number.lookup_key).await.unwrap();
        let inserted = tx.insert_reports(std::slice::from_ref(report), &change).await;
        assert_eq!(inserted.is_ok(), is_taken);
        assert!(is_taken || matches!(inserted, Err(StoreError::OtherPepper)));
    }
    let replaced = replacement(own, key());
    let mut tx = store.begin().await.unwrap();
    let change = tx.record_listing(&replaced.number.lookup_key).await.unwrap();
    assert!(matches!(tx.insert_replacement(&replaced, &change).await, Err(StoreError::OtherPepper)));
}

pub(crate) async fn every_read_tells_the_peppers_of_its_moment(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let stored = report(Some(own), key(), NOW_MS);
    let other = report(None, key(), NOW_MS);
    store_reports(&store, &[stored.clone(), other]).await;
    let old = stored.number.lookup_key;
    let new = key();
    for (versions, found_by) in [(BEFORE, old), (DURING, old), (DURING, new), (AFTER, new)] {
        if versions == DURING && found_by == old {
            switch(&store).await;
        } else if versions == DURING {
            let row = [(stored.report_id.into(), new)];
            write(&store, async |tx| tx.rekey(&LOSS_REPORTS, &row, DURING).await.unwrap()).await;
        } else if versions == AFTER {
            assert!(store.end_rotation(DURING).await.unwrap());
        }
        assert_eq!(store.key_versions().await.unwrap(), versions);
        assert_eq!(feed_after(&store, 0).await.key_versions, versions);
        assert_eq!(crate::reports::listed_at(&store).await.key_versions, versions);
        let read = store.records_of(&[new, old]).await.unwrap();
        assert_eq!(read.key_versions, versions);
        let records: Vec<&Record> = read.records.iter().flatten().collect();
        assert_eq!(records.len(), 1, "under one of its keys");
        for (keys, count) in [(vec![new, old], 1), (vec![found_by], 1), (vec![key()], 0)] {
            let (told, reports) = store.list_reports(own, false, &keys).await.unwrap();
            assert_eq!((told, reports.len()), (versions, count));
        }
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.take_turn().await.unwrap(), versions);
        assert_eq!(tx.active_reports(&[new, old]).await.unwrap().len(), 1);
    }
}
