//! What an import and its undoing work with.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::known::Known;
use super::stop::Stop;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::crypto::keyfiles::KeyFolder;
use crate::domain::audit::Behind;
use crate::node;
use crate::registry::LEASE_DRIFT;
use crate::store::Store;
use crate::store::import_rows::SourceId;
use crate::store::keys::KeyMatch;

/// Store, keys, time, and whether to stop.
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    /// Who imports, and why.
    pub(super) behind: Behind,
}

impl Context {
    /// For a dry run: what is there, which stays as it is. None: there is no store yet, or no keys.
    pub(super) async fn as_it_is(config: &Config, stop: Stop, behind: Behind) -> anyhow::Result<Option<Self>> {
        let folder = KeyFolder::new(config.key_folder());
        let opened = Store::open_as_it_is(&node::patient_options(config), &config.data).await;
        let Some(store) = opened.context("store")? else { return Ok(None) };
        if folder.is_empty() || store.migrated().await?.is_new {
            store.close().await;
            return Ok(None);
        }
        let keyring = Arc::new(Keyring::open(folder)?);
        match store.match_keys(&keyring.check_values()).await? {
            KeyMatch::Same => Ok(Some(Self { store, keyring, clock: Clock::System, stop, behind })),
            _ => bail!("these are not the keys that the store was made with: no row of a source would be known"),
        }
    }

    /// By which a source is known.
    pub(super) fn source(&self, name: &str) -> SourceId {
        let full = self.keyring.fingerprints().of("import-source", &[name.as_bytes()]);
        let mut id = [0; 16];
        id.copy_from_slice(&full[..16]);
        id
    }

    /// What a source had before, where there is a source.
    pub(super) async fn known(&self, source: Option<SourceId>) -> anyhow::Result<Option<Known>> {
        let Some(source) = source else { return Ok(None) };
        let rows = self.store.list_import_rows(&source).await?;
        Ok(Some(Known::new(source, Arc::clone(&self.keyring), rows)))
    }

    /// The commit-wait of docs/decisions/004: a server on the same data answers from memory until its lease ends. Once this command
    /// has exited, each of them has read what changed or asks the store.
    pub(super) async fn end(&self, config: &Config) {
        self.store.close().await;
        wait_out_lease(config).await;
    }
}

/// Until no lease is left that was taken before now.
pub(crate) async fn wait_out_lease(config: &Config) {
    tokio::time::sleep(Duration::from_millis(config.registry.lease_ms) + LEASE_DRIFT).await;
}
