//! XLSX: the first sheet of a workbook, read as cells. Text alone is taken: of a number or a date it is not known what it was
//! before the spreadsheet took it for one. Read once into a compact form, for both passes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use calamine::{DataRef, Reader, Xlsx};

use super::header::Header;
use super::row::{Cell, Row};
use crate::cli::exits::refused;
use crate::own_files;
use crate::service::fields::Fields;

/// What begins a row, a cell, and a cell that is no text. No text of a cell holds them afterwards.
const ROW: char = '\u{1E}';
const CELL: char = '\u{1F}';
const NUMBER: &str = "\u{1}n";
const OTHER: &str = "\u{1}o";

/// A sheet's rows. They hold numbers: no `Debug`.
#[derive(Clone)]
pub(crate) struct Sheet {
    text: Arc<str>,
    /// How many rows have a cell.
    pub(crate) rows: u64,
    /// Whether other sheets of the workbook are left out.
    pub(crate) has_others: bool,
}

impl Sheet {
    /// Reads the first sheet of a workbook.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let file = own_files::open_named(path).with_context(|| path.display().to_string())?;
        // The messages of the library may name what is in the file.
        let unreadable = || refused("the workbook cannot be read: save it again as .xlsx, or its sheet as CSV");
        let mut workbook = Xlsx::new(BufReader::new(file)).map_err(|_| unreadable())?;
        let names = workbook.sheet_names().clone();
        let Some(first) = names.first() else { return Err(unreadable()) };
        let mut cells = workbook.worksheet_cells_reader(first).map_err(|_| unreadable())?;
        let mut text = String::new();
        let (mut row, mut rows, mut column) = (None, 0, 0);
        while let Some(cell) = cells.next_cell().map_err(|_| unreadable())? {
            let (of_row, of_column) = cell.get_position();
            if matches!(cell.get_value(), DataRef::Empty) {
                continue;
            }
            if row != Some(of_row) {
                let _ = write!(text, "{ROW}{}", u64::from(of_row) + 1);
                (row, column) = (Some(of_row), 0);
                rows += 1;
            }
            while column <= of_column {
                text.push(CELL);
                column += 1;
            }
            match cell.get_value() {
                DataRef::String(value) => push_text(&mut text, value),
                DataRef::SharedString(value) => push_text(&mut text, value),
                other => push_other(&mut text, other),
            }
        }
        Ok(Self { text: text.into(), rows, has_others: names.len() > 1 })
    }

    pub(crate) fn rows(&self) -> SheetRows {
        SheetRows { text: Arc::clone(&self.text), at: 0, number: 0 }
    }
}

/// Control characters are wrong in every member: one of ours becomes another.
fn push_text(text: &mut String, value: &str) {
    text.extend(value.chars().map(|c| if matches!(c, ROW | CELL | '\u{1}') { '\u{FFFD}' } else { c }));
}

/// What is no text, with a mark that tells so.
fn push_other(text: &mut String, value: &DataRef<'_>) {
    // Writing to a string does not fail.
    let _ = match value {
        DataRef::Int(number) => write!(text, "{NUMBER}{number}"),
        DataRef::Float(number) => write!(text, "{NUMBER}{number}"),
        DataRef::Bool(value) => write!(text, "{OTHER}{}", if *value { "TRUE" } else { "FALSE" }),
        DataRef::DateTime(at) if at.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            let _ = write!(text, "{OTHER}{year:04}-{month:02}-{day:02}");
            if (hour, minute, second) == (0, 0, 0) {
                Ok(())
            } else {
                write!(text, " {hour:02}:{minute:02}:{second:02}")
            }
        }
        DataRef::DateTime(of) => write!(text, "{OTHER}{}", of.as_f64()),
        DataRef::DateTimeIso(shown) | DataRef::DurationIso(shown) => {
            text.push_str(OTHER);
            push_text(text, shown);
            Ok(())
        }
        DataRef::Error(error) => write!(text, "{OTHER}{error}"),
        DataRef::String(_) | DataRef::SharedString(_) | DataRef::Empty => Ok(()),
    };
}

