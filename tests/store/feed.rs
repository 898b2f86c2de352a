//! The feed: ordered, whole, and the same for everybody who follows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lostcard::crypto::random;
use lostcard::domain::ids::{ClientId, MarkId};
use lostcard::domain::sequence::Sequence;
use lostcard::store::feed::{ChangeKind, Mark, PAGE_CHANGES_MAX};
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{NOW_MS, feed_after, id, key, report, write};

pub(crate) async fn sequences_count_from_one_without_gaps(database: &Database) {
    let store = database.open().await;
    assert_eq!(feed_after(&store, 0).await.head, Sequence::ZERO);
    for expected in 1..=5 {
        let sequence =
            write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
        assert_eq!(sequence, Sequence::new(expected));
    }
    let keys = [key(), key(), key()];
    let subjects = keys.each_ref().map(|key| key.as_bytes().as_slice());
    assert_eq!(
        write(&store, async |tx| tx.record_changes(ChangeKind::Listing, &subjects).await.unwrap()).await,
        Sequence::new(8)
    );
    let page = feed_after(&store, 5).await;
    assert_eq!(page.changes.iter().map(|change| change.sequence.get()).collect::<Vec<_>>(), [6, 7, 8]);
    assert_eq!(page.changes.iter().map(|change| change.subject.as_slice()).collect::<Vec<_>>(), subjects);
    assert_eq!(store.feed_totals().await.unwrap(), (8, 8, 8));
}

