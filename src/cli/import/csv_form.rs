//! CSV (RFC 4180): a header that names the columns in any order, then one record a line. Line breaks in cells are not taken
//! (`lines` says why). Nothing of the file's content is repeated in an error: a file without a header begins with a number.

use std::borrow::Cow;

use anyhow::{bail, ensure};

use crate::domain::redacted::{IdNumberText, PhoneText};
use crate::service::fields::Fields;
use crate::service::filing::{ContactText, FilingText};

const COLUMNS: [&str; 10] = [
    "id_number",
    "card_valid_from",
    "card_valid_until",
    "reason",
    "lost_on",
    "reporter",
    "office",
    "channel",
    "reported_at",
    "contact_phone",
];
/// Places in `COLUMNS`.
const NUMBER: usize = 0;
const REPORTED_AT: usize = 8;
const PHONE: usize = 9;
const REQUIRED: [&str; 5] = ["id_number", "reason", "reporter", "office", "channel"];

/// The cell of each column, in the order of `COLUMNS`.
#[derive(Debug)]
pub(super) struct Header {
    places: [Option<usize>; COLUMNS.len()],
    count: usize,
}

impl Header {
    /// Reads the first line.
    pub(super) fn read(line: &str) -> anyhow::Result<Self> {
        let mut header = Self { places: [None; COLUMNS.len()], count: 0 };
        for name in line.split(',') {
            let at = header.count;
            let plain = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
            let Some(column) = COLUMNS.iter().position(|column| *column == plain) else {
                bail!("line 1, column {}: not one of {}", at + 1, COLUMNS.join(", "));
            };
            ensure!(header.places[column].is_none(), "line 1: {plain} is named twice");
            header.places[column] = Some(at);
            header.count += 1;
        }
        for (column, place) in COLUMNS.iter().zip(header.places) {
            ensure!(place.is_some() || !REQUIRED.contains(column), "line 1: there is no column {column}");
        }
        Ok(header)
    }

    /// Cuts a line into its cells.
    pub(super) fn cut<'a>(&self, line: &'a str, fields: &mut Fields) -> Option<Row<'_, 'a>> {
        let mut cells: [Cow<'a, str>; COLUMNS.len()] = Default::default();
        let mut rest = Some(line);
        for cell in cells.iter_mut().take(self.count) {
            let Some(text) = rest else { return refuse_count(fields) };
            let Some((first, after)) = take_cell(text) else {
                fields.refuse(
                    "",
                    "malformed_quotes",
                    "a cell begins and ends with a quote, and a quote inside is doubled",
                );
                return None;
            };
            (*cell, rest) = (first, after);
        }
        if rest.is_some() {
            return refuse_count(fields);
        }
        // Empty where the column or its text is absent.
        let mut take = |column: usize| {
            self.places[column].map(|at| std::mem::take(&mut cells[at]).into_owned()).unwrap_or_default()
        };
        let (id_number, phone) = (take(NUMBER).into(), take(PHONE).into());
        Some(Row { header: self, id_number, phone, cells })
    }
}

fn refuse_count<T>(fields: &mut Fields) -> Option<T> {
    fields.refuse("", "wrong_cell_count", "a line has as many cells as the header");
    None
}

/// The first cell of a text and what follows its comma. None if the quotes are wrong.
fn take_cell(text: &str) -> Option<(Cow<'_, str>, Option<&str>)> {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let (cell, rest) = text.split_once(',').map_or((text, None), |(cell, rest)| (cell, Some(rest)));
        return (!cell.contains('"')).then_some((Cow::Borrowed(cell), rest));
    };
    let mut cell = Cow::Borrowed("");
    loop {
        let (part, after) = quoted.split_once('"')?;
        cell += part;
        if after.is_empty() {
            return Some((cell, None));
        } else if let Some(rest) = after.strip_prefix(',') {
            return Some((cell, Some(rest)));
        }
        // RFC 4180, 2.7: a quote inside is doubled.
        quoted = after.strip_prefix('"')?;
        cell += "\"";
    }
}

/// A line in cells. The text of a wrong cell may be a number: no `Debug`.
pub(super) struct Row<'h, 'a> {
    header: &'h Header,
    id_number: IdNumberText,
    phone: PhoneText,
    /// All others; these two are empty in it.
    cells: [Cow<'a, str>; COLUMNS.len()],
}

impl Row<'_, '_> {
    /// The members of the report. An empty cell is an absent member.
    pub(super) fn text(&self) -> FilingText<'_> {
        let [_, from, until, reason, lost_on, reporter, office, channel, ..] =
            self.header.places.map(|place| place.map(|at| &*self.cells[at]).filter(|cell| !cell.is_empty()));
        FilingText {
            id_number: &self.id_number,
            card_valid_from: from,
            card_valid_until: until,
            reason: reason.unwrap_or_default(),
            lost_on,
            reporter: reporter.unwrap_or_default(),
            office: office.unwrap_or_default(),
            channel: channel.unwrap_or_default(),
            contact: match self.phone.expose() {
                "" => ContactText::Absent,
                _ => ContactText::Phone(&self.phone),
            },
        }
    }

    pub(super) fn reported_at(&self) -> Option<&str> {
        self.header.places[REPORTED_AT].map(|at| &*self.cells[at]).filter(|cell| !cell.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(line: &str, count: usize) -> Result<Vec<String>, &'static str> {
        let header = Header { places: [None; COLUMNS.len()], count };
        let mut fields = Fields::default();
        let row = header.cut(line, &mut fields).ok_or_else(|| fields.errors[0].code)?;
        Ok(row.cells[..count].iter().map(|cell| cell.clone().into_owned()).collect())
    }

    #[test]
    fn a_line_is_cut_by_rfc_4180() {
        for (line, expected) in [
            ("a,b,c", Ok(["a", "b", "c"])),
            (",,", Ok(["", "", ""])),
            (r#""a","","c""#, Ok(["a", "", "c"])),
            (r#""a,b","""","x""y""#, Ok(["a,b", "\"", "x\"y"])),
            ("a,b", Err("wrong_cell_count")),
            ("a,b,c,", Err("wrong_cell_count")),
            ("a,b,c,d", Err("wrong_cell_count")),
            (r#""a,b,c"#, Err("malformed_quotes")),
            (r#""a"x,b,c"#, Err("malformed_quotes")),
            (r#"a"b,b,c"#, Err("malformed_quotes")),
        ] {
            assert_eq!(cells(line, 3), expected.map(|cells| cells.map(str::to_owned).to_vec()), "{line}");
        }
    }

    #[test]
    fn columns_stand_in_any_order() {
        let header = Header::read("channel,office,\"reporter\",reported_at,reason,id_number").unwrap();
        let mut fields = Fields::default();
        let row =
            header.cut("hall,110105-03,holder,2026-11-01T00:00:00Z,lost,11010519491231002X", &mut fields).unwrap();
        let text = row.text();
        assert_eq!(
            [text.id_number.expose(), text.reason, text.reporter, text.office, text.channel],
            ["11010519491231002X", "lost", "holder", "110105-03", "hall"]
        );
        assert_eq!((text.card_valid_from, row.reported_at()), (None, Some("2026-11-01T00:00:00Z")));
    }

    #[test]
    fn a_wrong_header_is_refused_without_repeating_it() {
        for (line, expected) in [
            ("11010519491231002X,lost", "line 1, column 1: not one of"),
            ("id_number,reason,reporter,office", "no column channel"),
            ("id_number,id_number", "id_number is named twice"),
            ("", "line 1, column 1"),
        ] {
            let message = Header::read(line).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains("1101"), "{message}");
        }
    }
}
