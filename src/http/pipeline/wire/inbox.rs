//! The bodies of a connection, beside the server and not through it: each is read off the socket only when its request asks for
//! it, is held once and in the budget, and is wiped when the request ends. What nobody asks for is thrown away as it comes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::http::pipeline::budget::{Full, Hold, Peer};
use crate::limits::Asker;

/// Requests of one connection whose turn has not come.
const PIPELINED_MAX: usize = 16;
/// What is thrown away of a body that nobody asked for before its connection is closed instead.
const THROWN_AWAY_MAX: u64 = 64 * 1024;
/// The first room of a body that does not come at once; it doubles as it fills.
const ROOM_MIN: usize = 4096;

/// The whole head, and the body, of the first request that waits on a connection count towards no address up to this: a connection is
/// bound by its address already, and its neighbours behind one address may be known clients.
pub(super) const UNSHARED_BYTES_MAX: usize = 4096;

/// Why there is no body to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Its chunks are malformed.
    Malformed,
    TooLarge,
    Full(Full),
    /// The connection ended before it did.
    CutOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The request has not said whether it reads its body.
    Unknown,
    /// Up to so many bytes.
    Wanted(usize),
    /// It never will, or not more.
    Unwanted,
}

/// One body, as far as it has come.
#[derive(Debug)]
pub struct Body {
    /// What its head says it has.
    announced: Option<u64>,
    /// Whether it counts towards nobody as long as it is nobody's.
    is_unshared: bool,
    peer: Rc<Peer>,
    flow: RefCell<Flow>,
}

#[derive(Debug)]
struct Flow {
    bytes: Vec<u8>,
    hold: Hold,
    /// Came, kept or not.
    came: u64,
    end: Option<Result<(), BodyFault>>,
    /// Nothing more comes, whatever the fault.
    is_over: bool,
    wish: Wish,
    reader: Option<Waker>,
    wire: Option<Waker>,
}

impl Body {
    fn new(announced: Option<u64>, is_first: bool, peer: &Rc<Peer>) -> Self {
        let is_unshared = is_first && announced.is_some_and(|bytes| bytes <= UNSHARED_BYTES_MAX as u64);
        let flow = Flow {
            bytes: Vec::new(),
            hold: peer.hold(),
            came: 0,
            end: None,
            is_over: false,
            wish: Wish::Unknown,
            reader: None,
            wire: None,
        };
        Self { announced, is_unshared, peer: Rc::clone(peer), flow: RefCell::new(flow) }
    }

    /// What its head says it has.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Adds what has come. More than fits is not kept.
    pub(super) fn put(&self, bytes: &[u8]) {
        let mut flow = self.flow.borrow_mut();
        flow.came += bytes.len() as u64;
        if flow.end.is_some() || flow.wish == Wish::Unwanted {
            return;
        }
        if let Wish::Wanted(bytes_max) = flow.wish
            && flow.bytes.len() + bytes.len() > bytes_max
        {
            flow.finish(Err(BodyFault::TooLarge));
            return;
        }
        let filled = flow.bytes.len() + bytes.len();
        if filled > flow.bytes.capacity() {
            // What comes at once has just its room.
            let doubled = (flow.bytes.capacity() * 2).max(ROOM_MIN);
            let is_whole = self.announced == Some(filled as u64);
            let room = if is_whole { filled } else { doubled.max(filled) };
            let more = room - flow.bytes.capacity();
            let is_unshared = self.is_unshared && !flow.hold.is_assigned();
            let grown = if is_unshared { flow.hold.grow_unshared(more) } else { flow.hold.grow(more) };
            if let Err(full) = grown {
                self.peer.note_refusal(full);
                flow.finish(Err(BodyFault::Full(full)));
                return;
            }
            let mut larger = Vec::with_capacity(room);
            larger.extend_from_slice(&flow.bytes);
            flow.bytes = larger;
        }
        flow.bytes.extend_from_slice(bytes);
    }

    /// Nothing more comes.
    pub(super) fn finish(&self, end: Result<(), BodyFault>) {
        let mut flow = self.flow.borrow_mut();
        flow.is_over = true;
        flow.finish(end);
    }

    /// Whether the socket should be read for it. If not, the one who asks is woken when it should.
    pub(super) fn is_awaited(&self, cx: &Context<'_>) -> bool {
        let mut flow = self.flow.borrow_mut();
        if flow.wish == Wish::Unknown {
            flow.wire = Some(cx.waker().clone());
        }
        flow.wish != Wish::Unknown
    }

    /// Whether more of it has come than is thrown away.
    pub(super) fn is_flood(&self) -> bool {
        let flow = self.flow.borrow();
        flow.wish == Wish::Unwanted && flow.came > THROWN_AWAY_MAX.max(flow.bytes.capacity() as u64)
    }

