//! The rows of a list whatever its form, with all cells that they have. Unlike the files of `import`, a list has columns of any
//! content: a cell of CSV may go over several lines (RFC 4180, 2.6), as remarks do.

use std::collections::VecDeque;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::cli::exits::refused;
use crate::cli::import::cells::take_cell;
use crate::cli::import::csv_form::is_blank;
use crate::cli::import::header::Header;
use crate::cli::import::input::{Format, Input};
use crate::cli::import::lines::{LINE_BYTES_MAX, LineError, Lines};
use crate::cli::import::row::{Cell, FORMULA, is_nothing};
use crate::cli::import::xlsx_form::SheetRows;

/// How many lines one row may take.
const ROW_LINES_MAX: usize = 64;

/// What a cell was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A number of JSON or of a spreadsheet.
    Number,
    Other,
    /// What the cell shows is not in it: a formula that was never calculated, or a cell that is merged with a row above.
    Formula,
    Merged,
}

/// A row as it is in the list. Its cells name persons: no `Debug`.
#[derive(Default)]
pub(super) struct Row {
    /// The line of the file, or the row of the sheet, from 1.
    pub(super) line: u64,
    pub(super) cells: Vec<(Kind, String)>,
    /// Why it cannot be read: a code and a sentence.
    pub(super) wrong: Option<(&'static str, &'static str)>,
}

/// Reads rows.
pub(super) enum Rows {
    Csv(CsvRows),
    Ndjson { lines: Lines, names: Vec<String> },
    Xlsx(SheetRows),
}

/// A list at its beginning.
pub(super) struct List {
    pub(super) names: Vec<String>,
    pub(super) separator: u8,
    pub(super) rows: Rows,
}

impl List {
    pub(super) fn open(input: &Input) -> anyhow::Result<Self> {
        let (names, separator, rows) = if let Some(sheet) = input.sheet() {
            let mut rows = sheet.rows();
            let mut has_formula = false;
            let names = rows.next_shown().map(|cells| {
                let name = |(cell, shown): (Cell<'_>, &str)| {
                    has_formula |= matches!(cell, Cell::Formula);
                    shown.to_owned()
                };
                cells.map(name).collect()
            });
            let Some(names) = names else { return Err(no_rows()) };
            if has_formula {
                return Err(refused(format!("the header: {}", FORMULA.1)));
            }
            (names, b',', Rows::Xlsx(rows))
        } else if input.format == Format::Ndjson {
            let names = member_names(input.lines()?)?;
            (names.clone(), b',', Rows::Ndjson { lines: input.lines()?, names })
        } else {
            let (names, rows) = CsvRows::begin(input.lines()?)?;
            (names, rows.separator, Rows::Csv(rows))
        };
        Ok(Self { names, separator, rows })
    }
}

impl Rows {
    /// The next row that has anything in it; none at the end.
    /// `has_guest` knows the cells of a row with a number: no such line is a part of another row.
    pub(super) fn next(&mut self, columns: usize, has_guest: impl Fn(&[&str]) -> bool) -> anyhow::Result<Option<Row>> {
        match self {
            Self::Csv(rows) => rows.next(columns, has_guest),
            Self::Ndjson { lines, names } => loop {
                let row = match lines.next()? {
                    None => return Ok(None),
                    Some(Ok(line)) if line.trim().is_empty() => continue,
                    Some(Ok(line)) => object(line, names),
                    Some(Err(error)) => unreadable(error),
                };
                return Ok(Some(Row { line: lines.number(), ..row }));
            },
            Self::Xlsx(rows) => loop {
                let Some(cells) = rows.next_shown() else { return Ok(None) };
                let cells: Vec<_> = cells.map(|(cell, shown)| (kind_of(&cell), shown.to_owned())).collect();
                if cells.iter().all(|(kind, shown)| *kind != Kind::Formula && is_nothing(shown)) {
                    continue;
                }
                let mut row = Row { line: rows.number(), cells, wrong: None };
                row.drop_empty_cells(columns);
                return Ok(Some(row));
            },
        }
    }
}

