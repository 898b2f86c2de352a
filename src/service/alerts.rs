//! Watches and alerts: a check may ask to hear if its card is listed soon after. The watch is stored before the check is looked
//! up, in the writers' turn; a listing looks for watches in its own turn. So each listing is in the check's answer or
//! in an alert; one of that very moment may be in both.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::writing::{Writer, Writing, open_digest};
use crate::clock::beijing_date;
use crate::crypto::Keyring;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::alert::{AlertKind, WatchHours, alert_of};
use crate::domain::ids::{AlertId, CheckId, OrganizationId, ReplacementId};
use crate::domain::report::ReportState;
use crate::domain::sequence::AlertSequence;
use crate::domain::verdict::{ListingKind, Record};
use crate::store::alerts::{Alert, NewAlert, StoredWatch, Told, Watch};
use crate::store::reports::NewReport;

/// A check that asks to be watched.
#[derive(Debug)]
pub struct Watching<'a> {
    pub check_id: CheckId,
    pub digest: &'a IdDigest,
    pub card_valid_from: Option<Date>,
    pub hours: WatchHours,
}

/// Keeps watches, and reads an organization's own alerts.
#[derive(Debug)]
pub struct Alerts {
    writer: Arc<Writer>,
}

/// Watches of a batch that are stored by one statement.
const WATCHES_AT_ONCE: usize = 32;

impl Alerts {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Stores watches. A look-up in the store after this returns finds everything for which they will cause no alert.
    pub async fn watch(&self, organization: OrganizationId, checks: &[Watching<'_>]) -> Result<(), ServiceError> {
        let Writing { mut tx, peppers, now_ms, .. } = self.writer.begin_once().await?;
        let pepper = &peppers.current;
        let watch = |check: &Watching<'_>| Watch {
            watch_id: check.check_id,
            organization,
            lookup_key: pepper.lookup_key(check.digest),
            key_version: pepper.version(),
            card_valid_from: check.card_valid_from,
            ends_at_ms: check.hours.end(now_ms),
        };
        // Some at a time, for their keys are made on the event loop of requests.
        for some in checks.chunks(WATCHES_AT_ONCE) {
            tx.insert_watches(&some.iter().map(watch).collect::<Vec<_>>()).await?;
        }
        Ok(tx.commit_unlisted().await?)
    }

    /// An organization's alerts after a sequence, in order.
    pub async fn list(
        &self,
        organization: OrganizationId,
        after: AlertSequence,
        count_max: usize,
    ) -> Result<Vec<Alert>, ServiceError> {
        Ok(self.writer.store.list_alerts(organization, after, count_max).await?)
    }
}

/// Tells those who watch that a replacement was recorded, or, where it takes the place of another, that it says more.
pub(super) async fn tell_of(
    writing: &mut Writing,
    digest: &IdDigest,
    replacement: ReplacementId,
    record: Record,
    before: Option<Record>,
) -> Result<(), ServiceError> {
    let keys = keys_of(&writing.keyring, digest);
    let watches = writing.tx.watches_of(&keys, writing.now_ms).await?;
    let alerts: Vec<_> = watches
        .into_iter()
        .filter_map(|watch| {
            let (kind, listing) = alert_of(watch.card_valid_from, record)?;
            let was_told = before.and_then(|before| alert_of(watch.card_valid_from, before));
            (was_told != Some((kind, listing))).then_some(())?;
            let alert = NewAlert { replacement: Some(replacement), ..of_watch(writing, watch, kind, listing) };
            Some(alert)
        })
        .collect();
    if !alerts.is_empty() {
        writing.tx.insert_alerts(&alerts, writing.now_ms).await?;
    }
    Ok(())
}

/// A replacement listed cards by a start that was too late: those who were told that a card is listed by it are told to ask again.
/// Which card each was shown is kept nowhere, so that some of them were told rightly.
pub(super) async fn tell_to_check_again(writing: &mut Writing, replacement: ReplacementId) -> Result<(), ServiceError> {
    let told = writing.tx.told_of_replacement(replacement).await?;
    let alerts: Vec<_> = told.into_iter().map(|told| check_again(writing.new_id(), told, replacement)).collect();
    if alerts.is_empty() { Ok(()) } else { Ok(writing.tx.insert_alerts(&alerts, writing.now_ms).await?) }
}

pub(super) fn check_again(alert_id: AlertId, told: Told, replacement: ReplacementId) -> NewAlert {
    let Told { organization, check_id } = told;
    let (kind, listing) = (AlertKind::CheckAgain, ListingKind::Superseded);
    NewAlert { alert_id, organization, check_id, kind, listing, replacement: Some(replacement) }
}

fn of_watch(writing: &Writing, watch: StoredWatch, kind: AlertKind, listing: ListingKind) -> NewAlert {
    let StoredWatch { watch_id: check_id, organization, .. } = watch;
    NewAlert { alert_id: writing.new_id(), organization, check_id, kind, listing, replacement: None }
}

/// The same for reports, one or thousands: without watches it is one question for each pepper.
pub(super) async fn tell_of_reports(writing: &mut Writing, reports: &[NewReport]) -> Result<(), ServiceError> {
    let mut peppers = Vec::new();
    for version in writing.keyring.pepper_versions() {
        if writing.tx.has_watches(version).await? {
            peppers.push(version);
        }
    }
    let mut by_key: HashMap<LookupKey, Vec<&NewReport>> = HashMap::new();
    for report in reports.iter().filter(|_| !peppers.is_empty()) {
        for key in keys_of_report(&writing.keyring, report, &peppers)? {
            by_key.entry(key).or_default().push(report);
        }
    }
    if by_key.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = by_key.keys().copied().collect();
    let mut alerts = Vec::new();
    for watch in writing.tx.watches_of(&keys, writing.now_ms).await? {
        let of_number = by_key.get(&watch.lookup_key).into_iter().flatten();
        // One alert a watch, of the record that says most: the order of the kinds.
        let found = of_number.filter_map(|report| alert_of(watch.card_valid_from, record_of(report))).min();
        if let Some((kind, listing)) = found {
            alerts.push(of_watch(writing, watch, kind, listing));
        }
    }
    if alerts.is_empty() { Ok(()) } else { Ok(writing.tx.insert_alerts(&alerts, writing.now_ms).await?) }
}

/// Every key under which there may be a watch of this number. A rotation of the pepper does not re-key watches.
fn keys_of(keyring: &Keyring, digest: &IdDigest) -> Vec<LookupKey> {
    let peppers = keyring.pepper_versions().into_iter().filter_map(|version| keyring.pepper(version).ok());
    peppers.map(|pepper| pepper.lookup_key(digest)).collect()
}

/// The same of a report that is sealed already, under these peppers. Its digest is opened only after a rotation.
fn keys_of_report(keyring: &Keyring, report: &NewReport, peppers: &[u32]) -> Result<Vec<LookupKey>, ServiceError> {
    if peppers.iter().all(|version| *version == report.number.key_version) {
        return Ok(vec![report.number.lookup_key]);
    }
    Ok(keys_of(keyring, &open_digest(keyring, report.report_id, &report.number.sealed_digest)?))
}

fn record_of(report: &NewReport) -> Record {
    Record::Report {
        state: ReportState::Active,
        card_valid_from: report.validity.valid_from(),
        reported_on: beijing_date(report.reported_at_ms),
    }
}
