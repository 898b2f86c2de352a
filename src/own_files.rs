//! How files are opened, all of them: what this program writes, and what it has written, is never reached through a symbolic link,
//! and is made for its owner alone; who owns a key, a configuration or a folder, and who else can reach it, is judged here on what
//! was opened. Knows nothing of what is in files.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

const ROOT: u32 = 0;

/// A file of this program's, for reading.
pub fn open(path: &Path) -> Result<File> {
    open_with(path, OpenOptions::new().read(true))
}

/// A new file, for its owner alone. One that is there is left as it is.
pub fn create_new(path: &Path) -> Result<File> {
    open_with(path, OpenOptions::new().write(true).create_new(true).mode(0o600))
}

/// A file for its owner alone, made if absent and left as it is if not: to hold a lock on, or to continue.
pub fn create_or_keep(path: &Path) -> Result<File> {
    open_with(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))
}

/// A file for its owner alone, to write behind what it holds.
pub fn append(path: &Path) -> Result<File> {
    open_with(path, OpenOptions::new().append(true).create(true).mode(0o600))
}

/// Puts a file for its owner alone in the place of one, whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    // Of a bare name: the working folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut fresh, bytes)?;
    fresh.as_file().sync_all()?;
    fresh.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// A file in place of what was there, readable as the user's mask has it: documents and samples, nothing about a person.
pub fn create_public(path: &Path) -> Result<File> {
    open_with(path, OpenOptions::new().write(true).create(true).truncate(true))
}

/// Writes a file in place of what was there.
pub fn write_public(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    std::io::Write::write_all(&mut create_public(path)?, bytes.as_ref())
}

