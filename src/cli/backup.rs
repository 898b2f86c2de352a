//! `backup` and `restore`: a copy of the store while nodes serve from it, and a new data folder made of one.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::exits::{or_try_again, refused, usage};
use super::global::Global;
use super::output;
use crate::clock::Clock;
use crate::crypto::age::{Identities, Recipient};
use crate::crypto::keyfiles::KeyFolder;
use crate::node;
use crate::own_files;
use crate::service::backup::{self, BackupError, Done, KeysFrom, Manifest};
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
#[command(after_help = "\
Nodes may be running: the back-up holds what was stored at one moment, whole. It holds no keys, unless it is told who may open
them: without the keys nobody can read it, and with them anybody could. `age-keygen -o identity.txt` makes such a pair; keep the
identity where the back-ups are not. `sha256sum -c SHA256SUMS` in the folder tells whether all of it is there.

Examples:
  lostcard backup /backup/2026-11-29 --data /var/lib/lostcard
  lostcard backup /backup/2026-11-29 --database-url postgres://... --keys-for age1...")]
pub(super) struct BackupArgs {
    /// A new folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Seal the keys for this recipient of age (age1...) and put them in; several times for several, each of whom can open them
    #[arg(long, value_name = "RECIPIENT", value_parser = Recipient::parse)]
    keys_for: Vec<Recipient>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The data folder must not exist. A back-up of PostgreSQL goes into a new, empty database, which --database-url names. The restored
store has another epoch: nodes take nothing that they remember of before for its own. Reports since the back-up are missing: tell
those who filed them. --keys FOLDER only makes sure that these are the keys; start nodes with it, too.

Examples:
  lostcard restore /backup/2026-11-29 --data /var/lib/lostcard-restored --identity identity.txt
  lostcard restore /backup/2026-11-29 --data /var/lib/lostcard-restored --keys /etc/lostcard/keys
  createdb -O lostcard lostcard_restored
  lostcard restore /backup/2026-11-29 --data NEW --identity identity.txt --database-url postgres://.../lostcard_restored")]
pub(super) struct RestoreArgs {
    /// The folder of a back-up
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A file with the identity (AGE-SECRET-KEY-1...) that opens the keys in the back-up
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `backup`
pub(super) async fn backup(global: &Global, args: BackupArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let opened = Store::open_as_it_is(&node::patient_options(&config), &config.data).await;
    let store = opened.and_then(|store| store.ok_or(StoreError::Absent));
    let store = store.with_context(|| format!("data folder {}", config.data.display())).map_err(or_try_again)?;
    let keys = KeyFolder::new(config.key_folder());
    let for_whom = (!args.keys_for.is_empty()).then_some((&keys, args.keys_for.as_slice()));
    let made = backup::back_up(&store, for_whom, &args.folder, &Clock::System).await;
    store.close().await;
    let (manifest, bytes) = made.map_err(of_kind)?;
    let copied = &manifest.copied;
    let value = json!({
        "folder": args.folder, "database": copied.database, "made_at": manifest.made_at().as_str(), "bytes": bytes,
        "epoch": copied.epoch, "sequence": copied.sequence.get(), "keys": manifest.keys,
    });
    let keys = match &manifest.keys {
        None => "no keys are in it: back the key folder up apart, without it nobody can read this".to_owned(),
        Some(keys) => format!("{} key files are in it, sealed for {}", keys.files.len(), keys.recipients.join(" and ")),
    };
    let lines = [
        format!("{}: {bytes} bytes, every change up to {}", args.folder.display(), copied.sequence),
        format!("epoch {}", copied.epoch),
        keys,
    ];
    output::result(args.json, &value, &lines);
    Ok(())
}

/// `restore`
pub(super) async fn restore(global: &Global, args: RestoreArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let keys = match (&args.identity, &config.keys) {
        (Some(_), Some(_)) => return Err(usage("the keys come from --keys or from --identity, not from both")),
        (Some(path), None) => {
            let read = own_files::read_secret(path).with_context(|| path.display().to_string())?;
            let text = read.map_err(|why| usage(format!("{} {why}: chmod 600 it", path.display())))?;
            KeysFrom::Identities(
                Identities::parse(&text).map_err(|error| refused(format!("{}: {error}", path.display())))?,
            )
        }
        (None, Some(folder)) => KeysFrom::Folder(KeyFolder::new(folder)),
        (None, None) => KeysFrom::Nowhere,
    };
    if std::fs::symlink_metadata(&config.data).is_ok() {
        bail!("{} is there already: name a new data folder with --data", config.data.display());
    }
    let how = match &keys {
        KeysFrom::Nowhere => "none",
        KeysFrom::Folder(_) => "kept",
        KeysFrom::Identities(_) => "opened",
    };
    let manifest = backup::read(&args.folder).map_err(of_kind)?;
    let options = node::patient_options(&config);
    let done = backup::restore((&args.folder, &manifest), keys, (&config.data, options), &Clock::System).await;
    let done = done.map_err(of_kind)?;
    tell(&args, &config.data.display().to_string(), (&manifest, &done), how);
    Ok(())
}

fn tell(args: &RestoreArgs, data: &str, (manifest, done): (&Manifest, &Done), keys: &str) {
    let (made_at, sequence) = (manifest.made_at(), manifest.copied.sequence);
    let value = json!({
        "data": data, "database": manifest.copied.database, "backed_up_at": made_at.as_str(), "sequence": sequence.get(),
        "old_epoch": done.former_epoch, "new_epoch": done.epoch, "keys": keys,
    });
    let keys = match keys {
        "none" => format!("no keys are there: put the key folder at {data}/keys, or start nodes with --keys"),
        "kept" => "the keys are the store's: start nodes with the same --keys".to_owned(),
        _ => format!("the keys are in {data}/keys"),
    };
    let lines = [
        format!("{data}: what was stored on {}, every change up to {sequence}", made_at.as_str()),
        format!("old epoch {}", done.former_epoch),
        format!("new epoch {}", done.epoch),
        keys,
        "what was reported since is missing: tell those who report; then lostcard audit verify".to_owned(),
    ];
    output::result(args.json, &value, &lines);
}

/// With the exit code of its kind.
fn of_kind(error: BackupError) -> anyhow::Error {
    let text = error.to_string();
    match error {
        _ if error.is_of_data() => refused(text),
        _ if error.is_of_usage() => usage(text),
        BackupError::Store(error) => or_try_again(error.into()),
        error => error.into(),
    }
}
