//! `lostcard-load timing`: what the time of one answer tells. One connection
//! asks checks of every verdict in a random order, new ones and repeated ones,
//! and the times are compared with those of `not_listed`: alone, and beside
//! half the load that the server can take.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::saturate::{draw_listed, render, saturation_mix};
use crate::compare::{Child, prepare};
use crate::load::closed::Saturation;
use crate::load::open;
use crate::load::schedule::Curve;
use crate::measure::{auc, float, median};
use crate::output;
use crate::traffic::id_number;
use crate::traffic::listed::ListedCard;
use crate::wire::{Credentials, Target, VERDICTS, VerdictCounts, Watched, access_token, count_verdicts};

const OBSERVATIONS_MAX: usize = 1_000_000;
const LISTED_MAX: u64 = 10_000_000;
/// A card issued after any loss in a sample, and not in the future.
const NEWER_CARD_FROM: &str = "2026-11-01";
const CARD_FROM: &str = "2015-03-01";
/// Of the checks that are thrown away before others are counted.
const WARM_UP: usize = 2_000;
const LOAD_CONNECTIONS: usize = 64;
const FULL_LOAD_SLICE: Duration = Duration::from_secs(1);
const LOAD_SECONDS_MAX: u32 = 3_000;
/// Numbers of a kind that are asked again.
const REPEATED: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lostcard binary; without it a running server is asked
    #[arg(long, requires = "work")]
    server_bin: Option<PathBuf>,
    /// Prepare (or use again) a data folder here; holds a client secret
    #[arg(long)]
    work: Option<PathBuf>,
    /// Reports to prepare
    #[arg(long, default_value_t = 100_000)]
    reports: u64,
    /// A running server, on loopback
    #[arg(long, default_value = "http://127.0.0.1:8080", conflicts_with = "server_bin")]
    url: String,
    #[command(flatten)]
    credentials: Credentials,
    /// File of imported reports of that server
    #[arg(long, conflicts_with = "server_bin")]
    numbers: Option<PathBuf>,
    /// Checks that are counted in each of the cases
    #[arg(long, default_value_t = 60_000)]
    observations: usize,
    /// Share of checks about listed numbers
    #[arg(long, default_value_t = 0.5)]
    hit_share: f64,
    /// Pause before each check, as a desk makes it
    #[arg(long, default_value_t = 0)]
    pause_us: u64,
    /// Only alone, not beside half of the full load
    #[arg(long)]
    alone: bool,
    /// Fail where one observation tells more than this
    #[arg(long)]
    auc_max: Option<f64>,
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
    observations: usize,
    hit_share: f64,
    cases: Vec<Case>,
}

/// What was seen with or without receipts, alone or beside load.
#[derive(Debug, Serialize)]
struct Case {
    receipt: bool,
    load_per_s: f64,
    kinds: Vec<Kind>,
}

#[derive(Debug, Serialize)]
struct Kind {
    verdict: &'static str,
    repeated: bool,
    count: usize,
    p50_us: f64,
    /// Against `not_listed`, new with new and repeated with repeated.
    auc: f64,
}

/// What a check is about.
#[derive(Debug, Clone)]
struct Question {
    id_number: String,
    card_valid_from: Option<String>,
}

