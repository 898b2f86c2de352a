//! What a description of a table says: its id, how numbers and sealed texts are in it, what it names, when its period
//! is over, and who may read it. The descriptions themselves are in `aggregates`.

use crate::domain::audit::Action;
use crate::domain::retention::Class;

/// One table.
#[derive(Debug)]
pub struct Aggregate {
    pub table: &'static str,
    /// One column, or several divided by commas.
    pub id: &'static str,
    pub number: Number,
    /// Verdicts depend on it: who follows the feed learns about each change.
    pub is_listing: bool,
    /// What persons told. Each begins the names of two columns: `_key`, a wrapped key, and `_sealed`, what was sealed with it.
    pub sealed_texts: &'static [&'static str],
    /// Which records of other tables it names.
    pub references: &'static [Reference],
    /// When what is due for deletion. None: it goes with the record that it names.
    pub expiries: &'static [Expiry],
    /// It has an `organization_id`: whose it is.
    pub is_owned: bool,
    /// The reset of a sandbox removes what its organization wrote, and what stands under a magic number.
    pub is_reset: bool,
    /// What its person may read of it.
    pub citizen: Option<Shown>,
    /// What the audit log says about one record, by its id.
    pub actions: &'static [Action],
    /// Other columns that say something of a person or a card.
    pub personal: &'static [&'static str],
}

/// The form of a number in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Not at all.
    None,
    /// `lookup_key` and `key_version` alone: the row ends before the pepper that keyed it.
    Keyed,
    /// With `sealed_digest`, from which a rotation makes the key of another pepper.
    Rekeyed,
}

/// A column that names a record of other tables.
#[derive(Debug)]
pub struct Reference {
    pub column: &'static str,
    pub of: &'static [&'static str],
    pub when_gone: WhenGone,
}

/// What becomes of a row when the record that it names goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenGone {
    Delete,
    /// The row stays, and names nothing.
    Forget,
    /// Where a period is over the row stays for a period of its own; a reset takes it along.
    Outlive,
}

/// Which rows are due for deletion.
#[derive(Debug)]
pub struct Expiry {
    pub class: Class,
    pub due: &'static str,
    /// The column or expression that the condition's index is of: without the order PostgreSQL may prefer to read the table.
    pub order: &'static str,
    pub compared: Compared,
    /// These rows list a number until they go.
    pub is_listing: bool,
}

/// What a condition compares with.
#[derive(Debug, Clone, Copy)]
pub enum Compared {
    /// $1: the instant.
    Instant,
    /// $1: today.
    Today,
    /// $1: the instant, $2: its day.
    InstantAndDay,
    /// $1: the day of the instant.
    Day,
    /// $1: the last id that the instant gives out.
    Id,
}

impl Compared {
    /// How many values the condition takes.
    pub fn values(self) -> usize {
        match self {
            Self::Instant | Self::Today | Self::Day | Self::Id => 1,
            Self::InstantAndDay => 2,
        }
    }
}

/// What a citizen's portal may show: which list, its columns and the one that orders it, newest first.
#[derive(Debug)]
pub struct Shown {
    pub list: CitizenList,
    pub columns: &'static str,
    pub newest: &'static str,
}

/// The lists of a person's records.
#[derive(Debug, Clone, Copy)]
pub enum CitizenList {
    Reports,
    FoundCards,
    Certificates,
}

impl Reference {
    /// The statement, without its condition, that does to the rows of a table what becomes of them.
    pub fn statement(&self, table: &str) -> String {
        match self.when_gone {
            WhenGone::Delete | WhenGone::Outlive => format!("DELETE FROM {table}"),
            WhenGone::Forget => format!("UPDATE {table} SET {} = NULL", self.column),
        }
    }
}
