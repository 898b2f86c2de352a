//! The sandbox: each magic number by number and by digest, alone and in a batch; that everything is stateful until the reset; and
//! that neither environment takes the other's tokens, receipts, keys or store.

use std::path::Path;
use std::time::{Duration, Instant};

use lostcard::clock::Clock;
use lostcard::config::Config;
use lostcard::domain::client::Scope;
use lostcard::domain::ids::ReportId;
use lostcard::domain::instant::UnixMs;
use lostcard::domain::sandbox::MAGIC_NUMBERS;
use lostcard::node;
use lostcard::service::ServiceError;
use lostcard::service::sandbox::{STATION, furnish, seeded_id};
use serde_json::{Value, json};

use crate::bodies::{check_of, digest_of, random_number, report_of, with};
use crate::helpers::{Answer, ISSUER, TestApp, TestClient};

const UNLISTED: &str = "119999199001010012";
const REPORTED: &str = "119999199001011015";
const UNKNOWN_CARD: &str = "119999199001011023";
const REPLACED: &str = "119999199001011031";
const SLOW: &str = "119999199001010055";
const EXPIRED_ONCE: &str = "119999199001014013";
const LIMITED: &str = "119999199001014291";
const LIMITED_ONCE: &str = "119999199001014304";
const FAILED: &str = "119999199001015008";
const UNAVAILABLE: &str = "119999199001015032";
const UNAVAILABLE_ONCE: &str = "119999199001015040";

/// Magic numbers in the registry, with a card and its verdict.
const VERDICTS: &[(&str, Option<&str>, &str)] = &[
    (UNLISTED, Some("2016-05-01"), "not_listed"),
    (UNLISTED, None, "not_listed"),
    (REPORTED, Some("2016-05-01"), "card_listed"),
    (REPORTED, Some("2016-05-02"), "other_card_listed"),
    (REPORTED, None, "number_listed"),
    (UNKNOWN_CARD, Some("2016-05-01"), "number_listed"),
    (UNKNOWN_CARD, None, "number_listed"),
    (REPLACED, Some("2020-04-30"), "card_listed"),
    (REPLACED, Some("2020-05-01"), "other_card_listed"),
    (REPLACED, None, "number_listed"),
];

/// Two ways to ask about a card.
fn both_ways(number: &str, card_valid_from: Option<&str>) -> [Value; 2] {
    let by_number = check_of(number, card_valid_from);
    let mut by_digest = with(by_number.clone(), "id_digest", digest_of(number));
    by_digest.as_object_mut().unwrap().remove("id_number");
    [by_number, by_digest]
}

impl TestApp {
    /// A client of the station that owns the seeded records.
    async fn station(&self) -> TestClient {
        self.add_client_of(STATION, Scope::Registry.as_str()).await
    }

