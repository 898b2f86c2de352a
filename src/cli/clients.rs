//! `client create|disable`; how clients are shown and changed is in `client_records.rs`, what they prove themselves by in
//! `credentials.rs`, whose numbers they may ask about in `client_numbers.rs`. Each is a transaction with its feed row:
//! a server that runs on the same data takes it up within its lease. Each is in the audit log, as done by nobody's client.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::json;

use super::client_numbers::{DeclareArgs, declare, parse_guests, release, warn_of_lifted};
use super::client_records::{SCOPES, UpdateArgs, expect_allowed, list, show, update};
use super::credentials::{
    CertificateCommand, ProofArgs, certificate, parse_time, record, revoke_token, revoke_tokens, rotate_secret,
};
use super::global::Global;
use super::opening;
use super::organizations::{parse_name, parse_rate};
use super::output;
use super::unrepeated::Unrepeated;
use crate::clock::Clock;
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::domain::client::{Bound, OrganizationName, Rate, Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::numbers::{Digests, Guests};
use crate::store::clients::{Client, StoredNumbers};

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
    #[command(after_help = "Examples:
  lostcard client update 01993c5e-0000-7000-8000-000000000000 --scope checks --rate 600/60s --json
  lostcard client update 01993c5e-0000-7000-8000-000000000000 --state suspended --as 'Wang Fang' --reason 'ticket 7'")]
    Update(UpdateArgs),
    /// Show a client
    #[command(after_help = "Example:
  lostcard client show 01993c5e-0000-7000-8000-000000000000 --json")]
    Show {
        client_id: ClientId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
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
        // Another issuer's may be base64url, and begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
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
    /// What it is called: 1 to 100 characters
    #[arg(long, value_parser = Unrepeated(parse_name))]
    name: Option<OrganizationName>,
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

/// `client ...`
pub(super) async fn client(global: &Global, command: ClientCommand) -> anyhow::Result<()> {
    match command {
        ClientCommand::Create(args) => create(global, args).await,
        ClientCommand::Update(args) => update(global, args).await,
        ClientCommand::Show { client_id, json } => show(global, client_id, json).await,
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
        name: args.name,
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
    let (store, _) = opening::open(&global.config()?).await?;
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

async fn disable(global: &Global, client_id: ClientId, json: bool) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    if !tx.disable_client(client_id, now_ms).await? {
        bail!("there is no such client");
    }
    record(global, &mut tx, Action::ClientDisabled, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &json!({"client_id": client_id, "state": "ended"}), &["ended".to_owned()]);
    Ok(())
}
