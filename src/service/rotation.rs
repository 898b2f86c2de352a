//! Rotation of the pepper while nodes serve: a new pepper is made known, the store is switched to it, and rows are re-keyed page
//! by page, from their sealed digests or, by a nested pepper, from their old keys. Every step can be repeated: stopped anywhere
//! and begun again it ends right, and two at once do no harm. Look-ups under two peppers are in `registry::peppers`.

use std::time::Duration;

use super::writing::{leave_to_followers, open_digest};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::pepper::{KeyVersions, Pepper, Peppers};
use crate::crypto::{KeyError, Keyring};
use crate::domain::ids::{NodeId, RecordId};
use crate::store::aggregate::Aggregate;
use crate::store::aggregates;
use crate::store::rotation::{KeyedRow, Switch};
use crate::store::{Store, StoreError};

/// Between two transactions: writers of serving nodes pass. SQLite gives its lock to the connection that asks at the right moment.
const PAUSE: Duration = Duration::from_millis(25);
/// How often a page is tried again that a busy store refused, or whose commit it did not confirm.
const TRIES_MAX: u32 = 12;

/// A rotation cannot begin, or cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("pepper-{version}.key is there already and is nested: say --nested, or remove it")]
    IsNested { version: u32 },
    #[error(
        "pepper-{version}.key is there already and is not nested in the pepper in use: leave --nested, or remove it"
    )]
    IsNotNested { version: u32 },
    #[error(
        "the sealed digests of {rows} rows do not open, or do not belong to their keys: only a nested pepper (--nested) can replace \
         this one"
    )]
    DigestsLost { rows: u64 },
    #[error("the store was switched to other peppers meanwhile: the same command again finds out")]
    Overtaken,
}

/// A rotation from one pepper to the next.
#[derive(Debug)]
pub struct Rotation<'a> {
    store: &'a Store,
    keyring: &'a Keyring,
    pub from: u32,
    pub to: u32,
    /// The store was switched by an earlier start.
    pub is_under_way: bool,
    peppers: Peppers,
}

impl<'a> Rotation<'a> {
    /// The rotation that is under way, or the next one; its pepper is made unless it is in the key folder.
    pub async fn prepare(store: &'a Store, keyring: &'a Keyring, is_nested: bool) -> Result<Self, RotationError> {
        let versions = store.key_versions().await?;
        let (from, to) = match versions.previous {
            Some(from) => (from, versions.current),
            None => (versions.current, next_pepper(store, keyring, versions.current, is_nested).await?),
        };
        let peppers = keyring.peppers(KeyVersions { current: to, previous: Some(from) })?;
        Ok(Self { store, keyring, from, to, is_under_way: versions.previous.is_some(), peppers })
    }

    /// Whether the new pepper still needs the old one.
    pub fn is_nested(&self) -> bool {
        self.peppers.current.nested_in().is_some()
    }

    /// Makes the new pepper known: nodes that hold it say so from now on.
    pub async fn announce(&self) -> Result<(), RotationError> {
        if self.store.remember_key(&self.keyring.pepper_check(self.to)?).await? {
            return Ok(());
        }
        Err(KeyError::ForeignPepper { version: self.to }.into())
    }

    /// Opens every sealed digest, so that no rotation begins that cannot end. `progress` gets the rows looked at.
    pub async fn verify(&self, mut progress: impl FnMut(u64)) -> Result<(), RotationError> {
        let (mut seen, mut lost) = (0, 0);
        for table in aggregates::rekeyed() {
            let mut after = None;
            while let Some(page) = self.page(table, after).await? {
                after = page.last().map(|row| row.id);
                let own = |row: &&KeyedRow| row.key_version == self.from;
                let opens = |row: &KeyedRow| {
                    let digest = self.open(row);
                    digest.is_some_and(|digest| self.peppers.previous_key(&digest) == Some(row.lookup_key))
                };
                lost += page.iter().filter(own).filter(|row| !opens(row)).count() as u64;
                seen += page.len() as u64;
                progress(seen);
            }
        }
        if lost > 0 { Err(RotationError::DigestsLost { rows: lost }) } else { Ok(()) }
    }

