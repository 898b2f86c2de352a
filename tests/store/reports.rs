//! Loss reports and replacements: whose they are, what a number's listing is made of, transitions that delete nothing.

use lostcard::crypto::digest::LookupKey;
use lostcard::domain::ids::{OrganizationId, ReportId};
use lostcard::domain::report::{LossReport, ReportState, WithdrawalReason};
use lostcard::domain::sequence::Sequence;
use lostcard::domain::verdict::Record;
use lostcard::store::Store;
use lostcard::store::listed::{ListedAt, ListedReader};
use lostcard::store::reports::{Closing, NewReport, RecordsRead, StoredReport};

use crate::backend::Database;
use crate::records::{
    LOST, NOW_MS, feed_after, key, later, office, replacement, report, store_reports, stored_organization, write,
};

async fn withdraw(store: &Store, organization: OrganizationId, report_id: ReportId) -> Sequence {
    let (mut tx, office) = (store.begin().await.unwrap(), office());
    let stored = tx.find_report(organization, report_id).await.unwrap().unwrap();
    let report = stored.report.withdraw().unwrap();
    let change = tx.record_listing(&stored.lookup_key).await.unwrap();
    let closing = Closing { at_ms: later(1), office: &office, withdrawal: Some(WithdrawalReason::Found) };
    tx.close_report(&report, &closing, &change).await.unwrap();
    tx.commit().await.unwrap();
    change.sequence()
}

pub(crate) async fn a_report_is_found_by_its_own_organization_alone(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let key = key();
    let (new, imported) = (report(Some(own), key, NOW_MS), report(None, key, NOW_MS));
    let sequence = store_reports(&store, &[new.clone(), imported.clone()]).await;
    let found = store.find_report(own, new.report_id).await.unwrap().unwrap();
    let expected = LossReport {
        id: new.report_id,
        state: ReportState::Active,
        card_valid_from: Some(LOST),
        missing_on: jiff::civil::Date::constant(2026, 11, 1),
        reported_at_ms: NOW_MS,
        reason: new.reason,
    };
    assert_eq!((found.report, found.lookup_key, found.sequence), (expected, key, Sequence::new(sequence.get() - 1)));
    assert!(store.find_report(other, new.report_id).await.unwrap().is_none());
    assert!(store.find_report(own, imported.report_id).await.unwrap().is_none());
    assert_eq!(store.list_reports(own, false, &[key]).await.unwrap().1.len(), 1);
    assert!(store.list_reports(other, false, &[key]).await.unwrap().1.is_empty());
    let others = |found: &StoredReport| found.taken.as_ref().map(|taken| taken.is_others);
    let everybodys = store.list_reports(own, true, &[key]).await.unwrap().1;
    let mut told: Vec<_> = everybodys.iter().map(|found| (found.report.id, others(found))).collect();
    told.sort();
    let mut expected = [(new.report_id, Some(false)), (imported.report_id, Some(true))];
    expected.sort();
    assert_eq!(told, expected);
    for (asker, ends_others, expected) in
        [(own, false, Some(None)), (own, true, Some(None)), (other, false, None), (other, true, Some(Some(true)))]
    {
        let found = store.find_report_told(asker, ends_others, new.report_id).await.unwrap();
        assert_eq!(found.as_ref().map(others), expected);
    }
    let mut tx = store.begin().await.unwrap();
    assert!(tx.find_report(other, new.report_id).await.unwrap().is_none());
    assert_eq!(tx.active_reports(&[key]).await.unwrap().len(), 2, "a replacement concerns them all");
}

pub(crate) async fn reports_of_a_number_are_listed_newest_first(database: &Database) {
    let store = database.open().await;
    let (own, key) = (stored_organization(&store).await, key());
    let reports: Vec<NewReport> = (0..105).map(|n| report(Some(own), key, later(n))).collect();
    store_reports(&store, &reports).await;
    let listed: Vec<_> =
        store.list_reports(own, false, &[key]).await.unwrap().1.iter().map(|stored| stored.report.id).collect();
    let newest: Vec<_> = reports.iter().rev().take(100).map(|report| report.report_id).collect();
    assert_eq!(listed, newest);
}

/// Asks for a number twice, beside one that nobody knows: each gets its own records.
async fn records_of(store: &Store, listed: LookupKey) -> (u64, Vec<Record>) {
    let RecordsRead { head, mut records, .. } = store.records_of(&[listed, key(), listed]).await.unwrap();
    let again = records.pop().unwrap();
    assert_eq!(records.pop().unwrap(), [], "nothing is known of an unknown number");
    assert_eq!((records.len(), records.first()), (1, Some(&again)));
    (head.get(), again)
}

