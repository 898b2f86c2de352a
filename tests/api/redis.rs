//! Redis as the tier that nodes share: it saves questions to the store and changes no answer, whether it is there, dead, hung,
//! empty, stale or wrong. Its limits are in `shared_limits`.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lostcard::clock::Clock;
use lostcard::config::Config;
use lostcard::crypto::digest::LookupKey;
use lostcard::domain::sequence::Sequence;
use lostcard::domain::verdict::{Listing, ListingKind};
use lostcard::redis_link::RedisLink;
use lostcard::registry::cache::SharedCache;
use lostcard::telemetry::Metrics;

use crate::bodies::{random_number, report_of};
use crate::helpers::{TestApp, eventually};
use crate::servers::node::Node;
use crate::servers::process::{Process, run};
use crate::servers::redis::Redis;
use crate::servers::wait_until;

pub(crate) const LOST: &str = "2016-05-01";
const LATER: &str = "2020-05-01";

/// A node with Redis. Real time, for Redis has its own.
pub(crate) async fn node_with(url: &str, tweak: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::spawn_at(Clock::System, |config| {
        config.redis_url = Some(url.to_owned());
        // Redis is asked for what a filter does not exclude; who holds every listing asks nobody.
        config.registry.exact_mib = 0;
        tweak(config);
    })
    .await
}

/// A counter or gauge of a node, 0 where it has never been counted.
pub(crate) async fn metric(app: &TestApp, name: &str) -> u64 {
    let metrics = app.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("lostcard_{name} ")));
    line.map_or(0, |value| value.parse().unwrap())
}

pub(crate) async fn metric_is(app: &TestApp, name: &str, wanted: u64) {
    eventually(name, || async move { metric(app, name).await == wanted }).await;
}

pub(crate) const FROM_REDIS: &str = r#"lookups_total{tier="redis"}"#;
const FROM_STORE: &str = r#"lookups_total{tier="store"}"#;
const TIMED_OUT: &str = r#"redis_calls_total{outcome="timed_out"}"#;
const SKIPPED: &str = r#"redis_calls_total{outcome="skipped"}"#;

pub(crate) fn keys(redis: &Redis, kind: &str) -> Vec<String> {
    let keys = redis.command(&["--raw", "KEYS", &format!("lostcard:*:{kind}:*")]);
    keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

pub(crate) async fn kept(redis: &Redis, kind: &str, count: usize) -> Vec<String> {
    eventually("kept in Redis", || async { keys(redis, kind).len() == count }).await;
    keys(redis, kind)
}

fn value(redis: &Redis, key: &str) -> String {
    redis.command(&["--raw", "GET", key])
}

#[tokio::test]
async fn a_listing_that_one_node_has_read_is_had_from_redis_by_another() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let two = one.sibling().await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed");
    let keys = kept(&redis, "listing", 1).await;
    assert_eq!(two.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(two.verdict(&number, Some(LATER)).await, "other_card_listed");
    assert_eq!((metric(&two, FROM_REDIS).await, metric(&two, FROM_STORE).await), (1, 0));
    let kept = format!("{} {}", keys[0], value(&redis, &keys[0]));
    assert!(!kept.contains(&number), "{kept}");
    let ttl_ms: u64 = redis.command(&["--raw", "PTTL", &keys[0]]).parse().unwrap();
    assert!((1..=24 * 3600 * 1000).contains(&ttl_ms));
}

#[tokio::test]
async fn a_batch_is_looked_up_in_redis_by_one_command() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let two = one.sibling().await;
    let numbers: Vec<_> = (0..5).map(|_| random_number()).collect();
    for number in &numbers {
        one.report_lost(number, Some(LOST)).await;
    }
    let checks: Vec<_> = numbers.iter().map(|number| crate::bodies::check_of(number, Some(LOST))).collect();
    for app in [&one, &two] {
        let answer = app.check_batch(&checks).await.json();
        let verdicts: Vec<_> = (0..5).map(|n| answer["results"][n]["check"]["verdict"].clone()).collect();
        assert!(verdicts.iter().all(|verdict| verdict == "card_listed"), "{verdicts:?}");
        kept(&redis, "listing", 5).await;
    }
    assert_eq!((metric(&two, FROM_REDIS).await, metric(&two, FROM_STORE).await), (5, 0));
    assert!(redis.command(&["INFO", "commandstats"]).contains("cmdstat_mget:calls=2,"), "one for each batch");
}

