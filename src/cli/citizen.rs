//! `citizen export`: everything about one number, for the operator who answers the person.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::global::Global;
use super::opening;
use super::{audit_who, number_input, output};
use crate::clock::{Clock, Rfc3339};
use crate::own_files;
use crate::service::person_export::export;

#[derive(Debug, Subcommand)]
pub(super) enum CitizenCommand {
    /// Write everything that is held about a person, whose number comes by standard input, as JSON
    #[command(after_help = "\
Every record of every table, and who looked at them. The person's own contact is in plain text; what others told (a finder's
telephone, a narrative about misuse) only shows that it is there. Make sure who asks before you hand anything over, and judge what
of misuse reports and watches the person may see. The export itself leaves an entry in the audit log.

Example:
  lostcard citizen export --as 'Wang Fang' --reason 'asked by the person' --output export.json < number.txt")]
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A new file to write, for its owner alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `citizen ...`
pub(super) async fn citizen(global: &Global, command: CitizenCommand) -> anyhow::Result<()> {
    let CitizenCommand::Export(args) = command;
    let digest = number_input::read_digest()?;
    let (store, keyring) = opening::open_what_is_there(&global.config()?).await?;
    // Before anything is read: an entry about an export that was not written would be wrong.
    let file = args.output.as_ref().map(|path| own_files::create_new(path).with_context(|| path.display().to_string()));
    let file = file.transpose()?;
    let now_ms = Clock::System.now_ms();
    let found = export((&store, &keyring), &digest, &global.behind()?, now_ms).await?;
    store.close().await;
    let accesses: Vec<Value> = found.accesses.iter().map(audit_who::to_json).collect();
    let value = json!({"exported_at": Rfc3339::of(now_ms).as_str(), "records": found.records, "accesses": accesses});
    let text = serde_json::to_string_pretty(&value)?;
    match file {
        None => output::line(&text),
        Some(mut file) => {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
    }
    Ok(())
}
