//! A segment of the journal: a file to which sightings are added until it is finished, and which is read once and deleted. Its
//! place on the disk is taken before, so that to add is one write. Each record is sealed under the segment's own key, bound to its
//! place, so that a torn end and a changed byte both differ from what was written. The process that works on a segment, to add or
//! to move, holds its lock.
//! Form: magic, wrapped key; then records: length (little-endian), sealed sighting; then zeros, until it is finished.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use super::{Sighting, before, record};
use crate::crypto::seal::{SealError, Sealer};
use crate::own_files;

/// The last characters but one are the format.
const MAGIC: [u8; 16] = *b"lostcard seen 2\n";
/// Nonce, key, tag (`crypto::seal`).
const WRAPPED_KEY_BYTES: usize = 12 + 32 + 16;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC.len() + WRAPPED_KEY_BYTES;
/// What a segment may hold: some 1,800 sightings.
pub(super) const SEGMENT_BYTES: u64 = 256 << 10;
/// A record has 120 to 190 bytes (format 1: 350); what says that it is longer is no record.
const RECORD_BYTES_MAX: usize = 4096;
/// Begins the names of files that are not segments yet, or of a process that was killed before they were.
pub(super) const UNFINISHED: &str = "unfinished-";

/// A sighting cannot be added.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("its file: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the journal has reached its limit")]
    Full,
}

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    file: Arc<File>,
    path: PathBuf,
    sealer: Sealer,
    /// Where the next record goes.
    at: u64,
}

impl Segment {
    /// Begins a segment. It has its name only once its lock is held: nobody else takes it in hand before it is let go. Its name is
    /// durable once the folder is flushed.
    pub(super) fn create(folder: &Path, name: &str, seal: &Sealer) -> Result<Self, WriteError> {
        own_files::create_folder(folder)?;
        // Made with mode 0600.
        let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.as_file().lock()?;
        own_files::reserve(file.as_file(), SEGMENT_BYTES)?;
        let (wrapped_key, sealer) = seal.new_data_key(&MAGIC)?;
        file.as_file().write_all_at(&[&MAGIC[..], &wrapped_key].concat(), 0)?;
        let path = folder.join(name);
        let file = file.persist(&path).map_err(|error| error.error)?;
        Ok(Self { file: Arc::new(file), path, sealer, at: HEADER_BYTES as u64 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// For the thread that flushes it while it is written.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn has_records(&self) -> bool {
        self.at > HEADER_BYTES as u64
    }

    /// Adds as many sightings as have room, with one write, and tells how many. They survive the process, and after the next flush a
    /// power cut. After a failure the segment must not be written any more: no place may be sealed twice.
    pub(super) fn add(&mut self, sightings: &[Sighting], buffer: &mut Vec<u8>) -> Result<usize, WriteError> {
        buffer.clear();
        let mut added = 0;
        for sighting in sightings {
            let (begin, place) = (buffer.len(), self.at + buffer.len() as u64);
            buffer.extend_from_slice(&[0; 4]);
            record::write(buffer, sighting);
            if self.at + (buffer.len() + TAG_BYTES) as u64 > SEGMENT_BYTES {
                buffer[begin..].zeroize();
                buffer.truncate(begin);
                break;
            }
            self.sealer.seal_at(place, buffer, begin + 4)?;
            let length = u32::try_from(buffer.len() - begin - 4).unwrap_or(u32::MAX);
            buffer[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
            added += 1;
        }
        if added > 0 {
            self.file.write_all_at(buffer, self.at)?;
            self.at += buffer.len() as u64;
        }
        Ok(added)
    }

    /// Does all that adding a sighting does, and leaves nothing: the place stays as it is. Says whether it could.
    pub(super) fn rehearse(&self, sighting: &Sighting, nth: u64, sealer: &Sealer, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        buffer.extend_from_slice(&[0; 4]);
        record::write(buffer, sighting);
        // Never under the segment's own key, for which the place is the nonce.
        let is_sealed = sealer.seal_at(nth, buffer, 4).is_ok();
        buffer.fill(0);
        let has_room = self.at + buffer.len() as u64 <= SEGMENT_BYTES;
        is_sealed && has_room && self.file.write_all_at(buffer, self.at).is_ok()
    }

    /// Flushes it, and gives back the place that it did not use. Then its lock is let go. One without records is removed.
    pub(super) fn finish(self) -> io::Result<()> {
        if !self.has_records() {
            return remove(&self.path);
        }
        self.file.set_len(self.at)?;
        self.file.sync_data()
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
    /// After a record, perhaps with place that was taken and never written.
    Whole,
    /// A crash, or a disk that took no more, cut it off: what is missing was never confirmed.
    Torn,
    /// It continues with what does not open: a power cut came before a flush, the disk did not keep what it had confirmed, or somebody
    /// else wrote there.
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
        remove(&self.path)
    }
}

/// Another process may have removed it first.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
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
    let of_format = |magic: &[u8; 16]| {
        header.strip_prefix(magic).and_then(|wrapped_key| seal.open_data_key(magic, wrapped_key).ok())
    };
    let (opener, is_before) = match of_format(&MAGIC) {
        Some(opener) => (opener, false),
        None => match of_format(&before::MAGIC) {
            Some(opener) => (opener, true),
            None => return (sightings, end_of(bytes)),
        },
    };
    let mut at = HEADER_BYTES;
    while let Some(sealed) = record_at(bytes, at) {
        let sighting = if is_before { before::read(&opener, at, sealed) } else { read_record(&opener, at, sealed) };
        let Some(sighting) = sighting else { return (sightings, end_of(&bytes[at..])) };
        sightings.push(sighting);
        at += 4 + sealed.len();
    }
    let rest = &bytes[at..];
    let is_whole = rest.iter().all(|byte| *byte == 0);
    (sightings, if is_whole { End::Whole } else { end_of(rest) })
}

/// The sealed bytes of the record at a place.
fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = bytes[at..].split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length > 0)?;
    rest.get(..length)
}

fn read_record(opener: &Sealer, at: usize, sealed: &[u8]) -> Option<Sighting> {
    record::read(&Zeroizing::new(opener.open_at(at as u64, sealed).ok()?))
}

/// What the bytes are that are no record: a record that is cut off was torn.
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
    use crate::crypto::digest::IdDigest;
    use crate::domain::ids::{CheckId, ClientId, OrganizationId};
    use crate::domain::instant::UnixMs;
    use crate::domain::report::Label;
    use crate::domain::sequence::Sequence;
    use crate::domain::verdict::{Purpose, Verdict};

    fn sealer() -> Sealer {
        Sealer::new(&[1; 32]).unwrap()
    }

    fn sighting(n: u8) -> Sighting {
        Sighting {
            check_id: CheckId::from_bytes([n; 16]),
            organization: OrganizationId::from_bytes([n ^ 1; 16]),
            client: (n.is_multiple_of(5)).then(|| ClientId::from_bytes([n | 1; 16])),
            digest: IdDigest::from_bytes([n; 32]),
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
        let sightings: Vec<_> = (0..count).map(sighting).collect();
        // In several pieces, as groups come.
        for some in sightings.chunks(8) {
            assert_eq!(segment.add(some, &mut Vec::new()).unwrap(), some.len());
        }
        if count == 0 {
            drop(segment);
        } else {
            segment.finish().unwrap();
        }
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
        assert_eq!((taken.sightings.len(), taken.end), (3, End::Whole), "place that was taken and never written");
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
        segment.add(&[sighting(1)], &mut Vec::new()).unwrap();
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
