//! How blind keys come and go, each step in one transaction and in the turn of writers. Two nodes that take the same step at once do
//! it once.

use crate::crypto::blind::{BlindKey, BlindVersions};
use crate::crypto::{KeyError, Keyring, random};
use crate::domain::instant::UnixMs;
use crate::domain::registry_log::{Entry, HashedEntry, LogEpoch};
use crate::registry::RegistryError;
use crate::service::{ServiceError, registry_log};
use crate::store::blind_keys::NewBlindKey;
use crate::store::{Store, WriteTx};

/// Puts a new key in force, if those in force are still `before`. The one before lives on beside it, so that clients have time to take up the
/// new base, unless its entries are not complete. None: others were quicker.
pub async fn begin(
    store: &Store,
    keyring: &Keyring,
    issuer: &str,
    before: Option<BlindVersions>,
    now_ms: UnixMs,
) -> Result<Option<u32>, ServiceError> {
    let mut tx = store.begin().await?;
    if tx.blind_versions().await? != before {
        return Ok(None);
    }
    let is_cut = tx.is_log_cut().await?;
    let previous = before.filter(|before| !before.is_behind && !is_cut).map(|before| before.current);
    let newest = tx.newest_blind_epoch().await?;
    let epoch = newest + 1 + if is_cut { random_gap() } else { 0 };
    let begun = async {
        let key = begin_in(&mut tx, keyring, (issuer, epoch), previous, now_ms).await?;
        tx.commit_unlisted().await?;
        Ok(key)
    };
    match begun.await {
        Ok(key) => {
            keyring.blind().take(key);
            Ok(Some(epoch))
        }
        // The file is of a key that nobody has: the next try would take it up, and so would another store's. Where the commit was done
        // all the same, the sealed seed is in the store.
        Err(error) => {
            if let Err(kept) = forget(keyring, epoch) {
                tracing::warn!(epoch, error = %kept, "the file of a blind key that did not come in force cannot be removed");
            }
            Err(error)
        }
    }
}

/// What the feed lost before its epoch may have used the next numbers, and signed a log by each: none is used twice.
fn random_gap() -> u32 {
    u32::from_be_bytes(random::bytes()) >> 12
}

async fn begin_in(
    tx: &mut WriteTx,
    keyring: &Keyring,
    (issuer, epoch): (&str, u32),
    previous: Option<u32>,
    now_ms: UnixMs,
) -> Result<BlindKey, ServiceError> {
    let folder = keyring.folder();
    // One that is there is of another store, or of a try that came to nothing: the key of this epoch is a new one.
    let seed = match folder.remove_blind(epoch).and_then(|()| folder.create_blind(epoch)) {
        // Handed out by others, the folder takes no new file: the sealed seed in the store is enough.
        Err(KeyError::Folder { .. }) => {
            zeroize::Zeroizing::new(random::key_bytes().map_err(KeyError::from).map_err(keys)?)
        }
        seed => seed.map_err(keys)?,
    };
    let key = BlindKey::derive(epoch, &seed).map_err(KeyError::from).map_err(keys)?;
    let sealed_seed = keyring.seal_blind_seed(epoch, &seed).map_err(KeyError::from).map_err(keys)?;
    let new = NewBlindKey { epoch, sealed_seed, public_key: key.public_key(), begun_at: now_ms };
    registry_log::begin_epoch(tx, keyring, issuer, LogEpoch::new(epoch), now_ms).await?;
    tx.begin_blind_key(&new, BlindVersions { current: epoch, previous, is_behind: false }).await?;
    tx.record_published_keys(keyring.signing().jwks_digest()).await?;
    Ok(key)
}

/// Commits to the keys that this node publishes, if the log in force does not have them yet: of several nodes that publish the same, one
/// does. While a rotation goes from node to node each set has its leaf.
pub(super) async fn publish(store: &Store, keyring: &Keyring, epoch: LogEpoch) -> Result<(), ServiceError> {
    let digest = keyring.signing().jwks_digest();
    let entry = Entry::hash(HashedEntry::PublishedKeys, digest);
    let until = store.head().await?;
    if store.has_log_entry(epoch, &entry).await? {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    let versions = tx.blind_versions().await?;
    let is_in_force = versions.is_some_and(|versions| versions.current == epoch.get()) && !tx.is_log_cut().await?;
    // Another node was quicker, or there is another log by now.
    if !is_in_force || tx.has_log_entry_after(epoch, &entry, until).await? {
        return Ok(());
    }
    tx.record_published_keys(digest).await?;
    Ok(tx.commit_unlisted().await?)
}

/// The key before the current one is over.
pub async fn end_previous(
    store: &Store,
    keyring: &Keyring,
    before: BlindVersions,
    now_ms: UnixMs,
) -> Result<(), ServiceError> {
    let mut tx = store.begin().await?;
    let Some(previous) = before.previous else { return Ok(()) };
    if tx.blind_versions().await? != Some(before) {
        return Ok(());
    }
    tx.set_blind_versions(Some(BlindVersions { previous: None, ..before })).await?;
    tx.end_blind_key(previous, now_ms).await?;
    tx.commit_unlisted().await?;
    forget(keyring, previous)
}

/// There are no blind checks from here on, and no log: rows of the feed cost nothing.
pub async fn end_all(store: &Store, keyring: &Keyring, now_ms: UnixMs) -> Result<(), ServiceError> {
    let mut tx = store.begin().await?;
    let Some(before) = tx.blind_versions().await? else { return Ok(()) };
    registry_log::end(&mut tx, keyring, now_ms).await?;
    tx.set_blind_versions(None).await?;
    for epoch in before.all() {
        tx.end_blind_key(epoch, now_ms).await?;
    }
    tx.commit_unlisted().await?;
    before.all().try_for_each(|epoch| forget(keyring, epoch))
}

/// From here on listings get no entries of their own, until the next key: nobody checks blindly meanwhile.
pub async fn fall_behind(store: &Store) -> Result<(), ServiceError> {
    let mut tx = store.begin().await?;
    let Some(before) = tx.blind_versions().await?.filter(|before| !before.is_behind) else { return Ok(()) };
    tx.set_blind_versions(Some(BlindVersions { is_behind: true, ..before })).await?;
    Ok(tx.commit_unlisted().await?)
}

/// A key that is over: the file goes, the sealed seed stays in the store for audits.
pub(super) fn forget(keyring: &Keyring, epoch: u32) -> Result<(), ServiceError> {
    match keyring.folder().remove_blind(epoch) {
        Ok(()) | Err(KeyError::Folder { .. }) => Ok(()),
        Err(error) => Err(keys(error)),
    }
}

fn keys(error: KeyError) -> ServiceError {
    RegistryError::from(error).into()
}
