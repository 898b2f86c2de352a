//! Moves sightings from the journal to the store: opens each digest, finds the listings of its number under the peppers of the
//! moment, stores the sightings, deletes the segment. Each step can be repeated: a sighting is stored once, no matter who moves it.
//! Segments of a node that was killed are moved by the next one on its data folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use tokio::time::sleep;

use super::Sighting;
use super::journal::Journal;
use super::maker::Loss;
use super::segment::{End, Finished};
use crate::crypto::digest::LookupKey;
use crate::crypto::random;
use crate::domain::ids::NodeId;
use crate::domain::sequence::Sequence;
use crate::domain::sighting::{
    Candidate, listings_of, replacements_taken_back_since, replacements_that_may_have_listed,
};
use crate::domain::verdict::Verdict;
use crate::registry::RegistryError;
use crate::registry::peppers::PEPPER_TRIES_MAX;
use crate::service::alerts::check_again;
use crate::service::writing::Writer;
use crate::store::alerts::{Source, Told};
use crate::store::reports::KEYS_MAX;
use crate::store::sightings::NewSighting;
use crate::store::{StoreError, WriteTx};
use crate::wiping::spawn_wiped;

/// How often the journal is moved.
const MOVE_EVERY: Duration = Duration::from_secs(1);
/// How long it is let be at most after the store refused.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Sightings of one transaction.
const MOVED_AT_ONCE_MAX: usize = 500;
/// Between two looks at a segment that another task still has in hand, when the node stops.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Sightings stay in the journal for now.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the journal: {0}")]
    File(#[from] std::io::Error),
    #[error("the reader has stopped")]
    Stopped,
}

/// Moves what a journal holds.
#[derive(Debug)]
pub struct Mover {
    journal: Arc<Journal>,
    writer: Arc<Writer>,
}

impl Mover {
    pub fn new(journal: Arc<Journal>, writer: Arc<Writer>) -> Self {
        Self { journal, writer }
    }

    /// Moves sightings as they come, first those that were left behind, until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut pause = MOVE_EVERY;
        loop {
            match self.move_all().await {
                Ok(()) => {
                    if pause > MOVE_EVERY {
                        tracing::info!("sightings are moved to the store again");
                    }
                    pause = MOVE_EVERY;
                }
                Err(error) => {
                    self.writer.metrics.sightings_moves_failed.inc();
                    if pause == MOVE_EVERY {
                        tracing::warn!(error = %error, "sightings stay in the journal until the store takes them");
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
            sleep(pause).await;
        }
    }

    /// Moves all that is left when nothing is answered any more. What the store does not take now stays for the next start.
    pub async fn drain(&self, node: NodeId) {
        let own = node.to_string();
        self.journal.close().await;
        loop {
            if let Err(error) = self.move_all().await {
                tracing::warn!(error = %error, "sightings stay in the journal until the next start");
                return;
            }
            let is_own = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&own));
            match self.journal.list() {
                // The task that moved before this one may be reading it yet.
                Ok((left, _)) if left.iter().any(|(path, _)| is_own(path)) => sleep(LOOK_AGAIN).await,
                _ => return,
            }
        }
    }

    async fn move_all(&self) -> Result<(), MoveError> {
        // While the store takes none of these, the segment in use may as well grow.
        let left = self.move_finished().await;
        if !matches!(left, Ok(()) | Err(MoveError::File(_))) {
            return left;
        }
        self.journal.finish_segments().await;
        self.move_finished().await
    }

    /// A segment that cannot be read holds up no other.
    async fn move_finished(&self) -> Result<(), MoveError> {
        let journal = Arc::clone(&self.journal);
        let (segments, held) = spawn_wiped(move || journal.list()).await.map_err(|_| MoveError::Stopped)??;
        self.writer.metrics.sightings_journal_bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
        let mut outcome = Ok(());
        for (path, _) in segments {
            let keyring = Arc::clone(&self.writer.keyring);
            let taken = spawn_wiped(move || Finished::take(&path, keyring.sealer()));
            match taken.await.map_err(|_| MoveError::Stopped)? {
                Ok(Some(segment)) => self.move_one(segment).await?,
                Ok(None) => {}
                Err(error) => outcome = Err(error.into()),
            }
        }
        outcome
    }

    async fn move_one(&self, segment: Finished) -> Result<(), MoveError> {
        for sightings in segment.sightings.chunks(MOVED_AT_ONCE_MAX) {
            self.store_all(sightings).await?;
        }
        match segment.end {
            End::Whole => {}
            End::Torn => tracing::info!("a segment of the journal was cut off; what it had confirmed is stored"),
            End::Damaged => {
                Loss::Damaged.count(&self.writer.metrics, 1);
                let kept = segment.sightings.len();
                tracing::error!("a segment of the journal is damaged: sightings after its first {kept} are lost");
            }
        }
        Ok(segment.delete()?)
    }

    async fn store_all(&self, sightings: &[Sighting]) -> Result<(), MoveError> {
        let candidates = self.candidates_of(sightings).await?;
        let (mut rows, mut seen_at) = (Vec::with_capacity(sightings.len()), Vec::with_capacity(sightings.len()));
        for (sighting, candidates) in sightings.iter().zip(&candidates) {
            let listings = listings_of(sighting.card_valid_from, sighting.sequence, candidates);
            if listings.is_empty() {
                Loss::NoListing.count(&self.writer.metrics, 1);
            }
            seen_at.extend(listings.iter().map(|_| sighting.sequence));
            rows.extend(listings.into_iter().map(|listing| NewSighting {
                listing,
                check_id: sighting.check_id,
                organization: sighting.organization,
                client: sighting.client,
                site: sighting.site.clone(),
                purpose: sighting.purpose,
                verdict: sighting.verdict,
                seen_at_ms: sighting.seen_at_ms,
            }));
        }
        let mut tx = self.writer.store.begin().await?;
        tx.insert_sightings(&rows).await?;
        tx.insert_notices_of_sightings(&rows, self.writer.clock.now_ms()).await?;
        self.tell_of_corrections(&mut tx, sightings, &candidates).await?;
        self.tell_of_undone(&mut tx, &rows, &seen_at).await?;
        self.tell_of_taken_back(&mut tx, sightings, &candidates).await?;
        tx.commit_unlisted().await?;
        self.writer.metrics.sightings_stored.inc_by(rows.len() as u64);
        Ok(())
    }

