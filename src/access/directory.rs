//! The clients this node knows: read from the store when first met, dropped when the feed says that they changed. Their limits'
//! cells stay. Invariant: what was read before a change is not kept after it, so a disabled client is out within the
//! registry's lease.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use quick_cache::sync::Cache;

use super::devices::DeviceEntry;
use crate::clock::Clock;
use crate::domain::authority::{LifeState, Offices};
use crate::domain::client::{Actor, Bound, OrganizationKind, Rate, RegionCode, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::domain::report::OfficeCode;
use crate::limits::cluster::{Cluster, ClusterCell};
use crate::limits::cluster_numbers::ClusterNumbers;
use crate::limits::numbers::{Declaration, Numbers};
use crate::limits::{CallerLimits, ClientNumbers, Limit, LimitName};
use crate::store::clients::{Credential, Proof, StoredNumbers};
use crate::store::{Store, StoreError};

/// A client as requests see it.
#[derive(Debug)]
pub struct ClientEntry {
    pub client_id: ClientId,
    pub organization_id: OrganizationId,
    pub organization_kind: OrganizationKind,
    /// What its organization's kind may have of what it was given.
    pub scopes: Scopes,
    /// The rest, of before there was a rule.
    pub forbidden: Scopes,
    pub region: RegionCode,
    pub offices: Offices,
    pub bound: Bound,
    /// Tokens that were issued until then are good for nothing.
    pub tokens_revoked_at_ms: Option<UnixMs>,
    pub credentials: Vec<Credential>,
    /// None where it is no device.
    pub device: Option<DeviceEntry>,
    pub limits: Arc<CallerLimits>,
    pub numbers: Arc<ClientNumbers>,
}

impl ClientEntry {
    /// Whether it may act for an office.
    pub fn acts_for(&self, office: &OfficeCode) -> bool {
        self.offices.include(&self.region, office)
    }

    /// What proves this client at an instant.
    pub fn proofs(&self, now_ms: UnixMs) -> impl Iterator<Item = &Proof> {
        let is_good = move |credential: &&Credential| credential.ends_at_ms.is_none_or(|ends| now_ms < ends);
        self.credentials.iter().filter(is_good).map(|credential| &credential.proof)
    }
}

/// Limits of those for whom no own limit is set.
#[derive(Debug, Clone, Copy)]
pub struct DefaultRates {
    pub client: Rate,
    pub organization: Rate,
    pub guests: Guests,
}

/// Clients and organizations remembered at a time.
const ENTRIES_MAX: usize = 100_000;

/// All clients this node has met.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    clock: Clock,
    defaults: DefaultRates,
    /// What all nodes count together; None without Redis.
    cluster: Option<Arc<Cluster>>,
    live_nodes: Arc<AtomicUsize>,
    numbers: Arc<Numbers>,
    clients: Cache<ClientId, Arc<ClientEntry>>,
    /// Apart from the entries: what a client has spent stays spent, whatever becomes of its secrets.
    client_limits: Cache<ClientId, Arc<CallerLimits>>,
    client_numbers: Cache<ClientId, Arc<ClientNumbers>>,
    organization_limits: Cache<OrganizationId, Arc<Limit>>,
    /// Grows with every change, so that a read which began before one is not kept.
    changes: AtomicU64,
}

impl Directory {
    pub fn new(
        store: Store,
        clock: Clock,
        defaults: DefaultRates,
        cluster: Option<Arc<Cluster>>,
        live_nodes: Arc<AtomicUsize>,
        numbers: Arc<Numbers>,
    ) -> Self {
        Self {
            store,
            clock,
            defaults,
            cluster,
            live_nodes,
            numbers,
            clients: Cache::new(ENTRIES_MAX),
            client_limits: Cache::new(ENTRIES_MAX),
            client_numbers: Cache::new(ENTRIES_MAX),
            organization_limits: Cache::new(ENTRIES_MAX),
            changes: AtomicU64::new(0),
        }
    }

    /// A client that exists and is neither suspended nor ended, nor is its organization.
    pub async fn find(&self, client_id: ClientId) -> Result<Option<Arc<ClientEntry>>, StoreError> {
        if let Some(entry) = self.clients.get(&client_id) {
            return Ok(Some(entry));
        }
        let before = self.changes.load(Ordering::Acquire);
        let Some(entry) = self.read(client_id).await? else { return Ok(None) };
        let entry = Arc::new(entry);
        self.clients.insert(client_id, Arc::clone(&entry));
        if self.changes.load(Ordering::Acquire) != before {
            // It may have been read before the change: good for this once, not to be kept.
            self.forget_client(client_id);
        }
        Ok(Some(entry))
    }

