//! What clients prove themselves by, revoked tokens and used assertions: secrets and tokens are hashes. Each change is in the feed, so
//! that a running node drops what it remembered.

use std::time::Duration;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, get_bytes, get_id};
use crate::domain::ids::{ClientId, CredentialId};
use crate::domain::instant::UnixMs;

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub id: CredentialId,
    pub proof: Proof,
    /// None: until another one takes its place.
    pub ends_at_ms: Option<UnixMs>,
    pub created_at_ms: UnixMs,
}

/// A client has at most so many live credentials.
pub const CREDENTIALS_MAX: usize = 2;

/// How long an expired assertion is remembered: longer than the clocks of nodes may differ.
const USED_ASSERTION_KEPT: Duration = Duration::from_mins(1);

impl Store {
    /// A client's two newest credentials, newest first.
    pub async fn list_credentials(&self, client: ClientId) -> Result<Vec<Credential>, StoreError> {
        let rows = sqlx::query(
            "SELECT credential_id, kind, secret_hash, jwk, thumbprint, subject, ends_at, created_at FROM client_credentials \
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
            Ok(Credential {
                id: get_id(row, "credential_id")?,
                proof,
                ends_at_ms: row.try_get("ends_at")?,
                created_at_ms: row.try_get("created_at")?,
            })
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

    /// Removes a certificate of a client, by its thumbprint; false if the client has no such one.
    pub async fn remove_certificate(&mut self, client: ClientId, thumbprint: &[u8; 32]) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM client_credentials WHERE client_id = $1 AND thumbprint = $2")
            .bind(client.as_bytes().as_slice())
            .bind(thumbprint.as_slice())
            .execute(&mut *self.tx)
            .await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes what a client proves itself by, whatever it is; false if the client has no such one.
    pub async fn remove_credential(&mut self, client: ClientId, id: CredentialId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM client_credentials WHERE client_id = $1 AND credential_id = $2")
            .bind(client.as_bytes().as_slice())
            .bind(id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(done.rows_affected() > 0)
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
