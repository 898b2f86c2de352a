//! What is wrong with a setting: where it was set, what was found there, what would be right. Never the value of what may
//! hold a secret.

use std::fmt;
use std::path::PathBuf;

use crate::own_files::TooOpen;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default settings"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A setting is unknown, malformed, out of its bounds, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration file {0} does not exist")]
    NoFile(PathBuf),
    #[error("configuration file {path}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("configuration file {path} {why}, and `{key}` holds a password: chmod 600 it, or set {variable}")]
    TooOpen { path: PathBuf, why: TooOpen, key: String, variable: String },
    #[error("{at}: not TOML: {problem}")]
    NotToml { at: Origin, problem: String },
    #[error("{at}: unknown key `{key}`{}", near.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown { at: Origin, key: String, near: Option<String> },
    #[error("{at}: `{key}` is a section: set its keys, {variable}__...")]
    Section { at: Origin, key: String, variable: String },
    #[error("{at}: `{key}` {found}; it must be {right}")]
    Wrong { at: Origin, key: String, found: String, right: String },
}

/// The candidate that differs least from `wrong`, if it does not differ by much.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let most = (wrong.len() / 3).max(1);
    let near = candidates.map(|candidate| (distance(wrong, candidate), candidate));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, candidate)| candidate.to_owned())
}

/// How many letters to insert, remove, replace or swap with their neighbour (Damerau and Levenshtein, restricted).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: [Vec<usize>; 3] = [Vec::new(), (0..=to.len()).collect(), Vec::new()];
    for i in 1..=from.len() {
        let [before, last, row] = &mut rows;
        *row = vec![i];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut edits = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                edits = edits.min(before[j - 2] + 1);
            }
            row.push(edits);
        }
        rows.rotate_left(1);
    }
    rows[1][to.len()]
}
