//! What a person and a program get to read: lines on stdout and a JSON file.
//! Nothing here computes a figure.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Writes one line to stdout; a closed pipe is an error, not a panic.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Writes the report as pretty JSON where the caller asked for it.
pub(crate) fn json<T: Serialize>(path: Option<&Path>, report: &T) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Thousands separated by commas, for rates and counts.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_separated() {
        for (value, text) in [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (4_123_456.0, "4,123,456")] {
            assert_eq!(grouped(value), text);
        }
    }
}
