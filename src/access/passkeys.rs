//! Persons of the operator who sign in by a passkey, where no provider knows them: a browser is asked, and its answer gives a token of
//! the client by which they act, with their name and their role. What is wrong with an answer is told nobody.

use serde_json::Value;

use super::binding::Binding;
use super::issuing::NewToken;
use super::provider::PasskeyOptions;
use super::tokens::TokenClaims;
use super::{Access, PasskeyError};
use crate::crypto::passkey::{Assertion, CEREMONY_LIVES};
use crate::crypto::random;
use crate::domain::client::{Scope, Scopes};
use crate::domain::ids::CeremonyId;
use crate::domain::redacted::TokenText;
use crate::limits::{Asker, Work};
use crate::store::StoreError;
use crate::store::passkeys::{Ceremony, KeyHolder, SIGN_INS_MAX};

/// No token of a person lives longer, in seconds: it is renewed by the passkey alone.
const LIFETIME_S_MAX: i64 = 15 * 60;

/// Somebody who has signed in.
#[derive(Debug)]
pub struct SignedIn {
    pub access_token: TokenText,
    pub expires_in_s: i64,
    pub holder: KeyHolder,
}

impl Access {
    /// How persons sign in by passkeys; none: they do not.
    pub fn passkeys(&self) -> Option<&PasskeyOptions> {
        self.options.passkeys.as_ref()
    }

    /// What a browser is asked for by which somebody signs in.
    pub async fn ask_passkey(&self, of: &PasskeyOptions) -> Result<(CeremonyId, Value), PasskeyError> {
        let asked = of.party.ask_who().map_err(|_| PasskeyError::Refused)?;
        let now_ms = self.clock.now_ms();
        let ceremony = random::id(now_ms);
        let expires_at_ms = now_ms.plus(CEREMONY_LIVES);
        let kept = Ceremony { invitation: None, state: asked.state, expires_at_ms };
        self.store.begin_ceremony(ceremony, &kept, SIGN_INS_MAX, now_ms).await?;
        Ok((ceremony, asked.options))
    }

    /// A token for who has answered by their passkey.
    pub async fn sign_in_by_passkey(
        &self,
        of: &PasskeyOptions,
        ceremony: CeremonyId,
        answer: &Value,
        asker: Asker,
    ) -> Result<SignedIn, PasskeyError> {
        let refused = || PasskeyError::Refused;
        let taken = self.store.take_ceremony(ceremony, self.clock.now_ms()).await?;
        // One of a registration is none of a sign-in.
        let taken = taken.filter(|ceremony| ceremony.invitation.is_none()).ok_or_else(refused)?;
        let assertion = Assertion::read(answer).ok_or_else(refused)?;
        let passkey = self.store.find_passkey(&assertion.credential_id()).await?.ok_or_else(refused)?;
        let (party, stored) = (of.party.clone(), passkey.clone());
        let verify = move || {
            let states = (stored.static_state.as_slice(), stored.dynamic_state.as_slice());
            party.verify(&taken.state, &assertion, stored.holder.id, states)
        };
        let counter = self.options.workshop.run(Work::Short, asker, verify).await?.map_err(|_| refused())?;
        if !self.store.use_passkey(&passkey, &counter, self.clock.now_ms()).await? {
            return Err(refused());
        }
        let client = self.directory.find(of.client).await?.ok_or_else(refused)?;
        if !client.scopes.contains(Scope::Admin) {
            return Err(refused());
        }
        let holder = passkey.holder;
        let lifetime_s = self.options.token_lifetime_s.min(LIFETIME_S_MAX);
        let new = NewToken {
            issuer: &self.options.issuer,
            client_id: client.client_id,
            organization: client.organization_id,
            scopes: std::iter::once(Scope::Admin).collect::<Scopes>(),
            now_s: self.clock.now_s(),
            lifetime_s,
            token_id: random::id(self.clock.now_ms()),
            binding: Binding::default(),
            person: Some(holder.name),
            role: Some((holder.id, holder.role)),
        };
        self.metrics.tokens_issued.inc();
        let access_token = new.sign(&self.keyring.signing().token);
        Ok(SignedIn { access_token, expires_in_s: lifetime_s, holder })
    }

    /// Whether a person for whom this service itself vouches still has a passkey; of all others that is no matter here.
    pub(super) async fn is_still_a_person(&self, claims: &TokenClaims) -> Result<bool, StoreError> {
        let (Some((person, _)), true) = (claims.role, claims.group.is_none()) else { return Ok(true) };
        let is_by_client = self.options.passkeys.as_ref().is_some_and(|of| of.client == claims.client_id);
        Ok(is_by_client && self.store.has_passkey(person).await?)
    }
}
