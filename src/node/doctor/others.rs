//! Whom a node speaks with beside its store: Redis, endpoints of webhooks, outside issuers, who cosigns the registry log, who keeps heads
//! of the audit log and back-ups.

use std::sync::Arc;

use futures_util::future::join_all;

use super::super::options;
use super::finding::Finding;
use crate::access::jwks::{IssuerKeys, OutsideIssuer};
use crate::clock::{Clock, Rfc3339};
use crate::config::Config;
use crate::crypto::Keyring;
use crate::service::webhooks::sending::Sender;
use crate::store::webhooks::Webhook;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

const WEBHOOKS: &str = "webhooks";
/// Endpoints that are asked; each may take `webhooks.timeout_ms`, all at once.
const ENDPOINTS_MAX: usize = 64;

/// Redis, where one is wanted.
pub(super) async fn redis(config: &Config) -> Finding {
    const CHECK: &str = "redis";
    let link = Metrics::new().ok().and_then(|metrics| options::redis_link(config, &Arc::new(metrics)).ok().flatten());
    match link {
        None => Finding::ok(CHECK, "none is set: this node keeps limits and copies by itself"),
        Some(link) if link.answers().await => Finding::ok(CHECK, "it answers"),
        Some(_) => Finding::warning(
            CHECK,
            "it does not answer: nodes serve without it, each with limits of its own",
            "start it, or correct `redis_url` (its password too)",
        ),
    }
}

/// The keys of outside issuers.
pub(super) async fn issuers(config: &Config) -> Vec<Finding> {
    let outside = options::outside_issuers(config).unwrap_or_default();
    join_all(outside.iter().map(issuer)).await
}

async fn issuer(of: &OutsideIssuer) -> Finding {
    const CHECK: &str = "issuers";
    let name = &of.issuer;
    match IssuerKeys::load(of).await {
        Ok(keys) => Finding::ok(CHECK, format!("{} keys of {name}", keys.keys.len())),
        Err(error) if of.jwks_file.is_some() => {
            let to_do = "put its JWK Set there: the node does not start without it";
            Finding::wrong(CHECK, format!("{name}: {error}"), to_do)
        }
        Err(error) => {
            let to_do = "look at the way there: until it answers, its tokens are refused";
            Finding::warning(CHECK, format!("{name}: {error}"), to_do)
        }
    }
}

/// Endpoints that alerts go to.
pub(super) async fn webhooks(
    config: &Config,
    clock: &Clock,
    store: &Store,
    keyring: Arc<Keyring>,
) -> Result<Vec<Finding>, StoreError> {
    let all = store.list_webhooks().await?;
    if all.is_empty() {
        return Ok(vec![Finding::ok(WEBHOOKS, "there are none")]);
    }
    let sender = Sender::new(options::webhook_options(config), clock.clone(), keyring);
    let looks = all.iter().take(ENDPOINTS_MAX).map(|webhook| endpoint(&sender, webhook));
    let mut findings = join_all(looks).await;
    if all.len() > ENDPOINTS_MAX {
        let found = format!("{} more endpoints were not asked", all.len() - ENDPOINTS_MAX);
        findings.push(Finding::note(WEBHOOKS, found, "`lostcard webhook list` shows which fail"));
    }
    Ok(findings)
}

async fn endpoint(sender: &Sender, webhook: &Webhook) -> Finding {
    let id = webhook.webhook_id;
    if let Some(at_ms) = webhook.disabled_at_ms {
        let found = format!("{id} is disabled since {}", Rfc3339::of(at_ms).as_str());
        let to_do = format!("`lostcard webhook test {id}`, then `webhook enable`, if it should be sent to");
        return Finding::note(WEBHOOKS, found, to_do);
    }
    let to_do = format!("`lostcard webhook test {id}` after the receiver works");
    match (sender.knock(webhook).await, webhook.failing_since_ms) {
        (Err(why), _) => Finding::warning(WEBHOOKS, format!("{id}: {why}"), to_do),
        (Ok(()), Some(at_ms)) => {
            let found = format!("{id} is there, and has taken nothing since {}", Rfc3339::of(at_ms).as_str());
            Finding::warning(WEBHOOKS, found, to_do)
        }
        (Ok(()), None) => Finding::ok(WEBHOOKS, format!("{id} is there")),
    }
}

/// Who cosigns the registry log, by the policy.
pub(super) async fn witnesses(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "witnesses";
    if !config.blind.enabled {
        return vec![Finding::ok(CHECK, "there is no registry log to cosign: blind.enabled is off")];
    }
    match options::witnesses(config) {
        Ok(None) => vec![Finding::note(
            CHECK,
            "none: two readers of the registry log cannot tell whether they are shown the same",
            "name a policy, witnesses.policy: docs/LOG.md",
        )],
        Ok(Some(witnesses)) => {
            let told = |(name, answer): (&str, Result<(), String>)| match answer {
                Ok(()) => Finding::ok(CHECK, format!("{name} is there")),
                Err(why) => {
                    let to_do = "look at the way there, and ask who runs it: it cosigns no checkpoint now";
                    Finding::warning(CHECK, format!("{name}: {why}"), to_do)
                }
            };
            witnesses.knock().await.into_iter().map(told).collect()
        }
        Err(error) => vec![Finding::wrong(CHECK, error.to_string(), "correct it")],
    }
}

/// Who keeps heads of the audit log where this node cannot change them.
pub(super) fn audit_heads(config: &Config) -> Finding {
    const CHECK: &str = "audit_heads";
    match options::head_sinks(config) {
        Ok(sinks) if sinks.is_empty() => Finding::note(
            CHECK,
            "none: who holds database and node could write the audit log again",
            "send its heads elsewhere: audit.head_syslog, audit.head_webhook or audit.head_file",
        ),
        Ok(sinks) => Finding::ok(CHECK, format!("heads of the audit log go to {} places", sinks.len())),
        Err(error) => Finding::wrong(CHECK, error.to_string(), "correct it"),
    }
}

/// Nothing here knows what other programs do.
pub(super) fn back_up() -> Finding {
    let to_do =
        "see that store and key folder are backed up, apart from each other: docs/OPERATIONS.md, Back up and restore";
    Finding::note("back_up", "this program does not know whether there is one", to_do)
}
