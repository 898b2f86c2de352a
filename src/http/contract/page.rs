//! Pages: every list takes `cursor` and `limit` and answers `next_cursor` where there is more. A cursor names its list
//! and the entry behind which the page begins; to clients it is a text that they send back.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fields::Fields;
use crate::crypto::signing::{base64url, from_base64url};

/// What is in a cursor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<P> {
    /// The `operationId` of the list: no list takes the cursor of another.
    list: String,
    after: P,
}

/// A list, and what a place in it is: an id or a count of its entries.
#[derive(Debug)]
pub struct List<P> {
    operation_id: &'static str,
    /// Entries of a page for which no limit was asked.
    limit: usize,
    limit_max: usize,
    place: PhantomData<fn() -> P>,
}

/// Entries of the largest page of any list.
pub const LIMIT_MAX: usize = 1000;

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<P> {
    /// The entry that it begins behind; none for the first.
    pub after: Option<P>,
    pub limit: usize,
}

impl<P: Serialize + DeserializeOwned> List<P> {
    pub const fn new(operation_id: &'static str, limit: usize) -> Self {
        Self { operation_id, limit, limit_max: LIMIT_MAX, place: PhantomData }
    }

    /// A list of what an organization keeps: its pages are smaller, as the audit log notes each row.
    pub const fn collection(operation_id: &'static str) -> Self {
        Self { operation_id, limit: 100, limit_max: 500, place: PhantomData }
    }

    /// The page of a query's `cursor` and `limit`, or the problems with them.
    pub fn read(&self, fields: &mut Fields, cursor: Option<&str>, limit: Option<&str>) -> Option<Page<P>> {
        let after = cursor.map(|text| {
            let detail = "a cursor is the next_cursor of a page of this list, as it was given";
            fields.take("/cursor", self.place(text), "malformed_cursor", detail)
        });
        let limit = read_number(fields, "/limit", limit, self.limit as u64, 1..=self.limit_max as u64)?;
        let limit = usize::try_from(limit).ok()?;
        match after {
            None => Some(Page { after: None, limit }),
            Some(after) => after.map(|after| Page { after: Some(after), limit }),
        }
    }

    fn place(&self, cursor: &str) -> Option<P> {
        let token: Token<P> = serde_json::from_slice(&from_base64url(cursor)?).ok()?;
        (token.list == self.operation_id).then_some(token.after)
    }

    /// Takes the entry beyond the page off what was read, which may be one more than its limit; and says where the next one begins.
    pub fn end<T>(&self, page: &Page<P>, entries: &mut Vec<T>, place: impl Fn(&T) -> P) -> Option<String> {
        if entries.len() <= page.limit {
            return None;
        }
        entries.truncate(page.limit);
        self.cursor(place(entries.last()?))
    }

    /// The cursor of the page that begins behind a place.
    pub fn cursor(&self, after: P) -> Option<String> {
        let token = Token { list: self.operation_id.to_owned(), after };
        serde_json::to_vec(&token).ok().map(|json| base64url(&json))
    }
}

/// A whole number of a query; `absent` where it is not there.
pub fn read_number(
    fields: &mut Fields,
    pointer: &'static str,
    text: Option<&str>,
    absent: u64,
    range: RangeInclusive<u64>,
) -> Option<u64> {
    let Some(text) = text else { return Some(absent) };
    // "+1" would parse.
    let is_plain = (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = if is_plain { text.parse().ok() } else { None };
    let detail = format!("a whole number from {} to {}", range.start(), range.end());
    fields.take(pointer, value.filter(|value| range.contains(value)), "out_of_range", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List<u64> = List::new("listThings", 3);

    fn read(cursor: Option<&str>, limit: Option<&str>) -> Option<Page<u64>> {
        let mut fields = Fields::default();
        let page = LIST.read(&mut fields, cursor, limit);
        fields.finish(page).ok()
    }

    #[test]
    fn a_cursor_leads_to_the_next_page_of_its_own_list() {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = read(cursor.as_deref(), None).unwrap();
            let after = page.after.unwrap_or(0);
            let mut entries: Vec<u64> = (after + 1..=7).take(page.limit + 1).collect();
            cursor = LIST.end(&page, &mut entries, |entry| *entry);
            seen.push(entries);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
        let mut entries = vec![1, 2, 3];
        assert_eq!(
            LIST.end(&read(None, None).unwrap(), &mut entries, |entry| *entry),
            None,
            "a full page may be the last"
        );
        let other = List::<u64>::new("listOthers", 1);
        let cursor = other.end(&Page { after: None, limit: 1 }, &mut vec![1, 2], |entry| *entry).unwrap();
        assert_eq!(read(Some(&cursor), None), None);
    }

    #[test]
    fn what_is_no_cursor_and_no_limit_is_refused() {
        for bad in [
            "",
            "x",
            "AAAA",
            "7",
            &base64url(b"{\"list\":\"listThings\"}"),
            &base64url(b"{\"list\":\"listThings\",\"after\":-1}"),
        ] {
            assert_eq!(read(Some(bad), None), None, "{bad}");
        }
        for (limit, expected) in
            [("1", Some(1)), ("1000", Some(1000)), ("0", None), ("1001", None), ("", None), ("+1", None), ("1e1", None)]
        {
            assert_eq!(read(None, Some(limit)).map(|page| page.limit), expected, "{limit}");
        }
    }
}
