//! Objects in JSON as callers and files send them, read strictly: absent is not null, an object is not an array, no member stands
//! twice. What is wrong is told by the pointer to the member, as far as the document names it; nothing that was sent is repeated.

use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

use crate::crypto::once_each::{REPEATED, once_each};

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
    let segments: Vec<_> = path.iter().collect();
    let (last, above) = segments.split_last().map_or((None, &[][..]), |(last, above)| (Some(*last), above));
    if let Some(name) = named("missing field `") {
        return ("missing_member", format!("{}/{name}", pointer(&segments)));
    }
    if let Some(name) = named("duplicate field `") {
        let is_last = matches!(last, Some(Segment::Map { key }) if key == name);
        return ("duplicate_member", format!("{}/{name}", pointer(if is_last { above } else { &segments })));
    }
    // Its name is the caller's, whatever it looks like: the message holds it unescaped, and says nothing of where it ends.
    if message.starts_with("unknown field `") {
        return ("unknown_member", pointer(above));
    }
    let words = [(REPEATED, "duplicate_member"), ("invalid type: null", "null")];
    let word = words.iter().find(|(start, _)| message.starts_with(start)).map_or("wrong_type", |(_, word)| word);
    (word, pointer(&segments))
}

/// A path as a pointer, as far as its members could be the document's.
fn pointer(segments: &[&Segment]) -> String {
    let part = |segment: &&Segment| match segment {
        Segment::Map { key } => is_of_document(key).then(|| format!("/{key}")),
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    segments.iter().map_while(part).collect()
}

/// Whether the document could have a member of this name.
fn is_of_document(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
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

/// A whole number of any size: one beyond an `i64` is the nearest that there is, so that its bounds judge it like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Whole(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Whole(value.try_into().unwrap_or(i64::MAX)))
            }

            /// What the reader keeps no integer for comes as this: `-0`, and what is beyond its integers. So does a fraction.
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
                const BEYOND: f64 = 9_223_372_036_854_775_808.0;
                if value == 0.0 {
                    Ok(Whole(0))
                } else if value >= BEYOND {
                    Ok(Whole(i64::MAX))
                } else if value <= -BEYOND {
                    Ok(Whole(i64::MIN))
                } else {
                    Err(E::invalid_type(Unexpected::Float(value), &self))
                }
            }
        }
        deserializer.deserialize_i64(WholeVisitor)
    }
}

/// An object of another standard, as a JWK is: any members, none of them twice.
#[derive(Debug, Clone)]
pub struct Foreign(pub serde_json::Value);

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text first, so that a fault within it has the pointer to the whole: the names of its members are the caller's.
        let text = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        let fault = |error: serde_json::Error| if error.is_data() { REPEATED } else { "beyond what is read" };
        once_each(text.get()).map(Self).map_err(|error| serde::de::Error::custom(fault(error)))
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
        ("number out of range", "a number is larger than any that is read"),
        (REPEATED, REPEATED),
    ];
    let other = if error.is_data() { "a member has a wrong value" } else { "not JSON" };
    plain.iter().find(|(start, _)| message.starts_with(start)).map_or(other, |(_, text)| text).to_owned()
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
        #[serde(default, deserialize_with = "present")]
        whole: Option<Whole>,
        #[serde(default, rename = "keys")]
        _keys: Vec<Foreign>,
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
            // Whatever an unknown member is called, and wherever its object stands.
            (r#"{"name":"a","secret`":1}"#, "", "unknown_member"),
            (r#"{"name":"a","`secret":1}"#, "", "unknown_member"),
            (r#"{"name":"a","sec`, expected `ret":1}"#, "", "unknown_member"),
            (r#"{"name":"a","contact":{"secret`":"2"}}"#, "/contact", "unknown_member"),
            (r#"{"name":"a","contact":{"`":"2"}}"#, "/contact", "unknown_member"),
            (r#"{"name":"a","contact":{"/secret/":"2"}}"#, "/contact", "unknown_member"),
            (r#"{"name":"a","contact":{"name":"2"}}"#, "/contact", "unknown_member"),
            (r#"{"name":"a","whole":1.5}"#, "/whole", "wrong_type"),
            (r#"{"name":"a","whole":"1"}"#, "/whole", "wrong_type"),
            (r#"{"name":"a","keys":[{"x":1},{"secret":1,"secret":1}]}"#, "/keys/1", "duplicate_member"),
            (r#"{"name":"a","keys":[{"x":[{"a":{"secret":1,"b":2,"secret":1}}]}]}"#, "/keys/0", "duplicate_member"),
            (r#"{"name":"a","keys":[null,{"secret":1,"secret":1}]}"#, "/keys/1", "duplicate_member"),
        ] {
            let (found, word, detail) = fault(text).unwrap();
            assert_eq!((found.as_str(), word), (pointer, code), "{text}");
            assert!(!detail.contains("secret") && (code != "null" || detail.contains("null")), "{text}: {detail}");
        }
    }

    #[test]
    fn a_whole_number_of_any_size_is_read() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("169", 169),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775808", i64::MAX),
            ("18446744073709551616", i64::MAX),
            ("1000000000000000000000000000000", i64::MAX),
            ("1e300", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775809", i64::MIN),
            ("-99999999999999999999", i64::MIN),
        ] {
            let read = read_object::<Sample>(format!(r#"{{"name":"a","whole":{text}}}"#).as_bytes());
            assert_eq!(read.unwrap().whole, Some(Whole(value)), "{text}");
        }
        let beyond = read_object::<Sample>(br#"{"name":"a","whole":1e400}"#).unwrap_err();
        assert!(beyond.member.is_none() && beyond.detail.contains("larger than any"), "{beyond:?}");
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
