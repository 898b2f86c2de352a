//! Withdrawals beyond a client's number of a day: how many it has made, and those that wait for a second client.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::reports::StoredReport;
use super::{Store, StoreError, WriteTx, get_id, get_id_opt, get_parsed, get_parsed_opt, get_u64, parse_date};
use crate::domain::audit::Action;
use crate::domain::client::Actor;
use crate::domain::found_card::HolderVerification;
use crate::domain::ids::{ClientId, FoundCardId, OrganizationId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::person::ShortName;
use crate::domain::report::{OfficeCode, WithdrawalReason};
use jiff::civil::Date;

/// A withdrawal that waits for a second client.
#[derive(Debug, Clone)]
pub struct PendingWithdrawal {
    pub report_id: ReportId,
    /// Who asked for it.
    pub actor: Actor,
    pub office: OfficeCode,
    pub reason: WithdrawalReason,
    pub requested_at_ms: UnixMs,
    /// The found card whose return ends the report.
    pub returning: Option<PendingReturn>,
}

/// The return that waits with it.
#[derive(Debug, Clone, Copy)]
pub struct PendingReturn {
    pub found_card_id: FoundCardId,
    pub card_valid_from: Option<Date>,
    pub holder_verified_by: HolderVerification,
}

/// A withdrawal, done or waiting.
#[derive(Debug)]
pub enum StoredWithdrawal {
    Pending(PendingWithdrawal),
    Done { report_id: ReportId, office: OfficeCode, reason: WithdrawalReason, at_ms: UnixMs },
}

const PENDING: &str = "SELECT report_id, organization_id, client_id, office, reason, requested_at, found_card_id, \
     card_valid_from, holder_verified_by, person FROM pending_withdrawals WHERE report_id = $1 AND organization_id = $2";

impl Store {
    /// The withdrawal of a report that an organization may end or has asked to withdraw; none where it is not withdrawn.
    pub async fn find_withdrawal(
        &self,
        organization: OrganizationId,
        ends_others: bool,
        report: ReportId,
    ) -> Result<Option<StoredWithdrawal>, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let pending = sqlx::query(PENDING)
            .bind(report.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = pending {
            return Ok(Some(StoredWithdrawal::Pending(read_pending(&row)?)));
        }
        let done = sqlx::query(
            "SELECT closed_by_office, withdrawal_reason, closed_at FROM loss_reports \
             WHERE report_id = $1 AND (organization_id = $2 OR $3 = 1) AND state = 'withdrawn'",
        )
        .bind(report.as_bytes().as_slice())
        .bind(organization.as_bytes().as_slice())
        .bind(i64::from(ends_others))
        .fetch_optional(&mut *tx)
        .await?;
        let read = |row: AnyRow| {
            Ok(StoredWithdrawal::Done {
                report_id: report,
                office: get_parsed(&row, "closed_by_office", OfficeCode::parse)?,
                reason: get_parsed(&row, "withdrawal_reason", WithdrawalReason::parse)?,
                at_ms: row.try_get("closed_at")?,
            })
        };
        done.map(read).transpose()
    }
}

impl WriteTx {
    /// How many listings a client has ended since an instant: reports that it withdrew, by themselves or with the return of a card, and
    /// starts of replacements that it set earlier and that still are. The audit log knows.
    pub async fn count_ended(&mut self, client: ClientId, since_ms: UnixMs) -> Result<u64, StoreError> {
        let withdrawn = self.count_acts_since(client, Action::ReportWithdrawn, since_ms).await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS total FROM audit a JOIN replacements r ON r.replacement_id = a.subject \
             WHERE a.client_id = $1 AND a.action = $2 AND a.at >= $3 AND a.old_start > r.card_valid_from",
        )
        .bind(client.as_bytes().as_slice())
        .bind(Action::ReplacementCorrected.as_str())
        .bind(since_ms)
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(withdrawn + get_u64(&row, "total")?)
    }

    /// How often a client has done something since an instant.
    pub async fn count_acts_since(
        &mut self,
        client: ClientId,
        action: Action,
        since_ms: UnixMs,
    ) -> Result<u64, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query("SELECT COUNT(*) AS total FROM audit WHERE client_id = $1 AND action = $2 AND at >= $3")
            .bind(client.as_bytes().as_slice())
            .bind(action.as_str())
            .bind(since_ms)
            .fetch_one(&mut *self.tx)
            .await?;
        get_u64(&row, "total")
    }

    /// Keeps a withdrawal until a second client confirms it. One that waits already stays as it is.
    pub async fn keep_withdrawal(&mut self, new: &PendingWithdrawal) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO pending_withdrawals (report_id, organization_id, client_id, office, reason, requested_at, \
             found_card_id, card_valid_from, holder_verified_by, person) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (report_id) DO NOTHING",
        )
        .bind(new.report_id.as_bytes().as_slice())
        .bind(new.actor.organization.as_bytes().as_slice())
        .bind(new.actor.client.as_bytes().as_slice())
        .bind(new.office.as_str())
        .bind(new.reason.as_str())
        .bind(new.requested_at_ms)
        .bind(new.returning.map(|returning| returning.found_card_id.as_bytes().to_vec()))
        .bind(new.returning.and_then(|returning| returning.card_valid_from).map(|day| day.to_string()))
        .bind(new.returning.map(|returning| returning.holder_verified_by.as_str()))
        .bind(new.actor.person.map(|name| name.as_str().to_owned()))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Forgets a withdrawal that has waited since before an instant, no matter who asked for it.
    pub async fn drop_expired_withdrawal(&mut self, report: ReportId, before_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM pending_withdrawals WHERE report_id = $1 AND requested_at < $2")
            .bind(report.as_bytes().as_slice())
            .bind(before_ms)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// What an organization has asked to withdraw and nobody has confirmed.
    pub async fn find_pending_withdrawal(
        &mut self,
        organization: OrganizationId,
        report: ReportId,
    ) -> Result<Option<PendingWithdrawal>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(PENDING)
            .bind(report.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_pending).transpose()
    }

    /// A report, and whether a registrar's office filed it that is not of this organization: portals and imports have no offices.
    pub async fn is_of_other_registrar(
        &mut self,
        organization: OrganizationId,
        report: ReportId,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS total FROM loss_reports r JOIN organizations o ON o.organization_id = r.organization_id \
             WHERE r.report_id = $1 AND r.organization_id <> $2 AND o.kind = 'registrar'",
        )
        .bind(report.as_bytes().as_slice())
        .bind(organization.as_bytes().as_slice())
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(get_u64(&row, "total")? > 0)
    }

    /// A report that an organization may withdraw: its own; any, where it ends reports of others.
    pub async fn find_report_to_end(
        &mut self,
        organization: OrganizationId,
        ends_others: bool,
        report: ReportId,
    ) -> Result<Option<StoredReport>, StoreError> {
        if ends_others { self.find_any_report(report).await } else { self.find_report(organization, report).await }
    }
}

fn read_pending(row: &AnyRow) -> Result<PendingWithdrawal, StoreError> {
    let returning = match get_id_opt(row, "found_card_id")? {
        None => None,
        Some(found_card_id) => Some(PendingReturn {
            found_card_id,
            card_valid_from: get_parsed_opt(row, "card_valid_from", parse_date)?,
            holder_verified_by: get_parsed(row, "holder_verified_by", HolderVerification::parse)?,
        }),
    };
    Ok(PendingWithdrawal {
        report_id: get_id(row, "report_id")?,
        actor: Actor {
            person: get_parsed_opt(row, "person", ShortName::stored)?,
            ..Actor::new(get_id(row, "organization_id")?, get_id(row, "client_id")?)
        },
        office: get_parsed(row, "office", OfficeCode::parse)?,
        reason: get_parsed(row, "reason", WithdrawalReason::parse)?,
        requested_at_ms: row.try_get("requested_at")?,
        returning,
    })
}
