//! The connection of a transaction that writes: one of any database, or PostgreSQL's own, which alone takes rows by COPY. Every
//! statement goes by either in the same words, so that an import takes the same ways as a report.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow};
use sqlx::{Any, AssertSqlSafe, Connection, Either, Execute, Executor, Postgres, SqlStr, Transaction};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::StoreError;
use super::reach::Reach;
use super::schema::Dialect;

/// How long a new connection may take: nobody but who imports waits for it.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Dropped, its transaction is rolled back.
#[derive(Debug)]
pub(super) enum WritingConnection {
    Any(Transaction<'static, Any>),
    /// One that nobody else uses: closed unless its transaction came to its end.
    Postgres {
        connection: Box<PgConnection>,
        kept: Kept,
    },
}

/// The connection for COPY between two transactions.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Option<Box<PgConnection>>>>);

impl Kept {
    /// A transaction on PostgreSQL's own connection.
    pub(super) async fn begin(&self, reach: &Reach, dialect: Dialect) -> Result<WritingConnection, StoreError> {
        // Where there are several servers, each transaction looks for the primary.
        let before = self.0.lock().await.take().filter(|_| reach.hosts().is_none());
        if let Some(mut connection) = before
            && matches!(timeout(CONNECT_MAX, (&mut *connection).execute(dialect.begin_write())).await, Ok(Ok(_)))
        {
            return Ok(WritingConnection::Postgres { connection, kept: self.clone() });
        }
        match timeout(CONNECT_MAX, connect(reach, dialect)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => Ok(WritingConnection::Postgres { connection, kept: self.clone() }),
            Err(error) => Err(reach.why(error).await),
        }
    }

    /// For the next transaction.
    pub(super) async fn keep(&self, connection: Box<PgConnection>) {
        self.0.lock().await.replace(connection);
    }

    pub(super) async fn close(&self) {
        if let Some(connection) = self.0.lock().await.take() {
            let _ = connection.close().await;
        }
    }
}

async fn connect(reach: &Reach, dialect: Dialect) -> sqlx::Result<Box<PgConnection>> {
    let mut connection = Box::new(PgConnection::connect(reach.url().expose()).await?);
    (&mut *connection).execute(AssertSqlSafe(dialect.connection_settings(1))).await?;
    if let Some(hosts) = reach.hosts() {
        hosts.accept_own(&mut connection).await?;
    }
    (&mut *connection).execute(dialect.begin_write()).await?;
    Ok(connection)
}

impl WritingConnection {
    /// PostgreSQL's own, where it is that.
    pub(super) fn own(&mut self) -> Option<&mut PgConnection> {
        match self {
            Self::Any(_) => None,
            Self::Postgres { connection, .. } => Some(connection),
        }
    }
}

impl<'c> Executor<'c> for &'c mut WritingConnection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let connection = match self {
            WritingConnection::Any(tx) => return (&mut **tx).fetch_many(query),
            WritingConnection::Postgres { connection, .. } => &mut **connection,
        };
        let done = match translated(query) {
            Err(error) => return stream::once(future::ready(Err(error))).boxed(),
            Ok((text, None, _)) => connection.fetch_many(text),
            Ok((text, Some(values), is_kept)) => {
                connection.fetch_many(sqlx::query_with::<Postgres, _>(text, values).persistent(is_kept))
            }
        };
        done.map(|done| match done? {
            Either::Left(result) => Ok(Either::Left(result_of(&result))),
            Either::Right(row) => Ok(Either::Right(row_of(&row)?)),
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let connection = match self {
            WritingConnection::Any(tx) => return (&mut **tx).fetch_optional(query),
            WritingConnection::Postgres { connection, .. } => &mut **connection,
        };
        let found = match translated(query) {
            Err(error) => return Box::pin(future::ready(Err(error))),
            Ok((text, None, _)) => connection.fetch_optional(text),
            Ok((text, Some(values), is_kept)) => {
                connection.fetch_optional(sqlx::query_with::<Postgres, _>(text, values).persistent(is_kept))
            }
        };
        Box::pin(async move { found.await?.as_ref().map(row_of).transpose() })
    }

    fn prepare_with<'e>(self, text: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        match self {
            WritingConnection::Any(tx) => (&mut **tx).prepare_with(text, parameters),
            WritingConnection::Postgres { .. } => {
                let error = sqlx::Error::Protocol("statements are prepared when they are run".to_owned());
                Box::pin(future::ready(Err(error)))
            }
        }
    }
}

/// A statement for any database in the terms of PostgreSQL's driver: its text, its values, and whether it is kept prepared.
fn translated<'q>(mut query: impl Execute<'q, Any>) -> sqlx::Result<(SqlStr, Option<PgArguments>, bool)> {
    let values = query.take_arguments().map_err(sqlx::Error::Encode)?;
    let values = values.map(AnyArguments::convert_into).transpose().map_err(sqlx::Error::Encode)?;
    let is_kept = query.persistent();
    Ok((query.sql(), values, is_kept))
}

fn result_of(result: &PgQueryResult) -> AnyQueryResult {
    AnyQueryResult { rows_affected: result.rows_affected(), ..AnyQueryResult::default() }
}

fn row_of(row: &PgRow) -> sqlx::Result<AnyRow> {
    AnyRow::try_from(row)
}