    /// A replacement may have been corrected since a check was answered by it: the correction did not find the sighting in the store.
    async fn tell_of_corrections(
        &self,
        tx: &mut WriteTx,
        sightings: &[Sighting],
        candidates: &[Vec<Candidate>],
    ) -> Result<(), StoreError> {
        let mut asked = Vec::new();
        for (sighting, candidates) in sightings.iter().zip(candidates) {
            let presented = sighting.card_valid_from.filter(|_| sighting.verdict == Verdict::CardListed);
            let Some(presented) = presented else { continue };
            let may_have = replacements_that_may_have_listed(presented, sighting.sequence, candidates);
            asked.extend(may_have.into_iter().map(|id| (id, sighting, presented)));
        }
        if asked.is_empty() {
            return Ok(());
        }
        let starts = tx.replacement_starts(&asked.iter().map(|(id, ..)| *id).collect()).await?;
        let now_ms = self.writer.clock.now_ms();
        for (id, sighting, presented) in asked {
            let is_corrected =
                |(sequence, start): &(Sequence, Date)| *sequence > sighting.sequence && *start <= presented;
            let told = Told { organization: sighting.organization, check_id: sighting.check_id };
            if starts.get(&id).is_some_and(is_corrected) && !tx.is_told_again(Source::Replacement(id), told).await? {
                let alert = check_again(random::id(now_ms), told, Source::Replacement(id));
                tx.insert_alerts(&[alert], now_ms).await?;
            }
        }
        Ok(())
    }

    /// What made a card listed may have been undone since: the undoing did not find the sighting in the store.
    async fn tell_of_undone(
        &self,
        tx: &mut WriteTx,
        rows: &[NewSighting],
        seen_at: &[Sequence],
    ) -> Result<(), StoreError> {
        let listings: BTreeSet<_> = rows.iter().map(|row| row.listing).collect();
        if listings.is_empty() {
            return Ok(());
        }
        let undone = tx.undone_listings(&listings).await?;
        let now_ms = self.writer.clock.now_ms();
        for (row, seen_at) in rows.iter().zip(seen_at) {
            let Some((_, source)) = undone.get(&row.listing).filter(|(at, _)| at > seen_at) else { continue };
            let told = Told { organization: row.organization, check_id: row.check_id };
            if !tx.is_told_again(*source, told).await? {
                tx.insert_alerts(&[check_again(random::id(now_ms), told, *source)], now_ms).await?;
            }
        }
        Ok(())
    }

    /// A replacement may have been taken back since a check was answered by it, where a report of the number has the sighting.
    async fn tell_of_taken_back(
        &self,
        tx: &mut WriteTx,
        sightings: &[Sighting],
        candidates: &[Vec<Candidate>],
    ) -> Result<(), StoreError> {
        let now_ms = self.writer.clock.now_ms();
        for (sighting, candidates) in sightings.iter().zip(candidates) {
            if sighting.verdict != Verdict::CardListed {
                continue;
            }
            let told = Told { organization: sighting.organization, check_id: sighting.check_id };
            for id in replacements_taken_back_since(sighting.card_valid_from, sighting.sequence, candidates) {
                let source = Source::Replacement(id);
                if !tx.is_told_again(source, told).await? {
                    tx.insert_alerts(&[check_again(random::id(now_ms), told, source)], now_ms).await?;
                }
            }
        }
        Ok(())
    }

    /// The records of each sighting's number. Asks again where the store's rows are keyed by other peppers by now.
    async fn candidates_of(&self, sightings: &[Sighting]) -> Result<Vec<Vec<Candidate>>, MoveError> {
        let mut versions = self.writer.registry.key_versions();
        'peppers: for _ in 0..PEPPER_TRIES_MAX {
            let peppers = self.writer.registry.peppers_for(versions).await?;
            let keys_of = |sighting: &Sighting| peppers.lookup_keys(&sighting.digest).collect::<Vec<_>>();
            let keys: Vec<_> = sightings.iter().map(keys_of).collect();
            // All keys of a number in one statement: a row may be re-keyed from one to the other between two.
            let numbers: Vec<_> = keys.iter().collect::<BTreeSet<_>>().into_iter().collect();
            let mut found = BTreeMap::<LookupKey, Vec<Candidate>>::new();
            for some in numbers.chunks(KEYS_MAX / versions.all().count()) {
                let asked: Vec<_> = some.iter().copied().flatten().copied().collect();
                let (stored, candidates) = self.writer.store.sighting_candidates(&asked).await?;
                if !versions.cover(stored) {
                    versions = stored;
                    continue 'peppers;
                }
                for (key, candidate) in candidates {
                    found.entry(key).or_default().push(candidate);
                }
            }
            let of_number =
                |keys: &Vec<LookupKey>| keys.iter().filter_map(|key| found.get(key)).flatten().cloned().collect();
            return Ok(keys.iter().map(of_number).collect());
        }
        Err(RegistryError::TooSlow.into())
    }
}
