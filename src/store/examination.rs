//! A look at a store that changes nothing in it: which migrations ran, what its clock and its newest rows say, how fast it answers,
//! whether a writer gets its turn. What that means for a node is decided in `node::doctor`.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;

use super::{Store, StoreError};
use crate::clock::Clock;
use crate::domain::instant::UnixMs;

/// Which migrations ran, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// None ran: nobody has started with this store yet.
    pub is_new: bool,
    /// The next start runs them.
    pub pending: Vec<i64>,
    /// They ran, and this program does not know them: a newer one was here.
    pub unknown: Vec<i64>,
    /// They failed half-way, or ran with another text.
    pub broken: Vec<i64>,
}

/// How many questions a latency is the median of.
const QUESTIONS: usize = 5;
/// The newest row of each table whose rows come in the order of time, or that is small.
const NEWEST: &str = "SELECT MAX(newest) AS newest FROM ( \
     SELECT MAX(at) AS newest FROM audit WHERE seq = (SELECT MAX(seq) FROM audit) \
     UNION ALL SELECT MAX(created_at) FROM organizations \
     UNION ALL SELECT MAX(created_at) FROM clients \
     UNION ALL SELECT MAX(created_at) FROM idempotency \
     UNION ALL SELECT MAX(seen_at) FROM sightings \
     UNION ALL SELECT MAX(listed_at) FROM alerts) AS tables";

impl Store {
    /// Whether anybody has started with it.
    pub(super) async fn has_schema(&self) -> Result<bool, StoreError> {
        let row = sqlx::query(self.dialect.count_schemas()).fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get::<i64, _>("total")? > 0)
    }

    /// Which migrations ran, compared with those of this program.
    pub async fn migrated(&self) -> Result<Migrated, StoreError> {
        let own = self.dialect.migrator();
        let mut known: BTreeMap<i64, Vec<u8>> =
            own.iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect();
        if !self.has_schema().await? {
            return Ok(Migrated { is_new: true, pending: known.into_keys().collect(), ..Migrated::default() });
        }
        let rows = sqlx::query(
            "SELECT version, checksum, CAST(CASE WHEN success THEN 1 ELSE 0 END AS BIGINT) AS ended \
             FROM _sqlx_migrations ORDER BY version",
        )
        .fetch_all(&mut *self.connection().await?)
        .await?;
        let mut migrated = Migrated::default();
        for row in rows {
            let (version, ended): (i64, i64) = (row.try_get("version")?, row.try_get("ended")?);
            let checksum: Vec<u8> = row.try_get("checksum")?;
            match known.remove(&version) {
                _ if ended == 0 => migrated.broken.push(version),
                None => migrated.unknown.push(version),
                Some(own) if own != checksum => migrated.broken.push(version),
                Some(_) => {}
            }
        }
        migrated.pending = known.into_keys().collect();
        Ok(migrated)
    }

    /// What the server's clock shows, and this machine's in the middle of the question; none where there is no server.
    pub async fn now_ms(&self, clock: &Clock) -> Result<Option<(UnixMs, UnixMs)>, StoreError> {
        let Some(question) = self.dialect.now_ms() else { return Ok(None) };
        let mut connection = self.connection().await?;
        let asked_ms = clock.now_ms();
        let row = sqlx::query(question).fetch_one(&mut *connection).await?;
        let middle = asked_ms.plus(clock.now_ms().since(asked_ms) / 2);
        Ok(Some((UnixMs::new(row.try_get("now_ms")?), middle)))
    }

    /// When the newest row was written; none where there is none.
    pub async fn newest_row_ms(&self) -> Result<Option<UnixMs>, StoreError> {
        let row = sqlx::query(NEWEST).fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get("newest")?)
    }

    /// How long it takes to answer a small question: the median of a few.
    pub async fn latency(&self, clock: &Clock) -> Result<Duration, StoreError> {
        let mut taken = [Duration::ZERO; QUESTIONS];
        for place in &mut taken {
            let began_ns = clock.boot_ns();
            sqlx::query("SELECT seq FROM feed_head WHERE id = 1")
                .fetch_optional(&mut *self.connection().await?)
                .await?;
            *place = Duration::from_nanos(clock.boot_ns().saturating_sub(began_ns));
        }
        taken.sort_unstable();
        Ok(taken[QUESTIONS / 2])
    }

    /// Waits for a writer's turn and gives it back: what is busy, read-only or unsound refuses it.
    pub async fn try_turn(&self) -> Result<(), StoreError> {
        self.begin().await?.take_turn().await.map(drop)
    }
}