    /// Switches the store, unless nodes lack the new pepper: those are returned.
    pub async fn switch(&self, is_forced: bool) -> Result<Vec<NodeId>, RotationError> {
        match self.store.begin_rotation(self.from, self.to, is_forced).await? {
            Switch::Done => Ok(Vec::new()),
            Switch::NodesLack(nodes) => Ok(nodes),
            Switch::Otherwise(versions) if versions == self.peppers.versions() => Ok(Vec::new()),
            Switch::Otherwise(_) => Err(RotationError::Overtaken),
        }
    }

    /// Re-keys every row that is left, then ends the rotation. `progress` gets the rows looked at. Returns how many rows this
    /// start re-keyed.
    pub async fn rekey(&self, mut progress: impl FnMut(u64)) -> Result<u64, RotationError> {
        let (mut seen, mut rekeyed) = (0, 0);
        // New rows have the new key: once all that were there are looked at, none is left with the old one.
        for table in aggregates::rekeyed() {
            let mut after = None;
            while let Some(page) = self.page(table, after).await? {
                after = page.last().map(|row| row.id);
                seen += page.len() as u64;
                let old = page.iter().filter(|row| row.key_version == self.from);
                let rows =
                    old.map(|row| Ok((row.id, self.new_key(row)?))).collect::<Result<Vec<_>, RotationError>>()?;
                if !rows.is_empty() {
                    rekeyed += self.rekey_page(table, &rows).await?;
                    tokio::time::sleep(PAUSE).await;
                }
                progress(seen);
            }
        }
        self.store.end_rotation(self.peppers.versions()).await?;
        Ok(rekeyed)
    }

    async fn page(&self, table: &Aggregate, after: Option<RecordId>) -> Result<Option<Vec<KeyedRow>>, RotationError> {
        let page = self.store.list_keyed(table, after).await?;
        Ok((!page.is_empty()).then_some(page))
    }

    async fn rekey_page(&self, table: &Aggregate, rows: &[(RecordId, LookupKey)]) -> Result<u64, RotationError> {
        let mut tries = 1;
        loop {
            match self.try_page(table, rows).await {
                Err(error) if error.is_passing() && tries < TRIES_MAX => tries += 1,
                // Another start of this command came to the end first.
                Err(StoreError::OtherPepper) if self.is_ended().await? => return Ok(0),
                done => return Ok(done?),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_page(&self, table: &Aggregate, rows: &[(RecordId, LookupKey)]) -> Result<u64, StoreError> {
        let mut tx = self.store.begin().await?;
        let rekeyed = tx.rekey(table, rows, self.peppers.versions()).await?;
        leave_to_followers(tx).await?;
        Ok(rekeyed)
    }

    async fn is_ended(&self) -> Result<bool, StoreError> {
        Ok(self.store.key_versions().await? == KeyVersions { current: self.to, previous: None })
    }

    fn new_key(&self, row: &KeyedRow) -> Result<LookupKey, RotationError> {
        let pepper = &self.peppers.current;
        if pepper.nested_in() == Some(self.from) {
            return Ok(pepper.nest(&row.lookup_key));
        }
        let digest = self.open(row).ok_or(RotationError::DigestsLost { rows: 1 })?;
        Ok(pepper.lookup_key(&digest))
    }

    fn open(&self, row: &KeyedRow) -> Option<IdDigest> {
        open_digest(self.keyring, row.id, &row.sealed_digest).ok()
    }
}

/// The pepper after the current one: the newest of the folder, or a new one.
async fn next_pepper(store: &Store, keyring: &Keyring, current: u32, is_nested: bool) -> Result<u32, RotationError> {
    let newest = keyring.newest_pepper()?;
    if newest.version() <= current {
        // A version that was once made known and then lost is not used again.
        let version = store.newest_known_pepper().await?.max(current) + 1;
        keyring.create_pepper(version, is_nested.then_some(current))?;
        return Ok(version);
    }
    let version = newest.version();
    match newest.nested_in() {
        inner if inner == is_nested.then_some(current) => Ok(version),
        Some(_) if !is_nested => Err(RotationError::IsNested { version }),
        _ => Err(RotationError::IsNotNested { version }),
    }
}

impl Rotation<'_> {
    /// Peppers of the key folder that no row needs after the rotation.
    pub fn retired(&self) -> Vec<u32> {
        let mut needed: Option<&Pepper> = Some(&self.peppers.current);
        let mut retired = self.keyring.pepper_versions();
        retired.retain(|version| *version < self.to);
        while let Some(pepper) = needed {
            retired.retain(|version| *version != pepper.version());
            needed = pepper.inner();
        }
        retired
    }
}
