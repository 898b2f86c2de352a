//! Who is calling: tokens issued and verified, clients and their credentials, revocation.
//! Invariants: a signature is verified once per token and node, and remembered until the token expires; who the token is is looked up
//! again when a client changes or a token is revoked; what failed is not remembered. Secrets and tokens never reach a log. Knows nothing of HTTP.

pub mod binding;
pub mod certificates;
pub mod client_auth;
pub mod devices;
pub mod directory;
pub mod dpop;
mod error;
mod following;
pub mod holder;
mod holding;
pub mod holds;
mod issuing;
pub mod jwks;
mod numeric_date;
mod outside;
mod outside_claims;
pub mod passkeys;
mod persons;
pub mod provider;
mod seeking;
pub mod seen;
mod token_claims;
pub mod tokens;
mod unlocking;
mod used;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::crypto::{Keyring, random};
use crate::domain::client::{Actor, Scopes};
use crate::domain::ids::{ClientId, OrganizationId, PersonId};
use crate::domain::instant::UnixMs;
use crate::domain::person::{Role, ShortName};
use crate::domain::redacted::TokenText;
use crate::limits::cluster::Cluster;
use crate::limits::{Asker, Crowded, Numbers, Work, Workshop};
use crate::store::clients::Organization;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use binding::Binding;
use client_auth::{AssertionFault, Credentials, is_certificate_of, is_secret_of};
use directory::{ClientEntry, DefaultRates, Directory};
use holder::Holder;
use issuing::NewToken;
use jwks::{IssuerKeys, OutsideIssuer};
use outside::OutsideKeys;
use provider::{PasskeyOptions, SignIn, SignInOptions};
use seen::SeenClients;
use tokens::{LEEWAY_S, TokenClaims, TokenError};
use used::UsedProofs;

pub use error::{AccessError, GrantError, HolderError, PasskeyError};

/// Bounds and names of access.
#[derive(Debug, Clone)]
pub struct AccessOptions {
    /// `iss` and `aud` of this service's tokens.
    pub issuer: String,
    pub token_lifetime_s: i64,
    pub rates: DefaultRates,
    /// Where limits are counted for all nodes; None: each for itself.
    pub cluster: Option<Arc<Cluster>>,
    /// How many nodes share a rate where they do not count together.
    pub live_nodes: Arc<AtomicUsize>,
    pub numbers: Arc<Numbers>,
    /// Where signatures are verified.
    pub workshop: Arc<Workshop>,
    /// Only tokens that are bound to their holder are issued and taken.
    pub require_bound: bool,
    /// Proofs need a nonce of this service.
    pub dpop_nonce: bool,
    /// Verified tokens remembered at a time.
    pub tokens_max: usize,
    /// How the console lets persons sign in; none: by a client's secret alone.
    pub sign_in: Option<SignInOptions>,
    /// How persons sign in by passkeys; none: they do not.
    pub passkeys: Option<PasskeyOptions>,
}

/// An authenticated client.
#[derive(Debug, Clone)]
pub struct Principal {
    pub client: Arc<ClientEntry>,
    pub scopes: Scopes,
    pub binding: Binding,
    /// Who is behind the client, where the token says so.
    pub person: Option<ShortName>,
    /// Who that is and what is theirs, where it is a person of the operator.
    pub role: Option<(PersonId, Role)>,
}

impl Principal {
    /// Who calls, by its ids alone.
    pub fn actor(&self) -> Actor {
        let (person, person_id) = (self.person, self.role.map(|(id, _)| id));
        Actor { person, person_id, ..Actor::new(self.client.organization_id, self.client.client_id) }
    }
}

/// A token whose signature holds, and who it was at a generation of what is known of clients.
#[derive(Debug)]
struct VerifiedToken {
    claims: TokenClaims,
    principal: Principal,
    generation: u64,
}

/// Longer than any token lives: what was revoked before has expired by itself.
const REVOKED_MAX: Duration = Duration::from_hours(25);

/// An issued token.
#[derive(Debug)]
pub struct IssuedToken {
    pub access_token: TokenText,
    pub scopes: Scopes,
    pub binding: Binding,
    pub expires_in_s: i64,
}

