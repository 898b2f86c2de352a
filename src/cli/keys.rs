//! `keys rotate`: new signing keys, which a running server takes up within seconds (what the old ones signed stays verifiable), and a
//! new pepper, whose steps are in `pepper`. `keys fingerprints` is in `fingerprints`; `init`, `list` and `retire` are in `keys_kept`.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::fingerprints::{FingerprintsArgs, fingerprints};
use super::global::Global;
use super::keys_kept::{InitArgs, ListArgs, RetireArgs, init, list, retire};
use super::opening;
use super::pepper::PepperArgs;
use super::{output, pepper};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::keyfiles::{KeyFolder, Purpose};
use crate::node;
use crate::service::blind::keys;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Replace keys while servers run: of tokens, of receipts, of certificates, of blind checks, or the pepper
    #[command(after_help = "\
Signing keys: the public halves of old ones stay published.
Blind key: a node builds the new base; clients have a day to take it up.
Pepper: rows are re-keyed while servers run, and no answer changes. Each node needs a copy of the new file first.
If it stops at any moment, the same command continues.

Examples:
  lostcard keys rotate --receipts
  lostcard keys rotate --pepper --prepare       then copy the new file to every node's key folder
  lostcard keys rotate --pepper --json")]
    Rotate(RotateArgs),
    /// Make a key folder with one key of each purpose, once, in one place; then copy it to every node
    #[command(after_help = "\
A node compares the keys with its store at its start, and refuses others. Back the folder up now, apart from the database.

Examples:
  lostcard keys init --keys ./keys
  lostcard keys init --data /var/lib/lostcard --json")]
    Init(InitArgs),
    /// List the files of the key folder: purpose, version, state, when written
    #[command(after_help = "Examples:
  lostcard keys list
  lostcard keys list --keys /etc/lostcard/keys --json")]
    List(ListArgs),
    /// Remove a key file that nothing needs any more: an earlier pepper, or the public half of an earlier key of tokens
    #[command(after_help = "\
Refused while rows, watches, another pepper or a token that is still valid need it. Earlier back-ups of the database always need
their pepper: keep it with them. Public halves of receipts and certificates stay: without them nobody can verify these.

Examples:
  lostcard keys retire --pepper 1
  lostcard keys retire --tokens 3 --json")]
    Retire(RetireArgs),
    /// Print the fingerprints of the public signing keys, for those who pin them
    #[command(after_help = "\
A fingerprint is the SHA-256 thumbprint of the key (RFC 7638), in hexadecimal. Tell it by a way of its own: in a contract, by
telephone, on paper. Who has it needs to trust nobody who hands over jwks.json.

Examples:
  lostcard keys fingerprints
  lostcard keys fingerprints --jwks jwks.json       an auditor's, of the keys in a file")]
    Fingerprints(FingerprintsArgs),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each of them on or off")]
pub(super) struct RotateArgs {
    /// The key of access tokens
    #[arg(long, required_unless_present_any = ["receipts", "certificates", "log", "pepper", "blind"])]
    tokens: bool,
    /// The key of receipts
    #[arg(long)]
    receipts: bool,
    /// The key of temporary identification certificates
    #[arg(long)]
    certificates: bool,
    /// The key of the registry log's checkpoints
    #[arg(long)]
    log: bool,
    /// The key of blind checks: each node does it by itself every week
    #[arg(long)]
    blind: bool,
    #[command(flatten)]
    pepper: PepperArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `keys ...`
pub(super) async fn keys(global: &Global, command: &KeysCommand) -> anyhow::Result<()> {
    let args = match command {
        KeysCommand::Rotate(args) => args,
        KeysCommand::Fingerprints(args) => return fingerprints(global, args),
        KeysCommand::Init(args) => return init(global, args).await,
        KeysCommand::List(args) => return list(global, args),
        KeysCommand::Retire(args) => return retire(global, args).await,
    };
    let config = global.config()?;
    let folder = KeyFolder::new(config.key_folder());
    let chosen = [
        (args.tokens, Purpose::Token),
        (args.receipts, Purpose::Receipt),
        (args.certificates, Purpose::Certificate),
        (args.log, Purpose::Log),
    ];
    let (mut rotated, mut lines) = (Vec::new(), Vec::new());
    for (_, purpose) in chosen.into_iter().filter(|(is_chosen, _)| *is_chosen) {
        let (version, kid) = folder.rotate_signing_key(purpose)?;
        lines.push(format!("{} {version} {kid}", purpose.as_str()));
        rotated.push(json!({"purpose": purpose.as_str(), "version": version, "kid": kid}));
    }
    if args.pepper.pepper {
        let (value, told) = pepper::rotate(&config, &args.pepper).await?;
        rotated.push(value);
        lines.extend(told);
    }
    if args.blind {
        let epoch = rotate_blind(&config).await?;
        lines.push(format!("{} {epoch}", Purpose::Blind.as_str()));
        rotated.push(json!({"purpose": Purpose::Blind.as_str(), "version": epoch}));
    }
    output::result(args.json, &json!({ "rotated": rotated }), &lines);
    Ok(())
}

/// The next blind key, once the one before the current one is over.
async fn rotate_blind(config: &Config) -> anyhow::Result<u32> {
    let (store, keyring) = opening::open(config).await?;
    let issuer = node::issuer_of_command(config, &store).await?;
    let before = store.blind_keys().await?.versions;
    let Some(versions) = before else {
        bail!("there are no blind checks: a node begins them, unless blind.enabled is false")
    };
    if versions.previous.is_some() && !versions.is_behind {
        bail!("the last rotation was less than a day ago: clients still use the key before it");
    }
    let epoch = keys::begin(&store, &keyring, &issuer, before, Clock::System.now_ms()).await?;
    store.close().await;
    epoch.context("another rotation was quicker")
}
