//! `lostcard-load compare`: the bare handler and a lostcard server, one after
//! the other in each round, each with one worker on one CPU and the generator
//! on another. The result is the ratio of medians.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::saturate::{describe, draw_listed, render, saturation_mix};
use crate::compare::{Child, Prepared, prepare};
use crate::load::closed::{Plan, Round, saturate};
use crate::measure::{float, median};
use crate::output::{self, grouped};
use crate::traffic::listed::ListedCard;
use crate::wire::Credentials;

const ROUNDS_MAX: u32 = 20;
const SECONDS_MAX: u64 = 30;
const REPORTS_MAX: u64 = 100_000_000;
const CONNECTIONS_MAX: usize = 1_024;
const BATCH: u32 = 1_000;
const BARE: &str = "bare check";

/// What is measured of a lostcard server: name, receipt, batch.
const CASES: [(&str, bool, Option<u32>); 4] = [
    ("check with receipt", true, None),
    ("check without receipt", false, None),
    ("batch of 1000 with receipts", true, Some(BATCH)),
    ("batch of 1000 without receipts", false, Some(BATCH)),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lostcard binary
    #[arg(long)]
    server_bin: PathBuf,
    /// Prepare (or use again) a data folder here; holds a client secret
    #[arg(long, required_unless_present = "data")]
    work: Option<PathBuf>,
    /// Reports to prepare
    #[arg(long, default_value_t = 1_000_000)]
    reports: u64,
    /// An existing data folder instead; needs the credentials of a client
    #[arg(long, conflicts_with = "work", requires = "client_id")]
    data: Option<PathBuf>,
    #[command(flatten)]
    credentials: Credentials,
    /// With --data: the file of reports that was imported
    #[arg(long, requires = "data")]
    numbers: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measured window of each case
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    warmup_seconds: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 0.01)]
    hit_share: f64,
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
    ready_seconds_median: f64,
    resident_bytes_median: f64,
    cases: Vec<Case>,
}

#[derive(Debug, Default, Serialize)]
struct Case {
    name: String,
    requests_per_s_median: f64,
    items_per_s_median: f64,
    p50_ms_median: f64,
    p99_ms_median: f64,
    /// Items a second over those of the bare handler.
    ratio_to_bare: f64,
    rounds: Vec<Round>,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    let prepared = match (&arguments.data, &arguments.work) {
        (Some(data), _) => Prepared {
            data: data.clone(),
            numbers: arguments.numbers.clone(),
            credentials: arguments.credentials.clone(),
        },
        (None, Some(work)) => prepare(&arguments.server_bin, work, arguments.reports, arguments.seed)?,
        (None, None) => anyhow::bail!("either --work or --data is needed"),
    };
    let listed = draw_listed(prepared.numbers.as_deref(), arguments.seed)?;
    // After preparing, which may use every CPU.
    crate::load::pin_to_cpu(arguments.generator_cpu)?;
    let mut cases = [BARE, CASES[0].0, CASES[1].0, CASES[2].0, CASES[3].0]
        .map(|name| Case { name: name.to_owned(), ..Case::default() });
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for number in 1..=arguments.rounds {
        output::line(&format!("round {number} of {}", arguments.rounds))?;
        let [bare_case, server_cases @ ..] = &mut cases;
        bare_round(arguments, bare_case)?;
        let server = server_round(arguments, &prepared, &listed, server_cases)?;
        ready.push(server.0);
        resident.extend(server.1);
    }
    let report = Report {
        seed: arguments.seed,
        connections: arguments.connections,
        hit_share: arguments.hit_share,
        ready_seconds_median: median(&ready).unwrap_or(0.0),
        resident_bytes_median: median(&resident).unwrap_or(0.0),
        cases: summarize(cases),
    };
    print(&report)?;
    output::json(arguments.json.as_deref(), &report)?;
    let failed =
        report.cases.iter().flat_map(|case| &case.rounds).any(|round| round.failed + round.lost_connections > 0);
    ensure!(!failed, "some requests failed: the figures do not count");
    Ok(())
}

fn plan(arguments: &Arguments) -> Plan {
    Plan {
        connections: arguments.connections,
        warmup: Duration::from_secs(arguments.warmup_seconds),
        window: Duration::from_secs(arguments.seconds),
    }
}

