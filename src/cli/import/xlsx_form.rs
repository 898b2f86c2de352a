//! XLSX: the first sheet of a workbook that shows, read as cells. Text alone is taken: of a number or a date it is not known what it was
//! before the spreadsheet took it for one, and a cell that shows what is not in it is none that is empty. Read once into a compact
//! form, for both passes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{Read, Seek};
use std::sync::Arc;

use calamine::{DataRef, Dimensions, Reader, SheetType, SheetVisible, Xlsx};

use super::header::Header;
use super::row::{Cell, Row};
use crate::cli::exits::refused;
use crate::service::fields::Fields;

/// What begins a row, a cell, and a cell that is no text. No text of a cell holds them afterwards.
const ROW: char = '\u{1E}';
const CELL: char = '\u{1F}';
const NUMBER: &str = "\u{1}n";
const OTHER: &str = "\u{1}o";
const FORMULA: &str = "\u{1}f";
const MERGED: &str = "\u{1}m";

/// No sheet has more (ECMA-376, 18.3.1.4, and every program that writes them).
const COLUMNS_MAX: u32 = 16_384;
const ROWS_MAX: u32 = 1_048_576;

/// A sheet's rows. They hold numbers: no `Debug`.
#[derive(Clone)]
pub(crate) struct Sheet {
    text: Arc<str>,
    /// How many rows have a cell.
    pub(crate) rows: u64,
    /// Which of the workbook's sheets it is, from 1.
    pub(crate) place: usize,
    /// Whether other sheets of the workbook are left out.
    pub(crate) has_others: bool,
}

impl Sheet {
    /// Reads the first sheet of a workbook that shows.
    pub(crate) fn read(source: impl Read + Seek) -> anyhow::Result<Self> {
        // The messages of the library may name what is in the file.
        let unreadable = || refused("the workbook cannot be read: save it again as .xlsx, or its sheet as CSV");
        let mut workbook = Xlsx::new(source).map_err(|_| unreadable())?;
        let sheets = workbook.sheets_metadata();
        let has_others = sheets.len() > 1;
        let is_seen =
            |sheet: &calamine::Sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible;
        let Some(at) = sheets.iter().position(is_seen) else {
            return Err(refused("the workbook has no sheet of cells that shows"));
        };
        let name = sheets[at].name.clone();
        let merged = workbook.merge_cells_by_sheet_name(&name).map_err(|_| unreadable())?;
        let mut cells = workbook.worksheet_cells_reader(&name).map_err(|_| unreadable())?;
        let mut writer = Writer::new(merged);
        while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(|_| unreadable())? {
            let shown = match (&cell.value, &cell.formula) {
                // Nobody has calculated it: what it shows is not in the file.
                (DataRef::Empty, Some(_)) => None,
                (DataRef::Empty, None) => continue,
                (value, _) => Some(value),
            };
            // Out of order, or beyond every sheet: cells would get into another's place.
            writer.add(cell.pos, shown).ok_or_else(unreadable)?;
        }
        writer.end_row();
        let Writer { text, rows, .. } = writer;
        Ok(Self { text: text.into(), rows, place: at + 1, has_others })
    }

    pub(crate) fn rows(&self) -> SheetRows {
        SheetRows { text: Arc::clone(&self.text), at: 0, number: 0 }
    }
}

/// Writes cells in their order, and marks those that are merged with a row above: the value that they show stands there.
struct Writer {
    text: String,
    rows: u64,
    /// The row that is being written, and its next column.
    at: Option<(u32, u32)>,
    /// How many columns the first row has.
    width: u32,
    /// In the order of their first rows; those before `next` have begun.
    merged: Vec<Dimensions>,
    next: usize,
    /// Those that reach into this row.
    covering: Vec<Dimensions>,
}

impl Writer {
    fn new(mut merged: Vec<Dimensions>) -> Self {
        merged.retain(|area| area.end.0 > area.start.0);
        merged.sort_unstable_by_key(|area| area.start);
        Self { text: String::new(), rows: 0, at: None, width: 0, merged, next: 0, covering: Vec::new() }
    }

