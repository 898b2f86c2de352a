//! The ceiling: what actix-web does on this machine when nothing is left to
//! do. A small struct is parsed, a constant of the size of a check without
//! receipt is answered. The token and health routes only let `run` and
//! `saturate` be tried without a server.

use std::io::Write;
use std::net::SocketAddr;

use actix_web::web::{Bytes, PayloadConfig};
use actix_web::{App, HttpResponse, HttpServer, post, web};
use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::output;

const WORKERS_MAX: usize = 64;
/// A batch of 1000 checks is about 120 kB.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const ANSWER: &str = concat!(
    r#"{"check_id":"019abf00-0000-7000-8000-000000000000","verdict":"not_listed","advice":"proceed","#,
    r#""as_of":"2026-11-23T09:00:00.123Z","registry_sequence":1234567}"#,
);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Loopback address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Pin the whole process to this CPU
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Check<'a> {
    id_number: &'a str,
    #[serde(default)]
    card_valid_from: Option<&'a str>,
    purpose: &'a str,
}

impl Check<'_> {
    /// Uses every member, so that none is optimized away.
    fn is_plausible(&self) -> bool {
        self.id_number.len() == 18
            && self.card_valid_from.is_none_or(|date| date.len() == 10)
            && !self.purpose.is_empty()
    }
}

#[derive(Debug, Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    checks: Vec<Check<'a>>,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.listen.ip().is_loopback(), "only loopback addresses are served");
    ensure!((1..=WORKERS_MAX).contains(&arguments.workers), "workers must be between 1 and {WORKERS_MAX}");
    if let Some(cpu) = arguments.cpu {
        crate::load::pin_to_cpu(cpu)?;
    }
    actix_web::rt::System::new().block_on(serve(arguments.listen, arguments.workers))
}

async fn serve(listen: SocketAddr, workers: usize) -> anyhow::Result<()> {
    let server = HttpServer::new(|| {
        App::new()
            .app_data(PayloadConfig::new(BODY_BYTES_MAX))
            .service(answer_check)
            .service(answer_batch)
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

#[post("/v1/checks")]
async fn answer_check(body: Bytes) -> HttpResponse {
    match serde_json::from_slice::<Check<'_>>(&body) {
        Ok(check) if check.is_plausible() => json(ANSWER),
        _ => HttpResponse::BadRequest().finish(),
    }
}

#[post("/v1/checks/batch")]
async fn answer_batch(body: Bytes) -> HttpResponse {
    let Ok(batch) = serde_json::from_slice::<Batch<'_>>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut answer = Vec::with_capacity(20 + batch.checks.len() * (ANSWER.len() + 25));
    answer.extend_from_slice(b"{\"results\":[");
    for (index, check) in batch.checks.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let written = write!(answer, "{comma}{{\"index\":{index},\"check\":{ANSWER}}}");
        if written.is_err() || !check.is_plausible() {
            return HttpResponse::BadRequest().finish();
        }
    }
    answer.extend_from_slice(b"]}");
    HttpResponse::Ok().content_type("application/json").body(answer)
}

async fn token() -> HttpResponse {
    json(r#"{"access_token":"bare","token_type":"Bearer","expires_in":600}"#)
}

fn json(body: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}
