//! Limits on numbers by node: what settings and store say, several nodes, and both ways of a check.

use std::cell::Cell;

use lostcard::domain::numbers::NumbersMode;

use crate::bodies::{check_of, random_number};
use crate::helpers::eventually;
use crate::limits::retry_after;
use crate::numbers::{node_of, node_with, number_of};

#[tokio::test]
async fn where_limits_observe_they_count_and_refuse_nothing() {
    let app = node_with("1/1d", |config| config.limits.numbers_mode = Some(NumbersMode::Observe)).await;
    app.ask_new(60).await;
    let answer = app.ask(&random_number()).await;
    assert_eq!(answer.header("ratelimit-policy"), r#""client";q=600;w=60"#);
    assert!(app.metric(r#"lostcard_numbers_refused_total{by="numbers"}"#).await > 30);
    assert_eq!(app.metric("lostcard_clients_held").await, 0);
}

#[tokio::test]
async fn a_new_store_enforces_and_the_setting_overrides_the_store() {
    let app = node_with("1000/1d", |config| config.limits.numbers_mode = None).await;
    assert_eq!(app.store.numbers_mode().await.unwrap(), NumbersMode::Enforce);
    assert!(app.ask(&random_number()).await.header("ratelimit-policy").contains("numbers"));
    let observing = app.sibling_with(|config| config.limits.numbers_mode = Some(NumbersMode::Observe)).await;
    assert!(!observing.ask(&random_number()).await.header("ratelimit-policy").contains("numbers"));
}

#[tokio::test]
async fn nodes_without_redis_share_what_is_declared() {
    let one = node_of("20/1d").await;
    let two = one.sibling().await;
    for app in [&one, &two] {
        eventually("both know of each other", async || app.metric("lostcard_nodes").await == 2).await;
    }
    for app in [&one, &two] {
        app.ask_new(30).await;
        let refused = app.ask(&random_number()).await;
        refused.problem(429, "numbers_spent");
        assert_eq!(retry_after(&refused), 8640, "its half comes back at half the rate");
    }
}

/// What docs/SECURITY.md says of a cluster: a county's birthday is counted by each node, numbers are shared out.
#[tokio::test]
async fn three_nodes_without_redis_give_a_third_each_and_count_places_for_themselves() {
    let one = node_of("100/1d").await;
    let (two, three) = (one.sibling().await, one.sibling().await);
    for app in [&one, &two, &three] {
        eventually("all know of each other", async || app.metric("lostcard_nodes").await == 3).await;
    }
    for (nth, app) in (0..).zip([&one, &two, &three]) {
        for person in 0..12 {
            assert_eq!(app.ask(&number_of(110_105, 19_491_231, nth * 20 + person)).await.status, 200);
        }
        app.ask(&number_of(110_105, 19_491_231, nth * 20 + 12)).await.problem(429, "neighbourhood_spent");
        app.ask_new(88).await;
        app.ask(&random_number()).await.problem(429, "numbers_spent");
    }
}

/// Each gives half of it, so that two together give what one would.
#[tokio::test]
async fn a_birthday_is_shared_out_between_two_nodes() {
    let one = node_of("200/1d").await;
    let two = one.sibling().await;
    for app in [&one, &two] {
        eventually("both know of each other", async || app.metric("lostcard_nodes").await == 2).await;
    }
    let mut passed = 0;
    for (nth, app) in (0..).zip([&one, &two].into_iter().cycle()).take(60) {
        let answer = app.ask(&number_of(110_101 + nth % 6, 19_491_231, nth)).await;
        passed += u32::from(answer.status == 200);
        if answer.status != 200 {
            answer.problem(429, "neighbourhood_spent");
        }
    }
    assert_eq!(passed, 40);
}

/// One client, one connection after the other by each way: what one way spends the other has not.
#[tokio::test]
async fn the_short_way_and_the_long_way_spend_the_same() {
    let app = node_with("10/1d", |config| config.server.lane = true).await;
    let asked = Cell::new(0);
    for nth in 0.. {
        let mut request = app.request("POST", "/v1/checks").bearer_auth(&app.hotel.token);
        if nth % 2 == 1 {
            // Anything that the short way does not read makes it leave the request to the long one.
            request = request.header("X-Forwarded-For", "192.0.2.1").header("Connection", "close");
        }
        let answer = app.send(request.json(&check_of(&random_number(), None))).await;
        if answer.status != 200 {
            answer.problem(429, "numbers_spent");
            break;
        }
        asked.set(asked.get() + 1);
    }
    assert_eq!(asked.get(), 30);
}