    /// The next cell that is not empty; none where it cannot be the next.
    fn add(&mut self, (row, column): (u32, u32), shown: Option<&DataRef<'_>>) -> Option<()> {
        if row >= ROWS_MAX || column >= COLUMNS_MAX || self.at.is_some_and(|at| (row, column) < at) {
            return None;
        }
        if self.at.is_none_or(|(current, _)| current != row) {
            self.begin_row(row);
        }
        self.fill(column);
        self.text.push(CELL);
        self.at = Some((row, column + 1));
        match shown {
            _ if self.is_covered(column) => self.text.push_str(MERGED),
            None => self.text.push_str(FORMULA),
            Some(DataRef::String(value)) => push_text(&mut self.text, value),
            Some(DataRef::SharedString(value)) => push_text(&mut self.text, value),
            Some(other) => push_other(&mut self.text, other),
        }
        Some(())
    }

    fn begin_row(&mut self, row: u32) {
        self.end_row();
        // Writing to a string does not fail.
        let _ = write!(self.text, "{ROW}{}", u64::from(row) + 1);
        self.at = Some((row, 0));
        self.rows += 1;
        while let Some(area) = self.merged.get(self.next).filter(|area| area.start.0 < row) {
            self.covering.push(*area);
            self.next += 1;
        }
        self.covering.retain(|area| area.end.0 >= row);
    }

    /// What is merged behind the last cell of a row shows something too, as far as the first row has columns.
    fn end_row(&mut self) {
        if self.rows == 1 {
            self.width = self.at.map_or(0, |(_, column)| column);
        }
        let last = self.covering.iter().map(|area| area.end.1.saturating_add(1)).max().unwrap_or_default();
        self.fill(last.min(self.width));
    }

    /// Cells that are empty up to a column.
    fn fill(&mut self, until: u32) {
        let Some((row, column)) = self.at else { return };
        for column in column..until {
            self.text.push(CELL);
            if self.is_covered(column) {
                self.text.push_str(MERGED);
            }
        }
        self.at = Some((row, column.max(until)));
    }

    fn is_covered(&self, column: u32) -> bool {
        self.covering.iter().any(|area| (area.start.1..=area.end.1).contains(&column))
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
            _ if part == FORMULA => (Cell::Formula, ""),
            _ if part == MERGED => (Cell::Merged, ""),
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
        Sheet { text: text.into(), rows: 0, place: 1, has_others: false }
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

    /// The cells of all rows, as the writer has them.
    fn written(merged: &[[u32; 4]], cells: &[(u32, u32)]) -> Option<Vec<(u64, String)>> {
        let area =
            |[row, column, to_row, to_column]: &[u32; 4]| Dimensions::new((*row, *column), (*to_row, *to_column));
        let mut writer = Writer::new(merged.iter().map(area).collect());
        for at in cells {
            writer.add(*at, Some(&DataRef::String("x".to_owned())))?;
        }
        writer.end_row();
        let mut rows = sheet(&writer.text).rows();
        let mut all = Vec::new();
        let letter = |cell: Cell<'_>| match cell {
            Cell::Absent => '.',
            Cell::Merged => 'm',
            _ => 'x',
        };
        while let Some(row) = rows.next().map(|cells| cells.map(letter).collect()) {
            all.push((rows.number(), row));
        }
        Some(all)
    }

    #[test]
    fn a_row_under_a_merge_is_marked_as_far_as_there_are_columns() {
        let cells = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (3, 0), (3, 2), (9, 1)];
        let plain = |row, text: &str| (row, text.to_owned());
        assert_eq!(
            written(&[[1, 1, 2, 1], [1, 2, 5, 9], [4, 0, 8, 0], [1, 0, 1, 1]], &cells).unwrap(),
            [plain(1, "xxx"), plain(2, "xx"), plain(3, "xmm"), plain(4, "x.m"), plain(10, ".x")]
        );
        // A value that a covering cell hides is not shown.
        assert_eq!(written(&[[0, 0, 1, 0]], &[(0, 0), (1, 0), (1, 1)]).unwrap()[1], plain(2, "mx"));
    }

    #[test]
    fn cells_that_are_not_in_their_order_or_in_no_sheet_are_refused() {
        for cells in
            [[(0, 1), (0, 0)], [(0, 1), (0, 1)], [(1, 0), (0, 5)], [(0, 0), (0, 16_384)], [(0, 0), (1_048_576, 0)]]
        {
            assert!(written(&[], &cells).is_none(), "{cells:?}");
        }
        assert_eq!(written(&[], &[(0, 16_383), (1_048_575, 0)]).unwrap().len(), 2);
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
