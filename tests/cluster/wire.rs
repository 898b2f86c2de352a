//! HTTP as a simple client speaks it (RFC 9112): one keep-alive connection, one request at a time, blocking. Requests are
//! written by hand, so that the harness leaves the machine to the nodes. Knows nothing of verdicts.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(1);
/// The longest fault is shorter: after it an answer comes, or the connection ends.
const ANSWER_MAX: Duration = Duration::from_secs(8);
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An answer; its body is [`Link::body`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server is going to close the connection.
    pub(crate) closes: bool,
}

/// A connection that is made when it is needed.
#[derive(Debug, Default)]
pub(crate) struct Link {
    open: Option<(SocketAddr, TcpStream)>,
    received: Vec<u8>,
    body_at: usize,
}

/// A POST with a token and a body of JSON.
pub(crate) fn post(path: &str, token: &str, idempotency_key: Option<&str>, body: &str) -> String {
    let mut text = String::with_capacity(body.len() + 1024);
    write!(
        text,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    )
    .unwrap();
    if let Some(key) = idempotency_key {
        write!(text, "Idempotency-Key: {key}\r\n").unwrap();
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    text
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

impl Link {
    /// Sends a request and waits for the whole answer. After an error nothing is known but that; the next request gets a new
    /// connection.
    pub(crate) fn ask(&mut self, address: SocketAddr, request: &str) -> Result<Answer, Error> {
        let stream = match self.open.take() {
            Some((open, stream)) if open == address => stream,
            _ => connect(address)?,
        };
        let answer = self.exchange(&stream, request.as_bytes())?;
        if !answer.closes {
            self.open = Some((address, stream));
        }
        Ok(answer)
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.received[self.body_at..]
    }

    fn exchange(&mut self, mut stream: &TcpStream, request: &[u8]) -> Result<Answer, Error> {
        stream.write_all(request)?;
        self.received.clear();
        let mut whole: Option<(Answer, usize)> = None;
        loop {
            if whole.is_none() {
                whole = self.read_head()?;
            }
            if let Some((answer, length)) = whole
                && self.received.len() >= length
            {
                return if self.received.len() == length { Ok(answer) } else { Err(malformed("more than the answer")) };
            }
            let before = self.received.len();
            let room = whole.map_or(4096, |(_, length)| length - before);
            self.received.resize(before + room, 0);
            let read = stream.read(&mut self.received[before..]);
            self.received.truncate(before + read.as_ref().map_or(0, |read| *read));
            if read? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The head, once it is there, with the length of head and body.
    fn read_head(&mut self) -> Result<Option<(Answer, usize)>, Error> {
        let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&self.received[..end]).map_err(|_| malformed("a head that is no text"))?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| malformed("a status line"))?;
        let (mut length, mut closes) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse::<usize>().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.eq_ignore_ascii_case("close");
            }
        }
        let length = length.filter(|length| *length <= ANSWER_BYTES_MAX).ok_or_else(|| malformed("no length"))?;
        self.body_at = end + 4;
        Ok(Some((Answer { status, closes }, self.body_at + length)))
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
