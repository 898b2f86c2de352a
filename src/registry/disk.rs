//! The filter in a file on local disk, so that a node need not read every row when it starts: its form, reading and writing.
//! A file is read only if all of it is what a holder of the keys wrote; whether it is of this store and new enough is
//! judged in `saving`. No SQL, and nothing of a number but the filter's own bits.
//! Form: magic, format, length of the header, header (JSON), fingerprints (little-endian), HMAC-SHA-256 of all that.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xorf::{BinaryFuse16, Descriptor};

use super::snapshot::Filter;

use crate::crypto::pepper::{Fingerprint, Fingerprints};
use crate::domain::sequence::Sequence;
use crate::own_files;
use crate::store::feed::Mark;

const MAGIC: [u8; 16] = *b"lostcard filter\n";
const FORMAT: u32 = 1;
/// Magic, format, length of the header.
const PREAMBLE_BYTES: usize = 24;
const MAC_BYTES: usize = 32;
/// 80 bytes describe a part, so this is enough for 10^10 numbers.
const HEADER_BYTES_MAX: u32 = 1 << 20;
/// What is in hand at a time between file, MAC and filter.
const CHUNK_BYTES: usize = 1 << 16;
const NAME: &str = "filter";
const UNFINISHED: &str = "unfinished-";
const LABEL: &str = "filter file";

/// Why a file is not started from.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it is no filter file of this version")]
    Format,
    #[error("it is keyed with another version of the pepper")]
    KeyVersion,
    #[error("it is damaged, or was not written with these keys")]
    Damaged,
    #[error("it is of another store, or from before the store's epoch")]
    Epoch,
    #[error("the store was restored since and has a different history")]
    History,
    #[error("too much has changed since")]
    Old,
}

impl Refusal {
    /// The word in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Format => "format",
            Self::KeyVersion => "key_version",
            Self::Damaged => "damaged",
            Self::Epoch => "epoch",
            Self::History => "history",
            Self::Old => "old",
        }
    }
}

/// A file that ends early is damaged; one that the system does not give is unreadable.
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Unreadable(error) }
    }
}

/// A filter and the moment of the store that it was built from.
#[derive(Debug)]
pub struct Saved {
    pub filter: Filter,
    pub epoch: String,
    /// The pepper that new rows were keyed with.
    pub key_version: u32,
    /// Put into the feed after the filter was built.
    pub mark: Mark,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    epoch: String,
    built_at: Sequence,
    mark: Mark,
    key_version: u32,
    keys: u64,
    parts: Vec<Part>,
}

/// The descriptor of a part's fuse filter. Its other members follow from these.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    seed: u64,
    segment_length: u32,
    segment_count_length: u32,
}

impl Part {
    fn of(fuse: &BinaryFuse16) -> Self {
        let Descriptor { seed, segment_length, segment_count_length, .. } = fuse.descriptor;
        Self { seed, segment_length, segment_count_length }
    }

    /// A look-up goes at most two segments beyond the last one that it starts in.
    fn fingerprints(&self) -> u64 {
        u64::from(self.segment_count_length) + 2 * u64::from(self.segment_length)
    }

    fn with(&self, fingerprints: Box<[u16]>) -> BinaryFuse16 {
        let descriptor = Descriptor {
            seed: self.seed,
            segment_length: self.segment_length,
            segment_length_mask: self.segment_length.saturating_sub(1),
            segment_count_length: self.segment_count_length,
        };
        BinaryFuse16 { descriptor, fingerprints }
    }
}

/// The folder with the filter file. Several processes may share it.
#[derive(Debug)]
pub struct FilterFolder {
    path: PathBuf,
    fingerprints: Fingerprints,
}

impl FilterFolder {
    /// Names a folder; it is made when there is something to write.
    pub fn new(path: PathBuf, fingerprints: Fingerprints) -> Self {
        Self { path, fingerprints }
    }

