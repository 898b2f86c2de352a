//! NDJSON: one object a line, with the members of `POST /v1/loss-reports` and `reported_at`. As strict as the API about unknown
//! and repeated members; but a null member is an absent one, as programs write it that export a table.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::row::{Cell, Column, Row};
use crate::service::fields::Fields;
use crate::service::json::describe_json;

/// Parses a line. None, with why in `fields`, where it is not such an object.
pub(super) fn parse<'a>(line: &'a str, ignored: &[String], fields: &mut Fields) -> Option<Row<'a>> {
    let mut json = serde_json::Deserializer::from_str(line);
    let parsed = ObjectOf(&Report { ignored }).deserialize(&mut json).and_then(|line| json.end().map(|()| line));
    match parsed {
        Ok(Line { row, contact: Contact::AsItShouldBe, .. }) => Some(row),
        Ok(Line { row, contact: Contact::NotAnObject, .. }) => {
            fields.refuse("/contact", "not_a_contact", "a contact is an object with a phone");
            Some(row)
        }
        Err(error) => {
            let what = describe_json(&error);
            let (pointer, code) = locate(&error.to_string());
            fields.refuse(pointer, code, format!("{what} (character {})", error.column()));
            None
        }
    }
}

/// The pointer to the member and the word for what is wrong with it, as the API has them; of a member that nobody knows, that of its
/// object.
fn locate(message: &str) -> (&'static str, &'static str) {
    if message.starts_with(UNKNOWN_IN_CONTACT) {
        return ("/contact", "unknown_member");
    }
    if message.starts_with(UNKNOWN) {
        return ("", "unknown_member");
    }
    let Some(twice) = message.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next()) else {
        return ("", "malformed_json");
    };
    let pointer = match twice {
        "contact" => "/contact",
        "phone" => "/contact/phone",
        name => Column::ALL.into_iter().find(|column| column.name() == name).map_or("", Column::pointer),
    };
    (pointer, "duplicate_member")
}

const UNKNOWN: &str = "unknown field";
const UNKNOWN_IN_CONTACT: &str = "unknown field of contact";

/// Whether a file is one array: all of it would be one line, or none of its lines an object.
pub(super) fn is_array(beginning: &str) -> bool {
    beginning.trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']).starts_with('[')
}

#[derive(Debug, Default)]
struct Line<'a> {
    row: Row<'a>,
    contact: Contact,
    /// Which members stood there, null ones too.
    is_taken: [bool; Column::COUNT],
}

#[derive(Debug, Default)]
enum Contact {
    #[default]
    AsItShouldBe,
    NotAnObject,
}

/// What an object's members mean.
trait Members<'de> {
    type Value: Default;

    /// Takes the value of the member, in its turn.
    fn take<A: MapAccess<'de>>(&self, name: &str, value: &mut Self::Value, map: &mut A) -> Result<(), A::Error>;
}

/// An object and nothing else, with the members that are meant.
struct ObjectOf<'m, M>(&'m M);

impl<'de, M: Members<'de>> DeserializeSeed<'de> for ObjectOf<'_, M> {
    type Value = M::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<M::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, M: Members<'de>> Visitor<'de> for ObjectOf<'_, M> {
    type Value = M::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M::Value, A::Error> {
        let mut value = M::Value::default();
        while let Some(Name(name)) = map.next_key()? {
            self.0.take(&name, &mut value, &mut map)?;
        }
        Ok(value)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of a report.
struct Report<'i> {
    ignored: &'i [String],
}

impl<'de> Members<'de> for Report<'_> {
    type Value = Line<'de>;

    fn take<A: MapAccess<'de>>(&self, name: &str, line: &mut Line<'de>, map: &mut A) -> Result<(), A::Error> {
        if name == "contact" {
            let given = map.next_value::<ContactValue<'de>>()?;
            let (cell, contact) = match given {
                ContactValue::Absent => (Cell::Absent, Contact::AsItShouldBe),
                ContactValue::Phone(cell) => (cell, Contact::AsItShouldBe),
                ContactValue::NotAnObject => (Cell::Absent, Contact::NotAnObject),
            };
            line.contact = contact;
            return put(line, Column::ContactPhone, "contact", cell);
        }
        let is_member = |column: &Column| *column != Column::ContactPhone && column.name() == name;
        match Column::ALL.into_iter().find(is_member) {
            Some(column) => {
                let cell = map.next_value()?;
                put(line, column, column.name(), cell)
            }
            None if self.ignored.iter().any(|ignored| ignored == name) => map.next_value().map(|IgnoredAny| ()),
            None => Err(A::Error::custom(UNKNOWN)),
        }
    }
}

