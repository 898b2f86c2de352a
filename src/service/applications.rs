//! Applications for a new card: decided by the rules of the day, and ended by the new card, which moves the threshold as any
//! replacement does. Temporary cards meanwhile. Transitions are the domain's; this file orders the steps.

use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::acceptance::AcceptanceRules;
use super::act_receipts::{ActReceipt, Written};
use super::listing::{self, Replacing};
use super::writing::{Begun, Writer, Writing, open_digest, seal_number};
use crate::clock::beijing_date;
use crate::crypto::act_receipt::Act;
use crate::crypto::digest::IdDigest;
use crate::domain::acceptance::{Applicant, Place};
use crate::domain::application::{Application, ApplicationReason, ApplicationRefusal, ApplicationState, TemporaryCard};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::{ApplicationId, ReplacementId};
use crate::domain::report::OfficeCode;
use crate::domain::sequence::Sequence;
use crate::store::aggregates;
use crate::store::applications::{ApplicationClosing, NewApplication, StoredApplication};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::lists::Wanted;

/// An application as a registrar makes it.
#[derive(Debug)]
pub struct Applying {
    pub digest: IdDigest,
    pub applied_at: OfficeAt,
    pub household: OfficeAt,
    pub reason: ApplicationReason,
    pub fingerprint_on_file: bool,
    pub appearance_changed: bool,
    pub credit_flag: bool,
}

/// An office and the place that its code begins with.
#[derive(Debug)]
pub struct OfficeAt {
    pub office: OfficeCode,
    pub place: Place,
}

/// An application whose new card was issued.
#[derive(Debug)]
pub struct IssuedApplication {
    pub stored: StoredApplication,
    /// Of the change that the new card made.
    pub sequence: Sequence,
    pub receipt: Option<ActReceipt>,
}

impl From<ApplicationRefusal> for ServiceError {
    fn from(refusal: ApplicationRefusal) -> Self {
        match refusal {
            ApplicationRefusal::NewCardBeforeApplication => {
                Self::wrong_member("/card_valid_from", "before_application", refusal.to_string())
            }
            _ => Self::Conflict(refusal.to_string().into()),
        }
    }
}

/// Writes and reads an organization's own applications.
#[derive(Debug)]
pub struct Applications {
    writer: Arc<Writer>,
    rules: Arc<AcceptanceRules>,
}

impl Applications {
    pub fn new(writer: Arc<Writer>, rules: Arc<AcceptanceRules>) -> Self {
        Self { writer, rules }
    }

