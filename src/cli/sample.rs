//! `sample`: a synthetic registry file in the form that `import` reads. Deterministic by seed; no number is a person's by intent.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::civil::Date;

use crate::clock::Clock;
use crate::own_files;
use crate::sample::records;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  lostcard sample --reports 1000000 --seed 7 --output reports.csv")]
pub(super) struct SampleArgs {
    /// How many loss reports
    #[arg(long, value_name = "N")]
    reports: u64,
    /// The same seed and day give the same file
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day on which the reports are known [default: today in Beijing]
    #[arg(long, value_name = "DATE")]
    today: Option<Date>,
    /// The file to write; standard output if absent
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `sample`
pub(super) fn sample(args: &SampleArgs, clock: &Clock) -> anyhow::Result<()> {
    let today = args.today.unwrap_or_else(|| clock.today());
    let out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(own_files::create_public(path).with_context(|| path.display().to_string())?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut out = std::io::BufWriter::with_capacity(1 << 20, out);
    writeln!(out, "id_number,card_valid_from,card_valid_until,reason,lost_on,reporter,office,channel,reported_at")?;
    for record in records(args.seed, args.reports, today) {
        let until = record.card_valid_until.map(|date| date.to_string()).unwrap_or_default();
        writeln!(
            out,
            "{},{},{until},{},{},{},{},{},{:.3}",
            record.id_number.expose(),
            record.card_valid_from,
            record.reason.as_str(),
            record.lost_on,
            record.reporter.as_str(),
            record.office,
            record.channel.as_str(),
            record.reported_at,
        )?;
    }
    out.flush()?;
    Ok(())
}
