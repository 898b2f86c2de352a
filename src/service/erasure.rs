//! Erasure of a contact or a narrative before its record's time is over, because a person asked for it or a court did. The
//! record stays: a report still lists its card.

use super::audit::subjects::persons;
use crate::crypto::Keyring;
use crate::domain::audit::{Action, Behind, Deed};
use crate::domain::ids::RecordId;
use crate::domain::instant::UnixMs;
use crate::store::aggregate::Aggregate;
use crate::store::erasure::Erased;
use crate::store::{Store, StoreError};

/// An erasure, as far as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    pub erased: Erased,
    /// Whether the store's own files hold no older copy any more.
    pub is_off_disk: bool,
}

/// Erases a record's sealed texts, with its entry in the audit log. Also works beside nodes: they keep no copy.
pub async fn erase(
    (store, keyring): (&Store, &Keyring),
    of: &'static Aggregate,
    record: RecordId,
    behind: &Behind,
    now_ms: UnixMs,
) -> Result<Erasure, StoreError> {
    let mut tx = store.begin().await?;
    let erased = tx.erase(of, record).await?;
    if erased == Erased::Done {
        let deed = Deed::of_operator(Action::ContactErased, Some(record)).by(behind);
        let persons = persons(&mut tx, keyring, of, &[record]).await?;
        tx.record_deed(&deed.about(persons), now_ms).await?;
        tx.commit_unlisted().await?;
    } else {
        drop(tx);
    }
    // Also where there was nothing: an earlier erasure may have stopped before this.
    let is_off_disk = match erased {
        Erased::NoRecord => false,
        Erased::Nothing | Erased::Done => store.drop_old_pages().await?,
    };
    Ok(Erasure { erased, is_off_disk })
}
