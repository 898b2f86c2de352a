//! `registry new-epoch`: the step after a restore from a back-up. After it, what nodes remember of the earlier history is void.

use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::opening;
use super::output;

#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// After a restore: make every node forget what it remembers, and read the store again
    #[command(after_help = "\
Sequences from before and after a restore mean different changes. A new epoch keeps them apart: nodes no longer use saved
filters or copies in memory and in Redis. Running nodes load everything; a repetition does no harm.

Example:
  lostcard registry new-epoch")]
    NewEpoch(NewEpochArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewEpochArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `registry ...`
pub(super) async fn registry(global: &Global, command: RegistryCommand) -> anyhow::Result<()> {
    let RegistryCommand::NewEpoch(args) = command;
    let (store, _) = opening::open(&global.config()?).await?;
    let epoch = store.renew_epoch().await?;
    store.close().await;
    output::result(args.json, &json!({ "epoch": epoch }), &[format!("epoch {epoch}")]);
    Ok(())
}
