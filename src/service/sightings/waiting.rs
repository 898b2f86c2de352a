//! What waits in a journal, for somebody who looks from outside: nothing is read, moved or removed.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::segment::UNFINISHED;
use crate::domain::instant::UnixMs;
use crate::own_files;

/// Segments that no process has in hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    pub segments: usize,
    pub bytes: u64,
    /// When the one that has waited longest was last written.
    pub oldest_ms: Option<UnixMs>,
}

/// What waits in the folder of a journal.
pub fn waiting(folder: &Path) -> io::Result<Waiting> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Waiting::default()),
        entries => entries?,
    };
    let mut waiting = Waiting::default();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        let file = match own_files::open(&entry.path()) {
            // A node has moved it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened?,
        };
        // Shared, and let go at once: a node that wants it in this moment finds it at its next look.
        if file.try_lock_shared().is_err() {
            continue;
        }
        let metadata = file.metadata()?;
        let written = UnixMs::from_seconds(metadata.mtime());
        waiting.segments += 1;
        waiting.bytes += metadata.len();
        waiting.oldest_ms = Some(waiting.oldest_ms.map_or(written, |oldest| oldest.min(written)));
    }
    Ok(waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_in_hand_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(waiting(&dir.path().join("none")).unwrap(), Waiting::default());
        for name in ["a-1", "a-2", "unfinished-3"] {
            std::fs::write(dir.path().join(name), "1234").unwrap();
        }
        let in_hand = std::fs::File::open(dir.path().join("a-2")).unwrap();
        in_hand.lock().unwrap();
        let found = waiting(dir.path()).unwrap();
        assert_eq!((found.segments, found.bytes, found.oldest_ms.is_some()), (1, 4, true));
        drop(in_hand);
        assert_eq!(waiting(dir.path()).unwrap().segments, 2);
    }
}
