//! `keys rotate`: new signing keys. A running server takes them up within seconds; what the old ones signed stays verifiable.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Global, output};
use crate::crypto::keyfiles::{KeyFolder, Purpose};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Replace signing keys; the public halves of old ones stay published
    #[command(after_help = "Example:
  lostcard keys rotate --receipts")]
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The key of access tokens
    #[arg(long, required_unless_present = "receipts")]
    tokens: bool,
    /// The key of receipts
    #[arg(long)]
    receipts: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `keys ...`
pub(super) fn keys(global: &Global, command: &KeysCommand) -> anyhow::Result<()> {
    let KeysCommand::Rotate(args) = command;
    let folder = KeyFolder::new(global.config()?.key_folder());
    let chosen = [(args.tokens, Purpose::Token), (args.receipts, Purpose::Receipt)];
    let mut rotated = Vec::new();
    for (_, purpose) in chosen.into_iter().filter(|(is_chosen, _)| *is_chosen) {
        let (version, kid) = folder.rotate_signing_key(purpose)?;
        rotated.push(json!({"purpose": purpose.as_str(), "version": version, "kid": kid}));
    }
    let lines: Vec<_> =
        rotated.iter().map(|key| format!("{} {} {}", key["purpose"], key["version"], key["kid"])).collect();
    output::result(args.json, &json!({ "rotated": rotated }), &lines);
    Ok(())
}
