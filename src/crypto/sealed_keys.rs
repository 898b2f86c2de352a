//! A key folder as one sealed file, for a back-up: its files in a tar archive, sealed in the format age. `age --decrypt -i IDENTITY
//! keys.age | tar x` opens it without this program.

use std::io::Read;

use tar::{Archive, Builder, EntryType, Header};
use zeroize::Zeroizing;

use super::age::{AgeError, Identities, Recipient, open, seal};
use super::error::KeyError;
use super::keyfiles::KeyFolder;

/// No key file is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why keys were not sealed, or not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealedKeysError {
    #[error(transparent)]
    Age(#[from] AgeError),
    #[error(transparent)]
    Folder(#[from] KeyError),
    #[error("it does not hold key files")]
    Archive,
}

/// Seals the files of a folder; returns them with their names.
pub fn seal_keys(folder: &KeyFolder, recipients: &[Recipient]) -> Result<(Vec<u8>, Vec<String>), SealedKeysError> {
    let files = folder.read_all()?;
    let length: usize = files.iter().map(|(_, text)| text.len().next_multiple_of(512) + 512).sum();
    // Of its final length from the start, so that no copy is left behind when it grows.
    let mut archive = Zeroizing::new(Vec::with_capacity(length + 8 * 1024));
    let mut builder = Builder::new(&mut *archive);
    for (name, text) in &files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).map_err(|_| SealedKeysError::Archive)?;
    }
    builder.into_inner().map_err(|_| SealedKeysError::Archive)?;
    Ok((seal(recipients, &archive)?, files.into_iter().map(|(name, _)| name).collect()))
}

/// Opens what [`seal_keys`] sealed, into a new key folder.
pub fn open_keys(sealed: &[u8], identities: &Identities, folder: &KeyFolder) -> Result<(), SealedKeysError> {
    let archive = open(identities, sealed)?;
    let mut files = Vec::new();
    for entry in Archive::new(archive.as_slice()).entries().map_err(|_| SealedKeysError::Archive)? {
        let mut entry = entry.map_err(|_| SealedKeysError::Archive)?;
        if entry.header().entry_type() != EntryType::Regular || entry.size() > FILE_BYTES_MAX {
            return Err(SealedKeysError::Archive);
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| SealedKeysError::Archive)?;
        let mut text = Zeroizing::new(String::new());
        entry.read_to_string(&mut text).map_err(|_| SealedKeysError::Archive)?;
        files.push((name, text));
    }
    Ok(folder.create_from(&files)?)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::agreement::{PrivateKey, X25519};
    use bech32::{Bech32, Hrp};

    use super::*;
    use crate::crypto::Keyring;
    use crate::crypto::keyfiles::Purpose;

    /// A pair of keys as `age-keygen` writes them.
    fn pair() -> (Recipient, Identities) {
        let key = PrivateKey::generate(&X25519).unwrap();
        let encode = |prefix: &str, bytes: &[u8]| bech32::encode::<Bech32>(Hrp::parse(prefix).unwrap(), bytes).unwrap();
        let secret = aws_lc_rs::encoding::AsBigEndian::<aws_lc_rs::encoding::Curve25519SeedBin<'_>>::as_be_bytes(&key);
        let identity = encode("AGE-SECRET-KEY-", secret.unwrap().as_ref()).to_uppercase();
        let recipient = encode("age", key.compute_public_key().unwrap().as_ref());
        (Recipient::parse(&recipient).unwrap(), Identities::parse(&identity).unwrap())
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(dir.path().join("keys"));
        folder.mark_as_sandbox().unwrap();
        folder.create_all().unwrap();
        folder.create_pepper(2, Some(1)).unwrap();
        folder.rotate_signing_key(Purpose::Receipt).unwrap();
        let (recipient, identities) = pair();
        let (sealed, names) = seal_keys(&folder, &[recipient]).unwrap();
        assert_eq!(names.len(), 9, "{names:?}");
        assert!(names.iter().any(|name| name == "receipt-1.pub.pem"), "{names:?}");
        let opened = KeyFolder::new(dir.path().join("opened"));
        open_keys(&sealed, &identities, &opened).unwrap();
        assert_eq!(opened.read_all().unwrap(), folder.read_all().unwrap());
        let checks = |folder| Keyring::open(folder).unwrap().check_values();
        assert!(opened.is_sandbox());
        assert_eq!(checks(opened), checks(folder));
        let other = KeyFolder::new(dir.path().join("other"));
        assert!(matches!(open_keys(&sealed, &pair().1, &other), Err(SealedKeysError::Age(AgeError::OtherIdentity))));
        assert!(other.is_empty());
    }

    #[test]
    fn an_archive_writes_nowhere_but_into_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (recipient, identities) = pair();
        for name in ["../pepper-1.key", "a/pepper-1.key", "/pepper-1.key", ".hidden"] {
            let mut header = Header::new_ustar();
            let field = &mut header.as_old_mut().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(1);
            header.set_cksum();
            let mut archive = Builder::new(Vec::new());
            archive.append(&header, b"x".as_slice()).unwrap();
            let sealed = seal(&[recipient], &archive.into_inner().unwrap()).unwrap();
            let folder = KeyFolder::new(dir.path().join("keys"));
            assert!(open_keys(&sealed, &identities, &folder).is_err(), "{name}");
            assert!(folder.is_empty() && !dir.path().join("pepper-1.key").exists());
        }
    }
}