impl Row {
    /// Beyond the header a spreadsheet leaves separators, and a blank now and then.
    fn drop_empty_cells(&mut self, columns: usize) {
        while self.cells.len() > columns && self.cells.last().is_some_and(|(_, shown)| is_nothing(shown)) {
            self.cells.pop();
        }
    }
}

fn kind_of(cell: &Cell<'_>) -> Kind {
    match cell {
        Cell::Absent | Cell::Text(_) => Kind::Text,
        Cell::Number => Kind::Number,
        Cell::OtherType => Kind::Other,
        Cell::Formula => Kind::Formula,
        Cell::Merged => Kind::Merged,
    }
}

pub(super) fn no_rows() -> anyhow::Error {
    refused("the file has no rows")
}

fn unreadable(error: LineError) -> Row {
    Row { wrong: Some((error.code(), error.detail())), ..Row::default() }
}

/// Rows of CSV. A line may have been looked at before its turn.
pub(super) struct CsvRows {
    lines: Lines,
    ahead: VecDeque<Line>,
    separator: u8,
    /// Where the last column with a name ends: a row need not go further.
    named: usize,
}

struct Line {
    number: u64,
    text: Result<String, LineError>,
}

impl CsvRows {
    /// Reads the header, and what may stand before it.
    fn begin(lines: Lines) -> anyhow::Result<(Vec<String>, Self)> {
        let mut rows = Self { lines, ahead: VecDeque::new(), separator: b',', named: 0 };
        let mut separator = None;
        loop {
            let Some(Line { number, text }) = rows.take()? else { return Err(no_rows()) };
            let text = text.map_err(|error| refused(format!("line {number}: {}", error.detail())))?;
            if separator.is_none() {
                separator = Header::named_separator(&text);
                if separator.is_some() {
                    continue;
                }
            }
            if is_blank(&text, b',') || is_blank(&text, b';') {
                continue;
            }
            rows.separator = separator.unwrap_or_else(|| Header::separator_in(&text));
            let names = rows.cut(Line { number, text: Ok(text) }, |_| true, |_| false)?;
            if names.wrong.is_some() {
                return Err(refused(format!("line {number}: the header cannot be cut into cells: look at its quotes")));
            }
            let names: Vec<String> = names.cells.into_iter().map(|(_, name)| name).collect();
            rows.named = names.iter().rposition(|name| !is_nothing(name)).map_or(0, |last| last + 1);
            return Ok((names, rows));
        }
    }