/// Times in nanoseconds by verdict, of new and of repeated checks.
type Times = [[Vec<u64>; 2]; VERDICTS.len()];

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    let prepared = match (&arguments.server_bin, &arguments.work) {
        (Some(bin), Some(work)) => Some((bin, prepare(bin, work, arguments.reports, arguments.seed)?)),
        _ => None,
    };
    crate::load::pin_to_cpu(arguments.generator_cpu)?;
    let child = match &prepared {
        Some((bin, prepared)) => {
            let data = prepared.data.to_str().context("the data folder's name is not UTF-8")?;
            let listen = ["--listen", "127.0.0.1:0", "--workers", "1", "--metrics-listen", "127.0.0.1:0"];
            Some(Child::start(bin, &[&["serve", "--data", data], &listen[..]].concat(), arguments.server_cpu)?)
        }
        None => None,
    };
    let target = child.as_ref().map_or_else(|| Target::parse(&arguments.url), |child| Ok(*child.target()))?;
    let (numbers, credentials) = match &prepared {
        Some((_, prepared)) => (prepared.numbers.as_deref(), &prepared.credentials),
        None => (arguments.numbers.as_deref(), &arguments.credentials),
    };
    let mut listed = draw_listed(numbers, arguments.seed)?;
    ensure!(!listed.is_empty(), "name the file of imported reports: --numbers");
    listed.dedup_by(|one, other| one.id_number == other.id_number);
    let mut cases = Vec::new();
    for receipt in [true, false] {
        let mut watch = Watch { arguments, target: &target, credentials, listed: &listed, receipt };
        cases.push(watch.alone()?);
        if !arguments.alone {
            cases.push(watch.beside_load()?);
        }
    }
    let report =
        Report { seed: arguments.seed, observations: arguments.observations, hit_share: arguments.hit_share, cases };
    print(&report)?;
    output::json(arguments.json.as_deref(), &report)?;
    let most = report.cases.iter().flat_map(|case| &case.kinds).map(|kind| kind.auc).fold(0.5, f64::max);
    ensure!(arguments.auc_max.is_none_or(|max| most <= max), "one observation tells {most:.3}");
    Ok(())
}

/// One case that is watched.
#[derive(Debug)]
struct Watch<'a> {
    arguments: &'a Arguments,
    target: &'a Target,
    credentials: &'a Credentials,
    listed: &'a [ListedCard],
    receipt: bool,
}

impl Watch<'_> {
    fn alone(&mut self) -> anyhow::Result<Case> {
        let times = self.watch(true)?;
        Ok(case(self.receipt, 0.0, &times))
    }

    fn beside_load(&mut self) -> anyhow::Result<Case> {
        let mix = saturation_mix(self.receipt, None, 0.0);
        let set = render(self.target, self.credentials, &mix, &[], self.arguments.seed)?;
        let mut full = Saturation::connect(self.target, &set, LOAD_CONNECTIONS)?;
        full.slice(FULL_LOAD_SLICE)?;
        let slice = full.slice(FULL_LOAD_SLICE)?;
        drop(full);
        let rate_per_s = float(slice.items) / slice.seconds / 2.0;
        let is_over = AtomicBool::new(false);
        let plan = open::Plan {
            seconds: 1,
            rate_per_s,
            curve: Curve::flat(),
            connections: LOAD_CONNECTIONS,
            outstanding_max: 10_000,
            timeout: Duration::from_secs(5),
            seed: self.arguments.seed,
        };
        let times = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                (0..LOAD_SECONDS_MAX)
                    .take_while(|_| !is_over.load(Ordering::Relaxed))
                    .try_for_each(|_| open::offer(self.target, &set, &plan).map(|_| ()))
            });
            let times = self.watch(false);
            is_over.store(true, Ordering::Relaxed);
            load.join().map_err(|_| anyhow::anyhow!("the load stopped"))??;
            times
        })?;
        Ok(case(self.receipt, rate_per_s, &times))
    }

    fn watch(&self, looks_all_the_time: bool) -> anyhow::Result<Times> {
        let mut rng = StdRng::seed_from_u64(self.arguments.seed ^ u64::from(self.receipt));
        let token = access_token(self.target, self.credentials)?;
        let mut connection = Watched::connect(self.target, looks_all_the_time)?;
        let mut times = Times::default();
        let mut asked: [Vec<Question>; VERDICTS.len()] = Default::default();
        let mut next_listed = 0;
        for nth in 0..WARM_UP + self.arguments.observations {
            let kind = self.draw(&mut rng);
            let is_repeated = rng.random_bool(0.5) && !asked[kind].is_empty();
            let question = if is_repeated {
                asked[kind][rng.random_range(0..asked[kind].len())].clone()
            } else {
                self.new_question(kind, &mut next_listed, &mut rng)
            };
            if self.arguments.pause_us > 0 {
                std::thread::sleep(Duration::from_micros(self.arguments.pause_us));
            }
            let request = request(self.target, token.as_deref(), &question, self.receipt);
            let (took, status, body) = connection.ask(request.as_bytes())?;
            ensure!(status == 200, "the server answered {status}");
            let mut counts = VerdictCounts::default();
            count_verdicts(body, &mut counts);
            // By what the answer says: a report may not know its card.
            let told = counts.iter().position(|count| *count == 1).context("an answer without a verdict")?;
            if nth >= WARM_UP {
                times[told][usize::from(is_repeated)].push(crate::measure::nanoseconds(took));
            }
            if !is_repeated && asked[kind].len() < REPEATED {
                asked[kind].push(question);
            }
        }
        Ok(times)
    }

    /// Which verdict is wanted.
    fn draw(&self, rng: &mut StdRng) -> usize {
        if rng.random_bool(self.arguments.hit_share) { rng.random_range(1..VERDICTS.len()) } else { 0 }
    }

    fn new_question(&self, kind: usize, next_listed: &mut usize, rng: &mut StdRng) -> Question {
        if kind == 0 {
            return Question { id_number: id_number::random(rng), card_valid_from: Some(CARD_FROM.to_owned()) };
        }
        let card = &self.listed[*next_listed % self.listed.len()];
        *next_listed += 1;
        let card_valid_from = match VERDICTS[kind] {
            "card_listed" => card.card_valid_from.clone().or_else(|| Some(CARD_FROM.to_owned())),
            "other_card_listed" => Some(NEWER_CARD_FROM.to_owned()),
            _ => None,
        };
        Question { id_number: card.id_number.clone(), card_valid_from }
    }
}

