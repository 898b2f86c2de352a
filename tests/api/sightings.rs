//! Sightings: every check that finds the card listed is found under its report, once, and nothing else is; whatever becomes of
//! the node, the disk, the store or the pepper in between.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use lostcard::domain::client::OrganizationKind;
use lostcard::domain::ids::ListingId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bodies::{check_of, digest_of, random_number, with};
use crate::child;
use crate::helpers::{TestApp, eventually};

const LOST: &str = "2016-05-01";

impl TestApp {
    async fn sightings(&self, report: &Value) -> Vec<Value> {
        let path = format!("/v1/loss-reports/{}/sightings", report["report_id"].as_str().unwrap());
        let answer = self.get(&self.police.token, &path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["sightings"].as_array().unwrap().clone()
    }

    /// How many checks are told.
    async fn checks_told(&self, report: &Value) -> u64 {
        self.sightings(report).await.iter().map(|sighting| sighting["count"].as_u64().unwrap()).sum()
    }

    /// Waits until so many checks are told; returns the first of each entry, newest first.
    async fn sighted(&self, report: &Value, count: u64) -> Vec<String> {
        eventually("sightings are stored", || async move { self.checks_told(report).await >= count }).await;
        assert_eq!(self.checks_told(report).await, count);
        let entries = self.sightings(report).await;
        entries.iter().map(|sighting| sighting["check_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks a listed card at a place.
    async fn see_at(&self, number: &str, site: &str) -> String {
        let answer = self.check(&with(check_of(number, Some(LOST)), "site", site)).await.json();
        assert_eq!(answer["verdict"], "card_listed", "{answer}");
        answer["check_id"].as_str().unwrap().to_owned()
    }

    /// Checks a card that must be found so; returns the check's id.
    async fn see(&self, number: &str, card_valid_from: Option<&str>, verdict: &str) -> String {
        let answer = self.check(&check_of(number, card_valid_from)).await.json();
        assert_eq!(answer["verdict"], verdict, "{answer}");
        answer["check_id"].as_str().unwrap().to_owned()
    }

    async fn lost(&self, reason: &str) -> u64 {
        self.metric(&format!("lostcard_sightings_lost_total{{reason=\"{reason}\"}}")).await
    }
}

#[tokio::test]
async fn a_check_that_finds_the_card_is_seen_by_whoever_filed_the_report() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    assert_eq!(app.sightings(&report).await, Vec::<Value>::new());
    let at_hotel = with(with(check_of(&number, Some(LOST)), "site", "west-wing:2"), "client_ref", "folio-77");
    let first = app.check(&at_hotel).await.json();
    app.clock.advance(std::time::Duration::from_mins(1));
    let second = json!({"id_digest": digest_of(&number), "purpose": "banking", "receipt": false});
    let second = app.check(&second).await.json();
    assert_eq!(second["verdict"], "number_listed");
    let ids = app.sighted(&report, 2).await;
    assert_eq!(ids, [second["check_id"].as_str().unwrap(), first["check_id"].as_str().unwrap()], "newest first");
    let sightings = app.sightings(&report).await;
    let organization = app.store.find_organization(app.hotel.organization).await.unwrap().unwrap();
    assert_eq!(organization.kind, OrganizationKind::Certifying);
    let seen_at = sightings[1]["seen_at"].as_str().unwrap();
    assert!(seen_at < sightings[0]["seen_at"].as_str().unwrap() && seen_at >= first["as_of"].as_str().unwrap());
    let expected = json!({
        "check_id": first["check_id"], "organization_name": "Harbour Office", "organization_kind": "certifying",
        "region": "110105", "site": "west-wing:2", "purpose": "lodging", "verdict": "card_listed", "count": 1,
        "first_seen_at": seen_at, "seen_at": seen_at,
    });
    assert_eq!(sightings[1], expected, "and nothing else: no client_ref");
    assert_eq!((&sightings[0]["purpose"], sightings[0].get("site")), (&json!("banking"), None));
}

#[tokio::test]
async fn what_tells_of_no_listed_card_is_never_recorded() {
    let app = TestApp::spawn().await;
    let (number, stranger) = (random_number(), random_number());
    let report = app.report_lost(&number, Some(LOST)).await;
    app.see(&number, Some("2024-01-01"), "other_card_listed").await;
    app.see(&stranger, None, "not_listed").await;
    app.check_batch(&[check_of(&stranger, None), check_of(&number, Some("2024-01-01"))]).await;
    let hit = app.see(&number, Some(LOST), "card_listed").await;
    assert_eq!(app.sighted(&report, 1).await, [hit]);
    let recorded = app.metric("lostcard_sightings_recorded_total").await;
    assert_eq!((recorded, app.metric("lostcard_sightings_stored_total").await), (1, 1));
    let after = app.report_lost(&stranger, None).await;
    assert_eq!(app.sightings(&after).await, Vec::<Value>::new(), "nothing was left of the check that found nothing");
}

#[tokio::test]
async fn a_batch_leaves_each_of_its_hits() {
    let app = TestApp::spawn().await;
    let numbers: Vec<_> = (0..3).map(|_| random_number()).collect();
    let mut reports = Vec::new();
    for number in &numbers {
        reports.push(app.report_lost(number, Some(LOST)).await);
    }
    let bad = json!({"id_number": "x", "purpose": "other"});
    let mut checks: Vec<_> = numbers.iter().map(|number| check_of(number, Some(LOST))).collect();
    checks.extend([bad, check_of(&random_number(), None), check_of(&numbers[0], None)]);
    let answer = app.check_batch(&checks).await.json();
    let id = |index: usize| answer["results"][index]["check"]["check_id"].as_str().unwrap().to_owned();
    assert_eq!(app.sighted(&reports[0], 2).await, [id(0).min(id(5))], "one entry, of the card and of the number alone");
    assert_eq!(app.sightings(&reports[0]).await[0]["verdict"], "card_listed");
    assert_eq!(app.sighted(&reports[1], 1).await, [id(1)]);
    assert_eq!(app.sighted(&reports[2], 1).await, [id(2)]);
}

#[tokio::test]
async fn sightings_are_for_the_registrar_whose_report_it_is() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    app.see(&number, Some(LOST), "card_listed").await;
    app.sighted(&report, 1).await;
    let path = format!("/v1/loss-reports/{}/sightings", report["report_id"].as_str().unwrap());
    let other = app.add_client("registry", None).await;
    app.get(&other.token, &path).await.problem(404, "not_found");
    for unknown in [Uuid::nil().to_string(), number.clone(), "x".to_owned()] {
        let path = format!("/v1/loss-reports/{unknown}/sightings");
        app.get(&app.police.token, &path).await.problem(404, "not_found");
    }
    app.get(&app.hotel.token, &path).await.problem(403, "insufficient_scope");
    app.get("", &path).await.problem(401, "invalid_token");
    app.get(&app.police.token, &format!("{path}?id_number={number}")).await.problem(400, "malformed_request");
    let wrong = app.get(&app.police.token, &format!("{path}?cursor={number}&limit=0")).await;
    let at = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    assert_eq!(wrong.field_errors(), [at("/cursor", "malformed_cursor"), at("/limit", "out_of_range")]);
}

#[tokio::test]
async fn sightings_come_in_pages_newest_first() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    for n in 0..5 {
        app.see_at(&number, &format!("site-{n}")).await;
    }
    let all = app.sighted(&report, 5).await;
    let path = format!("/v1/loss-reports/{}/sightings?limit=2", report["report_id"].as_str().unwrap());
    let (mut seen, mut query) = (Vec::new(), String::new());
    loop {
        let page = app.get(&app.police.token, &format!("{path}{query}")).await.json();
        let ids = page["sightings"].as_array().unwrap().iter().map(|one| one["check_id"].as_str().unwrap().to_owned());
        seen.push(ids.collect::<Vec<_>>());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("&cursor={cursor}");
    }
    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(seen.concat(), all);
}

/// A hotel repeats its check all day; the bank's one stays in sight, for registrar and holder.
#[tokio::test]
async fn repeats_of_one_client_bury_no_other_sighting() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let bank = app.add_client("checks", None).await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let at_bank = json!({"id_number": number, "card_valid_from": LOST, "purpose": "banking"});
    let seen = app.post(&bank.token, "/v1/checks", &at_bank).await.json();
    assert_eq!(seen["verdict"], "card_listed");
    for _ in 0..150 {
        app.see(&number, Some(LOST), "card_listed").await;
    }
    for n in 0..40 {
        app.see_at(&number, &format!("site-{n}")).await;
    }
    for n in 0..40 {
        let purpose = ["banking", "telecom", "transport", "lodging"][n % 4];
        let check = json!({"id_number": number, "purpose": purpose, "site": format!("site-{n}")});
        assert_eq!(app.check(&check).await.json()["verdict"], "number_listed");
    }
    app.sighted(&report, 231).await;
    let told = app.sightings(&report).await;
    let of_bank: Vec<_> = told.iter().filter(|sighting| sighting["check_id"] == seen["check_id"]).collect();
    assert_eq!((of_bank.len(), &of_bank[0]["purpose"]), (1, &json!("banking")));
    assert_eq!(told.len(), 1 + 1 + 16, "the bank, the repeats with what is too many, the sites told apart");
    let repeats = told.iter().find(|one| one["site"].is_null() && one["check_id"] != seen["check_id"]).unwrap();
    assert_eq!((&repeats["count"], &repeats["verdict"]), (&json!(150 + 24 + 24), &json!("card_listed")));
    let site = told.iter().find(|one| one["site"] == "site-1").unwrap();
    let of_site = (&site["count"], &site["purpose"], &site["verdict"]);
    assert_eq!(
        of_site,
        (&json!(2), &json!("telecom"), &json!("card_listed")),
        "the last purpose, the strongest verdict"
    );
    let mut body = json!({"id_number": number, "limit": 7});
    let (mut all, mut pages) = (Vec::new(), 0);
    loop {
        let page = app.post(&portal.token, "/v1/citizen/records", &body).await.json();
        assert_eq!(page["reports"].as_array().unwrap().len(), usize::from(pages == 0));
        all.extend(page["sightings"].as_array().unwrap().clone());
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        body = with(body, "cursor", cursor);
    }
    assert_eq!((pages, all.len()), (3, 18));
    let is_of_bank = |one: &&Value| one["purpose"] == "banking" && one["count"] == 1;
    assert_eq!(all.iter().filter(is_of_bank).count(), 1);
    assert_eq!(all.iter().map(|sighting| sighting["count"].as_u64().unwrap()).sum::<u64>(), 231);
    let foreign = app.post(&portal.token, "/v1/citizen/records", &with(body, "cursor", "x")).await;
    assert_eq!(foreign.field_errors(), [("/cursor".to_owned(), "malformed_cursor".to_owned())]);
}

