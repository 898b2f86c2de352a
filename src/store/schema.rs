//! What differs between the two databases, all of it: connecting, beginning, three words of the schema. Error codes are in `error`.
//! Queries are the same for both and are in the files of their aggregates.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sqlx::migrate::Migrator;

use super::error::StoreError;
use super::migrations;
use crate::own_files;

/// Which database a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn of(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(StoreError::UnknownUrl),
        }
    }

    /// SQLite takes the write lock at once: a deferred transaction that has read cannot wait for it (`SQLITE_BUSY_SNAPSHOT`).
    /// PostgreSQL sees what others committed with every statement: after the feed's head is locked, all that came before.
    /// Whether it may write is left to the server's default: an operator who makes the store read-only means it.
    pub(super) fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// Every read of the transaction sees the store at one moment.
    pub(super) fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN DEFERRED",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// What a transaction that reads every row gets as settings: 10^8 rows take minutes, and PostgreSQL would end the statement after the
    /// 5 s that every other one has.
    pub(super) fn long_read_setting(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL statement_timeout = '10min'"),
        }
    }

    /// The word for it in a back-up.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// What the connection gets as settings that copies every table, or fills them, in one transaction: nobody waits for it but who copies.
    pub(super) fn copy_settings(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => {
                Some("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            }
        }
    }

    /// How many transactions may write at a time from this process.
    pub(super) fn writers_max(self) -> usize {
        match self {
            Self::Sqlite => 1,
            // They queue at the feed's head anyway; more would only hold connections that reads need.
            Self::Postgres => 4,
        }
    }

    /// The settings of each of so many connections. FULL: with NORMAL a power cut loses acknowledged rows. All connections
    /// together cache at most 64 MiB of pages. What is deleted is overwritten with zeros.
    pub(super) fn connection_settings(self, connections: u32) -> String {
        match self {
            Self::Sqlite => format!(
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; \
                 PRAGMA busy_timeout = 5000; PRAGMA cache_size = -{}",
                65_536 / connections.max(1)
            ),
            // Never less than a local flush before COMMIT answers; a server that asks for more (a standby's) keeps it.
            Self::Postgres => "SET statement_timeout = '5s'; SET lock_timeout = '2s'; \
                 SET idle_in_transaction_session_timeout = '10s'; \
                 SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'"
                .to_owned(),
        }
    }

    /// What is said once of a store that is used, and stays in it: a look leaves it out.
    pub(super) fn lasting_settings(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA journal_mode = WAL"),
            Self::Postgres => None,
        }
    }

    /// What must be said before COMMIT: without it a statement's time-out would end the wait for a standby, and PostgreSQL tells
    /// such an end as success.
    pub(super) fn commit_settings(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL statement_timeout = 0"),
        }
    }

    /// The epoch as an expression over `feed_head h`. With PostgreSQL the server and its timeline belong to it: it changes when a
    /// standby is promoted or a back-up restored. Asking a server in recovery is an error, so that no replica is followed.
    pub(super) fn epoch(self) -> &'static str {
        match self {
            Self::Sqlite => "h.epoch",
            Self::Postgres => {
                "h.epoch || '-' || (SELECT system_identifier FROM pg_control_system()) || '-' \
                 || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
            }
        }
    }

    /// Whether the log and the blind keys are of another epoch than that of the feed, a row of `feed_head` as `h`; 0 for a store that never
    /// said so.
    pub(super) fn is_log_cut(self) -> String {
        format!("CAST(CASE WHEN h.log_epoch <> {} THEN 1 ELSE 0 END AS BIGINT)", self.epoch())
    }

    /// What takes copies of changed pages off the disk that are older than the last change.
    pub(super) fn drop_old_pages(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA wal_checkpoint(TRUNCATE)"),
            // Vacuum and the archive of its log are the operator's.
            Self::Postgres => None,
        }
    }

    /// The place of a statement's n-th value, from 1, where there are thousands of them: SQLite looks `$1` up by name, at a cost
    /// that grows with the square of their number (measured: 30 times slower at 8,500). Everywhere else `$1` serves both.
    pub(super) fn place(self, n: usize) -> Cow<'static, str> {
        match self {
            Self::Sqlite => Cow::Borrowed("?"),
            Self::Postgres => Cow::Owned(format!("${n}")),
        }
    }

    /// Triggers that refuse every statement which would change or remove an entry of the audit log. A user who may drop them may
    /// do anything: only the chain, and an export that is kept elsewhere, help against that.
    fn append_only_audit(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END; \
                 CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
            }
            Self::Postgres => {
                "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$; \
                 CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit \
                 FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();"
            }
        }
    }

    /// The same for the persons that entries are about; and in SQLite, where `INSERT OR REPLACE` removes a row past the trigger for
    /// that, for a row in the place of another.
    fn append_only_subjects(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "CREATE TRIGGER audit_subjects_are_not_changed BEFORE UPDATE ON audit_subjects \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END; \
                 CREATE TRIGGER audit_subjects_are_not_removed BEFORE DELETE ON audit_subjects \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END; \
                 CREATE TRIGGER audit_subjects_are_not_replaced BEFORE INSERT ON audit_subjects WHEN EXISTS \
                 (SELECT 1 FROM audit_subjects WHERE seq = NEW.seq AND subject_tag = NEW.subject_tag) \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END; \
                 CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS \
                 (SELECT 1 FROM audit WHERE seq = NEW.seq) \
                 BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
            }
            Self::Postgres => {
                "CREATE TRIGGER audit_subjects_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_subjects \
                 FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();"
            }
        }
    }

    /// How many tables there are that keep which migrations ran: none before the first start.
    pub(super) fn count_schemas(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT COUNT(*) AS total FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'"
            }
            Self::Postgres => {
                "SELECT COUNT(*) AS total FROM pg_tables \
                 WHERE schemaname = ANY(current_schemas(false)) AND tablename = '_sqlx_migrations'"
            }
        }
    }

    /// The server's own time; the embedded store has none.
    pub(super) fn now_ms(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms"),
        }
    }

    pub(super) fn migrator(self) -> Migrator {
        self.migrator_of(|_| true)
    }

    /// The migrator to a schema of before.
    pub(super) fn migrator_of(self, is_wanted: impl Fn(i64) -> bool) -> Migrator {
        let migrations = migrations::FILES.iter().map(|file| file.migration(|text| self.translate(text)));
        let migrations = migrations.filter(|migration| is_wanted(migration.version)).collect();
        // A newer version's migrations are no reason not to start: they leave what this version needs.
        Migrator { migrations: Cow::Owned(migrations), ignore_missing: true, ..Migrator::DEFAULT }
    }

    fn translate(self, text: &str) -> String {
        let (bytes, sequence_key, no_time_limit) = match self {
            Self::Sqlite => ("BLOB", "INTEGER PRIMARY KEY", "SELECT 1"),
            Self::Postgres => ("BYTEA", "BIGINT PRIMARY KEY", "SET LOCAL statement_timeout = 0"),
        };
        text.replace("BYTES", bytes)
            .replace("SEQUENCE_KEY", sequence_key)
            .replace("AUDIT_IS_APPEND_ONLY;", self.append_only_audit())
            .replace("SUBJECTS_ARE_APPEND_ONLY;", self.append_only_subjects())
            .replace("NO_TIME_LIMIT", no_time_limit)
    }
}

