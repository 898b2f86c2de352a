//! What the change of a listing entails, in the same transaction: every way in (API, portal, found card, application) comes by
//! here. A further consequence is a further call.

use jiff::civil::Date;

use super::writing::Writing;
use super::{ServiceError, alerts, applications};
use crate::clock::beijing_date;
use crate::crypto::digest::IdDigest;
use crate::domain::report::LossReport;
use crate::domain::verdict::Record;

/// A report was filed: cards of the number are listed from now on.
pub async fn of_report(writing: &mut Writing, digest: &IdDigest, report: &LossReport) -> Result<(), ServiceError> {
    // A card that was handed in before it was reported.
    let lookup_keys = writing.lookup_keys(digest);
    writing.tx.match_to_report(report.id, report.card_valid_from, &lookup_keys).await?;
    applications::lose_temporary_cards(writing, digest, report).await?;
    let record = Record::Report {
        state: report.state,
        card_valid_from: report.card_valid_from,
        reported_on: beijing_date(report.reported_at_ms),
    };
    alerts::tell_of(writing, digest, record).await
}

/// A new card was issued: cards of the number that start before it are listed from now on.
pub async fn of_replacement(
    writing: &mut Writing,
    digest: &IdDigest,
    card_valid_from: Date,
) -> Result<(), ServiceError> {
    let record = Record::Replacement { card_valid_from, recorded_on: beijing_date(writing.now_ms) };
    alerts::tell_of(writing, digest, record).await
}
