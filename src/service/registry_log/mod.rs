//! The registry log: a Merkle tree over the rows of the feed, which one node at a time extends and signs (`publisher`), and what its
//! readers get. Invariant: what is signed continues what was signed before, because both lie in the store under one lock.

pub mod latest;
pub mod proofs;
pub mod publisher;
mod tree;
pub mod verify;
pub mod witnesses;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::ServiceError;
use crate::clock::Clock;
use crate::crypto::keyfiles::Purpose;
use crate::crypto::tlog::VerifierKey;
use crate::crypto::tlog::note::SignatureType;
use crate::crypto::tlog::tile::{Level, TileName, WIDTH, push_entry};
use crate::crypto::{KeyError, Keyring, SigningSet, random};
use crate::domain::ids::MarkId;
use crate::domain::instant::UnixMs;
use crate::domain::registry_log::{Entry, Leaf, LogEpoch};
use crate::domain::sandbox::Environment;
use crate::domain::sequence::Sequence;
use crate::registry::RegistryError;
use crate::store::feed::ChangeKind;
use crate::store::log::LogHead;
use crate::store::{Store, StoreError, WriteTx};

/// For how long readers are given the last checkpoint that enough witnesses cosigned, while they are asked about a newer one.
const COSIGNING: Duration = Duration::from_secs(2);

/// What readers of the log ask for.
#[derive(Debug, Clone)]
pub struct RegistryLog {
    pub store: Store,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
}

impl RegistryLog {
    /// The newest epoch; none before the first.
    pub async fn newest(&self) -> Result<Option<LogEpoch>, StoreError> {
        Ok(self.store.log_head(None).await?.map(|head| head.epoch))
    }

    /// The checkpoint of an epoch; none where nothing is signed.
    pub async fn checkpoint(&self, epoch: LogEpoch) -> Result<Option<String>, StoreError> {
        Ok(self.checkpoint_and_begin(epoch).await?.map(|(note, _)| note))
    }

    /// The same, with the sequence at which the epoch began.
    pub async fn checkpoint_and_begin(&self, epoch: LogEpoch) -> Result<Option<(String, Sequence)>, StoreError> {
        let Some(head) = self.store.log_head(Some(epoch)).await? else { return Ok(None) };
        let waits = head.waiting_since.filter(|_| !head.has_ended);
        let is_soon = waits.is_some_and(|since| self.clock.now_ms().since(since) < COSIGNING);
        let cosigned = head.cosigned.filter(|_| is_soon);
        let note = Some(cosigned.unwrap_or(head.note)).filter(|note| !note.is_empty());
        Ok(note.map(|note| (note, head.s0)))
    }

    /// The bytes of a tile or bundle; none where the tree does not reach so far.
    pub async fn tile(&self, epoch: LogEpoch, name: TileName) -> Result<Option<Vec<u8>>, StoreError> {
        match name.level {
            Level::Entries => self.bundle(epoch, name).await,
            Level::Hashes(level) => {
                let stored = self.store.log_tile(epoch, level, name.index).await?;
                let wanted = usize::try_from(name.width).unwrap_or(usize::MAX).saturating_mul(32);
                Ok(stored.and_then(|bytes| bytes.get(..wanted).map(<[u8]>::to_vec)))
            }
        }
    }

    async fn bundle(&self, epoch: LogEpoch, name: TileName) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(head) = self.store.log_head(Some(epoch)).await?.filter(|head| name.is_within(head.size)) else {
            return Ok(None);
        };
        let entries = self.store.log_entries(epoch, head.s0.plus(name.index * WIDTH), name.width).await?;
        let mut bundle = Vec::new();
        let is_whole = entries.iter().all(|entry| push_entry(&mut bundle, entry));
        if !is_whole || entries.len() as u64 != name.width {
            return Err(StoreError::Corrupt("log_leaves.entry"));
        }
        Ok(Some(bundle))
    }

    /// The verifier keys of every epoch, newest first, retired ones behind the one that signs.
    pub async fn verifier_keys(&self) -> Result<Vec<VerifierKey>, StoreError> {
        let origins = self.store.log_origins().await?;
        let signing = self.keyring.signing();
        let of = |origin: &str| {
            let key = |public| VerifierKey::new(origin, SignatureType::Ed25519, public);
            signing.published_logs.iter().cloned().filter_map(key).collect::<Vec<_>>()
        };
        Ok(origins.iter().flat_map(|(_, origin)| of(origin)).collect())
    }
}

