//! Whom an entry of the log concerns: the person whose number the record has, known by a tag that outlives every pepper. Found here,
//! in the transaction of the entry, so that no use case can forget it.

use crate::crypto::Keyring;
use crate::domain::audit::{Deed, SubjectTag};
use crate::domain::ids::RecordId;
use crate::domain::instant::UnixMs;
use crate::store::aggregate::Aggregate;
use crate::store::{StoreError, WriteTx, aggregates};

/// Leaves the entry of a deed, with whom its subject concerns.
pub async fn record(tx: &mut WriteTx, keyring: &Keyring, deed: &Deed, now_ms: UnixMs) -> Result<(), StoreError> {
    let Some((of, subject)) = aggregates::subject_of(deed.action).zip(deed.subject) else {
        return tx.record_deed(deed, now_ms).await;
    };
    let persons = persons(tx, keyring, of, &[subject]).await?;
    tx.record_deed(&deed.clone().about(persons), now_ms).await
}

/// Whom records of a table concern. One whose digest does not open, because somebody changed it, is nobody's: its id is in the
/// entry all the same.
pub async fn persons(
    tx: &mut WriteTx,
    keyring: &Keyring,
    of: &'static Aggregate,
    records: &[RecordId],
) -> Result<Vec<SubjectTag>, StoreError> {
    let sealed = tx.sealed_digests(of, records).await?;
    let tag = |(id, sealed): &(RecordId, Vec<u8>)| Some(keyring.audit().tag(&keyring.open_digest(*id, sealed).ok()?));
    Ok(sealed.iter().filter_map(tag).collect())
}
