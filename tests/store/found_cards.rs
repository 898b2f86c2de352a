//! Found cards: whose they are, what they are matched to whichever comes first, and what a whole batch or a re-keying matches.

use jiff::civil::Date;
use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::crypto::seal::Envelope;
use lostcard::domain::card::CardValidity;
use lostcard::domain::client::RegionCode;
use lostcard::domain::found_card::{FoundCardState, HolderVerification, Succession};
use lostcard::domain::ids::{FoundCardId, OrganizationId, ReportId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::report::{OfficeCode, ReportState};
use lostcard::domain::sequence::Sequence;
use lostcard::store::aggregates::FOUND_CARDS;
use lostcard::store::found_cards::{Leaving, NewFoundCard};
use lostcard::store::reports::{Closing, NewReport};
use lostcard::store::rotation::Switch;
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{
    LOST, NOW_MS, TODAY, feed_after, id, key, later, number, office, replacement, report, store_reports,
    stored_organization, write,
};

const OTHER: Date = Date::constant(2010, 1, 1);

pub(crate) fn found_card(organization: OrganizationId, key: LookupKey, card_valid_from: Option<Date>) -> NewFoundCard {
    NewFoundCard {
        found_card_id: id(),
        organization,
        number: number(key),
        card_valid_from,
        found_on: TODAY,
        found_at_region: RegionCode::parse("310104").unwrap(),
        office: office(),
        contact: Some(Envelope { wrapped_key: vec![1; 60], sealed: vec![2; 40] }),
        matched_report: None,
        registered_at_ms: NOW_MS,
        registered_sequence: Sequence::ZERO,
    }
}

/// Stores a found card that nothing is matched to yet.
pub(crate) async fn store_found(store: &Store, new: &NewFoundCard) -> FoundCardId {
    write(store, async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_found_card(new).await.unwrap();
    })
    .await;
    new.found_card_id
}

fn report_of(key: LookupKey, card_valid_from: Option<Date>, reported_at_ms: UnixMs) -> NewReport {
    NewReport {
        validity: CardValidity::new(card_valid_from, None, TODAY).unwrap(),
        ..report(None, key, reported_at_ms)
    }
}

async fn matched(store: &Store, organization: OrganizationId, found_card: FoundCardId) -> Option<ReportId> {
    store.find_found_card(organization, found_card).await.unwrap().unwrap().card.matched_report
}

/// Ends a report as a withdrawal or a replacement does.
async fn end_report(store: &Store, report: ReportId, state: ReportState) {
    write(store, async |tx| {
        let mut stored = tx.find_any_report(report).await.unwrap().unwrap();
        stored.report.state = state;
        let change = tx.record_listing(&stored.lookup_key).await.unwrap();
        let closing = Closing { at_ms: NOW_MS, office: &office(), withdrawal: None };
        tx.close_report(&stored.report, &closing, &change).await.unwrap();
    })
    .await;
}

pub(crate) async fn a_found_card_is_read_as_written_by_its_own_organization_alone(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let new = NewFoundCard {
        matched_report: Some(id()),
        registered_sequence: Sequence::new(7),
        ..found_card(own, key(), Some(LOST))
    };
    store_found(&store, &new).await;
    let bare = NewFoundCard { contact: None, ..found_card(own, key(), None) };
    store_found(&store, &bare).await;
    let stored = store.find_found_card(own, new.found_card_id).await.unwrap().unwrap();
    assert_eq!((stored.card.id, stored.card.state), (new.found_card_id, FoundCardState::Held));
    assert_eq!((stored.card.card_valid_from, stored.card.matched_report), (Some(LOST), new.matched_report));
    assert_eq!((stored.found_on, stored.found_at_region, &stored.office), (TODAY, new.found_at_region, &new.office));
    assert_eq!((stored.registered_at_ms, stored.registered_sequence), (NOW_MS, Sequence::new(7)));
    assert_eq!((stored.number.lookup_key, stored.number.key_version), (new.number.lookup_key, 1));
    assert_eq!(stored.number.sealed_digest, new.number.sealed_digest);
    assert!(stored.leaving.is_none());
    let stored = store.find_found_card(own, bare.found_card_id).await.unwrap().unwrap();
    assert_eq!((stored.card.card_valid_from, stored.card.matched_report), (None, None));
    assert!(store.find_found_card(other, new.found_card_id).await.unwrap().is_none());
    let mut tx = store.begin().await.unwrap();
    assert!(tx.find_found_card(other, new.found_card_id).await.unwrap().is_none());
    assert!(tx.find_found_card(own, new.found_card_id).await.unwrap().is_some());
    let mut foreign = found_card(own, key(), None);
    foreign.number.key_version = 2;
    assert!(matches!(tx.insert_found_card(&foreign).await, Err(StoreError::OtherPepper)));
}

