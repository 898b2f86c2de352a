//! The sums of a node: what workers have counted, added to the store by one task, and read from there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Span;
use jiff::civil::Date;

use super::tally::{Admitted, ClosedSites, Tally};
use crate::clock::{Clock, beijing_date};
use crate::crypto::random;
use crate::domain::ids::{OrganizationId, ProcessId};
use crate::domain::usage::{Counts, DAYS, Days, Grouping, NO_SITE, Outcome};
use crate::limits::fair_gate::FairGate;
use crate::limits::fair_queue::Bounds;
use crate::service::ServiceError;
use crate::store::usage::{Flush, Report, SiteDay};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// Organizations that read their usage at a time, each once; and readers that may wait.
const READING_MAX: usize = 2;
const READING_WAITING_MAX: usize = 100_000;

/// Bounds of counting.
#[derive(Debug, Clone, Copy)]
pub struct UsageOptions {
    /// How often counts are added to the store: what a kill may lose, and how old an answer may be.
    pub every: Duration,
    /// Sites that one organization is counted by on one day, on one node.
    pub sites_max: usize,
}

/// Sites that a node counts by on one day, of all organizations.
const SITES_OF_NODE_MAX: usize = 100_000;
/// How often a stopping node tries: what is left then is lost.
const DRAIN_TRIES: u32 = 3;
const DRAIN_PAUSE: Duration = Duration::from_millis(100);

/// A tally, and what of it has been handed on.
#[derive(Debug)]
struct Followed {
    tally: Arc<Tally>,
    handed: Counts,
}

#[derive(Debug)]
enum Sites {
    Open(HashSet<Box<str>>),
    Closed(ClosedSites),
}

#[derive(Debug, Default)]
struct Known {
    followed: Vec<Followed>,
    sites: HashMap<(OrganizationId, Date), Sites>,
    /// How many sites there are in all.
    sites_of_all: usize,
    /// What is rare is counted here, under the lock.
    rare: HashMap<(OrganizationId, Date), Arc<Tally>>,
}

/// What has been handed on and is not known to be stored.
#[derive(Debug, Default)]
struct Pending {
    sequence: u64,
    rows: Vec<SiteDay>,
}

/// The counts of a node. One for all its workers.
#[derive(Debug)]
pub struct Usage {
    options: UsageOptions,
    clock: Clock,
    store: Store,
    metrics: Arc<Metrics>,
    /// Names this process to the store.
    process: ProcessId,
    known: Mutex<Known>,
    pending: tokio::sync::Mutex<Pending>,
    /// Who reads: a long look at many days leaves the store's connections to others.
    reading: Arc<FairGate<OrganizationId>>,
}

impl Usage {
    pub fn new(options: UsageOptions, clock: Clock, store: Store, metrics: Arc<Metrics>) -> Self {
        let process = random::id(clock.now_ms());
        let (known, pending) = (Mutex::default(), tokio::sync::Mutex::default());
        let reading = FairGate::new(Bounds { places: READING_MAX, waiting_max: READING_WAITING_MAX });
        Self { options, clock, store, metrics, process, known, pending, reading }
    }

    /// Counts what is rare: it takes a lock.
    pub fn count(&self, organization: OrganizationId, outcome: Outcome) {
        let day = self.clock.today();
        let mut known = self.known();
        let Known { rare, followed, .. } = &mut *known;
        let tally = rare.entry((organization, day)).or_insert_with(|| follow(followed, organization, day, NO_SITE));
        tally.add(outcome);
    }

    /// What an organization did, by day or site.
    pub async fn report(&self, organization: OrganizationId, days: Days, by: Grouping) -> Result<Report, ServiceError> {
        // None: more wait than there are requests.
        let turn = self.reading.enter(organization).await;
        let report = self.store.usage(organization, days, by).await?;
        drop(turn);
        Ok(report)
    }

    /// The sites that an organization named in the last thirty days.
    pub async fn sites(&self, organization: OrganizationId) -> Result<Vec<String>, ServiceError> {
        let since = self.clock.today().saturating_sub(Span::new().days(DAYS - 1));
        Ok(self.store.list_sites(organization, since).await?)
    }

