//! Handshakes: on a thread of their own, so that their signatures keep no event loop; each within its time, so many at a time, and
//! of one address no more than its share.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits::CallerAddress;

/// One address may have this part of the handshakes.
const SHARE: usize = 4;
/// What of an answer waits in the stream, beside what the server itself keeps.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// The thread and its bounds.
#[derive(Debug)]
pub(super) struct Handshakes {
    handle: Handle,
    places: Arc<Semaphore>,
    of_address_max: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    time: Duration,
    /// The thread ends with this.
    _running: oneshot::Sender<()>,
}

impl Handshakes {
    pub(super) fn new(at_a_time: usize, time: Duration) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("tls".to_owned()).spawn(move || runtime.block_on(ended))?;
        Ok(Self {
            handle,
            places: Arc::new(Semaphore::new(at_a_time)),
            of_address_max: at_a_time / SHARE,
            by_address: Arc::default(),
            time,
            _running: running,
        })
    }

    /// Makes one, and looks at what came of it, on the thread too. Who waits for a place waits in order, and within the same time.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        config: Arc<ServerConfig>,
        io: TcpStream,
        client: CallerAddress,
        read: impl FnOnce(&ServerConnection) -> T + Send + 'static,
    ) -> Result<(TlsStream<TcpStream>, T)> {
        // Who has one address of a /64 has them all.
        let turn = self.turn_of(client.network())?;
        let (places, time) = (Arc::clone(&self.places), self.time);
        let handshake = async move {
            let _turn = turn;
            let _place = places.acquire().await.map_err(Error::other)?;
            let limit = |connection: &mut ServerConnection| connection.set_buffer_limit(Some(BUFFER_BYTES_MAX));
            let stream = TlsAcceptor::from(config).accept_with(io, limit).await?;
            let read = read(stream.get_ref().1);
            Ok((stream, read))
        };
        let made = self.handle.spawn(timeout(time, handshake)).await.map_err(Error::other)?;
        made.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    fn turn_of(&self, address: IpAddr) -> Result<Turn> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.of_address_max {
            return Err(Error::other("an address has its share of handshakes"));
        }
        *count += 1;
        Ok(Turn { address, by_address: Arc::clone(&self.by_address) })
    }
}

/// A handshake of an address, counted until it ends.
struct Turn {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Takes every certificate whose key the client has: a self-signed one is known by its thumbprint (RFC 8705, 2.2), and whether an
/// authority vouches for another is looked at when somebody needs to know.
#[derive(Debug)]
pub(super) struct AnyCertificate(WebPkiSupportedAlgorithms);

impl AnyCertificate {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ClientCertVerifier for AnyCertificate {
    /// None: a client library that was given names would hold back what they do not name.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
