//! The stream between the socket and the HTTP server. Each head is held until it has come in full, within its size and time, so
//! that no request of a connection, the first or the hundredth, holds more than that; what is malformed is refused with a problem
//! instead of a closed connection. Bodies go beside the server (`inbox.rs`). What requests are about is not known here.

mod chunks;
mod framing;
mod inbox;
mod preface;
mod stall;

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::wiping::wipe;
use actix_web::http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

pub use framing::HeadFault;
use framing::{Fault, Framing, REFUSED_METHOD};
pub use inbox::{Body, BodyFault, Inbox};
pub use preface::{Source, read_preface};
use stall::Stall;

use super::budget::Peer;
use super::lines::{Entry, Line};

/// How long a head may take from its first byte on; the first head of a connection from its opening on (RFC 9110, 15.5.9).
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a body may take from its head on.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what a refused client still sends is thrown away: to close earlier would destroy the answer on its way (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(1);
/// An idle connection keeps no larger buffer.
const BUFFER_BYTES_KEPT_MAX: usize = 4096;
/// What one read takes at most.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// What a worker has just read off a socket: looked at and wiped before another one is read. So nothing that comes lies in the
    /// server's own buffers but heads.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// What was wrong with what came on a connection, as its requests ask for it.
#[derive(Debug, Default)]
pub struct Faults {
    head: Cell<Option<HeadFault>>,
    /// Nothing more is taken after the answer: a body was malformed, or too much of it is to come.
    is_last: Cell<bool>,
}

impl Faults {
    /// The fault of the head in whose place a request stands. A client that sends such a request itself has no fault by it.
    pub fn of_head(&self, method: &Method) -> Option<HeadFault> {
        if method.as_str() == REFUSED_METHOD { self.head.get() } else { None }
    }

    /// Whether the connection takes nothing after the request that it is at.
    pub fn is_last(&self) -> bool {
        self.is_last.get()
    }

    /// The request that the connection is at is its last one.
    pub fn end(&self) {
        self.is_last.set(true);
    }
}

/// A connection as the server reads and writes it.
#[derive(Debug)]
pub struct Wire<S> {
    io: S,
    framing: Framing,
    faults: Rc<Faults>,
    entry: Entry,
    /// Whom its line wakes: each read and write asks, and nearly always it is the same task.
    waker: Option<Waker>,
    /// For the server to read, from `given` on.
    out: Vec<u8>,
    given: usize,
    /// Runs while a head comes in.
    head_timer: Option<Pin<Box<Sleep>>>,
    /// How many heads had come when it was set.
    timed_heads: u64,
    has_ended: bool,
    /// Runs while a body comes in.
    body_timer: Option<(u64, Pin<Box<Sleep>>)>,
    /// Runs from the shutdown of a refused connection on.
    linger: Option<Pin<Box<Sleep>>>,
    stall: Stall,
}

impl<S> Wire<S> {
    /// A reader has `answer` to take what the server buffers.
    pub fn new(io: S, peer: &Rc<Peer>, entry: Entry, answer: Duration) -> Self {
        Self {
            io,
            framing: Framing::new(peer),
            faults: Rc::default(),
            entry,
            waker: None,
            out: Vec::new(),
            given: 0,
            head_timer: None,
            timed_heads: 0,
            has_ended: false,
            body_timer: None,
            linger: None,
            stall: Stall::new(answer),
        }
    }

    /// A connection that is refused before its first head.
    pub fn refusing(io: S, fault: HeadFault, peer: &Rc<Peer>, entry: Entry, answer: Duration) -> Self {
        let mut wire = Self::new(io, peer, entry, answer);
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

    pub fn inbox(&self) -> Rc<Inbox> {
        Rc::clone(self.framing.inbox())
    }

    /// What other threads see of the connection.
    pub fn line(&self) -> &std::sync::Arc<Line> {
        self.entry.line()
    }

    /// Fails once another thread, or the watch over slow readers, has ended the connection.
    fn check_ending(&mut self, cx: &Context<'_>) -> io::Result<()> {
        // Nobody else waits for a line that has its wire, and one that has been told to end stays so.
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.entry.line().register(cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        if self.entry.line().is_ending() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
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
            wipe(&mut self.out);
            self.out.clear();
            self.out.shrink_to(BUFFER_BYTES_KEPT_MAX);
            self.given = 0;
        }
        true
    }

    fn note(&self, fault: Fault) {
        match fault {
            Fault::Head(fault) => self.faults.head.set(Some(fault)),
            Fault::Body => self.faults.end(),
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

    /// Nothing more comes, and the server learns it.
    fn end_by_itself(&mut self) {
        self.framing.end();
        (self.has_ended, self.body_timer) = (true, None);
    }

    /// Refuses a late head; a connection on which nothing has come ends without a word.
    fn end_late(&mut self) {
        self.framing.inbox().note_late_head();
        if self.framing.is_in_head() {
            self.framing.refuse(&mut self.out);
            self.note(Fault::Head(HeadFault::TooSlow));
        } else {
            self.has_ended = true;
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads once, and looks at what has come. None: nothing has.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        READ.with_borrow_mut(|input| {
            let mut buf = ReadBuf::new(input);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            let length = buf.filled().len();
            if let Some(fault) = self.framing.feed(buf.filled(), &mut self.out) {
                self.note(fault);
            }
            wipe(buf.filled_mut());
            Poll::Ready(Ok((length > 0).then_some(length)))
        })
    }

    /// Whether the socket is left alone for now: nobody wants the body that is coming in, or as many requests wait as may.
    fn is_paused(&mut self, cx: &mut Context<'_>) -> bool {
        match self.framing.body() {
            Some(body) => !body.is_awaited(cx),
            None => self.framing.inbox().is_full(cx),
        }
    }

    /// Whether the body that is coming in has had its time, or is not worth waiting for.
    fn is_body_over(&mut self, cx: &mut Context<'_>) -> bool {
        let heads = self.framing.heads();
        let Some(body) = self.framing.body() else { return false };
        if self.body_timer.as_ref().is_none_or(|(of, _)| *of != heads) {
            // The reader of the body has less time and answers: only where nobody reads it does this end the connection.
            self.body_timer = Some((heads, Box::pin(sleep(BODY_TIMEOUT + LINGER))));
        }
        body.is_flood() || self.body_timer.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready())
    }

    /// Reads past the framing, between two requests: what is not answered by itself must be given back.
    pub fn poll_read_past(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_ending(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.faults.is_last() && !this.framing.is_over() {
                this.framing.end();
            }
            if this.give(buf) || this.has_ended {
                return Poll::Ready(Ok(()));
            }
            this.check_ending(cx)?;
            if this.is_paused(cx) {
                return Poll::Pending;
            }
            match this.poll_feed(cx) {
                Poll::Pending if this.is_body_over(cx) => this.end_by_itself(),
                Poll::Pending if this.is_late(cx) => this.end_late(),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    this.end_by_itself();
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(None)) => this.end_by_itself(),
                Poll::Ready(Ok(Some(_))) => {
                    if this.framing.body().is_some() && this.is_body_over(cx) {
                        this.end_by_itself();
                    } else if this.framing.is_over() && this.out.is_empty() {
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
        self.check_ending(cx)?;
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.stall.judge(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(cx) {
            // With TLS records may wait here.
            Poll::Pending => self.stall.wait(cx).map(Err),
            flushed @ Poll::Ready(_) => {
                self.stall.end();
                flushed
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.faults.is_last() && !this.framing.is_over() {
            this.framing.end();
        }
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
        match ready!(this.poll_feed(cx)) {
            Ok(Some(_)) => {
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
        self.check_ending(cx)?;
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.stall.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;
    use crate::http::pipeline::budget::tests::budget;
    use crate::http::pipeline::lines::tests::lines;

    /// A reader may be another task than before, and may have read often without anything having come.
    #[tokio::test]
    async fn who_reads_a_connection_learns_that_it_is_to_end() {
        let (io, _client) = tokio::io::duplex(64);
        let entry = lines(1).enter(0, None).unwrap();
        let line = Arc::clone(entry.line());
        let mut wire = Wire::new(io, &budget(1 << 20, 1).enter(None).unwrap(), entry, HEAD_TIMEOUT);
        let mut read = move |cx: &mut Context<'_>| wire.poll_read_past(cx, &mut ReadBuf::new(&mut [0; 8]));
        assert!(read(&mut Context::from_waker(Waker::noop())).is_pending());
        let reads = Rc::new(Cell::new(0));
        let counted = Rc::clone(&reads);
        let local = tokio::task::LocalSet::new();
        let reading = local.spawn_local(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            if counted.get() < 3 {
                cx.waker().wake_by_ref();
            }
            read(cx)
        }));
        local
            .run_until(async {
                while reads.get() < 3 {
                    tokio::task::yield_now().await;
                }
                line.end();
                let read = tokio::time::timeout(Duration::from_mins(1), reading).await.expect("it was woken").unwrap();
                assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
            })
            .await;
    }
}
