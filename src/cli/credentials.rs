//! What a client proves itself by, and what its tokens are worth: `client rotate-secret`, `client certificate`,
//! `client revoke-token`, `client revoke-tokens`. Each is a transaction with its feed row.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::opening;
use super::output;
use crate::access::certificates::{PeerCertificate, parse_dns_name, parse_subject};
use crate::access::jwks::read_client_keys;
use crate::access::tokens::fingerprint;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::client_secret::{hash_secret, new_secret};
use crate::crypto::random;
use crate::crypto::signing::{base64url, from_base64url};
use crate::domain::audit::{Action, Deed};
use crate::domain::ids::{ClientId, RecordId};
use crate::domain::instant::{UnixMs, parse_period};
use crate::domain::redacted::SecretText;
use crate::own_files;
use crate::store::clients::{CREDENTIALS_MAX, Proof};
use crate::store::{Store, WriteTx};

#[derive(Debug, Subcommand)]
pub(super) enum CertificateCommand {
    /// Let a client in by a certificate of its own, which no authority needs to vouch for
    #[command(after_help = "Example:
  lostcard client certificate add 01993c5e-0000-7000-8000-000000000000 client.pem")]
    Add {
        client_id: ClientId,
        /// The certificate, as PEM
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the certificates that were added to a client, newest first
    #[command(after_help = "Example:
  lostcard client certificate list 01993c5e-0000-7000-8000-000000000000")]
    List {
        client_id: ClientId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a certificate, as when its key was stolen, and end all tokens that the client has
    #[command(after_help = "Example:
  lostcard client certificate remove 01993c5e-0000-7000-8000-000000000000 bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")]
    Remove {
        client_id: ClientId,
        /// `x5t#S256`, as `list` prints it
        // Base64url: one of 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        thumbprint: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// How a new client proves who it is; a secret is made where nothing is given.
#[derive(Debug, Args)]
#[group(id = "proof", multiple = false)]
pub(super) struct ProofArgs {
    /// Its public keys as a JWK Set (one or two), for `private_key_jwt` instead of a secret
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// The subject of its certificate by an authority of `tls.client_ca`, as RFC 4514 writes it, instead of a secret
    #[arg(long, value_name = "DN")]
    tls_subject_dn: Option<String>,
    /// A DNS name of its certificate by an authority of `tls.client_ca`, instead of a secret
    #[arg(long, value_name = "NAME")]
    tls_san_dns: Option<String>,
}

impl ProofArgs {
    /// Whether the client is known by its certificate.
    pub(super) fn is_certificate(&self) -> bool {
        self.tls_subject_dn.is_some() || self.tls_san_dns.is_some()
    }

    /// The proofs, and the secret where one was made.
    pub(super) fn proofs(&self) -> anyhow::Result<(Vec<Proof>, Option<SecretText>)> {
        if let Some(path) = &self.jwks {
            return Ok((proofs_from(path)?, None));
        }
        if let Some(subject) = &self.tls_subject_dn {
            let subject =
                parse_subject(subject).context("a subject is written as in RFC 4514: CN=desk,O=Hotel,C=CN")?;
            return Ok((vec![Proof::Subject(subject)], None));
        }
        if let Some(name) = &self.tls_san_dns {
            let name = parse_dns_name(name).context("a DNS name has letters, digits, hyphens and dots")?;
            return Ok((vec![Proof::DnsName(name)], None));
        }
        let secret = new_secret()?;
        Ok((vec![Proof::SecretHash(hash_secret(&secret))], Some(secret)))
    }
}

/// `client rotate-secret`
pub(super) async fn rotate_secret(
    global: &Global,
    client_id: ClientId,
    keep: Duration,
    json: bool,
) -> anyhow::Result<()> {
    let store = open_with(global, client_id).await?;
    let secret = new_secret()?;
    let now_ms = Clock::System.now_ms();
    let ends_at_ms = now_ms.plus(keep);
    let mut tx = store.begin().await?;
    tx.end_secrets(client_id, ends_at_ms).await?;
    let proof = Proof::SecretHash(hash_secret(&secret));
    tx.add_proof(client_id, random::id(now_ms), &proof, now_ms).await?;
    record(global, &mut tx, Action::ClientSecretRotated, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let ends_at = Rfc3339::of(ends_at_ms).as_str().to_owned();
    let lines = [
        format!("client_secret  {}", secret.expose()),
        format!("The secret before it ends at {ends_at}, or at the next rotation."),
    ];
    let value = json!({"client_id": client_id, "client_secret": secret.expose(), "previous_ends_at": ends_at});
    output::result(json, &value, &lines);
    Ok(())
}

/// `client certificate ...`
pub(super) async fn certificate(global: &Global, command: CertificateCommand) -> anyhow::Result<()> {
    match command {
        CertificateCommand::Add { client_id, file, json } => add_certificate(global, client_id, &file, json).await,
        CertificateCommand::List { client_id, json } => list_certificates(global, client_id, json).await,
        CertificateCommand::Remove { client_id, thumbprint, json } => {
            remove_certificate(global, client_id, &thumbprint, json).await
        }
    }
}

async fn add_certificate(global: &Global, client_id: ClientId, file: &Path, json: bool) -> anyhow::Result<()> {
    let text = own_files::read_named(file).with_context(|| file.display().to_string())?;
    let certificate = PeerCertificate::from_pem(&text).with_context(|| file.display().to_string())?;
    let now_ms = Clock::System.now_ms();
    if certificate.not_after_s() < now_ms.seconds() {
        bail!("{}: the certificate has ended", file.display());
    }
    let store = open_with(global, client_id).await?;
    let mut tx = store.begin().await?;
    let proof = Proof::Thumbprint(certificate.thumbprint);
    tx.add_proof(client_id, random::id(now_ms), &proof, now_ms).await?;
    record(global, &mut tx, Action::ClientCertificateAdded, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let thumbprint = base64url(&certificate.thumbprint);
    let lines = [format!("x5t#S256  {thumbprint}")];
    output::result(json, &json!({"client_id": client_id, "x5t#S256": thumbprint}), &lines);
    Ok(())
}

async fn list_certificates(global: &Global, client_id: ClientId, json: bool) -> anyhow::Result<()> {
    let store = open_with(global, client_id).await?;
    let credentials = store.list_credentials(client_id).await?;
    store.close().await;
    let (mut lines, mut items) = (Vec::new(), Vec::new());
    for credential in credentials {
        let Proof::Thumbprint(thumbprint) = credential.proof else { continue };
        let (thumbprint, added_at) = (base64url(&thumbprint), Rfc3339::of(credential.created_at_ms));
        lines.push(format!("{thumbprint}  {}", added_at.as_str()));
        items.push(json!({"x5t#S256": thumbprint, "added_at": added_at.as_str()}));
    }
    output::result(json, &json!({"client_id": client_id, "certificates": items}), &lines);
    Ok(())
}

/// Its tokens end with it: which of them were bound to the certificate is known to their holders alone.
async fn remove_certificate(global: &Global, client_id: ClientId, text: &str, json: bool) -> anyhow::Result<()> {
    let thumbprint = from_base64url(text).and_then(|bytes| bytes.try_into().ok());
    let thumbprint: [u8; 32] =
        thumbprint.context("a thumbprint is 43 characters, as `client certificate list` prints it")?;
    let store = open_with(global, client_id).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    if !tx.remove_certificate(client_id, &thumbprint).await? {
        bail!("the client has no such certificate");
    }
    tx.revoke_tokens_of(client_id, now_ms).await?;
    record(global, &mut tx, Action::ClientCertificateRemoved, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let value = json!({"client_id": client_id, "x5t#S256": text, "state": "removed"});
    output::result(json, &value, &["removed; the tokens that the client had are revoked".to_owned()]);
    Ok(())
}

/// `client revoke-tokens`
pub(super) async fn revoke_tokens(global: &Global, client_id: ClientId, json: bool) -> anyhow::Result<()> {
    let store = open_with(global, client_id).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    tx.revoke_tokens_of(client_id, now_ms).await?;
    record(global, &mut tx, Action::ClientTokensRevoked, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let value = json!({"client_id": client_id, "state": "revoked", "issued_until": Rfc3339::of(now_ms).as_str()});
    output::result(json, &value, &["revoked".to_owned()]);
    Ok(())
}

/// `client revoke-token`
pub(super) async fn revoke_token(global: &Global, token_id: &str, issuer: &str, json: bool) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    tx.revoke_token(&fingerprint(issuer, token_id), now_ms).await?;
    record(global, &mut tx, Action::TokenRevoked, None, now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &json!({"token_id": token_id, "state": "revoked"}), &["revoked".to_owned()]);
    Ok(())
}

/// The store, where the client exists.
async fn open_with(global: &Global, client_id: ClientId) -> anyhow::Result<Store> {
    let (store, _) = opening::open(&global.config()?).await?;
    if store.find_client(client_id).await?.is_none() {
        bail!("there is no such client");
    }
    Ok(store)
}

/// Who gets access decides who reads: the audit log records it too.
pub(super) async fn record(
    global: &Global,
    tx: &mut WriteTx,
    action: Action,
    subject: Option<RecordId>,
    now_ms: UnixMs,
) -> anyhow::Result<()> {
    Ok(tx.record_deed(&Deed::of_operator(action, subject).by(&global.behind()?), now_ms).await?)
}

fn proofs_from(path: &std::path::Path) -> anyhow::Result<Vec<Proof>> {
    let keys = read_client_keys(path)?;
    if keys.is_empty() || keys.len() > CREDENTIALS_MAX {
        bail!("a client has one or two keys");
    }
    Ok(keys.into_iter().map(Proof::Key).collect())
}

/// A time written `7d`, `24h`, `30m` or `0s`.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    parse_period(text).ok_or_else(|| "a time is written 7d, 24h, 30m or 0s, up to 90d".to_owned())
}
