//! Puts the layers of a node together, from the store up: what each is made of, and in which order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;

use super::tasks::Parts;
use super::{descriptors, options};
use crate::access::jwks::{IssuerKeys, OutsideIssuer};
use crate::access::provider::PasskeyOptions;
use crate::access::{Access, AccessOptions};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::domain::numbers::NumbersMode;
use crate::http::pipeline::admission::Admission;
use crate::http::pipeline::authorities::Authorities;
use crate::http::pipeline::budget::Budget;
use crate::http::pipeline::hosts::Hosts;
use crate::http::pipeline::lines::Lines;
use crate::http::pipeline::proxies::Proxies;
use crate::http::pipeline::sandbox_node::SandboxNode;
use crate::http::pipeline::state::Shared;
use crate::http::pipeline::tls::Tls;
use crate::http::routes::TABLE;
use crate::limits::cluster::Cluster;
use crate::limits::{AddressLimits, LimitName, Numbers, Workshop};
use crate::redis_link::RedisLink;
use crate::registry::cache::SharedCache;
use crate::registry::disk::FilterFolder;
use crate::registry::follower::Follower;
use crate::registry::{Copies, Registry};
use crate::service::accesses::Accesses;
use crate::service::administration::asked::{Administration, Persons};
use crate::service::alerts::Alerts;
use crate::service::applications::Applications;
use crate::service::audit::heads::Heads;
use crate::service::blind::Blind;
use crate::service::certificates::Certificates;
use crate::service::citizen::Citizen;
use crate::service::console::Console;
use crate::service::day_limit::DayLimit;
use crate::service::found_cards::FoundCards;
use crate::service::groups::Groups;
use crate::service::misuse_reports::MisuseReports;
use crate::service::pairings::Pairings;
use crate::service::passkeys::Passkeys;
use crate::service::receipts::HeadSigner;
use crate::service::registry_log::RegistryLog;
use crate::service::registry_log::latest::Latest;
use crate::service::registry_log::publisher::Publisher;
use crate::service::reports::Reports;
use crate::service::sightings::Sightings;
use crate::service::sightings::journal::Journal;
use crate::service::sightings::moving::Mover;
use crate::service::usage::Usage;
use crate::service::webhooks::Deliverer;
use crate::service::withdrawals::Withdrawals;
use crate::service::writing::{Turns, Writer};
use crate::store::Store;
use crate::store::feed::Listener;
use crate::telemetry::Metrics;
use crate::telemetry::traces::Traces;

/// Loads the registry and makes all that handlers and tasks work with. `address` is where the node listens.
pub(super) async fn assemble(
    config: &Config,
    clock: Clock,
    address: SocketAddr,
    store: Store,
    keyring: Arc<Keyring>,
) -> anyhow::Result<Parts> {
    let metrics = Arc::new(Metrics::new()?);
    let link = options::redis_link(config, &metrics)?;
    let registry = make_registry(config, &clock, &store, &keyring, link.as_ref(), &metrics).await?;
    let issuer = config.issuer(address);
    let hosts = Hosts::new(config.host_names(&issuer));
    let proxies = options::proxies(config, address);
    let cluster = link.as_ref().map(|link| Cluster::new(Arc::clone(link)));
    let workshop = Arc::new(Workshop::start(options::workshop_options(config), &metrics)?);
    let mode = numbers_mode(config, &store).await?;
    let numbers = Numbers::new(mode, clock.clone(), registry.live_nodes_counter(), Arc::clone(&metrics));
    let options = AccessOptions {
        issuer,
        numbers,
        token_lifetime_s: config.tokens.lifetime_seconds,
        rates: options::default_rates(config),
        cluster,
        live_nodes: registry.live_nodes_counter(),
        workshop: Arc::clone(&workshop),
        require_bound: config.access.require_bound,
        dpop_nonce: config.access.dpop_nonce,
        tokens_max: config.tokens.remembered_max,
        sign_in: options::sign_in(config)?,
        passkeys: options::passkeys(config, address)?,
    };
    let outside = options::outside_issuers(config)?;
    let access =
        Access::new(options, &outside, clock.clone(), store.clone(), Arc::clone(&keyring), Arc::clone(&metrics));
    let access = Arc::new(access);
    load_outside(&outside, &access).await?;
    let mut follower = Follower::new(Arc::clone(&registry), Arc::clone(&access) as Arc<dyn Listener>);
    follower.load().await?;
    let usage = Usage::new(options::usage_options(config), clock.clone(), store.clone(), Arc::clone(&metrics));
    let latest = Arc::new(Latest::default());
    let heads = HeadSigner {
        issuer_json: serde_json::Value::from(access.issuer()).to_string(),
        clock: clock.clone(),
        keyring: Arc::clone(&keyring),
        metrics: Arc::clone(&metrics),
        log: config.blind.enabled.then(|| Arc::clone(&latest)),
    };
    let (usage, heads) = (Arc::new(usage), Arc::new(heads));
    let turns = Turns::default();
    let writer = Arc::new(Writer { turns, clock, keyring, store: store.clone(), registry, metrics, usage, heads });
    let folder = config.data.join("sightings");
    let (keyring, metrics) = (Arc::clone(&writer.keyring), Arc::clone(&writer.metrics));
    let journal = options::journal_options(config);
    // How late a disk is shows on the machine's clock, whatever clock a test holds.
    let (node, clock) = (writer.registry.node(), Clock::System);
    let journal = Arc::new(Journal::start(folder, node, journal, keyring, metrics, clock)?);
    let heads = Heads {
        options: options::head_options(config, address)?,
        clock: writer.clock.clone(),
        keyring: Arc::clone(&writer.keyring),
        store: store.clone(),
        metrics: Arc::clone(&writer.metrics),
    };
    let publisher = Publisher {
        store: store.clone(),
        keyring: Arc::clone(&writer.keyring),
        clock: writer.clock.clone(),
        metrics: Arc::clone(&writer.metrics),
        latest,
        witnesses: options::witnesses(config)?,
    };
    Ok(Parts {
        heads: Some(heads),
        publisher: config.blind.enabled.then_some(publisher),
        mover: Arc::new(Mover::new(Arc::clone(&journal), Arc::clone(&writer))),
        deliverer: Deliverer::new(options::webhook_options(config), &writer),
        policies: options::retention_policies(config)?,
        retention_every: Duration::from_secs(config.retention.every_seconds),
        shared: share(config, writer, access, journal, (hosts, proxies), workshop)?,
        follower: Some(follower),
        store,
        link,
    })
}

