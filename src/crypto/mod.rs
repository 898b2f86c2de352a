//! Keys and what is done with them. Invariants: no secret leaves this layer but through a key file; `Debug` shows none;
//! every purpose has its own key; a key of the wrong store is noticed before it is used (`Keyring::check_values`).
//! Knows neither SQL nor HTTP.

pub mod digest;
pub mod keyfiles;
pub mod random;
pub mod receipt;
pub mod seal;
pub mod signing;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use digest::Pepper;
use keyfiles::{KeyFolder, Purpose};
use seal::Sealer;
use signing::{PublicKey, SigningKey};

/// The key folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("key folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(
        "key file {path} can be read by others (mode {mode:o}): chmod 600 it, and rotate the key if others have read it"
    )]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("key file {path} does not hold a key of its kind")]
    Malformed { path: PathBuf },
    #[error("the key folder holds no {purpose} key")]
    Missing { purpose: &'static str },
    #[error(transparent)]
    NoRandomness(#[from] random::NoRandomness),
    #[error("the seal key cannot be used")]
    Seal(#[from] seal::SealError),
}

/// All keys of a node.
#[derive(Debug)]
pub struct Keyring {
    folder: KeyFolder,
    pepper: Pepper,
    sealer: Sealer,
    signing: ArcSwap<SigningSet>,
    check_values: [KeyCheck; 2],
}

/// The signing keys of the moment and all that are published, retired ones included.
#[derive(Debug)]
pub struct SigningSet {
    pub token: SigningKey,
    pub receipt: SigningKey,
    pub published_tokens: Vec<PublicKey>,
    pub published_receipts: Vec<PublicKey>,
}

impl Keyring {
    /// Reads every key of the folder.
    pub fn open(folder: KeyFolder) -> Result<Self, KeyError> {
        let (version, pepper) = folder.secret(Purpose::Pepper)?;
        let (seal_version, seal) = folder.secret(Purpose::Seal)?;
        let check_values =
            [KeyCheck::of(Purpose::Pepper, version, &pepper), KeyCheck::of(Purpose::Seal, seal_version, &seal)];
        let signing = ArcSwap::from_pointee(SigningSet::read(&folder)?);
        Ok(Self { pepper: Pepper::new(version, &pepper), sealer: Sealer::new(&seal)?, signing, check_values, folder })
    }

    /// The pepper of lookup keys.
    pub fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// What seals digests and contacts.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The signing keys of the moment.
    pub fn signing(&self) -> Arc<SigningSet> {
        self.signing.load_full()
    }

    /// Reads the signing keys again, after a rotation. True if the published set changed.
    pub fn reload_signing(&self) -> Result<bool, KeyError> {
        let fresh = SigningSet::read(&self.folder)?;
        let old = self.signing.load();
        let changed = fresh.published().ne(old.published());
        if changed {
            self.signing.store(Arc::new(fresh));
        }
        Ok(changed)
    }

    /// Values that the store keeps to recognise pepper and seal key by, without learning them.
    pub fn check_values(&self) -> &[KeyCheck; 2] {
        &self.check_values
    }
}

/// A value by which a store recognises a key: an HMAC under it, so that it tells nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCheck {
    pub purpose: Purpose,
    pub version: u32,
    pub value: [u8; 32],
}

impl KeyCheck {
    fn of(purpose: Purpose, version: u32, secret: &[u8; 32]) -> Self {
        let value = Pepper::new(version, secret).fingerprint("key-check", &[purpose.as_str().as_bytes()]);
        Self { purpose, version, value }
    }
}

impl SigningSet {
    fn read(folder: &KeyFolder) -> Result<Self, KeyError> {
        let (token, receipt) = (folder.signing_key(Purpose::Token)?, folder.signing_key(Purpose::Receipt)?);
        let mut published_tokens = vec![token.public().clone()];
        published_tokens.extend(folder.retired(Purpose::Token)?);
        let mut published_receipts = vec![receipt.public().clone()];
        published_receipts.extend(folder.retired(Purpose::Receipt)?);
        Ok(Self { token, receipt, published_tokens, published_receipts })
    }

    /// Every published key.
    pub fn published(&self) -> impl Iterator<Item = &PublicKey> {
        self.published_tokens.iter().chain(&self.published_receipts)
    }

    /// The JWK Set document.
    pub fn to_jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.published().map(PublicKey::to_jwk).collect();
        serde_json::json!({ "keys": keys })
    }
}