/// The name of a log: where it is served, without the scheme (C2SP tlog-tiles).
pub fn origin(issuer: &str, epoch: LogEpoch) -> String {
    let url = Environment::url_of(issuer);
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    format!("{}/registry-log/{epoch}", host.trim_end_matches('/'))
}

/// Begins an epoch, in the transaction that puts its key in force; returns the sequence at which it begins. The log before it is
/// extended to its end and signed for the last time, and the first leaf of the new one commits to that. One that the feed left by an epoch of
/// its own stays as it was signed last.
pub async fn begin_epoch(
    tx: &mut WriteTx,
    keyring: &Keyring,
    issuer: &str,
    epoch: LogEpoch,
    now_ms: UnixMs,
) -> Result<Sequence, ServiceError> {
    tx.take_turn().await?;
    let signing = keyring.signing();
    let missing = || RegistryError::from(KeyError::Missing { purpose: Purpose::Log.as_str() });
    if signing.log.is_none() {
        return Err(missing().into());
    }
    let (s0, old) = (tx.head().await?, tx.lock_log(None).await?);
    let origin = origin(issuer, epoch);
    let Some(old) = old else {
        tx.insert_log(epoch, &origin, s0).await?;
        return Ok(s0);
    };
    if old.epoch >= epoch {
        return Err(StoreError::Misused("an epoch of the log begins twice").into());
    }
    let old = end_at(tx, &signing, old, s0, now_ms).await?;
    tx.insert_log(epoch, &origin, s0).await?;
    // Of the kind that nodes of every version read and ignore, as a mark.
    let id: MarkId = random::id(now_ms);
    let sequence = tx.record_change(ChangeKind::Node, id.as_bytes()).await?;
    let entry = Entry::successor(s0, Sha256::digest(old.note.as_bytes()).into());
    tx.add_log_leaves(epoch, sequence, &[Leaf { entry, older: None }]).await?;
    Ok(s0)
}

/// There is no log from here on: the one that is there is extended to its end and signed for the last time.
pub async fn end(tx: &mut WriteTx, keyring: &Keyring, now_ms: UnixMs) -> Result<(), ServiceError> {
    tx.take_turn().await?;
    let (s0, old) = (tx.head().await?, tx.lock_log(None).await?);
    if let Some(old) = old {
        end_at(tx, &keyring.signing(), old, s0, now_ms).await?;
    }
    Ok(())
}

/// Ends a log at the end of the feed, if it has not ended before.
async fn end_at(
    tx: &mut WriteTx,
    signing: &SigningSet,
    mut old: LogHead,
    end: Sequence,
    now_ms: UnixMs,
) -> Result<LogHead, ServiceError> {
    if old.has_ended {
        return Ok(old);
    }
    if tx.is_log_cut().await? {
        tx.end_log(old.epoch).await?;
        return Ok(old);
    }
    loop {
        let (head, is_whole) = tree::extend(tx, signing, old, now_ms, false).await?;
        old = head;
        if is_whole {
            break;
        }
    }
    if old.sequence() != end {
        return Err(StoreError::Corrupt("log_leaves: a row of the feed has no leaf").into());
    }
    tx.end_log(old.epoch).await?;
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_named_after_where_it_is_served() {
        for (issuer, name) in [
            ("https://lostcard.example", "lostcard.example/registry-log/7"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080/registry-log/7"),
            ("https://a.example/below", "a.example/below/registry-log/7"),
            ("https://lostcard.example/sandbox", "lostcard.example/registry-log/7"),
        ] {
            assert_eq!(origin(issuer, LogEpoch::new(7)), name);
        }
    }
}
