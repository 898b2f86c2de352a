//! The chunks of one body (RFC 9112, 7.1): what they hold, without sizes, extensions and trailers, which mean nothing here.

/// The longest line that announces a chunk, extensions included. An honest one has under ten bytes.
const SIZE_LINE_BYTES_MAX: usize = 1024;
/// All trailer fields of a body.
const TRAILER_BYTES_MAX: usize = 4096;

/// The body is not in chunks as it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the line that announces a chunk.
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// After a chunk: its line end is to come, or the rest of it.
    DataEnd,
    /// After the last chunk.
    Trailers,
}

/// A body in chunks, as far as it has come.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// A line that has not come in full.
    line: Vec<u8>,
    trailer_bytes: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size, line: Vec::new(), trailer_bytes: 0 }
    }

    /// Takes what belongs to the body, and hands on what it holds. Returns what follows the body once it has ended; None before.
    pub(super) fn feed<'a>(
        &mut self,
        input: &'a [u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<Option<&'a [u8]>, Malformed> {
        let mut rest = input;
        while let Some((&byte, tail)) = rest.split_first() {
            if let At::Data(left) = self.at {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (data, tail) = rest.split_at(length);
                take(data);
                rest = tail;
                let left = left - length as u64;
                self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
                continue;
            }
            rest = tail;
            self.line.push(byte);
            if self.line_byte()? {
                return Ok(Some(rest));
            }
        }
        Ok(None)
    }

    /// Looks at a line that has grown by one byte. True: the body has ended.
    fn line_byte(&mut self) -> Result<bool, Malformed> {
        let is_whole = self.line.ends_with(b"\n");
        if is_whole && !self.line.ends_with(b"\r\n") {
            return Err(Malformed);
        }
        match self.at {
            At::Size if is_whole => {
                let size = read_size(&self.line)?;
                self.at = if size == 0 { At::Trailers } else { At::Data(size) };
            }
            // Nothing but the end of the line follows its CR.
            At::Size if self.line.iter().rev().nth(1) == Some(&b'\r') => return Err(Malformed),
            At::Size if self.line.len() > SIZE_LINE_BYTES_MAX => return Err(Malformed),
            // A line that begins wrongly is refused at once: its end may never come.
            At::Size if !self.line[0].is_ascii_hexdigit() => return Err(Malformed),
            At::DataEnd if is_whole && self.line.len() == 2 => self.at = At::Size,
            At::DataEnd if self.line != b"\r" => return Err(Malformed),
            At::Trailers => {
                self.trailer_bytes += 1;
                if self.trailer_bytes > TRAILER_BYTES_MAX {
                    return Err(Malformed);
                }
                if is_whole && self.line.len() == 2 {
                    return Ok(true);
                }
            }
            At::Size | At::DataEnd | At::Data(_) => {}
        }
        if is_whole {
            self.line.clear();
        }
        Ok(false)
    }
}

/// The size that a whole line announces: hexadecimal digits, then nothing, or white space and extensions.
fn read_size(line: &[u8]) -> Result<u64, Malformed> {
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let rest = rest.trim_ascii_start();
    let is_clean = rest.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    if !(rest.is_empty() || rest.starts_with(b";")) || !is_clean || digits.is_empty() {
        return Err(Malformed);
    }
    // More than sixteen digits overflow, unless they are zeros: nobody writes those.
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    u64::from_str_radix(digits, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What they hold, and what is left over or whether they were refused.
    fn fed(input: &[u8]) -> (String, Result<Option<String>, Malformed>) {
        let mut out = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let rest = Chunks::new().feed(input, |data| out.extend_from_slice(data)).map(|rest| rest.map(text));
        (text(&out), rest)
    }

    #[test]
    fn good_chunks_are_what_they_hold() {
        for (input, out) in [
            ("2\r\n{}\r\n0\r\n\r\nGET", "{}"),
            ("02;a=\"b\"\r\n{}\r\n0\r\nX: y\r\n\r\nGET", "{}"),
            ("a \t\r\n0123456789\r\n000\r\n\r\nGET", "0123456789"),
            ("1\r\n{\r\n1\r\n}\r\n0\r\n\r\nGET", "{}"),
        ] {
            assert_eq!(fed(input.as_bytes()), (out.to_owned(), Ok(Some("GET".to_owned()))), "{input:?}");
        }
        assert_eq!(fed(b"5\r\nab"), ("ab".to_owned(), Ok(None)));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let (long, trailers) = (format!("2;{}\r\n", "a".repeat(65_536)), format!("0\r\n{}", "X: y\r\n".repeat(1000)));
        for size in [
            "-1\r\n",
            "zz\r\n",
            "17 f\r\n",
            "+2\r\n",
            "0x2\r\n",
            "\r\n",
            "2\n",
            "2\r3",
            "fffffffffffffffff\r\n",
            "g",
            "2;\0\r\n",
            "2 a\r\n",
            &long,
            &trailers,
            "0\r\nX: y\n",
        ] {
            assert_eq!(fed(size.as_bytes()), (String::new(), Err(Malformed)), "{size:.20?}");
        }
        assert_eq!(fed(b"2\r\n{}\r\n-1\r\n"), ("{}".to_owned(), Err(Malformed)));
        for after in ["2\r\n{}x", "2\r\n{}\rx", "2\r\n{}\n"] {
            assert_eq!(fed(after.as_bytes()), ("{}".to_owned(), Err(Malformed)), "{after:?}");
        }
    }

    proptest! {
        #[test]
        fn where_reads_are_cut_makes_no_difference(input in "[0-9a-f;{}\r\n -]{0,40}", at in 0..40_usize) {
            let (one, two) = input.as_bytes().split_at(at.min(input.len()));
            let (mut chunks, mut out) = (Chunks::new(), Vec::new());
            let first = chunks.feed(one, |data| out.extend_from_slice(data)).map(|rest| rest.map(<[u8]>::len));
            let cut = match first {
                Ok(None) => chunks.feed(two, |data| out.extend_from_slice(data)).map(|rest| rest.map(<[u8]>::len)),
                ended => ended.map(|rest| rest.map(|left| left + two.len())),
            };
            let (whole, rest) = fed(input.as_bytes());
            prop_assert_eq!(String::from_utf8_lossy(&out), whole);
            prop_assert_eq!(cut, rest.map(|rest| rest.map(|rest| rest.len())));
        }
    }
}
