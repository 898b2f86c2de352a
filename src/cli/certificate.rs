//! `certificate verify`: a verification offline, from a JWK Set file. Needs neither server nor store, and cannot know of a
//! revocation.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::output;
use super::reading::{read_keys, read_text};
use crate::clock::{Clock, Rfc3339};
use crate::crypto::certificate::{Claims, verify};
use crate::crypto::digest::IdDigest;
use crate::domain::certificate::{Certificate, CertificatePurpose, CertificateStatus, PresentedFor, Showing, Term};
use crate::domain::id_number::IdNumber;
use crate::domain::instant::UnixMs;

#[derive(Debug, Subcommand)]
pub(super) enum CertificateCommand {
    /// Verify a temporary identification certificate offline
    #[command(after_help = "\
Only online can you see whether it was revoked: POST /v1/temporary-certificates/verify.
Exit code 0 if and only if the status is `valid`.

Examples:
  curl -s https://lostcard.example/.well-known/jwks.json > jwks.json
  lostcard certificate verify --jwks jwks.json --number-stdin --purpose lodging certificate.txt
  lostcard certificate verify --jwks jwks.json --id-number-file number.txt - < certificate.txt")]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A file with the certificate, as the QR code holds it; - for standard input
    certificate: PathBuf,
    /// The service's published keys
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// Read the holder's ID number from standard input
    #[arg(long, required_unless_present = "id_number_file")]
    number_stdin: bool,
    /// A file with the holder's ID number (never on the command line: others can read that)
    #[arg(long, value_name = "FILE", conflicts_with = "number_stdin")]
    id_number_file: Option<PathBuf>,
    /// What it is shown for: lodging, banking, transport, telecom, other, air, rail
    #[arg(long, value_name = "PURPOSE", value_parser = parse_purpose)]
    purpose: Option<PresentedFor>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_purpose(word: &str) -> Result<PresentedFor, String> {
    let words: Vec<_> = PresentedFor::ALL.iter().map(|word| word.as_str()).collect();
    PresentedFor::parse(word).ok_or_else(|| format!("expected one of: {}", words.join(", ")))
}

/// `certificate ...`
pub(super) fn certificate(command: &CertificateCommand) -> anyhow::Result<()> {
    let CertificateCommand::Verify(args) = command;
    let number_file = args.id_number_file.as_deref().unwrap_or(Path::new("-"));
    if [&args.certificate, number_file].iter().all(|path| path.as_os_str() == "-") {
        bail!("standard input holds either the certificate or the number");
    }
    let keys = read_keys(&args.jwks)?;
    let claims = verify(read_text(&args.certificate)?.trim(), &keys)?;
    let number = Zeroizing::new(read_text(number_file)?);
    let clock = Clock::System;
    let digest = IdDigest::of(&IdNumber::parse(number.trim(), clock.today())?);
    let certificate = read_certificate(&claims)?;
    let showing = Showing { is_holder: claims.is_about(&digest), shown_for: args.purpose, now_s: clock.now_s() };
    let status = certificate.status(showing);
    tell(args, &claims, status);
    if status != CertificateStatus::Valid {
        bail!("the certificate is authentic, but not to be accepted: {}", status.as_str());
    }
    Ok(())
}

fn read_certificate(claims: &Claims) -> anyhow::Result<Certificate> {
    let purpose = CertificatePurpose::parse(&claims.purpose).context("a purpose that this version does not know")?;
    let term = Term { starts_s: claims.nbf, ends_s: claims.exp };
    Ok(Certificate { id: claims.jti, purpose, journey_on: None, issued_s: claims.iat, term, revoked_at_ms: None })
}

fn tell(args: &VerifyArgs, claims: &Claims, status: CertificateStatus) {
    let instant = |at_s: i64| Rfc3339::of(UnixMs::from_seconds(at_s)).as_str().to_owned();
    let mut value = json!({
        "authentic": true, "status": status.as_str(), "revocation": "unknown", "issuer": claims.iss,
        "certificate_id": claims.jti, "purpose": claims.purpose, "office": claims.office,
        "issued_at": instant(claims.iat), "valid_from": instant(claims.nbf), "expires_at": instant(claims.exp),
    });
    if let Some(day) = &claims.journey_on {
        value["journey_on"] = json!(day);
    }
    let line = |(name, value): (&String, &serde_json::Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let note = if name == "revocation" { " offline: ask the service where you can" } else { "" };
        format!("{name:18}  {text}{note}")
    };
    let lines: Vec<_> = value.as_object().into_iter().flatten().map(line).collect();
    output::result(args.json, &value, &lines);
}
