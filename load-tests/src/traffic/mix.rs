//! The mix of a run: which share of the checks hits, what the caller knows of
//! the card, single checks or batches. Read from a profile or made of the
//! command line of `saturate`.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// Most items the contract allows in a batch.
pub(crate) const BATCH_ITEMS_MAX: u32 = 1_000;
const SITES_MAX: u32 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    Lodging,
    Banking,
    Transport,
    Telecom,
    Other,
}

impl Purpose {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lodging => "lodging",
            Self::Banking => "banking",
            Self::Transport => "transport",
            Self::Telecom => "telecom",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchSize {
    pub(crate) items_min: u32,
    pub(crate) items_max: u32,
}

/// Shares are between 0 and 1.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mix {
    pub(crate) purpose: Purpose,
    /// Share of checks about a listed number.
    pub(crate) hit_share: f64,
    /// Share of the hits that present a card issued after the loss.
    pub(crate) newer_card_share: f64,
    /// Share of checks that give the card's start of validity.
    pub(crate) card_valid_from_share: f64,
    /// Whether a receipt is asked for.
    pub(crate) receipt: bool,
    /// How many sites the checks name; 0 names none.
    pub(crate) sites: u32,
    /// Whether each check carries a `client_ref`.
    pub(crate) client_ref: bool,
    /// Batches instead of single checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<BatchSize>,
}

impl Mix {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        for (name, share) in [
            ("hit_share", self.hit_share),
            ("newer_card_share", self.newer_card_share),
            ("card_valid_from_share", self.card_valid_from_share),
        ] {
            ensure!((0.0..=1.0).contains(&share), "{name} must be between 0 and 1");
        }
        ensure!(self.sites <= SITES_MAX, "sites must be at most {SITES_MAX}");
        if let Some(batch) = self.batch {
            ensure!(
                1 <= batch.items_min && batch.items_min <= batch.items_max && batch.items_max <= BATCH_ITEMS_MAX,
                "batch sizes must be ordered and between 1 and {BATCH_ITEMS_MAX}"
            );
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &'static str {
        if self.batch.is_some() { "/v1/checks/batch" } else { "/v1/checks" }
    }
}
