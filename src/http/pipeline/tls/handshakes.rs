//! Handshakes: on a thread of their own, so that their signatures keep no event loop; each within its time, so many at a time, and
//! of one address no more than its share. A connection has a place only once its client has begun to speak; who waits for one gets
//! it in turns by address, and so does each step that the thread takes.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::places::{Asker, Places, in_turns};
use crate::limits::CallerAddress;
use crate::limits::fair_gate::FairGate;
use crate::limits::fair_queue::Bounds;
use crate::telemetry::Metrics;

/// What of an answer waits in the stream, beside what the server itself keeps.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// The thread and its bounds.
#[derive(Debug)]
pub(super) struct Handshakes {
    handle: Handle,
    places: Arc<Places>,
    /// Whose handshake the thread works at: one at a time, for there is one thread.
    polls: Arc<FairGate<Asker>>,
    time: Duration,
    metrics: Arc<Metrics>,
    /// Names the connections of those that have no share of their own.
    unshared: AtomicU64,
    /// The thread ends with this.
    _running: oneshot::Sender<()>,
}

impl Handshakes {
    pub(super) fn new(at_a_time: usize, time: Duration, metrics: Arc<Metrics>) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("tls".to_owned()).spawn(move || runtime.block_on(ended))?;
        let (places, unshared) = (Arc::new(Places::new(at_a_time)), AtomicU64::new(0));
        let polls = FairGate::new(Bounds { places: 1, waiting_max: usize::MAX });
        Ok(Self { handle, places, polls, time, metrics, unshared, _running: running })
    }

    /// Makes one, and looks at what came of it, on the thread too. Who waits for a place waits within the same time. A trusted proxy
    /// is nobody: it speaks for many. Dropped, it ends the handshake and its connection.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        config: Arc<ServerConfig>,
        io: TcpStream,
        client: Option<CallerAddress>,
        read: impl FnOnce(&ServerConnection) -> T + Send + 'static,
    ) -> Result<(TlsStream<TcpStream>, T)> {
        // Who has one address of a /64 has them all.
        let unshared = || Asker::Unshared(self.unshared.fetch_add(1, Ordering::Relaxed));
        let asker = client.map_or_else(unshared, |client| Asker::Address(client.network()));
        let (places, polls, time) = (Arc::clone(&self.places), Arc::clone(&self.polls), self.time);
        let under_way = UnderWay::new(&self.metrics);
        let handshake = async move {
            let _under_way = under_way;
            io.peek(&mut [0]).await?;
            let _place = places.enter(asker).await.ok_or_else(|| Error::from(ErrorKind::QuotaExceeded))?;
            let limit = |connection: &mut ServerConnection| connection.set_buffer_limit(Some(BUFFER_BYTES_MAX));
            let made = in_turns(&polls, asker, TlsAcceptor::from(config).accept_with(io, limit)).await;
            let stream = made.ok_or_else(|| Error::from(ErrorKind::QuotaExceeded))??;
            let read = read(stream.get_ref().1);
            Ok((stream, read))
        };
        let mut made = Made(self.handle.spawn(timeout(time, handshake)));
        let made = (&mut made.0).await.map_err(Error::other)?;
        let made = made.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let is_refused = |error: &Error| matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::QuotaExceeded);
        if made.as_ref().err().is_some_and(is_refused) {
            self.metrics.budget_refused.with_label_values(&["handshakes"]).inc();
        }
        made
    }
}

/// A handshake on the thread, which ends with its connection.
struct Made<T>(JoinHandle<T>);

impl<T> Drop for Made<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts a handshake while it is made, or waits.
struct UnderWay(Arc<Metrics>);

impl UnderWay {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.tls_handshakes.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.tls_handshakes.dec();
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