    /// The bytes, where all are there.
    pub fn take_whole(&self, bytes_max: usize) -> Option<Result<Vec<u8>, BodyFault>> {
        let mut flow = self.flow.borrow_mut();
        let end = flow.end?;
        Some(match end {
            Ok(()) if flow.bytes.len() > bytes_max => Err(BodyFault::TooLarge),
            Ok(()) => Ok(std::mem::take(&mut flow.bytes)),
            Err(fault) => Err(fault),
        })
    }

    /// What has come counts towards its sender from here on, and what is to come.
    pub fn charge(&self, sender: Asker) -> Result<(), BodyFault> {
        self.flow.borrow_mut().hold.charge(sender).map_err(|full| {
            self.peer.note_refusal(full);
            BodyFault::Full(full)
        })
    }

    /// Waits for the rest, and gives all.
    pub fn poll_whole(&self, bytes_max: usize, cx: &Context<'_>) -> Poll<Result<Vec<u8>, BodyFault>> {
        if let Some(whole) = self.take_whole(bytes_max) {
            return Poll::Ready(whole);
        }
        let mut flow = self.flow.borrow_mut();
        if flow.bytes.len() > bytes_max {
            return Poll::Ready(Err(BodyFault::TooLarge));
        }
        flow.reader = Some(cx.waker().clone());
        flow.wish = Wish::Wanted(bytes_max);
        flow.wake_wire();
        Poll::Pending
    }

    /// Its request has been answered: what has come is wiped, what comes is thrown away. False: too much is to come, and the
    /// connection ends with the answer.
    pub fn dismiss(&self) -> bool {
        let mut flow = self.flow.borrow_mut();
        flow.wish = Wish::Unwanted;
        // The allocator wipes it, as all that is freed.
        flow.bytes = Vec::new();
        flow.hold.arrived();
        flow.hold.clear();
        let is_over = flow.is_over;
        flow.wake_wire();
        is_over || self.announced.is_some_and(|announced| announced - flow.came <= THROWN_AWAY_MAX)
    }
}

impl Flow {
    fn finish(&mut self, end: Result<(), BodyFault>) {
        if self.end.is_none() {
            self.end = Some(end);
            self.hold.arrived();
        }
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_wire(&mut self) {
        if let Some(waker) = self.wire.take() {
            waker.wake();
        }
    }
}

/// The bodies of a connection's requests, in their order, none for a request without one; and what their heads hold of the budget
/// until they are answered, for the server reads ahead.
#[derive(Debug)]
pub struct Inbox {
    peer: Rc<Peer>,
    waiting: RefCell<VecDeque<(Option<Rc<Body>>, Hold)>>,
    wire: RefCell<Option<Waker>>,
}

impl Inbox {
    pub(super) fn new(peer: Rc<Peer>) -> Self {
        Self { peer, waiting: RefCell::default(), wire: RefCell::default() }
    }

    /// Nothing reserved yet, for what comes or leaves by this connection.
    pub fn hold(&self) -> Hold {
        self.peer.hold()
    }

    /// Counts a refusal because there is no room.
    pub fn note_refusal(&self, full: Full) {
        self.peer.note_refusal(full);
    }

    /// Counts a head that has not come in its time.
    pub(super) fn note_late_head(&self) {
        self.peer.note_late_head();
    }

    /// A head without a body has come.
    pub(super) fn push_none(&self, head: Hold) {
        self.waiting.borrow_mut().push_back((None, head));
    }

    /// A head has come whose body follows.
    pub(super) fn push(&self, head: Hold, announced: Option<u64>) -> Rc<Body> {
        let body = Rc::new(Body::new(announced, self.is_empty(), &self.peer));
        self.waiting.borrow_mut().push_back((Some(Rc::clone(&body)), head));
        body
    }

    /// Whether no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Whether as many requests wait as may. The one who asks is woken when one has its turn.
    pub(super) fn is_full(&self, cx: &Context<'_>) -> bool {
        let is_full = self.waiting.borrow().len() >= PIPELINED_MAX;
        if is_full {
            *self.wire.borrow_mut() = Some(cx.waker().clone());
        }
        is_full
    }

    /// The body of the request whose turn it is, and what its head holds. Asked once for each, in their order.
    pub fn next(&self) -> (Option<Rc<Body>>, Option<Hold>) {
        if let Some(waker) = self.wire.borrow_mut().take() {
            waker.wake();
        }
        self.waiting.borrow_mut().pop_front().map_or((None, None), |(body, head)| (body, Some(head)))
    }
}
