//! Found cards: registered and matched, then returned, destroyed or transferred, each in one transaction. A held card changes no
//! verdict by itself; a return withdraws the matched report, no matter who filed it, and is acknowledged only when every node knows.

use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::listing;
use super::writing::{Begun, Writer, Writing, seal_number};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::{Actor, RegionCode};
use crate::domain::found_card::{
    FoundCard, FoundCardRefusal, FoundCardState, HolderVerification, Succession, find_match,
};
use crate::domain::ids::FoundCardId;
use crate::domain::report::{OfficeCode, Phone, WithdrawalReason};
use crate::store::found_cards::{Leaving, NewFoundCard, StoredFoundCard};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::reports::StoredReport;

/// A found card as an office registers it.
#[derive(Debug)]
pub struct Registering {
    pub digest: IdDigest,
    pub card_valid_from: Option<Date>,
    pub found_on: Date,
    pub found_at_region: RegionCode,
    pub office: OfficeCode,
    pub phone: Option<Phone>,
}

/// Registers found cards and lets them go.
#[derive(Debug)]
pub struct FoundCards {
    writer: Arc<Writer>,
}

/// A found card at its transition, with what that depends on.
struct Held {
    writing: Writing,
    stored: StoredFoundCard,
    matched: Option<StoredReport>,
    /// Under which reports and replacements of its number may stand.
    lookup_keys: Vec<LookupKey>,
    successions: Vec<Succession>,
}

impl Held {
    /// Whether the holder has a newer card than this one.
    fn is_superseded(&self, card: &FoundCard) -> bool {
        card.is_superseded(self.matched.as_ref().map(|matched| &matched.report), &self.successions)
    }
}

/// How a card goes back to its holder.
#[derive(Debug)]
pub struct Returning {
    /// Read from the card.
    pub card_valid_from: Option<Date>,
    pub office: OfficeCode,
    pub holder_verified_by: HolderVerification,
}

