//! Settings: defaults < file (TOML) < environment (`LOSTCARD_...`) < flags, and the one place where they are checked.
//! The only reader of the environment. docs/CONFIGURATION.md lists every key, and the bounds
//! that are fixed in the code.

mod sections;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::access::directory::DefaultRates;
use crate::access::jwks::OutsideIssuer;
use crate::domain::retention::Policies;
use crate::domain::sandbox::Environment;
use crate::http::pipeline::admission::AdmissionOptions;
use crate::redis_link::{RedisLink, RedisUrlError, is_redis_url};
use crate::registry::RegistryOptions;
use crate::service::acceptance::{AcceptanceOptions, AcceptanceRules, RulesError};
use crate::service::retention::policy::{self, PoliciesError};
use crate::service::sightings::journal::JournalOptions;
use crate::service::usage::UsageOptions;
use crate::service::webhooks::WebhookOptions;
use crate::service::webhooks::address::Reach;
use crate::store::StoreOptions;
use crate::telemetry::{LogLevel, Metrics};

pub use sections::{Limits, Overload, Redis, Registry, Retention, Security, Sightings, Store, Tokens, Usage, Webhooks};

/// Every setting of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A sandbox: its own data folder, keys and issuer, magic numbers and a reset.
    pub sandbox: bool,
    /// The data folder.
    pub data: PathBuf,
    /// The key folder; `keys` in the data folder if absent.
    pub keys: Option<PathBuf>,
    /// The store; `lostcard.db` in the data folder if absent.
    pub database_url: Option<String>,
    /// Redis or Valkey, which all nodes share; none if absent.
    pub redis_url: Option<String>,
    pub listen: SocketAddr,
    /// Metrics have a listener of their own.
    pub metrics_listen: SocketAddr,
    /// The URL by which clients know the service: `iss` of tokens and receipts.
    pub public_url: Option<String>,
    /// Further names by which the service is reached.
    pub hosts: Vec<String>,
    /// Threads that serve requests; 0: one a core.
    pub workers: usize,
    pub log: LogLevel,
    pub log_json: bool,
    /// After SIGTERM: not ready but serving for so long, then what is in flight is finished.
    pub drain_seconds: u64,
    pub limits: Limits,
    pub registry: Registry,
    pub store: Store,
    pub redis: Redis,
    pub tokens: Tokens,
    pub overload: Overload,
    pub acceptance: AcceptanceOptions,
    pub retention: Retention,
    pub sightings: Sightings,
    pub usage: Usage,
    pub webhooks: Webhooks,
    pub security: Security,
    /// Outside issuers whose tokens are accepted.
    pub issuers: Vec<OutsideIssuer>,
}

/// What flags may override; absent means not given.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
}

/// The defaults, in the form of the file.
pub const DEFAULTS: &str = r#"
sandbox = false
data = "lostcard-data"
listen = "127.0.0.1:8080"
metrics_listen = "127.0.0.1:9464"
hosts = []
workers = 0
log = "info"
log_json = false
drain_seconds = 5
issuers = []

[limits]
client = "600/60s"
organization = "60000/60s"
address = "600/60s"
public = "600/60s"

[registry]
lease_ms = 1000
poll_ms = 250
listings_max = 100000
rebuild_after = 50000
store_timeout_ms = 250

[store]
connections_max = 8
acquire_timeout_ms = 250
commit_timeout_ms = 2000

[redis]
timeout_ms = 50

[tokens]
lifetime_seconds = 600
remembered_max = 100000

[overload]
requests_max = 512
checks_percent = 80
delay_ms = 250
deadline_ms = 5000
answer_ms = 30000
connections_max = 8192

[acceptance]
places = []
[retention]
every_seconds = 3600
keep = {}
[sightings]
queue_max = 10000
wait_ms = 250
journal_mib_max = 256
[usage]
flush_seconds = 5
sites_max = 1000
[webhooks]
poll_ms = 1000
timeout_ms = 15000
insecure_loopback_for_tests = false
[security]
"#;

/// What is different by default in a sandbox, so that one beside a production does not touch it.
const SANDBOX_DEFAULTS: &str = r#"data = "lostcard-sandbox""#;

/// Variables with the service's prefix that are not settings: the load generator's and the tests'.
const OTHER_VARIABLES: [&str; 6] =
    ["client_id", "client_secret", "test_store", "test_redis", "test_rounds", "test_seed"];

