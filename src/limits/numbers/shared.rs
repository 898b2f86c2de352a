//! What the clients of a node have in common, and what is asked and refused. Says nothing of one client's spending.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jiff::civil::Date;

use super::cells::Cells;
use super::holds::Holds;
use super::places::MANY_GUESTS;
use super::seen::{Seen, Trace};
use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::domain::numbers::{Neighbourhood, NumbersMode};
use crate::limits::standing::Refused;
use crate::telemetry::Metrics;

/// A question about a number, as far as limits look at it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub digest: &'a IdDigest,
    /// None: a digest came, which hides it.
    pub place: Option<Neighbourhood>,
    pub start: Option<Date>,
}

/// Why a question is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumbersRefused {
    /// No new number is left.
    Spent(Refused),
    /// Too many of this county and birth date, or of this birth date.
    Neighbourhood { retry_after_s: u64 },
    /// Too many starts of validity for this number.
    Attempts { retry_after_s: u64 },
    /// New numbers are refused until the operator releases the client.
    Held,
    /// This client may not send digests.
    Digest,
}

impl NumbersRefused {
    /// As the metric names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spent(_) => "numbers",
            Self::Neighbourhood { .. } => "neighbourhood",
            Self::Attempts { .. } => "attempts",
            Self::Held => "held",
            Self::Digest => "digest",
        }
    }
}

/// What the clients of a node have in common.
#[derive(Debug)]
pub struct Numbers {
    pub(super) mode: NumbersMode,
    pub(super) clock: Clock,
    /// How many nodes share what a client declares where they do not count together.
    pub(super) live_nodes: Arc<AtomicUsize>,
    pub(super) metrics: Arc<Metrics>,
    /// The secret of the process.
    pub(super) secret: RandomState,
    pub(super) seen: Seen,
    /// Of clients with few guests and of those with many, so that these leave the others what they have.
    cells: [Cells; 2],
    pub(super) holds: Holds,
}

impl Numbers {
    pub fn new(mode: NumbersMode, clock: Clock, live_nodes: Arc<AtomicUsize>, metrics: Arc<Metrics>) -> Arc<Self> {
        let (secret, seen, holds) = (RandomState::new(), Seen::new(), Holds::default());
        let cells = [Cells::new(clock.boot_ns()), Cells::new(clock.boot_ns())];
        Arc::new(Self { mode, clock, live_nodes, metrics, secret, seen, cells, holds })
    }

    pub fn mode(&self) -> NumbersMode {
        self.mode
    }

    /// The clients that the store must hold.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    pub(super) fn trace(&self, client: ClientId, question: &Question<'_>) -> Trace {
        let start = question.start.map(|start| {
            let [year, month, day] = [i64::from(start.year()), i64::from(start.month()), i64::from(start.day())];
            u64::try_from((year * 16 + month) * 32 + day).unwrap_or(0)
        });
        // Half of a digest is as good as all of it: two that share it are never found.
        let half = question.digest.expose().first_chunk::<16>().map_or(0, |half| u128::from_ne_bytes(*half));
        Trace::of(self.secret.hash_one((u128::from_ne_bytes(*client.as_bytes()), half)), start)
    }

    /// Where the places of a client are that declares so many guests.
    pub(super) fn cells(&self, guests: NonZeroU32) -> &Cells {
        let [few, many] = &self.cells;
        if guests.get() > MANY_GUESTS { many } else { few }
    }

    /// What stands for a client's county and birth date since its last release, and for the birth date alone.
    pub(super) fn place_keys(&self, client: ClientId, since: Option<UnixMs>, place: Neighbourhood) -> (u64, u32) {
        let since = since.map(UnixMs::get);
        let cell = self.secret.hash_one((client.as_bytes(), since, place.county, place.born));
        // Half of a hash: two birth dates of a client that share it are counted as one.
        let birthday = self.secret.hash_one(place.born) >> 32;
        (cell, u32::try_from(birthday).unwrap_or(0))
    }
}
