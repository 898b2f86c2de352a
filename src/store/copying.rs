//! A copy of everything in a store, read at one moment while nodes write, and a store filled with such a copy. SQLite writes a file of
//! its own; PostgreSQL's tables are files as its `COPY` writes and reads them. What else a back-up holds, and whether one is believed,
//! is decided in `service::backup`.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Executor, Postgres, Row, Transaction};

use super::hosts::Hosts;
use super::key_versions::get_key_versions;
use super::schema::{Dialect, EMBEDDED_FILE, file_url};
use super::transaction::end_filling;
use super::{Store, StoreError, get_sequence, get_u64, migrations};
use crate::crypto::random;
use crate::domain::redacted::DatabaseUrl;
use crate::domain::sequence::Sequence;
use crate::own_files;

/// Ends the name of a table's file.
const ROWS_END: &str = ".rows";
/// Rows that the database itself lets nobody remove: in a new store there are none.
const APPEND_ONLY: [&str; 2] = ["audit", "audit_subjects"];
/// The migrator's own table: a new store has its own.
const OF_MIGRATOR: &str = "_sqlx_migrations";
const PIECE_BYTES: usize = 256 * 1024;
/// How long a server may take to say whether it is the primary.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What a copy is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Copied {
    pub database: String,
    /// None where no node or command ever said.
    pub environment: Option<String>,
    pub epoch: String,
    /// The feed's head at the moment of the copy: it holds every change up to this one, and no other.
    pub sequence: Sequence,
    /// The migrations that had run.
    pub schema: Vec<i64>,
    /// The peppers that rows are keyed by.
    pub peppers: Vec<u32>,
    pub key_checks: Vec<CopiedKeyCheck>,
    pub parts: Vec<Part>,
}

/// A value by which the store knows a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedKeyCheck {
    pub purpose: String,
    pub version: u32,
    /// Hexadecimal.
    pub value: String,
}

/// A file of a copy: the whole database, or one table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    pub file: String,
    pub table: Option<Table>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
    pub rows: u64,
}

/// Whether a copy's schema is one that this version knows.
pub fn knows_schema(schema: &[i64]) -> bool {
    schema.iter().all(|version| migrations::FILES.iter().any(|file| file.version() == *version))
}

impl Store {
    /// Copies everything into a folder that holds none of a copy's files.
    pub async fn copy_into(&self, folder: &Path) -> Result<Copied, StoreError> {
        match self.dialect {
            Dialect::Sqlite => self.copy_file(folder).await,
            Dialect::Postgres => self.copy_tables(folder).await,
        }
    }

    async fn copy_file(&self, folder: &Path) -> Result<Copied, StoreError> {
        let path = folder.join(EMBEDDED_FILE);
        // Empty and for its owner alone: what SQLite writes into it keeps that mode.
        drop(own_files::create_new(&path)?);
        let name = path.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO $1").bind(name).execute(&mut *self.connection().await?).await?;
        own_files::open(&path)?.sync_all()?;
        // What the copy holds is read from the copy: the store is further by now.
        let mut copy = AnyConnection::connect(&format!("{}?mode=ro&immutable=true", file_url(&path))).await?;
        let found: String = sqlx::query("PRAGMA quick_check(1)").fetch_one(&mut copy).await?.try_get(0)?;
        if found != "ok" {
            return Err(StoreError::Corrupt("the database file"));
        }
        let part = Part { file: EMBEDDED_FILE.to_owned(), table: None };
        let copied = self.describe(&mut copy, vec![part]).await?;
        copy.close().await?;
        Ok(copied)
    }

