//! What every command takes: where settings, data and keys are.

use std::path::PathBuf;

use clap::Args;

use super::flags::GlobalSettings;
use crate::config::Config;
use crate::node::options;

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    #[command(flatten)]
    pub(super) settings: GlobalSettings,
    /// A configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(super) config: Option<PathBuf>,
}

impl Global {
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Ok(options::load(self.config.as_deref(), self.settings.overrides())?)
    }
}
