//! The stream between the socket and the HTTP server. Each head is held until it has come in full, within its size and time, so
//! that no request of a connection, the first or the hundredth, holds more than that; what is malformed is refused with a problem
//! instead of a closed connection. What requests are about is not known here.

mod chunks;
mod framing;
mod preface;

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

pub use framing::HeadFault;
use framing::{Fault, Framing, REFUSED_METHOD};
pub use preface::{Source, read_preface};

/// How long a head may take from its first byte on; the first head of a connection from its opening on (RFC 9110, 15.5.9).
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a refused client still sends is thrown away: to close earlier would destroy the answer on its way (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(1);
/// An idle connection keeps no larger buffer.
const BUFFER_BYTES_KEPT_MAX: usize = 4096;

/// What was wrong with what came on a connection, as its requests ask for it.
#[derive(Debug, Default)]
pub struct Faults {
    head: Cell<Option<HeadFault>>,
    body: Cell<bool>,
}

impl Faults {
    /// The fault of the head in whose place a request stands. A client that sends such a request itself has no fault by it.
    pub fn of_head(&self, method: &Method) -> Option<HeadFault> {
        if method.as_str() == REFUSED_METHOD { self.head.get() } else { None }
    }

    /// Whether the chunks of a body were malformed. It is the last one of its connection.
    pub fn has_broken_body(&self) -> bool {
        self.body.get()
    }
}

/// A connection as the server reads and writes it.
#[derive(Debug)]
pub struct Wire<S> {
    io: S,
    framing: Framing,
    faults: Rc<Faults>,
    /// For the server to read, from `given` on.
    out: Vec<u8>,
    given: usize,
    /// Runs while a head comes in.
    head_timer: Option<Pin<Box<Sleep>>>,
    /// How many heads had come when it was set.
    timed_heads: u64,
    has_ended: bool,
    /// Runs from the shutdown of a refused connection on.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    pub fn new(io: S) -> Self {
        Self {
            io,
            framing: Framing::new(),
            faults: Rc::default(),
            out: Vec::new(),
            given: 0,
            head_timer: None,
            timed_heads: 0,
            has_ended: false,
            linger: None,
        }
    }

    /// A connection that is refused before its first head.
    pub fn refusing(io: S, fault: HeadFault) -> Self {
        let mut wire = Self::new(io);
        wire.framing.refuse(&mut wire.out);
        wire.note(Fault::Head(fault));
        wire
    }

    /// Whether nothing more is taken.
    pub fn is_over(&self) -> bool {
        self.framing.is_over()
    }

    pub fn get_ref(&self) -> &S {
        &self.io
    }

    pub fn faults(&self) -> Rc<Faults> {
        Rc::clone(&self.faults)
    }

    /// Takes what was read past the framing and not answered: the server reads it first.
    pub fn give_back(&mut self, bytes: &[u8]) {
        if let Some(fault) = self.framing.feed(bytes, &mut self.out) {
            self.note(fault);
        }
    }

    /// Hands over what is waiting, as far as it fits. False: nothing is.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let waiting = &self.out[self.given..];
        if waiting.is_empty() {
            return false;
        }
        let length = waiting.len().min(buf.remaining());
        buf.put_slice(&waiting[..length]);
        self.given += length;
        if self.given == self.out.len() {
            self.out.clear();
            self.out.shrink_to(BUFFER_BYTES_KEPT_MAX);
            self.given = 0;
        }
        true
    }

    fn note(&self, fault: Fault) {
        match fault {
            Fault::Head(fault) => self.faults.head.set(Some(fault)),
            Fault::Body => self.faults.body.set(true),
        }
    }

    /// Whether the head that is coming in, or the first one of the connection, is late.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let heads = self.framing.heads();
        if !self.framing.is_in_head() && (heads > 0 || self.framing.is_over()) {
            self.head_timer = None;
            return false;
        }
        if self.timed_heads != heads {
            (self.head_timer, self.timed_heads) = (None, heads);
        }
        self.head_timer.get_or_insert_with(|| Box::pin(sleep(HEAD_TIMEOUT))).as_mut().poll(cx).is_ready()
    }

    /// Refuses a late head; a connection on which nothing has come ends without a word.
    fn end_late(&mut self) {
        if self.framing.is_in_head() {
            self.framing.refuse(&mut self.out);
            self.note(Fault::Head(HeadFault::TooSlow));
        } else {
            self.has_ended = true;
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads past the framing, between two requests: what is not answered by itself must be given back.
    pub fn poll_read_past(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            // After a broken body nothing more can be read: the server takes that for the end.
            if this.give(buf) || this.has_ended || this.faults.has_broken_body() {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.io).poll_read(cx, buf) {
                Poll::Pending if this.is_late(cx) => this.end_late(),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if buf.filled().len() == before => this.has_ended = true,
                Poll::Ready(Ok(())) => {
                    if let Some(fault) = this.framing.feed(&buf.filled()[before..], &mut this.out) {
                        this.note(fault);
                    }
                    buf.set_filled(before);
                    if this.framing.is_over() && this.out.is_empty() {
                        // Thrown away a piece at a time: one that floods a refused connection keeps nobody waiting.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if !this.framing.is_over() || this.has_ended {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut thrown_away = [0; 4096];
        let mut buf = ReadBuf::new(&mut thrown_away);
        match ready!(Pin::new(&mut this.io).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