/// A file that an operator names, for reading: it may be a link, as it is where Kubernetes mounts it.
pub fn open_named(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// All of a file that an operator names.
pub fn read_named(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_named(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as text.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    open_named(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Takes place on the disk for a file, which has this length then: to write there needs no more of it. Where the file system has
/// no such call the length alone is set.
pub fn reserve(file: &File, bytes: u64) -> Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(bytes),
        reserved => Ok(reserved?),
    }
}

/// Makes the names in a folder durable.
pub fn sync_folder(path: &Path) -> Result<()> {
    open(path)?.sync_all()
}

/// The one place where a path of this program's own becomes a file.
fn open_with(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(Error::other)?;
    options.custom_flags(flags).open(path)
}

/// Makes a folder and those above it, for their owner alone. One that is there is left as it is.
pub fn create_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a new folder for its owner alone, and none above it. One that is there is left as it is.
pub fn create_one_folder(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// A new folder that appears whole or not at all: filled under another name beside its own.
#[derive(Debug)]
pub struct NewFolder {
    filled: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl NewFolder {
    /// Begins one for its owner alone. Nothing may be there yet.
    pub fn begin(path: &Path) -> Result<Self> {
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(Error::new(ErrorKind::AlreadyExists, "it is there already: name a new folder"));
        }
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        create_folder(above)?;
        let mut builder = tempfile::Builder::new();
        let filled = builder.prefix(".lostcard-").permissions(Permissions::from_mode(0o700)).tempdir_in(above)?;
        Ok(Self { filled, path: path.to_owned() })
    }

    /// Where it is filled.
    pub fn path(&self) -> &Path {
        self.filled.path()
    }

    /// Gives it its name, durably. One that came meanwhile is left as it is.
    pub fn finish(self) -> Result<()> {
        sync_folder(self.filled.path())?;
        let here = rustix::fs::CWD;
        rustix::fs::renameat_with(here, self.filled.path(), here, &self.path, rustix::fs::RenameFlags::NOREPLACE)?;
        let _ = self.filled.keep();
        sync_folder(self.path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }
}

/// Makes a folder for its owner alone, or so of one that is there. A folder of root's, as a volume is, stays as it is: nobody
/// but root and one group may write there.
pub fn claim_folder(path: &Path) -> Result<()> {
    create_folder(path)?;
    let metadata = open_named(path)?.metadata()?;
    if is_own(metadata.uid()) {
        if metadata.mode() & 0o777 != 0o700 {
            std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
        }
        return Ok(());
    }
    let is_fit = metadata.uid() == ROOT && metadata.mode() & 0o002 == 0;
    if is_fit {
        Ok(())
    } else {
        Err(denied("the folder is another user's, or others may write there: name one of its own"))
    }
}

/// Makes of a file that is there one for its owner alone, and makes one that is absent if `may_make`, before a library opens it. An
/// operator may have laid a link in its place, to another disk. What is there is never opened: to close a file gives up all locks
/// that the process has on it (POSIX.1, `fcntl`), and those of SQLite are such.
pub fn claim_file(path: &Path, may_make: bool) -> Result<()> {
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match may_make.then(|| create_new(path)) {
                // Another process that starts now has made it.
                Some(Err(error)) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            };
        }
        found => found?,
    };
    if !is_own(metadata.uid()) {
        return if metadata.uid() == ROOT { Ok(()) } else { Err(denied("the file is another user's")) };
    }
    if metadata.mode() & 0o777 != 0o600 {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Why a secret may not be read from where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooOpen {
    /// It is neither root's nor the process's own.
    Owner(u32),
    /// Others can read or change it.
    Mode(u32),
}

impl std::error::Error for TooOpen {}

impl std::fmt::Display for TooOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner(owner) => write!(f, "belongs to user {owner}: it must be root's or the service's own"),
            Self::Mode(mode) => write!(f, "can be read or changed by others (mode {mode:o})"),
        }
    }
}

/// A file with a secret, judged by its owner and mode after it was opened. A link to it must be root's or the process's own, too.
pub fn read_secret(path: &Path) -> Result<std::result::Result<Zeroizing<String>, TooOpen>> {
    let mut file = open_named(path)?;
    if let Err(refusal) = judge_link(path)?.and(judge(&file, |_, _| false)?) {
        return Ok(Err(refusal));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    Ok(Ok(text))
}

/// Whether a file or folder of secrets is closed to others.
pub fn judge_file(path: &Path) -> Result<std::result::Result<(), TooOpen>> {
    Ok(judge_link(path)?.and(judge(&open_named(path)?, |_, _| false)?))
}

/// The same of a folder. One of root's that is not the process's own need only keep others from changing its names: so the
/// volumes of Kubernetes are, with the sticky bit.
pub fn judge_folder(path: &Path) -> Result<std::result::Result<(), TooOpen>> {
    let is_mount = |mode: u32, owner| owner == ROOT && !is_own(ROOT) && (mode & 0o022 == 0 || mode & 0o1000 != 0);
    Ok(judge_link(path)?.and(judge(&open_named(path)?, is_mount)?))
}

fn judge(file: &File, may_be: impl Fn(u32, u32) -> bool) -> Result<std::result::Result<(), TooOpen>> {
    let metadata = file.metadata()?;
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let user = rustix::process::geteuid().as_raw();
    Ok(if owner != ROOT && owner != user {
        Err(TooOpen::Owner(owner))
    } else if is_private(mode, owner, user) || may_be(mode, owner) {
        Ok(())
    } else {
        Err(TooOpen::Mode(mode & 0o777))
    })
}

/// Who may lay a link chooses what is read.
fn judge_link(path: &Path) -> Result<std::result::Result<(), TooOpen>> {
    let owner = std::fs::symlink_metadata(path)?.uid();
    Ok(if owner == ROOT || is_own(owner) { Ok(()) } else { Err(TooOpen::Owner(owner)) })
}

fn is_own(owner: u32) -> bool {
    owner == rustix::process::geteuid().as_raw()
}

/// A file of the process's own user is for that user alone. One of root's may be read by a group too: so systemd (an ACL shows as
/// 0440) and Kubernetes (`fsGroup`) hand a secret to a service that is not root.
fn is_private(mode: u32, owner: u32, user: u32) -> bool {
    let others = if owner == ROOT && user != ROOT { 0o037 } else { 0o077 };
    mode & others == 0
}

fn denied(why: &'static str) -> Error {
    Error::new(ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_written_never_goes_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link, nowhere) = (dir.path().join("target"), dir.path().join("link"), dir.path().join("nowhere"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        symlink(dir.path().join("absent"), &nowhere).unwrap();
        for path in [&link, &nowhere] {
            assert!(open(path).is_err() && create_new(path).is_err() && create_or_keep(path).is_err());
            assert!(create_public(path).is_err() && write_public(path, "x").is_err());
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(!dir.path().join("absent").exists());
        assert_eq!(read_text(&link).unwrap(), "precious", "what an operator names may be a link");
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        claim_file(&at("absent"), false).unwrap();
        assert!(!at("absent").exists());
        claim_file(&at("new"), true).unwrap();
        create_or_keep(&at("lock")).unwrap();
        fs::write(at("older"), "rows").unwrap();
        fs::set_permissions(at("older"), Permissions::from_mode(0o644)).unwrap();
        claim_file(&at("older"), false).unwrap();
        assert_eq!([mode(&at("new")), mode(&at("lock")), mode(&at("older"))], [0o600; 3]);
        assert_eq!(fs::read_to_string(at("older")).unwrap(), "rows");
        fs::create_dir(at("wide")).unwrap();
        fs::set_permissions(at("wide"), Permissions::from_mode(0o777)).unwrap();
        claim_folder(&at("wide")).unwrap();
        claim_folder(&at("a/b")).unwrap();
        assert_eq!([mode(&at("wide")), mode(&at("a")), mode(&at("a/b"))], [0o700; 3]);
    }

    #[test]
    fn a_new_folder_appears_whole_and_takes_no_others_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("above/new");
        let begun = NewFolder::begin(&path).unwrap();
        fs::write(begun.path().join("file"), "x").unwrap();
        let late = NewFolder::begin(&path).unwrap();
        assert!(!path.exists());
        begun.finish().unwrap();
        assert_eq!((fs::read_to_string(path.join("file")).unwrap().as_str(), mode(&path)), ("x", 0o700));
        assert_eq!(late.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(NewFolder::begin(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_group_may_read_only_what_root_hands_to_a_service() {
        const SERVICE: u32 = 65_532;
        for (mode, owner, user, expected) in [
            (0o600, SERVICE, SERVICE, true),
            (0o400, ROOT, ROOT, true),
            (0o440, ROOT, SERVICE, true),
            (0o640, ROOT, SERVICE, true),
            (0o440, SERVICE, SERVICE, false),
            (0o440, ROOT, ROOT, false),
            (0o444, ROOT, SERVICE, false),
            (0o660, ROOT, SERVICE, false),
            (0o404, SERVICE, SERVICE, false),
        ] {
            assert_eq!(is_private(mode, owner, user), expected, "{mode:o} of {owner} for {user}");
        }
    }

    #[test]
    fn what_is_open_to_others_or_theirs_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, link) = (dir.path().join("secret"), dir.path().join("link"));
        fs::write(&secret, "s").unwrap();
        symlink(&secret, &link).unwrap();
        for (set, expected) in [(0o600, Ok(())), (0o640, Err(TooOpen::Mode(0o640))), (0o602, Err(TooOpen::Mode(0o602)))]
        {
            fs::set_permissions(&secret, Permissions::from_mode(set)).unwrap();
            assert_eq!((judge_file(&secret).unwrap(), judge_file(&link).unwrap()), (expected, expected));
            assert_eq!(read_secret(&secret).unwrap().map(drop), expected);
        }
        for (set, expected) in [(0o700, Ok(())), (0o750, Err(TooOpen::Mode(0o750)))] {
            fs::set_permissions(dir.path(), Permissions::from_mode(set)).unwrap();
            assert_eq!(judge_folder(dir.path()).unwrap(), expected);
        }
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        // Only root can give a file away; the tests of `tests/run` are root's.
        if is_own(ROOT) {
            std::os::unix::fs::lchown(&link, Some(65_532), None).unwrap();
            assert_eq!(
                (judge_file(&secret).unwrap(), judge_file(&link).unwrap()),
                (Ok(()), Err(TooOpen::Owner(65_532)))
            );
            chown(&secret, Some(65_532), None).unwrap();
            assert_eq!(judge_file(&secret).unwrap(), Err(TooOpen::Owner(65_532)));
        }
    }
}
