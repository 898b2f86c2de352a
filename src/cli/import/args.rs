//! What `import` and `import undo` take, and what their help says.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use jiff::tz::Offset;

use super::dates::read_zone;
use super::encoding::Encoding;
use super::input::Format;
use super::limit::MaxRejects;
use crate::domain::ids::{ImportId, OrganizationId};

#[derive(Debug, Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "\
CSV: a first line that names the columns, in any order and in English or Chinese: id_number, reason, reporter, office, channel
and, where known, card_valid_from, card_valid_until, lost_on, reported_at, contact_phone. Divided by commas, semicolons or tabs.
XLSX: the same as cells of text, in the first sheet that shows.
NDJSON: one object a line, as POST /v1/loss-reports takes it, with reported_at where known.
The file is planned as a whole first. Nothing is stored where over 1 % of its rows or 100 are wrong, or where it is in doubt.
Killed at any moment, the same command continues where it stopped; each valid record is stored once.

Exit codes: 0 stored or known, 1 failed, 2 called wrongly, 65 refused for what is in the file, 75 try again.

Examples:
  lostcard import --dry-run reports.csv
  lostcard import reports.csv
  lostcard import --source police-system --full dump-2026-11-28.csv
  lostcard import undo 01993c5e-0000-8000-8000-000000000000 --as 'Wang Fang' --reason 'ticket 7'"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(super) command: Option<ImportCommand>,
    /// The file to read: .csv, .tsv, .txt, .ndjson, .jsonl or .xlsx
    #[arg(required = true)]
    pub(super) file: Option<PathBuf>,
    /// The file's format, where its name does not tell
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    /// The file's encoding, where its bytes do not tell
    #[arg(long, value_enum)]
    pub(super) encoding: Option<Encoding>,
    /// A column that is left out; may be given again
    #[arg(long, value_name = "NAME")]
    pub(super) ignore_column: Vec<String>,
    /// The zone of times that name none
    #[arg(long, value_name = "OFFSET", default_value = "+08:00", value_parser = zone, allow_hyphen_values = true)]
    pub(super) zone: Offset,
    /// Plan and tell, but store and make nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Take so many wrong rows, or so many of a hundred [default: 1% and at most 100]
    #[arg(long, value_name = "N|N%", value_parser = MaxRejects::parse)]
    pub(super) max_rejects: Option<MaxRejects>,
    /// Store the file although it is in doubt: it is right as it is
    #[arg(long)]
    pub(super) yes_really: bool,
    /// The system that the file is a dump of: rows that it has listed before are known
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) source: Option<String>,
    /// The dump lists all that its source knows: withdraw what is not in it any more
    #[arg(long, requires = "source")]
    pub(super) full: bool,
    /// Do not wait for blind checks: nobody can check blindly until the next base is built
    #[arg(long)]
    pub(super) blind_later: bool,
    /// Where to write why records were rejected [default: FILE.rejects.ndjson]
    #[arg(long, value_name = "FILE")]
    pub(super) rejects: Option<PathBuf>,
    /// The organization that owns the reports [default: none]
    #[arg(long, value_name = "ID")]
    pub(super) organization: Option<OrganizationId>,
    /// Exit with 65 if any record was rejected, though the others are stored
    #[arg(long)]
    pub(super) strict: bool,
    /// Import a file that was imported already
    #[arg(long)]
    pub(super) again: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Reports that were withdrawn or replaced meanwhile stay as they are. Those who were told because of
the import that a card is listed get an alert: check again. A second time there is nothing left,
which is no failure. Afterwards the same file can be imported again.
Needs --as and --reason: the audit log keeps them.

Example:
  lostcard import undo 01993c5e-0000-8000-8000-000000000000 --as 'Wang Fang' --reason 'ticket 7'")]
pub(super) struct UndoArgs {
    /// The id that the import printed
    #[arg(value_name = "ID")]
    pub(super) import_id: ImportId,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Withdraw what an import brought and nobody has changed since
    Undo(UndoArgs),
}

fn zone(text: &str) -> Result<Offset, String> {
    read_zone(text).ok_or_else(|| "an offset from UTC: +08:00".to_owned())
}
