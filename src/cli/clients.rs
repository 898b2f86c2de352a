//! `organization create`, `client create|list|disable|rotate-secret|revoke-token`. Each is a transaction with its feed row:
//! a server that runs on the same data takes it up within its lease. Each is in the audit log, as done by nobody's client.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::json;

use super::global::Global;
use super::output;
use crate::access::client_auth::hash_secret;
use crate::access::jwks::read_client_keys;
use crate::access::tokens::fingerprint;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::random;
use crate::crypto::signing::base64url;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::{OrganizationKind, OrganizationName, Rate, RegionCode, Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::redacted::SecretText;
use crate::node;
use crate::store::clients::{CREDENTIALS_MAX, Client, Organization, Proof};
use crate::store::{StoreError, WriteTx};

#[derive(Debug, Subcommand)]
pub(super) enum OrganizationCommand {
    /// Register an organization
    #[command(after_help = "Example:
  lostcard organization create --name 'Hotel Harbour' --kind certifying --region 110105 --rate 6000/60s --json")]
    Create(OrganizationArgs),
}

#[derive(Debug, Args)]
pub(super) struct OrganizationArgs {
    /// What it is called: 1 to 100 characters
    #[arg(long)]
    name: String,
    /// What it is to the service
    #[arg(long, value_parser = PossibleValuesParser::new(["certifying", "registrar", "portal", "auditor"]))]
    kind: String,
    /// Its region: the six digits of GB/T 2260
    #[arg(long)]
    region: String,
    /// The limit that its clients share, as requests/seconds [default: limits.organization]
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Register a client; its secret is shown once
    #[command(after_help = "Examples:
  lostcard client create --organization ID --scope checks --rate 600/60s --json
  lostcard client create --organization ID --scope checks --jwks client-keys.json")]
    Create(ClientArgs),
    /// List clients
    #[command(after_help = "Example:
  lostcard client list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Disable a client permanently; its tokens end within a second
    #[command(after_help = "Example:
  lostcard client disable 01993c5e-0000-7000-8000-000000000000")]
    Disable {
        client_id: ClientId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a client a new secret; the previous one stays valid until the next rotation
    #[command(after_help = "Example:
  lostcard client rotate-secret 01993c5e-0000-7000-8000-000000000000 --json")]
    RotateSecret {
        client_id: ClientId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke one access token by the `jti` in it
    #[command(after_help = "Example:
  lostcard client revoke-token --issuer https://lostcard.example 01993c5e-0000-7000-8000-000000000000")]
    RevokeToken {
        /// The `jti` of the token
        token_id: String,
        /// The `iss` of the token
        #[arg(long)]
        issuer: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    /// The organization that owns it
    #[arg(long)]
    organization: OrganizationId,
    /// What it may do; repeat for several
    #[arg(long, required = true, value_parser = PossibleValuesParser::new(["checks", "registry", "citizen", "audit", "admin"]))]
    scope: Vec<String>,
    /// Its limit, as requests/seconds [default: limits.client]
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Its public keys as a JWK Set (one or two), for `private_key_jwt` instead of a secret
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `organization ...`
pub(super) async fn organization(global: &Global, command: OrganizationCommand) -> anyhow::Result<()> {
    let OrganizationCommand::Create(args) = command;
    let now_ms = Clock::System.now_ms();
    let new = Organization {
        organization_id: random::id(now_ms),
        name: OrganizationName::parse(&args.name)
            .context("a name is 1 to 100 characters without control characters")?,
        kind: OrganizationKind::parse(&args.kind).context("unknown kind")?,
        region: RegionCode::parse(&args.region).context("a region is six digits with a known province")?,
        rate: args.rate,
        created_at_ms: now_ms,
    };
    let (store, _) = node::open(&global.config()?).await?;
    let mut tx = store.begin().await?;
    tx.insert_organization(&new).await?;
    record(&mut tx, Action::OrganizationCreated, Some(new.organization_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let lines = [format!("organization_id  {}", new.organization_id)];
    output::result(args.json, &json!({"organization_id": new.organization_id}), &lines);
    Ok(())
}

/// `client ...`
pub(super) async fn client(global: &Global, command: ClientCommand) -> anyhow::Result<()> {
    match command {
        ClientCommand::Create(args) => create(global, args).await,
        ClientCommand::List { json } => list(global, json).await,
        ClientCommand::Disable { client_id, json } => disable(global, client_id, json).await,
        ClientCommand::RotateSecret { client_id, json } => rotate_secret(global, client_id, json).await,
        ClientCommand::RevokeToken { token_id, issuer, json } => revoke_token(global, &token_id, &issuer, json).await,
    }
}

async fn create(global: &Global, args: ClientArgs) -> anyhow::Result<()> {
    let now_ms = Clock::System.now_ms();
    let scopes: Scopes = args.scope.iter().filter_map(|word| Scope::parse(word)).collect();
    let new = Client {
        client_id: random::id(now_ms),
        organization_id: args.organization,
        scopes,
        rate: args.rate,
        created_at_ms: now_ms,
        disabled_at_ms: None,
    };
    let (proofs, secret) = if let Some(path) = &args.jwks {
        (proofs_from(path)?, None)
    } else {
        let secret = new_secret()?;
        (vec![Proof::SecretHash(hash_secret(&secret))], Some(secret))
    };
    let (store, _) = node::open(&global.config()?).await?;
    if store.find_organization(args.organization).await?.is_none() {
        bail!("there is no such organization");
    }
    let mut tx = store.begin().await?;
    tx.insert_client(&new).await?;
    for proof in &proofs {
        tx.add_proof(new.client_id, random::id(now_ms), proof, now_ms).await?;
    }
    record(&mut tx, Action::ClientCreated, Some(new.client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let mut value = json!({"client_id": new.client_id});
    let mut lines = vec![format!("client_id      {}", new.client_id)];
    if let Some(secret) = secret {
        value["client_secret"] = json!(secret.expose());
        lines.push(format!("client_secret  {}", secret.expose()));
        lines.push("The secret is shown this once.".to_owned());
    }
    output::result(args.json, &value, &lines);
    Ok(())
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let (store, _) = node::open(&global.config()?).await?;
    let clients = store.list_clients().await?;
    store.close().await;
    let state = |client: &Client| if client.disabled_at_ms.is_some() { "disabled" } else { "live" };
    let values: Vec<_> = clients
        .iter()
        .map(|client| {
            let mut value = json!({
                "client_id": client.client_id, "organization_id": client.organization_id,
                "scope": client.scopes.to_string(), "state": state(client),
                "created_at": Rfc3339::of(client.created_at_ms).as_str(),
            });
            if let Some(rate) = client.rate {
                value["rate"] = json!(rate.to_string());
            }
            value
        })
        .collect();
    let lines: Vec<_> = clients
        .iter()
        .map(|client| {
            format!("{}  {}  {:8}  {}", client.client_id, client.organization_id, state(client), client.scopes)
        })
        .collect();
    output::result(json, &json!({ "clients": values }), &lines);
    Ok(())
}

async fn disable(global: &Global, client_id: ClientId, json: bool) -> anyhow::Result<()> {
    let (store, _) = node::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    if !tx.disable_client(client_id, now_ms).await? {
        bail!("there is no such client");
    }
    record(&mut tx, Action::ClientDisabled, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &json!({"client_id": client_id, "state": "disabled"}), &["disabled".to_owned()]);
    Ok(())
}

async fn rotate_secret(global: &Global, client_id: ClientId, json: bool) -> anyhow::Result<()> {
    let (store, _) = node::open(&global.config()?).await?;
    if store.find_client(client_id).await?.is_none() {
        bail!("there is no such client");
    }
    let secret = new_secret()?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    let proof = Proof::SecretHash(hash_secret(&secret));
    tx.add_proof(client_id, random::id(now_ms), &proof, now_ms).await?;
    record(&mut tx, Action::ClientSecretRotated, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let lines = [
        format!("client_secret  {}", secret.expose()),
        "The secret before it stays valid until the next rotation.".to_owned(),
    ];
    output::result(json, &json!({"client_id": client_id, "client_secret": secret.expose()}), &lines);
    Ok(())
}

async fn revoke_token(global: &Global, token_id: &str, issuer: &str, json: bool) -> anyhow::Result<()> {
    let (store, _) = node::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    tx.revoke_token(&fingerprint(issuer, token_id), now_ms).await?;
    record(&mut tx, Action::TokenRevoked, None, now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &json!({"token_id": token_id, "state": "revoked"}), &["revoked".to_owned()]);
    Ok(())
}

/// Who gets access decides who reads: the audit log records it too.
async fn record(tx: &mut WriteTx, action: Action, subject: Option<RecordId>, now_ms: UnixMs) -> Result<(), StoreError> {
    tx.record_deed(&Deed::of_operator(action, subject), now_ms).await
}

/// 256 random bits behind a prefix that secret scanners can learn.
pub(super) fn new_secret() -> anyhow::Result<SecretText> {
    Ok(format!("lcs_{}", base64url(&random::key_bytes::<32>()?)).into())
}

fn proofs_from(path: &std::path::Path) -> anyhow::Result<Vec<Proof>> {
    let keys = read_client_keys(path)?;
    if keys.is_empty() || keys.len() > CREDENTIALS_MAX {
        bail!("a client has one or two keys");
    }
    Ok(keys.into_iter().map(Proof::Key).collect())
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    Rate::parse(text).ok_or_else(|| "a rate is written requests/seconds: 600/60s".to_owned())
}
