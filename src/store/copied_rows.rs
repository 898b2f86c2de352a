//! Rows as PostgreSQL's COPY takes them in its binary form ("COPY", Binary Format): no text is made of them, and none is read. Columns
//! are those of our schema: whole numbers of 64 bits, text, bytes.

use std::fmt;

use sqlx::postgres::PgConnection;
use sqlx::{Any, Encode, Type};

use super::StoreError;
use crate::domain::instant::UnixMs;

/// Signature, flags, length of the extension.
const BEGIN: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// What is sent together.
const PIECE_BYTES: usize = 128 * 1024;

/// A value that statements and COPY take.
pub(super) trait Value<'t>: Encode<'t, Any> + Type<Any> {
    /// Adds it to a row.
    fn copy(&self, row: &mut CopiedRows);
}

/// Rows on their way.
#[derive(Default)]
pub(super) struct CopiedRows {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl fmt::Debug for CopiedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopiedRows").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl CopiedRows {
    fn begin_row(&mut self, width: u16) {
        self.bytes.extend_from_slice(&width.to_be_bytes());
    }

    fn push(&mut self, value: &[u8]) {
        let Ok(length) = i32::try_from(value.len()) else {
            self.is_too_long = true;
            return;
        };
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    fn push_null(&mut self) {
        self.bytes.extend_from_slice(&NULL);
    }
}

/// Copies rows into columns of a table; `push_all` adds the values of one. While the server stores what it got, the next is put
/// together. Who gives up on the way leaves a COPY that the server gives up too.
pub(super) async fn copy<T>(
    connection: &mut PgConnection,
    (table, columns): (&str, &str),
    rows: &[T],
    mut push_all: impl FnMut(CopiedRows, &T) -> CopiedRows,
) -> Result<(), StoreError> {
    let width = columns.split(',').count();
    let width = u16::try_from(width).map_err(|_| StoreError::Misused("a table has too many columns"))?;
    let text = format!("COPY {table} ({columns}) FROM STDIN WITH (FORMAT binary)");
    let mut copying = connection.copy_in_raw(&text).await?;
    let mut copied = CopiedRows { bytes: BEGIN.to_vec(), is_too_long: false };
    for row in rows {
        copied.begin_row(width);
        copied = push_all(copied, row);
        if copied.is_too_long {
            copying.abort("a value is too long").await?;
            return Err(StoreError::Misused("a value is too long"));
        }
        if copied.bytes.len() >= PIECE_BYTES {
            copying.send(copied.bytes.as_slice()).await?;
            copied.bytes.clear();
        }
    }
    copied.bytes.extend_from_slice(&END);
    copying.send(copied.bytes.as_slice()).await?;
    match copying.finish().await? {
        stored if stored == rows.len() as u64 => Ok(()),
        _ => Err(StoreError::Misused("rows were lost on their way")),
    }
}

impl Value<'_> for i64 {
    fn copy(&self, row: &mut CopiedRows) {
        row.push(&self.to_be_bytes());
    }
}

impl Value<'_> for UnixMs {
    fn copy(&self, row: &mut CopiedRows) {
        row.push(&self.get().to_be_bytes());
    }
}

impl<'t> Value<'t> for &'t str {
    fn copy(&self, row: &mut CopiedRows) {
        row.push(self.as_bytes());
    }
}

impl Value<'_> for String {
    fn copy(&self, row: &mut CopiedRows) {
        row.push(self.as_bytes());
    }
}

impl<'t> Value<'t> for &'t [u8] {
    fn copy(&self, row: &mut CopiedRows) {
        row.push(self);
    }
}

impl Value<'_> for Vec<u8> {
    fn copy(&self, row: &mut CopiedRows) {
        row.push(self);
    }
}

impl<'t, T: Value<'t> + 't> Value<'t> for Option<T> {
    fn copy(&self, row: &mut CopiedRows) {
        match self {
            Some(value) => value.copy(row),
            None => row.push_null(),
        }
    }
}