#[tokio::test]
async fn an_older_value_never_replaces_a_newer_one_and_is_never_believed() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let two = one.sibling().await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    assert_eq!(one.verdict(&number, Some(LATER)).await, "other_card_listed");
    let key = kept(&redis, "listing", 1).await.remove(0);
    let older = value(&redis, &key);
    let report = one.report_lost(&number, Some(LATER)).await;
    assert_eq!(one.verdict(&number, Some(LATER)).await, "card_listed");
    let (redis, name) = (&redis, key.as_str());
    eventually("the newer value", || async { value(redis, name) != older }).await;
    let newer = value(redis, name);
    // Evicted, and then an older value comes late.
    redis.command(&["SET", name, &older]);
    assert_eq!(two.verdict(&number, Some(LATER)).await, "card_listed");
    eventually("the newer value again", || async { value(redis, name) != older }).await;
    let (was, is) = (sequence(&newer), sequence(&value(redis, name)));
    assert!(is >= was, "{is} after {was}");
    // A withdrawn report stays in Redis as it was, and nobody believes it.
    let withdrawn = random_number();
    let report_id = one.report_lost(&withdrawn, Some(LOST)).await["report_id"].clone();
    assert_eq!(two.verdict(&withdrawn, Some(LOST)).await, "card_listed");
    kept(redis, "listing", 2).await;
    for id in [report_id, report["report_id"].clone()] {
        assert_eq!(one.withdraw(id.as_str().unwrap()).await.status, 200);
    }
    for app in [&two, &one.sibling().await] {
        let there = || async { app.verdict(&withdrawn, Some(LOST)).await == "not_listed" };
        eventually("withdrawn there", there).await;
        assert_eq!(app.verdict(&number, Some(LATER)).await, "other_card_listed");
    }
}

#[tokio::test]
async fn a_late_writer_does_not_replace_what_is_newer() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let link = RedisLink::new(&redis.url(), Duration::from_secs(2), Arc::clone(&metrics)).unwrap();
    let cache = SharedCache::new(link, Arc::clone(&one.keyring), metrics);
    let key = |n: u8| LookupKey::from_bytes([n; 16]);
    let since = LOST.parse().unwrap();
    let listing = Listing { threshold: None, card_unknown: true, kind: ListingKind::Reported, since };
    for (n, written, kept_then) in [(1, 5, 5), (2, 3, 5), (3, 7, 7)] {
        // The second is written after the first: when it is there, the first has been dealt with.
        cache.keep("epoch", 1, Sequence::new(written), vec![(key(0), listing), (key(n), listing)]);
        kept(&redis, "listing", usize::from(n) + 1).await;
        let found = cache.find("epoch", 1, &[key(0), key(n), key(9)]).await;
        let sequences: Vec<_> = found.iter().map(|copy| copy.map(|copy| copy.sequence.get())).collect();
        assert_eq!(sequences, [Some(kept_then), Some(written), None]);
        assert_eq!(found[0].unwrap().listing, Some(listing));
    }
}

fn sequence(value: &str) -> u64 {
    value.split(';').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn wrong_and_missing_values_change_no_answer() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let (listed, other) = (random_number(), random_number());
    one.report_lost(&listed, Some(LOST)).await;
    one.report_lost(&other, None).await;
    one.verdict(&listed, None).await;
    one.verdict(&other, None).await;
    let keys = kept(&redis, "listing", 2).await;
    let values: Vec<_> = keys.iter().map(|key| value(&redis, key)).collect();
    let newest = format!("{};9999999;reported;2026-11-02;2030-01-01;false", "0".repeat(32));
    let spoil: [&dyn Fn(); 5] = [
        &|| (0..2).for_each(|n| drop(redis.command(&["SET", &keys[n], "garbage \u{ff}"]))),
        &|| (0..2).for_each(|n| drop(redis.command(&["SET", &keys[n], &values[1 - n]]))),
        &|| (0..2).for_each(|n| drop(redis.command(&["SET", &keys[n], &newest]))),
        &|| {
            redis.command(&["FLUSHALL"]);
            (0..2).for_each(|n| drop(redis.command(&["RPUSH", &keys[n], "a list"])));
        },
        &|| drop(redis.command(&["FLUSHALL"])),
    ];
    for (n, spoil) in spoil.into_iter().enumerate() {
        spoil();
        let fresh = one.sibling().await;
        assert_eq!(fresh.verdict(&listed, Some(LOST)).await, "card_listed", "{n}");
        assert_eq!(fresh.verdict(&listed, Some(LATER)).await, "other_card_listed", "{n}");
        assert_eq!(fresh.verdict(&other, Some(LOST)).await, "number_listed", "{n}");
        assert_eq!(fresh.verdict(&random_number(), Some(LOST)).await, "not_listed", "{n}");
        assert_eq!(metric(&fresh, FROM_REDIS).await, 0, "{n}");
        fresh.stop().await;
    }
}