    /// The filter that was saved; None: there is none. Takes the filter's own memory and a chunk.
    pub fn read(&self) -> Result<Option<Saved>, Refusal> {
        let file = match own_files::open(&self.path.join(NAME)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut file = Authenticated { file, mac: self.fingerprints.begin(LABEL) };
        let header = read_header(&mut file)?;
        let parts = read_parts(&mut file, &header)?;
        let Authenticated { mut file, mac } = file;
        let mut expected = [0; MAC_BYTES];
        file.read_exact(&mut expected)?;
        if !mac.is(&expected) {
            return Err(Refusal::Damaged);
        }
        let filter = Filter::from_parts(parts, header.keys, header.built_at);
        Ok(Some(Saved { filter, epoch: header.epoch, key_version: header.key_version, mark: header.mark }))
    }

    /// Saves a filter in place of the last one: whole and durable, or not at all.
    pub fn write(&self, filter: &Filter, epoch: &str, key_version: u32, mark: Mark) -> io::Result<()> {
        own_files::create_folder(&self.path)?;
        self.remove_unfinished()?;
        // Made with mode 0600 and a name of its own. The lock tells other processes that it is being written.
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        unfinished.as_file().lock()?;
        let header = Header {
            epoch: epoch.to_owned(),
            built_at: filter.built_at,
            mark,
            key_version,
            keys: filter.keys(),
            parts: filter.parts().iter().map(Part::of).collect(),
        };
        let mut file = Authenticated { file: unfinished.as_file(), mac: self.fingerprints.begin(LABEL) };
        write_header(&mut file, &header)?;
        write_parts(&mut file, filter)?;
        let Authenticated { mut file, mac } = file;
        file.write_all(&mac.finish())?;
        file.sync_all()?;
        unfinished.persist(self.path.join(NAME)).map_err(|error| error.error)?;
        own_files::sync_folder(&self.path)
    }

    /// Files of processes that were killed while they wrote.
    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && is_abandoned(&entry.path()) {
                // Another process may have removed it first.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

fn is_abandoned(path: &Path) -> bool {
    own_files::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

/// A file all of whose bytes go through the MAC.
struct Authenticated<F> {
    file: F,
    mac: Fingerprint,
}

impl<F: Read> Authenticated<F> {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact(bytes)?;
        self.mac.update(bytes);
        Ok(())
    }
}

impl<F: Write> Authenticated<F> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mac.update(bytes);
        self.file.write_all(bytes)
    }
}

fn read_header(file: &mut Authenticated<File>) -> Result<Header, Refusal> {
    let mut preamble = [0; PREAMBLE_BYTES];
    file.fill(&mut preamble)?;
    let (magic, rest) = preamble.split_at(MAGIC.len());
    let (format, length) = rest.split_at(4);
    if magic != MAGIC || format != FORMAT.to_le_bytes() {
        return Err(Refusal::Format);
    }
    let length = u32::from_le_bytes(length.try_into().map_err(|_| Refusal::Format)?);
    if length > HEADER_BYTES_MAX {
        return Err(Refusal::Damaged);
    }
    let mut header = vec![0; length as usize];
    file.fill(&mut header)?;
    serde_json::from_slice(&header).map_err(|_| Refusal::Damaged)
}

fn write_header(file: &mut Authenticated<&File>, header: &Header) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).ok().filter(|length| *length <= HEADER_BYTES_MAX);
    let length = length.ok_or(ErrorKind::FileTooLarge)?;
    file.put(&MAGIC)?;
    file.put(&FORMAT.to_le_bytes())?;
    file.put(&length.to_le_bytes())?;
    file.put(&header)
}

/// Takes memory only for what the file is long enough to hold: until the MAC is read its header is not believed.
fn read_parts(file: &mut Authenticated<File>, header: &Header) -> Result<Vec<BinaryFuse16>, Refusal> {
    let left = file.file.metadata()?.len().saturating_sub(file.file.stream_position()?);
    let fingerprints = header.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.fingerprints()));
    if fingerprints.and_then(|all| all.checked_mul(2)?.checked_add(MAC_BYTES as u64)) != Some(left) {
        return Err(Refusal::Damaged);
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut parts = Vec::with_capacity(header.parts.len());
    for part in &header.parts {
        let length = usize::try_from(part.fingerprints()).map_err(|_| Refusal::Damaged)?;
        let mut fingerprints = vec![0_u16; length].into_boxed_slice();
        for some in fingerprints.chunks_mut(CHUNK_BYTES / 2) {
            let bytes = &mut chunk[..some.len() * 2];
            file.fill(bytes)?;
            let (pairs, _) = bytes.as_chunks();
            some.iter_mut().zip(pairs).for_each(|(to, pair)| *to = u16::from_le_bytes(*pair));
        }
        parts.push(part.with(fingerprints));
    }
    Ok(parts)
}

