//! `openapi`: writes the document's two versions and its part for each role, or checks that the written ones are current.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::output;
use crate::http::contract::openapi::all_files;
use crate::http::routes::{TABLE, document};
use crate::own_files;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lostcard openapi --output openapi
  lostcard openapi --check openapi")]
pub(super) struct OpenapiArgs {
    /// The folder to write lostcard.json (3.1), lostcard-3.0.json and each role's part to, or a .json file for 3.1 alone; standard output if absent
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    output: Option<PathBuf>,
    /// Fail if the files in this folder are not current
    #[arg(long, value_name = "DIR")]
    check: Option<PathBuf>,
}

/// `openapi`
pub(super) fn openapi(args: &OpenapiArgs) -> anyhow::Result<()> {
    let files = all_files(&document(), TABLE)?;
    if let Some(folder) = &args.check {
        for (name, text) in &files {
            let path = folder.join(name);
            let written = own_files::read_text(&path).with_context(|| path.display().to_string())?;
            if written != *text {
                bail!("{} is not current: run `cargo run -- openapi --output openapi`", path.display());
            }
        }
        output::line("the OpenAPI document is current");
    } else if let Some(file) = args.output.as_ref().filter(|path| path.extension().is_some_and(|end| end == "json")) {
        own_files::write_public(file, &files[0].1)?;
    } else if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder)?;
        for (name, text) in &files {
            own_files::write_public(&folder.join(name), text)?;
        }
    } else {
        output::line(files[0].1.trim_end());
    }
    Ok(())
}
