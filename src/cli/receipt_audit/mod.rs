//! `receipt audit`: whether the registry log bears a receipt out, judged here and not by the service. It reads every entry of the log
//! itself, for paths alone do not show that there is no other. What contradicts a receipt is written down so that anybody can verify it.

mod evidence;
mod reading;
mod subject;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::evidence::{Answer, evidence};
use self::reading::{Log, LogReader, Unread};
use self::subject::Subject;
use super::check::credentials::Credentials;
use super::check::session::{Reply, Session};
use super::exits::{contradicted, try_again};
use super::output;
use super::reading::{read_keys, read_text};
use super::receipt_file::ReceiptFile;
use super::witnessed::Witnessed;
use crate::clock::Clock;
use crate::crypto::blind::judging::{BaseSays, Committed, Judged, Outcome, judge};
use crate::crypto::blind::opened::{verify_open, was_evaluated_so};
use crate::crypto::blind::{BaseIndex, Evaluated};
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::{Says, parse_checkpoint};
use crate::crypto::salt::Salt;
use crate::crypto::signing::from_base64url;
use crate::domain::id_number::IdNumber;
use crate::domain::redacted::SaltText;
use crate::domain::registry_log::{Entry, HashedEntry};
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

/// How far clocks of witnesses and of the service may be apart.
const CLOCKS_DIFFER_S: u64 = 60;

/// `receipt audit`
pub(super) async fn audit(args: &AuditArgs) -> anyhow::Result<()> {
    let keys = read_keys(&args.jwks)?;
    let subject = open(args, &keys)?;
    let credentials = args.credentials.as_deref().map_or_else(Credentials::of_environment, Credentials::read)?;
    let session = Session::of_any_scope(&args.url, credentials, Clock::System)?;
    let mut reader = LogReader { session, keys: &keys, kept: args.log.as_deref() };
    let witnessed = args.policy.as_deref().map(Witnessed::read).transpose()?;
    let (judged, evidence) = match look(&mut reader, &subject, &args.jwks, witnessed.as_ref()).await {
        Ok(found) => found,
        Err(error) if error.downcast_ref::<Unread>().is_some() => {
            return Err(try_again(format!("cannot tell: {error:#}")));
        }
        Err(error) => return Err(error),
    };
    let (outcome, reason) = judged;
    let mut value = json!({"outcome": outcome.as_str(), "reason": reason});
    let mut lines = vec![format!("{}: {reason}", outcome.as_str())];
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
) -> anyhow::Result<(Judged, Option<Value>)> {
    let answer = ask(&mut reader.session, subject).await?;
    let cannot_tell = |why| Ok(((Outcome::CannotTell, why), None));
    let Some((key, note)) = answer.key.as_ref().zip(answer.checkpoint.as_ref()) else {
        return cannot_tell("the service has no log of that time");
    };
    let log = reader.read(note).await?;
    let mut logs = vec![log];
    if logs[0].epoch().to_string() != *key {
        return cannot_tell("the checkpoint of the answer is of another log");
    }
    let seen = reader.seen(&logs[0])?;
    let mut judged = judge_views(reader, subject, &mut logs, seen.as_deref()).await?;
    if judged.0 != Outcome::Contradicted {
        let of_number = judge_number(subject, &answer, &logs[0]);
        if of_number.0 != Outcome::Consistent || judged.0 == Outcome::Consistent {
            judged = of_number;
        }
    }
    if let Some(witnessed) = witnessed
        && judged.0 != Outcome::Contradicted
    {
        let notes: Vec<_> = std::iter::once(note.as_str()).chain(seen.as_deref()).collect();
        judged = judge_witnesses(reader, subject, &logs[0], witnessed, &notes).unwrap_or(judged);
    }
    let mut evidence = evidence(subject, &answer, &logs, seen.as_deref(), jwks)?;
    if let Some(witnessed) = witnessed {
        evidence["policy"] = json!(witnessed.text());
    }
    reader.keep(&logs[0], note)?;
    Ok((judged, Some(evidence)))
}

/// What the witnesses have against it: none have cosigned this log, or had cosigned a later state when the receipt's was told as the
/// newest.
fn judge_witnesses(
    reader: &LogReader<'_>,
    subject: &Subject,
    log: &Log,
    witnessed: &Witnessed,
    notes: &[&str],
) -> Option<Judged> {
    let claims = &subject.found.claims;
    if let Says::Verdict { as_of, .. } = &claims.says {
        // Of the first log of a store nothing signed says where it began: not before the first row.
        let s0 = log.successor().unwrap_or(0);
        let as_of = as_of.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok())?;
        let is_later = |note: &&&str| {
            let size = reader.verify(note).map_or(0, |checkpoint| checkpoint.size);
            s0.saturating_add(size) > claims.seq.get()
        };
        let by_s = as_of.saturating_sub(CLOCKS_DIFFER_S);
        if notes.iter().filter(is_later).any(|note| witnessed.is_met_by(note, by_s)) {
            return Some((Outcome::Contradicted, "witnesses had cosigned a later state before the receipt's was told"));
        }
    }
    let is_cosigned = notes.first().is_some_and(|note| witnessed.is_met(note));
    (!is_cosigned).then_some((Outcome::CannotTell, "the checkpoint lacks the cosignatures that the policy asks for"))
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

