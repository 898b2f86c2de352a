//! The key folder: one file a key, `<purpose>-<version>.key|.pem|.pub.pem`. Folder and files, public halves too, are refused where
//! others can read or change them (`own_files`).
//! Reads, makes and rotates files; what the keys do is in the sibling modules. Never prints what a file holds.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::error::KeyError;
use super::random;
use super::signing::{KeyFormatError, PublicKey, SigningKey, base64url, from_base64url};
use crate::own_files;

/// What a key is for; also the start of its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Turns digests into lookup keys.
    Pepper,
    /// Seals digests and contacts.
    Seal,
    /// Makes the keyed hashes of the audit log.
    Audit,
    /// Evaluates numbers for those who check blindly; one an epoch.
    Blind,
    /// Signs access tokens.
    Token,
    /// Signs receipts.
    Receipt,
    /// Signs temporary identification certificates.
    Certificate,
    /// Signs the checkpoints of the registry log.
    Log,
    /// Cosigns those of others' logs, in a folder of its own.
    Witness,
}

impl Purpose {
    /// Those that every service signs with, and whose public halves are published.
    pub const SIGNING: [Self; 3] = [Self::Token, Self::Receipt, Self::Certificate];

    /// All of them, in the order in which people read about them.
    pub const ALL: [Self; 9] = [
        Self::Pepper,
        Self::Seal,
        Self::Audit,
        Self::Blind,
        Self::Token,
        Self::Receipt,
        Self::Certificate,
        Self::Log,
        Self::Witness,
    ];

    /// Whether it is a pair of keys. Its public half is published.
    pub fn signs(self) -> bool {
        Self::SIGNING.contains(&self) || matches!(self, Self::Log | Self::Witness)
    }

    /// The word in file names and in the store's key checks.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pepper => "pepper",
            Self::Seal => "seal",
            Self::Audit => "audit",
            Self::Blind => "blind",
            Self::Token => "token",
            Self::Receipt => "receipt",
            Self::Certificate => "certificate",
            Self::Log => "log",
            Self::Witness => "witness",
        }
    }
}

/// The first line of a nested pepper's file, before the version that it is nested in.
const NESTED: &str = "nested in pepper ";

/// The file by which a sandbox's folder is known.
const SANDBOX_MARK: &str = "sandbox";

/// A pepper as its file holds it.
pub struct PepperFile {
    pub version: u32,
    pub nested_in: Option<u32>,
    pub secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for PepperFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PepperFile({}, redacted)", self.version)
    }
}

/// What a blind key is derived from.
pub type Seed = Zeroizing<[u8; 32]>;

