//! Why TLS cannot be spoken, or its files cannot be taken up.

use std::path::PathBuf;

use crate::access::certificates::CertificateError;
use crate::own_files::TooOpen;

/// TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Certificate { path: PathBuf, source: CertificateError },
    #[error("{path}: {source}")]
    TooOpen { path: PathBuf, source: TooOpen },
    #[error("{path}: no private key in PEM form")]
    NoKey { path: PathBuf },
    #[error("certificate and key: {0}")]
    Pair(rustls::Error),
    #[error("the thread of handshakes: {0}")]
    Thread(std::io::Error),
}
