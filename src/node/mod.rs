//! Puts a node together and runs it: keys and store, registry and follower, listeners, background tasks, drain.
//! Nothing is decided here but order: what must be there before what, and what ends before what.

mod opening;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::rt::net::TcpSocket;
use actix_web::web::Data;
use actix_web::{App, HttpServer, middleware::from_fn};
use anyhow::Context;
use tokio::task::JoinHandle;

use crate::access::jwks::IssuerKeys;
use crate::access::{Access, AccessOptions};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::pipeline::admission::Admission;
use crate::http::pipeline::boundary::boundary;
use crate::http::pipeline::connection::{self, KEEP_ALIVE};
use crate::http::pipeline::hosts::Hosts;
use crate::http::pipeline::sandbox_node::SandboxNode;
use crate::http::pipeline::state::{AppState, Shared};
use crate::http::routes::{TABLE, configure, configure_metrics};
use crate::limits::cluster::Cluster;
use crate::limits::{AddressLimits, LimitName};
use crate::registry::cache::SharedCache;
use crate::registry::disk::FilterFolder;
use crate::registry::follower::Follower;
use crate::registry::{Copies, Registry, RegistryError};
use crate::service::acceptance::AcceptanceRules;
use crate::service::alerts::Alerts;
use crate::service::applications::Applications;
use crate::service::certificates::Certificates;
use crate::service::citizen::Citizen;
use crate::service::console::Console;
use crate::service::found_cards::FoundCards;
use crate::service::misuse_reports::MisuseReports;
use crate::service::reports::Reports;
use crate::service::retention::Retention;
use crate::service::sightings::Sightings;
use crate::service::sightings::journal::Journal;
use crate::service::sightings::moving::Mover;
use crate::service::usage::Usage;
use crate::service::webhooks::Deliverer;
use crate::service::writing::Writer;
use crate::store::Store;
use crate::store::feed::Listener;
use crate::telemetry::Metrics;

pub use opening::open;

