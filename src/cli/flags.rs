//! Flags that are settings: name, help and default come from the setting itself, so that none stands here a second time.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::{Config, Fact, Flag, Overrides};

/// The settings that every command takes as flags.
#[derive(Debug, Clone, Default)]
pub(super) struct GlobalSettings(Overrides);

/// The settings that `serve` takes as flags.
#[derive(Debug, Clone, Default)]
pub(super) struct ServeSettings(Overrides);

impl GlobalSettings {
    pub(super) fn overrides(&self) -> Overrides {
        self.0.clone()
    }
}

impl ServeSettings {
    /// With those of every command.
    pub(super) fn overrides(&self, global: &GlobalSettings) -> Overrides {
        global.overrides().and(self.0.clone())
    }
}

fn facts(of: Flag) -> impl Iterator<Item = Fact> {
    Config::settings().into_iter().filter(move |fact| fact.flag == of)
}

fn augment(command: Command, of: Flag) -> Command {
    facts(of).fold(command, |command, fact| command.arg(argument(fact)))
}

fn argument(fact: Fact) -> Arg {
    let about = fact.about.trim_end_matches('.').replace('`', "");
    let argument = Arg::new(fact.key).long(fact.key.replace('_', "-"));
    let argument = match fact.flag {
        Flag::Global => argument.global(true).help_heading("Global options"),
        _ => argument,
    };
    if fact.value_name.is_empty() {
        return argument.help(about).action(ArgAction::SetTrue);
    }
    let help = match fact.default.as_str() {
        "none" => about,
        default => format!("{about} [default: {}]", default.replace("`0`: ", "").replace('`', "")),
    };
    let value_name = fact.value_name;
    let parse = move |text: &str| match fact.check_type(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(right) => Err(format!("it must be {right}")),
    };
    argument.help(help).value_name(value_name).value_parser(parse)
}

fn given(matches: &ArgMatches, of: Flag) -> Overrides {
    facts(of).fold(Overrides::default(), |overrides, fact| {
        let text = if fact.value_name.is_empty() {
            matches.get_flag(fact.key).then(|| "true".to_owned())
        } else {
            matches.get_one::<String>(fact.key).cloned()
        };
        match text {
            Some(text) => overrides.set(fact.key, text),
            None => overrides,
        }
    })
}

macro_rules! flags {
    ($($settings:ident: $flag:expr;)*) => {$(
        impl Args for $settings {
            fn augment_args(command: Command) -> Command {
                augment(command, $flag)
            }

            fn augment_args_for_update(command: Command) -> Command {
                augment(command, $flag)
            }
        }

        impl FromArgMatches for $settings {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
                Ok(Self(given(matches, $flag)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
                self.0 = given(matches, $flag);
                Ok(())
            }
        }
    )*};
}

flags! {
    GlobalSettings: Flag::Global;
    ServeSettings: Flag::Serve;
}