async fn make_registry(
    config: &Config,
    clock: &Clock,
    store: &Store,
    keyring: &Arc<Keyring>,
    link: Option<&Arc<RedisLink>>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Arc<Registry>> {
    let shared = link.map(|link| SharedCache::new(Arc::clone(link), Arc::clone(keyring), Arc::clone(metrics)));
    let folder = FilterFolder::new(config.data.join("snapshot"), keyring.fingerprints().clone());
    let peppers = keyring.peppers(store.key_versions().await?)?;
    Ok(Arc::new(Registry::new(
        options::registry_options(config),
        clock.clone(),
        store.clone(),
        Arc::clone(keyring),
        peppers,
        Copies { shared, folder },
        Arc::clone(metrics),
    )))
}

/// What all workers share.
fn share(
    config: &Config,
    writer: Arc<Writer>,
    access: Arc<Access>,
    journal: Arc<Journal>,
    (hosts, proxies): (Hosts, Proxies),
    workshop: Arc<Workshop>,
) -> anyhow::Result<Shared> {
    let (clock, metrics) = (writer.clock.clone(), Arc::clone(&writer.metrics));
    let acceptance = Arc::new(options::acceptance_rules(config)?);
    let authorities =
        config.tls.client_ca.clone().map(Authorities::new).transpose().context("tls.client_ca")?.map(Arc::new);
    let make_tls = |of| Tls::new(of, authorities.clone(), clock.clone(), Arc::clone(&metrics));
    let limit = DayLimit(config.registry.withdrawals_per_day);
    let found_cards = Arc::new(FoundCards::new(Arc::clone(&writer), limit));
    let groups = Arc::new(Groups::new(Arc::clone(&writer)));
    let (store, keyring) = (writer.store.clone(), Arc::clone(&writer.keyring));
    let registry_log = config.blind.enabled.then(|| RegistryLog { store, keyring, clock: clock.clone() });
    let connections = descriptors::connections_allowed(config, &metrics);
    let tls = options::tls_options(config)
        .map(|of| of.within(connections))
        .map(make_tls)
        .transpose()
        .context("TLS")?
        .map(Arc::new);
    let make_passkeys = |of: &PasskeyOptions| Arc::new(Passkeys::new(Arc::clone(&writer), of.party.clone(), of.client));
    let start = |options| Traces::start(options, writer.registry.node().to_string(), clock.clone());
    let traces = options::trace_options(config).map(start).transpose().context("traces")?.map(Arc::new);
    let budget = options::budget_options(config, descriptors::of_one_address(config, connections));
    Ok(Shared {
        routes: TABLE,
        traces,
        console: Arc::new(Console::new(clock.clone(), Arc::clone(&metrics))),
        refusal_log: Arc::default(),
        budget: Arc::new(Budget::new(budget, Arc::clone(&metrics))),
        lines: Arc::new(Lines::new(connections, Arc::clone(&metrics))),
        admission: Arc::new(Admission::new(options::admission_options(config), Arc::clone(&metrics))),
        workshop,
        addresses: Arc::new(AddressLimits::new(LimitName::Address, config.limits.address, clock.clone())),
        public_addresses: Arc::new(AddressLimits::new(LimitName::Public, config.limits.public, clock.clone())),
        reports: Arc::new(Reports::new(Arc::clone(&writer), Arc::clone(&groups), limit)),
        sightings: Arc::new(Sightings::new(Arc::clone(&writer))),
        withdrawals: Arc::new(Withdrawals::new(Arc::clone(&writer), groups, Arc::clone(&found_cards), limit)),
        found_cards,
        accesses: Arc::new(Accesses::new(Arc::clone(&writer))),
        administration: Arc::new(Administration::new(Arc::clone(&writer), persons(config))),
        pairings: Arc::new(Pairings::new(Arc::clone(&writer))),
        passkeys: access.passkeys().map(make_passkeys),
        citizen: Arc::new(Citizen::new(Arc::clone(&writer))),
        applications: Arc::new(Applications::new(Arc::clone(&writer), Arc::clone(&acceptance))),
        misuse_reports: Arc::new(MisuseReports::new(Arc::clone(&writer))),
        certificates: Arc::new(Certificates::new(Arc::clone(&writer))),
        alerts: Arc::new(Alerts::new(Arc::clone(&writer))),
        sandbox: config.sandbox.then(|| SandboxNode::new(&writer)).transpose()?.map(Arc::new),
        registry_log: registry_log.map(Arc::new),
        security: Arc::new(config.security.clone()),
        tls,
        authorities,
        draining: Arc::new(AtomicBool::new(false)),
        keyring: Arc::clone(&writer.keyring),
        blind: config
            .blind
            .enabled
            .then(|| Arc::new(Blind::new(Arc::clone(&writer), access.issuer().to_owned(), config.blind.audit_keep))),
        registry: Arc::clone(&writer.registry),
        usage: Arc::clone(&writer.usage),
        acceptance,
        journal,
        clock,
        access,
        metrics,
        writer,
        hosts,
        proxies: Arc::new(proxies),
    })
}

/// Who says who persons of the operator are.
fn persons(config: &Config) -> Persons {
    if config.admin_passkeys.client.is_some() {
        Persons::WithPasskeys
    } else if config.admin_oidc.issuer.is_some() {
        if config.access.require_bound {
            tracing::warn!(
                "access.require_bound lets in no person whose token admin.oidc.issuer has not bound to a key (cnf): in the console nobody"
            );
        }
        Persons::OfProvider
    } else {
        Persons::Unknown
    }
}

/// Whether limits of numbers refuse: by the settings, or as the store says. The log says at each start what holds. A
/// sandbox has a few magic numbers, which are asked about again and again.
async fn numbers_mode(config: &Config, store: &Store) -> anyhow::Result<NumbersMode> {
    let by_store = store.numbers_mode().await?;
    let set = if config.sandbox { Some(NumbersMode::Observe) } else { config.limits.numbers_mode };
    let mode = set.unwrap_or(by_store);
    let uncounted = store.count_clients().await?.uncounted;
    match mode {
        NumbersMode::Enforce => tracing::info!("limits of numbers are enforced"),
        NumbersMode::Observe if config.sandbox => {
            tracing::info!("limits of numbers count and refuse nothing: this is a sandbox");
        }
        NumbersMode::Observe => tracing::warn!(
            "limits of numbers only count: declare what clients need (client numbers), then set limits.numbers_mode to enforce"
        ),
    }
    if uncounted > 0 {
        tracing::warn!(clients = uncounted, "clients whose numbers nobody counts may read the list: see client list");
    }
    Ok(mode)
}

/// The keys of the outside issuers. A file that cannot be read is a wrong setting; a server that cannot be reached is asked again.
async fn load_outside(outside: &[OutsideIssuer], access: &Access) -> anyhow::Result<()> {
    for issuer in outside.iter().filter(|issuer| issuer.jwks_file.is_some()) {
        IssuerKeys::load(issuer).await?;
    }
    access.refresh_outside().await;
    Ok(())
}
