//! `registry new-epoch`: the step after a restore from a back-up. What nodes remember of the history before is void from then on.

use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::output;
use crate::node;

#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// After a restore: make every node forget what it remembers, and read the store anew
    #[command(after_help = "\
Sequences of before and after a restore mean different changes. A new epoch keeps them apart: saved filters,
copies in memory and in Redis are not used any more. Nodes that run load everything; it harms nothing to repeat.

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
    let (store, _) = node::open(&global.config()?).await?;
    let epoch = store.renew_epoch().await?;
    store.close().await;
    output::result(args.json, &json!({ "epoch": epoch }), &[format!("epoch {epoch}")]);
    Ok(())
}
