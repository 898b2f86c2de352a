//! From untrusted members of a body or a file to domain types: every wrong member is noted, with its pointer, none is repeated.
//! Knows no status code.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::crypto::digest::IdDigest;
use crate::domain::card::{check_shown_start, check_start};
use crate::domain::id_number::IdNumberError;
use crate::domain::ids::Id;
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Neighbourhood;
use crate::domain::redacted::{DigestText, IdNumberText};
use crate::domain::report::{Label, OfficeCode};

/// A member with a wrong value. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongMember {
    /// JSON Pointer (RFC 6901) to the member.
    pub pointer: &'static str,
    /// What is wrong, as a word.
    pub code: &'static str,
    /// What is wrong, as a sentence.
    pub detail: Cow<'static, str>,
}

impl From<IdNumberError> for WrongMember {
    fn from(error: IdNumberError) -> Self {
        Self { pointer: "/id_number", code: error.code(), detail: error.to_string().into() }
    }
}

/// Collects what is wrong with the members of one object.
#[derive(Debug, Default)]
pub struct Fields {
    pub errors: Vec<WrongMember>,
    /// A number had a wrong check character: counted against its sender.
    pub guessed: bool,
}

impl Fields {
    /// Notes an error.
    pub fn refuse(&mut self, pointer: &'static str, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.errors.push(WrongMember { pointer, code, detail: detail.into() });
    }

