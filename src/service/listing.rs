//! The one way by which a listing changes, no matter who changes it: API, portal, found card, application, file, sandbox, demo and
//! retention. Each change is told to the feed, written, and followed by all that it entails, in one transaction. A further
//! consequence is a further call here. How the transaction ends is `writing`'s.

use jiff::civil::Date;

use super::writing::{Writing, seal_number};
use super::{ServiceError, alerts};
use crate::clock::beijing_date;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::ids::{OrganizationId, ReplacementId};
use crate::domain::instant::UnixMs;
use crate::domain::report::{OfficeCode, WithdrawalReason};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;
use crate::store::feed::RecordedChange;
use crate::store::replacements::{NewReplacement, StoredReplacement};
use crate::store::reports::{Closing, NewReport, StoredReport};
use crate::store::retention::{Due, Piece};
use crate::store::{StoreError, WriteTx};

/// A replacement as a registrar records it.
#[derive(Debug)]
pub struct Replacing {
    pub digest: IdDigest,
    pub card_valid_from: Date,
    pub office: OfficeCode,
}

/// A recorded replacement.
#[derive(Debug)]
pub struct Replacement {
    pub replacement_id: ReplacementId,
    pub card_valid_from: Date,
    pub reports_replaced: usize,
    pub recorded_at_ms: UnixMs,
    pub sequence: Sequence,
}

/// Reports were filed, one or thousands: cards of their numbers are listed from now on.
pub async fn reported(writing: &mut Writing, reports: &[NewReport]) -> Result<RecordedChange, ServiceError> {
    let keys: Vec<_> = reports.iter().map(|report| report.number.lookup_key).collect();
    let change = writing.tx.record_listings(&keys).await?;
    writing.tx.insert_reports(reports, &change).await?;
    match_found_cards(writing, reports, &keys).await?;
    lose_temporary_cards(writing, reports).await?;
    alerts::tell_of_reports(writing, reports).await?;
    Ok(change)
}

/// The holder has the card again: the report lists no card from now on, no matter who filed it.
pub async fn withdrawn(
    writing: &mut Writing,
    stored: StoredReport,
    office: &OfficeCode,
    reason: WithdrawalReason,
) -> Result<StoredReport, ServiceError> {
    let report = stored.report.withdraw()?;
    let change = writing.tx.record_listing(&stored.lookup_key).await?;
    let closing = Closing { at_ms: writing.now_ms, office, withdrawal: Some(reason) };
    writing.tx.close_report(&report, &closing, &change).await?;
    Ok(StoredReport { report, lookup_key: stored.lookup_key, sequence: change.sequence(), taken: None })
}

/// A new card was issued: cards of the number that start before it are listed from now on, and reports of such cards have ended.
/// A card that would itself be listed is none of the number's new ones.
pub async fn replaced(
    writing: &mut Writing,
    organization: OrganizationId,
    replacement_id: ReplacementId,
    replacing: &Replacing,
) -> Result<Replacement, ServiceError> {
    let Replacing { digest, card_valid_from, office } = replacing;
    let keys = writing.lookup_keys(digest);
    expect_after_listed(writing, &keys, *card_valid_from, None).await?;
    let number = seal_number(&writing.keyring, &writing.peppers.current, digest, replacement_id)?;
    let change = writing.tx.record_listing(&number.lookup_key).await?;
    let reports_replaced = end_reports(writing, &keys, *card_valid_from, office, &change).await?;
    let new = NewReplacement {
        replacement_id,
        organization,
        number,
        card_valid_from: *card_valid_from,
        office: office.clone(),
        recorded_at_ms: writing.now_ms,
    };
    writing.tx.insert_replacement(&new, &change).await?;
    let record = Record::Replacement { card_valid_from: *card_valid_from, recorded_on: beijing_date(writing.now_ms) };
    alerts::tell_of(writing, digest, replacement_id, record, None).await?;
    let (card_valid_from, recorded_at_ms) = (*card_valid_from, writing.now_ms);
    Ok(Replacement { replacement_id, card_valid_from, reports_replaced, recorded_at_ms, sequence: change.sequence() })
}

