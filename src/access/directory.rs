//! The clients this node knows: read from the store when first met, kept with their limits' cells, dropped when the feed says
//! that they changed. Invariant: what was read before a change is not kept after it, so a disabled client is out within the
//! registry's lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::domain::client::{OrganizationKind, Rate, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::limits::cluster::{Cluster, ClusterCell};
use crate::limits::{CallerLimits, Limit, LimitName};
use crate::store::clients::Proof;
use crate::store::{Store, StoreError};

/// A client as requests see it.
#[derive(Debug)]
pub struct ClientEntry {
    pub client_id: ClientId,
    pub organization_id: OrganizationId,
    pub organization_kind: OrganizationKind,
    pub scopes: Scopes,
    pub proofs: Vec<Proof>,
    pub limits: CallerLimits,
}

/// Limits of those for whom no own limit is set.
#[derive(Debug, Clone, Copy)]
pub struct DefaultRates {
    pub client: Rate,
    pub organization: Rate,
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
    clients: Cache<ClientId, Arc<ClientEntry>>,
    organization_limits: Cache<OrganizationId, Arc<Limit>>,
    /// Grows with every change, so that a read which began before one is not kept.
    changes: AtomicU64,
}

impl Directory {
    pub fn new(store: Store, clock: Clock, defaults: DefaultRates, cluster: Option<Arc<Cluster>>) -> Self {
        Self {
            store,
            clock,
            defaults,
            cluster,
            clients: Cache::new(ENTRIES_MAX),
            organization_limits: Cache::new(ENTRIES_MAX),
            changes: AtomicU64::new(0),
        }
    }

    /// A client that exists and is not disabled.
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
        if client.disabled_at_ms.is_some() {
            return Ok(None);
        }
        let organization = self.store.find_organization(client.organization_id).await?;
        let organization = organization.ok_or(StoreError::Corrupt("clients.organization_id"))?;
        let proofs = self.store.list_proofs(client_id).await?;
        let shared = self.organization_limit(organization.organization_id, organization.rate);
        let rate = client.rate.unwrap_or(self.defaults.client);
        let mut limits = CallerLimits::new(rate, shared, &self.clock);
        if let Some(cluster) = &self.cluster {
            let organization_rate = organization.rate.unwrap_or(self.defaults.organization);
            let (client, organization) = ((client_id, rate), (organization.organization_id, organization_rate));
            limits = limits.shared_by(ClusterCell::new(Arc::clone(cluster), self.clock.clone(), client, organization));
        }
        Ok(Some(ClientEntry {
            client_id,
            organization_id: organization.organization_id,
            organization_kind: organization.kind,
            scopes: client.scopes,
            proofs,
            limits,
        }))
    }

    fn organization_limit(&self, organization: OrganizationId, rate: Option<Rate>) -> Arc<Limit> {
        let rate = rate.unwrap_or(self.defaults.organization);
        let make = || Ok(Arc::new(Limit::new(LimitName::Organization, rate, self.clock.clone())));
        let limit: Result<_, std::convert::Infallible> =
            self.organization_limits.get_or_insert_with(&organization, make);
        match limit {
            Ok(limit) => limit,
        }
    }

    /// The feed says that a client changed.
    pub fn forget_client(&self, client_id: ClientId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.clients.remove(&client_id);
    }

    /// The feed says that an organization changed: its clients are read again.
    pub fn forget_organization(&self, organization: OrganizationId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.organization_limits.remove(&organization);
        self.clients.retain(|_, entry| entry.organization_id != organization);
    }

    /// Anything may have changed.
    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.clients.clear();
        self.organization_limits.clear();
    }
}
