//! Blind checks as a client makes them: with the base and the changes it finds what a direct check says, and the node sees elements
//! alone.

use std::sync::atomic::{AtomicBool, Ordering};

use lostcard::crypto::signing::{base64url, from_base64url};
use lostcard::service::blind::keys;
use reqwest::header::{ETAG, RANGE};
use serde_json::{Value, json};

use crate::backend;
use crate::blind_client::{Client, EVALUATIONS, blind, key_list};
use crate::bodies::{random_number, report_of};
use crate::helpers::{Answer, ISSUER, TestApp, eventually};

const LOST_CARD: &str = "2016-05-01";

async fn withdraw(app: &TestApp, report: &Value) {
    let path = format!("/v1/loss-reports/{}/withdrawal", report["report_id"].as_str().unwrap());
    let answer = app.post(&app.police.token, &path, &json!({"office": "110105-03", "reason": "found"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// One number of each kind of listing, and one of none.
async fn numbers_of_all_kinds(app: &TestApp) -> Vec<String> {
    let numbers: Vec<_> = (0..8).map(|_| random_number()).collect();
    app.report_lost(&numbers[1], Some(LOST_CARD)).await;
    app.report_lost(&numbers[2], None).await;
    app.report_lost(&numbers[3], Some(LOST_CARD)).await;
    app.report_lost(&numbers[3], None).await;
    let report = app.report_lost(&numbers[4], Some(LOST_CARD)).await;
    withdraw(app, &report).await;
    app.report_lost(&numbers[5], Some(LOST_CARD)).await;
    assert_eq!(app.replace(&numbers[5], "2026-11-01").await.status, 201);
    assert_eq!(app.replace(&numbers[6], "2026-11-01").await.status, 201);
    let report = app.report_lost(&numbers[7], Some("2010-01-01")).await;
    app.report_lost(&numbers[7], Some(LOST_CARD)).await;
    withdraw(app, &report).await;
    numbers
}

async fn same_as_direct(app: &TestApp, client: &mut Client<'_>, numbers: &[String]) {
    for number in numbers {
        for presented in
            [None, Some("2006-05-01"), Some(LOST_CARD), Some("2016-05-02"), Some("2026-10-31"), Some("2026-11-01")]
        {
            let direct = app.verdict(number, presented).await;
            assert_eq!(client.verdict(number, presented).await, direct, "{presented:?}");
        }
    }
}

#[tokio::test]
async fn a_blind_check_says_what_a_direct_one_says_from_changes_and_from_a_base() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let mut client = Client::of(&app, by.clone(), "").await;
    let numbers = numbers_of_all_kinds(&app).await;
    same_as_direct(&app, &mut client, &numbers).await;
    assert!(client.changes.len() >= 11, "all of it from changes");
    // The next key has all of it in its base, and what happens after that under both.
    let versions = app.store.blind_keys().await.unwrap().versions;
    assert!(keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap().is_some());
    assert_eq!(
        keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap(),
        None,
        "once"
    );
    let mut newer = Client::of(&app, by.clone(), &client.key).await;
    assert_ne!(newer.public, client.public);
    same_as_direct(&app, &mut newer, &numbers).await;
    let later = numbers_of_all_kinds(&app).await;
    for client in [&mut client, &mut newer] {
        same_as_direct(&app, client, &later).await;
        same_as_direct(&app, client, &numbers[..2]).await;
    }
    assert_eq!(key_list(&app, &by).await.len(), 2);
    // The one before ends; the next node, and the next start, know the same.
    let versions = app.store.blind_keys().await.unwrap().versions.unwrap();
    keys::end_previous(&app.store, &app.keyring, versions, app.clock.now_ms()).await.unwrap();
    // A node that does not know it yet has nothing wrong to tell, for no change has come since.
    eventually("the end of a key", || async { client.ask(&[blind(&numbers[1])]).await.status == 422 }).await;
    client.ask(&[blind(&numbers[1])]).await.problem(422, "blind_key_unknown");
    let sibling = app.sibling().await;
    let mut elsewhere = Client::of(&sibling, by.clone(), "").await;
    assert_eq!((&elsewhere.key, &elsewhere.base), (&newer.key, &newer.base));
    same_as_direct(&sibling, &mut elsewhere, &later).await;
    sibling.report_lost(&numbers[0], None).await;
    assert_eq!(newer.verdict(&numbers[0], Some(LOST_CARD)).await, "number_listed");
}

#[tokio::test]
async fn a_key_that_is_over_or_behind_answers_nothing_of_what_came_since() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let client = Client::of(&app, by.clone(), "").await;
    let number = random_number();
    // At once: the node knows of neither.
    keys::fall_behind(&app.store).await.unwrap();
    app.report_lost(&number, None).await;
    assert_ne!(client.ask(&[blind(&number)]).await.status, 200);
    eventually("behind", || async { client.ask(&[blind(&number)]).await.status == 503 }).await;
    client.ask(&[blind(&number)]).await.problem(503, "blind_behind");
    let versions = app.store.blind_keys().await.unwrap().versions;
    keys::begin(&app.store, &app.keyring, ISSUER, versions, app.clock.now_ms()).await.unwrap();
    app.report_lost(&random_number(), None).await;
    client.ask(&[blind(&number)]).await.problem(422, "blind_key_unknown");
    let mut newer = Client::of(&app, by, &client.key).await;
    assert_eq!(newer.verdict(&number, None).await, "number_listed", "the next base has what was left behind");
}

#[tokio::test]
async fn a_key_lives_for_a_week_and_a_day() {
    let app = TestApp::spawn().await;
    let mut by = app.add_client("blind", None).await;
    Client::of(&app, by.clone(), "").await;
    let hours = |hours| std::time::Duration::from_hours(hours);
    app.clock.advance(hours(7 * 24 + 1));
    by.token = app.token_for(&by).await;
    eventually("the next key", || async { key_list(&app, &by).await.len() == 2 }).await;
    let keys = key_list(&app, &by).await;
    assert_eq!((&keys[0]["key"], &keys[1]["key"]), (&json!("2"), &json!("1")));
    assert_eq!(keys[1]["until"], json!(lostcard::clock::Rfc3339::of(app.clock.now_ms().plus(hours(24))).as_str()));
    app.clock.advance(hours(25));
    by.token = app.token_for(&by).await;
    eventually("the end of the one before", || async { key_list(&app, &by).await.len() == 1 }).await;
    eventually("no file of it", || async { !app.config.key_folder().join("blind-1.key").exists() }).await;
    assert!(app.store.sealed_blind_seed(1).await.unwrap().is_some(), "for audits");
    app.clock.advance(hours(401 * 24));
    eventually("no seed", || async { app.store.sealed_blind_seed(1).await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn no_evaluation_after_a_report_is_older_than_it() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let by = app.add_client("blind", None).await;
    let mut clients = [Client::of(&app, by.clone(), "").await, Client::of(&sibling, by.clone(), "").await];
    let is_done = AtomicBool::new(false);
    let report = async {
        for _ in 0..20 {
            let number = random_number();
            app.report_lost(&number, Some(LOST_CARD)).await;
            for client in &mut clients {
                assert_eq!(client.verdict(&number, Some(LOST_CARD)).await, "card_listed");
            }
        }
        is_done.store(true, Ordering::Relaxed);
    };
    // Others write meanwhile: what is told is never ahead of what it is told with.
    let others = async {
        while !is_done.load(Ordering::Relaxed) {
            assert_eq!(sibling.report(&report_of(&random_number(), None)).await.status, 201);
        }
    };
    tokio::join!(report, others);
}

/// A file with these numbers and cards, imported while the node serves.
fn import(app: &TestApp, name: &str, rows: &[(String, &str)], flags: &[&str]) {
    let path = app.folder.path().join(name);
    let line = |(number, card): &(String, &str)| format!("{number},{card},lost,holder,110105-03,station\n");
    let lines: String = rows.iter().map(line).collect();
    std::fs::write(&path, format!("id_number,card_valid_from,reason,reporter,office,channel\n{lines}")).unwrap();
    crate::child::run_json(&app.config.data, &[&["import", "--json", path.to_str().unwrap()], flags].concat());
}

#[tokio::test]
async fn an_import_is_in_the_changes_or_in_the_next_base() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let mut client = Client::of(&app, by.clone(), "").await;
    let numbers: Vec<_> = (0..300).map(|_| random_number()).collect();
    let rows = |numbers: &[String]| numbers.iter().map(|number| (number.clone(), LOST_CARD)).collect::<Vec<_>>();
    // Of these the file does not say all: they are listed already, or twice in it.
    app.report_lost(&numbers[1], Some("2020-05-01")).await;
    assert_eq!(app.replace(&numbers[2], "2026-11-01").await.status, 201);
    let report = app.report_lost(&numbers[3], Some("2026-10-31")).await;
    withdraw(&app, &report).await;
    let first = [rows(&numbers), vec![(numbers[4].clone(), "2026-10-31")]].concat();
    import(&app, "first.csv", &first, &[]);
    for number in numbers.iter().step_by(50) {
        eventually("followed", || async { app.verdict(number, Some(LOST_CARD)).await == "card_listed" }).await;
        assert_eq!(client.verdict(number, Some(LOST_CARD)).await, "card_listed");
    }
    same_as_direct(&app, &mut client, &numbers[..6]).await;
    let later: Vec<_> = (0..300).map(|_| random_number()).collect();
    import(&app, "second.csv", &rows(&later), &["--blind-later"]);
    let refused = client.ask(&[blind(&later[0])]).await;
    assert_ne!(refused.status, 200, "what was left behind is nobody's verdict: {}", refused.text);
    let mut newer = Client::of(&app, by.clone(), &client.key).await;
    for number in numbers.iter().chain(&later).step_by(50) {
        assert_eq!(newer.verdict(number, Some(LOST_CARD)).await, "card_listed");
    }
    assert_eq!(newer.verdict(&random_number(), Some(LOST_CARD)).await, "not_listed");
    assert_eq!(key_list(&app, &by).await.len(), 1, "the key that was left behind is over");
}

/// What the node sees of one check and answers, byte by byte, with zeros in the place of elements and proof, which the blinding makes
/// random, and of what the node counts by itself. Also the sequence that it was answered at.
async fn transcript(client: &Client<'_>, number: &str) -> (String, u64) {
    let blinded = [blind(number)];
    let answer = client.ask(&blinded).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (element, proof) = (text(&json["evaluated"][0]), text(&json["proof"]));
    assert_eq!((blinded[0].sent.len(), element.len(), proof.len()), (43, 43, 86), "each has one length");
    let sent = client.question(&blinded).to_string().replace(&blinded[0].sent, &"0".repeat(43));
    let body = answer.text.replace(&element, &"0".repeat(43)).replace(&proof, &"0".repeat(86));
    let body = body.replace(&text(&json["as_of"]), "AS OF");
    let own = ["x-request-id", "date", "ratelimit"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    (format!("{sent}\n{}\n{body}", headers.join("\n")), json["registry_sequence"].as_u64().unwrap())
}

#[tokio::test]
async fn what_a_node_is_sent_and_answers_says_nothing_of_the_number() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let (listed, unlisted) = (random_number(), random_number());
    let client = Client::of(&app, by, "").await;
    app.report_lost(&listed, Some(LOST_CARD)).await;
    let entries = app.store.list_audit(0).await.unwrap().len();
    let (mut one, mut other) = (transcript(&client, &listed).await, transcript(&client, &unlisted).await);
    // The node may add a row of its own to the feed between the two.
    while one.1 != other.1 {
        (one, other) = (transcript(&client, &listed).await, transcript(&client, &unlisted).await);
    }
    assert_eq!(one.0, other.0);
    assert_eq!(
        app.store.list_audit(0).await.unwrap().len(),
        entries,
        "and leaves nothing in the log of who looked at whom"
    );
}

#[tokio::test]
async fn what_is_no_question_gets_the_code_of_what_is_wrong() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let client = Client::of(&app, by.clone(), "").await;
    let good = blind(&random_number()).sent;
    let body = |key: &str, blinded: Value, after: u64| json!({"key": key, "blinded": blinded, "after": after, "purpose": "lodging"});
    let after = client.known();
    let ask = async |body: &Value| app.post(&by.token, EVALUATIONS, body).await;
    assert_eq!(ask(&body("1", json!([good]), after)).await.status, 200);
    let identity = base64url(&[0; 32]);
    for bad in [
        json!(""),
        json!("AA"),
        json!(identity),
        json!(base64url(&[0xff; 32])),
        json!(format!("{good}A")),
        json!(format!("{good}=")),
    ] {
        let answer = ask(&body("1", json!([good, bad]), after)).await;
        answer.problem(422, "element_invalid");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/blinded/1");
        assert!(!answer.text.contains(&good), "no echo");
    }
    for (wrong, status, code) in [
        (body("1", json!([]), after), 422, "invalid_value"),
        (body("1", json!(vec![&good; 33]), after), 422, "invalid_value"),
        (body("2", json!([good]), after), 422, "blind_key_unknown"),
        (body("01", json!([good]), after), 422, "blind_key_unknown"),
        (body("x", json!([good]), after), 422, "blind_key_unknown"),
        (body("1", json!([good]), after - 1), 409, "base_too_old"),
        (body("1", json!([good]), u64::MAX / 4), 422, "invalid_value"),
        (body("1", json!([1]), after), 400, "malformed_json"),
    ] {
        ask(&wrong).await.problem(status, code);
    }
    let mut short = body("1", json!([good]), after);
    short["cm"] = json!([]);
    ask(&short).await.problem(422, "invalid_value");
    assert_eq!(ask(&body("1", json!(vec![&good; 32]), after)).await.status, 200);
    // A token with this scope alone checks nothing directly.
    app.post(&by.token, "/v1/checks", &crate::bodies::check_of(&random_number(), None))
        .await
        .problem(403, "insufficient_scope");
    app.post(&app.hotel.token, EVALUATIONS, &body("1", json!([good]), after)).await.problem(403, "insufficient_scope");
}

#[tokio::test]
async fn a_receipt_of_a_blind_check_names_what_was_evaluated() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let client = Client::of(&app, by.clone(), "").await;
    let sent = blind(&random_number()).sent;
    let commitment = base64url(&[7; 32]);
    let body = json!({"key": "1", "blinded": [sent, sent], "cm": [commitment, commitment], "after": client.known(), "purpose": "lodging"});
    let answer = app.post(&by.token, EVALUATIONS, &body).await.json();
    let receipts = answer["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 2);
    for (receipt, ev) in receipts.iter().zip(answer["evaluated"].as_array().unwrap()) {
        let claims = receipt.as_str().unwrap().split('~').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&from_base64url(claims).unwrap()).unwrap();
        assert_eq!(
            (&claims["typ"], &claims["key"], &claims["bl"], &claims["ev"]),
            (&json!("blind"), &json!("1"), &json!(sent), ev)
        );
        assert_eq!((&claims["cm"], &claims["seq"]), (&json!(commitment), &answer["registry_sequence"]));
        assert_eq!((&claims["as_of"], claims.get("verdict")), (&answer["as_of"], None));
    }
}

#[tokio::test]
async fn a_base_is_read_in_parts_and_never_changes() {
    let app = TestApp::spawn().await;
    let by = app.add_client("blind", None).await;
    let client = Client::of(&app, by.clone(), "").await;
    let path = format!("/v1/blind/bases/{}", client.key);
    let whole = app.request("GET", &path).bearer_auth(&by.token).send().await.unwrap();
    let tag = whole.headers()[ETAG].to_str().unwrap().to_owned();
    assert_eq!(whole.headers()["cache-control"], "private, max-age=31536000, immutable");
    let ask =
        async |range: &str| app.request("GET", &path).bearer_auth(&by.token).header(RANGE, range).send().await.unwrap();
    for (range, from, to) in [
        ("bytes=0-15", 0, 16),
        ("bytes=16-51", 16, 52),
        ("bytes=50-", 50, client.base.len()),
        ("bytes=-2", client.base.len() - 2, client.base.len()),
    ] {
        let part = ask(range).await;
        assert_eq!(part.status(), 206, "{range}");
        let told = format!("bytes {from}-{}/{}", to - 1, client.base.len());
        assert_eq!(part.headers()["content-range"], told.as_str());
        assert_eq!(part.bytes().await.unwrap(), client.base[from..to], "{range}");
    }
    assert_eq!(ask("bytes=1000000-").await.status(), 416);
    assert_eq!(ask("lines=1-2").await.status(), 200);
    let known = app.request("GET", &path).bearer_auth(&by.token).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(known.status(), 304);
    for other in ["0", "2", "01", "x"] {
        app.get(&by.token, &format!("/v1/blind/bases/{other}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn without_blind_checks_nothing_is_there_and_nothing_is_written() {
    let app = TestApp::spawn_with(|config| config.blind.enabled = false).await;
    let by = app.add_client("blind", None).await;
    app.report_lost(&random_number(), Some(LOST_CARD)).await;
    let good = blind(&random_number()).sent;
    let body = json!({"key": "1", "blinded": [good], "after": 0, "purpose": "lodging"});
    app.post(&by.token, EVALUATIONS, &body).await.problem(404, "not_found");
    for path in ["/v1/blind/keys", "/v1/blind/bases/1"] {
        app.get(&by.token, path).await.problem(404, "not_found");
    }
    let stored = app.store.blind_keys().await.unwrap();
    assert!(stored.versions.is_none() && stored.keys.is_empty());
    assert!(!app.config.key_folder().join("blind-1.key").exists());
    // Switched on they begin, and off again they end.
    let app = app.restart(async |config| config.blind.enabled = true).await;
    let mut client = Client::of(&app, by.clone(), "").await;
    let number = random_number();
    app.report_lost(&number, None).await;
    assert_eq!(client.verdict(&number, None).await, "number_listed");
    drop(client);
    let app = app.restart(async |config| config.blind.enabled = false).await;
    assert!(app.store.blind_keys().await.unwrap().versions.is_none());
    app.get(&by.token, "/v1/blind/keys").await.problem(404, "not_found");
}

/// What is left of a limit, by an answer.
fn left(answer: &Answer, limit: &str) -> u64 {
    let told = answer.header("ratelimit").to_owned();
    let of_limit = told.split(", ").find_map(|one| one.strip_prefix(&format!("\"{limit}\";r=")));
    let of_limit = of_limit.unwrap_or_else(|| panic!("no {limit} in {told}"));
    of_limit.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_element_costs_a_unit_and_a_number() {
    let app = TestApp::spawn_with(|config| config.limits.numbers_mode = None).await;
    let by = app.add_client("blind", Some("300/3600s")).await;
    let client = Client::of(&app, by.clone(), "").await;
    let asked: Vec<_> = (0..32).map(|_| blind(&random_number())).collect();
    let one = client.ask(&asked[..1]).await;
    for (repeats, answer) in [client.ask(&asked[1..21]).await, client.ask(&asked[1..21]).await].iter().enumerate() {
        assert_eq!(answer.status, 200, "{}", answer.text);
        // With Redis nodes take numbers ahead, which shows as spent.
        let limits: &[&str] = if backend::redis_url().is_none() { &["client", "numbers"] } else { &["client"] };
        for limit in limits {
            let spent = left(&one, limit) - left(answer, limit);
            assert_eq!(spent, 20 * (repeats as u64 + 1), "{limit}: a repeat costs as the first does");
        }
    }
    let mut refused = client.ask(&asked).await;
    while refused.status == 200 {
        refused = client.ask(&asked).await;
    }
    refused.problem(429, "limit_spent");
}
