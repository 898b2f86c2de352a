//! The log as an auditor reads it: a checkpoint that a published key has signed, and every entry below it, so that nothing is taken on
//! the service's word. What was read before lies in a folder, if one is given.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cli::check::session::{Reply, Session};
use crate::crypto::blind::entry::{ENTRY_BYTES, ENTRY_KIND};
use crate::crypto::blind::judging::Tagged;
use crate::crypto::signing::PublicKey;
use crate::crypto::tlog::note::SignatureType;
use crate::crypto::tlog::tile::{Level, TileName, WIDTH, entries};
use crate::crypto::tlog::tree::{leaf_hash, root};
use crate::crypto::tlog::{Checkpoint, Hash, Note, VerifierKey};
use crate::domain::registry_log::HashedEntry;
use crate::own_files;

/// The service did not answer as a log does: perhaps later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unread(pub(super) String);

fn unread(why: impl Into<String>) -> anyhow::Error {
    Unread(why.into()).into()
}

/// A log with all its entries, whose root is that of its checkpoint.
pub(super) struct Log {
    pub(super) note: String,
    checkpoint: Checkpoint,
    epoch: u32,
    entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
}

impl Log {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Whether its first leaves are those of an older checkpoint. A tree of more leaves than it has is none of its beginnings.
    pub(super) fn begins_with(&self, size: u64, wanted: &Hash) -> bool {
        let size = usize::try_from(size).ok();
        size.and_then(|size| self.leaves.get(..size)).is_some_and(|first| root(first) == *wanted)
    }

    /// Whether an entry is where the log has its key: first, or behind the end of the log before it.
    pub(super) fn begins_by(&self, entry: &[u8]) -> bool {
        self.entries.iter().take(2).any(|one| one == entry)
    }

    /// The first leaf that names a base.
    pub(super) fn first_base(&self) -> Option<&[u8]> {
        let is_base = |entry: &&Vec<u8>| entry.first() == Some(&(HashedEntry::Base as u8));
        self.entries.iter().find(is_base).map(Vec::as_slice)
    }

    /// The sequence at which it began, where its first leaf commits to that: it follows another.
    pub(super) fn successor(&self) -> Option<u64> {
        let (kind, rest) = self.entries.first()?.split_first()?;
        let (s0, _) = rest.split_first_chunk::<8>().filter(|_| *kind == 6)?;
        Some(u64::from_be_bytes(*s0))
    }

    /// Whether its first leaf commits to the end of another.
    pub(super) fn follows(&self, before: &Self) -> bool {
        let first = self.entries.first().map(Vec::as_slice).unwrap_or_default();
        self.successor().is_some() && first.get(9..) == Some(Sha256::digest(before.note.as_bytes()).as_slice())
    }

    /// The entries with a tag among the first `count` leaves.
    pub(super) fn tagged(&self, tag: &[u8; 16], count: u64) -> Vec<Tagged> {
        let entries = (0..count).zip(&self.entries);
        let own = entries.filter_map(|(index, entry)| {
            let entry: [u8; ENTRY_BYTES] = entry.as_slice().try_into().ok()?;
            (entry[0] == ENTRY_KIND && entry[1..17] == *tag).then_some((index, entry))
        });
        own.collect()
    }

    /// All entries as bundles hold them, one after the other.
    pub(super) fn bundle(&self) -> Vec<u8> {
        let mut bundle = Vec::new();
        for entry in &self.entries {
            // Each came out of a bundle.
            let _ = crate::crypto::tlog::tile::push_entry(&mut bundle, entry);
        }
        bundle
    }
}

/// Reads logs.
pub(super) struct LogReader<'a> {
    pub(super) session: Session,
    pub(super) keys: &'a [PublicKey],
    pub(super) kept: Option<&'a Path>,
}

