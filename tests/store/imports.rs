//! The progress of imports: in one transaction with the records, so that a killed import neither loses nor repeats one.

use jiff::civil::Date;
use lostcard::crypto::random;
use lostcard::crypto::seal::Envelope;
use lostcard::domain::card::CardValidity;
use lostcard::domain::ids::{ImportId, ReportId};
use lostcard::domain::sequence::Sequence;
use lostcard::store::feed::ChangeKind;
use lostcard::store::import_rows::{ACTIVE_REPORTS_BETWEEN, Piece};
use lostcard::store::imports::ImportProgress;
use lostcard::store::reports::NewReport;
use lostcard::store::{Store, StoreError, WriteTx};

use crate::backend::Database;
use crate::records::{LOST, NOW_MS, TODAY, id, key, report, write};
use crate::rows::{contents, count, execute, plan};

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

/// Stores so many reports; their ids in order.
async fn insert(store: &Store, import: Option<ImportId>, count: usize) -> Vec<ReportId> {
    let reports: Vec<_> = (0..count).map(|_| report(None, key(), NOW_MS)).collect();
    write(store, async |tx| {
        let keys: Vec<_> = reports.iter().map(|report| report.number.lookup_key).collect();
        let change = tx.record_listings(&keys).await.unwrap();
        tx.insert_reports(&reports, &change).await.unwrap();
        if let Some(import) = import {
            let ids = || reports.iter().map(|report| report.report_id);
            let piece = Piece { sequences: change.sequences(), reports: ids().min().unwrap()..=ids().max().unwrap() };
            tx.note_piece(import, &piece).await.unwrap();
        }
    })
    .await;
    let mut ids: Vec<_> = reports.iter().map(|report| report.report_id).collect();
    ids.sort_unstable();
    ids
}

pub(crate) async fn what_an_import_brought_is_found_by_its_pieces(database: &Database) {
    let store = database.open().await;
    let (import, other) = (id(), id());
    assert_eq!(store.import_pieces(import).await.unwrap(), []);
    let mut mine = insert(&store, Some(import), 700).await;
    insert(&store, Some(other), 3).await;
    insert(&store, None, 2).await;
    mine.extend(insert(&store, Some(import), 5).await);
    mine.sort_unstable();
    let pieces = store.import_pieces(import).await.unwrap();
    let piece = |first, last| Sequence::new(first)..=Sequence::new(last);
    let sequences: Vec<_> = pieces.iter().map(|piece| piece.sequences.clone()).collect();
    assert_eq!(sequences, [piece(1, 700), piece(706, 710)]);
    let part = Piece::around(&pieces).unwrap();
    assert_eq!((&part.sequences, &part.reports), (&piece(1, 710), &(mine[0]..=mine[704])));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.active_reports_between(&part, after).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        found.extend(page.iter().filter(|(_, at)| sequences.iter().any(|piece| piece.contains(at))).map(|(id, _)| *id));
    }
    assert_eq!(found, mine, "in the order of their ids, each once, and no other");
    let behind = Piece { sequences: piece(711, 720), ..part };
    assert_eq!(store.active_reports_between(&behind, None).await.unwrap(), []);
}

pub(crate) async fn an_undoing_does_not_read_all_reports(database: &Database) {
    let store = database.open().await;
    insert(&store, Some(id()), 50).await;
    for text in ACTIVE_REPORTS_BETWEEN {
        let bytes = if database.is_sqlite() { "X'00'" } else { "'\\x00'::bytea" };
        let plan =
            plan(database, &text.replace("$1", bytes).replace("$2", bytes).replace("$3", "1").replace("$4", "2")).await;
        let is_bounded = if database.is_sqlite() {
            plan.contains("SEARCH loss_reports") && plan.contains("(report_id>? AND report_id<?)")
        } else {
            plan.contains("Index Cond: ((report_id >")
        };
        assert!(is_bounded && !plan.contains("SCAN") && !plan.contains("Seq Scan"), "{plan}");
    }
}

pub(crate) async fn rows_of_a_source_are_known_until_they_are_forgotten(database: &Database) {
    let store = database.open().await;
    let (source, other) = (random::bytes::<16>(), random::bytes::<16>());
    let reports = insert(&store, None, 70).await;
    let mut rows: Vec<_> = reports.iter().map(|report| (random::bytes::<16>(), *report)).collect();
    rows.sort_unstable();
    write(&store, async |tx| tx.insert_import_rows(&source, &rows).await.unwrap()).await;
    write(&store, async |tx| tx.insert_import_rows(&other, &rows[..1]).await.unwrap()).await;
    let known = async |source| {
        let mut known = store.list_import_rows(source).await.unwrap();
        known.sort_unstable();
        known
    };
    let fingerprints: Vec<_> = rows.iter().map(|(row, _)| *row).collect();
    assert_eq!((known(&source).await, known(&other).await), (fingerprints.clone(), fingerprints[..1].to_vec()));
    write(&store, async |tx| {
        let mut found = tx.reports_of_rows(&source, &fingerprints[2..5]).await.unwrap();
        found.sort_unstable();
        let mut expected: Vec<_> = rows[2..5].iter().map(|(_, report)| *report).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
        tx.forget_import_rows(&reports[..69]).await.unwrap();
    })
    .await;
    let left: Vec<_> = rows.iter().filter(|(_, report)| *report == reports[69]).map(|(row, _)| *row).collect();
    assert_eq!(known(&source).await, left);
    let file = random::bytes::<32>();
    let start = ImportProgress::beginning(TODAY, 7);
    write(&store, async |tx| {
        assert!(tx.note_import(&file, &start, &start, NOW_MS).await.unwrap());
    })
    .await;
    assert_eq!(store.list_imports().await.unwrap(), [file]);
    assert!(write(&store, async |tx| tx.forget_import(&file).await.unwrap()).await);
    assert!(!write(&store, async |tx| tx.forget_import(&file).await.unwrap()).await);
    assert_eq!(store.import_progress(&file).await.unwrap(), None);
}

