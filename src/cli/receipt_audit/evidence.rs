//! What contradicts a receipt, as a file that anybody can verify with the published keys: the receipt and what opens it, and the log with
//! all its entries. `tests/log/evidence.py` is such a verifier; docs/LOG.md has the members. It names a person: it is as sensitive as
//! the number.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reading::Log;
use super::subject::Subject;
use crate::crypto::signing::base64url;
use crate::own_files;

/// What the service answered.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) key: Option<String>,
    pub(super) public_key: Option<String>,
    pub(super) element: Option<String>,
    pub(super) proof: Option<String>,
    pub(super) s0: Option<u64>,
    pub(super) checkpoint: Option<String>,
    pub(super) base: Option<Base>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Base {
    pub(super) index: String,
    pub(super) part: String,
}

/// The file.
pub(super) fn evidence(
    subject: &Subject,
    answer: &Answer,
    logs: &[Log],
    seen: Option<&str>,
    jwks: &Path,
) -> anyhow::Result<Value> {
    let keys = own_files::read_named(jwks).with_context(|| jwks.display().to_string())?;
    let keys: Value = serde_json::from_slice(&keys).context("not a JWK Set (RFC 7517, 5)")?;
    let logs: Vec<_> =
        logs.iter().map(|log| json!({"checkpoint": log.note, "entries": base64url(&log.bundle())})).collect();
    let mut value = json!({
        "evidence": "lostcard-evidence-1", "receipt": subject.receipt, "receipt_salt": subject.salt.expose(),
        "id_digest": hex::encode(subject.digest.expose()), "logs": logs, "jwks": keys,
    });
    let start = subject.found.card_valid_from.map(|start| start.to_string());
    for (name, text) in [
        ("card_valid_from", start.as_deref()),
        ("public_key", answer.public_key.as_deref()),
        ("element", answer.element.as_deref()),
        ("proof", answer.proof.as_deref()),
        ("seen", seen),
    ] {
        if let Some(text) = text {
            value[name] = json!(text);
        }
    }
    if let Some(s0) = answer.s0 {
        value["s0"] = json!(s0);
    }
    if let Some(base) = &answer.base {
        value["base"] = json!({"index": base.index, "part": base.part});
    }
    Ok(value)
}
