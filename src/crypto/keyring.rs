//! All keys of a node, as they lie in its key folder: read at start, looked at again when they change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::act_receipt::ActSalts;
use super::audit_key::AuditKey;
use super::blind::key::BlindKey;
use super::blind::ring::BlindRing;
use super::digest::IdDigest;
use super::error::KeyError;
use super::keyfiles::{KeyFolder, Purpose};
use super::pepper::{Fingerprints, KeyVersions, Pepper, Peppers};
use super::seal::{SealError, Sealer};
use super::signing::{PublicKey, SigningKey};
use crate::domain::ids::RecordId;

/// All keys of a node.
#[derive(Debug)]
pub struct Keyring {
    folder: KeyFolder,
    /// Not read again once read: a file that was changed in place is not believed, one that was removed is kept until the end.
    peppers: ArcSwap<BTreeMap<u32, CheckedPepper>>,
    fingerprints: Fingerprints,
    sealer: Sealer,
    acts: ActSalts,
    seal_check: KeyCheck,
    /// By which numbers are evaluated for those who check blindly.
    blind: BlindRing,
    audit: AuditKey,
    audit_check: KeyCheck,
    signing: ArcSwap<SigningSet>,
    /// Of the folder when the signing keys were read: names that come and go change it.
    read_at: ArcSwap<Option<SystemTime>>,
    /// Grows with every other set of signing keys.
    signing_count: AtomicU64,
}

#[derive(Debug, Clone)]
struct CheckedPepper {
    pepper: Arc<Pepper>,
    check: KeyCheck,
}

/// The signing keys of the moment and all that are published, retired ones included.
#[derive(Debug)]
pub struct SigningSet {
    pub token: SigningKey,
    pub receipt: SigningKey,
    pub certificate: SigningKey,
    /// None in a folder without one: a service that has no registry log, or a node that needs a copy.
    pub log: Option<SigningKey>,
    pub published_tokens: Vec<PublicKey>,
    pub published_receipts: Vec<PublicKey>,
    pub published_certificates: Vec<PublicKey>,
    pub published_logs: Vec<PublicKey>,
}

impl Keyring {
    /// Reads every key of the folder.
    pub fn open(folder: KeyFolder) -> Result<Self, KeyError> {
        let peppers = read_peppers(&folder, &BTreeMap::new())?;
        if peppers.is_empty() {
            return Err(KeyError::Missing { purpose: Purpose::Pepper.as_str() });
        }
        let (seal_version, seal) = folder.secret(Purpose::Seal)?;
        let (audit_version, audit) = folder.secret(Purpose::Audit)?;
        let read_at = folder.changed_at();
        let blind = BlindRing::default();
        for (epoch, seed) in folder.blind_seeds()? {
            blind.take(BlindKey::derive(epoch, &seed)?);
        }
        Ok(Self {
            blind,
            peppers: ArcSwap::from_pointee(peppers),
            fingerprints: Fingerprints::of_seal_key(&seal),
            seal_check: KeyCheck::of(Purpose::Seal, seal_version, &seal, &[]),
            sealer: Sealer::new(&seal)?,
            acts: ActSalts::of_seal_key(&seal),
            audit_check: KeyCheck::of(Purpose::Audit, audit_version, &audit, &[]),
            audit: AuditKey::new(&audit),
            signing: ArcSwap::from_pointee(SigningSet::read(&folder)?),
            read_at: ArcSwap::from_pointee(read_at),
            signing_count: AtomicU64::new(0),
            folder,
        })
    }

    /// A pepper by its version.
    pub fn pepper(&self, version: u32) -> Result<Arc<Pepper>, KeyError> {
        let peppers = self.peppers.load();
        let found = peppers.get(&version).map(|checked| Arc::clone(&checked.pepper));
        found.ok_or(KeyError::MissingPepper { version })
    }

    /// The peppers that a store's rows are keyed by.
    pub fn peppers(&self, versions: KeyVersions) -> Result<Peppers, KeyError> {
        let previous = versions.previous.map(|version| self.pepper(version)).transpose()?;
        Ok(Peppers { current: self.pepper(versions.current)?, previous })
    }

    /// The newest pepper, used or not.
    pub fn newest_pepper(&self) -> Result<Arc<Pepper>, KeyError> {
        let peppers = self.peppers.load();
        let newest = peppers.last_key_value().map(|(_, checked)| Arc::clone(&checked.pepper));
        newest.ok_or(KeyError::Missing { purpose: Purpose::Pepper.as_str() })
    }

    /// Every version in memory, oldest first.
    pub fn pepper_versions(&self) -> Vec<u32> {
        self.peppers.load().keys().copied().collect()
    }