/// A repeated member has two values, null or not: which of them is meant is not known.
fn put<'a, E: de::Error>(line: &mut Line<'a>, column: Column, name: &'static str, cell: Cell<'a>) -> Result<(), E> {
    if std::mem::replace(&mut line.is_taken[column as usize], true) {
        return Err(E::duplicate_field(name));
    }
    line.row.0[column as usize] = cell;
    Ok(())
}

enum ContactValue<'a> {
    Absent,
    Phone(Cell<'a>),
    NotAnObject,
}

struct ContactMembers;

impl<'de> Members<'de> for ContactMembers {
    type Value = Option<Cell<'de>>;

    fn take<A: MapAccess<'de>>(&self, name: &str, phone: &mut Self::Value, map: &mut A) -> Result<(), A::Error> {
        match name {
            "phone" if phone.is_none() => {
                *phone = Some(map.next_value()?);
                Ok(())
            }
            "phone" => Err(A::Error::duplicate_field("phone")),
            _ => Err(A::Error::custom(UNKNOWN_IN_CONTACT)),
        }
    }
}

/// One visitor for both kinds of value: what matters is which of JSON's types stands there.
struct AnyValue<T>(std::marker::PhantomData<T>);

/// What becomes of a value, by its type in JSON.
trait OfJson<'de>: Sized {
    fn null() -> Self;
    fn text(text: Cow<'de, str>) -> Self;
    fn number() -> Self;
    fn other() -> Self;
    fn object<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

impl<'de, T: OfJson<'de>> Visitor<'de> for AnyValue<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::null())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::number())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::number())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::number())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::other())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::object(map)
    }
}

impl<'de> OfJson<'de> for Cell<'de> {
    fn null() -> Self {
        Self::Absent
    }

    fn text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn number() -> Self {
        Self::Number
    }

    fn other() -> Self {
        Self::OtherType
    }

    fn object<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::OtherType)
    }
}

