//! A node's own eye on the log: where it had seen it end, and whether what it finds continues from there. Who puts an older database, or
//! a forged one, under a running service is noticed within a minute.

use serde::{Deserialize, Serialize};

use super::{AuditError, Keyed};
use crate::crypto::audit::{End, Entry, hash_of};
use crate::crypto::audit_key::AuditKey;
use crate::crypto::signing::base64url;
use crate::domain::audit::Action;
use crate::domain::instant::UnixMs;
use crate::store::Store;

/// Where a log was seen to end, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub end: End,
    pub at_ms: UnixMs,
}

impl Seen {
    /// Before the first look.
    pub const NOTHING: Self = Self { end: End::BEGINNING, at_ms: UnixMs::new(0) };
}

/// As a file has it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SeenText {
    seq: u64,
    hash: String,
    at_ms: i64,
}

impl From<Seen> for SeenText {
    fn from(seen: Seen) -> Self {
        Self { seq: seen.end.sequence, hash: base64url(&seen.end.hash), at_ms: seen.at_ms.get() }
    }
}

impl SeenText {
    pub fn read(&self) -> Option<Seen> {
        let end = End { sequence: self.seq, hash: hash_of(&self.hash)? };
        Some(Seen { end, at_ms: UnixMs::new(self.at_ms) })
    }
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// It continues from where it was seen to end.
    Continued(End),
    /// It does not, and an operator has taken it as it is, after it was last seen.
    Linked(End),
}

/// Looks at the log behind where it was seen to end. A log that does not continue from there is told as wrong, unless a link is
/// younger than the last look: nobody makes one without the key.
pub async fn look(store: &Store, key: &AuditKey, seen: &Seen) -> Result<Look, AuditError> {
    match follow(store, key, seen.end).await {
        Ok(walked) => Ok(Look::Continued(walked.end)),
        Err(error) if error.is_passing() => Err(error),
        Err(error) => match follow(store, key, End::BEGINNING).await {
            Ok(walked) if walked.linked_at_ms.is_some_and(|at_ms| at_ms > seen.at_ms) => Ok(Look::Linked(walked.end)),
            Err(passing) if passing.is_passing() => Err(passing),
            _ => Err(error),
        },
    }
}

struct Walked {
    end: End,
    /// When the last link was made.
    linked_at_ms: Option<UnixMs>,
}

async fn follow(store: &Store, key: &AuditKey, from: End) -> Result<Walked, AuditError> {
    if let Some(before) = from.sequence.checked_sub(1) {
        // The very entry is there, with what it was.
        match store.list_audit(before).await?.first() {
            Some(entry) if entry.end() == from => {}
            Some(entry) if entry.sequence == from.sequence => {
                return Err(AuditError::OtherThanSeen { sequence: from.sequence });
            }
            _ => {
                let last = super::last_sequence(store).await?;
                return Err(AuditError::ShorterThanSeen { seen: from.sequence, last });
            }
        }
    }
    let (mut walked, mut keyed) = (Walked { end: from, linked_at_ms: None }, Keyed::by(key));
    loop {
        let page = store.list_audit(walked.end.sequence).await?;
        if page.is_empty() {
            keyed.judge_end()?;
            return Ok(walked);
        }
        for entry in &page {
            walked.end.follow(entry)?;
            keyed.judge(entry)?;
            if is_link(entry) {
                walked.linked_at_ms = Some(entry.at_ms);
            }
        }
    }
}

fn is_link(entry: &Entry) -> bool {
    entry.keyed_hash.is_some() && entry.action == Action::LogLinked.as_str()
}
