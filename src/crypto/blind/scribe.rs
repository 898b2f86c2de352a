//! Makes the entries of a transaction's rows of the feed. The store hands over what it has, sealed digests and listings, and gets
//! leaves back: no digest leaves this layer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use zeroize::Zeroizing;

use super::entry::{BlindEntry, BlindStatus};
use super::key::{BlindKey, BlindKeyError, Evaluated};
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::keyring::Keyring;
use crate::crypto::pepper::KeyVersions;
use crate::domain::ids::RecordId;
use crate::domain::registry_log::{Entry, Leaf};
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Listing;
use crate::wiping::spawn_wiped;

const SEED_LABEL: &[u8] = b"lostcard:blind-seed:v1:";
/// Evaluations that are made where they are asked for: each takes about 50 us.
const AT_ONCE_MAX: usize = 2;
/// Evaluations of one task.
const TASK_ROWS: usize = 256;

/// By which blind keys entries are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlindVersions {
    /// Of the leaf.
    pub current: u32,
    /// Of what lies beside it, while two keys live.
    pub previous: Option<u32>,
    /// Listings get no entries of their own: an import that does not wait for them.
    pub is_behind: bool,
}

impl BlindVersions {
    /// Both, the newer first.
    pub fn all(self) -> impl Iterator<Item = u32> {
        std::iter::once(self.current).chain(self.previous)
    }
}

/// A row of the feed whose leaf is due.
#[derive(Debug)]
pub struct DueRow {
    pub sequence: Sequence,
    pub what: DueEntry,
}

/// What a row is about.
#[derive(Debug)]
pub enum DueEntry {
    /// It lists nobody.
    Nobody,
    /// A number, by a record of it, and what is listed of it from here on.
    Number { record: RecordId, sealed: Vec<u8>, ahead: Option<Ahead>, listing: Option<Listing> },
}

/// A number, evaluated under every key that is known, before the turn of the writer who needs it: it takes longer than a row's way
/// into the store.
#[derive(Debug, Clone)]
pub struct Ahead(Arc<[(u32, Evaluated)]>);

impl Ahead {
    /// None where nobody checks blindly.
    pub fn of(keyring: &Keyring, digest: &IdDigest) -> Option<Self> {
        let keys = keyring.blind().all();
        let evaluated = keys.iter().map(|key| Ok::<_, BlindKeyError>((key.epoch(), key.evaluate(digest)?)));
        // What cannot be evaluated now fails where it is needed.
        let evaluated = evaluated.collect::<Result<Vec<_>, _>>().ok()?;
        (!evaluated.is_empty()).then(|| Self(evaluated.into()))
    }

    fn under(&self, epoch: u32) -> Option<&Evaluated> {
        self.0.iter().find(|(of, _)| *of == epoch).map(|(_, evaluated)| evaluated)
    }

    fn is_under_all(&self, keys: &[Arc<BlindKey>]) -> bool {
        keys.iter().all(|key| self.under(key.epoch()).is_some())
    }
}

/// Makes entries, with the keys of a keyring.
#[derive(Clone)]
pub struct Scribe(Arc<Keyring>);

impl fmt::Debug for Scribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scribe(redacted)")
    }
}

impl Scribe {
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self(keyring)
    }

    /// Whether it has the key of an epoch.
    pub fn knows(&self, epoch: u32) -> bool {
        self.0.blind().get(epoch).is_some()
    }

    /// Takes up a key that another node has made.
    pub fn learn(&self, epoch: u32, sealed_seed: &[u8]) -> Result<(), BlindKeyError> {
        self.0.learn_blind(epoch, sealed_seed)
    }

    /// Every key under which there may be records of the number that a record holds; none where its digest does not open.
    pub fn lookup_keys(&self, versions: KeyVersions, record: RecordId, sealed_digest: &[u8]) -> Option<Vec<LookupKey>> {
        let digest = self.0.open_digest(record, sealed_digest).ok()?;
        Some(self.0.peppers(versions).ok()?.lookup_keys(&digest).collect())
    }

    /// The leaves of rows, in their order. Who has more than a few of them does not wait on its own thread.
    pub async fn leaves(&self, versions: BlindVersions, rows: Vec<DueRow>) -> Result<Leaves, BlindKeyError> {
        let keys = versions.all().map(|epoch| self.0.blind().get(epoch).ok_or(BlindKeyError));
        let desk = Desk {
            keyring: Arc::clone(&self.0),
            keys: keys.collect::<Result<_, _>>()?,
            is_behind: versions.is_behind,
            lacks: AtomicBool::new(false),
        };
        let is_long = |row: &&DueRow| match &row.what {
            DueEntry::Nobody => false,
            DueEntry::Number { ahead, .. } => !ahead.as_ref().is_some_and(|ahead| ahead.is_under_all(&desk.keys)),
        };
        if rows.iter().filter(is_long).count() <= AT_ONCE_MAX && rows.len() <= TASK_ROWS {
            let leaves = rows.into_iter().map(|row| desk.leaf(row)).collect::<Result<_, _>>()?;
            return Ok(Leaves { leaves, lacks: desk.lacks.into_inner() });
        }
        let desk = Arc::new(desk);
        let (mut rows, mut tasks) = (rows.into_iter().peekable(), Vec::new());
        while rows.peek().is_some() {
            let (desk, some) = (Arc::clone(&desk), rows.by_ref().take(TASK_ROWS).collect::<Vec<_>>());
            tasks.push(spawn_wiped(move || some.into_iter().map(|row| desk.leaf(row)).collect::<Result<Vec<_>, _>>()));
        }
        let done = join_all(tasks).await.into_iter().map(|task| task.map_err(|_| BlindKeyError).flatten());
        let leaves = done.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Leaves { leaves, lacks: desk.lacks.load(Ordering::Relaxed) })
    }
}

