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
use crate::wiping::wipe;

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

/// The library decrypts where it has read, in a buffer that lives as long as its connection: what has been taken out of there would
/// stay until the next record comes. This is asked to read into that room, as a socket is, and wipes it.
struct Wiper;

impl io::Read for Wiper {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        wipe(room);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = forward!(self, poll_read(cx, buf));
        if let Io::Tls(io) = &mut self.io
            && read.is_ready()
        {
            // It takes nothing, and says so by an error that is meant.
            let _ = io.get_mut().1.read_tls(&mut Wiper);
        }
        match read {
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
