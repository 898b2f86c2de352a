//! Redis down, hung, cut off, empty, full: it saves work and decides nothing, so no answer changes and none is late.

use std::time::Duration;

use crate::bodies::random_number;
use crate::servers::node::Node;
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::redis::Redis;
use crate::servers::shared;
use crate::service::Service;

/// What a busy machine may take for an answer; a hung Redis would never answer.
const SOON: Duration = Duration::from_secs(2);

struct Numbers {
    listed: Vec<String>,
    clean: Vec<String>,
}

impl Numbers {
    /// That every node says about every number what it said before, and takes a report as before.
    async fn assert_answers(&mut self, service: &Service, nodes: &[Node; 2], fault: &str) {
        self.listed.push(service.report_lost(&nodes[0]).await);
        for node in nodes {
            for number in &self.listed {
                let answer = service.check(node, number).await;
                assert_eq!((answer.status, answer.word()), (200, "number_listed"), "{fault}: {answer:?}");
                assert!(answer.took < SOON, "{fault}: {:?}", answer.took);
            }
            for number in &self.clean {
                let answer = service.check(node, number).await;
                assert_eq!((answer.status, answer.word()), (200, "not_listed"), "{fault}: {answer:?}");
                assert!(answer.took < SOON, "{fault}: {:?}", answer.took);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_redis_no_answer_changes() {
    let direct = shared::postgres().create_database();
    let mut redis = Redis::start();
    let proxy = Proxy::start(redis.address());
    let mut service = Service::new(Some(&direct));
    let url = proxy.url(&redis.url());
    // No copies in memory: every check of a listed number looks further, to Redis and then to the store.
    let tweak = |command: &mut std::process::Command| {
        command.env("LOSTCARD_REDIS_URL", &url).env("LOSTCARD_REGISTRY__LISTINGS_MAX", "1");
    };
    let nodes = [service.node("first", Some(&direct), tweak), service.node("second", Some(&direct), tweak)];
    service.get_tokens(&nodes[0]).await;
    service.introduce(&nodes[1]).await;
    let mut numbers = Numbers { listed: Vec::new(), clean: (0..10).map(|_| random_number()).collect() };
    for _ in 0..10 {
        numbers.listed.push(service.report_lost(&nodes[0]).await);
    }
    numbers.assert_answers(&service, &nodes, "none").await;
    assert_ne!(redis.command(&["DBSIZE"]), "0", "Redis is in use");

    redis.command(&["FLUSHALL"]);
    numbers.assert_answers(&service, &nodes, "flushed").await;
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    numbers.assert_answers(&service, &nodes, "evicting everything").await;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    numbers.assert_answers(&service, &nodes, "as before").await;
    redis.pause();
    numbers.assert_answers(&service, &nodes, "standing still").await;
    redis.resume();
    for fault in [Fault::Hang, Fault::HangReplies, Fault::Delay(Duration::from_millis(100)), Fault::Cut] {
        proxy.set(fault);
        numbers.assert_answers(&service, &nodes, &format!("{fault:?}")).await;
        proxy.set(Fault::None);
        numbers.assert_answers(&service, &nodes, &format!("after {fault:?}")).await;
    }
    redis.kill();
    numbers.assert_answers(&service, &nodes, "down").await;
    redis.restart();
    numbers.assert_answers(&service, &nodes, "back, and empty").await;
}
