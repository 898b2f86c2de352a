//! TLS of the public listener: the node's certificate, taken up again when its files change, and the handshakes, on a thread of
//! their own and within their bounds. Clients may show a certificate and need not; who vouches for it is `access`'s to know.

mod handshakes;
mod places;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, version};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::authorities::Authorities;
use super::stream::Stream;
use super::tls_error::TlsError;
use crate::access::certificates::{CertificateError, PeerCertificate};
use crate::clock::Clock;
use crate::limits::CallerAddress;
use crate::own_files;
use crate::telemetry::Metrics;
use handshakes::{AnyCertificate, Handshakes};

/// Files and bounds of TLS.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// TLS 1.2 beside 1.3.
    pub has_1_2: bool,
    pub handshake: Duration,
    pub handshakes_max: usize,
}

impl TlsOptions {
    /// The same, with no more handshakes at a time than a quarter of the connections: where descriptors are few, places are, too.
    #[must_use]
    pub fn within(self, connections: usize) -> Self {
        Self { handshakes_max: self.handshakes_max.min((connections / 4).max(4)), ..self }
    }
}

/// What handshakes are made with.
#[derive(Debug)]
struct Material {
    config: Arc<ServerConfig>,
    ends_at_s: i64,
}

/// Which files were looked at last, by their hash.
#[derive(Debug)]
struct Seen {
    files: [u8; 32],
    were_taken: bool,
}

/// TLS of a node.
#[derive(Debug)]
pub struct Tls {
    options: TlsOptions,
    clock: Clock,
    metrics: Arc<Metrics>,
    authorities: Option<Arc<Authorities>>,
    material: ArcSwap<Material>,
    seen: Mutex<Seen>,
    handshakes: Handshakes,
}

impl Tls {
    pub fn new(
        options: TlsOptions,
        authorities: Option<Arc<Authorities>>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, TlsError> {
        let files = Files::read(&options)?;
        let material = files.material(&options)?;
        metrics.tls_certificate_ends_s.set(material.ends_at_s);
        let handshakes = Handshakes::new(options.handshakes_max, options.handshake, Arc::clone(&metrics))
            .map_err(TlsError::Thread)?;
        let seen = Mutex::new(Seen { files: files.hash(), were_taken: true });
        Ok(Self { options, clock, metrics, authorities, material: ArcSwap::from_pointee(material), seen, handshakes })
    }

    /// Looks at the files again; false where they cannot be taken up, and what is in memory serves on.
    pub fn reload(&self) -> bool {
        let files = Files::read(&self.options);
        let hash = files.as_ref().map_or([0; 32], Files::hash);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.files == hash {
            return seen.were_taken;
        }
        let material = files.and_then(|files| files.material(&self.options));
        *seen = Seen { files: hash, were_taken: material.is_ok() };
        match material {
            Ok(material) => {
                self.metrics.tls_certificate_ends_s.set(material.ends_at_s);
                self.material.store(Arc::new(material));
                tracing::info!("certificate and key of TLS were taken up");
            }
            Err(error) => {
                tracing::error!(error = %error, "certificate or key of TLS cannot be taken up; those in memory stay in use");
            }
        }
        seen.were_taken
    }

    /// Makes the handshake of a new connection, of nobody where a trusted proxy speaks for many.
    pub async fn accept(&self, io: TcpStream, client: Option<CallerAddress>) -> std::io::Result<Stream> {
        let material = self.material.load_full();
        let (config, now_s) = (Arc::clone(&material.config), self.clock.now_s());
        let authorities = self.authorities.as_ref().map(|all| all.current());
        let read = move |shown: &ServerConnection| {
            let chain = shown.peer_certificates()?;
            // One that cannot be read proves nothing: the connection is as good as one without.
            PeerCertificate::read(chain, authorities.as_deref(), now_s).ok().map(Arc::new)
        };
        let (stream, certificate) = self.handshakes.make(config, io, client, read).await?;
        Ok(Stream::tls(stream, certificate))
    }
}

/// When a certificate ends whose key goes with it, in seconds; nothing is served by it.
pub fn examine(options: &TlsOptions) -> Result<i64, TlsError> {
    Files::read(options)?.material(options).map(|material| material.ends_at_s)
}

/// The files as they were read.
struct Files {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<String>,
}

impl Files {
    fn read(options: &TlsOptions) -> Result<Self, TlsError> {
        let of = |path: &PathBuf, source| TlsError::File { path: path.clone(), source };
        let certificate =
            own_files::read_named(&options.certificate).map_err(|source| of(&options.certificate, source))?;
        let key = own_files::read_secret(&options.key).map_err(|source| of(&options.key, source))?;
        let key = key.map_err(|source| TlsError::TooOpen { path: options.key.clone(), source })?;
        Ok(Self { certificate, key })
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for file in [&*self.certificate, self.key.as_bytes()] {
            hash.update(file.len().to_be_bytes());
            hash.update(file);
        }
        hash.finalize().into()
    }

    fn material(&self, options: &TlsOptions) -> Result<Material, TlsError> {
        let of = |path: &PathBuf, source| TlsError::Certificate { path: path.clone(), source };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|_| of(&options.certificate, CertificateError::NotPem))?;
        if chain.is_empty() {
            return Err(of(&options.certificate, CertificateError::NotPem));
        }
        let own = PeerCertificate::read(&chain, None, 0).map_err(|source| of(&options.certificate, source))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|_| TlsError::NoKey { path: options.key.clone() })?;
        let both: &[_] = &[&version::TLS13, &version::TLS12];
        let versions = if options.has_1_2 { both } else { &both[..1] };
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(TlsError::Pair)?
            .with_client_cert_verifier(Arc::new(AnyCertificate::new(&provider)))
            .with_single_cert(chain, key);
        let mut config = config.map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets are the client's to keep: a session costs the node no memory.
        config.ticketer = Ticketer::new().map_err(TlsError::Pair)?;
        Ok(Material { config: Arc::new(config), ends_at_s: own.not_after_s() })
    }
}
