//! `log watch`: a monitor. It keeps the last checkpoint that it has seen, and takes a new one only with a proof that it continues that.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::cli::exits::{contradicted, try_again, usage};
use crate::cli::output;
use crate::cli::witnessed::Witnessed;
use crate::crypto::signing::{PublicKey, base64url};
use crate::crypto::tlog::note::SignatureType;
use crate::crypto::tlog::proof::{Subtree, consistency, hashes};
use crate::crypto::tlog::tile::{self, Level, Place, TileName, WIDTH};
use crate::crypto::tlog::tree::{is_consistent, leaf_hash};
use crate::crypto::tlog::{Checkpoint, Hash, Note, VerifierKey};
use crate::domain::registry_log::Entry;
use crate::domain::sequence::Sequence;
use crate::own_files;

/// How long the log may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What the answer with a checkpoint says of where the log began.
const BEGIN: &str = "registry-log-begin";
/// Longer than any cache may keep a checkpoint.
const CACHED_MAX: Duration = Duration::from_secs(2);
/// The most bytes of an answer: a tile has 8,192, a note a few hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Where the service is
    #[arg(long)]
    url: String,
    /// Where the last checkpoint is kept
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The verifier key of the log, of any of its epochs; may be given several times
    #[arg(long = "log-key", value_name = "VKEY", required = true)]
    log_keys: Vec<String>,
    /// Witnesses (C2SP tlog-policy): a checkpoint that lacks their quorum is not taken
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How often to look
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every_seconds: u64,
    /// Look once
    #[arg(long)]
    once: bool,
}

/// A checkpoint that was verified, and its note.
#[derive(Debug, Clone)]
struct Seen {
    note: String,
    checkpoint: Checkpoint,
    /// The sequence at which its log began, as the service says.
    begin: Option<u64>,
}

/// What became of the log since.
enum Look {
    Same,
    Grown,
    /// Another epoch has begun.
    Successor,
    /// A node that is behind, or an old copy: what it shows is a beginning of what was seen.
    Older,
    /// Two notes that contradict each other.
    Forked(Box<[Seen; 2]>),
}

/// `log watch`
pub(super) async fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    let key = |text: &String| {
        VerifierKey::parse(text).ok_or_else(|| usage(format!("{text}: not a verifier key (C2SP signed-note)")))
    };
    let keys = args.log_keys.iter().map(key).collect::<anyhow::Result<Vec<_>>>()?;
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).build().context("HTTP client")?;
    let witnessed = args.policy.as_deref().map(Witnessed::read).transpose()?;
    let log = Log { client, url: args.url.trim_end_matches('/').to_owned(), keys, witnessed };
    let mut seen = if args.state.exists() { Some(log.read_state(&args.state)?) } else { None };
    let mut is_older = false;
    loop {
        match look(&log, &args.state, &mut seen, &mut is_older).await {
            Ok(()) if args.once => return Ok(()),
            Ok(()) => {}
            Err(error) if error.downcast_ref::<Unread>().is_none() => return Err(error),
            Err(error) if args.once => return Err(try_again(format!("{error:#}"))),
            Err(error) => output::error(&format!("the log cannot be read now: {error:#}")),
        }
        tokio::time::sleep(Duration::from_secs(args.every_seconds)).await;
    }
}

async fn look(log: &Log, state: &Path, seen: &mut Option<Seen>, was_older: &mut bool) -> anyhow::Result<()> {
    let new = log.checkpoint("checkpoint").await?;
    if log.witnessed.as_ref().is_some_and(|witnessed| !witnessed.is_met(&new.note)) {
        return Err(Unread("the checkpoint lacks the cosignatures that the policy asks for".to_owned()).into());
    }
    let look = match seen.as_ref() {
        None => Look::Grown,
        Some(old) => log.compare(old, &new).await?,
    };
    let Checkpoint { origin, size, root } = &new.checkpoint;
    let is_older = matches!(look, Look::Older);
    // Once: a node that is behind catches up, and a store that was set back stays so.
    let is_told = std::mem::replace(was_older, is_older);
    match (look, seen.as_ref()) {
        (Look::Same, _) => return Ok(()),
        (Look::Older, _) => {
            if !is_told {
                output::error(&format!("OLDER: {origin} shows {size} leaves, a beginning of what it showed before"));
            }
            return Ok(());
        }
        (Look::Forked(notes), _) => {
            let mut path = state.as_os_str().to_owned();
            path.push(".fork");
            own_files::replace(Path::new(&path), format!("{}\n{}", notes[0].note, notes[1].note).as_bytes())
                .context("evidence")?;
            output::error(&format!(
                "FORK: {} shows another history than before; both checkpoints are in {}",
                notes[1].checkpoint.origin,
                Path::new(&path).display()
            ));
            return Err(contradicted());
        }
        (Look::Successor, Some(old)) => output::line(&format!("{} has ended, {origin} follows", old.checkpoint.origin)),
        _ => {}
    }
    output::line(&format!("{origin} {size} {}", base64url(root)));
    own_files::replace(state, new.note.as_bytes()).with_context(|| state.display().to_string())?;
    *seen = Some(new);
    Ok(())
}

