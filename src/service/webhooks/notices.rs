//! Delivery of notices to portals: what became of a card whose loss was reported through them. Signed, repeated and given up as alerts
//! are; nothing in one says whose card it is but to who filed the report.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use super::sending::Outcome;
use super::{CLAIM_MARGIN, Deliverer, FAILING_MAX, note, pause};
use crate::clock::Rfc3339;
use crate::store::StoreError;
use crate::store::notices::DueNotice;

/// Notices that a node sends at a time.
const AT_ONCE: usize = 8;
const EVENT_TYPE: &str = "notice.created";

impl Deliverer {
    /// Sends what is due.
    pub(super) async fn tell(self: Arc<Self>) {
        note(self.tell_due().await);
    }

    async fn tell_due(&self) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        let due = self.store.due_notices(now_ms, AT_ONCE).await?;
        let until_ms = now_ms.plus(self.options.timeout + CLAIM_MARGIN);
        let mut claimed = Vec::with_capacity(due.len());
        for notice in due {
            claimed.extend(self.store.claim_notice(notice, until_ms).await?);
        }
        join_all(claimed.iter().map(|notice| self.tell_one(notice))).await.into_iter().collect()
    }

    async fn tell_one(&self, notice: &DueNotice) -> Result<(), StoreError> {
        let id = notice.notice_id.to_string();
        let outcome = self.sender.send(&notice.webhook, &notice.secrets, &id, body_of(notice)).await;
        self.metrics.webhook_deliveries.with_label_values(&[outcome.as_str()]).inc();
        let now_ms = self.clock.now_ms();
        let is_over =
            matches!(outcome, Outcome::Delivered(_) | Outcome::Gone) || now_ms.since(notice.made_at_ms) >= FAILING_MAX;
        let again_at_ms = (!is_over).then(|| now_ms.plus(pause(notice.attempts.saturating_add(1), outcome)));
        self.store.settle_notice(notice, again_at_ms).await
    }
}

/// Ids and an instant: what happened is in the person's records.
fn body_of(notice: &DueNotice) -> String {
    let at = Rfc3339::of(notice.made_at_ms);
    let data = json!({
        "notice_id": notice.notice_id, "kind": notice.kind.as_str(), "report_id": notice.report, "noticed_at": at.as_str(),
    });
    json!({"type": EVENT_TYPE, "timestamp": at.as_str(), "data": data}).to_string()
}
