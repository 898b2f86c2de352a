//! The listeners and the servers behind them: where a node can be reached, by how many workers, with which bounds of connections.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server;
use actix_service::{IntoServiceFactory, Service, ServiceFactoryExt, apply_fn_factory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::rt::net::{TcpSocket, TcpStream};
use actix_web::web::Data;
use actix_web::{App, HttpServer, middleware::from_fn};
use anyhow::Context;

use super::descriptors;
use crate::config::{Address, Config};
use crate::http::pipeline::boundary::boundary;
use crate::http::pipeline::connection;
use crate::http::pipeline::lane::Lane;
use crate::http::pipeline::lane::service::LaneFactory;
use crate::http::pipeline::polls::Measured;
use crate::http::pipeline::state::{AppState, Shared};
use crate::http::pipeline::stream::Stream;
use crate::http::pipeline::tls::Tls;
use crate::http::pipeline::wire::{HEAD_TIMEOUT, Wire, read_preface};
use crate::http::routes::{CHECK, configure, configure_metrics};
use crate::limits::CallerAddress;
use crate::telemetry::Metrics;
use crate::wiping::tend_stack;

/// How long requests in flight may take to finish when the node stops, in seconds.
const FINISH_S_MAX: u64 = 10;
/// Connections that the kernel has accepted and no worker has taken yet; the system's own bound (`somaxconn`) may be lower.
const BACKLOG: u32 = 4096;
/// The server's own time for a first head: longer than that of the wire, which answers in the form of the API.
const FIRST_HEAD_TIMEOUT: Duration = HEAD_TIMEOUT.saturating_mul(2);

/// Where a node can be reached.
pub(super) struct Listeners {
    pub(super) public: TcpListener,
    /// Without TLS, beside one with it.
    pub(super) plain: Option<TcpListener>,
    pub(super) metrics: TcpListener,
}

/// All listeners. After it, connections are accepted by the kernel.
pub(super) fn bind(config: &Config) -> anyhow::Result<Listeners> {
    let bind = |address: &Address| first_of(address, listen).with_context(|| format!("listener on {address}"));
    Ok(Listeners {
        public: bind(&config.listen)?,
        plain: config.tls.plain_listen.as_ref().map(bind).transpose()?,
        metrics: bind_metrics(&config.metrics_listen)?,
    })
}

/// The operator's listener. Where nobody chose its port and another node has it, any other will do.
fn bind_metrics(wanted: &Address) -> anyhow::Result<TcpListener> {
    match first_of(wanted, TcpListener::bind) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && wanted.is_default() => {
            TcpListener::bind((wanted.first().ip(), 0)).context("metrics listener")
        }
        bound => bound.with_context(|| format!("metrics listener on {wanted}")),
    }
}

/// The first address that this machine has. One that somebody else listens on is an error: a client of `localhost` would
/// reach the other.
pub(super) fn first_of(address: &Address, bind: impl Fn(SocketAddr) -> Result<TcpListener>) -> Result<TcpListener> {
    let mut last = Error::from(ErrorKind::AddrNotAvailable);
    for candidate in address.candidates() {
        match bind(*candidate) {
            Err(error) if error.kind() != ErrorKind::AddrInUse => last = error,
            decided => return decided,
        }
    }
    Err(last)
}

/// The public listener, with room for clients that all connect at once: the standard library's has 128 places.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // What is accepted has it, too (Linux): no answer waits for the acknowledgement of the one before (RFC 896).
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

pub(super) fn serve(
    public: TcpListener,
    plain: Option<TcpListener>,
    config: &Config,
    shared: &Shared,
) -> Result<Server> {
    let workers = descriptors::workers(config);
    let answer = Duration::from_millis(config.overload.answer_ms);
    let mut server = Server::build()
        .workers(workers)
        .max_concurrent_connections(accepted_max(shared.lines.max(), workers))
        .shutdown_timeout(FINISH_S_MAX)
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let tls = shared.tls.clone();
    let has_lane = config.server.lane;
    let measured = config.overload.measure_polls.then(|| Arc::clone(&shared.metrics));
    let idle = Duration::from_secs(config.overload.idle_seconds);
    // Made inside each worker: the receipt signer belongs to its event loop.
    let service = |tls: Option<Arc<Tls>>| {
        let (shared, stopping) = (shared.clone(), stopping.clone());
        let measured = measured.clone();
        move || {
            let state = Data::new(AppState::new(shared.clone()));
            tend_stack();
            let lane = has_lane.then(|| Rc::new(Lane::new(state.clone(), CHECK, answer, idle)));
            let app = App::new().wrap(from_fn(boundary)).configure(|config| configure(config, state));
            let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
            let (stopping, signal) = (stopping.clone(), stopping.clone());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .client_request_timeout(FIRST_HEAD_TIMEOUT)
                .client_disconnect_timeout(Duration::from_secs(1))
                .keep_alive(idle)
                .on_connect_ext(connection::watch(answer))
                .h1(map_config(app, |()| AppConfig::default()));
            let (shared, tls) = (Rc::new(shared.clone()), tls.clone());
            let wired = move |io: TcpStream| {
                let (shared, tls) = (Rc::clone(&shared), tls.clone());
                async move { meet(io, &shared, tls.as_deref(), answer).await.map_err(DispatchError::Io) }
            };
            let measured = measured.clone();
            let measuring = apply_fn_factory(LaneFactory { lane, stopping: signal, http }, move |opened, service| {
                Measured::new(service.call(opened), measured.clone())
            });
            fn_service(wired).and_then(measuring)
        }
    };
    if let Some(plain) = plain {
        server = server.listen("lostcard without TLS", plain, service(None))?;
    }
    Ok(server.listen("lostcard", public, service(tls))?.run())
}

