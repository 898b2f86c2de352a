//! `organization create`, `client create|list|disable`; what clients prove themselves by is in `credentials.rs`, whose numbers they
//! may ask about in `client_numbers.rs`. Each is a transaction with its feed row:
//! a server that runs on the same data takes it up within its lease. Each is in the audit log, as done by nobody's client.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::json;

use super::client_numbers::{DeclareArgs, declare, parse_guests, release, show_numbers, warn_of_lifted};
use super::credentials::{
    CertificateCommand, ProofArgs, certificate, parse_time, record, revoke_token, revoke_tokens, rotate_secret,
};
use super::global::Global;
use super::output;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::domain::authority::{OfficePrefix, Offices};
use crate::domain::client::{Bound, OrganizationKind, OrganizationName, Rate, RegionCode, Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::numbers::{Digests, Guests};
use crate::node;
use crate::store::Store;
use crate::store::clients::{Client, Organization, StoredNumbers};

const SCOPES: [&str; 6] = ["checks", "registry", "citizen", "audit", "admin", "blind"];

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
    #[arg(long, value_parser = PossibleValuesParser::new(["certifying", "registrar", "portal", "auditor", "operator"]))]
    kind: String,
    /// Its region: the six digits of GB/T 2260
    #[arg(long)]
    region: String,
    /// How the codes of its offices begin; repeat for several [default: its region]
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    office: Vec<OfficePrefix>,
    /// Let it also withdraw reports that other organizations filed, and return their cards
    #[arg(long)]
    any_office: bool,
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
  lostcard client create --organization ID --scope checks --rate 600/60s --numbers 250/1d --json
  lostcard client create --organization ID --scope checks --jwks client-keys.json
  lostcard client create --organization ID --scope checks --tls-san-dns desk.hotel.example
  lostcard client create --organization ID --scope checks --bound dpop")]
    Create(ClientArgs),
    /// Change what a client may do and how often; in effect within a second
    #[command(after_help = "Example:
  lostcard client update 01993c5e-0000-7000-8000-000000000000 --scope checks --rate 600/60s --json")]
    Update(UpdateArgs),
    /// List clients
    #[command(after_help = "Example:
  lostcard client list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Declare how many guests a client has on a day, and whether it may send digests
    #[command(after_help = "Examples:
  lostcard client numbers 01993c5e-0000-7000-8000-000000000000 --guests 250/1d
  lostcard client numbers 01993c5e-0000-7000-8000-000000000000 --digests refused")]
    Numbers(DeclareArgs),
    /// Release a client that is held; it has all its numbers again
    #[command(after_help = "Example:
  lostcard client release 01993c5e-0000-7000-8000-000000000000")]
    Release {
        client_id: ClientId,
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
    /// Give a client a new secret; the previous one ends after some time, or at the next rotation
    #[command(after_help = "Examples:
  lostcard client rotate-secret 01993c5e-0000-7000-8000-000000000000 --json
  lostcard client rotate-secret 01993c5e-0000-7000-8000-000000000000 --keep 0s     the old one is known to others")]
    RotateSecret {
        client_id: ClientId,
        /// How long the previous secret stays valid: 7d, 24h, 30m or 0s
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_time)]
        keep: Duration,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Certificates of clients
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Revoke all access tokens that a client has until now, at every node within its lease
    #[command(after_help = "Example:
  lostcard client revoke-tokens 01993c5e-0000-7000-8000-000000000000")]
    RevokeTokens {
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
    #[arg(long, required = true, value_parser = PossibleValuesParser::new(SCOPES))]
    scope: Vec<String>,
    /// Its limit, as requests/seconds [default: limits.client]
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// How many guests it has on a day: numbers that it has not asked about for a day. `none`: nobody counts [default: limits.numbers]
    #[arg(long, value_name = "N/1d", value_parser = parse_guests)]
    numbers: Option<Guests>,
    /// Whether it may send digests, which hide where a number belongs
    #[arg(long, value_name = "WORD", default_value = "taken", value_parser = PossibleValuesParser::new(["taken", "refused"]))]
    digests: String,
    #[command(flatten)]
    proof: ProofArgs,
    /// What its tokens are bound to, so that they work for their holder alone [default: none; with a certificate: mtls]
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["none", "mtls", "dpop"]))]
    bound: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    client_id: ClientId,
    #[command(flatten)]
    changes: Changes,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// What it may do from now on, and nothing else; repeat for several
    #[arg(long, value_parser = PossibleValuesParser::new(SCOPES))]
    scope: Vec<String>,
    /// Its limit, as requests/seconds
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate)]
    rate: Option<Rate>,
}

