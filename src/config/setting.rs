//! What one setting is: key, default, bounds and meaning, in one place. A section is a struct whose fields are written with
//! [`section!`]; reading, bounds, flags and the table of docs/CONFIGURATION.md come from there.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::error::ConfigError;
use super::fact::{Fact, Flag};
use super::given::Given;
use super::value::Value;

/// A setting of one type.
pub(super) struct Setting<T> {
    pub(super) fact: Fact,
    default: T,
    holds: Box<dyn Fn(&T) -> bool>,
}

impl<T: Value> Setting<T> {
    pub(super) fn new(key: &'static str, about: &'static str, default: T) -> Self {
        let fact = Fact {
            key,
            about: about.trim(),
            unit: "",
            default: default.shown().map_or("none".to_owned(), |text| format!("`{text}`")),
            right: String::new(),
            note: "",
            flag: Flag::None,
            value_name: "",
            what: T::WHAT,
            is_secret: false,
            is_plain_when_right: false,
            is_map: T::IS_MAP,
            can_be: |text| T::of_text(text).is_ok(),
        };
        Self { fact, default, holds: Box::new(|_| true) }
    }

    pub(super) fn unit(mut self, unit: &'static str) -> Self {
        self.fact.unit = unit;
        self
    }

    /// How the default is said where its value alone would not tell.
    pub(super) fn default_is(mut self, words: &str) -> Self {
        words.clone_into(&mut self.fact.default);
        self
    }

    /// What is right. Where `holds` cannot judge it all, the node does when it makes its options.
    pub(super) fn must(mut self, holds: fn(&T) -> bool, right: &str) -> Self {
        right.clone_into(&mut self.fact.right);
        self.holds = Box::new(holds);
        self
    }

    pub(super) fn right_is(self, right: &str) -> Self {
        self.must(|_| true, right)
    }

    /// What else the table says of it.
    pub(super) fn note(mut self, note: &'static str) -> Self {
        self.fact.note = note;
        self
    }

    /// May hold a password: never repeated.
    pub(super) fn secret(mut self) -> Self {
        self.fact.is_secret = true;
        self
    }

    /// What is wrong may hold a password, what is right does not.
    pub(super) fn plain_when_right(mut self) -> Self {
        self.fact.is_plain_when_right = true;
        self
    }

    pub(super) fn flag(mut self, flag: Flag, value_name: &'static str) -> Self {
        (self.fact.flag, self.fact.value_name) = (flag, value_name);
        self
    }

    pub(super) fn read(self, given: &Given) -> Result<T, ConfigError> {
        let value = T::read(&self.fact, &self.default, given)?;
        if (self.holds)(&value) { Ok(value) } else { Err(given.wrong(&self.fact, None)) }
    }
}

impl<T: Value + PartialOrd + Display + Copy> Setting<T> {
    pub(super) fn within(mut self, range: RangeInclusive<T>) -> Self {
        self.fact.right = format!("{} to {}", range.start(), range.end());
        self.holds = Box::new(move |value| range.contains(value));
        self
    }
}

/// A group of settings.
pub(super) trait Section: Sized {
    fn facts() -> Vec<Fact>;
    fn read(given: &Given) -> Result<Self, ConfigError>;
    /// Each setting with its value as a file would have it; none where nothing is set.
    fn written(&self) -> Vec<(Fact, Option<String>)>;
}

/// A struct of settings: for each its meaning, key, type, default, and what else there is to say of it.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident in $prefix:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr $(, $word:ident($($argument:expr),*))* ;
            )*
        }
        $(with { $($section:ident: $section_type:ty),* $(,)? })?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
            $($(pub $section: $section_type,)*)?
        }

        impl $name {
            $(fn $field() -> $crate::config::setting::Setting<$type> {
                let key = concat!($prefix, stringify!($field));
                $crate::config::setting::Setting::new(key, concat!($($doc),+), $default)$(.$word($($argument),*))*
            })*
        }

        impl $crate::config::setting::Section for $name {
            fn facts() -> Vec<$crate::config::fact::Fact> {
                [
                    vec![$(Self::$field().fact),*],
                    $($(<$section_type as $crate::config::setting::Section>::facts()),*)?
                ]
                .concat()
            }

            fn read(
                given: &$crate::config::given::Given,
            ) -> Result<Self, $crate::config::error::ConfigError> {
                Ok(Self {
                    $($field: Self::$field().read(given)?,)*
                    $($($section: <$section_type as $crate::config::setting::Section>::read(given)?,)*)?
                })
            }

            fn written(&self) -> Vec<($crate::config::fact::Fact, Option<String>)> {
                [
                    vec![$((
                        Self::$field().fact,
                        $crate::config::value::Value::as_toml(&self.$field),
                    )),*],
                    $($($crate::config::setting::Section::written(&self.$section)),*)?
                ]
                .concat()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $(if Self::$field().fact.is_secret {
                    shown.field(stringify!($field), &"(not shown)");
                } else {
                    shown.field(stringify!($field), &self.$field);
                })*
                $($(shown.field(stringify!($section), &self.$section);)*)?
                shown.finish()
            }
        }
    };
}

pub(super) use section;
