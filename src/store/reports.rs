//! Loss reports and replacements, and what a number's records are when its listing is asked for.
//! A transition updates the row; nothing is deleted by it. Every writer here takes its change of the feed.

use std::collections::HashMap;

use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};

use super::feed::RecordedChange;
use super::key_versions::get_key_versions;
use super::lists::{Listed, Part, Wanted};
pub use super::report_rows::{StoredReport, Taken};
use super::report_rows::{in_force, read_listed, read_report, read_taken, read_told, report_columns, told_columns};
use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_sequence};
use crate::clock::beijing_date;
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::crypto::seal::Envelope;
use crate::domain::card::CardValidity;
use crate::domain::ids::{OrganizationId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::report::{
    Channel, LossReport, OfficeCode, Reason, ReportState, Reporter, WithdrawalReason, missing_on,
};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

/// The form of a number in a row.
#[derive(Debug, Clone)]
pub struct SealedNumber {
    pub lookup_key: LookupKey,
    pub key_version: u32,
    /// The digest, sealed: from it the lookup key of another pepper can be made.
    pub sealed_digest: Vec<u8>,
}

/// A loss report to be stored.
#[derive(Debug, Clone)]
pub struct NewReport {
    pub report_id: ReportId,
    /// None: imported, owned by no organization.
    pub organization: Option<OrganizationId>,
    pub number: SealedNumber,
    pub validity: CardValidity,
    pub reason: Reason,
    pub lost_on: Option<Date>,
    pub reporter: Reporter,
    pub office: OfficeCode,
    pub channel: Channel,
    pub contact: Option<Envelope>,
    pub reported_at_ms: UnixMs,
}

impl NewReport {
    /// What it says of its number as soon as it is stored.
    pub fn record(&self) -> Record {
        Record::Report {
            state: ReportState::Active,
            card_valid_from: self.validity.valid_from(),
            reported_on: beijing_date(self.reported_at_ms),
        }
    }

    /// From which day on a new card can be in its place.
    pub fn missing_on(&self) -> Date {
        missing_on(self.lost_on, beijing_date(self.reported_at_ms))
    }
}

/// How a report came to its end.
#[derive(Debug, Clone)]
pub struct Closing<'a> {
    pub at_ms: UnixMs,
    pub office: &'a OfficeCode,
    pub withdrawal: Option<WithdrawalReason>,
}

/// What is behind some numbers' listings, and the moment of it.
#[derive(Debug)]
pub struct RecordsRead {
    /// The head of the feed.
    pub head: Sequence,
    /// By which peppers rows were keyed.
    pub key_versions: KeyVersions,
    /// In the order of the keys.
    pub records: Vec<Vec<Record>>,
}

const REPORT_COLUMNS: &str = concat!("SELECT ", report_columns!(), " FROM loss_reports");
/// How reports are listed.
pub static LISTED: Listed = Listed {
    select: concat!("SELECT ", told_columns!(), " FROM loss_reports"),
    prefix: "",
    id: "report_id",
    office: "office",
};
/// Numbers that one look-up takes. Few enough that SQLite's search for named places does not show.
pub const KEYS_MAX: usize = 64;
static REPORTS: RowsInsert = RowsInsert::new(
    "loss_reports",
    "report_id, organization_id, lookup_key, key_version, sealed_digest, state, card_valid_from, card_valid_until, reason, \
     lost_on, reporter, office, channel, contact_key, contact_sealed, reported_at, sequence",
);

impl Store {
    /// An organization's own report.
    pub async fn find_report(
        &self,
        organization: OrganizationId,
        report: ReportId,
    ) -> Result<Option<StoredReport>, StoreError> {
        let row =
            sqlx::query(sqlx::AssertSqlSafe(format!("{REPORT_COLUMNS} WHERE report_id = $1 AND organization_id = $2")))
                .bind(report.as_bytes().as_slice())
                .bind(organization.as_bytes().as_slice())
                .fetch_optional(&mut *self.connection().await?)
                .await?;
        row.as_ref().map(read_report).transpose()
    }

