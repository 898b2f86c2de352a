//! A value as it was found, before it has a type: what it was, where it stood, why it is not what it should be.

use std::ops::Range;

use toml_edit::{Document, Item};

use super::error::Origin;

/// A value as it was found.
#[derive(Clone)]
pub(super) enum Raw {
    Text(String),
    Item(Item),
}

impl Raw {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Item(item) => item.as_str(),
        }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) at: Origin,
    pub(super) raw: Raw,
}

/// The longest value that an error repeats.
const SHOWN_MAX: usize = 60;

/// Why a value is not one of its type.
#[derive(Debug)]
pub(super) enum Fault {
    Type,
    /// A key inside it that there is none of.
    Unknown {
        inside: String,
        span: Option<Range<usize>>,
        near: Option<String>,
    },
    /// A value inside it.
    Inside {
        inside: String,
        span: Option<Range<usize>>,
        found: &'static str,
        right: &'static str,
    },
}

impl Fault {
    pub(super) fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Type => None,
            Self::Unknown { span, .. } | Self::Inside { span, .. } => span.clone(),
        }
    }
}

/// A variable or a flag whose value is written as in TOML.
pub(super) fn parse_item(text: &str) -> Option<Item> {
    // On one line: nothing behind the value may begin a setting of its own.
    let document = Document::parse(format!("value = {text}")).ok().filter(|document| document.len() == 1)?;
    document.get("value").cloned()
}

/// What stands there, in an error. Whatever may hold a password is not repeated.
pub(super) fn shown(raw: &Raw, is_secret: bool) -> String {
    let text = raw.text();
    let is_plain = |text: &str| {
        text.len() <= SHOWN_MAX && !text.contains('@') && !text.contains("://") && !text.contains(char::is_control)
    };
    match (raw, text) {
        _ if is_secret => "has a value that is not shown here".to_owned(),
        (_, Some(text)) if is_plain(text) => format!("is \"{text}\""),
        (_, Some(_)) => "has a text that is not shown here".to_owned(),
        (Raw::Item(Item::Value(toml_edit::Value::Integer(number))), _) => format!("is {}", number.value()),
        (Raw::Item(Item::Value(toml_edit::Value::Float(number))), _) => format!("is {}", number.value()),
        (Raw::Item(Item::Value(toml_edit::Value::Boolean(word))), _) => format!("is {}", word.value()),
        (Raw::Item(item), _) if item.is_table_like() => "is a section".to_owned(),
        (Raw::Item(item), _) if item.is_array() || item.is_array_of_tables() => "is a list".to_owned(),
        _ => "is a date or a time".to_owned(),
    }
}
