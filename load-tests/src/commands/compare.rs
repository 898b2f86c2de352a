//! `lostcard-load compare`: the bare handler, one or more lostcard servers and, with `--peer`, a registry on Redis, each with one worker, all on one CPU, the
//! generator on another. The load changes from server to server every 100 ms and comes back to the bare handler after each, so
//! that a machine whose speed swings does so for all of them alike. The result is ratios: rate to rate, and processor time to
//! processor time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::saturate::{draw_listed, render, saturation_mix};
use crate::compare::{Child, SAMPLE, prepare};
use crate::load::closed::Saturation;
use crate::measure::{Quartiles, float};
use crate::output::{self, grouped};
use crate::traffic::listed::ListedCard;
use crate::traffic::requests::RequestSet;
use crate::wire::Credentials;

const SLICE: Duration = Duration::from_millis(100);
const CYCLES_MAX: u32 = 500;
const REPORTS_MAX: u64 = 100_000_000;
const CONNECTIONS_MAX: usize = 1_024;
const SERVERS_MAX: usize = 4;
const BATCH: u32 = 1_000;
/// A slice ends when all answers are there: with more, a slice of batches would last much longer than its span.
const BATCH_CONNECTIONS: usize = 4;

/// What is measured of a lostcard server: name, receipt, batch, and the share of hits where it is not the command line's.
type Case = (&'static str, bool, Option<u32>, Option<f64>);
const CASES: [Case; 6] = [
    ("receipt, no hit", true, None, Some(0.0)),
    ("receipt", true, None, None),
    ("no receipt, no hit", false, None, Some(0.0)),
    ("no receipt", false, None, None),
    ("batch of 1000, receipts", true, Some(BATCH), None),
    ("batch of 1000, no receipts", false, Some(BATCH), None),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lostcard binary; several are compared with each other, too
    #[arg(long, required = true)]
    server_bin: Vec<PathBuf>,
    /// Prepare (or use again) a data folder for each server here; holds client secrets
    #[arg(long)]
    work: PathBuf,
    /// Also the peer (`lostcard-load peer`), with the reports of the first server, where it does the same: no receipt, no batch.
    /// Its Redis works on the generator's CPU and is not counted
    #[arg(long)]
    peer: bool,
    /// Reports to prepare
    #[arg(long, default_value_t = 1_000_000)]
    reports: u64,
    /// How often each case of each server has its 100 ms
    #[arg(long, default_value_t = 50)]
    cycles: u32,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 0.01)]
    hit_share: f64,
    /// Only cases whose name begins so
    #[arg(long)]
    case: Option<String>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    #[arg(long, default_value_t = 1)]
    generator_cpu: usize,
    /// Write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    connections: usize,
    hit_share: f64,
    cycles: u32,
    bare: Figures,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize)]
struct Server {
    bin: PathBuf,
    ready_seconds: f64,
    resident_bytes: Option<u64>,
    cases: Vec<Figures>,
}

/// One case of one server. Ratios are to the slices of the bare handler before and after each slice.
#[derive(Debug, Serialize)]
struct Figures {
    name: &'static str,
    items_per_s: Quartiles,
    cpu_us_per_item: Quartiles,
    ratio: Quartiles,
    cpu_ratio: Quartiles,
    p99_ms: Quartiles,
    /// Under one signature, in a slice of its own; none where there are no receipts.
    receipts_a_head: Option<f64>,
}

/// A slice in figures.
#[derive(Debug, Clone, Copy)]
struct Sample {
    items_per_s: f64,
    cpu_us_per_item: f64,
    p99_ms: f64,
}

