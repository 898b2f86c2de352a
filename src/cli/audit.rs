//! `audit export` and `audit verify`: the log out of the store, with a signed head, and its verification, offline from files or
//! where it is. Exit status 1 and one line that says what is wrong where it is not in order.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::audit_who::{WhoArgs, who};
use super::global::Global;
use super::opening;
use super::output;
use super::reading::read_keys;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::audit::Head;
use crate::crypto::signing::PublicKey;
use crate::domain::audit::{Action, Deed};
use crate::domain::instant::UnixMs;
use crate::node;
use crate::own_files;
use crate::service::audit::linking::link;
use crate::service::audit::since::Kept;
use crate::service::audit::{
    Against, Verified, begins_behind, export, head_line, verify_earlier, verify_export, verify_store,
};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Write the log, an entry a line, and a signed head as the last line
    #[command(after_help = "\
Keep exports where those who run the service cannot change them: the next one is verified against the last.

Examples:
  lostcard audit export --output audit-2026-11-23.ndjson
  lostcard audit export --after 120000 --output audit-2026-11-24.ndjson")]
    Export(ExportArgs),
    /// Verify an export offline, or the log of the store
    #[command(after_help = "\
Examples:
  curl -s https://lostcard.example/.well-known/jwks.json > jwks.json
  lostcard audit verify --jwks jwks.json audit-2026-11-24.ndjson --previous audit-2026-11-23.ndjson
  lostcard audit verify --previous audit-2026-11-23.ndjson
  lostcard audit verify --since /mnt/elsewhere/heads.ndjson")]
    Verify(VerifyArgs),
    /// Take the log of the store as it is found: after a restore, or when nodes of version 0.1 wrote until just now
    #[command(after_help = "\
Until then `audit verify` names the first entry that was written without the service's key. The link is an entry itself.

Example:
  lostcard audit link --as 'Wang Fang' --reason 'restored the back-up of Monday'")]
    Link,
    /// Tell who looked at the records of a person, whose number comes by standard input
    #[command(after_help = "\
Organizations, clients, persons and times, newest first. The question itself leaves an entry.

Example:
  lostcard audit who --as 'Wang Fang' --reason 'asked by the person' < number.txt")]
    Who(WhoArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A new file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only the entries after this one: the last entry of the previous export
    #[arg(long, value_name = "SEQ", default_value_t = 0, hide_default_value = true)]
    after: u64,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// An export [default: the log of the store]
    #[arg(requires = "jwks")]
    file: Option<PathBuf>,
    /// The service's published keys [default, for the log of the store: those of the key folder]
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// An earlier export, which must be the beginning of this log
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// Heads that nodes signed meanwhile: a file of them, or one line
    #[arg(long, value_name = "FILE-OR-LINE")]
    since: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `audit ...`
pub(super) async fn audit(global: &Global, command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Export(args) => write_export(global, &args).await,
        AuditCommand::Verify(args) => {
            let verified = match (&args.file, &args.jwks) {
                (Some(file), Some(jwks)) => verify_file(file, &read_keys(jwks)?, &args)?,
                _ => verify_log(global, &args).await?,
            };
            tell(&args, &verified);
            Ok(())
        }
        AuditCommand::Link => link_log(global).await,
        AuditCommand::Who(args) => who(global, &args).await,
    }
}

async fn write_export(global: &Global, args: &ExportArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let (store, keyring) = opening::open_what_is_there(&config).await?;
    let mut out: Box<dyn Write> = match &args.output {
        None => Box::new(BufWriter::new(io::stdout())),
        // An earlier export is evidence: it is not overwritten.
        Some(path) => Box::new(BufWriter::new(new_file(path)?)),
    };
    let exported = export(&store, keyring.audit(), args.after, |line| writeln!(out, "{line}")).await;
    let issuer = node::issuer_of_command(&config, &store).await?;
    // What comes before a fault is written too: it is needed to look into the fault.
    let exported = exported.inspect_err(|_| drop(out.flush()))?;
    store.close().await;
    let head = Head { issuer, issued_at_s: Clock::System.now_s(), end: exported.end, place: None };
    writeln!(out, "{}", head_line(head.sign(&keyring.signing().receipt)))?;
    out.flush()?;
    drop(out);
    if let Some(path) = &args.output {
        own_files::open(path)?.sync_all()?;
        output::error(&format!("{} entries, up to {}", entries(&exported), exported.end.sequence));
    }
    Ok(())
}

