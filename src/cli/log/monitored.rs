//! A registry log as a monitor reads it, without a token: checkpoints that a given key has signed, and tiles, which are not believed
//! unless they give a signed root.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::crypto::signing::PublicKey;
use crate::crypto::tlog::note::SignatureType;
use crate::crypto::tlog::proof::{Subtree, hashes, whole_consistency};
use crate::crypto::tlog::tile::{self, Level, Place, TileName, WIDTH};
use crate::crypto::tlog::tree::{empty_root, leaf_hash, old_root_in};
use crate::crypto::tlog::{Checkpoint, Hash, Note, VerifierKey};
use crate::domain::registry_log::Entry;
use crate::domain::sequence::Sequence;
use crate::own_files;

/// What the answer with a checkpoint says of where the log began.
const BEGIN: &str = "registry-log-begin";
/// Longer than any cache may keep a checkpoint.
const CACHED_MAX: Duration = Duration::from_secs(2);
/// The most bytes of an answer: a tile has 8,192, a note a few hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A checkpoint that was verified, and its note.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) note: String,
    pub(super) checkpoint: Checkpoint,
    /// The sequence at which its log began, as the service says.
    begin: Option<u64>,
}

/// What became of the log since.
pub(super) enum Look {
    Same,
    Grown,
    /// Another epoch has begun; so many changes before it are in no log.
    Successor {
        gap: u64,
    },
    /// A node that is behind, or an old copy: what it shows is a beginning of what was seen.
    Older,
    Forked(Box<Fork>),
    /// A note whose tiles are wrong: nothing is known by it.
    Unproven(String),
}

/// Two notes that contradict each other.
pub(super) struct Fork {
    pub(super) notes: [Seen; 2],
    /// What shows that the larger tree has another beginning (RFC 9162, 2.1.4.2, with the first node always); empty where the notes alone do.
    proof: Vec<Hash>,
}

impl Fork {
    /// Both notes, and the hashes of the proof, each in a line.
    pub(super) fn text(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        format!("{}\n{}\n{proof}", self.notes[0].note, self.notes[1].note)
    }
}

/// Whether a tree continues another.
enum Continued {
    Is,
    /// Its beginning is another one; by these hashes.
    Other(Vec<Hash>),
    Unproven,
}

/// The log did not answer as a log does: perhaps later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unread(pub(super) String);

/// A log, and by which keys it is believed.
pub(super) struct Log {
    pub(super) client: reqwest::Client,
    pub(super) url: String,
    pub(super) keys: Vec<VerifierKey>,
}

impl Log {
    /// A key is given for one epoch and holds for all of its log: only the last part of the name differs.
    fn verify(&self, note: &str) -> Option<Seen> {
        let parsed = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(parsed.text())?;
        let log_of = |origin: &str| origin.rsplit_once('/').map(|(log, _)| log.to_owned());
        let of_log = self.keys.iter().filter(|key| log_of(key.name()) == log_of(&checkpoint.origin));
        let mut publics = of_log.map(|key| PublicKey::clone(key.public()));
        let is_signed = publics.any(|public| {
            let key = VerifierKey::new(&checkpoint.origin, SignatureType::Ed25519, public);
            key.is_some_and(|key| parsed.signed_by(&key).is_ok())
        });
        is_signed.then(|| Seen { note: note.to_owned(), checkpoint, begin: None })
    }

    pub(super) fn read_state(&self, path: &Path) -> anyhow::Result<Seen> {
        let note = own_files::read_text(path).with_context(|| path.display().to_string())?;
        self.verify(&note).with_context(|| format!("{}: no checkpoint of this log by a given key", path.display()))
    }

    pub(super) async fn checkpoint(&self, path: &str) -> anyhow::Result<Seen> {
        let (bytes, begin) = self.get(path).await?.unzip();
        let note = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let seen = note.and_then(|note| self.verify(&note)).map(|seen| Seen { begin: begin.flatten(), ..seen });
        seen.ok_or_else(|| Unread("there is no checkpoint that a given key has signed".to_owned()).into())
    }

