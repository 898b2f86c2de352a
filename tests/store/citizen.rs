//! What a person may read: everything under the number's keys, over all organizations, and nothing of others.

use lostcard::crypto::pepper::KeyVersions;
use lostcard::domain::client::{OrganizationKind, RegionCode};
use lostcard::domain::found_card::FoundCardState;
use lostcard::domain::report::Channel;
use lostcard::domain::verdict::Purpose;
use lostcard::store::citizen::{AnonymousSighting, PersonCertificate, ReportOrigin, WaitingCard};
use lostcard::store::feed::ChangeKind;
use lostcard::store::found_cards::NewFoundCard;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

use crate::backend::Database;
use crate::found_cards::{found_card, store_found};
use crate::records::{NOW_MS, TODAY, id, key, office, replacement, report, store_reports, stored_organization, write};

/// Rows of tables that others write, put in as text.
async fn insert(database: &Database, rows: &[String]) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&database.url()).await.unwrap();
    for row in rows {
        connection.execute(AssertSqlSafe(row.clone())).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// Bytes as the database writes them.
fn bytes(database: &Database, hex: &str) -> String {
    if database.url().starts_with("sqlite") { format!("x'{hex}'") } else { format!("'\\x{hex}'") }
}

pub(crate) async fn a_persons_records_come_from_every_organization(database: &Database) {
    let store = database.open().await;
    let (one, two) = (stored_organization(&store).await, stored_organization(&store).await);
    let (own, others) = (key(), key());
    let reports = [report(Some(one), own, NOW_MS), report(None, own, NOW_MS + 1), report(Some(two), others, NOW_MS)];
    store_reports(&store, &reports).await;
    let replaced = replacement(two, own);
    write(&store, async |tx| {
        let sequence = tx.record_change(ChangeKind::Listing, own.as_bytes()).await.unwrap();
        tx.insert_replacement(&replaced, sequence).await.unwrap();
    })
    .await;
    let cards =
        [found_card(one, own, None), NewFoundCard { registered_at_ms: NOW_MS + 1, ..found_card(two, own, None) }];
    for card in cards.iter().chain([&found_card(two, others, None)]) {
        store_found(&store, card).await;
    }
    let uuid = |id: Uuid| bytes(database, &id.simple().to_string());
    let (twice, single, foreign) = (id(), id(), id());
    let sighting = |listing: Uuid, check: Uuid, purpose: &str, at: i64| {
        format!(
            "INSERT INTO sightings (listing_id, check_id, organization_id, purpose, verdict, seen_at) \
             VALUES ({}, {}, {}, '{purpose}', 'card_listed', {at})",
            uuid(listing),
            uuid(check),
            uuid(two)
        )
    };
    let certificate = id();
    let revoked = id();
    let certificate_row = |id: Uuid, key: &[u8], revoked_at: &str| {
        format!(
            "INSERT INTO temporary_certificates (certificate_id, organization_id, lookup_key, key_version, sealed_digest, purpose, \
             office, issued_at, expires_at, revoked_at) VALUES ({}, {}, {}, 1, {}, 'rail', '110105-03', {NOW_MS}, {}, {revoked_at})",
            uuid(id),
            uuid(one),
            bytes(database, &hex::encode(key)),
            bytes(database, "00"),
            NOW_MS + 5
        )
    };
    let rows = [
        sighting(reports[0].report_id, twice, "banking", NOW_MS + 2),
        sighting(replaced.replacement_id, twice, "banking", NOW_MS + 2),
        sighting(reports[1].report_id, single, "lodging", NOW_MS + 3),
        sighting(reports[2].report_id, foreign, "lodging", NOW_MS + 4),
        certificate_row(certificate, own.as_bytes(), "NULL"),
        certificate_row(revoked, own.as_bytes(), "1"),
        certificate_row(id(), others.as_bytes(), "NULL"),
    ];
    insert(database, &rows).await;
    let (versions, records) = store.person_records(&[key(), own]).await.unwrap();
    assert_eq!(versions, KeyVersions { current: 1, previous: None });
    let read: Vec<_> = records.reports.iter().map(|stored| stored.report.id).collect();
    assert_eq!(read, [reports[1].report_id, reports[0].report_id], "newest first");
    let seen = |purpose, seen_at_ms| AnonymousSighting {
        organization_kind: OrganizationKind::Registrar,
        region: RegionCode::parse("110105").unwrap(),
        purpose,
        seen_at_ms,
    };
    assert_eq!(
        records.sightings,
        [seen(Purpose::Lodging, NOW_MS + 3), seen(Purpose::Banking, NOW_MS + 2)],
        "once each"
    );
    let waiting = |new: &NewFoundCard| WaitingCard {
        found_card_id: new.found_card_id,
        state: FoundCardState::Held,
        office: office(),
        found_on: TODAY,
        registered_at_ms: new.registered_at_ms,
    };
    assert_eq!(records.found_cards, [waiting(&cards[1]), waiting(&cards[0])]);
    let held = |certificate_id, is_revoked| PersonCertificate {
        certificate_id,
        purpose: "rail".to_owned(),
        issued_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 5,
        is_revoked,
    };
    let mut expected = [held(certificate, false), held(revoked, true)];
    expected.sort_by_key(|certificate| std::cmp::Reverse(certificate.certificate_id));
    assert_eq!(records.certificates, expected);
    let (_, nobody) = store.person_records(&[key()]).await.unwrap();
    let counts = (nobody.reports.len(), nobody.sightings.len(), nobody.found_cards.len(), nobody.certificates.len());
    assert_eq!(counts, (0, 0, 0, 0));
}

pub(crate) async fn a_reports_origin_is_told_with_its_number_alone(database: &Database) {
    let store = database.open().await;
    let (own, key) = (stored_organization(&store).await, key());
    let mut online = report(Some(own), key, NOW_MS);
    online.channel = Channel::Online;
    let imported = report(None, key, NOW_MS);
    store_reports(&store, &[online.clone(), imported.clone()]).await;
    let mut tx = store.begin().await.unwrap();
    for (new, organization, channel) in [(&online, Some(own), Channel::Online), (&imported, None, Channel::Hall)] {
        let origin = tx.find_report_origin(new.report_id, &[crate::records::key(), key]).await.unwrap();
        assert_eq!(origin, Some(ReportOrigin { organization, channel }));
        assert_eq!(tx.find_report_origin(new.report_id, &[crate::records::key()]).await.unwrap(), None);
    }
    assert_eq!(tx.find_report_origin(id(), &[key]).await.unwrap(), None);
}
