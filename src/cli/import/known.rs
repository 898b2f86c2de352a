//! What a source had before: the keyed fingerprints of its rows. By them a file that says all again, day by day, brings only what
//! is new, and shows what has vanished.

use std::collections::HashMap;
use std::sync::Arc;

use super::judge::Judged;
use crate::crypto::Keyring;
use crate::store::import_rows::{RowFingerprint, SourceId};

/// The rows of a source.
pub(super) struct Known {
    pub(super) source: SourceId,
    keyring: Arc<Keyring>,
    /// Whether each is in the file too.
    rows: HashMap<RowFingerprint, bool>,
}

impl Known {
    pub(super) fn new(source: SourceId, keyring: Arc<Keyring>, rows: Vec<RowFingerprint>) -> Self {
        Self { source, keyring, rows: rows.into_iter().map(|row| (row, false)).collect() }
    }

    /// By which a row of a source is known again, whatever pepper is in use: number, start, time of the report and office.
    pub(super) fn fingerprint(&self, judged: &Judged) -> RowFingerprint {
        let text = |value: Option<String>| value.unwrap_or_default();
        let full = self.keyring.fingerprints().of(
            "import-row",
            &[
                &self.source,
                judged.filing.digest.expose(),
                text(judged.filing.validity.valid_from().map(|day| day.to_string())).as_bytes(),
                &[0],
                // Absent is not now: tomorrow's file says the same.
                text(judged.reported_at_ms.map(|at_ms| at_ms.to_string())).as_bytes(),
                &[0],
                judged.filing.office.as_str().as_bytes(),
            ],
        );
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&full[..16]);
        fingerprint
    }

    /// Whether the source has not had the row; it is seen from now on.
    pub(super) fn is_new(&mut self, judged: &Judged) -> bool {
        let fingerprint = self.fingerprint(judged);
        self.rows.get_mut(&fingerprint).map(|seen| *seen = true).is_none()
    }

    /// Notes a row that is stored now; false where the source has it already.
    pub(super) fn add(&mut self, fingerprint: RowFingerprint) -> bool {
        self.rows.insert(fingerprint, true).is_none()
    }

    pub(super) fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn count_vanished(&self) -> u64 {
        self.rows.values().filter(|seen| !**seen).count() as u64
    }

    /// The rows that are not in the file.
    pub(super) fn vanished(&self) -> Vec<RowFingerprint> {
        let mut rows: Vec<_> = self.rows.iter().filter(|(_, seen)| !**seen).map(|(row, _)| *row).collect();
        rows.sort_unstable();
        rows
    }
}
