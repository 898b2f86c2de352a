//! Back-ups: a folder with a copy of the store, what it is of (`backup.json`), the keys if they were sealed for somebody, and the sums of
//! all files. A restore believes a back-up only whole, of a version it knows, and with keys that are the store's; it begins an epoch,
//! so that nothing that remembers the store of before takes the restored one for it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, Rfc3339};
use crate::crypto::age::{Identities, Recipient};
use crate::crypto::keyfiles::{KeyFolder, Purpose};
use crate::crypto::sealed_keys::{SealedKeysError, open_keys, seal_keys};
use crate::crypto::{KeyError, Keyring};
use crate::domain::instant::UnixMs;
use crate::own_files::{self, NewFolder};
use crate::store::copying::{Copied, fill_tables, is_empty, knows_schema, place_file};
use crate::store::restores::Restored;
use crate::store::{Store, StoreError, StoreOptions};

/// Grows when an earlier version could no longer restore what is written.
const FORMAT: u32 = 1;
const MANIFEST: &str = "backup.json";
const SUMS: &str = "SHA256SUMS";
const KEYS: &str = "keys.age";
const PIECE_BYTES: usize = 256 * 1024;

/// What a back-up is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    made_by: String,
    made_at: String,
    made_at_ms: UnixMs,
    #[serde(flatten)]
    pub copied: Copied,
    pub keys: Option<SealedKeys>,
}

/// The keys in a back-up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealedKeys {
    pub file: String,
    pub recipients: Vec<String>,
    pub files: Vec<String>,
}

/// What is read of a back-up of any version.
#[derive(Deserialize)]
struct Beginning {
    format: u32,
    made_by: String,
}

/// Why there is no back-up, or no restore.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the keys: {0}")]
    SealedKeys(#[from] SealedKeysError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0} holds no back-up: {MANIFEST} is missing")]
    None(PathBuf),
    #[error(
        "lostcard {made_by} made this back-up, and {what} that this version does not know: restore it with that version or a newer one"
    )]
    Newer { made_by: String, what: &'static str },
    #[error("the back-up is damaged: {file} {how}. Nothing was restored: take another one")]
    Damaged { file: String, how: &'static str },
    #[error("the keys of {0} are not those that the store was made with: every look-up would be wrong")]
    OtherKeys(PathBuf),
    #[error("the back-up holds no keys: name a key folder with --keys")]
    NoKeys,
    #[error("it is of PostgreSQL: name a new, empty database of PostgreSQL with --database-url")]
    NeedsDatabase,
    #[error("it is of the embedded store, which goes into the data folder: leave --database-url out")]
    NeedsNoDatabase,
    #[error("the database is not empty: make a new one (createdb), a restore never writes over anything")]
    NotEmpty,
}

impl BackupError {
    /// Whether the back-up, or a file that goes with it, is wrong: the same once more fails again.
    pub fn is_of_data(&self) -> bool {
        matches!(
            self,
            Self::SealedKeys(_)
                | Self::None(_)
                | Self::Newer { .. }
                | Self::Damaged { .. }
                | Self::OtherKeys(_)
                | Self::NoKeys
        )
    }

    /// Whether the command was given something else than it needs.
    pub fn is_of_usage(&self) -> bool {
        matches!(self, Self::NeedsDatabase | Self::NeedsNoDatabase | Self::NotEmpty)
    }
}

impl Manifest {
    /// When it was made.
    pub fn made_at(&self) -> Rfc3339 {
        Rfc3339::of(self.made_at_ms)
    }
}

/// Makes a back-up of a store that nodes may serve from; returns what it is of, and how many bytes it has.
pub async fn back_up(
    store: &Store,
    keys: Option<(&KeyFolder, &[Recipient])>,
    folder: &Path,
    clock: &Clock,
) -> Result<(Manifest, u64), BackupError> {
    let new = NewFolder::begin(folder).map_err(at(folder))?;
    let copied = store.copy_into(new.path()).await?;
    let made_at_ms = clock.now_ms();
    // After the rows: by which rows were keyed while they were copied, is there by now.
    let keys = match keys {
        None => None,
        Some((key_folder, recipients)) => {
            check_keys(key_folder, &copied)?;
            let (sealed, files) = seal_keys(key_folder, recipients)?;
            write(&new.path().join(KEYS), &sealed)?;
            let recipients = recipients.iter().map(ToString::to_string).collect();
            Some(SealedKeys { file: KEYS.to_owned(), recipients, files })
        }
    };
    let made_at = Rfc3339::of(made_at_ms).as_str().to_owned();
    let made_by = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { format: FORMAT, made_by, made_at, made_at_ms, copied, keys };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| at(folder)(error.into()))?;
    write(&new.path().join(MANIFEST), &text)?;
    let (mut sums, mut bytes) = (String::new(), 0);
    for name in names(&manifest) {
        let (sum, length) = sum_of(&new.path().join(name))?;
        sums.extend([&sum, "  ", name, "\n"]);
        bytes += length;
    }
    write(&new.path().join(SUMS), sums.as_bytes())?;
    new.finish().map_err(at(folder))?;
    Ok((manifest, bytes))
}

