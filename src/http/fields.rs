//! From members of a body to domain types: every wrong member is reported, with its pointer, none is repeated.
//! Also the serde helpers that keep requests strict: absent is not null, an object is not an array.

use std::borrow::Cow;
use std::marker::PhantomData;

use jiff::civil::Date;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::{FieldError, Problem};
use crate::crypto::digest::IdDigest;
use crate::domain::id_number::{IdNumber, IdNumberError};

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

/// Collects what is wrong with a body.
#[derive(Debug, Default)]
pub struct Fields {
    errors: Vec<FieldError>,
    /// A number had a wrong check character: counted against its sender.
    pub guessed: bool,
}

impl Fields {
    /// Notes an error.
    pub fn refuse(&mut self, pointer: &'static str, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.errors.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
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

    /// One of a closed list of words.
    pub fn word<T>(
        &mut self,
        pointer: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        self.take(pointer, parse(text), "unknown_value", format!("expected one of: {words}"))
    }

    /// A number, or what is wrong with it.
    pub fn id_number(&mut self, text: &str, today: Date) -> Option<IdDigest> {
        match IdNumber::parse(text, today) {
            Ok(number) => Some(IdDigest::of(&number)),
            Err(error) => {
                self.guessed |= IdNumberError::is_guess(&error);
                self.errors.push(error.into());
                None
            }
        }
    }

    /// Exactly one of number and digest.
    pub fn number_or_digest(&mut self, number: Option<&str>, digest: Option<&str>, today: Date) -> Option<IdDigest> {
        match (number, digest) {
            (Some(number), None) => self.id_number(number, today),
            (None, Some(digest)) => self.take(
                "/id_digest",
                IdDigest::parse(digest),
                "malformed_digest",
                "a digest is 64 hexadecimal characters: SHA-256 of lostcard:v1: and the number",
            ),
            _ => {
                self.refuse("", "exactly_one", "send exactly one of id_number and id_digest");
                None
            }
        }
    }

    /// The value built from the members, or the problem with them.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.errors)),
        }
    }
}
