//! What an open-model run counts, while it runs and as it is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::measure::{Latency, LatencySummary, float};
use crate::wire::{VERDICTS, VerdictCounts};

/// A caller has given up on an answer that takes longer.
const PROMPT: Duration = Duration::from_secs(1);

/// Counters of a run under way.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) offered: u64,
    pub(super) not_sent: u64,
    pub(super) timeouts: u64,
    pub(super) lost_connections: u64,
    pub(super) unanswered: u64,
    pub(super) first_loss: Option<String>,
    pub(super) items: u64,
    pub(super) missed_listings: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) verdicts: VerdictCounts,
    /// Intended start to last byte, answers 200 only.
    pub(super) accepted: Latency,
    /// The same of all other answers.
    pub(super) refused: Latency,
    /// Sending to last byte, answers 200 only.
    pub(super) service: Latency,
}

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OpenResult {
    pub(crate) seconds: f64,
    pub(crate) offered: u64,
    pub(crate) offered_per_s: f64,
    /// Answers of any status.
    pub(crate) completed: u64,
    /// Answers 200 a second.
    pub(crate) goodput_per_s: f64,
    /// Answers 200 that came within a second of the intended start, a second.
    pub(crate) prompt_per_s: f64,
    pub(crate) items_per_s: f64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) verdicts: BTreeMap<&'static str, u64>,
    /// Checks of numbers known to be listed that were answered `not_listed`.
    pub(crate) missed_listings: u64,
    /// Requests that were due while `outstanding_max` were waiting.
    pub(crate) not_sent: u64,
    pub(crate) timeouts: u64,
    pub(crate) lost_connections: u64,
    /// Still waiting when the time to drain was over.
    pub(crate) unanswered: u64,
    /// Why the first connection was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_loss: Option<String>,
    pub(crate) latency_accepted: LatencySummary,
    pub(crate) latency_refused: LatencySummary,
    pub(crate) service_time_accepted: LatencySummary,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            offered: 0,
            not_sent: 0,
            timeouts: 0,
            lost_connections: 0,
            unanswered: 0,
            first_loss: None,
            items: 0,
            missed_listings: 0,
            statuses: BTreeMap::new(),
            verdicts: VerdictCounts::default(),
            accepted: Latency::new()?,
            refused: Latency::new()?,
            service: Latency::new()?,
        })
    }

    /// `seconds` is the planned length: what came in while draining belongs to it.
    pub(super) fn result(&self, seconds: f64) -> OpenResult {
        let accepted = self.accepted.summary();
        OpenResult {
            seconds,
            offered: self.offered,
            offered_per_s: float(self.offered) / seconds,
            completed: self.statuses.values().sum(),
            goodput_per_s: float(accepted.count) / seconds,
            prompt_per_s: float(self.accepted.count_within(PROMPT)) / seconds,
            items_per_s: float(self.items) / seconds,
            statuses: self.statuses.clone(),
            verdicts: VERDICTS.into_iter().zip(self.verdicts).collect(),
            missed_listings: self.missed_listings,
            not_sent: self.not_sent,
            timeouts: self.timeouts,
            lost_connections: self.lost_connections,
            unanswered: self.unanswered,
            first_loss: self.first_loss.clone(),
            latency_accepted: accepted,
            latency_refused: self.refused.summary(),
            service_time_accepted: self.service.summary(),
        }
    }
}
