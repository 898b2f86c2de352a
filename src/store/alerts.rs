//! Watches and alerts. A watch is read and an alert made in the turn of the writer that lists a number: none is missed, and an
//! organization's alerts are seen in the order of their sequences, without a gap.

use std::collections::BTreeMap;

use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_id, get_parsed, get_parsed_opt, get_u64, parse_date};
use crate::crypto::digest::LookupKey;
use crate::domain::alert::AlertKind;
use crate::domain::ids::{AlertId, CheckId, ClientId, OrganizationId, ReplacementId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::sequence::AlertSequence;
use crate::domain::verdict::ListingKind;

/// A check that is watched. Nothing else of it is kept.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The check's id.
    pub watch_id: CheckId,
    pub organization: OrganizationId,
    pub client: ClientId,
    pub lookup_key: LookupKey,
    pub key_version: u32,
    pub card_valid_from: Option<Date>,
    pub ends_at_ms: UnixMs,
}

/// A watch under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredWatch {
    pub watch_id: CheckId,
    pub organization: OrganizationId,
    pub lookup_key: LookupKey,
    pub card_valid_from: Option<Date>,
}

/// An alert to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewAlert {
    pub alert_id: AlertId,
    pub organization: OrganizationId,
    /// The check that it is about; a watch of it ends.
    pub check_id: CheckId,
    pub kind: AlertKind,
    pub listing: ListingKind,
    /// The record that made it, which may turn out to be wrong.
    pub source: Option<Source>,
}

/// The record behind an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Report(ReportId),
    Replacement(ReplacementId),
}

impl Source {
    /// The column that names it, and its id.
    fn named(self) -> (&'static str, [u8; 16]) {
        match self {
            Self::Report(id) => ("report_id", *id.as_bytes()),
            Self::Replacement(id) => ("replacement_id", *id.as_bytes()),
        }
    }
}

/// A check and who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub organization: OrganizationId,
    pub check_id: CheckId,
}

/// A stored alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    pub alert_id: AlertId,
    pub check_id: CheckId,
    pub kind: AlertKind,
    pub listing: ListingKind,
    pub listed_at_ms: UnixMs,
    /// Counts the alerts of its organization from one.
    pub sequence: AlertSequence,
}

/// Keys of one look-up of watches: few enough for one statement.
const KEYS_MAX: usize = 4000;
/// Rows that one statement deletes: SQLite has one writer at a time.
const DELETED_MAX: usize = 5000;

static WATCHES: RowsInsert = RowsInsert::new(
    "watches",
    "watch_id, organization_id, client_id, lookup_key, key_version, card_valid_from, ends_at",
);
static ALERTS: RowsInsert = RowsInsert::new(
    "alerts",
    "alert_id, organization_id, seq, check_id, kind, listing_kind, listed_at, report_id, replacement_id",
);

impl Store {
    /// An organization's alerts after a sequence, in order.
    pub async fn list_alerts(
        &self,
        organization: OrganizationId,
        after: AlertSequence,
        count_max: usize,
    ) -> Result<Vec<Alert>, StoreError> {
        let rows = sqlx::query(
            "SELECT alert_id, check_id, kind, listing_kind, listed_at, seq FROM alerts \
             WHERE organization_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(organization.as_bytes().as_slice())
        .bind(as_i64(after))
        .bind(i64::try_from(count_max).unwrap_or(i64::MAX))
        .fetch_all(&mut *self.connection().await?)
        .await?;
        rows.iter().map(read_alert).collect()
    }

    /// By which peppers watches are keyed.
    pub async fn watch_versions(&self) -> Result<Vec<u32>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT key_version FROM watches ORDER BY key_version")
            .fetch_all(&mut *self.connection().await?)
            .await?;
        let read = |row: &AnyRow| {
            u32::try_from(row.try_get::<i64, _>("key_version")?).map_err(|_| StoreError::Corrupt("key_version"))
        };
        rows.iter().map(read).collect()
    }

    /// Deletes watches that have ended; returns how many. Where there are none, no writer is kept waiting.
    pub async fn delete_ended_watches(&self, now_ms: UnixMs) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let ended = sqlx::query("SELECT 1 FROM watches WHERE ends_at <= $1 LIMIT 1")
                .bind(now_ms)
                .fetch_optional(&mut *self.connection().await?)
                .await?;
            if ended.is_none() {
                return Ok(deleted);
            }
            let mut tx = self.begin().await?;
            let done = sqlx::query(AssertSqlSafe(format!(
                "DELETE FROM watches WHERE watch_id IN \
                 (SELECT watch_id FROM watches WHERE ends_at <= $1 ORDER BY ends_at LIMIT {DELETED_MAX})"
            )))
            .bind(now_ms)
            .execute(&mut *tx.tx)
            .await?;
            tx.commit_unlisted().await?;
            deleted += done.rows_affected();
        }
    }
}