    /// Makes an application. One that the rules refuse is stored as well, and stays so.
    pub async fn apply(
        &self,
        actor: Actor,
        applying: Applying,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&StoredApplication) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(answer),
            Begun::Fresh(writing) => *writing,
        };
        let (application_id, applied_on): (ApplicationId, _) = (writing.new_id(), beijing_date(writing.now_ms));
        let accepted = self.rules.decide(&Applicant {
            household: applying.household.place,
            applying: applying.applied_at.place,
            on: applied_on,
            fingerprint_on_file: applying.fingerprint_on_file,
            appearance_changed: applying.appearance_changed,
            credit_flag: applying.credit_flag,
        });
        let application = Application::new(application_id, accepted.ground, applying.reason, applied_on);
        let pepper = &writing.peppers.current;
        let new = NewApplication {
            application,
            organization: actor.organization,
            number: seal_number(&self.writer.keyring, pepper, &applying.digest, application_id)?,
            applied_at_office: applying.applied_at.office,
            household_office: applying.household.office,
            applied_at_ms: writing.now_ms,
        };
        writing.tx.insert_application(&new).await?;
        let answer = render(&StoredApplication {
            application: new.application,
            applied_at_office: new.applied_at_office,
            household_office: new.household_office,
            applied_at_ms: new.applied_at_ms,
            closed_at_ms: None,
            replacement_id: None,
            sealed_digest: new.number.sealed_digest,
        });
        let deed = Deed::of(actor, Action::ApplicationMade, application_id);
        self.writer.finish(writing, &deed, Some(&answer)).await?;
        Ok(answer)
    }

    /// A page of an organization's own.
    pub async fn list(
        &self,
        actor: Actor,
        wanted: &Wanted<ApplicationState, ApplicationId>,
    ) -> Result<Vec<StoredApplication>, ServiceError> {
        let found = self.writer.store.page_of_applications(actor.organization, wanted).await?;
        let ids: Vec<_> = found.iter().map(|stored| stored.application.id.into()).collect();
        self.writer
            .note_many(Deed::of_many(actor, Action::ApplicationsListed), &aggregates::APPLICATIONS, &ids)
            .await?;
        Ok(found)
    }

    /// An organization's own application.
    pub async fn find(
        &self,
        actor: Actor,
        application_id: ApplicationId,
    ) -> Result<Option<StoredApplication>, ServiceError> {
        let found = self.writer.store.find_application(actor.organization, application_id).await?;
        if found.is_some() {
            self.writer.note(&Deed::of(actor, Action::ApplicationRead, application_id)).await?;
        }
        Ok(found)
    }

    /// The new card was issued. Once this returns, every node lists the cards before it.
    pub async fn issue(
        &self,
        actor: Actor,
        application_id: ApplicationId,
        card_valid_from: Date,
        office: OfficeCode,
    ) -> Result<Option<IssuedApplication>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(mut stored) = writing.tx.find_application(actor.organization, application_id).await? else {
            return Ok(None);
        };
        stored.application = stored.application.issue(card_valid_from)?;
        let digest = open_digest(&self.writer.keyring, application_id, &stored.sealed_digest).map_err(|_| {
            ServiceError::Conflict(
                "the application's number cannot be opened any more: record the card as a replacement".into(),
            )
        })?;
        let replacing = Replacing { digest, card_valid_from, office };
        let replacement_id: ReplacementId = writing.new_id();
        let replaced = listing::replaced(&mut writing, actor.organization, replacement_id, &replacing).await;
        let replacement = match replaced {
            Ok(replacement) => replacement,
            Err(error) => {
                // The turn goes to who writes the entry.
                drop(writing);
                return Err(self.writer.noted(actor, self.writer.tag(&replacing.digest), error).await);
            }
        };
        stored.replacement_id = Some(replacement.replacement_id);
        close(&mut writing, &mut stored, &replacing.office).await?;
        let written = Written {
            act: Act::Replacement,
            record: replacement_id.into(),
            sequence: replacement.sequence,
            digest: &replacing.digest,
            card_valid_from: Some(card_valid_from),
        };
        let receipt = self.writer.act_receipt(&writing, actor, &written);
        let recorded = Deed::of(actor, Action::ReplacementRecorded, replacement.replacement_id);
        writing.note(&recorded).await?;
        let deed = Deed::of(actor, Action::ApplicationIssued, application_id);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(IssuedApplication { stored, sequence: replacement.sequence, receipt }))
    }

    /// The holder does without a new card.
    pub async fn cancel(
        &self,
        actor: Actor,
        application_id: ApplicationId,
        office: &OfficeCode,
    ) -> Result<Option<StoredApplication>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(mut stored) = writing.tx.find_application(actor.organization, application_id).await? else {
            return Ok(None);
        };
        stored.application = stored.application.cancel()?;
        close(&mut writing, &mut stored, office).await?;
        let deed = Deed::of(actor, Action::ApplicationCancelled, application_id);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(stored))
    }

    /// A temporary card was handed out. It starts today where no start is given.
    pub async fn issue_temporary_card(
        &self,
        actor: Actor,
        application_id: ApplicationId,
        card_valid_from: Option<Date>,
        office: &OfficeCode,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&TemporaryCard) -> StoredAnswer,
    ) -> Result<Option<StoredAnswer>, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(Some(answer)),
            Begun::Fresh(writing) => *writing,
        };
        let Some(stored) = writing.tx.find_application(actor.organization, application_id).await? else {
            return Ok(None);
        };
        let today = beijing_date(writing.now_ms);
        let start = card_valid_from.unwrap_or(today);
        let application = stored.application.issue_temporary_card(writing.new_id(), start, today)?;
        let Some(card) = application.temporary_card else { return Ok(None) };
        writing.tx.insert_temporary_card(application_id, &card, office, writing.now_ms).await?;
        let answer = render(&card);
        let deed = Deed::of(actor, Action::TemporaryCardIssued, card.id);
        self.writer.finish(writing, &deed, Some(&answer)).await?;
        Ok(Some(answer))
    }

    /// An office has the temporary card again. None where none was issued.
    pub async fn take_back_temporary_card(
        &self,
        actor: Actor,
        application_id: ApplicationId,
        office: &OfficeCode,
    ) -> Result<Option<TemporaryCard>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let stored = writing.tx.find_application(actor.organization, application_id).await?;
        let Some(card) = stored.and_then(|stored| stored.application.temporary_card) else { return Ok(None) };
        let card = card.take_back()?;
        writing.tx.take_back_temporary_card(&card, office, writing.now_ms).await?;
        let deed = Deed::of(actor, Action::TemporaryCardReturned, card.id);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(card))
    }
}

async fn close(writing: &mut Writing, stored: &mut StoredApplication, office: &OfficeCode) -> Result<(), ServiceError> {
    stored.closed_at_ms = Some(writing.now_ms);
    let closing = ApplicationClosing { at_ms: writing.now_ms, office, replacement_id: stored.replacement_id };
    Ok(writing.tx.close_application(&stored.application, &closing).await?)
}
