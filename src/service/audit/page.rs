//! An export of the audit log in pages, for who has no command line: the lines of all pages, one after the other, are an export.

use super::lines::entry_line;
use super::{Against, AuditError, Follower, begins_after};
use crate::crypto::audit::End;
use crate::crypto::audit_key::AuditKey;
use crate::store::Store;

/// Some lines of an export.
#[derive(Debug)]
pub struct ExportPage {
    pub lines: Vec<String>,
    /// Of the entry of the last line.
    pub end: End,
}

/// The entries behind one, at most so many, none behind the last one of the export. That one has a keyed hash, so anybody who lacks the key has
/// put nothing before it: entries of before such hashes need no link here.
pub async fn export_page(
    store: &Store,
    key: &AuditKey,
    after: u64,
    last: u64,
    count_max: usize,
) -> Result<ExportPage, AuditError> {
    let mut follower = Follower::new(begins_after(store, after).await?, Against::default())?.keyed(key);
    let mut lines = Vec::new();
    let entries = store.list_audit(after).await?;
    for entry in entries.iter().take(count_max).take_while(|entry| entry.sequence <= last) {
        follower.follow(entry)?;
        lines.push(entry_line(entry));
    }
    if lines.is_empty() && after < last {
        return Err(AuditError::NoSuchEntry { last: after });
    }
    Ok(ExportPage { lines, end: follower.end })
}
