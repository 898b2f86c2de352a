//! What version 0.1.0 left behind: its schema, and rows as that version wrote them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use lostcard::crypto::client_secret::hash_secret;
use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::{Keyring, random};
use lostcard::domain::client::Actor;
use lostcard::domain::ids::{ClientId, OrganizationId, RecordId, ReportId};
use lostcard::domain::instant::UnixMs;
use lostcard::node;
use lostcard::service::writing::seal_number;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, SqlSafeStr};

use crate::backend;
use crate::bodies::digest_bytes;
use crate::helpers::config_in;
use crate::servers::tables::Tables;

pub(crate) const LOST: &str = "2016-05-01";
pub(crate) const EVE: &str = "2026-10-31";
pub(crate) const NEW: &str = "2026-11-01";
pub(crate) const SECRET: &str = "a secret of version 0.1.0";

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
pub(crate) fn words() -> [(&'static str, &'static str); 4] {
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
pub(crate) fn migrator() -> Migrator {
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
pub(crate) enum Cell {
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
pub(crate) fn id_cell(id: impl Into<RecordId>) -> Cell {
    Cell::Bytes(id.into().as_bytes().to_vec())
}

/// The store while 0.1.0 writes it.
pub(crate) struct Old {
    pub(crate) connection: AnyConnection,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) now: i64,
    pub(crate) feed: i64,
}

impl Old {
    pub(crate) async fn insert(&mut self, table: &str, cells: Vec<(&str, Cell)>) {
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

    pub(crate) fn id(&self) -> RecordId {
        random::id(UnixMs::new(self.now))
    }

    /// The columns of a number in the row of a record.
    pub(crate) fn number(&self, record: RecordId, number: &str) -> Vec<(&'static str, Cell)> {
        let (pepper, digest) = (self.keyring.newest_pepper().unwrap(), IdDigest::from_bytes(digest_bytes(number)));
        let sealed = seal_number(&self.keyring, &pepper, &digest, record).unwrap();
        vec![
            ("lookup_key", sealed.lookup_key.as_bytes().to_vec().into()),
            ("key_version", i64::from(sealed.key_version).into()),
            ("sealed_digest", sealed.sealed_digest.into()),
        ]
    }

    /// The next change of the feed, of a number's listing.
    pub(crate) async fn listing(&mut self, number: &str) -> i64 {
        let Some((_, Cell::Bytes(key))) = self.number(RecordId::nil(), number).into_iter().next() else {
            panic!("a lookup key")
        };
        self.feed += 1;
        let seq = self.feed;
        self.insert("feed", vec![("seq", seq.into()), ("kind", "listing".into()), ("subject", key.into())]).await;
        seq
    }

    /// An organization with one client.
    pub(crate) async fn client(&mut self, kind: &str, scopes: &str) -> Actor {
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
        Actor::new(organization, client)
    }

    /// A report in a state; `closed` are the columns of its end.
    pub(crate) async fn report(
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
pub(crate) fn copy_keys(from: &Path, to: &Path) {
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
pub(crate) async fn make(data: &Path) -> Old {
    let made = tempfile::tempdir().unwrap();
    let config = config_in(&made);
    let (store, keyring, _) = node::open(&config).await.unwrap();
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
