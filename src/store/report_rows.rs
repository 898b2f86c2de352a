//! Rows of reports, and of what a number has, as they are read.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{StoreError, get_bytes, get_id, get_parsed, get_parsed_opt, get_sequence, parse_date};
use crate::clock::beijing_date;
use crate::crypto::digest::LookupKey;
use crate::domain::report::{Channel, LossReport, OfficeCode, Reason, ReportState, Reporter, missing_on};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;

/// A stored loss report.
#[derive(Debug, Clone)]
pub struct StoredReport {
    pub report: LossReport,
    pub lookup_key: LookupKey,
    /// Of the report's last change.
    pub sequence: Sequence,
    /// Where lists tell it.
    pub taken: Option<Taken>,
}

/// Who made a report, where and how.
#[derive(Debug, Clone)]
pub struct Taken {
    pub reporter: Reporter,
    pub office: OfficeCode,
    pub channel: Channel,
    /// Whether it is not of the organization that asks.
    pub is_others: bool,
}

/// What is true of the rows of reports that list their number: active ones, and those that a replacement ended.
macro_rules! in_force {
    () => {
        "state <> 'withdrawn'"
    };
}

/// What [`read_report`] reads.
macro_rules! report_columns {
    () => {
        "report_id, lookup_key, state, card_valid_from, lost_on, reported_at, reason, sequence"
    };
}

/// The same, and what lists tell.
macro_rules! told_columns {
    () => {
        concat!($crate::store::report_rows::report_columns!(), ", reporter, office, channel")
    };
}

pub(super) use {in_force, report_columns, told_columns};

pub(super) fn read_report(row: &AnyRow) -> Result<StoredReport, StoreError> {
    let reported_at_ms = row.try_get("reported_at")?;
    Ok(StoredReport {
        report: LossReport {
            id: get_id(row, "report_id")?,
            state: get_parsed(row, "state", ReportState::parse)?,
            card_valid_from: get_parsed_opt(row, "card_valid_from", parse_date)?,
            missing_on: missing_on(get_parsed_opt(row, "lost_on", parse_date)?, beijing_date(reported_at_ms)),
            reported_at_ms,
            reason: get_parsed(row, "reason", Reason::parse)?,
        },
        lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
        sequence: get_sequence(row, "sequence")?,
        taken: None,
    })
}

pub(super) fn read_taken(row: &AnyRow) -> Result<StoredReport, StoreError> {
    let taken = Taken {
        reporter: get_parsed(row, "reporter", Reporter::parse)?,
        office: get_parsed(row, "office", OfficeCode::parse)?,
        channel: get_parsed(row, "channel", Channel::parse)?,
        is_others: false,
    };
    Ok(StoredReport { taken: Some(taken), ..read_report(row)? })
}

/// The same of a row that says whose it is.
pub(super) fn read_told(row: &AnyRow) -> Result<StoredReport, StoreError> {
    let is_others = row.try_get::<i64, _>("is_own")? == 0;
    let told = read_taken(row)?;
    Ok(StoredReport { taken: told.taken.map(|taken| Taken { is_others, ..taken }), ..told })
}

pub(super) fn read_listed(row: &AnyRow) -> Result<Option<Record>, StoreError> {
    let Some(kind) = row.try_get::<Option<&str>, _>("kind")? else { return Ok(None) };
    let dated = beijing_date(row.try_get("dated")?);
    let card_valid_from = get_parsed_opt(row, "card_valid_from", parse_date)?;
    Ok(Some(match (kind, card_valid_from) {
        ("report", card_valid_from) => {
            Record::Report { state: get_parsed(row, "state", ReportState::parse)?, card_valid_from, reported_on: dated }
        }
        ("replacement", Some(card_valid_from)) => Record::Replacement { card_valid_from, recorded_on: dated },
        _ => return Err(StoreError::Corrupt("card_valid_from")),
    }))
}