/// Everything that decides who is calling.
#[derive(Debug)]
pub struct Access {
    options: AccessOptions,
    clock: Clock,
    store: Store,
    keyring: Arc<Keyring>,
    directory: Directory,
    metrics: Arc<Metrics>,
    seen: Arc<SeenClients>,
    outside: Vec<Arc<OutsideKeys>>,
    /// Proofs that were used at this node.
    used: UsedProofs,
    sign_in: Option<SignIn>,
    issuers: ArcSwap<Vec<IssuerKeys>>,
    verified: Cache<Box<str>, Arc<VerifiedToken>>,
    revoked: ArcSwap<HashSet<[u8; 32]>>,
    /// Grows whenever clients may have changed: who a token is has to be looked up again, its signature still holds.
    generation: AtomicU64,
    /// When the key folder was last read for a token's sake, in seconds.
    keys_sought_s: AtomicI64,
}

impl Access {
    pub fn new(
        options: AccessOptions,
        outside: &[OutsideIssuer],
        clock: Clock,
        store: Store,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let access = Self {
            directory: Directory::new(
                store.clone(),
                clock.clone(),
                options.rates,
                options.cluster.clone(),
                Arc::clone(&options.live_nodes),
                Arc::clone(&options.numbers),
            ),
            verified: Cache::new(options.tokens_max),
            issuers: ArcSwap::from_pointee(Vec::new()),
            revoked: ArcSwap::from_pointee(HashSet::new()),
            generation: AtomicU64::new(0),
            keys_sought_s: AtomicI64::new(0),
            sign_in: options.sign_in.clone().map(SignIn::new),
            options,
            clock,
            store,
            keyring,
            metrics,
            seen: Arc::default(),
            outside: outside.iter().cloned().map(|one| Arc::new(OutsideKeys::unknown(one))).collect(),
            used: UsedProofs::default(),
        };
        access.reload_keys();
        access
    }

    /// What clients' numbers have in common.
    pub fn numbers(&self) -> &Arc<Numbers> {
        &self.options.numbers
    }

    /// How much clients are seen at this node.
    pub fn seen(&self) -> &Arc<SeenClients> {
        &self.seen
    }

    /// How the console lets persons sign in.
    pub fn sign_in(&self) -> Option<&SignIn> {
        self.sign_in.as_ref()
    }

    /// The `iss` of tokens and receipts.
    pub fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// The caller of a token that this node has verified before: no signature, no I/O.
    pub fn recall(&self, token: &str, now_s: i64) -> Option<Principal> {
        let known = self.known(token, now_s)?;
        let is_current = known.generation == self.generation.load(Ordering::Acquire);
        is_current.then(|| known.principal.clone())
    }

    /// Whose a token is that was verified before, whatever has changed since.
    pub fn known_client(&self, token: &str) -> Option<ClientId> {
        self.known(token, self.clock.now_s()).map(|known| known.principal.actor().client)
    }

    fn known(&self, token: &str, now_s: i64) -> Option<Arc<VerifiedToken>> {
        let known = self.verified.get(token)?;
        if now_s < known.claims.expires_s + LEEWAY_S {
            return Some(known);
        }
        self.verified.remove(token);
        None
    }

    /// The caller of a token whose signature was verified before, looked up again: clients have changed since. None: it has to be
    /// verified.
    pub async fn renew(&self, token: &str) -> Result<Option<Principal>, AccessError> {
        let known =
            self.known(token, self.clock.now_s()).filter(|known| known.claims.key.is_among(&self.issuers.load()));
        let Some(known) = known else { return Ok(None) };
        let renewed = self.admit(token, known.claims.clone()).await;
        if matches!(renewed, Err(AccessError::Token(_))) {
            // It is good for nothing any more: from now on it costs its address, as any other that fails.
            self.verified.remove(token);
        }
        renewed.map(Some)
    }

    /// Verifies a token that is not remembered, and remembers it. The signature costs its asker a turn in the workshop.
    pub async fn verify(&self, token: &str, asker: Asker) -> Result<Principal, AccessError> {
        let seen = self.seen_keys();
        let claims = match self.read_token(token, asker).await? {
            Err(TokenError::UnknownKey) if self.seek_keys_of(token, asker, seen).await => {
                self.read_token(token, asker).await??
            }
            verified => verified?,
        };
        self.metrics.tokens_verified.inc();
        self.admit(token, claims).await
    }

