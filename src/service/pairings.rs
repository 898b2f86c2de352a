//! Pairings: a code is made, a page registers its key with it and becomes a device, and the device is changed, released and ended. The
//! command line goes the same steps.

use std::sync::Arc;

use super::ServiceError;
use super::writing::{Begun, Writer, Writing};
use crate::crypto::pairing::{PinKey, code_mark, is_code_of, name_mark, new_code, seal_pin_key};
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::LifeState;
use crate::domain::client::{Actor, Bound, OrganizationKind, OrganizationName, Origin, Scopes};
use crate::domain::ids::{ClientId, OrganizationId, PairingId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::domain::pairing::{CODE_LIVES, PairingCode, PairingState};
use crate::domain::report::Label;
use crate::store::clients::{Client, Organization, Proof, StoredNumbers};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::pairings::{Device, ListedPairing, Marks, Pairing};

/// A device that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewPairing {
    pub organization: OrganizationId,
    pub scopes: Scopes,
    pub site: Label,
    pub name: Option<OrganizationName>,
    pub numbers: Option<Guests>,
}

/// A code that was made: it is shown this once and kept nowhere.
#[derive(Debug)]
pub struct Opened {
    pub pairing_id: PairingId,
    pub code: PairingCode,
    pub expires_at_ms: UnixMs,
}

/// A code, or the answer that the first request for it got.
#[derive(Debug)]
pub enum Made {
    Fresh(Opened),
    Repeated(StoredAnswer),
}

/// What is to change of a pairing.
#[derive(Debug, Clone, Default)]
pub struct PairingChange {
    pub name: Option<OrganizationName>,
    pub site: Option<Label>,
    pub ends: bool,
}

/// What a page registers.
#[derive(Debug)]
pub struct NewDevice {
    pub code: PairingCode,
    /// Its public key as JWK.
    pub key: String,
    pub pin_key: PinKey,
}

/// So often another code is drawn where one begins like one that is good.
const DRAWS_MAX: usize = 8;

/// What operators do with pairings, and pages with codes.
#[derive(Debug)]
pub struct Pairings {
    writer: Arc<Writer>,
}

impl Pairings {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Pairings behind one of them, oldest first.
    pub async fn list(
        &self,
        of: Option<OrganizationId>,
        after: Option<PairingId>,
        count_max: usize,
    ) -> Result<Vec<ListedPairing>, ServiceError> {
        Ok(self.writer.store.list_pairings(of, after, count_max).await?)
    }

    pub async fn find(&self, id: PairingId) -> Result<Option<ListedPairing>, ServiceError> {
        Ok(self.writer.store.find_pairing(id).await?)
    }

