//! Which bytes are a check in plain form: one exact request line, a few headers that are known by name, each given once, and the
//! whole body. Whatever else comes is not judged here, but left to the long way with all its bytes.

use actix_web::http::header::HeaderName;
use httparse::Status;

use crate::http::pipeline::forwarded::{FORWARDED, X_FORWARDED_FOR, is_well_formed};

/// More headers than a plain check can have.
const HEADERS_MAX: usize = 16;

/// A check in plain form.
#[derive(PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub(super) host: &'a str,
    /// Without its scheme.
    pub(super) token: &'a str,
    pub(super) request_id: Option<&'a str>,
    pub(super) body: &'a [u8],
    /// Of head and body together: what follows is the next request's.
    pub(super) length: usize,
}

/// Headers that change no answer of a check, as long as each is given once. The last ones are proxies'.
const PASSED_OVER: [&str; 11] = [
    "user-agent",
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "pragma",
    "via",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Who asks by a proxy spends nothing of an address here: only a field that is malformed changes the answer.
const FORWARDING: [HeaderName; 2] = [FORWARDED, X_FORWARDED_FOR];

/// Reads what a connection has sent, if it begins with a whole check in plain form. `request_line` ends with its line end.
pub(super) fn read<'a>(bytes: &'a [u8], request_line: &[u8]) -> Option<Plain<'a>> {
    let rest = bytes.strip_prefix(request_line)?;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let Ok(Status::Complete((head_length, headers))) = httparse::parse_headers(rest, &mut headers) else { return None };
    let (head, rest) = rest.split_at_checked(head_length)?;
    if has_bare_line_feed(head) {
        return None;
    }
    let mut fields = Fields::default();
    for header in headers {
        fields.take(header.name, header.value)?;
    }
    let body = rest.get(..fields.length?)?;
    let length = request_line.len() + head_length + body.len();
    fields.has_type.then_some(())?;
    Some(Plain { host: fields.host?, token: fields.token?, request_id: fields.request_id, body, length })
}

/// A line that ends in LF alone is refused by the long way; `httparse` takes it.
fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    token: Option<&'a str>,
    request_id: Option<&'a str>,
    length: Option<usize>,
    has_type: bool,
    has_connection: bool,
    /// One bit for each of `PASSED_OVER`.
    passed_over: u16,
    /// One bit for each of `FORWARDING`.
    forwarding: u16,
}

impl<'a> Fields<'a> {
    /// None: the request is not a plain check.
    fn take(&mut self, name: &str, value: &'a [u8]) -> Option<()> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("authorization") {
            let token = crate::http::pipeline::caller::token_of(value)?;
            once(&mut self.token, token)
        } else if is("content-length") {
            once(&mut self.length, length_of(value)?)
        } else if is("content-type") {
            let is_json = value.eq_ignore_ascii_case(b"application/json")
                || value.eq_ignore_ascii_case(b"application/json; charset=utf-8");
            (is_json && !std::mem::replace(&mut self.has_type, true)).then_some(())
        } else if is("host") {
            once(&mut self.host, std::str::from_utf8(value).ok()?)
        } else if is("x-request-id") {
            once(&mut self.request_id, std::str::from_utf8(value).ok()?)
        } else if is("connection") {
            (value.eq_ignore_ascii_case(b"keep-alive") && !std::mem::replace(&mut self.has_connection, true))
                .then_some(())
        } else if let Some(at) = FORWARDING.iter().position(|known| is(known.as_str())) {
            is_well_formed(&FORWARDING[at], value).then_some(())?;
            mark(&mut self.forwarding, at)
        } else {
            mark(&mut self.passed_over, PASSED_OVER.iter().position(|known| is(known))?)
        }
    }
}

