//! Organizations and their clients. Always reached by id. Each change is in the feed, so that a running node drops what it
//! remembered.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

pub use super::credentials::{CREDENTIALS_MAX, Credential, Proof};
use super::feed::ChangeKind;
use super::numbers;
pub use super::numbers::{Held, StoredNumbers};
use super::{Store, StoreError, WriteTx, get_id, get_parsed, get_parsed_opt};
use crate::domain::authority::{LifeState, Offices};
use crate::domain::client::{Bound, OrganizationKind, OrganizationName, Rate, RegionCode, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::instant::UnixMs;

/// An organization as it is stored.
#[derive(Debug, Clone)]
pub struct Organization {
    pub organization_id: OrganizationId,
    pub name: OrganizationName,
    pub kind: OrganizationKind,
    pub region: RegionCode,
    /// None: the configured default.
    pub rate: Option<Rate>,
    pub offices: Offices,
    pub created_at_ms: UnixMs,
    /// Its clients are not let in since then.
    pub suspended_at_ms: Option<UnixMs>,
    /// Nor ever again.
    pub ended_at_ms: Option<UnixMs>,
}

impl Organization {
    /// A new one, with the offices of its region and the default limit.
    pub fn new(
        organization_id: OrganizationId,
        name: OrganizationName,
        kind: OrganizationKind,
        region: RegionCode,
        created_at_ms: UnixMs,
    ) -> Self {
        let offices = Offices::default();
        let (rate, suspended_at_ms, ended_at_ms) = (None, None, None);
        Self { organization_id, name, kind, region, rate, offices, created_at_ms, suspended_at_ms, ended_at_ms }
    }

    pub fn state(&self) -> LifeState {
        LifeState::of(self.suspended_at_ms, self.ended_at_ms)
    }
}

/// A client as it is stored.
#[derive(Debug, Clone)]
pub struct Client {
    pub client_id: ClientId,
    pub organization_id: OrganizationId,
    pub name: Option<OrganizationName>,
    pub scopes: Scopes,
    pub rate: Option<Rate>,
    pub bound: Bound,
    pub created_at_ms: UnixMs,
    pub suspended_at_ms: Option<UnixMs>,
    pub disabled_at_ms: Option<UnixMs>,
    /// Tokens that were issued until then are good for nothing.
    pub tokens_revoked_at_ms: Option<UnixMs>,
    pub numbers: StoredNumbers,
}

impl Client {
    /// A new one, bound to nothing and with the default limit.
    pub fn new(client_id: ClientId, organization_id: OrganizationId, scopes: Scopes, created_at_ms: UnixMs) -> Self {
        Self {
            client_id,
            organization_id,
            name: None,
            scopes,
            rate: None,
            bound: Bound::None,
            created_at_ms,
            suspended_at_ms: None,
            disabled_at_ms: None,
            tokens_revoked_at_ms: None,
            numbers: StoredNumbers::default(),
        }
    }

    pub fn state(&self) -> LifeState {
        LifeState::of(self.suspended_at_ms, self.disabled_at_ms)
    }
}

/// A client that has scopes which its organization's kind may not have: one of before there was a rule.
#[derive(Debug)]
pub struct MisfitClient {
    pub client: Client,
    pub kind: OrganizationKind,
}

/// What is read of an organization, here `o`.
pub(super) const ORGANIZATION: &str = "o.organization_id AS organization_id, o.name AS name, o.kind AS kind, o.region AS region, \
     o.rate AS rate, o.offices AS offices, o.ends_others AS ends_others, o.created_at AS created_at, \
     o.suspended_at AS suspended_at, o.ended_at AS ended_at";
/// What is read of a client, here `c`.
pub(super) const CLIENT: &str = "c.client_id AS client_id, c.organization_id AS organization_id, c.name AS client_name, \
     c.scopes AS scopes, c.rate AS rate, c.bound AS bound, c.created_at AS created_at, c.suspended_at AS suspended_at, \
     c.disabled_at AS disabled_at, c.tokens_revoked_at AS tokens_revoked_at, c.numbers AS numbers, c.digests AS digests, \
     c.held_at AS held_at, c.held_for AS held_for, c.released_at AS released_at";

impl Store {
    pub async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ORGANIZATION} FROM organizations o WHERE o.organization_id = $1"
        )))
        .bind(id.as_bytes().as_slice())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        row.as_ref().map(read_organization).transpose()
    }

    pub async fn find_client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {CLIENT} FROM clients c WHERE c.client_id = $1")))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_client).transpose()
    }

    /// Every client, oldest first.
    pub async fn list_clients(&self) -> Result<Vec<Client>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT {CLIENT} FROM clients c ORDER BY c.client_id")))
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(read_client).collect()
    }

    /// Every client that is not disabled and has scopes which its organization's kind may not have.
    pub async fn list_misfit_clients(&self) -> Result<Vec<MisfitClient>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {CLIENT}, o.kind AS kind FROM clients c JOIN organizations o ON o.organization_id = c.organization_id \
             WHERE c.disabled_at IS NULL ORDER BY c.client_id"
        )))
        .fetch_all(&mut *self.connection().await?)
        .await?;
        let read = |row: &AnyRow| {
            Ok(MisfitClient { client: read_client(row)?, kind: get_parsed(row, "kind", OrganizationKind::parse)? })
        };
        let all = rows.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(all.into_iter().filter(|one| !one.kind.forbidden(one.client.scopes).is_empty()).collect())
    }
}

