//! `log ...`: the registry log, by its operator (`verify`, against the store) and by anybody (`watch`, over HTTP).

mod monitored;
mod watch;

use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::output;
use crate::cli::opening;
use crate::crypto::signing::base64url;
use crate::service::registry_log::verify::verify;

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Verify every leaf, tile and checkpoint of the store's registry log
    #[command(after_help = "\
Exit codes: 0 every log is what its checkpoint says, 1 one is not.

Example:
  lostcard log verify --data /var/lib/lostcard")]
    Verify(VerifyArgs),
    /// Follow a registry log, and tell when it shows another history than before
    #[command(after_help = "\
Each new checkpoint must be signed by a key that is given, and continue the last one that was seen, which is kept in the state file.
No token is needed. Run it where the log's operator has no access, and keep the state file.

Exit codes: 0 stopped, or with --once consistent; 10 the log shows another history: both checkpoints are in STATE.fork, as evidence;
75 with --once, the log cannot be read, shows an older state than before, lacks the cosignatures of the policy or has old ones. A checkpoint
whose tiles do not give its root is kept in STATE.unproven.

Example:
  curl -s https://lostcard.example/registry-log/keys
  lostcard log watch --url https://lostcard.example --state ./log-state --log-key KEY")]
    Watch(watch::WatchArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `log ...`
pub(super) async fn log(global: &Global, command: LogCommand) -> anyhow::Result<()> {
    let args = match command {
        LogCommand::Verify(args) => args,
        LogCommand::Watch(args) => return watch::watch(&args).await,
    };
    let (store, keyring) = opening::open_what_is_there(&global.config()?).await?;
    let verified = verify(&store, &keyring).await;
    store.close().await;
    let (mut lines, mut logs) = (Vec::new(), Vec::new());
    for log in verified? {
        let (origin, size, root) = (&log.checkpoint.origin, log.checkpoint.size, base64url(&log.checkpoint.root));
        lines.push(format!("{origin}: {size} leaves, root {root}, {} not signed yet", log.unsigned));
        logs.push(json!({"origin": origin, "size": size, "root": root, "unsigned": log.unsigned}));
    }
    if lines.is_empty() {
        lines.push("there is no registry log".to_owned());
    }
    output::result(args.json, &json!({ "logs": logs }), &lines);
    Ok(())
}
