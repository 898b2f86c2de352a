//! CSV (RFC 4180), divided by what the header is divided by: one record a line. Line breaks in cells are not taken (`lines`
//! says why).

use std::borrow::Cow;

use memchr::memchr;

use super::header::Header;
use super::row::{Cell, Row};
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
    if rest.is_some() { refuse_count(fields) } else { Some(row) }
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
    if rest.is_some() { refuse_count(fields) } else { Some(row) }
}

/// Whether a line has no more than separators and blanks.
pub(crate) fn is_blank(line: &str, separator: u8) -> bool {
    line.bytes().all(|byte| byte == separator || matches!(byte, b' ' | b'\t' | b'"'))
}

fn refuse_count<T>(fields: &mut Fields) -> Option<T> {
    fields.refuse("", "wrong_cell_count", "a line has as many cells as the header");
    None
}

/// The first cell of a text and what follows its separator. None if the quotes are wrong.
pub(crate) fn take_cell(text: &str, separator: u8) -> Option<(Cow<'_, str>, Option<&str>)> {
    // `="..."` is how spreadsheets keep text as text: the quotes are not those of RFC 4180.
    if let Some(formula) = text.strip_prefix("=\"") {
        let end = memchr(b'"', formula.as_bytes())? + 3;
        return match text.as_bytes().get(end) {
            None => Some((Cow::Borrowed(text), None)),
            Some(byte) if *byte == separator => Some((Cow::Borrowed(&text[..end]), Some(&text[end + 1..]))),
            Some(_) => None,
        };
    }
    let Some(mut quoted) = text.strip_prefix('"') else {
        let (cell, rest) = match memchr(separator, text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        return (!cell.contains('"')).then_some((Cow::Borrowed(cell), rest));
    };
    let mut cell = Cow::Borrowed("");
    loop {
        let (part, after) = quoted.split_once('"')?;
        cell += part;
        match after.as_bytes().first() {
            None => return Some((cell, None)),
            Some(byte) if *byte == separator => return Some((cell, Some(&after[1..]))),
            // RFC 4180, 2.7: a quote inside is doubled.
            Some(_) => quoted = after.strip_prefix('"')?,
        }
        cell += "\"";
    }
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
            ("a,b,c,d,e,", Err("wrong_cell_count")),
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
        for line in ["", ",,,,", " , ,", "\"\",\"\"", "\t"] {
            assert!(is_blank(line, b','), "{line}");
        }
        assert!(is_blank(";;", b';') && !is_blank(",,", b';') && !is_blank(",a", b','));
    }
}
