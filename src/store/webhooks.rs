//! Endpoints of webhooks, and deliveries that are due. A node claims a delivery by moving its time: of two nodes one has it. A
//! claim that its node did not live to settle runs out, and the delivery is made again: at least once, never lost.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::alerts::{Alert, read_alert};
use super::{Store, StoreError, WriteTx, as_i64, get_id};
use crate::domain::ids::{AlertId, OrganizationId, WebhookId};
use crate::domain::instant::UnixMs;
use crate::domain::sequence::AlertSequence;

/// Where an organization wants its alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub webhook_id: WebhookId,
    pub organization: OrganizationId,
    pub url: String,
    pub created_at_ms: UnixMs,
    /// Of the first failure since the last delivery.
    pub failing_since_ms: Option<UnixMs>,
    pub disabled_at_ms: Option<UnixMs>,
}

/// The secrets that a delivery is signed by, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    pub current: Vec<u8>,
    /// The one before it, and until when it signs as well.
    pub old: Option<(Vec<u8>, UnixMs)>,
}

/// An alert that goes to an endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub alert: Alert,
    pub webhook: Webhook,
    pub secrets: SealedSecrets,
    /// Attempts begun before.
    pub attempts: i64,
    /// When it was due, or, once claimed, until when the claim holds.
    pub next_at_ms: UnixMs,
}

/// Deliveries to one endpoint in one claim: an endpoint that hangs must not take every place.
pub const CLAIMED_OF_ONE_MAX: usize = 4;
/// Who is suspended is told what has waited once it is let in again; who has ended is told nothing.
pub(super) const LET_IN: &str = "o.suspended_at IS NULL AND o.ended_at IS NULL";

const WEBHOOK_COLUMNS: &str =
    "SELECT webhook_id, organization_id, url, created_at, failing_since, disabled_at FROM webhooks";

