//! `webhook test|replay`: a message that is about nothing, sent now, and alerts that are sent once more by a running node.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::global::Global;
use super::opening;
use super::output;
use crate::clock::Clock;
use crate::domain::ids::WebhookId;
use crate::domain::instant::UnixMs;
use crate::domain::sequence::AlertSequence;
use crate::node::options;
use crate::service::webhooks::sending::{Outcome, Sender};

/// Alerts of one command: a receiver gets four at a time.
const REPLAYED_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    webhook_id: WebhookId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    webhook_id: WebhookId,
    /// Alerts made at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", required_unless_present = "after", conflicts_with = "after", value_parser = instant)]
    since: Option<UnixMs>,
    /// Alerts after this `sequence` of the organization
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<AlertSequence>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn instant(text: &str) -> Result<UnixMs, &'static str> {
    let instant: jiff::Timestamp = text.parse().map_err(|_| "a time is written 2026-11-29T08:00:00Z")?;
    Ok(UnixMs::new(instant.as_millisecond()))
}

/// `webhook test`
pub(super) async fn test(global: &Global, args: &TestArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let (store, keyring) = opening::open_what_is_there(&config).await?;
    let found = store.find_webhook(args.webhook_id).await?;
    store.close().await;
    let (webhook, secrets) = found.context("there is no such endpoint")?;
    let sender = Sender::new(options::webhook_options(&config), Clock::System, Arc::clone(&keyring));
    let outcome = sender.send_test(&webhook, &secrets).await;
    let mut value = json!({"webhook_id": args.webhook_id, "outcome": outcome.as_str()});
    if let Some(status) = outcome.status() {
        value["status"] = json!(status);
    }
    if args.json {
        output::line(&value.to_string());
    }
    if !matches!(outcome, Outcome::Delivered(_)) {
        bail!("the test message was not taken: {outcome}");
    }
    if !args.json {
        output::line(&format!("{}: {outcome}", args.webhook_id));
    }
    if webhook.disabled_at_ms.is_some() {
        output::error("the endpoint is disabled: `webhook enable` sends it alerts again");
    }
    Ok(())
}

/// `webhook replay`
pub(super) async fn replay(global: &Global, args: &ReplayArgs) -> anyhow::Result<()> {
    let (store, _) = opening::open_what_is_there(&global.config()?).await?;
    let (webhook, _) = store.find_webhook(args.webhook_id).await?.context("there is no such endpoint")?;
    if webhook.disabled_at_ms.is_some() {
        bail!("the endpoint is disabled: `webhook enable` it first");
    }
    let after = match (args.after, args.since) {
        (Some(after), _) => Some(after),
        (None, Some(since_ms)) => store.alert_before(webhook.organization, since_ms).await?,
        (None, None) => None,
    };
    let mut alerts = match after {
        Some(after) => store.list_alerts(webhook.organization, after, REPLAYED_MAX + 1).await?,
        None => Vec::new(),
    };
    let has_more = alerts.len() > REPLAYED_MAX;
    alerts.truncate(REPLAYED_MAX);
    let mut made = 0;
    let last = alerts.last().map(|alert| alert.sequence);
    if let (Some(after), Some(last)) = (after, last) {
        let mut tx = store.begin().await?;
        made = tx.deliver_again(args.webhook_id, (after, last), Clock::System.now_ms()).await?;
        tx.commit_unlisted().await?;
    }
    store.close().await;
    let mut value =
        json!({"webhook_id": args.webhook_id, "alerts": alerts.len(), "deliveries": made, "more": has_more});
    let mut lines = vec![format!("{} alerts: {made} deliveries made, the others wait already", alerts.len())];
    if let Some(last) = last {
        value["last_sequence"] = json!(last);
        if has_more {
            lines.push(format!("there are more: --after {last}"));
        }
    }
    output::result(args.json, &value, &lines);
    Ok(())
}
