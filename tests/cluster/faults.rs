//! The cluster test: three nodes, writers, checkers and the injector for `LOSTCARD_TEST_SECONDS`, then the audit. Invariants 1,
//! 2, 3, 7, 8, 9, 10, 11 and 13 of docs/RELIABILITY.md.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::checker::Checker;
use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::settings::Settings;
use crate::stop::StopOnDrop;
use crate::writer::Writer;
use crate::{audit, injector, turn};

const NODES: usize = 3;
const CHECKERS: usize = 6;
const WRITERS: u64 = 6;
/// Before the first fault and after the last, so that there is something to compare with.
const CALM: Duration = Duration::from_secs(3);

#[test]
fn no_report_is_missed_or_lost_whatever_fails() {
    let _turn = turn();
    let settings = Settings::read("cluster");
    let cluster = Cluster::start(NODES);
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
            let per_s = settings.checks_per_s / CHECKERS as u64;
            scope.spawn(move || checker.run(|| node.address(), per_s, stop_checkers));
        }
        std::thread::sleep(CALM);
        injector::run(cluster, oracle, settings.random(200), settings.lasts.saturating_sub(CALM * 2));
        cluster.wait_until_ready();
        std::thread::sleep(CALM);
        stop_writers.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
    });
    let summary = oracle.tally.summary();
    eprintln!("{summary:#}\n{summary}");
    cluster.assert_content(&oracle);
    audit::audit(&cluster, &oracle, &settings);
    assert!(oracle.changes() > 0 && oracle.tally.answered() > 0 && oracle.tally.faults() > 0, "nothing was tried");
}