/// Reads a back-up, and makes sure that all of it is there as it was written.
pub fn read(folder: &Path) -> Result<Manifest, BackupError> {
    let path = folder.join(MANIFEST);
    let text = match own_files::open(&path).and_then(read_to_end) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BackupError::None(folder.to_owned()));
        }
        read => read.map_err(at(&path))?,
    };
    let damaged = |file: &str, how| BackupError::Damaged { file: file.to_owned(), how };
    // A newer version may write the rest, and the sums too, in another way.
    let begins =
        serde_json::from_slice::<Beginning>(&text).map_err(|_| damaged(MANIFEST, "is not what was written"))?;
    let newer = |what| BackupError::Newer { made_by: begins.made_by.clone(), what };
    if begins.format > FORMAT {
        return Err(newer("in a form"));
    }
    let sums = read_sums(folder)?;
    let matches = |name: &str| match sums.get(name) {
        None => Err(damaged(name, "has no sum")),
        Some(_) if !folder.join(name).exists() => Err(damaged(name, "is missing")),
        Some(expected) if sum_of(&folder.join(name))?.0 == *expected => Ok(()),
        Some(_) => Err(damaged(name, "is not what was written")),
    };
    matches(MANIFEST)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged(MANIFEST, "is not what was written"))?;
    if !knows_schema(&manifest.copied.schema) {
        return Err(newer("with tables"));
    }
    for name in names(&manifest) {
        if name.contains('/') {
            return Err(damaged(MANIFEST, "names a file elsewhere"));
        }
        matches(name)?;
    }
    Ok(manifest)
}

/// Where a restore takes the keys from, if it does.
#[derive(Debug)]
pub enum KeysFrom {
    Nowhere,
    /// A folder with the service's keys, where they stay.
    Folder(KeyFolder),
    Identities(Identities),
}

/// What a restore did.
#[derive(Debug)]
pub struct Done {
    pub former_epoch: String,
    pub epoch: String,
}

