//! A data folder for `lostcard serve`: a sample imported, an organization and
//! a client with a limit that never bites. Made once in a work folder and
//! used again by later runs.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::output;
use crate::wire::Credentials;

const STEP_TIMEOUT: Duration = Duration::from_mins(15);
const PAUSE: Duration = Duration::from_millis(50);
const RATE: &str = "100000000/1s";
/// Limits of numbers cost what they cost, and never refuse.
const NUMBERS: &str = "10000000/1d";
const RECORD: &str = "prepared.json";
/// What is listed, as a file in the work folder.
pub(crate) const SAMPLE: &str = "sample.csv";

#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) data: PathBuf,
    pub(crate) numbers: Option<PathBuf>,
    pub(crate) credentials: Credentials,
}

/// What a work folder was prepared with; holds a secret, so mode 0600.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    reports: u64,
    seed: u64,
    client_id: String,
    client_secret: String,
}

#[derive(Deserialize)]
struct Organization {
    organization_id: String,
}

#[derive(Deserialize)]
struct Client {
    client_id: String,
    client_secret: String,
}

/// Prepares `work`, or takes what an earlier run prepared there alike.
pub(crate) fn prepare(server: &Path, work: &Path, reports: u64, seed: u64) -> anyhow::Result<Prepared> {
    let data = work.join("data");
    let numbers = work.join(SAMPLE);
    let record_path = work.join(RECORD);
    let record = if record_path.exists() {
        let record: Record =
            serde_json::from_slice(&std::fs::read(&record_path)?).context("the work folder's record is damaged")?;
        ensure!(
            (record.reports, record.seed) == (reports, seed),
            "{} was prepared with {} reports and seed {}: choose another folder",
            work.display(),
            record.reports,
            record.seed
        );
        record
    } else {
        ensure!(!data.exists(), "{} holds data that this program did not finish preparing", work.display());
        std::fs::create_dir_all(&data)?;
        let record = make(server, &data, &numbers, reports, seed)?;
        write_private(&record_path, &record)?;
        record
    };
    Ok(Prepared {
        data,
        numbers: Some(numbers),
        credentials: Credentials { client_id: Some(record.client_id), client_secret: Some(record.client_secret) },
    })
}

fn make(server: &Path, data: &Path, numbers: &Path, reports: u64, seed: u64) -> anyhow::Result<Record> {
    let data = data.to_str().context("the work folder's name is not UTF-8")?;
    let numbers = numbers.to_str().context("the work folder's name is not UTF-8")?;
    step(server, &["sample", "--reports", &reports.to_string(), "--seed", &seed.to_string(), "--output", numbers])?;
    step(server, &["import", numbers, "--data", data])?;
    let create = ["organization", "create", "--name", "Load test", "--kind", "certifying", "--region", "110105"];
    let organization: Organization =
        parse(&step(server, &[&create[..], &["--rate", RATE, "--data", data, "--json"]].concat())?)?;
    let create = ["client", "create", "--organization", &organization.organization_id, "--scope", "checks"];
    let create = [&create[..], &["--rate", RATE, "--data", data, "--json"]].concat();
    // A binary from before the limits on numbers does not know of them.
    let client = step(server, &[&create[..], &["--numbers", NUMBERS]].concat()).or_else(|_| step(server, &create))?;
    let client: Client = parse(&client)?;
    Ok(Record { reports, seed, client_id: client.client_id, client_secret: client.client_secret })
}

/// Runs one command of the server to its end; gives its standard output,
/// which `--json` keeps small.
fn step(server: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let name = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let started_at = Instant::now();
    let mut process = Command::new(server)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", server.display()))?;
    let mut stdout = process.stdout.take().context("no standard output")?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut bytes).map(|_| bytes)
    });
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        if started_at.elapsed() > STEP_TIMEOUT {
            process.kill()?;
            process.wait()?;
            bail!("lostcard {name} took longer than {} s", STEP_TIMEOUT.as_secs());
        }
        std::thread::sleep(PAUSE);
    };
    ensure!(status.success(), "lostcard {name}: {status}");
    output::line(&format!("prepared: lostcard {name} in {:.1} s", started_at.elapsed().as_secs_f64()))?;
    reader
        .join()
        .map_err(|_| anyhow::anyhow!("lostcard {name}: its output could not be read"))?
        .context("cannot read the output")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(bytes).context("not the JSON that was expected of --json")
}

fn write_private(path: &Path, record: &Record) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    serde_json::to_writer_pretty(file, record).with_context(|| format!("cannot write {}", path.display()))
}
