//! What the keyed hashes of a log say: each entry has one that the service's key made. What a version without them wrote, or what
//! was restored or wrongly put together, is taken as it is by an entry behind it that says so: a link, which its own keyed hash and
//! the chain tie to all that is before.

use crate::crypto::audit::{End, Entry};
use crate::crypto::audit_key::AuditKey;
use crate::domain::audit::{Action, Deed};
use crate::domain::instant::UnixMs;
use crate::store::{Store, StoreError};

/// Judges keyed hashes, entry by entry.
#[derive(Debug)]
pub struct Keyed<'a> {
    key: &'a AuditKey,
    /// The first entry without one that no link has taken.
    plain: Option<u64>,
}

/// Why an entry is not the service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKeyed {
    #[error("entry {sequence} has no keyed hash, and no link behind it: it was written without the service's key")]
    Without { sequence: u64 },
    #[error(
        "entry {sequence} has a keyed hash that the service's key did not make: it, or one before it, was rewritten"
    )]
    Other { sequence: u64 },
}

impl<'a> Keyed<'a> {
    pub fn by(key: &'a AuditKey) -> Self {
        Self { key, plain: None }
    }

    /// Judges an entry whose hash is right.
    pub fn judge(&mut self, entry: &Entry) -> Result<(), NotKeyed> {
        let sequence = entry.sequence;
        if entry.keyed_hash.is_none() {
            self.plain = self.plain.or(Some(sequence));
            return Ok(());
        }
        if !self.key.made(entry) {
            return Err(NotKeyed::Other { sequence });
        }
        if entry.action == Action::LogLinked.as_str() {
            self.plain = None;
        }
        Ok(())
    }

    /// Judges the log at its end.
    pub fn judge_end(&self) -> Result<(), NotKeyed> {
        self.plain.map_or(Ok(()), |sequence| Err(NotKeyed::Without { sequence }))
    }
}

/// Takes the log as it is, with the entry that says so; returns what it is behind.
pub async fn link(store: &Store, deed: &Deed, now_ms: UnixMs) -> Result<End, StoreError> {
    let mut tx = store.begin().await?;
    tx.take_turn().await?;
    let end = tx.audit_end().await?;
    tx.record_deed(deed, now_ms).await?;
    tx.commit_unlisted().await?;
    Ok(end)
}

/// Links what a version without keyed hashes has written; does nothing where there is nothing.
pub async fn link_what_is_there(store: &Store, now_ms: UnixMs) -> Result<(), StoreError> {
    if !store.list_audit(0).await?.is_empty() {
        link(store, &Deed::of_operator(Action::LogLinked, None), now_ms).await?;
    }
    Ok(())
}
