//! Misuse reports. Found by id alone: the service knows who asks, and decides who may see one. Narrative
//! and note are only here, and only sealed.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::lists::{Listed, Part, Wanted};
use super::reports::SealedNumber;
use super::{Store, StoreError, WriteTx, get_id, get_id_opt, get_parsed, get_parsed_opt};
use crate::crypto::seal::Envelope;
use crate::domain::ids::{MisuseReportId, OrganizationId};
use crate::domain::misuse::{MisuseKind, MisuseOutcome, MisuseReport, MisuseState, Resolution};
use crate::domain::report::{Label, OfficeCode};

/// A misuse report as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMisuseReport {
    pub report: MisuseReport,
    /// Of its organization.
    pub narrative: Option<Envelope>,
    /// Of the registrar that resolved it.
    pub note: Option<Envelope>,
}

const COLUMNS: &str = "SELECT misuse_report_id, organization_id, state, kind, check_id, observed_at, site, narrative_key, \
     narrative_sealed, reported_at, resolved_at, resolved_by, resolved_by_office, outcome, note_key, note_sealed \
     FROM misuse_reports";
/// How misuse reports are listed. Their office is that which resolved them.
pub static LISTED: Listed =
    Listed { select: COLUMNS, prefix: "", id: "misuse_report_id", office: "resolved_by_office" };

impl Store {
    pub async fn find_misuse_report(&self, id: MisuseReportId) -> Result<Option<StoredMisuseReport>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE misuse_report_id = $1")))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// A page of the reports of one organization, or of every one.
    pub async fn page_of_misuse_reports(
        &self,
        organization: Option<OrganizationId>,
        wanted: &Wanted<MisuseState, MisuseReportId>,
    ) -> Result<Vec<StoredMisuseReport>, StoreError> {
        let states = wanted.state.map_or(MisuseState::ALL.to_vec(), |state| vec![state]);
        let parts: Vec<_> = states.iter().map(|state| Part::of_state(state.as_str())).collect();
        self.page(&LISTED, organization, wanted, &parts, read).await
    }
}

impl WriteTx {
    /// Stores an open report.
    pub async fn insert_misuse_report(
        &mut self,
        new: &StoredMisuseReport,
        number: &SealedNumber,
    ) -> Result<(), StoreError> {
        self.check_key_version(number.key_version)?;
        let (report, narrative) = (&new.report, new.narrative.as_ref());
        sqlx::query(
            "INSERT INTO misuse_reports (misuse_report_id, organization_id, lookup_key, key_version, sealed_digest, state, \
             kind, check_id, observed_at, site, narrative_key, narrative_sealed, reported_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(report.id.as_bytes().as_slice())
        .bind(report.organization.as_bytes().as_slice())
        .bind(number.lookup_key.as_bytes().as_slice())
        .bind(i64::from(number.key_version))
        .bind(number.sealed_digest.as_slice())
        .bind(report.state().as_str())
        .bind(report.kind.as_str())
        .bind(report.check_id.map(|id| id.as_bytes().to_vec()))
        .bind(report.observed_at_ms)
        .bind(report.site.as_ref().map(Label::as_str))
        .bind(narrative.map(|envelope| envelope.wrapped_key.as_slice()))
        .bind(narrative.map(|envelope| envelope.sealed.as_slice()))
        .bind(report.reported_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// A report, inside a transaction that may change it.
    pub async fn find_misuse_report(&mut self, id: MisuseReportId) -> Result<Option<StoredMisuseReport>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE misuse_report_id = $1")))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Writes how a report was resolved.
    pub async fn resolve_misuse_report(
        &mut self,
        id: MisuseReportId,
        resolution: &Resolution,
        note: Option<&Envelope>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE misuse_reports SET state = $1, outcome = $2, resolved_at = $3, resolved_by = $4, \
             resolved_by_office = $5, note_key = $6, note_sealed = $7 WHERE misuse_report_id = $8",
        )
        .bind(MisuseState::Resolved.as_str())
        .bind(resolution.outcome.as_str())
        .bind(resolution.at_ms)
        .bind(resolution.organization.as_bytes().as_slice())
        .bind(resolution.office.as_str())
        .bind(note.map(|envelope| envelope.wrapped_key.as_slice()))
        .bind(note.map(|envelope| envelope.sealed.as_slice()))
        .bind(id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<StoredMisuseReport, StoreError> {
    let resolution = match get_parsed(row, "state", MisuseState::parse)? {
        MisuseState::Open => None,
        MisuseState::Resolved => Some(Resolution {
            outcome: get_parsed(row, "outcome", MisuseOutcome::parse)?,
            office: get_parsed(row, "resolved_by_office", OfficeCode::parse)?,
            organization: get_id(row, "resolved_by")?,
            at_ms: row.try_get("resolved_at")?,
        }),
    };
    Ok(StoredMisuseReport {
        report: MisuseReport {
            id: get_id(row, "misuse_report_id")?,
            organization: get_id(row, "organization_id")?,
            kind: get_parsed(row, "kind", MisuseKind::parse)?,
            check_id: get_id_opt(row, "check_id")?,
            observed_at_ms: row.try_get("observed_at")?,
            site: get_parsed_opt(row, "site", Label::parse)?,
            reported_at_ms: row.try_get("reported_at")?,
            resolution,
        },
        narrative: envelope(row, "narrative_key", "narrative_sealed")?,
        note: envelope(row, "note_key", "note_sealed")?,
    })
}

/// A sealed text; none where it was not given, or its key was destroyed.
fn envelope(row: &AnyRow, key: &str, sealed: &str) -> Result<Option<Envelope>, StoreError> {
    let wrapped_key = row.try_get::<Option<Vec<u8>>, _>(key)?;
    let sealed = row.try_get::<Option<Vec<u8>>, _>(sealed)?;
    Ok(wrapped_key.zip(sealed).map(|(wrapped_key, sealed)| Envelope { wrapped_key, sealed }))
}
