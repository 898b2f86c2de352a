//! `receipt verify`: an auditor's verification, offline, from a JWK Set file. Needs neither server nor store.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::output;
use super::reading::{read_keys, read_text};
use super::receipt_audit::AuditArgs;
use super::receipt_file::ReceiptFile;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::{Claims, Says};
use crate::domain::id_number::IdNumber;
use crate::domain::redacted::SaltText;
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
    /// Audit a receipt: does the registry log bear it out?
    #[command(after_help = "\
The receipt of a check, a blind check or a write. The program reads every entry of the log itself, and judges by them. A token of scope
`audit` is asked for by the client's credentials.

Exit codes: 0 consistent; 10 contradicted: with --evidence FILE, FILE shows it to anybody; 75 it cannot be told; 1 the receipt is not
authentic or not about this number.

Example:
  lostcard receipt audit receipt.json --url https://lostcard.example --jwks jwks.json --id-number-file number.txt
    --credentials client.json --log ./log --evidence evidence.json")]
    Audit(AuditArgs),
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

/// `receipt verify`
pub(super) fn receipt(args: &VerifyArgs) -> anyhow::Result<()> {
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
    file.agrees_with(&found)?;
    let checked_at = Rfc3339::of(found.claims.checked_at_ms());
    let mut value = json!({
        "authentic": true, "issuer": found.claims.iss, "organization": found.claims.aud, "registry_sequence": found.claims.seq,
    });
    tell(&mut value, &found.claims, checked_at.as_str());
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

/// What a receipt says, by its kind.
fn tell(value: &mut serde_json::Value, claims: &Claims, at: &str) {
    let (id, instant) =
        if claims.says.act().is_some() { ("record_id", "written_at") } else { ("check_id", "checked_at") };
    value[id] = json!(claims.jti);
    value[instant] = json!(at);
    match &claims.says {
        Says::Verdict { verdict, .. } => value["verdict"] = json!(verdict),
        Says::Act(act) => value["act"] = json!(act.as_str()),
        Says::Blind { key, .. } => value["blind_key"] = json!(key),
    }
    if let Some(as_of) = claims.says.as_of() {
        value["as_of"] = json!(as_of);
    }
    match &claims.cp {
        Some(checkpoint) => value["checkpoint"] = json!(checkpoint),
        // Then no log bears it out.
        None => value["names_no_checkpoint"] = json!(true),
    }
}
