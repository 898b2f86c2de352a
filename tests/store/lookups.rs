//! Look-ups by a worker that has much else to do.

use std::sync::Arc;
use std::time::Duration;

use lostcard::clock::Clock;
use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::random;
use lostcard::registry::disk::FilterFolder;
use lostcard::registry::{Copies, Registry, RegistryOptions};
use lostcard::telemetry::Metrics;

use crate::backend::Database;
use crate::keys::keyring;

/// How long the worker is away each time.
const AWAY: Duration = Duration::from_millis(400);

pub(crate) async fn a_busy_worker_does_not_take_its_own_delay_for_the_stores(database: &Database) {
    // The worker is this test's thread; the node, with the store's connections, is another one.
    let node = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = std::thread::scope(|scope| scope.spawn(|| node.block_on(database.open())).join().unwrap());
    let keyring = Arc::new(keyring());
    let folder = tempfile::tempdir().unwrap();
    let copies =
        Copies { shared: None, folder: FilterFolder::new(folder.path().to_path_buf(), keyring.fingerprints().clone()) };
    let peppers = keyring.peppers(store.key_versions().await.unwrap()).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let options = RegistryOptions { store_timeout: AWAY, ..RegistryOptions::default() };
    // Never loaded, so that each look-up asks the store.
    let registry = Arc::new(Registry::new(options, Clock::fixed_now(), store, keyring, peppers, copies, metrics));
    let digest = IdDigest::from_bytes(random::bytes());
    let much_else = async {
        loop {
            std::thread::sleep(AWAY);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        finding = registry.lookup(&digest) => assert!(finding.unwrap().listing.is_none()),
        () = much_else => {}
    }
    node.shutdown_background();
}
