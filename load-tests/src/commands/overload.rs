//! `lostcard-load overload`: what a server does when it is offered many times
//! what it can do. Its peak is found in a closed loop, then a multiple of it is
//! offered in the open model, on so many connections that the queue forms at
//! the server. Goodput is 200 within a second of the intended start. Batches,
//! because one core cannot send ten times what another answers of single
//! checks.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::saturate::{describe, draw_listed, render, saturation_mix};
use crate::compare::{Child, Vitals, prepare, watch};
use crate::load::closed::{self, Round, saturate};
use crate::load::open::{self, OpenResult, offer};
use crate::load::schedule::Curve;
use crate::measure::float;
use crate::output::{self, grouped};
use crate::traffic::mix::BATCH_ITEMS_MAX;

const SECONDS_MAX: u32 = 300;
const FACTOR_MAX: f64 = 100.0;
const CONNECTIONS_MAX: usize = 8_000;
const PEAK_CONNECTIONS: usize = 64;
const PEAK_WARMUP: Duration = Duration::from_secs(2);
/// Nearly every number is in no report: what is measured is the node and not its store.
const HIT_SHARE: f64 = 0.0;
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lostcard binary
    #[arg(long)]
    server_bin: PathBuf,
    /// Prepare (or use again) a data folder here; holds a client secret
    #[arg(long)]
    work: PathBuf,
    /// Reports to prepare
    #[arg(long, default_value_t = 100_000)]
    reports: u64,
    /// Checks in a batch, each with a receipt
    #[arg(long, default_value_t = 250)]
    batch: u32,
    /// How many times the peak is offered
    #[arg(long, default_value_t = 10.0)]
    factor: f64,
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Measured window of the peak
    #[arg(long, default_value_t = 10)]
    peak_seconds: u64,
    /// What is due while all are busy is not sent, and counted so
    #[arg(long, default_value_t = 2_000)]
    connections: usize,
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
    batch: u32,
    connections: usize,
    peak: Round,
    factor_wanted: f64,
    /// Requests that reached the server, over the peak.
    factor_sent: f64,
    /// 200 within a second, over the peak.
    goodput_ratio: f64,
    /// The part of a core that the server got, at its peak and under overload: less than 1 where others use the machine.
    peak_core: f64,
    overload_core: f64,
    /// The same ratio for a second of the server's processor time.
    goodput_ratio_per_core: f64,
    overload: OpenResult,
    vitals: Vitals,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    let prepared = prepare(&arguments.server_bin, &arguments.work, arguments.reports, arguments.seed)?;
    let listed = draw_listed(prepared.numbers.as_deref(), arguments.seed)?;
    crate::load::pin_to_cpu(arguments.generator_cpu)?;
    let data = prepared.data.to_str().context("the data folder's name is not UTF-8")?;
    let options =
        ["serve", "--data", data, "--listen", "127.0.0.1:0", "--workers", "1", "--metrics-listen", "127.0.0.1:0"];
    let server = Child::start(&arguments.server_bin, &options, arguments.server_cpu)?;
    let mix = saturation_mix(true, Some(arguments.batch), HIT_SHARE);
    let set = render(server.target(), &prepared.credentials, &mix, &listed, arguments.seed)?;
    let window = Duration::from_secs(arguments.peak_seconds);
    let plan = closed::Plan { connections: PEAK_CONNECTIONS, warmup: PEAK_WARMUP, window };
    let cpu_at_start_s = server.cpu_seconds().unwrap_or(0.0);
    let peak = saturate(server.target(), &set, plan)?;
    let cpu_at_peak_s = server.cpu_seconds().unwrap_or(0.0);
    output::line(&format!("peak      {}", describe(&peak)))?;
    let plan = open::Plan {
        seconds: arguments.seconds,
        rate_per_s: peak.requests_per_s * arguments.factor,
        curve: Curve::flat(),
        connections: arguments.connections,
        outstanding_max: arguments.connections,
        timeout: TIMEOUT,
        seed: arguments.seed,
    };
    let stop = AtomicBool::new(false);
    let (overload, vitals) = std::thread::scope(|scope| {
        let vitals = scope.spawn(|| watch(&server, &stop));
        let overload = offer(server.target(), &set, &plan);
        stop.store(true, Ordering::Relaxed);
        let vitals = vitals.join().map_err(|_| anyhow::anyhow!("the watch of the server ended early"));
        anyhow::Ok((overload?, vitals??))
    })?;
    let cpu_at_end_s = server.cpu_seconds().unwrap_or(0.0);
    let peak_core = (cpu_at_peak_s - cpu_at_start_s) / (window.as_secs_f64() + PEAK_WARMUP.as_secs_f64());
    let overload_core = (cpu_at_end_s - cpu_at_peak_s) / overload.seconds;
    let sent_per_s = float(overload.offered - overload.not_sent) / overload.seconds;
    let report = Report {
        batch: arguments.batch,
        connections: arguments.connections,
        factor_wanted: arguments.factor,
        factor_sent: sent_per_s / peak.requests_per_s,
        goodput_ratio: overload.prompt_per_s / peak.requests_per_s,
        peak_core,
        overload_core,
        goodput_ratio_per_core: (overload.prompt_per_s / overload_core) / (peak.requests_per_s / peak_core),
        peak,
        overload,
        vitals,
    };
    print(&report)?;
    output::json(arguments.json.as_deref(), &report)
}

