//! Limits that hold for all nodes together, by Redis: exact, without a question for each call where a client may ask often, and
//! shared out while Redis is away.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lostcard::clock::Clock;
use lostcard::crypto::random;
use lostcard::domain::client::Rate;
use lostcard::domain::ids::{ClientId, OrganizationId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::numbers::{Guests, NumbersMode};
use lostcard::limits::cluster::{Cluster, ClusterCell};
use lostcard::limits::{CallerLimits, Limit, LimitName};
use lostcard::redis_link::RedisLink;
use lostcard::telemetry::Metrics;
use serde_json::json;

use crate::bodies::{check_of, digest_of, random_number, rate, with};
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::numbers_ahead::pace_of;
use crate::redis::{metric, metric_is, node_with};
use crate::servers::redis::Redis;

pub(crate) async fn check_as(app: &TestApp, client: &TestClient) -> Answer {
    app.post(&client.token, "/v1/checks", &with(check_of(&random_number(), None), "receipt", false)).await
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn two_nodes_let_pass_together_what_one_would() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.limits.client = rate("6/600s")).await;
    let two = one.sibling().await;
    for (left, app) in (0..6).rev().zip([&one, &two].into_iter().cycle()) {
        let answer = check_as(app, &app.hotel).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("ratelimit"), format!(r#""client";r={left};t={}"#, (6 - left) * 100));
    }
    for app in [&one, &two] {
        let refused = check_as(app, &app.hotel).await;
        refused.problem(429, "limit_spent");
        assert_eq!(refused.header("ratelimit"), r#""client";r=0;t=600"#);
        assert!((90..=100).contains(&retry_after(&refused)), "{}", retry_after(&refused));
    }
    assert_eq!(one.read_report("x").await.status, 404, "other clients continue");
}

#[tokio::test]
async fn an_organizations_limit_refuses_on_every_node_and_costs_the_client_nothing() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| {
        config.limits.organization = rate("4/600s");
        config.limits.client = rate("6/600s");
    })
    .await;
    let two = one.sibling().await;
    let sister = one.add_client_of(one.hotel.organization, "checks").await;
    for app in [&one, &two] {
        assert_eq!(check_as(app, &one.hotel).await.status, 200);
        assert_eq!(check_as(app, &sister).await.status, 200);
    }
    for app in [&one, &two, &one, &two] {
        let refused = check_as(app, &sister).await;
        refused.problem(429, "organization_limit_spent");
        assert_eq!(refused.header("ratelimit"), r#""organization";r=0;t=600"#);
    }
    let organization = redis.command(&["--raw", "KEYS", "lostcard:limit:*:organization"]);
    redis.command(&["DEL", &organization]);
    assert_eq!(check_as(&one, &sister).await.header("ratelimit"), r#""client";r=3;t=300"#, "refusals spent nothing");
}

#[tokio::test]
async fn a_batch_is_spent_whole_or_not_at_all() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.limits.client = rate("10/600s")).await;
    let two = one.sibling().await;
    let batch = |n| (0..n).map(|_| check_of(&random_number(), None)).collect::<Vec<_>>();
    assert_eq!(one.check_batch(&batch(6)).await.header("ratelimit"), r#""client";r=4;t=360"#);
    // The refused batch costs a unit; the three that are left are put aside for it.
    let refused = two.check_batch(&batch(5)).await;
    refused.problem(429, "limit_spent");
    assert_eq!(refused.header("ratelimit").split(';').nth(1), Some("r=0"));
    assert!((115..=120).contains(&retry_after(&refused)), "{}", retry_after(&refused));
    for app in [&one, &two] {
        check_as(app, &app.hotel).await.problem(429, "limit_spent");
        let larger = app.check_batch(&batch(11)).await;
        larger.problem(429, "limit_spent");
    }
}

/// On both nodes calls of one unit come without a pause, as `starve` sends them; on one of them a batch.
#[tokio::test]
async fn small_calls_on_any_node_keep_no_batch_away() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.limits.client = rate("40/10s")).await;
    let two = one.sibling().await;
    let batch = || (0..30).map(|_| with(check_of(&random_number(), None), "receipt", false)).collect::<Vec<_>>();
    let is_over = std::cell::Cell::new(false);
    let passed = std::cell::Cell::new(0);
    let starve = async |app: &TestApp| {
        while !is_over.get() {
            passed.set(passed.get() + i32::from(check_as(app, &app.hotel).await.status == 200));
        }
    };
    let begun = Instant::now();
    let patient = async {
        for round in 0..2 {
            eventually("calls of one unit spend what is left", async || check_as(&one, &one.hotel).await.status == 429)
                .await;
            let refused = two.check_batch(&batch()).await;
            refused.problem(429, "limit_spent");
            tokio::time::sleep(Duration::from_secs(retry_after(&refused))).await;
            let answer = two.check_batch(&batch()).await;
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
        }
        is_over.set(true);
    };
    tokio::join!(patient, starve(&one), starve(&two));
    let most = 40.0 + begun.elapsed().as_secs_f64() * 4.0;
    assert!(f64::from(passed.get()) + 60.0 <= most, "{} in {:?}", passed.get(), begun.elapsed());
}

