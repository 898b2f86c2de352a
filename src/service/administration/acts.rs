//! Organizations and clients made and changed, at once or when a second operator agrees. What is approved is judged again by what
//! holds then.

use std::time::Duration;

use super::asked::{
    Act, Administration, Answered, Asked, ClientChange, NewClient, NewOrganization, OrganizationChange, Outcome,
};
use crate::access::client_auth::{hash_secret, new_secret};
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::{LifeState, Offices, Setting, WaitingAct};
use crate::domain::client::{Actor, OrganizationKind, Scopes};
use crate::domain::ids::{AdminRequestId, ClientId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::service::ServiceError;
use crate::service::writing::{Begun, Writing};
use crate::store::administration::{AdminRequest, Approved, ListedClient};
use crate::store::clients::{Client, Organization, Proof, StoredNumbers};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};

/// What waits longer is asked for again.
const WAITS_MAX: Duration = Duration::from_hours(7 * 24);

/// Whether a secret is made for a client without keys. It is not where another one than who asked would see it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secret {
    Made,
    Left,
}

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
            (Outcome::Waits(request), deed)
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
        if request.approved.is_some() {
            return Err(ServiceError::Conflict("the request is approved already".into()));
        }
        if request.actor.client == actor.client {
            return Err(ServiceError::AnotherMustConfirm);
        }
        if request.requested_at_ms < writing.now_ms.minus(WAITS_MAX) {
            return Err(ServiceError::Conflict("the request has waited for more than seven days: ask again".into()));
        }
        if !is_let_in(&mut writing, request.actor.client).await? {
            return Err(ServiceError::Conflict("who asked for it is not let in any more".into()));
        }
        writing.note(&Deed::of(actor, Action::AdministrationApproved, id)).await?;
        let gone = || ServiceError::Conflict("what the request is about is not there".into());
        judge(&mut writing, act).await?.ok_or_else(gone)?;
        // As done by who asked.
        let done = carry_out(&mut writing, request.actor, act, Secret::Left).await?;
        let (_, deed) = done.ok_or_else(gone)?;
        let subject = deed.subject.unwrap_or_else(RecordId::nil);
        let approved = Approved { at_ms: writing.now_ms, by: actor.client, subject };
        writing.tx.approve_admin_request(id, &approved).await?;
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(AdminRequest { approved: Some(approved), ..request }))
    }

    /// Changes an organization; none where there is no such one.
    pub async fn update_organization(
        &self,
        actor: Actor,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Option<Organization>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(mut organization) = writing.tx.read_organization(id).await? else { return Ok(None) };
        let now_ms = writing.now_ms;
        let before = organization.state();
        expect_not_ended(before)?;
        let OrganizationChange { name, rate, offices, any_office, state } = change;
        let is_changed = name.is_some() || rate != Setting::Kept || offices.is_some() || any_office.is_some();
        organization.name = name.unwrap_or(organization.name);
        organization.rate = rate.over(organization.rate);
        let ends_others = any_office.unwrap_or(organization.offices.ends_others);
        let prefixes = offices.unwrap_or_else(|| organization.offices.prefixes().to_vec());
        organization.offices =
            Offices::new(prefixes, ends_others).ok_or(ServiceError::WrongConstant("prefixes of an organization"))?;
        let mut actions = Vec::new();
        if is_changed {
            actions.push(Action::OrganizationUpdated);
        }
        match state.filter(|state| *state != before) {
            None => {}
            Some(LifeState::Active) => {
                organization.suspended_at_ms = None;
                actions.push(Action::OrganizationResumed);
            }
            Some(LifeState::Suspended) => {
                organization.suspended_at_ms = Some(now_ms);
                actions.push(Action::OrganizationSuspended);
            }
            Some(LifeState::Ended) => {
                organization.ended_at_ms = Some(now_ms);
                actions.push(Action::OrganizationEnded);
            }
        }
        let Some(last) = actions.pop() else { return Ok(Some(organization)) };
        writing.tx.update_organization(&organization).await?;
        for action in actions {
            writing.note(&Deed::of(actor, action, id)).await?;
        }
        self.writer.finish(writing, &Deed::of(actor, last, id), None).await?;
        Ok(Some(organization))
    }
}

