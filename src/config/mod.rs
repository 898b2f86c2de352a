//! Settings: defaults < file (TOML) < environment (`LOSTCARD_...`) < flags. The only reader of the environment. One file a
//! section, with key, default, bounds and meaning of each setting in one place; what a layer makes of the values is the node's
//! (`node/options.rs`). Knows no layer but `domain`.

mod acceptance;
mod access;
mod address;
mod admin_oidc;
mod admin_passkeys;
mod audit;
mod blind;
mod credentials;
mod error;
mod fact;
mod given;
mod issuer;
mod limits;
mod log;
mod overload;
mod raw;
mod redis_bounds;
mod registry;
mod retention;
mod security;
mod server;
mod setting;
mod sightings;
mod store;
#[cfg(test)]
mod table;
mod tls;
mod tokens;
mod traces;
mod usage;
mod value;
mod webhooks;
mod witnesses;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::domain::sandbox::Environment;
use given::Given;
use setting::{Section, section};

pub use acceptance::{Acceptance, Place};
pub use access::Access;
pub use address::Address;
pub use admin_oidc::AdminOidc;
pub use admin_passkeys::AdminPasskeys;
pub use audit::Audit;
pub use blind::Blind;
pub use credentials::client_credentials;
pub use error::{ConfigError, Origin};
pub use fact::{Fact, Flag};
pub use given::Overrides;
pub use issuer::Issuer;
pub use limits::Limits;
pub use log::LogLevel;
pub use overload::Overload;
pub use redis_bounds::Redis;
pub use registry::Registry;
pub use retention::Retention;
pub use security::Security;
pub use server::{Forwarded, Server};
pub use sightings::Sightings;
pub use store::Store;
pub use tls::{Tls, TlsVersion};
pub use tokens::Tokens;
pub use traces::Traces;
pub use usage::Usage;
pub use webhooks::Webhooks;
pub use witnesses::Witnesses;

