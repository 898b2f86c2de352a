//! The folder of receipts: a file for each checked row, with the receipt and what opens it. Files are their owner's alone, and
//! are never written through a link that somebody else has laid.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::domain::ids::CheckId;
use crate::domain::redacted::SaltText;
use crate::own_files;

/// What is kept of a check, with the names that the answer has for it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) check_id: CheckId,
    pub(crate) receipt: String,
    pub(crate) receipt_salt: SaltText,
}

/// The folder, there and the owner's.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

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
        Ok(Self(path.to_owned()))
    }

    /// Keeps the receipt of a row, in the place of one that a killed run has left; the file's name.
    pub(super) fn keep(&self, row: u64, kept: &Kept) -> anyhow::Result<String> {
        let name = format!("row-{row}.json");
        let path = self.0.join(&name);
        let shown = || path.display().to_string();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(shown),
            _ => {}
        }
        let mut file = own_files::create_new(&path).with_context(shown)?;
        file.write_all(format!("{}\n", serde_json::to_string(kept)?).as_bytes()).with_context(shown)?;
        Ok(name)
    }
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
        let folder = Folder::open(&path).unwrap();
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
    fn a_link_or_a_file_in_the_folders_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        symlink(dir.path(), &link).unwrap();
        fs::write(&file, "").unwrap();
        assert!(Folder::open(&link).unwrap_err().to_string().contains("symbolic link"));
        assert!(Folder::open(&file).unwrap_err().to_string().contains("folder"));
    }
}
