//! `import`: stub while it is being written.
use super::Global;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    pub file: PathBuf,
}
pub(super) async fn import(_global: &Global, _args: ImportArgs) -> anyhow::Result<()> {
    Ok(())
}
