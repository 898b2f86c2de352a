//! Organizations and clients made and changed, at once or when a second operator agrees (`requests`).

use super::asked::{Act, Administration, ClientChange, NewClient, NewOrganization, OrganizationChange, Outcome};
use super::undo::{judge_export, judge_undo};
use crate::crypto::client_secret::{hash_secret, new_secret};
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::{LifeState, Offices, Setting};
use crate::domain::client::{Actor, OrganizationKind, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::service::ServiceError;
use crate::service::writing::Writing;
use crate::store::administration::ListedClient;
use crate::store::clients::{Client, Organization, Proof, StoredNumbers};

/// Whether a secret is made for a client without keys. It is not where somebody else would see it than who asked for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    Made,
    Left,
}

impl Administration {
    /// Changes an organization, or keeps the change for a second operator; none where there is no such one.
    pub async fn update_organization(
        &self,
        actor: Actor,
        id: OrganizationId,
        change: OrganizationChange,
        body: String,
    ) -> Result<Option<Outcome>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let act = Act::UpdateOrganization(id, change);
        let Some(needs_approval) = judge(&mut writing, &act).await? else { return Ok(None) };
        if needs_approval {
            return self.keep(writing, actor, &act, body).await.map(Some);
        }
        let Act::UpdateOrganization(_, change) = act else { return Ok(None) };
        let Some((organization, mut actions)) = change_organization(&mut writing, id, change).await? else {
            return Ok(None);
        };
        if let Some(last) = actions.pop() {
            for action in actions {
                writing.note(&Deed::of(actor, action, id)).await?;
            }
            self.writer.finish(writing, &Deed::of(actor, last, id), None).await?;
        }
        Ok(Some(Outcome::Organization(organization)))
    }
}

/// Changes an organization, and says what of it the audit log gets; none where there is no such one.
async fn change_organization(
    writing: &mut Writing,
    id: OrganizationId,
    change: OrganizationChange,
) -> Result<Option<(Organization, Vec<Action>)>, ServiceError> {
    let Some(mut organization) = writing.tx.read_organization(id).await? else { return Ok(None) };
    let (before, now_ms) = (organization.state(), writing.now_ms);
    organization.offices = offices_after(&organization, &change)?;
    let OrganizationChange { name, rate, offices, any_office, state } = change;
    let is_changed = name.is_some() || rate != Setting::Kept || offices.is_some() || any_office.is_some();
    organization.name = name.unwrap_or(organization.name);
    organization.rate = rate.over(organization.rate);
    let mut actions: Vec<_> = is_changed.then_some(Action::OrganizationUpdated).into_iter().collect();
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
    if !actions.is_empty() {
        writing.tx.update_organization(&organization).await?;
    }
    Ok(Some((organization, actions)))
}

/// For which offices an organization acts after a change.
fn offices_after(organization: &Organization, change: &OrganizationChange) -> Result<Offices, ServiceError> {
    let ends_others = change.any_office.unwrap_or(organization.offices.ends_others);
    let prefixes = change.offices.clone().unwrap_or_else(|| organization.offices.prefixes().to_vec());
    Offices::new(prefixes, ends_others).ok_or(ServiceError::WrongConstant("prefixes of an organization"))
}

/// Whether an act needs a second operator; an error where nobody may do it, none where there is no such client.
pub(super) async fn judge(writing: &mut Writing, act: &Act) -> Result<Option<bool>, ServiceError> {
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
        Act::UpdateOrganization(id, change) => {
            let Some(organization) = writing.tx.read_organization(*id).await? else { return Ok(None) };
            expect_not_ended(organization.state())?;
            let after = offices_after(&organization, change)?;
            let is_more = organization.offices.are_fewer_than(&after, &organization.region);
            Ok(Some(organization.kind == OrganizationKind::Registrar && is_more))
        }
        Act::AddProofs(id, ..) | Act::AllowSecret(id) => {
            let Some((listed, kind)) = client_and_kind(writing, *id).await? else { return Ok(None) };
            expect_not_ended(listed.client.state())?;
            expect_not_operator(kind)?;
            Ok(Some(listed.client.scopes.need_approval()))
        }
        Act::Undo(new) => judge_undo(writing, new).await.map(|()| Some(true)),
        Act::ExportAudit(new) => judge_export(writing, new).await.map(|()| Some(true)),
    }
}

/// Does it, and says what of it the audit log gets last.
pub(super) async fn carry_out(
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
        Act::UpdateOrganization(id, change) => {
            let Some((organization, mut actions)) = change_organization(writing, *id, change.clone()).await? else {
                return Ok(None);
            };
            let last = actions.pop().unwrap_or(Action::OrganizationUpdated);
            for action in actions {
                writing.note(&Deed::of(actor, action, *id)).await?;
            }
            Ok(Some((Outcome::Organization(organization), Deed::of(actor, last, *id))))
        }
        Act::AddProofs(id, action, proofs) => {
            for proof in proofs {
                let (credential, now_ms) = (writing.new_id(), writing.now_ms);
                writing.tx.add_proof(*id, credential, proof, now_ms).await?;
            }
            let listed = listed(writing, *id).await?;
            Ok(Some((Outcome::Client(Box::new(listed), None), Deed::of(actor, *action, *id))))
        }
        Act::AllowSecret(id) => {
            let listed = listed(writing, *id).await?;
            let deed = Deed::of(actor, Action::ClientSecretAllowed, *id);
            Ok(Some((Outcome::Client(Box::new(listed), None), deed)))
        }
        Act::Undo(_) | Act::ExportAudit(_) => Err(ServiceError::WrongConstant("an act that always waits")),
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
    let NewClient { organization, name, scopes, rate, numbers, digests, bound, mut proofs } = new.clone();
    let client = Client {
        name,
        rate,
        bound,
        numbers: StoredNumbers { guests: numbers, digests, ..StoredNumbers::default() },
        ..Client::new(writing.new_id(), organization, scopes, now_ms)
    };
    let id = client.client_id;
    writing.tx.insert_client(&client).await?;
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
