//! What one connection may hold: a large answer is handed over in pieces, so that a reader that is slow holds its own answer and
//! no more, and a watch ends connections that hold on to an answer for too long. The size and time of heads are `wire`'s, those
//! of bodies `body`'s.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceResponse};
use actix_web::web::Bytes;
use tokio::time::sleep;

use super::admission::Place;
use super::budget::{Full, Hold};
use super::lines::Line;
use super::proxies::Peer;
use super::stream::Stream;
use super::wire::{Inbox, Wire};
use crate::limits::Asker;

/// How often a connection is looked at in the time that its reader has for an answer: all times are kept to such a part.
const LOOKS: u32 = 6;
/// Larger answers are handed over in pieces of this. The server buffers 32 KiB and one piece for a connection.
const PIECE_BYTES: usize = 32 * 1024;

/// What the watch knows of a connection: in which of these it is, and since how many looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// No request is known. The server ends what is idle, and `wire` a head that does not come.
    Nothing,
    /// A request is worked on, or its body comes in: both have their own bounds.
    Work,
    /// A large answer is on its way.
    Answer,
}

/// An open connection, as its requests and the watch share it.
#[derive(Debug)]
pub struct Connection {
    line: Arc<Line>,
    doing: Cell<Doing>,
    looks: Cell<u32>,
}

/// The server's hook for new connections. A reader has `answer` for a large answer, whatever its size.
pub fn watch(answer: Duration) -> impl Fn(&Wire<Stream>, &mut Extensions) + 'static {
    move |wire, extensions| {
        extensions.insert(wire.faults());
        extensions.insert(wire.inbox());
        if let Some(certificate) = wire.get_ref().certificate() {
            extensions.insert(certificate);
        }
        let io = wire.get_ref().tcp();
        if let Ok(peer) = io.peer_addr() {
            extensions.insert(Peer(peer.ip()));
        }
        let line = Arc::clone(wire.line());
        let connection = Rc::new(Connection { line, doing: Cell::new(Doing::Nothing), looks: Cell::new(0) });
        tokio::task::spawn_local(look_after(Rc::downgrade(&connection), answer / LOOKS));
        extensions.insert(connection);
    }
}

async fn look_after(connection: Weak<Connection>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(connection) = connection.upgrade() else { return };
        if connection.is_overdue() {
            connection.line.end();
            return;
        }
    }
}

impl Connection {
    /// A request has come.
    pub fn begin(&self, now_ns: u64) {
        self.line.begin(now_ns);
        self.turn_to(Doing::Work);
    }

    fn turn_to(&self, doing: Doing) {
        self.doing.set(doing);
        self.looks.set(0);
        if doing == Doing::Nothing {
            self.line.rest();
        }
    }

    fn is_overdue(&self) -> bool {
        let looks = self.looks.get().saturating_add(1);
        self.looks.set(looks);
        match self.doing.get() {
            Doing::Nothing | Doing::Work => false,
            Doing::Answer => looks > LOOKS,
        }
    }
}

fn is_large(response: &ServiceResponse<BoxBody>) -> Option<usize> {
    let BodySize::Sized(bytes) = response.response().body().size() else { return None };
    usize::try_from(bytes).ok().filter(|bytes| *bytes > PIECE_BYTES)
}

/// What a large answer is to hold of the budget until it is gone. A limit of calls bounds
/// none of it: it is the reader who says how long an answer stays.
pub fn reserve(response: &ServiceResponse<BoxBody>, inbox: Option<&Inbox>, asker: Asker) -> Result<Option<Hold>, Full> {
    let (Some(inbox), Some(bytes)) = (inbox, is_large(response)) else { return Ok(None) };
    let mut hold = inbox.hold();
    let grown = hold.assign(asker).and_then(|()| hold.grow_within_share(bytes));
    grown.inspect_err(|full| inbox.note_refusal(*full)).map(|()| Some(hold))
}

/// Hands an answer over: at once, or in pieces, and then with the request's place until the last one.
pub fn hand_over(
    response: ServiceResponse<BoxBody>,
    place: Option<Place>,
    reserved: Option<Hold>,
) -> ServiceResponse<BoxBody> {
    let connection = response.request().conn_data::<Rc<Connection>>().cloned();
    let is_large = is_large(&response).is_some();
    if let Some(connection) = &connection {
        connection.turn_to(if is_large { Doing::Answer } else { Doing::Nothing });
    }
    if !is_large {
        return response;
    }
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => BoxBody::new(Pieces { bytes, _place: place, _reserved: reserved, connection }),
        Err(body) => body,
    })
}

/// A large answer, and what it holds until it is gone.
#[derive(Debug)]
struct Pieces {
    bytes: Bytes,
    _place: Option<Place>,
    _reserved: Option<Hold>,
    connection: Option<Rc<Connection>>,
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.bytes.len().min(PIECE_BYTES);
        let piece = self.bytes.split_to(length);
        Poll::Ready((length > 0).then_some(Ok(piece)))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.turn_to(Doing::Nothing);
        }
    }
}
