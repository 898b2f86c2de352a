//! Passkeys of persons of the operator, where no provider knows them: who is invited at the command line makes one in a browser, and
//! signs in by it (`access::passkeys`). Who has which role is said at the command line alone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ServiceError;
use super::writing::{Writer, Writing};
use crate::crypto::passkey::{CEREMONY_LIVES, RelyingParty, code_mark, new_code};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::{Actor, Origin};
use crate::domain::ids::{CeremonyId, ClientId, PersonId};
use crate::domain::instant::UnixMs;
use crate::domain::redacted::SecretText;
use crate::store::passkeys::{Ceremony, Invitation, KeyHolder, Passkey, SIGN_INS_MAX};

/// How long a link is good.
pub const INVITATION_LIVES: Duration = Duration::from_hours(1);

/// A link that was made: its code is shown this once and kept nowhere.
#[derive(Debug)]
pub struct Invited {
    pub holder: KeyHolder,
    pub code: SecretText,
    pub expires_at_ms: UnixMs,
}

/// Whose browser is asked for a passkey, and what.
#[derive(Debug)]
pub struct AskedFor {
    pub ceremony: CeremonyId,
    pub options: Value,
}

/// What browsers of persons do with links.
#[derive(Debug)]
pub struct Passkeys {
    writer: Arc<Writer>,
    party: RelyingParty,
    /// By which these persons act.
    client: ClientId,
}

impl Passkeys {
    pub fn new(writer: Arc<Writer>, party: RelyingParty, client: ClientId) -> Self {
        Self { writer, party, client }
    }

    /// What the browser of somebody with a code is asked for. Whatever is wrong with the code, the refusal is the same.
    pub async fn ask(&self, code: &SecretText) -> Result<AskedFor, ServiceError> {
        let now_ms = self.writer.clock.now_ms();
        let mark = code_mark(self.writer.keyring.fingerprints(), code).ok_or(ServiceError::PasskeyRefused)?;
        let invited = self.writer.store.find_invitation(&mark, now_ms).await?.ok_or(ServiceError::PasskeyRefused)?;
        let holder = invited.holder;
        let known = self.writer.store.list_passkeys(Some(holder.id)).await?;
        let known = known.into_iter().map(|passkey| passkey.credential_id).collect();
        let asked = self.party.ask_for_new(holder.id, holder.name.as_str(), known);
        let asked = asked.map_err(|_| ServiceError::WrongConstant("the options of passkeys"))?;
        let ceremony = crate::crypto::random::id(now_ms);
        let expires_at_ms = now_ms.plus(CEREMONY_LIVES).min(invited.expires_at_ms);
        let new = Ceremony { invitation: Some(mark), state: asked.state, expires_at_ms };
        self.writer.store.begin_ceremony(ceremony, &new, SIGN_INS_MAX, now_ms).await?;
        Ok(AskedFor { ceremony, options: asked.options })
    }

    /// Keeps the passkey that a browser has made. The link is used up by it; an answer that does not hold leaves it as it is.
    pub async fn register(
        &self,
        ceremony: CeremonyId,
        answer: &Value,
        origin: Option<Origin>,
    ) -> Result<KeyHolder, ServiceError> {
        let refused = || ServiceError::PasskeyRefused;
        let taken = self.writer.store.take_ceremony(ceremony, self.writer.clock.now_ms()).await?;
        let (state, mark) = taken.and_then(|of| Some((of.state, of.invitation?))).ok_or_else(refused)?;
        // Nearly always without a signature, and only for who has a code: it needs no turn in the workshop.
        let made = self.party.register(&state, answer).map_err(|_| refused())?;
        let mut writing = self.writer.begin_once().await?;
        let holder = writing.tx.take_invitation(&mark, writing.now_ms).await?.ok_or_else(refused)?;
        let client = writing.tx.read_client(self.client).await?.ok_or_else(refused)?;
        let new = Passkey {
            credential_id: made.credential_id,
            holder,
            static_state: made.static_state,
            dynamic_state: made.dynamic_state,
            made_at_ms: writing.now_ms,
            used_at_ms: None,
        };
        if !writing.tx.insert_passkey(&new).await? {
            return Err(refused());
        }
        let of_client = Actor::new(client.client.organization_id, self.client);
        let actor = Actor { origin, person: Some(holder.name), person_id: Some(holder.id), ..of_client };
        self.writer.finish(writing, &Deed::of(actor, Action::PasskeyRegistered, holder.id), None).await?;
        Ok(holder)
    }
}

/// Makes a link, inside a write.
pub async fn invite(writing: &mut Writing, holder: KeyHolder) -> Result<Invited, ServiceError> {
    let code = new_code().map_err(|_| ServiceError::NotSigned)?;
    let code_mark = code_mark(writing.keyring.fingerprints(), &code).ok_or(ServiceError::NotSigned)?;
    let expires_at_ms = writing.now_ms.plus(INVITATION_LIVES);
    writing.tx.insert_invitation(&Invitation { code_mark, holder, expires_at_ms }, writing.now_ms).await?;
    Ok(Invited { holder, code, expires_at_ms })
}

/// Who gets another passkey, inside a write; none where nobody has that id.
pub async fn holder_of(writing: &mut Writing, person: PersonId) -> Result<Option<KeyHolder>, ServiceError> {
    Ok(writing.tx.find_key_holder(person, writing.now_ms).await?)
}

/// Removes what a person signs in by, inside a write: tokens end as soon as the nodes learn it. False where there is nothing.
pub async fn end(writing: &mut Writing, person: PersonId, client: ClientId) -> Result<bool, ServiceError> {
    Ok(writing.tx.end_key_holder(person, client).await?)
}
