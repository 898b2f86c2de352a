//! `receipt audit`: whether the registry log bears a receipt out, judged here and not by the service. It reads every entry of the log
//! itself, for paths alone do not show that there is no other. What contradicts a receipt is written down so that anybody can verify it.

mod evidence;
mod number;
mod reading;
mod subject;
mod views;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use self::evidence::{Answer, evidence};
use self::number::{OfNumber, judge_number};
use self::reading::{LogReader, Unread};
use self::subject::Subject;
use self::views::{Seen, judge_seen, judge_views, judge_witnesses};
use super::check::credentials::Credentials;
use super::check::session::{Reply, Session};
use super::exits::{contradicted, try_again};
use super::output;
use super::reading::{read_keys, read_text};
use super::receipt_file::ReceiptFile;
use super::witnessed::Witnessed;
use crate::clock::Clock;
use crate::crypto::blind::judging::{Judged, Outcome};
use crate::crypto::digest::IdDigest;
use crate::domain::id_number::IdNumber;
use crate::domain::redacted::SaltText;
use crate::http::routes;
use crate::own_files;
use crate::service::receipts::{Opening, verify};

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// A file with the receipt: alone, as the desk saves it, or JSON; - for standard input
    receipt: PathBuf,
    /// Where the service is
    #[arg(long)]
    url: String,
    /// The service's published keys
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// The salt of the answer, where the file does not have it
    // A salt may begin with a hyphen: it is base64url.
    #[arg(long, allow_hyphen_values = true)]
    salt: Option<SaltText>,
    /// A file with the ID number (never on the command line: others can read that)
    #[arg(long, value_name = "FILE")]
    id_number_file: PathBuf,
    /// The JSON that `client create --json` printed, or with its client's private key as `jwk` [default: `LOSTCARD_CLIENT_ID` and `LOSTCARD_CLIENT_SECRET`]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Where to write what contradicts the receipt
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// A folder that keeps the log's entries and its last checkpoint, for the next audit
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Witnesses (C2SP tlog-policy) whose quorum the log must have, and by whose times a receipt of an old state is known
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came of an audit.
struct Found {
    judged: Judged,
    /// What else there is to tell, by its member in JSON.
    told: Vec<(&'static str, Value)>,
    evidence: Option<Value>,
}

/// `receipt audit`
pub(super) async fn audit(args: &AuditArgs) -> anyhow::Result<()> {
    let keys = read_keys(&args.jwks)?;
    let subject = open(args, &keys)?;
    let credentials = args.credentials.as_deref().map_or_else(Credentials::of_environment, Credentials::read)?;
    let session = Session::of_any_scope(&args.url, credentials, Clock::System)?;
    if let Some(folder) = &args.log {
        own_files::create_folder(folder).with_context(|| folder.display().to_string())?;
    }
    let mut reader = LogReader { session, keys: &keys, kept: args.log.as_deref() };
    let witnessed = args.policy.as_deref().map(Witnessed::read).transpose()?;
    let Found { judged: (outcome, reason), told, evidence } =
        match look(&mut reader, &subject, &args.jwks, witnessed.as_ref()).await {
            Ok(found) => found,
            Err(error) if error.downcast_ref::<Unread>().is_some() => {
                return Err(try_again(format!("cannot tell: {error:#}")));
            }
            Err(error) => return Err(error),
        };
    let mut value = json!({"outcome": outcome.as_str(), "reason": reason});
    let mut lines = vec![format!("{}: {reason}", outcome.as_str())];
    for (name, what) in told {
        lines.push(format!("{}: {what}", name.replace('_', " ")));
        value[name] = what;
    }
    if let (Outcome::Contradicted, Some(evidence)) = (outcome, evidence) {
        match &args.evidence {
            Some(path) => {
                own_files::replace(path, evidence.to_string().as_bytes())
                    .with_context(|| path.display().to_string())?;
                value["evidence"] = json!(path.display().to_string());
                lines.push(format!("the evidence is in {}", path.display()));
            }
            None => lines.push("the same command with --evidence FILE writes the evidence down".to_owned()),
        }
    }
    output::result(args.json, &value, &lines);
    match outcome {
        Outcome::Consistent => Ok(()),
        Outcome::Contradicted => Err(contradicted()),
        Outcome::CannotTell => Err(try_again("")),
    }
}

fn open(args: &AuditArgs, keys: &[crate::crypto::signing::PublicKey]) -> anyhow::Result<Subject> {
    let file = ReceiptFile::parse(&read_text(&args.receipt)?)?;
    let salt = args.salt.clone().or_else(|| file.receipt_salt.clone());
    let salt = salt.context("the file has no salt: give it with --salt")?;
    let number = Zeroizing::new(read_text(&args.id_number_file)?);
    let digest = IdDigest::of(&IdNumber::parse(number.trim(), Clock::System.today())?);
    let opening = Opening { digest: digest.clone(), salt: salt.clone(), card_valid_from: None };
    let found = verify(&file.receipt, keys, Some(&opening))?;
    file.agrees_with(&found)?;
    if found.opens != Some(true) {
        bail!("the receipt is authentic, but not about this number with this salt");
    }
    Ok(Subject { receipt: file.receipt, digest, salt, found })
}

async fn look(
    reader: &mut LogReader<'_>,
    subject: &Subject,
    jwks: &Path,
    witnessed: Option<&Witnessed>,
) -> anyhow::Result<Found> {
    let answer = ask(&mut reader.session, subject).await?;
    let cannot_tell = |why| Ok(Found { judged: (Outcome::CannotTell, why), told: Vec::new(), evidence: None });
    let Some((key, note)) = answer.key.as_ref().zip(answer.checkpoint.as_ref()) else {
        return cannot_tell("the service has no log of that time");
    };
    let mut logs = vec![reader.read(note).await?];
    if logs[0].epoch().to_string() != *key {
        return cannot_tell("the checkpoint of the answer is of another log");
    }
    let seen = judge_seen(reader, &logs[0]).await?;
    let OfNumber { judged: of_number, s0, last } = judge_number(subject, &answer, &logs[0]);
    let mut told = Vec::new();
    let keys = own_files::read_named(jwks).with_context(|| jwks.display().to_string())?;
    if let Some(has) = logs[0].has_keys(Sha256::digest(keys.trim_ascii()).into()) {
        told.push(("published_keys_in_log", json!(has)));
    }
    let (mut judged, behind) = match &seen {
        Seen::Nothing | Seen::Continued(_) => judge_views(reader, subject, &mut logs, s0).await?,
        Seen::Other { judged, .. } => (*judged, None),
    };
    let is_other = matches!(seen, Seen::Other { .. });
    let is_worse = |of: Outcome| of == Outcome::Contradicted || (of == Outcome::CannotTell && !is_other);
    if judged.0 != Outcome::Contradicted && (is_worse(of_number.0) || judged.0 == Outcome::Consistent) {
        judged = of_number;
    }
    if let Some(behind) = behind {
        told.push(("checkpoint_behind", json!(behind)));
    }
    // A later entry may take back what this one says: who wrote a report sees here whether it stands.
    if let Some((sequence, verdict)) = last.filter(|_| subject.found.claims.says.act().is_some()) {
        told.push(("last_entry", json!({"registry_sequence": sequence, "verdict": verdict})));
    }
    let older = seen.note().map(str::to_owned);
    if let Some(witnessed) = witnessed
        && judged.0 != Outcome::Contradicted
    {
        let notes: Vec<_> = std::iter::once(note.as_str()).chain(older.as_deref()).collect();
        judged = judge_witnesses(reader, subject, &logs[0], witnessed, &notes).unwrap_or(judged);
    }
    reader.keep(&logs[0])?;
    let mut evidence = match seen {
        // The larger of the two, whose beginning the other is not.
        Seen::Other { kept: Some(kept), .. } => evidence(subject, &answer, &[*kept], Some(note), jwks)?,
        _ => evidence(subject, &answer, &logs, older.as_deref(), jwks)?,
    };
    if let Some(witnessed) = witnessed {
        evidence["policy"] = json!(witnessed.text());
    }
    Ok(Found { judged, told, evidence: Some(evidence) })
}

async fn ask(session: &mut Session, subject: &Subject) -> anyhow::Result<Answer> {
    let mut body = json!({"receipt": subject.receipt, "receipt_salt": subject.salt.expose(),
        "id_digest": hex::encode(subject.digest.expose())});
    if let Some(start) = subject.found.card_valid_from {
        body["card_valid_from"] = json!(start.to_string());
    }
    match session.post(routes::RECEIPT_AUDIT, body.to_string()).await.map_err(|error| Unread(format!("{error:#}")))? {
        Reply::Body(body) => serde_json::from_slice(&body)
            .map_err(|_| Unread("the answer is not that of this service".to_owned()).into()),
        reply => Err(Unread(reply.said()).into()),
    }
}
