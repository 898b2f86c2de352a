//! A store that version 0.1.0 made, with rows of each kind as that version wrote them, opened by today's binary: each answers as it
//! should, and clients that have more than their kind may are named with the command that corrects them.

use std::path::Path;

use lostcard::crypto::audit::End;
use lostcard::domain::audit::{Action, Deed};
use lostcard::domain::ids::ClientId;
use lostcard::domain::instant::UnixMs;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::answer::Answer;
use crate::bodies::{check_of, random_number, report_of};
use crate::child::{self, Server};
use crate::helpers::{ISSUER, eventually};
use crate::servers::http_client;

use crate::old_rows::{Cell, EVE, LOST, NEW, SECRET, id_cell, make};

/// A client of the running node.
struct Caller {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Caller {
    async fn of(node: &Server, client: ClientId) -> Self {
        let (http, url) = (http_client().build().unwrap(), node.url());
        let form =
            [("grant_type", "client_credentials"), ("client_id", &client.to_string()), ("client_secret", SECRET)];
        let answer = Answer::read(http.post(format!("{url}/oauth2/token")).form(&form).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Self { http, url, token }
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert!((200..=201).contains(&answer.status), "{path}: {}", answer.text);
        answer.json()
    }

    async fn verdict(&self, number: &str, start: Option<&str>) -> Value {
        self.post("/v1/checks", &check_of(number, start)).await["verdict"].clone()
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one store, row by row, and what each answers")]
async fn a_store_of_version_0_1_0_with_rows_of_each_kind_answers_as_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut old = make(&data).await;
    let now = old.now;
    let (police, hotel) = (old.client("registrar", "registry").await, old.client("certifying", "checks").await);
    let portal = old.client("portal", "citizen").await;
    let (admin, mixed) =
        (old.client("auditor", "audit admin").await, old.client("certifying", "checks registry").await);
    let [lost, withdrawn, replaced, undated, watched] = [(); 5].map(|()| random_number());
    let report = old.report(police, &lost, ("active", Some(LOST)), Vec::new()).await;
    let closed = |word: Option<&str>| {
        vec![
            ("closed_at", Cell::Number(now)),
            ("closed_by_office", "110105-03".into()),
            ("withdrawal_reason", word.map_or(Cell::Null, Cell::from)),
        ]
    };
    let of_withdrawn = old.report(police, &withdrawn, ("withdrawn", Some(LOST)), closed(Some("found"))).await;
    let of_replaced = old.report(police, &replaced, ("replaced", Some(LOST)), closed(None)).await;
    old.report(police, &undated, ("active", None), Vec::new()).await;
    let (replacement, sequence) = (old.id(), old.listing(&replaced).await);
    let mut cells = old.number(replacement, &replaced);
    cells.extend([
        ("replacement_id", id_cell(replacement)),
        ("organization_id", id_cell(police.organization)),
        ("card_valid_from", NEW.into()),
        ("office", "110105-03".into()),
        ("recorded_at", now.into()),
        ("sequence", sequence.into()),
    ]);
    old.insert("replacements", cells).await;
    let found = old.id();
    let mut cells = old.number(found, &lost);
    cells.extend([
        ("found_card_id", id_cell(found)),
        ("organization_id", id_cell(police.organization)),
        ("state", "held".into()),
        ("card_valid_from", LOST.into()),
        ("found_on", NEW.into()),
        ("found_at_region", "110105".into()),
        ("office", "110105-03".into()),
        ("matched_report_id", id_cell(report)),
        ("registered_at", now.into()),
        ("registered_sequence", sequence.into()),
    ]);
    old.insert("found_cards", cells).await;
    let (application, temporary) = (old.id(), old.id());
    let mut cells = old.number(application, &undated);
    cells.extend([
        ("application_id", id_cell(application)),
        ("organization_id", id_cell(police.organization)),
        ("state", "accepted".into()),
        ("ground", "nationwide".into()),
        ("reason", "lost".into()),
        ("applied_at_office", "110105-03".into()),
        ("household_office", "310104-01".into()),
        ("applied_at", now.into()),
    ]);
    old.insert("replacement_applications", cells).await;
    let cells = vec![
        ("temporary_card_id", id_cell(temporary)),
        ("application_id", id_cell(application)),
        ("state", "outstanding".into()),
        ("card_valid_from", NEW.into()),
        ("card_valid_until", "2027-02-01".into()),
        ("office", "110105-03".into()),
        ("issued_at", now.into()),
    ];
    old.insert("temporary_cards", cells).await;
    let misuse = old.id();
    let context = [misuse.as_bytes().as_slice(), b"narrative"].concat();
    let narrative = old.keyring.sealer().seal_envelope(&context, b"he ran").unwrap();
    let mut cells = old.number(misuse, &lost);
    cells.extend([
        ("misuse_report_id", id_cell(misuse)),
        ("organization_id", id_cell(hotel.organization)),
        ("state", "open".into()),
        ("kind", "impersonation".into()),
        ("observed_at", now.into()),
        ("narrative_key", narrative.wrapped_key.into()),
        ("narrative_sealed", narrative.sealed.into()),
        ("reported_at", now.into()),
    ]);
    old.insert("misuse_reports", cells).await;
    let certificate = old.id();
    let mut cells = old.number(certificate, &lost);
    let seconds = now / 1000 * 1000;
    cells.extend([
        ("certificate_id", id_cell(certificate)),
        ("organization_id", id_cell(police.organization)),
        ("purpose", "lodging".into()),
        ("office", "110105-03".into()),
        ("issued_at", seconds.into()),
        ("valid_from", seconds.into()),
        ("expires_at", (seconds + 86_400_000).into()),
    ]);
    old.insert("temporary_certificates", cells).await;
    for nth in 0..3 {
        let cells = vec![
            ("listing_id", id_cell(report)),
            ("check_id", id_cell(old.id())),
            ("organization_id", id_cell(hotel.organization)),
            ("site", "west".into()),
            ("purpose", "lodging".into()),
            ("verdict", "card_listed".into()),
            ("seen_at", (now + nth).into()),
        ];
        old.insert("sightings", cells).await;
    }
    let (watch, told) = (old.id(), old.id());
    let mut cells = old.number(watch, &watched);
    cells.truncate(2);
    cells.extend([
        ("watch_id", id_cell(watch)),
        ("organization_id", id_cell(hotel.organization)),
        ("card_valid_from", LOST.into()),
        ("ends_at", (now + 86_400_000).into()),
    ]);
    old.insert("watches", cells).await;
    let cells = vec![
        ("alert_id", id_cell(old.id())),
        ("organization_id", id_cell(hotel.organization)),
        ("seq", 1.into()),
        ("check_id", id_cell(told)),
        ("kind", "card_listed".into()),
        ("listing_kind", "reported".into()),
        ("listed_at", now.into()),
    ];
    old.insert("alerts", cells).await;
    old.insert("alert_heads", vec![("organization_id", id_cell(hotel.organization)), ("seq", 1.into())]).await;
    let sums = ["other_card_listed", "number_listed", "invalid", "limited", "unavailable", "batches", "misuse_reports"];
    let mut cells = vec![
        ("organization_id", id_cell(hotel.organization)),
        ("on_day", NEW.into()),
        ("site", "west".into()),
        ("not_listed", 41.into()),
        ("card_listed", 1.into()),
        ("receipts_verified", 0.into()),
        ("loss_reports", 0.into()),
    ];
    cells.extend(sums.map(|column| (column, Cell::Number(0))));
    old.insert("usage_counts", cells).await;
    // Of a node that was killed.
    old.insert("nodes", vec![("node_id", id_cell(old.id())), ("beat", 7.into()), ("pepper_version", 1.into())]).await;
    let mut end = End::BEGINNING;
    for (action, record) in [(Action::ReportFiled, report), (Action::ReportRead, report)] {
        let entry = end.next(UnixMs::new(now), &Deed::of(police, action, record));
        let cells = vec![
            ("seq", i64::try_from(entry.sequence).unwrap().into()),
            ("at", now.into()),
            ("organization_id", id_cell(police.organization)),
            ("client_id", id_cell(police.client)),
            ("action", entry.action.as_str().into()),
            ("subject", id_cell(report)),
            ("hash", entry.hash.to_vec().into()),
        ];
        old.insert("audit", cells).await;
        end = End { sequence: entry.sequence, hash: entry.hash };
    }
    let head = format!("UPDATE feed_head SET seq = {}", old.feed);
    old.connection.execute(AssertSqlSafe(head)).await.unwrap();
    old.connection.close().await.unwrap();

    let node = child::serve(&data, ISSUER);
    let log = node.log();
    for (client, command) in [(mixed.client, "--scope checks"), (admin.client, "--scope admin")] {
        let command = format!("lostcard client update {client} {command}");
        assert!(log.lines().any(|line| line.contains("may not have") && line.contains(&command)), "{command}: {log}");
    }
    let (by_police, by_hotel) = (Caller::of(&node, police.client).await, Caller::of(&node, hotel.client).await);
    for (number, start, verdict) in [
        (&lost, Some(LOST), "card_listed"),
        (&withdrawn, Some(LOST), "not_listed"),
        (&replaced, Some(EVE), "card_listed"),
        (&replaced, Some(NEW), "other_card_listed"),
        (&undated, Some(EVE), "number_listed"),
        (&watched, Some(LOST), "not_listed"),
    ] {
        assert_eq!(by_hotel.verdict(number, start).await, verdict, "{start:?}");
    }
    for (report, state) in [(report, "active"), (of_withdrawn, "withdrawn"), (of_replaced, "replaced")] {
        assert_eq!(by_police.get(&format!("/v1/loss-reports/{report}")).await["state"], state);
    }
    let seen = by_police.get(&format!("/v1/loss-reports/{report}/sightings")).await;
    let west = seen["sightings"].as_array().unwrap().iter().find(|entry| entry["site"] == "west");
    assert_eq!(west.map(|entry| &entry["count"]), Some(&json!(3)), "{seen}");
    assert_eq!(by_police.get(&format!("/v1/found-cards/{found}")).await["state"], "held");
    let read = by_police.get(&format!("/v1/replacement-applications/{application}")).await;
    assert_eq!(
        (&read["state"], &read["temporary_card"]["state"]),
        (&json!("accepted"), &json!("outstanding")),
        "{read}"
    );
    let read = by_police.get(&format!("/v1/misuse-reports/{misuse}")).await;
    assert_eq!((&read["state"], &read["narrative"]), (&json!("open"), &json!("he ran")), "{read}");
    assert_eq!(by_police.get(&format!("/v1/temporary-certificates/{certificate}")).await["state"], "active");
    let alerts = by_hotel.get("/v1/alerts").await;
    assert_eq!((&alerts["alerts"][0]["check_id"], &alerts["alerts"][0]["sequence"]), (&json!(told), &json!(1)));
    // What was watched is watched still, and counted on.
    by_police.post("/v1/loss-reports", &report_of(&watched, Some(LOST))).await;
    let alerts = by_hotel.get("/v1/alerts").await;
    assert_eq!((&alerts["alerts"][1]["check_id"], &alerts["alerts"][1]["sequence"]), (&json!(watch), &json!(2)));
    let usage = by_hotel.get(&format!("/v1/usage?from={NEW}&to={NEW}")).await;
    assert!(usage.to_string().contains("41"), "{usage}");
    let by_portal = Caller::of(&node, portal.client).await;
    let own = by_portal.post("/v1/citizen/records", &json!({ "id_number": lost })).await;
    assert_eq!(own["reports"][0]["report_id"], json!(report), "{own}");
    let accesses = by_portal.post("/v1/citizen/accesses", &json!({ "id_number": lost })).await;
    assert!(accesses.to_string().contains("report_filed"), "entries of before tags are found: {accesses}");
    // Old rows change as new ones do.
    let body = json!({"office": "110105-03", "holder_verified_by": "face"});
    assert_eq!(by_police.post(&format!("/v1/found-cards/{found}/return"), &body).await["state"], "returned");
    eventually("unlisted", async || by_hotel.verdict(&lost, Some(LOST)).await == "not_listed").await;
    let corrected = json!({"card_valid_from": "2026-11-05", "office": "110105-03"});
    by_police.post(&format!("/v1/replacements/{replacement}/correction"), &corrected).await;
    assert_eq!(by_hotel.verdict(&replaced, Some(NEW)).await, "card_listed");
    assert!(child::run(&data, &["audit", "verify"]).status.success());
    assert!(node.terminate().success());
    // The commands that were named correct what they were named for.
    for (client, scope) in [(mixed.client, "checks"), (admin.client, "admin")] {
        child::run_json(&data, &["client", "update", &client.to_string(), "--scope", scope, "--json"]);
    }
    let before = node_log_length(&data);
    let node = child::serve(&data, ISSUER);
    assert!(!node.log()[before..].contains("may not have"));
}

/// How long the log of a folder's nodes is.
fn node_log_length(data: &Path) -> usize {
    std::fs::read_to_string(data.with_extension("log")).unwrap().len()
}
