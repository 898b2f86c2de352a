//! Arguments that people write in their own words. What the argument parser says of a wrong value repeats it, and one of these may hold
//! an identity number: its refusal says what would be right, and nothing of what was given.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Reads a value by a function that says what would be right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unrepeated<T>(pub(super) fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Unrepeated<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let parsed = value.to_str().ok_or_else(|| "it must be text in UTF-8".to_owned()).and_then(self.0);
        parsed.map_err(|right| {
            let argument = argument.map(|argument| format!(" for '{argument}'")).unwrap_or_default();
            Error::raw(ErrorKind::ValueValidation, format!("invalid value{argument}: {right}\n")).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_repeat_the_value() {
        let parse = |text: &str| if text == "right" { Ok(()) } else { Err("it must be right".to_owned()) };
        let command = || Command::new("x").arg(Arg::new("name").long("name").value_parser(Unrepeated(parse)));
        assert!(command().try_get_matches_from(["x", "--name", "right"]).is_ok());
        let error = command().try_get_matches_from(["x", "--name", "11010519491231002X"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let said = error.to_string();
        assert!(said.contains("--name") && said.contains("it must be right") && !said.contains("1101"), "{said}");
    }
}