    /// Makes a pepper, plain or nested in an older one, and takes it up.
    pub fn create_pepper(&self, version: u32, nested_in: Option<u32>) -> Result<(), KeyError> {
        self.folder.create_pepper(version, nested_in)?;
        self.reload_peppers()
    }

    /// The check value of a pepper.
    pub fn pepper_check(&self, version: u32) -> Result<KeyCheck, KeyError> {
        let peppers = self.peppers.load();
        let found = peppers.get(&version).map(|checked| checked.check.clone());
        found.ok_or(KeyError::MissingPepper { version })
    }

    /// Forgets peppers from a version on, so that their files are read again: for one that turned out to be another store's.
    pub fn forget_peppers_from(&self, version: u32) {
        let mut kept = BTreeMap::clone(&self.peppers.load());
        kept.split_off(&version);
        self.peppers.store(Arc::new(kept));
    }

    /// Takes up peppers that were added to the folder.
    pub fn reload_peppers(&self) -> Result<(), KeyError> {
        let fresh = read_peppers(&self.folder, &self.peppers.load())?;
        if fresh.len() > self.peppers.load().len() {
            self.peppers.store(Arc::new(fresh));
        }
        Ok(())
    }

    /// Makes fingerprints that outlive every pepper.
    pub fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// What seals digests and contacts.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What makes the salts of receipts for writes.
    pub fn acts(&self) -> &ActSalts {
        &self.acts
    }

    /// The digest that a record holds sealed.
    pub fn open_digest(&self, record: RecordId, sealed: &[u8]) -> Result<IdDigest, SealError> {
        let plain = Zeroizing::new(self.sealer.open(record.as_bytes(), sealed)?);
        Ok(IdDigest::from_bytes(plain.as_slice().try_into().map_err(|_| SealError)?))
    }

    /// The blind keys.
    pub fn blind(&self) -> &BlindRing {
        &self.blind
    }

    /// The folder that the keys are from.
    pub fn folder(&self) -> &KeyFolder {
        &self.folder
    }

    /// What makes the keyed hashes of the audit log.
    pub fn audit(&self) -> &AuditKey {
        &self.audit
    }

    /// The signing keys of the moment.
    pub fn signing(&self) -> Arc<SigningSet> {
        self.signing.load_full()
    }

    /// Reads the signing keys again, after a rotation. True if the published set changed.
    pub fn reload_signing(&self) -> Result<bool, KeyError> {
        // Before the files: what comes while they are read is looked for again. A folder that cannot be read is not read for each
        // question either.
        self.read_at.store(Arc::new(self.folder.changed_at()));
        let fresh = SigningSet::read(&self.folder)?;
        let old = self.signing.load();
        let changed = fresh.published().ne(old.published());
        if changed {
            self.signing.store(Arc::new(fresh));
            self.signing_count.fetch_add(1, Ordering::Release);
        }
        Ok(changed)
    }

    /// How many sets of signing keys there were: another number later means other keys.
    pub fn signing_count(&self) -> u64 {
        self.signing_count.load(Ordering::Acquire)
    }

    /// Whether files came or went since the signing keys were read: one look at the folder itself.
    pub fn is_signing_stale(&self) -> bool {
        self.folder.changed_at() != **self.read_at.load()
    }

    /// Values by which the store recognises keys that came after the first version: the audit log's, and signing keys, those of
    /// retired ones too, from their public halves.
    pub fn later_checks(&self) -> Result<Vec<KeyCheck>, KeyError> {
        let mut checks = vec![self.audit_check.clone()];
        for purpose in self.folder.signing_purposes()? {
            for (version, key) in self.folder.public_keys(purpose)? {
                checks.push(KeyCheck { purpose, version, value: Sha256::digest(key.to_spki()).into() });
            }
        }
        Ok(checks)
    }

    /// Values that the store keeps to recognise peppers (oldest first) and seal key (last) by, without learning them.
    pub fn check_values(&self) -> Vec<KeyCheck> {
        let peppers = self.peppers.load();
        peppers.values().map(|checked| &checked.check).chain([&self.seal_check]).cloned().collect()
    }
}

