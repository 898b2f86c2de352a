//! The one way by which a listing changes, no matter who changes it: API, portal, found card, application, file, sandbox, demo and
//! retention. Each change is told to the feed, written, and followed by all that it entails, in one transaction. A further
//! consequence is a further call here. How the transaction ends is `writing`'s.

use jiff::civil::Date;

use super::writing::{Writing, open_digest, seal_number};
use super::{ServiceError, alerts};
use crate::clock::beijing_date;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::ids::{OrganizationId, ReplacementId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::notice::NoticeKind;
use crate::domain::report::{OfficeCode, ReportState, WithdrawalReason};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Record;
use crate::store::alerts::Source;
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

/// A replacement was recorded with a wrong start: the right one lists cards from now on, and reports that only the wrong one had ended
/// are in force again. Those who watch a card that the wrong one let pass are told, and those who learnt that a card is listed which
/// should not be.
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
        alerts::tell_of_start(writing, stored.replacement_id).await?;
        reopen_ended(writing, &keys, stored, &change).await?;
    }
    Ok(Replacement {
        replacement_id: stored.replacement_id,
        card_valid_from: *card_valid_from,
        reports_replaced,
        recorded_at_ms: stored.recorded_at_ms,
        sequence: change.sequence(),
    })
}

/// Somebody filed a report who should not have, by a client or by a file: it lists no card, and those who were told because of it are
/// told to ask again. `office` is the one that takes it back.
pub async fn unfiled(writing: &mut Writing, stored: StoredReport, office: &OfficeCode) -> Result<(), ServiceError> {
    let report = stored.report.id;
    if stored.report.state != ReportState::Withdrawn {
        withdrawn(writing, stored, office, WithdrawalReason::Mistaken).await?;
    }
    alerts::tell_of_nothing(writing, Source::Report(report)).await
}

/// Somebody withdrew a report who should not have: its card is listed again, with all that a report entails. Where a new card was
/// recorded meanwhile, it is as replaced as if it had been there.
pub async fn listed_again(writing: &mut Writing, stored: StoredReport) -> Result<(), ServiceError> {
    let Some(filed) = writing.tx.report_as_filed(stored.report.id).await? else { return Ok(()) };
    let keys = writing.stored_keys(filed.report_id, &filed.number)?;
    let is_replaced = is_ended(writing, &keys, &stored).await?;
    let report = stored.report.list_again(is_replaced)?;
    let change = writing.tx.record_listing(&stored.lookup_key).await?;
    if is_replaced {
        let office = OfficeCode::of_undoing();
        let closing = Closing { at_ms: writing.now_ms, office: &office, withdrawal: None };
        return Ok(writing.tx.close_report(&report, &closing, &change).await?);
    }
    writing.tx.reopen_report(&report, &change).await?;
    in_force_again(writing, &[filed]).await
}

/// Somebody recorded a replacement who should not have: it lists no card, the reports that it ended are in force again, and those who
/// were told because of it are told to ask again.
pub async fn taken_back(writing: &mut Writing, stored: &StoredReplacement) -> Result<(), ServiceError> {
    let keys = writing.stored_keys(stored.replacement_id, &stored.number)?;
    let change = writing.tx.record_listing(&stored.number.lookup_key).await?;
    writing.tx.take_back_replacement(stored, writing.now_ms, &change).await?;
    reopen_ended(writing, &keys, stored, &change).await?;
    alerts::tell_of_nothing(writing, Source::Replacement(stored.replacement_id)).await
}

/// A correction that should not have been is corrected: the start of before lists cards again, and reports that only the wrong start
/// had ended are in force again.
pub async fn corrected_back(
    writing: &mut Writing,
    stored: &StoredReplacement,
    card_valid_from: Date,
) -> Result<(), ServiceError> {
    let digest = open_digest(&writing.keyring, stored.replacement_id, &stored.number.sealed_digest)?;
    let replacing = Replacing { digest, card_valid_from, office: OfficeCode::of_undoing() };
    corrected(writing, stored, &replacing).await.map(|_| ())
}

/// The reports that a replacement has ended, and no other would have, are in force again.
async fn reopen_ended(
    writing: &mut Writing,
    keys: &[LookupKey],
    replacement: &StoredReplacement,
    change: &RecordedChange,
) -> Result<(), ServiceError> {
    // A check of a number with a report that does not know its card is kept with that, whichever of both the card was listed by.
    for stored in writing.tx.active_reports(keys).await? {
        if stored.report.card_valid_from.is_none() {
            alerts::tell_of_reopened(writing, replacement, stored.report.id).await?;
        }
    }
    let mut again = Vec::new();
    for stored in writing.tx.replaced_reports(keys, replacement.recorded_at_ms).await? {
        if !is_ended(writing, keys, &stored).await? {
            let report = stored.report.reopen()?;
            writing.tx.reopen_report(&report, change).await?;
            alerts::tell_of_reopened(writing, replacement, report.id).await?;
            again.extend(writing.tx.report_as_filed(report.id).await?);
        }
    }
    in_force_again(writing, &again).await
}

/// Whether a replacement in force has ended a report, or would have if it had not been withdrawn: one that was changed no earlier than the
/// report.
async fn is_ended(writing: &mut Writing, keys: &[LookupKey], stored: &StoredReport) -> Result<bool, ServiceError> {
    let replacements = writing.tx.replacements_in_force(keys).await?;
    let ends = |(start, at): &(Date, Sequence)| *at >= stored.sequence && stored.report.is_before(*start);
    Ok(replacements.iter().any(ends))
}

/// What follows where reports list their cards again: as for new ones.
async fn in_force_again(writing: &mut Writing, reports: &[NewReport]) -> Result<(), ServiceError> {
    for report in reports {
        let keys = writing.stored_keys(report.report_id, &report.number)?;
        match_found_cards(writing, std::slice::from_ref(report), &keys).await?;
    }
    // One may have been issued while they were not.
    lose_temporary_cards(writing, reports).await?;
    alerts::tell_of_reports(writing, reports).await
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
        let matched = writing.tx.match_to_report(report.report_id, report.validity.valid_from(), &keys).await?;
        tell_of_found(writing, (matched > 0).then_some(report.report_id)).await
    } else {
        let matched = writing.tx.match_held_cards(keys).await?;
        tell_of_found(writing, matched).await
    }
}

/// Tells who filed these reports that their cards are held.
async fn tell_of_found(writing: &mut Writing, reports: impl IntoIterator<Item = ReportId>) -> Result<(), ServiceError> {
    for report in reports {
        writing.tx.insert_notice((NoticeKind::CardFound, report), report.into(), writing.now_ms).await?;
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