#[tokio::test]
async fn a_batch_that_redis_never_holds_costs_nothing() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.limits.client = rate("6/600s")).await;
    let two = one.sibling().await;
    metric_is(&one, "nodes", 2).await;
    let batch = |n| (0..n).map(|_| check_of(&random_number(), None)).collect::<Vec<_>>();
    let refused = one.check_batch(&batch(7)).await;
    refused.problem(422, "batch_too_large_for_limit");
    assert_eq!(refused.json()["items_max"], 6, "all of the rate: nodes count together");
    assert_eq!(two.check_batch(&batch(6)).await.header("ratelimit"), r#""client";r=0;t=600"#);
}

#[tokio::test]
async fn without_redis_each_node_gives_its_share_and_afterwards_they_count_together_again() {
    let mut redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.limits.client = rate("8/600s")).await;
    let two = one.sibling().await;
    metric_is(&one, "nodes", 2).await;
    metric_is(&two, "nodes", 2).await;
    redis.kill();
    let passed = async |app: &TestApp| {
        let mut passed = 0;
        while check_as(app, &app.hotel).await.status == 200 {
            passed += 1;
        }
        passed
    };
    assert_eq!((passed(&one).await, passed(&two).await), (4, 4));
    let refused = check_as(&one, &one.hotel).await;
    refused.problem(429, "limit_spent");
    assert_eq!(refused.header("ratelimit-policy"), r#""client";q=8;w=600"#);
    redis.restart();
    metric_is(&one, "redis_breaker_open", 0).await;
    metric_is(&two, "redis_breaker_open", 0).await;
    // Redis came back empty: the limit once more, and no more than that.
    assert_eq!(passed(&one).await + passed(&two).await, 8);
}

#[tokio::test]
async fn what_passed_by_redis_is_not_given_again_when_it_fails() {
    let mut redis = Redis::start();
    let one = node_with(&redis.url(), |config| config.limits.client = rate("8/600s")).await;
    let two = one.sibling().await;
    metric_is(&one, "nodes", 2).await;
    metric_is(&two, "nodes", 2).await;
    for app in [&one, &two].into_iter().cycle().take(8) {
        assert_eq!(check_as(app, &app.hotel).await.status, 200);
    }
    redis.kill();
    for app in [&one, &two] {
        check_as(app, &app.hotel).await.problem(429, "limit_spent");
    }
}

#[tokio::test]
async fn a_client_with_a_high_limit_seldom_asks_redis() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| {
        config.limits.client = rate("20000/1s");
        config.limits.organization = rate("1000000/1s");
        config.limits.numbers = Guests::Uncounted;
    })
    .await;
    check_as(&one, &one.hotel).await;
    let before = metric(&one, r#"redis_calls_total{outcome="answered"}"#).await;
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(check_as(&one, &one.hotel).await.status, 200);
    }
    let asked = metric(&one, r#"redis_calls_total{outcome="answered"}"#).await - before;
    // A grant is a thousand units and lives for a second.
    assert!(asked <= 2 + 2 * begun.elapsed().as_secs(), "{asked} calls in {:?}", begun.elapsed());
}

/// Two nodes, one after the other and at once, then without Redis.
#[tokio::test]
async fn a_clients_numbers_are_counted_by_all_nodes_together_and_nothing_of_a_number_is_in_redis() {
    let mut redis = Redis::start();
    let one = node_with(&redis.url(), |config| {
        config.limits.numbers_mode = Some(NumbersMode::Enforce);
        config.limits.numbers = Guests::parse("20/1d").unwrap();
    })
    .await;
    let two = one.sibling().await;
    metric_is(&one, "nodes", 2).await;
    metric_is(&two, "nodes", 2).await;
    let mut passed = 0;
    let first = random_number();
    assert_eq!(one.check(&check_of(&first, None)).await.status, 200);
    for app in [&one, &two].into_iter().cycle().take(100) {
        let answer = check_as(app, &app.hotel).await;
        passed += u32::from(answer.status == 200);
        if answer.status != 200 {
            answer.problem(429, "numbers_spent");
        }
    }
    // A few may be reserved at the other node; they come back within two seconds.
    assert!((50..60).contains(&passed), "{passed}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while passed < 59 {
        assert!(Instant::now() < deadline, "what was reserved and not used is given back");
        for app in [&one, &two] {
            passed += u32::from(check_as(app, &app.hotel).await.status == 200);
        }
    }
    assert_eq!(passed, 59);
    let batch: Vec<_> = (0..3).map(|_| check_of(&random_number(), None)).collect();
    two.check_batch(&batch).await.problem(429, "numbers_spent");
    assert_eq!(one.check(&check_of(&first, None)).await.status, 200);
    let keys = redis.command(&["--raw", "KEYS", "lostcard:limit:*:numbers:*"]);
    assert_eq!(keys.lines().count(), 1, "one count for the client: {keys}");
    let value = redis.command(&["--raw", "GET", keys.trim()]);
    assert!(value.trim().parse::<f64>().is_ok(), "a moment and nothing else: {value}");
    let pace = pace_of(&redis);
    assert!(pace.1.iter().all(|part| part.is_finite()) && pace.1.len() == 2, "two counts and nothing else: {pace:?}");
    redis.kill();
    // Each has its half of a burst at most.
    for app in [&one, &two] {
        let mut passed = 0;
        let refused = loop {
            let answer = check_as(app, &app.hotel).await;
            if answer.status != 200 {
                break answer;
            }
            passed += 1;
            assert!(passed <= 30, "{passed}");
        };
        refused.problem(429, "numbers_spent");
    }
}

