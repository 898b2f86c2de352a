//! Who looked at a person's records: asked by the person, through a portal, or by the operator, who both have the number. Each such
//! look leaves its own entry before anything is told.

use std::sync::Arc;

use super::ServiceError;
use super::writing::Writer;
use crate::crypto::Keyring;
use crate::crypto::digest::IdDigest;
use crate::domain::audit::{Action, Behind, Deed};
use crate::domain::client::Actor;
use crate::domain::instant::UnixMs;
use crate::registry::RegistryError;
use crate::registry::peppers::PEPPER_TRIES_MAX;
use crate::store::Store;
use crate::store::accesses::{Access, Known, Told};

/// Entries that are read at a time.
const PAGE_ENTRIES: usize = 1000;

/// Answers portals and operators.
#[derive(Debug)]
pub struct Accesses {
    writer: Arc<Writer>,
}

impl Accesses {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// What the one who asks may know, newest first, before an entry.
    pub async fn list(
        &self,
        actor: Actor,
        digest: &IdDigest,
        told: Told,
        before: Option<u64>,
        count_max: usize,
    ) -> Result<Vec<Access>, ServiceError> {
        let (store, tag) = (&self.writer.store, self.writer.tag(digest));
        let read = async |keys: Vec<_>| store.list_accesses(&Known { tag, keys }, told, before, count_max).await;
        let found = self.writer.read_by_number(digest, read).await?;
        self.writer.note(&Deed::of_many(actor, Action::AccessesRead).about([tag])).await?;
        Ok(found)
    }
}

/// All of it, newest first, for the operator, with an entry that says so.
pub async fn who(
    store: &Store,
    keyring: &Keyring,
    digest: &IdDigest,
    behind: &Behind,
    now_ms: UnixMs,
) -> Result<Vec<Access>, ServiceError> {
    let mut all: Vec<Access> = Vec::new();
    loop {
        let before = all.last().map(|last| last.sequence);
        let page = page(store, keyring, digest, before).await?;
        let is_last = page.len() < PAGE_ENTRIES;
        all.extend(page);
        if is_last {
            break;
        }
    }
    let deed = Deed::of_operator(Action::AccessesRead, None).by(behind).about([keyring.audit().tag(digest)]);
    let mut tx = store.begin().await?;
    tx.record_deed(&deed, now_ms).await?;
    tx.commit_unlisted().await?;
    Ok(all)
}

async fn page(
    store: &Store,
    keyring: &Keyring,
    digest: &IdDigest,
    before: Option<u64>,
) -> Result<Vec<Access>, ServiceError> {
    let mut versions = store.key_versions().await?;
    for _ in 0..PEPPER_TRIES_MAX {
        let peppers = keyring.peppers(versions).map_err(RegistryError::from)?;
        let known = Known { tag: keyring.audit().tag(digest), keys: peppers.lookup_keys(digest).collect() };
        let (stored, found) = store.list_accesses(&known, Told::Operator, before, PAGE_ENTRIES).await?;
        if versions.cover(stored) {
            return Ok(found);
        }
        versions = stored;
    }
    Err(RegistryError::TooSlow.into())
}