pub(crate) async fn a_found_card_that_left_says_how(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let to_office = OfficeCode::parse("310104-01").unwrap();
    for (state, holder_verified_by, to_office) in [
        (FoundCardState::Returned, Some(HolderVerification::Face), None),
        (FoundCardState::Destroyed, None, None),
        (FoundCardState::Transferred, None, Some(to_office)),
    ] {
        let found = store_found(&store, &found_card(own, key(), None)).await;
        write(&store, async |tx| {
            let mut card = tx.find_found_card(own, found).await.unwrap().unwrap().card;
            card.state = state;
            let leaving =
                Leaving { at_ms: later(1), office: office(), holder_verified_by, to_office: to_office.clone() };
            tx.close_found_card(&card, &leaving).await.unwrap();
        })
        .await;
        let stored = store.find_found_card(own, found).await.unwrap().unwrap();
        let leaving = stored.leaving.unwrap();
        assert_eq!((stored.card.state, leaving.at_ms, leaving.office), (state, later(1), office()));
        assert_eq!((leaving.holder_verified_by, leaving.to_office), (holder_verified_by, to_office));
    }
}

pub(crate) async fn a_later_report_takes_the_held_cards_it_may_be_about(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    for (found_from, reported_from, is_matched) in [
        (Some(LOST), Some(LOST), true),
        (Some(LOST), None, true),
        (None, Some(LOST), true),
        (None, None, true),
        (Some(LOST), Some(OTHER), false),
    ] {
        for is_batch in [false, true] {
            let (key, head) = (key(), feed_after(&store, 0).await.head);
            let found = store_found(&store, &found_card(own, key, found_from)).await;
            let left = store_found(&store, &found_card(own, key, found_from)).await;
            let anothers = store_found(&store, &found_card(own, crate::records::key(), found_from)).await;
            write(&store, async |tx| {
                let mut card = tx.find_found_card(own, left).await.unwrap().unwrap().card;
                card.state = FoundCardState::Transferred;
                let leaving = Leaving { at_ms: NOW_MS, office: office(), holder_verified_by: None, to_office: None };
                tx.close_found_card(&card, &leaving).await.unwrap();
            })
            .await;
            let new = report_of(key, reported_from, NOW_MS);
            store_reports(&store, std::slice::from_ref(&new)).await;
            let count = write(&store, async |tx| {
                if is_batch {
                    tx.match_held_cards(&[crate::records::key(), key]).await.unwrap().len() as u64
                } else {
                    tx.match_to_report(new.report_id, reported_from, &[crate::records::key(), key]).await.unwrap()
                }
            })
            .await;
            assert_eq!(count, u64::from(is_matched), "{found_from:?} {reported_from:?} {is_batch}");
            assert_eq!(matched(&store, own, found).await, is_matched.then_some(new.report_id));
            for card in [left, anothers] {
                assert_eq!(matched(&store, own, card).await, None, "not held, or another number's");
            }
            assert_eq!(feed_after(&store, 0).await.head, head.next(), "matching changes no listing");
        }
    }
}