/// A batch that names each of its guests twice asks for as many numbers as there are guests.
#[tokio::test]
async fn a_number_that_is_twice_in_a_batch_is_counted_once() {
    let redis = Redis::start();
    let app = node_with(&redis.url(), |config| {
        config.limits.numbers_mode = Some(NumbersMode::Enforce);
        config.limits.numbers = Guests::parse("20/1d").unwrap();
    })
    .await;
    let once: Vec<_> = (0..40).map(|_| check_of(&random_number(), None)).collect();
    let answer = app.check_batch(&[once.clone(), once].concat()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert!(results.len() == 80 && results.iter().all(|one| one.get("problem").is_none()), "{}", answer.text);
    let (_, pace) = pace_of(&redis);
    assert_eq!(pace, [40.0, 0.0], "forty that were spent, and never out of them");
}

/// A scraper that spreads its questions over three nodes gets what one node would give it, and is held by all of them.
#[tokio::test]
async fn who_spreads_over_three_nodes_is_counted_and_held_by_all_of_them() {
    let redis = Redis::start();
    let one = node_with(&redis.url(), |config| {
        config.limits.numbers_mode = Some(NumbersMode::Enforce);
        config.limits.numbers = Guests::parse("30/1d").unwrap();
    })
    .await;
    let (two, three) = (one.sibling().await, one.sibling().await);
    let nodes = [&one, &two, &three];
    for app in nodes {
        metric_is(app, "nodes", 3).await;
    }
    let digest = || json!({"id_digest": digest_of(&random_number()), "purpose": "lodging"});
    let mut passed = 0;
    for app in nodes.into_iter().cycle().take(120) {
        passed += u32::from(app.check(&digest()).await.status == 200);
    }
    assert!((20..=30).contains(&passed), "{passed}");
    for app in nodes {
        let is_held = async || check_as(app, &app.hotel).await.status == 403;
        eventually("each node holds it", is_held).await;
        check_as(app, &app.hotel).await.problem(403, "client_held");
    }
}

/// One client on a node of its own.
fn limits_on(redis: &Redis, client: (ClientId, Rate), organization: (OrganizationId, Rate)) -> CallerLimits {
    let metrics = Arc::new(Metrics::new().unwrap());
    let link = RedisLink::new(&redis.url(), Duration::from_secs(2), metrics).unwrap();
    let cluster = Cluster::new(link);
    let here = Arc::new(Limit::new(LimitName::Organization, organization.1, Clock::System));
    let cell = ClusterCell::new(cluster, Clock::System, client, organization);
    CallerLimits::new(client.1, here, &Clock::System, Arc::new(AtomicUsize::new(2))).shared_by(cell)
}

/// Grants included, no more passes than the limit and what came back since; and not much less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_reserve_ahead_never_exceed_the_rate() {
    let redis = Redis::start();
    let (client, organization) = (random::id(UnixMs::new(1)), random::id(UnixMs::new(2)));
    for text in ["400/1s", "2000/1s", "30/60s"] {
        redis.command(&["FLUSHALL"]);
        let limit = Rate::parse(text).unwrap();
        let nodes = [0, 1]
            .map(|_| Arc::new(limits_on(&redis, (client, limit), (organization, Rate::parse("1000000/1s").unwrap()))));
        let (passed, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let callers = nodes.iter().flat_map(|node| std::iter::repeat_n(node, 4)).map(|node| {
            let (node, passed) = (Arc::clone(node), Arc::clone(&passed));
            tokio::spawn(async move {
                while begun.elapsed() < Duration::from_millis(1500) {
                    let cost = NonZeroU32::new(1 + random::below(4)).unwrap();
                    if node.spend(cost).await.is_ok() {
                        passed.fetch_add(u64::from(cost.get()), Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        futures_util::future::join_all(callers).await;
        let seconds = begun.elapsed().as_secs_f64();
        let requests = f64::from(limit.requests.get());
        let most = requests + seconds * requests / f64::from(limit.per_seconds.get());
        let passed = passed.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let part = passed as f64 / most;
        assert!(part <= 1.0 && part > 0.5, "{text}: {passed} of {most} in {seconds} s");
    }
}
