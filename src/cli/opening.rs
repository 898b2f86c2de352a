//! How commands come to store and keys: one that looks makes nothing, one that changes something says what it made because it was not
//! there. A path with a slip in it would otherwise be a new registry, in silence.

use std::sync::Arc;

use crate::config::Config;
use crate::crypto::Keyring;
use crate::node::{self, Made};
use crate::store::Store;

use super::output;

/// Store and keys for a command that changes something.
pub(super) async fn open(config: &Config) -> anyhow::Result<(Store, Arc<Keyring>)> {
    let (store, keyring, made) = node::open(config).await?;
    for line in lines_of(&made) {
        output::error(&line);
    }
    Ok((store, keyring))
}

/// The store for a command that looks, as it is.
pub(super) async fn look(config: &Config) -> anyhow::Result<Store> {
    node::open_as_it_is(config).await
}

/// Store and keys for a command that reads what is sealed or leaves an entry in the audit log, where somebody has started with them.
pub(super) async fn open_what_is_there(config: &Config) -> anyhow::Result<(Store, Arc<Keyring>)> {
    look(config).await?.close().await;
    open(config).await
}

/// What is there now that was not there before.
pub(super) fn lines_of(made: &Made) -> Vec<String> {
    let store = made.store.as_ref().map(|place| format!("store made: {place}"));
    let keys = made.keys.as_ref().map(|folder| {
        let folder = folder.display();
        format!("keys made: {folder} (back them up, apart from the store: without them nobody can read it)")
    });
    store.into_iter().chain(keys).collect()
}