async fn link_log(global: &Global) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let deed = Deed::of_operator(Action::LogLinked, None).by(&global.behind()?);
    let end = link(&store, &deed, Clock::System.now_ms()).await?;
    store.close().await;
    output::line(&format!("linked behind entry {}", end.sequence));
    Ok(())
}

fn new_file(path: &Path) -> anyhow::Result<std::fs::File> {
    own_files::create_new(path).with_context(|| path.display().to_string())
}

/// The heads that somebody kept.
fn kept(args: &VerifyArgs, keys: &[PublicKey]) -> anyhow::Result<Option<Kept>> {
    let Some(since) = args.since.as_deref() else { return Ok(None) };
    let path = Path::new(since);
    // A signed head is longer than any name of a file may be.
    if !path.exists() && since.contains("eyJ") {
        return Ok(Some(Kept::read(since.lines(), keys).context("--since")?));
    }
    let text = own_files::read_text(path).with_context(|| since.to_owned())?;
    Ok(Some(Kept::read(text.lines(), keys).with_context(|| since.to_owned())?))
}

fn verify_file(file: &Path, keys: &[PublicKey], args: &VerifyArgs) -> anyhow::Result<(Verified, Option<Kept>)> {
    let (name, previous) = (|| file.display().to_string(), args.previous.as_deref());
    let kept = kept(args, keys)?;
    let behind = begins_behind(lines(file)?, keys).with_context(name)?;
    let earlier = previous.map(|previous| {
        let verified = verify_earlier(lines(previous)?, keys, behind);
        verified.with_context(|| previous.display().to_string())
    });
    let verified = verify_export(lines(file)?, keys, behind, earlier.transpose()?.as_ref(), kept.as_ref());
    Ok((verified.with_context(name)?, kept))
}

async fn verify_log(global: &Global, args: &VerifyArgs) -> anyhow::Result<(Verified, Option<Kept>)> {
    let (store, keyring) = opening::open_what_is_there(&global.config()?).await?;
    let keys = match &args.jwks {
        Some(path) => read_keys(path)?,
        None => keyring.signing().published_receipts.clone(),
    };
    let earlier = args.previous.as_deref().map(|previous| {
        let verified = verify_earlier(lines(previous)?, &keys, 0);
        verified.map(|earlier| earlier.end).with_context(|| previous.display().to_string())
    });
    let kept = kept(args, &keys)?;
    let against = Against { earlier: earlier.transpose()?, kept: kept.as_ref() };
    let verified = verify_store(&store, keyring.audit(), against).await.context("the log of the store");
    store.close().await;
    Ok((verified?, kept))
}

fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = io::Result<String>>> {
    let file = own_files::open(path).with_context(|| path.display().to_string())?;
    Ok(BufReader::new(file).lines())
}

fn entries(verified: &Verified) -> u64 {
    verified.first.map_or(0, |first| verified.end.sequence - first + 1)
}

fn tell(args: &VerifyArgs, (verified, kept): &(Verified, Option<Kept>)) {
    let mut value = json!({"in_order": true, "entries": entries(verified), "last": verified.end.sequence});
    let mut lines = vec![
        "in order    yes".to_owned(),
        format!("entries     {}", entries(verified)),
        format!("last entry  {}", verified.end.sequence),
    ];
    if let Some(head) = &verified.head {
        let signed_at = Rfc3339::of(UnixMs::from_seconds(head.issued_at_s));
        value["issuer"] = json!(head.issuer);
        value["signed_at"] = json!(signed_at.as_str());
        lines.push(format!("issuer      {}", head.issuer));
        lines.push(format!("signed at   {}", signed_at.as_str()));
    } else if args.previous.is_none() && kept.is_none() {
        lines.push(
            "Whether its end was cut off shows only against an earlier export (--previous) or signed heads (--since)."
                .to_owned(),
        );
    }
    if let Some(kept) = kept {
        let (of, signed_at) = (kept.newest.end.sequence, Rfc3339::of(UnixMs::from_seconds(kept.newest.issued_at_s)));
        value["heads"] = json!(kept.count);
        value["newest_head"] = json!({"seq": of, "signed_at": signed_at.as_str()});
        lines.push(format!("heads       {}, the newest of entry {of} at {}", kept.count, signed_at.as_str()));
    }
    output::result(args.json, &value, &lines);
}