    fn next(&mut self, columns: usize, has_guest: impl Fn(&[&str]) -> bool) -> anyhow::Result<Option<Row>> {
        while let Some(line) = self.take()? {
            if !line.text.as_ref().is_ok_and(|text| is_blank(text, self.separator)) {
                let named = self.named;
                let fits =
                    |cells: &[String]| cells.len() >= named && cells.iter().skip(columns).all(|cell| is_nothing(cell));
                let mut row = self.cut(line, fits, has_guest)?;
                if row.wrong.is_none() {
                    row.drop_empty_cells(columns);
                }
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn take(&mut self) -> anyhow::Result<Option<Line>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let text = match self.lines.next()? {
            None => return Ok(None),
            Some(text) => text.map(str::to_owned),
        };
        Ok(Some(Line { number: self.lines.number(), text }))
    }

    /// One row, of several lines where a quote is open at the end of the first. If they never make a row, the first line alone is
    /// wrong, and the others have their turn. So it is where a line between has a guest of its own: two stray quotes would hide all
    /// guests between them.
    fn cut(
        &mut self,
        first: Line,
        fits: impl Fn(&[String]) -> bool,
        has_guest: impl Fn(&[&str]) -> bool,
    ) -> anyhow::Result<Row> {
        let line = first.number;
        let text = match first.text {
            Ok(text) => text,
            Err(error) => return Ok(Row { line, ..unreadable(error) }),
        };
        let mut cells = cells_of(&text, self.separator);
        let (mut joined, mut taken) = (text.clone(), Vec::new());
        while cells.is_none() && taken.len() < ROW_LINES_MAX && joined.len() < LINE_BYTES_MAX && has_open_quote(&joined)
        {
            let Some(next) = self.take()? else { break };
            if next.text.as_ref().is_ok_and(|more| self.is_row_of_guest(more, &has_guest)) {
                taken.push(next);
                break;
            }
            if let Ok(more) = &next.text {
                joined.push('\n');
                joined.push_str(more);
                cells = cells_of(&joined, self.separator).filter(|cells| fits(cells));
            }
            let is_text = next.text.is_ok();
            taken.push(next);
            if !is_text {
                break;
            }
        }
        if cells.is_none() {
            taken.into_iter().rev().for_each(|line| self.ahead.push_front(line));
        }
        let text_cells = |cells: Vec<String>| cells.into_iter().map(|cell| (Kind::Text, cell)).collect();
        Ok(match cells {
            Some(cells) if fits(&cells) => Row { line, cells: text_cells(cells), wrong: None },
            Some(cells) => Row { line, cells: text_cells(cells), wrong: Some(WRONG_CELL_COUNT) },
            None => Row { line, cells: text_cells(vec![text]), wrong: Some(MALFORMED_QUOTES) },
        })
    }
}

impl CsvRows {
    /// Whether a line has a guest, whatever is wrong with its quotes.
    fn is_row_of_guest(&self, line: &str, has_guest: impl Fn(&[&str]) -> bool) -> bool {
        let cells: Vec<_> = line.split(char::from(self.separator)).collect();
        cells.len() >= self.named.max(2) && has_guest(&cells)
    }
}

const WRONG_CELL_COUNT: (&str, &str) = ("wrong_cell_count", "a line has as many cells as the header");
const MALFORMED_QUOTES: (&str, &str) =
    ("malformed_quotes", "a cell begins and ends with a quote, and a quote inside is doubled");

fn cells_of(text: &str, separator: u8) -> Option<Vec<String>> {
    let (mut cells, mut rest) = (Vec::new(), Some(text));
    while let Some(text) = rest {
        let (cell, after) = take_cell(text, separator)?;
        cells.push(cell.into_owned());
        rest = after;
    }
    Some(cells)
}

fn has_open_quote(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
}

/// The members of an object in their order, as it has them.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Of<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Of(std::marker::PhantomData))
    }
}