/// Four writers in two processes, some of them giving up, and a follower in each that must never miss a change.
pub(crate) async fn concurrent_writers_leave_no_gap(database: &Database) {
    const WRITERS: usize = 4;
    const TRANSACTIONS: usize = 25;
    let stores = [database.open().await, database.open().await];
    let running = Arc::new(AtomicUsize::new(WRITERS));
    let writers = (0..WRITERS).map(|n| {
        let (store, running) = (stores[n % 2].clone(), Arc::clone(&running));
        tokio::spawn(async move {
            let mut written = 0;
            for _ in 0..TRANSACTIONS {
                let keys: Vec<_> = (0..=random::below(4)).map(|_| key()).collect();
                let subjects: Vec<_> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
                let mut tx = store.begin().await.unwrap();
                tx.record_changes(ChangeKind::Listing, &subjects).await.unwrap();
                if random::below(5) == 0 {
                    drop(tx);
                } else {
                    tx.commit().await.unwrap();
                    written += subjects.len() as u64;
                }
            }
            running.fetch_sub(1, Ordering::SeqCst);
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let followers = stores.each_ref().map(|store| tokio::spawn(follow(store.clone(), Arc::clone(&running))));
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    for follower in followers {
        assert_eq!(follower.await.unwrap(), written);
    }
    assert_eq!(stores[0].feed_totals().await.unwrap(), (written, written, written));
}

/// Follows until the writers are done; returns how far it came.
async fn follow(store: Store, running: Arc<AtomicUsize>) -> u64 {
    let mut known = 0;
    loop {
        let is_last = running.load(Ordering::SeqCst) == 0;
        let page = feed_after(&store, known).await;
        for change in &page.changes {
            assert_eq!(change.sequence.get(), known + 1, "a change was skipped");
            known = change.sequence.get();
        }
        assert_eq!(known, page.head.get(), "head and changes are of one moment");
        if is_last {
            return known;
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn a_transaction_that_is_dropped_takes_no_sequence(database: &Database) {
    let store = database.open().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap(), Sequence::new(1));
    drop(tx);
    assert_eq!(store.feed_totals().await.unwrap(), (0, 0, 0));
    let sequence =
        write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    assert_eq!(sequence, Sequence::new(1));
}

pub(crate) async fn a_long_feed_comes_in_pages(database: &Database) {
    let store = database.open().await;
    let page_max = u64::try_from(PAGE_CHANGES_MAX).unwrap();
    let keys: Vec<_> = (0..page_max + 7).map(|_| key()).collect();
    let subjects: Vec<_> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    write(&store, async |tx| tx.record_changes(ChangeKind::Listing, &subjects).await.unwrap()).await;
    let first = feed_after(&store, 0).await;
    assert_eq!((first.changes.len() as u64, first.head.get()), (page_max, page_max + 7));
    let last = first.changes[first.changes.len() - 1].sequence;
    let rest = feed_after(&store, last.get()).await;
    assert_eq!((rest.changes.len(), rest.head.get()), (7, page_max + 7));
    let all = first.changes.iter().chain(&rest.changes).map(|change| change.subject.as_slice());
    assert!(all.eq(subjects.iter().copied()), "each change once, in order");
}

pub(crate) async fn a_mark_is_found_where_it_was_put_and_nowhere_else(database: &Database) {
    let store = database.open().await;
    let id = MarkId::from_bytes(random::bytes());
    let mark = store.put_mark(id).await.unwrap();
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    let found = store.find_mark(&mark).await.unwrap();
    assert_eq!((mark.sequence.get(), found.head.get(), found.has_mark), (1, 2, true));
    assert_eq!(found.epoch, feed_after(&store, 0).await.epoch);
    for other in [
        Mark { sequence: Sequence::new(2), ..mark },
        Mark { sequence: Sequence::new(3), ..mark },
        Mark { id: MarkId::from_bytes(random::bytes()), ..mark },
    ] {
        assert!(!store.find_mark(&other).await.unwrap().has_mark);
    }
}

pub(crate) async fn changes_keep_their_kind_and_subject(database: &Database) {
    let store = database.open().await;
    let (id, token) = (random::bytes::<16>(), random::bytes::<32>());
    let changes: [(ChangeKind, &[u8]); 4] = [
        (ChangeKind::Listing, &id),
        (ChangeKind::Client, &id),
        (ChangeKind::Organization, &id),
        (ChangeKind::Token, &token),
    ];
    for (kind, subject) in changes {
        write(&store, async |tx| tx.record_change(kind, subject).await.unwrap()).await;
    }
    let page = feed_after(&store, 0).await;
    assert!(page.changes.iter().map(|change| (change.kind, change.subject.as_slice())).eq(changes));
}

pub(crate) async fn what_is_committed_is_there_after_a_reopening(database: &Database) {
    let store = database.open().await;
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    let before = feed_after(&store, 0).await;
    store.close().await;
    let after = feed_after(&database.open().await, 0).await;
    assert_eq!(
        (after.epoch, after.head.get()),
        (before.epoch, 1),
        "the same epoch, or every node would load all again"
    );
    assert_eq!(after.changes[0].subject, before.changes[0].subject);
}

pub(crate) async fn a_listing_that_nobody_would_publish_is_not_committed(database: &Database) {
    let store = database.open().await;
    let new = report(None, key(), NOW_MS);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.listed(), None);
    let change = tx.record_listing(&new.number.lookup_key).await.unwrap();
    assert_eq!(tx.listed(), Some(change.sequence()));
    tx.insert_reports(std::slice::from_ref(&new), &change).await.unwrap();
    assert!(matches!(tx.commit_unlisted().await, Err(StoreError::Misused(_))));
    assert_eq!(feed_after(&store, 0).await.head, Sequence::ZERO, "nothing of it is there");
    let mut tx = store.begin().await.unwrap();
    tx.record_change(ChangeKind::Client, id::<ClientId>().as_bytes()).await.unwrap();
    assert_eq!(tx.listed(), None);
    tx.commit_unlisted().await.unwrap();
    assert_eq!(feed_after(&store, 0).await.head, Sequence::new(1));
}

pub(crate) async fn a_change_of_other_rows_lists_nothing(database: &Database) {
    let store = database.open().await;
    let reports = [report(None, key(), NOW_MS), report(None, key(), NOW_MS)];
    let mut tx = store.begin().await.unwrap();
    let of_one = tx.record_listing(&reports[0].number.lookup_key).await.unwrap();
    assert!(matches!(tx.insert_reports(&reports, &of_one).await, Err(StoreError::Misused(_))));
    let of_both = tx.record_listings(&reports.each_ref().map(|report| report.number.lookup_key)).await.unwrap();
    tx.insert_reports(&reports, &of_both).await.unwrap();
}

/// Several writers in one transaction: what one of them gave up was never there, and those after it take its place.
pub(crate) async fn what_is_taken_back_to_a_savepoint_was_never_there(database: &Database) {
    let store = database.open().await;
    let keys = [key(), key(), key()];
    let reports = keys.map(|key| report(None, key, NOW_MS));
    let mut tx = store.begin().await.unwrap();
    for (n, report) in reports.iter().enumerate() {
        let place = tx.set_savepoint().await.unwrap();
        let change = tx.record_listing(&report.number.lookup_key).await.unwrap();
        tx.insert_reports(std::slice::from_ref(report), &change).await.unwrap();
        if n == 1 {
            // PostgreSQL does nothing more in a transaction in which a statement failed, until it goes back.
            let again = tx.record_listing(&report.number.lookup_key).await.unwrap();
            assert!(tx.insert_reports(std::slice::from_ref(report), &again).await.is_err());
            tx.go_back(place).await.unwrap();
        } else {
            tx.keep(place).await.unwrap();
        }
    }
    assert_eq!(tx.listed(), Some(Sequence::new(2)));
    let place = tx.set_savepoint().await.unwrap();
    tx.record_listing(&keys[1]).await.unwrap();
    tx.go_back(place).await.unwrap();
    assert_eq!(tx.listed(), Some(Sequence::new(2)), "that of the last one that stays");
    tx.commit().await.unwrap();
    assert_eq!(store.feed_totals().await.unwrap(), (2, 2, 2));
    let read = store.records_of(&keys).await.unwrap();
    assert_eq!(read.records.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1]);
}
