//! `[tls]`: certificate and key of the node, and what is asked of clients' certificates.

use std::path::PathBuf;

use super::address::Address;
use super::raw::Fault;
use super::setting::section;
use super::value::{Value, texts};

section! {
    /// TLS of the public listener.
    Tls in "tls." {
        /// The node's certificate and those that link it to its authority, as PEM. With it `listen` speaks TLS.
        certificate: Option<PathBuf> = None, unit("file"), note("read again within 2 s of a change");
        /// The certificate's private key, as PEM.
        key: Option<PathBuf> = None, unit("file"), note("together with `tls.certificate`");
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = TlsVersion::V1_3, unit("version");
        /// A further listener without TLS, for this machine alone.
        plain_listen: Option<Address> = None, unit("address"),
            must(|address| address.as_ref().is_none_or(Address::is_loopback), "an address of loopback: 127.0.0.1, [::1] or localhost");
        /// Certificates of the authorities that vouch for clients, as PEM.
        client_ca: Option<PathBuf> = None, unit("file"), note("also for certificates that come as `Client-Cert`");
        /// How long a handshake may take, from the opening of the connection on.
        handshake_ms: u64 = 5000, unit("ms"), within(100..=60_000);
        /// Handshakes at a time, of one address a quarter of them; what is more waits, or is closed.
        handshakes_max: usize = 512, unit("handshakes"), within(4..=100_000);
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

impl TlsVersion {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "1.2" => Some(Self::V1_2),
            "1.3" => Some(Self::V1_3),
            _ => None,
        }
    }

    fn as_text(self) -> String {
        match self {
            Self::V1_2 => "1.2".to_owned(),
            Self::V1_3 => "1.3".to_owned(),
        }
    }
}

texts! {
    TlsVersion: "1.2 or 1.3, as text: \"1.3\"", Self::parse, |version| version.as_text();
}