struct Started {
    bin: PathBuf,
    child: Child,
    sets: Vec<(&'static str, RequestSet)>,
}

/// One case of one server under load, and what was seen of it.
struct Course<'a> {
    name: &'static str,
    child: &'a Child,
    load: Saturation<'a>,
    seen: Vec<(Sample, Sample)>,
    receipts_a_head: Option<f64>,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    let nobody = Credentials { client_id: None, client_secret: None };
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut servers = arguments
        .server_bin
        .iter()
        .zip(0..)
        .map(|(bin, at)| start(arguments, bin, at))
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.peer {
        servers.push(start_peer(arguments, &program)?);
    }
    // After preparing, which may use every CPU.
    crate::load::pin_to_cpu(arguments.generator_cpu)?;
    let bare = Child::start(&program, &["bare", "--listen", "127.0.0.1:0", "--workers", "1"], arguments.server_cpu)?;
    let mix = saturation_mix(false, None, 0.0);
    let set = render(bare.target(), &nobody, &mix, &[], arguments.seed)?;
    // Before anything connects: the bare handler ends connections that send nothing for five seconds.
    for server in &servers {
        server.child.await_rest().with_context(|| server.bin.display().to_string())?;
    }
    let mut bare = Course::new("bare", &bare, &set, arguments.connections)?;
    let mut courses = Vec::new();
    for server in &servers {
        for (name, set) in &server.sets {
            let connections = if set.is_batch() { BATCH_CONNECTIONS } else { arguments.connections };
            courses.push(Course::new(name, &server.child, set, connections).with_context(|| (*name).to_owned())?);
        }
    }
    interleave(&mut bare, &mut courses, arguments.cycles)?;
    courses.iter_mut().try_for_each(Course::count_receipts)?;
    let mut figures = courses.into_iter().map(Course::figures);
    let report = Report {
        seed: arguments.seed,
        connections: arguments.connections,
        hit_share: arguments.hit_share,
        cycles: arguments.cycles,
        bare: bare.figures(),
        servers: servers
            .iter()
            .map(|server| Server {
                bin: server.bin.clone(),
                ready_seconds: server.child.ready_after.as_secs_f64(),
                resident_bytes: server.child.resident_bytes(),
                cases: figures.by_ref().take(server.sets.len()).collect(),
            })
            .collect(),
    };
    print(&report)?;
    output::json(arguments.json.as_deref(), &report)
}

fn start(arguments: &Arguments, bin: &Path, at: usize) -> anyhow::Result<Started> {
    // A folder for each: a newer server changes the schema of its store.
    let prepared = prepare(bin, &arguments.work.join(format!("server-{at}")), arguments.reports, arguments.seed)?;
    let listed = draw_listed(prepared.numbers.as_deref(), arguments.seed)?;
    let data = prepared.data.to_str().context("the data folder's name is not UTF-8")?;
    let options =
        ["serve", "--data", data, "--listen", "127.0.0.1:0", "--workers", "1", "--metrics-listen", "127.0.0.1:0"];
    let child = Child::start(bin, &options, arguments.server_cpu)?;
    let sets = sets(arguments, &child, &prepared.credentials, &listed, |_| true)?;
    Ok(Started { bin: bin.to_owned(), child, sets })
}

fn start_peer(arguments: &Arguments, program: &Path) -> anyhow::Result<Started> {
    let work = arguments.work.to_str().context("the work folder's name is not UTF-8")?;
    let numbers = arguments.work.join("server-0").join(SAMPLE);
    let listed = draw_listed(Some(&numbers), arguments.seed)?;
    let numbers = numbers.to_str().context("the work folder's name is not UTF-8")?;
    let redis_cpu = arguments.generator_cpu.to_string();
    let options = ["peer", "--work", work, "--numbers", numbers, "--redis-cpu", &redis_cpu];
    let child = Child::start(program, &options, arguments.server_cpu)?;
    let anybody = Credentials { client_id: Some("peer".to_owned()), client_secret: Some("peer".to_owned()) };
    let sets = sets(arguments, &child, &anybody, &listed, |(_, receipt, batch, _)| !receipt && batch.is_none())?;
    Ok(Started { bin: PathBuf::from("peer"), child, sets })
}

/// The requests of those cases that are wanted.
fn sets(
    arguments: &Arguments,
    child: &Child,
    credentials: &Credentials,
    listed: &[ListedCard],
    does: impl Fn(Case) -> bool,
) -> anyhow::Result<Vec<(&'static str, RequestSet)>> {
    let wanted = |name: &str| arguments.case.as_ref().is_none_or(|case| name.starts_with(case.as_str()));
    CASES
        .into_iter()
        .filter(|case| wanted(case.0) && does(*case))
        .map(|(name, receipt, batch, hit_share)| {
            let mix = saturation_mix(receipt, batch, hit_share.unwrap_or(arguments.hit_share));
            Ok((name, render(child.target(), credentials, &mix, listed, arguments.seed)?))
        })
        .collect()
}

/// One cycle more than is counted: the first one warms up.
fn interleave(bare: &mut Course<'_>, courses: &mut [Course<'_>], cycles: u32) -> anyhow::Result<()> {
    let mut before = bare.sample()?;
    for cycle in 0..=cycles {
        for course in &mut *courses {
            let sample = course.sample().with_context(|| course.name.to_owned())?;
            let after = bare.sample()?;
            if cycle > 0 {
                let between = before.mean(after);
                course.seen.push((sample, between));
                bare.seen.push((after, after));
            }
            before = after;
        }
    }
    Ok(())
}