#[tokio::test]
async fn a_redis_that_dies_costs_nothing_and_is_taken_up_again() {
    let mut redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    redis.kill();
    for _ in 0..3 {
        let another = random_number();
        one.report_lost(&another, None).await;
        assert_eq!(one.verdict(&another, None).await, "number_listed");
        assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed");
        assert_eq!(one.verdict(&random_number(), None).await, "not_listed");
    }
    assert_eq!(metric(&one, "redis_breaker_open").await, 1);
    assert!(metric(&one, SKIPPED).await > 0);
    redis.restart();
    metric_is(&one, "redis_breaker_open", 0).await;
    let another = random_number();
    one.report_lost(&another, Some(LOST)).await;
    assert_eq!(one.verdict(&another, Some(LOST)).await, "card_listed");
    kept(&redis, "listing", 1).await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_once() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.redis.timeout_ms = 50).await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    redis.pause();
    eventually("the breaker opens", || async {
        assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed");
        metric(&one, "redis_breaker_open").await == 1
    })
    .await;
    let (late, begun) = (metric(&one, TIMED_OUT).await, Instant::now());
    for _ in 0..20 {
        assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed");
        assert_eq!(one.verdict(&random_number(), None).await, "not_listed");
    }
    one.report_lost(&random_number(), None).await;
    assert_eq!(metric(&one, TIMED_OUT).await, late, "nothing waits while the breaker is open: {:?}", begun.elapsed());
    redis.resume();
    metric_is(&one, "redis_breaker_open", 0).await;
}

#[tokio::test]
async fn a_node_starts_and_serves_without_its_redis() {
    let mut redis = Redis::start();
    redis.kill();
    let one = node_with(&redis.url(), |_| {}).await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(metric(&one, "redis_breaker_open").await, 1);
}

/// Polls are ten seconds apart: only a wake-up lets the other node confirm in time.
#[tokio::test]
async fn a_wake_up_makes_the_other_node_follow_before_its_poll() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| {
        (config.registry.lease_ms, config.registry.poll_ms) = (20_000, 10_000);
    })
    .await;
    let two = one.sibling().await;
    eventually("both listen", || async {
        let channel = redis.command(&["--raw", "PUBSUB", "CHANNELS", "lostcard:*:wake"]);
        !channel.is_empty() && redis.command(&["--raw", "PUBSUB", "NUMSUB", &channel]).ends_with("\n2")
    })
    .await;
    let (number, begun) = (random_number(), Instant::now());
    one.report_lost(&number, Some(LOST)).await;
    assert_eq!(two.verdict(&number, Some(LOST)).await, "card_listed");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: by the poll", begun.elapsed());
    assert!(metric(&two, "wakes_total").await >= 1 && metric(&one, "wakes_total").await == 0, "nobody wakes itself");
}

