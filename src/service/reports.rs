//! Loss reports, withdrawals and replacements: each one transaction with its feed row, then publication, then the answer.
//! The number arrives as a digest and leaves as lookup key and sealed digest. Transitions are the domain's; this file only
//! orders the steps.

use std::sync::Arc;

use jiff::civil::Date;
use uuid::Uuid;

use super::filing::Filing;
use super::writing::{Begun, Writer, Writing, seal_number};
use super::{ServiceError, consequences};
use crate::crypto::digest::IdDigest;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::report::{LossReport, OfficeCode, ReportState, WithdrawalReason};
use crate::domain::usage::Outcome;
use crate::store::feed::ChangeKind;
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::reports::{Closing, NewReplacement, StoredReport};

/// A replacement as a registrar records it.
#[derive(Debug)]
pub struct Replacing {
    pub digest: IdDigest,
    pub card_valid_from: Date,
    pub office: OfficeCode,
}

/// A recorded replacement.
#[derive(Debug)]
pub struct Replacement {
    pub replacement_id: Uuid,
    pub card_valid_from: Date,
    pub reports_replaced: usize,
    pub recorded_at_ms: i64,
    pub sequence: u64,
}

/// Writes to the registry and reads an organization's own reports.
#[derive(Debug)]
pub struct Reports {
    writer: Arc<Writer>,
}

impl Reports {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Files a loss report. Once this returns, no check that starts anywhere answers `not_listed` for the number.
    /// `render` makes the answer that a repetition of the request will get.
    pub async fn file(
        &self,
        actor: Actor,
        filing: Filing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&StoredReport) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(answer),
            Begun::Fresh(writing) => *writing,
        };
        let report_id = writing.new_id();
        let digest = filing.digest.clone();
        let new = filing.seal(
            &self.writer.keyring,
            &writing.peppers.current,
            report_id,
            Some(actor.organization),
            writing.now_ms,
        )?;
        let lookup_key = new.number.lookup_key;
        let sequence = writing.tx.record_change(ChangeKind::Listing, lookup_key.as_bytes()).await?;
        writing.tx.insert_reports(std::slice::from_ref(&new), sequence).await?;
        let stored = StoredReport {
            report: LossReport {
                id: report_id,
                state: ReportState::Active,
                card_valid_from: new.validity.valid_from(),
                reported_at_ms: writing.now_ms,
                reason: new.reason,
            },
            lookup_key,
            sequence,
        };
        consequences::of_report(&mut writing, &digest, &stored.report).await?;
        let answer = render(&stored);
        let deed = Deed::of(actor, Action::ReportFiled, report_id);
        self.writer.finish(writing, &deed, Some(&answer), Some(sequence)).await?;
        self.writer.metrics.reports.inc();
        self.writer.usage.count(actor.organization, Outcome::LossReports);
        Ok(answer)
    }

    /// The holder has the card again.
    pub async fn withdraw(
        &self,
        actor: Actor,
        report_id: Uuid,
        office: &OfficeCode,
        reason: WithdrawalReason,
    ) -> Result<Option<StoredReport>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(stored) = writing.tx.find_report(actor.organization, report_id).await? else { return Ok(None) };
        let (stored, sequence) = withdraw_report(&mut writing, stored, office, reason).await?;
        let deed = Deed::of(actor, Action::ReportWithdrawn, report_id);
        self.writer.finish(writing, &deed, None, Some(sequence)).await?;
        Ok(Some(stored))
    }

    /// A new card was issued: older cards of the number are listed from now on, whether or not one was reported.
    pub async fn replace(
        &self,
        actor: Actor,
        replacing: Replacing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Replacement) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(answer),
            Begun::Fresh(writing) => *writing,
        };
        let replacement = record_replacement(&self.writer, &mut writing, actor.organization, &replacing).await?;
        let answer = render(&replacement);
        let deed = Deed::of(actor, Action::ReplacementRecorded, replacement.replacement_id);
        self.writer.finish(writing, &deed, Some(&answer), Some(replacement.sequence)).await?;
        Ok(answer)
    }

    /// An organization's own report.
    pub async fn find(&self, actor: Actor, report_id: Uuid) -> Result<Option<StoredReport>, ServiceError> {
        let found = self.writer.store.find_report(actor.organization, report_id).await?;
        if found.is_some() {
            self.writer.note(&Deed::of(actor, Action::ReportRead, report_id)).await?;
        }
        Ok(found)
    }

    /// An organization's own reports of a number.
    pub async fn search(&self, actor: Actor, digest: &IdDigest) -> Result<Vec<StoredReport>, ServiceError> {
        let store = &self.writer.store;
        let read = async |keys: Vec<_>| store.list_reports(actor.organization, &keys).await;
        let found = self.writer.read_by_number(digest, read).await?;
        let deed = Deed { actor: Some(actor), action: Action::ReportsSearched, subject: None };
        self.writer.note(&deed).await?;
        Ok(found)
    }
}

/// Withdraws a report, whoever filed it; returns it with the sequence of the change.
pub async fn withdraw_report(
    writing: &mut Writing,
    stored: StoredReport,
    office: &OfficeCode,
    reason: WithdrawalReason,
) -> Result<(StoredReport, u64), ServiceError> {
    let report = stored.report.withdraw()?;
    let sequence = writing.tx.record_change(ChangeKind::Listing, stored.lookup_key.as_bytes()).await?;
    let closing = Closing { at_ms: writing.now_ms, office, withdrawal: Some(reason) };
    writing.tx.close_report(&report, &closing, sequence).await?;
    Ok((StoredReport { report, lookup_key: stored.lookup_key, sequence }, sequence))
}

/// Records a replacement and ends the reports of older cards.
pub async fn record_replacement(
    writer: &Writer,
    writing: &mut Writing,
    organization: Uuid,
    replacing: &Replacing,
) -> Result<Replacement, ServiceError> {
    let replacement_id = writing.new_id();
    let number = seal_number(&writer.keyring, &writing.peppers.current, &replacing.digest, replacement_id)?;
    let lookup_keys = writing.lookup_keys(&replacing.digest);
    let sequence = writing.tx.record_change(ChangeKind::Listing, number.lookup_key.as_bytes()).await?;
    let closing = Closing { at_ms: writing.now_ms, office: &replacing.office, withdrawal: None };
    let mut reports_replaced = 0;
    for stored in writing.tx.active_reports(&lookup_keys).await? {
        if stored.report.is_replaced_by(replacing.card_valid_from) {
            let report = stored.report.replace(replacing.card_valid_from)?;
            writing.tx.close_report(&report, &closing, sequence).await?;
            reports_replaced += 1;
        }
    }
    let new = NewReplacement {
        replacement_id,
        organization,
        number,
        card_valid_from: replacing.card_valid_from,
        office: replacing.office.clone(),
        recorded_at_ms: writing.now_ms,
    };
    writing.tx.insert_replacement(&new, sequence).await?;
    consequences::of_replacement(writing, &replacing.digest, replacing.card_valid_from).await?;
    Ok(Replacement {
        replacement_id,
        card_valid_from: replacing.card_valid_from,
        reports_replaced,
        recorded_at_ms: writing.now_ms,
        sequence,
    })
}
