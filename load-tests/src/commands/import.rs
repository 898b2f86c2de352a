//! `lostcard-load import`: how fast `lostcard import` stores reports, beside what the database does alone with the same rows. After each
//! import into SQLite, the `sqlite3` program copies the rows it wrote, table by table, into an empty store of the same schema, in
//! transactions of the same size and as durable: that is the ceiling. With `--database-url` it is `psql \copy` of the reports.
//! Rounds of all binaries take turns.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::measure::{Quartiles, float};
use crate::output::{self, grouped};

const REPORTS_MAX: u64 = 100_000_000;
const ROUNDS_MAX: u32 = 20;
const SERVERS_MAX: usize = 4;
const PAUSE: Duration = Duration::from_millis(10);
/// Rows of one transaction of the database alone: as many as an import takes at most.
const COPY_ROWS: u64 = 20_000;
/// What an import writes one row a report of.
const COPIED: [&str; 1] = ["loss_reports"];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lostcard binary; several take turns
    #[arg(long, required = true)]
    server_bin: Vec<PathBuf>,
    /// An empty or absent folder for samples and stores; a store is deleted after its round
    #[arg(long)]
    work: PathBuf,
    #[arg(long, default_value_t = 1_000_000)]
    reports: u64,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A PostgreSQL server in place of SQLite, as `postgres://USER@HOST:PORT`: each round makes a database of its own in it
    #[arg(long)]
    database_url: Option<String>,
    /// Write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    reports: u64,
    servers: Vec<Figures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    bin: PathBuf,
    reports_per_s: Quartiles,
    alone_per_s: Quartiles,
    ratio: Quartiles,
    cpu_us_per_report: Quartiles,
    written_bytes_per_report: Quartiles,
    kept_bytes_per_report: Quartiles,
}

/// A round in figures.
#[derive(Debug, Clone, Copy)]
struct Round {
    seconds: f64,
    cpu_seconds: f64,
    written_bytes: f64,
    kept_bytes: f64,
    alone_seconds: f64,
}

/// A store of one round.
#[derive(Debug)]
struct Place<'a> {
    data: PathBuf,
    /// Server and name of the database, where it is not the embedded one.
    postgres: Option<(&'a str, String)>,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    std::fs::create_dir_all(&arguments.work)?;
    let sample = arguments.work.join(format!("sample-{}-{}.csv", arguments.reports, arguments.seed));
    if !sample.exists() {
        let (reports, seed) = (arguments.reports.to_string(), arguments.seed.to_string());
        run(Command::new(&arguments.server_bin[0])
            .args(["sample", "--reports", &reports, "--seed", &seed, "--output"])
            .arg(&sample))?;
    }
    let mut rounds = vec![Vec::new(); arguments.server_bin.len()];
    for number in 1..=arguments.rounds {
        for (bin, rounds) in arguments.server_bin.iter().zip(&mut rounds) {
            let round = measure(arguments, bin, &sample)?;
            output::line(&format!(
                "round {number}  {}: {} reports/s, alone {}, {:.0} bytes written and {:.0} kept a report",
                bin.display(),
                grouped(float(arguments.reports) / round.seconds),
                grouped(float(arguments.reports) / round.alone_seconds),
                round.written_bytes / float(arguments.reports),
                round.kept_bytes / float(arguments.reports),
            ))?;
            rounds.push(round);
        }
    }
    let reports = float(arguments.reports);
    let figures = arguments.server_bin.iter().zip(&rounds).map(|(bin, rounds)| Figures::of(bin, rounds, reports));
    let report = Report { reports: arguments.reports, servers: figures.collect() };
    for figures in &report.servers {
        let Figures { ratio, cpu_us_per_report, .. } = figures;
        output::line(&format!(
            "{}: {} reports/s, ratio {:.3} ({:.3}-{:.3}), CPU {:.1} us a report, {:.0} bytes written and {:.0} kept",
            figures.bin.display(),
            grouped(figures.reports_per_s.median),
            ratio.median,
            ratio.q1,
            ratio.q3,
            cpu_us_per_report.median,
            figures.written_bytes_per_report.median,
            figures.kept_bytes_per_report.median
        ))?;
    }
    output::json(arguments.json.as_deref(), &report)
}

impl Figures {
    fn of(bin: &Path, rounds: &[Round], reports: f64) -> Self {
        let of = |figure: &dyn Fn(&Round) -> f64| Quartiles::of(rounds.iter().map(figure).collect());
        Self {
            bin: bin.to_owned(),
            reports_per_s: of(&|round| reports / round.seconds),
            alone_per_s: of(&|round| reports / round.alone_seconds),
            ratio: of(&|round| round.alone_seconds / round.seconds),
            cpu_us_per_report: of(&|round| round.cpu_seconds * 1e6 / reports),
            written_bytes_per_report: of(&|round| round.written_bytes / reports),
            kept_bytes_per_report: of(&|round| round.kept_bytes / reports),
        }
    }
}

fn measure(arguments: &Arguments, bin: &Path, sample: &Path) -> anyhow::Result<Round> {
    let data = arguments.work.join("store");
    ensure!(!data.exists(), "{} is there already", data.display());
    let postgres = arguments.database_url.as_deref().map(|server| (server, format!("import_{}", std::process::id())));
    let place = Place { data, postgres };
    place.make(bin)?;
    let round = place.round(bin, sample);
    place.remove()?;
    round
}

