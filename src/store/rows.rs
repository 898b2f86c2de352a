//! Statements that insert many rows at a time: while the database works on one, the next is put together. What the rows hold is
//! told by the callers.

use futures_util::future::join;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Arguments, AssertSqlSafe};

use super::StoreError;
use super::copied_rows::{CopiedRows, Value, copy};
use super::schema::Dialect;
use super::writing_connection::WritingConnection;

/// Rows of a full statement: 17 values each stay below the 32,766 that SQLite takes.
const ROWS_MAX: usize = 500;
/// Rows that are worth a COPY, where the connection has it: it takes two answers of the server.
const COPIED_MIN: usize = 32;

/// `INSERT INTO table (columns) VALUES ...`
#[derive(Debug)]
pub(super) struct RowsInsert {
    table: &'static str,
    columns: &'static str,
    /// What follows the values.
    end: &'static str,
}

impl RowsInsert {
    /// `columns` names the values of a row, divided by commas.
    pub(super) const fn new(table: &'static str, columns: &'static str) -> Self {
        Self { table, columns, end: "" }
    }

    /// The same with an end of its own: what becomes of rows that are there already.
    pub(super) const fn ending(table: &'static str, columns: &'static str, end: &'static str) -> Self {
        Self { table, columns, end }
    }

    /// Inserts all rows. `bind` adds the values of one.
    pub(super) async fn execute<T>(
        &self,
        connection: &mut WritingConnection,
        dialect: Dialect,
        rows: &[T],
        mut bind: impl FnMut(&mut Values, &T),
    ) -> Result<(), StoreError> {
        if let Some(connection) = connection.own()
            && rows.len() >= COPIED_MIN
            && self.end.is_empty()
        {
            return copy(connection, (self.table, self.columns), rows, |copied, row| {
                let mut values = Values { copied: Some(copied), ..Values::default() };
                bind(&mut values, row);
                values.copied.unwrap_or_default()
            })
            .await;
        }
        let mut chunks = rows.chunks(ROWS_MAX);
        let mut next = chunks.next().map(|chunk| self.query(dialect, chunk, &mut bind)).transpose()?;
        while let Some(query) = next {
            let put_together = async { chunks.next().map(|chunk| self.query(dialect, chunk, &mut bind)).transpose() };
            let (done, following) = join(query.execute(&mut *connection), put_together).await;
            done?;
            next = following?;
        }
        Ok(())
    }

    /// Inserts rows and gives what its end returns of them.
    pub(super) async fn fetch<T>(
        &self,
        connection: &mut WritingConnection,
        dialect: Dialect,
        rows: &[T],
        mut bind: impl FnMut(&mut Values, &T),
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut returned = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(ROWS_MAX) {
            returned.extend(self.query(dialect, chunk, &mut bind)?.fetch_all(&mut *connection).await?);
        }
        Ok(returned)
    }

    fn query<T>(
        &self,
        dialect: Dialect,
        rows: &[T],
        bind: &mut impl FnMut(&mut Values, &T),
    ) -> Result<Query<'static, Any, AnyArguments>, StoreError> {
        let mut values = Values::default();
        values.arguments.reserve(rows.len() * self.columns.split(',').count(), 0);
        for row in rows {
            bind(&mut values, row);
        }
        values.query(self.text(dialect, rows.len()))
    }

    /// The same text for the same number of rows, so that the database prepares a full statement once.
    fn text(&self, dialect: Dialect, rows: usize) -> String {
        let width = self.columns.split(',').count();
        let row = |at: usize| {
            let places: Vec<_> = (1..=width).map(|place| dialect.place(at * width + place)).collect();
            format!("({})", places.join(","))
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        format!("INSERT INTO {} ({}) VALUES {}{}", self.table, self.columns, rows.join(","), self.end)
    }
}

/// The values of a statement.
#[derive(Default)]
pub(super) struct Values {
    arguments: AnyArguments,
    failed: Option<sqlx::error::BoxDynError>,
    /// Where they go by COPY, and so far only there.
    copied: Option<CopiedRows>,
}

impl Values {
    /// Adds a value.
    pub(super) fn push<'t>(&mut self, value: impl Value<'t>) -> &mut Self {
        if let Some(copied) = &mut self.copied {
            value.copy(copied);
        } else if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
        self
    }

    /// The statement with these values.
    pub(super) fn query(self, text: String) -> Result<Query<'static, Any, AnyArguments>, StoreError> {
        match self.failed {
            None => Ok(sqlx::query_with(AssertSqlSafe(text), self.arguments)),
            Some(error) => Err(sqlx::Error::Encode(error).into()),
        }
    }
}
