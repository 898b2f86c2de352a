//! A segment of the journal: a file to which sightings are added until it is finished, and which is read once and deleted. Each
//! record is sealed under the segment's own key, bound to its place, so that a torn end and a changed byte both differ from what
//! was written. The process that works on a segment, to add or to move, holds its lock.
//! Form: magic, wrapped key; then records: length (little-endian), sealed digest and facts.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Sighting;
use crate::crypto::digest::IdDigest;
use crate::crypto::seal::{SealError, Sealer};
use crate::domain::ids::{CheckId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::report::Label;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Purpose, Verdict};
use crate::own_files;

/// The last characters but one are the format.
const MAGIC: [u8; 16] = *b"lostcard seen 1\n";
/// Nonce, key, tag (`crypto::seal`).
const WRAPPED_KEY_BYTES: usize = 12 + 32 + 16;
const HEADER_BYTES: usize = MAGIC.len() + WRAPPED_KEY_BYTES;
/// A record is about 350 bytes; what says that it is longer is no record.
const RECORD_BYTES_MAX: usize = 4096;
const DIGEST_BYTES: usize = 32;
/// Begins the names of files that are not segments yet, or of a process that was killed before they were.
const UNFINISHED: &str = "unfinished-";

/// The part of a record that is not the digest.
#[derive(Serialize, Deserialize)]
struct Facts<'a> {
    check_id: CheckId,
    organization: OrganizationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_valid_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    purpose: &'a str,
    verdict: &'a str,
    sequence: Sequence,
    seen_at_ms: UnixMs,
}

/// A sighting cannot be added.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("its file: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("its form: {0}")]
    Form(#[from] serde_json::Error),
    #[error("the journal has reached its limit")]
    Full,
}

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    folder: PathBuf,
    sealer: Sealer,
    /// What is in the file or in the buffer.
    bytes: u64,
    /// Not in the file yet.
    buffer: Vec<u8>,
    is_named: bool,
}

impl Segment {
    /// Begins a segment. It has its name only once its lock is held: nobody else takes it in hand before it is let go.
    pub(super) fn create(folder: &Path, name: &str, seal: &Sealer) -> Result<Self, WriteError> {
        own_files::create_folder(folder)?;
        // Made with mode 0600.
        let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.as_file().lock()?;
        let file = file.persist(folder.join(name)).map_err(|error| error.error)?;
        let (wrapped_key, sealer) = seal.new_data_key(&MAGIC)?;
        let buffer = [&MAGIC[..], &wrapped_key].concat();
        Ok(Self { file, folder: folder.to_owned(), sealer, bytes: buffer.len() as u64, buffer, is_named: false })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a sighting. It is durable after the next [`Self::flush`].
    pub(super) fn push(&mut self, sighting: &Sighting) -> Result<(), WriteError> {
        let facts = Facts {
            check_id: sighting.check_id,
            organization: sighting.organization,
            card_valid_from: sighting.card_valid_from.map(|date| date.to_string()),
            site: sighting.site.as_ref().map(Label::as_str),
            purpose: sighting.purpose.as_str(),
            verdict: sighting.verdict.as_str(),
            sequence: sighting.sequence,
            seen_at_ms: sighting.seen_at_ms,
        };
        let mut plain = Zeroizing::new(Vec::with_capacity(512));
        plain.extend_from_slice(sighting.digest.expose());
        serde_json::to_writer(&mut *plain, &facts)?;
        let sealed = self.sealer.seal(&self.bytes.to_le_bytes(), &plain)?;
        let length = u32::try_from(sealed.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&sealed);
        self.bytes += 4 + sealed.len() as u64;
        Ok(())
    }

    /// Writes what was added and waits until it is durable. After a failure the segment must not be used any more: the system may
    /// have dropped what it could not write, and the next flush would succeed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        self.buffer.clear();
        if !self.is_named {
            own_files::sync_folder(&self.folder)?;
            self.is_named = true;
        }
        Ok(())
    }
}

/// A segment that nobody writes any more, in hand.
#[derive(Debug)]
pub(super) struct Finished {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
    pub(super) sightings: Vec<Sighting>,
    pub(super) end: End,
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// A crash, or a disk that took no more, cut it off: what is missing was never confirmed.
    Torn,
    /// It continues with what does not open: the disk did not keep what it had confirmed, or somebody else wrote there.
    Damaged,
}