/// The leaves of rows.
#[derive(Debug)]
pub struct Leaves {
    pub leaves: Vec<Leaf>,
    /// Whether one has a decoy in the place of what it should say, for the number's sealed digest does not open.
    pub lacks: bool,
}

/// What entries of one transaction are made with.
struct Desk {
    keyring: Arc<Keyring>,
    keys: Vec<Arc<BlindKey>>,
    is_behind: bool,
    lacks: AtomicBool,
}

impl Desk {
    fn leaf(&self, row: DueRow) -> Result<Leaf, BlindKeyError> {
        let DueRow { sequence, what } = row;
        let entry = |entry: &BlindEntry| Entry::listing(*entry.as_bytes()).ok_or(BlindKeyError);
        let of_keys = |make: &dyn Fn(&BlindKey) -> Result<BlindEntry, BlindKeyError>| {
            let mut made = self.keys.iter().map(|key| make(key));
            let newer = made.next().ok_or(BlindKeyError)??;
            let older = made.next().transpose()?.map(|older| *older.as_bytes());
            Ok(Leaf { entry: entry(&newer)?, older })
        };
        let decoy = || of_keys(&|key| Ok(BlindEntry::decoy(key, sequence.get())));
        match what {
            DueEntry::Nobody => decoy(),
            DueEntry::Number { .. } if self.is_behind => decoy(),
            DueEntry::Number { ahead: Some(ahead), listing, .. } if ahead.is_under_all(&self.keys) => {
                let status = BlindStatus::of(listing.as_ref());
                of_keys(&|key| {
                    let evaluated = ahead.under(key.epoch()).ok_or(BlindKeyError)?;
                    Ok(BlindEntry::of(evaluated, status, sequence.get()))
                })
            }
            DueEntry::Number { record, sealed, listing, .. } => {
                let Ok(digest) = self.keyring.open_digest(record, &sealed) else {
                    tracing::error!(
                        "a change has no blind entry, for the number's sealed digest does not open: nobody checks blindly from here on"
                    );
                    self.lacks.store(true, Ordering::Relaxed);
                    return decoy();
                };
                let status = BlindStatus::of(listing.as_ref());
                of_keys(&|key| Ok(BlindEntry::of(&evaluate(key, &digest)?, status, sequence.get())))
            }
        }
    }
}

fn evaluate(key: &BlindKey, digest: &IdDigest) -> Result<Evaluated, BlindKeyError> {
    key.evaluate(digest)
}

impl Keyring {
    /// A seed, sealed for the store.
    pub fn seal_blind_seed(&self, epoch: u32, seed: &[u8; 32]) -> Result<Vec<u8>, BlindKeyError> {
        self.sealer().seal(&seed_context(epoch), seed).map_err(|_| BlindKeyError)
    }

    /// Takes up a key from its sealed seed.
    pub fn learn_blind(&self, epoch: u32, sealed_seed: &[u8]) -> Result<(), BlindKeyError> {
        self.blind().take(self.open_blind(epoch, sealed_seed)?);
        Ok(())
    }

    /// A key from its sealed seed, for one use: of an audit after it was over.
    pub fn open_blind(&self, epoch: u32, sealed_seed: &[u8]) -> Result<BlindKey, BlindKeyError> {
        let plain = self.sealer().open(&seed_context(epoch), sealed_seed).map(Zeroizing::new);
        let plain = plain.map_err(|_| BlindKeyError)?;
        let seed = Zeroizing::new(plain.as_slice().try_into().map_err(|_| BlindKeyError)?);
        BlindKey::derive(epoch, &seed)
    }
}

fn seed_context(epoch: u32) -> Vec<u8> {
    [SEED_LABEL, &epoch.to_be_bytes()].concat()
}
