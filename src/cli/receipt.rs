//! `receipt verify`: an auditor's verification, offline, from a JWK Set file. Needs neither server nor store.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::output;
use super::receipt_file::ReceiptFile;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::digest::IdDigest;
use crate::crypto::signing::{PublicKey, from_base64url};
use crate::domain::id_number::IdNumber;
use crate::domain::redacted::SaltText;
use crate::own_files;
use crate::service::receipts::{Opening, verify};

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Verify a receipt offline
    #[command(after_help = "Examples:
  curl -s https://lostcard.example/.well-known/jwks.json > jwks.json
  lostcard receipt verify --jwks jwks.json receipt.txt
  lostcard receipt verify --jwks jwks.json --salt SALT --id-number-file number.txt receipt.txt
  lostcard receipt verify --jwks jwks.json --id-number-file number.txt lostcard-CHECK.txt    the file that the desk saves")]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A file with the receipt: alone, as the desk saves it, or JSON; - for standard input
    receipt: PathBuf,
    /// The service's published keys
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// A file with the ID number, to see whether the receipt is about it (never on the command line: others can read that)
    #[arg(long, value_name = "FILE")]
    id_number_file: Option<PathBuf>,
    /// The `receipt_salt` of the answer, where the file does not have it
    // A salt may begin with a hyphen: it is base64url.
    #[arg(long, requires = "id_number_file", allow_hyphen_values = true)]
    salt: Option<SaltText>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    crv: Option<String>,
    x: Option<String>,
}

/// `receipt ...`
pub(super) fn receipt(command: &ReceiptCommand) -> anyhow::Result<()> {
    let ReceiptCommand::Verify(args) = command;
    let keys = read_keys(&args.jwks)?;
    let file = ReceiptFile::parse(&read_text(&args.receipt)?)?;
    let opening = match (&args.id_number_file, args.salt.as_ref().or(file.receipt_salt.as_ref())) {
        (Some(_), None) => bail!("the file has no receipt_salt: give it with --salt"),
        (Some(file), Some(salt)) => {
            let number = Zeroizing::new(read_text(file)?);
            let number = IdNumber::parse(number.trim(), Clock::System.today())?;
            Some(Opening { digest: IdDigest::of(&number), salt: salt.clone(), card_valid_from: None })
        }
        _ => None,
    };
    let found = verify(&file.receipt, &keys, opening.as_ref())?;
    file.agrees_with(&found.claims)?;
    let checked_at = Rfc3339::of(found.claims.checked_at_ms());
    let mut value = json!({
        "authentic": true, "issuer": found.claims.iss, "organization": found.claims.aud, "check_id": found.claims.jti,
        "checked_at": checked_at.as_str(), "verdict": found.claims.verdict, "as_of": found.claims.as_of,
        "registry_sequence": found.claims.seq,
    });
    if let Some(name) = &file.organization {
        value["organization_by_file"] = json!(name);
    }
    if let Some(opens) = found.opens {
        value["opens"] = json!(opens);
    }
    if let Some(start) = found.card_valid_from {
        value["card_valid_from"] = json!(start.to_string());
    }
    let lines: Vec<_> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name:20}  {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    output::result(args.json, &value, &lines);
    if found.opens == Some(false) {
        bail!("the receipt is authentic, but not about this number with this salt");
    }
    Ok(())
}

pub(super) fn read_keys(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = own_files::read_named(path).with_context(|| path.display().to_string())?;
    let set: Set = serde_json::from_slice(&text).context("not a JWK Set (RFC 7517, 5)")?;
    let of = |key: &Key| {
        let x = key.x.as_deref().filter(|_| key.crv.as_deref() == Some("Ed25519"))?;
        Some(PublicKey::new(from_base64url(x)?.try_into().ok()?))
    };
    Ok(set.keys.iter().filter_map(of).collect())
}

pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    own_files::read_text(path).with_context(|| path.display().to_string())
}
