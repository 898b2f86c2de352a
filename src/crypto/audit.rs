//! The chain of the audit log: each entry's hash covers the one before, so that no entry can be changed, taken out or put in
//! without every later one being wrong. What hides the end of the chain is noticed by its signed export.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::audit::Deed;

const LABEL: &[u8] = b"lostcard:audit:v1:";
/// What the first entry's hash covers.
pub const GENESIS: [u8; 32] = [0; 32];

/// An entry's hash: SHA-256 over label, previous hash, sequence and time (64-bit big-endian), three ids (16 bytes, zeros for
/// none) and the action's word.
pub fn link(previous: &[u8; 32], sequence: u64, at_ms: i64, deed: &Deed) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(LABEL);
    hash.update(previous);
    hash.update(sequence.to_be_bytes());
    hash.update(at_ms.to_be_bytes());
    for id in [deed.actor.map(|actor| actor.organization), deed.actor.map(|actor| actor.client), deed.subject] {
        hash.update(id.unwrap_or(Uuid::nil()).as_bytes());
    }
    hash.update(deed.action.as_str());
    hash.finalize().into()
}
