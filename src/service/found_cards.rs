//! Found cards: registered and matched, then returned, destroyed or transferred, each in one transaction. A held card changes no
//! verdict by itself; a return withdraws the matched report, if the office may end it, and is acknowledged only when every node knows.

use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::act_receipts::{ActReceipt, Ended};
use super::day_limit::{DayLimit, Waiting, keep_waiting};
use super::writing::{Begun, Writer, Writing, seal_number};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::{Actor, RegionCode};
use crate::domain::found_card::{
    FoundCard, FoundCardRefusal, FoundCardState, HolderVerification, Succession, find_match,
};
use crate::domain::ids::{FoundCardId, ReportId};
use crate::domain::notice::NoticeKind;
use crate::domain::report::{OfficeCode, Phone, WithdrawalReason};
use crate::store::aggregates;
use crate::store::found_cards::{Leaving, NewFoundCard, StoredFoundCard};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::lists::Wanted;
use crate::store::reports::StoredReport;
use crate::store::withdrawals::{PendingReturn, PendingWithdrawal};

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
    limit: DayLimit,
}

/// What became of a return.
#[derive(Debug)]
pub enum HandedBack {
    /// With the receipt of the withdrawal that went with it.
    Done(StoredFoundCard, Option<ActReceipt>),
    /// It would withdraw a report beyond the client's number of the day.
    Waits(PendingWithdrawal),
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
    pub fn new(writer: Arc<Writer>, limit: DayLimit) -> Self {
        Self { writer, limit }
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
        if let Some(report) = new.matched_report {
            let now_ms = writing.now_ms;
            writing.tx.insert_notice((NoticeKind::CardFound, report), found_card_id.into(), now_ms).await?;
        }
        let answer = render(&card);
        let deed = Deed::of(actor, Action::FoundCardRegistered, found_card_id);
        self.writer.finish(writing, &deed, Some(&answer)).await?;
        Ok(answer)
    }

