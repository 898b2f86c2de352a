//! A store that version 0.1.0 made, with rows of each kind as that version wrote them, opened by today's binary: each answers as it
//! should, and clients that have more than their kind may are named with the command that corrects them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use lostcard::access::client_auth::hash_secret;
use lostcard::crypto::audit::End;
use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::{Keyring, random};
use lostcard::domain::audit::{Action, Deed};
use lostcard::domain::client::Actor;
use lostcard::domain::ids::{ClientId, OrganizationId, RecordId, ReportId};
use lostcard::domain::instant::UnixMs;
use lostcard::node;
use lostcard::service::writing::seal_number;
use serde_json::{Value, json};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, SqlSafeStr};

use crate::answer::Answer;
use crate::backend;
use crate::bodies::{check_of, digest_bytes, random_number, report_of};
use crate::child::{self, Server};
use crate::helpers::{ISSUER, config_in, eventually};
use crate::servers::http_client;
use crate::servers::tables::Tables;

const LOST: &str = "2016-05-01";
const EVE: &str = "2026-10-31";
const NEW: &str = "2026-11-01";
const SECRET: &str = "a secret of version 0.1.0";

/// The migrations of 0.1.0, by the words of their names.
const MIGRATIONS: [(&str, &str); 13] = [
    ("initial", include_str!("../../migrations/0001_initial.sql")),
    ("nodes", include_str!("../../migrations/0002_nodes.sql")),
    ("import order", include_str!("../../migrations/0003_import_order.sql")),
    ("audit", include_str!("../../migrations/0004_audit.sql")),
    ("found cards", include_str!("../../migrations/0005_found_cards.sql")),
    ("applications", include_str!("../../migrations/0006_applications.sql")),
    ("sightings", include_str!("../../migrations/0007_sightings.sql")),
    ("misuse reports", include_str!("../../migrations/0008_misuse_reports.sql")),
    ("certificates", include_str!("../../migrations/0009_certificates.sql")),
    ("alerts", include_str!("../../migrations/0010_alerts.sql")),
    ("retention", include_str!("../../migrations/0011_retention.sql")),
    ("usage", include_str!("../../migrations/0012_usage.sql")),
    ("environment", include_str!("../../migrations/0013_environment.sql")),
];

/// What 0.1.0 put in the places of the words of its migrations.
fn words() -> [(&'static str, &'static str); 4] {
    if backend::is_postgres() {
        let append_only = "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$; \
             CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit \
             FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();";
        let no_limit = "SET LOCAL statement_timeout = 0";
        return [
            ("BYTES", "BYTEA"),
            ("SEQUENCE_KEY", "BIGINT PRIMARY KEY"),
            ("AUDIT_IS_APPEND_ONLY;", append_only),
            ("NO_TIME_LIMIT", no_limit),
        ];
    }
    let append_only = "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit \
         BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END; \
         CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit \
         BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;";
    [
        ("BYTES", "BLOB"),
        ("SEQUENCE_KEY", "INTEGER PRIMARY KEY"),
        ("AUDIT_IS_APPEND_ONLY;", append_only),
        ("NO_TIME_LIMIT", "SELECT 1"),
    ]
}

/// The migrations as they ran: with the checksums that 0.1.0 left.
fn migrator() -> Migrator {
    let kind = if backend::is_postgres() { "postgres" } else { "sqlite" };
    let known = include_str!("../store/migrations_of_0_1_0.txt");
    let made = (1..).zip(MIGRATIONS).map(|(version, (name, text))| {
        let text = words().iter().fold(text.to_owned(), |text, (word, instead)| text.replace(word, instead));
        let text = AssertSqlSafe(text).into_sql_str();
        let migration = Migration::new(version, name.into(), MigrationType::Simple, text, false);
        let line = format!("{kind} {version} {} {name}", hex::encode(&*migration.checksum));
        assert!(known.lines().any(|of_0_1_0| of_0_1_0 == line), "not what 0.1.0 ran: {line}");
        migration
    });
    Migrator { migrations: made.collect::<Vec<_>>().into(), ..Migrator::DEFAULT }
}