    /// Who a token is now, remembered until clients change.
    async fn admit(&self, token: &str, claims: TokenClaims) -> Result<Principal, AccessError> {
        let generation = self.generation.load(Ordering::Acquire);
        if self.revoked.load().contains(&claims.fingerprint) {
            return Err(TokenError::Revoked.into());
        }
        let client = self.directory.find(claims.client_id).await?.ok_or(TokenError::Revoked)?;
        if !claims.organizations.contain(client.organization_id) {
            return Err(TokenError::Invalid.into());
        }
        if !self.is_still_a_person(&claims).await? {
            return Err(TokenError::Revoked.into());
        }
        if client.tokens_revoked_at_ms.is_some_and(|until| claims.issued_s <= until.seconds()) {
            return Err(TokenError::Revoked.into());
        }
        self.expect_let_in(&claims).await?;
        self.seen.note_met(&claims, self.clock.now_ms());
        // What a token grants never exceeds what its client still has.
        let scopes = claims.scopes.iter().filter(|scope| client.scopes.contains(*scope)).collect();
        let principal = Principal { client, scopes, binding: claims.binding, person: claims.person, role: claims.role };
        // Where something changed meanwhile, it is good for this once.
        let known = VerifiedToken { claims, principal: principal.clone(), generation };
        self.verified.insert(token.into(), Arc::new(known));
        Ok(principal)
    }

    async fn read_token(&self, token: &str, asker: Asker) -> Result<Result<TokenClaims, TokenError>, Crowded> {
        let (token, issuers, now_s) = (TokenText::from(token.to_owned()), self.issuers.load_full(), self.clock.now_s());
        let read = move || tokens::verify(token.expose(), &issuers, now_s);
        self.options.workshop.run(Work::Short, asker, read).await
    }

    /// An organization as it is stored.
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.store.find_organization(id).await
    }

    /// The client credentials grant (RFC 6749, 4.4).
    pub async fn grant(
        &self,
        credentials: &Credentials,
        scope: Option<&str>,
        holder: Holder<'_>,
        asker: Asker,
    ) -> Result<IssuedToken, GrantError> {
        let client = self.directory.find(credentials.client_id()).await?.ok_or(GrantError::InvalidClient)?;
        let now_s = self.clock.now_s();
        let mut person = None;
        match credentials {
            // Whatever else it is given: a device without its PIN is nobody.
            Credentials::Secret { .. } | Credentials::Certificate { .. } if client.device.is_some() => {
                return Err(GrantError::InvalidClient);
            }
            Credentials::Secret { secret, .. } if is_secret_of(&client, secret, self.clock.now_ms()) => {}
            Credentials::Secret { .. } => return Err(GrantError::InvalidClient),
            Credentials::Assertion(assertion) => {
                let (of_work, of_client) = (assertion.clone(), Arc::clone(&client));
                let issuer = self.options.issuer.clone();
                let verify = move || of_work.verify(&of_client, &issuer, now_s);
                let proven = self.options.workshop.run(Work::Short, asker, verify).await?;
                let proven = proven.map_err(GrantError::Assertion)?;
                let expires_at_ms = UnixMs::from_seconds(proven.expires_s);
                if !self.is_first_use(&proven.fingerprint, expires_at_ms).await? {
                    return Err(GrantError::Assertion(AssertionFault::Used));
                }
                if let Some(device) = &client.device {
                    person = Some(self.unlock(&client, device, &assertion.unlocking()).await?);
                }
            }
            Credentials::Certificate { .. } => {
                let shown = holder.certificate.ok_or(GrantError::NoCertificate)?;
                if is_certificate_of(&client, shown, self.clock.now_ms()) != Some(true) {
                    return Err(GrantError::NoCertificate);
                }
            }
        }
        let scopes = Self::granted(&client, scope)?;
        let binding = self.bind(&client, credentials, holder).await?;
        let token = NewToken {
            issuer: &self.options.issuer,
            client_id: client.client_id,
            organization: client.organization_id,
            scopes,
            now_s,
            lifetime_s: self.options.token_lifetime_s,
            token_id: random::id(self.clock.now_ms()),
            binding,
            person,
            role: None,
        };
        self.metrics.tokens_issued.inc();
        let access_token = token.sign(&self.keyring.signing().token);
        Ok(IssuedToken { access_token, scopes, binding, expires_in_s: self.options.token_lifetime_s })
    }

    /// Forgets who every verified token is, and what is being looked up at this moment.
    fn forget_callers(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
