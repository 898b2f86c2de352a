//! `config check|print`: whether the settings can be taken, and which are in effect and where each was set. Touches neither keys nor
//! store, and shows no secret.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::global::Global;
use super::output;
use crate::config::{InEffect, Origin};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the settings can be taken; if not: which key, where, what was found and what would be right
    #[command(after_help = "Examples:
  lostcard config check --config /etc/lostcard/lostcard.toml
  LOSTCARD_WORKERS=2 lostcard config check --json")]
    Check(ConfigArgs),
    /// Print every setting that is in effect, as a file, and where it was set; secrets are left out
    #[command(after_help = "Examples:
  lostcard config print --config /etc/lostcard/lostcard.toml
  lostcard config print --json")]
    Print(ConfigArgs),
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `config ...`
pub(super) fn config(global: &Global, command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => check(global, args),
        ConfigCommand::Print(args) => print(global, args),
    }
}

fn check(global: &Global, args: &ConfigArgs) -> anyhow::Result<()> {
    match global.settings_or_why() {
        Ok(config) => {
            let set = config.count_set();
            let line = format!("ok: {set} settings are set, the others have their defaults");
            output::result(args.json, &json!({"state": "ok", "set": set}), &[line]);
            Ok(())
        }
        Err(error) => {
            if args.json {
                output::line(&json!({"state": "wrong", "found": error.to_string()}).to_string());
            }
            Err(error.into())
        }
    }
}

fn print(global: &Global, args: &ConfigArgs) -> anyhow::Result<()> {
    let settings = global.config()?.in_effect();
    let values: Vec<_> = settings.iter().map(value).collect();
    let lines: Vec<_> = settings.iter().map(line).collect();
    output::result(args.json, &json!({ "settings": values }), &lines);
    Ok(())
}

fn value(setting: &InEffect) -> Value {
    let mut value = json!({"key": setting.key, "set_by": setting.origin.to_string(), "secret": setting.is_secret});
    if let Some(toml) = &setting.toml {
        // Numbers, texts and lists are written alike in both; the rest stays a text.
        value["value"] = serde_json::from_str(toml).unwrap_or_else(|_| json!(toml));
    }
    value
}

fn line(setting: &InEffect) -> String {
    let InEffect { key, toml, is_secret, origin } = setting;
    match toml {
        Some(toml) if *origin == Origin::Default => format!("{key} = {toml}"),
        Some(toml) => format!("{key} = {toml}  # {origin}"),
        None if *is_secret => format!("# {key} is set by {origin}, and not shown"),
        None => format!("# {key} is not set"),
    }
}
