//! By which peppers rows are keyed, and by which blind keys entries are made, as the head of the feed has it: read with
//! everything that is looked up or written by key.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{StoreError, get_u64};
use crate::crypto::blind::BlindVersions;
use crate::crypto::pepper::KeyVersions;

/// The peppers in use, from columns of the feed's head.
pub(super) fn get_key_versions(row: &AnyRow) -> Result<KeyVersions, StoreError> {
    let previous = row.try_get::<Option<i64>, _>("key_version_from")?.map(get_version).transpose()?;
    Ok(KeyVersions { current: get_version(row.try_get("key_version")?)?, previous })
}

/// The version of a pepper, as it is stored.
pub(super) fn get_version(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(|_| StoreError::Corrupt("key_version"))
}

/// By which blind keys entries are made, from columns of the feed's head.
pub(super) fn get_blind_versions(row: &AnyRow) -> Result<Option<BlindVersions>, StoreError> {
    let version = |column| row.try_get::<Option<i64>, _>(column)?.map(get_version).transpose();
    let (current, previous) = (version("blind_version")?, version("blind_version_from")?);
    let is_behind = get_u64(row, "blind_behind")? != 0;
    Ok(current.map(|current| BlindVersions { current, previous, is_behind }))
}
