//! A COMMIT whose answer does not come: what a client is told, and that a repetition makes one report of it. The moment is
//! exact: a trigger of the database holds every COMMIT until the test lets it go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::{AnyConnection, Connection, Executor};

use crate::bodies::random_number;
use crate::servers::node::Node;
use crate::servers::postgres::{Postgres, query};
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{shared, wait_until};
use crate::service::{Answer, Service, eventually, until};

/// Holds every COMMIT of a report back for as long as it lives.
struct Gate {
    url: String,
    holder: AnyConnection,
}

const LOCK: &str = "SELECT pg_advisory_lock(1)";

impl Gate {
    async fn close(url: &str) -> Self {
        query(
            url,
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END'; \
             CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON loss_reports DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION hold()",
        );
        sqlx::any::install_default_drivers();
        let mut holder = AnyConnection::connect(url).await.unwrap();
        holder.execute(LOCK).await.unwrap();
        Self { url: url.to_owned(), holder }
    }

    /// Waits until a COMMIT waits at the gate; returns the id of the server's process.
    async fn wait_for_a_commit(&self) -> String {
        let waiting = "SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'advisory'";
        until("a COMMIT waits", || !query(&self.url, waiting).is_empty()).await;
        query(&self.url, waiting).trim().to_owned()
    }

    async fn open(self) {
        self.holder.close().await.unwrap();
    }
}

fn stored(url: &str) -> u32 {
    query(url, "SELECT COUNT(*) FROM loss_reports").trim().parse().unwrap()
}

/// Asks a report to be filed, and lets something happen while its COMMIT is under way.
async fn report_while<F: Future<Output = ()>>(service: &Service, node: &Node, number: &str, happens: F) -> Answer {
    let (answer, ()) = tokio::join!(service.report_once(node, "once", number), happens);
    answer
}

/// That the same request with the same key is acknowledged, and that there is one report of it.
async fn assert_repeats_to_one(service: &Service, node: &Node, url: &str, number: &str) {
    let again = || service.report_once(node, "once", number);
    eventually("the repetition is acknowledged", again, |answer| {
        assert!(matches!(answer.status, 201 | 503), "{answer:?}");
        answer.status == 201
    })
    .await;
    assert_eq!(service.count(node, number).await, 1);
    assert_eq!(stored(url), 1);
    Service::assert_listed(&service.check(node, number).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_unknown_and_its_repetition_stores_nothing_more() {
    let postgres = shared::postgres();
    let direct = postgres.create_database();
    let proxy = Proxy::start(postgres.address());
    let mut service = Service::new(Some(&direct));
    let node = service.node("first", Some(&proxy.url(&direct)), |_| {});
    service.get_tokens(&node).await;
    let gate = Gate::close(&direct).await;
    let number = random_number();
    let answer = report_while(&service, &node, &number, async {
        gate.wait_for_a_commit().await;
        proxy.set(Fault::HangReplies);
        gate.open().await;
        until("it is committed", || stored(&direct) == 1).await;
    })
    .await;
    answer.assert_unavailable("outcome_unknown");
    proxy.set(Fault::None);
    assert_repeats_to_one(&service, &node, &direct, &number).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_cut_off_and_did_not_happen_is_unknown_and_its_repetition_stores_it() {
    let postgres = shared::postgres();
    let direct = postgres.create_database();
    let proxy = Proxy::start(postgres.address());
    let mut service = Service::new(Some(&direct));
    let node = service.node("first", Some(&proxy.url(&direct)), |_| {});
    service.get_tokens(&node).await;
    let gate = Gate::close(&direct).await;
    let number = random_number();
    let answer = report_while(&service, &node, &number, async {
        let server_process = gate.wait_for_a_commit().await;
        query(&direct, &format!("SELECT pg_terminate_backend({server_process}, 10000)"));
    })
    .await;
    answer.assert_unavailable("outcome_unknown");
    assert_eq!(stored(&direct), 0);
    gate.open().await;
    assert_repeats_to_one(&service, &node, &direct, &number).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_synchronous_standby_the_store_confirms_nothing_and_neither_does_the_node() {
    let postgres = Postgres::start();
    let direct = postgres.create_database();
    let mut service = Service::new(Some(&direct));
    let node = service.start().await;
    let before = service.report_lost(&node).await;
    postgres.set("synchronous_standby_names", "ghost");
    let number = random_number();
    service.report_once(&node, "once", &number).await.assert_unavailable("outcome_unknown");
    for _ in 0..3 {
        let refused = service.report(&node, &random_number()).await;
        assert_eq!(refused.status, 503, "{refused:?}");
    }
    Service::assert_listed(&service.check(&node, &before).await);
    assert_eq!(service.check(&node, &random_number()).await.word(), "not_listed", "checks continue");
    postgres.set("synchronous_standby_names", "");
    let again = || service.report_once(&node, "once", &number);
    eventually("the repetition is acknowledged", again, |answer| answer.status == 201).await;
    assert_eq!(service.count(&node, &number).await, 1);
    Service::assert_listed(&service.check(&node, &number).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_node_or_store_dies_in_the_middle_of_writing_nothing_acknowledged_is_lost() {
    let mut postgres = Postgres::start();
    let direct = postgres.create_database();
    let mut service = Service::new(Some(&direct));
    let mut node = service.start().await;
    let mut acknowledged: Vec<String> = Vec::new();
    for dies in ["node", "store", "node", "store"] {
        let goal = stored(&direct) + 20;
        let died = AtomicBool::new(false);
        let writers = futures_util::future::join_all((0..4).map(|_| file_until(&died, &service, &node)));
        let crash = async {
            until("reports are stored", || stored(&direct) >= goal).await;
            match dies {
                "node" => node.signal(Signal::KILL),
                _ => postgres.kill(),
            }
            died.store(true, Ordering::SeqCst);
        };
        let (told, ()) = tokio::join!(writers, crash);
        let told = told.concat();
        assert!(!told.is_empty(), "{dies}: killed before anything was acknowledged");
        acknowledged.extend(told);
        if dies == "node" {
            node = service.start().await;
        } else {
            postgres.restart();
            wait_until("the node is ready again", || node.is_ready());
        }
        for number in &acknowledged {
            let ask = || service.check(&node, number);
            Service::assert_listed(&eventually("an answer", ask, |answer| answer.status == 200).await);
            assert_eq!(query(&direct, "SELECT COUNT(*) = MAX(seq) FROM feed"), "t\n", "the feed has no gap");
        }
    }
}

/// Files reports until somebody died, and returns those that were acknowledged. A connection that breaks is no acknowledgement.
async fn file_until(died: &AtomicBool, service: &Service, node: &Node) -> Vec<String> {
    let mut told = Vec::new();
    while !died.load(Ordering::SeqCst) {
        let number = random_number();
        match service.try_report(node, &number).await {
            Ok(answer) if answer.status == 201 => told.push(number),
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    told
}
