//! `lostcard-load peer`: the peer of the comparison, a registry as one would build it on Redis: actix-web, a cache of tokens in each
//! worker, a keyed hash of the number, one `GET` on a connection that the worker keeps and all its requests share (pipelined), over
//! a Unix socket. No receipt, no lease, no limit, no sighting. It does honestly what it does: a wrong token is 401, a wrong number
//! 422, a listed card is told by its start date.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use sha2::Sha256;

use crate::output;
use crate::traffic::id_number;
use crate::traffic::listed;

const REDIS_START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Commands sent to Redis at once while it is filled.
const FILL: usize = 10_000;
const KEY: &[u8] = b"the peer's key";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Loopback address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The file that `lostcard sample` wrote: what is listed
    #[arg(long)]
    numbers: Option<PathBuf>,
    /// Where Redis puts its socket; a folder that exists
    #[arg(long)]
    work: PathBuf,
    /// The CPU of redis-server
    #[arg(long, default_value_t = 1)]
    redis_cpu: usize,
}

#[derive(Debug, Deserialize)]
struct Check<'a> {
    id_number: &'a str,
    #[serde(default)]
    card_valid_from: Option<&'a str>,
    purpose: &'a str,
}

/// Tokens that were given out; a worker asks once for each and remembers it.
type Issued = Arc<Mutex<HashSet<String>>>;

/// What a worker has of its own.
#[derive(Debug)]
struct Worker {
    redis: MultiplexedConnection,
    tokens: RefCell<HashSet<String>>,
    checks: Cell<u64>,
    issued: Issued,
}

/// `redis-server`, ended with this process.
#[derive(Debug)]
struct Redis(std::process::Child);

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.listen.ip().is_loopback(), "only loopback addresses are served");
    let socket = arguments.work.join(format!("peer-{}.sock", std::process::id()));
    let _redis = start_redis(&socket, arguments.redis_cpu)?;
    let client = redis::Client::open(format!("redis+unix://{}", socket.display()))?;
    fill(&client, arguments.numbers.as_deref())?;
    actix_web::rt::System::new().block_on(serve(arguments.listen, arguments.workers, client))
}

fn start_redis(socket: &Path, cpu: usize) -> anyhow::Result<Redis> {
    let socket = socket.to_str().context("the work folder's name is not UTF-8")?;
    let process = std::process::Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "taskset", "-c", &cpu.to_string(), "redis-server"])
        .args(["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .context("cannot start setpriv (util-linux)")?;
    let mut redis = Redis(process);
    let deadline = Instant::now() + REDIS_START;
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        if let Some(status) = redis.0.try_wait()? {
            bail!("redis-server ended early: {status}");
        }
        ensure!(Instant::now() < deadline, "redis-server does not listen");
        std::thread::sleep(PAUSE);
    }
    Ok(redis)
}

fn fill(client: &redis::Client, numbers: Option<&Path>) -> anyhow::Result<()> {
    let Some(numbers) = numbers else { return Ok(()) };
    let mut connection = client.get_connection()?;
    let mut pipe = redis::pipe();
    for card in listed::all(numbers)? {
        let card = card?;
        let start = card.card_valid_from.as_deref().unwrap_or_default();
        pipe.set(&key(&card.id_number)?[..], start).ignore();
        if pipe.len() == FILL {
            pipe.query::<()>(&mut connection)?;
            pipe.clear();
        }
    }
    Ok(pipe.query(&mut connection)?)
}

async fn serve(listen: SocketAddr, workers: usize, client: redis::Client) -> anyhow::Result<()> {
    let issued = Issued::default();
    let server = HttpServer::new(move || {
        let (client, issued) = (client.clone(), Arc::clone(&issued));
        App::new()
            .app_data(Data::new(Arc::clone(&issued)))
            .data_factory(move || worker(client.clone(), Arc::clone(&issued)))
            .route("/v1/checks", web::post().to(check))
            .route("/oauth2/token", web::post().to(token))
            .route("/health/ready", web::get().to(HttpResponse::Ok))
    })
    .workers(workers)
    .shutdown_timeout(1)
    .bind(listen)
    .with_context(|| format!("cannot listen on {listen}"))?;
    for address in server.addrs() {
        output::line(&format!("listening on http://{address}"))?;
    }
    server.run().await.context("the server ended")
}

async fn worker(client: redis::Client, issued: Issued) -> Result<Worker, redis::RedisError> {
    let redis = client.get_multiplexed_async_connection().await?;
    Ok(Worker { redis, tokens: RefCell::default(), checks: Cell::default(), issued })
}

async fn token(issued: Data<Issued>) -> HttpResponse {
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    issued.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone());
    HttpResponse::Ok()
        .content_type("application/json")
        .body(format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":600}}"#))
}

async fn check(request: HttpRequest, body: Bytes, worker: Data<Worker>) -> HttpResponse {
    if !worker.knows(&request) {
        return HttpResponse::Unauthorized().finish();
    }
    let Ok(check) = serde_json::from_slice::<Check<'_>>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    if !id_number::is_valid(check.id_number) || check.purpose.is_empty() {
        return HttpResponse::UnprocessableEntity().finish();
    }
    match worker.listed_from(check.id_number).await {
        Ok(listed) => worker.answer(listed.as_deref(), check.card_valid_from),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

impl Worker {
    fn knows(&self, request: &HttpRequest) -> bool {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
            return false;
        };
        if self.tokens.borrow().contains(token) {
            return true;
        }
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner).contains(token);
        if issued {
            self.tokens.borrow_mut().insert(token.to_owned());
        }
        issued
    }

    /// The start date of the reported card, empty where it is unknown.
    async fn listed_from(&self, id_number: &str) -> anyhow::Result<Option<String>> {
        // A clone is a handle on the same connection.
        let mut redis = self.redis.clone();
        Ok(redis::cmd("GET").arg(&key(id_number)?[..]).query_async(&mut redis).await?)
    }

    fn answer(&self, listed: Option<&str>, presented: Option<&str>) -> HttpResponse {
        let (verdict, advice) = match (listed, presented) {
            (None, _) => ("not_listed", "proceed"),
            (Some(start), Some(presented)) if !start.is_empty() && presented > start => {
                ("other_card_listed", "proceed")
            }
            (Some(start), Some(_)) if !start.is_empty() => ("card_listed", "refuse_and_report"),
            (Some(_), _) => ("number_listed", "confirm_card"),
        };
        self.checks.set(self.checks.get() + 1);
        let now_ms = now_ms();
        let mut body = Vec::with_capacity(160);
        let written = write!(
            body,
            r#"{{"check_id":"{:016x}","verdict":"{verdict}","advice":"{advice}","as_of_ms":{now_ms}}}"#,
            self.checks.get()
        );
        match written {
            Ok(()) => HttpResponse::Ok().content_type("application/json").body(body),
            Err(_) => HttpResponse::InternalServerError().finish(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it has no lease that a step of the clock could harm")]
fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

fn key(id_number: &str) -> anyhow::Result<[u8; 16]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).context("no key")?;
    mac.update(id_number.as_bytes());
    let digest = mac.finalize().into_bytes();
    digest[..16].try_into().context("a digest is longer than a key")
}
