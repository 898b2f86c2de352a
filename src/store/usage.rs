//! Usage: sums by organization, day and site. Processes add what they counted; what one sends again is added once.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::rows::RowsInsert;
use super::{Store, StoreError, as_i64, get_u64};
use crate::domain::ids::{OrganizationId, ProcessId};
use crate::domain::instant::UnixMs;
use crate::domain::usage::{Counts, Days, Grouping, NO_SITE, OTHER_SITES, Outcome};

/// What one organization did at one site on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDay {
    pub organization: OrganizationId,
    pub day: Date,
    /// A label, or one of the two names that no label has.
    pub site: String,
    pub counts: Counts,
}

/// Which time it is that a process adds up.
#[derive(Debug, Clone, Copy)]
pub struct Flush {
    pub process: ProcessId,
    /// From one; the same again for the same counts.
    pub sequence: u64,
    pub now_ms: UnixMs,
}

/// The sums of one day or site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The day as `YYYY-MM-DD`, or the site.
    pub name: String,
    pub counts: Counts,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of their names.
    pub groups: Vec<Group>,
    pub total: Counts,
}

/// Sites of one answer; the rest is summed.
const GROUPS_MAX: usize = 10_000;
/// Sites in an organization's answer.
const SITES_MAX: i64 = 1000;
/// How long it is remembered how far a process has come: far longer than any runs without a store.
const PROCESS_MAX: Duration = Duration::from_hours(31 * 24);

const COLUMNS: &str = "organization_id, on_day, site, not_listed, card_listed, other_card_listed, number_listed, invalid, \
     limited, unavailable, batches, receipts_verified, loss_reports, misuse_reports";
const ADD: &str = " ON CONFLICT (organization_id, on_day, site) DO UPDATE SET \
     not_listed = usage_counts.not_listed + excluded.not_listed, \
     card_listed = usage_counts.card_listed + excluded.card_listed, \
     other_card_listed = usage_counts.other_card_listed + excluded.other_card_listed, \
     number_listed = usage_counts.number_listed + excluded.number_listed, \
     invalid = usage_counts.invalid + excluded.invalid, \
     limited = usage_counts.limited + excluded.limited, \
     unavailable = usage_counts.unavailable + excluded.unavailable, \
     batches = usage_counts.batches + excluded.batches, \
     receipts_verified = usage_counts.receipts_verified + excluded.receipts_verified, \
     loss_reports = usage_counts.loss_reports + excluded.loss_reports, \
     misuse_reports = usage_counts.misuse_reports + excluded.misuse_reports";

static COUNTS: RowsInsert = RowsInsert::ending("usage_counts", COLUMNS, ADD);

impl Store {
    /// Adds counts, unless this flush was added before. No organization, day and site twice, all in one order: two nodes that add at
    /// once must not wait for each other.
    pub async fn add_usage(&self, flush: Flush, rows: &[SiteDay]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if flush.sequence == 1 {
            sqlx::query("DELETE FROM usage_flushes WHERE flushed_at < $1")
                .bind(flush.now_ms.minus(PROCESS_MAX))
                .execute(&mut *tx.tx)
                .await?;
        }
        // Waits for a transaction of the same flush that may be on its way yet.
        let claimed = sqlx::query(
            "INSERT INTO usage_flushes (process_id, seq, flushed_at) VALUES ($1, $2, $3) ON CONFLICT (process_id) \
             DO UPDATE SET seq = excluded.seq, flushed_at = excluded.flushed_at WHERE usage_flushes.seq < excluded.seq",
        )
        .bind(flush.process.as_bytes().as_slice())
        .bind(as_i64(flush.sequence))
        .bind(flush.now_ms)
        .execute(&mut *tx.tx)
        .await?;
        if claimed.rows_affected() == 0 {
            return Ok(());
        }
        let dialect = tx.dialect;
        COUNTS
            .execute(&mut tx.tx, dialect, rows, |values, row| {
                values.push(row.organization.as_bytes().as_slice()).push(row.day.to_string()).push(row.site.as_str());
                for &outcome in Outcome::ALL {
                    values.push(as_i64(row.counts.of(outcome)));
                }
            })
            .await?;
        tx.commit_unlisted().await
    }

    /// What one organization did on some days.
    /// Read where the store lives: ten thousand rows would keep an event loop.
    pub async fn usage(&self, organization: OrganizationId, days: Days, by: Grouping) -> Result<Report, StoreError> {
        let store = self.clone();
        let read = self.runtime().spawn(async move { store.read_usage(organization, days, by).await });
        read.await.map_err(|_| StoreError::Stopped)?
    }

