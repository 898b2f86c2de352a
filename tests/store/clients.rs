//! Organizations, clients, their proofs, revoked tokens.

use lostcard::crypto::random;
use lostcard::domain::client::Rate;
use lostcard::domain::ids::ClientId;
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
