//! Whom an entry of the log concerns: the person whose number the record has, known by a tag that outlives every pepper. Found here,
//! in the transaction of the entry, so that no use case can forget it.

use std::collections::HashMap;

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

/// Leaves the entries of reports that were filed together: each holds its own number.
pub async fn record_reports(
    tx: &mut WriteTx,
    keyring: &Keyring,
    deeds: Vec<Deed>,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    let reports: Vec<_> = deeds.iter().filter_map(|deed| deed.subject).collect();
    let sealed = tx.sealed_digests(&aggregates::LOSS_REPORTS, &reports).await?;
    let persons: HashMap<_, _> =
        sealed.iter().filter_map(|(id, sealed)| Some((*id, tag(keyring, *id, sealed)?))).collect();
    let about = |deed: Deed| {
        let person = deed.subject.and_then(|subject| persons.get(&subject).copied());
        deed.about(person)
    };
    let deeds: Vec<_> = deeds.into_iter().map(about).collect();
    tx.record_deeds(&deeds, now_ms).await
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
    Ok(sealed.iter().filter_map(|(id, sealed)| tag(keyring, *id, sealed)).collect())
}

fn tag(keyring: &Keyring, id: RecordId, sealed: &[u8]) -> Option<SubjectTag> {
    Some(keyring.audit().tag(&keyring.open_digest(id, sealed).ok()?))
}
