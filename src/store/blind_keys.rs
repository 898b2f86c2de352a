//! The blind keys, which of them are in force, and their bases.

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::key_versions::{get_blind_versions, get_version};
use super::report_rows::{in_force, read_listed};
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_bytes_opt, get_id, get_sequence, get_u64};
use crate::crypto::blind::BlindVersions;
use crate::domain::ids::{NodeId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::registry_log::{Entry, HashedEntry};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

/// A node that builds a base and has not said so for so long has stopped.
const BUILDER_SILENT_MS_MAX: i64 = 60_000;

/// A blind key as the store has it.
#[derive(Debug, Clone)]
pub struct StoredBlindKey {
    pub epoch: u32,
    pub public_key: [u8; 32],
    pub begun_at: UnixMs,
    pub ended_at: Option<UnixMs>,
    /// The sequence at which its log began; none of one that was made before there was a log.
    pub s0: Option<Sequence>,
    /// Whether its seed is kept: until audits are over.
    pub has_seed: bool,
    /// None while it is built.
    pub base: Option<StoredBase>,
}

/// A complete base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBase {
    pub sequence: Sequence,
    pub bytes: u64,
    pub manifest: [u8; 32],
}

/// The blind keys at one moment.
#[derive(Debug, Clone)]
pub struct BlindKeys {
    pub versions: Option<BlindVersions>,
    /// Newest first.
    pub keys: Vec<StoredBlindKey>,
    /// Whether the feed has begun another epoch since the keys in force began: they are over, and no others there yet.
    pub is_cut: bool,
}

/// A new blind key.
#[derive(Debug)]
pub struct NewBlindKey {
    pub epoch: u32,
    pub sealed_seed: Vec<u8>,
    pub public_key: [u8; 32],
    pub begun_at: UnixMs,
}

/// The moment at which everything that lists a number was read.
#[derive(Debug, Clone, Copy)]
pub struct NumbersAt {
    pub head: Sequence,
    pub versions: Option<BlindVersions>,
}

/// Takes the number of each record that lists one, sealed, in no order.
pub trait NumberReader: Send {
    /// False: it has enough.
    fn take(&mut self, record: RecordId, sealed_digest: &[u8], listed: Record) -> bool;
}

