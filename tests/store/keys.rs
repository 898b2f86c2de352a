//! The values by which a store knows its keys.

use lostcard::crypto::Keyring;
use lostcard::crypto::keyfiles::KeyFolder;
use lostcard::store::keys::KeyMatch;

use crate::backend::Database;

fn keyring() -> Keyring {
    let dir = tempfile::tempdir().unwrap();
    let folder = KeyFolder::new(dir.path().join("keys"));
    folder.create_all().unwrap();
    Keyring::open(folder).unwrap()
}

pub(crate) async fn keys_are_recognised(database: &Database) {
    let store = database.open().await;
    let (own, other) = (keyring(), keyring());
    assert!(!store.knows_keys().await.unwrap());
    assert_eq!(store.match_keys(own.check_values()).await.unwrap(), KeyMatch::Unknown);
    store.remember_keys(own.check_values()).await.unwrap();
    assert!(store.knows_keys().await.unwrap());
    assert_eq!(store.match_keys(own.check_values()).await.unwrap(), KeyMatch::Same);
    assert_eq!(store.match_keys(other.check_values()).await.unwrap(), KeyMatch::Different);
    let mixed = [own.check_values()[0].clone(), other.check_values()[1].clone()];
    assert_eq!(store.match_keys(&mixed).await.unwrap(), KeyMatch::Different);
    let mut later = own.check_values().clone();
    later[0].version += 1;
    assert_eq!(store.match_keys(&later).await.unwrap(), KeyMatch::Different, "a version that the store does not know");
}

pub(crate) async fn the_first_of_two_starts_wins(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let (first, second) = (keyring(), keyring());
    one.remember_keys(first.check_values()).await.unwrap();
    two.remember_keys(second.check_values()).await.unwrap();
    assert_eq!(two.match_keys(first.check_values()).await.unwrap(), KeyMatch::Same);
    assert_eq!(two.match_keys(second.check_values()).await.unwrap(), KeyMatch::Different);
}