impl<'a> Course<'a> {
    fn new(name: &'static str, child: &'a Child, set: &'a RequestSet, connections: usize) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            child,
            load: Saturation::connect(child.target(), set, connections)?,
            seen: Vec::new(),
            receipts_a_head: None,
        })
    }

    /// Apart from what is measured: asking a server for it takes its time.
    fn count_receipts(&mut self) -> anyhow::Result<()> {
        let Some(before) = self.child.receipts()? else { return Ok(()) };
        self.load.slice(SLICE)?;
        let Some(after) = self.child.receipts()? else { return Ok(()) };
        let [receipts, heads] = [after[0] - before[0], after[1] - before[1]];
        self.receipts_a_head = (heads > 0.0).then(|| receipts / heads);
        Ok(())
    }

    fn sample(&mut self) -> anyhow::Result<Sample> {
        let cpu_before_ns = self.child.cpu_ns()?;
        let slice = self.load.slice(SLICE)?;
        let cpu_ns = self.child.cpu_ns()?.saturating_sub(cpu_before_ns);
        ensure!(slice.items > 0, "no answer in a slice");
        Ok(Sample {
            items_per_s: float(slice.items) / slice.seconds,
            cpu_us_per_item: float(cpu_ns) / 1e3 / float(slice.items),
            p99_ms: self.load.latency().p99_ms,
        })
    }

    fn figures(self) -> Figures {
        let of = |figure: fn(&(Sample, Sample)) -> f64| Quartiles::of(self.seen.iter().map(figure).collect());
        Figures {
            name: self.name,
            items_per_s: of(|(one, _)| one.items_per_s),
            cpu_us_per_item: of(|(one, _)| one.cpu_us_per_item),
            ratio: of(|(one, bare)| one.items_per_s / bare.items_per_s),
            cpu_ratio: of(|(one, bare)| one.cpu_us_per_item / bare.cpu_us_per_item),
            p99_ms: of(|(one, _)| one.p99_ms),
            receipts_a_head: self.receipts_a_head,
        }
    }
}

impl Sample {
    fn mean(self, other: Self) -> Self {
        Self {
            items_per_s: f64::midpoint(self.items_per_s, other.items_per_s),
            cpu_us_per_item: f64::midpoint(self.cpu_us_per_item, other.cpu_us_per_item),
            p99_ms: f64::midpoint(self.p99_ms, other.p99_ms),
        }
    }
}

fn print(report: &Report) -> anyhow::Result<()> {
    output::line(&format!(
        "{:<28}{:>12}{:>22}{:>14}{:>22}{:>9}{:>17}",
        "median of slices",
        "checks/s",
        "ratio (quartiles)",
        "CPU us",
        "CPU ratio (quartiles)",
        "p99 ms",
        "receipts a head"
    ))?;
    line(&report.bare)?;
    for server in &report.servers {
        output::line(&format!(
            "{}: ready after {:.2} s, resident {:.0} MB",
            server.bin.display(),
            server.ready_seconds,
            float(server.resident_bytes.unwrap_or(0)) / 1e6
        ))?;
        server.cases.iter().try_for_each(line)?;
    }
    Ok(())
}

fn line(figures: &Figures) -> anyhow::Result<()> {
    let between = |ratio: &Quartiles| format!("{:.3} ({:.3}-{:.3})", ratio.median, ratio.q1, ratio.q3);
    output::line(&format!(
        "{:<28}{:>12}{:>22}{:>14.2}{:>22}{:>9.3}{:>17}",
        figures.name,
        grouped(figures.items_per_s.median),
        between(&figures.ratio),
        figures.cpu_us_per_item.median,
        between(&figures.cpu_ratio),
        figures.p99_ms.median,
        figures.receipts_a_head.map_or_else(String::new, |receipts| format!("{receipts:.1}"))
    ))
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!((1..=SERVERS_MAX).contains(&arguments.server_bin.len()), "1 to {SERVERS_MAX} servers can be compared");
    ensure!((1..=CYCLES_MAX).contains(&arguments.cycles), "cycles must be between 1 and {CYCLES_MAX}");
    ensure!(
        (1..=CONNECTIONS_MAX).contains(&arguments.connections),
        "connections must be between 1 and {CONNECTIONS_MAX}"
    );
    ensure!((1..=REPORTS_MAX).contains(&arguments.reports), "reports must be between 1 and {REPORTS_MAX}");
    ensure!(arguments.server_cpu != arguments.generator_cpu, "server and generator need a CPU each");
    ensure!(
        arguments.case.as_ref().is_none_or(|case| CASES.iter().any(|(name, ..)| name.starts_with(case.as_str()))),
        "no case begins so: {}",
        CASES.map(|(name, ..)| name).join("; ")
    );
    saturation_mix(true, None, arguments.hit_share).validate()
}
