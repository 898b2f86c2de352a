//! Notices that wait for the endpoints of portals. One that is delivered or given up is no more: the person's records say the same.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::reports::places;
use super::sightings::NewSighting;
use super::webhooks::{CLAIMED_OF_ONE_MAX, LET_IN, SealedSecrets, Webhook, read_secrets, read_webhook};
use super::{Store, StoreError, WriteTx, get_id, get_parsed};
use crate::crypto::random;
use crate::domain::client::OrganizationKind;
use crate::domain::ids::{NoticeId, RecordId, ReportId, WebhookId};
use crate::domain::instant::UnixMs;
use crate::domain::notice::NoticeKind;

/// A notice that is due, and where it goes.
#[derive(Debug, Clone)]
pub struct DueNotice {
    pub notice_id: NoticeId,
    pub kind: NoticeKind,
    pub report: ReportId,
    pub made_at_ms: UnixMs,
    pub webhook: Webhook,
    pub secrets: SealedSecrets,
    /// Attempts begun before.
    pub attempts: i64,
    /// When it was due, or, once claimed, until when the claim holds.
    pub next_at_ms: UnixMs,
    source: RecordId,
}

impl Store {
    /// Notices that are due, the longest due first.
    pub async fn due_notices(&self, now_ms: UnixMs, limit: usize) -> Result<Vec<DueNotice>, StoreError> {
        let text = format!(
            "SELECT n.source_id AS source_id, n.notice_id AS notice_id, n.kind AS kind, n.report_id AS report_id, \
             n.made_at AS made_at, n.attempts AS attempts, n.next_at AS next_at, w.webhook_id AS webhook_id, \
             w.organization_id AS organization_id, w.url AS url, w.created_at AS created_at, \
             w.failing_since AS failing_since, w.disabled_at AS disabled_at, w.sealed_secret AS sealed_secret, \
             w.old_sealed_secret AS old_sealed_secret, w.old_secret_until AS old_secret_until \
             FROM (SELECT source_id, notice_id, webhook_id, kind, report_id, made_at, attempts, next_at, \
                     ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY next_at, notice_id) AS place \
                   FROM notices WHERE next_at <= $1) n \
             JOIN webhooks w ON w.webhook_id = n.webhook_id \
             JOIN organizations o ON o.organization_id = w.organization_id \
             WHERE n.place <= {CLAIMED_OF_ONE_MAX} AND w.disabled_at IS NULL AND {LET_IN} \
             ORDER BY n.next_at, n.notice_id LIMIT {limit}"
        );
        let rows = sqlx::query(AssertSqlSafe(text)).bind(now_ms).fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_notice).collect()
    }

    /// Takes a notice until an instant, unless another node has it.
    pub async fn claim_notice(&self, due: DueNotice, until_ms: UnixMs) -> Result<Option<DueNotice>, StoreError> {
        let set = "UPDATE notices SET next_at = $1, attempts = attempts + 1";
        let taken = self.change_notice(set, &due, Some(until_ms)).await?;
        Ok(taken.then_some(DueNotice { next_at_ms: until_ms, ..due }))
    }

    /// A notice was delivered, or is given up, or is tried again at an instant.
    pub async fn settle_notice(&self, due: &DueNotice, again_at_ms: Option<UnixMs>) -> Result<(), StoreError> {
        let change = if again_at_ms.is_some() { "UPDATE notices SET next_at = $1" } else { "DELETE FROM notices" };
        self.change_notice(change, due, again_at_ms).await.map(|_| ())
    }

    /// Only as it was read: false if another node has it by now.
    async fn change_notice(&self, change: &str, due: &DueNotice, at_ms: Option<UnixMs>) -> Result<bool, StoreError> {
        let first = 1 + usize::from(at_ms.is_some());
        let text =
            format!("{change} WHERE source_id = ${first} AND webhook_id = ${} AND next_at = ${}", first + 1, first + 2);
        let mut tx = self.begin().await?;
        let mut query = sqlx::query(AssertSqlSafe(text));
        if let Some(at_ms) = at_ms {
            query = query.bind(at_ms);
        }
        let done = query
            .bind(due.source.as_bytes().to_vec())
            .bind(due.webhook.webhook_id.as_bytes().to_vec())
            .bind(due.next_at_ms)
            .execute(&mut *tx.tx)
            .await?;
        tx.commit_unlisted().await?;
        Ok(done.rows_affected() == 1)
    }
}

