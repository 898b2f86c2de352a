//! Why keys cannot be used. Names files, never what is in them.

use std::path::PathBuf;

use super::blind::key::BlindKeyError;
use super::{random, seal};
use crate::own_files::TooOpen;

/// The key folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("key folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("key file {path} {why}: chmod 600 it, and rotate the key if others have read it")]
    TooOpen { path: PathBuf, why: TooOpen },
    #[error("key folder {path} {why}: chmod 700 it, and rotate the keys if others have read them")]
    FolderTooOpen { path: PathBuf, why: TooOpen },
    #[error("key file {path} does not hold a key of its kind")]
    Malformed { path: PathBuf },
    #[error("the key folder holds no {purpose} key")]
    Missing { purpose: &'static str },
    #[error("the key folder holds no pepper-{version}.key, which the store's rows need: copy it from another node's")]
    MissingPepper { version: u32 },
    #[error("pepper-{version}.key of the key folder is not the pepper {version} that the store knows")]
    ForeignPepper { version: u32 },
    #[error(transparent)]
    NoRandomness(#[from] random::NoRandomness),
    #[error(transparent)]
    Blind(#[from] BlindKeyError),
    #[error("the seal key cannot be used")]
    Seal(#[from] seal::SealError),
}