/// The peppers of a folder beside those that are known already.
fn read_peppers(
    folder: &KeyFolder,
    known: &BTreeMap<u32, CheckedPepper>,
) -> Result<BTreeMap<u32, CheckedPepper>, KeyError> {
    let mut peppers = known.clone();
    for file in folder.pepper_files()? {
        if peppers.contains_key(&file.version) {
            continue;
        }
        let checked = match file.nested_in {
            None => CheckedPepper {
                pepper: Arc::new(Pepper::new(file.version, &file.secret)),
                check: KeyCheck::of(Purpose::Pepper, file.version, &file.secret, &[]),
            },
            Some(version) => {
                let inner = peppers.get(&version).ok_or(KeyError::MissingPepper { version })?;
                CheckedPepper {
                    pepper: Arc::new(Pepper::nested(file.version, &file.secret, Arc::clone(&inner.pepper))),
                    check: KeyCheck::of(Purpose::Pepper, file.version, &file.secret, &inner.check.value),
                }
            }
        };
        peppers.insert(file.version, checked);
    }
    Ok(peppers)
}

/// A value by which a store recognises a key: an HMAC under it, so that it says nothing about the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCheck {
    pub purpose: Purpose,
    pub version: u32,
    pub value: [u8; 32],
}

impl KeyCheck {
    /// `inner`: the value of the pepper that this one is nested in, so that a wrong one is noticed too.
    fn of(purpose: Purpose, version: u32, secret: &[u8; 32], inner: &[u8]) -> Self {
        let value = Fingerprints::new(secret).of("key-check", &[purpose.as_str().as_bytes(), inner]);
        Self { purpose, version, value }
    }
}

impl SigningSet {
    fn read(folder: &KeyFolder) -> Result<Self, KeyError> {
        let read = |purpose| {
            let mut key = folder.signing_key(purpose)?;
            let retired = folder.retired(purpose)?;
            if retired.contains(key.public()) {
                // Retired between the two looks, so that another one signs now; or its rotation was stopped half-way.
                key = folder.signing_key(purpose)?;
            }
            let others = retired.into_iter().filter(|retired| retired != key.public());
            let published = std::iter::once(key.public().clone()).chain(others).collect();
            Ok::<_, KeyError>((key, published))
        };
        let (token, published_tokens) = read(Purpose::Token)?;
        let (receipt, published_receipts) = read(Purpose::Receipt)?;
        let (certificate, published_certificates) = read(Purpose::Certificate)?;
        let (log, published_logs) = if folder.lacks(Purpose::Log)? {
            (None, Vec::new())
        } else {
            let (log, published) = read(Purpose::Log)?;
            (Some(log), published)
        };
        Ok(Self {
            token,
            receipt,
            certificate,
            log,
            published_tokens,
            published_receipts,
            published_certificates,
            published_logs,
        })
    }

    /// Every published key.
    pub fn published(&self) -> impl Iterator<Item = &PublicKey> {
        let certificates_and_logs = self.published_certificates.iter().chain(&self.published_logs);
        self.published_tokens.iter().chain(&self.published_receipts).chain(certificates_and_logs)
    }

    /// SHA-256 of the JWK Set document, as it is served.
    pub fn jwks_digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_jwks().to_string().as_bytes()).into()
    }

    /// The JWK Set document.
    pub fn to_jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.published().map(PublicKey::to_jwk).collect();
        serde_json::json!({ "keys": keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_published_key_is_published_once_wherever_a_rotation_was_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(dir.path().join("keys"));
        folder.create_all().unwrap();
        let keyring = Keyring::open(folder.clone()).unwrap();
        for purpose in Purpose::SIGNING {
            let path = |end: &str| dir.path().join("keys").join(format!("{}-1{end}", purpose.as_str()));
            let old = std::fs::read(path(".pem")).unwrap();
            folder.rotate_signing_key(purpose).unwrap();
            let count = |keyring: &Keyring| {
                let kids: Vec<_> = keyring.signing().published().map(|key| key.kid().to_owned()).collect();
                let once: std::collections::BTreeSet<_> = kids.iter().collect();
                assert_eq!(once.len(), kids.len(), "{purpose:?}");
                kids.len()
            };
            assert!(keyring.reload_signing().unwrap());
            let whole = count(&keyring);
            // Before the new key was made, and before the old one was removed.
            let new = dir.path().join("keys").join(format!("{}-2.pem", purpose.as_str()));
            let kept = std::fs::read(&new).unwrap();
            let write = |path: &std::path::Path, bytes: &[u8]| {
                std::fs::write(path, bytes).unwrap();
                std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            };
            write(&path(".pem"), &old);
            keyring.reload_signing().unwrap();
            assert_eq!(count(&keyring), whole);
            std::fs::remove_file(&new).unwrap();
            keyring.reload_signing().unwrap();
            assert_eq!(count(&keyring), whole - 1);
            write(&new, &kept);
            std::fs::remove_file(path(".pem")).unwrap();
            keyring.reload_signing().unwrap();
            assert_eq!(count(&keyring), whole);
        }
    }
}
