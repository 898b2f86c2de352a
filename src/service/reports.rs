//! Loss reports, withdrawals and replacements: each one transaction with its feed row, then publication, then the answer.
//! The number arrives as a digest and leaves as lookup key and sealed digest; it is keyed after the transaction has taken its
//! turn, for until then a rotation may change the pepper. Transitions are the domain's; this file only
//! orders the steps.

use std::sync::Arc;

use jiff::civil::Date;
use uuid::Uuid;

use super::ServiceError;
use super::filing::Filing;
use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::crypto::pepper::Pepper;
use crate::crypto::{Keyring, random};
use crate::domain::report::{LossReport, OfficeCode, ReportState, WithdrawalReason};
use crate::registry::peppers::PEPPER_TRIES_MAX;
use crate::registry::{Registry, RegistryError};
use crate::store::feed::ChangeKind;
use crate::store::idempotency::{IdempotentRequest, Remembered, StoredAnswer};
use crate::store::reports::{Closing, NewReplacement, SealedNumber, StoredReport};
use crate::store::{Store, StoreError, WriteTx};
use crate::telemetry::Metrics;

/// A replacement as a registrar records it.
#[derive(Debug)]
pub struct Replacing {
    pub digest: IdDigest,
    pub card_valid_from: Date,
    pub office: OfficeCode,
}

/// A recorded replacement.
#[derive(Debug)]
pub struct Replacement {
    pub replacement_id: Uuid,
    pub card_valid_from: Date,
    pub reports_replaced: usize,
    pub recorded_at_ms: i64,
    pub sequence: u64,
}

/// Writes to the registry and reads an organization's own reports.
#[derive(Debug)]
pub struct Reports {
    clock: Clock,
    keyring: Arc<Keyring>,
    store: Store,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
}

impl Reports {
    pub fn new(
        clock: Clock,
        keyring: Arc<Keyring>,
        store: Store,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { clock, keyring, store, registry, metrics }
    }

