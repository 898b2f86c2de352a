//! Loss reports and replacements: each with its feed row in the transaction of its group, then publication, then the answer.
//! The number arrives as a digest and leaves as lookup key and sealed digest. Transitions are the domain's; this file only
//! orders the steps.

use std::convert::Infallible;
use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::act_receipts::{ActReceipt, Written};
use super::day_limit::DayLimit;
use super::filing::Filing;
use super::groups::{Acted, Groups, Left, Reporting};
use super::listing::{self, Replacement, Replacing};
use super::withdrawals::Ender;
use super::writing::{Writer, Writing, open_digest};
use crate::clock::beijing_date;
use crate::crypto::act_receipt::Act;
use crate::crypto::blind::Ahead;
use crate::crypto::digest::IdDigest;
use crate::domain::application::expect_issuable;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::{ReplacementId, ReportId};
use crate::domain::report::{OfficeCode, ReportState};
use crate::domain::usage::Outcome;
use crate::store::aggregates;
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::lists::Wanted;
use crate::store::replacements::ListedReplacement;
use crate::store::reports::StoredReport;

/// Writes to the registry and reads the reports that an organization may end.
#[derive(Debug)]
pub struct Reports {
    writer: Arc<Writer>,
    groups: Arc<Groups>,
    limit: DayLimit,
}

impl Reports {
    pub fn new(writer: Arc<Writer>, groups: Arc<Groups>, limit: DayLimit) -> Self {
        Self { writer, groups, limit }
    }