    async fn copy_tables(&self, folder: &Path) -> Result<Copied, StoreError> {
        let mut read = self.begin_long_read().await?;
        if let Some(settings) = self.dialect.copy_settings() {
            read.execute(settings).await?;
        }
        let parts = {
            // COPY is not for a connection of any database: one of PostgreSQL's looks at the same moment.
            let moment: String = sqlx::query("SELECT CAST(pg_export_snapshot() AS TEXT) AS moment")
                .fetch_one(&mut *read)
                .await?
                .try_get("moment")?;
            let mut connection = PgConnection::connect(self.url().expose()).await?;
            let mut copying = connection.begin_with(self.dialect.begin_read()).await?;
            copying.execute(AssertSqlSafe(format!("SET TRANSACTION SNAPSHOT '{moment}'"))).await?;
            if let Some(settings) = self.dialect.copy_settings() {
                copying.execute(settings).await?;
            }
            let mut parts = Vec::new();
            for (name, columns) in tables(&mut read).await? {
                let file = format!("{name}{ROWS_END}");
                let text = format!("COPY {name} ({}) TO STDOUT", columns.join(", "));
                let rows = copy_out(&mut copying, &text, &folder.join(&file)).await?;
                parts.push(Part { file, table: Some(Table { name, columns, rows }) });
            }
            parts
        };
        self.describe(&mut read, parts).await
    }

    /// Reads what a copy is of, and makes sure that its feed is whole.
    async fn describe(&self, copy: &mut AnyConnection, parts: Vec<Part>) -> Result<Copied, StoreError> {
        let text = format!("SELECT version FROM {OF_MIGRATOR} ORDER BY version");
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *copy).await?;
        let schema = rows.iter().map(|row| Ok(row.try_get("version")?)).collect::<Result<Vec<i64>, StoreError>>()?;
        let head = sqlx::query(AssertSqlSafe(format!(
            "SELECT {} AS epoch, h.seq AS head, h.key_version AS key_version, h.key_version_from AS key_version_from, \
             (SELECT COUNT(*) FROM feed) AS total, (SELECT COALESCE(MAX(seq), 0) FROM feed) AS greatest FROM feed_head h",
            self.dialect.epoch()
        )))
        .fetch_one(&mut *copy)
        .await?;
        let sequence = get_sequence(&head, "head")?;
        if get_u64(&head, "total")? != sequence.get() || get_sequence(&head, "greatest")? != sequence {
            return Err(StoreError::Corrupt("feed"));
        }
        let environment = sqlx::query("SELECT name FROM environment").fetch_optional(&mut *copy).await?;
        let checks = sqlx::query("SELECT purpose, version, value FROM key_checks ORDER BY purpose, version");
        let checks = checks.fetch_all(&mut *copy).await?;
        let check = |row: &sqlx::any::AnyRow| {
            let version = u32::try_from(get_u64(row, "version")?).map_err(|_| StoreError::Corrupt("key_checks"))?;
            let value = hex::encode(row.try_get::<&[u8], _>("value")?);
            Ok(CopiedKeyCheck { purpose: row.try_get("purpose")?, version, value })
        };
        Ok(Copied {
            database: self.dialect.word().to_owned(),
            environment: environment.map(|row| row.try_get("name")).transpose()?,
            epoch: head.try_get("epoch")?,
            sequence,
            schema,
            peppers: get_key_versions(&head)?.all().collect(),
            key_checks: checks.iter().map(check).collect::<Result<_, StoreError>>()?,
            parts,
        })
    }
}

/// Whether a database holds nothing at all.
pub async fn is_empty(url: &DatabaseUrl) -> Result<bool, StoreError> {
    let url = Hosts::primary_of(url, LOOK_MAX).await?;
    let mut connection = PgConnection::connect(url.expose()).await?;
    let row = sqlx::query(
        "SELECT COUNT(*) AS total FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = ANY(current_schemas(false))",
    )
    .fetch_one(&mut connection)
    .await?;
    let total: i64 = row.try_get("total")?;
    connection.close().await?;
    Ok(total == 0)
}

