//! The table of settings in docs/CONFIGURATION.md, made of the settings themselves.

use super::Config;
use super::fact::{Fact, Flag};

impl Config {
    /// The table, in Markdown.
    pub(super) fn table() -> String {
        let head = "| key | what | unit | default | right | environment | flag |\n|---|---|---|---|---|---|---|\n";
        Self::settings().iter().fold(head.to_owned(), |table, fact| table + &row(fact))
    }
}

fn row(fact: &Fact) -> String {
    let name = fact.key.replace('_', "-");
    let flag = match fact.flag {
        Flag::None => String::new(),
        Flag::Global => format!("`--{name}`"),
        Flag::Serve => format!("`serve --{name}`"),
    };
    let variable = if fact.is_map {
        format!("`{}__SIGHTINGS` and its like", fact.variable())
    } else {
        format!("`{}`", fact.variable())
    };
    let Fact { key, about, unit, default, note, .. } = fact;
    let right = if fact.right.is_empty() { fact.what } else { fact.right.as_str() };
    let right = if note.is_empty() { right.to_owned() } else { format!("{right}; {note}") };
    format!("| `{key}` | {about} | {unit} | {default} | {right} | {variable} | {flag} |\n").replace("|  |", "| |")
}