#[tokio::test]
async fn a_sighting_goes_under_every_report_of_the_card_else_under_its_replacement() {
    let app = TestApp::spawn().await;
    let (number, replaced) = (random_number(), random_number());
    let older = app.report_lost(&number, Some("2006-05-01")).await;
    let (first, second) = (app.report_lost(&number, Some(LOST)).await, app.report_lost(&number, None).await);
    let hit = app.see(&number, Some(LOST), "card_listed").await;
    assert_eq!(app.sighted(&first, 1).await, [hit.as_str()]);
    assert_eq!(app.sighted(&second, 1).await, [hit.as_str()]);
    assert_eq!(app.sightings(&older).await, Vec::<Value>::new(), "another card's");
    let replacement = app.replace(&replaced, "2026-01-01").await.json();
    let id: ListingId = replacement["replacement_id"].as_str().unwrap().parse().unwrap();
    let hit = app.see(&replaced, Some(LOST), "card_listed").await;
    let store = &app.store;
    eventually("it is stored", || async move { !store.list_sightings(&[id], None, 10).await.unwrap().is_empty() })
        .await;
    let stored = app.store.list_sightings(&[id], None, 10).await.unwrap();
    assert_eq!(stored.iter().map(|sighting| sighting.check_id.to_string()).collect::<Vec<_>>(), [hit]);
}

