//! The databases that the contract is run over, each fresh and empty for each case.

use lostcard::crypto::audit_key::AuditKey;
use lostcard::store::{Store, StoreOptions};
use tempfile::TempDir;

use crate::servers::shared;

/// A database of one case. Opened twice, it is what two processes see.
pub(crate) struct Database {
    data: TempDir,
    options: StoreOptions,
}

impl Database {
    pub(crate) fn url(&self) -> String {
        let embedded = || format!("sqlite:{}", self.data.path().join("lostcard.db").display());
        self.options.url.as_ref().map_or_else(embedded, |url| url.expose().to_owned())
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.options.url.is_none()
    }

    pub(crate) async fn open(&self) -> Store {
        let store = self.open_without_keys().await;
        store.use_audit_key(audit_key());
        store
    }

    pub(crate) async fn open_without_keys(&self) -> Store {
        Store::open(&self.options, self.data.path()).await.unwrap()
    }
}

/// One for all cases.
pub(crate) fn audit_key() -> AuditKey {
    AuditKey::new(&[7; 32])
}

/// The embedded database in a folder of its own.
pub(crate) fn sqlite() -> Database {
    Database { data: tempfile::tempdir().unwrap(), options: StoreOptions::default() }
}

/// A database of its own in a PostgreSQL server that the cases share.
pub(crate) fn postgres() -> Database {
    let options = StoreOptions { url: Some(shared::postgres().create_database().into()), ..StoreOptions::default() };
    Database { data: tempfile::tempdir().unwrap(), options }
}