pub(crate) async fn a_match_lasts_until_its_report_is_withdrawn(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    for (state, is_free) in
        [(ReportState::Active, false), (ReportState::Replaced, false), (ReportState::Withdrawn, true)]
    {
        for is_batch in [false, true] {
            let key = key();
            let (first, second) = (report_of(key, None, NOW_MS), report_of(key, Some(LOST), later(1)));
            let found = store_found(&store, &found_card(own, key, Some(LOST))).await;
            let file = async |new: &NewReport| {
                store_reports(&store, std::slice::from_ref(new)).await;
                let from = new.validity.valid_from();
                write(&store, async |tx| {
                    if is_batch {
                        tx.match_held_cards(&[key]).await.unwrap();
                    } else {
                        tx.match_to_report(new.report_id, from, &[key]).await.unwrap();
                    }
                })
                .await;
            };
            file(&first).await;
            end_report(&store, first.report_id, state).await;
            file(&second).await;
            let expected = if is_free { second.report_id } else { first.report_id };
            assert_eq!(matched(&store, own, found).await, Some(expected), "{state:?} {is_batch}");
        }
    }
}

pub(crate) async fn a_batch_matches_each_card_to_its_best_report(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    write(&store, async |tx| assert_eq!(tx.match_held_cards(&[key()]).await.unwrap().len(), 0, "none is held")).await;
    // More keys than one statement takes; a card lies under the first, the last, and one between.
    let mut keys: Vec<_> = (0..9_001).map(|_| key()).collect();
    let mut cards = Vec::new();
    for at in [0, 4_500, 9_000] {
        cards.push((store_found(&store, &found_card(own, keys[at], Some(LOST))).await, keys[at]));
    }
    let mut reports = Vec::new();
    let mut best = Vec::new();
    for (_, key) in &cards {
        let exact = report_of(*key, Some(LOST), later(1));
        reports.extend([
            report_of(*key, Some(LOST), NOW_MS),
            exact.clone(),
            report_of(*key, None, later(9)),
            report_of(*key, Some(OTHER), later(9)),
        ]);
        best.push(exact.report_id);
    }
    store_reports(&store, &reports).await;
    keys.push(keys[0]);
    let count = write(&store, async |tx| tx.match_held_cards(&keys).await.unwrap().len()).await;
    assert_eq!(count, 3);
    for ((card, _), report) in cards.iter().zip(best) {
        assert_eq!(matched(&store, own, *card).await, Some(report));
    }
}

pub(crate) async fn a_card_sees_which_replacements_came_after_it(database: &Database) {
    let store = database.open().await;
    let (own, listed) = (stored_organization(&store).await, key());
    let mut sequences = Vec::new();
    for key in [listed, key(), listed] {
        sequences.push(
            write(&store, async |tx| {
                let change = tx.record_listing(&key).await.unwrap();
                tx.insert_replacement(&replacement(own, key), &change).await.unwrap();
                change.sequence()
            })
            .await,
        );
    }
    let card_valid_from = Date::constant(2026, 11, 20);
    let mut tx = store.begin().await.unwrap();
    let mut seen = tx.successions(&[key(), listed], sequences[0]).await.unwrap();
    seen.sort_by_key(|succession| succession.is_later);
    assert_eq!(seen, [false, true].map(|is_later| Succession { card_valid_from, is_later }));
    assert_eq!(tx.successions(&[key()], Sequence::ZERO).await.unwrap(), []);
}

pub(crate) async fn a_rekeyed_card_meets_the_reports_of_its_new_key(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (old, new) = (key(), key());
    let found = store_found(&store, &found_card(own, old, Some(LOST))).await;
    let during = KeyVersions { current: 2, previous: Some(1) };
    assert_eq!(store.begin_rotation(1, 2, false).await.unwrap(), Switch::Done);
    // An import knows the new key alone.
    let mut imported = report_of(new, Some(LOST), NOW_MS);
    imported.number.key_version = 2;
    store_reports(&store, std::slice::from_ref(&imported)).await;
    let count = write(&store, async |tx| tx.match_held_cards(&[new]).await.unwrap().len()).await;
    assert_eq!((count, matched(&store, own, found).await), (0, None));
    write(&store, async |tx| tx.rekey(&FOUND_CARDS, &[(found.into(), new)], during).await.unwrap()).await;
    assert_eq!(matched(&store, own, found).await, Some(imported.report_id));
}
