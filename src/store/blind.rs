//! What rows of the feed say to who checks blindly: the leaves of a transaction, added when it ends. **Invariant:** while blind
//! keys are in force, a row of the feed and its leaf are committed in one transaction. Digests stay sealed here: entries are made
//! by a `Scribe`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::feed::ChangeKind;
use super::key_versions::get_version;
use super::leaves::{Leaves, Subject};
use super::reports::{KEYS_MAX, SealedNumber, places, read_records};
use super::rows::Values;
use super::{StoreError, WriteTx, get_bytes, get_id};
use crate::crypto::blind::{Ahead, BlindVersions, DueEntry, DueRow, Scribe};
use crate::crypto::digest::LookupKey;
use crate::crypto::random;
use crate::domain::ids::MarkId;
use crate::domain::registry_log::{Entry, HashedEntry, Leaf, LogEpoch};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Listing, Record};

/// Numbers that are asked about together. SQLite takes 32,766 values.
const COUNTED_MAX: usize = 1_000;

impl WriteTx {
    /// Takes what was made of a number before its turn.
    pub fn know_ahead(&mut self, key: LookupKey, ahead: Ahead) {
        self.leaves.ahead.insert(key, ahead);
    }

    /// Commits to a head of the audit log. False where there is no registry log.
    pub async fn record_audit_head(&mut self, digest: [u8; 32]) -> Result<bool, StoreError> {
        self.take_turn().await?;
        if self.leaves.versions.is_none() {
            return Ok(false);
        }
        self.record_leaf(Entry::hash(HashedEntry::AuditHead, digest)).await?;
        Ok(true)
    }

    /// Commits to the published keys.
    pub async fn record_published_keys(&mut self, digest: [u8; 32]) -> Result<(), StoreError> {
        self.take_turn().await?;
        if self.leaves.versions.is_none() {
            return Ok(());
        }
        self.record_leaf(Entry::hash(HashedEntry::PublishedKeys, digest)).await
    }

    /// Records a row of the feed for a leaf of its own: of the kind that nodes of every version read and ignore.
    pub(super) async fn record_leaf(&mut self, entry: Entry) -> Result<(), StoreError> {
        let mark = MarkId::from_bytes(random::bytes());
        let sequence = self.record_change(ChangeKind::Node, mark.as_bytes()).await?;
        let Some(versions) = self.leaves.versions else { return Ok(()) };
        let leaf = Leaf { entry, older: None };
        self.add_log_leaves(LogEpoch::new(versions.current), sequence, &[leaf]).await
    }

    /// Whether rows get entries of their numbers: not where nobody checks blindly, nor while an import does not wait for them.
    pub fn has_entries(&self) -> bool {
        self.leaves.versions.is_some_and(|versions| !versions.is_behind)
    }

    /// Somebody has added the leaves of so many rows up to `last`.
    pub(super) fn leaves_given(&mut self, last: Sequence, count: usize) {
        let first = last.get() + 1 - count as u64;
        self.leaves.due.retain(|(sequence, _)| !(first..=last.get()).contains(&sequence.get()));
    }

    /// Adds the leaves of all rows that were recorded. Listings are now what they will be.
    pub(super) async fn add_leaves(&mut self) -> Result<(), StoreError> {
        let due = std::mem::take(&mut self.leaves.due);
        let Some(versions) = self.leaves.versions.filter(|_| !due.is_empty()) else { return Ok(()) };
        let scribe =
            self.leaves.scribe.get().cloned().ok_or(StoreError::Misused("entries are due and nobody makes them"))?;
        for epoch in versions.all() {
            if !scribe.knows(epoch) {
                let sealed = self.sealed_blind_seed(epoch).await?;
                scribe.learn(epoch, &sealed).map_err(|_| StoreError::Corrupt("blind_keys.sealed_seed"))?;
            }
        }
        let listings = if versions.is_behind { HashMap::new() } else { self.listings_of(&scribe, &due).await? };
        let rows = due.into_iter().map(|(sequence, subject)| {
            let what = match subject {
                Subject::Nobody => DueEntry::Nobody,
                Subject::Number(key, _) => match (self.leaves.numbers.get(&key), listings.get(&key)) {
                    (Some((record, sealed)), Some(listing)) => {
                        let ahead = self.leaves.ahead.get(&key).cloned();
                        DueEntry::Number { record: *record, sealed: sealed.clone(), ahead, listing: *listing }
                    }
                    _ => DueEntry::Nobody,
                },
            };
            DueRow { sequence, what }
        });
        let rows: Vec<_> = rows.collect();
        let sequences: Vec<_> = rows.iter().map(|row| row.sequence).collect();
        let made = scribe.leaves(versions, rows).await.map_err(|_| StoreError::Misused("the blind key is missing"))?;
        if made.lacks {
            // What is listed would be told as not listed: as with an import that does not wait, nobody is told anything.
            self.set_blind_versions(Some(BlindVersions { is_behind: true, ..versions })).await?;
        }
        let mut rest = made.leaves.as_slice();
        // Rows follow each other but for those whose leaves others have added.
        for run in sequences.chunk_by(|one, next| one.next() == *next) {
            let (own, later) = rest.split_at(run.len());
            rest = later;
            if let Some(last) = run.last() {
                self.add_log_leaves(LogEpoch::new(versions.current), *last, own).await?;
            }
        }
        Ok(())
    }