/// Whether an act needs a second operator; an error where nobody may do it, none where there is no such client.
async fn judge(writing: &mut Writing, act: &Act) -> Result<Option<bool>, ServiceError> {
    match act {
        Act::CreateOrganization(new) if new.kind == OrganizationKind::Operator => Err(ServiceError::ByCommandLine),
        Act::CreateOrganization(new) => Ok(Some(new.kind.needs_approval())),
        Act::CreateClient(new) => {
            let organization = writing.tx.read_organization(new.organization).await?;
            let unknown = || ServiceError::Conflict("there is no such organization".into());
            let organization = organization.ok_or_else(unknown)?;
            expect_not_ended(organization.state())?;
            expect_not_operator(organization.kind)?;
            expect_allowed(organization.kind, new.scopes)?;
            Ok(Some(new.scopes.need_approval()))
        }
        Act::UpdateClient(id, change) => {
            let Some((listed, kind)) = client_and_kind(writing, *id).await? else { return Ok(None) };
            expect_not_ended(listed.client.state())?;
            if change.scopes.is_some() || change.bound.is_some() {
                expect_not_operator(kind)?;
            }
            let Some(scopes) = change.scopes else { return Ok(Some(false)) };
            expect_allowed(kind, scopes)?;
            Ok(Some(scopes.without(listed.client.scopes).need_approval()))
        }
    }
}

/// Keeps an act for a second operator.
async fn wait(writing: &mut Writing, actor: Actor, act: &Act, body: String) -> Result<AdminRequest, ServiceError> {
    let (word, target) = match act {
        Act::CreateOrganization(_) => (WaitingAct::CreateOrganization, None),
        Act::CreateClient(_) => (WaitingAct::CreateClient, None),
        Act::UpdateClient(id, _) => (WaitingAct::UpdateClient, Some(*id)),
    };
    let requested_at_ms = writing.now_ms;
    let request =
        AdminRequest { id: writing.new_id(), actor, act: word, target, body, requested_at_ms, approved: None };
    writing.tx.keep_admin_request(&request).await?;
    Ok(request)
}

/// Does it, and says what of it the audit log gets last.
async fn carry_out(
    writing: &mut Writing,
    actor: Actor,
    act: &Act,
    secret: Secret,
) -> Result<Option<(Outcome, Deed)>, ServiceError> {
    match act {
        Act::CreateOrganization(new) => {
            let made = create_organization(writing, new).await?;
            let deed = Deed::of(actor, Action::OrganizationCreated, made.organization_id);
            Ok(Some((Outcome::Organization(made), deed)))
        }
        Act::CreateClient(new) => create_client(writing, actor, new, secret).await.map(Some),
        Act::UpdateClient(id, change) => update_client(writing, actor, *id, change).await,
    }
}

async fn create_organization(writing: &mut Writing, new: &NewOrganization) -> Result<Organization, ServiceError> {
    let NewOrganization { name, kind, region, rate, offices } = new.clone();
    let made = Organization::new(writing.new_id(), name, kind, region, writing.now_ms);
    let made = Organization { rate, offices, ..made };
    writing.tx.insert_organization(&made).await?;
    Ok(made)
}

async fn create_client(
    writing: &mut Writing,
    actor: Actor,
    new: &NewClient,
    secret: Secret,
) -> Result<(Outcome, Deed), ServiceError> {
    let now_ms = writing.now_ms;
    let NewClient { organization, name, scopes, rate, numbers, digests, bound, keys } = new.clone();
    let client = Client {
        name,
        rate,
        bound,
        numbers: StoredNumbers { guests: numbers, digests, ..StoredNumbers::default() },
        ..Client::new(writing.new_id(), organization, scopes, now_ms)
    };
    let id = client.client_id;
    writing.tx.insert_client(&client).await?;
    let mut proofs: Vec<_> = keys.into_iter().map(Proof::Key).collect();
    let made = (proofs.is_empty() && secret == Secret::Made).then(new_secret).transpose();
    let made = made.map_err(|_| ServiceError::NotSigned)?;
    proofs.extend(made.as_ref().map(|secret| Proof::SecretHash(hash_secret(secret))));
    for proof in &proofs {
        let credential = writing.new_id();
        writing.tx.add_proof(id, credential, proof, now_ms).await?;
    }
    if numbers == Some(Guests::Uncounted) {
        writing.note(&Deed::of(actor, Action::ClientNumbersLifted, id)).await?;
    }
    let listed = listed(writing, id).await?;
    Ok((Outcome::Client(Box::new(listed), made), Deed::of(actor, Action::ClientCreated, id)))
}

