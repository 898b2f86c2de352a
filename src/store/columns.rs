//! Values of a row's columns, each as the type that it was written from: what does not fit is a row that somebody else wrote.

use sqlx::any::{AnyRow, AnyTypeInfo};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Any, Database, Decode, Encode, Row, Type};
use uuid::Uuid;

use super::error::StoreError;
use crate::domain::ids::Id;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;

pub(super) fn get_id<T: Id>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    let bytes = row.try_get::<&[u8], _>(column)?;
    Ok(T::from_uuid(Uuid::from_slice(bytes).map_err(|_| StoreError::Corrupt(column))?))
}

/// The same for a column that may be null.
pub(super) fn get_id_opt<T: Id>(row: &AnyRow, column: &'static str) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<&[u8]>, _>(column)?.map(|_| get_id(row, column)).transpose()
}

pub(super) fn get_bytes<const N: usize>(row: &AnyRow, column: &'static str) -> Result<[u8; N], StoreError> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(|_| StoreError::Corrupt(column))
}

/// The same for a column that may be null.
pub(super) fn get_bytes_opt<const N: usize>(row: &AnyRow, column: &'static str) -> Result<Option<[u8; N]>, StoreError> {
    row.try_get::<Option<&[u8]>, _>(column)?.map(|_| get_bytes(row, column)).transpose()
}

pub(super) fn get_u64(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

/// A place in the registry's feed.
pub(super) fn get_sequence(row: &AnyRow, column: &'static str) -> Result<Sequence, StoreError> {
    get_u64(row, column).map(Sequence::new)
}

/// An instant as the databases hold it: its milliseconds.
impl Type<Any> for UnixMs {
    fn type_info() -> AnyTypeInfo {
        <i64 as Type<Any>>::type_info()
    }

    fn compatible(info: &AnyTypeInfo) -> bool {
        <i64 as Type<Any>>::compatible(info)
    }
}

impl<'q> Encode<'q, Any> for UnixMs {
    fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'q, Any>>::encode_by_ref(&self.get(), buffer)
    }
}

impl<'r> Decode<'r, Any> for UnixMs {
    fn decode(value: <Any as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'r, Any>>::decode(value).map(Self::new)
    }
}

/// A column that holds a word, a date or a code, by the parser of its type.
pub(super) fn get_parsed<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(row.try_get::<&str, _>(column)?).ok_or(StoreError::Corrupt(column))
}

/// The same for a column that may be null.
pub(super) fn get_parsed_opt<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<&str>, _>(column)?.map(|text| parse(text).ok_or(StoreError::Corrupt(column))).transpose()
}

pub(super) fn parse_date(text: &str) -> Option<jiff::civil::Date> {
    text.parse().ok()
}

/// A sequence or a count as the databases hold it.
pub(super) fn as_i64(number: impl Into<u64>) -> i64 {
    i64::try_from(number.into()).unwrap_or(i64::MAX)
}