/// The folder with the service's keys.
#[derive(Debug, Clone)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Names a folder; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Whether it holds no key at all (or does not exist): the state of a first start.
    pub fn is_empty(&self) -> bool {
        let is_mark =
            |entry: &std::io::Result<fs::DirEntry>| entry.as_ref().is_ok_and(|it| it.file_name() == SANDBOX_MARK);
        fs::read_dir(&self.0).map_or(true, |entries| entries.filter(|entry| !is_mark(entry)).count() == 0)
    }

    /// When a file of it last came or went, by its file system; none where that cannot be told.
    pub fn changed_at(&self) -> Option<SystemTime> {
        fs::metadata(&self.0).and_then(|folder| folder.modified()).ok()
    }

    /// Whether its keys are a sandbox's.
    pub fn is_sandbox(&self) -> bool {
        self.0.join(SANDBOX_MARK).exists()
    }

    /// Makes the folder, before there are keys in it, a sandbox's.
    pub fn mark_as_sandbox(&self) -> Result<(), KeyError> {
        own_files::create_folder(&self.0).map_err(|error| self.io(error))?;
        if !self.is_sandbox() {
            self.write_new(
                SANDBOX_MARK,
                b"The keys of this folder are a sandbox's. No production starts with them.\n",
            )?;
        }
        self.sync()
    }

    /// Makes the folder and one key of each purpose.
    pub fn create_all(&self) -> Result<(), KeyError> {
        own_files::claim_folder(&self.0).map_err(|error| self.io(error))?;
        for purpose in [Purpose::Pepper, Purpose::Seal, Purpose::Audit] {
            self.write_secret(purpose, 1, "")?;
        }
        for purpose in Purpose::SIGNING {
            self.write_signing_key(purpose, 1)?;
        }
        self.sync()
    }

    /// Whether it holds no key of a purpose that came after the first version, retired or not. A folder made before has none.
    pub fn lacks(&self, purpose: Purpose) -> Result<bool, KeyError> {
        for end in [".key", ".pem", ".pub.pem"] {
            if self.newest(purpose, end)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What it has signing keys of that are published: the registry log's only where there is one.
    pub fn signing_purposes(&self) -> Result<Vec<Purpose>, KeyError> {
        let log = (!self.lacks(Purpose::Log)?).then_some(Purpose::Log);
        Ok(Purpose::SIGNING.into_iter().chain(log).collect())
    }

    /// Makes the first key of a purpose.
    pub fn create_first(&self, purpose: Purpose) -> Result<(), KeyError> {
        if purpose.signs() {
            self.write_signing_key(purpose, 1)?;
        } else {
            self.write_secret(purpose, 1, "")?;
        }
        self.sync()
    }

    /// The secret of a purpose that has one: its version and 32 bytes.
    pub fn secret(&self, purpose: Purpose) -> Result<(u32, Zeroizing<[u8; 32]>), KeyError> {
        let (version, path) = self.newest(purpose, ".key")?.ok_or(KeyError::Missing { purpose: purpose.as_str() })?;
        let text = self.read_private(&path)?;
        let secret = parse_secret(&text).ok_or_else(|| KeyError::Malformed { path: path.clone() })?;
        Ok((version, secret))
    }

    /// Every pepper, oldest first.
    pub fn pepper_files(&self) -> Result<Vec<PepperFile>, KeyError> {
        let mut files = self.files(Purpose::Pepper, ".key")?;
        files.sort_unstable();
        let read = |(version, path): (u32, PathBuf)| {
            let text = self.read_private(&path)?;
            let (nested_in, secret) = match text.strip_prefix(NESTED) {
                None => (None, parse_secret(&text)),
                Some(rest) => {
                    let (inner, secret) = rest.split_once('\n').unwrap_or_default();
                    // Older ones alone, so that no pepper is nested in itself.
                    let inner = inner.trim().parse().ok().filter(|inner| *inner < version);
                    (inner, parse_secret(secret).filter(|_| inner.is_some()))
                }
            };
            let secret = secret.ok_or(KeyError::Malformed { path })?;
            Ok(PepperFile { version, nested_in, secret })
        };
        files.into_iter().map(read).collect()
    }

    /// Makes a pepper, plain or nested in an older one.
    pub fn create_pepper(&self, version: u32, nested_in: Option<u32>) -> Result<(), KeyError> {
        let nested = nested_in.map_or_else(String::new, |inner| format!("{NESTED}{inner}\n"));
        self.write_secret(Purpose::Pepper, version, &nested)?;
        self.sync()
    }

    /// The seeds of blind keys, by epoch.
    pub fn blind_seeds(&self) -> Result<Vec<(u32, Seed)>, KeyError> {
        let read = |(epoch, path): (u32, PathBuf)| {
            let seed = parse_secret(&self.read_private(&path)?).ok_or(KeyError::Malformed { path })?;
            Ok((epoch, seed))
        };
        self.files(Purpose::Blind, ".key")?.into_iter().map(read).collect()
    }

    /// Makes the seed of an epoch, unless it is there.
    pub fn create_blind(&self, epoch: u32) -> Result<Seed, KeyError> {
        let own = |seeds: Vec<(u32, _)>| seeds.into_iter().find(|(other, _)| *other == epoch).map(|(_, seed)| seed);
        if let Some(seed) = own(self.blind_seeds()?) {
            return Ok(seed);
        }
        self.write_secret(Purpose::Blind, epoch, "")?;
        self.sync()?;
        own(self.blind_seeds()?).ok_or(KeyError::Missing { purpose: Purpose::Blind.as_str() })
    }

    /// Removes the seed of an epoch that is over, if it is there.
    pub fn remove_blind(&self, epoch: u32) -> Result<(), KeyError> {
        match fs::remove_file(self.0.join(format!("{}-{epoch}.key", Purpose::Blind.as_str()))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.io(error)),
            _ => self.sync(),
        }
    }

    /// The signing key of the highest version.
    pub fn signing_key(&self, purpose: Purpose) -> Result<SigningKey, KeyError> {
        let (_, path) = self.newest(purpose, ".pem")?.ok_or(KeyError::Missing { purpose: purpose.as_str() })?;
        let text = self.read_private(&path)?;
        let malformed = |_| KeyError::Malformed { path: path.clone() };
        let der = pem::parse(text.as_bytes()).map_err(|_| KeyFormatError).map_err(malformed)?;
        SigningKey::from_pkcs8(der.contents()).map_err(malformed)
    }

    /// The public halves of all signing keys of a purpose, by version.
    pub fn public_keys(&self, purpose: Purpose) -> Result<Vec<(u32, PublicKey)>, KeyError> {
        let (version, _) = self.newest(purpose, ".pem")?.ok_or(KeyError::Missing { purpose: purpose.as_str() })?;
        let mut keys = vec![(version, self.signing_key(purpose)?.public().clone())];
        keys.extend(self.retired_by_version(purpose)?);
        Ok(keys)
    }

    /// The public keys of retired signing keys.
    pub fn retired(&self, purpose: Purpose) -> Result<Vec<PublicKey>, KeyError> {
        Ok(self.retired_by_version(purpose)?.into_iter().map(|(_, key)| key).collect())
    }

    fn retired_by_version(&self, purpose: Purpose) -> Result<Vec<(u32, PublicKey)>, KeyError> {
        let mut keys = Vec::new();
        for (version, path) in self.files(purpose, ".pub.pem")? {
            let malformed = |_| KeyError::Malformed { path: path.clone() };
            let text = self.read_private(&path)?;
            let der = pem::parse(text.as_bytes()).map_err(|_| KeyFormatError).map_err(malformed)?;
            keys.push((version, PublicKey::from_spki(der.contents()).map_err(malformed)?));
        }
        Ok(keys)
    }

    /// Makes the next signing key and leaves of the old one only its public half: what it signed stays verifiable,
    /// and nobody can sign with it any more.
    pub fn rotate_signing_key(&self, purpose: Purpose) -> Result<(u32, String), KeyError> {
        let (version, path) = self.newest(purpose, ".pem")?.ok_or(KeyError::Missing { purpose: purpose.as_str() })?;
        let old = self.signing_key(purpose)?;
        let public = pem::encode(&pem::Pem::new("PUBLIC KEY", old.public().to_spki()));
        let name = format!("{}-{version}.pub.pem", purpose.as_str());
        // A rotation that stopped here before continues.
        let path_of_public = self.0.join(&name);
        if !path_of_public.exists() || *self.read_private(&path_of_public)? != public {
            self.write_new(&name, public.as_bytes())?;
        }
        let kid = self.write_signing_key(purpose, version + 1)?;
        self.sync()?;
        fs::remove_file(&path).map_err(|error| self.io(error))?;
        self.sync()?;
        Ok((version + 1, kid))
    }

    /// Every file of it by name, as it is, but for the keys of blind checks: their seeds lie sealed in the store, too.
    pub fn read_all(&self) -> Result<Vec<(String, Zeroizing<String>)>, KeyError> {
        let mut paths = vec![self.0.join(SANDBOX_MARK)];
        paths.retain(|path| path.exists());
        for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Blind) {
            for end in [".key", ".pem", ".pub.pem"] {
                paths.extend(self.files(purpose, end)?.into_iter().map(|(_, path)| path));
            }
        }
        paths.sort();
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        paths.iter().map(|path| Ok((name(path), self.read_private(path)?))).collect()
    }

    /// Makes the folder, with files that [`Self::read_all`] read elsewhere.
    pub fn create_from(&self, files: &[(String, Zeroizing<String>)]) -> Result<(), KeyError> {
        own_files::claim_folder(&self.0).map_err(|error| self.io(error))?;
        for (name, text) in files {
            let is_name =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
            if !is_name || name.starts_with('.') {
                return Err(KeyError::Malformed { path: self.0.clone() });
            }
            self.write_new(name, text.as_bytes())?;
        }
        self.sync()
    }

    fn write_secret(&self, purpose: Purpose, version: u32, before: &str) -> Result<(), KeyError> {
        let secret = Zeroizing::new(random::key_bytes::<32>()?);
        let text = Zeroizing::new(format!("{before}{}\n", base64url(secret.as_slice())));
        self.write_new(&format!("{}-{version}.key", purpose.as_str()), text.as_bytes())
    }

    fn write_signing_key(&self, purpose: Purpose, version: u32) -> Result<String, KeyError> {
        let key = SigningKey::generate().map_err(|_| KeyError::NoRandomness(random::NoRandomness))?;
        let text = Zeroizing::new(pem::encode(&pem::Pem::new("PRIVATE KEY", key.pkcs8())));
        self.write_new(&format!("{}-{version}.pem", purpose.as_str()), text.as_bytes())?;
        Ok(key.public().kid().to_owned())
    }

    fn newest(&self, purpose: Purpose, suffix: &str) -> Result<Option<(u32, PathBuf)>, KeyError> {
        Ok(self.files(purpose, suffix)?.into_iter().max_by_key(|(version, _)| *version))
    }

    fn files(&self, purpose: Purpose, suffix: &str) -> Result<Vec<(u32, PathBuf)>, KeyError> {
        let judged = own_files::judge_folder(&self.0).map_err(|error| self.io(error))?;
        judged.map_err(|why| KeyError::FolderTooOpen { path: self.0.clone(), why })?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(|error| self.io(error))? {
            let path = entry.map_err(|error| self.io(error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let version = name
                .strip_prefix(purpose.as_str())
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.strip_suffix(suffix))
                .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok());
            if let Some(version) = version {
                found.push((version, path));
            }
        }
        Ok(found)
    }

    fn read_private(&self, path: &Path) -> Result<Zeroizing<String>, KeyError> {
        let read = own_files::read_secret(path).map_err(|error| self.io(error))?;
        read.map_err(|why| KeyError::TooOpen { path: path.to_owned(), why })
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
        let mut file = own_files::create_new(&self.0.join(name)).map_err(|error| self.io(error))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| self.io(error))
    }

    /// Makes new names durable: a key that vanished in a power cut would lock the registry out.
    pub(super) fn sync(&self) -> Result<(), KeyError> {
        own_files::sync_folder(&self.0).map_err(|error| self.io(error))
    }

    pub(super) fn io(&self, source: std::io::Error) -> KeyError {
        KeyError::Folder { path: self.0.clone(), source }
    }
}

