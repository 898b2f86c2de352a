//! `import`: loss reports from a file into the store, by the rules of the API. The file is planned as a whole before any of it is
//! stored (`plan`); then it is read again (`records`), sorted and sealed (`runs`) and stored (`writer`). Killed at any moment it
//! continues where it stopped: every transaction notes how far it came (`store::imports`). `course` puts the parts together.

mod args;
pub(super) mod cells;
mod context;
mod course;
pub(super) mod csv_form;
pub(super) mod dates;
pub(super) mod encoding;
pub(super) mod header;
pub(super) mod input;
mod judge;
mod known;
mod limit;
pub(super) mod lines;
mod ndjson_form;
mod plan;
mod planning;
pub(super) mod progress;
mod reading;
mod records;
mod rejects;
mod repeats;
pub(super) mod row;
mod runs;
pub(super) mod stop;
mod summary;
mod undo;
mod withdrawing;
mod words;
mod writer;
pub(super) mod xlsx_form;

use super::exits::{or_try_again, usage};
use super::global::Global;
pub(super) use args::ImportArgs;
use args::ImportCommand;
pub(super) use context::wait_out_lease;

/// `import`
pub(super) async fn import(global: &Global, args: ImportArgs) -> anyhow::Result<()> {
    let done = match &args.command {
        Some(_) if args.file.is_some() => Err(usage("a file is imported, or an import undone: not both at once")),
        Some(ImportCommand::Undo(undo)) => undo::undo(global, undo, args.json).await,
        None => course::run(global, args).await,
    };
    done.map_err(or_try_again)
}
