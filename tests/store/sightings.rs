//! Sightings: stored once however often they come, repeats of a day folded, listed newest first, and found their listings by every key of a
//! number.

use std::time::Duration;

use lostcard::crypto::random;
use lostcard::domain::ids::{ClientId, ListingId, OrganizationId};
use lostcard::domain::report::{Label, ReportState, WithdrawalReason};
use lostcard::domain::sequence::Sequence;
use lostcard::domain::sighting::Candidate;
use lostcard::domain::verdict::{Purpose, Verdict};
use lostcard::store::Store;
use lostcard::store::reports::Closing;
use lostcard::store::sightings::NewSighting;

use crate::backend::Database;
use crate::records::{
    LOST, NOW_MS, key, later, office, replacement, report, store_reports, stored_organization, write,
};

fn sighting(listing: ListingId, organization: OrganizationId, n: i64) -> NewSighting {
    NewSighting {
        listing,
        check_id: random::id(later(n)),
        organization,
        client: Some(random::id(NOW_MS)),
        site: (n % 2 == 0).then(|| Label::parse("west-wing").unwrap()),
        purpose: Purpose::Banking,
        verdict: Verdict::CardListed,
        seen_at_ms: later(n),
    }
}

async fn insert(store: &Store, sightings: &[NewSighting]) {
    write(store, async |tx| tx.insert_sightings(sightings).await.unwrap()).await;
}

pub(crate) async fn sightings_are_stored_once_and_listed_newest_first(database: &Database) {
    let store = database.open().await;
    let organization = stored_organization(&store).await;
    let (first, second) = (ListingId::from_u128(1), ListingId::from_u128(2));
    let sightings: Vec<_> = (0..1203).map(|n| sighting(first, organization, n)).collect();
    let of_both = NewSighting { listing: second, ..sightings[7].clone() };
    insert(&store, &sightings[..700]).await;
    // Moved again after a crash, beside what is new.
    insert(&store, &sightings[600..]).await;
    insert(&store, std::slice::from_ref(&of_both)).await;
    insert(&store, &[]).await;
    let listed = store.list_sightings(&[first], None, 5000).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|sighting| sighting.check_id).collect();
    assert_eq!(ids, sightings.iter().rev().map(|sighting| sighting.check_id).collect::<Vec<_>>());
    let (newest, expected) = (&listed[0], &sightings[1202]);
    assert_eq!((newest.listing, &newest.site, newest.purpose), (first, &expected.site, expected.purpose));
    assert_eq!((newest.verdict, newest.seen_at_ms), (expected.verdict, expected.seen_at_ms));
    assert!(listed.iter().all(|sighting| sighting.checks == 1 && sighting.first_seen_at_ms == sighting.seen_at_ms));
    assert_eq!((newest.organization_name.as_str(), newest.region.as_str()), ("派出所 Harbour", "110105"));
    assert_eq!((newest.organization_kind.as_str(), &listed[1].site), ("registrar", &None));
    assert_eq!(store.list_sightings(&[first], None, 10).await.unwrap(), listed[..10]);
    let behind = store.list_sightings(&[first], Some(ids[9]), 10).await.unwrap();
    assert_eq!(behind, listed[10..20]);
    assert_eq!(store.list_sightings(&[second], None, 10).await.unwrap().len(), 1);
    assert_eq!(store.list_sightings(&[first, second], None, 5000).await.unwrap().len(), 1204);
    assert_eq!(store.list_sightings(&[ListingId::from_u128(3)], None, 10).await.unwrap(), []);
    assert_eq!(store.list_sightings(&[], None, 10).await.unwrap(), []);
}

