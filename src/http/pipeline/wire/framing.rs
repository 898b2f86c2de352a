//! Where each request of a connection begins and ends (RFC 9112), checked before the server sees it: a head that it would refuse
//! without a word, or take though it should not, becomes a request that the boundary answers with a problem. Offers to change
//! the protocol are taken out, so that nobody takes them at their word. Knows nothing of time and of sockets.

use std::mem::MaybeUninit;
use std::rc::Rc;

use actix_web::http::Uri;

use super::chunks::Chunks;
use super::inbox::{Body, BodyFault, Inbox, UNSHARED_BYTES_MAX};
use crate::http::pipeline::budget::{Full, Hold, Peer};

/// The longest head. An honest one, token included, has under two kilobytes.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Room that a connection keeps for its next head.
const HELD_BYTES_KEPT_MAX: usize = 4096;
/// As many as the server takes.
const HEADERS_MAX: usize = 96;
/// As many may be added to a head that is written again: a host, and that its connection ends.
const ADDED_MAX: usize = 2;
/// The method of the request that takes the place of a refused head. It says nothing by itself: the connection's faults do.
pub(super) const REFUSED_METHOD: &str = "REFUSED";
const REFUSED_HEAD: &[u8] = b"REFUSED * HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    Malformed,
    /// A line that ends in LF alone: another reader of the same bytes may see another request (RFC 9112, 2.2 and 11.2).
    BareLineFeed,
    TooLarge,
    TargetTooLong,
    TooSlow,
    /// A trusted proxy's connection begins without a PROXY preface, or with a malformed one.
    Preface,
    /// There is no room for it.
    Full(Full),
}

/// What is wrong with what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Head(HeadFault),
    /// A body's chunks. Its request is with the server already.
    Body,
}

#[derive(Debug)]
enum At {
    Head,
    /// So many bytes of a body are to come.
    Body(u64, Rc<Body>),
    Chunks(Chunks, Rc<Body>),
    /// Nothing more is taken.
    Over,
}

/// One direction of a connection: what its client sends.
#[derive(Debug)]
pub(super) struct Framing {
    at: At,
    /// The head that has not come in full, as much as is reserved for it.
    held: Vec<u8>,
    hold: Hold,
    inbox: Rc<Inbox>,
    /// Whether a byte of it has come: empty lines before a head are not kept.
    has_begun: bool,
    /// Heads that have come in full.
    heads: u64,
}

impl Framing {
    pub(super) fn new(peer: &Rc<Peer>) -> Self {
        let inbox = Rc::new(Inbox::new(Rc::clone(peer)));
        Self { at: At::Head, held: Vec::new(), hold: peer.hold(), inbox, has_begun: false, heads: 0 }
    }

    pub(super) fn inbox(&self) -> &Rc<Inbox> {
        &self.inbox
    }

    /// The body that is coming in.
    pub(super) fn body(&self) -> Option<&Rc<Body>> {
        match &self.at {
            At::Body(_, body) | At::Chunks(_, body) => Some(body),
            At::Head | At::Over => None,
        }
    }

    /// Takes nothing more.
    pub(super) fn end(&mut self) {
        if let Some(body) = self.body() {
            body.finish(Err(BodyFault::CutOff));
        }
        self.at = At::Over;
        self.forget_head();
    }

    fn forget_head(&mut self) {
        (self.held, self.has_begun) = (Vec::new(), false);
        self.hold.clear();
    }

