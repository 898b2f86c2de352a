//! `lostcard-load writes`: how many loss reports a second a server acknowledges to so many writers. Each waits for its answer before it
//! sends the next. Every round starts each binary with an empty store; they take turns.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::compare::Child;
use crate::measure::{Latency, Quartiles, float, nanoseconds};
use crate::output::{self, grouped};
use crate::traffic::id_number;
use crate::wire::{Credentials, Reader, Target, access_token};

const WRITERS_MAX: usize = 1_024;
const SECONDS_MAX: u64 = 3_600;
const ROUNDS_MAX: u32 = 20;
const SERVERS_MAX: usize = 4;
const WARM_UP: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(30);
const RATE: &str = "100000000/1s";
const OFFICE: &str = "110105-03";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lostcard binary; several take turns
    #[arg(long, required = true)]
    server_bin: Vec<PathBuf>,
    /// An empty or absent folder for stores; a store is deleted after its round
    #[arg(long)]
    work: PathBuf,
    /// Writers, each with a connection of its own
    #[arg(long, default_value_t = 32)]
    writers: usize,
    /// Seconds that count, after one that does not
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Nodes on one store; the writers are divided among them
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A PostgreSQL server in place of SQLite, as `postgres://USER@HOST:PORT`: each round makes a database of its own in it
    #[arg(long)]
    database_url: Option<String>,
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// Write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    writers: usize,
    nodes: usize,
    servers: Vec<Figures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    bin: PathBuf,
    reports_per_s: Quartiles,
    p50_ms: Quartiles,
    p99_ms: Quartiles,
    /// To the first binary in the same round.
    ratio: Quartiles,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    reports_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
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

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    validate(arguments)?;
    let mut rounds = vec![Vec::new(); arguments.server_bin.len()];
    for number in 1..=arguments.rounds {
        for (bin, rounds) in arguments.server_bin.iter().zip(&mut rounds) {
            let round = measure(arguments, bin)?;
            output::line(&format!(
                "round {number}  {}: {} reports/s, p50 {:.1} ms, p99 {:.1} ms",
                bin.display(),
                grouped(round.reports_per_s),
                round.p50_ms,
                round.p99_ms
            ))?;
            rounds.push(round);
        }
    }
    let servers: Vec<_> =
        arguments.server_bin.iter().zip(&rounds).map(|(bin, own)| Figures::of(bin, own, &rounds[0])).collect();
    for figures in &servers {
        output::line(&format!(
            "{}: {} reports/s, p50 {:.1} ms, p99 {:.1} ms, ratio {:.2} ({:.2}-{:.2})",
            figures.bin.display(),
            grouped(figures.reports_per_s.median),
            figures.p50_ms.median,
            figures.p99_ms.median,
            figures.ratio.median,
            figures.ratio.q1,
            figures.ratio.q3
        ))?;
    }
    let report = Report { writers: arguments.writers, nodes: arguments.nodes, servers };
    output::json(arguments.json.as_deref(), &report)
}

impl Figures {
    fn of(bin: &Path, own: &[Round], first: &[Round]) -> Self {
        let of = |figure: &dyn Fn(&Round) -> f64| Quartiles::of(own.iter().map(figure).collect());
        let ratios = own.iter().zip(first).map(|(own, first)| own.reports_per_s / first.reports_per_s);
        Self {
            bin: bin.to_owned(),
            reports_per_s: of(&|round| round.reports_per_s),
            p50_ms: of(&|round| round.p50_ms),
            p99_ms: of(&|round| round.p99_ms),
            ratio: Quartiles::of(ratios.collect()),
        }
    }
}

fn measure(arguments: &Arguments, bin: &Path) -> anyhow::Result<Round> {
    let data = arguments.work.join("store");
    ensure!(!data.exists(), "{} is there already", data.display());
    std::fs::create_dir_all(&data)?;
    let name = format!("writes_{}", std::process::id());
    if let Some(server) = &arguments.database_url {
        psql(server, &format!("CREATE DATABASE {name}"))?;
    }
    let place = data.to_str().context("the work folder's name is not UTF-8")?;
    let mut options = vec!["--data".to_owned(), place.to_owned()];
    options
        .extend(arguments.database_url.iter().flat_map(|url| ["--database-url".to_owned(), format!("{url}/{name}")]));
    let round = round(arguments, bin, &options);
    if let Some(server) = &arguments.database_url {
        psql(server, &format!("DROP DATABASE {name} WITH (FORCE)"))?;
    }
    std::fs::remove_dir_all(&data)?;
    round
}

