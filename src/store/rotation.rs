//! Rotation of the pepper: by which peppers rows are keyed, the switch to another one, and the re-keying of old rows, in pieces
//! that hold the writers' lock shortly. Keys are derived elsewhere; nothing here sees a pepper or opens a digest.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::aggregate::Aggregate;
use super::aggregates::{self, FOUND_CARDS};
use super::feed::ChangeKind;
use super::key_versions::{get_key_versions, get_version};
use super::rows::Values;
use super::{Store, StoreError, WriteTx, get_bytes, get_id, get_u64};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::ids::{NodeId, RecordId};

/// Rows of one page, and so of one transaction of a re-keying.
pub const PAGE_ROWS_MAX: usize = 500;

/// A row with all that another key of it can be made from.
#[derive(Debug)]
pub struct KeyedRow {
    pub id: RecordId,
    pub lookup_key: LookupKey,
    pub key_version: u32,
    pub sealed_digest: Vec<u8>,
}

/// What became of the wish to switch.
#[derive(Debug, PartialEq, Eq)]
pub enum Switch {
    Done,
    /// These nodes do not hold the new pepper yet: nothing was changed.
    NodesLack(Vec<NodeId>),
    /// The store is not keyed as the caller thought: nothing was changed.
    Otherwise(KeyVersions),
}

impl Store {
    /// By which peppers the rows are keyed now.
    pub async fn key_versions(&self) -> Result<KeyVersions, StoreError> {
        let row = sqlx::query("SELECT key_version, key_version_from FROM feed_head")
            .fetch_one(&mut *self.connection().await?)
            .await?;
        get_key_versions(&row)
    }

    /// From now on new rows are keyed with pepper `to`, and rows of `from` are re-keyed. Waits for no node, but is not done
    /// while one lacks the new pepper, unless `is_forced`: such a node would answer nothing any more.
    pub async fn begin_rotation(&self, from: u32, to: u32, is_forced: bool) -> Result<Switch, StoreError> {
        let mut tx = self.begin().await?;
        let versions = tx.take_turn().await?;
        if versions != (KeyVersions { current: from, previous: None }) {
            return Ok(Switch::Otherwise(versions));
        }
        // A node that joins later sees the switch: joining takes the same turn.
        let rows = sqlx::query("SELECT node_id FROM nodes WHERE pepper_version < $1 ORDER BY node_id")
            .bind(i64::from(to))
            .fetch_all(&mut *tx.tx)
            .await?;
        if !rows.is_empty() && !is_forced {
            let lack = rows.iter().map(|row| get_id(row, "node_id")).collect::<Result<_, _>>()?;
            return Ok(Switch::NodesLack(lack));
        }
        tx.set_key_versions(KeyVersions { current: to, previous: Some(from) }).await?;
        tx.commit_unlisted().await?;
        Ok(Switch::Done)
    }