section! {
    /// Every setting of a node.
    Config in "" {
        /// The sandbox instead of the production: its own data folder, keys and issuer.
        sandbox: bool = false,
            note("`true`: a [sandbox](guides/sandbox.md); store and key folder must be a sandbox's, or new"), flag(Flag::Global, "");
        /// The data folder.
        data: PathBuf = PathBuf::from("lostcard-data"), unit("folder"), default_is("`lostcard-data`; of a sandbox `lostcard-sandbox`"),
            note("made if absent, with mode 0700"), flag(Flag::Global, "DIR");
        /// The key folder.
        keys: Option<PathBuf> = None, unit("folder"), default_is("`keys` in the data folder"),
            note("made at the first start; key files must be readable by their owner alone, or be root's and readable by one group (as systemd and Kubernetes hand out secrets)"),
            flag(Flag::Global, "DIR");
        /// The store: `sqlite:PATH`, or the URL of a PostgreSQL database.
        database_url: Option<String> = None, unit("URL"), default_is("`lostcard.db` in the data folder"), secret(),
            right_is("`sqlite:PATH`, with `?mode=rwc` the file is made if absent; or `postgres://USER:PASSWORD@HOST/NAME`; several servers as `HOST:PORT,HOST:PORT`"),
            flag(Flag::Global, "URL");
        /// Redis or Valkey that all nodes share; with a password, set the variable instead of the flag.
        redis_url: Option<String> = None, unit("URL"), secret(),
            right_is("`redis://`, `rediss://`, `valkey://` or `valkeys://` and `[USER:PASSWORD@]HOST[:PORT][/DB]`; `redis-cluster://` or `rediss-cluster://` and `[USER:PASSWORD@]HOST:PORT,HOST:PORT`; `redis-sentinel://` or `rediss-sentinel://` and `[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME[/DB]`, hosts being sentinels"),
            flag(Flag::Serve, "URL");
        /// Where to listen.
        listen: Address = Address::default_at(8080), unit("address"), note("port 0: any free one"),
            flag(Flag::Serve, "ADDRESS");
        /// Where to serve metrics, on a listener of their own.
        metrics_listen: Address = Address::default_at(9464), unit("address"),
            note("where nobody set it and the port is taken, another port is used and printed"), flag(Flag::Serve, "ADDRESS");
        /// The URL by which clients know the service: `iss` of tokens and receipts.
        public_url: Option<String> = None, unit("URL"), secret(), plain_when_right(),
            default_is("`http://`, with TLS `https://`, and the listener's address (127.0.0.1 where that is unspecified)"),
            must(|url| url.as_deref().is_none_or(is_plain_url), "`http://` or `https://`, a host with its port, and perhaps a path of letters, digits and `-._~`; no slash and no `/sandbox` at the end"),
            note("the issuer is this URL; of a sandbox, with `/sandbox` behind it"),
            flag(Flag::Serve, "URL");
        /// Further names by which the service is reached.
        hosts: Vec<String> = Vec::new(), unit("list of names");
        /// Threads that serve requests.
        workers: usize = 0, unit("threads"), default_is("`0`: one a core"), within(0..=1024), flag(Flag::Serve, "N");
        /// How much is logged.
        log: LogLevel = LogLevel::Info, unit("level");
        /// The log as one JSON object a line.
        log_json: bool = false;
        /// After SIGTERM: not ready but serving for so long, then what is in flight is finished.
        drain_seconds: u64 = 5, unit("s"), within(0..=600);
        /// Outside issuers whose tokens are accepted.
        issuers: Vec<Issuer> = Vec::new(), secret(), unit("list"), note("see below");
    }
    with {
        limits: Limits,
        registry: Registry,
        store: Store,
        redis: Redis,
        tokens: Tokens,
        server: Server,
        tls: Tls,
        access: Access,
        admin_oidc: AdminOidc,
        admin_passkeys: AdminPasskeys,
        overload: Overload,
        acceptance: Acceptance,
        retention: Retention,
        audit: Audit,
        blind: Blind,
        sightings: Sightings,
        usage: Usage,
        traces: Traces,
        webhooks: Webhooks,
        witnesses: Witnesses,
        security: Security,
        origins: Origins,
    }
}

/// The data folder of a sandbox, so that one beside a production does not touch it.
const SANDBOX_DATA: &str = "lostcard-sandbox";

/// Where each setting was set, for those that find it wrong later.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Section for Origins {
    fn facts() -> Vec<Fact> {
        Vec::new()
    }

    fn read(given: &Given) -> Result<Self, ConfigError> {
        Ok(Self(given.origins()))
    }

    fn written(&self) -> Vec<(Fact, Option<String>)> {
        Vec::new()
    }
}

/// A setting as it is in effect.
#[derive(Debug, Clone)]
pub struct InEffect {
    pub key: &'static str,
    /// As a file would have it. None: nothing is set, or it is a secret.
    pub toml: Option<String>,
    pub is_secret: bool,
    pub origin: Origin,
}

