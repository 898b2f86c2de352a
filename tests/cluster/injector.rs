//! What breaks, and when: faults drawn from the seed, each injected, held and healed by a thread of its own, so that several hold
//! at once. A fault whose target is broken already is left out. When the injector has ended, everything is healed.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::servers::proxy::Fault;
use crate::tally::lock;

/// From one fault to the next.
const EVERY_MS: std::ops::RangeInclusive<u64> = 500..=1700;
/// One fault in so many comes together with another one.
const TOGETHER_EVERY: u32 = 5;

/// What is broken: one fault at a time for each. All nodes share one target, so that two of them always run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Node,
    PostgresLink(usize),
    RedisLink(usize),
    Postgres,
    Redis,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    KillNode(usize),
    PauseNode(usize),
    DrainNode(usize),
    PostgresLink(usize, Fault),
    RedisLink(usize, Fault),
    KillPostgres,
    PausePostgres,
    KillRedis,
    PauseRedis,
    FlushRedis,
    ShrinkRedis,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    kind: Kind,
    holds: Duration,
}

/// Breaks things for so long; returns when all is healed.
pub(crate) fn run(cluster: &Cluster, oracle: &Oracle, mut random: Xoshiro256PlusPlus, lasts: Duration) {
    let began = Instant::now();
    let broken = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        while began.elapsed() < lasts && !oracle.has_failed() {
            let together = if random.random_ratio(1, TOGETHER_EVERY) { 2 } else { 1 };
            for _ in 0..together {
                let plan = Plan::draw(&mut random, cluster.nodes.len());
                if lock(&broken).insert(plan.target()) {
                    let broken = &broken;
                    scope.spawn(move || {
                        oracle.tally.fault_begins(plan.name());
                        plan.carry_out(cluster);
                        oracle.tally.fault_ended();
                        lock(broken).remove(&plan.target());
                    });
                }
            }
            std::thread::sleep(Duration::from_millis(random.random_range(EVERY_MS)));
        }
    });
}

impl Plan {
    fn draw(random: &mut Xoshiro256PlusPlus, nodes: usize) -> Self {
        let node = random.random_range(0..nodes);
        let fault = match random.random_range(0..5) {
            0 => Fault::Cut,
            1 => Fault::Hang,
            2 => Fault::HangReplies,
            3 => Fault::Refuse,
            _ => Fault::Delay(Duration::from_millis(random.random_range(5..=400))),
        };
        let (kind, ms) = match random.random_range(0..100) {
            0..12 => (Kind::KillNode(node), 0..=500),
            12..26 => (Kind::PauseNode(node), 200..=3000),
            26..34 => (Kind::DrainNode(node), 0..=200),
            34..62 => (Kind::PostgresLink(node, fault), 200..=4000),
            62..78 => (Kind::RedisLink(node, fault), 200..=4000),
            78..82 => (Kind::KillPostgres, 0..=500),
            82..88 => (Kind::PausePostgres, 100..=2000),
            88..91 => (Kind::KillRedis, 0..=1500),
            91..94 => (Kind::PauseRedis, 100..=3000),
            94..97 => (Kind::FlushRedis, 0..=0),
            _ => (Kind::ShrinkRedis, 500..=3000),
        };
        Self { kind, holds: Duration::from_millis(random.random_range(ms)) }
    }

    fn target(&self) -> Target {
        match self.kind {
            Kind::KillNode(_) | Kind::PauseNode(_) | Kind::DrainNode(_) => Target::Node,
            Kind::PostgresLink(node, _) => Target::PostgresLink(node),
            Kind::RedisLink(node, _) => Target::RedisLink(node),
            Kind::KillPostgres | Kind::PausePostgres => Target::Postgres,
            Kind::KillRedis | Kind::PauseRedis | Kind::FlushRedis | Kind::ShrinkRedis => Target::Redis,
        }
    }

    fn name(&self) -> &'static str {
        let of_link = |names: [&'static str; 5], fault| match fault {
            Fault::None | Fault::Refuse => names[0],
            Fault::Cut => names[1],
            Fault::Hang => names[2],
            Fault::HangReplies => names[3],
            Fault::Delay(_) => names[4],
        };
        match self.kind {
            Kind::KillNode(_) => "node killed",
            Kind::PauseNode(_) => "node paused",
            Kind::DrainNode(_) => "node drained",
            Kind::PostgresLink(_, fault) => of_link(
                ["postgres refused", "postgres cut", "postgres hung", "postgres replies hung", "postgres delayed"],
                fault,
            ),
            Kind::RedisLink(_, fault) => {
                of_link(["redis refused", "redis cut", "redis hung", "redis replies hung", "redis delayed"], fault)
            }
            Kind::KillPostgres => "postgres killed",
            Kind::PausePostgres => "postgres paused",
            Kind::KillRedis => "redis killed",
            Kind::PauseRedis => "redis paused",
            Kind::FlushRedis => "redis flushed",
            Kind::ShrinkRedis => "redis shrunk",
        }
    }

    /// Breaks, holds and heals.
    fn carry_out(&self, cluster: &Cluster) {
        let hold = || std::thread::sleep(self.holds);
        match self.kind {
            Kind::KillNode(node) => {
                cluster.nodes[node].kill();
                hold();
                cluster.nodes[node].start();
            }
            Kind::PauseNode(node) => {
                cluster.nodes[node].pause();
                hold();
                cluster.nodes[node].resume();
            }
            Kind::DrainNode(node) => {
                cluster.nodes[node].terminate();
                hold();
                cluster.nodes[node].start();
            }
            Kind::PostgresLink(node, fault) => {
                cluster.nodes[node].postgres.set(fault);
                hold();
                cluster.nodes[node].postgres.set(Fault::None);
            }
            Kind::RedisLink(node, fault) => {
                cluster.nodes[node].redis.set(fault);
                hold();
                cluster.nodes[node].redis.set(Fault::None);
            }
            Kind::KillPostgres => {
                let mut postgres = lock(&cluster.postgres);
                postgres.kill();
                hold();
                postgres.restart();
            }
            Kind::PausePostgres => {
                let postgres = lock(&cluster.postgres);
                postgres.pause();
                hold();
                postgres.resume();
            }
            kind => kind.carry_out_on_redis(cluster, self.holds),
        }
    }
}

impl Kind {
    fn carry_out_on_redis(self, cluster: &Cluster, holds: Duration) {
        let mut redis = lock(&cluster.redis);
        match self {
            Self::KillRedis => {
                redis.kill();
                std::thread::sleep(holds);
                redis.restart();
            }
            Self::PauseRedis => {
                redis.pause();
                std::thread::sleep(holds);
                redis.resume();
            }
            Self::FlushRedis => drop(redis.command(&["FLUSHALL"])),
            _ => {
                redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
                std::thread::sleep(holds);
                redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
            }
        }
    }
}