impl<'de> OfJson<'de> for ContactValue<'de> {
    fn null() -> Self {
        Self::Absent
    }

    fn text(_: Cow<'de, str>) -> Self {
        Self::NotAnObject
    }

    fn number() -> Self {
        Self::NotAnObject
    }

    fn other() -> Self {
        Self::NotAnObject
    }

    fn object<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        ObjectOf(&ContactMembers).visit_map(map).map(|phone| Self::Phone(phone.unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for ContactValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#""id_number":"11010519491231002X","reason":"lost","reporter":"holder","office":"110105-03","channel":"hall""#;

    fn text(line: &str, column: Column) -> Option<String> {
        let mut fields = Fields::default();
        let row = parse(line, &[], &mut fields).unwrap();
        assert!(fields.errors.is_empty(), "{:?}", fields.errors);
        row.text(column).map(str::to_owned)
    }

    #[test]
    fn members_are_those_of_the_api_and_the_time() {
        let line = format!(r#"{{{GOOD},"contact":{{"phone":"13800138000"}},"reported_at":"2026-11-01T00:00:00Z"}}"#);
        assert_eq!(text(&line, Column::ContactPhone).as_deref(), Some("13800138000"));
        assert_eq!(text(&line, Column::ReportedAt).as_deref(), Some("2026-11-01T00:00:00Z"));
        assert_eq!(text(&line, Column::Office).as_deref(), Some("110105-03"));
        assert_eq!(text(r#"{"office":"A\u0042"}"#, Column::Office).as_deref(), Some("AB"));
    }

    #[test]
    fn a_null_member_is_an_absent_one() {
        for (line, column) in [
            (format!("{{{GOOD},\"lost_on\":null}}"), Column::LostOn),
            (format!("{{{GOOD},\"contact\":null}}"), Column::ContactPhone),
            (format!("{{{GOOD},\"contact\":{{\"phone\":null}}}}"), Column::ContactPhone),
            ("{\"id_number\":null}".to_owned(), Column::IdNumber),
        ] {
            assert_eq!(text(&line, column), None, "{line}");
        }
    }

    #[test]
    fn a_value_keeps_its_type() {
        for (value, expected) in [
            ("110105194912310021", Cell::Number),
            ("1.2e17", Cell::Number),
            ("-1", Cell::Number),
            ("true", Cell::OtherType),
            ("[\"a\",[1]]", Cell::OtherType),
            ("{\"a\":{}}", Cell::OtherType),
        ] {
            let line = format!("{{\"id_number\":{value}}}");
            let row = parse(&line, &[], &mut Fields::default()).unwrap();
            assert_eq!(row.cell(Column::IdNumber), &expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_such_object_is_refused() {
        let shape = "malformed_json";
        for (line, (pointer, code), expected) in [
            (format!("{{{GOOD},\"reason\":\"lost\"}}"), ("/reason", "duplicate_member"), "duplicate member `reason`"),
            (format!("{{\"reason\":null,{GOOD}}}"), ("/reason", "duplicate_member"), "duplicate member `reason`"),
            (format!("{{{GOOD},\"reason\":null}}"), ("/reason", "duplicate_member"), "duplicate member `reason`"),
            (
                format!("{{{GOOD},\"contact\":{{\"phone\":\"1\"}},\"contact\":{{}}}}"),
                ("/contact", "duplicate_member"),
                "duplicate member `contact`",
            ),
            (
                format!("{{{GOOD},\"contact\":null,\"contact\":{{\"phone\":\"1\"}}}}"),
                ("/contact", "duplicate_member"),
                "duplicate member `contact`",
            ),
            (
                format!("{{{GOOD},\"contact\":{{\"phone\":\"1\",\"phone\":\"2\"}}}}"),
                ("/contact/phone", "duplicate_member"),
                "duplicate member `phone`",
            ),
            (
                format!("{{{GOOD},\"contact\":{{\"phone\":null,\"phone\":\"2\"}}}}"),
                ("/contact/phone", "duplicate_member"),
                "duplicate member `phone`",
            ),
            (format!("{{{GOOD},\"id\":\"11010519491231002X\"}}"), ("", "unknown_member"), "a member is unknown"),
            (format!("{{{GOOD},\"contact_phone\":\"13800138000\"}}"), ("", "unknown_member"), "a member is unknown"),
            (
                format!("{{{GOOD},\"contact\":{{\"fax\":\"1\"}}}}"),
                ("/contact", "unknown_member"),
                "a member is unknown",
            ),
            (format!("[{{{GOOD}}}]"), ("", shape), "a member has the wrong JSON type"),
            (format!("{{{GOOD}}} {{"), ("", shape), "something follows the object"),
            ("11010519491231002X".to_owned(), ("", shape), ""),
            ("\"11010519491231002X\"".to_owned(), ("", shape), ""),
            ("null".to_owned(), ("", shape), ""),
            ("{".to_owned(), ("", shape), "the body ends too early"),
        ] {
            let mut fields = Fields::default();
            assert!(parse(&line, &[], &mut fields).is_none(), "{line}");
            let wrong = &fields.errors[0];
            assert!(wrong.detail.starts_with(expected), "{line}: {}", wrong.detail);
            assert_eq!((wrong.pointer, wrong.code), (pointer, code), "{line}");
            assert!(!wrong.detail.contains("1101"), "{}", wrong.detail);
        }
        for contact in ["\"secret\"", "5", "[]", "true"] {
            let mut fields = Fields::default();
            let line = format!("{{{GOOD},\"contact\":{contact}}}");
            parse(&line, &[], &mut fields);
            assert_eq!((fields.errors[0].pointer, fields.errors[0].code), ("/contact", "not_a_contact"), "{contact}");
        }
    }

    #[test]
    fn extra_members_are_left_out_by_name() {
        let line = format!("{{{GOOD},\"remark\":{{\"a\":[1]}}}}");
        assert!(parse(&line, &[], &mut Fields::default()).is_none());
        assert!(parse(&line, &["remark".to_owned()], &mut Fields::default()).is_some());
    }

    #[test]
    fn an_array_is_known_by_its_first_character() {
        assert!(is_array("[{\"a\":1}]") && is_array("\u{FEFF} \r\n[") && !is_array("{\"a\":[]}") && !is_array(""));
    }
}