impl Finished {
    /// Takes a segment in hand and reads it; none if somebody else has it in hand, or has moved it meanwhile.
    pub(super) fn take(path: &Path, seal: &Sealer) -> io::Result<Option<Self>> {
        let mut file = match own_files::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (sightings, end) = read(&bytes, seal);
        Ok(Some(Self { path: path.to_owned(), _file: file, sightings, end }))
    }

    /// Deletes it: all of it is in the store.
    pub(super) fn delete(self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// The segments of a folder, oldest first for each node, with their sizes. Removes files of processes that were killed before they
/// had a name.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // Another process may have moved it meanwhile.
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            segments.push((path, bytes));
        } else if own_files::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(path);
        }
    }
    segments.sort();
    Ok(segments)
}

fn read(bytes: &[u8], seal: &Sealer) -> (Vec<Sighting>, End) {
    let mut sightings = Vec::new();
    let Some((header, _)) = bytes.split_at_checked(HEADER_BYTES) else {
        return (
            sightings,
            if MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) { End::Torn } else { end_of(bytes) },
        );
    };
    let sealer = header.strip_prefix(&MAGIC).and_then(|wrapped_key| seal.open_data_key(&MAGIC, wrapped_key).ok());
    let Some(sealer) = sealer else { return (sightings, end_of(bytes)) };
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let Some((sighting, next)) = read_record(&sealer, bytes, at) else { return (sightings, end_of(&bytes[at..])) };
        sightings.push(sighting);
        at = next;
    }
    (sightings, End::Whole)
}

/// The record at a place, and where the next one begins.
fn read_record(opener: &Sealer, bytes: &[u8], at: usize) -> Option<(Sighting, usize)> {
    let (length, rest) = bytes[at..].split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let sealed = rest.get(..length)?;
    let plain = Zeroizing::new(opener.open(&(at as u64).to_le_bytes(), sealed).ok()?);
    let (digest, facts) = plain.split_first_chunk::<DIGEST_BYTES>()?;
    Some((parse(IdDigest::from_bytes(*digest), facts)?, at + 4 + length))
}

fn parse(digest: IdDigest, facts: &[u8]) -> Option<Sighting> {
    let facts: Facts<'_> = serde_json::from_slice(facts).ok()?;
    Some(Sighting {
        check_id: facts.check_id,
        organization: facts.organization,
        digest,
        card_valid_from: facts.card_valid_from.map(|date| date.parse()).transpose().ok()?,
        site: facts.site.map(|site| Label::parse(site).ok_or(())).transpose().ok()?,
        purpose: Purpose::parse(facts.purpose)?,
        verdict: Verdict::parse(facts.verdict)?,
        sequence: facts.sequence,
        seen_at_ms: facts.seen_at_ms,
    })
}

