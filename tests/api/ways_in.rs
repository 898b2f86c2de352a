//! One report by every way in: each leaves the same rows in every table, so that none forgets what a report entails. What may
//! differ is named here, with its reason.

use std::collections::BTreeMap;

use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::random;
use lostcard::domain::acceptance::Ground;
use lostcard::domain::application::{Application, ApplicationReason, TemporaryCard, TemporaryCardState};
use lostcard::domain::ids::ApplicationId;
use lostcard::domain::report::OfficeCode;
use lostcard::service::sandbox::{furnish, magic_digests};
use lostcard::service::writing::seal_number;
use lostcard::store::applications::NewApplication;
use serde_json::json;

use crate::bodies::{check_of, random_number, report_of, with};
use crate::child;
use crate::found_cards::register;
use crate::helpers::{TestApp, eventually};
use crate::servers::tables::{Columns, Tables};

/// A magic number, and the card that its seed reports: so that the sandbox's own way in tells the same.
const NUMBER: &str = "119999199001011015";
const LOST: &str = "2016-05-01";

/// Tables that hold nothing of a number, or who acted and how.
const OTHER_TABLES: &[(&str, &str)] = &[
    ("alert_heads", "counts an organization's alerts"),
    ("audit", "says who acted, and by which command"),
    ("audit_subjects", "says whom an entry is about: a file's is about many, and names nobody"),
    ("blind_keys", "of the service"),
    ("blind_pieces", "of bases"),
    ("client_credentials", "who may act"),
    ("clients", "who may act"),
    ("environment", "what the store is for"),
    ("feed_head", "counts every change, of clients too"),
    ("idempotency", "of requests that may be repeated"),
    ("import_pieces", "of files"),
    ("import_rows", "of files of a source"),
    ("imports", "of files"),
    ("key_checks", "of keys"),
    ("log_head", "of trees"),
    ("log_leaves", "blind bytes, of each row of the feed"),
    ("log_tiles", "of trees"),
    ("nodes", "of nodes"),
    ("organizations", "who may act"),
    ("retention", "of runs"),
    ("usage_counts", "of what clients asked"),
    ("usage_flushes", "of what clients asked"),
];
/// Columns that differ by way, or by the moment: only whether they hold anything is compared.
const OTHER_COLUMNS: &[&str] = &[
    // Ids, and what is drawn or sealed for them.
    "alert_id",
    "application_id",
    "check_id",
    "found_card_id",
    "organization_id",
    "report_id",
    "temporary_card_id",
    "watch_id",
    "sealed_digest",
    // Instants and places in the feed.
    "applied_at",
    "issued_at",
    "listed_at",
    "lost_at",
    "registered_at",
    "registered_sequence",
    "reported_at",
    "seq",
    "sequence",
    // Of the channel.
    "channel",
    "office",
];

/// What is in the store before the report: a held card, a temporary card and a watch, all of the card that will be reported.
async fn prepare(app: &TestApp) {
    let pepper = app.keyring.pepper(1).unwrap();
    let (_, digest) =
        magic_digests(app.clock.today()).unwrap().into_iter().find(|(magic, _)| magic.number == NUMBER).unwrap();
    let now_ms = app.clock.now_ms();
    let application_id: ApplicationId = random::id(now_ms);
    let start = LOST.parse().unwrap();
    let application = Application::new(application_id, Ground::Nationwide, ApplicationReason::Damaged, start);
    let card: TemporaryCard =
        application.clone().issue_temporary_card(random::id(now_ms), start, start).unwrap().temporary_card.unwrap();
    let office = OfficeCode::parse("110105-03").unwrap();
    let new = NewApplication {
        application,
        organization: app.police.organization,
        number: seal_number(&app.keyring, &pepper, &digest, application_id).unwrap(),
        applied_at_office: office.clone(),
        household_office: office.clone(),
        applied_at_ms: now_ms,
    };
    app.change_store(async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_application(&new).await.unwrap();
        tx.insert_temporary_card(application_id, &card, &office, now_ms).await.unwrap();
    })
    .await;
    let found = register(app, NUMBER, Some(LOST)).await;
    assert_eq!(found.get("matched_report_id"), None);
    let watched = app.check(&with(check_of(NUMBER, Some(LOST)), "watch_hours", 24)).await;
    assert_eq!(watched.json()["verdict"], "not_listed");
}

/// Imports reports of these numbers.
fn import(app: &TestApp, numbers: &[&str]) {
    let row = |number| format!("{number},{LOST},lost,holder,110105-03,station\n");
    let rows: String = numbers.iter().map(row).collect();
    let file = app.folder.path().join("reports.csv");
    std::fs::write(&file, format!("id_number,card_valid_from,reason,reporter,office,channel\n{rows}")).unwrap();
    child::run_json(&app.config.data, &["import", "--json", file.to_str().unwrap()]);
}