impl WriteTx {
    /// Stores watches. A writer that lists a number after this is committed sees them.
    pub async fn insert_watches(&mut self, watches: &[Watch]) -> Result<(), StoreError> {
        self.take_turn().await?;
        for watch in watches {
            self.check_key_version(watch.key_version)?;
        }
        let bind = |values: &mut Values, watch: &Watch| {
            values
                .push(watch.watch_id.as_bytes().as_slice())
                .push(watch.organization.as_bytes().as_slice())
                .push(watch.client.as_bytes().as_slice())
                .push(watch.lookup_key.as_bytes().as_slice())
                .push(i64::from(watch.key_version))
                .push(watch.card_valid_from.map(|date| date.to_string()))
                .push(watch.ends_at_ms);
        };
        WATCHES.execute(&mut self.tx, self.dialect, watches, bind).await
    }

    /// How many watches of a client are active; counts no further than so many.
    pub async fn count_watches(&mut self, client: ClientId, now_ms: UnixMs, max: u32) -> Result<u32, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS active FROM \
             (SELECT 1 FROM watches WHERE client_id = $1 AND ends_at > $2 LIMIT $3) AS of_client",
        )
        .bind(client.as_bytes().as_slice())
        .bind(now_ms)
        .bind(i64::from(max))
        .fetch_one(&mut *self.tx)
        .await?;
        u32::try_from(row.try_get::<i64, _>("active")?).map_err(|_| StoreError::Corrupt("watches"))
    }

    /// When the first of a client's active watches ends.
    pub async fn first_end_of_watches(
        &mut self,
        client: ClientId,
        now_ms: UnixMs,
    ) -> Result<Option<UnixMs>, StoreError> {
        let row = sqlx::query("SELECT MIN(ends_at) AS first FROM watches WHERE client_id = $1 AND ends_at > $2")
            .bind(client.as_bytes().as_slice())
            .bind(now_ms)
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(row.try_get("first")?)
    }

    /// The active watches that a client has under these keys.
    pub async fn own_watches(
        &mut self,
        client: ClientId,
        keys: &[LookupKey],
        now_ms: UnixMs,
    ) -> Result<Vec<StoredWatch>, StoreError> {
        self.take_turn().await?;
        self.watches_under(Some(client), keys, now_ms).await
    }

    /// Lets a watch end later.
    pub async fn prolong_watch(&mut self, watch: CheckId, ends_at_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query("UPDATE watches SET ends_at = $1 WHERE watch_id = $2 AND ends_at < $1")
            .bind(ends_at_ms)
            .bind(watch.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Whether a pepper keyed any watch.
    pub async fn has_watches(&mut self, key_version: u32) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM watches WHERE key_version = $1 LIMIT 1")
            .bind(i64::from(key_version))
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.is_some())
    }

    /// The watches under these keys that have not ended.
    pub async fn watches_of(&mut self, keys: &[LookupKey], now_ms: UnixMs) -> Result<Vec<StoredWatch>, StoreError> {
        self.take_turn().await?;
        self.watches_under(None, keys, now_ms).await
    }

    async fn watches_under(
        &mut self,
        client: Option<ClientId>,
        keys: &[LookupKey],
        now_ms: UnixMs,
    ) -> Result<Vec<StoredWatch>, StoreError> {
        let mut watches = Vec::new();
        for keys in keys.chunks(KEYS_MAX) {
            let mut values = Values::default();
            values.push(now_ms);
            let mut of_client = String::new();
            if let Some(client) = client {
                values.push(client.as_bytes().as_slice());
                of_client = format!("AND client_id = {} ", self.dialect.place(2));
            }
            let first = if client.is_some() { 3 } else { 2 };
            let places: Vec<_> = (first..first + keys.len()).map(|n| self.dialect.place(n)).collect();
            let text = format!(
                "SELECT watch_id, organization_id, lookup_key, card_valid_from FROM watches \
                 WHERE ends_at > {} {of_client}AND lookup_key IN ({})",
                self.dialect.place(1),
                places.join(",")
            );
            for key in keys {
                values.push(key.as_bytes().as_slice());
            }
            let rows = values.query(text)?.fetch_all(&mut *self.tx).await?;
            for row in &rows {
                watches.push(StoredWatch {
                    watch_id: get_id(row, "watch_id")?,
                    organization: get_id(row, "organization_id")?,
                    lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
                    card_valid_from: get_parsed_opt(row, "card_valid_from", parse_date)?,
                });
            }
        }
        Ok(watches)
    }

    /// The checks that were answered or alerted so because of a record, but for those that were told to ask again.
    pub async fn told_of(&mut self, source: Source, kinds: &[AlertKind]) -> Result<Vec<Told>, StoreError> {
        self.take_turn().await?;
        let (column, id) = source.named();
        // What an alert says is what the answer would say.
        let kinds = kinds.iter().map(|kind| format!("'{}'", kind.as_str())).collect::<Vec<_>>().join(",");
        let text = format!(
            "SELECT t.organization_id AS organization_id, t.check_id AS check_id FROM ( \
               SELECT organization_id, check_id FROM sightings WHERE listing_id = $1 AND verdict IN ({kinds}) \
               UNION SELECT organization_id, check_id FROM alerts WHERE {column} = $1 AND kind IN ({kinds}) \
             ) t WHERE NOT EXISTS (SELECT 1 FROM alerts a \
               WHERE a.{column} = $1 AND a.kind = 'check_again' AND a.check_id = t.check_id) ORDER BY t.check_id"
        );
        let rows = sqlx::query(AssertSqlSafe(text)).bind(id.as_slice()).fetch_all(&mut *self.tx).await?;
        rows.iter().map(read_told).collect()
    }

    /// The checks since an instant that are kept with this report and were told `card_listed`, and not yet to ask again because of that.
    pub async fn shown_card_listed(
        &mut self,
        report: ReportId,
        source: Source,
        since_ms: UnixMs,
    ) -> Result<Vec<Told>, StoreError> {
        self.take_turn().await?;
        let (column, id) = source.named();
        let text = format!(
            "SELECT DISTINCT s.organization_id AS organization_id, s.check_id AS check_id FROM sightings s \
             WHERE s.listing_id = $1 AND s.verdict = 'card_listed' AND s.seen_at >= $2 \
             AND NOT EXISTS (SELECT 1 FROM alerts a \
               WHERE a.{column} = $3 AND a.kind = 'check_again' AND a.check_id = s.check_id) ORDER BY s.check_id"
        );
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(report.as_bytes().as_slice())
            .bind(since_ms)
            .bind(id.as_slice())
            .fetch_all(&mut *self.tx)
            .await?;
        rows.iter().map(read_told).collect()
    }

    /// Whether a check was told to ask again, because of that record.
    pub async fn is_told_again(&mut self, source: Source, told: Told) -> Result<bool, StoreError> {
        let (column, id) = source.named();
        let text = format!("SELECT 1 FROM alerts WHERE {column} = $1 AND kind = 'check_again' AND check_id = $2");
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(id.as_slice())
            .bind(told.check_id.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.is_some())
    }

    /// Stores alerts, ends their watches, and makes a delivery of each to every enabled endpoint of its organization.
    pub async fn insert_alerts(&mut self, alerts: &[NewAlert], now_ms: UnixMs) -> Result<(), StoreError> {
        self.take_turn().await?;
        let mut counts = BTreeMap::new();
        for alert in alerts {
            *counts.entry(alert.organization).or_insert(0_u64) += 1;
        }
        let mut last = BTreeMap::new();
        for (organization, count) in &counts {
            let row = sqlx::query(
                "INSERT INTO alert_heads (organization_id, seq) VALUES ($1, $2) \
                 ON CONFLICT (organization_id) DO UPDATE SET seq = alert_heads.seq + $2 RETURNING seq",
            )
            .bind(organization.as_bytes().as_slice())
            .bind(as_i64(*count))
            .fetch_one(&mut *self.tx)
            .await?;
            last.insert(*organization, AlertSequence::new(get_u64(&row, "seq")?.saturating_sub(*count)));
        }
        let bind = |values: &mut Values, alert: &NewAlert| {
            let sequence = last.entry(alert.organization).or_default();
            let source = |column| {
                let named = alert.source.map(Source::named);
                named.filter(|(name, _)| *name == column).map(|(_, id)| id.to_vec())
            };
            *sequence = sequence.next();
            values
                .push(alert.alert_id.as_bytes().as_slice())
                .push(alert.organization.as_bytes().as_slice())
                .push(as_i64(*sequence))
                .push(alert.check_id.as_bytes().as_slice())
                .push(alert.kind.as_str())
                .push(alert.listing.as_str())
                .push(now_ms)
                .push(source("report_id"))
                .push(source("replacement_id"));
        };
        ALERTS.execute(&mut self.tx, self.dialect, alerts, bind).await?;
        for alert in alerts {
            sqlx::query("DELETE FROM watches WHERE watch_id = $1")
                .bind(alert.check_id.as_bytes().as_slice())
                .execute(&mut *self.tx)
                .await?;
            self.insert_deliveries(alert.alert_id).await?;
        }
        Ok(())
    }
}

/// An alert from its columns.
pub(super) fn read_alert(row: &AnyRow) -> Result<Alert, StoreError> {
    Ok(Alert {
        alert_id: get_id(row, "alert_id")?,
        check_id: get_id(row, "check_id")?,
        kind: get_parsed(row, "kind", AlertKind::parse)?,
        listing: get_parsed(row, "listing_kind", ListingKind::parse)?,
        listed_at_ms: row.try_get("listed_at")?,
        sequence: AlertSequence::new(get_u64(row, "seq")?),
    })
}

fn read_told(row: &AnyRow) -> Result<Told, StoreError> {
    Ok(Told { organization: get_id(row, "organization_id")?, check_id: get_id(row, "check_id")? })
}
