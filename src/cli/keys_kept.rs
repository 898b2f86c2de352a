//! `keys init|list|retire`: what lies in a key folder. `init` needs no store: keys are made in one place and copied to every node.
//! `retire` removes what nothing needs any more, and refuses what something needs.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::global::Global;
use super::opening;
use super::output;
use crate::clock::{Clock, Rfc3339};
use crate::config::Config;
use crate::crypto::key_list::{KeyFile, KeyPart};
use crate::crypto::keyfiles::{KeyFolder, Purpose};

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Make the store too, and compare: what is there already stays as it is
    #[arg(long)]
    store: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RetireArgs {
    /// Which one
    #[arg(value_name = "VERSION")]
    number: u32,
    /// A pepper that no row is keyed by
    #[arg(long, required_unless_present = "tokens", conflicts_with = "tokens")]
    pepper: bool,
    /// The public half of a key of access tokens that was rotated out
    #[arg(long)]
    tokens: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `keys init`
pub(super) async fn init(global: &Global, args: &InitArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let folder = KeyFolder::new(config.key_folder());
    if args.store {
        let (store, _) = opening::open(&config).await?;
        store.close().await;
        return show(&folder, args.json, "keys");
    }
    if !folder.is_empty() {
        bail!("{} is not empty: keys are made once, and never in the place of others", folder.path().display());
    }
    if config.sandbox {
        folder.mark_as_sandbox()?;
    }
    folder.create_all()?;
    if config.blind.enabled {
        folder.create_first(Purpose::Log)?;
    }
    show(&folder, args.json, "made")
}

/// `keys list`
pub(super) fn list(global: &Global, args: &ListArgs) -> anyhow::Result<()> {
    show(&KeyFolder::new(global.config()?.key_folder()), args.json, "keys")
}

/// `keys retire`
pub(super) async fn retire(global: &Global, args: &RetireArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let folder = KeyFolder::new(config.key_folder());
    let (purpose, part) =
        if args.pepper { (Purpose::Pepper, KeyPart::Secret) } else { (Purpose::Token, KeyPart::Public) };
    let files = files(&folder)?;
    let is_it = |file: &&KeyFile| (file.purpose, file.version, file.part) == (purpose, args.number, part);
    let Some(file) = files.iter().find(is_it) else {
        bail!("there is no {} {} to retire in {}", purpose.as_str(), args.number, folder.path().display());
    };
    if args.pepper {
        look_for_rows(&config, &folder, args.number).await?;
    } else {
        look_for_tokens(&config, file)?;
    }
    folder.remove(file)?;
    let line = format!("{} {} is removed here: remove it from every node's folder", purpose.as_str(), args.number);
    output::result(
        args.json,
        &json!({"purpose": purpose.as_str(), "version": args.number, "state": "removed"}),
        &[line],
    );
    Ok(())
}

/// Refuses a pepper that rows, watches or another pepper need.
async fn look_for_rows(config: &Config, folder: &KeyFolder, version: u32) -> anyhow::Result<()> {
    let nested = folder.pepper_files()?.into_iter().find(|pepper| pepper.nested_in == Some(version));
    if let Some(outer) = nested {
        bail!("pepper {} is nested in pepper {version}: without it no number would be found", outer.version);
    }
    let (store, _) = opening::open(config).await?;
    let in_use = store.key_versions().await?;
    let watches = store.watch_versions().await?;
    let newest = store.newest_known_pepper().await?;
    let orders_an_import = store.has_import_ordered_by(version).await?;
    store.close().await;
    if in_use.all().any(|used| used == version) {
        bail!("rows are keyed by pepper {version}: `keys rotate --pepper` keys them by a new one first");
    }
    if watches.contains(&version) {
        bail!("watches are keyed by pepper {version}: they end seven days after the rotation");
    }
    if orders_an_import {
        bail!("an import that was stopped needs pepper {version}: run its command again, which continues it");
    }
    if version > newest {
        bail!("pepper {version} is newer than any that the store knows: it waits for its rotation");
    }
    Ok(())
}

/// Refuses a key whose tokens may be in use.
fn look_for_tokens(config: &Config, file: &KeyFile) -> anyhow::Result<()> {
    let lifetime = Duration::from_secs(config.tokens.lifetime_seconds.unsigned_abs());
    let left = lifetime.saturating_sub(Clock::System.now_ms().since(file.written_ms));
    if !left.is_zero() {
        bail!("tokens that it signed are valid for up to {} s more", left.as_secs());
    }
    Ok(())
}

fn files(folder: &KeyFolder) -> anyhow::Result<Vec<KeyFile>> {
    let shown = folder.path().display();
    folder.list().with_context(|| format!("key folder {shown}"))?.with_context(|| format!("there is no folder {shown}"))
}

fn show(folder: &KeyFolder, json: bool, name: &str) -> anyhow::Result<()> {
    let files = files(folder)?;
    let told = files.iter().map(|file| told(file, &files)).collect::<Vec<_>>();
    let lines: Vec<_> = told.iter().map(line).collect();
    output::result(json, &json!({"folder": folder.path().display().to_string(), name: told}), &lines);
    Ok(())
}

fn told(file: &KeyFile, all: &[KeyFile]) -> Value {
    // The list has the newest first.
    let is_newest = all.iter().find(|other| other.purpose == file.purpose).is_some_and(|newest| newest == file);
    let state = match (file.part, file.purpose.signs()) {
        (KeyPart::Public, _) => "retired",
        (KeyPart::Secret, true) if is_newest => "signs",
        (KeyPart::Secret, false) if is_newest => "newest",
        (KeyPart::Secret, _) => "older",
    };
    let mut value = json!({
        "purpose": file.purpose.as_str(), "version": file.version, "state": state,
        "file": file.path.file_name().map(|name| name.to_string_lossy().into_owned()),
        "written_at": Rfc3339::of(file.written_ms).as_str(),
    });
    if let Some(why) = file.refusal {
        value["refused"] = json!(why.to_string());
    }
    value
}

fn line(told: &Value) -> String {
    let text = |name: &str| told[name].as_str().unwrap_or_default();
    let refused = told.get("refused").map_or(String::new(), |_| format!("  refused: it {}", text("refused")));
    let (purpose, version, state) = (text("purpose"), &told["version"], text("state"));
    format!("{purpose:11} {version:>3}  {state:7}  {}  {}{refused}", text("written_at"), text("file"))
}
