//! Why the store did not do what it was asked, from the driver's errors and the two databases' codes.

use std::fmt;

/// How a server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Nobody listens there.
    Refused,
    /// No way leads there.
    Unreachable,
    /// Somebody listens, and says nothing.
    Hung,
    /// Somebody listens, and hangs up.
    Closed,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the connection was refused",
            Self::Unreachable => "it cannot be reached",
            Self::Hung => "it does not answer",
            Self::Closed => "it closes every connection",
        })
    }
}

/// The store did not do what it was asked. `http` decides what a client learns about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database URL names no supported database: sqlite:PATH or postgres://USER@HOST/NAME")]
    UnknownUrl,
    #[error("there is no store yet")]
    Absent,
    #[error("the database file cannot be kept for its owner alone")]
    Files(#[from] std::io::Error),
    /// Others hold its lock or its connections.
    #[error("the store is busy: others are writing to it, or hold its connections")]
    Busy,
    /// Nobody is there to be busy.
    #[error("the store at {address} is down: {how}")]
    Dead { address: String, how: Silence },
    #[error("the store's disk is full")]
    Full,
    #[error("the store is read-only")]
    ReadOnly,
    #[error("the store cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    #[error("the store did not confirm the commit: it may or may not have happened")]
    OutcomeUnknown(#[source] sqlx::Error),
    #[error("the rows are keyed by another pepper by now")]
    OtherPepper,
    #[error("the store did not confirm the commit in time: it may or may not happen")]
    CommitUnanswered,
    #[error("the disk failed to confirm a write: until this node is restarted it stores nothing more")]
    Unsound,
    #[error("a row does not hold what was written: {0}")]
    Corrupt(&'static str),
    /// A fault of this program: nothing was committed.
    #[error("the store was used in a way that would lose a change: {0}")]
    Misused(&'static str),
    #[error("the store's runtime has stopped")]
    Stopped,
    #[error("the schema cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// The same for another one who met it in the same transaction.
    #[must_use]
    pub fn again(&self) -> Self {
        let told = |error: &sqlx::Error| sqlx::Error::Protocol(error.to_string());
        match self {
            Self::Busy => Self::Busy,
            Self::Dead { address, how } => Self::Dead { address: address.clone(), how: *how },
            Self::Full => Self::Full,
            Self::ReadOnly => Self::ReadOnly,
            Self::OutcomeUnknown(error) => Self::OutcomeUnknown(told(error)),
            Self::OtherPepper => Self::OtherPepper,
            Self::CommitUnanswered => Self::CommitUnanswered,
            Self::Unsound => Self::Unsound,
            Self::Corrupt(what) => Self::Corrupt(what),
            Self::Misused(what) => Self::Misused(what),
            Self::Stopped => Self::Stopped,
            Self::Unavailable(error) => Self::Unavailable(told(error)),
            Self::UnknownUrl | Self::Absent | Self::Files(_) | Self::Migration(_) => {
                Self::Unavailable(sqlx::Error::Protocol(self.to_string()))
            }
        }
    }

    /// Whether the same once more may well be done: nothing is wrong with what was asked.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Dead { .. } | Self::OutcomeUnknown(_) | Self::CommitUnanswered)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        classify(error)
    }
}

/// What a failure of the driver means to a caller.
fn classify(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::Database(database) => match database.code().as_deref() {
            // PostgreSQL, appendix A: lock not available, query cancelled, deadlock, serialization, too many connections.
            Some("55P03" | "57014" | "40P01" | "40001" | "53300") => StoreError::Busy,
            Some("25006") => StoreError::ReadOnly,
            Some("53100") => StoreError::Full,
            // SQLite's primary result code is the low byte of the extended one, of at most four digits (sqlite.org/rescode.html).
            Some(code) if code.len() < 5 => match code.parse::<u32>().map(|code| code & 0xff) {
                Ok(5 | 6) => StoreError::Busy,
                Ok(8) => StoreError::ReadOnly,
                Ok(13) => StoreError::Full,
                _ => StoreError::Unavailable(error),
            },
            _ => StoreError::Unavailable(error),
        },
        _ => StoreError::Unavailable(error),
    }
}

/// Whether the disk refused to confirm what was written (SQLite's extended codes `SQLITE_IOERR_FSYNC` and `_DIR_FSYNC`).
/// PostgreSQL ends all its processes by itself when that happens, and reads its log again.
pub(super) fn is_failed_flush(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("1034" | "1290"))
}