    async fn read(&self, client_id: ClientId) -> Result<Option<ClientEntry>, StoreError> {
        let Some(client) = self.store.find_client(client_id).await? else { return Ok(None) };
        if client.state() != LifeState::Active {
            return Ok(None);
        }
        let organization = self.store.find_organization(client.organization_id).await?;
        let organization = organization.ok_or(StoreError::Corrupt("clients.organization_id"))?;
        if organization.state() != LifeState::Active {
            return Ok(None);
        }
        let credentials = self.store.list_credentials(client_id).await?;
        let device = self.store.find_device(client_id).await?;
        let device = device.and_then(|pairing| DeviceEntry::of(pairing, &credentials));
        let rate = client.rate.unwrap_or(self.defaults.client);
        let organization_rate = organization.rate.unwrap_or(self.defaults.organization);
        let limits = self.limits((client_id, rate), (organization.organization_id, organization_rate));
        let actor = Actor::new(organization.organization_id, client_id);
        let numbers = self.numbers_of(actor, rate, &client.numbers, device.is_some());
        Ok(Some(ClientEntry {
            client_id,
            organization_id: organization.organization_id,
            organization_kind: organization.kind,
            scopes: client.scopes.and(organization.kind.scopes()),
            forbidden: organization.kind.forbidden(client.scopes),
            region: organization.region,
            offices: organization.offices,
            bound: client.bound,
            tokens_revoked_at_ms: client.tokens_revoked_at_ms,
            credentials,
            device,
            limits,
            numbers,
        }))
    }

    /// The limits of a client, which outlive what is known of it.
    fn limits(&self, client: (ClientId, Rate), organization: (OrganizationId, Rate)) -> Arc<CallerLimits> {
        let shared = self.organization_limit(organization);
        let make =
            |cluster: &Arc<Cluster>| ClusterCell::new(Arc::clone(cluster), self.clock.clone(), client, organization);
        let cluster = self.cluster.as_ref().map(make);
        let fresh = || {
            let fresh = CallerLimits::new(client.1, Arc::clone(&shared), &self.clock, Arc::clone(&self.live_nodes));
            Arc::new(match &cluster {
                Some(cluster) => fresh.shared_by(Arc::clone(cluster)),
                None => fresh,
            })
        };
        let known = kept(&self.client_limits, &client.0, fresh);
        let limits = Arc::clone(&known).again(client.1, shared, cluster);
        if !Arc::ptr_eq(&known, &limits) {
            self.client_limits.insert(client.0, Arc::clone(&limits));
        }
        limits
    }

    /// The numbers of a client, which outlive what is known of it, too.
    fn numbers_of(&self, client: Actor, rate: Rate, stored: &StoredNumbers, is_device: bool) -> Arc<ClientNumbers> {
        let released_at_ms = stored.released_at_ms;
        let make = |cluster: &Arc<Cluster>| {
            ClusterNumbers::new(Arc::clone(cluster), self.clock.clone(), client, released_at_ms)
        };
        let declared = Declaration {
            guests: stored.guests.unwrap_or(self.defaults.guests),
            digests: stored.digests,
            is_device,
            rate,
            is_held: stored.held.is_some(),
            released_at_ms,
            cluster: self.cluster.as_ref().map(make),
        };
        let fresh = || Arc::new(ClientNumbers::new(Arc::clone(&self.numbers), client, declared.clone()));
        let known = kept(&self.client_numbers, &client.client, fresh);
        let numbers = Arc::new(known.again(declared));
        self.client_numbers.insert(client.client, Arc::clone(&numbers));
        numbers
    }

    fn organization_limit(&self, (organization, rate): (OrganizationId, Rate)) -> Arc<Limit> {
        let fresh = || Arc::new(Limit::new(LimitName::Organization, rate, self.clock.clone()));
        let known = kept(&self.organization_limits, &organization, fresh);
        let limit = Arc::clone(&known).again(rate);
        if !Arc::ptr_eq(&known, &limit) {
            self.organization_limits.insert(organization, Arc::clone(&limit));
        }
        limit
    }

    /// The feed says that a client changed.
    pub fn forget_client(&self, client_id: ClientId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.clients.remove(&client_id);
    }

    /// The feed says that an organization changed: its clients are read again.
    pub fn forget_organization(&self, organization: OrganizationId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.clients.retain(|_, entry| entry.organization_id != organization);
    }

    /// Anything may have changed.
    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.clients.clear();
    }
}

/// What is kept of an id, made where nothing is: two that ask at once get the same.
fn kept<K: Eq + Hash + Clone, T>(all: &Cache<K, Arc<T>>, id: &K, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
    let kept: Result<_, Infallible> = all.get_or_insert_with(id, || Ok(make()));
    match kept {
        Ok(kept) => kept,
    }
}