/// Fills an empty database of PostgreSQL with a copy, in one transaction: afterwards it holds all of it, under another epoch, or
/// nothing.
pub async fn fill_tables(url: &DatabaseUrl, folder: &Path, copied: &Copied) -> Result<(), StoreError> {
    let dialect = Dialect::Postgres;
    let url = Hosts::primary_of(url, LOOK_MAX).await?;
    let mut connection = PgConnection::connect(url.expose()).await?;
    let mut tx = connection.begin().await?;
    if let Some(settings) = dialect.copy_settings() {
        tx.execute(settings).await?;
    }
    // The schema of the copy's time; what came later is made when the store is opened.
    dialect.migrator_of(|version| copied.schema.contains(&version)).run_direct(None, &mut *tx, false).await?;
    let tables = copied.parts.iter().filter_map(|part| Some((part, part.table.as_ref()?)));
    for (_, table) in tables.clone().rev() {
        if !APPEND_ONLY.contains(&table.name.as_str()) {
            tx.execute(AssertSqlSafe(format!("DELETE FROM {}", plain(&table.name)?))).await?;
        }
    }
    for (part, table) in tables {
        let columns = table.columns.iter().map(|column| plain(column)).collect::<Result<Vec<_>, _>>()?;
        let text = format!("COPY {} ({}) FROM STDIN", plain(&table.name)?, columns.join(", "));
        if copy_in(&mut tx, &text, &folder.join(&part.file)).await? != table.rows {
            return Err(StoreError::Corrupt("a table of the copy"));
        }
    }
    let epoch = hex::encode(random::bytes::<16>());
    sqlx::query("UPDATE feed_head SET epoch = $1").bind(epoch).execute(&mut *tx).await?;
    end_filling(tx).await
}

/// Puts the file of a copy into a data folder.
pub fn place_file(folder: &Path, data: &Path) -> Result<(), StoreError> {
    let (mut from, to) = (own_files::open(&folder.join(EMBEDDED_FILE))?, data.join(EMBEDDED_FILE));
    let mut to = own_files::create_new(&to)?;
    std::io::copy(&mut from, &mut to)?;
    Ok(to.sync_all()?)
}

/// Every table, those first that others name (they were made first), with its columns.
async fn tables(read: &mut Transaction<'static, Any>) -> Result<Vec<(String, Vec<String>)>, StoreError> {
    let text = format!(
        "SELECT CAST(c.relname AS TEXT) AS name, (SELECT string_agg(CAST(a.attname AS TEXT), ' ' ORDER BY a.attnum) \
         FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND n.nspname = ANY(current_schemas(false)) AND c.relname <> '{OF_MIGRATOR}' ORDER BY c.oid"
    );
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut **read).await?;
    let table = |row: &sqlx::any::AnyRow| {
        let columns: &str = row.try_get("columns")?;
        Ok((row.try_get("name")?, columns.split(' ').map(str::to_owned).collect()))
    };
    rows.iter().map(table).collect()
}

/// Writes what COPY sends; returns its rows: each is a line, and what is in it never ends one.
async fn copy_out(copying: &mut Transaction<'_, Postgres>, text: &str, path: &Path) -> Result<u64, StoreError> {
    let mut file = BufWriter::new(own_files::create_new(path)?);
    let mut rows = 0;
    let mut pieces = copying.copy_out_raw(text).await?;
    while let Some(piece) = pieces.try_next().await? {
        rows += memchr::memchr_iter(b'\n', &piece).count() as u64;
        file.write_all(&piece)?;
    }
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(rows)
}

async fn copy_in(tx: &mut Transaction<'_, Postgres>, text: &str, path: &Path) -> Result<u64, StoreError> {
    let mut file = BufReader::new(own_files::open(path)?);
    let mut copying = tx.copy_in_raw(text).await?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(copying.finish().await?),
            Ok(length) => drop(copying.send(&piece[..length]).await?),
            Err(error) => {
                copying.abort("its file cannot be read").await?;
                return Err(error.into());
            }
        }
    }
}

/// A name of the schema: it goes into a statement as it is.
fn plain(name: &str) -> Result<&str, StoreError> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_plain && !name.is_empty() { Ok(name) } else { Err(StoreError::Corrupt("a name of the copy")) }
}
