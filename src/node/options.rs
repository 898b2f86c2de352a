//! What each layer makes of the settings. Rules that only a layer can judge (its URLs, its policies) are judged here, before
//! anything starts, and refused as settings: by key and place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::access::directory::DefaultRates;
use crate::access::jwks::{IssuerRules, OutsideIssuer, PersonRules, is_fetchable, is_on_loopback};
use crate::access::provider::{PasskeyOptions, SignInOptions};
use crate::config::{Config, ConfigError, Issuer, Overrides, TlsVersion};
use crate::crypto::passkey::RelyingParty;
use crate::crypto::tlog::policy::Policy;
use crate::domain::person::Role;
use crate::domain::retention::Policies;
use crate::http::pipeline::admission::AdmissionOptions;
use crate::http::pipeline::budget::BudgetOptions;
use crate::http::pipeline::proxies::Proxies;
use crate::http::pipeline::tls::TlsOptions;
use crate::limits::WorkshopOptions;
use crate::own_files;
use crate::redis_link::{RedisLink, is_redis_url};
use crate::registry::RegistryOptions;
use crate::service::acceptance::{AcceptanceOptions, AcceptanceRules, ListedPlace};
use crate::service::audit::heads::HeadOptions;
use crate::service::audit::sinks::{Collector, Sink};
use crate::service::registry_log::witnesses::Witnesses;
use crate::service::retention::policy::{self, PoliciesError};
use crate::service::sightings::journal::JournalOptions;
use crate::service::usage::UsageOptions;
use crate::service::webhooks::WebhookOptions;
use crate::service::webhooks::address::Reach;
use crate::store::StoreOptions;
use crate::telemetry::Metrics;
use crate::telemetry::traces::TraceOptions;

const NOT_SHOWN: &str = "has a value that is not shown here";

/// Reads the settings and has every layer look at what is its own.
pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Config, ConfigError> {
    let config = Config::load(file, overrides)?;
    check(&config)?;
    Ok(config)
}

/// Every rule that the settings themselves do not keep.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    if !config.redis_url.as_deref().is_none_or(is_redis_url) {
        return Err(config.wrong("redis_url", NOT_SHOWN));
    }
    acceptance_rules(config)?;
    retention_policies(config)?;
    head_sinks(config)?;
    witnesses(config)?;
    sign_in(config)?;
    passkeys(config, config.listen.first())?;
    outside_issuers(config).map(drop)
}

pub(super) fn registry_options(config: &Config) -> RegistryOptions {
    let registry = &config.registry;
    RegistryOptions {
        lease: Duration::from_millis(registry.lease_ms),
        poll: Duration::from_millis(registry.poll_ms),
        listings_max: registry.listings_max,
        exact_bytes: registry.exact_mib << 20,
        rebuild_after: registry.rebuild_after,
        store_timeout: Duration::from_millis(registry.store_timeout_ms),
    }
}

pub(super) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        url: config.database_url.clone().map(Into::into),
        connections_max: config.store.connections_max,
        acquire_timeout: Duration::from_millis(config.store.acquire_timeout_ms),
        commit_timeout: Duration::from_millis(config.store.commit_timeout_ms),
    }
}

pub(super) fn admission_options(config: &Config) -> AdmissionOptions {
    let overload = &config.overload;
    AdmissionOptions {
        requests_max: overload.requests_max,
        checks_max: (overload.requests_max * overload.checks_percent / 100).max(1),
        delay: Duration::from_millis(overload.delay_ms),
        deadline: Duration::from_millis(overload.deadline_ms),
    }
}

pub(super) fn workshop_options(config: &Config) -> WorkshopOptions {
    let threads = match config.overload.workshop_threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from).max(2),
        chosen => chosen,
    };
    WorkshopOptions {
        threads,
        waiting_max: config.overload.workshop_queue_max,
        wait: Duration::from_millis(config.overload.workshop_wait_ms),
    }
}