/// Row after row of a sheet; rows without a cell are not among them.
pub(crate) struct SheetRows {
    text: Arc<str>,
    at: usize,
    number: u64,
}

impl SheetRows {
    /// The number of the last row read, from 1, as the spreadsheet counts.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The cells of the next row; none at the end.
    pub(crate) fn next(&mut self) -> Option<impl Iterator<Item = Cell<'_>>> {
        Some(self.next_shown()?.map(|(cell, _)| cell))
    }

    /// The cells of the next row, each with what the spreadsheet shows, or nearly so.
    pub(crate) fn next_shown(&mut self) -> Option<impl Iterator<Item = (Cell<'_>, &str)>> {
        let rest = self.text[self.at..].strip_prefix(ROW)?;
        let length = rest.find(ROW).unwrap_or(rest.len());
        self.at += ROW.len_utf8() + length;
        let mut parts = rest[..length].split(CELL);
        self.number = parts.next()?.parse().ok()?;
        Some(parts.map(|part| match (part.strip_prefix(NUMBER), part.strip_prefix(OTHER)) {
            (Some(shown), _) => (Cell::Number, shown),
            (_, Some(shown)) => (Cell::OtherType, shown),
            _ if part.is_empty() => (Cell::Absent, part),
            _ => (Cell::Text(Cow::Borrowed(part)), part),
        }))
    }
}

/// Puts cells in their columns; none where a cell is beside them.
pub(crate) fn arrange<'a>(
    header: &Header,
    cells: impl Iterator<Item = Cell<'a>>,
    fields: &mut Fields,
) -> Option<Row<'a>> {
    let mut row = Row::default();
    for (at, cell) in cells.enumerate() {
        match header.columns().get(at) {
            Some(Some(column)) => row.0[*column as usize] = cell,
            Some(None) => {}
            None if cell.is_blank() => {}
            None => {
                fields.refuse("", "wrong_cell_count", "a row has no more cells than the header");
                return None;
            }
        }
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::super::row::Column;
    use super::*;

    fn sheet(text: &str) -> Sheet {
        Sheet { text: text.into(), rows: 0, has_others: false }
    }

    #[test]
    fn rows_keep_their_numbers_and_the_types_of_their_cells() {
        let sheet = sheet("\u{1E}2\u{1F}a\u{1F}\u{1F}\u{1}n\u{1E}5\u{1F}\u{1}o");
        let mut rows = sheet.rows();
        let cells: Vec<_> = rows.next().unwrap().collect();
        assert_eq!(cells, [Cell::Text("a".into()), Cell::Absent, Cell::Number]);
        assert_eq!(rows.number(), 2);
        let cells: Vec<_> = rows.next().unwrap().collect();
        assert_eq!(cells, [Cell::OtherType]);
        assert_eq!(rows.number(), 5);
        assert!(rows.next().is_none());
    }

    #[test]
    fn our_own_marks_do_not_come_from_a_cell() {
        let mut text = String::new();
        push_text(&mut text, "a\u{1E}b\u{1F}\u{1}n");
        assert_eq!(text, "a\u{FFFD}b\u{FFFD}\u{FFFD}n");
    }

    #[test]
    fn a_cell_beside_the_columns_is_refused() {
        let names = ["id_number", "reason", "reporter", "office", "channel"];
        let header = Header::of_names(names.into_iter(), b',', &[]).unwrap();
        let cells = |last| (0..5).map(|_| Cell::Number).chain([Cell::Absent, last]);
        assert!(arrange(&header, cells(Cell::Absent), &mut Fields::default()).is_some());
        let row = arrange(&header, cells(Cell::Absent).take(2), &mut Fields::default()).unwrap();
        assert_eq!((row.cell(Column::Reason), row.cell(Column::Office)), (&Cell::Number, &Cell::Absent));
        let mut fields = Fields::default();
        assert!(arrange(&header, cells(Cell::Number), &mut fields).is_none());
        assert_eq!(fields.errors[0].code, "wrong_cell_count");
    }
}