impl FoundCards {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Registers a card and matches it to an active report of any organization. `render` makes the answer that a repetition of
    /// the request will get.
    pub async fn register(
        &self,
        actor: Actor,
        registering: Registering,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&FoundCard) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(answer),
            Begun::Fresh(writing) => *writing,
        };
        let found_card_id: FoundCardId = writing.new_id();
        let keyring = &self.writer.keyring;
        let number = seal_number(keyring, &writing.peppers.current, &registering.digest, found_card_id)?;
        let seal = |phone: &Phone| keyring.sealer().seal_envelope(found_card_id.as_bytes(), phone.expose().as_bytes());
        let contact = registering.phone.as_ref().map(seal).transpose()?;
        let lookup_keys = writing.lookup_keys(&registering.digest);
        let reports = writing.tx.active_reports(&lookup_keys).await?;
        let matched = find_match(registering.card_valid_from, reports.iter().map(|stored| &stored.report));
        let card = FoundCard {
            id: found_card_id,
            state: FoundCardState::Held,
            card_valid_from: registering.card_valid_from,
            matched_report: matched.map(|report| report.id),
        };
        let new = NewFoundCard {
            found_card_id,
            organization: actor.organization,
            number,
            card_valid_from: card.card_valid_from,
            found_on: registering.found_on,
            found_at_region: registering.found_at_region,
            office: registering.office,
            contact,
            matched_report: card.matched_report,
            registered_at_ms: writing.now_ms,
            registered_sequence: writing.tx.head().await?,
        };
        writing.tx.insert_found_card(&new).await?;
        let answer = render(&card);
        let deed = Deed::of(actor, Action::FoundCardRegistered, found_card_id);
        self.writer.finish(writing, &deed, Some(&answer)).await?;
        Ok(answer)
    }

    /// An organization's own found card.
    pub async fn find(
        &self,
        actor: Actor,
        found_card_id: FoundCardId,
    ) -> Result<Option<StoredFoundCard>, ServiceError> {
        let found = self.writer.store.find_found_card(actor.organization, found_card_id).await?;
        if found.is_some() {
            self.writer.note(&Deed::of(actor, Action::FoundCardRead, found_card_id)).await?;
        }
        Ok(found)
    }

    /// The holder has the card again. The report of that very card is withdrawn with it, or one that does not know its card,
    /// no matter who filed it: once this returns, no check that starts anywhere finds the card listed by that report.
    pub async fn hand_back(
        &self,
        actor: Actor,
        found_card_id: FoundCardId,
        returning: Returning,
    ) -> Result<Option<StoredFoundCard>, ServiceError> {
        let Some(held) = self.begin(actor, found_card_id).await? else { return Ok(None) };
        // What has left is told first: its start is no matter any more.
        held.stored.card.expect_held()?;
        let told = returning.card_valid_from;
        let card =
            held.stored.card.clone().with_start(told).map_err(|refusal| {
                ServiceError::wrong_member("/card_valid_from", refusal.code(), refusal.to_string())
            })?;
        let is_superseded = held.is_superseded(&card);
        let Held { mut writing, stored, lookup_keys, .. } = held;
        let mut card = card.hand_back(is_superseded)?;
        let active = writing.tx.active_reports(&lookup_keys).await?;
        let ended = card.ended_report(active.iter().map(|stored| &stored.report)).map(|report| report.id);
        if let Some(report) = active.into_iter().find(|stored| Some(stored.report.id) == ended) {
            let withdrawal = Deed::of(actor, Action::ReportWithdrawn, report.report.id);
            card.matched_report = ended;
            listing::withdrawn(&mut writing, report, &returning.office, WithdrawalReason::Found).await?;
            writing.tx.record_deed(&withdrawal, writing.now_ms).await?;
        }
        let holder_verified_by = Some(returning.holder_verified_by);
        let leaving = Leaving { at_ms: writing.now_ms, office: returning.office, holder_verified_by, to_office: None };
        let deed = Deed::of(actor, Action::FoundCardReturned, found_card_id);
        self.finish(writing, stored, card, leaving, &deed).await.map(Some)
    }

    /// The card was destroyed, for a newer one took its place.
    pub async fn destroy(
        &self,
        actor: Actor,
        found_card_id: FoundCardId,
        office: OfficeCode,
    ) -> Result<Option<StoredFoundCard>, ServiceError> {
        let Some(held) = self.begin(actor, found_card_id).await? else { return Ok(None) };
        let is_superseded = held.is_superseded(&held.stored.card);
        let Held { writing, stored, .. } = held;
        let card = stored.card.clone().destroy(is_superseded)?;
        let leaving = Leaving { at_ms: writing.now_ms, office, holder_verified_by: None, to_office: None };
        let deed = Deed::of(actor, Action::FoundCardDestroyed, found_card_id);
        self.finish(writing, stored, card, leaving, &deed).await.map(Some)
    }

    /// The card was sent to another office, which registers it again.
    pub async fn transfer(
        &self,
        actor: Actor,
        found_card_id: FoundCardId,
        office: OfficeCode,
        to_office: OfficeCode,
    ) -> Result<Option<StoredFoundCard>, ServiceError> {
        let Some(held) = self.begin(actor, found_card_id).await? else { return Ok(None) };
        let Held { writing, stored, .. } = held;
        let card = stored.card.clone().transfer()?;
        if to_office == stored.office {
            let detail = "the card is held by that office: name the one that it is sent to";
            return Err(ServiceError::wrong_member("/to_office", "same_office", detail));
        }
        let to_office = Some(to_office);
        let leaving = Leaving { at_ms: writing.now_ms, office, holder_verified_by: None, to_office };
        let deed = Deed::of(actor, Action::FoundCardTransferred, found_card_id);
        self.finish(writing, stored, card, leaving, &deed).await.map(Some)
    }

    async fn begin(&self, actor: Actor, found_card_id: FoundCardId) -> Result<Option<Held>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(stored) = writing.tx.find_found_card(actor.organization, found_card_id).await? else {
            return Ok(None);
        };
        let matched = match stored.card.matched_report {
            Some(report_id) => writing.tx.find_any_report(report_id).await?,
            None => None,
        };
        let lookup_keys = writing.stored_keys(found_card_id, &stored.number)?;
        let successions = writing.tx.successions(&lookup_keys, stored.registered_sequence).await?;
        Ok(Some(Held { writing, stored, matched, lookup_keys, successions }))
    }

    async fn finish(
        &self,
        mut writing: Writing,
        stored: StoredFoundCard,
        card: FoundCard,
        leaving: Leaving,
        deed: &Deed,
    ) -> Result<StoredFoundCard, ServiceError> {
        writing.tx.close_found_card(&card, &leaving).await?;
        self.writer.finish(writing, deed, None).await?;
        Ok(StoredFoundCard { card, leaving: Some(leaving), ..stored })
    }
}

impl From<FoundCardRefusal> for ServiceError {
    fn from(refusal: FoundCardRefusal) -> Self {
        Self::Conflict(refusal.to_string().into())
    }
}