/// `organization ...`
pub(super) async fn organization(global: &Global, command: OrganizationCommand) -> anyhow::Result<()> {
    let OrganizationCommand::Create(args) = command;
    let now_ms = Clock::System.now_ms();
    let name =
        OrganizationName::parse(&args.name).context("a name is 1 to 100 characters without control characters")?;
    let kind = OrganizationKind::parse(&args.kind).context("unknown kind")?;
    let region = RegionCode::parse(&args.region).context("a region is six digits with a known province")?;
    let offices = Offices::new(args.office, args.any_office).context("an organization has at most 100 prefixes")?;
    let new = Organization::new(random::id(now_ms), name, kind, region, now_ms);
    let new = Organization { rate: args.rate, offices, ..new };
    let (store, _) = node::open(&global.config()?).await?;
    let mut tx = store.begin().await?;
    tx.insert_organization(&new).await?;
    record(global, &mut tx, Action::OrganizationCreated, Some(new.organization_id.into()), now_ms).await?;
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
        ClientCommand::Update(args) => update(global, args).await,
        ClientCommand::List { json } => list(global, json).await,
        ClientCommand::Numbers(args) => declare(global, args).await,
        ClientCommand::Release { client_id, json } => release(global, client_id, json).await,
        ClientCommand::Disable { client_id, json } => disable(global, client_id, json).await,
        ClientCommand::RotateSecret { client_id, keep, json } => rotate_secret(global, client_id, keep, json).await,
        ClientCommand::Certificate(command) => certificate(global, command).await,
        ClientCommand::RevokeTokens { client_id, json } => revoke_tokens(global, client_id, json).await,
        ClientCommand::RevokeToken { token_id, issuer, json } => revoke_token(global, &token_id, &issuer, json).await,
    }
}

async fn create(global: &Global, args: ClientArgs) -> anyhow::Result<()> {
    let now_ms = Clock::System.now_ms();
    let scopes: Scopes = args.scope.iter().filter_map(|word| Scope::parse(word)).collect();
    let bound = args.bound.as_deref().and_then(Bound::parse);
    if args.proof.is_certificate() && bound == Some(Bound::None) {
        bail!("the tokens of a client that is known by its certificate are bound to it: leave --bound out");
    }
    let new = Client {
        rate: args.rate,
        bound: bound.unwrap_or(if args.proof.is_certificate() { Bound::Mtls } else { Bound::None }),
        numbers: StoredNumbers {
            guests: args.numbers,
            digests: Digests::parse(&args.digests).context("digests")?,
            ..StoredNumbers::default()
        },
        ..Client::new(random::id(now_ms), args.organization, scopes, now_ms)
    };
    let (proofs, secret) = args.proof.proofs()?;
    let (store, _) = node::open(&global.config()?).await?;
    expect_allowed(&store, args.organization, scopes).await?;
    let mut tx = store.begin().await?;
    tx.insert_client(&new).await?;
    for proof in &proofs {
        tx.add_proof(new.client_id, random::id(now_ms), proof, now_ms).await?;
    }
    record(global, &mut tx, Action::ClientCreated, Some(new.client_id.into()), now_ms).await?;
    if args.numbers == Some(Guests::Uncounted) {
        record(global, &mut tx, Action::ClientNumbersLifted, Some(new.client_id.into()), now_ms).await?;
        warn_of_lifted();
    }
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

async fn update(global: &Global, args: UpdateArgs) -> anyhow::Result<()> {
    let (store, _) = node::open(&global.config()?).await?;
    let mut client = store.find_client(args.client_id).await?.context("there is no such client")?;
    if !args.changes.scope.is_empty() {
        client.scopes = args.changes.scope.iter().filter_map(|word| Scope::parse(word)).collect();
    }
    expect_allowed(&store, client.organization_id, client.scopes).await?;
    client.rate = args.changes.rate.or(client.rate);
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    tx.update_client(&client).await?;
    record(global, &mut tx, Action::ClientUpdated, Some(client.client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let value = json!({"client_id": client.client_id, "scope": client.scopes.to_string()});
    output::result(args.json, &value, &[format!("scope  {}", client.scopes)]);
    Ok(())
}

/// Clients of an organization have the scopes of its kind.
async fn expect_allowed(store: &Store, organization: OrganizationId, scopes: Scopes) -> anyhow::Result<()> {
    let organization = store.find_organization(organization).await?.context("there is no such organization")?;
    let forbidden = organization.kind.forbidden(scopes);
    if !forbidden.is_empty() {
        let (kind, allowed) = (organization.kind.as_str(), organization.kind.scopes());
        bail!("a client of an organization of the kind {kind} may have the scope {allowed}, not {forbidden}");
    }
    Ok(())
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let (store, _) = node::open(&global.config()?).await?;
    let clients = store.list_clients().await?;
    store.close().await;
    let state = |client: &Client| match (client.disabled_at_ms, client.numbers.held) {
        (Some(_), _) => "disabled",
        (None, Some(_)) => "held",
        (None, None) => "live",
    };
    let values: Vec<_> = clients
        .iter()
        .map(|client| {
            let mut value = json!({
                "client_id": client.client_id, "organization_id": client.organization_id,
                "scope": client.scopes.to_string(), "state": state(client), "bound": client.bound.as_str(),
                "created_at": Rfc3339::of(client.created_at_ms).as_str(),
            });
            if let Some(rate) = client.rate {
                value["rate"] = json!(rate.to_string());
            }
            show_numbers(&client.numbers, &mut value);
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
    record(global, &mut tx, Action::ClientDisabled, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &json!({"client_id": client_id, "state": "disabled"}), &["disabled".to_owned()]);
    Ok(())
}

fn parse_prefix(text: &str) -> Result<OfficePrefix, String> {
    OfficePrefix::parse(text).ok_or_else(|| "a prefix has 1 to 32 letters, digits and hyphens".to_owned())
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    Rate::parse(text).ok_or_else(|| "a rate is written requests/seconds: 600/60s".to_owned())
}
