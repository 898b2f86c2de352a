//! Delivery of alerts to the endpoints of their organizations, as Standard Webhooks 1.0.0 has it. One task a node: it claims what
//! is due, sends it, and settles what became of it. Every delivery is in the store from the transaction of its alert on, so a
//! node that dies loses none; an alert can be read by `GET /v1/alerts` whatever became of its deliveries.

pub mod address;
mod notices;
pub mod sending;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::writing::Writer;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::{Keyring, random};
use crate::domain::ids::WebhookId;
use crate::store::alerts::Alert;
use crate::store::webhooks::{CLAIMED_OF_ONE_MAX, Delivery};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use sending::{Outcome, Sender};

pub use sending::WebhookOptions;

/// Deliveries that a node makes at a time.
const SENDS_MAX: usize = 32;
/// How much longer than an attempt its claim holds: what settling may take.
const CLAIM_MARGIN: Duration = Duration::from_secs(5);
/// A delivery that fails later than so long after its alert is not tried again; an endpoint that failed for so long is disabled.
const FAILING_MAX: Duration = Duration::from_hours(3 * 24);
const RETRY_MS_MIN: u32 = 5_000;
const RETRY_MS_MAX: u32 = 12 * 3_600_000;
/// The longest that a receiver can ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// How long the secret before the last one signs as well.
pub const OLD_SECRET_KEPT: Duration = Duration::from_hours(24);
/// How often watches that have ended are deleted.
const TIDY_EVERY_NS: u64 = 60_000_000_000;
const EVENT_TYPE: &str = "alert.created";

/// Delivers, and deletes watches that have ended.
#[derive(Debug)]
pub struct Deliverer {
    options: WebhookOptions,
    clock: Clock,
    keyring: Arc<Keyring>,
    store: Store,
    metrics: Arc<Metrics>,
    sender: Sender,
}

/// What one look at the store left to do.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Done,
    /// More is due than there was room for.
    Behind,
}

impl Deliverer {
    pub fn new(options: WebhookOptions, writer: &Writer) -> Arc<Self> {
        let (clock, keyring) = (writer.clock.clone(), Arc::clone(&writer.keyring));
        Arc::new(Self {
            sender: Sender::new(options.clone(), clock.clone(), Arc::clone(&keyring)),
            options,
            clock,
            keyring,
            store: writer.store.clone(),
            metrics: Arc::clone(&writer.metrics),
        })
    }

