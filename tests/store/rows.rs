//! Rows as they are in the tables, for cases about what the store's own functions do not make: every column has a value that
//! will do, unless the case gives one.

use lostcard::domain::ids::{OrganizationId, RecordId};
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::any::AnyArguments;
use sqlx::{AnyConnection, Arguments, AssertSqlSafe, Connection, Executor, Row};

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
    pub(crate) fn id(id: impl Into<RecordId>) -> Self {
        Self::Bytes(id.into().as_bytes().to_vec())
    }
}

async fn connect(database: &Database) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&database.url()).await.unwrap()
}

/// How the database would read the rows of a statement, without preferring a table's few rows to its index.
pub(crate) async fn plan(database: &Database, statement: &str) -> String {
    let mut connection = connect(database).await;
    let (explain, column) =
        if database.is_sqlite() { ("EXPLAIN QUERY PLAN", "detail") } else { ("EXPLAIN", "QUERY PLAN") };
    if !database.is_sqlite() {
        connection.execute("SET enable_seqscan = off").await.unwrap();
    }
    let rows = connection.fetch_all(AssertSqlSafe(format!("{explain} {statement}"))).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(column)).collect();
    lines.join("\n")
}

/// The columns of a table that must have a value, with their types.
async fn needed(connection: &mut AnyConnection, database: &Database, table: &str) -> Vec<(String, String)> {
    let text = if database.is_sqlite() {
        format!("SELECT name, LOWER(type) AS type FROM pragma_table_info('{table}') WHERE \"notnull\" = 1")
    } else {
        format!(
            "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS type FROM information_schema.columns \
             WHERE table_name = '{table}' AND is_nullable = 'NO'"
        )
    };
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await.unwrap();
    assert!(!rows.is_empty(), "there is no table {table}");
    rows.iter().map(|row| (row.get("name"), row.get("type"))).collect()
}

fn will_do(column: &str, kind: &str, organization: OrganizationId) -> Cell {
    match (column, kind) {
        ("organization_id", _) => Cell::id(organization),
        ("seq", _) => Cell::Number(SEQUENCE.fetch_add(1, Ordering::Relaxed)),
        (_, "bigint") => Cell::Number(NOW_MS.get()),
        (_, "text") => Cell::Text("x"),
        (_, "blob" | "bytea") => Cell::id(id::<RecordId>()),
        (_, other) => panic!("{column}: no value of type {other} is known here"),
    }
}

/// Inserts a row.
pub(crate) async fn insert(database: &Database, table: &str, organization: OrganizationId, given: &[(&str, Cell)]) {
    let mut connection = connect(database).await;
    let mut cells: Vec<_> = given.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
    for (column, kind) in needed(&mut connection, database, table).await {
        if given.iter().all(|(name, _)| *name != column) {
            let cell = will_do(&column, &kind, organization);
            cells.push((column, cell));
        }
    }
    let names: Vec<_> = cells.iter().map(|(name, _)| name.as_str()).collect();
    let places: Vec<_> = (1..=cells.len()).map(|n| format!("${n}")).collect();
    let mut arguments = AnyArguments::default();
    for (_, cell) in &cells {
        match cell {
            Cell::Bytes(bytes) => arguments.add(bytes.clone()),
            Cell::Number(number) => arguments.add(*number),
            Cell::Text(text) => arguments.add(*text),
        }
        .unwrap();
    }
    let text = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(","), places.join(","));
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

/// Runs a statement.
pub(crate) async fn execute(database: &Database, statement: &str) {
    let mut connection = connect(database).await;
    connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

/// All rows of a table, each as the database writes its values, in one order.
pub(crate) async fn contents(database: &Database, table: &str) -> Vec<String> {
    let mut connection = connect(database).await;
    let columns = if database.is_sqlite() {
        format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
    } else {
        format!(
            "SELECT CAST(column_name AS TEXT) AS name FROM information_schema.columns WHERE table_name = '{table}' \
             ORDER BY ordinal_position"
        )
    };
    let columns = sqlx::query(AssertSqlSafe(columns)).fetch_all(&mut connection).await.unwrap();
    let value = |row: &sqlx::any::AnyRow| {
        let name: String = row.get("name");
        let written = if database.is_sqlite() { format!("quote({name})") } else { format!("CAST({name} AS TEXT)") };
        format!("COALESCE({written}, 'NULL')")
    };
    let values: Vec<_> = columns.iter().map(value).collect();
    let text = format!("SELECT {} AS written FROM {table} ORDER BY 1", values.join(" || '|' || "));
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.get("written")).collect()
}