/// Of the places of requests, one caller's bodies that are still coming in take at most an eighth, too.
pub(super) fn budget_options(config: &Config, connections_max: i64) -> BudgetOptions {
    let overload = &config.overload;
    BudgetOptions {
        bytes_max: overload.memory_mib << 20,
        connections_max,
        bodies_max: (overload.requests_max / 8).max(1),
    }
}

pub(super) fn journal_options(config: &Config) -> JournalOptions {
    JournalOptions {
        queue_max: config.sightings.queue_max,
        wait: Duration::from_millis(config.sightings.wait_ms),
        bytes_max: config.sightings.journal_mib_max << 20,
    }
}

pub(super) fn tls_options(config: &Config) -> Option<TlsOptions> {
    let tls = &config.tls;
    Some(TlsOptions {
        certificate: tls.certificate.clone()?,
        key: tls.key.clone()?,
        has_1_2: tls.min_version == TlsVersion::V1_2,
        handshake: Duration::from_millis(tls.handshake_ms),
        handshakes_max: tls.handshakes_max,
    })
}

pub(super) fn trace_options(config: &Config) -> Option<TraceOptions> {
    let endpoint = config.traces.endpoint.clone()?;
    Some(TraceOptions { endpoint, one_in: config.traces.one_in })
}

pub(super) fn usage_options(config: &Config) -> UsageOptions {
    UsageOptions { every: Duration::from_secs(config.usage.flush_seconds), sites_max: config.usage.sites_max }
}

/// How webhooks are sent, and to which addresses.
pub fn webhook_options(config: &Config) -> WebhookOptions {
    WebhookOptions {
        poll: Duration::from_millis(config.webhooks.poll_ms),
        timeout: Duration::from_millis(config.webhooks.timeout_ms),
        ports: config.webhooks.ports.clone(),
        reach: if config.webhooks.insecure_loopback_for_tests { Reach::LoopbackToo } else { Reach::Public },
    }
}

/// Which proxies are believed, and where the service is for its clients.
pub(super) fn proxies(config: &Config, address: SocketAddr) -> Proxies {
    let server = &config.server;
    Proxies::new(server.trusted_proxies.clone(), server.forwarded, &config.url(address))
}

/// The limits of those that have none of their own.
pub fn default_rates(config: &Config) -> DefaultRates {
    let limits = &config.limits;
    DefaultRates { client: limits.client, organization: limits.organization, guests: limits.numbers }
}

