//! The values by which a store knows its keys.

use lostcard::crypto::keyfiles::KeyFolder;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::crypto::{KeyCheck, Keyring};
use lostcard::store::keys::KeyMatch;
use lostcard::store::rotation::Switch;
use tempfile::TempDir;

use crate::backend::Database;

pub(crate) fn keyring() -> Keyring {
    keyring_in(&tempfile::tempdir().unwrap())
}

/// Keys in a folder that stays, so that others can be made beside them.
fn keyring_in(dir: &TempDir) -> Keyring {
    let folder = KeyFolder::new(dir.path().join("keys"));
    folder.create_all().unwrap();
    Keyring::open(folder).unwrap()
}

pub(crate) async fn keys_are_recognised(database: &Database) {
    let store = database.open().await;
    let (own, other) = (keyring(), keyring());
    assert!(!store.knows_keys().await.unwrap());
    assert_eq!(store.match_keys(&own.check_values()).await.unwrap(), KeyMatch::Unknown);
    store.remember_keys(&own.check_values()).await.unwrap();
    assert!(store.knows_keys().await.unwrap());
    assert_eq!(store.match_keys(&own.check_values()).await.unwrap(), KeyMatch::Same);
    assert_eq!(store.match_keys(&other.check_values()).await.unwrap(), KeyMatch::Different);
    let mixed = [own.check_values()[0].clone(), other.check_values()[1].clone()];
    assert_eq!(store.match_keys(&mixed).await.unwrap(), KeyMatch::Different);
    let mut later = own.check_values();
    later[1].version += 1;
    assert_eq!(store.match_keys(&later).await.unwrap(), KeyMatch::Different, "a seal key that the store does not know");
}

pub(crate) async fn every_pepper_in_use_is_needed_and_no_other(database: &Database) {
    let store = database.open().await;
    let folder = tempfile::tempdir().unwrap();
    let own = keyring_in(&folder);
    store.remember_keys(&own.check_values()).await.unwrap();
    own.create_pepper(2, None).unwrap();
    let [one, two, seal] = own.check_values().try_into().unwrap();
    let matches = async |checks: &[&KeyCheck]| {
        let checks: Vec<_> = checks.iter().copied().cloned().collect();
        store.match_keys(&checks).await.unwrap()
    };
    assert_eq!(matches(&[&one, &two, &seal]).await, KeyMatch::Same, "one that is only prepared does no harm");
    assert_eq!(matches(&[&two, &seal]).await, KeyMatch::Lacks { pepper: 1 });
    assert!(store.remember_key(&two).await.unwrap());
    let foreign = KeyCheck { version: 2, ..keyring().check_values()[0].clone() };
    assert!(!store.remember_key(&foreign).await.unwrap(), "the first of a version wins");
    assert_eq!(store.newest_known_pepper().await.unwrap(), 2);
    assert_eq!(matches(&[&one, &foreign, &seal]).await, KeyMatch::Different);
    assert_eq!(store.begin_rotation(1, 2, false).await.unwrap(), Switch::Done);
    assert_eq!(matches(&[&one, &seal]).await, KeyMatch::Lacks { pepper: 2 });
    assert_eq!(matches(&[&two, &seal]).await, KeyMatch::Lacks { pepper: 1 }, "until the rotation has ended");
    assert!(store.end_rotation(store.key_versions().await.unwrap()).await.unwrap());
    assert_eq!(matches(&[&two, &seal]).await, KeyMatch::Same);
    assert_eq!(matches(&[&one, &two, &seal]).await, KeyMatch::Same);
}

pub(crate) async fn the_newest_pepper_of_a_first_start_is_in_use(database: &Database) {
    let store = database.open().await;
    let folder = tempfile::tempdir().unwrap();
    let own = keyring_in(&folder);
    own.create_pepper(3, Some(1)).unwrap();
    store.remember_keys(&own.check_values()).await.unwrap();
    assert_eq!(store.key_versions().await.unwrap(), KeyVersions { current: 3, previous: None });
    assert_eq!(store.match_keys(&own.check_values()).await.unwrap(), KeyMatch::Same);
}

pub(crate) async fn the_first_of_two_starts_wins(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let (first, second) = (keyring(), keyring());
    one.remember_keys(&first.check_values()).await.unwrap();
    two.remember_keys(&second.check_values()).await.unwrap();
    assert_eq!(two.match_keys(&first.check_values()).await.unwrap(), KeyMatch::Same);
    assert_eq!(two.match_keys(&second.check_values()).await.unwrap(), KeyMatch::Different);
}
