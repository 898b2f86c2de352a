//! CSV (RFC 4180), divided by what the header is divided by: one record a line. Line breaks in cells are not taken (`lines`
//! says why).

use std::borrow::Cow;

use memchr::memchr;

use super::cells::take_cell;
use super::header::Header;
use super::row::{BLANKS, Cell, Row};
use crate::service::fields::Fields;

/// Cuts a line into its cells; none where that cannot be done.
pub(crate) fn cut<'a>(header: &Header, line: &'a str, fields: &mut Fields) -> Option<Row<'a>> {
    let separator = header.separator();
    if memchr(b'"', line.as_bytes()).is_none() {
        return cut_plain(header, line, fields);
    }
    let mut row = Row::default();
    let mut rest = Some(line);
    for column in header.columns() {
        let Some(text) = rest else { return refuse_count(fields) };
        let Some((cell, after)) = take_cell(text, separator) else {
            fields.refuse("", "malformed_quotes", "a cell begins and ends with a quote, and a quote inside is doubled");
            return None;
        };
        if let Some(column) = column {
            row.0[*column as usize] = Cell::Text(cell);
        }
        rest = after;
    }
    if has_more(rest, separator) { refuse_count(fields) } else { Some(row) }
}

/// Whether cells beyond the header hold anything.
fn has_more(rest: Option<&str>, separator: u8) -> bool {
    rest.is_some_and(|rest| !is_blank(rest, separator))
}

/// Most lines have no quote.
fn cut_plain<'a>(header: &Header, line: &'a str, fields: &mut Fields) -> Option<Row<'a>> {
    let mut row = Row::default();
    let mut rest = Some(line);
    for column in header.columns() {
        let Some(text) = rest else { return refuse_count(fields) };
        let (cell, after) = match memchr(header.separator(), text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if let Some(column) = column {
            row.0[*column as usize] = Cell::Text(Cow::Borrowed(cell));
        }
        rest = after;
    }
    if has_more(rest, header.separator()) { refuse_count(fields) } else { Some(row) }
}

/// Whether a line has no more than separators, blanks, and what spreadsheets put around text.
pub(crate) fn is_blank(line: &str, separator: u8) -> bool {
    let is_nothing = |c: char| c == char::from(separator) || matches!(c, '"' | '\'') || BLANKS.contains(&c);
    let mut rest = line.trim_start_matches(is_nothing);
    while let Some(after) = rest.strip_prefix("=\"\"") {
        rest = after.trim_start_matches(is_nothing);
    }
    rest.is_empty()
}

fn refuse_count<T>(fields: &mut Fields) -> Option<T> {
    fields.refuse("", "wrong_cell_count", "a line has as many cells as the header");
    None
}

#[cfg(test)]
mod tests {
    use super::super::row::Column;
    use super::*;

    fn cells(line: &str, separator: char) -> Result<Vec<String>, &'static str> {
        let names = "id_number,reason,reporter,office,channel".replace(',', &separator.to_string());
        let header = Header::read(&names, None, &[]).unwrap();
        let mut fields = Fields::default();
        let row = cut(&header, line, &mut fields).ok_or_else(|| fields.errors[0].code)?;
        let text = |column| match row.cell(column) {
            Cell::Text(text) => text.clone().into_owned(),
            _ => panic!("no text"),
        };
        Ok(Column::REQUIRED.map(text).to_vec())
    }

    #[test]
    fn a_line_is_cut_by_rfc_4180() {
        for (line, expected) in [
            ("a,b,c,d,e", Ok(["a", "b", "c", "d", "e"])),
            (",,,,", Ok(["", "", "", "", ""])),
            (r#""a","","c",d,"e""#, Ok(["a", "", "c", "d", "e"])),
            (r#""a,b","""","x""y",d,e"#, Ok(["a,b", "\"", "x\"y", "d", "e"])),
            (r#"="1",b,="2",d,="3""#, Ok(["=\"1\"", "b", "=\"2\"", "d", "=\"3\""])),
            (r#""=""1""",b,c,d,e"#, Ok(["=\"1\"", "b", "c", "d", "e"])),
            ("a,b", Err("wrong_cell_count")),
            ("a,b,c,d,e,", Ok(["a", "b", "c", "d", "e"])),
            ("a,b,c,d,e, ,\u{3000},", Ok(["a", "b", "c", "d", "e"])),
            (r#""a",b,c,d,e,"",="","#, Ok(["a", "b", "c", "d", "e"])),
            ("a,b,c,d,e,,f", Err("wrong_cell_count")),
            (r#"a,b,c,d,"e",f"#, Err("wrong_cell_count")),
            (r#""a,b,c,d,e"#, Err("malformed_quotes")),
            (r#""a"x,b,c,d,e"#, Err("malformed_quotes")),
            (r#"a"b,b,c,d,e"#, Err("malformed_quotes")),
            (r#"="1"2,b,c,d,e"#, Err("malformed_quotes")),
            (r#"="1,b,c,d,e"#, Err("malformed_quotes")),
        ] {
            let expected = expected.map(|cells| cells.map(str::to_owned).to_vec());
            assert_eq!(cells(line, ','), expected, "{line}");
        }
        for separator in [';', '\t'] {
            let line = r#"a,"b,",="c",d,e"#.replace("\",=", &format!("\"{separator}="));
            let line = line.replacen("a,", &format!("a{separator}"), 1);
            let line = line.replace(",d,e", &format!("{separator}d{separator}e"));
            assert_eq!(cells(&line, separator).unwrap(), ["a", "b,", "=\"c\"", "d", "e"], "{line}");
        }
    }

    #[test]
    fn separators_alone_are_a_blank_row() {
        for line in
            ["", ",,,,", " , ,", "\"\",\"\"", "\t", "\u{A0},\u{3000}", "=\"\",=\"\",", "\"=\"\"\"\"\",\"\"", "',"]
        {
            assert!(is_blank(line, b','), "{line}");
        }
        assert!(!is_blank("=,=", b',') && !is_blank("=\"0\",", b','));
        assert!(is_blank(";;", b';') && !is_blank(",,", b';') && !is_blank(",a", b','));
    }
}