impl Config {
    /// Reads all layers and checks them.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        // What is not UTF-8 can be no setting's right value; lossy, it is refused by name.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self::of_layers(file, variables, overrides)
    }

    fn of_layers(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let mut given = Given::new(Self::facts());
        if let Some(path) = file {
            given.add_file(path)?;
        }
        given.add_variables(variables)?;
        given.add_flags(overrides.0)?;
        let mut config = Self::read(&given)?;
        if let Some(path) = file {
            given.check_owner(path)?;
        }
        if config.sandbox && given.find(Self::data().fact.key).is_none() {
            config.data = SANDBOX_DATA.into();
        }
        if !config.registry.lease_lasts() {
            return Err(config.wrong("registry.poll_ms", &format!("is {}", config.registry.poll_ms)));
        }
        if config.tls.certificate.is_some() != config.tls.key.is_some() {
            let missing = if config.tls.key.is_none() { "tls.key" } else { "tls.certificate" };
            return Err(config.wrong_by(missing, "is not set", "given: a certificate goes with its key"));
        }
        if config.tls.plain_listen.is_some() && config.tls.certificate.is_none() {
            let right = "set together with tls.certificate: without it, listen is plain already";
            return Err(config.wrong_by("tls.plain_listen", "is set", right));
        }
        let issuer = config.public_url.clone().map(|url| config.environment().issuer(url));
        if issuer.is_some_and(|issuer| Environment::of_issuer(&issuer) != config.environment()) {
            return Err(config.wrong("public_url", "ends in /sandbox, as the issuers of sandboxes do"));
        }
        Ok(config)
    }

    /// Every setting, in the order of the table.
    pub fn settings() -> Vec<Fact> {
        Self::facts()
    }

    /// Every setting as it is in effect, in the order of the table. Secrets are left out.
    pub fn in_effect(&self) -> Vec<InEffect> {
        let in_effect = |(fact, toml): (Fact, Option<String>)| {
            let origin = self.origin(fact.key).cloned().unwrap_or(Origin::Default);
            let is_empty = toml.as_deref() == Some("[]");
            let is_secret = fact.is_secret && !fact.is_plain_when_right && origin != Origin::Default && !is_empty;
            InEffect { key: fact.key, toml: toml.filter(|_| !is_secret), is_secret, origin }
        };
        self.written().into_iter().map(in_effect).collect()
    }

    /// How many settings somebody set.
    pub fn count_set(&self) -> usize {
        self.origins.0.len()
    }

    /// Where a key was set, or the first of its entries.
    fn origin(&self, key: &str) -> Option<&Origin> {
        let entry = format!("{key}.");
        self.origins
            .0
            .get(key)
            .or_else(|| self.origins.0.iter().find(|(set, _)| set.starts_with(&entry)).map(|(_, origin)| origin))
    }

    /// The error for a setting that a layer's own rules refuse.
    pub fn wrong(&self, key: &str, found: &str) -> ConfigError {
        let right = Self::facts().into_iter().find(|fact| fact.key == key).map_or(String::new(), |fact| fact.right);
        self.wrong_by(key, found, &right)
    }

    /// The same, where the rules say what would be right.
    pub fn wrong_by(&self, key: &str, found: &str, right: &str) -> ConfigError {
        // Of `issuers[0].jwks_url` only `issuers` has a place.
        let origin = self.origins.0.get(key).or_else(|| self.origins.0.get(key.split('[').next().unwrap_or_default()));
        let at = origin.cloned().unwrap_or(Origin::Default);
        ConfigError::Wrong { at, key: key.to_owned(), found: found.to_owned(), right: right.to_owned() }
    }

    /// Where the keys are.
    pub fn key_folder(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| self.data.join("keys"))
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
            ip if ip.is_unspecified() => format!("{}://127.0.0.1:{}", self.scheme(), bound.port()),
            _ => format!("{}://{bound}", self.scheme()),
        })
    }

    /// What the public listener speaks.
    pub fn scheme(&self) -> &'static str {
        if self.tls.certificate.is_some() { "https" } else { "http" }
    }

    /// Every name by which the service may be addressed.
    pub fn host_names(&self, issuer: &str) -> Vec<String> {
        let authority = issuer.split_once("://").map_or(issuer, |(_, rest)| rest).split('/').next().unwrap_or_default();
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => authority,
        };
        let mut names = vec![name.to_owned()];
        match self.listen.first().ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => {
                names.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
            }
            IpAddr::V4(ip) => names.push(ip.to_string()),
            IpAddr::V6(ip) => names.push(format!("[{ip}]")),
        }
        names.extend(self.hosts.iter().cloned());
        names
    }
}

fn is_plain_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_~".contains(&byte))
    };
    rest.is_some_and(|rest| {
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        is_plain(host) && (path.is_empty() || is_path(path))
    })
}

/// Whether a text is a path without a slash at its end, below which a service can stand. What could name another host (`//`) or another
/// place (`..`) is none.
pub fn is_path(text: &str) -> bool {
    let is_segment = |segment: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(is_plain)
    };
    text.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}

#[cfg(test)]
mod tests;
