//! Whose numbers a client may ask about: what a number costs, what is refused and what is not by that, who is held. The limits
//! themselves are tested in `limits::numbers`; here they are met as callers meet them, by both ways of a check.

use std::cell::Cell;
use std::time::Duration;

use lostcard::clock::Clock;
use lostcard::config::Config;
use lostcard::domain::id_number::IdNumber;
use lostcard::domain::numbers::{Guests, NumbersMode};
use serde_json::{Value, json};

use crate::bodies::{check_of, digest_of, random_number, with};
use crate::child;
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::limits::{own_limits, retry_after};

const DAY: Duration = Duration::from_hours(24);

/// A node that enforces, whose clients declare so many guests.
pub(crate) async fn node_of(guests: &str) -> TestApp {
    node_with(guests, |_| {}).await
}

pub(crate) async fn node_with(guests: &str, tweak: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::spawn_with(|config| {
        let limits = own_limits(config);
        limits.numbers_mode = Some(NumbersMode::Enforce);
        limits.numbers = Guests::parse(guests).unwrap();
        tweak(config);
    })
    .await
}

/// The number of somebody of a place; each sequence is another person.
pub(crate) fn number_of(county: u32, born: u32, sequence: u32) -> String {
    let first_17 = format!("{county:06}{born:08}{sequence:03}");
    let number = IdNumber::from_first_17(first_17.as_bytes().try_into().unwrap(), Clock::System.today()).unwrap();
    number.as_bytes().iter().copied().map(char::from).collect()
}

/// With another last character than the right one.
fn wrong_number() -> String {
    let mut number = random_number();
    let last = if number.pop() == Some('0') { '1' } else { '0' };
    number.push(last);
    number
}

impl TestApp {
    pub(crate) async fn ask(&self, number: &str) -> Answer {
        self.check(&check_of(number, None)).await
    }

