//! The whole log against the store: every leaf, every tile, every checkpoint, that each log continues the one before, and that each base that
//! is kept is the one that its log commits to. What is listed is not compared with it.

use sha2::{Digest, Sha256};

use super::tree::is_signed;
use crate::crypto::Keyring;
use crate::crypto::blind::BaseIndex;
use crate::crypto::tlog::Checkpoint;
use crate::crypto::tlog::edge::{Edge, Tile};
use crate::crypto::tlog::note::Note;
use crate::crypto::tlog::tile;
use crate::crypto::tlog::tree::leaf_hash;
use crate::domain::registry_log::{Entry, HashedEntry, LogEpoch};
use crate::store::blind_keys::StoredBase;
use crate::store::log::LogHead;
use crate::store::{Store, StoreError};

/// Entries that are read at a time.
const PIECE: u64 = 10_000;

/// A log that is what its checkpoint says.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedLog {
    pub checkpoint: Checkpoint,
    /// Leaves behind it that no checkpoint covers yet.
    pub unsigned: u64,
}

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("log {0}: the checkpoint is not signed by a key of the key folder, or is not of this log")]
    Checkpoint(LogEpoch),
    #[error("log {epoch}: leaf {index} is missing")]
    Leaf { epoch: LogEpoch, index: u64 },
    #[error("log {epoch}: tile {level}/{index} is not made of the leaves")]
    Tile { epoch: LogEpoch, level: u8, index: u64 },
    #[error("log {0}: the root of the leaves is not that of the checkpoint")]
    Root(LogEpoch),
    #[error("log {0}: the base that is kept is not the one of its first leaf of that kind")]
    Base(LogEpoch),
    #[error("log {0}: its first leaf does not commit to the last checkpoint of the log before")]
    Successor(LogEpoch),
}

/// Verifies every log of the store, oldest first.
pub async fn verify(store: &Store, keyring: &Keyring) -> Result<Vec<VerifiedLog>, VerifyError> {
    let mut verified = Vec::new();
    let mut before: Option<LogHead> = None;
    let mut epochs = store.log_origins().await?;
    epochs.reverse();
    let keys = store.blind_keys().await?.keys;
    for (epoch, _) in epochs {
        let head = store.log_head(Some(epoch)).await?.ok_or(VerifyError::Checkpoint(epoch))?;
        let (log, base_leaf) = verify_one(store, keyring, &head, before.as_ref()).await?;
        verified.push(log);
        if let Some(base) = keys.iter().find(|key| key.epoch == epoch.get()).and_then(|key| key.base) {
            expect_base(store, epoch, &base, base_leaf.as_deref()).await?;
        }
        before = Some(head);
    }
    Ok(verified)
}

async fn verify_one(
    store: &Store,
    keyring: &Keyring,
    head: &LogHead,
    before: Option<&LogHead>,
) -> Result<(VerifiedLog, Option<Vec<u8>>), VerifyError> {
    let epoch = head.epoch;
    let checkpoint = Note::parse(&head.note)
        .and_then(|note| Checkpoint::parse(note.text()).filter(|_| is_signed(head, &keyring.signing().published_logs)));
    let checkpoint = checkpoint.filter(|read| read.origin == head.origin && read.size == head.size);
    let checkpoint = checkpoint.ok_or(VerifyError::Checkpoint(epoch))?;
    let (mut edge, mut base_leaf) = (Edge::default(), None);
    while edge.size() < head.size {
        let count = PIECE.min(head.size - edge.size());
        let entries = store.log_entries(epoch, head.s0.plus(edge.size()), count).await?;
        if entries.len() as u64 != count {
            return Err(VerifyError::Leaf { epoch, index: edge.size() + entries.len() as u64 });
        }
        if let (Some(before), 0, Some(first)) = (before, edge.size(), entries.first()) {
            let wanted = Entry::successor(head.s0, Sha256::digest(before.note.as_bytes()).into());
            // Between them there may have been no log.
            if before.sequence() > head.s0 || first != wanted.as_bytes() {
                return Err(VerifyError::Successor(epoch));
            }
        }
        for entry in &entries {
            if base_leaf.is_none() && entry.first() == Some(&(HashedEntry::Base as u8)) {
                base_leaf = Some(entry.clone());
            }
            for full in edge.push(leaf_hash(entry)) {
                expect_tile(store, epoch, &full).await?;
            }
        }
    }
    for partial in edge.partial() {
        expect_tile(store, epoch, &partial).await?;
    }
    if edge.root() != checkpoint.root {
        return Err(VerifyError::Root(epoch));
    }
    let unsigned = store.log_entries(epoch, head.sequence(), PIECE).await?.len() as u64;
    Ok((VerifiedLog { checkpoint, unsigned }, base_leaf))
}

/// A base that was destroyed is none. The leaf of one may be behind the checkpoint still.
async fn expect_base(
    store: &Store,
    epoch: LogEpoch,
    base: &StoredBase,
    leaf: Option<&[u8]>,
) -> Result<(), VerifyError> {
    let (mut bytes, mut place) = (Vec::new(), 0);
    while let Some(piece) = store.base_piece(epoch.get(), place).await? {
        bytes.extend_from_slice(&piece);
        place += 1;
    }
    if bytes.is_empty() {
        return Ok(());
    }
    let wrong = || VerifyError::Base(epoch);
    let length = BaseIndex::length(&bytes).map_err(|_| wrong())?;
    let manifest: [u8; 32] = Sha256::digest(bytes.get(..length).ok_or_else(wrong)?).into();
    let index = BaseIndex::parse(&bytes).map_err(|_| wrong())?;
    let is_its = manifest == base.manifest && index.sequence() == base.sequence.get() && index.is_of(&bytes);
    let is_committed = leaf.is_none_or(|leaf| leaf == Entry::hash(HashedEntry::Base, manifest).as_bytes());
    (is_its && is_committed).then_some(()).ok_or_else(wrong)
}

/// A tile may have grown since its tree was looked at: then it begins with what it was.
async fn expect_tile(store: &Store, epoch: LogEpoch, wanted: &Tile) -> Result<(), VerifyError> {
    let stored = store.log_tile(epoch, wanted.level, wanted.index).await?.unwrap_or_default();
    let is_same = tile::hashes(&stored).is_some_and(|stored| stored.starts_with(&wanted.hashes));
    let (level, index) = (wanted.level, wanted.index);
    is_same.then_some(()).ok_or(VerifyError::Tile { epoch, level, index })
}
