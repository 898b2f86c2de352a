//! A copy of everything in a store, read at one moment while nodes write, and a store made of such a copy. SQLite writes a file of its
//! own; of PostgreSQL each table is a file with a row a line, as the database itself writes rows as JSON. What goes into a back-up
//! beside the store, and what a restored store must say, is decided in `service::backup`.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, Row};

use super::schema::Dialect;
use super::{Store, StoreError};
use crate::own_files;

/// The embedded store in a copy.
const FILE: &str = "lostcard.db";
/// Ends the name of a table's file.
const ROWS_END: &str = ".rows";
/// Rows of one statement.
const ROWS_MAX: usize = 1000;
/// Rows that the database itself lets nobody remove: in a new store there are none.
const APPEND_ONLY: [&str; 2] = ["audit", "audit_subjects"];

impl Store {
    /// Copies everything into a folder that is empty.
    pub async fn copy_into(&self, folder: &Path) -> Result<(), StoreError> {
        match self.dialect {
            Dialect::Sqlite => {
                let path = folder.join(FILE);
                // Empty and for its owner alone: what SQLite writes into it keeps that mode.
                own_files::create_new(&path)?;
                let path = path.to_string_lossy().into_owned();
                sqlx::query("VACUUM INTO $1").bind(path).execute(&mut *self.connection().await?).await?;
                Ok(())
            }
            Dialect::Postgres => self.copy_tables(folder).await,
        }
    }

    async fn copy_tables(&self, folder: &Path) -> Result<(), StoreError> {
        let mut tx = self.begin_long_read().await?;
        for table in tables(&mut tx).await? {
            let mut file = BufWriter::new(own_files::create_new(&folder.join(format!("{table}{ROWS_END}")))?);
            let text = format!("SELECT CAST(row_to_json(t) AS TEXT) AS line FROM {table} t");
            let mut rows = sqlx::query(AssertSqlSafe(text)).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                writeln!(file, "{}", row.try_get::<&str, _>("line")?)?;
            }
            file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        }
        Ok(())
    }
}

/// Every table, those first that others name: they were made first.
async fn tables(connection: &mut sqlx::AnyConnection) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(
        "SELECT CAST(c.relname AS TEXT) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND n.nspname = ANY(current_schemas(false)) ORDER BY c.oid",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}
