//! What operators ask for and get, and what they read.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::audit::{Action, Grounds};
use crate::domain::authority::{LifeState, OfficePrefix, Offices, Setting, WAITS_MAX};
use crate::domain::client::{Actor, Bound, OrganizationKind, OrganizationName, Rate, RegionCode, Scopes};
use crate::domain::ids::{AdminRequestId, ClientId, OrganizationId};
use crate::domain::numbers::{Digests, Guests};
use crate::domain::redacted::SecretText;
use crate::service::ServiceError;
use crate::service::writing::Writer;
use crate::store::administration::{AdminRequest, ListedClient};
use crate::store::clients::{Organization, Proof};
use crate::store::idempotency::StoredAnswer;
use crate::store::undoing::Span;

/// A new organization.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    pub name: OrganizationName,
    pub kind: OrganizationKind,
    pub region: RegionCode,
    pub rate: Option<Rate>,
    pub offices: Offices,
}

/// What is to change of an organization.
#[derive(Debug, Clone, Default)]
pub struct OrganizationChange {
    pub name: Option<OrganizationName>,
    pub rate: Setting<Rate>,
    pub offices: Option<Vec<OfficePrefix>>,
    pub any_office: Option<bool>,
    pub state: Option<LifeState>,
}

/// A new client.
#[derive(Debug, Clone)]
pub struct NewClient {
    pub organization: OrganizationId,
    pub name: Option<OrganizationName>,
    pub scopes: Scopes,
    pub rate: Option<Rate>,
    pub numbers: Option<Guests>,
    pub digests: Digests,
    pub bound: Bound,
    /// What it proves itself by; a secret is made where there is nothing.
    pub proofs: Vec<Proof>,
}

/// What is to change of a client.
#[derive(Debug, Clone, Default)]
pub struct ClientChange {
    pub name: Option<OrganizationName>,
    pub scopes: Option<Scopes>,
    pub rate: Setting<Rate>,
    pub numbers: Setting<Guests>,
    pub digests: Option<Digests>,
    pub bound: Option<Bound>,
    pub state: Option<LifeState>,
}

/// Whose acts should be undone, and why.
#[derive(Debug, Clone)]
pub struct NewUndo {
    pub span: Span,
    pub reason: Grounds,
}

/// An export of the audit log, and what for.
#[derive(Debug, Clone)]
pub struct NewExport {
    /// The last entry of the export before.
    pub after: u64,
    pub reason: Grounds,
}

/// What may have to wait for a second operator.
#[derive(Debug, Clone)]
pub enum Act {
    CreateOrganization(NewOrganization),
    CreateClient(NewClient),
    UpdateClient(ClientId, ClientChange),
    UpdateOrganization(OrganizationId, OrganizationChange),
    /// Proofs for a client that reads the records of persons, and what the audit log calls it.
    AddProofs(ClientId, Action, Vec<Proof>),
    /// Who asks makes a secret for such a client, once.
    AllowSecret(ClientId),
    Undo(NewUndo),
    ExportAudit(NewExport),
}

/// What an operator asks for.
#[derive(Debug)]
pub struct Asked {
    pub actor: Actor,
    pub act: Act,
    /// The request as it was sent, for when it has to wait.
    pub body: String,
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    Organization(Organization),
    /// With its secret where one was made: it is shown this once and kept nowhere.
    Client(Box<ListedClient>, Option<SecretText>),
    Waits(Box<AdminRequest>),
}

/// An outcome, or the answer that its first occurrence got.
#[derive(Debug)]
pub enum Answered {
    Fresh(Outcome),
    Repeated(StoredAnswer),
}

/// Whether persons administer, and who says who they are. Where they do, they approve, and no client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persons {
    Unknown,
    OfProvider,
    WithPasskeys,
}

/// What operators do.
#[derive(Debug)]
pub struct Administration {
    pub(super) writer: Arc<Writer>,
    pub(super) persons: Persons,
    /// Wakes who does what was approved here.
    pub(super) approved: Notify,
}

impl Administration {
    pub fn new(writer: Arc<Writer>, persons: Persons) -> Self {
        Self { writer, persons, approved: Notify::new() }
    }

    /// Organizations behind one of them, oldest first.
    pub async fn organizations(
        &self,
        after: Option<OrganizationId>,
        count_max: usize,
    ) -> Result<Vec<Organization>, ServiceError> {
        Ok(self.writer.store.list_organizations(after, count_max).await?)
    }

    pub async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, ServiceError> {
        Ok(self.writer.store.find_organization(id).await?)
    }

    /// Clients behind one of them, oldest first.
    pub async fn clients(
        &self,
        of: Option<OrganizationId>,
        after: Option<ClientId>,
        count_max: usize,
    ) -> Result<Vec<ListedClient>, ServiceError> {
        Ok(self.writer.store.list_clients_page(of, after, count_max).await?)
    }

    pub async fn client(&self, id: ClientId) -> Result<Option<ListedClient>, ServiceError> {
        Ok(self.writer.store.find_listed_client(id).await?)
    }

    /// What was asked for behind one of them, oldest first.
    pub async fn requests(
        &self,
        after: Option<AdminRequestId>,
        count_max: usize,
    ) -> Result<Vec<AdminRequest>, ServiceError> {
        Ok(self.writer.store.list_admin_requests(after, count_max).await?)
    }

    /// What waits, behind one of them, oldest first.
    pub async fn waiting(
        &self,
        after: Option<AdminRequestId>,
        count_max: usize,
    ) -> Result<Vec<AdminRequest>, ServiceError> {
        let since_ms = self.writer.clock.now_ms().minus(WAITS_MAX);
        Ok(self.writer.store.list_waiting_admin_requests(since_ms, after, count_max).await?)
    }

    /// What was asked for.
    pub async fn request(&self, id: AdminRequestId) -> Result<Option<AdminRequest>, ServiceError> {
        Ok(self.writer.store.find_admin_request(id).await?)
    }
}
