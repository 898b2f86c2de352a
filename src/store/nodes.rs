//! The nodes that may hold a lease on this store: a writer must know whether anybody else may answer from memory.
//! Joining is a change in the feed, so that it is ordered with every write: a writer either sees the node, or the node sees
//! the write. When a node counts as gone is decided in `registry::membership`.

use sqlx::Row;
use uuid::Uuid;

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, get_uuid};

impl Store {
    /// Registers a node, or unmarks it, before it reads anything that it will answer from.
    pub async fn join(&self, node: Uuid) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.record_change(ChangeKind::Node, node.as_bytes()).await?;
        sqlx::query("INSERT INTO nodes (node_id, beat) VALUES ($1, 0) ON CONFLICT (node_id) DO UPDATE SET beat = 0")
            .bind(node.as_bytes().as_slice())
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await
    }

    /// Counts a node's beat up, unless it is marked.
    pub async fn beat(&self, node: Uuid) -> Result<(), StoreError> {
        self.write("UPDATE nodes SET beat = beat + 1 WHERE node_id = $1 AND beat > $2", node, -1).await
    }

    /// Every node with its beat.
    pub async fn list_nodes(&self) -> Result<Vec<(Uuid, i64)>, StoreError> {
        let rows = sqlx::query("SELECT node_id, beat FROM nodes").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((get_uuid(row, "node_id")?, row.try_get("beat")?))).collect()
    }

    /// Marks a node that still stands at this beat: it renews no lease from now on, unless it joins again.
    pub async fn mark_node(&self, node: Uuid, beat: i64) -> Result<(), StoreError> {
        self.write("UPDATE nodes SET beat = -1 WHERE node_id = $1 AND beat = $2", node, beat).await
    }

    /// Removes a node that still stands at this beat.
    pub async fn remove_node(&self, node: Uuid, beat: i64) -> Result<(), StoreError> {
        self.write("DELETE FROM nodes WHERE node_id = $1 AND beat = $2", node, beat).await
    }

    /// A node's own farewell: it answers nothing any more.
    pub async fn leave(&self, node: Uuid) -> Result<(), StoreError> {
        self.write("DELETE FROM nodes WHERE node_id = $1 AND beat >= $2", node, -1).await
    }

    async fn write(&self, statement: &'static str, node: Uuid, beat: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(statement).bind(node.as_bytes().as_slice()).bind(beat).execute(&mut *tx.tx).await?;
        tx.commit().await
    }
}

impl WriteTx {
    /// Whether any other node may hold a lease. Ask after `record_change`: from there on nobody joins before the commit.
    pub async fn has_other_nodes(&mut self, own: Uuid) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS others FROM nodes WHERE node_id <> $1")
            .bind(own.as_bytes().as_slice())
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(row.try_get::<i64, _>("others")? > 0)
    }
}
