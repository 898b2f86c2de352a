//! What `check` takes, and what its help says.

use std::path::PathBuf;

use clap::Args;

use crate::cli::import::encoding::Encoding;
use crate::cli::import::input::Format;
use crate::domain::verdict::Purpose;

#[derive(Debug, Args)]
#[command(after_help = "\
CSV, XLSX or NDJSON, in any encoding that import reads. One column holds the number: id_number,
公民身份号码, 证件号码 and the like. Used where they are there: card_valid_from (有效期起始日期 ...),
the start of the card's validity; purpose (用途). All other columns stay as they are.
CSV comes out, in UTF-8: the rows of the list, each with verdict, advice, since, check_id, receipt
and problem at its end. The verdict is empty where a row could not be checked. The receipt is a file
in the folder of receipts, which verify-receipts verifies.
Killed at any moment, the same command continues where it stopped. Rows that are checked already are
not checked again: remove OUTPUT for that.

Exit codes: 0 no card is listed, 10 some are, 65 some rows could not be checked (whatever the others
are) or there are none, 75 the service gives no answer, 1 failed, 2 called wrongly.

Examples:
  lostcard check --url https://lostcard.example --credentials client.json --purpose lodging a.csv
  lostcard verify-receipts --jwks jwks.json a.csv.checked.csv.receipts")]
pub(crate) struct CheckArgs {
    /// The list to read: .csv, .tsv, .txt, .ndjson, .jsonl or .xlsx
    pub(super) file: PathBuf,
    /// Where the service is
    #[arg(long)]
    pub(super) url: String,
    /// The JSON that `client create --json` printed, or with its client's private key as `jwk`
    #[arg(long, value_name = "FILE")]
    pub(super) credentials: PathBuf,
    /// What the cards are checked for, where no column says so
    #[arg(long, value_name = "PURPOSE", value_parser = purpose)]
    pub(super) purpose: Option<Purpose>,
    /// Where to write the rows with their verdicts [default: FILE.checked.csv]
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// The folder for the receipts [default: OUTPUT.receipts]
    #[arg(long, value_name = "DIR")]
    pub(super) receipts: Option<PathBuf>,
    /// The file's format, where its name does not tell
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    /// The file's encoding, where its bytes do not tell
    #[arg(long, value_enum)]
    pub(super) encoding: Option<Encoding>,
    /// How long to try again while the service gives no answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(super) patience: u32,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

fn purpose(word: &str) -> Result<Purpose, String> {
    let words = || Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect::<Vec<_>>().join(", ");
    super::names::purpose(word).ok_or_else(|| format!("one of: {}", words()))
}