    /// Makes a code. `render` makes the answer that a repetition gets: without it.
    pub async fn open(
        &self,
        actor: Actor,
        new: NewPairing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Opened) -> StoredAnswer,
    ) -> Result<Made, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(Made::Repeated(answer)),
            Begun::Fresh(writing) => *writing,
        };
        let opened = open(&mut writing, new).await?;
        let deed = Deed::of(actor, Action::PairingCreated, opened.pairing_id);
        self.writer.finish(writing, &deed, Some(&render(&opened))).await?;
        Ok(Made::Fresh(opened))
    }

    /// Changes or ends a pairing; none where there is no such one.
    pub async fn change(
        &self,
        actor: Actor,
        id: PairingId,
        change: PairingChange,
    ) -> Result<Option<ListedPairing>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some((listed, action)) = apply(&mut writing, id, change).await? else { return Ok(None) };
        if let Some(action) = action {
            self.writer.finish(writing, &Deed::of(actor, action, id), None).await?;
        }
        Ok(Some(listed))
    }

    /// Releases a device that is locked; none where there is no such pairing.
    pub async fn release(&self, actor: Actor, id: PairingId) -> Result<Option<ListedPairing>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(listed) = release(&mut writing, id).await? else { return Ok(None) };
        self.writer.finish(writing, &Deed::of(actor, Action::DeviceReleased, id), None).await?;
        Ok(Some(listed))
    }

    /// A page becomes a device. Whatever is wrong with the code, the refusal is the same.
    pub async fn register(&self, new: NewDevice, origin: Option<Origin>) -> Result<ListedPairing, ServiceError> {
        let name = name_mark(self.writer.keyring.fingerprints(), &new.code);
        // Most that guess do not get so far as to keep a writer waiting.
        if !self.writer.store.has_open_pairing(&name, self.writer.clock.now_ms()).await? {
            return Err(ServiceError::PairingRefused);
        }
        let mut writing = self.writer.begin_once().await?;
        let now_ms = writing.now_ms;
        let found = writing.tx.open_pairing(&name, now_ms).await?.ok_or(ServiceError::PairingRefused)?;
        let (id, organization) = (found.pairing.pairing_id, found.pairing.organization_id);
        let is_right = found
            .pairing
            .marks
            .is_some_and(|marks| is_code_of(self.writer.keyring.fingerprints(), id, &new.code, &marks.code));
        if !is_right {
            if writing.tx.count_guess(id).await? {
                tracing::warn!(%organization, pairing = %id, "a pairing is over: its code was guessed at too often");
            }
            writing.tx.commit_unlisted().await?;
            return Err(ServiceError::PairingRefused);
        }
        let owner = writing.tx.read_organization(organization).await?;
        let owner = owner.filter(|one| one.state() == LifeState::Active && may_have(one, found.pairing.scopes));
        if owner.is_none() {
            return Err(ServiceError::PairingRefused);
        }
        let paired = pair(&mut writing, found.pairing, &new).await?;
        let client = paired.device.as_ref().map_or(ClientId::nil(), |device| device.client);
        let actor = Actor { origin, ..Actor::new(organization, client) };
        let deed = Deed::of(actor, Action::DevicePaired, paired.pairing_id);
        self.writer.finish(writing, &deed, None).await?;
        Ok(ListedPairing { pairing: paired, organization_name: found.organization_name, last_used_at_ms: None })
    }
}

/// Makes a code, inside a write.
pub async fn open(writing: &mut Writing, new: NewPairing) -> Result<Opened, ServiceError> {
    let organization = writing.tx.read_organization(new.organization).await?;
    let unknown = || ServiceError::Conflict("there is no such organization".into());
    let organization = organization.ok_or_else(unknown)?;
    if organization.state() == LifeState::Ended {
        return Err(ServiceError::Conflict("the organization is ended, which is final".into()));
    }
    if organization.kind == OrganizationKind::Operator {
        return Err(ServiceError::ByCommandLine);
    }
    if !may_have(&organization, new.scopes) {
        let (kind, allowed) = (organization.kind.as_str(), organization.kind.scopes());
        let detail = format!("a client of an organization of the kind {kind} may have: {allowed}");
        return Err(ServiceError::wrong_member("/scopes", "scope_of_other_kind", detail));
    }
    keep(writing, new, writing.now_ms.plus(CODE_LIVES), false).await
}

/// Makes the code of a demo: good for any number of devices, until the next start of one.
pub async fn open_lasting(writing: &mut Writing, new: NewPairing) -> Result<Opened, ServiceError> {
    keep(writing, new, UnixMs::MAX, true).await
}

async fn keep(
    writing: &mut Writing,
    new: NewPairing,
    expires_at_ms: UnixMs,
    is_lasting: bool,
) -> Result<Opened, ServiceError> {
    let keyring = Arc::clone(&writing.keyring);
    let (keys, now_ms, pairing_id) = (keyring.fingerprints(), writing.now_ms, writing.new_id());
    for _ in 0..DRAWS_MAX {
        let code = new_code().map_err(|_| ServiceError::NotSigned)?;
        let name = name_mark(keys, &code);
        if writing.tx.open_pairing(&name, now_ms).await?.is_some() {
            continue;
        }
        let marks = Marks { name, code: code_mark(keys, pairing_id, &code) };
        let what = (new.scopes, new.site.clone());
        let pairing = Pairing::new(pairing_id, new.organization, what, marks, (now_ms, expires_at_ms));
        let pairing = Pairing { name: new.name.clone(), numbers: new.numbers, is_lasting, ..pairing };
        writing.tx.insert_pairing(&pairing).await?;
        return Ok(Opened { pairing_id, code, expires_at_ms });
    }
    Err(ServiceError::Conflict("too many codes are waiting to be used: try again in ten minutes".into()))
}