/// The log did not answer as a log does: perhaps later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unread(String);

struct Log {
    client: reqwest::Client,
    url: String,
    keys: Vec<VerifierKey>,
    witnessed: Option<Witnessed>,
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

    fn read_state(&self, path: &Path) -> anyhow::Result<Seen> {
        let note = own_files::read_text(path).with_context(|| path.display().to_string())?;
        self.verify(&note).with_context(|| format!("{}: no checkpoint of this log by a given key", path.display()))
    }

    async fn checkpoint(&self, path: &str) -> anyhow::Result<Seen> {
        let (bytes, begin) = self.get(path).await?.unzip();
        let note = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let seen = note.and_then(|note| self.verify(&note)).map(|seen| Seen { begin: begin.flatten(), ..seen });
        seen.ok_or_else(|| Unread("there is no checkpoint that a given key has signed".to_owned()).into())
    }

    async fn compare(&self, old: &Seen, new: &Seen) -> anyhow::Result<Look> {
        if old.checkpoint.origin != new.checkpoint.origin {
            let (old_epoch, new_epoch) = (epoch_of(&old.checkpoint.origin)?, epoch_of(&new.checkpoint.origin)?);
            if new_epoch < old_epoch {
                return Ok(Look::Older);
            }
            let last = self.checkpoint(&format!("{old_epoch}/checkpoint")).await?;
            let is_its = last.checkpoint.origin == old.checkpoint.origin;
            let is_on = is_its && last.checkpoint.size >= old.checkpoint.size && self.continues(old, &last).await?;
            if !is_on {
                return Ok(forked(old, &last));
            }
            let Some(_) = self.unlinked(old_epoch, new_epoch).await? else { return Ok(Look::Successor) };
            // What a cache kept from before the end is none of its last notes.
            tokio::time::sleep(CACHED_MAX).await;
            let notes = self.unlinked(old_epoch, new_epoch).await?;
            return Ok(notes.map_or(Look::Successor, |[before, after]| forked(&before, &after)));
        }
        if new.checkpoint.size < old.checkpoint.size {
            return Ok(if self.continues(new, old).await? { Look::Older } else { forked(old, new) });
        }
        let is_on = self.continues(old, new).await?;
        Ok(match (is_on, new.checkpoint == old.checkpoint) {
            (false, _) => forked(old, new),
            (true, true) => Look::Same,
            (true, false) => Look::Grown,
        })
    }

    /// The last note of one epoch and a note of the next whose first leaf does not commit to it, from one epoch to another; none where
    /// each follows the one before. Which epochs there were the service says: one that it leaves out breaks the chain.
    async fn unlinked(&self, from: u32, to: u32) -> anyhow::Result<Option<[Seen; 2]>> {
        let (text, _) = self.get("keys").await?.unzip();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let named = text.lines().filter_map(VerifierKey::parse).filter_map(|key| epoch_of(key.name()).ok());
        let mut epochs: BTreeSet<u32> = named.filter(|epoch| (from + 1..to).contains(epoch)).collect();
        epochs.insert(to);
        let mut before = self.checkpoint(&format!("{from}/checkpoint")).await?;
        for epoch in epochs {
            let next = self.checkpoint(&format!("{epoch}/checkpoint")).await?;
            let begin = next.begin.ok_or_else(|| Unread(format!("log {epoch} does not say where it began")))?;
            let leaf = Entry::successor(Sequence::new(begin), Sha256::digest(before.note.as_bytes()).into());
            // A tree of the one leaf that must be its first.
            let root = leaf_hash(leaf.as_bytes());
            let first = Checkpoint { size: 1, root, ..next.checkpoint.clone() };
            if epoch_of(&next.checkpoint.origin)? != epoch || !self.is_beginning(&first, &next.checkpoint).await? {
                return Ok(Some([before, next]));
            }
            before = next;
        }
        Ok(None)
    }

    async fn continues(&self, old: &Seen, new: &Seen) -> anyhow::Result<bool> {
        self.is_beginning(&old.checkpoint, &new.checkpoint).await
    }

    /// Whether one tree is the beginning of another. Tiles are not believed: proofs that are made of wrong ones do not verify, and
    /// a log that has no right ones for what it signed has another history.
    async fn is_beginning(&self, old: &Checkpoint, new: &Checkpoint) -> anyhow::Result<bool> {
        if old.size > new.size {
            return Ok(false);
        }
        let (ranges, epoch) = (consistency(old.size, new.size), epoch_of(&new.origin)?);
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
        Ok(is_consistent(old.size, new.size, &old.root, &new.root, &proof))
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

fn forked(before: &Seen, after: &Seen) -> Look {
    Look::Forked(Box::new([before.clone(), after.clone()]))
}

fn epoch_of(origin: &str) -> anyhow::Result<u32> {
    let Some(epoch) = origin.rsplit('/').next().and_then(|epoch| epoch.parse().ok()) else {
        bail!("{origin}: not the name of a registry log");
    };
    Ok(epoch)
}
