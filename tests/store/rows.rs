//! Rows as they stand in the tables, for cases about what the store's own functions do not make: every column has a value that
//! will do, unless the case gives one.

use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::any::AnyArguments;
use sqlx::{AnyConnection, Arguments, AssertSqlSafe, Connection, Row};
use uuid::Uuid;

use crate::backend::Database;
use crate::records::{NOW_MS, id};

/// Numbers that only grow.
static SEQUENCE: AtomicI64 = AtomicI64::new(1000);

/// One value.
#[derive(Clone)]
pub(crate) enum Cell {
    Bytes(Vec<u8>),
    Number(i64),
    Text(&'static str),
}

impl Cell {
    pub(crate) fn id(id: Uuid) -> Self {
        Self::Bytes(id.as_bytes().to_vec())
    }
}

async fn connect(database: &Database) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&database.url()).await.unwrap()
}

/// The columns of a table that must have a value.
fn needed(table: &str) -> &'static [&'static str] {
    match table {
        "sightings" => &["listing_id", "check_id", "organization_id", "purpose", "verdict", "seen_at"],
        "found_cards" => &[
            "found_card_id",
            "organization_id",
            "lookup_key",
            "key_version",
            "sealed_digest",
            "state",
            "found_on",
            "found_at_region",
            "office",
            "registered_at",
        ],
        "replacement_applications" => &[
            "application_id",
            "organization_id",
            "lookup_key",
            "key_version",
            "sealed_digest",
            "state",
            "reason",
            "applied_at_office",
            "household_office",
            "applied_at",
        ],
        "temporary_cards" => &[
            "temporary_card_id",
            "application_id",
            "state",
            "card_valid_from",
            "card_valid_until",
            "office",
            "issued_at",
        ],
        "misuse_reports" => &[
            "misuse_report_id",
            "organization_id",
            "lookup_key",
            "key_version",
            "sealed_digest",
            "state",
            "kind",
            "observed_at",
            "reported_at",
        ],
        "temporary_certificates" => &[
            "certificate_id",
            "organization_id",
            "lookup_key",
            "key_version",
            "sealed_digest",
            "purpose",
            "office",
            "issued_at",
            "expires_at",
        ],
        "watches" => &["watch_id", "organization_id", "lookup_key", "key_version", "ends_at"],
        "alerts" => &["seq", "alert_id", "organization_id", "check_id", "kind", "listed_at"],
        "webhooks" => &["webhook_id", "organization_id", "url", "sealed_secret", "created_at"],
        "deliveries" => &["alert_id", "webhook_id", "attempts", "next_at"],
        "idempotency" => &["request_key", "request_hash", "status", "location", "body", "created_at"],
        "revoked_tokens" => &["token_hash", "revoked_at"],
        other => panic!("no columns of {other} are known here"),
    }
}

fn will_do(column: &str, organization: Uuid) -> Cell {
    match column {
        "organization_id" => Cell::id(organization),
        "key_version" | "attempts" | "status" => Cell::Number(1),
        "seq" => Cell::Number(SEQUENCE.fetch_add(1, Ordering::Relaxed)),
        "lookup_key" | "sealed_digest" | "sealed_secret" | "request_key" | "request_hash" | "token_hash" => {
            Cell::id(id())
        }
        _ if column.ends_with("_id") => Cell::id(id()),
        _ if column.ends_with("_at") => Cell::Number(NOW_MS),
        _ => Cell::Text("x"),
    }
}

/// Inserts a row.
pub(crate) async fn insert(database: &Database, table: &str, organization: Uuid, given: &[(&str, Cell)]) {
    let mut cells = given.to_vec();
    for column in needed(table) {
        if given.iter().all(|(name, _)| name != column) {
            cells.push((*column, will_do(column, organization)));
        }
    }
    let names: Vec<_> = cells.iter().map(|(name, _)| *name).collect();
    let places: Vec<_> = (1..=cells.len()).map(|n| format!("${n}")).collect();
    let mut arguments = AnyArguments::default();
    for (_, cell) in cells {
        match cell {
            Cell::Bytes(bytes) => arguments.add(bytes),
            Cell::Number(number) => arguments.add(number),
            Cell::Text(text) => arguments.add(text),
        }
        .unwrap();
    }
    let text = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(","), places.join(","));
    let mut connection = connect(database).await;
    sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// How many rows a table has; a condition may follow its name.
pub(crate) async fn count(database: &Database, table: &str) -> i64 {
    let mut connection = connect(database).await;
    let text = format!("SELECT COUNT(*) FROM {table}");
    let row = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}