/// A replacement was recorded with a wrong start: the right one lists cards from now on. Those who watch a card that the wrong one
/// let pass are told, and those who learnt that a card is listed which should not be.
pub async fn corrected(
    writing: &mut Writing,
    stored: &StoredReplacement,
    replacing: &Replacing,
) -> Result<Replacement, ServiceError> {
    let Replacing { digest, card_valid_from, office } = replacing;
    let keys = writing.lookup_keys(digest);
    expect_after_listed(writing, &keys, *card_valid_from, Some(stored.replacement_id)).await?;
    let change = writing.tx.record_listing(&stored.number.lookup_key).await?;
    let reports_replaced = end_reports(writing, &keys, *card_valid_from, office, &change).await?;
    writing.tx.correct_replacement(stored.replacement_id, *card_valid_from, office, &change).await?;
    let recorded_on = beijing_date(stored.recorded_at_ms);
    let record = |card_valid_from| Record::Replacement { card_valid_from, recorded_on };
    let before = record(stored.card_valid_from);
    alerts::tell_of(writing, digest, stored.replacement_id, record(*card_valid_from), Some(before)).await?;
    if *card_valid_from < stored.card_valid_from {
        alerts::tell_to_check_again(writing, stored.replacement_id).await?;
    }
    Ok(Replacement {
        replacement_id: stored.replacement_id,
        card_valid_from: *card_valid_from,
        reports_replaced,
        recorded_at_ms: stored.recorded_at_ms,
        sequence: change.sequence(),
    })
}

/// A new card starts after each card of its number that is listed, but for what one replacement lists by itself.
async fn expect_after_listed(
    writing: &mut Writing,
    keys: &[LookupKey],
    card_valid_from: Date,
    except: Option<ReplacementId>,
) -> Result<(), ServiceError> {
    let threshold = writing.tx.listed_until(keys, except).await?;
    let is_listed = threshold.is_some_and(|threshold| threshold.covers(card_valid_from));
    if is_listed { Err(ServiceError::NotAfterListed) } else { Ok(()) }
}

/// Ends the active reports of cards that start before the new one. Returns how many.
async fn end_reports(
    writing: &mut Writing,
    keys: &[LookupKey],
    card_valid_from: Date,
    office: &OfficeCode,
    change: &RecordedChange,
) -> Result<usize, ServiceError> {
    let closing = Closing { at_ms: writing.now_ms, office, withdrawal: None };
    let mut ended = 0;
    for stored in writing.tx.active_reports(keys).await? {
        if stored.report.is_replaced_by(card_valid_from) {
            let report = stored.report.replace(card_valid_from)?;
            writing.tx.close_report(&report, &closing, change).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Deletes a piece of what is due; returns how many rows went. A listing that ends so leaves its change
/// in the feed, its sightings go with it, and a found card no longer names it.
pub async fn expired(tx: &mut WriteTx, piece: &Piece, due: &Due) -> Result<u64, StoreError> {
    tx.delete_due(piece, due).await
}

/// A sandbox begins again: what an organization wrote goes, and what anybody wrote of some numbers, with their listings.
pub async fn removed(
    writing: &mut Writing,
    organization: OrganizationId,
    keys: &[LookupKey],
) -> Result<(), ServiceError> {
    Ok(writing.tx.remove_for_reset(organization, keys).await?)
}

/// Cards that were handed in before they were reported.
async fn match_found_cards(
    writing: &mut Writing,
    reports: &[NewReport],
    keys: &[LookupKey],
) -> Result<(), ServiceError> {
    // While peppers rotate a card may still stand under the old key. One report looks there too; for thousands that is left to the
    // re-keying, which matches each card as it moves.
    if let [report] = reports {
        let keys = writing.stored_keys(report.report_id, &report.number)?;
        writing.tx.match_to_report(report.report_id, report.validity.valid_from(), &keys).await?;
    } else {
        writing.tx.match_held_cards(keys).await?;
    }
    Ok(())
}

/// Temporary cards that a report names are lost from now on, no matter who issued them.
async fn lose_temporary_cards(writing: &mut Writing, reports: &[NewReport]) -> Result<(), ServiceError> {
    let mut named = Vec::new();
    for report in reports {
        if let Some(card_valid_from) = report.validity.valid_from() {
            let keys = writing.stored_keys(report.report_id, &report.number)?;
            named.extend(keys.into_iter().map(|key| (key, card_valid_from)));
        }
    }
    let cards = writing.tx.temporary_cards_of(&named).await?;
    // The look-up asked for the start that the report names.
    let lost: Vec<_> = cards.into_iter().filter_map(|card| card.reported_lost(Some(card.card_valid_from))).collect();
    Ok(writing.tx.lose_temporary_cards(&lost, writing.now_ms).await?)
}