    /// Ends a rotation, when no row is keyed with the old pepper any more. False if it was ended already.
    pub async fn end_rotation(&self, versions: KeyVersions) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if tx.take_turn().await? != versions {
            return Ok(false);
        }
        tx.set_key_versions(KeyVersions { previous: None, ..versions }).await?;
        tx.commit_unlisted().await?;
        Ok(true)
    }

    /// The rows after a point in the order of their ids, whatever they are keyed with: a page takes the same time everywhere.
    pub async fn list_keyed(&self, of: &Aggregate, after: Option<RecordId>) -> Result<Vec<KeyedRow>, StoreError> {
        let Aggregate { table, id, .. } = of;
        let text = format!(
            "SELECT {id} AS id, lookup_key, key_version, sealed_digest FROM {table} WHERE {id} > $1 ORDER BY {id} \
             LIMIT {PAGE_ROWS_MAX}"
        );
        let after = after.map(|id| *id.as_bytes());
        let after = after.as_ref().map_or(&[] as &[u8], <[u8; 16]>::as_slice);
        let rows = sqlx::query(AssertSqlSafe(text)).bind(after).fetch_all(&mut *self.connection().await?).await?;
        let read = |row: &AnyRow| {
            Ok(KeyedRow {
                id: get_id(row, "id")?,
                lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
                key_version: get_version(row.try_get("key_version")?)?,
                sealed_digest: row.try_get("sealed_digest")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// How many rows are keyed by a pepper. Reads every row.
    pub async fn count_keyed(&self, version: u32) -> Result<u64, StoreError> {
        let count = |of: &Aggregate| format!("(SELECT COUNT(*) FROM {} WHERE key_version = $1)", of.table);
        let counts: Vec<_> = aggregates::rekeyed().map(count).collect();
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {} AS total", counts.join(" + "))))
            .bind(i64::from(version))
            .fetch_one(&mut *self.connection().await?)
            .await?;
        get_u64(&row, "total")
    }

    /// The newest pepper that a node is known to hold; none if it is not registered.
    pub async fn noted_pepper(&self, node: NodeId) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query("SELECT pepper_version FROM nodes WHERE node_id = $1")
            .bind(node.as_bytes().as_slice())
            .fetch_optional(&mut *self.own_connection().await?)
            .await?;
        row.map(|row| get_version(row.try_get("pepper_version")?)).transpose()
    }

    /// Notes that a node holds this pepper and all that are needed before it.
    pub async fn note_pepper(&self, node: NodeId, version: u32) -> Result<(), StoreError> {
        sqlx::query("UPDATE nodes SET pepper_version = $1 WHERE node_id = $2")
            .bind(i64::from(version))
            .bind(node.as_bytes().as_slice())
            .execute(&mut *self.own_connection().await?)
            .await?;
        Ok(())
    }
}

impl WriteTx {
    /// Gives rows their new keys, and tells everybody who follows. Rows that somebody else re-keyed meanwhile are passed over;
    /// returns how many were not. `versions` is what the store must be keyed by.
    pub async fn rekey(
        &mut self,
        of: &Aggregate,
        rows: &[(RecordId, LookupKey)],
        versions: KeyVersions,
    ) -> Result<u64, StoreError> {
        let Some(from) = versions.previous.filter(|_| !rows.is_empty()) else { return Ok(0) };
        if self.take_turn().await? != versions {
            return Err(StoreError::OtherPepper);
        }
        let Aggregate { table, id, .. } = of;
        let place = |n| self.dialect.place(n);
        let places: Vec<_> = (0..rows.len()).map(|n| format!("({},{})", place(2 * n + 1), place(2 * n + 2))).collect();
        let text = format!(
            "UPDATE {table} SET lookup_key = v.column2, key_version = {} FROM (VALUES {}) AS v \
             WHERE {table}.{id} = v.column1 AND {table}.key_version = {from}",
            versions.current,
            places.join(","),
        );
        let mut values = Values::default();
        for (id, key) in rows {
            values.push(id.as_bytes().as_slice()).push(key.as_bytes().as_slice());
        }
        let rekeyed = values.query(text)?.execute(&mut *self.tx).await?.rows_affected();
        if rekeyed > 0 && of.is_listing {
            let keys: Vec<_> = rows.iter().map(|(_, key)| *key).collect();
            let change = self.record_listings(&keys).await?;
            self.leaves.list_nobody(&change.sequences());
        }
        if rekeyed > 0 && *table == FOUND_CARDS.table {
            // Reports that an import has stored meanwhile have the new key alone.
            let keys: Vec<_> = rows.iter().map(|(_, key)| *key).collect();
            self.match_held_cards(&keys).await?;
        }
        Ok(rekeyed)
    }

    async fn set_key_versions(&mut self, versions: KeyVersions) -> Result<(), StoreError> {
        self.record_change(ChangeKind::Pepper, &versions.current.to_be_bytes()).await?;
        sqlx::query("UPDATE feed_head SET key_version = $1, key_version_from = $2 WHERE id = 1")
            .bind(i64::from(versions.current))
            .bind(versions.previous.map(i64::from))
            .execute(&mut *self.tx)
            .await?;
        self.key_versions = Some(versions);
        Ok(())
    }

    /// Refuses a row that is keyed by another pepper than new rows are: look-ups might not find it.
    pub(super) fn check_key_version(&self, version: u32) -> Result<(), StoreError> {
        let is_current = self.key_versions.is_some_and(|versions| versions.current == version);
        is_current.then_some(()).ok_or(StoreError::OtherPepper)
    }
}