    /// A value or its refusal.
    pub fn take<T>(
        &mut self,
        pointer: &'static str,
        value: Option<T>,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Option<T> {
        if value.is_none() {
            self.refuse(pointer, code, detail);
        }
        value
    }

    /// A date as `YYYY-MM-DD`, ASCII digits only.
    pub fn date(&mut self, pointer: &'static str, text: Option<&str>) -> Option<Date> {
        let text = text?;
        let shape = text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
        let date = if shape { text.parse().ok() } else { None };
        self.take(pointer, date, "malformed_date", "a date is written YYYY-MM-DD and must exist in the calendar")
    }

    /// The start of validity of a card that was made, or is being made.
    pub fn start(&mut self, text: Option<&str>, today: Date) -> Option<Date> {
        let start = self.date("/card_valid_from", text)?;
        check_start(start, today)
            .map_err(|error| self.refuse(error.pointer(), error.code(), error.to_string()))
            .ok()?;
        Some(start)
    }

    /// The start of validity of a card that somebody shows.
    pub fn shown_start(&mut self, text: Option<&str>, today: Date) -> Option<Date> {
        let start = self.date("/card_valid_from", text)?;
        check_shown_start(start, today)
            .map_err(|error| self.refuse(error.pointer(), error.code(), error.to_string()))
            .ok()?;
        Some(start)
    }

    /// An instant as RFC 3339 (5.6) writes it, in milliseconds since the Unix epoch.
    pub fn instant(&mut self, pointer: &'static str, text: Option<&str>) -> Option<UnixMs> {
        let text = text?;
        // jiff reads more forms than RFC 3339 has.
        let instant = if is_rfc_3339(text) { text.to_ascii_uppercase().parse::<Timestamp>().ok() } else { None };
        let detail = "an instant is written as in RFC 3339: 2026-11-01T08:30:00Z";
        self.take(pointer, instant.map(|instant| UnixMs::new(instant.as_millisecond())), "malformed_instant", detail)
    }

    /// An id as it is given out: the 36 characters of RFC 9562 (4).
    pub fn id<T: Id>(&mut self, pointer: &'static str, text: Option<&str>) -> Option<T> {
        let text = text?;
        let id = parse_id(text);
        self.take(pointer, id, "malformed_id", "an id is written as it was given: 36 characters with hyphens")
    }

    /// One of a closed list of words.
    pub fn word<T>(
        &mut self,
        pointer: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        let value = parse(text);
        if value.is_none() {
            self.refuse(pointer, "unknown_value", format!("expected one of: {words}"));
        }
        value
    }

    /// A number, or what is wrong with it.
    pub fn id_number(&mut self, text: &IdNumberText, today: Date) -> Option<IdDigest> {
        self.placed_number(text, today).map(|(digest, _)| digest)
    }

    fn placed_number(&mut self, text: &IdNumberText, today: Date) -> Option<(IdDigest, Neighbourhood)> {
        match text.parse(today) {
            Ok(number) => Some((IdDigest::of(&number), number.neighbourhood())),
            Err(error) => {
                self.guessed |= IdNumberError::is_guess(&error);
                self.errors.push(error.into());
                None
            }
        }
    }

    /// Exactly one of number and digest.
    pub fn number_or_digest(
        &mut self,
        number: Option<&IdNumberText>,
        digest: Option<&DigestText>,
        today: Date,
    ) -> Option<IdDigest> {
        self.placed_number_or_digest(number, digest, today).map(|(digest, _)| digest)
    }

    /// The same, and where a number belongs, which a digest hides.
    pub fn placed_number_or_digest(
        &mut self,
        number: Option<&IdNumberText>,
        digest: Option<&DigestText>,
        today: Date,
    ) -> Option<(IdDigest, Option<Neighbourhood>)> {
        match (number, digest) {
            (Some(number), None) => self.placed_number(number, today).map(|(digest, place)| (digest, Some(place))),
            (None, Some(digest)) => {
                let detail = "a digest is 64 hexadecimal characters: SHA-256 of lostcard:v1: and the number";
                self.take("/id_digest", digest.parse(), "malformed_digest", detail).map(|digest| (digest, None))
            }
            _ => {
                self.refuse("", "exactly_one", "send exactly one of id_number and id_digest");
                None
            }
        }
    }

    /// The code of the office that acts.
    pub fn office(&mut self, text: &str, today: Date) -> Option<OfficeCode> {
        self.office_at("/office", text, today)
    }

    /// An office's code.
    pub fn office_at(&mut self, pointer: &'static str, text: &str, today: Date) -> Option<OfficeCode> {
        let detail = "1 to 32 letters, digits and hyphens, and no identity number however it is separated";
        self.take(pointer, OfficeCode::offered(text, today), "malformed_office", detail)
    }

    /// A mark of the caller's own.
    pub fn label(&mut self, pointer: &'static str, text: Option<&str>, today: Date) -> Option<Label> {
        let detail = "1 to 64 characters of A-Z a-z 0-9 . _ : -, and no identity number however it is separated";
        text.and_then(|text| self.take(pointer, Label::offered(text, today), "malformed_label", detail))
    }
}

/// An id as it is given out: the 36 characters of RFC 9562 (4), upper case taken.
pub fn parse_id<T: Id>(text: &str) -> Option<T> {
    if text.len() == 36 { text.parse().ok() } else { None }
}

/// Whether a text has the form of RFC 3339 (5.6): a day, `T`, a time with its seconds, and `Z` or an offset in hours to 23 and
/// minutes; the letters in either case. Fractions to the nanosecond.
fn is_rfc_3339(text: &str) -> bool {
    let Some((time, rest)) = text.as_bytes().split_first_chunk::<19>() else { return false };
    let is_day_and_time = time.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        10 => byte.eq_ignore_ascii_case(&b'T'),
        13 | 16 => *byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let zone = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.')).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(zone);
    let is_fraction = match fraction {
        [] => true,
        [b'.', digits @ ..] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let is_zone = match zone {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1 @ b'0'..=b'2', h2 @ b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9'] => *h1 < b'2' || *h2 < b'4',
        _ => false,
    };
    is_day_and_time && is_fraction && is_zone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ReportId;

    #[test]
    fn instants_are_rfc_3339() {
        for (text, expected) in [
            ("1990-01-01T00:00:00Z", Some(631_152_000_000)),
            ("1990-01-01T08:00:00.5+08:00", Some(631_152_000_500)),
            ("1990-01-01T00:00:00.123456789-00:30", Some(631_153_800_123)),
            ("1990-01-01t00:00:00z", Some(631_152_000_000)),
            ("1990-01-01T00:00:00+23:59", Some(631_065_660_000)),
            ("1990-01-01T00:00:00-00:00", Some(631_152_000_000)),
            ("1990-01-01T00:00:00+24:00", None),
            ("1990-01-01T00:00:00+25:59", None),
            ("1990-01-01T00:00:00-23:60", None),
            ("1990-01-01T00:00:00+08:00:30", None),
            ("1990-01-01T00:00:00+23:59:59", None),
            ("1990-01-01T00:00:00+08", None),
            ("1990-01-01T00:00:00.Z", None),
            ("1990-01-01T00:00:00,5Z", None),
            ("1990-01-01T00:00:00.1234567891Z", None),
            ("1990-01-01T00:00Z", None),
            ("1990-01-01T24:00:00Z", None),
            ("1990-01-01T00:00:00 Z", None),
            ("1990-01-01 00:00:00Z", None),
            ("1990-01-01T00:00:00", None),
            ("1990-01-01T00:00:00+0800", None),
            ("1990-01-01T00:00:00Z[UTC]", None),
            ("1990-02-30T00:00:00Z", None),
            ("19900101T000000Z", None),
            ("１990-01-01T00:00:00Z", None),
            ("", None),
        ] {
            let mut fields = Fields::default();
            assert_eq!(fields.instant("/at", Some(text)).map(UnixMs::get), expected, "{text}");
            assert_eq!(fields.errors.is_empty(), expected.is_some(), "{text}");
        }
    }

    #[test]
    fn ids_are_written_in_one_way() {
        let id = "01993c5e-0000-7000-8000-000000000000";
        let mut fields = Fields::default();
        assert_eq!(fields.id("/id", Some(id)).map(|id: ReportId| id.to_string()).as_deref(), Some(id));
        for bad in ["", "01993c5e000070008000000000000000", &format!("{{{id}}}"), &format!("urn:uuid:{id}"), &id[1..]] {
            assert_eq!(fields.id::<ReportId>("/id", Some(bad)), None, "{bad}");
        }
        assert_eq!(fields.errors.len(), 5);
    }
}
