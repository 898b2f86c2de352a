//! The ladder of a look-up: snapshot, local copies, Redis, store. The first that knows answers.

use std::sync::Arc;

use super::cache::Copy;
use super::peppers::RecordsRead;
use super::snapshot::Presence;
use super::state::{Finding, Registry, RegistryError};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::verdict::Listing;
use crate::store::reports::KEYS_MAX;

/// Look-ups in memory that are made at once: one takes about a microsecond.
const SLICE: usize = 64;

impl Registry {
    /// What memory alone can say: the way of nearly every check, without lock, allocation or I/O. None: ask [`Self::lookup`].
    pub fn lookup_in_memory(&self, digest: &IdDigest) -> Option<Finding> {
        let snapshot = self.snapshot.load();
        if !self.may_answer(&snapshot) {
            return None;
        }
        let finding = |listing| Finding { listing, sequence: snapshot.sequence, as_of: snapshot.as_of };
        let (key, presence) = snapshot.presence_of(digest);
        match presence {
            Presence::Absent => {
                self.metrics.lookups_filter.inc();
                Some(finding(None))
            }
            Presence::Listed(listing) => {
                self.metrics.lookups_exact.inc();
                Some(finding(Some(listing)))
            }
            Presence::Maybe { fresh_from } => {
                let copy = self.local.find(&key, fresh_from)?;
                self.metrics.lookups_local.inc();
                Some(finding(copy.listing))
            }
        }
    }

    /// What is listed of a number: from memory where memory is current, else from Redis or the store.
    pub async fn lookup(self: &Arc<Self>, digest: &IdDigest) -> Result<Finding, RegistryError> {
        match self.lookup_in_memory(digest) {
            Some(finding) => Ok(finding),
            None => self.lookup_outside(&[digest]).await?.pop().ok_or(RegistryError::Stopped),
        }
    }

    /// The same for many numbers, in their order: those that memory does not know are asked for together. Those that could not be
    /// asked have the cause, as `cause` tells it; the others stand.
    pub async fn lookup_all<E: Clone>(
        self: &Arc<Self>,
        digests: &[&IdDigest],
        cause: impl Fn(RegistryError) -> E,
    ) -> Vec<Result<Finding, E>> {
        let mut findings = Vec::with_capacity(digests.len());
        for some in digests.chunks(SLICE) {
            findings.extend(some.iter().map(|digest| self.lookup_in_memory(digest).map(Ok)));
            // Others of the same event loop have their turn.
            tokio::task::yield_now().await;
        }
        let unknown: Vec<_> = (0..digests.len()).filter(|index| findings[*index].is_none()).collect();
        for some in unknown.chunks(KEYS_MAX) {
            let asked: Vec<_> = some.iter().map(|index| digests[*index]).collect();
            match self.lookup_outside(&asked).await {
                Ok(found) => {
                    for (index, found) in some.iter().zip(found) {
                        findings[*index] = Some(Ok(found));
                    }
                }
                Err(error) => {
                    let error = cause(error);
                    for index in some {
                        findings[*index] = Some(Err(error.clone()));
                    }
                }
            }
        }
        findings.into_iter().map(|found| found.unwrap_or_else(|| Err(cause(RegistryError::Stopped)))).collect()
    }

    /// Asks Redis, then the store for those that Redis has no good copy of.
    async fn lookup_outside(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<Vec<Finding>, RegistryError> {
        let mut findings = self.lookup_in_redis(digests).await;
        let rest: Vec<_> = (0..digests.len()).filter(|index| findings[*index].is_none()).collect();
        if !rest.is_empty() {
            let asked: Vec<_> = rest.iter().map(|index| digests[*index]).collect();
            let found = self.lookup_in_store(&asked).await?;
            rest.iter().zip(found).for_each(|(index, found)| findings[*index] = Some(found));
        }
        Ok(findings.into_iter().flatten().collect())
    }

    async fn lookup_in_redis(&self, digests: &[&IdDigest]) -> Vec<Option<Finding>> {
        // One snapshot says how new a copy must be and until when that is known: a change that it does not hold was not
        // acknowledged when it was taken.
        let snapshot = self.snapshot.load_full();
        let may_answer = self.may_answer(&snapshot);
        let Some(shared) = self.shared.as_ref().filter(|shared| may_answer && !shared.link().is_open()) else {
            return vec![None; digests.len()];
        };
        let (keys, presences): (Vec<_>, Vec<_>) = digests.iter().map(|digest| snapshot.presence_of(digest)).unzip();
        let copies = shared.find(&snapshot.epoch, snapshot.peppers.current.version(), &keys).await;
        let finding = |((key, presence), copy): ((LookupKey, Presence), Option<Copy>)| {
            let Presence::Maybe { fresh_from } = presence else { return None };
            let copy = copy.filter(|copy| copy.sequence >= fresh_from)?;
            self.metrics.lookups_redis.inc();
            self.local.keep(key, copy);
            Some(Finding { listing: copy.listing, sequence: snapshot.sequence, as_of: snapshot.as_of })
        };
        keys.into_iter().zip(presences).zip(copies).map(finding).collect()
    }

    /// What is listed of some numbers (at most [`KEYS_MAX`]) by the store, whatever memory knows. No copy is kept: most of those that
    /// are asked for like this are not listed.
    pub async fn ask_store(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<Vec<Finding>, RegistryError> {
        let asked_ms = self.clock.now_ms();
        let RecordsRead { head: sequence, numbers, .. } = self.read_in_time(digests).await?;
        let as_of = self.date(sequence, asked_ms).await;
        let finding = |(_, records)| Finding { listing: Listing::from_records(records), sequence, as_of };
        Ok(numbers.into_iter().map(finding).collect())
    }

    /// Where the store lives: a worker busy with batches comes late to each step of a read, and would take its delay for the store's.
    async fn read_in_time(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<RecordsRead, RegistryError> {
        let (registry, asked) = (Arc::clone(self), digests.iter().copied().cloned().collect::<Vec<_>>());
        let read = self.store.runtime().spawn(async move {
            tokio::time::timeout(registry.options.store_timeout, registry.read_records(&asked)).await
        });
        let read = read.await.map_err(|_| RegistryError::Stopped)?.map_err(|_| RegistryError::TooSlow).flatten();
        let read = read.inspect_err(|_| self.metrics.lookups_failed.inc())?;
        self.metrics.lookups_store.inc_by(digests.len() as u64);
        Ok(read)
    }

    async fn lookup_in_store(self: &Arc<Self>, digests: &[&IdDigest]) -> Result<Vec<Finding>, RegistryError> {
        // Taken before the read: what is kept under this epoch was not read in an earlier one.
        let epoch = self.epoch();
        // Taken before the read: the answer is at least as new as this.
        let asked_ms = self.clock.now_ms();
        let RecordsRead { head: sequence, key_version, numbers } = self.read_in_time(digests).await?;
        let as_of = self.date(sequence, asked_ms).await;
        let finding = |(key, records)| {
            let listing = Listing::from_records(records);
            self.local.keep(key, Copy { listing, sequence });
            Finding { listing, sequence, as_of }
        };
        let keys: Vec<_> = numbers.iter().map(|(key, _)| *key).collect();
        let findings: Vec<_> = numbers.into_iter().map(finding).collect();
        if let Some(shared) = &self.shared {
            let listed = keys.iter().zip(&findings).filter_map(|(key, finding)| Some((*key, finding.listing?)));
            shared.keep(&epoch, key_version, sequence, listed.collect());
        }
        Ok(findings)
    }
}