    /// What is listed now of the numbers of these rows.
    async fn listings_of(
        &mut self,
        scribe: &Scribe,
        due: &[(Sequence, Subject)],
    ) -> Result<HashMap<LookupKey, Option<Listing>>, StoreError> {
        let numbers = Leaves::numbers_of(due);
        if numbers.is_empty() {
            return Ok(HashMap::new());
        }
        let unknown: Vec<_> = numbers.keys().filter(|key| !self.leaves.numbers.contains_key(key)).copied().collect();
        self.find_numbers(&unknown).await?;
        let versions = self.take_turn().await?;
        let mut listings = HashMap::with_capacity(numbers.len());
        if versions.previous.is_none() {
            self.first_listings(&numbers, &mut listings).await?;
        }
        // While peppers rotate, records of a number may be under two keys.
        let all_keys = |key: &LookupKey| {
            let (record, sealed) = self.leaves.numbers.get(key).filter(|_| versions.previous.is_some())?;
            scribe.lookup_keys(versions, *record, sealed)
        };
        let others = numbers.keys().filter(|key| !listings.contains_key(key));
        let keyed: Vec<_> = others.map(|key| (*key, all_keys(key).unwrap_or_else(|| vec![*key]))).collect();
        let asked: Vec<_> =
            keyed.iter().flat_map(|(_, keys)| keys).copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut records: HashMap<LookupKey, Vec<Record>> = HashMap::with_capacity(asked.len());
        for some in asked.chunks(KEYS_MAX) {
            let read = read_records(&mut *self.tx, some).await?;
            records.extend(some.iter().copied().zip(read.records));
        }
        let listing = |keys: &[LookupKey]| {
            Listing::from_records(keys.iter().filter_map(|key| records.get(key)).flatten().copied())
        };
        listings.extend(keyed.iter().map(|(key, keys)| (*key, listing(keys))));
        Ok(listings)
    }

    /// What is listed of numbers that have one record, that of this transaction: nearly all of an import's. It is known, and
    /// handing thousands of records back one by one takes longer than storing them did.
    async fn first_listings(
        &mut self,
        numbers: &BTreeMap<LookupKey, Option<Record>>,
        listings: &mut HashMap<LookupKey, Option<Listing>>,
    ) -> Result<(), StoreError> {
        let brought: Vec<_> = numbers.iter().filter_map(|(key, record)| Some((*key, (*record)?))).collect();
        // A few are read sooner than asked about twice.
        if brought.len() <= KEYS_MAX {
            return Ok(());
        }
        for some in brought.chunks(COUNTED_MAX) {
            let of_several = self.numbers_of_several(some).await?;
            let alone = some.iter().filter(|(key, _)| !of_several.contains(key));
            listings.extend(alone.map(|(key, record)| (*key, Listing::from_records([*record]))));
        }
        Ok(())
    }

    /// Those of some numbers that have other records too.
    async fn numbers_of_several(&mut self, some: &[(LookupKey, Record)]) -> Result<HashSet<LookupKey>, StoreError> {
        let places: Vec<_> = (1..=some.len()).map(|place| self.dialect.place(place)).collect();
        let of_some = format!("WHERE lookup_key IN ({})", places.join(","));
        // Both find what they want in the index alone.
        let questions = [
            format!("SELECT lookup_key FROM loss_reports {of_some} GROUP BY lookup_key HAVING COUNT(*) > 1"),
            format!("SELECT lookup_key FROM replacements {of_some}"),
        ];
        let mut found = HashSet::new();
        for text in questions {
            let mut values = Values::default();
            for (key, _) in some {
                values.push(key.as_bytes().as_slice());
            }
            for row in values.query(text)?.fetch_all(&mut *self.tx).await? {
                found.insert(LookupKey::from_bytes(get_bytes(&row, "lookup_key")?));
            }
        }
        Ok(found)
    }

    /// Finds a record of each number.
    async fn find_numbers(&mut self, keys: &[LookupKey]) -> Result<(), StoreError> {
        for some in keys.chunks(KEYS_MAX) {
            let keyed = places(1, some.len());
            let text = format!(
                "SELECT report_id AS id, lookup_key, key_version, sealed_digest FROM loss_reports WHERE lookup_key IN ({keyed}) \
                 UNION ALL \
                 SELECT replacement_id AS id, lookup_key, key_version, sealed_digest FROM replacements WHERE lookup_key IN ({keyed})"
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for key in some {
                query = query.bind(key.as_bytes().as_slice());
            }
            for row in query.fetch_all(&mut *self.tx).await? {
                let number = get_number(&row)?;
                self.leaves.know(get_id(&row, "id")?, number.lookup_key, &number.sealed_digest);
            }
        }
        Ok(())
    }
}

/// The number of a row.
pub(super) fn get_number(row: &AnyRow) -> Result<SealedNumber, StoreError> {
    Ok(SealedNumber {
        lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
        key_version: get_version(row.try_get("key_version")?)?,
        sealed_digest: row.try_get("sealed_digest")?,
    })
}
