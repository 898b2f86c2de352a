//! What witnesses say of a checkpoint, by a policy that the reader chose and not the log's operator.

use std::path::Path;

use anyhow::Context;

use super::exits::usage;
use crate::crypto::tlog::Note;
use crate::crypto::tlog::policy::Policy;
use crate::own_files;

/// A policy that asks for witnesses.
pub(super) struct Witnessed {
    policy: Policy,
    text: String,
}

impl Witnessed {
    /// Reads a policy file (C2SP tlog-policy).
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let wrong = |why: String| usage(format!("{}: {why}", path.display()));
        let bytes = own_files::read_named(path).with_context(|| path.display().to_string())?;
        let policy = Policy::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        // Then every checkpoint would do, and every time.
        if policy.is_met(|_| false) {
            return Err(wrong("the policy asks for no witness".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8".to_owned()))?;
        Ok(Self { policy, text })
    }

    /// The file, for evidence.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether enough of them have cosigned a note.
    pub(super) fn is_met(&self, note: &str) -> bool {
        self.is_met_by(note, u64::MAX)
    }

    /// Whether enough of them had cosigned it at a time, in seconds since the Unix epoch.
    pub(super) fn is_met_by(&self, note: &str, by_s: u64) -> bool {
        self.is_met_where(note, |time_s| time_s <= by_s)
    }

    /// Whether enough of them have cosigned it at a time or later.
    pub(super) fn is_met_since(&self, note: &str, since_s: u64) -> bool {
        self.is_met_where(note, |time_s| time_s >= since_s)
    }

    fn is_met_where(&self, note: &str, is_good: impl Fn(u64) -> bool) -> bool {
        let Some(note) = Note::parse(note) else { return false };
        self.policy.is_met(|at| {
            let signed = self.policy.witnesses.get(at).and_then(|witness| note.signed_by(&witness.key).ok());
            signed.and_then(|signed| signed.time_s).is_some_and(&is_good)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::signing::SigningKey;
    use crate::crypto::tlog::VerifierKey;
    use crate::crypto::tlog::note::{SignatureType, cosign};

    #[test]
    fn cosignatures_count_by_their_times() {
        let keys = [(); 3].map(|()| SigningKey::generate().unwrap());
        let name = |at: usize| format!("w.example/{at}");
        let line = |(at, key): (usize, &SigningKey)| {
            let verifier = VerifierKey::new(&name(at), SignatureType::Cosignature, key.public().clone()).unwrap();
            format!("witness w{at} {verifier}\n")
        };
        let text: String = keys.iter().enumerate().map(line).collect();
        let mut note = "a.example/registry-log/1\n1\nAA==\n\n".to_owned();
        note += &cosign(&keys[0], &name(0), "a.example/registry-log/1\n1\nAA==\n", 100);
        let folder = tempfile::tempdir().unwrap();
        let read = |quorum: &str| {
            let path = folder.path().join("policy");
            std::fs::write(&path, format!("{text}group two 2 w0 w1 w2\nquorum {quorum}\n")).unwrap();
            Witnessed::read(&path)
        };
        let two = read("two").unwrap();
        assert!(!two.is_met(&note) && read("w0").unwrap().is_met(&note));
        note += &cosign(&keys[2], &name(2), "a.example/registry-log/1\n1\nAA==\n", 200);
        assert!(two.is_met(&note) && two.is_met_by(&note, 200) && !two.is_met_by(&note, 199));
        assert!(two.is_met_since(&note, 100) && !two.is_met_since(&note, 101));
        assert!(!two.is_met("nothing"));
        assert!(read("none").is_err(), "it would be met by nobody");
    }
}