#[tokio::test]
async fn a_report_withdrawn_before_its_sighting_is_moved_has_it_all_the_same() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let hit = app.see(&number, Some(LOST), "card_listed").await;
    // Most of the time this is faster than the journal; either way the check was one of the report.
    assert_eq!(app.withdraw(report["report_id"].as_str().unwrap()).await.status, 200);
    assert_eq!(app.sighted(&report, 1).await, [hit]);
}

#[tokio::test]
async fn a_node_that_stops_leaves_nothing_in_its_journal() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let first = app.see(&number, Some(LOST), "card_listed").await;
    // Its id begins with its time.
    app.clock.advance(Duration::from_millis(1));
    for _ in 0..4 {
        app.see(&number, Some(LOST), "card_listed").await;
    }
    let app = app
        .restart(async |config| {
            let left = std::fs::read_dir(config.data.join("sightings")).unwrap().count();
            assert_eq!(left, 0, "all was moved before it ended");
        })
        .await;
    assert_eq!(app.checks_told(&report).await, 5);
    assert_eq!(app.sighted(&report, 5).await, [first]);
}

/// Whether a file of the journal has more than its header: one that is only ready to be written has zeros there.
pub(crate) fn holds_sightings(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.iter().skip(76).any(|byte| *byte != 0))
}

/// Takes the segments of the journal away, as if the node had been killed before it could move them.
fn steal(config: &lostcard::config::Config) -> Vec<(PathBuf, Vec<u8>)> {
    let segments = std::fs::read_dir(config.data.join("sightings")).unwrap().map(|entry| entry.unwrap().path());
    let mut stolen = Vec::new();
    for path in segments.collect::<Vec<_>>() {
        if holds_sightings(&path)
            && let Ok(bytes) = std::fs::read(&path)
            && std::fs::remove_file(&path).is_ok()
        {
            stolen.push((path, bytes));
        }
    }
    stolen
}

