//! A worker's hold on the journal: it writes the sightings of its checks by itself, one write each, into a segment whose place on
//! the disk is taken already. What is written survives the process at once, and a power cut after the next flush.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Sighting;
use super::maker::{JournalOptions, Loss, Maker};
use super::segment::WriteError;
use super::slot::{Held, Slot};
use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::crypto::random;
use crate::crypto::seal::Sealer;
use crate::domain::ids::{CheckId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Purpose, Verdict};
use crate::telemetry::Metrics;

/// The disk is too far behind: what is found now may not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind;

/// Writes one worker's sightings.
#[derive(Debug)]
pub struct Pen {
    slot: Arc<Slot>,
    maker: Arc<Maker>,
    options: JournalOptions,
    metrics: Arc<Metrics>,
    clock: Clock,
    buffer: RefCell<Vec<u8>>,
    is_failing: AtomicBool,
    rehearsals: Cell<u64>,
    /// What is written in a rehearsal, and a key of its own for it.
    rehearsed: Option<(Sighting, Sealer)>,
}

impl Pen {
    pub(super) fn new(
        slot: Arc<Slot>,
        maker: Arc<Maker>,
        options: JournalOptions,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let (buffer, is_failing) = (RefCell::new(Vec::with_capacity(256)), AtomicBool::new(false));
        let sealer = random::key_bytes::<32>().ok().and_then(|key| Sealer::new(&key).ok());
        let rehearsed = sealer.map(|sealer| (nobody(), sealer));
        let rehearsals = Cell::new(0);
        Self { slot, maker, options, metrics, clock, buffer, is_failing, rehearsals, rehearsed }
    }

    /// Whether a check that finds a listing may be answered.
    pub fn ready(&self) -> Result<(), Behind> {
        let (waited, count) = self.slot.hold().behind(self.clock.boot_ns());
        if waited <= self.options.wait && count < self.options.queue_max {
            return Ok(());
        }
        self.metrics.sightings_behind.inc();
        Err(Behind)
    }

    /// Writes the sightings of one request. Where the disk takes nothing they are lost, and counted: a hotel that is not told that
    /// a card is stolen is the greater harm.
    pub fn write(&self, sightings: &[Sighting]) {
        let mut held = self.slot.hold();
        let mut rest = sightings;
        while !rest.is_empty() {
            let added = self.add(&mut held, rest).or_else(|error| {
                // Nothing more can be added to it safely.
                held.turn_over();
                if matches!(error, WriteError::Full) { Err(error) } else { self.add(&mut held, rest) }
            });
            match added {
                Ok(added) => {
                    held.note_written(added, self.clock.boot_ns());
                    self.metrics.sightings_recorded.inc_by(added as u64);
                    rest = rest.get(added..).unwrap_or_default();
                    if !rest.is_empty() {
                        held.turn_over();
                    }
                    self.tell(None);
                }
                Err(error) => {
                    let loss = if matches!(error, WriteError::Full) { Loss::JournalFull } else { Loss::Disk };
                    loss.count(&self.metrics, rest.len());
                    held.turn_over();
                    self.tell(Some(&error));
                    return;
                }
            }
        }
    }

    /// Does all that a write of one sighting does, and leaves nothing. Says whether it could.
    pub fn rehearse(&self) -> bool {
        let held = self.slot.hold();
        let nth = self.rehearsals.get();
        self.rehearsals.set(nth + 1);
        let (Some(segment), Some((sighting, sealer))) = (&held.current, &self.rehearsed) else { return false };
        let is_ready = held.behind(self.clock.boot_ns()).0 <= self.options.wait;
        is_ready && segment.rehearse(sighting, nth, sealer, &mut self.buffer.borrow_mut())
    }

    fn add(&self, held: &mut Held, sightings: &[Sighting]) -> Result<usize, WriteError> {
        if held.current.is_none() {
            // The journal's thread has made none yet.
            held.current = Some(self.maker.make()?);
        }
        let Some(segment) = &mut held.current else { return Ok(0) };
        segment.add(sightings, &mut self.buffer.borrow_mut())
    }

    /// Once when it begins to fail, and once when it works again.
    fn tell(&self, error: Option<&WriteError>) {
        let was_failing = self.is_failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_failing => {
                tracing::error!(error = %error, "sightings are being lost: they cannot be written to the journal");
            }
            None if was_failing => tracing::info!("sightings are written to the journal again"),
            _ => {}
        }
    }
}

/// A sighting of nobody.
fn nobody() -> Sighting {
    Sighting {
        check_id: CheckId::nil(),
        organization: OrganizationId::nil(),
        client: None,
        digest: IdDigest::from_bytes([0; 32]),
        card_valid_from: None,
        site: None,
        purpose: Purpose::Other,
        verdict: Verdict::NumberListed,
        sequence: Sequence::ZERO,
        seen_at_ms: UnixMs::EPOCH,
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.slot.hold().is_closed = true;
    }
}