/// What the bytes are that are no record: a record that is cut off, or place that was taken and never written, were torn.
fn end_of(rest: &[u8]) -> End {
    let length = rest.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
    let is_cut_off = length.is_none_or(|length| length <= RECORD_BYTES_MAX && rest.len() < 4 + length);
    if is_cut_off || rest.iter().all(|byte| *byte == 0) { End::Torn } else { End::Damaged }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::civil::date;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&[1; 32]).unwrap()
    }

    fn sighting(n: u8) -> Sighting {
        Sighting {
            check_id: CheckId::from_bytes([n; 16]),
            organization: OrganizationId::from_bytes([n ^ 1; 16]),
            digest: IdDigest::from_bytes([n; DIGEST_BYTES]),
            card_valid_from: (n.is_multiple_of(2)).then(|| date(2016, 5, 1)),
            site: (n.is_multiple_of(3)).then(|| Label::parse("west-wing:2").unwrap()),
            purpose: Purpose::ALL[usize::from(n) % Purpose::ALL.len()],
            verdict: [Verdict::CardListed, Verdict::NumberListed][usize::from(n % 2)],
            sequence: Sequence::new(u64::MAX >> 1),
            seen_at_ms: UnixMs::new(1_795_440_000_000 + i64::from(n)),
        }
    }

    /// A folder with a segment of so many sightings, let go.
    fn written(count: u8) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sightings");
        let mut segment = Segment::create(&folder, "a-1", &sealer()).unwrap();
        for n in 0..count {
            segment.push(&sighting(n)).unwrap();
            // In several pieces, as groups come.
            if n % 8 == 7 {
                segment.flush().unwrap();
            }
        }
        segment.flush().unwrap();
        (dir, folder.join("a-1"))
    }

    fn take(path: &Path) -> Option<Finished> {
        Finished::take(path, &sealer()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(count in 0_u8..40) {
            let (_dir, path) = written(count);
            let taken = take(&path).unwrap();
            let expected: Vec<_> = (0..count).map(sighting).collect();
            prop_assert_eq!(&taken.sightings, &expected);
            prop_assert_eq!(taken.end, End::Whole);
        }
    }

    #[test]
    fn a_segment_cut_off_anywhere_gives_what_was_whole() {
        let (_dir, path) = written(3);
        let whole = fs::read(&path).unwrap();
        let mut seen = 0;
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let taken = take(&path).unwrap();
            assert!(taken.sightings.len() >= seen && taken.sightings.len() < 3, "{length} bytes");
            seen = taken.sightings.len();
            assert_eq!(taken.sightings, (0..3).map(sighting).take(seen).collect::<Vec<_>>());
            // Cut off between two records it cannot be told from a segment that was finished there.
            assert_ne!(taken.end, End::Damaged, "{length} bytes");
        }
        assert_eq!(seen, 2);
        fs::write(&path, [&whole[..], &[0; 5000]].concat()).unwrap();
        let taken = take(&path).unwrap();
        assert_eq!((taken.sightings.len(), taken.end), (3, End::Torn), "place that was taken and never written");
    }

    #[test]
    fn every_changed_byte_is_noticed_and_what_stands_before_it_is_kept() {
        let (_dir, path) = written(3);
        let whole = fs::read(&path).unwrap();
        let record = (whole.len() - HEADER_BYTES) / 3;
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, changed).unwrap();
            let taken = take(&path).unwrap();
            assert_ne!(taken.end, End::Whole, "byte {at}");
            assert_eq!(taken.sightings, (0..3).map(sighting).take(taken.sightings.len()).collect::<Vec<_>>());
            assert!(at < HEADER_BYTES + 2 * record - 100 || !taken.sightings.is_empty(), "byte {at}");
        }
        let mut swapped = whole[..HEADER_BYTES].to_vec();
        swapped.extend_from_slice(&whole[HEADER_BYTES + record..]);
        fs::write(&path, swapped).unwrap();
        assert!(take(&path).unwrap().sightings.is_empty(), "a record opens in its own place only");
        fs::write(&path, &whole).unwrap();
        let other = Finished::take(&path, &Sealer::new(&[2; 32]).unwrap()).unwrap().unwrap();
        assert_eq!((other.sightings.len(), other.end), (0, End::Damaged));
    }

    #[test]
    fn a_segment_is_in_one_hand_at_a_time_and_goes_when_it_is_moved() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sightings");
        let mut segment = Segment::create(&folder, "a-1", &sealer()).unwrap();
        segment.push(&sighting(1)).unwrap();
        segment.flush().unwrap();
        let path = folder.join("a-1");
        assert!(take(&path).is_none(), "it is being written");
        drop(segment);
        let taken = take(&path).unwrap();
        assert!(take(&path).is_none(), "it is being moved");
        taken.delete().unwrap();
        assert!(take(&path).is_none() && !path.exists());
        assert_eq!(list(&folder).unwrap(), []);
    }

    #[test]
    fn files_of_a_process_that_was_killed_before_they_had_a_name_go() {
        let (_dir, path) = written(1);
        let folder = path.parent().unwrap();
        let abandoned = folder.join(format!("{UNFINISHED}abandoned"));
        fs::write(&abandoned, "half").unwrap();
        let in_hand = File::create(folder.join(format!("{UNFINISHED}in-hand"))).unwrap();
        in_hand.lock().unwrap();
        let bytes = fs::metadata(&path).unwrap().len();
        assert_eq!(list(folder).unwrap(), [(path.clone(), bytes)]);
        assert!(!abandoned.exists() && fs::exists(folder.join(format!("{UNFINISHED}in-hand"))).unwrap());
        assert_eq!(list(&folder.join("none")).unwrap(), [], "no folder, no segments");
    }

    #[test]
    fn only_the_owner_reads_a_segment_and_no_digest_stands_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path) = written(9);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        let bytes = fs::read(&path).unwrap();
        for n in 1..9_u8 {
            assert!(!bytes.windows(8).any(|window| window == [n; 8]));
        }
        assert!(!bytes.windows(4).any(|window| window == b"west"));
    }
}
