//! Organizations, their clients and the clients' credentials; revoked tokens. Always reached by id; secrets are hashes.
//! Each change is in the feed, so that a running node drops what it remembered.

use std::time::Duration;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, get_bytes, get_id, get_parsed, get_parsed_opt};
use crate::domain::client::{Bound, OrganizationKind, OrganizationName, Rate, RegionCode, Scopes};
use crate::domain::ids::{ClientId, CredentialId, OrganizationId};
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
    pub created_at_ms: UnixMs,
}

/// A client as it is stored.
#[derive(Debug, Clone)]
pub struct Client {
    pub client_id: ClientId,
    pub organization_id: OrganizationId,
    pub scopes: Scopes,
    pub rate: Option<Rate>,
    pub bound: Bound,
    pub created_at_ms: UnixMs,
    pub disabled_at_ms: Option<UnixMs>,
    /// Tokens that were issued until then are good for nothing.
    pub tokens_revoked_at_ms: Option<UnixMs>,
}

/// How a client proves who it is.
#[derive(Debug, Clone)]
pub enum Proof {
    /// SHA-256 of a secret of 256 random bits: nothing slower is needed where nothing can be guessed.
    SecretHash([u8; 32]),
    /// A public key as JWK, for `private_key_jwt` (RFC 7523).
    Key(String),
    /// SHA-256 of a certificate that the operator vouches for, for `self_signed_tls_client_auth` (RFC 8705, 2.2).
    Thumbprint([u8; 32]),
    /// What an authority's certificate must be for, for `tls_client_auth` (RFC 8705, 2.1.2).
    Subject(String),
    DnsName(String),
}

/// A proof, as long as it is good.
#[derive(Debug, Clone)]
pub struct Credential {
    pub proof: Proof,
    /// None: until another one takes its place.
    pub ends_at_ms: Option<UnixMs>,
}

/// A client has at most so many live credentials.
pub const CREDENTIALS_MAX: usize = 2;

/// How long an expired assertion is remembered: longer than the clocks of nodes may differ.
const USED_ASSERTION_KEPT: Duration = Duration::from_mins(1);

impl Store {
    pub async fn find_organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        let row = sqlx::query(
            "SELECT organization_id, name, kind, region, rate, created_at FROM organizations WHERE organization_id = $1",
        )
        .bind(id.as_bytes().as_slice())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        row.as_ref().map(read_organization).transpose()
    }

    pub async fn find_client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        let row = sqlx::query(
            "SELECT client_id, organization_id, scopes, rate, bound, created_at, disabled_at, tokens_revoked_at \
             FROM clients WHERE client_id = $1",
        )
        .bind(id.as_bytes().as_slice())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        row.as_ref().map(read_client).transpose()
    }

    /// Every client, oldest first.
    pub async fn list_clients(&self) -> Result<Vec<Client>, StoreError> {
        let rows = sqlx::query(
            "SELECT client_id, organization_id, scopes, rate, bound, created_at, disabled_at, tokens_revoked_at \
             FROM clients ORDER BY client_id",
        )
        .fetch_all(&mut *self.connection().await?)
        .await?;
        rows.iter().map(read_client).collect()
    }

    /// A client's two newest credentials, newest first.
    pub async fn list_credentials(&self, client: ClientId) -> Result<Vec<Credential>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, secret_hash, jwk, thumbprint, subject, ends_at FROM client_credentials \
             WHERE client_id = $1 ORDER BY credential_id DESC LIMIT 2",
        )
        .bind(client.as_bytes().as_slice())
        .fetch_all(&mut *self.connection().await?)
        .await?;
        let read = |row: &AnyRow| {
            let proof = match row.try_get::<&str, _>("kind")? {
                "secret" => Proof::SecretHash(get_bytes(row, "secret_hash")?),
                "key" => Proof::Key(row.try_get("jwk")?),
                "certificate" => Proof::Thumbprint(get_bytes(row, "thumbprint")?),
                "subject" => Proof::Subject(row.try_get("subject")?),
                "dns_name" => Proof::DnsName(row.try_get("subject")?),
                _ => return Err(StoreError::Corrupt("client_credentials.kind")),
            };
            Ok(Credential { proof, ends_at_ms: row.try_get("ends_at")? })
        };
        rows.iter().map(read).collect()
    }

    /// Fingerprints of revoked tokens; those revoked before `since_ms` have expired by themselves.
    pub async fn list_revoked_tokens(&self, since_ms: UnixMs) -> Result<Vec<[u8; 32]>, StoreError> {
        let rows = sqlx::query("SELECT token_hash FROM revoked_tokens WHERE revoked_at >= $1")
            .bind(since_ms)
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(|row| get_bytes(row, "token_hash")).collect()
    }
}

