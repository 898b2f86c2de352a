//! The progress of imports: in one transaction with the records, so that a killed import neither loses nor repeats one.

use lostcard::crypto::random;
use lostcard::store::feed::ChangeKind;
use lostcard::store::imports::ImportProgress;

use crate::backend::Database;
use crate::records::{NOW_MS, TODAY, key, write};

pub(crate) async fn progress_is_kept_with_its_records(database: &Database) {
    let store = database.open().await;
    let (file, other) = (random::bytes::<32>(), random::bytes::<32>());
    assert_eq!(store.import_progress(&file).await.unwrap(), None);
    let start = ImportProgress::beginning(TODAY, 7);
    let half = ImportProgress { lines_done: 1000, records_done: 17, ..start };
    let done = ImportProgress { lines_done: 2000, records_done: 0, finished: true, ..start };
    for (from, to) in [(start, half), (half, done)] {
        let mut killed = store.begin().await.unwrap();
        killed.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap();
        assert!(killed.note_import(&file, &from, &to, NOW_MS).await.unwrap());
        drop(killed);
        let before = store.import_progress(&file).await.unwrap();
        assert_eq!(before.unwrap_or(start), from, "neither its records nor its progress");
        write(&store, async |tx| {
            tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap();
            assert!(tx.note_import(&file, &from, &to, NOW_MS).await.unwrap());
        })
        .await;
        assert_eq!(store.import_progress(&file).await.unwrap(), Some(to));
    }
    assert_eq!(store.feed_totals().await.unwrap().0, 2);
    assert_eq!(store.import_progress(&other).await.unwrap(), None);
    store.close().await;
    assert_eq!(database.open().await.import_progress(&file).await.unwrap(), Some(done));
}

pub(crate) async fn of_two_imports_of_a_file_one_goes_on(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let file = random::bytes::<32>();
    let start = ImportProgress::beginning(TODAY, 7);
    let (ahead, behind) = (ImportProgress { lines_done: 20, ..start }, ImportProgress { lines_done: 10, ..start });
    assert!(write(&one, async |tx| tx.note_import(&file, &start, &ahead, NOW_MS).await.unwrap()).await);
    let mut tx = two.begin().await.unwrap();
    assert!(!tx.note_import(&file, &start, &behind, NOW_MS).await.unwrap(), "somebody else has been here");
    drop(tx);
    assert_eq!(two.import_progress(&file).await.unwrap(), Some(ahead));
}
