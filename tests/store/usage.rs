//! Usage: sums that two processes add to, each flush once, read by its own organization alone.

use futures_util::future::join_all;
use jiff::civil::{Date, date};
use lostcard::domain::ids::{OrganizationId, ProcessId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::retention::Class;
use lostcard::domain::usage::{Counts, Days, Grouping, NO_SITE, OTHER_SITES, Outcome};
use lostcard::store::retention::Due;
use lostcard::store::usage::{Flush, Report, SiteDay};
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{NOW_MS, id, stored_organization};

const MONDAY: Date = date(2026, 11, 23);
const TUESDAY: Date = date(2026, 11, 24);

/// Counts that differ for each outcome.
fn counts(times: u64) -> Counts {
    let mut counts = Counts::default();
    for (at, &outcome) in Outcome::ALL.iter().enumerate() {
        counts.add(outcome, (at as u64 + 1) * times);
    }
    counts
}

fn row(organization: OrganizationId, day: Date, site: &str, times: u64) -> SiteDay {
    SiteDay { organization, day, site: site.to_owned(), counts: counts(times) }
}

fn flush(process: ProcessId, sequence: u64) -> Flush {
    Flush { process, sequence, now_ms: NOW_MS }
}

async fn read(store: &Store, organization: OrganizationId, from: Date, to: Date, by: Grouping) -> Report {
    store.usage(organization, Days::new(Some(from), Some(to), to).unwrap(), by).await.unwrap()
}

fn names(report: &Report) -> Vec<(&str, u64)> {
    // The first outcome counts one a time.
    report.groups.iter().map(|group| (group.name.as_str(), group.counts.of(Outcome::NotListed))).collect()
}

pub(crate) async fn counts_of_two_processes_add_up(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let own = stored_organization(&one).await;
    let (process, other) = (id(), id());
    one.add_usage(flush(process, 1), &[row(own, MONDAY, NO_SITE, 1), row(own, MONDAY, "east", 2)]).await.unwrap();
    two.add_usage(flush(other, 1), &[row(own, MONDAY, NO_SITE, 3), row(own, TUESDAY, "east", 4)]).await.unwrap();
    one.add_usage(flush(process, 2), &[row(own, TUESDAY, OTHER_SITES, 5)]).await.unwrap();
    let by_day = read(&one, own, MONDAY, TUESDAY, Grouping::Day).await;
    assert_eq!(names(&by_day), [("2026-11-23", 6), ("2026-11-24", 9)]);
    assert_eq!(by_day.total, counts(15), "every outcome in its place");
    let by_site = read(&two, own, MONDAY, TUESDAY, Grouping::Site).await;
    assert_eq!(names(&by_site), [(NO_SITE, 4), (OTHER_SITES, 5), ("east", 6)]);
    assert_eq!(by_site.total, counts(15));
}

pub(crate) async fn a_flush_that_is_sent_again_is_added_once(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let own = stored_organization(&one).await;
    let (process, other) = (id(), id());
    let rows = [row(own, MONDAY, "east", 1)];
    // One may be on its way yet when the other is sent.
    let again = async |store: &Store| loop {
        match store.add_usage(flush(process, 1), &rows).await {
            Err(StoreError::Busy) => {}
            done => return done.unwrap(),
        }
    };
    join_all([&one, &two, &one, &two].map(again)).await;
    assert_eq!(read(&one, own, MONDAY, MONDAY, Grouping::Day).await.total, counts(1));
    one.add_usage(flush(process, 2), &rows).await.unwrap();
    one.add_usage(flush(process, 1), &rows).await.unwrap();
    two.add_usage(flush(other, 1), &rows).await.unwrap();
    assert_eq!(read(&one, own, MONDAY, MONDAY, Grouping::Day).await.total, counts(3));
}

pub(crate) async fn nodes_that_add_at_once_do_not_wait_for_each_other(database: &Database) {
    let stores = [database.open().await, database.open().await];
    let own = stored_organization(&stores[0]).await;
    let rows: Vec<_> = (0..600).map(|site| row(own, MONDAY, &format!("site-{site:03}"), 1)).collect();
    let node = async |store: &Store| {
        let process = id();
        for sequence in 1..=5 {
            store.add_usage(flush(process, sequence), &rows).await.unwrap();
        }
    };
    join_all(stores.iter().map(node)).await;
    let report = read(&stores[0], own, MONDAY, MONDAY, Grouping::Site).await;
    assert_eq!((report.groups.len(), report.total), (600, counts(6000)));
    assert!(report.groups.iter().all(|group| group.counts == counts(10)));
}

pub(crate) async fn usage_is_its_own_organizations_alone_and_of_the_days_asked_for(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let rows = [row(own, MONDAY, "east", 1), row(own, TUESDAY, "west", 2), row(other, MONDAY, "north", 4)];
    store.add_usage(flush(id(), 1), &rows).await.unwrap();
    assert_eq!(names(&read(&store, own, MONDAY, MONDAY, Grouping::Site).await), [("east", 1)]);
    assert_eq!(names(&read(&store, own, TUESDAY, TUESDAY, Grouping::Site).await), [("west", 2)]);
    assert_eq!(names(&read(&store, other, MONDAY, TUESDAY, Grouping::Site).await), [("north", 4)]);
    assert_eq!(read(&store, id(), MONDAY, TUESDAY, Grouping::Day).await, Report::default());
    assert_eq!(store.list_sites(own, MONDAY).await.unwrap(), ["east", "west"]);
    assert_eq!(store.list_sites(own, TUESDAY).await.unwrap(), ["west"]);
    store.add_usage(flush(id(), 1), &[row(own, TUESDAY, NO_SITE, 1), row(own, TUESDAY, OTHER_SITES, 1)]).await.unwrap();
    assert_eq!(store.list_sites(own, TUESDAY).await.unwrap(), ["west"], "the others are no sites");
}

pub(crate) async fn a_day_of_usage_is_due_when_its_end_is(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    store.add_usage(flush(id(), 1), &[row(own, MONDAY, "east", 1), row(own, TUESDAY, "east", 2)]).await.unwrap();
    let due = Due { until_ms: UnixMs::EPOCH, until_on: TUESDAY, today: TUESDAY };
    assert_eq!(store.count_due(Class::Usage, &due).await.unwrap(), 1);
    let pieces = store.find_due(Class::Usage, &due).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.delete_due(&pieces[0], &due).await.unwrap(), 1);
    assert_eq!(tx.delete_due(&pieces[0], &due).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(names(&read(&store, own, MONDAY, TUESDAY, Grouping::Day).await), [("2026-11-24", 2)]);
}
