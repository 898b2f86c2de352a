//! The locks of an embedded store: other processes see them for as long as this one holds them.

use lostcard::store::{Store, StoreOptions};

use crate::backend::is_postgres;
use crate::helpers::{TestApp, eventually};

#[tokio::test]
async fn a_store_that_is_opened_again_keeps_its_locks() {
    if is_postgres() {
        return;
    }
    let app = TestApp::spawn().await;
    let database = app.config.data.join("lostcard.db");
    let lock_from_outside = || {
        let mut command = std::process::Command::new("sqlite3");
        let output = command.arg(&database).arg("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK;").output();
        output.expect("the tests need the sqlite3 command").status.success()
    };
    // The node's own writers have their turns, too.
    eventually("a lock from outside", async || lock_from_outside()).await;
    let tx = app.hold_writers().await;
    assert!(!lock_from_outside());
    // To close a file gives up every lock of the process on it, whichever descriptor it was.
    let again = Store::open(&StoreOptions::default(), &app.config.data).await;
    assert!(!lock_from_outside(), "a second opening in this process has let go of the first one's locks");
    drop((tx, again));
}
