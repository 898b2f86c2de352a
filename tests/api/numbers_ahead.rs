//! How far a client runs ahead of what it declared, counted by several nodes together in Redis: who runs away, or is out of numbers on two
//! days, is held wherever it asks.

use std::time::Duration;

use lostcard::domain::numbers::{Guests, NumbersMode};

use crate::child::run_json;
use crate::helpers::{Answer, TestApp, eventually};
use crate::redis::{metric_is, node_with};
use crate::servers::redis::Redis;
use crate::shared_limits::check_as;

/// How far the one client that asked runs ahead, as Redis keeps it: its key, and its numbers with when it was first out of them.
pub(crate) fn pace_of(redis: &Redis) -> (String, Vec<f64>) {
    let key = redis.command(&["--raw", "KEYS", "lostcard:limit:*:pace:*"]).trim().to_owned();
    let value = redis.command(&["--raw", "GET", &key]);
    let parts = value.split_whitespace().map(|part| part.parse().unwrap()).collect();
    (key, parts)
}

/// Lets time pass for the one client that asked: what is kept of it is that much older.
fn age(redis: &Redis, time: Duration) {
    let us = u64::try_from(time.as_micros()).unwrap().to_string();
    let older = r"
        for _, key in ipairs(KEYS) do
          local run, out = string.match(redis.call('GET', key), '^(%d+) (%d+)$')
          if run then
            if out ~= '0' then out = string.format('%.0f', out - ARGV[1]) end
            redis.call('SET', key, run .. ' ' .. out)
          else
            redis.call('SET', key, string.format('%.17g', redis.call('GET', key) - ARGV[1]))
          end
        end";
    let keys = redis.command(&["--raw", "KEYS", "lostcard:limit:*:numbers:*"]);
    let (keys, (pace, _)) = (keys.trim(), pace_of(redis));
    redis.command(&["EVAL", older, "2", keys, &pace, &us]);
}

const DAY: Duration = Duration::from_hours(24);

/// Two nodes that enforce, with a client of so many guests.
async fn two_nodes(redis: &Redis, guests: &str) -> [TestApp; 2] {
    let one = node_with(&redis.url(), |config| {
        config.limits.numbers_mode = Some(NumbersMode::Enforce);
        config.limits.numbers = Guests::parse(guests).unwrap();
    })
    .await;
    let two = one.sibling().await;
    for app in [&one, &two] {
        metric_is(app, "nodes", 2).await;
    }
    [one, two]
}

/// How many numbers pass of so many, by turns; the last refusal.
async fn ask_by_turns(nodes: &[TestApp; 2], count: usize) -> (u32, Option<Answer>) {
    let (mut passed, mut refused) = (0, None);
    for app in nodes.iter().cycle().take(count) {
        let answer = check_as(app, &app.hotel).await;
        if answer.status == 200 { passed += 1 } else { refused = Some(answer) }
    }
    (passed, refused)
}

/// One and a half times the guests, never more than are there: no node refuses it, and both hold it on the third day.
#[tokio::test]
async fn who_runs_away_over_several_nodes_is_held_before_it_is_out() {
    let redis = Redis::start();
    let nodes = two_nodes(&redis, "30/1d").await;
    let mut passed = 0;
    for day in 0..2 {
        let (of_day, refused) = ask_by_turns(&nodes, 45).await;
        assert!(refused.is_none(), "{day}: {:?}", refused.map(|answer| answer.text));
        passed += of_day;
        age(&redis, DAY);
    }
    let (of_day, refused) = ask_by_turns(&nodes, 45).await;
    passed += of_day;
    refused.expect("it is held").problem(403, "client_held");
    // What was reserved at the other node came back, or did not: it is there to be seen in a second.
    assert!((112..=120).contains(&passed), "four days' guests: {passed}");
    for app in &nodes {
        eventually("each node holds it", async || check_as(app, &app.hotel).await.status == 403).await;
    }
}

/// Out of numbers at one node, and some days later at the other.
#[tokio::test]
async fn who_is_out_of_numbers_on_two_days_at_two_nodes_is_held() {
    let redis = Redis::start();
    let nodes = two_nodes(&redis, "20/1d").await;
    let drain = async |app: &TestApp| {
        loop {
            let answer = check_as(app, &app.hotel).await;
            if answer.status != 200 {
                break answer;
            }
        }
    };
    drain(&nodes[0]).await.problem(429, "numbers_spent");
    assert!(pace_of(&redis).1[1] > 0.0);
    // All of them are there again, so it runs from nothing.
    age(&redis, DAY * 4);
    drain(&nodes[1]).await.problem(429, "numbers_spent");
    for app in &nodes {
        eventually("both hold it", async || check_as(app, &app.hotel).await.status == 403).await;
    }
}

/// A node reserves some of a client's numbers ahead; whenever the client was changed, these were lost to it.
#[tokio::test]
async fn changes_of_a_client_cost_it_none_of_its_numbers() {
    let redis = Redis::start();
    let app = node_with(&redis.url(), |config| {
        config.limits.numbers_mode = Some(NumbersMode::Enforce);
        config.limits.numbers = Guests::parse("25/1d").unwrap();
    })
    .await;
    let client = app.hotel.client_id.to_string();
    let mut passed = 0;
    for nth in 0..75 {
        if nth % 9 == 0 {
            run_json(&app.config.data, &["client", "numbers", &client, "--guests", "25/1d", "--json"]);
        }
        passed += u32::from(check_as(&app, &app.hotel).await.status == 200);
    }
    assert_eq!(passed, 75);
    check_as(&app, &app.hotel).await.problem(429, "numbers_spent");
}
