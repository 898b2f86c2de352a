//! Applications for a new card and their temporary cards: whose they are, what a transition keeps, and that a number's temporary
//! cards are found by its keys whatever becomes of the pepper.

use jiff::civil::Date;
use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::crypto::random;
use lostcard::domain::acceptance::Ground;
use lostcard::domain::application::{
    Application, ApplicationReason, ApplicationState, TemporaryCard, TemporaryCardState,
};
use lostcard::domain::ids::OrganizationId;
use lostcard::domain::report::OfficeCode;
use lostcard::store::aggregates::APPLICATIONS;
use lostcard::store::applications::{ApplicationClosing, NewApplication};
use lostcard::store::reports::SealedNumber;
use lostcard::store::rotation::Switch;
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{NOW_MS, TODAY, id, key, later, office, stored_organization, write};

const START: Date = Date::constant(2026, 11, 24);

fn application(organization: OrganizationId, lookup_key: LookupKey) -> NewApplication {
    NewApplication {
        application: Application::new(id(), Ground::Nationwide, ApplicationReason::Damaged, TODAY),
        organization,
        number: SealedNumber { lookup_key, key_version: 1, sealed_digest: random::bytes::<60>().to_vec() },
        applied_at_office: office(),
        household_office: OfficeCode::parse("310104-01").unwrap(),
        applied_at_ms: NOW_MS,
    }
}

async fn stored(store: &Store, organization: OrganizationId, lookup_key: LookupKey) -> NewApplication {
    let new = application(organization, lookup_key);
    write(store, async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_application(&new).await.unwrap();
    })
    .await;
    new
}

/// The temporary card of an application, issued.
async fn with_card(store: &Store, application: Application) -> TemporaryCard {
    let of = application.id;
    let card = application.issue_temporary_card(id(), START, START).unwrap().temporary_card.unwrap();
    write(store, async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_temporary_card(of, &card, &office(), later(1)).await.unwrap();
    })
    .await;
    card
}

async fn cards_from(store: &Store, keys: &[LookupKey], start: Date) -> Vec<TemporaryCard> {
    write(store, async |tx| {
        tx.take_turn().await.unwrap();
        let named: Vec<_> = keys.iter().map(|key| (*key, start)).collect();
        tx.temporary_cards_of(&named).await.unwrap()
    })
    .await
}

pub(crate) async fn an_application_is_read_as_written_by_its_own_organization_alone(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let new = stored(&store, own, key()).await;
    let of = new.application.id;
    let found = store.find_application(own, of).await.unwrap().unwrap();
    assert_eq!(found.application, new.application);
    assert_eq!((found.applied_at_ms, found.closed_at_ms, found.replacement_id), (NOW_MS, None, None));
    assert_eq!((found.applied_at_office, found.household_office), (new.applied_at_office, new.household_office));
    assert_eq!(found.sealed_digest, new.number.sealed_digest);
    assert!(store.find_application(other, of).await.unwrap().is_none());
    assert!(store.find_application(own, id()).await.unwrap().is_none());
    let mut tx = store.begin().await.unwrap();
    assert!(tx.find_application(other, of).await.unwrap().is_none());
    assert_eq!(tx.find_application(own, of).await.unwrap().unwrap().application, new.application);
}

pub(crate) async fn an_application_keeps_its_history(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (issued, cancelled) = (stored(&store, own, key()).await, stored(&store, own, key()).await);
    let card = with_card(&store, issued.application.clone()).await;
    let replacement = id();
    for (new, replacement_id) in [(&issued, Some(replacement)), (&cancelled, None)] {
        let office = office();
        write(&store, async |tx| {
            let found = tx.find_application(own, new.application.id).await.unwrap().unwrap().application;
            let ended =
                if replacement_id.is_some() { found.issue(Date::constant(2026, 12, 20)) } else { found.cancel() };
            let closing = ApplicationClosing { at_ms: later(2), office: &office, replacement_id };
            tx.close_application(&ended.unwrap(), &closing).await.unwrap();
        })
        .await;
        let found = store.find_application(own, new.application.id).await.unwrap().unwrap();
        let state = if replacement_id.is_some() { ApplicationState::Issued } else { ApplicationState::Cancelled };
        let temporary_card = replacement_id.map(|_| card);
        assert_eq!(found.application, Application { state, temporary_card, ..new.application.clone() });
        assert_eq!((found.closed_at_ms, found.replacement_id), (Some(later(2)), replacement_id));
        assert_eq!(found.applied_at_ms, NOW_MS);
    }
}

pub(crate) async fn an_application_has_one_temporary_card(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let new = stored(&store, own, key()).await;
    let card = with_card(&store, new.application.clone()).await;
    let found = store.find_application(own, new.application.id).await.unwrap().unwrap();
    assert_eq!(found.application.temporary_card, Some(card));
    let mut tx = store.begin().await.unwrap();
    tx.take_turn().await.unwrap();
    let second = TemporaryCard { id: id(), ..card };
    assert!(tx.insert_temporary_card(new.application.id, &second, &office(), NOW_MS).await.is_err());
}

pub(crate) async fn temporary_cards_of_a_number_are_found_by_their_start(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let (one, two) = (key(), key());
    let (first, second) = (stored(&store, own, one).await, stored(&store, other, one).await);
    stored(&store, own, one).await;
    let of_another_number = stored(&store, own, two).await;
    let first_card = with_card(&store, first.application.clone()).await;
    let second_card = with_card(&store, second.application.clone()).await;
    with_card(&store, of_another_number.application).await;
    let mut found = cards_from(&store, &[key(), one], START).await;
    found.sort_by_key(|card| card.id);
    let mut expected = [first_card, second_card];
    expected.sort_by_key(|card| card.id);
    assert_eq!(found, expected, "every organization's");
    assert!(cards_from(&store, &[one], TODAY).await.is_empty());
    assert!(cards_from(&store, &[key()], START).await.is_empty());
    let lost = first_card.reported_lost(Some(START)).unwrap();
    let returned = second_card.take_back().unwrap();
    write(&store, async |tx| {
        tx.take_turn().await.unwrap();
        tx.lose_temporary_cards(&[lost], later(3)).await.unwrap();
        tx.take_back_temporary_card(&returned, &office(), later(3)).await.unwrap();
    })
    .await;
    for (organization, application, state) in [
        (own, first.application.id, TemporaryCardState::Lost),
        (other, second.application.id, TemporaryCardState::Returned),
    ] {
        let found = store.find_application(organization, application).await.unwrap().unwrap();
        assert_eq!(found.application.temporary_card.unwrap().state, state);
    }
}

pub(crate) async fn an_application_is_rekeyed_with_the_rest(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (old, new) = (key(), key());
    let application = stored(&store, own, old).await;
    let card = with_card(&store, application.application.clone()).await;
    assert_eq!(store.begin_rotation(1, 2, false).await.unwrap(), Switch::Done);
    let during = KeyVersions { current: 2, previous: Some(1) };
    let row = [(application.application.id.into(), new)];
    let rekeyed = write(&store, async |tx| tx.rekey(&APPLICATIONS, &row, during).await.unwrap()).await;
    assert_eq!(rekeyed, 1);
    assert_eq!(cards_from(&store, &[new], START).await, [card]);
    assert!(cards_from(&store, &[old], START).await.is_empty());
    let mut tx = store.begin().await.unwrap();
    tx.take_turn().await.unwrap();
    let late = self::application(own, old);
    assert!(matches!(tx.insert_application(&late).await, Err(StoreError::OtherPepper)));
}
