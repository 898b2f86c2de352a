//! `retention run`: what the nodes do every hour, at once, or only counted.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::global::Global;
use super::opening;
use super::output;
use crate::clock::Clock;
use crate::node::options;
use crate::service::retention::Retention;

#[derive(Debug, Subcommand)]
pub(super) enum RetentionCommand {
    /// Delete records whose period is over, as the nodes do every hour; or only count them
    #[command(after_help = "\
Nodes may be running: they learn about each listing that ends. If a run stops, the next one continues.

Examples:
  lostcard retention run --dry-run
  lostcard retention run --json")]
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Count, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `retention ...`
pub(super) async fn retention(global: &Global, command: RetentionCommand) -> anyhow::Result<()> {
    let RetentionCommand::Run(args) = command;
    let config = global.config()?;
    let (store, _) = opening::open(&config).await?;
    let policies = options::retention_policies(&config)?;
    let retention = Retention { clock: Clock::System, store, policies, behind: global.behind()? };
    let found = if args.dry_run { retention.preview().await? } else { retention.run_by_hand().await? };
    retention.store.close().await;
    let count = if args.dry_run { "due" } else { "deleted" };
    let classes: Vec<Value> = found
        .iter()
        .map(|expired| json!({"class": expired.class.as_str(), "keep": expired.keep.to_string(), count: expired.rows}))
        .collect();
    let mut lines = vec![format!("{:<18} {:>10} {count:>12}", "class", "kept")];
    lines.extend(found.iter().map(|expired| {
        let (class, keep) = (expired.class.as_str(), expired.keep.to_string());
        format!("{class:<18} {keep:>10} {:>12}", expired.rows)
    }));
    output::result(args.json, &json!({"dry_run": args.dry_run, "classes": classes}), &lines);
    Ok(())
}