    pub(super) async fn compare(&self, old: &Seen, new: &Seen) -> anyhow::Result<Look> {
        let (older, newer) = (&old.checkpoint, &new.checkpoint);
        if older.origin != newer.origin {
            let (old_epoch, new_epoch) = (epoch_of(&older.origin)?, epoch_of(&newer.origin)?);
            if new_epoch < old_epoch {
                return Ok(Look::Older);
            }
            let path = format!("{old_epoch}/checkpoint");
            let mut last = self.checkpoint(&path).await?;
            if last.checkpoint.size < older.size {
                // What a cache kept from before the end.
                tokio::time::sleep(CACHED_MAX).await;
                last = self.checkpoint(&path).await?;
            }
            if last.checkpoint.origin != older.origin || last.checkpoint.size < older.size {
                return Ok(forked(old, &last, Vec::new()));
            }
            return Ok(match self.continued(older, &last.checkpoint).await? {
                Continued::Other(proof) => forked(old, &last, proof),
                Continued::Unproven => Look::Unproven(last.note),
                Continued::Is => self.linked(old_epoch, new_epoch).await?,
            });
        }
        let is_back = newer.size < older.size;
        let continued =
            if is_back { self.continued(newer, older).await? } else { self.continued(older, newer).await? };
        Ok(match continued {
            Continued::Other(proof) => forked(old, new, proof),
            Continued::Unproven => Look::Unproven(new.note.clone()),
            Continued::Is if is_back => Look::Older,
            Continued::Is if older == newer => Look::Same,
            Continued::Is => Look::Grown,
        })
    }

    /// Whether the log before the one of a checkpoint still ends as that one commits to; none where it does, or where there is none.
    pub(super) async fn looked_back(&self, new: &Seen) -> anyhow::Result<Option<Look>> {
        let epoch = epoch_of(&new.checkpoint.origin)?;
        let before = if epoch > 1 { self.epochs().await?.range(..epoch).next_back().copied() } else { None };
        let Some(before) = before else { return Ok(None) };
        Ok(Some(self.linked(before, epoch).await?).filter(|look| !matches!(look, Look::Successor { .. })))
    }

    /// Whether each log from one epoch to another commits to the last note of the one before.
    async fn linked(&self, from: u32, to: u32) -> anyhow::Result<Look> {
        let look = self.linked_now(from, to).await?;
        if matches!(look, Look::Successor { .. }) {
            return Ok(look);
        }
        // What a cache kept from before the end is none of its last notes.
        tokio::time::sleep(CACHED_MAX).await;
        self.linked_now(from, to).await
    }

    /// Which epochs there were the service says: one that it leaves out breaks the chain.
    async fn linked_now(&self, from: u32, to: u32) -> anyhow::Result<Look> {
        let mut epochs: BTreeSet<u32> = self.epochs().await?.range(from + 1..to).copied().collect();
        epochs.insert(to);
        let (mut before, mut gap) = (self.checkpoint(&format!("{from}/checkpoint")).await?, 0);
        for epoch in epochs {
            let next = self.checkpoint(&format!("{epoch}/checkpoint")).await?;
            let begin = next.begin.ok_or_else(|| Unread(format!("log {epoch} does not say where it began")))?;
            let leaf = Entry::successor(Sequence::new(begin), Sha256::digest(before.note.as_bytes()).into());
            // A tree of the one leaf that must be its first.
            let root = leaf_hash(leaf.as_bytes());
            let first = Checkpoint { size: 1, root, ..next.checkpoint.clone() };
            if epoch_of(&next.checkpoint.origin)? != epoch {
                return Ok(forked(&before, &next, Vec::new()));
            }
            match self.continued(&first, &next.checkpoint).await? {
                Continued::Is => {}
                Continued::Unproven => return Ok(Look::Unproven(next.note)),
                Continued::Other(proof) => return Ok(forked(&before, &next, proof)),
            }
            let end = before.begin.map(|begin| begin.saturating_add(before.checkpoint.size));
            gap += end.map_or(0, |end| begin.saturating_sub(end));
            before = next;
        }
        Ok(Look::Successor { gap })
    }

