//! What file, environment and flags gave, by key, with its place: a later layer wins. Whatever is in none of the sections is
//! refused here, in every layer.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::error::{ConfigError, Origin, nearest};
use super::fact::{Fact, PREFIX, variable_of};
use super::raw::{Fault, Found, Raw, parse_item, shown};
use crate::own_files;

/// Variables with the service's prefix that are not settings: the load generator's and the tests'.
const OTHER_VARIABLES: [&str; 6] =
    ["client_id", "client_secret", "test_store", "test_redis", "test_rounds", "test_seed"];

/// Everything that was given.
pub(super) struct Given {
    facts: Vec<Fact>,
    found: BTreeMap<String, Found>,
    /// The text of the file, for the lines of what stands inside a value.
    text: String,
}

impl Given {
    pub(super) fn new(facts: Vec<Fact>) -> Self {
        Self { facts, found: BTreeMap::new(), text: String::new() }
    }

    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        if !path.is_file() {
            return Err(ConfigError::NoFile(path.to_owned()));
        }
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        self.text = own_files::read_text(path).map_err(unreadable)?;
        let document = Document::parse(self.text.clone()).map_err(|error| {
            let at = Origin::File { path: path.to_owned(), line: line(&self.text, error.span()) };
            ConfigError::NotToml { at, problem: error.message().trim().replace('\n', ", ") }
        })?;
        self.walk(document.as_table(), "", &|text, span| Origin::File { path: path.to_owned(), line: line(text, span) })
    }

    /// The text of a key, where the file set it.
    fn of_file(&self, key: &str) -> Option<&str> {
        self.find(key).filter(|found| matches!(found.at, Origin::File { .. }))?.raw.text()
    }

    /// A file with a password is as strict as a key file.
    pub(super) fn check_owner(&self, path: &Path) -> Result<(), ConfigError> {
        let holds_password = |fact: &&Fact| fact.is_secret && self.of_file(fact.key).is_some_and(holds_password);
        let Some(fact) = self.facts.iter().find(holds_password) else { return Ok(()) };
        let judged = own_files::judge_file(path);
        let judged = judged.map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        judged.map_err(|why| {
            let (key, variable) = (fact.key.to_owned(), fact.variable());
            ConfigError::TooOpen { path: path.to_owned(), why, key, variable }
        })
    }

    pub(super) fn add_variables(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let Some(key) = name.to_ascii_uppercase().strip_prefix(PREFIX).map(str::to_lowercase) else { continue };
            if OTHER_VARIABLES.contains(&key.as_str()) {
                continue;
            }
            self.add_text(&key.replace("__", "."), text, Origin::Variable(name))?;
        }
        Ok(())
    }

    pub(super) fn add_flags(&mut self, flags: Vec<(&str, String)>) -> Result<(), ConfigError> {
        for (key, text) in flags {
            self.add_text(key, text, Origin::Flag(format!("--{}", key.replace('_', "-"))))?;
        }
        Ok(())
    }

    fn add_text(&mut self, key: &str, text: String, at: Origin) -> Result<(), ConfigError> {
        match self.fact(key) {
            Some(fact) if fact.is_map => {
                let item = parse_item(&text).filter(Item::is_table_like);
                let whole = item.as_ref().and_then(Item::as_table_like);
                let Some(entries) = whole else {
                    return Err(Self::wrong_at(at, key, &Raw::Text(text)));
                };
                return self.walk(entries, &format!("{key}."), &|_, _| at.clone());
            }
            None if !self.is_entry(key) => return Err(self.unknown(at, key)),
            _ => {}
        }
        self.found.insert(key.to_owned(), Found { at, raw: Raw::Text(text) });
        Ok(())
    }

    /// Takes what is under `prefix`; `place` makes a place of a part of the file.
    fn walk(
        &mut self,
        table: &dyn TableLike,
        prefix: &str,
        place: &dyn Fn(&str, Option<Range<usize>>) -> Origin,
    ) -> Result<(), ConfigError> {
        for (name, item) in table.iter() {
            let key = format!("{prefix}{name}");
            let span = table.get_key_value(name).and_then(|(key, _)| key.span()).or_else(|| item.span());
            let at = place(&self.text, span);
            let is_value = self.fact(&key).map_or(self.is_entry(&key), |fact| !fact.is_map);
            if is_value {
                self.found.insert(key, Found { at, raw: Raw::Item(item.clone()) });
            } else if self.facts.iter().any(|fact| fact.key == key || section(fact.key) == Some(&key)) {
                let Some(below) = item.as_table_like() else {
                    return Err(Self::wrong_at(at, &key, &Raw::Item(item.clone())));
                };
                self.walk(below, &format!("{key}."), place)?;
            } else if let Some(inside) = self.first_inside(&key, item) {
                // No section has a name like it: what somebody meant is told by what is in it.
                self.walk(inside, &format!("{key}."), place)?;
            } else {
                return Err(self.unknown(at, &key));
            }
        }
        Ok(())
    }

    /// What is in an unknown section whose own name is not like that of any section. Nothing in it is known either.
    fn first_inside<'a>(&self, key: &str, item: &'a Item) -> Option<&'a dyn TableLike> {
        let sections = self.facts.iter().filter_map(|fact| section(fact.key));
        let inside = item.as_table_like().filter(|inside| !inside.is_empty());
        inside.filter(|_| nearest(key, sections).is_none())
    }

    fn fact(&self, key: &str) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.key == key)
    }

    /// Whether a key is an entry of a map.
    fn is_entry(&self, key: &str) -> bool {
        key.rsplit_once('.').and_then(|(map, _)| self.fact(map)).is_some_and(|fact| fact.is_map)
    }

    pub(super) fn find(&self, key: &str) -> Option<&Found> {
        self.found.get(key)
    }

    /// The entries of a map.
    pub(super) fn entries<'a>(&'a self, map: &'a str) -> impl Iterator<Item = (&'a str, &'a Found)> {
        let entries =
            self.found.iter().filter_map(move |(key, found)| Some((key.as_str(), key.strip_prefix(map)?, found)));
        entries.filter_map(|(_, rest, found)| Some((rest.strip_prefix('.')?, found)))
    }

    /// Where each key was set.
    pub(super) fn origins(&self) -> BTreeMap<String, Origin> {
        self.found.iter().map(|(key, found)| (key.clone(), found.at.clone())).collect()
    }

    fn unknown(&self, at: Origin, key: &str) -> ConfigError {
        let is_variable = matches!(at, Origin::Variable(_));
        let sections = self.facts.iter().filter_map(|fact| section(fact.key));
        let is_inside = |fact: &Fact| fact.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if is_variable && self.facts.iter().any(is_inside) {
            return ConfigError::Section { at, key: key.to_owned(), variable: variable_of(key) };
        }
        // No variable sets a section: what is meant is one of its keys.
        let sections = sections.filter(|_| !is_variable);
        let known = self.facts.iter().map(|fact| fact.key);
        // A key that is right but for its section, too.
        let elsewhere = || known.clone().find(|known| known.rsplit('.').next() == key.rsplit('.').next());
        let near = nearest(key, known.clone().chain(sections)).or_else(|| elsewhere().map(str::to_owned));
        // One that is wrong in both.
        let near = near.or_else(|| {
            let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
            let name = nearest(key.rsplit('.').next()?, known.clone().map(last))?;
            known.clone().find(|known| last(known) == name).map(str::to_owned)
        });
        let variable = |near: String| self.fact(&near).map_or(near, Fact::variable);
        let near = if is_variable { near.map(variable) } else { near };
        ConfigError::Unknown { at, key: key.to_owned(), near }
    }

    fn wrong_at(at: Origin, key: &str, raw: &Raw) -> ConfigError {
        let right = format!("a section, [{key}]");
        ConfigError::Wrong { at, key: key.to_owned(), found: shown(raw, false), right }
    }

    /// The value of a setting is not one. Without a fault: it is out of bounds.
    pub(super) fn wrong(&self, fact: &Fact, fault: Option<Fault>) -> ConfigError {
        let (key, right) = (fact.key.to_owned(), fact.right.clone());
        let Some(Found { at, raw }) = self.find(fact.key) else {
            return ConfigError::Wrong { at: Origin::Default, key, found: format!("is {}", fact.default), right };
        };
        let mut at = at.clone();
        let found = shown(raw, fact.is_secret);
        let Some(fault) = fault else {
            return ConfigError::Wrong { at, key, found, right };
        };
        if let (Origin::File { line: of_key, .. }, Some(span)) = (&mut at, fault.span()) {
            *of_key = line(&self.text, Some(span));
        }
        match fault {
            Fault::Type => ConfigError::Wrong { at, key, found, right: fact.right_type() },
            Fault::Unknown { inside, near, .. } => ConfigError::Unknown { at, key: key + &inside, near },
            Fault::Inside { inside, found, right, .. } => {
                ConfigError::Wrong { at, key: key + &inside, found: found.to_owned(), right: right.to_owned() }
            }
        }
    }

    /// The value of an entry of a map is not one.
    pub(super) fn wrong_entry(map: &Fact, name: &str, found: &Found, right: &str) -> ConfigError {
        let (at, key) = (found.at.clone(), format!("{}.{name}", map.key));
        ConfigError::Wrong { at, key, found: shown(&found.raw, false), right: right.to_owned() }
    }
}

/// Whether a URL names one: behind its user (RFC 3986, 3.2.1), or as an option.
fn holds_password(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    authority.is_some_and(|(user, _)| user.contains(':')) || url.contains("password=")
}

fn section(key: &str) -> Option<&str> {
    key.rsplit_once('.').map(|(section, _)| section)
}

fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    text[..start].matches('\n').count() + 1
}

/// What flags set, by key. The command line checks the types where it can.
#[derive(Clone, Default)]
pub struct Overrides(pub(super) Vec<(&'static str, String)>);

/// The keys alone: a URL may hold a password.
impl std::fmt::Debug for Overrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Overrides {
    /// One more setting.
    #[must_use]
    pub fn set(mut self, key: &'static str, text: impl Into<String>) -> Self {
        self.0.push((key, text.into()));
        self
    }

    /// With others behind them.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether a setting is among them.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(set, _)| *set == key)
    }

    /// The same with a path.
    #[must_use]
    pub fn set_path(self, key: &'static str, path: &Path) -> Self {
        self.set(key, path.to_string_lossy())
    }
}
