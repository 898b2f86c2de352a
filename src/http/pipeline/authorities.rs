//! The authorities that vouch for clients (`tls.client_ca`), taken up again when their file changes; for certificates of handshakes
//! and for those that a trusted proxy hands on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

use super::tls_error::TlsError;
use crate::access::certificates::ClientCa;
use crate::own_files;

/// A file of certificates, and what it was when it was last looked at.
#[derive(Debug)]
pub struct Authorities {
    path: PathBuf,
    current: ArcSwap<ClientCa>,
    /// The hash of the file, and whether it was taken.
    seen: Mutex<([u8; 32], bool)>,
}

impl Authorities {
    pub fn new(path: PathBuf) -> Result<Self, TlsError> {
        let (hash, read) = read(&path);
        Ok(Self { current: ArcSwap::from_pointee(read?), seen: Mutex::new((hash, true)), path })
    }

    pub fn current(&self) -> Arc<ClientCa> {
        self.current.load_full()
    }

    /// Looks at the file again; false where it cannot be taken, and the old ones serve on.
    pub fn reload(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (hash, read) = read(&self.path);
        if seen.0 != hash {
            *seen = (hash, read.is_ok());
            match read {
                Ok(authorities) => self.current.store(Arc::new(authorities)),
                Err(error) => {
                    tracing::error!(error = %error, "tls.client_ca cannot be taken; the old one stays in use");
                }
            }
        }
        seen.1
    }
}

fn read(path: &Path) -> ([u8; 32], Result<ClientCa, TlsError>) {
    match own_files::read_named(path) {
        Err(source) => ([0; 32], Err(TlsError::File { path: path.to_owned(), source })),
        Ok(text) => {
            let read = ClientCa::from_pem(&text);
            let read = read.map_err(|source| TlsError::Certificate { path: path.to_owned(), source });
            (Sha256::digest(&text).into(), read)
        }
    }
}
