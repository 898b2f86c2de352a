//! Makes what a snapshot holds of all numbers out of the store's rows: every listing while they fit into memory, else a filter.

use super::exact::{Exact, ExactBuilder, RECORD_BYTES};
use super::filter::Filter;
use super::snapshot::Base;
use super::state::{Registry, RegistryError};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::verdict::Record;
use crate::store::listed::{ListedAt, ListedReader};
use crate::wiping::spawn_wiped;

/// What was built, and the store's epoch and peppers.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) base: Base,
    pub(super) epoch: String,
    pub(super) key_versions: KeyVersions,
}

/// Reads all rows.
pub(super) async fn build(registry: &Registry) -> Result<Built, RegistryError> {
    let mut reader = Reader { exact_bytes: registry.options.exact_bytes, taken: Taken::Prefixes(Vec::new()) };
    let ListedAt { head, epoch, key_versions } = registry.store.read_listed(&mut reader).await?;
    let build = move || match reader.taken {
        Taken::Records(records) => Ok(Base::Exact(records.build(head, key_versions).into())),
        Taken::Prefixes(prefixes) => Filter::build(prefixes, head).map(|filter| Base::Filter(filter.into())),
    };
    let base = spawn_wiped(build).await.map_err(|_| RegistryError::Stopped)??;
    Ok(Built { base, epoch, key_versions })
}

/// A filter of exact listings that have become too many.
pub(super) async fn filter_of(exact: std::sync::Arc<Exact>) -> Result<Base, RegistryError> {
    let build = move || Filter::build(exact.prefixes(), exact.built_at);
    let filter = spawn_wiped(build).await.map_err(|_| RegistryError::Stopped)??;
    Ok(Base::Filter(filter.into()))
}

/// Whether exact listings of so many records may be held.
pub fn fits(records: u64, exact_bytes: u64) -> bool {
    exact_bytes > 0 && records.saturating_mul(RECORD_BYTES) <= exact_bytes
}

/// The memory that they take, with a tenth for those to come.
pub fn mib_for(records: u64) -> u64 {
    (records.saturating_mul(RECORD_BYTES) / 10 * 11).div_ceil(1 << 20).max(1)
}

struct Reader {
    exact_bytes: u64,
    taken: Taken,
}

enum Taken {
    Records(ExactBuilder),
    Prefixes(Vec<u64>),
}

impl ListedReader for Reader {
    fn begin(&mut self, records_max: usize) -> bool {
        let is_exact = fits(records_max as u64, self.exact_bytes);
        self.taken = if is_exact {
            Taken::Records(ExactBuilder::new(records_max))
        } else {
            Taken::Prefixes(Vec::with_capacity(records_max))
        };
        is_exact
    }

    fn take(&mut self, key: LookupKey, record: Option<Record>) {
        match (&mut self.taken, record) {
            (Taken::Records(records), Some(record)) => records.push(&key, &record),
            (Taken::Records(_), None) => {}
            (Taken::Prefixes(prefixes), _) => prefixes.push(key.prefix()),
        }
    }
}
