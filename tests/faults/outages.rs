//! The store away: down, hung, slow, and back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::bodies::random_number;
use crate::servers::node::Node;
use crate::servers::postgres::Postgres;
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{shared, wait_until};
use crate::service::{Answer, HANG, Service, eventually};

const CERTIFICATES: &str = "/v1/temporary-certificates";
const VERIFY: &str = "/v1/temporary-certificates/verify";
/// By default a lease lasts a second, and is renewed every quarter.
const LEASE: Duration = Duration::from_secs(1);
/// The bound of a look-up in the store and what a busy machine adds to it.
const REFUSED_WITHIN: Duration = Duration::from_millis(300);

/// Checks a number that is not listed until it is refused; returns how many answers came first, how long they came, and the
/// refusal.
async fn check_until_refused(service: &Service, node: &Node) -> (usize, Duration, Answer) {
    let (began, mut answered) = (Instant::now(), 0);
    loop {
        let asked = began.elapsed();
        let answer = service.check(node, &random_number()).await;
        if answer.status != 200 {
            return (answered, asked, answer);
        }
        assert_eq!(answer.word(), "not_listed");
        answered += 1;
        assert!(asked < HANG, "a node without its store never stops answering");
    }
}

/// That checks which must ask the store are refused within 300 ms, and none after much longer: what the quickest quarter takes is
/// the node's doing, the rest is a machine's that runs many nodes at once.
async fn assert_refused_soon(service: &Service, node: &Node) {
    let checks = (0..40).map(|_| async { service.check(node, &random_number()).await });
    let mut times: Vec<_> = futures_util::future::join_all(checks)
        .await
        .into_iter()
        .map(|answer| {
            answer.assert_unavailable("registry_unavailable");
            answer.took
        })
        .collect();
    for _ in 0..20 {
        let answer = service.check(node, &random_number()).await;
        answer.assert_unavailable("registry_unavailable");
        times.push(answer.took);
    }
    times.sort_unstable();
    let (quick, last) = (times[times.len() / 4], times[times.len() - 1]);
    assert!(quick < REFUSED_WITHIN && last < Duration::from_secs(3), "a quarter within {quick:?}, longest {last:?}");
}