/// Reports with every kind of value that a row may have.
fn of_all_kinds(count: usize) -> Vec<NewReport> {
    let mut reports: Vec<_> = (0..count).map(|_| report(None, key(), NOW_MS)).collect();
    for (at, report) in reports.iter_mut().enumerate() {
        let until = (at % 3 == 0).then(|| Date::constant(2036, 5, 1));
        report.validity = CardValidity::new((at % 2 == 0).then_some(LOST), until, TODAY).unwrap();
        report.lost_on = report.lost_on.filter(|_| at % 5 == 0);
        report.contact =
            (at % 7 == 0).then(|| Envelope { wrapped_key: random::bytes::<60>().to_vec(), sealed: vec![0, 92, 9, 10] });
    }
    reports
}

async fn file(tx: &mut WriteTx, reports: &[NewReport]) -> Result<(), StoreError> {
    let keys: Vec<_> = reports.iter().map(|report| report.number.lookup_key).collect();
    let change = tx.record_listings(&keys).await?;
    tx.insert_reports(reports, &change).await
}

pub(crate) async fn an_import_stores_what_a_report_would_store(database: &Database) {
    let store = database.open().await;
    let reports = of_all_kinds(1_201);
    if !database.is_sqlite() {
        execute(database, "CREATE TABLE said (statement TEXT)").await;
        let note = "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO said VALUES (current_query()); RETURN NULL; END $$";
        execute(database, note).await;
        execute(database, "CREATE TRIGGER note AFTER INSERT ON loss_reports EXECUTE FUNCTION note()").await;
    }
    for reports in reports.chunks(700) {
        let mut tx = store.begin_import().await.unwrap();
        file(&mut tx, reports).await.unwrap();
        tx.commit().await.unwrap();
    }
    let tables = ["loss_reports", "feed"];
    let imported = [contents(database, tables[0]).await, contents(database, tables[1]).await];
    assert_eq!((imported[0].len(), imported[1].len()), (reports.len(), reports.len()));
    if !database.is_sqlite() {
        assert_eq!(count(database, "said").await, 2);
        assert_eq!(count(database, "said WHERE statement LIKE 'COPY loss_reports (%'").await, 2, "by COPY");
    }
    for table in tables {
        execute(database, &format!("DELETE FROM {table}")).await;
    }
    execute(database, "UPDATE feed_head SET seq = 0").await;
    for report in &reports {
        let mut tx = store.begin().await.unwrap();
        file(&mut tx, std::slice::from_ref(report)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!([contents(database, tables[0]).await, contents(database, tables[1]).await], imported);
}

pub(crate) async fn an_import_that_ends_half_way_stores_nothing(database: &Database) {
    let store = database.open().await;
    for _ in 0..2 {
        let mut tx = store.begin_import().await.unwrap();
        file(&mut tx, &of_all_kinds(100)).await.unwrap();
        drop(tx);
        // The server may learn a moment later that nobody is there any more: the next one waits for it.
        let mut tx = store.begin_import().await.unwrap();
        file(&mut tx, &of_all_kinds(50)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(store.feed_totals().await.unwrap(), (100, 100, 100));
    assert_eq!(count(database, "loss_reports").await, 100);
    // By either way in turn, with one writer at a time.
    write(&store, async |tx| file(tx, &of_all_kinds(1)).await.unwrap()).await;
    assert_eq!(store.feed_totals().await.unwrap(), (101, 101, 101));
}

pub(crate) async fn a_row_that_is_refused_takes_all_of_its_transaction_with_it(database: &Database) {
    let store = database.open().await;
    let mut reports = of_all_kinds(80);
    reports[79].report_id = reports[3].report_id;
    let mut tx = store.begin_import().await.unwrap();
    assert!(matches!(file(&mut tx, &reports).await, Err(StoreError::Unavailable(_))));
    drop(tx);
    assert_eq!((store.head().await.unwrap(), count(database, "loss_reports").await), (Sequence::ZERO, 0));
    let mut tx = store.begin_import().await.unwrap();
    file(&mut tx, &of_all_kinds(80)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.feed_totals().await.unwrap(), (80, 80, 80));
}
