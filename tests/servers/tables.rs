//! The tables of a store as its database, of either kind, describes them: their names, columns and rows.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Column, Connection, Row, ValueRef};

/// A row, by column: bytes in hexadecimal, numbers and text as they are, none for null.
pub(crate) type Columns = BTreeMap<String, Option<String>>;

/// A look at a database.
pub(crate) struct Tables {
    connection: AnyConnection,
    is_embedded: bool,
}

impl Tables {
    pub(crate) async fn of(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        let connection = AnyConnection::connect(url).await.unwrap();
        Self { connection, is_embedded: url.starts_with("sqlite") }
    }

    /// Every table that migrations made.
    pub(crate) async fn names(&mut self) -> Vec<String> {
        let statement = if self.is_embedded {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        } else {
            "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables WHERE table_schema = 'public' \
             ORDER BY table_name"
        };
        let mut names = self.texts(statement.to_owned()).await;
        names.retain(|name| name != "_sqlx_migrations");
        names
    }

    /// The columns of a table.
    pub(crate) async fn columns(&mut self, table: &str) -> Vec<String> {
        self.texts(if self.is_embedded {
            format!("SELECT name FROM pragma_table_info('{table}')")
        } else {
            format!(
                "SELECT CAST(column_name AS TEXT) AS name FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            )
        })
        .await
    }

    /// Every row of a table.
    pub(crate) async fn rows(&mut self, table: &str) -> Vec<Columns> {
        let text = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let rows = sqlx::query(text).fetch_all(&mut self.connection).await.unwrap();
        rows.iter().map(|row| row.columns().iter().map(|column| cell(row, column.name())).collect()).collect()
    }

    /// A change by hand.
    pub(crate) async fn execute(&mut self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.connection).await.unwrap();
    }

    async fn texts(&mut self, statement: String) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut self.connection).await.unwrap();
        rows.iter().map(|row| row.get("name")).collect()
    }
}

fn cell(row: &AnyRow, name: &str) -> (String, Option<String>) {
    let is_null = row.try_get_raw(name).unwrap().is_null();
    let number = || row.try_get::<i64, _>(name).map(|number| number.to_string());
    let text = || row.try_get::<String, _>(name);
    let bytes = || row.try_get::<Vec<u8>, _>(name).map(hex::encode);
    let value = (!is_null).then(|| number().or_else(|_| text()).or_else(|_| bytes()).unwrap());
    (name.to_owned(), value)
}
