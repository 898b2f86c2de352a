//! The types that settings have, each read from the text of a variable or flag and from TOML, and written as the table shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml_edit::{Item, TableLike};

use super::error::{ConfigError, Origin, nearest};
use super::fact::{Fact, variable_of};
use super::given::Given;
use super::raw::{Fault, Raw, parse_item};
use crate::domain::client::Rate;
use crate::domain::retention::{Class, Period};

/// A type of settings.
pub(super) trait Value: Clone + 'static {
    /// In words.
    const WHAT: &'static str;
    const IS_MAP: bool = false;

    fn of_text(text: &str) -> Result<Self, Fault>;
    fn of_item(item: &Item) -> Result<Self, Fault>;
    /// As the table shows it; none where nothing is set.
    fn shown(&self) -> Option<String>;

    /// As a file would have it; none where nothing is set.
    fn as_toml(&self) -> Option<String> {
        self.shown()
    }

    fn read(fact: &Fact, default: &Self, given: &Given) -> Result<Self, ConfigError> {
        let Some(found) = given.find(fact.key) else { return Ok(default.clone()) };
        let value = match &found.raw {
            Raw::Text(text) => Self::of_text(text),
            Raw::Item(item) => Self::of_item(item),
        };
        value.map_err(|fault| given.wrong(fact, Some(fault)))
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            const WHAT: &'static str = "a whole number";

            fn of_text(text: &str) -> Result<Self, Fault> {
                text.trim().parse().map_err(|_| Fault::Type)
            }

            fn of_item(item: &Item) -> Result<Self, Fault> {
                item.as_integer().and_then(|number| number.try_into().ok()).ok_or(Fault::Type)
            }

            fn shown(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

numbers!(u32 u64 usize i64);

impl Value for bool {
    const WHAT: &'static str = "true or false";

    fn of_text(text: &str) -> Result<Self, Fault> {
        text.trim().parse().map_err(|_| Fault::Type)
    }

    fn of_item(item: &Item) -> Result<Self, Fault> {
        item.as_bool().ok_or(Fault::Type)
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A text in TOML, whose basic strings have the escapes of JSON, and one more character that is escaped.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A type that is a text in TOML.
macro_rules! texts {
    ($($type:ty: $what:literal, $parse:expr, $show:expr;)*) => {$(
        impl Value for $type {
            const WHAT: &'static str = $what;

            fn of_text(text: &str) -> Result<Self, Fault> {
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(text).ok_or(Fault::Type)
            }

            fn of_item(item: &toml_edit::Item) -> Result<Self, Fault> {
                item.as_str().ok_or(Fault::Type).and_then(Self::of_text)
            }

            fn shown(&self) -> Option<String> {
                let show: fn(&Self) -> String = $show;
                Some(show(self))
            }

            fn as_toml(&self) -> Option<String> {
                self.shown().map(|text| $crate::config::value::quoted(&text))
            }
        }
    )*};
}

pub(super) use texts;

texts! {
    String: "text", |text| Some(text.to_owned()), Self::clone;
    PathBuf: "a path, not empty", |text| (!text.is_empty()).then(|| Self::from(text)), |path| path.display().to_string();
    Period: "a period: 24 hours, 30 days or 20 years", Self::parse, Self::to_string;
    Rate: "a rate as requests/seconds: 600/60s", Self::parse, Self::to_string;
}

impl<T: Value> Value for Option<T> {
    const WHAT: &'static str = T::WHAT;

    fn of_text(text: &str) -> Result<Self, Fault> {
        T::of_text(text).map(Some)
    }

    fn of_item(item: &Item) -> Result<Self, Fault> {
        T::of_item(item).map(Some)
    }

    fn shown(&self) -> Option<String> {
        self.as_ref().and_then(T::shown)
    }

    fn as_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::as_toml)
    }
}

impl Value for Vec<String> {
    const WHAT: &'static str = "a list of texts: [\"a\", \"b\"]";

    fn of_text(text: &str) -> Result<Self, Fault> {
        parse_item(text).ok_or(Fault::Type).and_then(|item| Self::of_item(&item))
    }

    fn of_item(item: &Item) -> Result<Self, Fault> {
        let texts = item.as_array().ok_or(Fault::Type)?.iter().map(|value| value.as_str().map(str::to_owned));
        texts.collect::<Option<_>>().ok_or(Fault::Type)
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn as_toml(&self) -> Option<String> {
        let texts: Vec<_> = self.iter().map(|text| quoted(text)).collect();
        Some(format!("[{}]", texts.join(", ")))
    }
}

impl Value for Vec<u16> {
    const WHAT: &'static str = "a list of ports: [8444, 9443]";

    fn of_text(text: &str) -> Result<Self, Fault> {
        parse_item(text).ok_or(Fault::Type).and_then(|item| Self::of_item(&item))
    }

    fn of_item(item: &Item) -> Result<Self, Fault> {
        let port = |number: i64| u16::try_from(number).ok().filter(|port| *port > 0);
        let ports = item.as_array().ok_or(Fault::Type)?.iter().map(|value| value.as_integer().and_then(port));
        ports.collect::<Option<_>>().ok_or(Fault::Type)
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Value for BTreeMap<Class, Period> {
    const WHAT: &'static str = "periods by class of records";
    const IS_MAP: bool = true;

    fn of_text(_: &str) -> Result<Self, Fault> {
        Err(Fault::Type)
    }

    fn of_item(_: &Item) -> Result<Self, Fault> {
        Err(Fault::Type)
    }

    fn shown(&self) -> Option<String> {
        None
    }

    fn as_toml(&self) -> Option<String> {
        let entry =
            |(class, period): (&Class, &Period)| format!("{} = {}", class.as_str(), quoted(&period.to_string()));
        let entries: Vec<_> = self.iter().map(entry).collect();
        (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
    }

    fn read(fact: &Fact, _: &Self, given: &Given) -> Result<Self, ConfigError> {
        let entries = given.entries(fact.key).map(|(name, found)| {
            let text = match &found.raw {
                Raw::Text(text) => Some(text.as_str()),
                Raw::Item(item) => item.as_str(),
            };
            let class = Class::parse(name).ok_or_else(|| {
                let near = nearest(name, Class::ALL.iter().map(|class| class.as_str()));
                let near = near.map(|near| format!("{}.{near}", fact.key));
                let is_variable = matches!(found.at, Origin::Variable(_));
                let near = near.map(|near| if is_variable { variable_of(&near) } else { near });
                ConfigError::Unknown { at: found.at.clone(), key: format!("{}.{name}", fact.key), near }
            })?;
            let right = "a period: 24 hours, 30 days or 20 years";
            let period = text.and_then(Period::parse);
            Ok((class, period.ok_or_else(|| Given::wrong_entry(fact, name, found, right))?))
        });
        entries.collect()
    }
}

/// A setting that is a list of tables, each with parts of these names.
pub(super) trait Entry: Clone + std::fmt::Debug + 'static {
    const WHAT: &'static str;
    const NAMES: &'static [&'static str];

    fn of(parts: Parts) -> Result<Self, Wrong>;

    /// As a file would have it, on one line; none where it may hold a secret.
    fn as_toml(&self) -> Option<String> {
        None
    }
}

/// The name that is wrong, and what would be right.
pub(super) type Wrong = (&'static str, &'static str);

/// The parts of one table, by name.
pub(super) struct Parts(BTreeMap<String, Item>);

impl Parts {
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Wrong> {
        let text = |item: &Item| item.as_str().map(str::to_owned).ok_or((name, "text"));
        self.0.get(name).map(text).transpose()
    }

    /// Empty where there is none.
    pub(super) fn list(&self, name: &'static str) -> Result<Vec<String>, Wrong> {
        let list = |item: &Item| Vec::<String>::of_item(item).map_err(|_| (name, "a list of texts"));
        self.0.get(name).map_or(Ok(Vec::new()), list)
    }

    /// Empty where there is none.
    pub(super) fn map(&self, name: &'static str) -> Result<BTreeMap<String, String>, Wrong> {
        let wrong = (name, "a table of texts");
        let Some(item) = self.0.get(name) else { return Ok(BTreeMap::new()) };
        let text = |(key, item): (&str, &Item)| Some((key.to_owned(), item.as_str()?.to_owned()));
        item.as_table_like().ok_or(wrong)?.iter().map(text).collect::<Option<_>>().ok_or(wrong)
    }
}

impl<T: Entry> Value for Vec<T> {
    const WHAT: &'static str = T::WHAT;

    fn of_text(text: &str) -> Result<Self, Fault> {
        parse_item(text).ok_or(Fault::Type).and_then(|item| Self::of_item(&item))
    }

    fn of_item(item: &Item) -> Result<Self, Fault> {
        let tables: Option<Vec<&dyn TableLike>> = match item {
            Item::ArrayOfTables(tables) => Some(tables.iter().map(|table| table as &dyn TableLike).collect()),
            Item::Value(toml_edit::Value::Array(values)) => {
                values.iter().map(|value| value.as_inline_table().map(|table| table as &dyn TableLike)).collect()
            }
            _ => None,
        };
        tables.ok_or(Fault::Type)?.into_iter().enumerate().map(|(at, table)| entry(at, table)).collect()
    }

    fn shown(&self) -> Option<String> {
        Some("[]".to_owned())
    }

    fn as_toml(&self) -> Option<String> {
        let entries: Option<Vec<_>> = self.iter().map(T::as_toml).collect();
        Some(format!("[{}]", entries?.join(", ")))
    }
}

fn entry<T: Entry>(at: usize, table: &dyn TableLike) -> Result<T, Fault> {
    let place = |name: &str| {
        let span = table.get_key_value(name).and_then(|(key, _)| key.span());
        (format!("[{at}].{name}"), span)
    };
    if let Some((name, _)) = table.iter().find(|(name, _)| !T::NAMES.contains(name)) {
        let near = nearest(name, T::NAMES.iter().copied());
        let (inside, span) = place(name);
        return Err(Fault::Unknown { inside, span, near });
    }
    let parts = table.iter().map(|(name, item)| (name.to_owned(), item.clone())).collect();
    T::of(Parts(parts)).map_err(|(name, right)| {
        let (inside, span) = place(name);
        // Any of them may be a URL with a password in it.
        let found = if table.contains_key(name) { "is not that (it is not shown)" } else { "is missing" };
        Fault::Inside { inside, span, found, right }
    })
}
