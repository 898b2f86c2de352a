//! What a snapshot holds of all numbers in a file on local disk, so that a node need not read every row when it starts: a folder
//! with one such file, exact listings or a filter. A file is read only if all of it is what a holder of the keys wrote; whether it
//! is of this store and new enough is judged in `saving`. No SQL. What follows a file's header is `disk_parts`'.
//! Form: magic, format, length of the header, header (JSON), parts, HMAC-SHA-256 of all that.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use super::disk_file::Refusal;
use super::disk_file::{Authenticated, Header, Kind, MAC_BYTES, read_header, write_header};
use super::disk_parts::{self, ExactPart, FilterPart};
use super::snapshot::Base;
use crate::crypto::pepper::Fingerprints;
use crate::own_files;
use crate::store::feed::Mark;

const FILTER: Kind = Kind { name: "filter", magic: *b"lostcard filter\n", label: "filter file" };
const EXACT: Kind = Kind { name: "exact", magic: *b"lostcard listed\n", label: "file of listings" };
const UNFINISHED: &str = "unfinished-";

/// What was saved, and the moment of the store that it was built from.
#[derive(Debug)]
pub struct Saved {
    pub(super) base: Base,
    pub epoch: String,
    /// The pepper that new rows were keyed with.
    pub key_version: u32,
    /// Put into the feed after it was built.
    pub mark: Mark,
}

