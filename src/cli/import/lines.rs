//! The lines of a file, one at a time, none longer than the bound: a quote or an object that does not end spoils its own line
//! and no other. That is why a CSV file may not have line breaks in its cells, which no value of a report could hold anyway.

use std::io::{self, BufRead, Read};

/// As long as the body of a single request may be.
pub(super) const LINE_BYTES_MAX: usize = 256 * 1024;

/// Why a line is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineError {
    TooLong,
    NotUtf8,
}

impl LineError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::TooLong => "line_too_long",
            Self::NotUtf8 => "not_utf8",
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "a line has at most 256 KiB",
            Self::NotUtf8 => "the line is not UTF-8",
        }
    }
}

/// Reads line after line into one buffer, which holds numbers: no `Debug`.
pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: Vec::with_capacity(1024), number: 0 }
    }

    /// The number of the last line read, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its end; none at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<&str, LineError>>> {
        self.buffer.clear();
        let limit = LINE_BYTES_MAX as u64 + 2;
        if self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        } else if self.buffer.len() > LINE_BYTES_MAX {
            self.source.skip_until(b'\n')?;
        }
        if self.buffer.len() > LINE_BYTES_MAX {
            return Ok(Some(Err(LineError::TooLong)));
        }
        let bytes = match self.number {
            // A byte order mark, as spreadsheet programs write it.
            1 => self.buffer.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.buffer),
            _ => &self.buffer,
        };
        Ok(Some(std::str::from_utf8(bytes).map_err(|_| LineError::NotUtf8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(u64, Result<String, LineError>)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(7, bytes));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let line = line.map(str::to_owned);
            all.push((lines.number(), line));
        }
        all
    }

    #[test]
    fn lines_end_with_lf_or_crlf_or_the_file() {
        let ok = |number, text: &str| (number, Ok(text.to_owned()));
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\xEF\xBB\xBFa\r\n\nb\rc"), [ok(1, "a"), ok(2, ""), ok(3, "b\rc")]);
    }

    #[test]
    fn a_bad_line_spoils_only_itself() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        for end in ["\n", "\r\n"] {
            let text = format!("{longest}{end}{longest}y{end}{longest}{longest}{end}z");
            let all = read(text.as_bytes());
            assert_eq!(all[0], (1, Ok(longest.clone())));
            assert_eq!(all[1..3], [(2, Err(LineError::TooLong)), (3, Err(LineError::TooLong))]);
            assert_eq!(all[3], (4, Ok("z".to_owned())));
        }
        assert_eq!(read(b"\xFF\nb"), [(1, Err(LineError::NotUtf8)), (2, Ok("b".to_owned()))]);
    }
}