impl Store {
    /// Every endpoint, oldest first.
    pub async fn list_webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let text = format!("{WEBHOOK_COLUMNS} ORDER BY created_at, webhook_id");
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_webhook).collect()
    }

    /// An endpoint, enabled or not, and what it is sent with.
    pub async fn find_webhook(&self, webhook: WebhookId) -> Result<Option<(Webhook, SealedSecrets)>, StoreError> {
        let row = sqlx::query(
            "SELECT webhook_id, organization_id, url, created_at, failing_since, disabled_at, sealed_secret, \
             old_sealed_secret, old_secret_until FROM webhooks WHERE webhook_id = $1",
        )
        .bind(webhook.as_bytes().as_slice())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        row.map(|row| Ok((read_webhook(&row)?, read_secrets(&row)?))).transpose()
    }

    /// The sequence before the first alert of an organization that was made at an instant or later; none where there is no such.
    pub async fn alert_before(
        &self,
        organization: OrganizationId,
        since_ms: UnixMs,
    ) -> Result<Option<AlertSequence>, StoreError> {
        let row = sqlx::query("SELECT MIN(seq) AS first FROM alerts WHERE organization_id = $1 AND listed_at >= $2")
            .bind(organization.as_bytes().as_slice())
            .bind(since_ms)
            .fetch_one(&mut *self.connection().await?)
            .await?;
        let first: Option<i64> = row.try_get("first")?;
        Ok(first.map(|first| AlertSequence::new(u64::try_from(first).unwrap_or(0)).before()))
    }

    /// Deliveries that are due, the longest due first, a few of each endpoint.
    pub async fn due_deliveries(&self, now_ms: UnixMs, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let text = format!(
            "SELECT d.webhook_id AS webhook_id, d.attempts AS attempts, d.next_at AS next_at, \
             a.alert_id AS alert_id, a.check_id AS check_id, a.kind AS kind, a.listing_kind AS listing_kind, \
             a.listed_at AS listed_at, a.seq AS seq, w.organization_id AS organization_id, w.url AS url, \
             w.created_at AS created_at, w.failing_since AS failing_since, w.disabled_at AS disabled_at, \
             w.sealed_secret AS sealed_secret, w.old_sealed_secret AS old_sealed_secret, \
             w.old_secret_until AS old_secret_until \
             FROM (SELECT alert_id, webhook_id, attempts, next_at, \
                     ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY next_at, alert_id) AS place \
                   FROM deliveries WHERE next_at <= $1) d \
             JOIN alerts a ON a.alert_id = d.alert_id JOIN webhooks w ON w.webhook_id = d.webhook_id \
             JOIN organizations o ON o.organization_id = w.organization_id \
             WHERE d.place <= {CLAIMED_OF_ONE_MAX} AND w.disabled_at IS NULL AND {LET_IN} \
             ORDER BY d.next_at, d.alert_id LIMIT {limit}"
        );
        let rows = sqlx::query(AssertSqlSafe(text)).bind(now_ms).fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_delivery).collect()
    }

    /// Takes deliveries until an instant, each unless another node has it; returns those taken.
    pub async fn claim_deliveries(&self, due: Vec<Delivery>, until_ms: UnixMs) -> Result<Vec<Delivery>, StoreError> {
        let mut tx = self.begin().await?;
        let mut claimed = Vec::with_capacity(due.len());
        for delivery in due {
            let taken = sqlx::query(
                "UPDATE deliveries SET next_at = $1, attempts = attempts + 1 \
                 WHERE alert_id = $2 AND webhook_id = $3 AND next_at = $4",
            )
            .bind(until_ms)
            .bind(delivery.alert.alert_id.as_bytes().as_slice())
            .bind(delivery.webhook.webhook_id.as_bytes().as_slice())
            .bind(delivery.next_at_ms)
            .execute(&mut *tx.tx)
            .await?;
            if taken.rows_affected() == 1 {
                claimed.push(Delivery { next_at_ms: until_ms, ..delivery });
            }
        }
        tx.commit_unlisted().await?;
        Ok(claimed)
    }

    /// A delivery was taken by its receiver.
    pub async fn settle_delivered(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.delete_delivery(delivery).await?;
        sqlx::query("UPDATE webhooks SET failing_since = NULL WHERE webhook_id = $1 AND failing_since IS NOT NULL")
            .bind(delivery.webhook.webhook_id.as_bytes().as_slice())
            .execute(&mut *tx.tx)
            .await?;
        tx.commit_unlisted().await
    }

    /// A delivery failed: it is tried again at an instant, or, without one, never. Returns since when its endpoint has failed;
    /// none if the claim had run out, and another node settles it.
    pub async fn settle_failed(
        &self,
        delivery: &Delivery,
        again_at_ms: Option<UnixMs>,
        now_ms: UnixMs,
    ) -> Result<Option<UnixMs>, StoreError> {
        let mut tx = self.begin().await?;
        let is_own = match again_at_ms {
            None => tx.delete_delivery(delivery).await?,
            Some(again_at_ms) => {
                let moved = sqlx::query(
                    "UPDATE deliveries SET next_at = $1 WHERE alert_id = $2 AND webhook_id = $3 AND next_at = $4",
                )
                .bind(again_at_ms)
                .bind(delivery.alert.alert_id.as_bytes().as_slice())
                .bind(delivery.webhook.webhook_id.as_bytes().as_slice())
                .bind(delivery.next_at_ms)
                .execute(&mut *tx.tx)
                .await?;
                moved.rows_affected() == 1
            }
        };
        if !is_own {
            return Ok(None);
        }
        let row = sqlx::query(
            "UPDATE webhooks SET failing_since = COALESCE(failing_since, $1) WHERE webhook_id = $2 RETURNING failing_since",
        )
        .bind(now_ms)
        .bind(delivery.webhook.webhook_id.as_bytes().as_slice())
        .fetch_optional(&mut *tx.tx)
        .await?;
        tx.commit_unlisted().await?;
        row.map(|row| Ok(row.try_get("failing_since")?)).transpose()
    }

    /// Deletes what was made for endpoints that were disabled at that very moment, and what is left of alerts that are no more.
    pub async fn delete_stranded_deliveries(&self) -> Result<u64, StoreError> {
        let condition = "webhook_id IN (SELECT webhook_id FROM webhooks WHERE disabled_at IS NOT NULL) \
             OR NOT EXISTS (SELECT 1 FROM alerts a WHERE a.alert_id = deliveries.alert_id)";
        let stranded = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM deliveries WHERE {condition} LIMIT 1")))
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        if stranded.is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let text = format!("DELETE FROM deliveries WHERE {condition}");
        let deleted = sqlx::query(AssertSqlSafe(text)).execute(&mut *tx.tx).await?.rows_affected();
        tx.commit_unlisted().await?;
        Ok(deleted)
    }
}

