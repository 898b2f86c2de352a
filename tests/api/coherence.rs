//! Never a false `not_listed`: after a 201, across nodes on one store, across restarts, while the filter is rebuilt, and for
//! changes that came into the store past any server.

use std::time::{Duration, Instant};

use lostcard::clock::Clock;
use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::random;
use lostcard::domain::card::CardValidity;
use lostcard::domain::id_number::IdNumber;
use lostcard::domain::ids::ReportId;
use lostcard::domain::report::{Channel, OfficeCode, Reason, Reporter};
use lostcard::service::writing::seal_number;
use lostcard::store::reports::NewReport;

use crate::bodies::{check_of, random_number, rate};
use crate::child;
use crate::helpers::{TestApp, eventually};

const LOST: &str = "2016-05-01";

fn lease(app: &TestApp) -> Duration {
    Duration::from_millis(app.config.registry.lease_ms)
}

/// Leases of 300 ms that are renewed as rarely as they may be: a node that did not wait for the other's would be caught.
async fn two_nodes() -> (TestApp, TestApp) {
    let one = TestApp::spawn_at(Clock::System, |config| {
        (config.registry.lease_ms, config.registry.poll_ms) = (300, 150);
    })
    .await;
    let two = one.sibling().await;
    (one, two)
}

#[tokio::test]
async fn a_report_acknowledged_by_one_node_is_known_to_every_node() {
    let (one, two) = two_nodes().await;
    for (here, there) in [(&one, &two), (&two, &one)].into_iter().cycle().take(8) {
        let number = random_number();
        assert_eq!(there.verdict(&number, None).await, "not_listed");
        here.report_lost(&number, Some(LOST)).await;
        assert_eq!(there.verdict(&number, Some(LOST)).await, "card_listed", "right after its 201");
        assert_eq!(here.verdict(&number, Some(LOST)).await, "card_listed");
    }
}

/// With leases of 30 seconds only the other's confirmation can let a 201 go.
#[tokio::test]
async fn a_report_is_acknowledged_when_the_other_node_has_confirmed_it() {
    let one = TestApp::spawn_at(Clock::System, |config| {
        (config.registry.lease_ms, config.registry.poll_ms) = (30_000, 20);
    })
    .await;
    let two = one.sibling().await;
    let begun = Instant::now();
    for (here, there) in [(&one, &two), (&two, &one)].into_iter().cycle().take(6) {
        let number = random_number();
        here.report_lost(&number, Some(LOST)).await;
        assert_eq!(there.verdict(&number, Some(LOST)).await, "card_listed", "right after its 201");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: not by confirmation", begun.elapsed());
    two.stop().await;
    one.report_lost(&random_number(), None).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}: one that left is not waited for", begun.elapsed());
}

#[tokio::test]
async fn a_withdrawal_is_known_to_the_other_node_within_the_lease() {
    let (one, two) = two_nodes().await;
    for (here, there) in [(&one, &two), (&two, &one)] {
        let number = random_number();
        let report = here.report_lost(&number, Some(LOST)).await;
        assert_eq!(here.withdraw(report["report_id"].as_str().unwrap()).await.status, 200);
        let (withdrawn, number) = (Instant::now(), &number);
        eventually("withdrawn there", || async move { there.verdict(number, Some(LOST)).await == "not_listed" }).await;
        assert!(withdrawn.elapsed() < lease(here), "{:?}", withdrawn.elapsed());
    }
}

/// The step after a restore, here under nodes that run: they forget, load, and are right again.
#[tokio::test]
async fn a_new_epoch_makes_every_node_load_the_store_anew() {
    let (one, two) = two_nodes().await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    let told = child::run_json(&one.config.data, &["registry", "new-epoch", "--json"]);
    assert_eq!(told["epoch"].as_str().unwrap().len(), 32);
    for app in [&one, &two] {
        eventually("it has noticed", || async { app.metrics().await.contains("lostcard_epoch_changes_total 1") }).await;
        eventually("it is ready", || async { app.get("", "/health/ready").await.status == 200 }).await;
        assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    }
    let another = random_number();
    two.report_lost(&another, None).await;
    assert_eq!(one.verdict(&another, None).await, "number_listed");
}

#[tokio::test]
async fn a_restarted_node_knows_everything_that_was_acknowledged() {
    let first = TestApp::spawn().await;
    let numbers: Vec<_> = (0..10).map(|_| random_number()).collect();
    for number in &numbers {
        first.report_lost(number, Some(LOST)).await;
    }
    let second = first.sibling().await;
    first.stop().await;
    for number in &numbers {
        assert_eq!(second.verdict(number, Some(LOST)).await, "card_listed");
    }
    let another = random_number();
    second.report_lost(&another, None).await;
    assert_eq!(second.verdict(&another, None).await, "number_listed");
}

