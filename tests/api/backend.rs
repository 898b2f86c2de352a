//! What the suite's nodes run on: SQLite in each node's folder, or a database of its own in a PostgreSQL server that the whole
//! binary shares; without Redis, or with a shared one. Chosen by `LOSTCARD_TEST_STORE=sqlite|postgres` and
//! `LOSTCARD_TEST_REDIS=off|on`; `tests/run` runs the suite for all four.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use lostcard::config::Config;

use crate::servers::{postgres, shared};

/// Whether the suite runs on PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    static STORE: LazyLock<bool> =
        LazyLock::new(|| match std::env::var("LOSTCARD_TEST_STORE").as_deref().unwrap_or("sqlite") {
            "sqlite" => false,
            "postgres" => true,
            other => panic!("LOSTCARD_TEST_STORE is sqlite or postgres, not {other}"),
        });
    *STORE
}

/// The Redis server of the suite, if it runs with one. What nodes keep there is apart by the epoch of their stores.
pub(crate) fn redis_url() -> Option<String> {
    match std::env::var("LOSTCARD_TEST_REDIS").as_deref().unwrap_or("off") {
        "off" => None,
        "on" => Some(shared::redis().url()),
        other => panic!("LOSTCARD_TEST_REDIS is off or on, not {other}"),
    }
}

/// Every name and value that the suite's Redis holds; None without one.
pub(crate) fn redis_contents() -> Option<Vec<u8>> {
    redis_url()?;
    let names = shared::redis().command(&["--raw", "KEYS", "*"]);
    let values =
        shared::redis().command(&[&["--raw", "MGET", "none"], &names.lines().collect::<Vec<_>>()[..]].concat());
    Some(format!("{names}\n{values}").into_bytes())
}

/// The database of whatever runs on this data folder, made when it is first asked for; none is the embedded one.
pub(crate) fn database_url(data: &Path) -> Option<String> {
    let mut databases = DATABASES.lock().unwrap();
    let made = || is_postgres().then(|| shared::postgres().create_database());
    databases.entry(data.to_owned()).or_insert_with(made).clone()
}

/// Makes the store of a folder the embedded one, whatever the suite runs on: for what is about its file or its one lock.
pub(crate) fn embed(config: &mut Config) {
    DATABASES.lock().unwrap().insert(config.data.clone(), None);
    config.database_url = None;
}

/// By data folder.
static DATABASES: LazyLock<Mutex<HashMap<PathBuf, Option<String>>>> = LazyLock::new(Mutex::default);

/// Every byte that the database of a data folder keeps in files: tables and the log of changes.
pub(crate) fn database_files(data: &Path) -> Vec<u8> {
    let Some(url) = database_url(data) else {
        let files = ["lostcard.db", "lostcard.db-wal", "lostcard.db-shm"];
        return files.iter().flat_map(|name| std::fs::read(data.join(name)).unwrap_or_default()).collect();
    };
    // What is only in the server's memory comes into the tables' files.
    postgres::query(&url, "CHECKPOINT");
    let oid = postgres::query(&url, "SELECT oid FROM pg_database WHERE datname = current_database()");
    let cluster = shared::postgres().folder().join("data");
    let folders = [cluster.join("base").join(oid.trim()), cluster.join("pg_wal")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    // A segment of the log may be recycled meanwhile; folders cannot be read.
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default()).collect()
}
