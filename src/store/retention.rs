//! What has outlived its time: which rows a class means, how many there are, and their deletion in pieces that hold the writers'
//! lock shortly. What ends a listing leaves its change in the feed. Every condition has an index (migration 0011). How long what
//! is kept is told by the callers.

use jiff::civil::Date;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::rows::Values;
use super::{Store, StoreError, WriteTx, get_bytes, get_u64};
use crate::crypto::digest::LookupKey;
use crate::domain::retention::Class;

/// Rows of one piece, without those that go with them.
pub const PIECE_ROWS_MAX: usize = 250;
/// How far the clock may be from the last run before a node deletes nothing by itself: a clock that is years ahead would
/// delete everything.
pub const STEP_MS_MAX: i64 = 31 * 24 * 3_600_000;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Records of this instant, in milliseconds since the Unix epoch, and before.
    pub until_ms: i64,
    /// The day of that instant.
    pub until_on: Date,
    /// Cards whose last day was before this one.
    pub today: Date,
}

/// Whether a run may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Ours,
    /// Another node ran a while ago.
    Others,
    /// The clock is far from the last run.
    ClockStepped,
}

/// What a condition compares with.
#[derive(Debug, Clone, Copy)]
enum Compared {
    /// $1: the instant.
    Instant,
    /// $1: today.
    Today,
    /// $1: the instant, $2: its day.
    InstantAndDay,
    /// $1: the day of the instant.
    Day,
}

/// What becomes of rows elsewhere that name a deleted one.
#[derive(Debug, Clone, Copy)]
enum Elsewhere {
    Delete { table: &'static str, by: &'static str },
    Forget { table: &'static str, by: &'static str },
}

/// Rows of one table.
#[derive(Debug)]
struct Selection {
    table: &'static str,
    id: &'static str,
    due: &'static str,
    /// The column that the condition's index is of: without the order PostgreSQL may prefer to read the table.
    order: &'static str,
    compared: Compared,
    /// Verdicts depend on it.
    is_listing: bool,
    elsewhere: &'static [Elsewhere],
}

/// Rows that nothing else names.
const fn plain(table: &'static str, id: &'static str, due: &'static str, order: &'static str) -> Selection {
    Selection { table, id, due, order, compared: Compared::Instant, is_listing: false, elsewhere: &[] }
}

/// Of a report: its sightings go, a found card no longer names it.
const OF_REPORT: &[Elsewhere] = &[
    Elsewhere::Delete { table: "sightings", by: "listing_id" },
    Elsewhere::Forget { table: "found_cards", by: "matched_report_id" },
];

const WITH_END: Selection = Selection {
    compared: Compared::Today,
    is_listing: true,
    elsewhere: OF_REPORT,
    ..plain(
        "loss_reports",
        "report_id",
        "state <> 'withdrawn' AND card_valid_until IS NOT NULL AND card_valid_until < $1",
        "card_valid_until",
    )
};
const WITHOUT_END: Selection = Selection {
    is_listing: true,
    elsewhere: OF_REPORT,
    ..plain(
        "loss_reports",
        "report_id",
        "state <> 'withdrawn' AND card_valid_until IS NULL AND reported_at <= $1",
        "reported_at",
    )
};
const REPLACEMENTS: Selection = Selection {
    compared: Compared::InstantAndDay,
    is_listing: true,
    elsewhere: &[Elsewhere::Delete { table: "sightings", by: "listing_id" }],
    ..plain("replacements", "replacement_id", "recorded_at <= $1 AND card_valid_from <= $2", "recorded_at")
};
const WITHDRAWN: Selection = Selection {
    elsewhere: OF_REPORT,
    ..plain("loss_reports", "report_id", "state = 'withdrawn' AND closed_at <= $1", "closed_at")
};
const OF_APPLICATION: &[Elsewhere] = &[Elsewhere::Delete { table: "temporary_cards", by: "application_id" }];
const CLOSED_APPLICATIONS: Selection = Selection {
    elsewhere: OF_APPLICATION,
    ..plain("replacement_applications", "application_id", "closed_at <= $1", "closed_at")
};
// Refused at once, it was never open.
const REFUSED_APPLICATIONS: Selection = Selection {
    elsewhere: OF_APPLICATION,
    ..plain(
        "replacement_applications",
        "application_id",
        "state = 'refused' AND closed_at IS NULL AND applied_at <= $1",
        "applied_at",
    )
};
const ALERTS: Selection = Selection {
    elsewhere: &[Elsewhere::Delete { table: "deliveries", by: "alert_id" }],
    ..plain("alerts", "alert_id", "listed_at <= $1", "listed_at")
};

// A day has outlived its time when its end has.
const USAGE: Selection = Selection {
    compared: Compared::Day,
    ..plain("usage_counts", "organization_id, on_day, site", "on_day < $1", "on_day")
};

/// The rows of a class.
fn selections(class: Class) -> &'static [Selection] {
    match class {
        Class::Listings => const { &[WITH_END, WITHOUT_END, REPLACEMENTS] },
        Class::WithdrawnReports => const { &[WITHDRAWN] },
        Class::Sightings => const { &[plain("sightings", "listing_id, check_id", "seen_at <= $1", "seen_at")] },
        Class::FoundCards => const { &[plain("found_cards", "found_card_id", "closed_at <= $1", "closed_at")] },
        Class::Applications => const { &[CLOSED_APPLICATIONS, REFUSED_APPLICATIONS] },
        Class::MisuseReports => {
            const { &[plain("misuse_reports", "misuse_report_id", "resolved_at <= $1", "resolved_at")] }
        }
        Class::Certificates => {
            const { &[plain("temporary_certificates", "certificate_id", "expires_at <= $1", "expires_at")] }
        }
        Class::Watches => const { &[plain("watches", "watch_id", "ends_at <= $1", "ends_at")] },
        Class::Alerts => const { &[ALERTS] },
        Class::IdempotencyKeys => const { &[plain("idempotency", "request_key", "created_at <= $1", "created_at")] },
        Class::RevokedTokens => const { &[plain("revoked_tokens", "token_hash", "revoked_at <= $1", "revoked_at")] },
        Class::Usage => const { &[USAGE] },
    }
}