/// The folder with the saved file. Several processes may share it.
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

    /// What was saved; None: there is none. Exact listings are taken if they have so many bytes at most. Takes the memory of what
    /// is read and a chunk.
    pub fn read(&self, exact_bytes_max: u64) -> Result<Option<Saved>, Refusal> {
        if let Some(file) = self.open(&EXACT, exact_bytes_max)? {
            return self.read_file::<ExactPart>(file, &EXACT, disk_parts::read_exact).map(Some);
        }
        let Some(file) = self.open(&FILTER, u64::MAX)? else { return Ok(None) };
        self.read_file::<FilterPart>(file, &FILTER, disk_parts::read_filter).map(Some)
    }

    fn open(&self, kind: &Kind, bytes_max: u64) -> Result<Option<File>, Refusal> {
        let file = match own_files::open(&self.path.join(kind.name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        Ok(Some(file).filter(|_| bytes_max > 0).filter(|file| {
            // One whose size is not told is opened, and refused.
            file.metadata().map_or(true, |metadata| metadata.len() <= bytes_max)
        }))
    }

    fn read_file<P: DeserializeOwned>(
        &self,
        file: File,
        kind: &Kind,
        read_parts: impl Fn(&mut Authenticated<File>, &Header<P>) -> Result<Base, Refusal>,
    ) -> Result<Saved, Refusal> {
        let mut file = Authenticated { file, mac: self.fingerprints.begin(kind.label) };
        let header = read_header(&mut file, kind)?;
        let base = read_parts(&mut file, &header)?;
        let Authenticated { mut file, mac } = file;
        let mut expected = [0; MAC_BYTES];
        file.read_exact(&mut expected)?;
        if !mac.is(&expected) {
            return Err(Refusal::Damaged);
        }
        Ok(Saved { base, epoch: header.epoch, key_version: header.key_version, mark: header.mark })
    }

    /// Saves it in place of the last one, of whatever kind that was: whole and durable, or not at all.
    pub(super) fn write(&self, base: &Base, epoch: &str, key_version: u32, mark: Mark) -> io::Result<()> {
        own_files::create_folder(&self.path)?;
        self.remove_unfinished()?;
        // Made with mode 0600 and a name of its own. The lock tells other processes that it is being written.
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        unfinished.as_file().lock()?;
        let (kind, other) = if matches!(base, Base::Exact(_)) { (&EXACT, &FILTER) } else { (&FILTER, &EXACT) };
        let mut file = Authenticated { file: unfinished.as_file(), mac: self.fingerprints.begin(kind.label) };
        let (epoch, built_at, keys) = (epoch.to_owned(), base.built_at(), base.keys());
        match base {
            Base::Exact(exact) => {
                let parts = disk_parts::of_exact(exact);
                write_header(&mut file, kind, &Header { epoch, built_at, mark, key_version, keys, parts })?;
                disk_parts::write_exact(&mut file, exact)?;
            }
            Base::Filter(filter) => {
                let parts = disk_parts::of_filter(filter);
                write_header(&mut file, kind, &Header { epoch, built_at, mark, key_version, keys, parts })?;
                disk_parts::write_filter(&mut file, filter)?;
            }
        }
        let Authenticated { mut file, mac } = file;
        file.write_all(&mac.finish())?;
        file.sync_all()?;
        unfinished.persist(self.path.join(kind.name)).map_err(|error| error.error)?;
        // One that is older is no worse than none.
        let _ = std::fs::remove_file(self.path.join(other.name));
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::disk_file::PREAMBLE_BYTES;
    use super::super::exact::{Exact, ExactBuilder};
    use super::super::filter::Filter;
    use super::*;
    use crate::crypto::digest::LookupKey;
    use crate::crypto::pepper::KeyVersions;
    use crate::domain::ids::MarkId;
    use crate::domain::sequence::Sequence;
    use crate::domain::verdict::Record;

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

    /// A filter of small parts.
    fn filter(count: u64, part_keys: usize, built_at: u64) -> Base {
        Base::Filter(Filter::build_in_parts(prefixes(count), Sequence::new(built_at), part_keys).unwrap().into())
    }

    fn key(n: u64) -> LookupKey {
        LookupKey::from_halves((n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n))
    }

    fn exact(count: u64, built_at: u64) -> Base {
        let mut builder = ExactBuilder::new(usize::try_from(count).unwrap());
        let day = jiff::civil::date(2026, 11, 2);
        for n in 0..count {
            builder.push(&key(n), &Record::Replacement { card_valid_from: day, recorded_on: day });
        }
        Base::Exact(builder.build(Sequence::new(built_at), KeyVersions { current: 1, previous: None }).into())
    }

    /// A folder with a small file in it, of either kind.
    fn saved(base: &Base) -> (TempDir, FilterFolder) {
        let (dir, folder) = folder();
        folder.write(base, EPOCH, 1, mark()).unwrap();
        (dir, folder)
    }

    fn both() -> [Base; 2] {
        [filter(150, 50, 42), exact(150, 42)]
    }

    fn file(folder: &FilterFolder) -> PathBuf {
        let exact = folder.path.join(EXACT.name);
        if exact.exists() { exact } else { folder.path.join(FILTER.name) }
    }

    fn refusal(folder: &FilterFolder) -> &'static str {
        folder.read(1 << 30).map(|saved| saved.is_some()).unwrap_err().reason()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(count in 0_u64..3000, part_keys in 100_usize..4000, built_at in any::<u64>()) {
            for base in [filter(count, part_keys, built_at), exact(count, built_at)] {
                let (_dir, folder) = saved(&base);
                let read = folder.read(1 << 30).unwrap().unwrap();
                prop_assert_eq!((read.epoch.as_str(), read.key_version, read.mark), (EPOCH, 1, mark()));
                prop_assert_eq!((read.base.keys(), read.base.built_at()), (count, Sequence::new(built_at)));
                match (&read.base, &base) {
                    (Base::Filter(read), Base::Filter(written)) => {
                        prop_assert_eq!(read.parts().len(), written.parts().len());
                        for (read, written) in read.parts().iter().zip(written.parts()) {
                            prop_assert_eq!(&read.descriptor, &written.descriptor);
                            prop_assert_eq!(&read.fingerprints, &written.fingerprints);
                        }
                        prop_assert!(prefixes(count).into_iter().all(|prefix| read.may_hold(prefix)));
                    }
                    (Base::Exact(read), Base::Exact(written)) => {
                        prop_assert!((0..count).all(|n| read.find(&key(n)).unwrap().is_some()));
                        let bytes = |exact: &Exact| exact.parts().iter().map(|part| part.bytes().to_vec()).collect::<Vec<_>>();
                        prop_assert_eq!(bytes(read), bytes(written));
                    }
                    _ => prop_assert!(false, "another kind"),
                }
            }
        }
    }

    #[test]
    fn exact_listings_are_taken_as_far_as_there_is_memory_for_them() {
        let (_dir, folder) = saved(&exact(150, 42));
        assert!(folder.read(0).unwrap().is_none() && folder.read(1000).unwrap().is_none());
        assert!(folder.read(10_000).unwrap().is_some());
        folder.write(&filter(150, 50, 43), EPOCH, 1, mark()).unwrap();
        for exact_bytes_max in [0, 10_000] {
            let read = folder.read(exact_bytes_max).unwrap().unwrap();
            assert!(matches!(read.base, Base::Filter(_)), "what was there before is gone");
        }
        folder.write(&exact(150, 44), EPOCH, 1, mark()).unwrap();
        assert!(folder.read(0).unwrap().is_none());
        assert_eq!(folder.read(10_000).unwrap().unwrap().base.built_at(), Sequence::new(44));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for base in both() {
            let (_dir, folder) = saved(&base);
            let whole = fs::read(file(&folder)).unwrap();
            assert!(folder.read(1 << 30).unwrap().is_some());
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 1 << (at % 8);
                fs::write(file(&folder), changed).unwrap();
                let reason = refusal(&folder);
                let expected: &[_] = if at < 20 { &["format"] } else { &["damaged", "key_version"] };
                assert!(expected.contains(&reason), "byte {at}: {reason}");
            }
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused_before_memory_is_taken_for_it() {
        for base in both() {
            let (_dir, folder) = saved(&base);
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
    }

    #[test]
    fn a_file_of_another_service_or_format_is_refused() {
        for base in both() {
            let (_dir, mut folder) = saved(&base);
            folder.fingerprints = Fingerprints::new(&[2; 32]);
            assert_eq!(refusal(&folder), "damaged");
            folder.fingerprints = Fingerprints::new(&[1; 32]);
            assert!(folder.read(1 << 30).unwrap().is_some());
            let mut older = fs::read(file(&folder)).unwrap();
            older[16..20].copy_from_slice(&0_u32.to_le_bytes());
            fs::write(file(&folder), older).unwrap();
            assert_eq!(refusal(&folder), "format");
        }
    }

    #[test]
    fn no_file_is_no_refusal_and_no_folder_neither() {
        let (dir, folder) = folder();
        assert!(folder.read(1 << 30).unwrap().is_none());
        fs::create_dir(&folder.path).unwrap();
        assert!(folder.read(1 << 30).unwrap().is_none());
        fs::remove_dir(&folder.path).unwrap();
        fs::write(dir.path().join("snapshot"), "in its place").unwrap();
        assert_eq!(refusal(&folder), "unreadable");
        assert!(folder.write(&filter(3, 50, 1), EPOCH, 1, mark()).is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_for_its_owner_alone_and_unfinished_ones_go() {
        let (_dir, folder) = saved(&filter(150, 50, 42));
        let abandoned = folder.path.join(format!("{UNFINISHED}abandoned"));
        fs::write(&abandoned, "half").unwrap();
        let being_written = File::create(folder.path.join(format!("{UNFINISHED}of-another-process"))).unwrap();
        being_written.lock().unwrap();
        folder.write(&filter(9, 50, 50), EPOCH, 1, mark()).unwrap();
        assert_eq!(folder.read(1 << 30).unwrap().unwrap().base.built_at(), Sequence::new(50));
        assert_eq!(fs::metadata(file(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder.path).unwrap().permissions().mode() & 0o777, 0o700);
        let mut names: Vec<_> = fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [FILTER.name, "unfinished-of-another-process"]);
    }
}
