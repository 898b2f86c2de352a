//! The file of rejects: why each wrong row was rejected, once for each wrong member, with the number of its line and never with
//! its content. It is made with its first entry, for its owner alone, and never through a link that somebody else has laid.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use crate::own_files;
use crate::service::fields::WrongMember;

/// A file that may come to be.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    out: Option<BufWriter<File>>,
}

impl Rejects {
    /// Takes away what an earlier run of the same command left.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        check(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string()),
            _ => Ok(Self { path: path.to_owned(), out: None }),
        }
    }

    /// Writes what is wrong with a row. `column` tells in which cell a member stands, from 1.
    pub(super) fn write(
        &mut self,
        line: u64,
        wrong: &[WrongMember],
        column: impl Fn(&str) -> Option<usize>,
    ) -> anyhow::Result<()> {
        if self.out.is_none() {
            // Never one that is there: it would be somebody else's, made since it was looked for.
            let file = own_files::create_new(&self.path);
            self.out = Some(BufWriter::new(file.with_context(|| self.path.display().to_string())?));
        }
        let Some(out) = &mut self.out else { return Ok(()) };
        for WrongMember { pointer, code, detail } in wrong {
            let entry = json!({
                "line": line, "column": column(pointer), "pointer": pointer, "code": code, "detail": detail,
            });
            writeln!(out, "{entry}")?;
        }
        Ok(())
    }

    /// Makes the entries durable; the path, if there are any.
    pub(super) fn finish(self) -> anyhow::Result<Option<PathBuf>> {
        let Some(mut out) = self.out else { return Ok(None) };
        out.flush()?;
        out.get_ref().sync_all()?;
        Ok(Some(self.path))
    }
}

/// Whether a file of rejects may be written there.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            bail!("{}: rejects are not written through a symbolic link", path.display())
        }
        Ok(found) if !found.is_file() => bail!("{}: rejects are written to a file", path.display()),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const WRONG: WrongMember =
        WrongMember { pointer: "/office", code: "malformed_office", detail: std::borrow::Cow::Borrowed("why") };

    #[test]
    fn a_file_comes_with_its_first_entry_and_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rejects");
        fs::write(&path, "of an earlier run").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Rejects::at(&path).unwrap().finish().unwrap(), None);
        assert!(!path.exists(), "no empty one, and none of another run");
        fs::write(&path, "of an earlier run").unwrap();
        let mut rejects = Rejects::at(&path).unwrap();
        rejects.write(7, &[WRONG], |_| Some(3)).unwrap();
        assert_eq!(rejects.finish().unwrap(), Some(path.clone()));
        let entry: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let expected =
            json!({"line": 7, "column": 3, "pointer": "/office", "code": "malformed_office", "detail": "why"});
        assert_eq!(entry, expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn links_and_what_is_no_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        assert!(Rejects::at(&link).unwrap_err().to_string().contains("symbolic link"));
        assert!(Rejects::at(dir.path()).is_err());
        // Laid between the look and the first entry.
        let path = dir.path().join("rejects");
        let mut rejects = Rejects::at(&path).unwrap();
        symlink(&target, &path).unwrap();
        assert!(rejects.write(1, &[WRONG], |_| None).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }
}
