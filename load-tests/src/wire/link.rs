//! One non-blocking keep-alive connection with at most one request in flight.
//! Registered once, edge-triggered, for both directions, so that a request
//! costs one write, one read and a share of a poll.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::reader::{Reader, Response};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection had to say.
#[derive(Debug)]
pub(crate) enum Received {
    /// Not (all) here yet.
    Pending,
    Answer(Response),
    /// Ended by the server or by an error; whatever was asked is lost.
    Closed(String),
}

#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    reader: Reader,
    written: usize,
    /// Index of the request in flight; `None` when idle.
    pub(crate) request: Option<usize>,
    /// When that request should have started, and when it was sent, both in
    /// nanoseconds of the run's clock.
    pub(crate) intended_ns: u64,
    pub(crate) sent_ns: u64,
}

impl Link {
    pub(crate) fn connect(address: SocketAddr, registry: &Registry, token: usize) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, reader: Reader::default(), written: 0, request: None, intended_ns: 0, sent_ns: 0 })
    }

    /// Sends as much as the socket takes; `flush` sends the rest.
    pub(crate) fn start(&mut self, request: usize, bytes: &[u8], keep_body: bool) -> std::io::Result<()> {
        self.request = Some(request);
        self.written = 0;
        self.reader.expect(keep_body);
        self.flush(bytes)
    }

    /// Continues to send the request in flight.
    pub(crate) fn flush(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        while self.written < bytes.len() {
            match self.stream.write(&bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there. A read that does not fill the buffer has emptied
    /// the socket, so no second read is needed to learn that (epoll(7), Q9).
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Received::Closed("closed by the server".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Received::Pending,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Received::Closed(error.to_string()),
            };
            if self.request.is_none() {
                return Received::Closed("bytes without a request".to_owned());
            }
            match self.reader.feed(&buffer[..read]) {
                Ok(Some(response)) => return Received::Answer(response),
                Ok(None) if read < buffer.len() => return Received::Pending,
                Ok(None) => {}
                Err(error) => return Received::Closed(error.to_string()),
            }
        }
    }

    /// The body of the last answer, where it was kept.
    pub(crate) fn body(&self) -> &[u8] {
        self.reader.body()
    }
}
