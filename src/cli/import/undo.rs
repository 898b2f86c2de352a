//! `import undo`: taking back a whole import by its id. Afterwards its file can be imported once more.

use anyhow::bail;
use serde_json::json;

use super::args::UndoArgs;
use super::context::Context;
use super::stop::Stop;
use super::withdrawing::{Why, withdraw, writing};
use super::writer::{begin, import_id};
use crate::cli::exits::try_again;
use crate::cli::global::Global;
use crate::cli::opening;
use crate::cli::output;
use crate::clock::Clock;
use crate::domain::audit::{Action, Deed};
use crate::domain::ids::{ImportId, ReportId};
use crate::domain::sequence::Sequence;
use crate::service::writing::leave_to_followers;
use crate::store::import_rows::Piece;

/// `import undo`
pub(super) async fn undo(global: &Global, args: &UndoArgs, json: bool) -> anyhow::Result<()> {
    let behind = global.behind_undoing()?;
    let config = global.config()?;
    let (store, keyring) = opening::open(&config).await?;
    let context = Context { store, keyring, clock: Clock::System, stop: Stop::on_ctrl_c(), behind };
    let pieces = context.store.import_pieces(args.import_id).await?;
    let withdrawn = match Piece::around(&pieces) {
        Some(part) => match withdraw_pieces(&context, args.import_id, &pieces, &part).await {
            Ok(withdrawn) => withdrawn,
            Err(stopped) => {
                context.end(&config).await;
                return Err(stopped);
            }
        },
        None if is_known(&context, args.import_id).await? => 0,
        None => bail!("there is no such import"),
    };
    forget(&context, args.import_id).await?;
    context.end(&config).await;
    let told = match withdrawn {
        0 => "nothing left: what the import brought is withdrawn or replaced already".to_owned(),
        count => format!("withdrawn  {count}"),
    };
    output::result(json || args.json, &json!({"import_id": args.import_id, "withdrawn": withdrawn}), &[told]);
    Ok(())
}

/// Whether there was such an import: one whose rows were all known stored nothing, and has no piece.
async fn is_known(context: &Context, import: ImportId) -> anyhow::Result<bool> {
    let mut tx = begin(&context.store).await?;
    let deeds = tx.deeds_since(import.into(), 0).await?;
    Ok(deeds.iter().any(|deed| deed.action == Action::ImportBegun))
}

/// Every report that is still as the import left it, page by page.
async fn withdraw_pieces(context: &Context, import: ImportId, pieces: &[Piece], part: &Piece) -> anyhow::Result<u64> {
    let (mut withdrawn, mut after) = (0, None);
    loop {
        let page = context.store.active_reports_between(part, after).await?;
        let Some((last, _)) = page.last() else { return Ok(withdrawn) };
        after = Some(*last);
        let is_of_import = |(report, sequence): &(ReportId, Sequence)| {
            let at = pieces.partition_point(|piece| piece.sequences.end() < sequence);
            let holds = |piece: &Piece| piece.sequences.contains(sequence) && piece.reports.contains(report);
            pieces.get(at).is_some_and(holds)
        };
        let reports: Vec<_> = page.into_iter().filter(is_of_import).map(|(report, _)| report).collect();
        if reports.is_empty() {
            continue;
        }
        let mut writing = writing(context).await?;
        if withdrawn == 0 {
            let deed = Deed::of_operator(Action::ImportUndone, Some(import.into())).by(&context.behind);
            writing.tx.record_deed(&deed, writing.now_ms).await?;
        }
        withdrawn += withdraw(&mut writing, &reports, Why::Undone).await?;
        leave_to_followers(writing.tx).await?;
        if context.stop.is_set() {
            return Err(try_again(format!("stopped: {withdrawn} reports are withdrawn; the same command continues")));
        }
    }
}

/// The file may be imported once more.
async fn forget(context: &Context, import: ImportId) -> anyhow::Result<()> {
    let files = context.store.list_imports().await?;
    let mut tx = begin(&context.store).await?;
    for file in files.iter().filter(|file| import_id(file) == import) {
        tx.forget_import(file).await?;
    }
    Ok(tx.commit_unlisted().await?)
}
