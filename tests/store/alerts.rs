//! Watches, alerts and deliveries: found by their key until they end, counted without a gap, claimed by one node at a time.

use std::time::Duration;

use futures_util::future::join_all;
use lostcard::domain::alert::AlertKind;
use lostcard::domain::ids::{OrganizationId, WebhookId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::sequence::AlertSequence;
use lostcard::domain::verdict::ListingKind;
use lostcard::store::alerts::{NewAlert, StoredWatch, Watch};
use lostcard::store::webhooks::{CLAIMED_OF_ONE_MAX, Delivery, Webhook};
use lostcard::store::{Store, StoreError};
use sqlx::{Connection, Executor};

use crate::backend::Database;
use crate::records::{LOST, NOW_MS, id, key, later, stored_organization, write};

const END_MS: UnixMs = later(3_600_000);
const MS: Duration = Duration::from_millis(1);

fn watch(organization: OrganizationId) -> Watch {
    Watch {
        watch_id: id(),
        organization,
        client: id(),
        lookup_key: key(),
        key_version: 1,
        card_valid_from: Some(LOST),
        ends_at_ms: END_MS,
    }
}

fn alert(organization: OrganizationId) -> NewAlert {
    NewAlert {
        alert_id: id(),
        organization,
        check_id: id(),
        kind: AlertKind::NumberListed,
        listing: ListingKind::Superseded,
        source: None,
    }
}

async fn store_alerts(store: &Store, alerts: &[NewAlert]) {
    write(store, async |tx| tx.insert_alerts(alerts, NOW_MS).await.unwrap()).await;
}

async fn stored_webhook(store: &Store, organization: OrganizationId) -> WebhookId {
    let new = Webhook {
        webhook_id: id(),
        organization,
        url: "https://bank.example/".to_owned(),
        created_at_ms: NOW_MS,
        failing_since_ms: None,
        disabled_at_ms: None,
    };
    write(store, async |tx| tx.insert_webhook(&new, b"sealed").await.unwrap()).await;
    assert!(store.list_webhooks().await.unwrap().contains(&new));
    new.webhook_id
}

/// As retention does.
async fn delete_alerts(database: &Database) {
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    connection.execute("DELETE FROM alerts").await.unwrap();
    connection.close().await.unwrap();
}

async fn due(store: &Store) -> Vec<Delivery> {
    store.due_deliveries(NOW_MS, 100).await.unwrap()
}

async fn sequences(store: &Store, organization: OrganizationId) -> Vec<u64> {
    let alerts = store.list_alerts(organization, AlertSequence::ZERO, 1000).await.unwrap();
    alerts.iter().map(|alert| alert.sequence.get()).collect()
}

pub(crate) async fn a_watch_is_found_by_its_key_until_it_ends(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (dated, undated) = (watch(own), Watch { card_valid_from: None, ..watch(own) });
    write(&store, async |tx| tx.insert_watches(&[dated.clone(), undated.clone()]).await.unwrap()).await;
    let mut tx = store.begin().await.unwrap();
    let found = tx.watches_of(&[key(), undated.lookup_key, dated.lookup_key], END_MS.minus(MS)).await.unwrap();
    assert_eq!(found.len(), 2);
    let expected = StoredWatch {
        watch_id: dated.watch_id,
        organization: own,
        lookup_key: dated.lookup_key,
        card_valid_from: Some(LOST),
    };
    assert!(found.contains(&expected), "{found:?}");
    assert_eq!(tx.watches_of(&[dated.lookup_key], END_MS).await.unwrap(), []);
    // More keys than one statement takes.
    let mut keys: Vec<_> = (0..9_000).map(|_| key()).collect();
    keys[8_500] = dated.lookup_key;
    assert_eq!(tx.watches_of(&keys, NOW_MS).await.unwrap(), [expected]);
    assert_eq!((tx.has_watches(1).await.unwrap(), tx.has_watches(2).await.unwrap()), (true, false));
    let foreign = tx.insert_watches(&[Watch { key_version: 2, ..watch(own) }]).await;
    assert!(matches!(foreign, Err(StoreError::OtherPepper)));
}

pub(crate) async fn ended_watches_are_deleted_and_no_others(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let mut watches: Vec<_> = (0..5_001).map(|_| watch(own)).collect();
    watches[0].ends_at_ms = END_MS.plus(MS);
    write(&store, async |tx| tx.insert_watches(&watches).await.unwrap()).await;
    assert_eq!(store.delete_ended_watches(END_MS.minus(MS)).await.unwrap(), 0);
    assert_eq!(store.delete_ended_watches(END_MS).await.unwrap(), 5_000);
    assert_eq!(store.watch_versions().await.unwrap(), [1]);
    assert_eq!(store.delete_ended_watches(END_MS.plus(MS)).await.unwrap(), 1);
    assert!(store.watch_versions().await.unwrap().is_empty());
}

pub(crate) async fn an_alert_ends_its_watch_and_is_its_organizations_alone(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let (told, kept) = (watch(own), watch(own));
    write(&store, async |tx| tx.insert_watches(&[told.clone(), kept.clone()]).await.unwrap()).await;
    let mut tx = store.begin().await.unwrap();
    let found = tx.watches_of(&[told.lookup_key], NOW_MS).await.unwrap()[0];
    let new = NewAlert {
        check_id: found.watch_id,
        organization: found.organization,
        kind: AlertKind::CardListed,
        ..alert(own)
    };
    tx.insert_alerts(&[new], NOW_MS).await.unwrap();
    tx.commit().await.unwrap();
    let listed = store.list_alerts(own, AlertSequence::ZERO, 10).await.unwrap();
    let (only, rest) = listed.split_first().unwrap();
    assert_eq!((only.alert_id, only.check_id, only.sequence.get(), rest.len()), (new.alert_id, told.watch_id, 1, 0));
    assert_eq!((only.kind, only.listing, only.listed_at_ms), (AlertKind::CardListed, ListingKind::Superseded, NOW_MS));
    assert!(store.list_alerts(other, AlertSequence::ZERO, 10).await.unwrap().is_empty());
    let mut tx = store.begin().await.unwrap();
    let left = tx.watches_of(&[told.lookup_key, kept.lookup_key], NOW_MS).await.unwrap();
    assert_eq!(left.iter().map(|watch| watch.watch_id).collect::<Vec<_>>(), [kept.watch_id]);
}

pub(crate) async fn alerts_are_counted_without_a_gap_and_no_number_twice(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let (own, other) = (stored_organization(&one).await, stored_organization(&one).await);
    let writers = (0..20).map(|n| {
        let store = if n % 2 == 0 { &one } else { &two };
        async move { store_alerts(store, &[alert(own), alert(other), alert(own)]).await }
    });
    // A reader sees a prefix, whenever it looks.
    let reader = async {
        for _ in 0..20 {
            let seen = sequences(&two, own).await;
            assert!(seen.iter().copied().eq(1..=seen.len() as u64), "{seen:?}");
        }
    };
    futures_util::future::join(join_all(writers), reader).await;
    assert_eq!(sequences(&one, own).await, (1..=40).collect::<Vec<_>>());
    assert_eq!(sequences(&one, other).await, (1..=20).collect::<Vec<_>>());
    let page = one.list_alerts(own, AlertSequence::new(38), 1).await.unwrap();
    assert_eq!(page.iter().map(|alert| alert.sequence.get()).collect::<Vec<_>>(), [39]);
    let mut tx = one.begin().await.unwrap();
    tx.insert_alerts(&[alert(own)], NOW_MS).await.unwrap();
    drop(tx);
    delete_alerts(database).await;
    stored_webhook(&one, own).await;
    store_alerts(&one, &[alert(own)]).await;
    assert_eq!(sequences(&one, own).await, [41], "neither after a roll-back nor after their deletion");
    assert_eq!((due(&one).await.len(), one.delete_stranded_deliveries().await.unwrap()), (1, 0));
    delete_alerts(database).await;
    assert_eq!((due(&one).await.len(), one.delete_stranded_deliveries().await.unwrap()), (0, 1));
}

pub(crate) async fn a_delivery_is_claimed_by_one_of_two_nodes(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let own = stored_organization(&one).await;
    let webhook = stored_webhook(&one, own).await;
    store_alerts(&one, &[alert(own), alert(own), alert(own)]).await;
    let (seen, same) = (due(&one).await, due(&two).await);
    assert_eq!((seen.len(), seen[0].attempts, seen[0].secrets.current.as_slice()), (3, 0, b"sealed".as_slice()));
    let until_ms = later(20_000);
    let (first, second) = tokio::join!(one.claim_deliveries(seen, until_ms), two.claim_deliveries(same, until_ms));
    let mut claimed = [first.unwrap(), second.unwrap()].concat();
    claimed.sort_by_key(|delivery| delivery.alert.sequence);
    assert_eq!(claimed.iter().map(|delivery| delivery.alert.sequence.get()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(due(&one).await.is_empty());
    // The second was delivered, the third failed, and the node of the first died.
    one.settle_delivered(&claimed[1]).await.unwrap();
    let again_ms = later(60_000);
    assert_eq!(one.settle_failed(&claimed[2], Some(again_ms), later(5)).await.unwrap(), Some(later(5)));
    let late = two.due_deliveries(until_ms, 10).await.unwrap();
    assert_eq!(
        late.iter().map(|delivery| (delivery.alert.sequence.get(), delivery.attempts)).collect::<Vec<_>>(),
        [(1, 1)]
    );
    let taken_over = two.claim_deliveries(late, later(40_000)).await.unwrap();
    assert_eq!(one.settle_failed(&claimed[0], None, NOW_MS).await.unwrap(), None, "it is another node's by now");
    assert_eq!(two.settle_failed(&taken_over[0], None, later(9)).await.unwrap(), Some(later(5)), "since the first");
    let left = two.due_deliveries(again_ms, 10).await.unwrap();
    assert_eq!(left.iter().map(|delivery| delivery.alert.sequence.get()).collect::<Vec<_>>(), [3]);
    assert_eq!(left[0].webhook.failing_since_ms, Some(later(5)));
    two.settle_delivered(&left[0]).await.unwrap();
    let stored = two.list_webhooks().await.unwrap();
    assert_eq!((stored[0].webhook_id, stored[0].failing_since_ms), (webhook, None));
}

pub(crate) async fn no_endpoint_fills_a_claim(database: &Database) {
    let store = database.open().await;
    let (busy, quiet) = (stored_organization(&store).await, stored_organization(&store).await);
    stored_webhook(&store, busy).await;
    let other = stored_webhook(&store, quiet).await;
    let alerts: Vec<_> = (0..50).map(|_| alert(busy)).collect();
    store_alerts(&store, &alerts).await;
    store_alerts(&store, &[alert(quiet)]).await;
    let taken = store.due_deliveries(NOW_MS, 32).await.unwrap();
    assert_eq!(taken.len(), CLAIMED_OF_ONE_MAX + 1);
    assert!(taken.iter().any(|delivery| delivery.webhook.webhook_id == other));
}

pub(crate) async fn an_endpoint_that_is_not_enabled_gets_nothing(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (disabled, removed) = (stored_webhook(&store, own).await, stored_webhook(&store, own).await);
    store_alerts(&store, &[alert(own)]).await;
    assert_eq!(due(&store).await.len(), 2);
    write(&store, async |tx| {
        assert!(tx.disable_webhook(disabled, NOW_MS).await.unwrap());
        assert!(!tx.disable_webhook(disabled, later(1)).await.unwrap(), "once");
        assert!(tx.remove_webhook(removed).await.unwrap());
        assert!(!tx.remove_webhook(removed).await.unwrap());
        assert!(!tx.enable_webhook(removed).await.unwrap());
        assert!(!tx.rotate_webhook_secret(removed, b"x", NOW_MS).await.unwrap());
    })
    .await;
    store_alerts(&store, &[alert(own)]).await;
    assert!(due(&store).await.is_empty());
    assert_eq!(store.delete_stranded_deliveries().await.unwrap(), 0);
    write(&store, async |tx| assert!(tx.enable_webhook(disabled).await.unwrap())).await;
    assert!(due(&store).await.is_empty(), "alerts from its enabling on");
    write(&store, async |tx| assert!(tx.rotate_webhook_secret(disabled, b"new", later(7)).await.unwrap())).await;
    store_alerts(&store, &[alert(own)]).await;
    let told = due(&store).await;
    assert_eq!((told.len(), told[0].alert.sequence.get()), (1, 3));
    assert_eq!(told[0].secrets.current, b"new");
    assert_eq!(told[0].secrets.old, Some((b"sealed".to_vec(), later(7))));
}
