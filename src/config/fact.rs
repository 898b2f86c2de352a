//! What is known of a setting without its type: for the table, for flags, variables and errors.

/// How the variables of all settings begin.
pub(super) const PREFIX: &str = "LOSTCARD_";

/// Where a flag of a setting's name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    None,
    /// By every command.
    Global,
    /// By `serve`.
    Serve,
}

/// A setting without its type: for the table, for flags and for errors.
#[derive(Debug, Clone)]
pub struct Fact {
    /// `workers`, `registry.lease_ms`
    pub key: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    pub unit: &'static str,
    /// As a person would say it, code in backticks.
    pub default: String,
    /// What a right value is; empty where the type says all.
    pub right: String,
    /// What the table adds to it.
    pub note: &'static str,
    pub flag: Flag,
    /// How help names the value of the flag; empty: the flag takes none.
    pub value_name: &'static str,
    /// What the type takes.
    pub(super) what: &'static str,
    /// What it holds is never repeated.
    pub(super) is_secret: bool,
    /// Only what is wrong may hold a secret.
    pub(super) is_plain_when_right: bool,
    /// Entries of the operator's own choice under this key.
    pub(super) is_map: bool,
    pub(super) can_be: fn(&str) -> bool,
}

impl Fact {
    /// What a right value is, for the text of a flag that cannot be one.
    pub fn check_type(&self, text: &str) -> Result<(), String> {
        if (self.can_be)(text) { Ok(()) } else { Err(self.right_type()) }
    }

    /// What a value of another type must be, bounds included.
    pub(super) fn right_type(&self) -> String {
        if self.right.is_empty() { self.what.to_owned() } else { format!("{}: {}", self.what, self.right) }
    }

    /// `LOSTCARD_REGISTRY__LEASE_MS`
    pub fn variable(&self) -> String {
        variable_of(self.key)
    }
}

/// The variable of a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}
