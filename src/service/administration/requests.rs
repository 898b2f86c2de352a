//! What waits for a second operator, and what became of it: approved, refused, or it waited too long. What is approved is judged again by
//! what holds then.

use super::acts::{Secret, carry_out, judge};
use super::asked::{Act, Administration, Answered, Asked, Outcome, Persons};
use super::undo::{begin_undo, open_export};
use super::waiting::wait;
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::{LifeState, WAITS_MAX};
use crate::domain::client::{Actor, Scope};
use crate::domain::ids::{AdminRequestId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::person::Role;
use crate::service::ServiceError;
use crate::service::writing::{Begun, Writing};
use crate::store::administration::{AdminRequest, Approved, Refused};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};

impl Administration {
    /// Does what is asked, or keeps it for a second operator. None where there is no such client. `render` makes the answer that a
    /// repetition gets: without the secret.
    pub async fn act(
        &self,
        asked: Asked,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Outcome) -> StoredAnswer,
    ) -> Result<Option<Answered>, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(Some(Answered::Repeated(answer))),
            Begun::Fresh(writing) => *writing,
        };
        let Asked { actor, act, body } = asked;
        let Some(needs_approval) = judge(&mut writing, &act).await? else { return Ok(None) };
        let (outcome, deed) = if needs_approval {
            let request = wait(&mut writing, actor, &act, body).await?;
            let deed = Deed::of(actor, Action::AdministrationRequested, request.id);
            (Outcome::Waits(Box::new(request)), deed)
        } else {
            let Some(done) = carry_out(&mut writing, actor, &act, Secret::Made).await? else { return Ok(None) };
            done
        };
        let answer = render(&outcome);
        self.writer.finish(writing, &deed, Some(&answer)).await?;
        Ok(Some(Answered::Fresh(outcome)))
    }

    /// A second operator agrees to what another has asked for, here as it was read again. None where nothing was asked for.
    pub async fn approve(
        &self,
        actor: Actor,
        id: AdminRequestId,
        act: &Act,
    ) -> Result<Option<AdminRequest>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(request) = writing.tx.read_admin_request(id).await? else { return Ok(None) };
        expect_open(&request, writing.now_ms)?;
        self.expect_person(actor)?;
        if !actor.is_another(&request.actor) {
            return Err(ServiceError::AnotherMustConfirm);
        }
        if !self.lets_in(&mut writing, &request.actor).await? {
            return Err(ServiceError::Conflict("who asked for it is not let in any more".into()));
        }
        writing.note(&Deed::of(actor, Action::AdministrationApproved, id)).await?;
        let gone = || ServiceError::Conflict("what the request is about is not there".into());
        judge(&mut writing, act).await?.ok_or_else(gone)?;
        // As done by who asked.
        let deed = match act {
            Act::Undo(new) => begin_undo(&mut writing, &request, new).await?,
            Act::ExportAudit(new) => open_export(&mut writing, &request, new).await?,
            _ => carry_out(&mut writing, request.actor, act, Secret::Left).await?.ok_or_else(gone)?.1,
        };
        let subject = deed.subject.unwrap_or_else(RecordId::nil);
        let approved = Approved { at_ms: writing.now_ms, by: actor.client, person: actor.person, subject };
        writing.tx.approve_admin_request(id, &approved).await?;
        self.writer.finish(writing, &deed, None).await?;
        self.approved.notify_one();
        // As it was kept, with what came of it at once.
        self.request(id).await
    }

    /// Somebody does not agree: it is not done. None where nothing was asked for.
    pub async fn refuse(&self, actor: Actor, id: AdminRequestId) -> Result<Option<AdminRequest>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(request) = writing.tx.read_admin_request(id).await? else { return Ok(None) };
        expect_open(&request, writing.now_ms)?;
        self.expect_person(actor)?;
        let refused = Refused { at_ms: writing.now_ms, by: actor.client, person: actor.person };
        writing.tx.refuse_admin_request(id, &refused).await?;
        self.writer.finish(writing, &Deed::of(actor, Action::AdministrationRefused, id), None).await?;
        Ok(Some(AdminRequest { refused: Some(refused), ..request }))
    }

    /// Whether who asked for something might still ask for it. Of a person the client says nothing: all of them act by one.
    async fn lets_in(&self, writing: &mut Writing, asker: &Actor) -> Result<bool, ServiceError> {
        let client = writing.let_in(asker.client).await?.filter(|(client, _)| client.scopes.contains(Scope::Admin));
        let Some(id) = asker.person_id.filter(|_| client.is_some()) else { return Ok(client.is_some()) };
        let person = writing.tx.read_person(id).await?.filter(|person| person.state() == LifeState::Active);
        // A role is what the provider has said last.
        let may_ask = person.is_some_and(|person| person.role.is_none_or(|role| role >= Role::Operator));
        let is_known = match self.persons {
            Persons::Unknown => false,
            Persons::OfProvider => true,
            Persons::WithPasskeys => writing.tx.has_passkey(id).await?,
        };
        Ok(may_ask && is_known)
    }

    /// Where persons are known, a client that names none decides nothing that waits.
    fn expect_person(&self, actor: Actor) -> Result<(), ServiceError> {
        let lacks_one = self.persons != Persons::Unknown && actor.person_id.is_none();
        if lacks_one { Err(ServiceError::PersonMustApprove) } else { Ok(()) }
    }
}

/// Whether a request still waits.
fn expect_open(request: &AdminRequest, now_ms: UnixMs) -> Result<(), ServiceError> {
    if request.approved.is_some() {
        return Err(ServiceError::Conflict("the request is approved already".into()));
    }
    if request.refused.is_some() {
        return Err(ServiceError::Conflict("the request was refused: ask again".into()));
    }
    if has_expired(request, now_ms) {
        return Err(ServiceError::Conflict("the request has waited for more than seven days: ask again".into()));
    }
    Ok(())
}

/// Whether a request has waited for too long.
pub fn has_expired(request: &AdminRequest, now_ms: UnixMs) -> bool {
    request.requested_at_ms < now_ms.minus(WAITS_MAX)
}
