//! Writing to the terminal or to a pipe: a reader that went away is no failure.

use std::io::Write;

/// A line of result.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line for the person who watches.
pub(super) fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A result: JSON for scripts, or lines for people.
pub(super) fn result(json: bool, value: &serde_json::Value, lines: &[String]) {
    if json {
        line(&value.to_string());
    } else {
        for text in lines {
            line(text);
        }
    }
}