/// A value of a row.
enum Cell {
    Bytes(Vec<u8>),
    Number(i64),
    Text(String),
    Null,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<u8>> for Cell {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// An id is one of a record.
fn id_cell(id: impl Into<RecordId>) -> Cell {
    Cell::Bytes(id.into().as_bytes().to_vec())
}

/// The store while 0.1.0 writes it.
struct Old {
    connection: AnyConnection,
    keyring: Arc<Keyring>,
    now: i64,
    feed: i64,
}

impl Old {
    async fn insert(&mut self, table: &str, cells: Vec<(&str, Cell)>) {
        let value = |cell: &Cell| match cell {
            Cell::Bytes(bytes) if backend::is_postgres() => format!("'\\x{}'", hex::encode(bytes)),
            Cell::Bytes(bytes) => format!("x'{}'", hex::encode(bytes)),
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) => format!("'{text}'"),
            Cell::Null => "NULL".to_owned(),
        };
        let columns: Vec<_> = cells.iter().map(|(column, _)| *column).collect();
        let values: Vec<_> = cells.iter().map(|(_, cell)| value(cell)).collect();
        let text = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "));
        self.connection.execute(AssertSqlSafe(text)).await.unwrap();
    }

    fn id(&self) -> RecordId {
        random::id(UnixMs::new(self.now))
    }

    /// The columns of a number in the row of a record.
    fn number(&self, record: RecordId, number: &str) -> Vec<(&'static str, Cell)> {
        let (pepper, digest) = (self.keyring.newest_pepper().unwrap(), IdDigest::from_bytes(digest_bytes(number)));
        let sealed = seal_number(&self.keyring, &pepper, &digest, record).unwrap();
        vec![
            ("lookup_key", sealed.lookup_key.as_bytes().to_vec().into()),
            ("key_version", i64::from(sealed.key_version).into()),
            ("sealed_digest", sealed.sealed_digest.into()),
        ]
    }

    /// The next change of the feed, of a number's listing.
    async fn listing(&mut self, number: &str) -> i64 {
        let Some((_, Cell::Bytes(key))) = self.number(RecordId::nil(), number).into_iter().next() else {
            panic!("a lookup key")
        };
        self.feed += 1;
        let seq = self.feed;
        self.insert("feed", vec![("seq", seq.into()), ("kind", "listing".into()), ("subject", key.into())]).await;
        seq
    }

    /// An organization with one client.
    async fn client(&mut self, kind: &str, scopes: &str) -> Actor {
        let now = UnixMs::new(self.now);
        let (organization, client): (OrganizationId, ClientId) = (random::id(now), random::id(now));
        let created = self.now;
        let own = vec![
            ("organization_id", id_cell(organization)),
            ("name", "Harbour".into()),
            ("kind", kind.into()),
            ("region", "110105".into()),
            ("created_at", created.into()),
        ];
        self.insert("organizations", own).await;
        let own = vec![
            ("client_id", id_cell(client)),
            ("organization_id", id_cell(organization)),
            ("scopes", scopes.into()),
            ("created_at", created.into()),
        ];
        self.insert("clients", own).await;
        let proof = vec![
            ("credential_id", Cell::Bytes(self.id().as_bytes().to_vec())),
            ("client_id", id_cell(client)),
            ("kind", "secret".into()),
            ("secret_hash", hash_secret(&SECRET.to_owned().into()).to_vec().into()),
            ("created_at", created.into()),
        ];
        self.insert("client_credentials", proof).await;
        Actor { organization, client, origin: None }
    }

    /// A report in a state; `closed` are the columns of its end.
    async fn report(
        &mut self,
        by: Actor,
        number: &str,
        (state, start): (&str, Option<&str>),
        closed: Vec<(&'static str, Cell)>,
    ) -> ReportId {
        let record = self.id();
        let sequence = self.listing(number).await;
        let phone = self.keyring.sealer().seal_envelope(record.as_bytes(), b"+8613800138000").unwrap();
        let reported = self.now - 60_000;
        let mut cells = self.number(record, number);
        cells.extend([
            ("report_id", id_cell(record)),
            ("organization_id", id_cell(by.organization)),
            ("state", state.into()),
            ("card_valid_from", start.map_or(Cell::Null, Cell::from)),
            ("reason", "lost".into()),
            ("reporter", "holder".into()),
            ("office", "110105-03".into()),
            ("channel", "station".into()),
            ("contact_key", phone.wrapped_key.into()),
            ("contact_sealed", phone.sealed.into()),
            ("reported_at", reported.into()),
            ("sequence", sequence.into()),
        ]);
        cells.extend(closed);
        self.insert("loss_reports", cells).await;
        ReportId::from_bytes(*record.as_bytes())
    }
}

/// Keys as 0.1.0 made them: without that of the audit log.
fn copy_keys(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for folder in [to.parent().unwrap(), to] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if !name.starts_with("audit") && !name.starts_with('.') {
            std::fs::copy(file.path(), to.join(name)).unwrap();
        }
    }
}

/// Makes the store in a folder. Returns what writes it.
async fn make(data: &Path) -> Old {
    let made = tempfile::tempdir().unwrap();
    let config = config_in(&made);
    let (store, keyring) = node::open(&config).await.unwrap();
    store.close().await;
    copy_keys(&config.data.join("keys"), &data.join("keys"));
    let of_made = backend::database_url(&config.data)
        .unwrap_or_else(|| format!("sqlite:{}", config.data.join("lostcard.db").display()));
    let checks = Tables::of(&of_made).await.rows("key_checks").await;
    let url = backend::database_url(data)
        .unwrap_or_else(|| format!("sqlite:{}?mode=rwc", data.join("lostcard.db").display()));
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    migrator().run(&mut connection).await.unwrap();
    connection.execute("INSERT INTO feed_head (id, seq, epoch) VALUES (1, 0, 'of 0.1.0')").await.unwrap();
    connection.execute("INSERT INTO environment (id, name) VALUES (1, 'production')").await.unwrap();
    let now = lostcard::clock::Clock::System.now_ms().get() - 3_600_000;
    let mut old = Old { connection, keyring, now, feed: 0 };
    for check in checks {
        let text = |column: &str| check[column].clone().unwrap();
        if text("purpose") != "audit" {
            let value = hex::decode(text("value")).unwrap();
            let version: i64 = text("version").parse().unwrap();
            let cells =
                vec![("purpose", Cell::Text(text("purpose"))), ("version", version.into()), ("value", value.into())];
            old.insert("key_checks", cells).await;
        }
    }
    old
}

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
