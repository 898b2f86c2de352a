//! The state of a worker: the parts that all workers share, its own receipt signer and counters, and how far it is behind.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::admission::{Admission, Delay};
use super::authorities::Authorities;
use super::budget::Budget;
use super::hosts::Hosts;
use super::lines::Lines;
use super::proxies::Proxies;
use super::refusal_log::RefusalLog;
use super::sandbox_node::SandboxNode;
use super::tls::Tls;
use crate::access::Access;
use crate::clock::Clock;
use crate::config::Security;
use crate::crypto::Keyring;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::Table;
use crate::limits::{AddressLimits, Workshop};
use crate::registry::Registry;
use crate::service::acceptance::AcceptanceRules;
use crate::service::accesses::Accesses;
use crate::service::administration::asked::Administration;
use crate::service::alerts::Alerts;
use crate::service::applications::Applications;
use crate::service::blind::Blind;
use crate::service::certificates::Certificates;
use crate::service::checks::Checks;
use crate::service::citizen::Citizen;
use crate::service::console::Console;
use crate::service::found_cards::FoundCards;
use crate::service::misuse_reports::MisuseReports;
use crate::service::pairings::Pairings;
use crate::service::passkeys::Passkeys;
use crate::service::registry_log::RegistryLog;
use crate::service::reports::Reports;
use crate::service::sightings::Sightings;
use crate::service::sightings::journal::Journal;
use crate::service::usage::Usage;
use crate::service::usage::counter::UsageCounter;
use crate::service::withdrawals::Withdrawals;
use crate::service::writing::Writer;
use crate::telemetry::Metrics;
use crate::telemetry::traces::Traces;

/// What the workers of a node share.
#[derive(Debug, Clone)]
pub struct Shared {
    pub routes: Table,
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
    pub registry: Arc<Registry>,
    pub access: Arc<Access>,
    pub workshop: Arc<Workshop>,
    pub addresses: Arc<AddressLimits>,
    pub public_addresses: Arc<AddressLimits>,
    pub acceptance: Arc<AcceptanceRules>,
    pub writer: Arc<Writer>,
    pub found_cards: Arc<FoundCards>,
    pub accesses: Arc<Accesses>,
    pub administration: Arc<Administration>,
    pub pairings: Arc<Pairings>,
    /// None where persons do not sign in by passkeys.
    pub passkeys: Option<Arc<Passkeys>>,
    pub citizen: Arc<Citizen>,
    pub applications: Arc<Applications>,
    pub misuse_reports: Arc<MisuseReports>,
    pub certificates: Arc<Certificates>,
    pub alerts: Arc<Alerts>,
    pub reports: Arc<Reports>,
    pub withdrawals: Arc<Withdrawals>,
    pub sightings: Arc<Sightings>,
    pub journal: Arc<Journal>,
    pub metrics: Arc<Metrics>,
    /// None: no span is made.
    pub traces: Option<Arc<Traces>>,
    pub usage: Arc<Usage>,
    /// None where there are no blind checks.
    pub blind: Option<Arc<Blind>>,
    pub console: Arc<Console>,
    pub hosts: Hosts,
    pub proxies: Arc<Proxies>,
    pub security: Arc<Security>,
    pub admission: Arc<Admission>,
    pub budget: Arc<Budget>,
    pub lines: Arc<Lines>,
    pub refusal_log: Arc<RefusalLog>,
    /// None in production.
    pub sandbox: Option<Arc<SandboxNode>>,
    /// None where there is none.
    pub registry_log: Option<Arc<RegistryLog>>,
    /// Who vouches for clients' certificates; None: nobody.
    pub authorities: Option<Arc<Authorities>>,
    /// None where the public listener is plain.
    pub tls: Option<Arc<Tls>>,
    pub draining: Arc<AtomicBool>,
}

/// What one worker has: the shared parts, its own receipt signer, and how far it is behind.
#[derive(Debug)]
pub struct AppState {
    shared: Shared,
    pub checks: Checks,
    pub counter: Rc<UsageCounter>,
    pub delay: Delay,
    /// Whether clients reach the service by TLS.
    pub is_https: bool,
}

impl AppState {
    /// The state of a new worker.
    pub fn new(shared: Shared) -> Self {
        let counter = Rc::new(UsageCounter::new(Arc::clone(&shared.usage)));
        let checks = Checks::new(
            shared.clock.clone(),
            Arc::clone(&shared.writer.heads),
            Arc::clone(&shared.registry),
            &shared.journal,
            Arc::clone(&shared.alerts),
            Arc::clone(&shared.metrics),
            Rc::clone(&counter),
        );
        let delay = Delay::new(shared.clock.clone(), shared.admission.delay_max());
        let is_https = shared.access.issuer().starts_with("https://");
        Self { shared, checks, counter, delay, is_https }
    }

    /// The state of the worker that serves a request.
    pub fn of(request: &HttpRequest) -> Data<AppState> {
        // Unwrap safety: `routes::configure` puts the state into every application.
        #[expect(clippy::unwrap_used, reason = "every application is built with its state")]
        request.app_data::<Data<AppState>>().cloned().unwrap()
    }

    /// Reads until the deadline; dropping a read loses nothing.
    pub async fn read_in_time<T>(&self, read: impl Future<Output = T>) -> Result<T, Problem> {
        let late = |_| Problem::unavailable(problem::REGISTRY_UNAVAILABLE, "the store did not answer in time");
        tokio::time::timeout(self.admission.deadline(), read).await.map_err(late)
    }

    /// Writes until the deadline. Where in its transaction a late write was is not known here, and it may have been at the
    /// commit: never does this say that nothing was stored.
    pub async fn write_in_time<T>(&self, write: impl Future<Output = T>) -> Result<T, Problem> {
        let late = |_| Problem::unavailable(problem::OUTCOME_UNKNOWN, "the store did not answer in time");
        tokio::time::timeout(self.admission.deadline(), write).await.map_err(late)
    }

    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