fn parse_secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(from_base64url(text.trim())?);
    Some(Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::own_files::TooOpen;

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(dir.path().join("keys"));
        folder.create_all().unwrap();
        (dir, folder)
    }

    #[test]
    fn no_purpose_is_left_out_of_the_list_of_all() {
        // A new one does not compile until it has its place here.
        let place = |purpose| match purpose {
            Purpose::Pepper => 0,
            Purpose::Seal => 1,
            Purpose::Audit => 2,
            Purpose::Blind => 3,
            Purpose::Token => 4,
            Purpose::Receipt => 5,
            Purpose::Certificate => 6,
            Purpose::Log => 7,
            Purpose::Witness => 8,
        };
        assert_eq!(Purpose::ALL.map(place), std::array::from_fn(|at| at));
    }

    #[test]
    fn keys_are_made_for_their_owner_alone() {
        let (_dir, folder) = folder();
        for entry in fs::read_dir(&folder.0).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let peppers = folder.pepper_files().unwrap();
        assert_eq!((peppers.len(), peppers[0].version, peppers[0].nested_in), (1, 1, None));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, folder) = folder();
        let open =
            |name: &str, mode| fs::set_permissions(folder.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
        open("pepper-1.key", 0o640);
        assert!(matches!(folder.pepper_files(), Err(KeyError::TooOpen { why: TooOpen::Mode(0o640), .. })));
        folder.rotate_signing_key(Purpose::Receipt).unwrap();
        open("receipt-1.pub.pem", 0o644);
        assert!(matches!(folder.retired(Purpose::Receipt), Err(KeyError::TooOpen { .. })), "a public half, too");
        open("", 0o750);
        assert!(matches!(folder.secret(Purpose::Seal), Err(KeyError::FolderTooOpen { why: TooOpen::Mode(0o750), .. })));
    }

    #[test]
    fn a_damaged_or_missing_key_is_refused() {
        let (_dir, folder) = folder();
        fs::write(folder.0.join("seal-1.key"), "AAAA").unwrap();
        assert!(matches!(folder.secret(Purpose::Seal), Err(KeyError::Malformed { .. })));
        fs::remove_file(folder.0.join("token-1.pem")).unwrap();
        assert!(matches!(folder.signing_key(Purpose::Token), Err(KeyError::Missing { purpose: "token" })));
    }

    #[test]
    fn a_nested_pepper_names_the_older_one() {
        let (_dir, folder) = folder();
        folder.create_pepper(2, Some(1)).unwrap();
        folder.create_pepper(10, None).unwrap();
        let read: Vec<_> =
            folder.pepper_files().unwrap().iter().map(|pepper| (pepper.version, pepper.nested_in)).collect();
        assert_eq!(read, [(1, None), (2, Some(1)), (10, None)]);
        assert!(folder.create_pepper(2, None).is_err(), "no key is ever overwritten");
        let good = fs::read_to_string(folder.0.join("pepper-2.key")).unwrap();
        for bad in [good.replace("pepper 1", "pepper 2"), good.replace("pepper 1", "pepper x"), good.replace('\n', "")]
        {
            fs::write(folder.0.join("pepper-2.key"), bad).unwrap();
            assert!(matches!(folder.pepper_files(), Err(KeyError::Malformed { .. })));
        }
    }

    #[test]
    fn rotation_keeps_only_the_public_half_of_the_old_key() {
        let (_dir, folder) = folder();
        let old = folder.signing_key(Purpose::Receipt).unwrap();
        let (version, kid) = folder.rotate_signing_key(Purpose::Receipt).unwrap();
        assert_eq!(version, 2);
        assert_eq!(folder.signing_key(Purpose::Receipt).unwrap().public().kid(), kid);
        assert_eq!(folder.retired(Purpose::Receipt).unwrap(), [old.public().clone()]);
        assert!(!folder.0.join("receipt-1.pem").exists());
    }
}
