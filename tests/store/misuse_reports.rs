//! Misuse reports: read as written, listed by state in the order of their ids, resolved, and keyed like every row of a number.

use std::time::Duration;

use lostcard::crypto::random;
use lostcard::crypto::seal::Envelope;
use lostcard::domain::ids::{MisuseReportId, OrganizationId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::misuse::{MisuseKind, MisuseOutcome, MisuseReport, MisuseState, Resolution};
use lostcard::domain::report::Label;
use lostcard::store::lists::Wanted;
use lostcard::store::misuse_reports::StoredMisuseReport;
use lostcard::store::reports::SealedNumber;
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{NOW_MS, id, key, later, office, stored_organization, write};

fn envelope() -> Envelope {
    Envelope { wrapped_key: random::bytes::<60>().to_vec(), sealed: random::bytes::<99>().to_vec() }
}

fn number(key_version: u32) -> SealedNumber {
    SealedNumber { lookup_key: key(), key_version, sealed_digest: random::bytes::<60>().to_vec() }
}

fn misuse(organization: OrganizationId, reported_at_ms: UnixMs) -> StoredMisuseReport {
    let report = MisuseReport {
        id: random::id(reported_at_ms),
        organization,
        kind: MisuseKind::ForgedCard,
        check_id: Some(id()),
        observed_at_ms: reported_at_ms.minus(Duration::from_millis(1)),
        site: Label::parse("harbour-2"),
        reported_at_ms,
        resolution: None,
    };
    StoredMisuseReport { report, narrative: Some(envelope()), note: None }
}

async fn insert(store: &Store, new: &StoredMisuseReport) {
    write(store, async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_misuse_report(new, &number(1)).await.unwrap();
    })
    .await;
}

async fn list(
    store: &Store,
    state: MisuseState,
    after: Option<MisuseReportId>,
    rows_max: usize,
) -> Vec<StoredMisuseReport> {
    let wanted = Wanted { state: Some(state), office: None, since_ms: None, after, rows_max };
    store.page_of_misuse_reports(None, &wanted).await.unwrap()
}

pub(crate) async fn a_misuse_report_is_read_as_written(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let full = misuse(own, NOW_MS);
    let mut bare = misuse(own, later(1));
    (bare.narrative, bare.report.check_id, bare.report.site) = (None, None, None);
    for new in [&full, &bare] {
        insert(&store, new).await;
        assert_eq!(store.find_misuse_report(new.report.id).await.unwrap().as_ref(), Some(new));
    }
    assert!(store.find_misuse_report(id()).await.unwrap().is_none());
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.find_misuse_report(full.report.id).await.unwrap(), Some(full));
}

pub(crate) async fn a_resolution_is_stored_with_its_note(database: &Database) {
    let store = database.open().await;
    let new = misuse(stored_organization(&store).await, NOW_MS);
    insert(&store, &new).await;
    let resolution =
        Resolution { outcome: MisuseOutcome::HandedOver, office: office(), organization: id(), at_ms: later(5) };
    let note = envelope();
    write(&store, async |tx| {
        tx.resolve_misuse_report(new.report.id, &resolution, Some(&note)).await.unwrap();
    })
    .await;
    let expected = StoredMisuseReport {
        report: new.report.clone().resolve(resolution).unwrap(),
        narrative: new.narrative.clone(),
        note: Some(note),
    };
    assert_eq!(store.find_misuse_report(new.report.id).await.unwrap(), Some(expected.clone()));
    assert!(list(&store, MisuseState::Open, None, 10).await.is_empty());
    assert_eq!(list(&store, MisuseState::Resolved, None, 10).await, [expected]);
}

pub(crate) async fn misuse_reports_are_listed_behind_one_of_them(database: &Database) {
    let store = database.open().await;
    let (one, two) = (stored_organization(&store).await, stored_organization(&store).await);
    let all: Vec<_> = (0..7).map(|n| misuse(if n % 2 == 0 { one } else { two }, later(n))).collect();
    for new in all.iter().rev() {
        insert(&store, new).await;
    }
    assert_eq!(list(&store, MisuseState::Open, None, 3).await, all[..3]);
    assert_eq!(list(&store, MisuseState::Open, Some(all[2].report.id), 10).await, all[3..]);
    assert!(list(&store, MisuseState::Open, Some(all[6].report.id), 10).await.is_empty());
}

pub(crate) async fn a_misuse_report_under_another_pepper_is_refused(database: &Database) {
    let store = database.open().await;
    let new = misuse(stored_organization(&store).await, NOW_MS);
    let mut tx = store.begin().await.unwrap();
    tx.take_turn().await.unwrap();
    let refused = tx.insert_misuse_report(&new, &number(2)).await;
    assert!(matches!(refused, Err(StoreError::OtherPepper)), "{refused:?}");
}