/// Makes the files of an embedded store, or so of those that are there, readable by their owner alone: SQLite gives its journals
/// the mode of the database.
pub(super) fn claim_files(url: &str) -> std::io::Result<()> {
    let Some(path) = file_of(url) else { return Ok(()) };
    let options = url.split_once('?').map_or("", |(_, options)| options);
    own_files::claim_file(&path, options.split('&').any(|option| option == "mode=rwc"))?;
    ["-wal", "-shm"].iter().try_for_each(|end| {
        let mut name = path.clone().into_os_string();
        name.push(end);
        own_files::claim_file(Path::new(&name), false)
    })
}

/// The file of an embedded store; none where it is in memory, or a server's.
pub(super) fn file_of(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return None;
    }
    let codes = ["%23", "%3f", "%25"].iter().zip(["#", "?", "%"]);
    Some(codes.fold(path.to_owned(), |path, (code, character)| path.replace(code, character)).into())
}

/// The embedded store's file in a data folder, and in a back-up.
pub(super) const EMBEDDED_FILE: &str = "lostcard.db";

/// The URL of the embedded store in a data folder.
pub(super) fn embedded_url(data: &Path) -> String {
    made_url(&data.join(EMBEDDED_FILE))
}

/// The URL of an embedded store, which is made if it is not there.
pub(super) fn made_url(path: &Path) -> String {
    format!("{}?mode=rwc", file_url(path))
}

/// The URL of an embedded store, without options.
pub(super) fn file_url(path: &Path) -> String {
    // The URL form needs the few characters that would end a path to be escaped (RFC 3986, 3.3).
    format!("sqlite:{}", path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23"))
}
