//! A connection as it was accepted, with or without TLS, and the certificate that its client showed. How the handshake is made is
//! `tls`'s.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::access::certificates::PeerCertificate;

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection under the wire.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    certificate: Option<Arc<PeerCertificate>>,
}

impl Stream {
    pub fn plain(io: TcpStream) -> Self {
        Self { io: Io::Plain(io), certificate: None }
    }

    pub fn tls(io: TlsStream<TcpStream>, certificate: Option<Arc<PeerCertificate>>) -> Self {
        Self { io: Io::Tls(Box::new(io)), certificate }
    }

    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(io) => io,
            Io::Tls(io) => io.get_ref().0,
        }
    }

    /// What the client showed in the handshake.
    pub fn certificate(&self) -> Option<Arc<PeerCertificate>> {
        self.certificate.clone()
    }
}

/// Calls the same method of whichever it is.
macro_rules! forward {
    ($self:expr, $method:ident($($argument:expr),*)) => {
        match &mut $self.io {
            Io::Plain(io) => Pin::new(io).$method($($argument),*),
            Io::Tls(io) => Pin::new(io).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match forward!(self, poll_read(cx, buf)) {
            // A client that ends without `close_notify`, as many do: where its requests end is said by HTTP.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }
}
