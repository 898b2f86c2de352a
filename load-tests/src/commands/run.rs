//! `lostcard-load run`: a profile against a running server, as a table and as
//! JSON. The exit status is 1 when an answer was missing or a listed number
//! was answered `not_listed`; statuses like 429 are a result, not a failure.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use crate::load::open::{OpenResult, Plan, offer};
use crate::load::schedule::Curve;
use crate::measure::{LatencySummary, float};
use crate::output::{self, grouped};
use crate::traffic::listed;
use crate::traffic::profile::Profile;
use crate::traffic::requests::RequestSet;
use crate::wire::{Credentials, Target, access_token};

const LISTED_DRAWN: usize = 10_000;
const SINGLE_REQUESTS: usize = 20_000;
const BATCH_REQUESTS: usize = 256;
const TIMEOUT_MS_MAX: u64 = 60_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Profile (TOML), see load-tests/profiles
    #[arg(long)]
    profile: PathBuf,
    /// Server, on loopback
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    credentials: Credentials,
    /// File of imported reports (`lostcard sample`); without it nothing hits
    #[arg(long)]
    numbers: Option<PathBuf>,
    /// Instead of the profile's length
    #[arg(long)]
    seconds: Option<u32>,
    /// Instead of the profile's mean rate, requests a second
    #[arg(long)]
    rate: Option<f64>,
    /// The same rate all the time instead of the profile's curve
    #[arg(long)]
    flat: bool,
    /// Instead of the profile's number of connections
    #[arg(long)]
    connections: Option<usize>,
    /// Instead of the profile's bound on waiting and flying requests
    #[arg(long)]
    outstanding_max: Option<usize>,
    /// Instead of the profile's choice
    #[arg(long)]
    receipt: Option<bool>,
    /// A request without an answer for so long is given up
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// Repeats arrivals and requests of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Pin the generator to this CPU
    #[arg(long)]
    cpu: Option<usize>,
    /// Write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    profile: Profile,
    result: OpenResult,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    let profile = effective_profile(arguments)?;
    ensure!((1..=TIMEOUT_MS_MAX).contains(&arguments.timeout_ms), "timeout-ms must be between 1 and {TIMEOUT_MS_MAX}");
    let target = Target::parse(&arguments.url)?;
    let seed = super::seed_or_random(arguments.seed);
    output::line(&format!("profile {} for {} s, seed {seed}", profile.name, profile.seconds))?;
    if let Some(cpu) = arguments.cpu {
        crate::load::pin_to_cpu(cpu)?;
    }
    let listed = match &arguments.numbers {
        Some(path) => listed::draw(path, LISTED_DRAWN, &mut StdRng::seed_from_u64(seed))?,
        None => Vec::new(),
    };
    let token = access_token(&target, &arguments.credentials)?;
    let count = if profile.mix.batch.is_some() { BATCH_REQUESTS } else { SINGLE_REQUESTS };
    let set = RequestSet::render(&target, token.as_deref(), &profile.mix, &listed, count, seed)?;
    let plan = Plan {
        seconds: profile.seconds,
        rate_per_s: profile.rate_per_s,
        curve: profile.curve.clone(),
        connections: profile.connections,
        outstanding_max: profile.outstanding_max,
        timeout: Duration::from_millis(arguments.timeout_ms),
        seed,
    };
    let result = offer(&target, &set, &plan)?;
    for text in table(&result) {
        output::line(&text)?;
    }
    let report = Report { seed, profile, result };
    output::json(arguments.json.as_deref(), &report)?;
    let result = &report.result;
    ensure!(result.missed_listings == 0, "{} listed numbers were answered not_listed", result.missed_listings);
    ensure!(
        result.timeouts == 0 && result.unanswered == 0 && result.lost_connections == 0,
        "some requests got no answer"
    );
    Ok(())
}

fn effective_profile(arguments: &Arguments) -> anyhow::Result<Profile> {
    let mut profile = Profile::load(&arguments.profile)?;
    profile.seconds = arguments.seconds.unwrap_or(profile.seconds);
    profile.rate_per_s = arguments.rate.unwrap_or(profile.rate_per_s);
    profile.connections = arguments.connections.unwrap_or(profile.connections);
    profile.outstanding_max = arguments.outstanding_max.unwrap_or(profile.outstanding_max);
    profile.mix.receipt = arguments.receipt.unwrap_or(profile.mix.receipt);
    if arguments.flat {
        profile.curve = Curve::flat();
    }
    profile.validate()?;
    Ok(profile)
}

fn table(result: &OpenResult) -> Vec<String> {
    let mut lines = vec![
        format!("offered          {:>12}  {:>12} /s", grouped(float(result.offered)), grouped(result.offered_per_s)),
        format!("completed        {:>12}", grouped(float(result.completed))),
        format!(
            "goodput (200)    {:>12}  {:>12} /s",
            grouped(float(result.latency_accepted.count)),
            grouped(result.goodput_per_s)
        ),
        format!("checks answered  {:>12}  {:>12} /s", "", grouped(result.items_per_s)),
    ];
    for (status, count) in &result.statuses {
        lines.push(format!("  status {status}     {:>12}", grouped(float(*count))));
    }
    for (verdict, count) in &result.verdicts {
        lines.push(format!("  {verdict:<17}{:>10}", grouped(float(*count))));
    }
    for (name, count) in [
        ("missed listings", result.missed_listings),
        ("not sent", result.not_sent),
        ("timeouts", result.timeouts),
        ("lost connections", result.lost_connections),
        ("unanswered", result.unanswered),
    ] {
        lines.push(format!("{name:<17}{:>12}", grouped(float(count))));
    }
    if let Some(reason) = &result.first_loss {
        lines.push(format!("first loss: {reason}"));
    }
    lines.push(format!("{:<26}{:>9}{:>9}{:>9}{:>9}{:>9}", "milliseconds", "p50", "p90", "p99", "p99.9", "max"));
    for (name, latency) in [
        ("latency, 200", &result.latency_accepted),
        ("latency, other answers", &result.latency_refused),
        ("from sending, 200", &result.service_time_accepted),
    ] {
        lines.push(latency_row(name, latency));
    }
    lines
}

fn latency_row(name: &str, latency: &LatencySummary) -> String {
    if latency.count == 0 {
        return format!("{name:<26}{:>9}{:>9}{:>9}{:>9}{:>9}", "-", "-", "-", "-", "-");
    }
    format!(
        "{name:<26}{:>9.3}{:>9.3}{:>9.3}{:>9.3}{:>9.3}",
        latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p99_9_ms, latency.max_ms
    )
}