/// The names of all members that the objects of a file have, in the order in which they come.
fn member_names(mut lines: Lines) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    while let Some(line) = lines.next()? {
        let members = line.ok().and_then(|line| serde_json::from_str::<Members<'_>>(line).ok());
        for (name, _) in members.into_iter().flat_map(|members| members.0) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() { Err(no_rows()) } else { Ok(names) }
}

fn object(line: &str, names: &[String]) -> Row {
    let malformed = |detail| Row { wrong: Some(("malformed_json", detail)), ..Row::default() };
    let Ok(Members(members)) = serde_json::from_str(line) else {
        return malformed("the line is not one JSON object");
    };
    let mut cells = vec![(Kind::Text, String::new()); names.len()];
    let mut is_taken = vec![false; names.len()];
    for (name, value) in members {
        let Some(at) = names.iter().position(|known| *known == name) else { continue };
        if std::mem::replace(&mut is_taken[at], true) {
            return malformed("a member of the object is there twice");
        }
        let raw = value.get();
        cells[at] = match raw.as_bytes() {
            [b'"', ..] => (Kind::Text, serde_json::from_str(raw).unwrap_or_default()),
            [b'n', ..] => continue,
            [b'-' | b'0'..=b'9', ..] => (Kind::Number, raw.to_owned()),
            _ => (Kind::Other, raw.to_owned()),
        };
    }
    Row { cells, ..Row::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Vec<(u64, Vec<String>, Option<&'static str>)> {
        let lines = Lines::new(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        let (names, mut rows) = CsvRows::begin(lines).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next(names.len(), |cells| cells[0].starts_with('N')).unwrap() {
            let cells = row.cells.into_iter().map(|(_, cell)| cell).collect();
            all.push((row.line, cells, row.wrong.map(|(code, _)| code)));
        }
        all
    }

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn a_cell_may_go_over_lines_and_a_stray_quote_spoils_its_own_line() {
        let text = "sep=;\n\nid_number;remark\n1;\"two\r\nlines, \"\"so\"\"\"\n\n2;x\n3;\"open\n4;y\n5\n6;a;b\n";
        assert_eq!(
            csv(text),
            [
                (4, cells(&["1", "two\nlines, \"so\""]), None),
                (7, cells(&["2", "x"]), None),
                (8, cells(&["3;\"open"]), Some("malformed_quotes")),
                (9, cells(&["4", "y"]), None),
                (10, cells(&["5"]), Some("wrong_cell_count")),
                (11, cells(&["6", "a", "b"]), Some("wrong_cell_count")),
            ]
        );
    }

    #[test]
    fn stray_quotes_hide_no_guest() {
        let wrong = |line, text: &str| (line, cells(&[text]), Some("malformed_quotes"));
        assert_eq!(
            csv("id_number,remark\nN1,\"VIP\nN2,x\nN3,27\"\n"),
            [wrong(2, "N1,\"VIP"), (3, cells(&["N2", "x"]), None), wrong(4, "N3,27\"")]
        );
        assert_eq!(csv("id_number,remark\nN1,\"VIP\nN2,27\"\n"), [wrong(2, "N1,\"VIP"), wrong(3, "N2,27\"")]);
        // A remark may hold a number alone.
        let companions = "N1,\"with\nN2\nN3\"\n";
        assert_eq!(csv(&format!("id_number,remark\n{companions}")), [(2, cells(&["N1", "with\nN2\nN3"]), None)]);
    }

    #[test]
    fn cells_without_a_name_and_without_a_word_are_none() {
        let text = "id_number,remark,,\n1,a\n2,b,,,,\n3,c,\u{A0},=\"\"\n4,d,e\n5\n,,\n\u{3000},\n=\"\",\"\"\n6,f,,,g\n";
        let found = csv(text);
        assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 10]);
        assert_eq!(found[0], (2, cells(&["1", "a"]), None));
        assert_eq!(found[1], (3, cells(&["2", "b", "", ""]), None));
        assert_eq!(found[3], (5, cells(&["4", "d", "e"]), None), "what stands under no name stays");
        assert_eq!(found[4].2, Some("wrong_cell_count"));
        assert_eq!(found[5].2, Some("wrong_cell_count"));
        assert_eq!(csv("id_number\n1,,\n2\n"), [(2, cells(&["1"]), None), (3, cells(&["2"]), None)]);
    }

    #[test]
    fn objects_keep_all_members_and_their_kinds() {
        let names = cells(&["id_number", "room", "remark"]);
        let row = object(r#"{"remark":{"a":[1]},"room":101,"id_number":"a\"b"}"#, &names);
        let expected = [(Kind::Text, "a\"b"), (Kind::Number, "101"), (Kind::Other, r#"{"a":[1]}"#)];
        assert_eq!(row.cells, expected.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(object(r#"{"id_number":null}"#, &names).cells[0], (Kind::Text, String::new()));
        for line in ["[]", "{", "5", r#"{"room":1,"room":2}"#] {
            assert_eq!(object(line, &names).wrong.unwrap().0, "malformed_json", "{line}");
        }
        let lines = Lines::new(Box::new(std::io::Cursor::new(b"{\"b\":1}\nx\n{\"a\":1,\"b\":2}".to_vec())));
        assert_eq!(member_names(lines).unwrap(), ["b", "a"]);
    }
}