impl Store {
    /// Every blind key that is known, and which are in force.
    pub async fn blind_keys(&self) -> Result<BlindKeys, StoreError> {
        let text = format!(
            "SELECT h.blind_version AS blind_version, h.blind_version_from AS blind_version_from, h.blind_behind AS blind_behind, \
             {} AS cut, k.epoch AS epoch, k.public_key AS public_key, k.begun_at AS begun_at, k.ended_at AS ended_at, \
             k.base_seq AS base_seq, k.base_bytes AS base_bytes, k.manifest AS manifest, l.s0 AS s0, \
             CAST(CASE WHEN k.sealed_seed IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_seed \
             FROM feed_head h LEFT JOIN blind_keys k ON TRUE LEFT JOIN log_head l ON l.epoch = k.epoch ORDER BY k.epoch DESC",
            self.dialect.is_log_cut()
        );
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *self.own_connection().await?).await?;
        let first = rows.first().ok_or(StoreError::Corrupt("feed_head"))?;
        let (versions, is_cut) = (get_blind_versions(first)?, get_u64(first, "cut")? != 0);
        let is_key = |row: &&AnyRow| row.try_get::<Option<i64>, _>("epoch").is_ok_and(|epoch| epoch.is_some());
        Ok(BlindKeys { versions, keys: rows.iter().filter(is_key).map(read_key).collect::<Result<_, _>>()?, is_cut })
    }

    /// The sealed seed of an epoch, as long as it is kept.
    pub async fn sealed_blind_seed(&self, epoch: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT sealed_seed FROM blind_keys WHERE epoch = $1")
            .bind(i64::from(epoch))
            .fetch_optional(&mut *self.own_connection().await?)
            .await?;
        Ok(row.map(|row| row.try_get("sealed_seed")).transpose()?.flatten())
    }

    /// Whether this node is to build the base of an epoch, and stays the one that does: asked again and again while it builds.
    pub async fn claim_base(&self, epoch: u32, node: NodeId, now_ms: UnixMs) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE blind_keys SET builder = $1, building_at = $2 WHERE epoch = $3 AND base_seq IS NULL \
             AND (builder IS NULL OR builder = $1 OR building_at < $4 OR building_at > $2 + 60000)",
        )
        .bind(node.as_bytes().as_slice())
        .bind(now_ms)
        .bind(i64::from(epoch))
        .bind(UnixMs::new(now_ms.get().saturating_sub(BUILDER_SILENT_MS_MAX)))
        .execute(&mut *self.own_connection().await?)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores a piece of a base, perhaps in the place of one that another start has left.
    pub async fn put_base_piece(&self, epoch: u32, place: u64, bytes: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO blind_pieces (epoch, place, bytes) VALUES ($1, $2, $3) \
             ON CONFLICT (epoch, place) DO UPDATE SET bytes = excluded.bytes",
        )
        .bind(i64::from(epoch))
        .bind(as_i64(place))
        .bind(bytes)
        .execute(&mut *self.connection().await?)
        .await?;
        Ok(())
    }

    /// A piece of a base.
    pub async fn base_piece(&self, epoch: u32, place: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT bytes FROM blind_pieces WHERE epoch = $1 AND place = $2")
            .bind(i64::from(epoch))
            .bind(as_i64(place))
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        Ok(row.map(|row| row.try_get("bytes")).transpose()?)
    }

    /// Reads the number of every record that lists one, all at one moment.
    pub async fn read_numbers(&self, reader: &mut impl NumberReader) -> Result<NumbersAt, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let head = sqlx::query("SELECT seq, blind_version, blind_version_from, blind_behind FROM feed_head")
            .fetch_one(&mut *tx)
            .await?;
        for (query, id) in [
            (
                concat!(
                    "SELECT 'report' AS kind, report_id AS id, sealed_digest, state, card_valid_from, reported_at AS dated \
                     FROM loss_reports WHERE ",
                    in_force!()
                ),
                "report",
            ),
            (
                "SELECT 'replacement' AS kind, replacement_id AS id, sealed_digest, '' AS state, card_valid_from, \
                 recorded_at AS dated FROM replacements",
                "replacement",
            ),
        ] {
            let mut rows = sqlx::query(query).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                let listed = read_listed(&row)?.ok_or(StoreError::Corrupt(id))?;
                if !reader.take(get_id(&row, "id")?, row.try_get("sealed_digest")?, listed) {
                    return Err(StoreError::Misused("the reader had enough"));
                }
            }
        }
        Ok(NumbersAt { head: get_sequence(&head, "seq")?, versions: get_blind_versions(&head)? })
    }

    /// At most `max` blind entries after a sequence, in their order, as they are under the key of an epoch. None where entries are not made
    /// by that key, or are not complete, at the same moment.
    pub async fn blind_changes(
        &self,
        epoch: u32,
        after: Sequence,
        max: u64,
    ) -> Result<Option<Vec<[u8; 20]>>, StoreError> {
        let text = format!(
            "SELECT h.blind_version AS blind_version, h.blind_version_from AS blind_version_from, h.blind_behind AS blind_behind, \
             {} AS cut, l.seq AS seq, l.epoch AS epoch, l.entry AS entry, l.older AS older \
             FROM feed_head h LEFT JOIN log_leaves l ON l.seq > $1 AND l.seq <= $2 ORDER BY l.seq",
            self.dialect.is_log_cut()
        );
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(as_i64(after))
            .bind(as_i64(after.plus(max)))
            .fetch_all(&mut *self.connection().await?)
            .await?;
        let first = rows.first().ok_or(StoreError::Corrupt("feed_head"))?;
        let (versions, is_cut) = (get_blind_versions(first)?, get_u64(first, "cut")? != 0);
        if is_cut || !versions.is_some_and(|versions| !versions.is_behind && versions.all().any(|live| live == epoch)) {
            return Ok(None);
        }
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(of) = row.try_get::<Option<i64>, _>("epoch")? else { break };
            if get_sequence(row, "seq")? != after.plus(changes.len() as u64 + 1) {
                return Err(StoreError::Corrupt("log_leaves.seq"));
            }
            let older = get_bytes_opt::<20>(row, "older")?;
            let entry = row.try_get::<&[u8], _>("entry")?;
            // Leaves other than entries say nothing of a number: they stand as their first bytes.
            let own = entry.first_chunk::<20>().copied().ok_or(StoreError::Corrupt("log_leaves.entry"))?;
            changes.push(if get_version(of)? == epoch { own } else { older.unwrap_or(own) });
        }
        Ok(Some(changes))
    }
}

