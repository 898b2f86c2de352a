//! `import`: loss reports from a CSV or NDJSON file into the store, by the rules of the API. Fast, and after a kill at any moment it
//! continues where it stopped: every transaction notes how far it came (`store::imports`). This file puts the parts together:
//! `records` reads and judges, `runs` sorts and seals, `writer` stores.

mod csv_form;
mod lines;
mod ndjson_form;
mod progress;
mod records;
mod runs;
mod writer;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::global::Global;
use super::output;
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::crypto::pepper::Fingerprints;
use crate::domain::ids::{ImportId, OrganizationId};
use crate::node;
use crate::store::Store;
use crate::store::imports::ImportProgress;
use progress::Progress;
use records::{Records, Rejects};
use runs::Job;
use writer::Writer;

#[derive(Debug, Args)]
#[command(after_help = "\
CSV: a first line that names the columns, in any order: id_number, reason, reporter, office, channel and, where known,
card_valid_from, card_valid_until, lost_on, reported_at, contact_phone.
NDJSON: one object a line, as POST /v1/loss-reports takes it, with reported_at where known.
If it is killed, the same command continues where it stopped; each valid record is stored once.

Examples:
  lostcard import reports.csv
  lostcard import --format csv --rejects rejects.ndjson --strict --json export-2026-11")]
pub(super) struct ImportArgs {
    /// The file to read: .csv, .ndjson or .jsonl
    file: PathBuf,
    /// The file's format, where its name does not tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write why records were rejected [default: FILE.rejects.ndjson]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// The organization that owns the reports [default: none]
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Exit with 1 if any record was rejected
    #[arg(long)]
    strict: bool,
    /// Import a file that was imported already
    #[arg(long)]
    again: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

/// How long a follower may take beyond its lease to notice that it ended.
const LEASE_MARGIN: Duration = Duration::from_millis(50);

/// `import`
pub(super) async fn import(global: &Global, args: ImportArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let clock = Clock::System;
    let began_ns = clock.boot_ns();
    let format = args.format()?;
    let rejects_path = args.rejects_path()?;
    let mut file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
    let (store, keyring) = node::open(&config).await?;
    if let Some(organization) = args.organization {
        ensure!(store.find_organization(organization).await?.is_some(), "there is no such organization");
    }
    let (fingerprint, lines) = survey(&mut file, keyring.fingerprints())?;
    let known = store.import_progress(&fingerprint).await?;
    let pepper = keyring.pepper(store.key_versions().await?.current)?;
    let beginning = ImportProgress::beginning(clock.today(), pepper.version());
    let (stored_as, from) = starting_points(known, args.again, beginning);
    if from.finished {
        output::error("this file was imported already: nothing is stored (--again imports it once more)");
    }
    let (rejected, already_stored) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let rejects = Rejects::create(&rejects_path, Arc::clone(&rejected))?;
    let records = match format {
        Format::Csv => Records::csv(file, from.judged_on, rejects)?,
        Format::Ndjson => Records::ndjson(file, from.judged_on, rejects),
    };
    let job = Job {
        order: keyring.pepper(from.key_version).context("this import was begun with an older pepper")?,
        pepper,
        keyring,
        organization: args.organization,
        clock: clock.clone(),
        already_stored: Arc::clone(&already_stored),
    };
    let progress = Progress::new(lines, clock.clone(), [Arc::clone(&already_stored), Arc::clone(&rejected)]);
    let stored =
        store_all((&store, &job.keyring), fingerprint, stored_as, runs::start(&job, records, from), progress).await?;
    let ns = clock.boot_ns().saturating_sub(began_ns);
    store.close().await;
    // The commit-wait of docs/decisions/004: a server on the same data answers from memory until its lease ends. Once this
    // command has exited, each of them has read the new reports or asks the store.
    tokio::time::sleep(Duration::from_millis(config.registry.lease_ms) + LEASE_MARGIN).await;
    let rejected = rejected.load(Ordering::Relaxed);
    let import_id = writer::import_id(&fingerprint);
    summarize(&args, import_id, [stored, rejected, already_stored.load(Ordering::Relaxed)], ns);
    if args.strict && rejected > 0 {
        bail!("{rejected} records were rejected: see {}", rejects_path.display());
    }
    Ok(())
}

/// What the store knows of the file, and where the import begins.
fn starting_points(
    known: Option<ImportProgress>,
    again: bool,
    beginning: ImportProgress,
) -> (ImportProgress, ImportProgress) {
    match known {
        None => (beginning, beginning),
        Some(known) if known.finished && again => (known, beginning),
        Some(known) => (known, known),
    }
}

async fn store_all(
    (store, keyring): (&Store, &Arc<Keyring>),
    fingerprint: [u8; 32],
    stored_as: ImportProgress,
    (batches, threads): (tokio::sync::mpsc::Receiver<runs::Batch>, [tokio::task::JoinHandle<anyhow::Result<()>>; 2]),
    progress: Progress,
) -> anyhow::Result<u64> {
    let mut writer = Writer { store, keyring, fingerprint, clock: Clock::System, progress };
    let stored = writer.write(batches, stored_as).await;
    writer.progress.finish();
    let stored = stored?;
    for thread in threads {
        thread.await??;
    }
    Ok(stored)
}

/// The file's keyed fingerprint, by which its progress is known, and the number of its lines. Leaves it at its beginning.
fn survey(file: &mut File, fingerprints: &Fingerprints) -> anyhow::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let mut lines = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        lines += buffer[..read].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }
    file.rewind()?;
    Ok((fingerprints.of("import-file", &[hash.finalize().as_slice()]), lines))
}

impl ImportArgs {
    fn format(&self) -> anyhow::Result<Format> {
        if self.file == Path::new("-") {
            bail!("standard input is not taken: an import that was killed must be able to read again");
        }
        let by_name = || match self.file.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            _ => None,
        };
        self.format
            .or_else(by_name)
            .context("the name of the file does not tell its format: --format csv or --format ndjson")
    }

    fn rejects_path(&self) -> anyhow::Result<PathBuf> {
        let path = self.rejects.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".rejects.ndjson");
            name.into()
        });
        let is_input = path.canonicalize().is_ok_and(|path| self.file.canonicalize().is_ok_and(|file| file == path));
        ensure!(!is_input, "the rejects would overwrite the file itself");
        Ok(path)
    }
}

fn summarize(args: &ImportArgs, import_id: ImportId, [stored, rejected, already_stored]: [u64; 3], ns: u64) {
    let ms = (ns / 1_000_000).max(1);
    let reports_per_second = stored * 1000 / ms;
    let value = json!({
        "import_id": import_id, "stored": stored, "rejected": rejected, "already_stored": already_stored,
        "seconds": serde_json::Number::from_f64(Duration::from_millis(ms).as_secs_f64()),
        "reports_per_second": reports_per_second,
    });
    let lines = [
        format!("import          {import_id}"),
        format!("stored          {stored}"),
        format!("rejected        {rejected}"),
        format!("already stored  {already_stored}"),
        format!("seconds         {}.{:03}", ms / 1000, ms % 1000),
        format!("reports/s       {reports_per_second}"),
    ];
    output::result(args.json, &value, &lines);
}