fn request(target: &Target, token: Option<&str>, question: &Question, receipt: bool) -> String {
    let Question { id_number, card_valid_from } = question;
    let start = card_valid_from.as_ref().map_or_else(String::new, |date| format!(",\"card_valid_from\":\"{date}\""));
    // As long whatever is asked: nobody takes the length of a question for the time of its answer.
    let pad = " ".repeat(40_usize.saturating_sub(start.len()));
    let body = format!("{{\"id_number\":\"{id_number}\"{start},\"purpose\":\"lodging\",\"receipt\":{receipt}{pad}}}");
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "POST /v1/checks HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        target.authority(),
        body.len(),
    )
}

fn case(receipt: bool, load_per_s: f64, times: &Times) -> Case {
    let mut kinds = Vec::new();
    for (verdict, of_verdict) in VERDICTS.iter().zip(times) {
        for (repeated, seen) in [false, true].into_iter().zip(of_verdict) {
            let p50 = median(&seen.iter().map(|ns| float(*ns) / 1e3).collect::<Vec<_>>()).unwrap_or(0.0);
            let auc = auc(seen, &times[0][usize::from(repeated)]);
            kinds.push(Kind { verdict, repeated, count: seen.len(), p50_us: p50, auc });
        }
    }
    Case { receipt, load_per_s, kinds }
}

fn print(report: &Report) -> anyhow::Result<()> {
    for case in &report.cases {
        let beside = if case.load_per_s > 0.0 {
            format!("beside {} checks/s", output::grouped(case.load_per_s))
        } else {
            "alone".to_owned()
        };
        let receipt = if case.receipt { "with receipt" } else { "without receipt" };
        output::line(&format!("{receipt}, {beside}"))?;
        for kind in &case.kinds {
            let repeated = if kind.repeated { "repeated" } else { "new" };
            output::line(&format!(
                "  {:<20}{:<10}{:>8}  p50 {:>9.1} us  AUC {:.3}",
                kind.verdict, repeated, kind.count, kind.p50_us, kind.auc
            ))?;
        }
    }
    Ok(())
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        (100..=OBSERVATIONS_MAX).contains(&arguments.observations),
        "observations must be between 100 and {OBSERVATIONS_MAX}"
    );
    ensure!((1..=LISTED_MAX).contains(&arguments.reports), "reports must be between 1 and {LISTED_MAX}");
    ensure!(arguments.hit_share > 0.0 && arguments.hit_share < 1.0, "hit-share must be between 0 and 1");
    ensure!(arguments.server_cpu != arguments.generator_cpu, "server and generator need a CPU each");
    Ok(())
}