    async fn read_usage(&self, organization: OrganizationId, days: Days, by: Grouping) -> Result<Report, StoreError> {
        let column = match by {
            Grouping::Day => "on_day",
            Grouping::Site => "site",
        };
        let condition = "FROM usage_counts WHERE organization_id = $1 AND on_day >= $2 AND on_day <= $3";
        let mut sums = String::new();
        for outcome in Outcome::ALL {
            let word = outcome.as_str();
            let _ = write!(sums, ", CAST(COALESCE(SUM({word}), 0) AS BIGINT) AS {word}");
        }
        let grouped =
            format!("SELECT {column} AS name{sums} {condition} GROUP BY {column} ORDER BY {column} LIMIT {GROUPS_MAX}");
        let whole = format!("SELECT '' AS name{sums} {condition}");
        let mut tx = self.begin_long_read().await?;
        let mut read = Vec::new();
        for text in [grouped, whole] {
            let query = sqlx::query(AssertSqlSafe(text))
                .bind(organization.as_bytes().as_slice())
                .bind(days.from().to_string())
                .bind(days.to().to_string());
            let rows = query.fetch_all(&mut *tx).await?;
            read.push(rows.iter().map(read_group).collect::<Result<Vec<_>, _>>()?);
        }
        let total = read.pop().and_then(|mut whole| whole.pop()).map(|whole| whole.counts).unwrap_or_default();
        let groups = read.pop().unwrap_or_default();
        Ok(Report { groups: with_rest(groups, &total), total })
    }

    /// The sites that an organization named since a day.
    pub async fn list_sites(&self, organization: OrganizationId, since: Date) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT site FROM usage_counts WHERE organization_id = $1 AND on_day >= $2 AND site <> $3 \
             AND site <> $4 ORDER BY site LIMIT $5",
        )
        .bind(organization.as_bytes().as_slice())
        .bind(since.to_string())
        .bind(NO_SITE)
        .bind(OTHER_SITES)
        .bind(SITES_MAX)
        .fetch_all(&mut *self.connection().await?)
        .await?;
        let mut sites = rows.iter().map(|row| Ok(row.try_get("site")?)).collect::<Result<Vec<String>, StoreError>>()?;
        sites.sort_unstable();
        Ok(sites)
    }
}

fn read_group(row: &AnyRow) -> Result<Group, StoreError> {
    let mut counts = Counts::default();
    for &outcome in Outcome::ALL {
        counts.add(outcome, get_u64(row, outcome.as_str())?);
    }
    Ok(Group { name: row.try_get("name")?, counts })
}

/// The groups, with what was cut off under one name, so that they add up.
fn with_rest(mut groups: Vec<Group>, total: &Counts) -> Vec<Group> {
    let mut told = Counts::default();
    for group in &groups {
        told.add_all(&group.counts);
    }
    let rest = total.beyond(&told);
    if !rest.is_empty() {
        match groups.iter_mut().find(|group| group.name == OTHER_SITES) {
            Some(other) => other.counts.add_all(&rest),
            None => groups.push(Group { name: OTHER_SITES.to_owned(), counts: rest }),
        }
    }
    // Databases order text by their own rules.
    groups.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_column_in_order_and_is_added() {
        let words: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
        assert_eq!(COLUMNS, format!("organization_id, on_day, site, {}", words.join(", ")));
        let add: Vec<_> = words.iter().map(|word| format!("{word} = usage_counts.{word} + excluded.{word}")).collect();
        assert!(ADD.ends_with(&add.join(", ")), "{ADD}");
    }

    #[test]
    fn groups_add_up_to_the_total() {
        let counts = |checks| {
            let mut counts = Counts::default();
            counts.add(Outcome::NotListed, checks);
            counts
        };
        let group = |name: &str, checks| Group { name: name.to_owned(), counts: counts(checks) };
        assert_eq!(with_rest(vec![group("b", 1), group("a", 2)], &counts(3)), [group("a", 2), group("b", 1)]);
        assert_eq!(with_rest(vec![group("a", 2)], &counts(5)), [group(OTHER_SITES, 3), group("a", 2)]);
        let has_other = vec![group("a", 2), group(OTHER_SITES, 1)];
        assert_eq!(with_rest(has_other, &counts(5)), [group(OTHER_SITES, 3), group("a", 2)]);
    }
}