/// What every table holds of the number.
async fn rows_of_number(app: &TestApp) -> BTreeMap<String, Vec<Columns>> {
    let key: LookupKey = {
        let (_, digest) =
            magic_digests(app.clock.today()).unwrap().into_iter().find(|(magic, _)| magic.number == NUMBER).unwrap();
        app.keyring.pepper(1).unwrap().lookup_key(&digest)
    };
    let key = hex::encode(key.as_bytes());
    let mut tables = Tables::of(&app.store_url()).await;
    let mut found = BTreeMap::new();
    let report_id = {
        let reports = tables.rows("loss_reports").await;
        let own = reports.into_iter().find(|row| row["lookup_key"].as_deref() == Some(&key)).expect("the report");
        own["report_id"].clone()
    };
    for table in tables.names().await {
        if OTHER_TABLES.iter().any(|(name, _)| *name == table) {
            continue;
        }
        let mut rows = tables.rows(&table).await;
        // Other numbers of the same file or sandbox, and changes of clients.
        rows.retain(|row| {
            [row.get("lookup_key"), row.get("subject")].into_iter().flatten().all(|own| own.as_deref() == Some(&key))
        });
        for row in &mut rows {
            for (name, value) in row.iter_mut().filter(|(_, value)| value.is_some()) {
                let is_other = OTHER_COLUMNS.contains(&name.as_str());
                if is_other {
                    *value = Some("set".to_owned());
                } else if *value == report_id {
                    *value = Some("the report".to_owned());
                } else if *value == Some(key.clone()) {
                    *value = Some("the number".to_owned());
                }
            }
            // Who owns it: nobody owns what a file brought.
            row.remove("organization_id");
        }
        rows.sort();
        found.insert(table, rows);
    }
    found
}

/// The same report, by one way.
enum Way {
    Api,
    /// With others that waited: they share a transaction, and are stored together.
    Group,
    Portal,
    File,
    FileOfMany,
    Sandbox,
}

impl Way {
    async fn take(&self, app: &TestApp) {
        match self {
            Self::Api => {
                app.report_lost(NUMBER, Some(LOST)).await;
            }
            Self::Group => in_a_group(app).await,
            Self::Portal => {
                let portal = app.add_client("citizen", None).await;
                let report = json!({"id_number": NUMBER, "card_valid_from": LOST, "reason": "lost"});
                let answer = app.post(&portal.token, "/v1/citizen/loss-reports", &report).await;
                assert_eq!(answer.status, 201, "{}", answer.text);
            }
            Self::File => import(app, &[NUMBER]),
            Self::FileOfMany => import(app, &[&random_number(), NUMBER, &random_number()]),
            Self::Sandbox => furnish(&app.store, &app.keyring, &app.clock).await.unwrap(),
        }
    }
}

/// Files the report while a writer is at work, so that it waits with another one.
async fn in_a_group(app: &TestApp) {
    let holding = app.hold_writers().await;
    let groups = app.metric("lostcard_write_groups_total").await;
    let others = [random_number(), random_number()];
    let file = async |number: &str| assert_eq!(app.report(&report_of(number, Some(LOST))).await.status, 201);
    let begins = async || {
        eventually("the first waits for its turn", async || app.metric("lostcard_write_groups_total").await > groups)
            .await;
    };
    let wait = async || {
        begins().await;
        tokio::join!(file(NUMBER), file(&others[1]));
    };
    let release = async {
        begins().await;
        eventually("two wait for the next group", async || app.metric("lostcard_writes_waiting").await == 2).await;
        drop(holding);
    };
    tokio::join!(file(&others[0]), wait(), release);
    assert_eq!(app.metric("lostcard_write_groups_total").await, groups + 2, "both in one group");
}

async fn rows_after(way: Way) -> BTreeMap<String, Vec<Columns>> {
    let app = TestApp::spawn().await;
    prepare(&app).await;
    way.take(&app).await;
    rows_of_number(&app).await
}

#[tokio::test]
async fn a_report_by_file_marks_the_temporary_card_lost() {
    for way in [Way::File, Way::FileOfMany] {
        let cards = &rows_after(way).await["temporary_cards"];
        assert_eq!(cards.len(), 1);
        assert_eq!(cards[0]["state"].as_deref(), Some(TemporaryCardState::Lost.as_str()));
        assert_eq!(cards[0]["lost_at"].as_deref(), Some("set"));
    }
}

#[tokio::test]
async fn a_report_leaves_the_same_rows_by_every_way_in() {
    let expected = rows_after(Way::Api).await;
    let count = |table: &str| expected[table].len();
    assert_eq!(
        ["loss_reports", "feed", "found_cards", "temporary_cards", "alerts", "watches"].map(count),
        [1, 1, 1, 1, 1, 0]
    );
    assert_eq!(expected["found_cards"][0]["matched_report_id"].as_deref(), Some("the report"));
    assert_eq!(expected["alerts"][0]["kind"].as_deref(), Some("card_listed"));
    for (name, way) in [
        ("group", Way::Group),
        ("portal", Way::Portal),
        ("file", Way::File),
        ("file of many", Way::FileOfMany),
        ("sandbox", Way::Sandbox),
    ] {
        let found = rows_after(way).await;
        for (table, rows) in &expected {
            assert_eq!(&found[table], rows, "{table}, by {name}");
        }
        assert_eq!(found.len(), expected.len(), "by {name}");
    }
}

#[tokio::test]
async fn every_exception_is_a_table_or_a_column_that_there_is() {
    let app = TestApp::spawn().await;
    let mut tables = Tables::of(&app.store_url()).await;
    let names = tables.names().await;
    let mut columns = Vec::new();
    for name in &names {
        columns.extend(tables.columns(name).await);
    }
    for (table, reason) in OTHER_TABLES {
        assert!(names.iter().any(|name| name == table) && !reason.is_empty(), "{table}");
    }
    for column in OTHER_COLUMNS {
        assert!(columns.iter().any(|name| name == column), "{column}");
    }
}