    /// A report that an organization may end: its own; any, where it ends reports of others. One of these as a list tells it.
    pub async fn find_report_told(
        &self,
        organization: OrganizationId,
        ends_others: bool,
        report: ReportId,
    ) -> Result<Option<StoredReport>, StoreError> {
        let text = format!("SELECT {}, {IS_OWN} FROM loss_reports r WHERE report_id = $2", told_columns!());
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(organization.as_bytes().as_slice())
            .bind(report.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        let found = row.as_ref().map(read_told).transpose()?;
        Ok(found.and_then(|found| match &found.taken {
            Some(taken) if taken.is_others => ends_others.then_some(found),
            _ => Some(StoredReport { taken: None, ..found }),
        }))
    }

    /// The reports of a number that an organization may end, newest first, and by which peppers rows were keyed at that moment: if the
    /// keys do not cover these, reports may be missing.
    pub async fn list_reports(
        &self,
        organization: OrganizationId,
        ends_others: bool,
        keys: &[LookupKey],
    ) -> Result<(KeyVersions, Vec<StoredReport>), StoreError> {
        let text = reports_of_number(keys.len(), ends_others);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(organization.as_bytes().as_slice());
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        let versions = get_key_versions(rows.first().ok_or(StoreError::Corrupt("feed_head"))?)?;
        let is_report = |row: &&AnyRow| row.try_get::<Option<&[u8]>, _>("report_id").is_ok_and(|id| id.is_some());
        Ok((versions, rows.iter().filter(is_report).map(read_told).collect::<Result<_, _>>()?))
    }

    /// A page of an organization's own reports.
    pub async fn page_of_reports(
        &self,
        organization: OrganizationId,
        wanted: &Wanted<ReportState, ReportId>,
    ) -> Result<Vec<StoredReport>, StoreError> {
        let states = wanted.state.map_or(ReportState::ALL.to_vec(), |state| vec![state]);
        let parts: Vec<_> = states.iter().map(|state| Part::of_state(state.as_str())).collect();
        self.page(&LISTED, Some(organization), wanted, &parts, read_taken).await
    }

    /// Every record behind each number's listing, in the order of the keys (at most [`KEYS_MAX`]), with the head of the feed at
    /// the same moment (one statement).
    pub async fn records_of(&self, keys: &[LookupKey]) -> Result<RecordsRead, StoreError> {
        read_records(&mut *self.connection().await?, keys).await
    }
}

/// The same in any transaction.
pub(super) async fn read_records(
    connection: impl Executor<'_, Database = Any>,
    keys: &[LookupKey],
) -> Result<RecordsRead, StoreError> {
    let keyed = places(1, keys.len());
    let text = format!(
        "SELECT h.seq AS head, h.key_version AS key_version, h.key_version_from AS key_version_from, r.kind AS kind, r.lookup_key AS lookup_key, r.state AS state, \
             r.card_valid_from AS card_valid_from, r.dated AS dated \
             FROM feed_head h LEFT JOIN ( \
               SELECT 'report' AS kind, lookup_key, state, card_valid_from, reported_at AS dated \
                 FROM loss_reports WHERE lookup_key IN ({keyed}) AND {in_force} \
               UNION ALL \
               SELECT 'replacement' AS kind, lookup_key, '' AS state, card_valid_from, recorded_at AS dated \
                 FROM replacements WHERE lookup_key IN ({keyed})) r ON TRUE",
        in_force = in_force!()
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for key in keys {
        query = query.bind(key.as_bytes().as_slice());
    }
    let rows = query.fetch_all(connection).await?;
    let first = rows.first().ok_or(StoreError::Corrupt("feed_head"))?;
    let (head, key_versions) = (get_sequence(first, "head")?, get_key_versions(first)?);
    let mut of_key: HashMap<LookupKey, Vec<Record>> = HashMap::with_capacity(keys.len());
    for row in &rows {
        if let Some(record) = read_listed(row)? {
            of_key.entry(LookupKey::from_bytes(get_bytes(row, "lookup_key")?)).or_default().push(record);
        }
    }
    // The same number may be in a batch twice.
    let records = keys.iter().map(|key| of_key.get(key).cloned().unwrap_or_default()).collect();
    Ok(RecordsRead { head, key_versions, records })
}

impl WriteTx {
    /// Stores reports, in the order of their numbers in the change.
    pub async fn insert_reports(&mut self, reports: &[NewReport], change: &RecordedChange) -> Result<(), StoreError> {
        for report in reports {
            self.check_key_version(report.number.key_version)?;
            self.leaves.know(report.report_id.into(), report.number.lookup_key, &report.number.sealed_digest);
        }
        let mut next = change.first_of(reports.len())?;
        self.leaves.brought(next, reports.iter().map(NewReport::record));
        let bind = |values: &mut Values, report: &NewReport| {
            let contact = report.contact.as_ref();
            values
                .push(report.report_id.as_bytes().as_slice())
                .push(report.organization.map(|id| id.as_bytes().to_vec()))
                .push(report.number.lookup_key.as_bytes().as_slice())
                .push(i64::from(report.number.key_version))
                .push(report.number.sealed_digest.as_slice())
                .push(ReportState::Active.as_str())
                .push(report.validity.valid_from().map(|date| date.to_string()))
                .push(report.validity.valid_until().map(|date| date.to_string()))
                .push(report.reason.as_str())
                .push(report.lost_on.map(|date| date.to_string()))
                .push(report.reporter.as_str())
                .push(report.office.as_str())
                .push(report.channel.as_str())
                .push(contact.map(|envelope| envelope.wrapped_key.as_slice()))
                .push(contact.map(|envelope| envelope.sealed.as_slice()))
                .push(report.reported_at_ms)
                .push(as_i64(next));
            next = next.next();
        };
        REPORTS.execute(&mut self.tx, self.dialect, reports, bind).await
    }

    /// An organization's own report, inside a transaction that may change it.
    pub async fn find_report(
        &mut self,
        organization: OrganizationId,
        report: ReportId,
    ) -> Result<Option<StoredReport>, StoreError> {
        self.take_turn().await?;
        let row =
            sqlx::query(sqlx::AssertSqlSafe(format!("{REPORT_COLUMNS} WHERE report_id = $1 AND organization_id = $2")))
                .bind(report.as_bytes().as_slice())
                .bind(organization.as_bytes().as_slice())
                .fetch_optional(&mut *self.tx)
                .await?;
        row.as_ref().map(read_report).transpose()
    }

    /// A report, no matter who filed it.
    pub async fn find_any_report(&mut self, report: ReportId) -> Result<Option<StoredReport>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{REPORT_COLUMNS} WHERE report_id = $1")))
            .bind(report.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_report).transpose()
    }

    /// Every organization's active reports of a number: a replacement concerns them all.
    pub async fn active_reports(&mut self, keys: &[LookupKey]) -> Result<Vec<StoredReport>, StoreError> {
        let text = format!("{REPORT_COLUMNS} WHERE lookup_key IN ({}) AND state = 'active'", places(1, keys.len()));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        rows.iter().map(read_report).collect()
    }

    /// Writes a report's new state.
    pub async fn close_report(
        &mut self,
        report: &LossReport,
        closing: &Closing<'_>,
        change: &RecordedChange,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE loss_reports SET state = $1, closed_at = $2, closed_by_office = $3, withdrawal_reason = $4, sequence = $5 \
             WHERE report_id = $6",
        )
        .bind(report.state.as_str())
        .bind(closing.at_ms)
        .bind(closing.office.as_str())
        .bind(closing.withdrawal.map(WithdrawalReason::as_str))
        .bind(as_i64(change.sequence()))
        .bind(report.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        // Nobody has to confirm any more what has happened.
        sqlx::query("DELETE FROM pending_withdrawals WHERE report_id = $1")
            .bind(report.id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

/// Whether a row is of the organization that asks; imported ones are of none.
const IS_OWN: &str = "CAST(CASE WHEN r.organization_id = $1 THEN 1 ELSE 0 END AS BIGINT) AS is_own";

/// The statement that finds reports of a number with so many keys: an organization's own, or everybody's. Kept from the index by which
/// lists go: an organization has more reports than a number has.
pub fn reports_of_number(keys: usize, of_everybody: bool) -> String {
    let whose = if of_everybody { "" } else { "CASE WHEN r.organization_id = $1 THEN 1 ELSE 0 END = 1 AND " };
    format!(
        "SELECT h.key_version AS key_version, h.key_version_from AS key_version_from, r.report_id AS report_id, \
         r.lookup_key AS lookup_key, r.state AS state, r.card_valid_from AS card_valid_from, r.lost_on AS lost_on, r.reported_at AS reported_at, \
         r.reason AS reason, r.sequence AS sequence, r.reporter AS reporter, r.office AS office, r.channel AS channel, {IS_OWN} \
         FROM feed_head h LEFT JOIN loss_reports r ON {whose}r.lookup_key IN ({}) \
         ORDER BY r.reported_at DESC, r.report_id DESC LIMIT 100",
        places(2, keys)
    )
}

/// The places of so many values, from the n-th on.
pub(super) fn places(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    places.join(",")
}