impl Place<'_> {
    fn make(&self, bin: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.data)?;
        if let Some((_, name)) = &self.postgres {
            self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        }
        // Makes store and keys, so that an import's time is an import's.
        run(self.command(
            bin,
            &["organization", "create", "--name", "Load test", "--kind", "registrar", "--region", "110105"],
        ))
    }

    fn round(&self, bin: &Path, sample: &Path) -> anyhow::Result<Round> {
        let began = Instant::now();
        let mut command = self.command(bin, &["import"]);
        let mut child = command.arg(sample).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let (mut written_bytes, mut cpu_seconds) = (0.0, 0.0);
        let status = loop {
            // What a process used is not told when it has ended: the last look before it counts.
            written_bytes = written(child.id()).unwrap_or(written_bytes);
            cpu_seconds = crate::compare::cpu_seconds(child.id()).unwrap_or(cpu_seconds);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            std::thread::sleep(PAUSE);
        };
        let seconds = began.elapsed().as_secs_f64();
        ensure!(status.success(), "lostcard import: {status}");
        let kept_bytes = self.kept()?;
        let alone_seconds = if self.postgres.is_some() { self.copy_by_psql() } else { self.copy_by_sqlite() }?;
        Ok(Round { seconds, cpu_seconds, written_bytes, kept_bytes, alone_seconds })
    }

    fn command(&self, bin: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(bin);
        command.args(arguments).arg("--data").arg(&self.data);
        if let Some((server, name)) = &self.postgres {
            command.env("LOSTCARD_DATABASE_URL", format!("{server}/{name}"));
        }
        command
    }

    fn kept(&self) -> anyhow::Result<f64> {
        match &self.postgres {
            None => Ok(float(std::fs::metadata(self.data.join("lostcard.db"))?.len())),
            Some((_, name)) => Ok(self.psql(name, "SELECT pg_database_size(current_database())")?.trim().parse()?),
        }
    }

    /// Seconds in which SQLite alone stores the same rows with the same indexes.
    fn copy_by_sqlite(&self) -> anyhow::Result<f64> {
        let (full, copy) = (self.data.join("lostcard.db"), self.data.join("alone.db"));
        let schema = sqlite(&full, ".schema")?;
        sqlite(&copy, &format!("PRAGMA journal_mode = WAL;\n{schema}"))?;
        let mut script = format!(
            "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;\nATTACH '{}' AS was;\n",
            full.display()
        );
        for table in COPIED {
            let rows: u64 = sqlite(&full, &format!("SELECT MAX(rowid) FROM {table};"))?.trim().parse()?;
            for from in (0..rows).step_by(usize::try_from(COPY_ROWS)?) {
                writeln!(
                    script,
                    "BEGIN; INSERT INTO main.{table} SELECT * FROM was.{table} WHERE rowid > {from} AND rowid <= {}; COMMIT;",
                    from + COPY_ROWS
                )?;
            }
        }
        let began = Instant::now();
        sqlite(&copy, &script)?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Seconds in which PostgreSQL stores the same reports with the same indexes by one COPY.
    fn copy_by_psql(&self) -> anyhow::Result<f64> {
        let (_, name) = self.postgres.as_ref().context("no server")?;
        let file = self.data.join("reports.copy");
        self.psql(name, &format!("\\copy loss_reports TO '{}'", file.display()))?;
        self.psql(name, "CREATE TABLE alone (LIKE loss_reports INCLUDING ALL)")?;
        let began = Instant::now();
        self.psql(name, &format!("\\copy alone FROM '{}'", file.display()))?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn psql(&self, database: &str, text: &str) -> anyhow::Result<String> {
        let (server, _) = self.postgres.as_ref().context("no server")?;
        output_of(
            Command::new("psql")
                .args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text])
                .arg(format!("{server}/{database}")),
        )
    }

    fn remove(&self) -> anyhow::Result<()> {
        if let Some((_, name)) = &self.postgres {
            self.psql("postgres", &format!("DROP DATABASE {name}"))?;
        }
        Ok(std::fs::remove_dir_all(&self.data)?)
    }
}

/// Bytes that a process had written to its files' devices so far (proc(5): io).
fn written(id: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

/// What `sqlite3` (Debian's package of that name) says to a script.
fn sqlite(database: &Path, script: &str) -> anyhow::Result<String> {
    let mut command = Command::new("sqlite3");
    let mut child = command
        .arg("-bail")
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(File::create(database.with_extension("out"))?))
        .spawn()
        .context("cannot start sqlite3")?;
    child.stdin.take().context("no standard input")?.write_all(script.as_bytes())?;
    ensure!(child.wait()?.success(), "sqlite3 failed");
    Ok(std::fs::read_to_string(database.with_extension("out"))?)
}

fn run(mut command: impl std::borrow::BorrowMut<Command>) -> anyhow::Result<()> {
    output_of(command.borrow_mut()).map(|_| ())
}

fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!((1..=SERVERS_MAX).contains(&arguments.server_bin.len()), "1 to {SERVERS_MAX} binaries can be measured");
    ensure!((1..=ROUNDS_MAX).contains(&arguments.rounds), "rounds must be between 1 and {ROUNDS_MAX}");
    ensure!((1..=REPORTS_MAX).contains(&arguments.reports), "reports must be between 1 and {REPORTS_MAX}");
    Ok(())
}
