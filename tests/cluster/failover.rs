//! PostgreSQL with a synchronous standby, which is promoted while reports are filed: nothing acknowledged is lost, no answer is wrong,
//! changes are acknowledged again soon, and the old primary gets nothing when it comes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::checker::Checker;
use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::servers::postgres::{Postgres, query};
use crate::servers::wait_until;
use crate::settings::Settings;
use crate::stop::StopOnDrop;
use crate::tally::lock;
use crate::writer::Writer;
use crate::{audit, turn};

const NODES: usize = 2;
const CHECKERS: usize = 4;
const WRITERS: u64 = 8;
const CALM: Duration = Duration::from_secs(3);
/// From the loss of the primary to the promotion: nobody is quicker, and a lease has run out by then.
const NOTICED_AFTER: Duration = Duration::from_millis(1_500);
/// From the promotion to the next acknowledged change.
const WRITING_AGAIN_MAX: Duration = Duration::from_secs(10);

/// How a primary is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Its connections are closed at once.
    Killed,
    /// Its connections stay open and say nothing, as those of a machine that is gone.
    Silent,
}

#[test]
fn a_promotion_loses_nothing_and_the_old_primary_gets_nothing() {
    fail_over("failover", Loss::Killed);
}

#[test]
fn a_primary_that_says_nothing_is_left_for_the_promoted_one() {
    fail_over("failover of a silent primary", Loss::Silent);
}

fn fail_over(test: &str, loss: Loss) {
    let _turn = turn();
    let settings = Settings::read(test);
    let primary = Postgres::start_with(&[("max_wal_senders", "4")]);
    let database = primary.create_database();
    let standby = primary.standby("standby");
    primary.set("synchronous_standby_names", "standby");
    wait_until("the standby is synchronous", || {
        primary.sql("SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'").trim() == "1"
    });
    let name = database.rsplit('/').next().unwrap();
    let at = |server: &Postgres| format!("postgres://postgres@{}/{name}", server.address());
    let (old, new) = (at(&primary), at(&standby));
    // For `psql` the standby comes first: of two servers that take writes it takes the first. A server that nobody can find keeps nobody from
    // the others.
    let both = format!(
        "postgres://postgres@{},{},gone.invalid:5432/{name}?target_session_attrs=read-write",
        standby.address(),
        primary.address()
    );
    let cluster = Cluster::start_on(NODES, primary, &both, |_| both.clone());
    let oracle = Oracle::new(settings.seed);
    let (stop_writers, stop_checkers) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (cluster, oracle, settings) = (&cluster, &oracle, &settings);
        let (stop_writers, stop_checkers) = (&stop_writers, &stop_checkers);
        let _stop = (StopOnDrop(stop_writers), StopOnDrop(stop_checkers));
        let writer = |name| {
            let mut writer = Writer::new(oracle, &cluster.tokens, name, settings.random(name));
            scope.spawn(move || writer.run(|| cluster.addresses(), stop_writers))
        };
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        for index in 0..CHECKERS {
            let mut checker = Checker::new(oracle, &cluster.tokens.checks, settings.random(100 + index as u64));
            let node = &cluster.nodes[index % NODES];
            scope.spawn(move || checker.run(|| node.address(), 200, stop_checkers));
        }
        std::thread::sleep(CALM);
        assert!(oracle.changes() > 0, "nothing was written before");
        match loss {
            Loss::Killed => lock(&cluster.postgres).kill(),
            Loss::Silent => lock(&cluster.postgres).pause(),
        }
        std::thread::sleep(NOTICED_AFTER);
        let before = oracle.changes();
        standby.promote();
        let promoted = Instant::now();
        while oracle.changes() == before && !oracle.has_failed() {
            assert!(promoted.elapsed() < WRITING_AGAIN_MAX, "nothing is written {:?} after", promoted.elapsed());
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{test}: writing again {:?} after the promotion", promoted.elapsed());
        // It comes back as it was, and takes writes: nobody has told it.
        match loss {
            Loss::Killed => lock(&cluster.postgres).restart_with("synchronous_standby_names", ""),
            Loss::Silent => lock(&cluster.postgres).resume(),
        }
        std::thread::sleep(CALM);
        let head = || query(&old, "SELECT seq FROM feed_head");
        let (there, here) = (head(), oracle.changes());
        std::thread::sleep(CALM);
        assert_eq!(head(), there, "the old primary is written to");
        assert!(oracle.changes() > here, "nothing is written where the primary is now");
        cluster.wait_until_ready();
        stop_writers.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
    });
    eprintln!("{:#}", oracle.tally.summary());
    cluster.assert_content(&oracle);
    audit::audit(&cluster, &oracle, &settings);
    assert_eq!(query(&new, "SELECT pg_is_in_recovery()").trim(), "f");
}
