//! The log as an auditor reads it: a checkpoint that a published key has signed, and every entry below it, so that nothing is taken on
//! the service's word. What was read before lies in a folder, if one is given.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::cli::check::session::{Reply, Session};
use crate::crypto::blind::entry::{ENTRY_BYTES, ENTRY_KIND};
use crate::crypto::blind::judging::Tagged;
use crate::crypto::signing::PublicKey;
use crate::crypto::tlog::note::SignatureType;
use crate::crypto::tlog::tile::{Level, TileName, WIDTH, entries};
use crate::crypto::tlog::tree::{leaf_hash, root};
use crate::crypto::tlog::{Checkpoint, Hash, Note, VerifierKey};
use crate::domain::registry_log::{Entry, HashedEntry, LogEpoch, epoch_of};
use crate::own_files;

/// How often one answer is asked for again because the client's limit is spent, and how long it is waited at most.
const PATIENCE: u32 = 8;
const WAIT_MAX: Duration = Duration::from_mins(1);

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
    /// Bundles that the service sent, by where they are kept.
    sent: Vec<(PathBuf, Vec<u8>)>,
}

impl Log {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whether its first leaves are those of an older checkpoint. A tree of more leaves than it has is none of its beginnings.
    pub(super) fn begins_with(&self, size: u64, wanted: &Hash) -> bool {
        let size = usize::try_from(size).ok();
        size.and_then(|size| self.leaves.get(..size)).is_some_and(|first| root(first) == *wanted)
    }

    /// The entry where the log has its key: first, or behind the end of the log before it. Another one is none of the log's.
    pub(super) fn key_entry(&self) -> Option<&[u8]> {
        self.entries.get(usize::from(self.successor().is_some())).map(Vec::as_slice)
    }

    /// The first leaf that names a base, and its place.
    pub(super) fn first_base(&self) -> Option<(u64, &[u8])> {
        let is_base = |entry: &&Vec<u8>| entry.first() == Some(&(HashedEntry::Base as u8));
        (0..).zip(&self.entries).find(|(_, entry)| is_base(entry)).map(|(index, entry)| (index, entry.as_slice()))
    }

    /// Whether it has the hash of published keys; none where it has no such leaf at all, as logs of versions before this one.
    pub(super) fn has_keys(&self, digest: [u8; 32]) -> Option<bool> {
        let wanted = Entry::hash(HashedEntry::PublishedKeys, digest);
        let of_keys = |entry: &&Vec<u8>| entry.first() == Some(&(HashedEntry::PublishedKeys as u8));
        let mut all = self.entries.iter().filter(of_keys).peekable();
        all.peek()?;
        Some(all.any(|entry| entry == wanted.as_bytes()))
    }

    /// The sequence at which it began, where its first leaf commits to that: it follows another.
    pub(super) fn successor(&self) -> Option<u64> {
        let (kind, rest) = self.entries.first()?.split_first()?;
        let (s0, _) = rest.split_first_chunk::<8>().filter(|_| *kind == 6)?;
        Some(u64::from_be_bytes(*s0))
    }

    /// Whether its first leaf commits to a note, the last one of another.
    pub(super) fn follows(&self, note: &str) -> bool {
        let first = self.entries.first().map(Vec::as_slice).unwrap_or_default();
        self.successor().is_some() && first.get(9..) == Some(Sha256::digest(note.as_bytes()).as_slice())
    }

    /// All entries with a tag.
    pub(super) fn tagged(&self, tag: &[u8; 16]) -> Vec<Tagged> {
        let entries = (0..).zip(&self.entries);
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
        let epoch = epoch_of(&checkpoint.origin).map(|(_, epoch)| epoch.get());
        let epoch = epoch.ok_or_else(|| unread("the checkpoint is not of a registry log"))?;
        // What was kept may be of another history: then everything is read again.
        for may_be_kept in [self.kept.is_some(), false] {
            let (entries, sent) = self.entries(epoch, checkpoint.size, may_be_kept).await?;
            let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            if root(&leaves) == checkpoint.root {
                return Ok(Log { note: note.to_owned(), checkpoint, epoch, entries, leaves, sent });
            }
        }
        Err(unread("the entries that are served are not those of the checkpoint"))
    }