pub(crate) async fn a_listing_is_read_with_the_head_of_the_same_moment(database: &Database) {
    let store = database.open().await;
    let (own, listed) = (stored_organization(&store).await, key());
    let (head, records) = records_of(&store, listed).await;
    assert_eq!((head, records.len()), (1, 0), "the organization was the first change");
    let (first, second) = (report(Some(own), listed, NOW_MS), report(None, listed, NOW_MS));
    store_reports(&store, &[first.clone(), second, report(Some(own), key(), NOW_MS)]).await;
    let (head, records) = records_of(&store, listed).await;
    assert_eq!((head, records.len()), (4, 2));
    let is_lost = |record: &Record| {
        matches!(record, Record::Report { card_valid_from: Some(LOST), state: ReportState::Active, .. })
    };
    assert!(records.iter().all(is_lost), "{records:?}");
    assert_eq!(withdraw(&store, own, first.report_id).await.get(), 5);
    assert_eq!(records_of(&store, listed).await.1.len(), 1, "a withdrawal removes its own record only");
    let new = replacement(own, listed);
    write(&store, async |tx| {
        let change = tx.record_listing(&listed).await.unwrap();
        tx.insert_replacement(&new, &change).await.unwrap();
    })
    .await;
    let (head, records) = records_of(&store, listed).await;
    let replaced = |record: &&Record| matches!(record, Record::Replacement { card_valid_from, .. } if *card_valid_from == new.card_valid_from);
    assert_eq!((head, records.len(), records.iter().filter(replaced).count()), (6, 2, 1));
}

/// Takes what lists numbers: records, or keys alone.
#[derive(Default)]
struct Taken {
    wants_records: bool,
    records_max: usize,
    rows: Vec<(LookupKey, Option<Record>)>,
}

impl ListedReader for Taken {
    fn begin(&mut self, records_max: usize) -> bool {
        self.records_max = records_max;
        self.wants_records
    }

    fn take(&mut self, key: LookupKey, record: Option<Record>) {
        self.rows.push((key, record));
    }
}

/// The moment at which everything is read.
pub(crate) async fn listed_at(store: &Store) -> ListedAt {
    store.read_listed(&mut Taken::default()).await.unwrap()
}

/// How many records list something.
pub(crate) async fn count_listed(store: &Store) -> usize {
    let mut taken = Taken::default();
    store.read_listed(&mut taken).await.unwrap();
    taken.rows.len()
}

pub(crate) async fn what_is_listed_is_of_numbers_in_force(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (stays, goes, replaced) = (key(), key(), key());
    let (kept, withdrawn) = (report(Some(own), stays, NOW_MS), report(Some(own), goes, NOW_MS));
    store_reports(&store, &[kept, withdrawn.clone()]).await;
    withdraw(&store, own, withdrawn.report_id).await;
    write(&store, async |tx| {
        let change = tx.record_listing(&replaced).await.unwrap();
        tx.insert_replacement(&replacement(own, replaced), &change).await.unwrap();
    })
    .await;
    for wants_records in [false, true] {
        let mut taken = Taken { wants_records, ..Taken::default() };
        let at = store.read_listed(&mut taken).await.unwrap();
        assert_eq!((at.head.get(), at.epoch, taken.records_max), (5, feed_after(&store, 0).await.epoch, 3));
        let mut keys: Vec<_> = taken.rows.iter().map(|(key, _)| *key).collect();
        let mut expected = [stays, replaced];
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected);
        for (key, record) in taken.rows {
            assert_eq!(record.is_some(), wants_records);
            assert!(record.is_none_or(|record| matches!(record, Record::Replacement { .. }) == (key == replaced)));
        }
    }
}

pub(crate) async fn a_closed_report_keeps_its_history(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let new = report(Some(own), key(), NOW_MS);
    store_reports(&store, std::slice::from_ref(&new)).await;
    let sequence = withdraw(&store, own, new.report_id).await;
    let stored = store.find_report(own, new.report_id).await.unwrap().unwrap();
    assert_eq!((stored.report.state, stored.sequence), (ReportState::Withdrawn, sequence));
    assert_eq!((stored.report.reported_at_ms, stored.report.card_valid_from), (NOW_MS, Some(LOST)));
    assert!(stored.report.withdraw().is_err());
    let mut tx = store.begin().await.unwrap();
    assert!(tx.active_reports(&[new.number.lookup_key]).await.unwrap().is_empty());
}

pub(crate) async fn many_reports_go_in_at_once(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let reports: Vec<_> = (0..1001).map(|_| report(Some(own), key(), NOW_MS)).collect();
    let last = store_reports(&store, &reports).await;
    assert_eq!(last.get(), 1002);
    for at in [0, 399, 400, 999, 1000] {
        let stored = store.find_report(own, reports[at].report_id).await.unwrap().unwrap();
        let change = &feed_after(&store, stored.sequence.get() - 1).await.changes[0];
        assert_eq!(change.subject, reports[at].number.lookup_key.as_bytes(), "report and change have one sequence");
    }
    assert_eq!(count_listed(&store).await, 1001);
}