    /// Whether a head has begun and not come in full.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.at, At::Head) && self.has_begun
    }

    /// How many heads have come in full.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether nothing more is taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }

    /// Takes what has come, and appends to `out` what the server is to read.
    pub(super) fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<Fault> {
        let mut rest = input;
        while !rest.is_empty() {
            match &mut self.at {
                At::Head => match self.feed_head(rest, out) {
                    Ok(tail) => rest = tail,
                    Err(fault) => {
                        if let HeadFault::Full(full) = fault {
                            self.inbox.note_refusal(full);
                        }
                        self.refuse(out);
                        return Some(Fault::Head(fault));
                    }
                },
                At::Body(left, body) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    let (part, tail) = rest.split_at(length);
                    body.put(part);
                    rest = tail;
                    *left -= length as u64;
                    if *left == 0 {
                        body.finish(Ok(()));
                        self.at = At::Head;
                    }
                }
                At::Chunks(chunks, body) => match chunks.feed(rest, |part| body.put(part)) {
                    Ok(None) => return None,
                    Ok(Some(tail)) => {
                        rest = tail;
                        body.finish(Ok(()));
                        self.at = At::Head;
                    }
                    Err(_) => {
                        body.finish(Err(BodyFault::Malformed));
                        self.at = At::Over;
                        return Some(Fault::Body);
                    }
                },
                At::Over => return None,
            }
        }
        None
    }

    /// Puts a request that is answered with a refusal in the place of the head that is coming in.
    pub(super) fn refuse(&mut self, out: &mut Vec<u8>) {
        self.at = At::Over;
        self.forget_head();
        self.inbox.push_none(self.inbox.hold());
        out.extend_from_slice(REFUSED_HEAD);
    }

    /// Line by line, until the empty one. Returns what follows the head.
    fn feed_head<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], HeadFault> {
        if self.held.is_empty() && input.first().is_some_and(|byte| !is_of_method(*byte)) {
            // What begins so will never be a head, however long one waits: a TLS hello, for one.
            return Err(HeadFault::Malformed);
        }
        self.has_begun = true;
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', input) {
            self.held.extend_from_slice(&input[from..=at]);
            from = at + 1;
            if !self.held.ends_with(b"\r\n") {
                return Err(HeadFault::BareLineFeed);
            }
            self.check_size()?;
            if self.held.len() == 2 {
                // An empty line before a request is passed over (RFC 9112, 2.2).
                self.held.clear();
            } else if self.held.ends_with(b"\r\n\r\n") {
                // Its request holds it until it is answered: the server reads ahead.
                self.hold.clear();
                let is_small = self.held.len() <= UNSHARED_BYTES_MAX && self.inbox.is_empty();
                let grown =
                    if is_small { self.hold.grow_unshared(self.held.len()) } else { self.hold.grow(self.held.len()) };
                grown.map_err(HeadFault::Full)?;
                let hold = std::mem::replace(&mut self.hold, self.inbox.hold());
                self.at = read_head(&self.held, hold, out, &self.inbox)?;
                self.held.clear();
                self.held.shrink_to(HELD_BYTES_KEPT_MAX);
                (self.has_begun, self.heads) = (false, self.heads + 1);
                return Ok(&input[from..]);
            }
        }
        // Only now is something kept until more comes.
        self.hold.clear();
        self.hold.grow(self.held.len() + input.len() - from).map_err(HeadFault::Full)?;
        self.held.extend_from_slice(&input[from..]);
        self.check_size()?;
        Ok(&[])
    }

    fn check_size(&self) -> Result<(), HeadFault> {
        if self.held.len() <= HEAD_BYTES_MAX {
            return Ok(());
        }
        // Where not even the first line fits, that is the target's fault.
        let first_line = memchr::memchr(b'\n', &self.held);
        Err(if first_line.is_none_or(|at| at > HEAD_BYTES_MAX) {
            HeadFault::TargetTooLong
        } else {
            HeadFault::TooLarge
        })
    }
}

/// Whether a head may begin with it: with a method (RFC 9110, 5.6.2), or with the empty line before one.
fn is_of_method(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~\r\n".contains(&byte)
}

/// What a head says of its body and its connection.
#[derive(Debug, Default)]
struct Facts {
    length: Option<u64>,
    is_chunked: bool,
    has_host: bool,
    offers_upgrade: bool,
}

