//! Taking back reports that a file brought, a transaction at a time: those that are active, for reports that something else has ended
//! meanwhile stay as they are.

use super::context::Context;
use super::writer::begin;
use crate::cli::exits::try_again;
use crate::domain::ids::ReportId;
use crate::domain::report::{OfficeCode, ReportState, WithdrawalReason};
use crate::service::listing;
use crate::service::writing::{Writing, leave_to_followers};
use crate::store::import_rows::{RowFingerprint, SourceId};
use crate::store::reports::KEYS_MAX;

/// Withdraws the rows of a source that have vanished from its dump; returns how many listings ended.
pub(super) async fn withdraw_vanished(
    context: &Context,
    source: &SourceId,
    vanished: &[RowFingerprint],
) -> anyhow::Result<u64> {
    let mut withdrawn = 0;
    for rows in vanished.chunks(KEYS_MAX) {
        let mut writing = writing(context).await?;
        let reports = writing.tx.reports_of_rows(source, rows).await?;
        withdrawn += withdraw(&mut writing, &reports, Why::Vanished).await?;
        leave_to_followers(writing.tx).await?;
        if context.stop.is_set() {
            return Err(try_again(format!("stopped: {withdrawn} reports are withdrawn; the same command continues")));
        }
    }
    Ok(withdrawn)
}

/// A transaction that has its turn.
pub(super) async fn writing(context: &Context) -> anyhow::Result<Writing> {
    Ok(Writing::of_command(begin(&context.store).await?, &context.keyring, context.clock.now_ms()).await?)
}

/// Why reports are taken back.
#[derive(Clone, Copy)]
pub(super) enum Why {
    /// The source lists them no longer: the cards were found.
    Vanished,
    /// The file should not have been imported: who learnt that a card is listed learnt it wrongly.
    Undone,
}

/// Withdraws those of the reports that are active, and forgets of all that a source listed them.
pub(super) async fn withdraw(writing: &mut Writing, reports: &[ReportId], why: Why) -> anyhow::Result<u64> {
    let office = OfficeCode::of_import();
    let mut withdrawn = 0;
    for report in reports {
        let Some(stored) = writing.tx.find_any_report(*report).await? else { continue };
        if stored.report.state == ReportState::Active {
            match why {
                Why::Vanished => {
                    listing::withdrawn(writing, stored, &office, WithdrawalReason::Found).await?;
                }
                Why::Undone => listing::unfiled(writing, stored, &office).await?,
            }
            withdrawn += 1;
        }
    }
    writing.tx.forget_import_rows(reports).await?;
    Ok(withdrawn)
}