fn bare_round(arguments: &Arguments, case: &mut Case) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let child = Child::start(&program, &["bare", "--listen", "127.0.0.1:0", "--workers", "1"], arguments.server_cpu)?;
    let mix = saturation_mix(false, None, arguments.hit_share);
    let nobody = Credentials { client_id: None, client_secret: None };
    let set = render(child.target(), &nobody, &mix, &[], arguments.seed)?;
    measure(case, || saturate(child.target(), &set, plan(arguments)))
}

/// Start time in seconds, and resident bytes after the load.
fn server_round(
    arguments: &Arguments,
    prepared: &Prepared,
    listed: &[ListedCard],
    cases: &mut [Case],
) -> anyhow::Result<(f64, Option<f64>)> {
    let data = prepared.data.to_str().context("the data folder's name is not UTF-8")?;
    let options =
        ["serve", "--data", data, "--listen", "127.0.0.1:0", "--workers", "1", "--metrics-listen", "127.0.0.1:0"];
    let child = Child::start(&arguments.server_bin, &options, arguments.server_cpu)?;
    for ((_, receipt, batch), case) in CASES.iter().zip(cases) {
        let mix = saturation_mix(*receipt, *batch, arguments.hit_share);
        let set = render(child.target(), &prepared.credentials, &mix, listed, arguments.seed)?;
        measure(case, || saturate(child.target(), &set, plan(arguments)))?;
    }
    Ok((child.ready_after.as_secs_f64(), child.resident_bytes().map(float)))
}

fn measure(case: &mut Case, round: impl FnOnce() -> anyhow::Result<Round>) -> anyhow::Result<()> {
    let round = round().with_context(|| case.name.clone())?;
    output::line(&format!("  {:<31}{}", case.name, describe(&round)))?;
    case.rounds.push(round);
    Ok(())
}

fn summarize(cases: [Case; 5]) -> Vec<Case> {
    let mut bare_items_per_s = 0.0;
    let mut summarized = Vec::new();
    for mut case in cases {
        let of = |figure: fn(&Round) -> f64| median(&case.rounds.iter().map(figure).collect::<Vec<_>>()).unwrap_or(0.0);
        let items_per_s = of(|round| round.items_per_s);
        let (requests_per_s, p50_ms, p99_ms) =
            (of(|round| round.requests_per_s), of(|round| round.latency.p50_ms), of(|round| round.latency.p99_ms));
        if case.name == BARE {
            bare_items_per_s = items_per_s;
        }
        case.requests_per_s_median = requests_per_s;
        case.items_per_s_median = items_per_s;
        case.p50_ms_median = p50_ms;
        case.p99_ms_median = p99_ms;
        case.ratio_to_bare = if bare_items_per_s > 0.0 { items_per_s / bare_items_per_s } else { 0.0 };
        summarized.push(case);
    }
    summarized
}

fn print(report: &Report) -> anyhow::Result<()> {
    output::line(&format!(
        "\n{:<31}{:>10}{:>13}{:>9}{:>9}{:>8}",
        "median", "req/s", "checks/s", "p50 ms", "p99 ms", "ratio"
    ))?;
    for case in &report.cases {
        output::line(&format!(
            "{:<31}{:>10}{:>13}{:>9.3}{:>9.3}{:>8.2}",
            case.name,
            grouped(case.requests_per_s_median),
            grouped(case.items_per_s_median),
            case.p50_ms_median,
            case.p99_ms_median,
            case.ratio_to_bare
        ))?;
    }
    output::line(&format!(
        "server ready after {:.2} s, resident after load {:.1} MB",
        report.ready_seconds_median,
        report.resident_bytes_median / 1e6
    ))
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!((1..=ROUNDS_MAX).contains(&arguments.rounds), "rounds must be between 1 and {ROUNDS_MAX}");
    ensure!((1..=SECONDS_MAX).contains(&arguments.seconds), "seconds must be between 1 and {SECONDS_MAX}");
    ensure!(arguments.warmup_seconds <= SECONDS_MAX, "warmup-seconds must be at most {SECONDS_MAX}");
    ensure!(
        (1..=CONNECTIONS_MAX).contains(&arguments.connections),
        "connections must be between 1 and {CONNECTIONS_MAX}"
    );
    ensure!((1..=REPORTS_MAX).contains(&arguments.reports), "reports must be between 1 and {REPORTS_MAX}");
    ensure!(arguments.server_cpu != arguments.generator_cpu, "server and generator need a CPU each");
    saturation_mix(true, None, arguments.hit_share).validate()
}