/// A report of nobody's.
fn new_report(app: &TestApp, number: &str) -> NewReport {
    let today = app.clock.today();
    let report_id: ReportId = random::id(app.clock.now_ms());
    let digest = IdDigest::of(&IdNumber::parse(number, today).unwrap());
    NewReport {
        report_id,
        organization: None,
        number: seal_number(&app.keyring, &app.keyring.pepper(1).unwrap(), &digest, report_id).unwrap(),
        validity: CardValidity::new(Some(LOST.parse().unwrap()), None, today).unwrap(),
        reason: Reason::Lost,
        lost_on: None,
        reporter: Reporter::Holder,
        office: OfficeCode::parse("110105-03").unwrap(),
        channel: Channel::Hall,
        contact: None,
        reported_at_ms: app.clock.now_ms(),
    }
}

/// Past any server: nobody is told.
async fn store(app: &TestApp, reports: &[NewReport]) {
    app.change_store(async |tx| {
        let keys: Vec<_> = reports.iter().map(|report| report.number.lookup_key).collect();
        let change = tx.record_listings(&keys).await.unwrap();
        tx.insert_reports(reports, &change).await.unwrap();
    })
    .await;
}

/// A watched check asks the store, which is ahead of memory: by the next check, which memory answers, memory is as far.
#[tokio::test]
async fn sequence_and_as_of_of_one_clients_checks_never_go_back() {
    let app = TestApp::spawn_at(Clock::System, |config| {
        (config.registry.lease_ms, config.registry.poll_ms) = (60_000, 30_000);
    })
    .await;
    let mut last = (0, String::new());
    for _ in 0..5 {
        store(&app, &[new_report(&app, &random_number())]).await;
        for watch_hours in [None, Some(1), None] {
            let mut check = check_of(&random_number(), None);
            if let Some(hours) = watch_hours {
                check["watch_hours"] = hours.into();
            }
            let answer = app.check(&check).await.json();
            assert_eq!(answer["verdict"], "not_listed");
            let sequence = answer["registry_sequence"].as_u64().unwrap();
            let dated = (sequence, answer["as_of"].as_str().unwrap().to_owned());
            assert!(dated.0 >= last.0 && dated.1 >= last.1, "{dated:?} after {last:?}");
            last = dated;
        }
    }
    assert!(last.0 >= 5, "the watched checks have asked the store");
}

#[tokio::test]
async fn what_another_process_stores_is_known_within_the_lease() {
    let app = TestApp::spawn().await;
    let numbers: Vec<_> = (0..50).map(|_| random_number()).collect();
    let reports: Vec<_> = numbers.iter().map(|number| new_report(&app, number)).collect();
    for number in &numbers {
        assert_eq!(app.verdict(number, Some(LOST)).await, "not_listed");
    }
    store(&app, &reports).await;
    let stored = Instant::now();
    let (app, number) = (&app, &numbers[0]);
    eventually("listed", || async move { app.verdict(number, Some(LOST)).await == "card_listed" }).await;
    for number in &numbers {
        assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
    }
    assert!(stored.elapsed() < lease(app) + Duration::from_secs(1), "{:?}", stored.elapsed());
    assert_eq!(app.search(&numbers[0]).await.json()["reports"].as_array().unwrap().len(), 0, "owned by nobody");
}

/// The filter is rebuilt again and again below the writers: each checks at once what it filed and what it filed before.
#[tokio::test]
async fn no_listing_is_lost_while_the_filter_is_rebuilt() {
    const WRITERS: usize = 6;
    const REPORTS: usize = 25;
    let app = TestApp::spawn_with(|config| {
        config.registry.rebuild_after = 3;
        config.registry.listings_max = 5;
        config.limits.client = rate("1000000/60s");
        config.limits.organization = rate("1000000/60s");
    })
    .await;
    let app = &app;
    let writer = |_| async move {
        let mut filed: Vec<String> = Vec::new();
        for _ in 0..REPORTS {
            let number = random_number();
            app.report_lost(&number, Some(LOST)).await;
            assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "right after its 201");
            filed.push(number);
            let old = &filed[random::below(u32::try_from(filed.len()).unwrap()) as usize];
            assert_eq!(app.verdict(old, Some(LOST)).await, "card_listed");
            assert_eq!(app.verdict(&random_number(), None).await, "not_listed");
        }
        filed
    };
    let filed: Vec<String> = futures_util::future::join_all((0..WRITERS).map(writer)).await.concat();
    eventually("the filter was rebuilt", || async move {
        app.metrics().await.lines().any(|line| {
            line.strip_prefix("lostcard_filter_keys ").is_some_and(|keys| keys.parse::<usize>().unwrap() > 3)
        })
    })
    .await;
    for number in &filed {
        assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
    }
    let (head, total, greatest) = app.store.feed_totals().await.unwrap();
    assert_eq!((head, head), (total, greatest), "the feed has no gap");
}

#[tokio::test]
async fn withdrawals_and_reports_of_one_number_end_in_the_last_state() {
    let app = TestApp::spawn_with(|config| config.registry.rebuild_after = 2).await;
    let number = random_number();
    for _ in 0..15 {
        let report = app.report_lost(&number, Some(LOST)).await;
        assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
        assert_eq!(app.withdraw(report["report_id"].as_str().unwrap()).await.status, 200);
        assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
    }
}