    /// The log before another, to its end; with `is_next`, the one behind it. Which there are the service says: one that it leaves out is
    /// missing in what they commit to.
    pub(super) async fn read_beside(&mut self, log: &Log, is_next: bool) -> anyhow::Result<Option<Log>> {
        let keys = self.get("/registry-log/keys").await?.unwrap_or_default();
        let keys = String::from_utf8(keys).unwrap_or_default();
        let named = keys.lines().filter_map(VerifierKey::parse);
        let epochs: BTreeSet<LogEpoch> = named.filter_map(|key| epoch_of(key.name()).map(|(_, epoch)| epoch)).collect();
        let own = LogEpoch::new(log.epoch);
        let beside = if is_next {
            epochs.into_iter().find(|epoch| *epoch > own)
        } else {
            epochs.range(..own).next_back().copied()
        };
        let Some(epoch) = beside else { return Ok(None) };
        let note = self.get(&format!("/registry-log/{epoch}/checkpoint")).await?;
        let note = note.and_then(|note| String::from_utf8(note).ok());
        let note = note.ok_or_else(|| unread("a log that the service names is not served"))?;
        self.read(&note).await.map(Some)
    }

    /// The note of a log as anybody is served it, if it is of the same tree: one that more witnesses have cosigned is another text.
    pub(super) async fn end_of(&mut self, log: &Log) -> anyhow::Result<Option<String>> {
        let note = self.get(&format!("/registry-log/{}/checkpoint", log.epoch)).await?;
        let note = note.and_then(|note| String::from_utf8(note).ok());
        Ok(note.filter(|note| self.verify(note).as_ref() == Some(&log.checkpoint)))
    }

    async fn entries(&mut self, epoch: u32, size: u64, may_be_kept: bool) -> anyhow::Result<Read> {
        let (mut found, mut sent) = (Vec::new(), Vec::new());
        for index in 0..size.div_ceil(WIDTH) {
            let name = TileName { level: Level::Entries, index, width: WIDTH.min(size - index * WIDTH) };
            // The last entries too, which no full bundle has: what was seen can be shown when the service does not any more.
            let part = if name.width == WIDTH { "entries" } else { "tail" };
            let kept = self.kept.map(|folder| folder.join(format!("{epoch}-{part}-{index}")));
            let of_before = kept.as_ref().filter(|_| may_be_kept).and_then(|path| own_files::read_named(path).ok());
            let is_whole = |bundle: &Vec<u8>| entries(bundle).is_some_and(|all| all.len() as u64 == name.width);
            let bundle = if let Some(bundle) = of_before.filter(is_whole) {
                bundle
            } else {
                let path = format!("/registry-log/{epoch}/tile/{name}");
                let bundle = self.get(&path).await?.ok_or_else(|| unread("a bundle of the log is missing"))?;
                if let Some(path) = kept {
                    // What was kept first stays until this one is known to continue it.
                    if name.width == WIDTH && !path.exists() {
                        own_files::replace(&path, &bundle)?;
                    }
                    sent.push((path, bundle.clone()));
                }
                bundle
            };
            let all = entries(&bundle).filter(|all| all.len() as u64 == name.width);
            found.extend(all.ok_or_else(|| unread("a bundle is none"))?.into_iter().map(<[u8]>::to_vec));
        }
        Ok((found, sent))
    }

    /// The checkpoint that was kept of a log, which may be larger than what the log shows now.
    pub(super) fn seen(&self, log: &Log) -> anyhow::Result<Option<(String, Checkpoint)>> {
        let Some(folder) = self.kept else { return Ok(None) };
        let path = folder.join(format!("{}-checkpoint", log.epoch));
        if !path.exists() {
            return Ok(None);
        }
        let note = own_files::read_text(&path)?;
        let checkpoint = self.verify(&note).filter(|seen| seen.origin == log.checkpoint.origin);
        Ok(checkpoint.map(|checkpoint| (note, checkpoint)))
    }

    /// Keeps a log and its checkpoint for the next time. A history that was seen first stays, and so does what was larger.
    pub(super) fn keep(&self, log: &Log) -> anyhow::Result<()> {
        let Some(folder) = self.kept else { return Ok(()) };
        if self.seen(log)?.is_some_and(|(_, seen)| !log.begins_with(seen.size, &seen.root)) {
            return Ok(());
        }
        for (path, bundle) in &log.sent {
            own_files::replace(path, bundle)?;
        }
        Ok(own_files::replace(&folder.join(format!("{}-checkpoint", log.epoch)), log.note.as_bytes())?)
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        for _ in 0..PATIENCE {
            match self.session.get(path).await.map_err(|error| unread(format!("{error:#}")))? {
                Reply::Body(body) => return Ok(Some(body)),
                Reply::Missing => return Ok(None),
                // A log of a busy week has more bundles than a client may ask for in a minute.
                Reply::Later(wait) => tokio::time::sleep(wait.unwrap_or(WAIT_MAX).min(WAIT_MAX)).await,
                reply => return Err(unread(reply.said())),
            }
        }
        Err(unread("the client's limit is spent"))
    }
}

/// Entries, and the bundles that were sent for it.
type Read = (Vec<Vec<u8>>, Vec<(PathBuf, Vec<u8>)>);
