//! Records to be stored, with random numbers of nobody: the store sees lookup keys and sealed bytes alone.

use jiff::civil::Date;
use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::random;
use lostcard::domain::authority::Offices;
use lostcard::domain::card::CardValidity;
use lostcard::domain::client::{Bound, OrganizationKind, OrganizationName, Rate, RegionCode, Scopes};
use lostcard::domain::ids::{Id, NodeId, OrganizationId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::report::{Channel, OfficeCode, Reason, Reporter};
use lostcard::domain::sequence::Sequence;
use lostcard::store::clients::{Client, Organization, StoredNumbers};
use lostcard::store::feed::FeedPage;
use lostcard::store::replacements::NewReplacement;
use lostcard::store::reports::{NewReport, SealedNumber};
use lostcard::store::{Store, WriteTx};

/// An instant that every case counts from; the store knows no clock.
pub(crate) const NOW_MS: UnixMs = UnixMs::new(1_795_440_000_000);

/// So many milliseconds after [`NOW_MS`].
pub(crate) const fn later(ms: i64) -> UnixMs {
    UnixMs::new(NOW_MS.get() + ms)
}
pub(crate) const TODAY: Date = Date::constant(2026, 11, 23);
pub(crate) const LOST: Date = Date::constant(2016, 5, 1);

pub(crate) fn id<T: Id>() -> T {
    random::id(NOW_MS)
}

pub(crate) fn key() -> LookupKey {
    LookupKey::from_bytes(random::bytes())
}

pub(crate) fn office() -> OfficeCode {
    OfficeCode::parse("110105-03").unwrap()
}

pub(crate) fn number(lookup_key: LookupKey) -> SealedNumber {
    SealedNumber { lookup_key, key_version: 1, sealed_digest: random::bytes::<60>().to_vec() }
}

pub(crate) fn report(organization: Option<OrganizationId>, key: LookupKey, reported_at_ms: UnixMs) -> NewReport {
    NewReport {
        report_id: random::id(reported_at_ms),
        organization,
        number: number(key),
        validity: CardValidity::new(Some(LOST), None, TODAY).unwrap(),
        reason: Reason::Stolen,
        lost_on: Some(Date::constant(2026, 11, 1)),
        reporter: Reporter::Guardian,
        office: office(),
        channel: Channel::Hall,
        contact: None,
        reported_at_ms,
    }
}

pub(crate) fn replacement(organization: OrganizationId, key: LookupKey) -> NewReplacement {
    NewReplacement {
        replacement_id: id(),
        organization,
        number: number(key),
        card_valid_from: Date::constant(2026, 11, 20),
        office: office(),
        recorded_at_ms: NOW_MS,
    }
}

pub(crate) fn organization() -> Organization {
    Organization {
        organization_id: id(),
        name: OrganizationName::parse("派出所 Harbour").unwrap(),
        kind: OrganizationKind::Registrar,
        region: RegionCode::parse("110105").unwrap(),
        rate: Rate::parse("600/60s"),
        offices: Offices::parse("110105 1101", true).unwrap(),
        created_at_ms: NOW_MS,
        suspended_at_ms: None,
        ended_at_ms: None,
    }
}

pub(crate) fn client(organization: OrganizationId) -> Client {
    Client {
        client_id: id(),
        organization_id: organization,
        scopes: Scopes::parse("checks audit").unwrap(),
        rate: None,
        created_at_ms: NOW_MS,
        bound: Bound::None,
        tokens_revoked_at_ms: None,
        disabled_at_ms: None,
        suspended_at_ms: None,
        name: None,
        numbers: StoredNumbers::default(),
    }
}

/// An organization that is stored.
pub(crate) async fn stored_organization(store: &Store) -> OrganizationId {
    let new = organization();
    write(store, async |tx| tx.insert_organization(&new).await.unwrap()).await;
    new.organization_id
}

/// Stores reports with their changes; returns the sequence of the last.
pub(crate) async fn store_reports(store: &Store, reports: &[NewReport]) -> Sequence {
    let keys: Vec<_> = reports.iter().map(|report| report.number.lookup_key).collect();
    write(store, async |tx| {
        let change = tx.record_listings(&keys).await.unwrap();
        tx.insert_reports(reports, &change).await.unwrap();
        change.sequence()
    })
    .await
}

/// A page of the feed, as a node that never joined reads it.
pub(crate) async fn feed_after(store: &Store, after: u64) -> FeedPage {
    store.feed_after(Sequence::new(after), id::<NodeId>()).await.unwrap()
}

/// One transaction, committed.
pub(crate) async fn write<T>(store: &Store, change: impl AsyncFnOnce(&mut WriteTx) -> T) -> T {
    let mut tx = store.begin().await.unwrap();
    let done = change(&mut tx).await;
    tx.commit().await.unwrap();
    done
}