/// A setting is missing, unknown or out of its bounds.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration")]
    Unreadable(#[from] Box<figment::Error>),
    #[error("configuration: {0}")]
    OutOfBounds(&'static str),
    #[error("configuration")]
    Acceptance(#[from] RulesError),
    #[error("configuration: {0}")]
    Retention(#[from] PoliciesError),
    #[error("configuration file {0} does not exist")]
    NoFile(PathBuf),
}

impl Config {
    /// Reads all layers and checks them.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let mut given = Figment::new();
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError::NoFile(path.to_owned()));
            }
            given = given.merge(Toml::file_exact(path));
        }
        let environment = Env::prefixed("LOSTCARD_").ignore(&OTHER_VARIABLES).split("__");
        let given = given.merge(environment).merge(Serialized::defaults(overrides));
        let defaults = Figment::from(Toml::string(DEFAULTS));
        let is_sandbox: bool = defaults.clone().merge(given.clone()).extract_inner("sandbox").map_err(Box::new)?;
        let defaults = if is_sandbox { defaults.merge(Toml::string(SANDBOX_DEFAULTS)) } else { defaults };
        let figment = defaults.merge(given);
        let config: Self = figment.extract().map_err(Box::new)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let (registry, tokens) = (&self.registry, &self.tokens);
        check((50..=60_000).contains(&registry.lease_ms), "registry.lease_ms must be 50 to 60000")?;
        check(
            registry.poll_ms >= 10 && registry.poll_ms * 2 <= registry.lease_ms,
            "registry.poll_ms must be 10 to half of lease_ms",
        )?;
        check((1..=100_000_000).contains(&registry.listings_max), "registry.listings_max must be 1 to 100000000")?;
        check((1..=1_000_000).contains(&registry.rebuild_after), "registry.rebuild_after must be 1 to 1000000")?;
        check((10..=10_000).contains(&registry.store_timeout_ms), "registry.store_timeout_ms must be 10 to 10000")?;
        check((1..=1000).contains(&self.store.connections_max), "store.connections_max must be 1 to 1000")?;
        check((10..=60_000).contains(&self.store.acquire_timeout_ms), "store.acquire_timeout_ms must be 10 to 60000")?;
        check((100..=60_000).contains(&self.store.commit_timeout_ms), "store.commit_timeout_ms must be 100 to 60000")?;
        check(
            self.redis_url.as_deref().is_none_or(is_redis_url),
            "redis_url must be redis://, rediss:// or valkey:// with one server, or redis-cluster:// with host:port,host:port",
        )?;
        check((5..=1000).contains(&self.redis.timeout_ms), "redis.timeout_ms must be 5 to 1000")?;
        check((60..=3600).contains(&tokens.lifetime_seconds), "tokens.lifetime_seconds must be 60 to 3600")?;
        check((1..=10_000_000).contains(&tokens.remembered_max), "tokens.remembered_max must be 1 to 10000000")?;
        self.overload.validate()?;
        AcceptanceRules::new(&self.acceptance)?;
        check((1..=3600).contains(&self.retention.every_seconds), "retention.every_seconds must be 1 to 3600")?;
        self.retention_policies()?;
        self.sightings.validate()?;
        self.usage.validate()?;
        self.security.validate()?;
        check((10..=60_000).contains(&self.webhooks.poll_ms), "webhooks.poll_ms must be 10 to 60000")?;
        check((100..=60_000).contains(&self.webhooks.timeout_ms), "webhooks.timeout_ms must be 100 to 60000")?;
        check(self.workers <= 1024, "workers must be at most 1024")?;
        check(self.drain_seconds <= 600, "drain_seconds must be at most 600")?;
        let url_is_plain = |url: &String| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]/_~".contains(&byte))
            }) && !url.ends_with('/')
        };
        let has_one_source = |issuer: &OutsideIssuer| {
            issuer.jwks_file.is_some() != issuer.jwks_url.is_some()
                && issuer.jwks_url.as_deref().is_none_or(crate::access::jwks::is_fetchable)
        };
        check(
            self.issuers.iter().all(has_one_source),
            "an issuer has either jwks_file or jwks_url: https, or http to this machine, without user information",
        )?;
        check(
            self.public_url.as_ref().is_none_or(url_is_plain),
            "public_url must be http(s)://host[:port][/path] without a trailing slash",
        )?;
        let issuer = self.public_url.clone().map(|url| self.environment().issuer(url));
        check(
            issuer.is_none_or(|issuer| Environment::of_issuer(&issuer) == self.environment()),
            "public_url must not end in /sandbox: so end the issuers of sandboxes",
        )
    }

    /// Where the keys are.
    pub fn key_folder(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| self.data.join("keys"))
    }

    /// Whether the metrics listener is where nobody put it: it may then move if the port is taken.
    pub fn metrics_listen_is_default(&self) -> bool {
        self.metrics_listen == SocketAddr::from(([127, 0, 0, 1], 9464))
    }

    /// What the store and the key folder must be for.
    pub fn environment(&self) -> Environment {
        if self.sandbox { Environment::Sandbox } else { Environment::Production }
    }

    /// The issuer, given the address in use.
    pub fn issuer(&self, bound: SocketAddr) -> String {
        self.environment().issuer(self.url(bound))
    }

    /// The URL by which clients know the service, given the address in use.
    pub fn url(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| match bound.ip() {
            ip if ip.is_unspecified() => format!("http://127.0.0.1:{}", bound.port()),
            _ => format!("http://{bound}"),
        })
    }

    /// Every name by which the service may be addressed.
    pub fn host_names(&self, issuer: &str) -> Vec<String> {
        let authority = issuer.split_once("://").map_or(issuer, |(_, rest)| rest).split('/').next().unwrap_or_default();
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => authority,
        };
        let mut names = vec![name.to_owned()];
        match self.listen.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => {
                names.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
            }
            IpAddr::V4(ip) => names.push(ip.to_string()),
            IpAddr::V6(ip) => names.push(format!("[{ip}]")),
        }
        names.extend(self.hosts.iter().cloned());
        names
    }

    pub fn registry_options(&self) -> RegistryOptions {
        RegistryOptions {
            lease: Duration::from_millis(self.registry.lease_ms),
            poll: Duration::from_millis(self.registry.poll_ms),
            listings_max: self.registry.listings_max,
            rebuild_after: self.registry.rebuild_after,
            store_timeout: Duration::from_millis(self.registry.store_timeout_ms),
        }
    }

    pub fn store_options(&self) -> StoreOptions {
        StoreOptions {
            url: self.database_url.clone(),
            connections_max: self.store.connections_max,
            acquire_timeout: Duration::from_millis(self.store.acquire_timeout_ms),
            commit_timeout: Duration::from_millis(self.store.commit_timeout_ms),
        }
    }

    pub fn admission_options(&self) -> AdmissionOptions {
        AdmissionOptions {
            requests_max: self.overload.requests_max,
            checks_max: (self.overload.requests_max * self.overload.checks_percent / 100).max(1),
            delay: Duration::from_millis(self.overload.delay_ms),
            deadline: Duration::from_millis(self.overload.deadline_ms),
        }
    }

    pub fn journal_options(&self) -> JournalOptions {
        JournalOptions {
            queue_max: self.sightings.queue_max,
            wait: Duration::from_millis(self.sightings.wait_ms),
            bytes_max: self.sightings.journal_mib_max << 20,
        }
    }

    pub fn usage_options(&self) -> UsageOptions {
        UsageOptions { every: Duration::from_secs(self.usage.flush_seconds), sites_max: self.usage.sites_max }
    }

    /// The link to Redis, if one is wanted.
    pub fn redis_link(&self, metrics: &Arc<Metrics>) -> Result<Option<Arc<RedisLink>>, RedisUrlError> {
        let timeout = Duration::from_millis(self.redis.timeout_ms);
        self.redis_url.as_deref().map(|url| RedisLink::new(url, timeout, Arc::clone(metrics))).transpose()
    }

    /// How long what is kept.
    pub fn retention_policies(&self) -> Result<Policies, PoliciesError> {
        policy::policies(&self.retention.keep)
    }

    pub fn webhook_options(&self) -> WebhookOptions {
        WebhookOptions {
            poll: Duration::from_millis(self.webhooks.poll_ms),
            timeout: Duration::from_millis(self.webhooks.timeout_ms),
            reach: if self.webhooks.insecure_loopback_for_tests { Reach::LoopbackToo } else { Reach::Public },
        }
    }

    pub fn default_rates(&self) -> DefaultRates {
        DefaultRates { client: self.limits.client, organization: self.limits.organization }
    }
}