/// A hit whose segment was not moved.
async fn stolen_hit(app: &TestApp, number: &str) -> (String, Vec<(PathBuf, Vec<u8>)>) {
    for nth in 0.. {
        let hit = app.see_at(number, &format!("site-{nth}")).await;
        let stolen = steal(&app.config);
        if !stolen.is_empty() {
            return (hit, stolen);
        }
    }
    unreachable!("it continues until a segment is stolen")
}

#[tokio::test]
async fn what_a_killed_node_left_is_moved_once_by_the_next_one_also_under_another_pepper() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let (hit, stolen) = stolen_hit(&app, &number).await;
    let copies = stolen.clone();
    let app = app
        .restart(async |config| {
            let mut rotate = child::command(&config.data);
            if let Some(url) = &config.database_url {
                rotate.env("LOSTCARD_DATABASE_URL", url);
            }
            let rotated = rotate.args(["keys", "rotate", "--pepper", "--json"]).stdout(Stdio::null()).status().unwrap();
            assert!(rotated.success());
            for (path, bytes) in stolen {
                std::fs::write(path, bytes).unwrap();
            }
        })
        .await;
    let has_hit = || async { app.sightings(&report).await.iter().any(|sighting| sighting["check_id"] == *hit) };
    eventually("the left segment is moved", has_hit).await;
    let before = app.sightings(&report).await;
    // Killed between the commit and the deletion of its segment: the next one moves it again.
    for (path, bytes) in &copies {
        std::fs::write(path.with_extension("again"), bytes).unwrap();
    }
    let are_gone = || async { copies.iter().all(|(path, _)| !path.with_extension("again").exists()) };
    eventually("it is moved again", are_gone).await;
    assert_eq!(app.sightings(&report).await, before);
    assert_eq!(app.lost("damaged").await, 0);
}

#[tokio::test]
async fn nodes_that_share_a_folder_do_not_take_each_others_journal() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let checks = (0..40).map(|n| {
        let node = if n % 2 == 0 { &app } else { &sibling };
        node.see(&number, Some(LOST), "card_listed")
    });
    futures_util::future::join_all(checks).await;
    sibling.see(&number, Some(LOST), "card_listed").await;
    assert_eq!(app.sighted(&report, 41).await.len(), 1, "one client, day and place");
    let recorded = app.metric("lostcard_sightings_recorded_total").await;
    assert_eq!(recorded + sibling.metric("lostcard_sightings_recorded_total").await, 41);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_costs_the_sighting_and_not_the_verdict() {
    let app = TestApp::spawn_with(|config| {
        std::fs::create_dir_all(&config.data).unwrap();
        std::fs::write(config.data.join("sightings"), "a file in the folder's place").unwrap();
    })
    .await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    let folder = app.config.data.join("sightings");
    app.see(&number, Some(LOST), "card_listed").await;
    app.check_batch(&[check_of(&number, Some(LOST)), check_of(&number, None)]).await;
    assert_eq!(app.lost("disk").await, 3);
    std::fs::remove_file(&folder).unwrap();
    let hit = app.see(&number, Some(LOST), "card_listed").await;
    assert_eq!(app.sighted(&report, 1).await, [hit]);
    assert_eq!(app.lost("disk").await, 3);
}

#[tokio::test]
async fn a_damaged_segment_is_told_of_and_does_not_hold_up_the_others() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    app.see(&number, Some(LOST), "card_listed").await;
    app.sighted(&report, 1).await;
    let damaged: &Path = &app.config.data.join("sightings/0-damaged");
    std::fs::write(damaged, [b"lostcard seen 1\n".as_slice(), &[7; 500]].concat()).unwrap();
    app.see(&number, Some(LOST), "card_listed").await;
    app.sighted(&report, 2).await;
    eventually("it is given up", || async { !damaged.exists() }).await;
    assert_eq!(app.lost("damaged").await, 1);
}

#[tokio::test]
async fn a_read_of_sightings_is_told_to_the_audit_log() {
    let app = TestApp::spawn().await;
    let report = app.report_lost(&random_number(), Some(LOST)).await;
    // The lock on the writers keeps the entry from being made, and so the answer from being given.
    let held = app.hold_writers().await;
    let path = format!("/v1/loss-reports/{}/sightings", report["report_id"].as_str().unwrap());
    let mut reading = Box::pin(app.get(&app.police.token, &path));
    let waits = tokio::time::timeout(std::time::Duration::from_millis(200), &mut reading).await;
    assert!(waits.is_err(), "no answer without its entry");
    drop(held);
    assert_eq!(reading.await.status, 200);
}