    /// A page of an organization's own.
    pub async fn list(
        &self,
        actor: Actor,
        wanted: &Wanted<FoundCardState, FoundCardId>,
    ) -> Result<Vec<StoredFoundCard>, ServiceError> {
        let found = self.writer.store.page_of_found_cards(actor.organization, wanted).await?;
        let ids: Vec<_> = found.iter().map(|stored| stored.card.id.into()).collect();
        self.writer.note_many(Deed::of_many(actor, Action::FoundCardsListed), &aggregates::FOUND_CARDS, &ids).await?;
        Ok(found)
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

    /// The holder has the card again. The report of that very card is withdrawn with it, or one that does not know its card: once this
    /// returns, no check that starts anywhere finds the card listed by that report.
    pub async fn hand_back(
        &self,
        actor: Actor,
        ends_others: bool,
        found_card_id: FoundCardId,
        returning: Returning,
    ) -> Result<Option<HandedBack>, ServiceError> {
        let writing = self.writer.begin_once().await?;
        let Some(held) = hold(writing, actor, found_card_id).await? else { return Ok(None) };
        let (mut held, card, ending) = take_out(held, &returning).await?;
        let Some(report) = &ending else {
            return self.complete(held, card, actor, returning, None).await.map(|done| Some(done.into()));
        };
        let report_id = report.report.id;
        expect_own(&mut held.writing, actor, ends_others, report_id).await?;
        if !self.limit.is_spent(&mut held.writing, actor).await? {
            return self.complete(held, card, actor, returning, ending).await.map(|done| Some(done.into()));
        }
        let new = PendingWithdrawal {
            report_id,
            actor,
            office: returning.office,
            reason: WithdrawalReason::Found,
            requested_at_ms: held.writing.now_ms,
            returning: Some(PendingReturn {
                found_card_id,
                card_valid_from: returning.card_valid_from,
                holder_verified_by: returning.holder_verified_by,
            }),
        };
        let mut writing = held.writing;
        let pending = match keep_waiting(&mut writing, new).await? {
            Waiting::Already(pending) => pending,
            Waiting::Requested(requested) => {
                let (pending, deed) = *requested;
                self.writer.finish(writing, &deed, None).await?;
                pending
            }
        };
        Ok(Some(HandedBack::Waits(pending)))
    }

    /// A return that waited, as done by who asked for it. Returns the report that it ended.
    pub(super) async fn return_confirmed(
        &self,
        writing: Writing,
        pending: &PendingWithdrawal,
        ends_others: bool,
        kept: PendingReturn,
    ) -> Result<Ended, ServiceError> {
        let PendingReturn { found_card_id, card_valid_from, holder_verified_by } = kept;
        let returning = Returning { card_valid_from, office: pending.office.clone(), holder_verified_by };
        let changed =
            || ServiceError::Conflict("the card or its reports have changed meanwhile: return it again".into());
        let held = hold(writing, pending.actor, found_card_id).await?.ok_or_else(changed)?;
        let (mut held, card, ending) = take_out(held, &returning).await?;
        let ending = ending.filter(|report| report.report.id == pending.report_id).ok_or_else(changed)?;
        expect_own(&mut held.writing, pending.actor, ends_others, pending.report_id).await?;
        let (_, ended) = self.complete(held, card, pending.actor, returning, Some(ending)).await?;
        ended.ok_or_else(changed)
    }

    /// The card leaves, and the report that it ends is withdrawn.
    async fn complete(
        &self,
        held: Held,
        mut card: FoundCard,
        actor: Actor,
        returning: Returning,
        ending: Option<StoredReport>,
    ) -> Result<(StoredFoundCard, Option<Ended>), ServiceError> {
        let Held { mut writing, stored, .. } = held;
        let mut ended = None;
        if let Some(report) = ending {
            let withdrawal = Deed::of(actor, Action::ReportWithdrawn, report.report.id);
            card.matched_report = Some(report.report.id);
            let (office, reason) = (&returning.office, WithdrawalReason::Found);
            ended = Some(self.writer.withdraw(&mut writing, actor, report, office, reason).await?);
            writing.note(&withdrawal).await?;
        }
        let holder_verified_by = Some(returning.holder_verified_by);
        let leaving = Leaving { at_ms: writing.now_ms, office: returning.office, holder_verified_by, to_office: None };
        let deed = Deed::of(actor, Action::FoundCardReturned, stored.card.id);
        Ok((self.finish(writing, stored, card, leaving, &deed).await?, ended))
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
        hold(self.writer.begin_once().await?, actor, found_card_id).await
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

/// Whether an office may end a report by a return.
async fn expect_own(
    writing: &mut Writing,
    actor: Actor,
    ends_others: bool,
    report_id: ReportId,
) -> Result<(), ServiceError> {
    if !ends_others && writing.tx.is_of_other_registrar(actor.organization, report_id).await? {
        return Err(ServiceError::OfficeNotYours(
            "the card is reported by another organization, which returns it: transfer it to that office",
        ));
    }
    Ok(())
}

/// A found card of the actor's, with what its transitions depend on.
async fn hold(mut writing: Writing, actor: Actor, found_card_id: FoundCardId) -> Result<Option<Held>, ServiceError> {
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

/// The card as it goes back to its holder, and the report that ends with it.
async fn take_out(
    mut held: Held,
    returning: &Returning,
) -> Result<(Held, FoundCard, Option<StoredReport>), ServiceError> {
    // What has left is told first: its start is no matter any more.
    held.stored.card.expect_held()?;
    let card = held
        .stored
        .card
        .clone()
        .with_start(returning.card_valid_from)
        .map_err(|refusal| ServiceError::wrong_member("/card_valid_from", refusal.code(), refusal.to_string()))?;
    let is_superseded = held.is_superseded(&card);
    let card = card.hand_back(is_superseded)?;
    let active = held.writing.tx.active_reports(&held.lookup_keys).await?;
    let ended = card.ended_report(active.iter().map(|stored| &stored.report)).map(|report| report.id);
    let report = active.into_iter().find(|stored| Some(stored.report.id) == ended);
    Ok((held, card, report))
}

impl From<(StoredFoundCard, Option<Ended>)> for HandedBack {
    fn from((stored, ended): (StoredFoundCard, Option<Ended>)) -> Self {
        Self::Done(stored, ended.and_then(|ended| ended.receipt))
    }
}

impl From<FoundCardRefusal> for ServiceError {
    fn from(refusal: FoundCardRefusal) -> Self {
        Self::Conflict(refusal.to_string().into())
    }
}
