//! Watches and alerts: a check may ask to hear if its card is listed soon after. The watch is stored before the check is looked
//! up, in the writers' turn; a listing looks for watches in its own turn. So each listing is in the check's answer or
//! in an alert; one of that very moment may be in both.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::writing::{Writer, Writing, open_digest};
use crate::crypto::Keyring;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::domain::alert::{AlertKind, WatchHours, WatchesSpent, alert_of};
use crate::domain::client::Actor;
use crate::domain::ids::{AlertId, CheckId, OrganizationId, ReplacementId, ReportId};
use crate::domain::sequence::AlertSequence;
use crate::domain::verdict::{ListingKind, Record};
use crate::store::alerts::{Alert, NewAlert, Source, StoredWatch, Told, Watch};
use crate::store::replacements::StoredReplacement;
use crate::store::reports::NewReport;

/// A check that asks to be watched.
#[derive(Debug)]
pub struct Watching<'a> {
    pub check_id: CheckId,
    pub digest: &'a IdDigest,
    pub card_valid_from: Option<Date>,
    pub hours: WatchHours,
}

/// Who wants checks to be watched.
#[derive(Debug, Clone, Copy)]
pub struct Watcher {
    pub actor: Actor,
    /// Watches that it may have at a time; None: as many as it wants.
    pub active_max: Option<u32>,
}

/// Keeps watches, and reads an organization's own alerts.
#[derive(Debug)]
pub struct Alerts {
    writer: Arc<Writer>,
}

/// Watches of a batch that are stored by one statement.
const WATCHES_AT_ONCE: usize = 16;

