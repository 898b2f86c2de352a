//! `import undo`: taking back a whole import by its id. Afterwards its file can be imported once more.

use anyhow::bail;
use serde_json::json;

use super::args::UndoArgs;
use super::context::Context;
use super::stop::Stop;
use super::withdrawing::{withdraw, writing};
use super::writer::{begin, import_id};
use crate::cli::exits::try_again;
use crate::cli::global::Global;
use crate::cli::output;
use crate::clock::Clock;
use crate::domain::audit::{Action, Deed};
use crate::domain::ids::ImportId;
use crate::domain::report::WithdrawalReason;
use crate::domain::sequence::Sequence;
use crate::node;
use crate::service::writing::leave_to_followers;
use crate::store::import_rows::Piece;

/// `import undo`
pub(super) async fn undo(global: &Global, args: &UndoArgs, json: bool) -> anyhow::Result<()> {
    let config = global.config()?;
    let (store, keyring) = node::open(&config).await?;
    let context = Context { store, keyring, clock: Clock::System, stop: Stop::on_ctrl_c(), behind: global.behind()? };
    let pieces = context.store.import_pieces(args.import_id).await?;
    let Some(part) = Piece::around(&pieces) else {
        bail!("there is no such import, or it stored nothing");
    };
    let withdrawn = withdraw_pieces(&context, args.import_id, &pieces, &part).await?;
    forget(&context, args.import_id).await?;
    context.end(&config).await;
    let told = match withdrawn {
        0 => "nothing left: what the import brought is withdrawn or replaced already".to_owned(),
        count => format!("withdrawn  {count}"),
    };
    output::result(json || args.json, &json!({"import_id": args.import_id, "withdrawn": withdrawn}), &[told]);
    Ok(())
}

/// Every report that is still as the import left it, page by page.
async fn withdraw_pieces(context: &Context, import: ImportId, pieces: &[Piece], part: &Piece) -> anyhow::Result<u64> {
    let (mut withdrawn, mut after) = (0, None);
    loop {
        let page = context.store.active_reports_between(part, after).await?;
        let Some((last, _)) = page.last() else { return Ok(withdrawn) };
        after = Some(*last);
        let is_of_import = |sequence: Sequence| {
            let at = pieces.partition_point(|piece| *piece.sequences.end() < sequence);
            pieces.get(at).is_some_and(|piece| piece.sequences.contains(&sequence))
        };
        let reports: Vec<_> = page.into_iter().filter(|(_, at)| is_of_import(*at)).map(|(report, _)| report).collect();
        if reports.is_empty() {
            continue;
        }
        let mut writing = writing(context).await?;
        if withdrawn == 0 {
            let deed = Deed::of_operator(Action::ImportUndone, Some(import.into())).by(&context.behind);
            writing.tx.record_deed(&deed, writing.now_ms).await?;
        }
        withdrawn += withdraw(&mut writing, &reports, WithdrawalReason::Mistaken).await?;
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