fn check(holds: bool, rule: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::OutOfBounds(rule)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(toml: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lostcard.toml");
        std::fs::write(&path, toml).unwrap();
        Config::load(Some(&path), Overrides::default())
    }

    #[test]
    fn defaults_hold_and_flags_win() {
        let config = Config::load(None, Overrides { workers: Some(3), ..Overrides::default() }).unwrap();
        assert_eq!((config.workers, config.limits.client.to_string().as_str()), (3, "600/60s"));
        assert!(config.listen.ip().is_loopback() && config.metrics_listen_is_default());
        assert_eq!(with("workers = 5").unwrap().workers, 5);
    }

    #[test]
    fn wrong_settings_are_refused() {
        for bad in [
            "unknown = 1",
            "workers = -1",
            "[limits]\nclient = \"600\"",
            "[registry]\npoll_ms = 900",
            "[tokens]\nlifetime_seconds = 1",
            "[overload]\nchecks_percent = 101",
            "[acceptance]\nplaces = [{ region = \"4419\", since = \"2016-06-30\" }]",
            "[acceptance]\nplaces = [{ region = \"4419\" }]",
            "[retention]\nevery_seconds = 0",
            "[retention.keep]\nsightings = \"3 years\"",
            "[retention.keep]\naudit = \"30 days\"",
            "[webhooks]\ntimeout_ms = 0",
            "[security]\ncontact = \"security@lostcard.example\"",
            "[security]\ncontact = \"mailto:a@lostcard.example\\nExpires: never\"",
            "[security]\ncontact = \"http://lostcard.example/security\"",
            "[security]\npolicy = \"mailto:a@lostcard.example\"",
            "public_url = \"https://lostcard.example/\"",
            "public_url = \"ftp://x\"",
            "public_url = \"https://lostcard.example/sandbox\"",
            "sandbox = \"perhaps\"",
            "redis_url = \"cache.example:6379\"",
            "redis_url = \"rediss://cache.example/#insecure\"",
            "[redis]\ntimeout_ms = 0",
            "[[issuers]]\nissuer = \"x\"\naudience = \"y\"",
            "[[issuers]]\nissuer = \"x\"\naudience = \"y\"\njwks_url = \"http://login.example/jwks.json\"",
            "[[issuers]]\nissuer = \"x\"\naudience = \"y\"\njwks_url = \"https://user:pw@login.example/jwks.json\"",
            "[[issuers]]\nissuer = \"x\"\naudience = \"y\"\njwks_url = \"file:///etc/passwd\"",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
        assert!(matches!(
            Config::load(Some(Path::new("/nonexistent")), Overrides::default()),
            Err(ConfigError::NoFile(_))
        ));
    }

    #[test]
    fn a_sandbox_has_a_folder_and_an_issuer_of_its_own() {
        let bound = SocketAddr::from(([127, 0, 0, 1], 8080));
        let (sandbox, production) = (with("sandbox = true").unwrap(), with("").unwrap());
        assert_eq!(
            (sandbox.data.to_str(), production.data.to_str()),
            (Some("lostcard-sandbox"), Some("lostcard-data"))
        );
        assert_eq!(sandbox.issuer(bound), "http://127.0.0.1:8080/sandbox");
        assert_eq!(production.issuer(bound), "http://127.0.0.1:8080");
        assert_eq!(with("sandbox = true\ndata = \"elsewhere\"").unwrap().data.to_str(), Some("elsewhere"));
        let at_path = with("sandbox = true\npublic_url = \"https://lostcard.example/sandbox\"").unwrap();
        assert_eq!(at_path.issuer(bound), "https://lostcard.example/sandbox/sandbox");
    }

    #[test]
    fn a_node_answers_to_its_own_names_only() {
        let mut config = with("public_url = \"https://lostcard.example:8443\"\nhosts = [\"inner.example\"]").unwrap();
        config.listen = SocketAddr::from(([0, 0, 0, 0], 80));
        let names = config.host_names("https://lostcard.example:8443");
        assert_eq!(names, ["lostcard.example", "localhost", "127.0.0.1", "[::1]", "inner.example"]);
        assert_eq!(config.issuer(config.listen), "https://lostcard.example:8443");
    }
}