/// The link to Redis, if one is wanted.
pub(super) fn redis_link(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<RedisLink>>, ConfigError> {
    let timeout = Duration::from_millis(config.redis.timeout_ms);
    let link = config.redis_url.as_deref().map(|url| RedisLink::new(url, timeout, Arc::clone(metrics))).transpose();
    link.map_err(|_| config.wrong("redis_url", NOT_SHOWN))
}

/// The rules of off-site acceptance, with the operator's places.
pub(super) fn acceptance_rules(config: &Config) -> Result<AcceptanceRules, ConfigError> {
    let place = |place: &crate::config::Place| ListedPlace { region: place.region.clone(), since: place.since.clone() };
    let options = AcceptanceOptions { places: config.acceptance.places.iter().map(place).collect() };
    AcceptanceRules::new(&options)
        .map_err(|error| config.wrong_by("acceptance.places", "cannot be taken", &error.to_string()))
}

/// How heads of the audit log are made.
pub(super) fn head_options(config: &Config, address: SocketAddr) -> Result<HeadOptions, ConfigError> {
    Ok(HeadOptions {
        every: Duration::from_secs(config.audit.head_seconds),
        issuer: config.issuer(address),
        folder: config.data.join("audit"),
        sinks: head_sinks(config)?,
    })
}

/// Who cosigns the checkpoints of the registry log.
pub(super) fn witnesses(config: &Config) -> Result<Option<Witnesses>, ConfigError> {
    let Some(path) = &config.witnesses.policy else { return Ok(None) };
    let wrong = |why: String| config.wrong_by("witnesses.policy", "cannot be used", &why);
    let text = own_files::read_named(path).map_err(|error| wrong(error.to_string()))?;
    let policy = Policy::parse(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(Witnesses::new(policy).map_err(|error| wrong(error.to_string()))?))
}

/// Where heads of the audit log go.
pub(super) fn head_sinks(config: &Config) -> Result<Vec<Sink>, ConfigError> {
    let audit = &config.audit;
    let mut sinks: Vec<_> = audit.head_file.iter().cloned().map(Sink::File).collect();
    if let Some(text) = &audit.head_syslog {
        let wrong = || config.wrong("audit.head_syslog", &format!("is \"{text}\""));
        sinks.push(Sink::syslog(Collector::parse(text).ok_or_else(wrong)?));
    }
    if let Some(text) = &audit.head_webhook {
        sinks.push(Sink::webhook(text).ok_or_else(|| config.wrong("audit.head_webhook", NOT_SHOWN))?);
    }
    Ok(sinks)
}

/// How long what is kept.
pub fn retention_policies(config: &Config) -> Result<Policies, ConfigError> {
    policy::policies(&config.retention.keep).map_err(|error| match error {
        PoliciesError::Refused { class, error } => {
            let key = format!("retention.keep.{}", class.as_str());
            let keep = config.retention.keep.get(&class).map(ToString::to_string).unwrap_or_default();
            config.wrong_by(&key, &format!("is \"{keep}\""), &error.to_string())
        }
        other => config.wrong_by("retention.keep", "cannot be taken", &other.to_string()),
    })
}

/// The outside issuers. A URL that keys may not be fetched from is refused.
pub fn outside_issuers(config: &Config) -> Result<Vec<OutsideIssuer>, ConfigError> {
    let issuer = |(at, of): (usize, &Issuer)| {
        let is_fetchable = |url: &str| is_fetchable(url, config.tokens.insecure_loopback_for_tests);
        if !of.jwks_url.as_deref().is_none_or(is_fetchable) {
            let is_here = of.jwks_url.as_deref().is_some_and(is_on_loopback);
            let right = if is_here { Issuer::RIGHT_ON_LOOPBACK } else { Issuer::RIGHT_URL };
            return Err(config.wrong_by(&format!("issuers[{at}].jwks_url"), NOT_SHOWN, right));
        }
        if config.issuers[..at].iter().any(|other| other.issuer == of.issuer) {
            let right = "there once: its tokens would be judged by two rules";
            return Err(config.wrong_by(&format!("issuers[{at}].issuer"), NOT_SHOWN, right));
        }
        let rules = IssuerRules {
            organizations: of.organizations.clone(),
            scopes: of.scopes.iter().copied().collect(),
            client_claim: of.client_claim.clone(),
            client_map: of.client_map.clone(),
            scope_claim: of.scope_claim.clone(),
            scope_map: of.scope_map.clone(),
            is_plain_jwt: of.is_plain_jwt,
            persons: None,
        };
        Ok(OutsideIssuer {
            issuer: of.issuer.clone(),
            audience: of.audience.clone(),
            jwks_file: of.jwks_file.clone(),
            jwks_url: of.jwks_url.clone(),
            rules: rules.into(),
        })
    };
    let issuers: Result<Vec<_>, _> = config.issuers.iter().enumerate().map(issuer).collect();
    Ok(issuers?.into_iter().chain(persons(config)?).collect())
}

/// How the console lets persons sign in at their provider.
pub fn sign_in(config: &Config) -> Result<Option<SignInOptions>, ConfigError> {
    let of = &config.admin_oidc;
    let Some(client_id) = &of.console_client else { return Ok(None) };
    let wrong = |name: &str, right: &str| Err(config.wrong_by(&format!("admin.oidc.{name}"), NOT_SHOWN, right));
    let Some(issuer) = &of.issuer else { return wrong("console_client", "given with `admin.oidc.issuer`") };
    if !is_fetchable(issuer, config.tokens.insecure_loopback_for_tests) {
        return wrong("issuer", "an HTTPS address: the console finds the provider by it");
    }
    if !of.console_scope.split_ascii_whitespace().any(|scope| scope == "openid") {
        return wrong("console_scope", "scopes with spaces between them, one of them `openid`");
    }
    Ok(Some(SignInOptions {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        scope: of.console_scope.clone(),
        resource: of.console_resource.clone(),
        // An ID token is for the client that asked for it.
        is_id_token: of.plain_jwt && of.audience.as_ref() == Some(client_id),
        name_claim: of.name_claim.clone(),
        loopback_for_tests: config.tokens.insecure_loopback_for_tests,
    }))
}

/// How persons sign in by passkeys, which are for the name and the origin of `public_url`. `address` is where the node listens.
pub fn passkeys(config: &Config, address: SocketAddr) -> Result<Option<PasskeyOptions>, ConfigError> {
    const KEY: &str = "admin.passkeys.client";
    let Some(client) = &config.admin_passkeys.client else { return Ok(None) };
    let wrong = |right: &str| config.wrong_by(KEY, NOT_SHOWN, right);
    let client = client.parse().map_err(|_| wrong("the id of an operator's client"))?;
    if config.admin_oidc.issuer.is_some() {
        return Err(wrong("left out where `admin.oidc.issuer` is set: persons sign in there"));
    }
    if config.access.require_bound {
        return Err(wrong(
            "left out where `access.require_bound` is set: tokens of persons in a browser are bound to nobody",
        ));
    }
    let url = reqwest::Url::parse(&config.url(address)).ok();
    let party = url.as_ref().and_then(|url| RelyingParty::new(url.host_str()?, url.origin().ascii_serialization()));
    let right = "given with a `public_url` whose host is a name: passkeys are for names, not for addresses (`http://localhost:8080` is fine to try it)";
    Ok(Some(PasskeyOptions { party: party.ok_or_else(|| wrong(right))?, client }))
}

/// The provider of persons, as an issuer whose tokens are of people.
fn persons(config: &Config) -> Result<Option<OutsideIssuer>, ConfigError> {
    let of = &config.admin_oidc;
    let Some(issuer) = &of.issuer else { return Ok(None) };
    let wrong = |name: &str, right: &str| config.wrong_by(&format!("admin.oidc.{name}"), NOT_SHOWN, right);
    let audience = of.audience.clone().ok_or_else(|| wrong("audience", "given with `admin.oidc.issuer`"))?;
    let client = of.client.as_deref().and_then(|id| id.parse().ok());
    let client = client.ok_or_else(|| wrong("client", "the id of an operator's client"))?;
    if of.jwks_file.is_some() == of.jwks_url.is_some() {
        return Err(wrong("jwks_url", "there, or `admin.oidc.jwks_file`: a provider has one of the two"));
    }
    let is_fetchable = |url: &str| is_fetchable(url, config.tokens.insecure_loopback_for_tests);
    if !of.jwks_url.as_deref().is_none_or(is_fetchable) {
        return Err(wrong("jwks_url", Issuer::RIGHT_URL));
    }
    if config.issuers.iter().any(|other| other.issuer == *issuer) {
        return Err(wrong("issuer", "none of `issuers`: its tokens would be judged by two rules"));
    }
    let all = [(&of.viewers, Role::Viewer), (&of.operators, Role::Operator), (&of.security, Role::Security)];
    let mut roles = BTreeMap::new();
    for (groups, role) in all {
        // A group of several roles has the highest.
        roles.extend(groups.iter().map(|group| (group.clone(), role)));
    }
    if roles.is_empty() {
        return Err(wrong("operators", "a list of groups, or `viewers`, or `security`: nobody has a role"));
    }
    let (name_claim, groups_claim) = (of.name_claim.clone(), of.groups_claim.clone());
    let of_persons = IssuerRules {
        is_plain_jwt: of.plain_jwt,
        persons: Some(PersonRules { client, name_claim, groups_claim, roles }),
        ..IssuerRules::default()
    };
    Ok(Some(OutsideIssuer {
        issuer: issuer.clone(),
        audience,
        jwks_file: of.jwks_file.clone(),
        jwks_url: of.jwks_url.clone(),
        rules: of_persons.into(),
    }))
}
