//! What a client proves itself by, its tokens, and the hold of its numbers.

use std::time::Duration;

use super::acts::{client_and_kind, expect_not_ended, expect_not_operator, listed};
use super::asked::{Act, Administration, Answered, Outcome};
use crate::crypto::client_secret::{hash_secret, new_secret};
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::WAITS_MAX;
use crate::domain::client::Actor;
use crate::domain::ids::{ClientId, CredentialId};
use crate::service::ServiceError;
use crate::service::writing::{Begun, Writing};
use crate::store::administration::ListedClient;
use crate::store::clients::{Credential, Proof};
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};

impl Administration {
    /// Makes a new secret; those before it end after some time. None where there is no such client.
    pub async fn rotate_secret(
        &self,
        actor: Actor,
        id: ClientId,
        keep: Duration,
        body: String,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Outcome) -> StoredAnswer,
    ) -> Result<Option<Answered>, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(Some(Answered::Repeated(answer))),
            Begun::Fresh(writing) => *writing,
        };
        if !may_be_proven(&mut writing, actor, id).await? {
            return Ok(None);
        }
        let act = Act::AllowSecret(id);
        if needs_second(&mut writing, actor, id).await? {
            let times = (writing.now_ms.minus(WAITS_MAX), writing.now_ms);
            if !writing.tx.use_secret_permit(id, actor, times).await? {
                return self.keep(writing, actor, &act, body).await.map(|waits| Some(Answered::Fresh(waits)));
            }
        }
        let secret = new_secret().map_err(|_| ServiceError::NotSigned)?;
        let ends_at_ms = writing.now_ms.plus(keep);
        writing.tx.end_secrets(id, ends_at_ms).await?;
        self.prove(&mut writing, id, &Proof::SecretHash(hash_secret(&secret))).await?;
        let outcome = Outcome::Client(Box::new(listed(&mut writing, id).await?), Some(secret));
        let answer = render(&outcome);
        self.writer.finish(writing, &Deed::of(actor, Action::ClientSecretRotated, id), Some(&answer)).await?;
        Ok(Some(Answered::Fresh(outcome)))
    }

    /// Lets a client in by proofs of its own. What it has already is not added again.
    pub async fn add_proofs(
        &self,
        actor: Actor,
        id: ClientId,
        (action, proofs): (Action, Vec<Proof>),
        body: String,
    ) -> Result<Option<Outcome>, ServiceError> {
        let known = self.writer.store.list_credentials(id).await?;
        let mut writing = self.writer.begin_once().await?;
        if !may_be_proven(&mut writing, actor, id).await? {
            return Ok(None);
        }
        let is_new = |proof: &Proof| !known.iter().any(|known| known.proof == *proof);
        let new: Vec<_> = proofs.into_iter().filter(is_new).collect();
        if !new.is_empty() && needs_second(&mut writing, actor, id).await? {
            return self.keep(writing, actor, &Act::AddProofs(id, action, new), body).await.map(Some);
        }
        for proof in &new {
            self.prove(&mut writing, id, proof).await?;
        }
        let client = listed(&mut writing, id).await?;
        if !new.is_empty() {
            self.writer.finish(writing, &Deed::of(actor, action, id), None).await?;
        }
        Ok(Some(Outcome::Client(Box::new(client), None)))
    }

    /// What a client proves itself by now, newest first; none where there is no such client.
    pub async fn credentials(&self, id: ClientId) -> Result<Option<Vec<Credential>>, ServiceError> {
        if self.writer.store.find_client(id).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.live_credentials(id).await?))
    }

    /// Ends one of them with all tokens that the client has, for nobody knows by which it got them; what is left. None where there is no such
    /// one.
    pub async fn end_credential(
        &self,
        actor: Actor,
        id: ClientId,
        credential: CredentialId,
    ) -> Result<Option<Vec<Credential>>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        if !may_be_proven(&mut writing, actor, id).await? || !writing.tx.remove_credential(id, credential).await? {
            return Ok(None);
        }
        let now_ms = writing.now_ms;
        writing.tx.revoke_tokens_of(id, now_ms).await?;
        self.writer.finish(writing, &Deed::of(actor, Action::ClientCredentialEnded, id), None).await?;
        Ok(Some(self.live_credentials(id).await?))
    }

    async fn live_credentials(&self, id: ClientId) -> Result<Vec<Credential>, ServiceError> {
        let mut all = self.writer.store.list_credentials(id).await?;
        let now_ms = self.writer.clock.now_ms();
        all.retain(|one| one.ends_at_ms.is_none_or(|ends_at_ms| now_ms < ends_at_ms));
        Ok(all)
    }

    /// Releases a client that is held: it has all its numbers again.
    pub async fn release(&self, actor: Actor, id: ClientId) -> Result<Option<ListedClient>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(before) = writing.tx.read_client(id).await? else { return Ok(None) };
        if before.client.numbers.held.is_none() {
            return Err(ServiceError::Conflict("the client is not held".into()));
        }
        let now_ms = writing.now_ms;
        writing.tx.release_client(id, now_ms).await?;
        let client = listed(&mut writing, id).await?;
        self.writer.finish(writing, &Deed::of(actor, Action::ClientReleased, id), None).await?;
        Ok(Some(client))
    }

    /// Revokes all tokens that a client has until now.
    pub async fn revoke_tokens(&self, actor: Actor, id: ClientId) -> Result<Option<ListedClient>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        if writing.tx.read_client(id).await?.is_none() {
            return Ok(None);
        }
        let now_ms = writing.now_ms;
        writing.tx.revoke_tokens_of(id, now_ms).await?;
        let client = listed(&mut writing, id).await?;
        self.writer.finish(writing, &Deed::of(actor, Action::ClientTokensRevoked, id), None).await?;
        Ok(Some(client))
    }

    async fn prove(&self, writing: &mut Writing, id: ClientId, proof: &Proof) -> Result<(), ServiceError> {
        let (credential, now_ms) = (writing.new_id(), writing.now_ms);
        Ok(writing.tx.add_proof(id, credential, proof, now_ms).await?)
    }
}

/// Whether one operator alone may not let somebody in as this client: who has `citizen` reads the records of persons.
async fn needs_second(writing: &mut Writing, actor: Actor, id: ClientId) -> Result<bool, ServiceError> {
    let client = listed(writing, id).await?.client;
    Ok(client.scopes.need_approval() && (id != actor.client || actor.person_id.is_some()))
}

/// Whether there is such a client. An operator's client changes what it proves itself by, and no other operator's; a person, who acts by
/// such a client, never does: the client has no role and no name.
async fn may_be_proven(writing: &mut Writing, actor: Actor, id: ClientId) -> Result<bool, ServiceError> {
    let Some((listed, kind)) = client_and_kind(writing, id).await? else { return Ok(false) };
    expect_not_ended(listed.client.state())?;
    if id != actor.client || actor.person_id.is_some() {
        expect_not_operator(kind)?;
    }
    Ok(true)
}