impl WriteTx {
    pub async fn insert_organization(&mut self, new: &Organization) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO organizations (organization_id, name, kind, region, rate, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.organization_id.as_bytes().as_slice())
        .bind(new.name.as_str())
        .bind(new.kind.as_str())
        .bind(new.region.as_str())
        .bind(new.rate.map(|rate| rate.to_string()))
        .bind(new.created_at_ms)
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Organization, new.organization_id.as_bytes()).await?;
        Ok(())
    }

    pub async fn insert_client(&mut self, new: &Client) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO clients (client_id, organization_id, scopes, rate, bound, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.client_id.as_bytes().as_slice())
        .bind(new.organization_id.as_bytes().as_slice())
        .bind(new.scopes.to_string())
        .bind(new.rate.map(|rate| rate.to_string()))
        .bind(new.bound.as_str())
        .bind(new.created_at_ms)
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Client, new.client_id.as_bytes()).await?;
        Ok(())
    }

    /// Adds a credential and drops those beyond the newest two.
    pub async fn add_proof(
        &mut self,
        client: ClientId,
        credential: CredentialId,
        proof: &Proof,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let (kind, hash, text) = match proof {
            Proof::SecretHash(hash) => ("secret", Some(hash.to_vec()), None),
            Proof::Key(jwk) => ("key", None, Some(jwk.as_str())),
            Proof::Thumbprint(thumbprint) => ("certificate", Some(thumbprint.to_vec()), None),
            Proof::Subject(subject) => ("subject", None, Some(subject.as_str())),
            Proof::DnsName(name) => ("dns_name", None, Some(name.as_str())),
        };
        let (secret_hash, thumbprint) = if kind == "secret" { (hash, None) } else { (None, hash) };
        let (jwk, subject) = if kind == "key" { (text, None) } else { (None, text) };
        sqlx::query(
            "INSERT INTO client_credentials \
             (credential_id, client_id, kind, secret_hash, jwk, thumbprint, subject, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(credential.as_bytes().as_slice())
        .bind(client.as_bytes().as_slice())
        .bind(kind)
        .bind(secret_hash)
        .bind(jwk)
        .bind(thumbprint)
        .bind(subject)
        .bind(now_ms)
        .execute(&mut *self.tx)
        .await?;
        sqlx::query(
            "DELETE FROM client_credentials WHERE client_id = $1 AND credential_id NOT IN \
             (SELECT credential_id FROM client_credentials WHERE client_id = $1 ORDER BY credential_id DESC LIMIT 2)",
        )
        .bind(client.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(())
    }

    /// Lets the secrets that a client has end by then, those that do not end before.
    pub async fn end_secrets(&mut self, client: ClientId, ends_at_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE client_credentials SET ends_at = $1 \
             WHERE client_id = $2 AND kind = 'secret' AND (ends_at IS NULL OR ends_at > $1)",
        )
        .bind(ends_at_ms)
        .bind(client.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
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
    async fn date_client(&mut self, text: &'static str, client: ClientId, now_ms: UnixMs) -> Result<bool, StoreError> {
        let done = sqlx::query(text).bind(now_ms).bind(client.as_bytes().as_slice()).execute(&mut *self.tx).await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Revokes one token by its fingerprint.
    pub async fn revoke_token(&mut self, token: &[u8; 32], now_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO revoked_tokens (token_hash, revoked_at) VALUES ($1, $2) ON CONFLICT (token_hash) DO NOTHING",
        )
        .bind(token.as_slice())
        .bind(now_ms)
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Token, token).await?;
        Ok(())
    }

    /// Notes that an assertion was used; false where it was before. Those that expired some time ago are forgotten: no node's
    /// clock takes them any more.
    pub async fn use_assertion(
        &mut self,
        assertion: &[u8; 32],
        expires_at_ms: UnixMs,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM used_assertions WHERE expires_at < $1")
            .bind(now_ms.minus(USED_ASSERTION_KEPT))
            .execute(&mut *self.tx)
            .await?;
        let used = sqlx::query(
            "INSERT INTO used_assertions (assertion, expires_at) VALUES ($1, $2) ON CONFLICT (assertion) DO NOTHING",
        )
        .bind(assertion.as_slice())
        .bind(expires_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(used.rows_affected() == 1)
    }
}

fn read_organization(row: &AnyRow) -> Result<Organization, StoreError> {
    Ok(Organization {
        organization_id: get_id(row, "organization_id")?,
        name: get_parsed(row, "name", OrganizationName::parse)?,
        kind: get_parsed(row, "kind", OrganizationKind::parse)?,
        region: get_parsed(row, "region", RegionCode::parse)?,
        rate: get_parsed_opt(row, "rate", Rate::parse)?,
        created_at_ms: row.try_get("created_at")?,
    })
}

fn read_client(row: &AnyRow) -> Result<Client, StoreError> {
    Ok(Client {
        client_id: get_id(row, "client_id")?,
        organization_id: get_id(row, "organization_id")?,
        scopes: get_parsed(row, "scopes", Scopes::parse)?,
        rate: get_parsed_opt(row, "rate", Rate::parse)?,
        bound: get_parsed(row, "bound", Bound::parse)?,
        created_at_ms: row.try_get("created_at")?,
        disabled_at_ms: row.try_get("disabled_at")?,
        tokens_revoked_at_ms: row.try_get("tokens_revoked_at")?,
    })
}