    /// Works until it is dropped, and with it every attempt: their claims run out.
    pub async fn run(self: Arc<Self>) {
        let mut poll = interval(self.options.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sending = JoinSet::new();
        // One look at a time: an endpoint that hangs keeps notices waiting, and no alert.
        let mut telling = JoinSet::new();
        let mut busy: HashMap<WebhookId, usize> = HashMap::new();
        let (mut is_behind, mut tidied_ns) = (false, None);
        loop {
            tokio::select! {
                _ = poll.tick() => {
                    while telling.try_join_next().is_some() {}
                    if telling.is_empty() {
                        telling.spawn(Arc::clone(&self).tell());
                    }
                    let now_ns = self.clock.boot_ns();
                    if tidied_ns.is_none_or(|at_ns| now_ns.saturating_sub(at_ns) >= TIDY_EVERY_NS) {
                        tidied_ns = Some(now_ns);
                        note(self.tidy().await);
                    }
                }
                Some(done) = sending.join_next() => {
                    if let Ok(webhook) = done
                        && let Some(count) = busy.get_mut(&webhook)
                    {
                        *count -= 1;
                    }
                    if !is_behind {
                        continue;
                    }
                }
            }
            busy.retain(|_, count| *count > 0);
            is_behind = match self.look(&mut sending, &mut busy).await {
                Ok(look) => look == Look::Behind,
                Err(error) => {
                    note(Err(error));
                    false
                }
            };
        }
    }

    /// Begins what is due, as far as there is room.
    async fn look(
        self: &Arc<Self>,
        sending: &mut JoinSet<WebhookId>,
        busy: &mut HashMap<WebhookId, usize>,
    ) -> Result<Look, StoreError> {
        let now_ms = self.clock.now_ms();
        let due = self.store.due_deliveries(now_ms, SENDS_MAX).await?;
        let overdue_s = due.first().map_or(0, |delivery| now_ms.since(delivery.next_at_ms).as_secs());
        self.metrics.webhook_overdue_seconds.set(i64::try_from(overdue_s).unwrap_or(i64::MAX));
        let found = due.len();
        let mut room = SENDS_MAX.saturating_sub(sending.len());
        let has_room = |delivery: &Delivery| {
            let count = busy.entry(delivery.webhook.webhook_id).or_default();
            let is_taken = room > 0 && *count < CLAIMED_OF_ONE_MAX;
            if is_taken {
                (room, *count) = (room - 1, *count + 1);
            }
            is_taken
        };
        let taken: Vec<_> = due.into_iter().filter(has_room).collect();
        if taken.is_empty() {
            return Ok(if found > 0 { Look::Behind } else { Look::Done });
        }
        let webhooks: Vec<_> = taken.iter().map(|delivery| delivery.webhook.webhook_id).collect();
        let hold = self.options.timeout + CLAIM_MARGIN;
        let until_ms = now_ms.plus(hold);
        let claimed = self.store.claim_deliveries(taken, until_ms).await;
        // Counted again for those that were claimed: another node may have been faster.
        for webhook in webhooks {
            busy.entry(webhook).and_modify(|count| *count -= 1);
        }
        for delivery in claimed? {
            *busy.entry(delivery.webhook.webhook_id).or_default() += 1;
            let own = Arc::clone(self);
            sending.spawn(async move {
                let webhook = delivery.webhook.webhook_id;
                note(own.deliver(delivery).await);
                webhook
            });
        }
        Ok(if found >= CLAIMED_OF_ONE_MAX { Look::Behind } else { Look::Done })
    }

    /// One attempt, and what becomes of the delivery.
    async fn deliver(&self, delivery: Delivery) -> Result<(), StoreError> {
        let (id, body) = (delivery.alert.alert_id.to_string(), body_of(&delivery.alert));
        let outcome = self.sender.send(&delivery.webhook, &delivery.secrets, &id, body).await;
        let settled = match outcome {
            Outcome::Delivered(_) => self.store.settle_delivered(&delivery).await,
            _ => self.settle_failed(&delivery, outcome).await,
        };
        self.metrics.webhook_deliveries.with_label_values(&[outcome.as_str()]).inc();
        settled
    }

    async fn settle_failed(&self, delivery: &Delivery, outcome: Outcome) -> Result<(), StoreError> {
        let webhook = delivery.webhook.webhook_id;
        let attempts = delivery.attempts.saturating_add(1);
        tracing::info!(%webhook, outcome = outcome.as_str(), attempts, "a webhook was not delivered");
        let now_ms = self.clock.now_ms();
        let is_late = now_ms.since(delivery.alert.listed_at_ms) >= FAILING_MAX;
        let again_at_ms = (!is_late).then(|| now_ms.plus(pause(attempts, outcome)));
        if is_late {
            self.metrics.webhook_deliveries.with_label_values(&["given_up"]).inc();
        }
        let Some(failing_since_ms) = self.store.settle_failed(delivery, again_at_ms, now_ms).await? else {
            return Ok(());
        };
        if outcome == Outcome::Gone || now_ms.since(failing_since_ms) >= FAILING_MAX {
            let mut tx = self.store.begin().await?;
            let is_news = tx.disable_webhook(webhook, now_ms).await?;
            tx.commit_unlisted().await?;
            if is_news {
                self.metrics.webhooks_disabled.inc();
                tracing::warn!(%webhook, outcome = outcome.as_str(), "an endpoint was disabled: `webhook enable` after it works again");
            }
        }
        Ok(())
    }

    /// Deletes watches that have ended, and checks whether those that have not can be matched.
    async fn tidy(&self) -> Result<(), StoreError> {
        self.store.delete_ended_watches(self.clock.now_ms()).await?;
        self.store.delete_stranded_deliveries().await?;
        let known = self.keyring.pepper_versions();
        let lacking: Vec<_> =
            self.store.watch_versions().await?.into_iter().filter(|version| !known.contains(version)).collect();
        self.metrics.watch_peppers_missing.set(i64::try_from(lacking.len()).unwrap_or(i64::MAX));
        if !lacking.is_empty() {
            tracing::error!(peppers = ?lacking, "watches cannot be matched: the key folder lacks the pepper they are keyed by");
        }
        Ok(())
    }
}

/// The payload: what `GET /v1/alerts` says about the alert.
fn body_of(alert: &Alert) -> String {
    let listed_at = Rfc3339::of(alert.listed_at_ms);
    let data = json!({
        "alert_id": alert.alert_id, "check_id": alert.check_id, "kind": alert.kind.as_str(),
        "listing_kind": alert.listing.as_str(), "listed_at": listed_at.as_str(), "sequence": alert.sequence.get(),
    });
    json!({"type": EVENT_TYPE, "timestamp": listed_at.as_str(), "data": data}).to_string()
}

/// When the next attempt comes: after a pause of our own, or as late as the receiver asks, within reason.
fn pause(attempts: i64, outcome: Outcome) -> Duration {
    let own = Duration::from_millis(retry_ms(attempts));
    match outcome {
        Outcome::Refused { after: Some(told), .. } => own.max(told.min(RETRY_AFTER_MAX)),
        _ => own,
    }
}

/// How long after so many attempts the next one comes: four times as long each time, and up to half of it less, so that an
/// endpoint that comes back does not get everything at once.
fn retry_ms(attempts: i64) -> u64 {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).saturating_mul(2);
    let whole = 2u32.checked_pow(doublings).and_then(|factor| RETRY_MS_MIN.checked_mul(factor));
    let whole = whole.unwrap_or(RETRY_MS_MAX).min(RETRY_MS_MAX);
    u64::from(whole / 2 + random::below(whole / 2 + 1))
}

/// The follower reports a store that does not answer.
fn note(done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::debug!(error = %error, "a delivery waits for the store");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_grow_to_half_a_day_and_differ() {
        let wholes = [5_000, 20_000, 80_000, 320_000, 1_280_000, 5_120_000, 20_480_000, 43_200_000, 43_200_000];
        for (attempts, whole) in (1..).zip(wholes) {
            let drawn: Vec<_> = (0..100).map(|_| retry_ms(attempts)).collect();
            assert!(drawn.iter().all(|ms| (whole / 2..=whole).contains(ms)), "{attempts}: {drawn:?}");
            assert!(drawn.iter().any(|ms| *ms != drawn[0]), "{attempts}");
        }
        assert!(retry_ms(i64::MAX) <= u64::from(RETRY_MS_MAX) && retry_ms(0) <= 5_000);
    }
}