/// Whether the log that is shown now is the one that the receipt names, and that was seen before.
async fn judge_views(
    reader: &mut LogReader<'_>,
    subject: &Subject,
    logs: &mut Vec<Log>,
    seen: Option<&str>,
) -> anyhow::Result<Judged> {
    if let Some(seen) = seen.and_then(|note| reader.verify(note))
        && !logs[0].begins_with(seen.size, &seen.root)
    {
        return Ok((Outcome::Contradicted, "the log shows another history than it did before"));
    }
    let Some(named) = &subject.found.claims.cp else {
        return Ok((Outcome::CannotTell, "the receipt names no checkpoint of the log"));
    };
    let Some((size, wanted)) = parse_checkpoint(named) else { bail!("the receipt's checkpoint is malformed") };
    // The checkpoint that a node knew when it signed may be of the log before.
    loop {
        let last = logs.last().context("there is a log")?;
        if last.begins_with(size, &wanted) {
            return Ok((Outcome::Consistent, "the log is the one that the receipt names"));
        }
        let is_first = last.successor().is_none();
        if logs.len() > 1 || is_first {
            let is_shown = logs.iter().any(|log| log.size() >= size);
            if subject.found.claims.says.is_blind() {
                // Asked by the key before, whose log is not the newest.
                return Ok((Outcome::CannotTell, "the receipt names another log than that of its key"));
            }
            return Ok(if is_shown {
                (Outcome::Contradicted, "the log shows another history than the receipt names")
            } else {
                (Outcome::CannotTell, "the log does not reach the checkpoint that the receipt names yet")
            });
        }
        let before = reader.read_before(last).await?;
        let is_linked = logs.last().is_some_and(|last| last.follows(&before));
        if !is_linked {
            return Ok((Outcome::CannotTell, "the log does not continue the one before it"));
        }
        logs.push(before);
    }
}

/// What the entries of the log, all of them, say of the number.
fn judge_number(subject: &Subject, answer: &Answer, log: &Log) -> Judged {
    let cannot_tell = |why| (Outcome::CannotTell, why);
    let bytes = |text: &Option<String>| text.as_deref().and_then(from_base64url);
    let (Some(public), Some(element), Some(proof)) =
        (bytes(&answer.public_key), bytes(&answer.element), bytes(&answer.proof))
    else {
        return cannot_tell("the key of that time was destroyed");
    };
    let Ok(public_key) = <[u8; 32]>::try_from(public) else { return cannot_tell("the public key is malformed") };
    if !log.begins_by(Entry::hash(HashedEntry::BlindKey, public_key).as_bytes()) {
        return cannot_tell("the key of the answer is not that of the log");
    }
    let Some(evaluated) = verify_open(&public_key, &subject.digest, &element, &proof) else {
        return cannot_tell("the number was not evaluated by the key of the log");
    };
    let Some(s0) = answer.s0.filter(|s0| log.successor().is_none_or(|committed| committed == *s0)) else {
        return cannot_tell("the log began elsewhere than the answer says");
    };
    let seq = subject.found.claims.seq.get();
    if let Says::Blind { blinded, evaluated, .. } = &subject.found.claims.says {
        return judge_blind(subject, &element, blinded, evaluated);
    }
    if s0.saturating_add(log.size()) < seq {
        return cannot_tell("the log does not reach the receipt yet");
    }
    let base = base_says(answer, log, &evaluated);
    let until = base.as_ref().map_or(seq, |base| seq.max(base.sequence));
    let committed = Committed { s0, entries: &log.tagged(&evaluated.tag(), until.saturating_sub(s0)), base };
    judge(&subject.found.claims, subject.found.card_valid_from, &evaluated, &committed)
}

fn judge_blind(subject: &Subject, element: &[u8], blinded: &str, evaluated: &str) -> Judged {
    let salt = Salt::<32>::parse(&subject.salt);
    let bytes = from_base64url(blinded).zip(from_base64url(evaluated)).zip(salt);
    let was = bytes.and_then(|((bl, ev), salt)| was_evaluated_so(&subject.digest, salt.expose(), element, &bl, &ev));
    match was {
        Some(true) => (Outcome::Consistent, "the element was evaluated by the key of that time"),
        Some(false) => (Outcome::Contradicted, "the element was not evaluated by the key of that time"),
        None => (Outcome::CannotTell, "the salt does not give the scalar by which the number was blinded"),
    }
}

/// What the part of the base says, if it is the base of the log: its first, for each key has one.
fn base_says(answer: &Answer, log: &Log, evaluated: &Evaluated) -> Option<BaseSays> {
    use sha2::{Digest, Sha256};

    let base = answer.base.as_ref()?;
    let (index, part) = (from_base64url(&base.index)?, from_base64url(&base.part)?);
    let manifest: [u8; 32] = Sha256::digest(&index).into();
    if log.first_base() != Some(Entry::hash(HashedEntry::Base, manifest).as_bytes()) {
        return None;
    }
    let index = BaseIndex::parse(&index).ok()?;
    let statuses = index.read(evaluated, &part).ok()?;
    Some(BaseSays { sequence: index.sequence(), statuses })
}