impl WriteTx {
    /// Tells the portal that filed a report, at each of its endpoints; once of each source.
    pub async fn insert_notice(
        &mut self,
        (kind, report): (NoticeKind, ReportId),
        source: RecordId,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        for (_, webhook) in self.endpoints_of_reports(&[report.as_bytes().to_vec()]).await? {
            self.put_notice((kind, report), source, webhook, now_ms).await?;
        }
        Ok(())
    }

    /// The same of sightings that begin an entry of a list: one notice for each client, day and place.
    pub async fn insert_notices_of_sightings(
        &mut self,
        sightings: &[NewSighting],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let listings: BTreeSet<_> = sightings.iter().map(|one| one.listing).collect();
        let listings: Vec<_> = listings.into_iter().map(|listing| listing.as_bytes().to_vec()).collect();
        let endpoints = self.endpoints_of_reports(&listings).await?;
        for sighting in sightings.iter().filter(|_| !endpoints.is_empty()) {
            let of_it = |(report, _): &&(ReportId, WebhookId)| report.as_bytes() == sighting.listing.as_bytes();
            for (report, webhook) in endpoints.iter().filter(of_it) {
                let begins = sqlx::query("SELECT 1 FROM sighting_days WHERE listing_id = $1 AND check_id = $2")
                    .bind(sighting.listing.as_bytes().to_vec())
                    .bind(sighting.check_id.as_bytes().to_vec())
                    .fetch_optional(&mut *self.tx)
                    .await?;
                if begins.is_some() {
                    let source = sighting.check_id.into();
                    self.put_notice((NoticeKind::CardShown, *report), source, *webhook, now_ms).await?;
                }
            }
        }
        Ok(())
    }

    /// Endpoints of the portals that filed some of these reports. Mostly there are none.
    async fn endpoints_of_reports(&mut self, ids: &[Vec<u8>]) -> Result<Vec<(ReportId, WebhookId)>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let text = format!(
            "SELECT r.report_id AS report_id, w.webhook_id AS webhook_id FROM loss_reports r \
             JOIN organizations o ON o.organization_id = r.organization_id \
             JOIN webhooks w ON w.organization_id = r.organization_id \
             WHERE r.report_id IN ({}) AND o.kind = '{}' AND w.disabled_at IS NULL AND o.ended_at IS NULL ORDER BY r.report_id, w.webhook_id",
            places(1, ids.len()),
            OrganizationKind::Portal.as_str()
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for id in ids {
            query = query.bind(id.clone());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        rows.iter().map(|row| Ok((get_id(row, "report_id")?, get_id(row, "webhook_id")?))).collect()
    }

    async fn put_notice(
        &mut self,
        (kind, report): (NoticeKind, ReportId),
        source: RecordId,
        webhook: WebhookId,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let notice_id: NoticeId = random::id(now_ms);
        sqlx::query(
            "INSERT INTO notices (source_id, webhook_id, notice_id, kind, report_id, made_at, attempts, next_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 0, $6) ON CONFLICT DO NOTHING",
        )
        .bind(source.as_bytes().to_vec())
        .bind(webhook.as_bytes().to_vec())
        .bind(notice_id.as_bytes().to_vec())
        .bind(kind.as_str())
        .bind(report.as_bytes().to_vec())
        .bind(now_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn read_notice(row: &AnyRow) -> Result<DueNotice, StoreError> {
    Ok(DueNotice {
        notice_id: get_id(row, "notice_id")?,
        kind: get_parsed(row, "kind", NoticeKind::parse)?,
        report: get_id(row, "report_id")?,
        made_at_ms: row.try_get("made_at")?,
        webhook: read_webhook(row)?,
        secrets: read_secrets(row)?,
        attempts: row.try_get("attempts")?,
        next_at_ms: row.try_get("next_at")?,
        source: get_id(row, "source_id")?,
    })
}