/// Makes a data folder, or that and the rows of an empty database, of a back-up that [`read`] has read.
pub async fn restore(
    (folder, manifest): (&Path, &Manifest),
    keys: KeysFrom,
    (data, options): (&Path, StoreOptions),
    clock: &Clock,
) -> Result<Done, BackupError> {
    let is_embedded = match (manifest.copied.database.as_str(), &options.url) {
        ("sqlite", None) => true,
        ("sqlite", Some(_)) => return Err(BackupError::NeedsNoDatabase),
        (_, Some(url)) if url.expose().starts_with("postgres") => false,
        _ => return Err(BackupError::NeedsDatabase),
    };
    let new = NewFolder::begin(data).map_err(at(data))?;
    match keys {
        KeysFrom::Nowhere => {}
        KeysFrom::Folder(folder) => check_keys(&folder, &manifest.copied)?,
        KeysFrom::Identities(identities) => {
            let sealed = manifest.keys.as_ref().ok_or(BackupError::NoKeys)?;
            let path = folder.join(&sealed.file);
            let sealed = own_files::open(&path).and_then(read_to_end).map_err(at(&path))?;
            let keys = KeyFolder::new(new.path().join("keys"));
            open_keys(&sealed, &identities, &keys)?;
            check_keys(&keys, &manifest.copied)?;
        }
    }
    match &options.url {
        _ if is_embedded => place_file(folder, new.path())?,
        Some(url) if is_empty(url).await? => fill_tables(url, folder, &manifest.copied).await?,
        _ => return Err(BackupError::NotEmpty),
    }
    let store = Store::open(&options, new.path()).await?;
    let restored = Restored {
        former_epoch: manifest.copied.epoch.clone(),
        sequence: manifest.copied.sequence,
        backed_up_at_ms: manifest.made_at_ms,
        restored_at_ms: clock.now_ms(),
    };
    let epoch = store.begin_restored(&restored).await?;
    store.close().await;
    new.finish().map_err(at(data))?;
    Ok(Done { former_epoch: restored.former_epoch, epoch })
}

/// Whether the keys of a folder are those that a copied store was made with.
fn check_keys(folder: &KeyFolder, copied: &Copied) -> Result<(), BackupError> {
    let keyring = Keyring::open(folder.clone())?;
    let known = |purpose: Purpose, version| {
        let mut checks = copied.key_checks.iter();
        let found = checks.find(|known| known.purpose == purpose.as_str() && known.version == version);
        found.map(|check| check.value.as_str())
    };
    for check in keyring.check_values().into_iter().chain(keyring.later_checks()?) {
        // What the store does not know yet is told at the next start.
        if known(check.purpose, check.version).is_some_and(|value| value != hex::encode(check.value)) {
            return Err(BackupError::OtherKeys(folder.path().to_owned()));
        }
    }
    for version in &copied.peppers {
        keyring.pepper(*version)?;
    }
    Ok(())
}

/// Every file that has a sum.
fn names(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let parts = manifest.copied.parts.iter().map(|part| part.file.as_str());
    let keys = manifest.keys.iter().map(|keys| keys.file.as_str());
    [MANIFEST].into_iter().chain(parts).chain(keys)
}

fn read_sums(folder: &Path) -> Result<BTreeMap<String, String>, BackupError> {
    let damaged = |how| BackupError::Damaged { file: SUMS.to_owned(), how };
    let text = own_files::open(&folder.join(SUMS)).and_then(read_to_end).map_err(|_| damaged("cannot be read"))?;
    let text = String::from_utf8(text).map_err(|_| damaged("is not what was written"))?;
    let pair = |line: &str| {
        let (sum, name) = line.split_once("  ")?;
        Some((name.to_owned(), sum.to_owned()))
    };
    text.lines().map(|line| pair(line).ok_or(damaged("is not what was written"))).collect()
}

fn sum_of(path: &Path) -> Result<(String, u64), BackupError> {
    let mut file = own_files::open(path).map_err(at(path))?;
    let (mut sum, mut length, mut piece) = (Sha256::new(), 0, vec![0; PIECE_BYTES]);
    loop {
        let read = file.read(&mut piece).map_err(at(path))?;
        if read == 0 {
            return Ok((hex::encode(sum.finalize()), length));
        }
        sum.update(&piece[..read]);
        length += read as u64;
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file = own_files::create_new(path).map_err(at(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(path))
}

fn read_to_end(mut file: std::fs::File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> BackupError + '_ {
    |source| BackupError::File { path: path.to_owned(), source }
}