async fn update_client(
    writing: &mut Writing,
    actor: Actor,
    id: ClientId,
    change: &ClientChange,
) -> Result<Option<(Outcome, Deed)>, ServiceError> {
    let Some(before) = writing.tx.read_client(id).await? else { return Ok(None) };
    let state = before.client.state();
    let mut actions = vec![Action::ClientUpdated];
    let mut client = before.client;
    let ClientChange { name, scopes, rate, numbers, digests, bound, state: wanted } = change.clone();
    client.name = name.or(client.name);
    client.scopes = scopes.unwrap_or(client.scopes);
    client.rate = rate.over(client.rate);
    let guests = numbers.over(client.numbers.guests);
    if guests != client.numbers.guests || digests.is_some_and(|digests| digests != client.numbers.digests) {
        let is_lifted = guests == Some(Guests::Uncounted) && guests != client.numbers.guests;
        actions.push(if is_lifted { Action::ClientNumbersLifted } else { Action::ClientNumbersDeclared });
    }
    client.numbers.guests = guests;
    client.numbers.digests = digests.unwrap_or(client.numbers.digests);
    client.bound = bound.unwrap_or(client.bound);
    actions.extend(wanted.filter(|wanted| *wanted != state).map(|wanted| enter(&mut client, wanted, writing.now_ms)));
    writing.tx.update_client(&client).await?;
    let last = actions.pop().unwrap_or(Action::ClientUpdated);
    for action in actions {
        writing.note(&Deed::of(actor, action, id)).await?;
    }
    let listed = listed(writing, id).await?;
    Ok(Some((Outcome::Client(Box::new(listed), None), Deed::of(actor, last, id))))
}

/// Puts a client into another state; the action of that.
fn enter(client: &mut Client, state: LifeState, now_ms: UnixMs) -> Action {
    match state {
        LifeState::Active => {
            client.suspended_at_ms = None;
            Action::ClientResumed
        }
        LifeState::Suspended => {
            client.suspended_at_ms = Some(now_ms);
            Action::ClientSuspended
        }
        LifeState::Ended => {
            client.disabled_at_ms = Some(now_ms);
            Action::ClientDisabled
        }
    }
}

/// A client that is there, as lists show it.
pub(super) async fn listed(writing: &mut Writing, id: ClientId) -> Result<ListedClient, ServiceError> {
    writing.tx.read_client(id).await?.ok_or(ServiceError::WrongConstant("a client that was just written"))
}

/// A client, and what its organization is.
pub(super) async fn client_and_kind(
    writing: &mut Writing,
    id: ClientId,
) -> Result<Option<(ListedClient, OrganizationKind)>, ServiceError> {
    let Some(listed) = writing.tx.read_client(id).await? else { return Ok(None) };
    let organization = writing.tx.read_organization(listed.client.organization_id).await?;
    Ok(organization.map(|organization| (listed, organization.kind)))
}

async fn is_let_in(writing: &mut Writing, id: ClientId) -> Result<bool, ServiceError> {
    let Some(listed) = writing.tx.read_client(id).await? else { return Ok(false) };
    let organization = writing.tx.read_organization(listed.client.organization_id).await?;
    let is_active = |state| state == LifeState::Active;
    Ok(is_active(listed.client.state()) && organization.is_some_and(|organization| is_active(organization.state())))
}

pub(super) fn expect_not_ended(state: LifeState) -> Result<(), ServiceError> {
    if state == LifeState::Ended { Err(ServiceError::Conflict("it is ended, which is final".into())) } else { Ok(()) }
}

pub(super) fn expect_not_operator(kind: OrganizationKind) -> Result<(), ServiceError> {
    if kind == OrganizationKind::Operator { Err(ServiceError::ByCommandLine) } else { Ok(()) }
}

fn expect_allowed(kind: OrganizationKind, scopes: Scopes) -> Result<(), ServiceError> {
    if kind.forbidden(scopes).is_empty() {
        return Ok(());
    }
    let (kind, allowed) = (kind.as_str(), kind.scopes());
    let detail = format!("a client of an organization of the kind {kind} may have: {allowed}");
    Err(ServiceError::wrong_member("/scopes", "scope_of_other_kind", detail))
}
