//! A store that is dead is told from one that is busy: a server that is gone, one that hangs, and one whose connections are taken.

use std::net::TcpListener;
use std::time::Duration;

use lostcard::store::{Silence, Store, StoreError, StoreOptions};

use crate::backend::Database;
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::shared;

fn options(url: &str) -> StoreOptions {
    StoreOptions { url: Some(url.to_owned().into()), connections_max: 1, ..StoreOptions::default() }
}

/// Address and silence of a store that is down; its words name the address and no password.
#[track_caller]
fn dead(error: &StoreError) -> (String, Silence) {
    let words = error.to_string();
    let StoreError::Dead { address, how } = error else { panic!("{error:?}") };
    assert!(words.contains(address.as_str()) && !words.contains("secret"), "{words}");
    (address.clone(), *how)
}

#[tokio::test]
async fn a_server_that_is_gone_or_hangs_is_down_and_not_busy() {
    let data = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = options(&format!("postgres://lostcard:secret@{address}/lostcard"));
    // It takes connections, for the system does, and says nothing.
    let hung = Store::open(&options, data.path()).await.unwrap_err();
    assert_eq!(dead(&hung), (address.to_string(), Silence::Hung));
    drop(listener);
    let refused = Store::open(&options, data.path()).await.unwrap_err();
    assert_eq!(dead(&refused), (address.to_string(), Silence::Refused));
}

#[tokio::test]
async fn a_server_that_dies_later_is_down_too_until_it_is_back() {
    let data = tempfile::tempdir().unwrap();
    let direct = shared::postgres().create_database();
    let proxy = Proxy::start(shared::postgres().address());
    let store = Store::open(&options(&proxy.url(&direct)), data.path()).await.unwrap();
    for (fault, how) in [(Fault::Hang, Silence::Hung), (Fault::Cut, Silence::Closed)] {
        proxy.set(fault);
        let lost = std::time::Instant::now();
        // A statement may break with its connection first.
        let error = loop {
            assert!(lost.elapsed() < Duration::from_secs(20), "{fault:?} is never told");
            match store.key_versions().await {
                Err(StoreError::Busy) => panic!("{fault:?} is told as busy"),
                Err(error @ StoreError::Dead { .. }) => break error,
                _ => {}
            }
        };
        assert_eq!(dead(&error).1, how, "{fault:?}");
        proxy.set(Fault::None);
        while store.key_versions().await.is_err() {
            assert!(lost.elapsed() < Duration::from_secs(40), "{fault:?} is over, and the store does not come back");
        }
    }
}

/// A server that hangs while one writer is at work is no busy one to those who wait for their turn.
#[tokio::test]
async fn writers_behind_one_that_hangs_are_told_that_the_server_is_down() {
    let data = tempfile::tempdir().unwrap();
    let direct = shared::postgres().create_database();
    let proxy = Proxy::start(shared::postgres().address());
    let store = Store::open(&options(&proxy.url(&direct)), data.path()).await.unwrap();
    let held = store.begin().await.unwrap();
    proxy.set(Fault::Hang);
    assert_eq!(dead(&store.begin().await.unwrap_err()).1, Silence::Hung);
    assert_eq!(dead(&store.why_no_turn().await).1, Silence::Hung);
    proxy.set(Fault::None);
    assert!(matches!(store.begin().await, Err(StoreError::Busy)), "it answers again, and one is at work still");
    drop(held);
}

pub(crate) async fn a_store_whose_connections_are_taken_is_busy(database: &Database) {
    let url = database.url();
    let url = if url.starts_with("sqlite") { format!("{url}?mode=rwc") } else { url };
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(&options(&url), data.path()).await.unwrap();
    let held = store.begin().await.unwrap();
    assert!(matches!(store.key_versions().await, Err(StoreError::Busy)));
    assert!(matches!(store.begin().await, Err(StoreError::Busy)));
    drop(held);
    store.key_versions().await.unwrap();
}