impl Selection {
    fn query(&self, text: String, due: &Due) -> Query<'static, Any, sqlx::any::AnyArguments> {
        let query = sqlx::query(AssertSqlSafe(text));
        match self.compared {
            Compared::Instant => query.bind(due.until_ms),
            Compared::Today => query.bind(due.today.to_string()),
            Compared::Day => query.bind(due.until_on.to_string()),
            Compared::InstantAndDay => query.bind(due.until_ms).bind(due.until_on.to_string()),
        }
    }
}

impl Store {
    /// How many rows of a class are due. Rows that go with them are not counted.
    pub async fn count_due(&self, class: Class, due: &Due) -> Result<u64, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let mut total = 0;
        for selection in selections(class) {
            let text = format!("SELECT COUNT(*) AS total FROM {} WHERE {}", selection.table, selection.due);
            total += get_u64(&selection.query(text, due).fetch_one(&mut *tx).await?, "total")?;
        }
        Ok(total)
    }

    /// Asks for the run of this interval. One whose clock was ahead does not keep the others from running.
    pub async fn claim_retention(&self, now_ms: i64, every_ms: i64) -> Result<Claim, StoreError> {
        let mut tx = self.begin().await?;
        tx.take_turn().await?;
        let begun_at: i64 = sqlx::query("SELECT begun_at FROM retention").fetch_one(&mut *tx.tx).await?.try_get(0)?;
        let since_ms = now_ms.saturating_sub(begun_at);
        if begun_at > 0 && since_ms.abs() > STEP_MS_MAX {
            return Ok(Claim::ClockStepped);
        }
        if (0..every_ms / 2).contains(&since_ms) {
            return Ok(Claim::Others);
        }
        tx.begin_retention(now_ms).await?;
        tx.commit_unlisted().await?;
        Ok(Claim::Ours)
    }

    /// When a run was last brought to its end; 0: never.
    pub async fn retention_finished_at(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT finished_at FROM retention").fetch_one(&mut *self.connection().await?).await?;
        Ok(row.try_get("finished_at")?)
    }
}

impl WriteTx {
    /// Notes that a run begins.
    pub async fn begin_retention(&mut self, now_ms: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE retention SET begun_at = $1 WHERE id = 1").bind(now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Notes that a run came to its end.
    pub async fn finish_retention(&mut self, now_ms: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE retention SET finished_at = $1 WHERE id = 1").bind(now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Deletes a piece of what is due, with its changes of the feed; returns how many rows of the class it was: 0 when none is
    /// left.
    pub async fn delete_due(&mut self, class: Class, due: &Due) -> Result<u64, StoreError> {
        self.take_turn().await?;
        for selection in selections(class) {
            let deleted = if selection.elsewhere.is_empty() && !selection.is_listing {
                self.delete_plain(selection, due).await?
            } else {
                self.delete_named(selection, due).await?
            };
            if deleted > 0 {
                return Ok(deleted);
            }
        }
        Ok(0)
    }

    async fn delete_plain(&mut self, selection: &Selection, due: &Due) -> Result<u64, StoreError> {
        let Selection { table, id, due: condition, order, .. } = selection;
        let text = format!(
            "DELETE FROM {table} WHERE ({id}) IN \
             (SELECT {id} FROM {table} WHERE {condition} ORDER BY {order} LIMIT {PIECE_ROWS_MAX})"
        );
        Ok(selection.query(text, due).execute(&mut *self.tx).await?.rows_affected())
    }

    async fn delete_named(&mut self, selection: &Selection, due: &Due) -> Result<u64, StoreError> {
        let Selection { table, id, due: condition, order, is_listing, .. } = selection;
        let key = if *is_listing { ", lookup_key" } else { "" };
        let text = format!("SELECT {id}{key} FROM {table} WHERE {condition} ORDER BY {order} LIMIT {PIECE_ROWS_MAX}");
        let rows = selection.query(text, due).fetch_all(&mut *self.tx).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Vec<u8>>, _>>()?;
        if *is_listing {
            let key = |row| Ok(LookupKey::from_bytes(get_bytes(row, "lookup_key")?));
            let keys = rows.iter().map(key).collect::<Result<Vec<_>, StoreError>>()?;
            self.record_listings(&keys).await?;
        }
        for elsewhere in selection.elsewhere {
            let (statement, by) = match elsewhere {
                Elsewhere::Delete { table, by } => (format!("DELETE FROM {table}"), by),
                Elsewhere::Forget { table, by } => (format!("UPDATE {table} SET {by} = NULL"), by),
            };
            self.execute_on(&statement, by, &ids).await?;
        }
        self.execute_on(&format!("DELETE FROM {table}"), id, &ids).await
    }

    /// A statement over the rows whose column has one of these values; returns how many they were.
    async fn execute_on(&mut self, statement: &str, column: &str, ids: &[Vec<u8>]) -> Result<u64, StoreError> {
        let places: Vec<_> = (1..=ids.len()).map(|n| self.dialect.place(n)).collect();
        let mut values = Values::default();
        for id in ids {
            values.push(id.as_slice());
        }
        let query = values.query(format!("{statement} WHERE {column} IN ({})", places.join(",")))?;
        Ok(query.execute(&mut *self.tx).await?.rows_affected())
    }
}