/// How often the key folder is looked at for rotated signing keys.
const KEYS_EVERY: Duration = Duration::from_secs(2);
/// How often limits forget addresses that are whole again.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// How often outside issuers' keys are had anew.
const OUTSIDE_EVERY: Duration = Duration::from_mins(5);
/// How long requests in flight may take to finish when the node stops, in seconds.
const FINISH_S_MAX: u64 = 10;
/// Connections that the kernel has accepted and no worker has taken yet; the system's own bound (`somaxconn`) may be lower.
const BACKLOG: u32 = 4096;
/// How long a stopping node waits for its store to be told and closed.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of it that moving the last sightings may take: the others must be told.
const LAST_MOVE_TIMEOUT: Duration = Duration::from_secs(3);
/// The part that the last counts of usage may take.
const LAST_COUNTS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the head of a request may take (RFC 9110, 15.5.9).
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A node, ready to run.
pub struct Application {
    address: SocketAddr,
    metrics_address: SocketAddr,
    drain: Duration,
    server: Server,
    metrics_server: Server,
    shared: Shared,
    store: Store,
    mover: Arc<Mover>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Application {
    /// Opens everything, loads the registry and binds the listeners. After it, connections are accepted by the kernel.
    pub async fn build(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let listener = bind(config.listen).with_context(|| format!("listener on {}", config.listen))?;
        let metrics_listener = bind_metrics(config)?;
        let (address, metrics_address) = (listener.local_addr()?, metrics_listener.local_addr()?);
        let (store, keyring) = open(config).await?;
        let metrics = Arc::new(Metrics::new()?);
        let link = config.redis_link(&metrics)?;
        let shared =
            link.as_ref().map(|link| SharedCache::new(Arc::clone(link), Arc::clone(&keyring), Arc::clone(&metrics)));
        let folder = FilterFolder::new(config.data.join("snapshot"), keyring.fingerprints().clone());
        let registry = Registry::new(
            config.registry_options(),
            clock.clone(),
            store.clone(),
            Arc::clone(&keyring),
            keyring.peppers(store.key_versions().await?)?,
            Copies { shared, folder },
            Arc::clone(&metrics),
        );
        let registry = Arc::new(registry);
        let issuer = config.issuer(address);
        let hosts = Hosts::new(config.host_names(&issuer));
        let options = AccessOptions {
            issuer,
            token_lifetime_s: config.tokens.lifetime_seconds,
            rates: config.default_rates(),
            cluster: link.as_ref().map(|link| Cluster::new(Arc::clone(link), registry.live_nodes_counter())),
            tokens_max: config.tokens.remembered_max,
        };
        let access = Access::new(
            options,
            &config.issuers,
            clock.clone(),
            store.clone(),
            Arc::clone(&keyring),
            Arc::clone(&metrics),
        );
        let access = Arc::new(access);
        load_outside(config, &access).await?;
        let mut follower = Follower::new(Arc::clone(&registry), Arc::clone(&access) as Arc<dyn Listener>);
        follower.load().await?;
        let usage = Usage::new(config.usage_options(), clock.clone(), store.clone(), Arc::clone(&metrics));
        let usage = Arc::new(usage);
        let writer = Arc::new(Writer {
            clock: clock.clone(),
            keyring: Arc::clone(&keyring),
            store: store.clone(),
            registry: Arc::clone(&registry),
            metrics: Arc::clone(&metrics),
            usage: Arc::clone(&usage),
        });
        let acceptance = Arc::new(AcceptanceRules::new(&config.acceptance)?);
        let journal = start_journal(config, &registry, &writer)?;
        let mover = Arc::new(Mover::new(Arc::clone(&journal), Arc::clone(&writer)));
        let shared = Shared {
            routes: TABLE,
            console: Arc::new(Console::new(clock.clone(), Arc::clone(&metrics))),
            admission: Arc::new(Admission::new(config.admission_options(), Arc::clone(&metrics))),
            addresses: Arc::new(AddressLimits::new(LimitName::Address, config.limits.address, clock.clone())),
            public_addresses: Arc::new(AddressLimits::new(LimitName::Public, config.limits.public, clock.clone())),
            reports: Arc::new(Reports::new(Arc::clone(&writer))),
            sightings: Arc::new(Sightings::new(Arc::clone(&writer))),
            journal,
            draining: Arc::new(AtomicBool::new(false)),
            clock,
            keyring,
            registry,
            access,
            found_cards: Arc::new(FoundCards::new(Arc::clone(&writer))),
            citizen: Arc::new(Citizen::new(Arc::clone(&writer))),
            applications: Arc::new(Applications::new(Arc::clone(&writer), Arc::clone(&acceptance))),
            misuse_reports: Arc::new(MisuseReports::new(Arc::clone(&writer))),
            certificates: Arc::new(Certificates::new(Arc::clone(&writer))),
            alerts: Arc::new(Alerts::new(Arc::clone(&writer))),
            sandbox: config.sandbox.then(|| Arc::new(SandboxNode::new(&writer))),
            acceptance,
            metrics,
            usage,
            writer,
            hosts,
            security: Arc::new(config.security.clone()),
        };
        let company = Arc::clone(&shared.registry).keep_company();
        let mut tasks = vec![tokio::spawn(follower.run()), tokio::spawn(company), tokio::spawn(tend(shared.clone()))];
        tasks.push(tend_retention(config, &shared, &store)?);
        tasks.push(tokio::spawn(Arc::clone(&mover).run()));
        tasks.push(tokio::spawn(Arc::clone(&shared.usage).run()));
        tasks.push(tokio::spawn(Arc::clone(&shared.console).watch()));
        tasks.push(tokio::spawn(Deliverer::new(config.webhook_options(), &shared.writer).run()));
        tasks.extend(link.map(|link| tokio::spawn(link.tend())));
        let server = serve(listener, config, shared.clone())?;
        let metrics_server = serve_metrics(metrics_listener, Arc::clone(&shared.metrics))?;
        let drain = Duration::from_secs(config.drain_seconds);
        Ok(Self { address, metrics_address, drain, server, metrics_server, shared, store, mover, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Serves until `stop` is done, then drains: not ready, still serving, then what is in flight, then nothing.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (handle, metrics_handle) = (self.server.handle(), self.metrics_server.handle());
        let metrics_server = tokio::spawn(self.metrics_server);
        let mut server = tokio::spawn(self.server);
        tokio::select! {
            ended = &mut server => ended.context("server")?.context("server")?,
            () = stop => {
                self.shared.draining.store(true, Ordering::Relaxed);
                tracing::info!(seconds = self.drain.as_secs(), "draining");
                tokio::time::sleep(self.drain).await;
                handle.stop(true).await;
            }
        }
        metrics_handle.stop(false).await;
        metrics_server.abort();
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        // Nothing is answered any more: writers need not wait for this node's lease.
        let leave = async {
            let last_move = self.mover.drain(self.shared.registry.node());
            if tokio::time::timeout(LAST_MOVE_TIMEOUT, last_move).await.is_err() {
                tracing::warn!("sightings that were not moved in time stay in the journal until the next start");
            }
            let last_counts = self.shared.usage.drain();
            if tokio::time::timeout(LAST_COUNTS_TIMEOUT, last_counts).await.is_err() {
                tracing::warn!("the last counts of usage are lost: the store did not take them in time");
            }
            if let Err(error) = self.store.leave(self.shared.registry.node()).await {
                tracing::warn!(error = %error, "the other nodes could not be told that this one stops");
            }
            self.store.close().await;
        };
        if tokio::time::timeout(LEAVE_TIMEOUT, leave).await.is_err() {
            tracing::warn!(
                "the store did not answer: the others will find out by themselves that this node has stopped"
            );
        }
        Ok(())
    }
}

/// The keys of the outside issuers. A file that cannot be read is a wrong setting; a server that cannot be reached is asked again.
async fn load_outside(config: &Config, access: &Access) -> anyhow::Result<()> {
    for issuer in config.issuers.iter().filter(|issuer| issuer.jwks_file.is_some()) {
        IssuerKeys::load(issuer).await?;
    }
    access.refresh_outside().await;
    Ok(())
}

fn start_journal(config: &Config, registry: &Registry, writer: &Writer) -> anyhow::Result<Arc<Journal>> {
    let (keyring, metrics) = (Arc::clone(&writer.keyring), Arc::clone(&writer.metrics));
    let folder = config.data.join("sightings");
    Ok(Arc::new(Journal::start(folder, registry.node(), config.journal_options(), keyring, metrics)?))
}

/// The public listener, with room for clients that all connect anew at once: the standard library's has 128 places.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// The operator's listener. Where nobody chose its port and another node has it, any other will do.
fn bind_metrics(config: &Config) -> anyhow::Result<TcpListener> {
    let wanted = config.metrics_listen;
    match TcpListener::bind(wanted) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && config.metrics_listen_is_default() => {
            TcpListener::bind((wanted.ip(), 0)).context("metrics listener")
        }
        bound => bound.with_context(|| format!("metrics listener on {wanted}")),
    }
}

fn serve(listener: TcpListener, config: &Config, shared: Shared) -> std::io::Result<Server> {
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        chosen => chosen,
    };
    let server = HttpServer::new(move || {
        // Made inside each worker: the receipt signer belongs to its event loop.
        let state = Data::new(AppState::new(shared.clone()));
        App::new().wrap(from_fn(boundary)).configure(|config| configure(config, state))
    });
    let server = server
        .workers(workers)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(KEEP_ALIVE)
        .max_connections(config.overload.connections_max)
        .on_connect(connection::watch(Duration::from_millis(config.overload.answer_ms)))
        .shutdown_timeout(FINISH_S_MAX)
        .disable_signals();
    Ok(server.listen(listener)?.run())
}

fn serve_metrics(listener: TcpListener, metrics: Arc<Metrics>) -> std::io::Result<Server> {
    let metrics = Data::from(metrics);
    let server = HttpServer::new(move || App::new().configure(|config| configure_metrics(config, metrics.clone())));
    Ok(server.workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

/// Looks after what ages: keys that were rotated, addresses that are whole again.
async fn tend(shared: Shared) {
    let mut keys = tokio::time::interval(KEYS_EVERY);
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let mut outside = tokio::time::interval(OUTSIDE_EVERY);
    // The first time was at the start.
    outside.reset();
    let mut is_complaining = false;
    loop {
        tokio::select! {
            _ = tidy.tick() => {
                shared.addresses.tidy();
                shared.public_addresses.tidy();
            }
            _ = outside.tick() => shared.access.refresh_outside().await,
            _ = keys.tick() => tend_keys(&shared, &mut is_complaining).await,
        }
    }
}

fn tend_retention(config: &Config, shared: &Shared, store: &Store) -> anyhow::Result<JoinHandle<()>> {
    let (clock, store, policies) = (shared.clock.clone(), store.clone(), config.retention_policies()?);
    let every = Duration::from_secs(config.retention.every_seconds);
    Ok(tokio::spawn(Retention { clock, store, policies }.tend(every, Arc::clone(&shared.metrics))))
}

async fn tend_keys(shared: &Shared, is_complaining: &mut bool) {
    match shared.keyring.reload_signing() {
        Ok(true) => {
            shared.access.reload_keys();
            tracing::info!("signing keys were rotated");
        }
        Ok(false) => {}
        Err(error) => tracing::error!(error = %error, "the key folder cannot be read; the keys in memory stay in use"),
    }
    let tended = tokio::time::timeout(KEYS_EVERY, shared.registry.tend_peppers()).await;
    match tended.unwrap_or(Err(RegistryError::TooSlow)) {
        Ok(()) => *is_complaining = false,
        // The follower tells of a store that does not answer.
        Err(RegistryError::Store(_) | RegistryError::TooSlow) => {}
        Err(error) if !std::mem::replace(is_complaining, true) => {
            tracing::error!(error = %error, "a pepper cannot be taken up; those in memory stay in use");
        }
        Err(_) => {}
    }
}
