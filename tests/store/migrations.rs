//! A rolling deploy: for a while nodes of the version before and of this one serve from one schema, whichever of them started last.

use lostcard::store::feed::ChangeKind;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::backend::Database;
use crate::records::{id, key, write};

async fn sql(database: &Database, statements: &[&str]) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
}

pub(crate) async fn a_store_of_the_first_version_is_brought_up_to_date(database: &Database) {
    let store = database.open().await;
    let node = id();
    write(&store, async |tx| tx.record_change(ChangeKind::Listing, key().as_bytes()).await.unwrap()).await;
    store.close().await;
    // Back to what version 0.1.0 left: its schema, a change, and a node that was killed.
    let hex = node.simple();
    let insert = if database.url().starts_with("sqlite") {
        format!("INSERT INTO nodes (node_id, beat) VALUES (x'{hex}', 7)")
    } else {
        format!("INSERT INTO nodes (node_id, beat) VALUES ('\\x{hex}', 7)")
    };
    let later = [
        "audit",
        "found_cards",
        "temporary_cards",
        "replacement_applications",
        "sightings",
        "misuse_reports",
        "temporary_certificates",
        "watches",
        "deliveries",
        "alerts",
        "alert_heads",
        "webhooks",
        "retention",
        "usage_counts",
        "usage_flushes",
        "environment",
    ];
    let later: Vec<_> = later.iter().map(|table| format!("DROP TABLE {table}")).collect();
    sql(database, &later.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let indexes = [
        "loss_reports_by_end",
        "loss_reports_without_end",
        "loss_reports_withdrawn",
        "replacements_by_time",
        "idempotency_by_time",
        "revoked_tokens_by_time",
    ];
    let indexes: Vec<_> = indexes.iter().map(|index| format!("DROP INDEX {index}")).collect();
    sql(database, &indexes.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let statements = [
        "ALTER TABLE nodes DROP COLUMN confirmed",
        "ALTER TABLE nodes DROP COLUMN pepper_version",
        "ALTER TABLE feed_head DROP COLUMN key_version",
        "ALTER TABLE feed_head DROP COLUMN key_version_from",
        "ALTER TABLE imports DROP COLUMN key_version",
        "DELETE FROM _sqlx_migrations WHERE version > 1",
        &insert,
    ];
    sql(database, &statements).await;
    let store = database.open().await;
    assert_eq!(store.least_confirmed(id()).await.unwrap(), Some(0), "one of before confirms nothing: it is waited for");
    assert_eq!(store.feed_after(0, node).await.unwrap().changes.len(), 1, "what was there still is");
    // A node of the version before joins with the statement that it knows.
    sql(database, &["DELETE FROM nodes", &insert]).await;
    assert!(store.feed_after(0, node).await.unwrap().is_member);
}

pub(crate) async fn a_store_that_a_newer_version_has_brought_on_is_still_opened(database: &Database) {
    database.open().await.close().await;
    let checksum = if database.url().starts_with("sqlite") { "x'00'" } else { "'\\x00'" };
    let insert = format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a later version', TRUE, {checksum}, 1)"
    );
    sql(database, &[&insert]).await;
    assert!(database.open().await.list_nodes().await.unwrap().is_empty());
}

/// sqlx refuses a store in which a migration has another checksum than the binary's: the row is compared before it can.
pub(crate) async fn a_store_made_by_version_0_1_0_has_the_checksums_of_today(database: &Database) {
    database.open().await.close().await;
    let name = if database.url().starts_with("sqlite") { "sqlite " } else { "postgres " };
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    let rows = sqlx::query("SELECT version, checksum, description FROM _sqlx_migrations ORDER BY version")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let today = rows.iter().map(|row| {
        format!("{} {} {}", row.get::<i64, _>(0), hex::encode(row.get::<Vec<u8>, _>(1)), row.get::<String, _>(2))
    });
    let made: Vec<_> =
        include_str!("migrations_of_0_1_0.txt").lines().filter_map(|line| line.strip_prefix(name)).collect();
    assert_eq!(made.len(), 13);
    assert_eq!(made, today.take(made.len()).collect::<Vec<_>>());
}