    async fn reset(&self, client: &TestClient) -> Answer {
        let answer = self.send(self.request("POST", "/v1/sandbox/reset").bearer_auth(&client.token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
    }

    async fn assert_seeded(&self) {
        for (number, card, verdict) in VERDICTS {
            assert_eq!(self.verdict(number, *card).await, *verdict, "{number} {card:?}");
        }
    }
}

/// On that day no magic number was born yet: nothing may be told to be furnished.
#[tokio::test]
async fn a_sandbox_that_cannot_be_furnished_says_so_and_stores_nothing() {
    let app = TestApp::spawn().await;
    let in_1980 = Clock::fixed_at(UnixMs::new(315_532_800_000));
    let refused = furnish(&app.store, &app.keyring, &in_1980).await;
    assert!(matches!(refused, Err(ServiceError::WrongConstant(_))), "{refused:?}");
    assert!(app.store.find_organization(STATION).await.unwrap().is_none());
}

#[tokio::test]
async fn every_magic_number_is_tried_here() {
    let tried: Vec<_> = [UNLISTED, REPORTED, UNKNOWN_CARD, REPLACED, SLOW, EXPIRED_ONCE, LIMITED, LIMITED_ONCE]
        .into_iter()
        .chain([FAILED, UNAVAILABLE, UNAVAILABLE_ONCE])
        .collect();
    let magic: Vec<_> = MAGIC_NUMBERS.iter().map(|magic| magic.number).collect();
    assert_eq!(tried, magic);
}

#[tokio::test]
async fn each_verdict_has_its_number() {
    let app = TestApp::spawn_sandbox().await;
    let asked: Vec<_> = VERDICTS.iter().flat_map(|(number, card, _)| both_ways(number, *card)).collect();
    let expected: Vec<_> = VERDICTS.iter().flat_map(|(_, _, verdict)| [*verdict; 2]).collect();
    for (check, verdict) in asked.iter().zip(&expected) {
        assert_eq!(app.check(check).await.json()["verdict"], *verdict, "{check}");
    }
    let batch = app.check_batch(&asked).await.json();
    let verdicts: Vec<_> = batch["results"].as_array().unwrap().iter().map(|it| &it["check"]["verdict"]).collect();
    assert_eq!(verdicts, expected);
    let superseded = app.check(&check_of(REPLACED, Some("2016-05-01"))).await.json();
    assert_eq!(superseded["listing"]["kind"], "superseded");
}

#[tokio::test]
async fn each_trouble_has_its_number() {
    let app = TestApp::spawn_sandbox().await;
    for (number, status, code) in
        [(LIMITED, 429, "limit_spent"), (FAILED, 500, "internal"), (UNAVAILABLE, 503, "registry_unavailable")]
    {
        for check in both_ways(number, None) {
            for _ in 0..2 {
                let answer = app.check(&check).await;
                answer.problem(status, code);
                assert_eq!(answer.header("retry-after"), if status == 500 { "" } else { "2" }, "{number}");
                let standing = answer.header("ratelimit");
                assert_eq!(standing == r#""client";r=0;t=60"#, status == 429, "{number}: {standing}");
                assert_eq!(answer.header("ratelimit-policy"), r#""client";q=600;w=60"#);
                app.clock.advance(Duration::from_secs(3));
            }
            let batch = app.check_batch(&[check, check_of(&random_number(), None)]).await;
            let results = batch.json()["results"].clone();
            assert_eq!(
                (&results[0]["problem"]["code"], &results[0]["problem"]["status"]),
                (&json!(code), &json!(status))
            );
            assert_eq!(results[1]["check"]["verdict"], "not_listed", "it spoils only itself");
        }
    }
}

#[tokio::test]
async fn who_waits_as_told_is_answered_once() {
    let app = TestApp::spawn_sandbox().await;
    for (number, status, code, wait_s) in [
        (EXPIRED_ONCE, 401, "invalid_token", 0),
        (LIMITED_ONCE, 429, "limit_spent", 2),
        (UNAVAILABLE_ONCE, 503, "registry_unavailable", 2),
    ] {
        let told = if wait_s == 0 { String::new() } else { wait_s.to_string() };
        for check in both_ways(number, None) {
            let refused = app.check(&check).await;
            refused.problem(status, code);
            assert_eq!(refused.header("retry-after"), told);
            assert_eq!(refused.header("www-authenticate").is_empty(), status != 401);
            if wait_s > 0 {
                app.clock.advance(Duration::from_millis(wait_s * 1000 - 1));
                app.check(&check).await.problem(status, code);
            }
            app.clock.advance(Duration::from_secs(wait_s));
            assert_eq!(app.check(&check).await.json()["verdict"], "not_listed", "{number}");
            app.check(&check).await.problem(status, code);
            app.clock.advance(Duration::from_secs(wait_s + 60));
            app.check(&check).await.problem(status, code);
            let other = app.add_client("checks", None).await;
            app.post(&other.token, "/v1/checks", &check).await.problem(status, code);
            // In a batch as well, and it is the same wait.
            app.clock.advance(Duration::from_secs(wait_s));
            let batch = app.check_batch(std::slice::from_ref(&check)).await.json();
            assert_eq!(batch["results"][0]["check"]["verdict"], "not_listed", "{number}");
            let batch = app.check_batch(std::slice::from_ref(&check)).await.json();
            assert_eq!(batch["results"][0]["problem"]["code"], code, "{number}");
            app.reset(&app.hotel).await;
            app.check(&check).await.problem(status, code);
            app.reset(&app.hotel).await;
        }
    }
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let app = TestApp::spawn_sandbox().await;
    let [by_number, by_digest] = both_ways(SLOW, None);
    let both = [by_number.clone(), by_digest.clone()];
    let begun = Instant::now();
    let timed = async |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text);
        (begun.elapsed(), answer.json())
    };
    let all = futures_util::future::join3(
        async { timed(app.check(&by_number).await).await },
        async { timed(app.check(&by_digest).await).await },
        async { timed(app.check_batch(&both).await).await },
    );
    let ((one, answer), (other, _), (batch, results)) = all.await;
    assert_eq!(answer["verdict"], "not_listed");
    assert_eq!(results["results"].as_array().unwrap().len(), 2);
    for elapsed in [one, other, batch] {
        assert!((Duration::from_secs(5)..Duration::from_millis(9900)).contains(&elapsed), "{elapsed:?}");
    }
}

#[tokio::test]
async fn everything_is_stateful_until_the_reset() {
    let app = TestApp::spawn_sandbox().await;
    let station = app.station().await;
    let changed = async || {
        let report = app.report_lost(UNLISTED, Some("2016-05-01")).await;
        assert_eq!(app.verdict(UNLISTED, Some("2016-05-01")).await, "card_listed");
        let path = format!("/v1/loss-reports/{}/withdrawal", seeded_id::<ReportId>(REPORTED).unwrap());
        let body = json!({"office": "119999-01", "reason": "found"});
        assert_eq!(app.post(&station.token, &path, &body).await.status, 200);
        assert_eq!(app.verdict(REPORTED, Some("2016-05-01")).await, "not_listed");
        assert_eq!(app.replace(UNKNOWN_CARD, "2026-11-01").await.status, 201);
        assert_eq!(app.verdict(UNKNOWN_CARD, Some("2026-11-01")).await, "other_card_listed");
        report["report_id"].as_str().unwrap().to_owned()
    };
    let sibling = app.sibling().await;
    app.assert_seeded().await;
    for _ in 0..2 {
        let report = changed().await;
        let own = random_number();
        app.report_lost(&own, Some("2016-05-01")).await;
        assert_eq!(app.replace(&own, "2026-11-01").await.status, 201);
        // Of another organization, about another number.
        let others = random_number();
        let filed = app.post(&station.token, "/v1/loss-reports", &report_of(&others, None)).await;
        assert_eq!(filed.status, 201);
        let answer = app.reset(&app.police).await.json();
        assert!(answer["registry_sequence"].as_u64() > filed.json()["registry_sequence"].as_u64());
        sibling.assert_seeded().await;
        app.assert_seeded().await;
        app.read_report(&report).await.problem(404, "not_found");
        assert_eq!(app.verdict(&own, Some("2016-05-01")).await, "not_listed");
        assert_eq!(app.search(&own).await.json(), json!({"reports": []}));
        assert_eq!(app.verdict(&others, None).await, "number_listed", "another organization's stays");
        // Again at once: nothing to undo, and the same state.
        app.reset(&app.hotel).await;
        app.assert_seeded().await;
    }
    // A node that starts later reads the same.
    app.sibling().await.assert_seeded().await;
}

#[tokio::test]
async fn a_reset_removes_whatever_an_organization_wrote() {
    let app = TestApp::spawn_sandbox().await;
    let there = crate::deeds::There::prepare(&app).await;
    let watched = with(check_of(UNLISTED, None), "watch_hours", 24);
    assert_eq!(app.check(&watched).await.status, 200);
    app.report_lost(UNLISTED, None).await;
    let alerts = async || app.get(&app.hotel.token, "/v1/alerts").await.json()["alerts"].as_array().unwrap().len();
    assert_eq!(alerts().await, 1);
    app.reset(&app.hotel).await;
    assert_eq!(alerts().await, 0);
    app.get(&app.police.token, &format!("/v1/misuse-reports/{}", there.misuse_report)).await.problem(404, "not_found");
    assert_eq!(app.read_report(&there.report).await.status, 200, "the police's");
    app.reset(&app.police).await;
    for (of, place, id) in &there.targets {
        let collection = match *place {
            "{found_card_id}" => "/v1/found-cards",
            "{application_id}" => "/v1/replacement-applications",
            "{certificate_id}" => "/v1/temporary-certificates",
            _ => continue,
        };
        let answer = app.get(&app.police.token, &format!("{collection}/{id}")).await;
        assert_eq!(answer.status, 404, "{of}: {}", answer.text);
    }
    let records = async || {
        let body = json!({"id_number": there.online_number});
        app.post(&there.portal.token, "/v1/citizen/records", &body).await.json()
    };
    assert_eq!(records().await["reports"].as_array().unwrap().len(), 1, "the portal's");
    app.reset(&there.portal).await;
    assert_eq!(records().await["reports"], json!([]));
}

#[tokio::test]
async fn a_reset_costs_ten_units_and_takes_any_scope() {
    let app = TestApp::spawn_sandbox().await;
    for scope in Scope::ALL {
        let client = app.add_client(scope.as_str(), Some("15/60s")).await;
        assert_eq!(app.reset(&client).await.header("ratelimit"), r#""client";r=5;t=40"#);
        let again = app.post(&client.token, "/v1/sandbox/reset", &json!({})).await;
        again.problem(429, "limit_spent");
        // The refusal costs one of the five that are left.
        assert_eq!(again.header("retry-after"), "24");
    }
    app.post("none", "/v1/sandbox/reset", &json!({})).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn production_has_no_magic() {
    let app = TestApp::spawn().await;
    for token in ["", &app.hotel.token] {
        let request = |method| app.request(method, "/v1/sandbox/reset").bearer_auth(token);
        for method in ["POST", "GET"] {
            app.send(request(method)).await.problem(404, "not_found");
        }
    }
    for magic in MAGIC_NUMBERS {
        for check in both_ways(magic.number, Some("2016-05-01")) {
            assert_eq!(app.check(&check).await.json()["verdict"], "not_listed", "{}", magic.number);
        }
    }
    app.get("", "/.well-known/oauth-authorization-server/sandbox").await.problem(404, "not_found");
}

#[tokio::test]
async fn metadata_names_the_issuer_of_the_sandbox() {
    let app = TestApp::spawn_sandbox().await;
    let metadata = app.get("", "/.well-known/oauth-authorization-server/sandbox").await.json();
    assert_eq!(metadata, app.get("", "/.well-known/oauth-authorization-server").await.json());
    assert_eq!(metadata["issuer"], format!("{ISSUER}/sandbox"));
    assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/oauth2/token"));
    assert_eq!(metadata["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
}

/// Copies keys as somebody might who does not know better.
fn copy_keys(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn tokens_and_receipts_stay_in_their_environment_even_with_the_same_keys() {
    let production = TestApp::spawn().await;
    let keys = production.config.key_folder();
    let sandbox = TestApp::spawn_with(|config| {
        config.sandbox = true;
        copy_keys(&keys, &config.key_folder());
        std::fs::write(config.key_folder().join("sandbox"), "").unwrap();
    })
    .await;
    // The same clients, too.
    for (from, to) in [(&production, &sandbox), (&sandbox, &production)] {
        let organization = from.store.find_organization(from.hotel.organization).await.unwrap().unwrap();
        let client = from.store.find_client(from.hotel.client_id).await.unwrap().unwrap();
        let change = async |tx: &mut lostcard::store::WriteTx| {
            tx.insert_organization(&organization).await.unwrap();
            tx.insert_client(&client).await.unwrap();
        };
        to.change_store(change).await;
    }
    for (from, to) in [(&production, &sandbox), (&sandbox, &production)] {
        let check = from.check(&check_of(&random_number(), None)).await.json();
        let answer = to.post(&from.hotel.token, "/v1/checks", &check_of(&random_number(), None)).await;
        answer.problem(401, "invalid_token");
        let body = json!({"receipt": check["receipt"]});
        assert_eq!(from.verify_receipt(&body).await.json()["authentic"], true);
        assert_eq!(to.verify_receipt(&body).await.json(), json!({"authentic": false}));
    }
}

#[tokio::test]
async fn neither_environment_opens_the_others_store_or_keys() {
    let refused = async |config: &Config| node::open(config).await.expect_err("it must not start").to_string();
    for (is_sandbox, theirs) in [(false, "a production's"), (true, "a sandbox's")] {
        let app = TestApp::spawn_with(|config| config.sandbox = is_sandbox).await;
        let other = Config { sandbox: !is_sandbox, ..app.config.clone() };
        let told = refused(&other).await;
        assert!(told.contains("the key folder") && told.contains(theirs), "{told}");
        // The store with a key folder of its own, and the keys with a store of their own.
        let fresh = app.folder.path().join("fresh");
        let told = refused(&Config { keys: Some(fresh.join("keys")), ..other.clone() }).await;
        assert!(told.contains("the store") && told.contains(theirs), "{told}");
        let database_url = Some(format!("sqlite:{}?mode=rwc", fresh.join("own.db").display()));
        let keys = Some(app.config.key_folder());
        let told = refused(&Config { database_url, keys, data: fresh.clone(), ..other }).await;
        assert!(told.contains("the key folder") && told.contains(theirs), "{told}");
        assert!(!fresh.join("own.db").exists(), "nothing is made");
        assert_eq!(app.verdict(&random_number(), None).await, "not_listed", "it continues");
    }
}
