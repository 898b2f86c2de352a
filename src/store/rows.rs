//! Statements that insert many rows at a time: while the database works on one, the next is put together. What the rows hold is
//! told by the callers.

use std::sync::{Arc, OnceLock};

use futures_util::future::join;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Arguments, AssertSqlSafe};

use super::StoreError;

/// Rows of a full statement: 17 values each stay below the 32,766 that SQLite takes.
const ROWS_MAX: usize = 500;

/// `INSERT INTO table (columns) VALUES ...`
#[derive(Debug)]
pub(super) struct RowsInsert {
    table: &'static str,
    columns: &'static str,
    /// The text of a full statement: the same every time, so that the database prepares it once.
    full: OnceLock<Arc<str>>,
}

impl RowsInsert {
    /// `columns` names the values of a row, divided by commas.
    pub(super) const fn new(table: &'static str, columns: &'static str) -> Self {
        Self { table, columns, full: OnceLock::new() }
    }

    /// Inserts all rows. `bind` adds the values of one.
    pub(super) async fn execute<T>(
        &self,
        connection: &mut AnyConnection,
        rows: &[T],
        mut bind: impl FnMut(&mut Values, &T),
    ) -> Result<(), StoreError> {
        let mut chunks = rows.chunks(ROWS_MAX);
        let mut next = chunks.next().map(|chunk| self.query(chunk, &mut bind)).transpose()?;
        while let Some(query) = next {
            let put_together = async { chunks.next().map(|chunk| self.query(chunk, &mut bind)).transpose() };
            let (done, following) = join(query.execute(&mut *connection), put_together).await;
            done?;
            next = following?;
        }
        Ok(())
    }

    fn query<T>(
        &self,
        rows: &[T],
        bind: &mut impl FnMut(&mut Values, &T),
    ) -> Result<Query<'static, Any, AnyArguments>, StoreError> {
        let text = if rows.len() == ROWS_MAX {
            Arc::clone(self.full.get_or_init(|| self.text(ROWS_MAX)))
        } else {
            self.text(rows.len())
        };
        let mut values = Values::default();
        values.arguments.reserve(rows.len() * self.columns.split(',').count(), 0);
        for row in rows {
            bind(&mut values, row);
        }
        match values.failed {
            None => Ok(sqlx::query_with(AssertSqlSafe(text), values.arguments)),
            Some(error) => Err(sqlx::Error::Encode(error).into()),
        }
    }

    fn text(&self, rows: usize) -> Arc<str> {
        // Unnamed places: SQLite looks `$1` up by name, at a cost that grows with the square of their number (measured: 30 times
        // slower at 8,500).
        let row = format!("({})", vec!["?"; self.columns.split(',').count()].join(","));
        let rows = vec![row; rows].join(",");
        format!("INSERT INTO {} ({}) VALUES {rows}", self.table, self.columns).into()
    }
}

/// The values of a statement.
#[derive(Default)]
pub(super) struct Values {
    arguments: AnyArguments,
    failed: Option<sqlx::error::BoxDynError>,
}

impl Values {
    /// Adds a value.
    pub(super) fn push<'t>(&mut self, value: impl sqlx::Encode<'t, Any> + sqlx::Type<Any>) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
        self
    }
}
