//! The sections of the settings, one a TOML table. Bounds that need one section alone are checked here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{ConfigError, check};
use crate::domain::client::Rate;

/// Limits of those that have none of their own, as `requests/seconds`: `600/60s`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(deserialize_with = "rate")]
    pub client: Rate,
    #[serde(deserialize_with = "rate")]
    pub organization: Rate,
    /// Token requests and failed authentications of one source address.
    #[serde(deserialize_with = "rate")]
    pub address: Rate,
    /// What is asked of one source address without a token.
    #[serde(deserialize_with = "rate")]
    pub public: Rate,
}

/// Bounds of the registry in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    pub lease_ms: u64,
    pub poll_ms: u64,
    pub listings_max: usize,
    pub rebuild_after: usize,
    pub store_timeout_ms: u64,
}

/// Bounds of the store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub connections_max: u32,
    pub acquire_timeout_ms: u64,
    pub commit_timeout_ms: u64,
}

/// Bounds of Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    pub timeout_ms: u64,
}

/// Bounds of access tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub lifetime_seconds: i64,
    pub remembered_max: usize,
}

/// Bounds of the work that is taken on at a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overload {
    /// Requests in the node that wait for more than memory.
    pub requests_max: i64,
    /// The part of them that checks may take: the rest is for reports.
    pub checks_percent: i64,
    /// Checks are refused by a worker that is behind by more.
    pub delay_ms: u64,
    /// Work on one request, without the time its body takes.
    pub deadline_ms: u64,
    /// What a reader may take for a large answer.
    pub answer_ms: u64,
    /// Open connections of one worker.
    pub connections_max: usize,
}

/// Deletion of what has outlived its time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub every_seconds: u64,
    /// The operator's periods by class, where the policy leaves a choice: `sightings = "90 days"`.
    pub keep: BTreeMap<String, String>,
}

/// Bounds of the journal of sightings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sightings {
    /// Sightings that wait for the disk.
    pub queue_max: u32,
    /// How long a check waits for its sighting to be durable.
    pub wait_ms: u64,
    /// What the journal may hold while the store takes nothing.
    pub journal_mib_max: u64,
}

/// Counting of usage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// How often counts are added to the store.
    pub flush_seconds: u64,
    /// Sites that one organization is counted by on one day, on one node.
    pub sites_max: usize,
}

/// Sending of webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// How often a node looks for deliveries that are due.
    pub poll_ms: u64,
    /// What an endpoint may take for its answer, from the look-up of its name on.
    pub timeout_ms: u64,
    /// Endpoints on this machine, by plain HTTP, are sent to: for tests of receivers alone.
    pub insecure_loopback_for_tests: bool,
}

/// Whom to tell of a vulnerability, as `/.well-known/security.txt` says it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// `mailto:`, `tel:` or `https://`; nothing is served if absent.
    pub contact: Option<String>,
    /// The page with the rules of disclosure.
    pub policy: Option<String>,
}

impl Security {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        // A line of a text file each: nothing that could begin another line.
        let is_uri = |text: &str, schemes: &[&str]| {
            let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
        };
        check(
            self.contact.as_ref().is_none_or(|contact| is_uri(contact, &["mailto:", "tel:", "https://"])),
            "security.contact must be mailto:, tel: or https://",
        )?;
        check(
            self.policy.as_ref().is_none_or(|policy| is_uri(policy, &["https://"])),
            "security.policy must be https://",
        )
    }
}

impl Sightings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check((1000..=1_000_000).contains(&self.queue_max), "sightings.queue_max must be 1000 to 1000000")?;
        check((10..=5000).contains(&self.wait_ms), "sightings.wait_ms must be 10 to 5000")?;
        check((1..=65_536).contains(&self.journal_mib_max), "sightings.journal_mib_max must be 1 to 65536")
    }
}

impl Usage {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check((1..=3600).contains(&self.flush_seconds), "usage.flush_seconds must be 1 to 3600")?;
        check((1..=10_000).contains(&self.sites_max), "usage.sites_max must be 1 to 10000")
    }
}

impl Overload {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check((1..=100_000).contains(&self.requests_max), "overload.requests_max must be 1 to 100000")?;
        check((1..=100).contains(&self.checks_percent), "overload.checks_percent must be 1 to 100")?;
        check((10..=60_000).contains(&self.delay_ms), "overload.delay_ms must be 10 to 60000")?;
        check((100..=60_000).contains(&self.deadline_ms), "overload.deadline_ms must be 100 to 60000")?;
        check((1000..=600_000).contains(&self.answer_ms), "overload.answer_ms must be 1000 to 600000")?;
        check((1..=1_000_000).contains(&self.connections_max), "overload.connections_max must be 1 to 1000000")
    }
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    let text = String::deserialize(deserializer)?;
    Rate::parse(&text).ok_or_else(|| serde::de::Error::custom("a rate is written requests/seconds: 600/60s"))
}