    async fn epochs(&self) -> anyhow::Result<BTreeSet<u32>> {
        let (text, _) = self.get("keys").await?.unzip();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        Ok(text.lines().filter_map(VerifierKey::parse).filter_map(|key| epoch_of(key.name()).ok()).collect())
    }

    /// Whether one tree is the beginning of another. Tiles are not believed: where they do not give the root of the larger tree they are
    /// wrong, perhaps on the way, and show nothing; where they give it, they show what its beginning is.
    async fn continued(&self, old: &Checkpoint, new: &Checkpoint) -> anyhow::Result<Continued> {
        if old.size == new.size || old.size == 0 {
            let wanted = if old.size == 0 { empty_root() } else { new.root };
            return Ok(if old.root == wanted { Continued::Is } else { Continued::Other(Vec::new()) });
        }
        let (ranges, epoch) = (whole_consistency(old.size, new.size), epoch_of(&new.origin)?);
        let mut tiles = HashMap::new();
        for place in ranges.iter().flat_map(|range| range.subtrees()).map(Place::of) {
            if let std::collections::hash_map::Entry::Vacant(free) = tiles.entry((place.level, place.index)) {
                free.insert(self.tile(epoch, place, new.size).await?);
            }
        }
        let read = |subtree: Subtree| {
            let place = Place::of(subtree);
            place.read(tiles.get(&(place.level, place.index))?)
        };
        let proof = hashes(&ranges, read).ok_or_else(|| Unread("a tile is too short".to_owned()))?;
        Ok(match old_root_in(old.size, new.size, &new.root, &proof) {
            None => Continued::Unproven,
            Some(root) if root == old.root => Continued::Is,
            Some(_) => Continued::Other(proof),
        })
    }

    /// A tile as it was in a tree of that size, or as it is by now.
    async fn tile(&self, epoch: u32, place: Place, size: u64) -> anyhow::Result<Vec<Hash>> {
        let there = size.checked_shr(8 * u32::from(place.level)).unwrap_or(0).saturating_sub(place.index * WIDTH);
        let full = TileName { level: Level::Hashes(place.level), index: place.index, width: WIDTH };
        let then = TileName { width: there.min(WIDTH), ..full };
        for name in [then, full] {
            if let Some((bytes, _)) = self.get(&format!("{epoch}/tile/{name}")).await? {
                return tile::hashes(&bytes).ok_or_else(|| Unread(format!("tile {name} is none")).into());
            }
        }
        Err(Unread(format!("tile {then} is missing")).into())
    }

    /// The bytes, and where the log began if the answer says so. None: it is not there.
    async fn get(&self, path: &str) -> anyhow::Result<Option<(Vec<u8>, Option<u64>)>> {
        let unread = |error: reqwest::Error| Unread(error.without_url().to_string());
        let mut answer = self.client.get(format!("{}/registry-log/{path}", self.url)).send().await.map_err(unread)?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => return Err(Unread(format!("{path}: the answer is {status}")).into()),
        }
        let begin = answer.headers().get(BEGIN).and_then(|begin| begin.to_str().ok()?.parse().ok());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unread)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Unread(format!("{path}: the answer is too long")).into());
            }
        }
        Ok(Some((bytes, begin)))
    }
}

fn forked(before: &Seen, after: &Seen, proof: Vec<Hash>) -> Look {
    Look::Forked(Box::new(Fork { notes: [before.clone(), after.clone()], proof }))
}

fn epoch_of(origin: &str) -> anyhow::Result<u32> {
    let Some(epoch) = origin.rsplit('/').next().and_then(|epoch| epoch.parse().ok()) else {
        bail!("{origin}: not the name of a registry log");
    };
    Ok(epoch)
}
