//! Organizations, clients, their proofs, revoked tokens.

use lostcard::crypto::random;
use lostcard::domain::authority::WaitingAct;
use lostcard::domain::client::{Actor, Rate};
use lostcard::domain::ids::ClientId;
use lostcard::store::administration::{AdminRequest, Approved, ListedClient, Seen};
use lostcard::store::clients::{Credential, Proof};
use lostcard::store::feed::ChangeKind;

use crate::backend::Database;
use crate::records::{NOW_MS, client, feed_after, id, later, organization, stored_organization, write};

pub(crate) async fn organizations_and_clients_are_read_as_written(database: &Database) {
    let store = database.open().await;
    let new = organization();
    write(&store, async |tx| tx.insert_organization(&new).await.unwrap()).await;
    let read = store.find_organization(new.organization_id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{new:?}"));
    let mut clients = vec![client(new.organization_id), client(new.organization_id)];
    clients[1].rate = Rate::parse("5/1s");
    for client in &clients {
        write(&store, async |tx| tx.insert_client(client).await.unwrap()).await;
        let read = store.find_client(client.client_id).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{client:?}"));
    }
    clients.sort_by_key(|client| client.client_id);
    assert_eq!(format!("{:?}", store.list_clients().await.unwrap()), format!("{clients:?}"));
    assert!(store.find_organization(id()).await.unwrap().is_none());
    assert!(store.find_client(ClientId::from_bytes(*new.organization_id.as_bytes())).await.unwrap().is_none());
    let stray = client(id());
    assert!(store.begin().await.unwrap().insert_client(&stray).await.is_err(), "a client belongs to an organization");
}

pub(crate) async fn clients_are_listed_by_pages_with_their_use(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let mut clients = vec![client(own), client(other), client(own)];
    for client in &clients {
        write(&store, async |tx| tx.insert_client(client).await.unwrap()).await;
    }
    clients.sort_by_key(|client| client.client_id);
    let ids = |page: &[ListedClient]| page.iter().map(|one| one.client.client_id).collect::<Vec<_>>();
    let all: Vec<_> = clients.iter().map(|client| client.client_id).collect();
    assert_eq!(ids(&store.list_clients_page(None, None, 2).await.unwrap()), all[..2]);
    assert_eq!(ids(&store.list_clients_page(None, Some(all[1]), 2).await.unwrap()), all[2..]);
    let of_own: Vec<_> =
        clients.iter().filter(|client| client.organization_id == own).map(|one| one.client_id).collect();
    assert_eq!(ids(&store.list_clients_page(Some(own), None, 9).await.unwrap()), of_own);
    assert_eq!(ids(&store.list_clients_page(Some(own), Some(of_own[0]), 9).await.unwrap()), of_own[1..]);
    let organizations = store.list_organizations(None, 1).await.unwrap();
    assert_eq!(organizations.len(), 1);
    let rest = store.list_organizations(Some(organizations[0].organization_id), 9).await.unwrap();
    assert_eq!(rest.len(), 1, "behind the first");
    let before = feed_after(&store, 0).await.changes.len();
    let seen = |last_used_at_ms, refused| [Seen { client: all[0], last_used_at_ms, refused }];
    for (at_ms, refused) in [(Some(later(9)), 2), (Some(later(5)), 0), (None, 3)] {
        store.note_seen(&seen(at_ms, refused)).await.unwrap();
    }
    let listed = store.find_listed_client(all[0]).await.unwrap().unwrap();
    assert_eq!((listed.last_used_at_ms, listed.refused), (Some(later(9)), 5), "the newest instant, and the sum");
    assert_eq!(feed_after(&store, 0).await.changes.len(), before, "no node need know");
}

pub(crate) async fn what_waits_for_a_second_operator_is_approved_once(database: &Database) {
    let store = database.open().await;
    let actor = Actor::new(id(), id());
    let new = AdminRequest {
        id: id(),
        actor,
        act: WaitingAct::UpdateClient,
        target: Some(id()),
        body: "{\"scopes\":[\"citizen\"]}".to_owned(),
        requested_at_ms: NOW_MS,
        approved: None,
        refused: None,
        work: None,
        done_at_ms: None,
        outcome: None,
    };
    write(&store, async |tx| tx.keep_admin_request(&new).await.unwrap()).await;
    let read = store.find_admin_request(new.id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{new:?}"));
    let approved = Approved { at_ms: later(5), by: id(), person: None, subject: id() };
    write(&store, async |tx| tx.approve_admin_request(new.id, &approved).await.unwrap()).await;
    let read = write(&store, async |tx| tx.read_admin_request(new.id).await.unwrap()).await.unwrap();
    assert_eq!(read.approved, Some(approved));
    assert!(store.find_admin_request(id()).await.unwrap().is_none());
    // What it leaves to do is taken by one node at a time, and ends once.
    assert!(!store.has_admin_work(later(6)).await.unwrap());
    write(&store, async |tx| tx.leave_admin_work(new.id, "work").await.unwrap()).await;
    assert!(store.has_admin_work(later(6)).await.unwrap());
    let take = async |now, until| write(&store, async |tx| tx.take_admin_work(now, until).await.unwrap()).await;
    let taken = take(later(6), later(10)).await.unwrap();
    assert_eq!((taken.id, taken.work.as_deref()), (new.id, Some("work")));
    assert!(take(later(10), later(20)).await.is_none());
    assert!(take(later(11), later(20)).await.is_some(), "its node has died");
    for (at_ms, outcome) in [(later(12), "first"), (later(13), "second")] {
        write(&store, async |tx| tx.end_admin_work(new.id, at_ms, outcome).await.unwrap()).await;
    }
    let read = store.find_admin_request(new.id).await.unwrap().unwrap();
    assert_eq!((read.done_at_ms, read.outcome.as_deref()), (Some(later(12)), Some("first")));
    assert!(!store.has_admin_work(later(99)).await.unwrap());
}

pub(crate) async fn the_two_newest_proofs_live(database: &Database) {
    let store = database.open().await;
    let new = client(stored_organization(&store).await);
    write(&store, async |tx| tx.insert_client(&new).await.unwrap()).await;
    let hashes: [[u8; 32]; 3] = std::array::from_fn(|_| random::bytes());
    for (n, hash) in hashes.iter().enumerate() {
        let at_ms = later(i64::try_from(n).unwrap());
        let proof = Proof::SecretHash(*hash);
        write(&store, async |tx| tx.add_proof(new.client_id, random::id(at_ms), &proof, at_ms).await.unwrap()).await;
    }
    let live = |all: Vec<Credential>| all.iter().map(|one| format!("{:?}", one.proof)).collect::<Vec<_>>();
    let secret = |hash: [u8; 32]| format!("{:?}", Proof::SecretHash(hash));
    assert_eq!(live(store.list_credentials(new.client_id).await.unwrap()), [secret(hashes[2]), secret(hashes[1])]);
    let key = Proof::Key("{\"kty\":\"OKP\"}".to_owned());
    write(&store, async |tx| tx.add_proof(new.client_id, random::id(later(9)), &key, NOW_MS).await.unwrap()).await;
    assert_eq!(live(store.list_credentials(new.client_id).await.unwrap()), [format!("{key:?}"), secret(hashes[2])]);
    assert!(store.list_credentials(id()).await.unwrap().is_empty());
}

pub(crate) async fn a_client_is_disabled_once(database: &Database) {
    let store = database.open().await;
    let new = client(stored_organization(&store).await);
    write(&store, async |tx| tx.insert_client(&new).await.unwrap()).await;
    for at_ms in [later(5), later(9)] {
        assert!(write(&store, async |tx| tx.disable_client(new.client_id, at_ms).await.unwrap()).await);
        let read = store.find_client(new.client_id).await.unwrap().unwrap();
        assert_eq!(read.disabled_at_ms, Some(later(5)), "the first instant stays");
    }
    assert!(!write(&store, async |tx| tx.disable_client(id(), NOW_MS).await.unwrap()).await);
}

pub(crate) async fn revoked_tokens_are_listed_from_an_instant_on(database: &Database) {
    let store = database.open().await;
    let (old, new) = (random::bytes::<32>(), random::bytes::<32>());
    for (token, at_ms) in [(old, NOW_MS), (new, later(10)), (new, later(20))] {
        write(&store, async |tx| tx.revoke_token(&token, at_ms).await.unwrap()).await;
    }
    assert_eq!(store.list_revoked_tokens(later(10)).await.unwrap(), [new]);
    assert_eq!(store.list_revoked_tokens(NOW_MS).await.unwrap().len(), 2);
}

pub(crate) async fn every_change_of_access_is_in_the_feed(database: &Database) {
    let store = database.open().await;
    let owner = stored_organization(&store).await;
    let (new, token) = (client(owner), random::bytes::<32>());
    write(&store, async |tx| tx.insert_client(&new).await.unwrap()).await;
    let proof = Proof::SecretHash(random::bytes());
    write(&store, async |tx| tx.add_proof(new.client_id, id(), &proof, NOW_MS).await.unwrap()).await;
    write(&store, async |tx| tx.disable_client(new.client_id, NOW_MS).await.unwrap()).await;
    write(&store, async |tx| tx.revoke_token(&token, NOW_MS).await.unwrap()).await;
    let page = feed_after(&store, 0).await;
    let changes: Vec<_> = page.changes.iter().map(|change| (change.kind, change.subject.as_slice())).collect();
    let (client, owner) = (new.client_id.as_bytes().as_slice(), owner.as_bytes().as_slice());
    let expected = [
        (ChangeKind::Organization, owner),
        (ChangeKind::Client, client),
        (ChangeKind::Client, client),
        (ChangeKind::Client, client),
        (ChangeKind::Token, token.as_slice()),
    ];
    assert_eq!(changes, expected);
}
