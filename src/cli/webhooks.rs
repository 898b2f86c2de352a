//! `webhook add|list|disable|enable|remove|rotate-secret`, and test and replay in `webhook_trials`: where alerts of organizations go. Only the operator says where:
//! no caller can make the service connect to an address.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use super::global::Global;
use super::opening;
use super::output;
use super::webhook_trials::{ReplayArgs, TestArgs, replay, test};
use crate::clock::{Clock, Rfc3339};
use crate::crypto::random;
use crate::crypto::webhook::WebhookSecret;
use crate::domain::ids::{OrganizationId, WebhookId};
use crate::node::options;
use crate::service::webhooks::OLD_SECRET_KEPT;
use crate::store::WriteTx;
use crate::store::webhooks::Webhook;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Add an endpoint; its secret is shown once
    #[command(after_help = "Example:
  lostcard webhook add --organization ID --url https://bank.example/lostcard --json")]
    Add(AddArgs),
    /// List endpoints
    #[command(after_help = "Example:
  lostcard webhook list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send nothing more to an endpoint; alerts can still be read
    #[command(after_help = "Example:
  lostcard webhook disable 01993c5e-0000-7000-8000-000000000000")]
    Disable(OneArgs),
    /// Send to an endpoint again, only alerts from now on
    #[command(after_help = "Example:
  lostcard webhook enable 01993c5e-0000-7000-8000-000000000000")]
    Enable(OneArgs),
    /// Remove an endpoint
    #[command(after_help = "Example:
  lostcard webhook remove 01993c5e-0000-7000-8000-000000000000")]
    Remove(OneArgs),
    /// Send an endpoint a test message, signed as alerts are; done only if it answers 2xx
    #[command(after_help = "\
The message has the type webhook.test and says nothing of anybody. An endpoint that is disabled is sent it too.

Example:
  lostcard webhook test 01993c5e-0000-7000-8000-000000000000")]
    Test(TestArgs),
    /// Send an endpoint alerts once more that it may have lost; a running node sends them
    #[command(after_help = "\
Alerts keep their ids (`webhook-id`), by which a receiver knows those that it has. One older than three days is tried once.

Examples:
  lostcard webhook replay 01993c5e-0000-7000-8000-000000000000 --since 2026-11-28T00:00:00Z
  lostcard webhook replay 01993c5e-0000-7000-8000-000000000000 --after 1041")]
    Replay(ReplayArgs),
    /// Give an endpoint a new secret; for 24 hours the previous one also signs
    #[command(after_help = "Example:
  lostcard webhook rotate-secret 01993c5e-0000-7000-8000-000000000000 --json")]
    RotateSecret(OneArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The organization whose alerts it gets
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
    /// Where: https, a public address
    #[arg(long)]
    url: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneArgs {
    webhook_id: WebhookId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `webhook ...`
pub(super) async fn webhook(global: &Global, command: WebhookCommand) -> anyhow::Result<()> {
    match command {
        WebhookCommand::Add(args) => add(global, args).await,
        WebhookCommand::List { json } => list(global, json).await,
        WebhookCommand::Disable(args) => {
            change(global, &args, "disabled", async |tx| {
                tx.disable_webhook(args.webhook_id, Clock::System.now_ms()).await
            })
            .await
        }
        WebhookCommand::Enable(args) => {
            change(global, &args, "enabled", async |tx| tx.enable_webhook(args.webhook_id).await).await
        }
        WebhookCommand::Remove(args) => {
            change(global, &args, "removed", async |tx| tx.remove_webhook(args.webhook_id).await).await
        }
        WebhookCommand::Test(args) => test(global, &args).await,
        WebhookCommand::Replay(args) => replay(global, &args).await,
        WebhookCommand::RotateSecret(args) => rotate_secret(global, &args).await,
    }
}

async fn add(global: &Global, args: AddArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let webhooks = options::webhook_options(&config);
    let url = webhooks.reach.parse(&args.url, &webhooks.ports)?;
    let (store, keyring) = opening::open(&config).await?;
    if store.find_organization(args.organization).await?.is_none() {
        bail!("there is no such organization");
    }
    let now_ms = Clock::System.now_ms();
    let new = Webhook {
        webhook_id: random::id(now_ms),
        organization: args.organization,
        url: url.to_string(),
        created_at_ms: now_ms,
        failing_since_ms: None,
        disabled_at_ms: None,
    };
    let secret = WebhookSecret::generate()?;
    let sealed = secret.seal(keyring.sealer(), new.webhook_id.as_bytes())?;
    let mut tx = store.begin().await?;
    tx.insert_webhook(&new, &sealed).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    show_secret(new.webhook_id, &secret, "The secret is shown this once.", args.json);
    Ok(())
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let webhooks = store.list_webhooks().await?;
    store.close().await;
    let state = |webhook: &Webhook| match (webhook.disabled_at_ms, webhook.failing_since_ms) {
        (Some(_), _) => "disabled",
        (None, Some(_)) => "failing",
        (None, None) => "enabled",
    };
    let value = |webhook: &Webhook| {
        let mut value = json!({
            "webhook_id": webhook.webhook_id, "organization_id": webhook.organization, "url": webhook.url,
            "state": state(webhook), "created_at": Rfc3339::of(webhook.created_at_ms).as_str(),
        });
        for (name, at_ms) in [("failing_since", webhook.failing_since_ms), ("disabled_at", webhook.disabled_at_ms)] {
            if let Some(at_ms) = at_ms {
                value[name] = json!(Rfc3339::of(at_ms).as_str());
            }
        }
        value
    };
    let line = |webhook: &Webhook| {
        format!("{}  {}  {:8}  {}", webhook.webhook_id, webhook.organization, state(webhook), webhook.url)
    };
    let values: Vec<_> = webhooks.iter().map(value).collect();
    let lines: Vec<_> = webhooks.iter().map(line).collect();
    output::result(json, &json!({ "webhooks": values }), &lines);
    Ok(())
}

async fn change(
    global: &Global,
    args: &OneArgs,
    state: &str,
    change: impl AsyncFnOnce(&mut WriteTx) -> Result<bool, crate::store::StoreError>,
) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let mut tx = store.begin().await?;
    if !change(&mut tx).await? {
        bail!("there is no such endpoint, or it is {state} already");
    }
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(args.json, &json!({"webhook_id": args.webhook_id, "state": state}), &[state.to_owned()]);
    Ok(())
}

async fn rotate_secret(global: &Global, args: &OneArgs) -> anyhow::Result<()> {
    let (store, keyring) = opening::open(&global.config()?).await?;
    let secret = WebhookSecret::generate()?;
    let sealed = secret.seal(keyring.sealer(), args.webhook_id.as_bytes())?;
    let mut tx = store.begin().await?;
    let until_ms = Clock::System.now_ms().plus(OLD_SECRET_KEPT);
    if !tx.rotate_webhook_secret(args.webhook_id, &sealed, until_ms).await? {
        bail!("there is no such endpoint");
    }
    tx.commit_unlisted().await?;
    store.close().await;
    show_secret(args.webhook_id, &secret, "For 24 hours the secret before it signs as well.", args.json);
    Ok(())
}

fn show_secret(webhook_id: WebhookId, secret: &WebhookSecret, remark: &str, json: bool) {
    let lines = [format!("webhook_id  {webhook_id}"), format!("secret      {}", secret.reveal()), remark.to_owned()];
    output::result(json, &json!({"webhook_id": webhook_id, "secret": secret.reveal()}), &lines);
}