/// Changes or ends a pairing, and says what of it the audit log gets; none where there is no such one.
pub async fn apply(
    writing: &mut Writing,
    id: PairingId,
    change: PairingChange,
) -> Result<Option<(ListedPairing, Option<Action>)>, ServiceError> {
    let Some(mut listed) = writing.tx.read_pairing(id).await? else { return Ok(None) };
    let PairingChange { name, site, ends } = change;
    let pairing = &mut listed.pairing;
    if pairing.ended_at_ms.is_some() {
        return Err(ServiceError::Conflict("it is ended, which is final".into()));
    }
    let is_changed = name.is_some() || site.is_some();
    // What its page is called, the client is called.
    if let Some((name, device)) = name.as_ref().zip(pairing.device.as_ref())
        && let Some(mut found) = writing.tx.read_client(device.client).await?
    {
        found.client.name = Some(name.clone());
        writing.tx.update_client(&found.client).await?;
    }
    pairing.name = name.or(pairing.name.take());
    pairing.site = site.unwrap_or_else(|| pairing.site.clone());
    if !is_changed && !ends {
        return Ok(Some((listed, None)));
    }
    if ends {
        pairing.ended_at_ms = Some(writing.now_ms);
        writing.tx.use_up_code(id).await?;
        if let Some(device) = &pairing.device {
            writing.tx.disable_client(device.client, writing.now_ms).await?;
        }
    }
    writing.tx.update_pairing(pairing).await?;
    let action = if ends { Action::PairingEnded } else { Action::PairingUpdated };
    Ok(Some((listed, Some(action))))
}

/// Releases a device that is locked, inside a write; none where there is no such pairing.
pub async fn release(writing: &mut Writing, id: PairingId) -> Result<Option<ListedPairing>, ServiceError> {
    let Some(mut listed) = writing.tx.read_pairing(id).await? else { return Ok(None) };
    if listed.pairing.state(writing.now_ms) != PairingState::Locked {
        return Err(ServiceError::Conflict("the device is not locked".into()));
    }
    listed.pairing.locked_at_ms = None;
    writing.tx.update_pairing(&listed.pairing).await?;
    Ok(Some(listed))
}

/// Makes the client that a page is from now on. A lasting code is left as it is, and has a pairing of its own for each device.
async fn pair(writing: &mut Writing, of: Pairing, new: &NewDevice) -> Result<Pairing, ServiceError> {
    let (now_ms, client_id) = (writing.now_ms, writing.new_id());
    let pairing_id = if of.is_lasting { writing.new_id() } else { of.pairing_id };
    let pin_key = seal_pin_key(writing.keyring.sealer(), pairing_id, &new.pin_key)?;
    let device = Device { client: client_id, paired_at_ms: now_ms, pin_key };
    let client = Client {
        name: of.name.clone(),
        bound: Bound::Dpop,
        numbers: StoredNumbers { guests: of.numbers.or(Guests::of_a_device()), ..StoredNumbers::default() },
        ..Client::new(client_id, of.organization_id, of.scopes, now_ms)
    };
    writing.tx.insert_client(&client).await?;
    let credential = writing.new_id();
    writing.tx.add_proof(client_id, credential, &Proof::Key(new.key.clone()), now_ms).await?;
    let is_lasting = of.is_lasting;
    let paired = Pairing { pairing_id, marks: None, is_lasting: false, device: Some(device.clone()), ..of };
    if is_lasting {
        let paired = Pairing { created_at_ms: now_ms, expires_at_ms: now_ms, ..paired };
        writing.tx.insert_pairing(&paired).await?;
        return Ok(paired);
    }
    writing.tx.pair_device(pairing_id, &device).await?;
    Ok(paired)
}

fn may_have(organization: &Organization, scopes: Scopes) -> bool {
    organization.kind.forbidden(scopes).is_empty()
}
