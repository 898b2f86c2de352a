//! Redis killed, hung, flushed and shrunk under load: no answer changes, no check is refused, and checks that find nothing take as
//! long as before. `LOSTCARD_TEST_SECONDS` is the length of each phase, 2 if absent.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::checker::{Checker, Outcome};
use crate::cluster::Cluster;
use crate::oracle::{Oracle, Who};
use crate::settings::Settings;
use crate::stop::StopOnDrop;
use crate::tally::{Latencies, lock};
use crate::turn;
use crate::writer::Writer;

const NODES: usize = 2;
const CHECKERS: usize = 2;
const CHECKS_PER_S: u64 = 500;
/// The answer that is not waited for: far below the deadline of a call to Redis, for a breaker spares most calls even that.
const P99_FACTOR_MAX: f64 = 5.0;
const P99_MORE_MS_MAX: f64 = 25.0;
/// From one measured check to the next.
const PROBE_EVERY: Duration = Duration::from_millis(4);

#[test]
fn no_answer_changes_while_redis_fails() {
    let _turn = turn();
    let settings = Settings::read("redis");
    let lasts =
        if std::env::var_os("LOSTCARD_TEST_SECONDS").is_some() { settings.lasts } else { Duration::from_secs(2) };
    let cluster = Cluster::start(NODES);
    let oracle = Oracle::new(settings.seed);
    let stop = AtomicBool::new(false);
    let mut measured = Vec::new();
    std::thread::scope(|scope| {
        let (cluster, oracle, stop) = (&cluster, &oracle, &stop);
        let _stop = StopOnDrop(stop);
        for index in 0..CHECKERS {
            let mut checker = Checker::new(oracle, &cluster.tokens.checks, settings.random(100 + index as u64));
            let node = &cluster.nodes[index % NODES];
            scope.spawn(move || checker.run(|| node.address(), CHECKS_PER_S / CHECKERS as u64, stop));
        }
        let mut writer = Writer::new(oracle, &cluster.tokens, 0, settings.random(0));
        scope.spawn(move || writer.run(|| cluster.addresses(), stop));
        let mut probe = Checker::new(oracle, &cluster.tokens.checks, settings.random(200));
        let mut phase = |name| measured.push((name, probe_misses(cluster, oracle, &mut probe, lasts)));
        phase("warming up");
        phase("before");
        lock(&cluster.redis).kill();
        phase("killed");
        lock(&cluster.redis).restart();
        phase("restarted");
        lock(&cluster.redis).pause();
        phase("hung");
        lock(&cluster.redis).resume();
        lock(&cluster.redis).command(&["FLUSHALL"]);
        phase("flushed");
        lock(&cluster.redis).command(&["CONFIG", "SET", "maxmemory", "1"]);
        phase("shrunk");
    });
    for (name, latencies) in &measured {
        eprintln!("misses, Redis {name}, ms: {}", latencies.summary());
    }
    eprintln!("{}", oracle.tally.summary());
    cluster.assert_content(&oracle);
    assert_eq!(oracle.tally.failed_requests(), 0, "requests failed: {}", oracle.tally.summary());
    let p99 = |(_, latencies): &(_, Latencies)| latencies.per_mille_ms(990);
    let bound = p99(&measured[1]) * P99_FACTOR_MAX + P99_MORE_MS_MAX;
    for phase in &measured[2..] {
        assert!(p99(phase) <= bound, "Redis {}: p99 of misses {} ms, bound {bound} ms", phase.0, p99(phase));
    }
}

/// Single checks of people who were never reported, one after the other.
fn probe_misses(cluster: &Cluster, oracle: &Oracle, probe: &mut Checker<'_>, lasts: Duration) -> Latencies {
    let (mut latencies, began) = (Latencies::default(), Instant::now());
    let address = cluster.nodes[0].address().unwrap();
    while began.elapsed() < lasts && !oracle.has_failed() {
        let stranger = Who::Stranger(probe.random.random_range(0..1000));
        let question = oracle.question_about(stranger, &mut probe.random);
        let asked = Instant::now();
        if probe.ask(address, &[question]) == Outcome::Answered {
            latencies.add(asked.elapsed());
        }
        std::thread::sleep(PROBE_EVERY);
    }
    latencies
}