    /// Files a loss report. Once this returns, no check that starts anywhere answers `not_listed` for the number.
    /// `render` makes the answer that a repetition of the request will get.
    pub async fn file(
        &self,
        organization: Uuid,
        filing: Filing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&StoredReport) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let now_ms = self.clock.now_ms();
        let report_id = random::uuid_v7(now_ms);
        if let Some(answer) = self.recall_shared(repeatable.as_ref()).await? {
            return Ok(answer);
        }
        let mut tx = self.store.begin().await?;
        if let Some(answer) = recall(&mut tx, repeatable.as_ref()).await? {
            return self.repeat(tx, answer).await;
        }
        let peppers = self.registry.peppers_for(tx.take_turn().await?).await?;
        let new = filing.seal(&self.keyring, &peppers.current, report_id, Some(organization), now_ms)?;
        let lookup_key = new.number.lookup_key;
        let sequence = tx.record_change(ChangeKind::Listing, lookup_key.as_bytes()).await?;
        tx.insert_reports(std::slice::from_ref(&new), sequence).await?;
        let answer = render(&StoredReport {
            report: LossReport {
                id: report_id,
                state: ReportState::Active,
                card_valid_from: new.validity.valid_from(),
                reported_at_ms: now_ms,
                reason: new.reason,
            },
            lookup_key,
            sequence,
        });
        self.finish(tx, repeatable.as_ref(), &answer, sequence).await?;
        self.metrics.reports.inc();
        Ok(answer)
    }

    /// The holder has the card again.
    pub async fn withdraw(
        &self,
        organization: Uuid,
        report_id: Uuid,
        office: &OfficeCode,
        reason: WithdrawalReason,
    ) -> Result<Option<StoredReport>, ServiceError> {
        let mut tx = self.store.begin().await?;
        let Some(stored) = tx.find_report(organization, report_id).await? else { return Ok(None) };
        let report = stored.report.withdraw()?;
        let sequence = tx.record_change(ChangeKind::Listing, stored.lookup_key.as_bytes()).await?;
        let closing = Closing { at_ms: self.clock.now_ms(), office, withdrawal: Some(reason) };
        tx.close_report(&report, &closing, sequence).await?;
        self.commit(tx, sequence).await?;
        Ok(Some(StoredReport { report, lookup_key: stored.lookup_key, sequence }))
    }

    /// A new card was issued: older cards of the number are listed from now on, whether or not one was reported.
    pub async fn replace(
        &self,
        organization: Uuid,
        replacing: Replacing,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&Replacement) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let now_ms = self.clock.now_ms();
        let replacement_id = random::uuid_v7(now_ms);
        if let Some(answer) = self.recall_shared(repeatable.as_ref()).await? {
            return Ok(answer);
        }
        let mut tx = self.store.begin().await?;
        if let Some(answer) = recall(&mut tx, repeatable.as_ref()).await? {
            return self.repeat(tx, answer).await;
        }
        let peppers = self.registry.peppers_for(tx.take_turn().await?).await?;
        let number = seal_number(&self.keyring, &peppers.current, &replacing.digest, replacement_id)?;
        let lookup_keys: Vec<_> = peppers.lookup_keys(&replacing.digest).collect();
        let sequence = tx.record_change(ChangeKind::Listing, number.lookup_key.as_bytes()).await?;
        let closing = Closing { at_ms: now_ms, office: &replacing.office, withdrawal: None };
        let mut reports_replaced = 0;
        for stored in tx.active_reports(&lookup_keys).await? {
            if stored.report.is_replaced_by(replacing.card_valid_from) {
                let report = stored.report.replace(replacing.card_valid_from)?;
                tx.close_report(&report, &closing, sequence).await?;
                reports_replaced += 1;
            }
        }
        let new = NewReplacement {
            replacement_id,
            organization,
            number,
            card_valid_from: replacing.card_valid_from,
            office: replacing.office.clone(),
            recorded_at_ms: now_ms,
        };
        tx.insert_replacement(&new, sequence).await?;
        let answer = render(&Replacement {
            replacement_id,
            card_valid_from: replacing.card_valid_from,
            reports_replaced,
            recorded_at_ms: now_ms,
            sequence,
        });
        self.finish(tx, repeatable.as_ref(), &answer, sequence).await?;
        Ok(answer)
    }

    /// An organization's own report.
    pub async fn find(&self, organization: Uuid, report_id: Uuid) -> Result<Option<StoredReport>, StoreError> {
        self.store.find_report(organization, report_id).await
    }

    /// An organization's own reports of a number.
    pub async fn search(&self, organization: Uuid, digest: &IdDigest) -> Result<Vec<StoredReport>, ServiceError> {
        let mut versions = self.registry.key_versions();
        for _ in 0..PEPPER_TRIES_MAX {
            let keys: Vec<_> = self.registry.peppers_for(versions).await?.lookup_keys(digest).collect();
            let (stored, reports) = self.store.list_reports(organization, &keys).await?;
            if versions.cover(stored) {
                return Ok(reports);
            }
            versions = stored;
        }
        Err(RegistryError::TooSlow.into())
    }

    /// The fingerprints by which a repetition of a request is known: keyed, for both key and body may hold a number.
    pub fn repeatable(&self, client: Uuid, operation: &str, key: &[u8], body: &[u8]) -> IdempotentRequest {
        let fingerprints = self.keyring.fingerprints();
        IdempotentRequest {
            key: fingerprints.of("idempotency-key", &[client.as_bytes(), operation.as_bytes(), &[0], key]),
            request: fingerprints.of("idempotent-request", &[body]),
        }
    }

    async fn finish(
        &self,
        mut tx: WriteTx,
        repeatable: Option<&IdempotentRequest>,
        answer: &StoredAnswer,
        sequence: u64,
    ) -> Result<(), ServiceError> {
        if let Some(request) = repeatable {
            tx.remember(request, answer, self.clock.now_ms()).await?;
        }
        let epoch = self.commit(tx, sequence).await?;
        if let (Some(request), Some(shared)) = (repeatable, self.registry.shared()) {
            shared.remember(&epoch, request, answer);
        }
        Ok(())
    }

    /// An answer that Redis remembers is that of a committed change: the store need not be asked.
    async fn recall_shared(
        &self,
        repeatable: Option<&IdempotentRequest>,
    ) -> Result<Option<StoredAnswer>, ServiceError> {
        let (Some(request), Some(shared)) = (repeatable, self.registry.shared()) else { return Ok(None) };
        remembered(shared.recall(&self.registry.epoch(), request).await)
    }

    /// The store remembers an answer from the commit on, perhaps before the change is published: its node may have died in
    /// between, or still be waiting. So a repetition waits as the first request does.
    async fn repeat(&self, mut tx: WriteTx, answer: StoredAnswer) -> Result<StoredAnswer, ServiceError> {
        let sequence = tx.head().await?;
        self.commit(tx, sequence).await?;
        Ok(answer)
    }

    /// Returns the epoch that the change belongs to.
    async fn commit(&self, mut tx: WriteTx, sequence: u64) -> Result<String, ServiceError> {
        let audience = tx.audience(self.registry.node()).await?;
        tx.commit().await?;
        self.registry.published(sequence, &audience).await?;
        Ok(audience.epoch)
    }
}

async fn recall(
    tx: &mut WriteTx,
    repeatable: Option<&IdempotentRequest>,
) -> Result<Option<StoredAnswer>, ServiceError> {
    let Some(request) = repeatable else { return Ok(None) };
    remembered(tx.recall(request).await?)
}

fn remembered(remembered: Remembered) -> Result<Option<StoredAnswer>, ServiceError> {
    match remembered {
        Remembered::Nothing => Ok(None),
        Remembered::Answer(answer) => Ok(Some(answer)),
        Remembered::OtherRequest => Err(ServiceError::IdempotencyKeyReused),
    }
}

/// How a number is stored with a record: keyed for looking up, sealed for the rotation of that key.
pub fn seal_number(
    keyring: &Keyring,
    pepper: &Pepper,
    digest: &IdDigest,
    record: Uuid,
) -> Result<SealedNumber, ServiceError> {
    Ok(SealedNumber {
        lookup_key: pepper.lookup_key(digest),
        key_version: pepper.version(),
        sealed_digest: keyring.sealer().seal(record.as_bytes(), digest.expose())?,
    })
}
