//! The nodes that may hold a lease on this store: a writer must know whether anybody else may answer from memory.
//! Joining is a change in the feed, so that it is ordered with every write: a writer either sees the node, or the node sees
//! the write. When a node counts as gone is decided in `registry::membership`.

use sqlx::{AssertSqlSafe, Row};

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, as_i64, get_id, get_sequence};
use crate::domain::ids::NodeId;
use crate::domain::sequence::Sequence;

/// Where a change is, and who must know about it.
#[derive(Debug)]
pub struct Audience {
    /// The history that the change's sequence belongs to.
    pub epoch: String,
    /// The last change of any writer when it was asked: this one's, or an earlier one.
    pub head: Sequence,
    /// Whether any other node may hold a lease.
    pub has_other_nodes: bool,
}

/// A node's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeRow {
    pub node: NodeId,
    /// Counted up while it lives; negative: marked.
    pub beat: i64,
    /// The last sequence that it told it knows.
    pub confirmed: Sequence,
}

impl Store {
    /// Registers a node, or unmarks it, before it reads anything that it will answer from. A new one holds no lease yet and will
    /// read what came before it: it has confirmed its own joining. A marked one may still hold a lease from before: what it has
    /// confirmed stays.
    pub async fn join(&self, node: NodeId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sequence = tx.record_change(ChangeKind::Node, node.as_bytes()).await?;
        sqlx::query(
            "INSERT INTO nodes (node_id, beat, confirmed) VALUES ($1, 0, $2) ON CONFLICT (node_id) \
             DO UPDATE SET beat = ABS(nodes.beat) + 1",
        )
        .bind(node.as_bytes().as_slice())
        .bind(as_i64(sequence))
        .execute(&mut *tx.tx)
        .await?;
        tx.commit_unlisted().await
    }

    /// A node says that it answers from nothing older than this sequence. Void where the store is no longer the one that gave it.
    pub async fn confirm(&self, node: NodeId, sequence: Sequence, epoch: &str) -> Result<(), StoreError> {
        let statement = format!(
            "UPDATE nodes SET confirmed = $2 WHERE node_id = $1 AND confirmed < $2 \
             AND EXISTS (SELECT 1 FROM feed_head h WHERE {} = $3 AND h.seq >= $2)",
            self.dialect.epoch()
        );
        let query = sqlx::query(AssertSqlSafe(statement));
        query
            .bind(node.as_bytes().as_slice())
            .bind(as_i64(sequence))
            .bind(epoch)
            .execute(&mut *self.own_connection().await?)
            .await?;
        Ok(())
    }

    /// The sequence that every other node has confirmed; None where there is no other.
    pub async fn least_confirmed(&self, own: NodeId) -> Result<Option<Sequence>, StoreError> {
        let query = sqlx::query("SELECT MIN(confirmed) AS least FROM nodes WHERE node_id <> $1");
        let row = query.bind(own.as_bytes().as_slice()).fetch_one(&mut *self.own_connection().await?).await?;
        let least: Option<i64> = row.try_get("least")?;
        least.map(|_| get_sequence(&row, "least")).transpose()
    }

    /// Counts a node's beat up, unless it is marked.
    pub async fn beat(&self, node: NodeId) -> Result<(), StoreError> {
        self.write("UPDATE nodes SET beat = beat + 1 WHERE node_id = $1 AND beat > $2", node, -1).await
    }

    /// Every node.
    pub async fn list_nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let rows = sqlx::query("SELECT node_id, beat, confirmed FROM nodes")
            .fetch_all(&mut *self.own_connection().await?)
            .await?;
        let read = |row: &sqlx::any::AnyRow| {
            let confirmed = get_sequence(row, "confirmed")?;
            Ok(NodeRow { node: get_id(row, "node_id")?, beat: row.try_get("beat")?, confirmed })
        };
        rows.iter().map(read).collect()
    }

    /// Marks a node that still has this beat: it renews no lease from now on, unless it joins again. A mark is a negative
    /// beat and never comes twice: who saw an earlier one must not count its age for this one.
    pub async fn mark_node(&self, node: NodeId, beat: i64) -> Result<(), StoreError> {
        let statement = "UPDATE nodes SET beat = -1 - beat WHERE node_id = $1 AND beat = $2 AND beat >= 0";
        self.write(statement, node, beat).await
    }

    /// Removes a node that still has this beat.
    pub async fn remove_node(&self, node: NodeId, beat: i64) -> Result<(), StoreError> {
        self.write("DELETE FROM nodes WHERE node_id = $1 AND beat = $2", node, beat).await
    }

    /// A node's own farewell: it answers nothing any more.
    pub async fn leave(&self, node: NodeId) -> Result<(), StoreError> {
        self.write("DELETE FROM nodes WHERE node_id = $1 AND beat >= $2", node, i64::MIN).await
    }

    async fn write(&self, statement: &'static str, node: NodeId, beat: i64) -> Result<(), StoreError> {
        sqlx::query(statement)
            .bind(node.as_bytes().as_slice())
            .bind(beat)
            .execute(&mut *self.own_connection().await?)
            .await?;
        Ok(())
    }
}

impl WriteTx {
    /// Who must know of this change. Ask after `record_change`: from there on nobody joins before the commit.
    pub async fn audience(&mut self, own: NodeId) -> Result<Audience, StoreError> {
        let statement = format!(
            "SELECT {} AS epoch, h.seq AS seq, (SELECT COUNT(*) FROM nodes WHERE node_id <> $1) AS others FROM feed_head h",
            self.dialect.epoch()
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(own.as_bytes().as_slice());
        let row = query.fetch_one(&mut *self.tx).await?;
        let has_other_nodes = row.try_get::<i64, _>("others")? > 0;
        Ok(Audience { epoch: row.try_get("epoch")?, head: get_sequence(&row, "seq")?, has_other_nodes })
    }
}