/// Marks one of a few; None where it is marked.
fn mark(marks: &mut u16, at: usize) -> Option<()> {
    let bit = 1 << at;
    let is_first = *marks & bit == 0;
    *marks |= bit;
    is_first.then_some(())
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// A length in decimal digits, of a body that is there and small enough to have come with its head.
fn length_of(value: &[u8]) -> Option<usize> {
    let is_plain = (1..=5).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(value).ok().filter(|_| is_plain)?;
    digits.parse().ok().filter(|length| *length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"POST /check HTTP/1.1\r\n";
    const HEAD: &str =
        "POST /check HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\n";

    fn read_text(text: &str) -> Option<Plain<'_>> {
        read(text.as_bytes(), LINE)
    }

    #[test]
    fn a_plain_check_is_read_whole() {
        let text = format!(
            "{HEAD}X-Request-Id: r\r\nAccept: */*\r\nConnection: keep-alive\r\ncontent-length: 2\r\n\r\n{{}}POST"
        );
        let plain = read_text(&text).unwrap();
        assert_eq!((plain.host, plain.token, plain.request_id, plain.body), ("a", "t", Some("r"), &b"{}"[..]));
        assert_eq!(&text[plain.length..], "POST");
        let fields =
            "Forwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4, ::1\r\nX-Forwarded-Proto: https\r\nVia: 1.1 a\r\n";
        assert!(read_text(&format!("{HEAD}{fields}Content-Length: 2\r\n\r\n{{}}")).is_some(), "through a proxy");
    }

    #[test]
    fn whatever_is_not_plain_is_left_to_the_long_way() {
        let whole = format!("{HEAD}Content-Length: 2\r\n\r\n{{}}");
        assert!(read_text(&whole).is_some());
        for cut in 0..whole.len() {
            assert!(read_text(&whole[..cut]).is_none(), "cut at {cut}");
        }
        let (line, rest) = whole.split_once("\r\n").unwrap();
        for field in whole.split("\r\n").skip(1).take(4) {
            assert!(read_text(&format!("{line}\r\n{field}\r\n{rest}")).is_none(), "{field} twice");
            assert!(read_text(&whole.replace(&format!("{field}\r\n"), "")).is_none(), "without {field}");
        }
        for field in [
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "Connection: keep-alive, upgrade",
            "Content-Encoding: identity",
            "Idempotency-Key: a",
            "DPoP: a",
            "Forwarded: for=1.2.3.4, garbage;",
            "Forwarded: for=1.2.3.4\r\nForwarded: for=1.2.3.5",
            "X-Forwarded-For: garbage",
            "X-Forwarded-For:",
            "X-Forwarded-Prefix: /a",
            "X-Unknown: a",
            "Accept: a\r\nACCEPT: b",
            "X-Request-Id: a\r\nX-Request-Id: a",
            "X-Request-Id: \u{e9}\u{0}",
        ] {
            assert!(read_text(&whole.replacen("\r\n", &format!("\r\n{field}\r\n"), 1)).is_none(), "{field}");
        }
        for (from, to) in [
            ("POST /check", "POST /Check"),
            ("POST /check", "post /check"),
            ("POST /check", "POST http://a/check"),
            ("POST /check", " POST /check"),
            ("POST /check", "\r\nPOST /check"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Host: a\r\n", "Host: a\n"),
            ("Host: a", "Host : a"),
            ("Host: a", "Host: a\r\n b"),
            ("Bearer t", "Basic t"),
            ("Bearer t", "Bearer t u"),
            ("Bearer t", "Bearer "),
            ("Length: 2", "Length: +2"),
            ("Length: 2", "Length: 0x2"),
            ("Length: 2", "Length: 2, 2"),
            ("Length: 2", "Length: 0"),
            ("Length: 2", "Length: 3"),
            ("Length: 2", "Length: 999999"),
            ("application/json", "text/plain"),
            ("application/json", "application/json; charset=utf-16"),
        ] {
            assert!(whole.contains(from));
            assert!(read_text(&whole.replace(from, to)).is_none(), "{to}");
        }
    }
}
