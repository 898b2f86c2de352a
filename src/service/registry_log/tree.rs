//! A tree grows: its leaves are read, its tiles stored and its root signed in one transaction, under the lock of its head.

use crate::crypto::SigningSet;
use crate::crypto::signing::PublicKey;
use crate::crypto::tlog::edge::Tile;
use crate::crypto::tlog::note::{SignatureType, sign};
use crate::crypto::tlog::tree::leaf_hash;
use crate::crypto::tlog::{Checkpoint, Note, VerifierKey};
use crate::domain::instant::UnixMs;
use crate::store::log::LogHead;
use crate::store::{StoreError, WriteTx};

/// Leaves of one piece: some 10 ms of hashing while the lock is held.
const PIECE_MAX: u64 = 20_000;

/// Extends a tree that has not ended by at most one piece of the leaves that follow it, and signs it. Tells how it stands then, and whether that was all.
pub(super) async fn extend(
    tx: &mut WriteTx,
    keys: &SigningSet,
    head: LogHead,
    now_ms: UnixMs,
    has_witnesses: bool,
) -> Result<(LogHead, bool), StoreError> {
    let Some(key) = keys.log.as_ref().filter(|_| !head.has_ended) else { return Ok((head, true)) };
    let mut edge = tx.log_edge(&head).await?;
    let entries = tx.log_entries_behind(&head, PIECE_MAX).await?;
    if entries.is_empty() && is_signed(&head, &keys.published_logs) {
        return Ok((head, true));
    }
    let mut tiles: Vec<Tile> = entries.iter().flat_map(|entry| edge.push(leaf_hash(entry))).collect();
    tiles.extend(edge.partial());
    if !entries.is_empty() {
        tx.put_log_tiles(head.epoch, &tiles).await?;
    }
    let text = Checkpoint { origin: head.origin.clone(), size: edge.size(), root: edge.root() }.text();
    let note = format!("{text}\n{}", sign(key, &head.origin, &text));
    tx.put_checkpoint(&head, edge.size(), &note, now_ms, has_witnesses).await?;
    let waiting_since = has_witnesses.then(|| head.waiting_since.unwrap_or(now_ms));
    let is_whole = (entries.len() as u64) < PIECE_MAX;
    Ok((LogHead { size: edge.size(), note, signed_at: now_ms, waiting_since, ..head }, is_whole))
}

/// Whether its checkpoint is signed by one of these keys. A retired one will do: nodes that take up a new key one after the other
/// would sign the same tree in turns.
pub(super) fn is_signed(head: &LogHead, keys: &[PublicKey]) -> bool {
    let Some(note) = Note::parse(&head.note) else { return false };
    let key = |public: &PublicKey| VerifierKey::new(&head.origin, SignatureType::Ed25519, public.clone());
    keys.iter().filter_map(key).any(|key| note.signed_by(&key).is_ok())
}