/// A client repeats a check all day, names site after site, and comes back on the next day: its list stays short, and other
/// clients' sightings stay in sight.
pub(crate) async fn repeats_of_a_day_are_one_sighting_with_their_count(database: &Database) {
    let store = database.open().await;
    let organization = stored_organization(&store).await;
    let listing = ListingId::from_u128(1);
    let (busy, other): (ClientId, ClientId) = (random::id(NOW_MS), random::id(NOW_MS));
    let at = |n: i64, client, site: Option<&str>| NewSighting {
        client: Some(client),
        site: site.map(|site| Label::parse(site).unwrap()),
        ..sighting(listing, organization, n)
    };
    let repeats: Vec<_> = (0..700).map(|n| at(n, busy, Some("west"))).collect();
    insert(&store, &repeats[..300]).await;
    // Moved again after a crash, beside what is new: each counts once.
    insert(&store, &repeats[200..]).await;
    insert(&store, &[at(5, other, Some("west"))]).await;
    let listed = store.list_sightings(&[listing], None, 10).await.unwrap();
    let told: Vec<_> = listed.iter().map(|one| (one.checks, one.first_seen_at_ms, one.seen_at_ms)).collect();
    assert_eq!(told, [(1, later(5), later(5)), (700, later(0), later(699))]);
    assert_eq!(listed[1].check_id, repeats[0].check_id, "its place is that of the first check");
    let sites: Vec<_> = (0..100).map(|n| format!("site-{n}")).collect();
    let many: Vec<_> = (0..).zip(&sites).map(|(n, site)| at(1000 + n, busy, Some(site))).collect();
    insert(&store, &many[..10]).await;
    insert(&store, &many[10..]).await;
    let listed = store.list_sightings(&[listing], None, 1000).await.unwrap();
    let of_sites: Vec<_> = listed.iter().filter(|one| one.seen_at_ms >= later(1000)).collect();
    assert_eq!(of_sites.iter().map(|one| one.checks).sum::<u64>(), 100, "none is missing");
    assert_eq!((of_sites.len(), of_sites.iter().filter(|one| one.site.is_none()).count()), (16, 1));
    let tomorrow = NewSighting { seen_at_ms: later(0).plus(Duration::from_hours(24)), ..at(0, busy, Some("west")) };
    let before = listed.len();
    insert(&store, &[NewSighting { check_id: random::id(tomorrow.seen_at_ms), ..tomorrow }]).await;
    assert_eq!(store.list_sightings(&[listing], None, 1000).await.unwrap().len(), before + 1);
}

pub(crate) async fn every_record_of_a_number_may_have_been_sighted(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (number, other) = (key(), key());
    let (filed, imported) = (report(Some(own), number, NOW_MS), report(None, number, NOW_MS));
    store_reports(&store, &[filed.clone(), imported.clone(), report(None, other, NOW_MS)]).await;
    let (new, office) = (replacement(own, number), office());
    let (withdrawn_at, replaced_at) = write(&store, async |tx| {
        let stored = tx.find_report(own, filed.report_id).await.unwrap().unwrap();
        let withdrawn = tx.record_listing(&number).await.unwrap();
        let closing = Closing { at_ms: NOW_MS, office: &office, withdrawal: Some(WithdrawalReason::Found) };
        tx.close_report(&stored.report.withdraw().unwrap(), &closing, &withdrawn).await.unwrap();
        let change = tx.record_listing(&number).await.unwrap();
        tx.insert_replacement(&new, &change).await.unwrap();
        (withdrawn.sequence(), change.sequence())
    })
    .await;
    assert_eq!(replaced_at, withdrawn_at.next());
    let (versions, mut found) = store.sighting_candidates(&[key(), number]).await.unwrap();
    assert_eq!(versions, store.key_versions().await.unwrap());
    assert!(found.iter().all(|(key, _)| *key == number));
    let id = |candidate: &Candidate| match candidate {
        Candidate::Report { id, .. } => ListingId::from(*id),
        Candidate::Replacement { id, .. } => ListingId::from(*id),
    };
    found.sort_by_key(|(_, candidate)| id(candidate));
    let mut expected = vec![
        Candidate::Report {
            id: filed.report_id,
            state: ReportState::Withdrawn,
            card_valid_from: Some(LOST),
            sequence: withdrawn_at,
        },
        Candidate::Report {
            id: imported.report_id,
            state: ReportState::Active,
            card_valid_from: Some(LOST),
            sequence: Sequence::new(withdrawn_at.get() - 2),
        },
        Candidate::Replacement { id: new.replacement_id, card_valid_from: new.card_valid_from, taken_back: None },
    ];
    expected.sort_by_key(id);
    assert_eq!(found.into_iter().map(|(_, candidate)| candidate).collect::<Vec<_>>(), expected);
    let (_, both) = store.sighting_candidates(&[other, number]).await.unwrap();
    assert_eq!(both.len(), 4);
    assert!(store.sighting_candidates(&[key()]).await.unwrap().1.is_empty());
}
