//! The peppers that this node looks up by. Which versions are in use is the store's word, read in the statement that reads the
//! rows; here their keys are fetched from the key folder, and none is used that the store does not recognise.

use std::sync::Arc;

use super::state::{Registry, RegistryError};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::keyfiles::Purpose;
use crate::crypto::pepper::{KeyVersions, Peppers};
use crate::crypto::{KeyCheck, KeyError};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

/// How often a look-up is repeated because the peppers changed under it: a second change takes a whole rotation.
pub const PEPPER_TRIES_MAX: usize = 3;

/// What is recorded of some numbers, at one moment.
#[derive(Debug)]
pub(super) struct RecordsRead {
    pub head: Sequence,
    /// The pepper of the keys.
    pub key_version: u32,
    /// Of each number, the key that a copy of it is kept under, and its records.
    pub numbers: Vec<(LookupKey, Vec<Record>)>,
}

impl Registry {
    /// The versions that this node looks up by; they may be behind the store's.
    pub fn key_versions(&self) -> KeyVersions {
        self.snapshot.load().peppers.versions()
    }

    /// The peppers of these versions, from the key folder if they are new.
    pub async fn peppers_for(&self, versions: KeyVersions) -> Result<Arc<Peppers>, RegistryError> {
        let in_use = Arc::clone(&self.snapshot.load().peppers);
        if in_use.versions() == versions {
            return Ok(in_use);
        }
        if self.keyring.peppers(versions).is_err() {
            self.keyring.reload_peppers()?;
        }
        for version in versions.all() {
            self.is_known(&self.keyring.pepper_check(version)?).await?;
        }
        Ok(Arc::new(self.keyring.peppers(versions)?))
    }

    /// Takes up peppers that were added to the folder, and tells the rotating command that this node holds them.
    pub async fn tend_peppers(&self) -> Result<(), RegistryError> {
        self.keyring.reload_peppers()?;
        let Some(noted) = self.store.noted_pepper(self.node).await? else { return Ok(()) };
        let checks = self.keyring.check_values();
        // The newest first. One that is only prepared is not known to the store yet.
        for check in checks.iter().rev().filter(|check| check.purpose == Purpose::Pepper) {
            if check.version == noted {
                break;
            }
            if self.is_known(check).await? {
                self.store.note_pepper(self.node, check.version).await?;
                break;
            }
        }
        Ok(())
    }

    /// What is recorded of each number. Asks by the snapshot's peppers, and once more where the store's rows are keyed by others by now.
    pub(super) async fn read_records(&self, digests: &[IdDigest]) -> Result<RecordsRead, RegistryError> {
        let mut peppers = Arc::clone(&self.snapshot.load().peppers);
        for _ in 0..PEPPER_TRIES_MAX {
            let keys: Vec<_> = digests.iter().flat_map(|digest| peppers.lookup_keys(digest)).collect();
            let read = self.store.records_of(&keys).await?;
            if !peppers.versions().cover(read.key_versions) {
                self.wake.notify_one();
                peppers = self.peppers_for(read.key_versions).await?;
                continue;
            }
            let keys_each = peppers.versions().all().count();
            let mut records = read.records.into_iter();
            let of_number = |keys: &[LookupKey]| (keys[0], records.by_ref().take(keys_each).flatten().collect());
            let numbers = keys.chunks(keys_each).map(of_number).collect();
            return Ok(RecordsRead { head: read.head, key_version: peppers.current.version(), numbers });
        }
        Err(RegistryError::TooSlow)
    }

    /// Whether the store knows a pepper of that version. One that differs from the known one is forgotten, so that the right one
    /// is taken up when it is there.
    async fn is_known(&self, check: &KeyCheck) -> Result<bool, RegistryError> {
        match self.store.key_check(check.purpose, check.version).await? {
            Some(value) if value != check.value => {
                self.keyring.forget_peppers_from(check.version);
                Err(KeyError::ForeignPepper { version: check.version }.into())
            }
            known => Ok(known.is_some()),
        }
    }
}