impl WriteTx {
    pub(super) async fn sealed_blind_seed(&mut self, epoch: u32) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query("SELECT sealed_seed FROM blind_keys WHERE epoch = $1")
            .bind(i64::from(epoch))
            .fetch_optional(&mut *self.tx)
            .await?;
        let sealed: Option<Vec<u8>> = row.map(|row| row.try_get("sealed_seed")).transpose()?.flatten();
        sealed.ok_or(StoreError::Corrupt("blind_keys.sealed_seed"))
    }

    /// By which blind keys entries are made; none while there are none.
    pub async fn blind_versions(&mut self) -> Result<Option<BlindVersions>, StoreError> {
        self.take_turn().await?;
        Ok(self.leaves.versions)
    }

    /// The highest epoch that there ever was a key of.
    pub async fn newest_blind_epoch(&mut self) -> Result<u32, StoreError> {
        let row =
            sqlx::query("SELECT COALESCE(MAX(epoch), 0) AS newest FROM blind_keys").fetch_one(&mut *self.tx).await?;
        get_version(row.try_get("newest")?)
    }

    /// Whether the log and the keys in force are of another epoch than that of the feed.
    pub async fn is_log_cut(&mut self) -> Result<bool, StoreError> {
        let text = format!("SELECT {} AS cut FROM feed_head h", self.dialect.is_log_cut());
        let row = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut *self.tx).await?;
        Ok(get_u64(&row, "cut")? != 0)
    }

    /// Puts a new key in force, in the turn of writers: the rows from here on have its entries, and beside them those of the key
    /// before, if that lives on.
    pub async fn begin_blind_key(&mut self, new: &NewBlindKey, versions: BlindVersions) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO blind_keys (epoch, sealed_seed, public_key, begun_at) VALUES ($1, $2, $3, $4)")
            .bind(i64::from(new.epoch))
            .bind(new.sealed_seed.as_slice())
            .bind(new.public_key.as_slice())
            .bind(new.begun_at)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query("UPDATE blind_keys SET ended_at = $1 WHERE ended_at IS NULL AND epoch <> $2 AND epoch <> $3")
            .bind(new.begun_at)
            .bind(i64::from(new.epoch))
            .bind(i64::from(versions.previous.unwrap_or(new.epoch)))
            .execute(&mut *self.tx)
            .await?;
        self.delete_unfinished_bases().await?;
        self.set_blind_versions(Some(versions)).await?;
        let text = format!("UPDATE feed_head AS h SET log_epoch = {} WHERE h.id = 1", self.dialect.epoch());
        sqlx::query(AssertSqlSafe(text)).execute(&mut *self.tx).await?;
        self.record_leaf(Entry::hash(HashedEntry::BlindKey, new.public_key)).await
    }

    /// Which keys are in force from the next row on.
    pub async fn set_blind_versions(&mut self, versions: Option<BlindVersions>) -> Result<(), StoreError> {
        sqlx::query("UPDATE feed_head SET blind_version = $1, blind_version_from = $2, blind_behind = $3 WHERE id = 1")
            .bind(versions.map(|versions| i64::from(versions.current)))
            .bind(versions.and_then(|versions| versions.previous).map(i64::from))
            .bind(i64::from(versions.is_some_and(|versions| versions.is_behind)))
            .execute(&mut *self.tx)
            .await?;
        self.leaves.versions = versions;
        Ok(())
    }

    /// The key of an epoch is over.
    pub async fn end_blind_key(&mut self, epoch: u32, now_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query("UPDATE blind_keys SET ended_at = $1 WHERE epoch = $2 AND ended_at IS NULL")
            .bind(now_ms)
            .bind(i64::from(epoch))
            .execute(&mut *self.tx)
            .await?;
        self.delete_unfinished_bases().await
    }

    /// What was built of bases whose key was over before they were complete. Complete ones stay for audits, as long as the seed.
    async fn delete_unfinished_bases(&mut self) -> Result<(), StoreError> {
        let text = "DELETE FROM blind_pieces WHERE epoch IN \
                    (SELECT epoch FROM blind_keys WHERE ended_at IS NOT NULL AND base_seq IS NULL)";
        sqlx::query(text).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// A base is complete. False: another node was quicker.
    pub async fn finish_base(&mut self, epoch: u32, base: &StoredBase) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE blind_keys SET base_seq = $1, base_bytes = $2, manifest = $3 WHERE epoch = $4 AND base_seq IS NULL",
        )
        .bind(as_i64(base.sequence))
        .bind(as_i64(base.bytes))
        .bind(base.manifest.as_slice())
        .bind(i64::from(epoch))
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        self.record_leaf(Entry::hash(HashedEntry::Base, base.manifest)).await?;
        Ok(true)
    }

    /// Destroys the seeds of keys that ended before an instant, and their bases.
    pub async fn destroy_blind_seeds(&mut self, before: UnixMs) -> Result<u64, StoreError> {
        let text = "DELETE FROM blind_pieces WHERE epoch IN (SELECT epoch FROM blind_keys WHERE ended_at < $1)";
        sqlx::query(text).bind(before).execute(&mut *self.tx).await?;
        let query =
            sqlx::query("UPDATE blind_keys SET sealed_seed = NULL WHERE ended_at < $1 AND sealed_seed IS NOT NULL");
        Ok(query.bind(before).execute(&mut *self.tx).await?.rows_affected())
    }
}

fn read_key(row: &AnyRow) -> Result<StoredBlindKey, StoreError> {
    let manifest = get_bytes_opt(row, "manifest")?;
    let base = manifest.map(|manifest| {
        let (sequence, bytes) = (get_sequence(row, "base_seq")?, get_u64(row, "base_bytes")?);
        Ok::<_, StoreError>(StoredBase { sequence, bytes, manifest })
    });
    Ok(StoredBlindKey {
        epoch: get_version(row.try_get("epoch")?)?,
        public_key: get_bytes(row, "public_key")?,
        begun_at: row.try_get("begun_at")?,
        ended_at: row.try_get("ended_at")?,
        s0: row.try_get::<Option<i64>, _>("s0")?.map(|_| get_sequence(row, "s0")).transpose()?,
        has_seed: get_u64(row, "has_seed")? != 0,
        base: base.transpose()?,
    })
}
