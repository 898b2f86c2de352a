//! From untrusted members of a body or a file to domain types: every wrong member is noted, with its pointer, none is repeated.
//! Also the serde helpers that keep objects strict: absent is not null, an object is not an array. Knows no status code.

use std::borrow::Cow;
use std::marker::PhantomData;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::crypto::digest::IdDigest;
use crate::domain::card::check_start;
use crate::domain::id_number::IdNumberError;
use crate::domain::ids::Id;
use crate::domain::redacted::{DigestText, IdNumberText};
use crate::domain::report::OfficeCode;

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

    /// The start of validity of a card that is held, or handed out, today.
    pub fn start(&mut self, text: Option<&str>, today: Date) -> Option<Date> {
        let start = self.date("/card_valid_from", text)?;
        check_start(start, today)
            .map_err(|error| self.refuse(error.pointer(), error.code(), error.to_string()))
            .ok()?;
        Some(start)
    }

    /// An instant as RFC 3339 (5.6) writes it, in milliseconds since the Unix epoch.
    pub fn instant(&mut self, pointer: &'static str, text: Option<&str>) -> Option<i64> {
        let text = text?;
        // jiff reads more forms than RFC 3339 has.
        let digits = |range: std::ops::Range<usize>| text.as_bytes()[range].iter().all(u8::is_ascii_digit);
        let shape = (20..=35).contains(&text.len())
            && text.is_ascii()
            && [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().all(digits)
            && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
                .iter()
                .all(|(at, byte)| text.as_bytes()[*at] == *byte)
            && text[19..].bytes().all(|byte| byte.is_ascii_digit() || b".Z+-:".contains(&byte))
            && (text.ends_with('Z') || text.as_bytes()[text.len() - 3] == b':');
        let instant = if shape { text.parse::<Timestamp>().ok() } else { None };
        let detail = "an instant is written as in RFC 3339: 2026-11-01T08:30:00Z";
        self.take(pointer, instant.map(Timestamp::as_millisecond), "malformed_instant", detail)
    }

    /// An id as it is given out: the 36 characters of RFC 9562 (4).
    pub fn id<T: Id>(&mut self, pointer: &'static str, text: Option<&str>) -> Option<T> {
        let text = text?;
        let id = if text.len() == 36 { text.parse().ok() } else { None };
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
        match text.parse(today) {
            Ok(number) => Some(IdDigest::of(&number)),
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
        match (number, digest) {
            (Some(number), None) => self.id_number(number, today),
            (None, Some(digest)) => self.take(
                "/id_digest",
                digest.parse(),
                "malformed_digest",
                "a digest is 64 hexadecimal characters: SHA-256 of lostcard:v1: and the number",
            ),
            _ => {
                self.refuse("", "exactly_one", "send exactly one of id_number and id_digest");
                None
            }
        }
    }

    /// An office's code.
    pub fn office(&mut self, text: &str) -> Option<OfficeCode> {
        let detail = "1 to 32 letters, digits and hyphens without a run of 15 digits or more";
        self.take("/office", OfficeCode::parse(text), "malformed_office", detail)
    }
}

/// For optional members: present means a value, null is refused.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An object and nothing else: serde fills a struct from an array as well.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An optional member that is an object. Text in its place is a wrong value, not a wrong shape: it is answered with what the
/// object looks like.
#[derive(Debug, Default)]
pub enum ObjectMember<T> {
    #[default]
    Absent,
    Given(T),
    NotAnObject,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectMember<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, bound = "T: Deserialize<'de>")]
        enum Member<T> {
            Given(Object<T>),
            Other(IgnoredAny),
        }
        Ok(match Member::deserialize(deserializer)? {
            Member::Given(object) => Self::Given(object.0),
            Member::Other(_) => Self::NotAnObject,
        })
    }
}

/// The safe part of serde's messages: names of documented members. Values and unknown names are what was sent.
pub fn describe_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    for known in ["missing field `", "duplicate field `"] {
        if let Some(name) = message.strip_prefix(known).and_then(|rest| rest.split('`').next()) {
            return format!("{known}{name}`").replace("field", "member");
        }
    }
    let plain = [
        ("unknown field", "a member is unknown"),
        ("invalid type", "a member has the wrong JSON type, or the body is not an object"),
        ("EOF", "the body ends too early"),
        ("trailing characters", "something follows the object"),
        ("recursion limit", "the body is nested too deeply"),
    ];
    let found = plain.iter().find(|(start, _)| message.starts_with(start)).map_or("not JSON", |(_, text)| text);
    found.to_owned()
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
            assert_eq!(fields.instant("/at", Some(text)), expected, "{text}");
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