fn print(report: &Report) -> anyhow::Result<()> {
    let (overload, vitals) = (&report.overload, &report.vitals);
    let latency = |name: &str, of: &crate::measure::LatencySummary| {
        format!("{name:<10}p50 {:.1} ms  p99 {:.1} ms  max {:.1} ms  ({})", of.p50_ms, of.p99_ms, of.max_ms, of.count)
    };
    let [begin, middle, end, most] = vitals.resident().map(|bytes| float(bytes) / 1e6);
    for text in [
        format!(
            "offered   {}/s, sent {}/s: {:.1} times the peak",
            grouped(overload.offered_per_s),
            grouped(report.factor_sent * report.peak.requests_per_s),
            report.factor_sent
        ),
        format!("goodput   {}/s: {:.2} of the peak", grouped(overload.prompt_per_s), report.goodput_ratio),
        format!(
            "          {:.2} of the peak for the same processor time: the server got {:.2} of a core at the peak, {:.2} now",
            report.goodput_ratio_per_core, report.peak_core, report.overload_core
        ),
        format!("statuses  {:?}, lost {}", overload.statuses, overload.lost_connections + overload.timeouts),
        latency("accepted", &overload.latency_accepted),
        latency("refused", &overload.latency_refused),
        format!("resident  {begin:.1} MB, middle {middle:.1} MB, end {end:.1} MB, most {most:.1} MB"),
        latency("health", &vitals.probe_latency),
        format!("health    {} of {} probes failed", vitals.probes_failed, vitals.probes),
    ] {
        output::line(&text)?;
    }
    Ok(())
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!((1..=BATCH_ITEMS_MAX).contains(&arguments.batch), "batch must be between 1 and {BATCH_ITEMS_MAX}");
    ensure!((1.0..=FACTOR_MAX).contains(&arguments.factor), "factor must be between 1 and {FACTOR_MAX}");
    ensure!((1..=SECONDS_MAX).contains(&arguments.seconds), "seconds must be between 1 and {SECONDS_MAX}");
    ensure!((1..=60).contains(&arguments.peak_seconds), "peak-seconds must be between 1 and 60");
    ensure!(
        (1..=CONNECTIONS_MAX).contains(&arguments.connections),
        "connections must be between 1 and {CONNECTIONS_MAX}"
    );
    ensure!(arguments.server_cpu != arguments.generator_cpu, "server and generator need a CPU each");
    Ok(())
}
