//! A rolling restart under load: nodes are drained and started again, one after the other, `LOSTCARD_TEST_ROUNDS` times, behind
//! a load balancer. No request may fail, for clients do not repeat one here.

use std::sync::atomic::AtomicBool;

use crate::balancer::Balancer;
use crate::checker::Checker;
use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::settings::Settings;
use crate::stop::StopOnDrop;
use crate::turn;
use crate::writer::Writer;

const NODES: usize = 2;
const CHECKERS: usize = 4;
const WRITERS: u64 = 2;
const CHECKS_PER_S: u64 = 500;

#[test]
fn a_rolling_restart_fails_no_request() {
    let _turn = turn();
    let settings = Settings::read("restarts");
    let cluster = Cluster::start(NODES);
    let oracle = Oracle::new(settings.seed);
    let balancer = Balancer::new(&cluster);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (cluster, oracle, balancer, stop) = (&cluster, &oracle, &balancer, &stop);
        let _stop = StopOnDrop(stop);
        for node in 0..NODES {
            scope.spawn(move || balancer.watch(node, stop));
        }
        for index in 0..CHECKERS {
            let mut checker = Checker::new(oracle, &cluster.tokens.checks, settings.random(100 + index as u64));
            let per_s = CHECKS_PER_S / CHECKERS as u64;
            scope.spawn(move || checker.run(|| balancer.ready_for(index), per_s, stop));
        }
        for name in 0..WRITERS {
            let mut writer = Writer::new(oracle, &cluster.tokens, name, settings.random(name));
            scope.spawn(move || writer.run(|| balancer.ready(), stop));
        }
        for round in 0..settings.rounds {
            let node = usize::try_from(round).unwrap() % NODES;
            cluster.nodes[node].terminate();
            cluster.nodes[node].start();
            balancer.wait_until_seen(node);
            if oracle.has_failed() || oracle.tally.failed_requests() > 0 {
                break;
            }
        }
    });
    eprintln!("{} restarts: {}", settings.rounds, oracle.tally.summary());
    cluster.assert_content(&oracle);
    assert_eq!(oracle.tally.failed_requests(), 0, "requests failed: {}", oracle.tally.summary());
    assert!(oracle.changes() > 0 && oracle.tally.answered() > 0, "nothing was asked");
}
