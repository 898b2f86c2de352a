//! Puts a node together and runs it: keys and store, registry and follower, listeners, background tasks, drain.
//! Nothing is decided here but order: what must be there before what, and what ends before what.

mod assembling;
mod descriptors;
pub mod doctor;
mod listening;
mod opening;
pub mod options;
mod service_manager;
mod tasks;
pub mod witness;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::dev::Server;
use anyhow::Context;
use tokio::time::{sleep, timeout};

use crate::clock::{Clock, Rfc3339};
use crate::config::Config;
use crate::http::pipeline::state::Shared;
use crate::http::routes::prepare;
use crate::service::misfits::misfits;
use crate::service::sightings::moving::Mover;
use crate::store::Store;
use crate::wiping::spawn_wiped;
use listening::{Listeners, bind, serve, serve_metrics};
use tasks::Tasks;

pub use descriptors::raise_limit;
pub use opening::{Made, issuer_of_command, open, open_as_it_is, patient_options};

/// How long a stopping node waits to leave and close its store.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of it that moving the last sightings may take: the other nodes must learn that it leaves.
const LAST_MOVE_TIMEOUT: Duration = Duration::from_secs(3);
/// The part that the last counts of usage may take.
const LAST_COUNTS_TIMEOUT: Duration = Duration::from_secs(1);

/// A node, ready to run.
pub struct Application {
    address: SocketAddr,
    plain_address: Option<SocketAddr>,
    metrics_address: SocketAddr,
    made: Made,
    drain: Duration,
    server: Server,
    metrics_server: Server,
    shared: Shared,
    store: Store,
    mover: Arc<Mover>,
    tasks: Tasks,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Application {
    /// Opens everything, loads the registry and binds the listeners. After it, connections are accepted by the kernel.
    pub async fn build(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        options::check(config)?;
        prepare();
        let Listeners { public, plain, metrics } = bind(config)?;
        let (address, metrics_address) = (public.local_addr()?, metrics.local_addr()?);
        let plain_address = plain.as_ref().map(TcpListener::local_addr).transpose()?;
        let (store, keyring, made) = opening::open_for_node(config).await?;
        for misfit in misfits(&store).await? {
            tracing::warn!(
                client = %misfit.client_id,
                kind = misfit.kind.as_str(),
                scopes = %misfit.forbidden,
                command = misfit.command,
                "a client has scopes that its organization's kind may not have: it gets no token of them"
            );
        }
        if let Some(restored) = store.restored().await? {
            tracing::warn!(
                sequence = %restored.sequence,
                backed_up_at = Rfc3339::of(restored.backed_up_at_ms).as_str(),
                restored_at = Rfc3339::of(restored.restored_at_ms).as_str(),
                "this registry was restored from a back-up: what was reported between the two times is missing, unless it was filed again"
            );
        }
        store.remember_issuer(&config.issuer(address)).await.context("the issuer")?;
        let parts = assembling::assemble(config, clock, address, store.clone(), keyring).await?;
        let (shared, mover) = (parts.shared.clone(), Arc::clone(&parts.mover));
        let tasks = Tasks::start(parts);
        let server = serve(public, plain, config, &shared)?;
        let metrics_server = serve_metrics(metrics, Arc::clone(&shared.metrics))?;
        let drain = Duration::from_secs(config.drain_seconds);
        Ok(Self {
            address,
            plain_address,
            metrics_address,
            made,
            drain,
            server,
            metrics_server,
            shared,
            store,
            mover,
            tasks,
        })
    }

    /// What it made because it was not there: at a first start.
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens without TLS, beside one with it.
    pub fn plain_address(&self) -> Option<SocketAddr> {
        self.plain_address
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
        service_manager::tell_ready();
        tokio::select! {
            ended = &mut server => ended.context("server")?.context("server")?,
            () = stop => {
                self.shared.draining.store(true, Ordering::Relaxed);
                service_manager::tell_stopping();
                tracing::info!(seconds = self.drain.as_secs(), "draining");
                sleep(self.drain).await;
                handle.stop(true).await;
            }
        }
        metrics_handle.stop(false).await;
        metrics_server.abort();
        self.tasks.stop().await;
        // Nothing is answered any more: writers need not wait for this node's lease.
        let leave = async {
            let last_move = self.mover.drain(self.shared.registry.node());
            if timeout(LAST_MOVE_TIMEOUT, last_move).await.is_err() {
                tracing::warn!("sightings that were not moved in time stay in the journal until the next start");
            }
            if timeout(LAST_COUNTS_TIMEOUT, self.shared.usage.drain()).await.is_err() {
                tracing::warn!("the last counts of usage are lost: the store did not take them in time");
            }
            if let Err(error) = self.store.leave(self.shared.registry.node()).await {
                tracing::warn!(error = %error, "could not tell the other nodes that this one stops");
            }
            if let Some(traces) = self.shared.traces.clone() {
                // It waits for a thread of its own.
                let _ = spawn_wiped(move || traces.stop()).await;
            }
            self.store.close().await;
        };
        if timeout(LEAVE_TIMEOUT, leave).await.is_err() {
            tracing::warn!(
                "the store did not answer: the others will find out by themselves that this node has stopped"
            );
        }
        Ok(())
    }
}
