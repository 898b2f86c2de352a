//! What every command takes: where settings, data and keys are, and who acts and why.

use std::path::PathBuf;

use clap::Args;

use super::acting::Acting;
use super::exits::usage;
use super::flags::GlobalSettings;
use crate::clock::{Clock, beijing_date};
use crate::config::{Config, ConfigError};
use crate::domain::audit::Behind;
use crate::node::options;

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    #[command(flatten)]
    pub(super) settings: GlobalSettings,
    /// A configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) acting: Acting,
}

impl Global {
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Ok(self.settings_or_why()?)
    }

    /// The same, for those that look at why not.
    pub(super) fn settings_or_why(&self) -> Result<Config, ConfigError> {
        options::load(self.config.as_deref(), self.settings.overrides())
    }

    /// The same of who undoes what others did: both must be told, for the audit log keeps them with each act.
    pub(super) fn behind_undoing(&self) -> anyhow::Result<Behind> {
        let behind = self.behind()?;
        if behind.person.is_none() || behind.reason.is_none() {
            return Err(usage("an undoing needs --as NAME and --reason TEXT: the audit log keeps them with each act"));
        }
        Ok(behind)
    }

    /// Who acts and why, as the audit log keeps it.
    pub(super) fn behind(&self) -> anyhow::Result<Behind> {
        self.acting.behind(beijing_date(Clock::System.now_ms()))
    }
}
