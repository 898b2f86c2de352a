//! JSON of other standards, as keys are (RFC 7517), whose members are not all known here: any are read, none of them twice.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Why it is not read, where it is JSON.
pub const REPEATED: &str = "a member stands twice in an object";

/// Reads JSON whose objects have no member twice: a reader that takes the last one and a reader that takes the first see two keys.
pub fn once_each(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str::<OnceEach>(text).map(|read| read.0)
}

struct OnceEach(Value);

impl<'de> Deserialize<'de> for OnceEach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnceEachVisitor;
        impl<'de> Visitor<'de> for OnceEachVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut read = Vec::new();
                while let Some(OnceEach(one)) = list.next_element()? {
                    read.push(one);
                }
                Ok(read.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut read = serde_json::Map::new();
                while let Some((name, OnceEach(value))) = map.next_entry::<String, _>()? {
                    if read.insert(name, value).is_some() {
                        return Err(Error::custom(REPEATED));
                    }
                }
                Ok(read.into())
            }
        }
        deserializer.deserialize_any(OnceEachVisitor).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_is_but_for_members_that_stand_twice() {
        for text in [
            "null",
            r#"{"a":{"b":[1,-1,1.5,true,null,"c",{}]},"b":{"b":18446744073709551615}}"#,
            r#"[{"a":1},{"a":1}]"#,
        ] {
            assert_eq!(once_each(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        for text in [r#"{"a":1,"a":1}"#, r#"[{"a":{"b":1,"c":2,"b":3}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(once_each(text).unwrap_err().to_string().starts_with(REPEATED), "{text}");
        }
        assert!(once_each("{").is_err());
    }
}