/// A new connection, if there is room for it, and the address of its client: its peer's, or what the preface of a trusted peer says.
/// What has no room is closed without a word: a word to each would be work that an attacker chooses.
async fn meet(
    mut io: TcpStream,
    shared: &Shared,
    tls: Option<&Tls>,
    answer: Duration,
) -> Result<(Wire<Stream>, Option<SocketAddr>)> {
    let (proxies, no_room) = (&shared.proxies, || Error::from(ErrorKind::ConnectionRefused));
    let mut client = io.peer_addr().ok();
    // A trusted proxy speaks for many: it has no share of its own.
    let accountable = |client: Option<SocketAddr>| {
        client.filter(|client| !proxies.trusts(client.ip())).map(|client| CallerAddress::new(client.ip()))
    };
    let counted = accountable(client).map(CallerAddress::network);
    let entry = shared.lines.enter(shared.clock.boot_ns(), counted).ok_or_else(no_room)?;
    let (line, ended) = (Arc::clone(entry.line()), || Error::from(ErrorKind::ConnectionAborted));
    let mut fault = None;
    if client.is_some_and(|peer| proxies.send_preface(peer.ip())) {
        let preface = tokio::select! {
            () = line.ended() => return Err(ended()),
            preface = read_preface(&mut io, HEAD_TIMEOUT) => preface?,
        };
        match preface {
            Ok(source) => client = source.map(|ip| SocketAddr::new(ip, 0)).or(client),
            Err(wrong) => fault = Some(wrong),
        }
    }
    let accountable = accountable(client);
    if let Some(address) = accountable {
        entry.belongs_to(address.network());
    }
    let peer = shared.budget.enter(accountable).ok_or_else(no_room)?;
    if let Some(fault) = fault {
        return Ok((Wire::refusing(Stream::plain(io), fault, &peer, entry, answer), client));
    }
    let stream = match tls {
        None => Stream::plain(io),
        Some(tls) => tokio::select! {
            () = line.ended() => return Err(ended()),
            stream = tls.accept(io, accountable) => stream?,
        },
    };
    Ok((Wire::new(stream, &peer, entry, answer), client))
}

/// What each worker accepts: no more together than the node may have, and a few that others give way to. With less, a node whose
/// workers are full would accept nobody, and so nobody would give way.
fn accepted_max(allowed: usize, workers: usize) -> usize {
    (allowed + descriptors::ACCEPTED_AHEAD).div_ceil(workers.max(1))
}

pub(super) fn serve_metrics(listener: TcpListener, metrics: Arc<Metrics>) -> Result<Server> {
    let metrics = Data::from(metrics);
    let server = HttpServer::new(move || App::new().configure(|config| configure_metrics(config, metrics.clone())));
    Ok(server.workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn config(key: &'static str, text: &str) -> Config {
        Config::load(None, Overrides::default().set(key, text)).unwrap()
    }

    #[test]
    fn localhost_is_ipv4_loopback_and_ipv6_where_there_is_no_other() {
        let address = config("listen", "localhost:0").listen;
        let bound = first_of(&address, TcpListener::bind).unwrap().local_addr().unwrap();
        assert_eq!(bound.ip().to_string(), "127.0.0.1");
        let only_v6 = |candidate: SocketAddr| {
            if candidate.is_ipv4() { Err(ErrorKind::AddrNotAvailable.into()) } else { TcpListener::bind("127.0.0.1:0") }
        };
        assert!(first_of(&address, only_v6).is_ok());
    }

    #[tokio::test]
    async fn a_connection_sends_each_answer_at_once() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = listen(address.parse().unwrap()) else { continue };
            let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            listener.set_nonblocking(false).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert!(accepted.nodelay().unwrap(), "{address}");
        }
    }

    #[test]
    fn a_port_that_somebody_chose_is_never_left_for_another() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let wanted = format!("{host}:{}", other.local_addr().unwrap().port());
            let address = config("metrics_listen", &wanted).metrics_listen;
            let error = bind_metrics(&address).unwrap_err().to_string();
            assert!(error.contains(&wanted), "{error}");
        }
        assert!(!config("metrics_listen", "127.0.0.1:9464").metrics_listen.is_default());
        assert!(config("listen", "127.0.0.1:0").metrics_listen.is_default());
    }
}
