//! Deletion of records whose period is over: by the node's task, one node for all in each interval, or by the command line. In small
//! pieces with pauses, so that writers pass; every piece can be repeated, so the next run continues one that was stopped.

pub mod policy;

use std::sync::Arc;
use std::time::Duration;

use super::listing;
use super::writing::leave_to_followers;
use crate::clock::{Clock, beijing_date};
use crate::crypto::random;
use crate::domain::audit::{Action, Behind, Deed};
use crate::domain::retention::{Class, Period, Policies, Policy};
use crate::store::retention::{Claim, Due, Piece};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// Between two transactions: writers of serving nodes pass.
const PAUSE: Duration = Duration::from_millis(25);
/// How often a piece is tried again that a busy store refused, or whose commit it did not confirm.
const TRIES_MAX: u32 = 12;

/// What a run found of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    pub class: Class,
    pub keep: Period,
    /// Without rows that went with them.
    pub rows: u64,
}

/// What deletes.
#[derive(Debug)]
pub struct Retention {
    pub clock: Clock,
    pub store: Store,
    pub policies: Policies,
    /// Who runs it and why; nobody: a node's task.
    pub behind: Behind,
}

impl Retention {
    /// What is due now, by class. Changes nothing.
    pub async fn preview(&self) -> Result<Vec<Expired>, StoreError> {
        let mut found = Vec::new();
        for (class, keep, due) in self.due() {
            found.push(Expired { class, keep, rows: self.store.count_due(class, &due).await? });
        }
        Ok(found)
    }

    /// Deletes what is due now; returns what it was.
    pub async fn run(&self) -> Result<Vec<Expired>, StoreError> {
        let mut found = Vec::new();
        let mut is_told = false;
        for (class, keep, due) in self.due() {
            let mut rows = 0;
            loop {
                let pieces = self.store.find_due(class, &due).await?;
                if pieces.is_empty() {
                    break;
                }
                for piece in &pieces {
                    rows += self.delete_piece(piece, &due, &mut is_told).await?;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            found.push(Expired { class, keep, rows });
        }
        Ok(found)
    }

    /// A run that the operator asked for: whatever the last one's time was.
    pub async fn run_by_hand(&self) -> Result<Vec<Expired>, StoreError> {
        self.note(true).await?;
        let found = self.run().await?;
        self.note(false).await?;
        Ok(found)
    }

    /// The node's task: runs once in each interval, unless another node did. The first run comes after a random part of it.
    pub async fn tend(self, every: Duration, metrics: Arc<Metrics>) {
        let mut is_complaining = false;
        let mut wait = every / 12 + jitter(every * 11 / 12);
        loop {
            metrics.retention_finished_ms.set(self.store.retention_finished_at().await.unwrap_or_default().get());
            tokio::time::sleep(wait).await;
            wait = every * 9 / 10 + jitter(every / 5);
            match self.run_in_turn(every, &metrics).await {
                Ok(Claim::ClockStepped) => {
                    metrics.retention_failures.inc();
                    if !std::mem::replace(&mut is_complaining, true) {
                        tracing::error!(
                            "the clock is more than a month from the last run of retention: nothing is deleted. If it is \
                             right, `lostcard retention run` continues"
                        );
                    }
                }
                Ok(_) => is_complaining = false,
                Err(error) => {
                    metrics.retention_failures.inc();
                    tracing::warn!(error = %error, "records whose period is over were not deleted; tried again later");
                }
            }
        }
    }

    async fn run_in_turn(&self, every: Duration, metrics: &Metrics) -> Result<Claim, StoreError> {
        let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let claim = self.store.claim_retention(self.clock.now_ms(), every_ms).await?;
        if claim != Claim::Ours {
            return Ok(claim);
        }
        let found = self.run().await?;
        self.note(false).await?;
        for Expired { class, rows, .. } in &found {
            metrics.retention_deleted.with_label_values(&[class.as_str()]).inc_by(*rows);
        }
        let rows: u64 = found.iter().map(|expired| expired.rows).sum();
        if rows > 0 {
            tracing::info!(rows, "deleted records whose period is over");
        }
        Ok(claim)
    }

    /// Each class with what is due of it.
    fn due(&self) -> impl Iterator<Item = (Class, Period, Due)> + '_ {
        let (now_ms, today) = (self.clock.now_ms(), self.clock.today());
        let rules = self.policies.on(today).map(Policy::rules).unwrap_or_default();
        rules.iter().map(move |(class, rule)| {
            let until_ms = rule.keep.before(now_ms);
            (*class, rule.keep, Due { until_ms, until_on: beijing_date(until_ms), today })
        })
    }

    async fn delete_piece(&self, piece: &Piece, due: &Due, is_told: &mut bool) -> Result<u64, StoreError> {
        let mut tries = 1;
        loop {
            match self.try_piece(piece, due, *is_told).await {
                Err(error) if error.is_passing() && tries < TRIES_MAX => tries += 1,
                done => {
                    let deleted = done?;
                    *is_told |= deleted > 0;
                    return Ok(deleted);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_piece(&self, piece: &Piece, due: &Due, is_told: bool) -> Result<u64, StoreError> {
        let mut tx = self.store.begin().await?;
        let deleted = listing::expired(&mut tx, piece, due).await?;
        if deleted == 0 {
            return Ok(0);
        }
        if !is_told {
            let deed = Deed::of_operator(Action::RecordsExpired, None).by(&self.behind);
            tx.record_deed(&deed, self.clock.now_ms()).await?;
        }
        leave_to_followers(tx).await?;
        Ok(deleted)
    }

    async fn note(&self, is_begin: bool) -> Result<(), StoreError> {
        let (mut tx, now_ms) = (self.store.begin().await?, self.clock.now_ms());
        if is_begin {
            tx.begin_retention(now_ms).await?;
        } else {
            tx.finish_retention(now_ms).await?;
        }
        tx.commit_unlisted().await
    }
}

/// A random part of a time.
fn jitter(most: Duration) -> Duration {
    let most_ms = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(random::below(most_ms.max(1)).into())
}