fn write_parts(file: &mut Authenticated<&File>, filter: &Filter) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    for part in filter.parts() {
        for some in part.fingerprints.chunks(CHUNK_BYTES / 2) {
            let bytes = &mut chunk[..some.len() * 2];
            let (pairs, _) = bytes.as_chunks_mut();
            some.iter().zip(pairs).for_each(|(from, pair)| *pair = from.to_le_bytes());
            file.put(bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::domain::ids::MarkId;

    const EPOCH: &str = "00112233445566778899aabbccddeeff";

    fn mark() -> Mark {
        Mark { sequence: Sequence::new(43), id: MarkId::from_u128(7) }
    }

    fn prefixes(count: u64) -> Vec<u64> {
        (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
    }

    fn folder() -> (TempDir, FilterFolder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = FilterFolder::new(dir.path().join("snapshot"), Fingerprints::new(&[1; 32]));
        (dir, folder)
    }

    /// A folder with a small filter of three parts in it.
    fn saved() -> (TempDir, FilterFolder) {
        let (dir, folder) = folder();
        let filter = Filter::build_in_parts(prefixes(150), Sequence::new(42), 50).unwrap();
        folder.write(&filter, EPOCH, 1, mark()).unwrap();
        (dir, folder)
    }

    fn file(folder: &FilterFolder) -> PathBuf {
        folder.path.join(NAME)
    }

    fn refusal(folder: &FilterFolder) -> &'static str {
        folder.read().map(|saved| saved.is_some()).unwrap_err().reason()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(count in 0_u64..3000, part_keys in 100_usize..4000, built_at in any::<u64>()) {
            let built_at = Sequence::new(built_at);
            let (_dir, folder) = folder();
            let filter = Filter::build_in_parts(prefixes(count), built_at, part_keys).unwrap();
            folder.write(&filter, EPOCH, 1, mark()).unwrap();
            let saved = folder.read().unwrap().unwrap();
            prop_assert_eq!((saved.epoch.as_str(), saved.key_version, saved.mark), (EPOCH, 1, mark()));
            prop_assert_eq!((saved.filter.keys(), saved.filter.built_at), (count, built_at));
            prop_assert_eq!(saved.filter.parts().len(), filter.parts().len());
            for (read, written) in saved.filter.parts().iter().zip(filter.parts()) {
                prop_assert_eq!(&read.descriptor, &written.descriptor);
                prop_assert_eq!(&read.fingerprints, &written.fingerprints);
            }
            prop_assert!(prefixes(count).into_iter().all(|prefix| saved.filter.may_hold(prefix)));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let (_dir, folder) = saved();
        let whole = fs::read(file(&folder)).unwrap();
        assert!(folder.read().unwrap().is_some());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(file(&folder), changed).unwrap();
            let reason = refusal(&folder);
            let expected: &[_] = if at < 20 { &["format"] } else { &["damaged", "key_version"] };
            assert!(expected.contains(&reason), "byte {at}: {reason}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused_before_memory_is_taken_for_it() {
        let (_dir, folder) = saved();
        let whole = fs::read(file(&folder)).unwrap();
        for length in [0, 1, PREAMBLE_BYTES, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(file(&folder), &whole[..length]).unwrap();
            assert_eq!(refusal(&folder), "damaged", "{length} bytes");
        }
        fs::write(file(&folder), [&whole[..], b"x"].concat()).unwrap();
        assert_eq!(refusal(&folder), "damaged");
        let mut claims_more = whole;
        claims_more[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        fs::write(file(&folder), claims_more).unwrap();
        assert_eq!(refusal(&folder), "damaged");
    }

    #[test]
    fn a_file_of_another_service_or_format_is_refused() {
        let (_dir, mut folder) = saved();
        folder.fingerprints = Fingerprints::new(&[2; 32]);
        assert_eq!(refusal(&folder), "damaged");
        folder.fingerprints = Fingerprints::new(&[1; 32]);
        assert!(folder.read().unwrap().is_some());
        let mut older = fs::read(file(&folder)).unwrap();
        older[16..20].copy_from_slice(&0_u32.to_le_bytes());
        fs::write(file(&folder), older).unwrap();
        assert_eq!(refusal(&folder), "format");
    }

    #[test]
    fn no_file_is_no_refusal_and_no_folder_neither() {
        let (dir, folder) = folder();
        assert!(folder.read().unwrap().is_none());
        fs::create_dir(&folder.path).unwrap();
        assert!(folder.read().unwrap().is_none());
        fs::remove_dir(&folder.path).unwrap();
        fs::write(dir.path().join("snapshot"), "in its place").unwrap();
        assert_eq!(refusal(&folder), "unreadable");
        let filter = Filter::build(prefixes(3), Sequence::new(1)).unwrap();
        assert!(folder.write(&filter, EPOCH, 1, mark()).is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_for_its_owner_alone_and_unfinished_ones_go() {
        let (_dir, folder) = saved();
        let abandoned = folder.path.join(format!("{UNFINISHED}abandoned"));
        fs::write(&abandoned, "half").unwrap();
        let being_written = File::create(folder.path.join(format!("{UNFINISHED}of-another-process"))).unwrap();
        being_written.lock().unwrap();
        folder.write(&Filter::build(prefixes(9), Sequence::new(50)).unwrap(), EPOCH, 1, mark()).unwrap();
        assert_eq!(folder.read().unwrap().unwrap().filter.built_at, Sequence::new(50));
        assert_eq!(fs::metadata(file(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder.path).unwrap().permissions().mode() & 0o777, 0o700);
        let mut names: Vec<_> = fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [NAME, "unfinished-of-another-process"]);
    }
}