impl WriteTx {
    pub async fn insert_organization(&mut self, new: &Organization) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO organizations (organization_id, name, kind, region, rate, offices, ends_others, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.organization_id.as_bytes().as_slice())
        .bind(new.name.as_str())
        .bind(new.kind.as_str())
        .bind(new.region.as_str())
        .bind(new.rate.map(|rate| rate.to_string()))
        .bind(new.offices.list())
        .bind(i64::from(new.offices.ends_others))
        .bind(new.created_at_ms)
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Organization, new.organization_id.as_bytes()).await?;
        Ok(())
    }

    pub async fn insert_client(&mut self, new: &Client) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO clients (client_id, organization_id, scopes, rate, bound, created_at, numbers, digests, name) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.client_id.as_bytes().as_slice())
        .bind(new.organization_id.as_bytes().as_slice())
        .bind(new.scopes.to_string())
        .bind(new.rate.map(|rate| rate.to_string()))
        .bind(new.bound.as_str())
        .bind(new.created_at_ms)
        .bind(new.numbers.guests.map(|guests| guests.to_string()))
        .bind(new.numbers.digests.as_str())
        .bind(new.name.as_ref().map(OrganizationName::as_str))
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Client, new.client_id.as_bytes()).await?;
        Ok(())
    }

    /// Writes what may change of an organization.
    pub async fn update_organization(&mut self, of: &Organization) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE organizations SET name = $1, rate = $2, offices = $3, ends_others = $4, suspended_at = $5, ended_at = $6 \
             WHERE organization_id = $7",
        )
        .bind(of.name.as_str())
        .bind(of.rate.map(|rate| rate.to_string()))
        .bind(of.offices.list())
        .bind(i64::from(of.offices.ends_others))
        .bind(of.suspended_at_ms)
        .bind(of.ended_at_ms)
        .bind(of.organization_id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Organization, of.organization_id.as_bytes()).await?;
        Ok(())
    }

    /// Writes what may change of a client.
    pub async fn update_client(&mut self, of: &Client) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE clients SET scopes = $1, rate = $2, bound = $3, name = $4, numbers = $5, digests = $6, suspended_at = $7, \
             disabled_at = $8 WHERE client_id = $9",
        )
        .bind(of.scopes.to_string())
        .bind(of.rate.map(|rate| rate.to_string()))
        .bind(of.bound.as_str())
        .bind(of.name.as_ref().map(OrganizationName::as_str))
        .bind(of.numbers.guests.map(|guests| guests.to_string()))
        .bind(of.numbers.digests.as_str())
        .bind(of.suspended_at_ms)
        .bind(of.disabled_at_ms)
        .bind(of.client_id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Client, of.client_id.as_bytes()).await?;
        Ok(())
    }

    /// Revokes all tokens that a client has until now; false if there is none.
    pub async fn revoke_tokens_of(&mut self, client: ClientId, now_ms: UnixMs) -> Result<bool, StoreError> {
        self.date_client("UPDATE clients SET tokens_revoked_at = $1 WHERE client_id = $2", client, now_ms).await
    }

    /// Disables a client for good; false if there is none.
    pub async fn disable_client(&mut self, client: ClientId, now_ms: UnixMs) -> Result<bool, StoreError> {
        let text = "UPDATE clients SET disabled_at = COALESCE(disabled_at, $1) WHERE client_id = $2";
        self.date_client(text, client, now_ms).await
    }

    /// Writes an instant into the row of a client, and tells the nodes; false if there is none.
    pub(super) async fn date_client(
        &mut self,
        text: &'static str,
        client: ClientId,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(text).bind(now_ms).bind(client.as_bytes().as_slice()).execute(&mut *self.tx).await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(done.rows_affected() > 0)
    }
}

pub(super) fn read_organization(row: &AnyRow) -> Result<Organization, StoreError> {
    let ends_others = row.try_get::<i64, _>("ends_others")? != 0;
    Ok(Organization {
        organization_id: get_id(row, "organization_id")?,
        name: get_parsed(row, "name", OrganizationName::stored)?,
        kind: get_parsed(row, "kind", OrganizationKind::parse)?,
        region: get_parsed(row, "region", RegionCode::parse)?,
        rate: get_parsed_opt(row, "rate", Rate::parse)?,
        offices: get_parsed(row, "offices", |list| Offices::parse(list, ends_others))?,
        created_at_ms: row.try_get("created_at")?,
        suspended_at_ms: row.try_get("suspended_at")?,
        ended_at_ms: row.try_get("ended_at")?,
    })
}

pub(super) fn read_client(row: &AnyRow) -> Result<Client, StoreError> {
    Ok(Client {
        client_id: get_id(row, "client_id")?,
        organization_id: get_id(row, "organization_id")?,
        name: get_parsed_opt(row, "client_name", OrganizationName::stored)?,
        scopes: get_parsed(row, "scopes", Scopes::parse)?,
        rate: get_parsed_opt(row, "rate", Rate::parse)?,
        bound: get_parsed(row, "bound", Bound::parse)?,
        created_at_ms: row.try_get("created_at")?,
        suspended_at_ms: row.try_get("suspended_at")?,
        disabled_at_ms: row.try_get("disabled_at")?,
        tokens_revoked_at_ms: row.try_get("tokens_revoked_at")?,
        numbers: numbers::read(row)?,
    })
}
