//! `contact erase`: a person's contact or narrative goes, the record stays.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::opening;
use super::output;
use crate::clock::Clock;
use crate::domain::ids::{FoundCardId, MisuseReportId, RecordId, ReportId};
use crate::service::erasure::erase;
use crate::store::aggregates::{FOUND_CARDS, LOSS_REPORTS, MISUSE_REPORTS};
use crate::store::erasure::Erased;

#[derive(Debug, Subcommand)]
pub(super) enum ContactCommand {
    /// Erase what a person told with a record: nobody can read it again. The record stays
    #[command(after_help = "\
Destroys the key that sealed the text. Earlier back-ups still have it: docs/SECURITY.md says what remains where, and until
when. Nodes may be running.

Examples:
  lostcard contact erase --report 01993c5e-0000-7000-8000-000000000000
  lostcard contact erase --misuse-report 01993c5e-0000-7000-8000-000000000000 --json")]
    Erase(EraseArgs),
}

#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    record: Record,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Record {
    /// The contact of a loss report
    #[arg(long, value_name = "ID")]
    report: Option<ReportId>,
    /// The finder's contact of a found card
    #[arg(long, value_name = "ID")]
    found_card: Option<FoundCardId>,
    /// The narrative of a misuse report
    #[arg(long, value_name = "ID")]
    misuse_report: Option<MisuseReportId>,
}

/// `contact ...`
pub(super) async fn contact(global: &Global, command: ContactCommand) -> anyhow::Result<()> {
    let ContactCommand::Erase(args) = command;
    let (of, id) = match args.record {
        Record { report: Some(id), .. } => (&LOSS_REPORTS, RecordId::from(id)),
        Record { found_card: Some(id), .. } => (&FOUND_CARDS, id.into()),
        Record { misuse_report: Some(id), .. } => (&MISUSE_REPORTS, id.into()),
        Record { .. } => bail!("say which record: --report, --found-card or --misuse-report"),
    };
    let (store, keyring) = opening::open_what_is_there(&global.config()?).await?;
    let done = erase((&store, &keyring), of, id, &global.behind()?, Clock::System.now_ms()).await?;
    store.close().await;
    let state = match done.erased {
        Erased::NoRecord => bail!("there is no such record"),
        Erased::Nothing => "nothing_to_erase",
        Erased::Done => "erased",
    };
    let line = match (done.erased, done.is_off_disk) {
        (Erased::Done, true) => "erased; back-ups from before still have it",
        (Erased::Done, false) => {
            "erased; the database's own files and back-ups may still hold it for a while: docs/SECURITY.md"
        }
        _ => "there was nothing to erase",
    };
    let value = json!({"record_id": id, "state": state, "off_disk": done.is_off_disk});
    output::result(args.json, &value, &[line.to_owned()]);
    Ok(())
}