#[tokio::test]
async fn a_repetition_is_answered_from_redis_and_without_it_from_the_store() {
    const REPEATED: &str = "answers_repeated_by_redis_total";
    let redis = Redis::start();
    let one = node_with(&redis.url(), |_| {}).await;
    let two = one.sibling().await;
    let (number, other) = (random_number(), random_number());
    let body = report_of(&number, Some(LOST));
    let first = one.report_once("key", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let key = kept(&redis, "answer", 1).await.remove(0);
    for app in [&one, &two] {
        let again = app.report_once("key", &body).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(metric(app, REPEATED).await, 1);
        app.report_once("key", &report_of(&other, Some(LOST))).await.problem(422, "idempotency_key_reused");
    }
    let genuine = value(&redis, &key);
    for wrong in ["garbage".to_owned(), genuine.replace("201", "200")] {
        redis.command(&["SET", &key, &wrong]);
        let again = one.report_once("key", &body).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        one.report_once("key", &report_of(&other, Some(LOST))).await.problem(422, "idempotency_key_reused");
    }
    assert_eq!(metric(&one, REPEATED).await, 1);
    assert_eq!(one.search(&number).await.json()["reports"].as_array().unwrap().len(), 1);
    assert_eq!(one.verdict(&other, None).await, "not_listed");
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Three servers that share the slots.
fn cluster() -> [Redis; 3] {
    let ports: [_; 3] = std::array::from_fn(|_| free_port().to_string());
    let servers =
        ports.each_ref().map(|bus| Redis::start_with(&["--cluster-enabled", "yes", "--cluster-port", bus.as_str()]));
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]);
    create.args(servers.iter().zip(&ports).map(|(server, bus)| format!("{}@{bus}", server.address())));
    run(create.arg("--cluster-yes"));
    wait_until("the cluster is whole", || {
        servers.iter().all(|server| server.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    });
    servers
}

#[tokio::test]
async fn a_cluster_serves_as_one_server_does() {
    let servers = cluster();
    let hosts: Vec<_> = servers.iter().map(|server| server.address().to_string()).collect();
    let url = format!("redis-cluster://{}", hosts.join(","));
    let one = node_with(&url, |config| config.limits.client = crate::bodies::rate("40/6000s")).await;
    let two = one.sibling().await;
    let numbers: Vec<_> = (0..12).map(|_| random_number()).collect();
    for number in &numbers {
        one.report_lost(number, Some(LOST)).await;
        assert_eq!(one.verdict(number, Some(LOST)).await, "card_listed");
    }
    let kept = || servers.iter().map(|server| keys(server, "listing").len()).collect::<Vec<_>>();
    eventually("kept", || async { kept().iter().sum::<usize>() == 12 }).await;
    assert!(kept().iter().filter(|count| **count > 0).count() > 1, "in several slots: {:?}", kept());
    let checks: Vec<_> = numbers.iter().map(|number| crate::bodies::check_of(number, Some(LOST))).collect();
    let answer = two.check_batch(&checks).await;
    assert_eq!(answer.text.matches(r#""verdict":"card_listed""#).count(), 12, "{}", answer.text);
    assert_eq!((metric(&two, FROM_REDIS).await, metric(&two, FROM_STORE).await), (12, 0));
    assert!(
        answer.header("ratelimit").starts_with(r#""client";r=16;"#),
        "24 of 40 units are spent on both nodes together"
    );
    assert_eq!(metric(&one, "redis_breaker_open").await + metric(&two, "redis_breaker_open").await, 0);
}

#[tokio::test]
async fn a_server_is_reached_by_tls_if_its_certificate_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |args: &[&str]| run(Command::new("openssl").args(args).stderr(Stdio::null()));
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let ca = ["req", "-x509", "-subj", "/CN=test CA", "-keyout", &path("ca.key"), "-out", &path("ca.pem")];
    openssl(&[ca.as_slice(), &new_key].concat());
    let server = ["req", "-x509", "-CA", &path("ca.pem"), "-CAkey", &path("ca.key"), "-subj", "/CN=redis"];
    let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    let files = ["-keyout", &path("redis.key"), "-out", &path("redis.pem")];
    openssl(&[server.as_slice(), &new_key, &names, &files].concat());
    let port = free_port().to_string();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &port, "--save", "", "--tls-auth-clients", "no"]);
    command.args(["--tls-cert-file", &path("redis.pem"), "--tls-key-file", &path("redis.key")]);
    command.args(["--tls-ca-cert-file", &path("ca.pem"), "--dir", &path("")]);
    let _redis = Process::start(command.stdout(Stdio::null()));
    let channels = || {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &port, "--tls", "--cacert", &path("ca.pem"), "--raw", "PUBSUB", "CHANNELS"]);
        String::from_utf8(cli.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let url = format!("rediss://127.0.0.1:{port}");
    let start = |trusted: &str| {
        let trusted = trusted.to_owned();
        Node::start_with(&folder.path().join("data"), |command| {
            command.env("LOSTCARD_REDIS_URL", &url).env("SSL_CERT_FILE", trusted).env("LOSTCARD_LOG", "debug");
        })
    };
    let stranger = start(&path("redis.pem"));
    wait_until("the stranger was refused", || stranger.log().contains("no wake-ups by Redis"));
    assert_eq!(channels(), "");
    drop(stranger);
    let _friend = start(&path("ca.pem"));
    wait_until("the node listens", || channels().ends_with(":wake"));
}
