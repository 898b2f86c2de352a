//! What every command takes: where settings, data and keys are.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Overrides};

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// The sandbox instead of the production: its own data folder, keys and issuer
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) sandbox: bool,
    /// The data folder [default: ./lostcard-data; of a sandbox ./lostcard-sandbox]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(super) data: Option<PathBuf>,
    /// A configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(super) config: Option<PathBuf>,
    /// The key folder [default: keys in the data folder]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    keys: Option<PathBuf>,
    /// The store: sqlite:PATH, or the URL of a PostgreSQL database [default: lostcard.db in the data folder]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    database_url: Option<String>,
}

impl Global {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            sandbox: self.sandbox.then_some(true),
            data: self.data.clone(),
            keys: self.keys.clone(),
            database_url: self.database_url.clone(),
            ..Overrides::default()
        }
    }

    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref(), self.overrides())?)
    }
}