    /// Asks about so many people who were not there before; all must pass.
    pub(crate) async fn ask_new(&self, count: usize) -> Vec<String> {
        let numbers: Vec<_> = (0..count).map(|_| random_number()).collect();
        for number in &numbers {
            let answer = self.ask(number).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        numbers
    }

    fn command(&self, args: &[&str]) -> Value {
        child::run_json(&self.config.data, &[args, &["--json"]].concat())
    }

    /// What `client list` says of a client.
    fn listed(&self, client: &TestClient) -> Value {
        let id = json!(client.client_id);
        let all = self.command(&["client", "list"]);
        all["clients"].as_array().unwrap().iter().find(|listed| listed["client_id"] == id).unwrap().clone()
    }

    /// Waits until the store holds a client.
    async fn is_held_in_the_store(&self, client: &TestClient) {
        eventually("the hold is written", async || {
            self.store.find_client(client.client_id).await.unwrap().unwrap().numbers.held.is_some()
        })
        .await;
    }

    /// The actions of the audit log about a client.
    fn deeds_about(&self, client: &TestClient) -> Vec<String> {
        let output = child::run(&self.config.data, &["audit", "export"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let about = lines.filter(|line| line["subject"] == json!(client.client_id));
        about.map(|line| line["action"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_new_number_costs_one_and_is_free_from_then_on() {
    for lane in [true, false] {
        let app = node_with("250/1d", |config| config.server.lane = lane).await;
        let number = random_number();
        for (calls, expected) in [(&number, 749), (&number, 749), (&random_number(), 748)] {
            let answer = app.ask(calls).await;
            assert_eq!(answer.header("ratelimit-policy"), r#""client";q=600;w=60, "numbers";q=750;w=259200"#);
            let left = answer.header("ratelimit").split(", ").nth(1).unwrap().to_owned();
            assert!(left.starts_with(&format!(r#""numbers";r={expected};t="#)), "{left}");
        }
        let other = app.report_lost(&number, None).await;
        assert!(other["report_id"].is_string(), "registrars are not counted");
        let reading = app.get(&app.police.token, "/v1/loss-reports/x").await;
        assert_eq!(reading.header("ratelimit-policy"), r#""client";q=600;w=60"#, "only checks cost numbers");
        let wrong = app.check(&json!({"purpose": "lodging"})).await;
        assert_eq!(wrong.status, 422);
        let told = app.get(&app.hotel.token, "/v1/organization").await.json();
        let left = json!({"name": "numbers", "requests": 750, "per_seconds": 259_200, "remaining": 748});
        assert_eq!((&told["limits"][2], &told["client"]["held"]), (&left, &json!(false)));
        let told = app.get(&app.add_client("registry", None).await.token, "/v1/organization").await.json();
        assert_eq!(told["limits"].as_array().unwrap().len(), 2, "who checks nothing has no numbers");
    }
}

#[tokio::test]
async fn who_is_out_of_numbers_waits_and_known_ones_pass() {
    for lane in [true, false] {
        let app = node_with("10/1d", |config| config.server.lane = lane).await;
        let known = app.ask_new(30).await;
        let refused = app.ask(&random_number()).await;
        refused.problem(429, "numbers_spent");
        assert_eq!(refused.header("ratelimit-policy"), r#""client";q=600;w=60, "numbers";q=30;w=259200"#);
        assert_eq!(refused.header("ratelimit").split(", ").nth(1), Some(r#""numbers";r=0;t=259200"#));
        assert_eq!(retry_after(&refused), 8640);
        assert_eq!(app.ask(&known[0]).await.status, 200);
        app.clock.advance(Duration::from_secs(8639));
        let client = TestClient { token: app.token_for(&app.hotel).await, ..app.hotel.clone() };
        let ask = async || app.post(&client.token, "/v1/checks", &check_of(&random_number(), None)).await;
        ask().await.problem(429, "numbers_spent");
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(ask().await.status, 200, "the wait that was told is enough");
        ask().await.problem(429, "numbers_spent");
        assert!(app.metric(r#"lostcard_numbers_refused_total{by="numbers"}"#).await >= 3);
    }
}

#[tokio::test]
async fn items_of_a_batch_are_answered_singly_and_the_whole_is_refused_where_none_passes() {
    let app = node_of("10/1d").await;
    let known = app.ask_new(20).await;
    let fresh: Vec<_> = (0..12).map(|_| random_number()).collect();
    let checks: Vec<_> = [&known[..2], &fresh[..]].concat().iter().map(|number| check_of(number, None)).collect();
    let answer = app.check_batch(&checks).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("ratelimit").contains(r#""numbers";r=0;"#), "{}", answer.header("ratelimit"));
    let results = answer.json()["results"].clone();
    for item in 0..12 {
        assert_eq!(results[item]["check"]["verdict"], "not_listed", "{item}");
    }
    for item in 12..14 {
        let problem = &results[item]["problem"];
        assert_eq!((&problem["code"], &problem["status"]), (&json!("numbers_spent"), &json!(429)));
    }
    let none = [check_of(&random_number(), None), check_of(&random_number(), None)];
    let refused = app.check_batch(&none).await;
    refused.problem(429, "numbers_spent");
    assert_eq!(retry_after(&refused), 8640);
    // What is no number at all passes as little.
    let beside = [none[0].clone(), check_of("440524188001010015", None)];
    app.check_batch(&beside).await.problem(429, "numbers_spent");
    let one = [check_of(&random_number(), None), check_of(&known[0], None)];
    assert_eq!(app.check_batch(&one).await.status, 200);
}

#[tokio::test]
async fn a_cell_ends_at_twelve_a_birthday_at_forty_and_nothing_else_by_that() {
    for lane in [true, false] {
        let app = node_with("200/1d", |config| config.server.lane = lane).await;
        for sequence in 0..12 {
            assert_eq!(app.ask(&number_of(110_105, 19_491_231, sequence)).await.status, 200);
        }
        let refused = app.ask(&number_of(110_105, 19_491_231, 12)).await;
        refused.problem(429, "neighbourhood_spent");
        assert!(retry_after(&refused) > 3600);
        assert_eq!(app.ask(&number_of(110_105, 19_491_231, 3)).await.status, 200, "a known one");
        let others = [110_101, 310_104, 440_304, 510_107];
        let beside = (0..28).map(|n| number_of(others[n as usize % 4], 19_491_231, n));
        for number in beside {
            assert_eq!(app.ask(&number).await.status, 200);
        }
        app.ask(&number_of(650_102, 19_491_231, 0)).await.problem(429, "neighbourhood_spent");
        assert_eq!(app.ask(&number_of(650_102, 19_491_230, 0)).await.status, 200);
        let two = [check_of(&number_of(650_102, 19_491_231, 1), None), check_of(&random_number(), None)];
        let answer = app.check_batch(&two).await.json();
        assert_eq!(answer["results"][0]["problem"]["code"], "neighbourhood_spent", "{answer}");
        assert_eq!(answer["results"][1]["check"]["verdict"], "not_listed");
    }
}

#[tokio::test]
async fn a_fourth_start_of_a_number_is_refused_for_a_day() {
    for lane in [true, false] {
        let app = node_with("none", |config| config.server.lane = lane).await;
        let number = random_number();
        app.report_lost(&number, Some("2016-05-03")).await;
        for day in 1..=3 {
            assert_eq!(app.check(&check_of(&number, Some(&format!("2016-05-0{day}")))).await.status, 200);
        }
        let refused = app.check(&check_of(&number, Some("2016-05-04"))).await;
        refused.problem(429, "attempts_spent");
        assert!((1..=2 * 24 * 3600).contains(&retry_after(&refused)));
        assert_eq!(app.verdict(&number, Some("2016-05-02")).await, "card_listed", "an answered one is answered again");
        assert_eq!(app.ask(&number).await.status, 200, "and so is the number alone");
        let batch: Vec<_> = (4..9).map(|day| check_of(&number, Some(&format!("2016-05-0{day}")))).collect();
        app.check_batch(&batch).await.problem(429, "attempts_spent");
        app.clock.advance(DAY * 2);
        let token = app.token_for(&app.hotel).await;
        let answer = app.post(&token, "/v1/checks", &check_of(&number, Some("2016-05-04"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn dates_cannot_be_bisected_by_one_batch() {
    let app = node_of("none").await;
    let number = random_number();
    app.report_lost(&number, Some("2016-05-03")).await;
    let batch: Vec<_> = (1..=28).map(|day| check_of(&number, Some(&format!("2016-05-{day:02}")))).collect();
    let answer = app.check_batch(&batch).await.json();
    let answered =
        answer["results"].as_array().unwrap().iter().filter(|item| item["check"]["verdict"].is_string()).count();
    assert_eq!(answered, 3, "{answer}");
}

#[tokio::test]
async fn who_is_out_of_numbers_on_two_days_is_held_everywhere_until_released() {
    let app = node_of("10/1d").await;
    app.ask_new(30).await;
    app.ask(&random_number()).await.problem(429, "numbers_spent");
    app.clock.advance(DAY + Duration::from_mins(5));
    let client = TestClient { token: app.token_for(&app.hotel).await, ..app.hotel.clone() };
    let ask = async |app: &TestApp, number: &str| app.post(&client.token, "/v1/checks", &check_of(number, None)).await;
    let known = random_number();
    assert_eq!(ask(&app, &known).await.status, 200);
    let spent = Cell::new(false);
    for _ in 0..12 {
        spent.set(spent.get() || ask(&app, &random_number()).await.status == 429);
    }
    assert!(spent.get(), "out of numbers on a second day");
    ask(&app, &random_number()).await.problem(403, "client_held");
    assert_eq!(app.get(&client.token, "/v1/organization").await.json()["client"]["held"], true);
    assert_eq!(ask(&app, &known).await.status, 200, "those it knows still get answers");
    app.is_held_in_the_store(&client).await;
    let sibling = app.sibling().await;
    eventually("another node refuses it", async || ask(&sibling, &random_number()).await.status == 403).await;
    let listed = app.listed(&client);
    assert_eq!(
        (&listed["state"], &listed["hold"]["held_for"]),
        (&json!("active"), &json!("out_of_numbers")),
        "{listed}"
    );
    eventually("the metric tells", async || app.metric("lostcard_clients_held").await == 1).await;
    assert_eq!(app.metric(r#"lostcard_holds_total{why="out_of_numbers"}"#).await, 1);
    let released = app.command(&["client", "release", &client.client_id.to_string()]);
    assert_eq!(released["state"], "active");
    for node in [&app, &sibling] {
        eventually("it is released", async || ask(node, &random_number()).await.status == 200).await;
    }
    assert_eq!(app.deeds_about(&client), ["client_held", "client_released"]);
    eventually("the metric tells", async || app.metric("lostcard_clients_held").await == 0).await;
}

#[tokio::test]
async fn many_wrong_check_characters_hold_the_client() {
    let app = node_of("20/1d").await;
    let known = random_number();
    assert_eq!(app.ask(&known).await.status, 200);
    for _ in 0..25 {
        assert_eq!(app.ask(&wrong_number()).await.status, 422);
    }
    let refused = app.ask(&wrong_number()).await;
    refused.problem(429, "abnormal_use");
    assert_eq!(refused.header("ratelimit-policy"), r#""abnormal_use";q=25;w=86400"#);
    app.ask(&random_number()).await.problem(403, "client_held");
    assert_eq!(app.ask(&known).await.status, 200);
    app.is_held_in_the_store(&app.hotel).await;
    assert_eq!(app.listed(&app.hotel)["hold"]["held_for"], "wrong_numbers");
}

#[tokio::test]
async fn an_uncounted_client_is_told_of_and_has_no_budget() {
    let app = node_of("10/1d").await;
    let id = app.hotel.client_id.to_string();
    let output = child::run(&app.config.data, &["client", "numbers", &id, "--guests", "none"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("may read the list"), "who lifts it is warned");
    eventually("the node knows", async || {
        app.ask(&random_number()).await.header("ratelimit-policy") == r#""client";q=600;w=60"#
    })
    .await;
    app.ask_new(60).await;
    assert_eq!(app.deeds_about(&app.hotel), ["client_numbers_lifted"]);
    assert_eq!(app.listed(&app.hotel)["numbers"], "none");
    eventually("the metric tells", async || app.metric("lostcard_clients_uncounted").await == 1).await;
    app.command(&["client", "numbers", &id, "--guests", "250/1d"]);
    eventually("it is counted again", async || {
        app.ask(&random_number()).await.header("ratelimit-policy").ends_with(r#""numbers";q=750;w=259200"#)
    })
    .await;
}

#[tokio::test]
async fn a_client_is_created_with_its_guests() {
    let app = node_of("1000/1d").await;
    let create = |more: &[&str]| {
        let organization = app.hotel.organization.to_string();
        let args = ["client", "create", "--organization", &organization, "--scope", "checks"];
        app.command(&[&args[..], more].concat())
    };
    let made = create(&["--numbers", "40/1d", "--digests", "refused"]);
    let lifted = create(&["--numbers", "none"]);
    let of = |made: &Value| TestClient {
        client_id: made["client_id"].as_str().unwrap().parse().unwrap(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
        ..app.hotel.clone()
    };
    let client = of(&made);
    let token = app.token_for(&client).await;
    let answer = app.post(&token, "/v1/checks", &check_of(&random_number(), None)).await;
    assert!(answer.header("ratelimit-policy").ends_with(r#""numbers";q=120;w=259200"#), "{answer:?}");
    assert_eq!(app.listed(&client)["digests"], "refused");
    assert_eq!(app.deeds_about(&of(&lifted)), ["client_created", "client_numbers_lifted"]);
    for wrong in ["0/1d", "10", "10/2d", "None"] {
        let organization = app.hotel.organization.to_string();
        let args = ["client", "create", "--organization", &organization, "--scope", "checks", "--numbers", wrong];
        assert_eq!(child::run(&app.config.data, &args).status.code(), Some(2), "{wrong}");
    }
}

#[tokio::test]
async fn digests_have_a_days_burst_and_hold_at_the_first_exhaustion() {
    let app = node_of("30/1d").await;
    let digest = |number: &str| json!({"id_digest": digest_of(number), "purpose": "lodging"});
    let numbers: Vec<_> = (0..30).map(|_| random_number()).collect();
    for number in &numbers {
        assert_eq!(app.check(&digest(number)).await.status, 200);
    }
    app.check(&digest(&random_number())).await.problem(429, "numbers_spent");
    app.check(&digest(&random_number())).await.problem(403, "client_held");
    assert_eq!(app.check(&digest(&numbers[0])).await.status, 200);
    assert_eq!(app.ask(&numbers[1]).await.status, 200, "the number of a digest is known by it");
}

#[tokio::test]
async fn digests_can_be_forbidden() {
    for lane in [true, false] {
        let app = node_with("30/1d", |config| config.server.lane = lane).await;
        let id = app.hotel.client_id.to_string();
        app.command(&["client", "numbers", &id, "--digests", "refused"]);
        let digest = json!({"id_digest": digest_of(&random_number()), "purpose": "lodging"});
        eventually("the node knows", async || app.check(&digest).await.status == 403).await;
        app.check(&digest).await.problem(403, "digests_refused");
        assert_eq!(app.ask(&random_number()).await.status, 200);
        assert_eq!(app.deeds_about(&app.hotel), ["client_numbers_declared"]);
    }
}

#[tokio::test]
async fn watches_are_bounded_and_a_second_watch_prolongs_the_first() {
    let mut app = node_of("1/1d").await;
    let watched = |number: &str, hours: u32| with(check_of(number, None), "watch_hours", hours);
    let numbers: Vec<_> = (0..9).map(|_| random_number()).collect();
    for number in &numbers[..8] {
        assert_eq!(app.check(&watched(number, 2)).await.status, 200);
    }
    let refused = app.check(&watched(&numbers[8], 2)).await;
    refused.problem(429, "watches_spent");
    assert!((7195..=7201).contains(&retry_after(&refused)), "{}", retry_after(&refused));
    assert_eq!(app.check(&watched(&numbers[0], 100)).await.status, 200, "the same card may be watched longer");
    assert_eq!(app.ask(&numbers[8]).await.status, 200, "and others checked");
    let batch = [watched(&numbers[8], 1), watched(&numbers[1], 1), check_of(&numbers[2], None)];
    let results = app.check_batch(&batch).await.json()["results"].clone();
    assert_eq!(results[0]["problem"]["code"], "watches_spent", "{results}");
    assert!(results[1]["check"].is_object() && results[2]["check"].is_object(), "{results}");
    app.clock.advance(Duration::from_hours(3));
    let token = app.token_for(&app.hotel).await;
    app.police.token = app.token_for(&app.police).await;
    app.report_lost(&numbers[0], None).await;
    app.report_lost(&numbers[1], None).await;
    let alerts = app.get(&token, "/v1/alerts").await.json();
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 1, "the first is watched still, once: {alerts}");
    for number in &numbers[1..8] {
        let answer = app.post(&token, "/v1/checks", &watched(number, 1)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
