//! Objects in JSON as callers and files send them, read strictly: absent is not null, an object is not an array, no member stands
//! twice. What is wrong is told by the pointer to the member, as far as the document names it; nothing that was sent is repeated.

use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a text is not the object that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonFault {
    /// Where and what, where the text is JSON.
    pub member: Option<MemberFault>,
    /// As a sentence, with its line and column.
    pub detail: String,
}

/// A member that is not as the document has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFault {
    /// JSON Pointer (RFC 6901); of a member that the document does not name, that of its object.
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

/// Reads one object. A byte order mark before it is passed over (RFC 8259, 8.1).
pub fn read_object<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, JsonFault> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    serde_json::from_slice::<Object<T>>(text).map(|object| object.0).map_err(|error| JsonFault::of::<T>(text, &error))
}

impl JsonFault {
    /// Reads the text again, to see where it went wrong: what is right is read once, and at full speed.
    fn of<'de, T: Deserialize<'de>>(text: &'de [u8], error: &serde_json::Error) -> Self {
        let what = describe_json(error);
        let detail = format!("{what} (line {}, column {})", error.line(), error.column());
        let mut again = serde_json::Deserializer::from_slice(text);
        let found = serde_path_to_error::deserialize::<_, Object<T>>(&mut again).err();
        let member = found.filter(|_| error.is_data()).map(|found| {
            let (code, pointer) = locate(&error.to_string(), found.path());
            MemberFault { pointer, code, detail: what }
        });
        Self { member, detail }
    }
}

/// The word for a fault, and the pointer to its member.
fn locate(message: &str, path: &Path) -> (&'static str, String) {
    let named = |start: &str| message.strip_prefix(start)?.split('`').next();
    if let Some(name) = named("missing field `") {
        return ("missing_member", format!("{}/{name}", pointer(path, None)));
    }
    if let Some(name) = named("duplicate field `") {
        return ("duplicate_member", format!("{}/{name}", pointer(path, Some(name))));
    }
    if let Some(name) = named("unknown field `") {
        return ("unknown_member", pointer(path, Some(name)));
    }
    let code = if message.starts_with("invalid type: null") { "null" } else { "wrong_type" };
    (code, pointer(path, None))
}

/// A path as a pointer, without its last part where that is this member.
fn pointer(path: &Path, without: Option<&str>) -> String {
    let mut parts: Vec<String> = path
        .iter()
        .map_while(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect();
    if without.is_some() && parts.last().map(String::as_str) == without {
        parts.pop();
    }
    parts.into_iter().fold(String::new(), |pointer, part| pointer + "/" + &part)
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
    Text,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectMember<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemberVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for MemberVisitor<T> {
            type Value = ObjectMember<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(ObjectMember::Given)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(ObjectMember::Text)
            }
        }
        deserializer.deserialize_any(MemberVisitor(PhantomData))
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
        ("invalid type: null", "a member is null: leave out what has no value"),
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

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "contact")]
        contact: ObjectMember<Inner>,
        #[serde(default, deserialize_with = "present", rename = "many")]
        _many: Option<Vec<u8>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "phone")]
        _phone: String,
    }

    fn fault(text: &str) -> Option<(String, &'static str, String)> {
        let member = read_object::<Sample>(text.as_bytes()).unwrap_err().member;
        member.map(|member| (member.pointer, member.code, member.detail))
    }

    #[test]
    fn a_fault_is_told_by_the_pointer_to_its_member() {
        for (text, pointer, code) in [
            (r#"{"name":null}"#, "/name", "null"),
            (r#"{"name":1}"#, "/name", "wrong_type"),
            (r#"{"name":{}}"#, "/name", "wrong_type"),
            ("{}", "/name", "missing_member"),
            (r#"{"name":"a","name":"b"}"#, "/name", "duplicate_member"),
            (r#"{"name":"a","secret":"b"}"#, "", "unknown_member"),
            (r#"{"name":"a","many":[1,null]}"#, "/many/1", "null"),
            (r#"{"name":"a","many":null}"#, "/many", "null"),
            (r#"{"name":"a","contact":null}"#, "/contact", "null"),
            (r#"{"name":"a","contact":7}"#, "/contact", "wrong_type"),
            (r#"{"name":"a","contact":["1"]}"#, "/contact", "wrong_type"),
            (r#"{"name":"a","contact":{}}"#, "/contact/phone", "missing_member"),
            (r#"{"name":"a","contact":{"phone":7}}"#, "/contact/phone", "wrong_type"),
            (r#"{"name":"a","contact":{"phone":null}}"#, "/contact/phone", "null"),
            (r#"{"name":"a","contact":{"phone":"1","ph\u006fne":"2"}}"#, "/contact/phone", "duplicate_member"),
            (r#"{"name":"a","contact":{"phone":"1","secret":"2"}}"#, "/contact", "unknown_member"),
            (r#"["a"]"#, "", "wrong_type"),
            ("null", "", "null"),
        ] {
            let (found, word, detail) = fault(text).unwrap();
            assert_eq!((found.as_str(), word), (pointer, code), "{text}");
            assert!(!detail.contains("secret") && (code != "null" || detail.contains("null")), "{text}: {detail}");
        }
    }

    #[test]
    fn what_is_no_json_names_no_member() {
        for text in ["", "{", r#"{"name":"a"}x"#, r#"{"name":"a",}"#, "\u{feff}\u{feff}{}", r#"{"name":NaN}"#] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let read = read_object::<Sample>("\u{feff}{\"name\":\"a\",\"contact\":\"b\"}".as_bytes()).unwrap();
        assert!(matches!(read.contact, ObjectMember::Text), "text in the place of an object is a matter of its value");
    }
}
