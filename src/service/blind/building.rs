//! Builds a base: reads every listing at one moment, evaluates each number (some 50 us: 10^7 numbers take ten minutes of one core),
//! and stores the bytes in pieces, so that all nodes give out the same. On threads of its own that yield to all others.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroize;

use super::Blind;
use crate::crypto::Keyring;
use crate::crypto::blind::base::BaseItem;
use crate::crypto::blind::{Base, BaseBuilder, BaseIndex, BlindKey, BlindStatus};
use crate::crypto::digest::IdDigest;
use crate::domain::ids::RecordId;
use crate::domain::verdict::{Listing, Record};
use crate::store::StoreError;
use crate::store::blind_keys::{NumberReader, StoredBase};

/// Bytes of a piece in the store.
pub(super) const PIECE_BYTES: usize = 256 * 1024;
/// How often a node says that it is still building.
const CLAIM_EVERY: Duration = Duration::from_secs(15);

/// Why there is no base.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} sealed digests do not open: without them blind checks would miss listings")]
    DigestsLost(u64),
    #[error(transparent)]
    Base(#[from] crate::crypto::blind::base::BaseError),
    #[error(transparent)]
    Key(#[from] crate::crypto::blind::BlindKeyError),
    #[error("another node builds it")]
    Others,
    #[error("the builder has stopped")]
    Stopped,
}

/// The numbers of every record that lists one.
struct Numbers {
    keyring: Arc<Keyring>,
    rows: Vec<([u8; 32], Record)>,
    lost: u64,
}

impl NumberReader for Numbers {
    fn take(&mut self, record: RecordId, sealed_digest: &[u8], listed: Record) -> bool {
        match self.keyring.open_digest(record, sealed_digest) {
            Ok(digest) => self.rows.push((*digest.expose(), listed)),
            Err(_) => self.lost += 1,
        }
        true
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        for (digest, _) in &mut self.rows {
            digest.zeroize();
        }
    }
}

impl Blind {
    /// Builds the base of a key and makes it known.
    pub(super) async fn build(&self, key: Arc<BlindKey>) -> Result<StoredBase, BuildError> {
        let (store, epoch) = (&self.writer.store, key.epoch());
        let node = self.writer.registry.node();
        let built = async {
            let mut numbers = Numbers { keyring: Arc::clone(&self.writer.keyring), rows: Vec::new(), lost: 0 };
            let at = store.read_numbers(&mut numbers).await?;
            if numbers.lost > 0 {
                return Err(BuildError::DigestsLost(numbers.lost));
            }
            let sequence = at.head;
            let (sender, receiver) = oneshot::channel();
            let work = move || {
                let _ = sender.send(evaluate_all(&key, numbers, sequence.get()));
                crate::wiping::wipe_stack();
            };
            std::thread::Builder::new().name("blind-base".to_owned()).spawn(work).map_err(|_| BuildError::Stopped)?;
            let base = receiver.await.map_err(|_| BuildError::Stopped)??;
            for (place, piece) in (0..).zip(base.bytes.chunks(PIECE_BYTES)) {
                store.put_base_piece(epoch, place, piece).await?;
            }
            let stored = StoredBase { sequence, bytes: base.bytes.len() as u64, manifest: base.manifest };
            let mut tx = store.begin().await?;
            if !tx.finish_base(epoch, &stored).await? {
                return Err(BuildError::Others);
            }
            tx.commit_unlisted().await?;
            self.note_base(epoch, &Arc::new(base.bytes));
            Ok(stored)
        };
        tokio::pin!(built);
        let mut ticks = interval(CLAIM_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                built = &mut built => return built,
                _ = ticks.tick() => {
                    if !store.claim_base(epoch, node, self.writer.clock.now_ms()).await? {
                        return Err(BuildError::Others);
                    }
                }
            }
        }
    }

    /// The bytes of a base that another node has built, or this one before its start.
    pub(super) async fn fetch_base(&self, epoch: u32, base: &StoredBase) -> Result<Arc<Vec<u8>>, StoreError> {
        let mut bytes = Vec::with_capacity(usize::try_from(base.bytes).unwrap_or(0));
        for place in 0.. {
            match self.writer.store.base_piece(epoch, place).await? {
                Some(piece) if (bytes.len() as u64) < base.bytes => bytes.extend_from_slice(&piece),
                _ => break,
            }
        }
        let index = BaseIndex::length(&bytes).unwrap_or(0);
        let is_it = bytes.len() as u64 == base.bytes
            && bytes.get(..index).is_some_and(|index| Sha256::digest(index).as_slice() == base.manifest);
        if !is_it {
            return Err(StoreError::Corrupt("blind_pieces"));
        }
        let bytes = Arc::new(bytes);
        self.note_base(epoch, &bytes);
        Ok(bytes)
    }
}

/// Evaluates each number once, on all cores, behind everything else that the machine has to do.
fn evaluate_all(key: &BlindKey, mut numbers: Numbers, sequence: u64) -> Result<Base, BuildError> {
    numbers.rows.sort_unstable_by_key(|(digest, _)| *digest);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut pieces = vec![numbers.rows.as_slice()];
    // Halves, and halves of halves, between two numbers.
    while pieces.len() < cores {
        pieces = pieces.into_iter().flat_map(halves).collect();
    }
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = pieces
            .into_iter()
            .map(|rows| {
                scope.spawn(move || {
                    yield_to_others();
                    let done = evaluate(key, rows, sequence);
                    crate::wiping::wipe_stack();
                    done
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| BuildError::Stopped).flatten());
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let mut builder = BaseBuilder::new(sequence);
    done.into_iter().flatten().for_each(|item| builder.push(item));
    Ok(builder.finish()?)
}

fn halves(rows: &[([u8; 32], Record)]) -> [&[([u8; 32], Record)]; 2] {
    let middle = rows.get(rows.len() / 2).map_or(0, |(digest, _)| rows.partition_point(|(other, _)| other < digest));
    let (one, other) = rows.split_at(middle);
    [one, other]
}

fn evaluate(key: &BlindKey, rows: &[([u8; 32], Record)], sequence: u64) -> Result<Vec<BaseItem>, BuildError> {
    let mut items = Vec::with_capacity(rows.len());
    for of_number in rows.chunk_by(|(one, _), (next, _)| one == next) {
        let records = of_number.iter().map(|(_, record)| *record);
        if let (Some((digest, _)), Some(listing)) = (of_number.first(), Listing::from_records(records)) {
            let evaluated = key.evaluate(&IdDigest::from_bytes(*digest))?;
            items.push(BaseItem::of(&evaluated, BlindStatus::of(Some(&listing)), sequence));
        }
    }
    Ok(items)
}

/// The calling thread has the lowest priority from here on.
fn yield_to_others() {
    // It costs nothing but time where the system refuses.
    let _ = rustix::process::nice(19);
}