impl LogReader<'_> {
    /// A checkpoint that one of the published keys has signed.
    pub(super) fn verify(&self, note: &str) -> Option<Checkpoint> {
        let parsed = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(parsed.text())?;
        let key = |public: &PublicKey| VerifierKey::new(&checkpoint.origin, SignatureType::Ed25519, public.clone());
        let is_signed = self.keys.iter().filter_map(key).any(|key| parsed.signed_by(&key).is_ok());
        is_signed.then_some(checkpoint)
    }

    /// The log of a checkpoint, from its entries.
    pub(super) async fn read(&mut self, note: &str) -> anyhow::Result<Log> {
        let checkpoint = self.verify(note).ok_or_else(|| unread("no published key has signed the checkpoint"))?;
        let epoch = checkpoint.origin.rsplit('/').next().and_then(|epoch| epoch.parse().ok());
        let epoch: u32 = epoch.ok_or_else(|| unread("the checkpoint is not of a registry log"))?;
        // What was kept may be of another history: then everything is read again.
        for may_be_kept in [self.kept.is_some(), false] {
            let entries = self.entries(epoch, checkpoint.size, may_be_kept).await?;
            let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            if root(&leaves) == checkpoint.root {
                return Ok(Log { note: note.to_owned(), checkpoint, epoch, entries, leaves });
            }
        }
        Err(unread("the entries that are served are not those of the checkpoint"))
    }

    /// The log before another, to its end.
    pub(super) async fn read_before(&mut self, log: &Log) -> anyhow::Result<Log> {
        let mut epoch = log.epoch;
        while epoch > 1 {
            epoch -= 1;
            let note = self.get(&format!("/registry-log/{epoch}/checkpoint")).await?;
            if let Some(note) = note.and_then(|note| String::from_utf8(note).ok()) {
                return self.read(&note).await;
            }
        }
        Err(unread("the log before it is not served"))
    }

    async fn entries(&mut self, epoch: u32, size: u64, may_be_kept: bool) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        for index in 0..size.div_ceil(WIDTH) {
            let name = TileName { level: Level::Entries, index, width: WIDTH.min(size - index * WIDTH) };
            let kept = self.kept.map(|folder| folder.join(format!("{epoch}-entries-{index}")));
            let of_before = kept.as_ref().filter(|_| may_be_kept && name.width == WIDTH);
            let of_before = of_before.and_then(|path| own_files::read_named(path).ok());
            let bundle = if let Some(bundle) = of_before {
                bundle
            } else {
                let path = format!("/registry-log/{epoch}/tile/{name}");
                let bundle = self.get(&path).await?.ok_or_else(|| unread("a bundle of the log is missing"))?;
                if let Some(path) = kept.filter(|_| name.width == WIDTH) {
                    own_files::replace(&path, &bundle)?;
                }
                bundle
            };
            let all = entries(&bundle).filter(|all| all.len() as u64 == name.width);
            found.extend(all.ok_or_else(|| unread("a bundle is none"))?.into_iter().map(<[u8]>::to_vec));
        }
        Ok(found)
    }

    /// The checkpoint that was kept of a log, if it is not newer than what the log shows now.
    pub(super) fn seen(&self, log: &Log) -> anyhow::Result<Option<String>> {
        let Some(folder) = self.kept else { return Ok(None) };
        own_files::create_folder(folder)?;
        let path = folder.join(format!("{}-checkpoint", log.epoch));
        if !path.exists() {
            return Ok(None);
        }
        let note = own_files::read_text(&path)?;
        let is_older = self
            .verify(&note)
            .is_some_and(|seen| seen.origin == log.checkpoint.origin && seen.size <= log.checkpoint.size);
        Ok(is_older.then_some(note))
    }

    /// Keeps the checkpoint for the next time.
    pub(super) fn keep(&self, log: &Log, note: &str) -> anyhow::Result<()> {
        let Some(folder) = self.kept else { return Ok(()) };
        let path = folder.join(format!("{}-checkpoint", log.epoch));
        // A history that was seen first stays: another one must not take its place.
        let is_other = self
            .seen(log)?
            .and_then(|seen| self.verify(&seen))
            .is_some_and(|seen| !log.begins_with(seen.size, &seen.root));
        if is_other { Ok(()) } else { Ok(own_files::replace(&path, note.as_bytes())?) }
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.session.get(path).await.map_err(|error| unread(format!("{error:#}")))? {
            Reply::Body(body) => Ok(Some(body)),
            Reply::Missing => Ok(None),
            reply => Err(unread(reply.said())),
        }
    }
}