/// That everything works again within seconds, and that nothing acknowledged before is lost.
async fn assert_recovers(service: &Service, node: &Node, acknowledged: &[String]) {
    let healed = Instant::now();
    wait_until("the node is ready again", || node.is_ready());
    let ask = || async { service.check(node, &acknowledged[0]).await };
    eventually("listed again", ask, |answer| answer.status == 200).await;
    for number in acknowledged {
        Service::assert_listed(&service.check(node, number).await);
        assert_eq!(service.count(node, number).await, 1);
    }
    let number = random_number();
    eventually("reports are taken", || service.report(node, &number), |answer| answer.status == 201).await;
    Service::assert_listed(&service.check(node, &number).await);
    assert!(healed.elapsed() < Duration::from_secs(10), "{:?}", healed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_checks_are_answered_until_the_lease_ends_and_then_refused() {
    let mut postgres = Postgres::start();
    let mut service = Service::new(Some(&postgres.create_database()));
    let node = service.start().await;
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        acknowledged.push(service.report_lost(&node).await);
    }
    let certificate = json!({"id_number": acknowledged[0], "purpose": "rail", "office": "110105", "valid_hours": 1});
    let issued = service.post(&node, &service.police, CERTIFICATES, &certificate).await;
    let shown = json!({"certificate": issued.body["certificate"], "id_number": acknowledged[0]});
    let verify = || service.post(&node, &service.hotel, VERIFY, &shown);
    assert_eq!(verify().await.body["status"], "valid");
    wait_until("the lease is held", || node.is_ready());
    let held = Instant::now();
    postgres.kill();
    // What is listed is known exactly. Of the last report it may not have been read yet.
    for number in &acknowledged[..5] {
        Service::assert_listed(&service.check(&node, number).await);
    }
    let (answered, last_at, refusal) = check_until_refused(&service, &node).await;
    refusal.assert_unavailable("registry_unavailable");
    // It may have been revoked: nobody can say.
    verify().await.assert_unavailable("registry_unavailable");
    assert!(answered > 0, "the lease was thrown away {last_at:?} after the crash");
    assert!(last_at < held.elapsed() && last_at < LEASE + REFUSED_WITHIN, "answered for {last_at:?}");
    assert!(!node.is_ready(), "a node without a lease is not ready");
    assert_refused_soon(&service, &node).await;
    service.report(&node, &random_number()).await.assert_unavailable("registry_unavailable");
    postgres.restart();
    assert_recovers(&service, &node, &acknowledged).await;
    assert_eq!(verify().await.body["status"], "valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_holds_nobody_up() {
    let postgres = shared::postgres();
    let direct = postgres.create_database();
    let proxy = Proxy::start(postgres.address());
    let mut service = Service::new(Some(&direct));
    let node = service.node("first", Some(&proxy.url(&direct)), |_| {});
    service.get_tokens(&node).await;
    let acknowledged = [service.report_lost(&node).await];
    for fault in [Fault::Hang, Fault::HangReplies, Fault::Refuse, Fault::Cut] {
        proxy.set(fault);
        if fault == Fault::Refuse {
            // Open connections continue: nothing should be noticed yet.
            assert_eq!(service.check(&node, &random_number()).await.word(), "not_listed", "{fault:?}");
        } else {
            let (_, last_at, _) = check_until_refused(&service, &node).await;
            assert!(last_at < LEASE + REFUSED_WITHIN, "{fault:?}: answered for {last_at:?}");
            assert_refused_soon(&service, &node).await;
            let refused = service.report(&node, &random_number()).await;
            assert_eq!(refused.status, 503, "{fault:?}: {refused:?}");
            assert_eq!(service.get(&node, "", "/health/live").await.status, 200, "{fault:?}: the process is well");
        }
        proxy.set(Fault::None);
        assert_recovers(&service, &node, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_slows_only_what_needs_it_and_for_300_ms_at_most() {
    let postgres = shared::postgres();
    let direct = postgres.create_database();
    let proxy = Proxy::start(postgres.address());
    let mut service = Service::new(Some(&direct));
    // A second node files the reports: the first knows that they are there, and must ask what they say.
    let filing = service.start().await;
    let node = service.node("second", Some(&proxy.url(&direct)), |command| {
        // Only a node with a filter asks what is listed.
        command.env("LOSTCARD_REGISTRY__POLL_MS", "50").env("LOSTCARD_REGISTRY__EXACT_MIB", "0");
    });
    service.introduce(&node).await;
    let mut listed = Vec::new();
    for _ in 0..5 {
        listed.push(service.report_lost(&filing).await);
    }
    // Two round trips are longer than a look-up may take, and short enough to renew leases.
    proxy.set(Fault::Delay(Duration::from_millis(75)));
    let mut times = Vec::new();
    for number in &listed {
        let answer = service.check(&node, number).await;
        answer.assert_unavailable("registry_unavailable");
        times.push(answer.took);
    }
    times.sort_unstable();
    assert!(times[1] < REFUSED_WITHIN && times[4] < Duration::from_secs(2), "{times:?}");
    // These need the store for nothing but leases. On a busy machine one may be renewed late: then they are refused, and soon.
    let mut answered = 0;
    for _ in 0..500 {
        let answer = service.check(&node, &random_number()).await;
        assert!(answer.took < Duration::from_secs(2), "{answer:?}");
        if answer.status == 200 {
            assert_eq!(answer.word(), "not_listed");
            answered += 1;
        } else {
            answer.assert_unavailable("registry_unavailable");
        }
    }
    assert!(answered > 100, "{answered} of 500 answered");
    proxy.set(Fault::None);
    assert_recovers(&service, &node, &listed).await;
}