fn round(arguments: &Arguments, bin: &Path, options: &[String]) -> anyhow::Result<Round> {
    let credentials = make_client(bin, options)?;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--metrics-listen", "127.0.0.1:0"];
    let serve: Vec<_> = serve.into_iter().chain(options.iter().map(String::as_str)).collect();
    let start = |_| Child::start(bin, &serve, arguments.server_cpu);
    let nodes = (0..arguments.nodes).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let token = access_token(nodes[0].target(), &credentials)?.context("no token")?;
    let began = Instant::now();
    let until = began + WARM_UP + Duration::from_secs(arguments.seconds);
    let writers: Vec<_> = (0..arguments.writers)
        .map(|n| {
            let (target, token) = (*nodes[n % nodes.len()].target(), token.clone());
            let rng = StdRng::seed_from_u64(arguments.seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
            std::thread::spawn(move || write(target, &token, rng, began, until))
        })
        .collect();
    let mut latency = Latency::new()?;
    for writer in writers {
        for (sent_ns, answered_ns) in writer.join().map_err(|_| anyhow::anyhow!("a writer ended early"))?? {
            latency.record(sent_ns, answered_ns);
        }
    }
    let summary = latency.summary();
    let reports_per_s = float(summary.count) / float(arguments.seconds);
    Ok(Round { reports_per_s, p50_ms: summary.p50_ms, p99_ms: summary.p99_ms })
}

/// One writer: when each report was sent and answered, of those sent behind the warm-up and answered in time.
fn write(
    target: Target,
    token: &str,
    mut rng: StdRng,
    began: Instant,
    until: Instant,
) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut stream = TcpStream::connect_timeout(&target.address(), TIMEOUT).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let (mut reader, mut buffer, mut times) = (Reader::default(), vec![0; 16_384], Vec::new());
    while Instant::now() < until {
        let number = id_number::random(&mut rng);
        let body = format!(
            r#"{{"id_number":"{number}","card_valid_from":"2016-05-01","reason":"lost","reporter":"holder","office":"{OFFICE}","channel":"station"}}"#
        );
        let request = format!(
            "POST /v1/loss-reports HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {:032x}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            target.authority(),
            rand::RngExt::random::<u128>(&mut rng),
            body.len()
        );
        let sent = began.elapsed();
        stream.write_all(request.as_bytes())?;
        reader.expect(true);
        let response = loop {
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "the server closed the connection before it answered");
            if let Some(response) = reader.feed(&buffer[..read])? {
                break response;
            }
        };
        let answered = began.elapsed();
        let text = String::from_utf8_lossy(reader.body());
        ensure!(response.status == 201, "a report was answered {}: {text}", response.status);
        ensure!(!response.close, "the server closes a connection");
        if sent >= WARM_UP && began + answered <= until {
            times.push((nanoseconds(sent), nanoseconds(answered)));
        }
    }
    Ok(times)
}

fn make_client(bin: &Path, options: &[String]) -> anyhow::Result<Credentials> {
    let create = ["organization", "create", "--name", "Load test", "--kind", "registrar", "--region", "110105"];
    let organization: Organization = step(bin, &[&create[..], &["--rate", RATE]].concat(), options)?;
    let create = ["client", "create", "--organization", &organization.organization_id, "--scope", "registry"];
    let client: Client = step(bin, &[&create[..], &["--rate", RATE]].concat(), options)?;
    Ok(Credentials { client_id: Some(client.client_id), client_secret: Some(client.client_secret) })
}

fn step<T: serde::de::DeserializeOwned>(bin: &Path, arguments: &[&str], options: &[String]) -> anyhow::Result<T> {
    let output = Command::new(bin).args(arguments).args(options).arg("--json").output()?;
    ensure!(output.status.success(), "lostcard {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("not the JSON that was expected of --json")
}

fn psql(server: &str, text: &str) -> anyhow::Result<()> {
    let mut command = Command::new("psql");
    command.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text]).arg(format!("{server}/postgres"));
    let output = command.output().context("cannot start psql")?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!((1..=SERVERS_MAX).contains(&arguments.server_bin.len()), "1 to {SERVERS_MAX} binaries can be measured");
    ensure!((1..=WRITERS_MAX).contains(&arguments.writers), "writers must be between 1 and {WRITERS_MAX}");
    ensure!((1..=SECONDS_MAX).contains(&arguments.seconds), "seconds must be between 1 and {SECONDS_MAX}");
    ensure!((1..=ROUNDS_MAX).contains(&arguments.rounds), "rounds must be between 1 and {ROUNDS_MAX}");
    ensure!((1..=SERVERS_MAX).contains(&arguments.nodes), "nodes must be between 1 and {SERVERS_MAX}");
    Ok(())
}
