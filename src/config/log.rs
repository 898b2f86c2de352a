//! How much is logged.

use super::raw::Fault;
use super::value::{Value, texts};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

impl LogLevel {
    fn parse(text: &str) -> Option<Self> {
        LEVELS.iter().find(|(word, _)| *word == text).map(|(_, level)| *level)
    }

    fn word(self) -> String {
        LEVELS.iter().find(|(_, level)| *level == self).map_or(String::new(), |(word, _)| (*word).to_owned())
    }
}

texts! {
    LogLevel: "`error`, `warn`, `info`, `debug` or `trace`", Self::parse, |level| level.word();
}
