//! Secrets of clients: made here once, kept as a hash.

use sha2::{Digest, Sha256};

use super::random::{self, NoRandomness};
use super::signing::base64url;
use crate::domain::redacted::SecretText;

/// 256 random bits behind a prefix that secret scanners can learn.
pub fn new_secret() -> Result<SecretText, NoRandomness> {
    Ok(format!("lcs_{}", base64url(&random::key_bytes::<32>()?)).into())
}

/// What the store keeps of a secret.
pub fn hash_secret(secret: &SecretText) -> [u8; 32] {
    Sha256::digest(secret.expose().as_bytes()).into()
}
