//! What a person may read: everything under the number's keys, over all organizations, and nothing of others.

use lostcard::crypto::pepper::KeyVersions;
use lostcard::domain::certificate::CertificatePurpose;
use lostcard::domain::client::{OrganizationKind, OrganizationName, RegionCode};
use lostcard::domain::found_card::FoundCardState;
use lostcard::domain::ids::{CheckId, ListingId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::office::{Office, OfficeReach};
use lostcard::domain::report::{Channel, OfficeCode};
use lostcard::domain::verdict::{Purpose, Verdict};
use lostcard::store::certificates::NewCertificate;
use lostcard::store::citizen::{AnonymousSighting, PersonCertificate, ReportOrigin, SightingsPage, WaitingCard};
use lostcard::store::found_cards::NewFoundCard;
use lostcard::store::sightings::NewSighting;

use crate::backend::Database;
use crate::certificates::{certificate, store_certificate};
use crate::found_cards::{found_card, store_found};
use crate::records::{
    NOW_MS, TODAY, id, key, later, office, replacement, report, store_reports, stored_organization, write,
};

pub(crate) async fn a_persons_records_come_from_every_organization(database: &Database) {
    let store = database.open().await;
    let (one, two) = (stored_organization(&store).await, stored_organization(&store).await);
    let (own, others) = (key(), key());
    let reports = [report(Some(one), own, NOW_MS), report(None, own, later(1)), report(Some(two), others, NOW_MS)];
    store_reports(&store, &reports).await;
    let replaced = replacement(two, own);
    write(&store, async |tx| {
        let change = tx.record_listing(&own).await.unwrap();
        tx.insert_replacement(&replaced, &change).await.unwrap();
    })
    .await;
    let cards = [found_card(one, own, None), NewFoundCard { registered_at_ms: later(1), ..found_card(two, own, None) }];
    for card in cards.iter().chain([&found_card(two, others, None)]) {
        store_found(&store, card).await;
    }
    let (twice, single, foreign) = (id(), id(), id());
    let clients = [id(), id()];
    let sighting = |listing: ListingId, check_id: CheckId, purpose, seen_at_ms| NewSighting {
        listing,
        check_id,
        organization: two,
        client: Some(clients[usize::from(purpose == Purpose::Banking)]),
        site: None,
        purpose,
        verdict: Verdict::CardListed,
        seen_at_ms,
    };
    let sightings = [
        sighting(reports[0].report_id.into(), twice, Purpose::Banking, later(2)),
        sighting(replaced.replacement_id.into(), twice, Purpose::Banking, later(2)),
        sighting(reports[1].report_id.into(), single, Purpose::Lodging, later(3)),
        sighting(reports[2].report_id.into(), foreign, Purpose::Lodging, later(4)),
    ];
    write(&store, async |tx| tx.insert_sightings(&sightings).await.unwrap()).await;
    let now_s = NOW_MS.seconds();
    let certificates = [certificate(one, own, now_s + 1), certificate(two, own, now_s)];
    for new in certificates.iter().chain([&certificate(one, others, now_s)]) {
        store_certificate(&store, new).await;
    }
    let revoked = certificates[1].certificate.clone().revoke(later(7)).unwrap();
    write(&store, async |tx| tx.revoke_certificate(&revoked, &office()).await.unwrap()).await;
    let all = SightingsPage { before: None, count_max: 100 };
    let (_, unknown) = store.person_records(&[own], all).await.unwrap();
    assert!(unknown.offices.is_empty(), "nobody has said what the office is");
    let described = |name: &str| Office {
        code: office(),
        name: OrganizationName::parse(name).unwrap(),
        reach: OfficeReach::parse("1 Quay Road").unwrap(),
    };
    let elsewhere = Office { code: OfficeCode::parse("310104-01").unwrap(), ..described("Lake station") };
    for office in [&described("Quay station"), &elsewhere, &described("Harbour station")] {
        write(&store, async |tx| tx.put_office(office).await.unwrap()).await;
    }
    assert_eq!(store.list_offices(None, 1).await.unwrap(), [described("Harbour station")], "the last word counts");
    assert_eq!(store.list_offices(Some(office().as_str()), 5).await.unwrap(), [elsewhere]);
    let (versions, records) = store.person_records(&[key(), own], all).await.unwrap();
    assert_eq!(versions, KeyVersions { current: 1, previous: None });
    assert_eq!(records.offices, [described("Harbour station")], "once, and no other");
    assert!(records.reports.iter().all(|stored| stored.taken.as_ref().unwrap().office == office()));
    let read: Vec<_> = records.reports.iter().map(|stored| stored.report.id).collect();
    assert_eq!(read, [reports[1].report_id, reports[0].report_id], "newest first");
    let seen = |check_id, purpose, seen_at_ms| AnonymousSighting {
        check_id,
        organization_kind: OrganizationKind::Registrar,
        region: RegionCode::parse("110105").unwrap(),
        purpose,
        checks: 1,
        first_seen_at_ms: seen_at_ms,
        seen_at_ms,
    };
    let mut sightings = records.sightings.clone();
    sightings.sort_by_key(|sighting| sighting.seen_at_ms);
    let [first, second] = [seen(twice, Purpose::Banking, later(2)), seen(single, Purpose::Lodging, later(3))];
    assert_eq!(sightings, [first, second], "once each");
    let page = SightingsPage { before: Some(records.sightings[0].check_id), count_max: 100 };
    let (_, following) = store.person_records(&[own], page).await.unwrap();
    assert_eq!(following.sightings, records.sightings[1..]);
    assert!(following.reports.is_empty() && following.found_cards.is_empty() && following.certificates.is_empty());
    let waiting = |new: &NewFoundCard| WaitingCard {
        found_card_id: new.found_card_id,
        state: FoundCardState::Held,
        office: office(),
        found_on: TODAY,
        registered_at_ms: new.registered_at_ms,
    };
    assert_eq!(records.found_cards, [waiting(&cards[1]), waiting(&cards[0])]);
    let held = |new: &NewCertificate, is_revoked| PersonCertificate {
        certificate_id: new.certificate.id,
        office: office(),
        purpose: CertificatePurpose::Rail,
        issued_at_ms: UnixMs::from_seconds(new.certificate.issued_s),
        expires_at_ms: UnixMs::from_seconds(new.certificate.term.ends_s),
        is_revoked,
    };
    assert_eq!(records.certificates, [held(&certificates[0], false), held(&certificates[1], true)]);
    let (_, nobody) = store.person_records(&[key()], all).await.unwrap();
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
