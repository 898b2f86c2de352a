//! What offline verifications read: published keys, and texts from files or standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::crypto::signing::{PublicKey, from_base64url};
use crate::own_files;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    crv: Option<String>,
    x: Option<String>,
}

/// The Ed25519 keys of a JWK Set.
pub(super) fn read_keys(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = own_files::read_named(path).with_context(|| path.display().to_string())?;
    let set: Set = serde_json::from_slice(&text).context("not a JWK Set (RFC 7517, 5)")?;
    let of = |key: &Key| {
        let x = key.x.as_deref().filter(|_| key.crv.as_deref() == Some("Ed25519"))?;
        Some(PublicKey::new(from_base64url(x)?.try_into().ok()?))
    };
    Ok(set.keys.iter().filter_map(of).collect())
}

/// A text of a file; `-` for standard input.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    own_files::read_text(path).with_context(|| path.display().to_string())
}