    /// Files a loss report. Once this returns, no check that starts anywhere answers `not_listed` for the number.
    /// `render` makes the answer that a repetition of the request will get.
    pub async fn file(
        &self,
        actor: Actor,
        filing: Filing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&StoredReport, Option<ActReceipt>) -> StoredAnswer + Send + Sync + 'static,
    ) -> Result<StoredAnswer, ServiceError> {
        let ahead = Ahead::of(&self.writer.keyring, &filing.digest);
        let (writer, digest) = (Arc::clone(&self.writer), filing.digest.clone());
        let render = move |writing: &Writing, stored: &StoredReport| {
            let written = Written {
                act: Act::Report,
                record: stored.report.id.into(),
                sequence: stored.sequence,
                digest: &digest,
                card_valid_from: stored.report.card_valid_from,
            };
            render(stored, writer.act_receipt(writing, actor, &written))
        };
        let reporting = Reporting { actor, filing, ahead, render: Box::new(render) };
        match self.groups.file(reporting, repeatable).await? {
            Acted::Repeated(answer) => Ok(answer),
            Acted::Done(answer) => {
                self.writer.metrics.reports.inc();
                self.writer.usage.count(actor.organization, Outcome::LossReports);
                Ok(answer)
            }
        }
    }

    /// A new card was issued: older cards of the number are listed from now on, whether or not one was reported.
    pub async fn replace(
        &self,
        actor: Actor,
        replacing: Replacing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Replacement, Option<ActReceipt>) -> StoredAnswer + Send + 'static,
    ) -> Result<StoredAnswer, ServiceError> {
        let (writer, tag) = (Arc::clone(&self.writer), self.writer.tag(&replacing.digest));
        let replaced = self.groups.act(repeatable, move |writing| {
            Box::pin(async move {
                let replacement_id: ReplacementId = writing.new_id();
                let replacement = listing::replaced(writing, actor.organization, replacement_id, &replacing).await?;
                let written = Written {
                    act: Act::Replacement,
                    record: replacement_id.into(),
                    sequence: replacement.sequence,
                    digest: &replacing.digest,
                    card_valid_from: Some(replacement.card_valid_from),
                };
                let answer = render(&replacement, writer.act_receipt(writing, actor, &written));
                let deed = Deed::of(actor, Action::ReplacementRecorded, replacement_id);
                Ok((answer.clone(), Some(Left { deed, answer: Some(answer) })))
            })
        });
        match replaced.await {
            Ok(Acted::Done(answer) | Acted::Repeated(answer)) => Ok(answer),
            Err(error) => Err(self.writer.noted(actor, tag, error).await),
        }
    }

    /// A replacement of the organization's own was recorded with a wrong start. An earlier one ends the listing of cards, so it counts as a
    /// withdrawal does.
    pub async fn correct(
        &self,
        actor: Actor,
        replacement_id: ReplacementId,
        card_valid_from: Date,
        office: OfficeCode,
    ) -> Result<Option<(Replacement, Option<ActReceipt>)>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(stored) = writing.tx.find_replacement(actor.organization, replacement_id).await? else {
            return Ok(None);
        };
        if let Some((applied_at_ms, temporary)) = writing.tx.applied_for(replacement_id).await? {
            expect_issuable(card_valid_from, beijing_date(applied_at_ms), temporary)?;
        }
        if card_valid_from < stored.card_valid_from && self.limit.is_spent(&mut writing, actor).await? {
            return Err(ServiceError::DaySpent);
        }
        let digest = open_digest(&self.writer.keyring, replacement_id, &stored.number.sealed_digest).map_err(|_| {
            ServiceError::Conflict("the replacement's number cannot be opened any more: record the card again".into())
        })?;
        let replacing = Replacing { digest, card_valid_from, office };
        let corrected = match listing::corrected(&mut writing, &stored, &replacing).await {
            Ok(corrected) => corrected,
            Err(error) => {
                // The turn goes to who writes the entry.
                drop(writing);
                return Err(self.writer.noted(actor, self.writer.tag(&replacing.digest), error).await);
            }
        };
        let written = Written {
            act: Act::Correction,
            record: replacement_id.into(),
            sequence: corrected.sequence,
            digest: &replacing.digest,
            card_valid_from: Some(corrected.card_valid_from),
        };
        let receipt = self.writer.act_receipt(&writing, actor, &written);
        let deed = Deed::of(actor, Action::ReplacementCorrected, replacement_id).taking_away(stored.card_valid_from);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some((corrected, receipt)))
    }

    /// A report that an organization may end: who withdraws it has to find it first.
    pub async fn find(
        &self,
        Ender { actor, ends_others }: Ender,
        report_id: ReportId,
    ) -> Result<Option<StoredReport>, ServiceError> {
        let found = self.writer.store.find_report_told(actor.organization, ends_others, report_id).await?;
        if found.is_some() {
            self.writer.note(&Deed::of(actor, Action::ReportRead, report_id)).await?;
        }
        Ok(found)
    }

    /// A page of an organization's own reports.
    pub async fn list(
        &self,
        actor: Actor,
        wanted: &Wanted<ReportState, ReportId>,
    ) -> Result<Vec<StoredReport>, ServiceError> {
        let found = self.writer.store.page_of_reports(actor.organization, wanted).await?;
        let ids: Vec<_> = found.iter().map(|stored| stored.report.id.into()).collect();
        self.writer.note_many(Deed::of_many(actor, Action::ReportsListed), &aggregates::LOSS_REPORTS, &ids).await?;
        Ok(found)
    }

    /// A page of an organization's own replacements.
    pub async fn list_replacements(
        &self,
        actor: Actor,
        wanted: &Wanted<Infallible, ReplacementId>,
    ) -> Result<Vec<ListedReplacement>, ServiceError> {
        let found = self.writer.store.page_of_replacements(actor.organization, wanted).await?;
        let ids: Vec<_> = found.iter().map(|listed| listed.replacement_id.into()).collect();
        self.writer
            .note_many(Deed::of_many(actor, Action::ReplacementsListed), &aggregates::REPLACEMENTS, &ids)
            .await?;
        Ok(found)
    }

    /// The reports of a number that an organization may end.
    pub async fn search(
        &self,
        Ender { actor, ends_others }: Ender,
        digest: &IdDigest,
    ) -> Result<Vec<StoredReport>, ServiceError> {
        let store = &self.writer.store;
        let read = async |keys: Vec<_>| store.list_reports(actor.organization, ends_others, &keys).await;
        let found = self.writer.read_by_number(digest, read).await?;
        let deed = Deed::of_many(actor, Action::ReportsSearched).about([self.writer.tag(digest)]);
        self.writer.note(&deed).await?;
        Ok(found)
    }
}
