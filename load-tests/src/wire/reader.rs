//! A minimal response reader (RFC 9112): status, Content-Length, skip or keep
//! the body. It is fed whatever arrived, in pieces of any size. Bodies of
//! unknown length are refused; the server under test sends none.

/// Longest response head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest body; a batch of 1000 with receipts is about 1.5 MB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const HEADERS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The server will close the connection.
    pub(crate) close: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// A head that did not come in one piece.
    head: Vec<u8>,
    current: Option<(Response, usize)>,
    keep_body: bool,
    body: Vec<u8>,
}

impl Reader {
    /// Forgets everything before the next response; says whether to keep its body.
    pub(crate) fn expect(&mut self, keep_body: bool) {
        self.head.clear();
        self.current = None;
        self.keep_body = keep_body;
        self.body.clear();
    }

    /// The last body, if the caller asked to keep it.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Takes what arrived. `Some` when the response is complete.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> anyhow::Result<Option<Response>> {
        let mut rest = piece;
        let (response, missing) = match self.current {
            Some(current) => current,
            None => match self.feed_head(piece)? {
                Some((current, used)) => {
                    rest = &piece[used..];
                    current
                }
                None => return Ok(None),
            },
        };
        anyhow::ensure!(rest.len() <= missing, "more bytes than the response announced");
        if self.keep_body {
            self.body.extend_from_slice(rest);
        }
        if rest.len() == missing {
            self.current = None;
            return Ok(Some(response));
        }
        self.current = Some((response, missing - rest.len()));
        Ok(None)
    }

    /// The head and how many bytes of this piece belong to it.
    fn feed_head(&mut self, piece: &[u8]) -> anyhow::Result<Option<((Response, usize), usize)>> {
        if self.head.is_empty()
            && let Some((current, length)) = parse_head(piece)?
        {
            return Ok(Some((current, length)));
        }
        let before = self.head.len();
        self.head.extend_from_slice(piece);
        if before > 0
            && let Some((current, length)) = parse_head(&self.head)?
        {
            self.head.clear();
            return Ok(Some((current, length - before)));
        }
        anyhow::ensure!(self.head.len() <= HEAD_BYTES_MAX, "the response head is longer than {HEAD_BYTES_MAX} bytes");
        Ok(None)
    }
}

fn parse_head(bytes: &[u8]) -> anyhow::Result<Option<((Response, usize), usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes)? else {
        return Ok(None);
    };
    let status = parsed.code.unwrap_or(0);
    let mut body_bytes = (status == 204 || status == 304).then_some(0);
    let mut close = parsed.version == Some(0);
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body_bytes = Some(std::str::from_utf8(header.value)?.trim().parse::<usize>()?);
        } else if header.name.eq_ignore_ascii_case("connection") {
            close = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let Some(body_bytes) = body_bytes else {
        anyhow::bail!("a response {status} without Content-Length");
    };
    anyhow::ensure!(body_bytes <= BODY_BYTES_MAX, "the response body is longer than {BODY_BYTES_MAX} bytes");
    Ok(Some(((Response { status, close }, body_bytes), length)))
}

#[cfg(test)]
mod tests {
    use super::{Reader, Response};

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nhello";

    #[test]
    fn response_is_read_however_it_is_split() {
        for first in 0..OK.len() {
            for second in first..OK.len() {
                let mut reader = Reader::default();
                reader.expect(true);
                assert_eq!(reader.feed(&OK[..first]).unwrap(), None);
                assert_eq!(reader.feed(&OK[first..second]).unwrap(), None);
                let done = reader.feed(&OK[second..]).unwrap();
                assert_eq!(done, Some(Response { status: 200, close: false }), "{first} {second}");
                assert_eq!(reader.body(), b"hello");
            }
        }
    }

    #[test]
    fn reader_serves_one_response_after_another() {
        let mut reader = Reader::default();
        for keep in [true, false, true] {
            reader.expect(keep);
            for byte in &OK[..OK.len() - 1] {
                assert_eq!(reader.feed(std::slice::from_ref(byte)).unwrap(), None);
            }
            assert!(reader.feed(b"o").unwrap().is_some());
            assert_eq!(reader.body().len(), if keep { 5 } else { 0 });
        }
    }

    #[test]
    fn close_empty_and_error_answers_are_understood() {
        let cases: [(&[u8], u16, bool); 3] = [
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, false),
            (b"HTTP/1.1 503 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 503, true),
            (b"HTTP/1.0 429 x\r\nContent-Length: 1\r\n\r\nx", 429, true),
        ];
        for (bytes, status, close) in cases {
            assert_eq!(Reader::default().feed(bytes).unwrap(), Some(Response { status, close }));
        }
    }

    #[test]
    fn wrong_responses_are_refused() {
        let long_head = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'a'; 20_000]].concat();
        let cases: [&[u8]; 6] = [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
            b"SSH-2.0\r\n\r\n",
            &long_head,
        ];
        for bytes in cases {
            assert!(Reader::default().feed(bytes).is_err());
        }
    }
}