/// Reads a whole head as strictly as the server does, and writes it for the server, without offers and without what says that a
/// body follows: that does not go through the server. Returns what follows it.
fn read_head(head: &[u8], hold: Hold, out: &mut Vec<u8>, inbox: &Inbox) -> Result<At, HeadFault> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut headers) {
        Ok(status) if status.is_complete() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::TooLarge),
        _ => return Err(HeadFault::Malformed),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(HeadFault::Malformed);
    };
    // A target has no fragment (RFC 9112, 3.2): the server would cut it off without a word, and look at nothing of it.
    if target.contains('#') || Uri::try_from(target).is_err() {
        return Err(HeadFault::Malformed);
    }
    let facts = Facts::of(request.headers)?;
    let is_old = version == 0;
    let lacks_host = !is_old && !facts.has_host;
    let is_endless_post = is_old && method == "POST" && facts.length.is_none();
    if lacks_host || is_endless_post || (facts.is_chunked && (is_old || facts.length.is_some())) {
        return Err(HeadFault::Malformed);
    }
    // The server would take all that follows for the tunnel's.
    let is_tunnel = method == "CONNECT";
    if (is_tunnel || is_old) && request.headers.len() > HEADERS_MAX - ADDED_MAX {
        return Err(HeadFault::TooLarge);
    }
    let has_body = facts.is_chunked || facts.length.is_some_and(|length| length > 0);
    if is_tunnel || facts.offers_upgrade || has_body {
        write_head(&request, is_tunnel, out);
    } else {
        out.extend_from_slice(head);
    }
    if is_tunnel || !has_body {
        inbox.push_none(hold);
        return Ok(if is_tunnel { At::Over } else { At::Head });
    }
    let body = inbox.push(hold, facts.length);
    Ok(match facts.length {
        Some(length) => At::Body(length, body),
        None => At::Chunks(Chunks::new(), body),
    })
}

impl Facts {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, HeadFault> {
        let mut facts = Self::default();
        let mut has_coding = false;
        for httparse::Header { name, value } in headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            let malformed = if is("content-length") {
                let is_first = facts.length.is_none();
                facts.length = read_length(value);
                !is_first || facts.length.is_none()
            } else if is("transfer-encoding") {
                let is_first = !std::mem::replace(&mut has_coding, true);
                facts.is_chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                !is_first || !facts.is_chunked
            } else if is("host") {
                std::mem::replace(&mut facts.has_host, true)
            } else {
                facts.offers_upgrade |= is_offer(name.as_bytes()) || (is("connection") && offers(value));
                false
            };
            if malformed {
                return Err(HeadFault::Malformed);
            }
        }
        Ok(facts)
    }
}

fn read_length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value.trim_ascii()).ok()?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Fields, and options of `Connection`, that offer another protocol (RFC 9110, 7.8; RFC 7540, 3.2.1).
fn is_offer(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"http2-settings")
}

/// By bytes: the field may have thousands of options, and is read before anybody is known.
fn offers(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|option| is_offer(option.trim_ascii()))
}