impl Alerts {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Stores watches. A look-up in the store after this returns finds everything for which they will cause no alert. Who watches a
    /// card already watches it longer. Answers for each whether it was stored, or after how many seconds there is room for it.
    pub async fn watch(
        &self,
        watcher: &Watcher,
        checks: &[Watching<'_>],
    ) -> Result<Vec<Result<(), WatchesSpent>>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let mut room = match watcher.active_max {
            None => None,
            Some(max) => Some(max - writing.tx.count_watches(watcher.actor.client, writing.now_ms, max).await?),
        };
        let mut done = Vec::with_capacity(checks.len());
        // Some at a time, for their keys are made on the event loop of requests.
        for some in checks.chunks(WATCHES_AT_ONCE) {
            done.extend(watch_some(&mut writing, watcher, some, &mut room).await?);
        }
        writing.tx.commit_unlisted().await?;
        Ok(done)
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

async fn watch_some(
    writing: &mut Writing,
    watcher: &Watcher,
    checks: &[Watching<'_>],
    room: &mut Option<u32>,
) -> Result<Vec<Result<(), WatchesSpent>>, ServiceError> {
    let now_ms = writing.now_ms;
    let keys: Vec<_> = checks.iter().flat_map(|check| keys_of(&writing.keyring, check.digest)).collect();
    let had = writing.tx.own_watches(watcher.actor.client, &keys, now_ms).await?;
    let (mut new, mut done) = (Vec::<Watch>::new(), Vec::with_capacity(checks.len()));
    let pepper = Arc::clone(&writing.peppers.current);
    for check in checks {
        let (lookup_key, ends_at_ms) = (pepper.lookup_key(check.digest), check.hours.end(now_ms));
        let keys = keys_of(&writing.keyring, check.digest);
        let is_same = |key: &LookupKey, start| keys.contains(key) && start == check.card_valid_from;
        let again = new.iter_mut().find(|watch| is_same(&watch.lookup_key, watch.card_valid_from));
        done.push(if let Some(watch) = again {
            watch.ends_at_ms = watch.ends_at_ms.max(ends_at_ms);
            Ok(())
        } else if let Some(watch) = had.iter().find(|watch| is_same(&watch.lookup_key, watch.card_valid_from)) {
            writing.tx.prolong_watch(watch.watch_id, ends_at_ms).await?;
            Ok(())
        } else if *room == Some(0) {
            let first_ms = writing.tx.first_end_of_watches(watcher.actor.client, now_ms).await?;
            let wait = first_ms.map(|first_ms| first_ms.since(now_ms)).unwrap_or_default();
            Err(WatchesSpent { retry_after_s: wait.as_secs() + 1 })
        } else {
            *room = room.map(|room| room - 1);
            let Actor { organization, client, .. } = watcher.actor;
            let (watch_id, key_version) = (check.check_id, pepper.version());
            let card_valid_from = check.card_valid_from;
            new.push(Watch { watch_id, organization, client, lookup_key, key_version, card_valid_from, ends_at_ms });
            Ok(())
        });
    }
    if !new.is_empty() {
        writing.tx.insert_watches(&new).await?;
    }
    Ok(done)
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
            Some(of_watch(writing, watch, (kind, listing), Source::Replacement(replacement)))
        })
        .collect();
    if !alerts.is_empty() {
        writing.tx.insert_alerts(&alerts, writing.now_ms).await?;
    }
    Ok(())
}

/// A replacement listed cards by a start that was too late: those who were told that a card is listed by it are told to ask again.
/// Which card each was shown is kept nowhere, so that some of them were told rightly.
pub(super) async fn tell_of_start(writing: &mut Writing, replacement: ReplacementId) -> Result<(), ServiceError> {
    tell_to_check_again(writing, Source::Replacement(replacement), &[AlertKind::CardListed]).await
}

/// A record should not have been: all who were told anything because of it are told to ask again.
pub(super) async fn tell_of_nothing(writing: &mut Writing, source: Source) -> Result<(), ServiceError> {
    tell_to_check_again(writing, source, &[AlertKind::CardListed, AlertKind::NumberListed]).await
}

/// A replacement, or its start, should not have been, and this report is in force: who was told since then that the card is listed may
/// have been told so because of the replacement, though the check is kept with the report.
pub(super) async fn tell_of_reopened(
    writing: &mut Writing,
    replacement: &StoredReplacement,
    report: ReportId,
) -> Result<(), ServiceError> {
    let source = Source::Replacement(replacement.replacement_id);
    let told = writing.tx.shown_card_listed(report, source, replacement.recorded_at_ms).await?;
    insert_check_again(writing, told, source).await
}

async fn tell_to_check_again(writing: &mut Writing, source: Source, kinds: &[AlertKind]) -> Result<(), ServiceError> {
    let told = writing.tx.told_of(source, kinds).await?;
    insert_check_again(writing, told, source).await
}

async fn insert_check_again(writing: &mut Writing, told: Vec<Told>, source: Source) -> Result<(), ServiceError> {
    let alerts: Vec<_> = told.into_iter().map(|told| check_again(writing.new_id(), told, source)).collect();
    if alerts.is_empty() { Ok(()) } else { Ok(writing.tx.insert_alerts(&alerts, writing.now_ms).await?) }
}

pub(super) fn check_again(alert_id: AlertId, told: Told, source: Source) -> NewAlert {
    let Told { organization, check_id } = told;
    let listing = match source {
        Source::Report(_) => ListingKind::Reported,
        Source::Replacement(_) => ListingKind::Superseded,
    };
    NewAlert { alert_id, organization, check_id, kind: AlertKind::CheckAgain, listing, source: Some(source) }
}

fn of_watch(
    writing: &Writing,
    watch: StoredWatch,
    (kind, listing): (AlertKind, ListingKind),
    source: Source,
) -> NewAlert {
    let StoredWatch { watch_id: check_id, organization, .. } = watch;
    NewAlert { alert_id: writing.new_id(), organization, check_id, kind, listing, source: Some(source) }
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
        let says = |report: &&NewReport| Some((alert_of(watch.card_valid_from, report.record())?, report.report_id));
        if let Some((says, report)) = of_number.filter_map(says).min_by_key(|(says, _)| *says) {
            alerts.push(of_watch(writing, watch, says, Source::Report(report)));
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
