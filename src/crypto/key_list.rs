//! What lies in a key folder, by the names of its files: for lists, for looking after modes, and for removing what is needed no more.
//! No key is read here.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::error::KeyError;
use super::keyfiles::{KeyFolder, Purpose};
use crate::domain::instant::UnixMs;
use crate::own_files::{self, TooOpen};

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    pub purpose: Purpose,
    pub version: u32,
    pub part: KeyPart,
    pub path: PathBuf,
    /// When it was written, by its file system.
    pub written_ms: UnixMs,
    /// Why it is refused, if it is.
    pub refusal: Option<TooOpen>,
}

/// What of a key a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPart {
    /// All of it.
    Secret,
    /// What is left of one that was rotated out.
    Public,
}

impl KeyFolder {
    /// Every key file by purpose, the newest version first; other files are no keys. None where there is no folder.
    pub fn list(&self) -> io::Result<Option<Vec<KeyFile>>> {
        let entries = match fs::read_dir(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((purpose, version, part)) = parse(name) else { continue };
            let written_ms = UnixMs::from_seconds(fs::metadata(&path)?.mtime());
            let refusal = own_files::judge_file(&path)?.err();
            files.push(KeyFile { purpose, version, part, path, written_ms, refusal });
        }
        let place = |file: &KeyFile| Purpose::ALL.iter().position(|purpose| *purpose == file.purpose);
        files.sort_by_key(|file| (place(file), std::cmp::Reverse(file.version), file.part));
        Ok(Some(files))
    }

    /// Removes a file for good. Whether it is needed is the caller's to know.
    pub fn remove(&self, file: &KeyFile) -> Result<(), KeyError> {
        fs::remove_file(&file.path).map_err(|error| self.io(error))?;
        self.sync()
    }
}

fn parse(name: &str) -> Option<(Purpose, u32, KeyPart)> {
    let (word, rest) = name.split_once('-')?;
    let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == word)?;
    let (digits, part) = match rest.strip_suffix(".pub.pem") {
        Some(digits) => (digits, KeyPart::Public),
        None => (rest.strip_suffix(".pem").or_else(|| rest.strip_suffix(".key"))?, KeyPart::Secret),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((purpose, digits.parse().ok().filter(|_| is_number)?, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        assert_eq!(parse("pepper-12.key"), Some((Purpose::Pepper, 12, KeyPart::Secret)));
        assert_eq!(parse("receipt-1.pem"), Some((Purpose::Receipt, 1, KeyPart::Secret)));
        assert_eq!(parse("receipt-1.pub.pem"), Some((Purpose::Receipt, 1, KeyPart::Public)));
        for other in ["sandbox", "pepper-.key", "pepper-+1.key", "pepper-1.key~", "pepper-1", "salt-1.key", ".lock"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_is_listed_in_order_and_what_is_removed_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(dir.path().join("keys"));
        assert_eq!(folder.list().unwrap(), None);
        folder.create_all().unwrap();
        folder.rotate_signing_key(Purpose::Token).unwrap();
        folder.create_pepper(2, None).unwrap();
        let files = folder.list().unwrap().unwrap();
        let names: Vec<_> = files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "pepper-2.key",
                "pepper-1.key",
                "seal-1.key",
                "audit-1.key",
                "token-2.pem",
                "token-1.pub.pem",
                "receipt-1.pem",
                "certificate-1.pem"
            ]
        );
        assert!(files.iter().all(|file| file.refusal.is_none()));
        folder.remove(&files[1]).unwrap();
        assert_eq!(folder.list().unwrap().unwrap().len(), 7);
    }
}
