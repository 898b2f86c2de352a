//! Whether who asks is the holder: a token that is asked for is bound to the certificate or key that was shown with the request, and
//! a proof is verified, in that order: what costs nothing, then the signature, then whether it was used before.

use std::num::NonZeroU32;
use std::time::Duration;

use super::binding::Binding;
use super::client_auth::{Credentials, is_certificate_of};
use super::directory::ClientEntry;
use super::dpop::{self, DpopFault, DpopProof, Request};
use super::holder::Holder;
use super::{Access, GrantError, HolderError, Principal};
use crate::domain::client::{Actor, Bound, Scopes};
use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::limits::{Asker, Work};
use crate::store::StoreError;

/// What a proof costs beside its request.
const PROOF_COST: NonZeroU32 = NonZeroU32::MIN;

impl Access {
    /// The public URL, without a slash at its end.
    pub fn url(&self) -> &str {
        crate::domain::sandbox::Environment::url_of(&self.options.issuer)
    }

    /// The scopes of a token that asks for some; all that its client has where it names none.
    pub(super) fn granted(client: &ClientEntry, asked: Option<&str>) -> Result<Scopes, GrantError> {
        let scopes = match asked {
            None if !client.forbidden.is_empty() => return Err(GrantError::ForbiddenScope),
            None => return Ok(client.scopes),
            Some(list) => Scopes::parse(list).ok_or(GrantError::InvalidScope)?,
        };
        if !scopes.and(client.forbidden).is_empty() {
            return Err(GrantError::ForbiddenScope);
        }
        if scopes.is_subset(client.scopes) { Ok(scopes) } else { Err(GrantError::InvalidScope) }
    }

    /// Whether nobody needs to show anything beside the token. Every way to a caller asks this.
    pub fn is_anybodys(&self, principal: &Principal) -> bool {
        principal.binding.is_none() && !self.options.require_bound
    }

    /// Whether a token must be bound to its holder.
    pub fn requires_bound(&self) -> bool {
        self.options.require_bound
    }

    /// The nonce for proofs that are made now.
    pub fn dpop_nonce(&self) -> String {
        dpop::nonce(self.keyring.fingerprints(), self.clock.now_s())
    }

    /// Whether a proof fits its request: all that costs nothing.
    pub fn check_proof(&self, proof: &DpopProof, request: Request<'_>) -> Result<(), DpopFault> {
        let now_s = self.clock.now_s();
        proof.check(&Request { now_s, ..request })?;
        if self.options.dpop_nonce && !proof.has_nonce(self.keyring.fingerprints(), now_s) {
            return Err(DpopFault::Nonce);
        }
        Ok(())
    }

    /// Whether a proof that was checked holds, and was not used before. It costs its client only where it does, for anybody who has seen one
    /// can send it again; unless it `costs_first`, for somebody who has been wrong too often.
    pub async fn prove(&self, proof: &DpopProof, client: &ClientEntry, costs_first: bool) -> Result<(), HolderError> {
        let (fingerprint, until_s) = proof.use_of();
        if self.used.has(&fingerprint, self.clock.now_s()) {
            return Err(DpopFault::Used.into());
        }
        if costs_first {
            client.limits.spend(PROOF_COST).await?;
        } else {
            client.limits.look().await?;
        }
        let (of_work, asker) = (proof.clone(), Asker::Client(client.client_id));
        if !self.options.workshop.run(Work::Short, asker, move || of_work.is_signed()).await? {
            return Err(DpopFault::Signature.into());
        }
        let is_first =
            self.used.claim(&fingerprint, self.clock.now_s()) && self.is_first_proof(&fingerprint, until_s).await?;
        if !is_first {
            return Err(DpopFault::Used.into());
        }
        if !costs_first {
            client.limits.spend(PROOF_COST).await?;
        }
        Ok(())
    }

    /// Who a client is, by its ids; none where there is no such client, or the store does not say.
    pub async fn actor_of(&self, client: ClientId) -> Option<Actor> {
        let entry = self.directory.find(client).await.ok()??;
        Some(Actor::new(entry.organization_id, entry.client_id))
    }

    /// What a new token of a client is bound to.
    pub(super) async fn bind(
        &self,
        client: &ClientEntry,
        credentials: &Credentials,
        holder: Holder<'_>,
    ) -> Result<Binding, GrantError> {
        let by_certificate = matches!(credentials, Credentials::Certificate { .. });
        let certificate = if client.bound == Bound::Mtls || by_certificate {
            let shown = holder.certificate.ok_or(GrantError::NoCertificate)?;
            // A client of a secret or a key may have no certificate registered: then it is bound to the one that it shows.
            if is_certificate_of(client, shown, self.clock.now_ms()) == Some(false) {
                return Err(GrantError::NoCertificate);
            }
            Some(shown.thumbprint)
        } else {
            None
        };
        let key = match holder.proof {
            None if client.bound == Bound::Dpop => return Err(GrantError::Holder(DpopFault::Missing.into())),
            None => None,
            Some((proof, _)) if client.device.as_ref().is_some_and(|device| device.key != Some(proof.thumbprint())) => {
                return Err(GrantError::Holder(DpopFault::Holder.into()));
            }
            Some((proof, request)) => {
                self.check_proof(proof, request).map_err(HolderError::from)?;
                self.prove(proof, client, true).await?;
                Some(proof.thumbprint())
            }
        };
        let binding = Binding { certificate, key };
        if self.options.require_bound && binding.is_none() { Err(GrantError::Unbound) } else { Ok(binding) }
    }

    /// By Redis where there is one that answers, else by the store.
    async fn is_first_proof(&self, fingerprint: &[u8; 32], until_s: i64) -> Result<bool, StoreError> {
        let life = Duration::from_secs(until_s.saturating_sub(self.clock.now_s()).unsigned_abs());
        if let Some(cluster) = &self.options.cluster
            && let Some(is_first) = cluster.use_once(fingerprint, life).await
        {
            return Ok(is_first);
        }
        self.is_first_use(fingerprint, UnixMs::from_seconds(until_s)).await
    }

    /// Whether no node has seen what is good once before, until it expires. The store decides: what a node remembers, another does not.
    pub(super) async fn is_first_use(&self, fingerprint: &[u8; 32], expires_at_ms: UnixMs) -> Result<bool, StoreError> {
        let now_ms = self.clock.now_ms();
        let mut tx = self.store.begin().await?;
        let is_first = tx.use_assertion(fingerprint, expires_at_ms, now_ms).await?;
        tx.commit_unlisted().await?;
        Ok(is_first)
    }
}
