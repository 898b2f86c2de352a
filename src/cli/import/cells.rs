//! One cell of CSV after another (RFC 4180), as rows and headers have them.

use std::borrow::Cow;

use memchr::memchr;

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
