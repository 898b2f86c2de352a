//! `verify-receipts`: all receipts of a folder, offline, from a JWK Set file. Needs neither server nor store.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::check::MARKER;
use super::exits::refused;
use super::output;
use super::reading::read_keys;
use super::receipt_file::ReceiptFile;
use crate::crypto::salt::Salt;
use crate::crypto::signing::PublicKey;
use crate::own_files;
use crate::service::receipts::verify;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every receipt is authentic, 1 one is not (each such file is named), 65 there is no receipt.

Example:
  curl -s https://lostcard.example/.well-known/jwks.json > jwks.json
  lostcard verify-receipts --jwks jwks.json a.csv.checked.csv.receipts")]
pub(crate) struct VerifyReceiptsArgs {
    /// The folder: files as `check` or the desk writes them, or with a receipt alone
    folder: PathBuf,
    /// The service's published keys
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `verify-receipts DIR`
pub(super) fn verify_receipts(args: &VerifyReceiptsArgs) -> anyhow::Result<()> {
    let keys = read_keys(&args.jwks)?;
    let shown = || args.folder.display().to_string();
    let (mut paths, mut passed_over) = (Vec::new(), 0_u64);
    for entry in std::fs::read_dir(&args.folder).with_context(shown)? {
        let entry = entry.with_context(shown)?;
        if is_receipt(&entry, &args.jwks) {
            paths.push(entry.path());
        } else if entry.file_name() != MARKER {
            passed_over += 1;
        }
    }
    paths.sort();
    let (mut authentic, mut wrong) = (0_u64, Vec::new());
    for path in &paths {
        match verify_file(path, &keys) {
            Ok(()) => authentic += 1,
            Err(error) => wrong.push((path.display().to_string(), format!("{error:#}"))),
        }
    }
    let named: Vec<_> = wrong.iter().map(|(file, why)| json!({"file": file, "why": why})).collect();
    let mut lines = vec![format!("{authentic} receipts are authentic")];
    lines.extend(wrong.iter().map(|(file, why)| format!("{file}: {why}")));
    if passed_over > 0 {
        lines.push(format!("{passed_over} other files and folders are passed over"));
    }
    let value = json!({"authentic": authentic, "not_authentic": named, "passed_over": passed_over});
    output::result(args.json, &value, &lines);
    match (wrong.len(), authentic) {
        (0, 0) => Err(refused(format!("{}: there is no receipt", shown()))),
        (0, _) => Ok(()),
        (count, _) => bail!("{count} of {} receipts are not authentic", paths.len()),
    }
}

/// Whether a file may be a receipt: not a folder, nor what a system hides or leaves in each folder, nor the keys themselves.
fn is_receipt(entry: &DirEntry, keys: &Path) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let is_left = name.starts_with('.') || ["thumbs.db", "desktop.ini"].contains(&&*name.to_ascii_lowercase());
    let is_keys = || keys.canonicalize().is_ok_and(|keys| entry.path().canonicalize().is_ok_and(|path| path == keys));
    !(is_folder || is_left || is_keys() || name == "jwks.json")
}

fn verify_file(path: &Path, keys: &[PublicKey]) -> anyhow::Result<()> {
    let file = ReceiptFile::parse(&own_files::read_text(path).context("it cannot be read")?)?;
    file.agrees_with(&verify(&file.receipt, keys, None)?)?;
    if file.receipt_salt.is_some_and(|salt| Salt::<32>::parse(&salt).is_none()) {
        bail!("the salt is not one");
    }
    Ok(())
}
