//! How long a report takes until its 201 in a healthy cluster of three, PostgreSQL flushing every commit to disk, with checks running
//! at the same time. The bound here is for a debug build on a busy machine; docs/RELIABILITY.md has the goal.

use std::sync::atomic::AtomicBool;

use crate::checker::Checker;
use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::settings::Settings;
use crate::stop::StopOnDrop;
use crate::tally::lock;
use crate::turn;
use crate::writer::Writer;

const NODES: usize = 3;
const CHECKS_PER_S: u64 = 300;
/// Far below a lease: confirmations, not waiting, end a report.
const P50_MS_MAX: f64 = 250.0;

#[test]
fn a_report_does_not_wait_for_a_lease_to_pass() {
    let _turn = turn();
    let settings = Settings::read("latency");
    let cluster = Cluster::start(NODES);
    let oracle = Oracle::new(settings.seed);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (cluster, oracle, stop) = (&cluster, &oracle, &stop);
        let _stop = StopOnDrop(stop);
        for (index, node) in cluster.nodes.iter().enumerate() {
            let mut checker = Checker::new(oracle, &cluster.tokens.checks, settings.random(100 + index as u64));
            scope.spawn(move || checker.run(|| node.address(), CHECKS_PER_S / NODES as u64, stop));
        }
        let mut writer = Writer::new(oracle, &cluster.tokens, 0, settings.random(0));
        for _ in 0..settings.reports {
            let (known, record) = oracle.somebody();
            writer.report(known, &record, Some(record.card_valid_from), &|| cluster.addresses());
        }
    });
    let latencies = lock(&oracle.tally.reports_calm).clone();
    eprintln!("201 to a report, ms: {}", latencies.summary());
    cluster.assert_content(&oracle);
    assert!(latencies.total() > 0 && latencies.per_mille_ms(500) <= P50_MS_MAX, "{}", latencies.summary());
}
