//! `lostcard-load saturate`: the most a running server does, as the median of
//! rounds. With several `--url` the rounds interleave, so that a disturbance
//! of the machine meets all of them alike.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use crate::load::closed::{Plan, Round, saturate};
use crate::measure::median;
use crate::output::{self, grouped};
use crate::traffic::listed::{self, ListedCard};
use crate::traffic::mix::{BATCH_ITEMS_MAX, BatchSize, Mix, Purpose};
use crate::traffic::profile::CONNECTIONS_MAX;
use crate::traffic::requests::RequestSet;
use crate::wire::{Credentials, Target, access_token};

const URLS_MAX: usize = 8;
const SECONDS_MAX: u64 = 60;
const ROUNDS_MAX: u32 = 20;
/// All rounds together stay within the life of one access token.
const TOTAL_SECONDS_MAX: u64 = 540;
const LISTED_DRAWN: usize = 10_000;
pub(crate) const SINGLE_REQUESTS: usize = 8_192;
pub(crate) const BATCH_REQUESTS: usize = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Server, on loopback; several are measured in turn
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Vec<String>,
    #[command(flatten)]
    credentials: Credentials,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Measured window of a round
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 2)]
    warmup_seconds: u64,
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Whether a receipt is asked for
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    receipt: bool,
    /// Batches of so many checks instead of single ones
    #[arg(long)]
    batch: Option<u32>,
    /// File of imported reports (`lostcard sample`); without it nothing hits
    #[arg(long)]
    numbers: Option<PathBuf>,
    #[arg(long, default_value_t = 0.01)]
    hit_share: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
    connections: usize,
    mix: Mix,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize)]
struct Server {
    url: String,
    requests_per_s_median: f64,
    items_per_s_median: f64,
    p50_ms_median: f64,
    p99_ms_median: f64,
    rounds: Vec<Round>,
}

/// The mix that saturation asks: everything constant but the numbers.
pub(crate) fn saturation_mix(receipt: bool, batch: Option<u32>, hit_share: f64) -> Mix {
    Mix {
        purpose: Purpose::Lodging,
        hit_share,
        newer_card_share: 0.3,
        card_valid_from_share: 1.0,
        receipt,
        sites: 0,
        client_ref: false,
        batch: batch.map(|items| BatchSize { items_min: items, items_max: items }),
    }
}

/// Requests of one server for `mix`, with a token of its own.
pub(crate) fn render(
    target: &Target,
    credentials: &Credentials,
    mix: &Mix,
    listed: &[ListedCard],
    seed: u64,
) -> anyhow::Result<RequestSet> {
    let token = access_token(target, credentials)?;
    let count = if mix.batch.is_some() { BATCH_REQUESTS } else { SINGLE_REQUESTS };
    RequestSet::render(target, token.as_deref(), mix, listed, count, seed)
}

/// Listed cards to hit, or none.
pub(crate) fn draw_listed(numbers: Option<&std::path::Path>, seed: u64) -> anyhow::Result<Vec<ListedCard>> {
    numbers.map_or(Ok(Vec::new()), |path| listed::draw(path, LISTED_DRAWN, &mut StdRng::seed_from_u64(seed)))
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    if let Some(cpu) = arguments.cpu {
        crate::load::pin_to_cpu(cpu)?;
    }
    let mix = saturation_mix(arguments.receipt, arguments.batch, arguments.hit_share);
    mix.validate()?;
    let listed = draw_listed(arguments.numbers.as_deref(), arguments.seed)?;
    let mut servers = Vec::new();
    for url in &arguments.url {
        let target = Target::parse(url)?;
        servers.push((target, render(&target, &arguments.credentials, &mix, &listed, arguments.seed)?, Vec::new()));
    }
    let plan = Plan {
        connections: arguments.connections,
        warmup: Duration::from_secs(arguments.warmup_seconds),
        window: Duration::from_secs(arguments.seconds),
    };
    for number in 1..=arguments.rounds {
        for (target, set, rounds) in &mut servers {
            let round = saturate(target, set, plan)?;
            output::line(&format!("round {number}  http://{}  {}", target.authority(), describe(&round)))?;
            rounds.push(round);
        }
    }
    let servers = servers.into_iter().map(|(target, _, rounds)| summarize(&target, rounds)).collect::<Vec<_>>();
    for server in &servers {
        output::line(&format!(
            "median   {}  {:>10} req/s {:>12} checks/s  p50 {:.3} ms  p99 {:.3} ms",
            server.url,
            grouped(server.requests_per_s_median),
            grouped(server.items_per_s_median),
            server.p50_ms_median,
            server.p99_ms_median
        ))?;
    }
    let failed =
        servers.iter().flat_map(|server| &server.rounds).any(|round| round.failed + round.lost_connections > 0);
    output::json(
        arguments.json.as_deref(),
        &Report { seed: arguments.seed, connections: arguments.connections, mix, servers },
    )?;
    ensure!(!failed, "some requests failed: the figures do not count");
    Ok(())
}

/// One round in a line.
pub(crate) fn describe(round: &Round) -> String {
    format!(
        "{:>10} req/s {:>12} checks/s  p50 {:.3} ms  p99 {:.3} ms  failed {}  lost {}{}  sampled {}",
        grouped(round.requests_per_s),
        grouped(round.items_per_s),
        round.latency.p50_ms,
        round.latency.p99_ms,
        round.failed,
        round.lost_connections,
        round.first_loss.as_ref().map_or_else(String::new, |reason| format!(" ({reason})")),
        round.sampled
    )
}

fn summarize(target: &Target, rounds: Vec<Round>) -> Server {
    let of = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>()).unwrap_or(0.0);
    Server {
        url: format!("http://{}", target.authority()),
        requests_per_s_median: of(|round| round.requests_per_s),
        items_per_s_median: of(|round| round.items_per_s),
        p50_ms_median: of(|round| round.latency.p50_ms),
        p99_ms_median: of(|round| round.latency.p99_ms),
        rounds,
    }
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!((1..=URLS_MAX).contains(&arguments.url.len()), "1 to {URLS_MAX} servers can be measured");
    ensure!(
        (1..=CONNECTIONS_MAX).contains(&arguments.connections),
        "connections must be between 1 and {CONNECTIONS_MAX}"
    );
    ensure!((1..=SECONDS_MAX).contains(&arguments.seconds), "seconds must be between 1 and {SECONDS_MAX}");
    ensure!(arguments.warmup_seconds <= SECONDS_MAX, "warmup-seconds must be at most {SECONDS_MAX}");
    ensure!((1..=ROUNDS_MAX).contains(&arguments.rounds), "rounds must be between 1 and {ROUNDS_MAX}");
    ensure!(
        arguments.batch.is_none_or(|items| (1..=BATCH_ITEMS_MAX).contains(&items)),
        "batch must be between 1 and {BATCH_ITEMS_MAX}"
    );
    let round_seconds = arguments.seconds + arguments.warmup_seconds;
    let total_seconds = u64::from(arguments.rounds) * round_seconds * u64::try_from(arguments.url.len())?;
    ensure!(total_seconds <= TOTAL_SECONDS_MAX, "all rounds together must last at most {TOTAL_SECONDS_MAX} s");
    Ok(())
}