/// Fields that say how long the body is (RFC 9112, 6).
fn is_length(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

fn is_expectation(name: &str) -> bool {
    name.eq_ignore_ascii_case("expect")
}

fn options(value: &[u8]) -> impl Iterator<Item = &str> {
    value.split(|byte| *byte == b',').filter_map(|option| std::str::from_utf8(option.trim_ascii()).ok())
}

/// The head again without its offers; of a tunnel the last one of its connection.
fn write_head(request: &httparse::Request<'_, '_>, is_last: bool, out: &mut Vec<u8>) {
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let named = |name: &'static str| request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    // The server takes a POST of HTTP/1.0 by its length alone, which does not stand here any more: many proxies speak no other.
    let is_raised = request.version == Some(0);
    let stays =
        |field: &httparse::Header<'_>| options(field.value).any(|option| option.eq_ignore_ascii_case("keep-alive"));
    let is_last = is_last || (is_raised && !named("connection").any(stays));
    out.extend_from_slice(format!("{method} {target} HTTP/1.1\r\n").as_bytes());
    let mut field = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    // The newer version demands a host. This names none, so that who gave none is answered like anybody else without one.
    if is_raised && named("host").next().is_none() {
        field("host", b"-");
    }
    // In the older version nothing is expected (RFC 9110, 10.1.1): its clients know no answer before the answer.
    let is_left_out = |name: &str| is_offer(name.as_bytes()) || is_length(name) || (is_raised && is_expectation(name));
    for httparse::Header { name, value } in request.headers.iter().filter(|header| !is_left_out(header.name)) {
        if !name.eq_ignore_ascii_case("connection") {
            field(name, value);
            continue;
        }
        let kept: Vec<_> = options(value).filter(|option| !is_offer(option.as_bytes()) && !option.is_empty()).collect();
        if !kept.is_empty() && !is_last {
            field(name, kept.join(", ").as_bytes());
        }
    }
    if is_last {
        field("connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::pipeline::budget::tests::budget;

    fn framing() -> Framing {
        Framing::new(&budget(1 << 30, 1).enter(None).unwrap())
    }

    #[test]
    fn a_body_of_the_older_version_is_read_and_its_connection_ends_unless_it_stays() {
        let head =
            |connection: &str| format!("POST / HTTP/1.0\r\nHost: a\r\n{connection}Content-Length: 2\r\n\r\n{{}}");
        let raised = fed(&head("")).0;
        assert!(raised.starts_with("POST / HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n"), "{raised}");
        let stays = fed(&head("Connection: Keep-Alive\r\n")).0;
        assert!(stays.starts_with("POST / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"), "{stays}");
        let hasty = fed(&head("Expect: 100-continue\r\nexpect: x\r\n")).0;
        assert_eq!(hasty, raised, "nobody expects anything in the older version");
        for method in ["POST", "PUT", "GET"] {
            let nowhere = format!("{method} http://a/ HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}");
            let raised = format!("{method} http://a/ HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n");
            assert_eq!(fed(&nowhere), (raised, None), "one without a host is one that names none");
        }
    }

    /// What the server reads.
    fn fed(input: &str) -> (String, Option<Fault>) {
        let mut out = Vec::new();
        let fault = framing().feed(input.as_bytes(), &mut out);
        (String::from_utf8_lossy(&out).into_owned(), fault)
    }

    /// The bodies that have come.
    fn bodies(inbox: &Inbox, requests: usize) -> Vec<Option<Result<String, BodyFault>>> {
        let text =
            |body: Rc<Body>| Some(body.take_whole(1 << 20)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        (0..requests).map(|_| inbox.next().0.and_then(text)).collect()
    }

    #[test]
    fn what_is_in_order_passes_as_it_is() {
        for input in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET http://a/v1/alerts HTTP/1.1\r\nHost: b\r\nConnection: keep-alive\r\n\r\n",
        ] {
            assert_eq!(fed(input), (input.to_owned(), None));
        }
        assert_eq!(fed("\r\n\r\nGET / HTTP/1.0\r\n\r\n").0, "GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn bodies_go_beside_the_server() {
        for (length, body) in [("Content-Length: 2", "{}"), ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n")] {
            let (mut framing, mut out) = (framing(), Vec::new());
            let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            let input = format!("POST /v1/checks HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{body}{get}");
            assert_eq!(framing.feed(input.as_bytes(), &mut out), None);
            assert_eq!(String::from_utf8_lossy(&out), format!("POST /v1/checks HTTP/1.1\r\nHost: a\r\n\r\n{get}"));
            assert_eq!(bodies(framing.inbox(), 2), [Some(Ok("{}".to_owned())), None]);
        }
        let (mut framing, mut out) = (framing(), Vec::new());
        let input = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n-1\r\n";
        assert_eq!(framing.feed(input, &mut out), Some(Fault::Body));
        assert_eq!(bodies(framing.inbox(), 1), [Some(Err(BodyFault::Malformed))]);
    }

    #[test]
    fn what_is_kept_of_a_head_is_in_the_budget() {
        let budget = budget(8000, 9);
        let peer = budget.enter(Some(crate::limits::CallerAddress::new([192, 0, 2, 1].into()))).unwrap();
        let (mut first, mut second, mut out) = (Framing::new(&peer), Framing::new(&peer), Vec::new());
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(560));
        assert_eq!(first.feed(head.as_bytes(), &mut out), None);
        assert_eq!(second.feed(head.as_bytes(), &mut out), Some(Fault::Head(HeadFault::Full(Full::Share))));
        assert_eq!(first.feed(b"\r\n\r\n", &mut out), None);
        let full = Some(Fault::Head(HeadFault::Full(Full::Share)));
        assert_eq!(Framing::new(&peer).feed(head.as_bytes(), &mut out), None, "a small one is nobody's yet");
        assert_eq!(first.feed(format!("{head}\r\n\r\n").as_bytes(), &mut out), None);
        assert_eq!(Framing::new(&peer).feed(head.as_bytes(), &mut out), full, "one behind it waits for its turn");
        drop((first.inbox().next(), first.inbox().next()));
        assert_eq!(Framing::new(&peer).feed(head.as_bytes(), &mut out), None, "its request was answered");
    }

    #[test]
    fn offers_are_taken_out() {
        for (input, out) in [
            (
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\nContent-Length: 2\r\n\r\n{}",
                "\r\n",
            ),
            ("Connection: upgrade, close\r\nUpgrade: websocket\r\n\r\n", "Connection: close\r\n\r\n"),
            ("connection: keep-alive, Upgrade\r\n\r\n", "connection: keep-alive\r\n\r\n"),
            ("Connection: upgrade\r\nX: y\r\n\r\n", "X: y\r\n\r\n"),
            ("Upgrade: TLS/1.0\r\n\r\n", "\r\n"),
        ] {
            let head = "POST /v1/checks HTTP/1.1\r\nHost: a\r\n";
            assert_eq!(fed(&format!("{head}{input}")), (format!("{head}{out}"), None), "{input}");
        }
        let tunnel = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\nwhatever follows";
        assert_eq!(fed(tunnel).0, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n");
    }

    #[test]
    fn what_is_not_becomes_a_refusal() {
        let (large, long) = ("a".repeat(HEAD_BYTES_MAX), "/".repeat(HEAD_BYTES_MAX));
        let many = "X: y\r\n".repeat(97);
        let host = "Host: a\r\n";
        for (input, fault) in [
            (format!("GET / HTTP/1.1\r\n{host}X: {large}"), HeadFault::TooLarge),
            (format!("GET / HTTP/1.1\r\n{host}{many}\r\n"), HeadFault::TooLarge),
            (format!("GET {long}"), HeadFault::TargetTooLong),
            (format!("GET {long} HTTP/1.1\r\n{host}\r\n"), HeadFault::TargetTooLong),
            (format!("CONNECT a:443 HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(95)), HeadFault::TooLarge),
            (format!("POST / HTTP/1.0\r\nContent-Length: 2\r\n{}\r\n{{}}", "X: y\r\n".repeat(95)), HeadFault::TooLarge),
            ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), HeadFault::BareLineFeed),
            (format!("GET / HTTP/1.1\r\n{host}X: y\n\r\n"), HeadFault::BareLineFeed),
            ("\nGET / HTTP/1.0\r\n\r\n".to_owned(), HeadFault::BareLineFeed),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), HeadFault::Malformed),
            (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), HeadFault::Malformed),
            (format!("GET / HTTP/9.9\r\n{host}\r\n"), HeadFault::Malformed),
            (format!("GET /a b HTTP/1.1\r\n{host}\r\n"), HeadFault::Malformed),
            (format!("GET a HTTP/1.1\r\n{host}X: a\0b\r\n\r\n"), HeadFault::Malformed),
            (format!("GET / HTTP/1.1\r\n{host}X: a\rb\r\n\r\n"), HeadFault::Malformed),
            (format!("GET / HTTP/1.1\r\n{host}X : a\r\n\r\n"), HeadFault::Malformed),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), HeadFault::Malformed),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: +5\r\n\r\n"), HeadFault::Malformed),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length:\r\n\r\n"), HeadFault::Malformed),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 18446744073709551616\r\n\r\n"), HeadFault::Malformed),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 5, 5\r\n\r\n"), HeadFault::Malformed),
            (format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n"), HeadFault::Malformed),
            (
                format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
                HeadFault::Malformed,
            ),
            (
                format!("POST / HTTP/1.1\r\n{host}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                HeadFault::Malformed,
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), HeadFault::Malformed),
            ("POST / HTTP/1.0\r\n\r\n".to_owned(), HeadFault::Malformed),
            ("\u{16}\u{3}\u{1}".to_owned(), HeadFault::Malformed),
            ("{\"id_number\":1}".to_owned(), HeadFault::Malformed),
            (format!("POST /v1/checks# HTTP/1.1\r\n{host}\r\n"), HeadFault::Malformed),
            (format!("POST /v1/checks#?id_number=1 HTTP/1.1\r\n{host}\r\n"), HeadFault::Malformed),
            (format!("POST /v1/checks?a=b#c HTTP/1.1\r\n{host}\r\n"), HeadFault::Malformed),
            (format!("GET http://a/v1/alerts#{} HTTP/1.1\r\n{host}\r\n", "a".repeat(3000)), HeadFault::Malformed),
            (format!("GET http://a#b HTTP/1.1\r\n{host}\r\n"), HeadFault::Malformed),
            (format!("GET # HTTP/1.0\r\n{host}\r\n"), HeadFault::Malformed),
        ] {
            let refused = String::from_utf8_lossy(REFUSED_HEAD).into_owned();
            assert_eq!(fed(&input), (refused, Some(Fault::Head(fault))), "{input:.80?}");
        }
    }

    #[test]
    fn requests_before_a_refused_one_are_served() {
        let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let (out, fault) = fed(&format!("{good}\n{good}"));
        assert_eq!(fault, Some(Fault::Head(HeadFault::BareLineFeed)));
        assert_eq!(out.matches("GET").count(), 1);
        assert!(out.starts_with(good) && out.contains(REFUSED_METHOD));
    }

    #[test]
    fn a_head_is_known_while_it_comes_in() {
        let (mut framing, mut out) = (framing(), Vec::new());
        assert!(!framing.is_in_head());
        assert_eq!(framing.feed(b"\r\nGET / HT", &mut out), None);
        assert!(framing.is_in_head() && out.is_empty());
        assert_eq!(framing.feed(b"TP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{", &mut out), None);
        assert!(!framing.is_in_head() && framing.heads() == 1);
        assert_eq!(framing.feed(b"}\nG", &mut out), None);
        assert!(framing.is_in_head() && framing.heads() == 1);
        framing.refuse(&mut out);
        assert!(framing.is_over() && !framing.is_in_head());
        assert_eq!(framing.feed(b"ET / HTTP/1.1\r\n", &mut out), None);
        assert!(out.ends_with(REFUSED_HEAD));
    }

    proptest! {
        #[test]
        fn where_reads_are_cut_makes_no_difference(cuts in prop::collection::vec(0..400_usize, 0..6)) {
            let input = "POST /v1/checks HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
                Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n\r\n\
                POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\n\n\n\nGET / HTTP/1.1\nHost: a\r\n\r\n".as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(input.len())).chain([0, input.len()]).collect();
            cuts.sort_unstable();
            let (mut framing, mut out, mut faults) = (framing(), Vec::new(), Vec::new());
            for pair in cuts.windows(2) {
                faults.extend(framing.feed(&input[pair[0]..pair[1]], &mut out));
            }
            prop_assert_eq!(faults, vec![Fault::Head(HeadFault::BareLineFeed)]);
            prop_assert_eq!(String::from_utf8_lossy(&out), fed(std::str::from_utf8(input).unwrap()).0);
        }
    }
}