    /// Adds to the store what is new, until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut is_complaining = false;
        loop {
            tokio::time::sleep(self.options.every).await;
            match self.flush().await {
                Ok(()) if is_complaining => {
                    tracing::info!("counts of usage are added to the store again");
                    is_complaining = false;
                }
                Ok(()) => {}
                Err(error) => {
                    self.metrics.usage_flushes_failed.inc();
                    if !std::mem::replace(&mut is_complaining, true) {
                        tracing::warn!(error = %error, "counts of usage wait in memory until the store takes them");
                    }
                }
            }
        }
    }

    /// Adds what is left when nothing is answered any more.
    pub async fn drain(&self) {
        for _ in 0..DRAIN_TRIES {
            match self.flush().await {
                Ok(()) => return,
                Err(error) => tracing::debug!(error = %error, "counts of usage are not added yet"),
            }
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
        tracing::warn!("the last counts of usage are lost: the store did not take them");
    }

    /// One flush that is not confirmed is sent again as it was, and with it nothing else: the store knows it by its sequence.
    async fn flush(&self) -> Result<(), StoreError> {
        let mut pending = self.pending.lock().await;
        if !pending.rows.is_empty() {
            self.add(&mut pending).await?;
        }
        pending.rows = self.collect();
        if pending.rows.is_empty() {
            return Ok(());
        }
        pending.sequence += 1;
        self.add(&mut pending).await
    }

    async fn add(&self, pending: &mut Pending) -> Result<(), StoreError> {
        let flush = Flush { process: self.process, sequence: pending.sequence, now_ms: self.clock.now_ms() };
        self.store.add_usage(flush, &pending.rows).await?;
        self.metrics.usage_rows.inc_by(pending.rows.len() as u64);
        self.metrics.usage_flushed_ms.set(flush.now_ms.get());
        pending.rows.clear();
        Ok(())
    }

    /// What has been counted since the last time, each organization, day and site once, in their order.
    fn collect(&self) -> Vec<SiteDay> {
        let mut known = self.known();
        let mut sums: BTreeMap<(OrganizationId, Date, Box<str>), Counts> = BTreeMap::new();
        known.followed.retain_mut(|Followed { tally, handed }| {
            // Asked before it is read: nobody adds to one that nobody else holds.
            let is_over = Arc::get_mut(tally).is_some();
            let counts = tally.read();
            let fresh = counts.beyond(handed);
            if !fresh.is_empty() {
                *handed = counts;
                let key = (tally.organization, tally.day, tally.site.clone());
                sums.entry(key).or_default().add_all(&fresh);
            }
            !is_over
        });
        self.forget_other_days(&mut known);
        let row = |((organization, day, site), counts)| SiteDay { organization, day, site: String::from(site), counts };
        sums.into_iter().map(row).collect()
    }

    /// Days that are over, and what a step of the clock left: yesterday may still be counted by a worker that has not looked.
    fn forget_other_days(&self, known: &mut Known) {
        let now_ms = self.clock.now_ms();
        let days = [now_ms, now_ms.minus(Duration::from_hours(1))].map(beijing_date);
        known.rare.retain(|(_, day), _| days.contains(day));
        known.sites.retain(|(_, day), _| days.contains(day));
        let of = |sites: &Sites| match sites {
            Sites::Open(sites) => sites.len(),
            Sites::Closed(sites) => sites.len(),
        };
        known.sites_of_all = known.sites.values().map(of).sum();
    }

    /// A tally that a worker adds to.
    pub(super) fn follow(&self, organization: OrganizationId, day: Date, site: &str) -> Arc<Tally> {
        follow(&mut self.known().followed, organization, day, site)
    }

    /// Whether an organization is counted by a site on a day.
    pub(super) fn admit(&self, organization: OrganizationId, day: Date, site: &str) -> Admitted {
        let mut known = self.known();
        let Known { followed, sites, sites_of_all, .. } = &mut *known;
        let entry = sites.entry((organization, day)).or_insert_with(|| Sites::Open(HashSet::new()));
        if let Sites::Open(open) = entry
            && !open.contains(site)
        {
            if open.len() < self.options.sites_max && *sites_of_all < SITES_OF_NODE_MAX {
                open.insert(site.into());
                *sites_of_all += 1;
            } else {
                *entry = Sites::Closed(Arc::new(std::mem::take(open)));
            }
        }
        match entry {
            Sites::Closed(closed) if !closed.contains(site) => Admitted::Closed(Arc::clone(closed)),
            _ => Admitted::Named(follow(followed, organization, day, site)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn follow(followed: &mut Vec<Followed>, organization: OrganizationId, day: Date, site: &str) -> Arc<Tally> {
    let tally = Arc::new(Tally::new(organization, day, site));
    followed.push(Followed { tally: Arc::clone(&tally), handed: Counts::default() });
    tally
}

#[cfg(test)]
mod tests {
    use super::super::counter::UsageCounter;
    use super::*;
    use crate::domain::instant::UnixMs;
    use crate::domain::report::Label;
    use crate::domain::usage::OTHER_SITES;
    use crate::store::StoreOptions;

    const EVERY: Duration = Duration::from_secs(1);

    async fn usage(clock: Clock, sites_max: usize) -> (tempfile::TempDir, Arc<Usage>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions::default(), folder.path()).await.unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        (folder, Arc::new(Usage::new(UsageOptions { every: EVERY, sites_max }, clock, store, metrics)))
    }

    fn label(text: &str) -> Label {
        Label::parse(text).unwrap()
    }

    /// Sites with the sum of their checks.
    fn collected(usage: &Usage) -> Vec<(String, u64)> {
        usage.collect().into_iter().map(|row| (row.site, row.counts.checks())).collect()
    }

    #[tokio::test]
    async fn what_was_collected_is_not_collected_again() {
        let clock = Clock::fixed_now();
        let (_folder, usage) = usage(clock.clone(), 10).await;
        let (one, two) = (UsageCounter::new(Arc::clone(&usage)), UsageCounter::new(Arc::clone(&usage)));
        let count = |worker: &UsageCounter, site: Option<&str>| {
            let site = site.map(label);
            worker.count_at(OrganizationId::nil(), site.as_ref(), Outcome::NotListed, clock.now_ms());
        };
        for (worker, site) in [(&one, None), (&one, Some("east")), (&two, Some("east")), (&two, Some("east"))] {
            count(worker, site);
        }
        assert_eq!(collected(&usage), [(NO_SITE.to_owned(), 1), ("east".to_owned(), 3)]);
        assert_eq!(collected(&usage), []);
        count(&two, Some("east"));
        // A worker that ends takes nothing with it.
        drop((one, two));
        assert_eq!(collected(&usage), [("east".to_owned(), 1)]);
        assert!(usage.known().followed.is_empty(), "nobody adds to these any more");
    }

    #[tokio::test]
    async fn sites_beyond_the_bound_are_one_and_known_ones_stay_known_to_every_worker() {
        let clock = Clock::fixed_now();
        let (_folder, usage) = usage(clock.clone(), 2).await;
        let (one, two) = (UsageCounter::new(Arc::clone(&usage)), UsageCounter::new(Arc::clone(&usage)));
        let count = |worker: &UsageCounter, site: &str| {
            worker.count_at(OrganizationId::nil(), Some(&label(site)), Outcome::CardListed, clock.now_ms());
        };
        for (worker, site) in
            [(&one, "a"), (&one, "b"), (&two, "c"), (&two, "a"), (&one, "d"), (&two, "b"), (&two, "d")]
        {
            count(worker, site);
        }
        let expected = [(OTHER_SITES, 3), ("a", 2), ("b", 2)].map(|(site, checks)| (site.to_owned(), checks));
        assert_eq!(collected(&usage), expected);
        clock.advance(Duration::from_hours(26));
        count(&one, "c");
        assert_eq!(collected(&usage), [("c".to_owned(), 1)], "another day has room again");
    }

    #[tokio::test]
    async fn a_day_is_beijings_and_its_counts_stay_with_it() {
        let (_folder, usage) = usage(Clock::fixed_now(), 2).await;
        let worker = UsageCounter::new(Arc::clone(&usage));
        // 2025-11-22T16:00:00Z is midnight of the 23rd in Beijing.
        for now_ms in [1_763_827_199_999, 1_763_827_200_000, 1_763_827_199_000] {
            worker.count(OrganizationId::nil(), Outcome::NumberListed, UnixMs::new(now_ms));
        }
        let rows = usage.collect();
        let days: Vec<_> = rows.iter().map(|row| (row.day.to_string(), row.counts.checks())).collect();
        assert_eq!(days, [("2025-11-22".to_owned(), 2), ("2025-11-23".to_owned(), 1)]);
    }
}