impl WriteTx {
    /// Stores an endpoint.
    pub async fn insert_webhook(&mut self, new: &Webhook, sealed_secret: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO webhooks (webhook_id, organization_id, url, sealed_secret, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(new.webhook_id.as_bytes().as_slice())
        .bind(new.organization.as_bytes().as_slice())
        .bind(new.url.as_str())
        .bind(sealed_secret)
        .bind(new.created_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Disables an endpoint and drops its remaining deliveries: the alerts can be read. False if there is none, or it is
    /// disabled already.
    pub async fn disable_webhook(&mut self, webhook: WebhookId, now_ms: UnixMs) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE webhooks SET disabled_at = $1 WHERE webhook_id = $2 AND disabled_at IS NULL")
            .bind(now_ms)
            .bind(webhook.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        self.delete_deliveries_to(webhook).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Enables an endpoint again, for alerts from now on. False if there is none.
    pub async fn enable_webhook(&mut self, webhook: WebhookId) -> Result<bool, StoreError> {
        // What was made while it was disabled is not told after all.
        sqlx::query(
            "DELETE FROM deliveries WHERE webhook_id IN (SELECT webhook_id FROM webhooks WHERE webhook_id = $1 AND disabled_at IS NOT NULL)",
        )
        .bind(webhook.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        let done = sqlx::query("UPDATE webhooks SET disabled_at = NULL, failing_since = NULL WHERE webhook_id = $1")
            .bind(webhook.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes an endpoint with its remaining deliveries. False if there is none.
    pub async fn remove_webhook(&mut self, webhook: WebhookId) -> Result<bool, StoreError> {
        // Takes the turn: no alert is made for it meanwhile.
        self.take_turn().await?;
        self.delete_deliveries_to(webhook).await?;
        let done = sqlx::query("DELETE FROM webhooks WHERE webhook_id = $1")
            .bind(webhook.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives an endpoint a new secret; the one before it signs as well until an instant. False if there is none.
    pub async fn rotate_webhook_secret(
        &mut self,
        webhook: WebhookId,
        sealed_secret: &[u8],
        old_until_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE webhooks SET old_sealed_secret = sealed_secret, old_secret_until = $1, sealed_secret = $2 WHERE webhook_id = $3",
        )
        .bind(old_until_ms)
        .bind(sealed_secret)
        .bind(webhook.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deliveries of alerts between two sequences, the first not among them, due at an instant; of those that wait already there is
    /// no second one. Returns how many were made.
    pub async fn deliver_again(
        &mut self,
        webhook: WebhookId,
        (after, last): (AlertSequence, AlertSequence),
        now_ms: UnixMs,
    ) -> Result<u64, StoreError> {
        let made = sqlx::query(
            "INSERT INTO deliveries (alert_id, webhook_id, attempts, next_at) \
             SELECT a.alert_id, w.webhook_id, 0, CAST($1 AS BIGINT) FROM alerts a \
             JOIN webhooks w ON w.organization_id = a.organization_id \
             WHERE w.webhook_id = $2 AND a.seq > $3 AND a.seq <= $4 ON CONFLICT (alert_id, webhook_id) DO NOTHING",
        )
        .bind(now_ms)
        .bind(webhook.as_bytes().as_slice())
        .bind(as_i64(after))
        .bind(as_i64(last))
        .execute(&mut *self.tx)
        .await?;
        Ok(made.rows_affected())
    }

    /// A delivery of an alert to every enabled endpoint of its organization.
    pub(super) async fn insert_deliveries(&mut self, alert: AlertId) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO deliveries (alert_id, webhook_id, attempts, next_at) \
             SELECT a.alert_id, w.webhook_id, 0, a.listed_at FROM alerts a JOIN webhooks w ON w.organization_id = a.organization_id \
             WHERE a.alert_id = $1 AND w.disabled_at IS NULL",
        )
        .bind(alert.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn delete_deliveries_to(&mut self, webhook: WebhookId) -> Result<(), StoreError> {
        for text in ["DELETE FROM deliveries WHERE webhook_id = $1", "DELETE FROM notices WHERE webhook_id = $1"] {
            sqlx::query(text).bind(webhook.as_bytes().as_slice()).execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// Only as it was claimed: false if the claim had run out and another node has it.
    async fn delete_delivery(&mut self, delivery: &Delivery) -> Result<bool, StoreError> {
        let deleted = sqlx::query("DELETE FROM deliveries WHERE alert_id = $1 AND webhook_id = $2 AND next_at = $3")
            .bind(delivery.alert.alert_id.as_bytes().as_slice())
            .bind(delivery.webhook.webhook_id.as_bytes().as_slice())
            .bind(delivery.next_at_ms)
            .execute(&mut *self.tx)
            .await?;
        Ok(deleted.rows_affected() == 1)
    }
}

pub(super) fn read_webhook(row: &AnyRow) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        webhook_id: get_id(row, "webhook_id")?,
        organization: get_id(row, "organization_id")?,
        url: row.try_get("url")?,
        created_at_ms: row.try_get("created_at")?,
        failing_since_ms: row.try_get("failing_since")?,
        disabled_at_ms: row.try_get("disabled_at")?,
    })
}

fn read_delivery(row: &AnyRow) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        alert: read_alert(row)?,
        webhook: read_webhook(row)?,
        secrets: read_secrets(row)?,
        attempts: row.try_get("attempts")?,
        next_at_ms: row.try_get("next_at")?,
    })
}

pub(super) fn read_secrets(row: &AnyRow) -> Result<SealedSecrets, StoreError> {
    let old: Option<Vec<u8>> = row.try_get("old_sealed_secret")?;
    let until: Option<UnixMs> = row.try_get("old_secret_until")?;
    Ok(SealedSecrets { current: row.try_get("sealed_secret")?, old: old.zip(until) })
}
