//! `keys rotate`: new signing keys, which a running server takes up within seconds (what the old ones signed stays verifiable), and a
//! new pepper, whose steps are in `pepper`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::pepper::PepperArgs;
use super::{output, pepper};
use crate::crypto::keyfiles::{KeyFolder, Purpose};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Replace keys while servers run: of tokens, of receipts, of certificates, or the pepper
    #[command(after_help = "\
Signing keys: the public halves of old ones stay published.
Pepper: rows are re-keyed while servers run, and no answer changes. Each node needs a copy of the new file first.
If it stops at any moment, the same command continues.

Examples:
  lostcard keys rotate --receipts
  lostcard keys rotate --pepper --prepare       then copy the new file to every node's key folder
  lostcard keys rotate --pepper --json")]
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each of them on or off")]
pub(super) struct RotateArgs {
    /// The key of access tokens
    #[arg(long, required_unless_present_any = ["receipts", "certificates", "pepper"])]
    tokens: bool,
    /// The key of receipts
    #[arg(long)]
    receipts: bool,
    /// The key of temporary identification certificates
    #[arg(long)]
    certificates: bool,
    #[command(flatten)]
    pepper: PepperArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `keys ...`
pub(super) async fn keys(global: &Global, command: &KeysCommand) -> anyhow::Result<()> {
    let KeysCommand::Rotate(args) = command;
    let config = global.config()?;
    let folder = KeyFolder::new(config.key_folder());
    let chosen =
        [(args.tokens, Purpose::Token), (args.receipts, Purpose::Receipt), (args.certificates, Purpose::Certificate)];
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
    output::result(args.json, &json!({ "rotated": rotated }), &lines);
    Ok(())
}
