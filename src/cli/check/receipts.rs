//! The folder of receipts: a file for each checked row, with the receipt and what opens it. Files are their owner's alone, and
//! are never written through a link that somebody else has laid. A folder is one checked list's: another list's receipts have the
//! same names.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::cli::exits::{try_again, usage};
use crate::domain::ids::CheckId;
use crate::domain::redacted::SaltText;
use crate::own_files;

/// Names the checked list that the receipts belong to.
pub(crate) const MARKER: &str = ".output";

/// What is kept of a check, with the names that the answer has for it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) check_id: CheckId,
    pub(crate) receipt: String,
    pub(crate) receipt_salt: SaltText,
}

/// The folder, there and the owner's.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked while a list is at work.
    marker: Option<File>,
    /// What is not durable yet.
    written: Vec<File>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = || path.display().to_string();
        match own_files::create_one_folder(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).with_context(shown),
            _ => {}
        }
        let found = fs::symlink_metadata(path).with_context(shown)?;
        if found.is_symlink() {
            bail!("{}: receipts are not written through a symbolic link", shown());
        }
        if !found.is_dir() {
            bail!("{}: receipts are written to a folder", shown());
        }
        Ok(Self { path: path.to_owned(), marker: None, written: Vec::new() })
    }

    /// Takes the folder for the checked list `output`, so many rows of it being done. What lies there of further rows must be this
    /// list's, of a batch that a killed run has lost: others' receipts are their evidence. `is_named_for_it`: the folder's name says
    /// whose it is, where nothing else does.
    pub(super) fn claim(&mut self, output: &Path, done: u64, is_named_for_it: bool) -> anyhow::Result<()> {
        let shown = || self.path.display().to_string();
        let mut marker = own_files::create_or_keep(&self.path.join(MARKER)).with_context(shown)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(try_again(format!("{}: another run writes its receipts there", shown())));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(shown),
        }
        let output = output.canonicalize().with_context(|| output.display().to_string())?;
        let (output, mut found) = (output.as_os_str().as_bytes(), Vec::new());
        marker.read_to_end(&mut found).with_context(shown)?;
        let is_own = found == output || (found.is_empty() && is_named_for_it);
        if !is_own && self.has_receipts_after(done).with_context(shown)? {
            return Err(usage(format!(
                "{}: it holds receipts of another list: name another folder with --receipts",
                shown()
            )));
        }
        if found != output {
            let mut write = || {
                marker.set_len(0)?;
                marker.rewind()?;
                marker.write_all(output)?;
                marker.sync_all()
            };
            write().with_context(shown)?;
        }
        self.marker = Some(marker);
        Ok(())
    }

    fn has_receipts_after(&self, done: u64) -> std::io::Result<bool> {
        for entry in fs::read_dir(&self.path)? {
            if entry?.file_name().to_str().and_then(row_of).is_some_and(|row| row > done) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps the receipt of a row, in the place of one that a killed run has left; the file's name.
    pub(super) fn keep(&mut self, row: u64, kept: &Kept) -> anyhow::Result<String> {
        let name = format!("row-{row}.json");
        let path = self.path.join(&name);
        let shown = || path.display().to_string();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(shown),
            _ => {}
        }
        let mut file = own_files::create_new(&path).with_context(shown)?;
        file.write_all(format!("{}\n", serde_json::to_string(kept)?).as_bytes()).with_context(shown)?;
        self.written.push(file);
        Ok(name)
    }

    /// Makes durable what was kept: a row that names a receipt must not outlast it.
    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        let shown = || self.path.display().to_string();
        if self.written.is_empty() {
            return Ok(());
        }
        for file in self.written.drain(..) {
            file.sync_all().with_context(shown)?;
        }
        own_files::sync_folder(&self.path).with_context(shown)
    }
}

/// The row whose receipt has this name.
fn row_of(name: &str) -> Option<u64> {
    name.strip_prefix("row-")?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn kept() -> Kept {
        Kept { check_id: CheckId::nil(), receipt: "a~b~c".to_owned(), receipt_salt: "c2FsdA".to_owned().into() }
    }

    #[test]
    fn a_receipt_is_its_owners_and_replaces_that_of_a_killed_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipts");
        let mut folder = Folder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let precious = dir.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, path.join("row-1.json")).unwrap();
        for _ in 0..2 {
            assert_eq!(folder.keep(1, &kept()).unwrap(), "row-1.json");
        }
        let file = path.join("row-1.json");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let read: Kept = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!((read.receipt.as_str(), read.receipt_salt.expose()), ("a~b~c", "c2FsdA"));
        assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    }

    #[test]
    fn receipts_of_another_list_stay_and_those_of_a_lost_batch_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = ["a.csv", "b.csv"].map(|name| dir.path().join(name));
        for output in &outputs {
            fs::write(output, "").unwrap();
        }
        let claim = |output: &Path, done, is_named_for_it| {
            let mut folder = Folder::open(&dir.path().join("receipts")).unwrap();
            folder.claim(output, done, is_named_for_it).map(|()| folder)
        };
        let mut first = claim(&outputs[0], 0, true).unwrap();
        first.keep(1, &kept()).unwrap();
        first.sync().unwrap();
        let busy = claim(&outputs[1], 1, false).unwrap_err();
        assert!(busy.to_string().contains("another run"), "{busy}");
        drop(first);
        let refused = claim(&outputs[1], 0, true).unwrap_err();
        assert!(refused.to_string().contains("receipts of another list"), "{refused}");
        assert_eq!(crate::cli::exits::code_of(&refused), 2);
        // Its own batch is lost, and written once more.
        claim(&outputs[0], 0, false).unwrap().keep(1, &kept()).unwrap();
        // Nothing that will be written is there.
        claim(&outputs[1], 1, false).unwrap();
        assert!(claim(&outputs[0], 0, false).is_err(), "the folder is the other's now");
    }

    #[test]
    fn a_link_or_a_file_in_the_folders_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        symlink(dir.path(), &link).unwrap();
        fs::write(&file, "").unwrap();
        assert!(Folder::open(&link).unwrap_err().to_string().contains("symbolic link"));
        assert!(Folder::open(&file).unwrap_err().to_string().contains("folder"));
    }
}
