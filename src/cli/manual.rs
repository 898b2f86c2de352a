//! `completions` and `man`: what shells and `man` know of the commands, made from the commands themselves. Neither touches
//! settings, keys or the store.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output;
use crate::own_files;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lostcard completions bash > /etc/bash_completion.d/lostcard
  lostcard completions zsh > \"${fpath[1]}/_lostcard\"
  lostcard completions fish > ~/.config/fish/completions/lostcard.fish")]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lostcard man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder to write to; made if absent
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// `completions`
pub(super) fn completions(mut commands: Command, args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut commands, "lostcard", &mut script);
    output::line(String::from_utf8(script)?.trim_end());
    Ok(())
}

/// `man`: a page for each command, `lostcard-client-create.1` and its like.
pub(super) fn man(commands: Command, args: &ManArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    let mut root = commands.disable_help_subcommand(true);
    root.build();
    write_pages(&root, args)
}

fn write_pages(command: &Command, args: &ManArgs) -> anyhow::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, args)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    // No date: the same version gives the same bytes.
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .date("")
        .source(concat!("lostcard ", env!("CARGO_PKG_VERSION")))
        .manual("lostcard");
    let mut text = Vec::new();
    page.render(&mut text)?;
    let path = args.folder.join(page.get_filename());
    own_files::write_public(&path, with_examples(&String::from_utf8(text)?)).with_context(|| path.display().to_string())
}

/// The examples get a heading of their own, with their lines as they are.
fn with_examples(page: &str) -> String {
    let Some((before, rest)) = page.split_once(".SH EXTRA\n") else {
        return page.to_owned();
    };
    let (examples, after) =
        rest.split_once(".SH ").map_or((rest, String::new()), |(examples, after)| (examples, format!(".SH {after}")));
    let examples = examples.strip_prefix("Examples:\n").unwrap_or(examples);
    format!("{before}.SH EXAMPLES\n.nf\n{examples}.fi\n{after}")
}
