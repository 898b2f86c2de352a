//! Every row about one person, of every table that is described, for the operator who answers a request to see them. What a column
//! means is its description's; what is told about it is decided in `service::person_export`.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Column, Row, ValueRef};

use super::aggregate::{Aggregate, Number};
use super::reports::places;
use super::{Store, StoreError, aggregates};
use crate::crypto::digest::LookupKey;

/// A value as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The columns of a row that are not null, by name.
pub type ExportedRow = Vec<(String, Value)>;

/// The rows of a table that are about the person.
#[derive(Debug)]
pub struct ExportedTable {
    pub of: &'static Aggregate,
    pub rows: Vec<ExportedRow>,
}

impl Store {
    /// Every row under these keys, and every row that names one of them, all of one moment; tables without such a row are left out.
    pub async fn export_person(&self, keys: &[LookupKey]) -> Result<Vec<ExportedTable>, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let mut tables = Vec::new();
        for of in aggregates::ALL {
            let Some(condition) = condition(of, keys.len()) else { continue };
            let text = format!("SELECT * FROM {} WHERE {condition} ORDER BY {}", of.table, of.id);
            let mut query = sqlx::query(AssertSqlSafe(text));
            for key in keys {
                query = query.bind(key.as_bytes().as_slice());
            }
            let found = query.fetch_all(&mut *tx).await?;
            let rows = found.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
            if !rows.is_empty() {
                tables.push(ExportedTable { of, rows });
            }
        }
        tx.rollback().await?;
        Ok(tables)
    }
}

/// Which rows of a table are the person's, by so many keys: under the number itself, or of a record that is. None: nothing there is
/// about one person.
fn condition(of: &Aggregate, keys: usize) -> Option<String> {
    let keyed = format!("lookup_key IN ({})", places(1, keys));
    if of.number != Number::None {
        return Some(keyed);
    }
    let holders =
        |table: &str| aggregates::ALL.into_iter().find(|other| other.table == table && other.number != Number::None);
    let named = of.references.iter().filter_map(|reference| {
        let of_person: Vec<_> = reference.of.iter().filter_map(|table| holders(table)).collect();
        let select = |holder: &&Aggregate| format!("SELECT {} FROM {} WHERE {keyed}", holder.id, holder.table);
        let selects: Vec<_> = of_person.iter().map(select).collect();
        (!selects.is_empty()).then(|| format!("{} IN ({})", reference.column, selects.join(" UNION ALL ")))
    });
    let named: Vec<_> = named.collect();
    (!named.is_empty()).then(|| named.join(" OR "))
}

fn read_row(row: &AnyRow) -> Result<ExportedRow, StoreError> {
    let mut values = Vec::new();
    for column in row.columns() {
        let name = column.name();
        if row.try_get_raw(name)?.is_null() {
            continue;
        }
        let number = || row.try_get::<i64, _>(name).map(Value::Number);
        let text = || row.try_get::<String, _>(name).map(Value::Text);
        let bytes = || row.try_get::<Vec<u8>, _>(name).map(Value::Bytes);
        values.push((name.to_owned(), number().or_else(|_| text()).or_else(|_| bytes())?));
    }
    Ok(values)
}
